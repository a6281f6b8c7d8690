// SPDX-License-Identifier: MIT OR Apache-2.0
//! The script of an array job whose tasks each run a part of a plan.

use std::fmt::Write;

use super::Attempt;
use base::{
    ByteSize,
    exec::{shell_line, shell_quote},
    fault::{Blame, Blamed},
};

/// What a script is made from. All folders are absolute, and seen by every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Name of the job.
    pub name: String,
    /// How many tasks there are, numbered from 1.
    pub tasks: u32,
    /// Processors of a task.
    pub cpus: usize,
    /// Memory of a task.
    pub memory: ByteSize,
    /// The partition, where one is named.
    pub partition: Option<String>,
    /// The account, where one is named.
    pub account: Option<String>,
    /// The time limit of a task, in Slurm's own words.
    pub time: Option<String>,
    /// More options of sbatch, such as `--qos=night`.
    pub extra: Vec<String>,
    /// Where the tasks run.
    pub dir: String,
    /// Folder with `log`, `end` and `part`.
    pub folder: String,
    /// Program and arguments of a task, without its part and its results folder.
    pub command: Vec<String>,
    /// `slice` or `hash`.
    pub by: String,
}

/// The script cannot say this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScript {
    /// A character that a line of options cannot hold.
    #[error("{what} {value:?} has a quote, a backslash or a line break, which no #SBATCH line can hold")]
    Quote {
        /// Which option.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// Something that is no option.
    #[error("{0:?} is no option of sbatch: it must begin with --, and have its value after =")]
    NoOption(String),
    /// An option that memrig sets.
    #[error("memrig sets {0} itself: leave it out of --sbatch-arg")]
    Ours(String),
}

impl Blamed for BadScript {
    fn blame(&self) -> Blame {
        Blame::Usage
    }
}

/// Options on which the rest of the script stands.
const OURS: [&str; 8] = [
    "--array",
    "--chdir",
    "--job-name",
    "--ntasks",
    "--output",
    "--error",
    "--parsable",
    "--wrap",
];

impl Script {
    /// The text, ready for sbatch.
    ///
    /// A task leaves its exit code in a file of its own, so that its end is known when Slurm has forgotten it.
    ///
    /// # Errors
    /// A value that a line of options cannot hold.
    pub fn text(&self) -> Result<String, BadScript> {
        let mut text = "#!/bin/sh\n".to_owned();
        let mut option = |words: &str| {
            text.push_str("#SBATCH ");
            text.push_str(words);
            text.push('\n');
        };
        let percent = |text: &str| text.replace('%', "%%");
        option(&format!("--job-name={}", value("--job-name", &self.name)?));
        option(&format!("--array=1-{}", self.tasks));
        option("--nodes=1");
        option("--ntasks=1");
        option(&format!("--cpus-per-task={}", self.cpus));
        option(&format!("--mem={}M", self.memory.as_bytes().div_ceil(1 << 20)));
        let log = format!("{}/log/%A_%a", percent(&self.folder));
        option(&format!("--output={}", value("--output", &log)?));
        option("--open-mode=append");
        option(&format!("--chdir={}", value("--chdir", &self.dir)?));
        option("--requeue");
        let asked = [
            ("--partition", &self.partition),
            ("--account", &self.account),
            ("--time", &self.time),
        ];
        for (name, asked) in asked {
            if let Some(asked) = asked {
                option(&format!("{name}={}", value(name, asked)?));
            }
        }
        for extra in &self.extra {
            let (name, rest) = match extra.split_once('=') {
                Some((name, rest)) => (name, Some(rest)),
                None => (extra.as_str(), None),
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if !name.starts_with("--") || name.len() < 3 || !name.chars().all(plain) {
                return Err(BadScript::NoOption(extra.clone()));
            }
            // sbatch takes every beginning of a name that is clear.
            if name.len() >= 4 && OURS.iter().any(|ours| ours.starts_with(name)) {
                return Err(BadScript::Ours(name.to_owned()));
            }
            match rest {
                Some(rest) => option(&format!("{name}={}", value("--sbatch-arg", rest)?)),
                None => option(name),
            }
        }
        let folder = shell_quote(&self.folder);
        let command = shell_line(&self.command);
        let (by, tasks) = (&self.by, self.tasks);
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            r#"
attempt=$SLURM_ARRAY_TASK_ID.$SLURM_ARRAY_JOB_ID.${{SLURM_RESTART_COUNT:-0}}
folder={folder}
{command} --shard "{by}:$SLURM_ARRAY_TASK_ID/{tasks}" --results "$folder/part/$attempt"
code=$?
# A reader sees the whole file or none.
echo "$code" > "$folder/end/.$attempt" && mv "$folder/end/.$attempt" "$folder/end/$attempt"
exit "$code"
"#
        );
        Ok(text)
    }
}

