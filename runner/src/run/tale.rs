// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of a case in one attempt, and the record that is made of it.

use std::time::{Duration, Instant};

use super::{plan::Job, rounds::how_often, stage::Stage, trouble::Trouble};
use crate::{
    base::fault::Verdict,
    format::klog,
    record::{Attempt, CaseRecord, FindingRecord, GuestEnd, ObservedCase, Seconds, StepRecord},
    suite::Known,
};

/// Lines of the log that a report shows.
const EXCERPT_LINES: usize = 40;

/// What became of a case in one attempt.
#[derive(Default)]
pub(super) struct Tale {
    /// Why it did not pass; `None` if it did.
    pub(super) trouble: Option<Trouble>,
    /// Those that were begun.
    pub(super) steps: Vec<StepRecord>,
    /// What the log shows and the case does not allow, each title once.
    pub(super) findings: Vec<FindingRecord>,
    /// What the guest said of its memory, as the record has it; null if it was not asked.
    pub(super) facts: serde_json::Value,
    /// How the guest ended, if there was one.
    pub(super) ended: Option<GuestEnd>,
    /// QEMU's, to be typed by hand.
    pub(super) command_line: String,
    /// The kernel's log, whole.
    pub(super) log: String,
    /// What a guest that hung told of its tasks.
    pub(super) tasks: String,
    /// The kernel's release as the guest tells it.
    pub(super) release: Option<String>,
    /// What there is to compare with another kernel.
    pub(super) observed: Option<ObservedCase>,
}

impl Tale {
    /// What it comes to.
    pub(super) fn verdict(&self) -> Verdict {
        self.trouble.as_ref().map_or(Verdict::Pass, Trouble::verdict)
    }
}

/// The listed issue that a case fails by, if it fails.
pub(super) fn known<'a>(job: &'a Job, tale: &Tale, stage: &Stage) -> Option<&'a Known> {
    let release = match &tale.release {
        Some(release) => release,
        None => stage.kernel(job).release_or_unknown(),
    };
    job.case()
        .known
        .iter()
        .find(|known| known.applies(release, job.key.arch, &job.variant))
}

/// Makes the record, and turns a failure that is known into `known`.
pub(super) fn record(
    job: &Job,
    tale: Tale,
    attempts: Vec<Attempt>,
    started: Instant,
    stage: &Stage,
) -> CaseRecord {
    let case = job.case();
    let mut verdict = tale.verdict();
    let mut reason = tale.trouble.as_ref().map(|trouble| trouble.message().to_owned());
    if let (Some(often), Some(reason)) = (how_often(&attempts), &mut reason) {
        *reason = format!("{reason} [{often}]");
    }
    let known = known(job, &tale, stage);
    match (known, verdict) {
        (Some(known), Verdict::Fail) => {
            verdict = Verdict::Known;
            reason = Some(match reason {
                Some(seen) => format!("{}: {seen}", known.reason),
                None => known.reason.clone(),
            });
        }
        (Some(known), Verdict::Pass) => {
            reason = Some(format!("passes although it is listed as known: {}", known.reason))
        }
        _ => {}
    }
    if verdict == Verdict::Skip && stage.require_all {
        verdict = Verdict::Error;
        reason = reason.map(|reason| format!("skipped, and all cases are required: {reason}"));
    }
    let log_excerpt = if matches!(verdict, Verdict::Pass | Verdict::Skip) {
        String::new()
    } else {
        excerpt(&tale)
    };
    CaseRecord {
        key: job.key.clone(),
        name: case.name.clone(),
        suite_file: job.suite.file.clone(),
        line: case.line as u32,
        verdict,
        reason,
        attempts,
        seconds: seconds(started.elapsed()),
        steps: tale.steps,
        findings: tale.findings,
        command_line: tale.command_line,
        ended: tale.ended,
        facts: tale.facts,
        log_excerpt,
        known: known.map(|known| known.reason.clone()),
    }
}

/// The lines that a reader needs first: those of the task that hangs, of the first finding, or the last ones of the log.
fn excerpt(tale: &Tale) -> String {
    if let Some(task) = klog::stuck(&tale.tasks) {
        return task.lines[..task.lines.len().min(EXCERPT_LINES)].join("\n");
    }
    if let Some(finding) = tale.findings.first() {
        return finding.lines.join("\n");
    }
    let lines: Vec<&str> = tale.log.lines().collect();
    lines[lines.len().saturating_sub(EXCERPT_LINES)..].join("\n")
}

/// A time as a record has it.
pub(super) fn seconds(duration: Duration) -> Seconds {
    Seconds::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
