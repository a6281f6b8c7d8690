// SPDX-License-Identifier: MIT OR Apache-2.0
//! KTAP version 1 (Documentation/dev-tools/ktap.rst), and TAP 13 as the kernel's own selftests print it. Pure.
//!
//! Subtests are told by their indentation, or by the `# ` that the runner of the selftests puts before what a program prints. What a
//! program says of itself is not believed: a missing plan, too few results or a number that comes twice is a problem, and a report
//! with a problem is no success.

/// What a program reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The results that have no subtests of their own, in the order in which they came.
    pub results: Vec<TestResult>,
    /// Why the report is not whole, such as a program that died before its last result; one line each.
    pub problems: Vec<String>,
    /// Whether there was any line of KTAP.
    pub is_ktap: bool,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// Its name, with the names of the tests that it is a part of: `suite / test`. Printable, one line.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was skipped or is expected to fail; may be empty.
    pub reason: String,
    /// What the program printed before it, for one that is not ok; the last lines.
    pub said: Vec<String>,
}

/// What came of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `ok`.
    Ok,
    /// `not ok`, also `# TIMEOUT` and `# ERROR`.
    NotOk,
    /// `# SKIP`.
    Skip,
    /// `# XFAIL` or `# TODO`: it is known not to work.
    ExpectedFail,
}

/// Results that are kept at the most.
const MOST: usize = 20_000;
/// Tests within tests, at the most.
const DEEPEST: usize = 16;
/// Characters of a name, at the most.
const LONGEST: usize = 200;
/// Lines that are kept of what was printed before a result.
const SAID: usize = 20;

/// Tests that are listed side by side.
#[derive(Debug, Default)]
struct Level {
    indent: usize,
    plan: Option<u64>,
    skipped: Option<String>,
    numbers: Vec<u64>,
    results: Vec<TestResult>,
    said: Vec<String>,
    title: Option<String>,
}

