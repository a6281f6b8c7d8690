// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which command of a script was its last. Pure.
//!
//! The guest's shell does not tell at which command a script ended. So each command that begins a line is marked by an assignment before
//! it, and a trap tells the last mark on stderr. What cannot be marked safely is run as it is: one line, and scripts that look at `$?`,
//! have traps or documents of their own, or are no simple list of commands.

use super::subtests::end_of_code;

/// The variable that has the number of the line, from 1.
const MARK: &str = "_memrig_line";

/// Tells it when the script ends.
const TRAP: &str = r#"trap 'printf "\n\001memrig-line %s" "$_memrig_line" >&2' EXIT; "#;

/// Begins what the trap says; no program prints it by chance.
const SIGN: &str = "\u{1}memrig-line ";

/// A script with marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script<'a> {
    text: &'a str,
    marked: Option<String>,
}

impl<'a> Script<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let marked = starts(text).filter(|starts| starts.len() > 1).map(|starts| {
            let mark = |(number, line): (usize, &str)| match starts.binary_search(&number) {
                Ok(0) => format!("{TRAP}{MARK}={number}; {line}\n"),
                Ok(_) => format!("{MARK}={number}; {line}\n"),
                Err(_) => format!("{line}\n"),
            };
            (1..).zip(text.lines()).map(mark).collect()
        });
        Self { text, marked }
    }

    /// What is run in the guest.
    pub(super) fn to_run(&self) -> &str {
        self.marked.as_deref().unwrap_or(self.text)
    }

    /// A message that names what is run, naming what the suite has.
    pub(super) fn named(&self, message: &str) -> String {
        let first = |text: &str| text.trim_start().lines().next().unwrap_or_default().to_owned();
        message.replace(&first(self.to_run()), &first(self.text))
    }

    /// Takes the mark off what came on stderr; the command that it names, by its first line.
    pub(super) fn last_command(&self, stderr: &mut Vec<u8>) -> Option<&'a str> {
        if self.marked.is_none() {
            // The script is one command for all that is known.
            let mut lines = self.text.lines().map(str::trim).filter(|line| !line.is_empty());
            return lines.next().filter(|_| lines.next().is_none());
        }
        let sign = format!("\n{SIGN}");
        let at = stderr
            .windows(sign.len())
            .rposition(|window| window == sign.as_bytes())?;
        let rest = stderr.split_off(at);
        let rest = &rest[sign.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // What somebody in the background said after it is not the trap's.
        stderr.extend_from_slice(&rest[digits..]);
        let number: usize = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        self.text.lines().nth(number.checked_sub(1)?).map(str::trim)
    }
}

/// Why a script that ended with another code than it must did not pass, in one line: the command, and the last words.
pub(super) fn failed(code: u8, exit: u8, command: Option<&str>, words: &str) -> String {
    let command = command.map_or_else(String::new, |command| format!(" at `{}`", cut(command)));
    let words = words.trim();
    let words = if words.is_empty() {
        String::new()
    } else {
        format!(": {}", cut(words))
    };
    let how = end_of_code(code.into(), "the script");
    format!("{how}{command}, and must end with {exit}{words}")
}

/// Longest text of a command, or of last words, in characters.
const LONGEST: usize = 160;

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Numbers of the lines, from 1, on which a command begins that is part of no other; `None` if that is not sure.
fn starts(text: &str) -> Option<Vec<usize>> {
    let unsure = [
        "$?", "trap", "<<", "`", "case", "LINENO", "exec ", "\\\n", "\r", "\0",
    ];
    if unsure.iter().any(|word| text.contains(word)) {
        return None;
    }
    let mut starts = Vec::new();
    let mut state = State::default();
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim();
        if state.is_between() && !bare.is_empty() && !bare.starts_with('#') {
            let first = bare
                .split(|c: char| !c.is_ascii_alphabetic())
                .next()
                .unwrap_or_default();
            // It goes on with what a line before began, and that was not seen.
            if CLOSERS.contains(&first) || bare.starts_with(['}', ')', '&', '|', ';']) {
                return None;
            }
            starts.push(number);
        }
        state.read(line)?;
    }
    state.is_between().then_some(starts)
}

/// Words that open what others close.
const OPENERS: [&str; 4] = ["if", "for", "while", "until"];
/// Words that close it, or stand in its middle.
const CLOSERS: [&str; 6] = ["fi", "done", "then", "else", "elif", "do"];

/// What is open at the end of a line.
#[derive(Debug, Default)]
struct State {
    depth: u32,
    quote: Option<char>,
    /// The line ended with `|`, `&&` or `||`.
    goes_on: bool,
}

impl State {
    fn is_between(&self) -> bool {
        self.depth == 0 && self.quote.is_none() && !self.goes_on
    }

