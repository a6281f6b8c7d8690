// SPDX-License-Identifier: MIT OR Apache-2.0
//! One report while its lines come in.

use std::{sync::LazyLock, time::Duration};

use regex::{Captures, Regex};

use super::{
    Finding, Kind, MAX_LINES,
    pattern::regex,
    place::{Frame, function, is_generic},
    rules::Rule,
    title,
};

/// A report that has swallowed this many lines takes no more; the OOM killer's list of tasks is longer.
const SEEN_MAX: usize = 250;
/// The same for the OOM killer.
const SEEN_MAX_OOM: usize = 2000;
/// A line this much later than the one before is no part of the report. printk takes the time when a line is made, not when the
/// console shows it.
const PAUSE_NS: u64 = 3_000_000_000;
/// More frames than this say no more.
const FRAMES_MAX: usize = 64;

/// The faulting instruction: x86 in kernel mode, s390, and s390's startup code.
static FAULT: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^(?:RIP: 0010:(?<x86>\S+)|(?:Krnl )?PSW *: [0-9a-f]{16} [0-9a-f]{16} \((?<s390>.+?)\)\s*$)")
});

/// Lines that only the body of a report has. A line in doubt is not one.
static BODY: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"^(?:Modules linked in: |CPU: |Tainted: |Hardware name: |RIP: |RSP: |Code: |R[A-Z0-9]{2}: |[FGCD]S: |CR\d: |DR\d: |PKRU: |EFLAGS|Call Trace:",
        r"|Krnl |PSW *:|GPRS|Last Breaking-Event-Address:|---\[ end |AS:[0-9a-f]|Failing address: |Fault in |#PF: |PGD |\s+\S|\(\[<|\(sp:|\s*$)"
    ))
});

/// What may stand between the frames of one call trace.
static WITHIN_TRACE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:\s*</?[A-Z#]+>|RIP: |RSP: |Code: |R[A-Z0-9]{2}: |Last Breaking-Event-Address:|\s+\? |\s*\(?\[<|\s*\(?(?:sp:[0-9a-f]+ )?\[<)",
    )
});

/// lockdep says where a lock was asked for.
static LOCK_AT: LazyLock<Regex> = LazyLock::new(|| regex(r", at: (?:\[<[0-9a-f]+>\] )?(\S+)"));

/// A report at work.
#[derive(Debug)]
pub(super) struct Report {
    /// `None`: announced by a `cut here`, and nothing more is known.
    rule: Option<&'static Rule>,
    head: String,
    own: Option<String>,
    file: Option<String>,
    span: Option<Duration>,
    fault: Option<String>,
    lock_at: Option<String>,
    frames: Vec<Frame>,
    trace: Trace,
    caller: Option<String>,
    lines: Vec<String>,
    seen: usize,
    last_ns: Option<u64>,
    time_ns: Option<u64>,
    offset: u64,
    line: u64,
    died: bool,
    ended: bool,
    /// Nobody shall hear of it (any more).
    pub(super) silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    Before,
    Within,
    After,
}

/// Where a report begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) offset: u64,
    pub(super) line: u64,
    pub(super) time_ns: Option<u64>,
    pub(super) caller: Option<&'a str>,
}

/// Whether a report has taken a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// The line is part of it.
    Yes,
    /// The line is no part of it: it ended before.
    No,
}

impl Report {
    /// A report of which so far only `------------[ cut here ]------------` is known.
    pub(super) fn cut_here(text: &str, start: Start<'_>) -> Self {
        Self {
            rule: None,
            head: String::new(),
            own: None,
            file: None,
            span: None,
            fault: None,
            lock_at: None,
            frames: Vec::new(),
            trace: Trace::Before,
            caller: start.caller.map(str::to_owned),
            lines: vec![text.to_owned()],
            seen: 1,
            last_ns: start.time_ns,
            time_ns: start.time_ns,
            offset: start.offset,
            line: start.line,
            died: false,
            ended: false,
            silent: false,
        }
    }

