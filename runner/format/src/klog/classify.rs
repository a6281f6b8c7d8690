// SPDX-License-Identifier: MIT OR Apache-2.0
//! From bytes to findings.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    Finding, Kind,
    line::{Line, PIECE_MAX, is_end, piece},
    report::{Report, Start, Taken},
    rules::{self, PREFILTER},
};

/// More reports than this at the same time: the oldest is taken as it is.
const OPEN_MAX: usize = 8;
/// After so many lines of others, no open report goes on.
const FOREIGN_MAX: u32 = 1000;

/// All findings of a whole log, in order.
pub fn classify(log: &[u8]) -> Vec<Finding> {
    let mut reports = Reports::default();
    let (mut pos, mut line_ends) = (0, 0);
    loop {
        let from = if reports.listening() {
            pos
        } else {
            next_candidate(log, pos)
        };
        line_ends += count_line_ends(&log[pos..from]);
        pos = from;
        if pos == log.len() {
            return reports.finish();
        }
        let (len, next) = piece(&log[pos..]);
        reports.line(&log[pos..pos + len], pos as u64, line_ends + 1);
        line_ends += count_line_ends(&log[pos + len..pos + next]);
        pos += next;
    }
}

/// Where the next piece begins that may begin a report; else where the last line begins.
fn next_candidate(log: &[u8], pos: usize) -> usize {
    let hit = PREFILTER.find_at(log, pos).map_or(log.len(), |hit| hit.start());
    let start = log[pos..hit]
        .iter()
        .rposition(|byte| is_end(*byte))
        .map_or(pos, |end| pos + end + 1);
    start + (hit - start) / PIECE_MAX * PIECE_MAX
}

fn count_line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// What kernels print when they give up: `kernel/panic.c`, and the early exception handlers of x86.
const LAST_WORDS: [&str; 2] = ["Kernel panic - not syncing", "PANIC: early exception"];

/// Whether a line, or what has come of it, has a kernel's last words in it.
///
/// Anywhere in it: what another wrote may have broken printk's prefix, and whoever waits for a guest must hear of its end. What it died of,
/// [`classify`] says.
pub fn is_panic(line: &str) -> bool {
    LAST_WORDS.iter().any(|words| line.contains(words))
}

/// Whether a kernel said anything in this log: a line has printk's prefix, or only the kernel prints it.
pub fn has_spoken(log: &[u8]) -> bool {
    let mut stamps = Stamps::default();
    log.split(|byte| is_end(*byte)).any(|raw| {
        Line::parse(raw).iter().any(|line| {
            let text = String::from_utf8_lossy(&line.text);
            stamps.learn(line) || rules::find(&text, false).is_some_and(|(rule, _)| rule.bare)
        })
    })
}

/// Whether lines of this log carry printk's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stamps {
    /// No line that tells was seen.
    #[default]
    Unknown,
    /// They do; a line without one is somebody else's.
    Yes,
    /// The kernel's own command line came without one: `printk.time=0`.
    No,
}

impl Stamps {
    /// Learns from a line; says whether the line may be the kernel's.
    fn learn(&mut self, line: &Line<'_>) -> bool {
        if line.time_ns.is_some() {
            *self = Self::Yes;
        } else if *self == Self::Unknown && line.text.starts_with(b"Kernel command line: ") {
            *self = Self::No;
        }
        line.time_ns.is_some() || *self == Self::No
    }
}

/// The reports at work, and those that are done.
#[derive(Debug, Default)]
struct Reports {
    stamps: Stamps,
    /// The latest last.
    open: Vec<Report>,
    done: Vec<Finding>,
    /// The kernel's last line was one of `=`.
    banner: bool,
    /// Other writers' lines since the kernel's last.
    foreign: u32,
    /// Times and texts of the lines that began a report: the same once more is a replay (`dmesg` run on the console).
    seen: HashSet<(u64, u64)>,
}

impl Reports {
    /// Whether the next line matters whatever it says.
    fn listening(&self) -> bool {
        self.banner || !self.open.is_empty()
    }