    /// Reads a line; `None` if more is closed in it than was open.
    fn read(&mut self, line: &str) -> Option<()> {
        let mut word = String::new();
        let mut last = ' ';
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match self.quote {
                Some('"') if c == '\\' => drop(chars.next()),
                Some(quote) if c == quote => self.quote = None,
                Some(_) => {}
                None => match c {
                    '\'' | '"' => {
                        self.quote = Some(c);
                        word.push(c);
                    }
                    '\\' => {
                        word.extend(chars.next());
                        word.push('\\');
                    }
                    '#' if word.is_empty() && matches!(last, ' ' | '\t' | ';') => break,
                    '(' | '{' => {
                        self.word(&mut word)?;
                        self.depth += 1;
                    }
                    ')' | '}' => {
                        self.word(&mut word)?;
                        self.depth = self.depth.checked_sub(1)?;
                    }
                    ' ' | '\t' | ';' | '&' | '|' | '<' | '>' => self.word(&mut word)?,
                    c => word.push(c),
                },
            }
            last = c;
        }
        self.word(&mut word)?;
        let line = line.trim_end();
        self.goes_on = self.quote.is_none() && (line.ends_with('|') || line.ends_with("&&"));
        Some(())
    }

    fn word(&mut self, word: &mut String) -> Option<()> {
        if OPENERS.contains(&word.as_str()) {
            self.depth += 1;
        } else if word == "fi" || word == "done" {
            self.depth = self.depth.checked_sub(1)?;
        }
        word.clear();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs a script as the guest's shell does, in the shell of this host.
    fn run(text: &str) -> (i32, String, Vec<u8>) {
        let output = Command::new("sh").arg("-c").arg(text).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), said, output.stderr)
    }

    fn last(text: &str) -> (i32, Option<String>) {
        let script = Script::new(text);
        let (plain_code, plain_said, plain_error) = run(text);
        let (code, said, mut error) = run(script.to_run());
        let command = script.last_command(&mut error).map(str::to_owned);
        assert_eq!((code, said), (plain_code, plain_said), "{}", script.to_run());
        assert_eq!(
            error.len(),
            plain_error.len(),
            "{}",
            String::from_utf8_lossy(&error)
        );
        (code, command)
    }

    #[test]
    fn the_command_at_which_a_script_ended_is_known() {
        let command = |text: &str| last(text).1.unwrap_or_default();
        assert_eq!(command("seq 1 3; exit 1"), "seq 1 3; exit 1");
        assert_eq!(command("set -e\necho a\nfalse\necho b\n"), "false");
        assert_eq!(command("echo a\n# remark\n\nls /nowhere\n"), "ls /nowhere");
        assert_eq!(command("for i in 1 2\ndo\n  echo $i\ndone\nexit 3\n"), "exit 3");
        assert_eq!(
            command("set -e\nfor i in 1 2; do\n  [ $i = 1 ]\ndone\necho no\n"),
            "for i in 1 2; do"
        );
        assert_eq!(command("f() {\n  return 4\n}\nset -e\nf\necho no\n"), "f");
        assert_eq!(command("set -e\ntrue &&\n  false ||\n  false\ntrue\n"), "true &&");
        assert_eq!(command("x=\"a\nb\"\n[ \"$x\" = c ]\n"), "[ \"$x\" = c ]");
        assert_eq!(
            command("echo \"it's $((1 + 2)) # no remark\"\n(exit 5)\n"),
            "(exit 5)"
        );
        assert_eq!(
            last("echo ${#HOME} >/dev/null\nkill -9 $$\n").1,
            None,
            "nobody was left to tell"
        );
    }

    #[test]
    fn what_is_not_sure_is_run_as_it_is() {
        for text in [
            "false\n[ $? = 1 ]\nexit 2\n",
            "cat <<END\nfalse\nEND\nfalse\n",
            "trap 'echo bye' EXIT\nfalse\n",
            "case x in\n  x) false ;;\nesac\nfalse\n",
            "echo fi\nfalse\n",
            "echo if\nfalse\n",
            "a \\\nb\n",
            "",
        ] {
            assert_eq!(Script::new(text).to_run(), text);
        }
        assert_eq!(last("false\n[ $? = 1 ]\nexit 2\n"), (2, None));
    }

    /// Every script in the value of a suite.
    fn scripts(value: &serde_yaml::Value, all: &mut Vec<String>) {
        match value {
            serde_yaml::Value::Mapping(mapping) => {
                for (key, value) in mapping {
                    match (key.as_str(), value.as_str()) {
                        (Some("run"), Some(script)) => all.push(script.to_owned()),
                        _ => scripts(value, all),
                    }
                }
            }
            serde_yaml::Value::Sequence(values) => values.iter().for_each(|value| scripts(value, all)),
            _ => {}
        }
    }

    #[test]
    fn the_scripts_of_our_suites_are_still_scripts() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../suites");
        let mut all = Vec::new();
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = fs_err::read_to_string(path).unwrap();
                scripts(&serde_yaml::from_str(&text).unwrap(), &mut all);
            }
        }
        let marked = all
            .iter()
            .filter(|text| Script::new(text).to_run() != text.as_str())
            .count();
        assert!(all.len() >= 10 && marked >= 3, "{marked} of {}", all.len());
        for text in &all {
            let script = Script::new(text);
            let read = Command::new("sh")
                .args(["-n", "-c", script.to_run()])
                .output()
                .unwrap();
            assert!(read.status.success(), "{}: {read:?}", script.to_run());
        }
    }

    #[test]
    fn the_line_says_command_and_last_words() {
        assert_eq!(
            failed(1, 0, Some("seq 1 300; exit 1"), "300\n"),
            "the script ended with 1 at `seq 1 300; exit 1`, and must end with 0: 300"
        );
        assert_eq!(
            failed(137, 0, None, ""),
            "signal 9 killed the script, and must end with 0"
        );
        let long = failed(1, 0, Some(&"x".repeat(500)), &"y".repeat(500));
        assert!(long.len() < 420 && long.contains("x…`, and"), "{long}");
        let script = Script::new("true\nfalse\n");
        let said = format!("script `{}`: no answer", script.to_run().lines().next().unwrap());
        assert_eq!(script.named(&said), "script `true`: no answer");
    }
}