/// Name of the files and folders of one attempt at a task.
pub fn attempt_name(task: u32, attempt: Attempt) -> String {
    format!("{task}.{}.{}", attempt.job, attempt.restarts)
}

/// A value as a `#SBATCH` line takes it.
fn value(what: &'static str, value: &str) -> Result<String, BadScript> {
    if value.contains(|c: char| c.is_control() || matches!(c, '"' | '\'' | '\\')) {
        return Err(BadScript::Quote {
            what,
            value: value.to_owned(),
        });
    }
    // A # would begin a comment.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%^[]".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        Ok(value.to_owned())
    } else {
        Ok(format!("\"{value}\""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn script() -> Script {
        Script {
            name: "memrig-1".to_owned(),
            tasks: 4,
            cpus: 2,
            memory: ByteSize::bytes((3 << 30) + 1),
            partition: Some("kernel".to_owned()),
            account: None,
            time: Some("1:00:00".to_owned()),
            extra: vec!["--qos=night shift".to_owned(), "--exclusive".to_owned()],
            dir: "/home/me".to_owned(),
            folder: "/home/me/100%/it's".replace('\'', ""),
            command: vec!["/bin/memrig".into(), "matrix".into(), "my $x.yaml".into()],
            by: "slice".to_owned(),
        }
    }

    #[test]
    fn the_whole_text() {
        assert_eq!(
            script().text().unwrap(),
            r#"#!/bin/sh
#SBATCH --job-name=memrig-1
#SBATCH --array=1-4
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=3073M
#SBATCH --output=/home/me/100%%/its/log/%A_%a
#SBATCH --open-mode=append
#SBATCH --chdir=/home/me
#SBATCH --requeue
#SBATCH --partition=kernel
#SBATCH --time=1:00:00
#SBATCH --qos="night shift"
#SBATCH --exclusive

attempt=$SLURM_ARRAY_TASK_ID.$SLURM_ARRAY_JOB_ID.${SLURM_RESTART_COUNT:-0}
folder=/home/me/100%/its
/bin/memrig matrix 'my $x.yaml' --shard "slice:$SLURM_ARRAY_TASK_ID/4" --results "$folder/part/$attempt"
code=$?
# A reader sees the whole file or none.
echo "$code" > "$folder/end/.$attempt" && mv "$folder/end/.$attempt" "$folder/end/$attempt"
exit "$code"
"#
        );
        let attempt = Attempt { job: 17, restarts: 1 };
        assert_eq!(attempt_name(3, attempt), "3.17.1");
    }

    #[test]
    fn what_would_break_out_of_its_line_is_refused() {
        let bad = |change: fn(&mut Script)| {
            let mut script = script();
            change(&mut script);
            script.text().unwrap_err()
        };
        let error = bad(|script| script.partition = Some("a\nrm -r x".to_owned()));
        assert!(matches!(
            error,
            BadScript::Quote {
                what: "--partition",
                ..
            }
        ));
        let error = bad(|script| script.dir = "/it's".to_owned());
        assert!(matches!(error, BadScript::Quote { what: "--chdir", .. }));
        for extra in ["qos=1", "-p", "--", "--a b=1", "--\n"] {
            let mut script = script();
            script.extra = vec![extra.to_owned()];
            assert_eq!(script.text(), Err(BadScript::NoOption(extra.to_owned())));
        }
        for extra in ["--array=1", "--arr=1", "--output=x", "--wrap=x"] {
            let mut script = script();
            script.extra = vec![extra.to_owned()];
            assert!(matches!(script.text(), Err(BadScript::Ours(_))), "{extra}");
        }
    }

    proptest! {
        #[test]
        fn options_stay_on_their_lines(partition in ".{0,20}", extra in ".{0,20}", dir in "/.{0,20}") {
            let mut script = script();
            script.partition = Some(partition);
            script.extra = vec![format!("--qos={extra}")];
            script.dir = dir;
            if let Ok(text) = script.text() {
                let head = text.split("\n\n").next().unwrap();
                prop_assert_eq!(head.lines().count(), 14);
                prop_assert!(head.lines().skip(1).all(|line| line.starts_with("#SBATCH --")));
            }
        }
    }
}