    fn line(&mut self, raw: &[u8], at: u64, number: u64) {
        for line in Line::parse(raw) {
            let text = String::from_utf8_lossy(&line.text);
            let start = Start {
                offset: at + line.offset as u64,
                line: number,
                time_ns: line.time_ns,
                caller: line.caller,
            };
            if self.stamps.learn(&line) {
                self.foreign = 0;
                self.kernel_line(&text, start);
            } else {
                self.foreign_line(&text, start);
            }
        }
    }

    /// A line without printk's prefix: the hypervisor's, of code before printk, or userspace's.
    fn foreign_line(&mut self, text: &str, start: Start<'_>) {
        if let Some((rule, groups)) = rules::find(text, false).filter(|(rule, _)| rule.bare) {
            self.open(Report::new(rule, &groups, text, start));
            return;
        }
        self.foreign += 1;
        if self.foreign > FOREIGN_MAX {
            self.banner = false;
            self.close(|_| true);
        } else if !text.is_empty() && Report::is_body(text) && self.open.last().is_some_and(Report::is_bare) {
            self.body(text, start);
        }
    }

    fn kernel_line(&mut self, text: &str, start: Start<'_>) {
        self.close(|report| report.is_stale(start.time_ns));
        let banner = std::mem::replace(&mut self.banner, is_banner(text));
        if is_cut_here(text) {
            self.open(Report::cut_here(text.trim_end(), start));
            return;
        }
        let Some((rule, groups)) = rules::find(text, banner) else {
            self.body(text, start);
            return;
        };
        let mut latest = self
            .open
            .iter_mut()
            .rev()
            .filter(|report| report.may_be_by(start.caller));
        if rule.dies {
            if let Some(report) = latest.find(|report| report.waits_for_die()) {
                report.die(text, start.time_ns);
                return;
            }
        } else if rule.kind == Kind::Oom
            && !text.contains("invoked oom-killer")
            && let Some(report) = latest.find(|report| report.is(Kind::Oom))
        {
            report.end(text);
            self.close(Report::has_ended);
            return;
        }
        if rule.kind == Kind::Warning
            && groups
                .name("file")
                .is_some_and(|file| file.as_str().starts_with("mm/slub.c:"))
            && self
                .open
                .iter()
                .any(|report| report.is(Kind::SlabCorruption) && report.may_be_by(start.caller))
        {
            // SLUB warns once it has described the damage (Linux 6.12): the trace of one event
            self.open
                .retain(|report| !(report.is_announced() && report.may_be_by(start.caller)));
            self.body(text, start);
            return;
        }
        let replay = start
            .time_ns
            .is_some_and(|time| !self.seen.insert((time, hash(text))));
        let announced = self
            .open
            .iter_mut()
            .rev()
            .find(|report| rule.cut && report.may_be_by(start.caller) && report.is_announced());
        if let Some(report) = announced {
            report.named(rule, &groups, text, start.time_ns);
            report.silent |= replay;
        } else {
            let mut report = Report::new(rule, &groups, text, start);
            report.silent = replay;
            self.open(report);
        }
    }

    /// Gives a line to the report that it is part of.
    fn body(&mut self, text: &str, start: Start<'_>) {
        let surely = Report::is_body(text);
        for report in self.open.iter_mut().rev() {
            if !report.may_be_by(start.caller) || (surely && report.is_announced()) {
                continue;
            }
            if report.take(text, start.time_ns) == Taken::Yes {
                break;
            }
        }
        self.close(Report::has_ended);
    }

    fn open(&mut self, report: Report) {
        if self.open.len() >= OPEN_MAX {
            self.done.extend(self.open.remove(0).finding());
        }
        self.open.push(report);
    }

    fn close(&mut self, which: impl Fn(&Report) -> bool) {
        for report in self.open.extract_if(.., |report| which(report)) {
            self.done.extend(report.finding());
        }
    }

    fn finish(mut self) -> Vec<Finding> {
        self.close(|_| true);
        self.done.sort_by_key(|finding| finding.offset);
        self.done
    }
}

fn is_cut_here(text: &str) -> bool {
    text.strip_prefix("------------[ cut here ]")
        .is_some_and(|rest| rest.trim_end().bytes().all(|byte| byte == b'-'))
}

fn is_banner(text: &str) -> bool {
    let text = text.trim_end();
    text.len() >= 10 && text.bytes().all(|byte| byte == b'=')
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
