// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened in a case, moment by moment: read back from the journal and from the files of the case.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Deserialize;

use super::{CaseRecord, LedgerEntry, RunRecord, folder, seen};
use base::{Pages, fault::Verdict, named};

/// The traces of a run's cases, by the id of the case.
pub type Traces = BTreeMap<String, Trace>;

/// One case, moment by moment. Times are seconds since the run started. What was not written down is not there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    /// When the attempt that decided began.
    pub begun: f64,
    /// When each step began and ended, by its number.
    pub steps: Vec<StepSpan>,
    /// The conversation with QEMU, its events among it.
    pub qmp: Vec<QmpLine>,
    /// What the guest printed, line by line.
    pub console: Vec<ConsoleLine>,
    /// The counters of each ledger.
    pub ledgers: Vec<LedgerPoint>,
    /// How long initcalls took by the guest's clock, where its command line has `initcall_debug`: their names with microseconds.
    pub initcalls: Vec<(String, u64)>,
    /// Names of the case's files that are there.
    pub files: Vec<String>,
}

/// When a step ran.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSpan {
    /// Its number.
    pub number: u32,
    /// When it began.
    pub from: f64,
    /// When it ended; `None` where it did not.
    pub to: Option<f64>,
}

/// One message between memrig and QEMU.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct QmpLine {
    /// When it was sent or came.
    pub at: f64,
    /// `sent` or `received`.
    pub way: String,
    /// The message: one JSON object.
    pub text: String,
}

/// One line that the guest printed.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsoleLine {
    /// The guest's own clock, from the stamp of this line or the last one before it, in seconds.
    pub stamp: Option<f64>,
    /// The line, without its end.
    pub text: String,
}

/// The counters of one ledger, in pages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LedgerPoint {
    /// The step after which it was read; `None` for the one before the first step.
    pub step: Option<u32>,
    /// `MemTotal`.
    pub mem_total: u64,
    /// Free pages by the exact meter.
    pub free: u64,
    /// Managed pages of all zones.
    pub managed: u64,
}

impl LedgerPoint {
    fn of(entry: &LedgerEntry) -> Self {
        let pages = |pages: Pages| pages.0.unsigned_abs();
        let ledger = &entry.ledger;
        Self {
            step: entry.step,
            mem_total: pages(ledger.mem_total),
            free: pages(ledger.free),
            managed: ledger.zones.values().map(|zone| pages(zone.managed)).sum(),
        }
    }
}

/// Files of a case that reports link to.
const FILES: [&str; 5] = ["console.log", "dmesg.log", "qmp.jsonl", seen::LEDGERS, "qemu.log"];

/// Longest console or QMP file that is read for a report; of a longer one its end.
const LONGEST: usize = 4 << 20;

impl RunRecord {
    /// Reads the traces of all cases that booted. A case that passed has ledgers and file names alone.
    pub fn traces(&self) -> Traces {
        self.cases
            .iter()
            .filter(|case| !case.attempts.is_empty() || case.ended.is_some() || !case.steps.is_empty())
            .map(|case| {
                let id = case.key.id();
                let mut trace = files(&self.folder, case);
                let attempts = self.attempts.get(&id).filter(|_| case.verdict != Verdict::Pass);
                if let Some(span) = attempts.and_then(|attempts| attempts.get(&decided(case))) {
                    trace.begun = span.begun;
                    trace.steps = span.steps.clone();
                }
                (id, trace)
            })
            .collect()
    }
}

/// Number of the attempt that decided, from 1.
fn decided(case: &CaseRecord) -> u32 {
    let same = case
        .attempts
        .iter()
        .rposition(|attempt| attempt.verdict == case.verdict);
    same.map_or(case.attempts.len().max(1), |index| index + 1) as u32
}

fn files(run: &Utf8Path, case: &CaseRecord) -> Trace {
    let folder = run.join(case.files());
    let read = |name: &str| named::read_whole(folder.join(name).as_std_path()).unwrap_or_default();
    let mut trace = Trace {
        files: FILES
            .into_iter()
            .filter(|name| folder.join(name).is_file())
            .map(str::to_owned)
            // A folder that cannot be listed has nothing to link to.
            .chain(folder::outputs(&folder).unwrap_or_default())
            .collect(),
        ledgers: seen::readable_ledgers(&read(seen::LEDGERS))
            .iter()
            .map(LedgerPoint::of)
            .collect(),
        ..Trace::default()
    };
    // Only such a log is worth its reading.
    if case.command_line.contains("initcall_debug") {
        trace.initcalls = initcalls(&String::from_utf8_lossy(&end(read("dmesg.log"))));
    }
    if case.verdict != Verdict::Pass {
        trace.console = console(&end(read("console.log")));
        trace.qmp = qmp(&end(read("qmp.jsonl")));
    }
    trace
}

fn end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() > LONGEST {
        bytes.drain(..bytes.len() - LONGEST);
    }
    bytes
}

fn qmp(bytes: &[u8]) -> Vec<QmpLine> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

fn console(bytes: &[u8]) -> Vec<ConsoleLine> {
    let text = String::from_utf8_lossy(bytes);
    let mut last = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        last = stamp(line).or(last);
        lines.push(ConsoleLine {
            stamp: last,
            text: line.trim_end_matches('\r').to_owned(),
        });
    }
    lines
}

/// Lines such as `initcall sclp_detect_standby_memory+0x0/0x288 returned 0 after 4835 usecs` (init/main.c, the same in 6.1 to 7.2).
fn initcalls(log: &str) -> Vec<(String, u64)> {
    let of_line = |line: &str| {
        let (_, call) = line.split_once("initcall ")?;
        let (name, rest) = call.split_once("+0x")?;
        let took = rest.strip_suffix(" usecs")?.rsplit(' ').next()?;
        Some((name.to_owned(), took.parse().ok()?))
    };
    log.lines().filter_map(|line| of_line(line.trim_end())).collect()
}

/// `[    7.686953] …`: the seconds.
fn stamp(line: &str) -> Option<f64> {
    let (seconds, _) = line.strip_prefix('[')?.split_once(']')?;
    let seconds = seconds.trim();
    let shape = |c: char| c.is_ascii_digit() || c == '.';
    (seconds.contains('.') && seconds.chars().all(shape))
        .then(|| seconds.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_stamp_have_that_of_the_line_before() {
        let lines =
            console(b"SeaBIOS\r\n[    0.719658] Linux version\r\nmemrig: ready\n[x.1] no\n[ 12.5] late");
        let stamps: Vec<_> = lines.iter().map(|line| line.stamp).collect();
        assert_eq!(
            stamps,
            [None, Some(0.719658), Some(0.719658), Some(0.719658), Some(12.5)]
        );
        assert_eq!(lines[1].text, "[    0.719658] Linux version");
    }

    #[test]
    fn initcalls_are_those_that_returned() {
        let log = "[    0.885317] calling  sclp_detect_standby_memory+0x0/0x288 @ 1\n\
            [    0.890181] initcall sclp_detect_standby_memory+0x0/0x288 returned 0 after 4835 usecs\n\
            [    0.890214] initcall sclp_conf_init+0x0/0x80 returned -19 after 4 usecs\r\n\
            [    0.9] initcall torn+0x0/0x80 returned 0 aft";
        let all = initcalls(log);
        let shown: Vec<_> = all.iter().map(|(name, took)| format!("{name} {took}")).collect();
        assert_eq!(shown, ["sclp_detect_standby_memory 4835", "sclp_conf_init 4"]);
    }
}
