// SPDX-License-Identifier: MIT OR Apache-2.0
//! From lines to results: which of them belong together, and whether the report is whole.

use super::line::{DEEPEST, Directive, Line, clean, cut, directive, prefix, read, strip, unstamped, without};

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
    pub status: Status,
    /// Why it was skipped or is expected to fail; may be empty.
    pub reason: String,
    /// What the program printed before it, for one that is not ok; the last lines.
    pub said: Vec<String>,
}

/// What came of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `ok`.
    Ok,
    /// `not ok`, also `# TIMEOUT` and `# ERROR`.
    NotOk,
    /// `# SKIP`.
    Skip,
    /// `# XFAIL`, or `not ok` with `# TODO`: it is known not to work.
    ExpectedFail,
}

/// Results that are kept at the most.
const MOST: usize = 20_000;
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
    /// It began with a line of its own, and not with a plan or a result.
    begun: bool,
    /// One of its results has no subtests.
    bare: bool,
}

/// How a level came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed<'a> {
    /// The result of the test that its tests are parts of, by that name.
    ByResult(&'a str),
    /// The program ended, or another one began.
    AtTheEnd,
    /// Something else came where that result should be.
    Unfinished,
}

/// Reads what a program printed, or what the kernel's log shows of a test in the kernel.
pub fn parse(text: &str) -> Report {
    let mut reader = Reader {
        levels: vec![Level::default()],
        report: Report::default(),
    };
    let mut before = 0;
    for line in text.lines() {
        let line = unstamped(line);
        if before == 0 && !reader.report.is_ktap {
            before = prefix(line).unwrap_or(0);
        }
        reader.line(without(line, before));
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
        let kind = read(text);
        match kind {
            // All of it may be indented, by what was put before each line.
            Line::Version if !self.report.is_ktap && self.levels.len() == 1 => {
                self.levels[0].indent = indent;
            }
            Line::Version | Line::Plan(..) | Line::Result { .. } if indent < self.levels[0].indent => {
                self.levels.insert(
                    0,
                    Level {
                        indent,
                        ..Level::default()
                    },
                );
            }
            _ => {}
        }
        // `# ` before a result may be a remark: it counts where the runner's own lines have begun a level.
        let opened = self.levels.iter().any(|level| level.indent == indent);
        match kind {
            Line::Other => self.say(line),
            Line::Result { .. } | Line::BailOut(_) if hashed && !opened => self.say(line),
            Line::Version => {
                let level = self.level(indent);
                if level.plan.is_some() || !level.results.is_empty() {
                    // Another program of the same script.
                    self.finish_top();
                }
                self.level(indent).begun = true;
                self.report.is_ktap = true;
            }
            Line::Subtest(name) => {
                let name = clean(name);
                // KUnit before KTAP has this line in front of the subtest's own lines, and with their indentation.
                if !hashed {
                    let level = self.level(indent);
                    level.title = Some(name);
                    level.begun = true;
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
            let orphan = self.close(Closed::Unfinished);
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
        let (name, directive, reason) = directive(text);
        // Levels that are deeper are the subtests of this one.
        let mut children: Option<Level> = None;
        while self.levels.len() > 1 && self.levels.last().is_some_and(|level| level.indent > indent) {
            let next = &self.levels[self.levels.len() - 2];
            let closed = match next.indent > indent {
                true => Closed::Unfinished,
                false => Closed::ByResult(name),
            };
            let mut level = self.close(closed);
            if let Some(inner) = children.take() {
                let title = inner.title.clone();
                put(&mut level.results, inner.results, title.as_deref());
            }
            children = Some(level);
        }
        let status = match (ok, directive) {
            (_, Some(Directive::Skip)) => Status::Skip,
            (_, Some(Directive::Broken)) => Status::NotOk,
            (_, Some(Directive::ExpectedFail)) | (false, Some(Directive::Todo)) => Status::ExpectedFail,
            (true, _) => Status::Ok,
            (false, None) => Status::NotOk,
        };
        let level = self.level(indent);
        let number = number.unwrap_or(level.numbers.len() as u64 + 1);
        let twice = level.numbers.contains(&number);
        if level.numbers.len() < MOST {
            level.numbers.push(number);
        }
        level.bare |= children.as_ref().is_none_or(|children| !children.begun);
        let title = children.as_ref().and_then(|level| level.title.clone());
        let name = match (clean(name), title) {
            (name, Some(title)) if name.is_empty() => title,
            // kselftest.h has the test's name behind the directive.
            (name, _) if name.is_empty() => clean(&format!("{number} {reason}")),
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
        let explained = match status {
            // The parts say it themselves.
            Status::NotOk => inside.iter().any(|part| part.status == Status::NotOk),
            _ => !inside.is_empty(),
        };
        level.results.append(&mut inside);
        if !explained {
            level.results.push(TestResult {
                name: name.clone(),
                status,
                reason: clean(reason),
                said: if status == Status::NotOk { said } else { Vec::new() },
            });
        }
        level.results.truncate(MOST);
        if twice {
            self.problem(format!("result {number} came twice, the second time as {name}"));
        }
    }

    /// Ends the deepest level, and looks whether it is whole.
    fn close(&mut self, closed: Closed<'_>) -> Level {
        // There always is one: whoever closes the last one puts another in its place.
        let level = self.levels.pop().unwrap_or_default();
        self.check(&level, closed);
        level
    }

    fn check(&mut self, level: &Level, closed: Closed<'_>) {
        let seen = level.numbers.len() as u64;
        // Suites of KUnit are counted on from module to module, each of which has a plan of its own, or none (before 6.3).
        let suites = closed == Closed::AtTheEnd && seen > 0 && !level.bare;
        match level.plan {
            None if seen == 0 => {}
            Some(plan) if suites && plan == seen && in_a_row(&level.numbers).is_some() => {}
            // KUnit knows only at the end how many parameters a test has, and prints no plan for them (before 6.18, and for those that
            // a function generates); its module has neither a head nor one (before 6.3). What closes them says that there are no more.
            None if (suites && !level.begun) || closes(level, closed) => match in_a_row(&level.numbers) {
                Some(first) if first == 1 || suites => {}
                _ => self.problem(format!(
                    "{seen} results and no plan, and their numbers are not 1 to {seen}: lines are missing"
                )),
            },
            None => self.problem(format!(
                "{} and no plan: the program died, or never said how many there are",
                results(seen)
            )),
            Some(plan) if seen < plan => {
                self.problem(format!(
                    "{seen} of {plan} results: the program died before the others"
                ));
            }
            Some(plan) if seen > plan => {
                self.problem(format!("{}, and a plan of {plan}", results(seen)));
            }
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
        let level = self.close(Closed::AtTheEnd);
        let mut results = level.results;
        if level.plan == Some(0)
            && let Some(reason) = level.skipped
        {
            results.push(TestResult {
                name: "all".to_owned(),
                status: Status::Skip,
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
        self.level(self.levels[0].indent);
        let planned = self.levels.iter().any(|level| level.plan.is_some());
        self.finish_top();
        let empty = self.report.results.is_empty() && self.report.problems.is_empty();
        if self.report.is_ktap && empty && !planned {
            self.problem("a beginning, and no plan: the program died".to_owned());
        }
        self.report
    }
}

/// The first of numbers that follow each other without a gap, in any order.
fn in_a_row(numbers: &[u64]) -> Option<u64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let first = *sorted.first()?;
    let follow = sorted.windows(2).all(|two| two[0].checked_add(1) == Some(two[1]));
    follow.then_some(first)
}

/// Whether the result that closed a level is that of the test whose parts it has.
fn closes(level: &Level, closed: Closed<'_>) -> bool {
    match (closed, &level.title) {
        (Closed::ByResult(name), Some(title)) => level.begun && clean(name) == *title,
        (Closed::ByResult(_), None) => level.begun,
        (Closed::AtTheEnd | Closed::Unfinished, _) => false,
    }
}

/// `1 result`, `2 results`.
fn results(count: u64) -> String {
    format!("{count} result{}", if count == 1 { "" } else { "s" })
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