    /// A report that begins with the line that names it.
    pub(super) fn new(rule: &'static Rule, groups: &Captures<'_>, text: &str, start: Start<'_>) -> Self {
        let mut report = Self::cut_here(text, start);
        report.name(rule, groups);
        report
    }

    /// Says what an announced report is.
    pub(super) fn named(
        &mut self,
        rule: &'static Rule,
        groups: &Captures<'_>,
        text: &str,
        time_ns: Option<u64>,
    ) {
        self.keep(text, time_ns);
        self.name(rule, groups);
    }

    fn name(&mut self, rule: &'static Rule, groups: &Captures<'_>) {
        self.rule = Some(rule);
        self.head = title::fill(rule.head, groups);
        self.own = groups.name("func").and_then(|group| function(group.as_str()));
        self.file = groups.name("file").map(|group| {
            let file = group.as_str().trim_end_matches(':');
            file.strip_prefix("./").unwrap_or(file).to_owned()
        });
        let said = groups.name("secs").and_then(|group| group.as_str().parse().ok());
        self.span = rule.span.map(|usual| Duration::from_secs(said.unwrap_or(usual)));
        self.died = rule.dies;
    }

    pub(super) fn is_announced(&self) -> bool {
        self.rule.is_none()
    }

    /// Whether a line of that caller may belong here; most kernels don't name callers.
    pub(super) fn may_be_by(&self, caller: Option<&str>) -> bool {
        match (self.caller.as_deref(), caller) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        }
    }

    /// Whether it came without printk's prefix.
    pub(super) fn is_bare(&self) -> bool {
        self.time_ns.is_none() && self.rule.is_some_and(|rule| rule.bare)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes its last line.
    pub(super) fn end(&mut self, text: &str) {
        self.keep(text.trim_end(), None);
        self.ended = true;
    }

    pub(super) fn is(&self, kind: Kind) -> bool {
        self.rule.is_some_and(|rule| rule.kind == kind)
    }

    /// Whether the line of `die()` that comes now is this report's.
    pub(super) fn waits_for_die(&self) -> bool {
        !self.died && self.rule.is_some_and(|rule| rule.then_dies)
    }

    /// Takes the line of `die()` into the report that announced it.
    pub(super) fn die(&mut self, text: &str, time_ns: Option<u64>) {
        self.keep(text, time_ns);
        self.died = true;
    }

    /// Whether a line can only come from the middle of a report.
    pub(super) fn is_body(text: &str) -> bool {
        BODY.is_match(text)
    }

    /// Whether the kernel was silent for so long that this report must be over.
    pub(super) fn is_stale(&self, time_ns: Option<u64>) -> bool {
        self.last_ns
            .zip(time_ns)
            .is_some_and(|(last, now)| now.saturating_sub(last) > PAUSE_NS)
    }

    fn keep(&mut self, text: &str, time_ns: Option<u64>) {
        self.seen += 1;
        self.last_ns = time_ns.or(self.last_ns);
        if self.lines.len() < MAX_LINES {
            self.lines.push(text.to_owned());
        }
    }

    /// Takes a line that begins no report of its own.
    pub(super) fn take(&mut self, text: &str, time_ns: Option<u64>) -> Taken {
        let marked = self.rule.is_none_or(|rule| rule.marked);
        let limit = if self.is(Kind::Oom) {
            SEEN_MAX_OOM
        } else {
            SEEN_MAX
        };
        let text = text.trim_end();
        if text.starts_with("---[ end ") {
            self.end(text);
            return Taken::Yes;
        }
        let closed = self.seen > 2 && text.len() > 20 && text.bytes().all(|byte| byte == b'=');
        if !closed {
            self.read(text);
        }
        if closed
            || self.seen >= limit
            || (self.trace == Trace::After && !marked && !self.goes_on_after_trace())
        {
            self.ended = true;
            return Taken::No;
        }
        self.keep(text, time_ns);
        Taken::Yes
    }

    fn goes_on_after_trace(&self) -> bool {
        [
            Kind::Oom,
            Kind::RcuStall,
            Kind::PageAllocFailure,
            Kind::Kasan,
            Kind::Kmsan,
            Kind::Kcsan,
            Kind::Kfence,
            Kind::SlabCorruption,
            Kind::Leak,
            Kind::Lockdep,
        ]
        .into_iter()
        .any(|kind| self.is(kind))
    }

    fn read(&mut self, text: &str) {
        if text.starts_with("Call Trace:") || text == "Call Trace" {
            if self.trace == Trace::Before {
                self.trace = Trace::Within;
            }
            return;
        }
        if self.fault.is_none()
            && let Some(found) = FAULT.captures(text)
        {
            self.fault = found
                .name("x86")
                .or(found.name("s390"))
                .and_then(|group| function(group.as_str()));
        }
        if self.lock_at.is_none() && self.is(Kind::Lockdep) {
            self.lock_at = LOCK_AT.captures(text).and_then(|found| function(&found[1]));
        }
        let sanitizer = [Kind::Kcsan, Kind::Kfence, Kind::Kmsan]
            .into_iter()
            .any(|kind| self.is(kind));
        match Frame::parse(text) {
            // sanitizers print their trace without a heading
            Some(frame) if self.trace == Trace::Within || (sanitizer && self.trace == Trace::Before) => {
                self.trace = Trace::Within;
                if self.frames.len() < FRAMES_MAX {
                    self.frames.push(frame);
                }
            }
            Some(_) => {}
            None if self.trace == Trace::Within && !WITHIN_TRACE.is_match(text) => self.trace = Trace::After,
            None => {}
        }
        if self.trace == Trace::Within && text.starts_with("Last Breaking-Event-Address:") {
            self.trace = Trace::After;
        }
    }

    /// The functions that say where it happened, innermost first.
    fn path(&self) -> Vec<&str> {
        let sure: Vec<&str> = self
            .frames
            .iter()
            .filter(|frame| frame.sure)
            .map(|frame| frame.name.as_str())
            .collect();
        let frames = if sure.is_empty() {
            self.frames.iter().map(|frame| frame.name.as_str()).collect()
        } else {
            sure
        };
        let first = self
            .own
            .iter()
            .chain(&self.lock_at)
            .chain(&self.fault)
            .map(String::as_str);
        let mut path: Vec<&str> = first.chain(frames).filter(|name| !is_generic(name)).collect();
        path.dedup();
        path
    }

    /// What is known of it now; nothing of a report that nobody shall hear of.
    pub(super) fn finding(&self) -> Option<Finding> {
        if self.silent {
            return None;
        }
        let Some(rule) = self.rule else {
            return Some(Finding {
                kind: Kind::Warning,
                title: "report cut off".to_owned(),
                place: None,
                lines: self.lines.clone(),
                offset: self.offset,
                line: self.line,
                time_ns: self.time_ns,
                fatal: false,
                span: None,
            });
        };
        let path = self.path();
        let any = self
            .own
            .as_deref()
            .or(self.lock_at.as_deref())
            .or(self.fault.as_deref());
        let function = path.first().copied().or(any);
        let mut title = self.head.clone();
        let place = match (&self.file, function) {
            (Some(file), Some(function)) => Some(format!("{file} in {function}")),
            (file, function) => file.as_deref().or(function).map(str::to_owned),
        };
        if rule.placed {
            if let Some(place) = &place {
                let word = if self.file.is_some() { "at" } else { "in" };
                title = format!("{title} {word} {place}");
            }
            if rule.caller
                && let Some(caller) = path.iter().skip(1).find(|name| Some(**name) != function)
            {
                title = format!("{title} <- {caller}");
            }
        }
        Some(Finding {
            kind: rule.kind,
            title,
            // who asks for the last page is chance
            place: place.filter(|_| rule.kind != Kind::Oom),
            lines: self.lines.clone(),
            offset: self.offset,
            line: self.line,
            time_ns: self.time_ns,
            fatal: rule.fatal,
            span: self.span,
        })
    }
}