/// A line, as far as it is KTAP.
enum Line<'a> {
    Version,
    Plan(u64, Option<&'a str>),
    Result {
        ok: bool,
        number: Option<u64>,
        text: &'a str,
    },
    Subtest(&'a str),
    BailOut(&'a str),
    Other,
}

/// Reads what a program printed.
pub fn parse(text: &str) -> Report {
    let mut reader = Reader {
        levels: vec![Level::default()],
        report: Report::default(),
    };
    for line in text.lines() {
        reader.line(line);
    }
    reader.end()
}

struct Reader {
    /// The open levels, by growing indentation.
    levels: Vec<Level>,
    report: Report,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let (indent, text, hashed) = strip(line);
        // `# ` before a result may be a remark: it counts where the runner's own lines have begun a level.
        let opened = self.levels.iter().any(|level| level.indent == indent);
        match read(text) {
            Line::Other => self.say(line),
            Line::Result { .. } | Line::BailOut(_) if hashed && !opened => self.say(line),
            Line::Version => {
                let level = self.level(indent);
                if level.plan.is_some() || !level.results.is_empty() {
                    // Another program of the same script.
                    self.finish_top();
                }
                self.report.is_ktap = true;
            }
            Line::Subtest(name) => {
                let name = clean(name);
                // KUnit before KTAP has this line in front of the subtest's own lines, and with their indentation.
                if !hashed {
                    self.level(indent).title = Some(name);
                }
            }
            Line::Plan(count, skip) => {
                let skip = skip.map(clean);
                let problem = {
                    let level = self.level(indent);
                    let other = level.plan.is_some_and(|plan| plan != count);
                    level.plan = Some(level.plan.unwrap_or(count));
                    level.skipped = skip;
                    other
                };
                if problem {
                    self.problem("two plans that differ".to_owned());
                }
                self.report.is_ktap = true;
            }
            Line::Result { ok, number, text } => {
                self.report.is_ktap = true;
                self.result(indent, ok, number, text);
            }
            Line::BailOut(why) => {
                self.report.is_ktap = true;
                let why = clean(why);
                self.problem(
                    format!("the program gave up: {why}")
                        .trim_end_matches([' ', ':'])
                        .to_owned(),
                );
            }
        }
    }

    fn problem(&mut self, problem: String) {
        if self.report.problems.len() < SAID && !self.report.problems.contains(&problem) {
            self.report.problems.push(problem);
        }
    }

    /// Keeps what was printed, for a result that is not ok.
    fn say(&mut self, line: &str) {
        if let Some(level) = self.levels.last_mut() {
            let line = clean(line);
            if !line.is_empty() {
                if level.said.len() == SAID {
                    level.said.remove(0);
                }
                level.said.push(line);
            }
        }
    }

    /// The level of an indentation; deeper ones that nothing closed are lost, and told.
    fn level(&mut self, indent: usize) -> &mut Level {
        while self.levels.len() > 1 && self.levels.last().is_some_and(|level| level.indent > indent) {
            let orphan = self.close();
            let name = orphan.title.clone();
            self.adopt(orphan, name.as_deref());
        }
        let deeper = self.levels.last().is_some_and(|level| level.indent < indent);
        if deeper && self.levels.len() < DEEPEST {
            self.levels.push(Level {
                indent,
                ..Level::default()
            });
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    fn result(&mut self, indent: usize, ok: bool, number: Option<u64>, text: &str) {
        // Levels that are deeper are the subtests of this one.
        let mut children: Option<Level> = None;
        while self.levels.len() > 1 && self.levels.last().is_some_and(|level| level.indent > indent) {
            let mut level = self.close();
            if let Some(inner) = children.take() {
                let title = inner.title.clone();
                put(&mut level.results, inner.results, title.as_deref());
            }
            children = Some(level);
        }
        let (name, directive, reason) = directive(text);
        let outcome = match (ok, directive) {
            (_, Some(Directive::Skip)) => Outcome::Skip,
            (_, Some(Directive::Broken)) => Outcome::NotOk,
            (true, _) => Outcome::Ok,
            (false, Some(Directive::Expected)) => Outcome::ExpectedFail,
            (false, None) => Outcome::NotOk,
        };
        let level = self.level(indent);
        let number = number.unwrap_or(level.numbers.len() as u64 + 1);
        let twice = level.numbers.contains(&number);
        if level.numbers.len() < MOST {
            level.numbers.push(number);
        }
        let title = children.as_ref().and_then(|level| level.title.clone());
        let name = match (clean(name), title) {
            (name, Some(title)) if name.is_empty() => title,
            (name, _) if name.is_empty() => number.to_string(),
            (name, _) => name,
        };
        let mut said = std::mem::take(&mut level.said);
        let mut inside = Vec::new();
        if let Some(children) = children {
            if said.is_empty() {
                said = children.said;
            }
            put(&mut inside, children.results, Some(&name));
        }
        let explained = match outcome {
            // The parts say it themselves.
            Outcome::NotOk => inside.iter().any(|part| part.outcome == Outcome::NotOk),
            _ => !inside.is_empty(),
        };
        level.results.append(&mut inside);
        if !explained {
            level.results.push(TestResult {
                name: name.clone(),
                outcome,
                reason: clean(reason),
                said: if outcome == Outcome::NotOk {
                    said
                } else {
                    Vec::new()
                },
            });
        }
        level.results.truncate(MOST);
        if twice {
            self.problem(format!("result {number} came twice, the second time as {name}"));
        }
    }

    /// Ends the deepest level, and looks whether it is whole.
    fn close(&mut self) -> Level {
        // There always is one: whoever closes the last one puts another in its place.
        let level = self.levels.pop().unwrap_or_default();
        self.check(&level);
        level
    }

    fn check(&mut self, level: &Level) {
        let seen = level.numbers.len() as u64;
        match level.plan {
            None if seen > 0 => self.problem(format!(
                "{seen} results and no plan: the program died, or never said how many there are"
            )),
            Some(plan) if seen < plan => {
                self.problem(format!(
                    "{seen} of {plan} results: the program died before the others"
                ));
            }
            Some(plan) if seen > plan => self.problem(format!("{seen} results, and a plan of {plan}")),
            Some(plan) if level.numbers.iter().any(|number| *number == 0 || *number > plan) => {
                self.problem(format!(
                    "a result has a number that a plan of {plan} does not have"
                ));
            }
            _ => {}
        }
    }

    /// Takes in a level that no result closed.
    fn adopt(&mut self, orphan: Level, name: Option<&str>) {
        if orphan.numbers.is_empty() && orphan.plan.is_none() {
            return;
        }
        let name = name.unwrap_or("a subtest").to_owned();
        self.problem(format!("{name} has no result of its own: the program died in it"));
        if let Some(level) = self.levels.last_mut() {
            put(&mut level.results, orphan.results, Some(&name));
        }
    }

    /// Ends the program whose lines are not indented; a next one may follow.
    fn finish_top(&mut self) {
        let indent = self.levels.last().map_or(0, |level| level.indent);
        let level = self.close();
        let mut results = level.results;
        if level.plan == Some(0)
            && let Some(reason) = level.skipped
        {
            results.push(TestResult {
                name: "all".to_owned(),
                outcome: Outcome::Skip,
                reason,
                said: Vec::new(),
            });
        }
        self.report.results.append(&mut results);
        self.report.results.truncate(MOST);
        self.levels.push(Level {
            indent,
            ..Level::default()
        });
    }

    fn end(mut self) -> Report {
        self.level(0);
        let planned = self.levels.iter().any(|level| level.plan.is_some());
        self.finish_top();
        let empty = self.report.results.is_empty() && self.report.problems.is_empty();
        if self.report.is_ktap && empty && !planned {
            self.problem("a beginning, and no plan: the program died".to_owned());
        }
        self.report
    }
}

/// Adds results as parts of a test.
fn put(to: &mut Vec<TestResult>, from: Vec<TestResult>, of: Option<&str>) {
    let room = MOST.saturating_sub(to.len());
    to.extend(from.into_iter().take(room).map(|mut result| {
        if let Some(of) = of {
            result.name = cut(&format!("{of} / {}", result.name));
        }
        result
    }));
}

/// The indentation, the rest, and whether there is a `# ` in it.
fn strip(line: &str) -> (usize, &str, bool) {
    let line = line.trim_end();
    let mut text = line;
    let mut hashed = false;
    loop {
        text = text.trim_start_matches([' ', '\t']);
        match text.strip_prefix("# ") {
            // `# Subtest:` is a word of KTAP itself.
            Some(rest) if !rest.starts_with("Subtest:") && (line.len() - text.len()) / 2 < DEEPEST => {
                hashed = true;
                text = rest;
            }
            _ => return (line.len() - text.len(), text, hashed),
        }
    }
}

fn read(text: &str) -> Line<'_> {
    if matches!(text, "KTAP version 1" | "TAP version 13" | "TAP version 14") {
        return Line::Version;
    }
    if let Some(name) = text.strip_prefix("# Subtest:") {
        return Line::Subtest(name.trim());
    }
    if let Some(why) = text.strip_prefix("Bail out!") {
        return Line::BailOut(why.trim());
    }
    if let Some(rest) = text.strip_prefix("1..") {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let after = rest[digits..].trim_start();
        if let Ok(count) = rest[..digits].parse()
            && (after.is_empty() || after.starts_with('#'))
        {
            let skip = after.trim_start_matches(['#', ' ']);
            let word = skip.get(..4).filter(|word| word.eq_ignore_ascii_case("skip"));
            return Line::Plan(count, word.map(|_| skip[4..].trim()));
        }
        return Line::Other;
    }
    let (ok, rest) = match (text.strip_prefix("not ok"), text.strip_prefix("ok")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Line::Other,
    };
    if !(rest.is_empty() || rest.starts_with(' ')) {
        return Line::Other;
    }
    let rest = rest.trim_start();
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let after = &rest[digits..];
    let number = rest[..digits]
        .parse()
        .ok()
        .filter(|_| after.is_empty() || after.starts_with(' '));
    let text = if number.is_some() {
        after.trim_start()
    } else {
        rest
    };
    Line::Result {
        ok,
        number,
        text: text.strip_prefix("- ").unwrap_or(text),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Skip,
    Expected,
    Broken,
}

/// Name, directive and reason of a result.
fn directive(text: &str) -> (&str, Option<Directive>, &str) {
    let words = [
        ("SKIP", Directive::Skip),
        ("XFAIL", Directive::Expected),
        ("TODO", Directive::Expected),
        ("TIMEOUT", Directive::Broken),
        ("ERROR", Directive::Broken),
    ];
    for (at, _) in text.match_indices('#') {
        if at > 0 && !text[..at].ends_with(' ') {
            continue;
        }
        let rest = text[at + 1..].trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        if let Some((_, directive)) = words
            .iter()
            .find(|(word, _)| rest[..end].eq_ignore_ascii_case(word))
        {
            let reason = rest[end..].trim_start_matches([':', ' ']);
            let reason = match directive {
                Directive::Broken => rest,
                _ => reason,
            };
            return (text[..at].trim_end(), Some(*directive), reason);
        }
    }
    (text.trim_end(), None, "")
}

/// Text of a program, as it can be shown.
fn clean(text: &str) -> String {
    let shown: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    cut(&shown)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> (Vec<(String, Outcome)>, Vec<String>) {
        let report = parse(text);
        let results = report
            .results
            .into_iter()
            .map(|result| (result.name, result.outcome));
        (results.collect(), report.problems)
    }

    fn named(results: &[(&str, Outcome)]) -> Vec<(String, Outcome)> {
        results
            .iter()
            .map(|(name, outcome)| ((*name).to_owned(), *outcome))
            .collect()
    }

    #[test]
    fn nested_subtests_are_folded_into_names() {
        let text = "KTAP version 1\n1..2\n  KTAP version 1\n  # Subtest: inner\n  1..2\n    KTAP version 1\n    1..1\n    # deep: said\n    \
            not ok 1 deep\n  not ok 1 middle\n  ok 2 other # SKIP no such thing\nnot ok 1 outer\nok 2 - last one\n";
        let (results, problems) = told(text);
        let expected = [
            ("outer / middle / deep", Outcome::NotOk),
            ("outer / other", Outcome::Skip),
            ("last one", Outcome::Ok),
        ];
        assert_eq!((results, problems), (named(&expected), vec![]));
        let report = parse(text);
        assert_eq!(report.results[0].said, ["# deep: said"]);
        assert_eq!(report.results[1].reason, "no such thing");
    }

    #[test]
    fn the_runner_of_the_selftests_puts_a_hash_before_what_programs_print() {
        let text = "TAP version 13\n1..2\n# timeout set to 45\n# selftests: mm: a\n# TAP version 13\n# 1..2\n# ok 1 first\n# # ok, this is a remark\n\
            # not ok 2 second\n# # Totals: pass:1 fail:1\nnot ok 1 selftests: mm: a # exit=1\n# selftests: mm: b\n\
            not ok 2 selftests: mm: b # TIMEOUT 45 seconds\n";
        let (results, problems) = told(text);
        let expected = [
            ("selftests: mm: a # exit=1 / first", Outcome::Ok),
            ("selftests: mm: a # exit=1 / second", Outcome::NotOk),
            ("selftests: mm: b", Outcome::NotOk),
        ];
        assert_eq!((results, problems), (named(&expected), vec![]));
    }

    #[test]
    fn a_remark_that_looks_like_a_result_is_none() {
        let (results, problems) =
            told("TAP version 13\n1..1\n# ok 7 of the pages are there\nokay then\nok 1 a\n");
        assert_eq!((results, problems), (named(&[("a", Outcome::Ok)]), vec![]));
    }

    #[test]
    fn directives() {
        let text = "1..8\nok 1 a # SKIP\nok 2 # skip no root\nnot ok 3 c # TODO later\nnot ok 4 d # XFAIL known\nok 5 e # XFAIL known\n\
            not ok 6 f # SKIP x\nok 7 g # ERROR broke\nnot ok 8 issue #12 is back\n";
        let outcomes: Vec<_> = parse(text)
            .results
            .into_iter()
            .map(|result| result.outcome)
            .collect();
        use Outcome::*;
        assert_eq!(
            outcomes,
            [Skip, Skip, ExpectedFail, ExpectedFail, Ok, Skip, NotOk, NotOk]
        );
        assert_eq!(parse(text).results[1].name, "2");
    }

    #[test]
    fn a_plan_may_come_last_and_numbers_in_any_order() {
        let (results, problems) = told("TAP version 13\nok 2 b\nok 1 a\n1..2\n");
        assert_eq!((results.len(), problems), (2, vec![]));
    }

    #[test]
    fn what_is_not_whole_is_told() {
        let problems = |text: &str| parse(text).problems.join("; ");
        assert!(problems("TAP version 13\n1..3\nok 1 a\nok 2 b\n").starts_with("2 of 3 results"));
        assert!(problems("TAP version 13\nok 1 a\n").starts_with("1 results and no plan"));
        assert!(problems("TAP version 13\n").contains("no plan"));
        assert!(problems("1..1\nok 1 a\nok 2 b\n").starts_with("2 results, and a plan of 1"));
        assert!(problems("1..2\nok 1 a\nok 1 b\n").contains("came twice"));
        assert!(problems("1..2\nok 1 a\nok 5 b\n").contains("does not have"));
        assert!(problems("1..2\n1..3\nok 1 a\nok 2 b\n").contains("two plans"));
        assert_eq!(
            problems("1..1\nok 1 a\nBail out! no memory\n"),
            "the program gave up: no memory"
        );
        let died = "KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: inner\n  1..2\n  ok 1 a\n";
        assert!(
            problems(died).contains("inner has no result of its own"),
            "{}",
            problems(died)
        );
        assert!(problems(died).contains("1 of 2 results"));
        assert_eq!(parse("hello\n"), Report::default());
    }

    #[test]
    fn a_whole_that_is_not_ok_although_its_parts_are_is_kept() {
        let text = "1..1\n  1..1\n  ok 1 part\nnot ok 1 whole\n";
        let (results, _) = told(text);
        assert_eq!(
            results,
            named(&[("whole / part", Outcome::Ok), ("whole", Outcome::NotOk)])
        );
    }

    #[test]
    fn a_plan_of_nothing_with_a_reason_is_a_skip() {
        let report = parse("TAP version 13\n1..0 # SKIP no hugepages\n");
        assert_eq!(
            (report.problems.len(), report.results[0].outcome),
            (0, Outcome::Skip)
        );
        assert_eq!(report.results[0].reason, "no hugepages");
    }

    #[test]
    fn two_programs_one_after_the_other_are_both_read() {
        let text = "TAP version 13\n1..1\nok 1 a\nTAP version 13\n1..2\nok 1 a\n";
        let (results, problems) = told(text);
        assert_eq!((results.len(), problems.len()), (2, 1));
    }

    /// A tree of tests, as a program would print it.
    #[derive(Debug, Clone)]
    enum Test {
        Leaf(bool),
        Node(Vec<Test>),
    }

    fn tests() -> impl Strategy<Value = Vec<Test>> {
        let leaf = any::<bool>().prop_map(Test::Leaf);
        let test = leaf.prop_recursive(3, 20, 4, |inner| {
            proptest::collection::vec(inner, 1..4).prop_map(Test::Node)
        });
        proptest::collection::vec(test, 1..5)
    }

    fn print(
        tests: &[Test],
        indent: usize,
        plan_last: bool,
        out: &mut String,
        leaves: &mut Vec<bool>,
    ) -> bool {
        let pad = " ".repeat(indent);
        out.push_str(&pad);
        out.push_str("KTAP version 1\n");
        let plan = format!("{pad}1..{}\n", tests.len());
        if !plan_last {
            out.push_str(&plan);
        }
        let mut all = true;
        for (at, test) in tests.iter().enumerate() {
            let ok = match test {
                Test::Leaf(ok) => {
                    leaves.push(*ok);
                    *ok
                }
                Test::Node(inner) => print(inner, indent + 2, plan_last, out, leaves),
            };
            all &= ok;
            let word = if ok { "ok" } else { "not ok" };
            let line = format!("{pad}{word} {} t{at}\n", at + 1);
            out.push_str(&line);
        }
        if plan_last {
            out.push_str(&plan);
        }
        all
    }

    proptest! {
        #[test]
        fn every_leaf_comes_back_and_a_program_that_dies_never_passes(tests in tests(), plan_last: bool, cut in 0usize..100) {
            let mut text = String::new();
            let mut leaves = Vec::new();
            print(&tests, 0, plan_last, &mut text, &mut leaves);
            let report = parse(&text);
            prop_assert_eq!(&report.problems, &Vec::<String>::new());
            let seen: Vec<bool> = report.results.iter().map(|result| result.outcome == Outcome::Ok).collect();
            prop_assert_eq!(seen, leaves);
            // Cut off after any line but the last.
            let lines: Vec<&str> = text.lines().collect();
            let kept = cut * lines.len() / 100;
            let report = parse(&lines[..kept].join("\n"));
            prop_assert!(kept == 0 || !report.problems.is_empty(), "{:?}", &lines[..kept]);
        }

        #[test]
        fn nothing_breaks_the_reader(text in "(?s).{0,300}", lines in proptest::collection::vec("[ #]{0,6}(ok|not ok|1\\.\\.|KTAP version 1|# Subtest:|Bail out!)[ 0-9#a-zA-Z\u{0}\u{1b}é]{0,12}", 0..30)) {
            for text in [text, lines.join("\n")] {
                let report = parse(&text);
                for result in &report.results {
                    prop_assert!(!result.name.chars().any(char::is_control));
                    prop_assert!(result.name.chars().count() <= LONGEST + 1);
                }
            }
        }
    }
}
