// SPDX-License-Identifier: MIT OR Apache-2.0
//! The outcome of an attempt, and the record that is made of the one that counts.

use std::time::{Duration, Instant};

use super::{
    known::{PassedOver, failure, listed, shown, unexplained},
    log::Found,
    trouble::Trouble,
};
use crate::{
    plan::Job,
    session::{Stage, how_often},
};
use base::fault::Verdict;
use format::klog;
use record::{Attempt, CaseRecord, FindingRecord, GuestEnd, ObservedCase, Seconds, StepRecord};
use suite::{Known, Place};

/// Lines of the log that a report shows.
const EXCERPT_LINES: usize = 40;

/// The outcome of one attempt at a case.
#[derive(Default)]
pub(super) struct AttemptOutcome {
    /// Why it did not pass; `None` if it did.
    pub(super) trouble: Option<Trouble>,
    /// The known issue that the trouble is, once it was judged.
    pub(super) known: Option<Known>,
    /// What the log shows beside a known issue that would be the trouble if that were all.
    pub(super) beside: Option<String>,
    /// Known issues that the case went on after.
    pub(super) passed_over: Vec<PassedOver>,
    /// Those that were begun.
    pub(super) steps: Vec<StepRecord>,
    /// What the log shows and the case does not allow, each title once.
    pub(super) findings: Vec<FindingRecord>,
    /// What it shows and the host is to blame for: no evidence, and what explains an error.
    pub(super) starved: Vec<FindingRecord>,
    /// What the guest said of its memory, as the record has it; null if it was not asked.
    pub(super) facts: serde_json::Value,
    /// How the guest ended, if there was one.
    pub(super) ended: Option<GuestEnd>,
    /// QEMU's, to be typed by hand.
    pub(super) command_line: String,
    /// The kernel's log, whole.
    pub(super) log: String,
    /// The line that was its last when the last step began; `None` before the first one.
    pub(super) logged_before: Option<String>,
    /// What a guest that hung told of its tasks.
    pub(super) tasks: String,
    /// The kernel's release as the guest tells it.
    pub(super) release: Option<String>,
    /// What there is to compare with another kernel.
    pub(super) observed: Option<ObservedCase>,
}

impl AttemptOutcome {
    /// The release of the job's kernel; without a guest, what its image tells.
    fn release<'a>(&'a self, job: &Job, stage: &'a Stage) -> &'a str {
        let told = self.release.as_deref();
        told.unwrap_or_else(|| stage.kernel(job).release_or_unknown())
    }

    /// Finds out whether its trouble is one that the suite lists.
    pub(super) fn judge(&mut self, job: &Job, stage: &Stage) {
        let Some(trouble) = &self.trouble else { return };
        let place = self
            .steps
            .last()
            .map_or(Place::Boot, |step| Place::Step(step.number));
        let passed_over = self.passed_over.iter().map(|passed| &passed.known.sign);
        let findings: Vec<_> = unexplained(&self.findings, passed_over.clone()).collect();
        let failure = failure(trouble, place, findings.iter().copied());
        let Some(failure) = failure else { return };
        let listed = || listed(job, self.release(job, stage));
        let known = shown(listed(), &failure, findings.iter().copied()).cloned();
        let beside = listed()
            .filter(|known| known.sign.is(&failure))
            .find_map(|known| {
                let signs = passed_over.clone().chain([&known.sign]);
                unexplained(&self.findings, signs).next()
            })
            .map(|finding| finding.title.clone());
        self.beside = beside.filter(|_| known.is_none());
        self.known = known;
    }

    /// Takes what was found in a log.
    pub(super) fn take(&mut self, found: Found) {
        self.findings.extend(found.findings);
        self.starved
            .extend(found.starved.into_iter().map(|(finding, _)| finding));
    }

    /// What it comes to.
    pub(super) fn verdict(&self) -> Verdict {
        let of_trouble = match (&self.trouble, &self.known) {
            (Some(_), Some(_)) => Verdict::Known,
            (Some(trouble), None) => trouble.verdict(),
            (None, _) => Verdict::Pass,
        };
        match self.passed_over.is_empty() {
            true => of_trouble,
            false => of_trouble.max(Verdict::Known),
        }
    }

    /// Why it did not pass, in one line.
    pub(super) fn reason(&self) -> Option<String> {
        let said = |known: &Known, message: &str| format!("{}: {message}", known.reason);
        let passed_over = self
            .passed_over
            .iter()
            .map(|passed| said(&passed.known, &passed.message));
        let trouble = self.trouble.as_ref().map(|trouble| match &self.known {
            Some(known) => said(known, trouble.message()),
            None => trouble.message().to_owned(),
        });
        let graver = self.verdict() > Verdict::Known;
        let lines: Vec<String> = match graver {
            true => trouble.into_iter().collect(),
            false => passed_over.chain(trouble).collect(),
        };
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

/// Makes the record, and turns a failure that is known into `known`.
pub(super) fn record(
    job: &Job,
    outcome: AttemptOutcome,
    attempts: Vec<Attempt>,
    started: Instant,
    stage: &Stage,
) -> CaseRecord {
    let case = job.case();
    let mut verdict = outcome.verdict();
    let mut reason = outcome.reason();
    if let (Some(often), Some(reason)) = (how_often(&attempts), &mut reason) {
        *reason = format!("{reason} [{often}]");
    }
    let listed = listed(job, outcome.release(job, stage)).next();
    match (listed, verdict) {
        (Some(known), Verdict::Pass) => {
            reason = Some(format!("passes although it is listed as known: {}", known.reason))
        }
        (Some(known), Verdict::Fail) => {
            reason = reason.map(|seen| match &outcome.beside {
                Some(title) => format!(
                    "{seen}; beside the known issue ({}) the log shows: {title}",
                    known.reason
                ),
                None => format!(
                    "{seen}; not the known issue, which is {}: {}",
                    known.sign, known.reason
                ),
            })
        }
        _ => {}
    }
    let shown = outcome.passed_over.first().map(|passed| &passed.known);
    let known = outcome
        .known
        .as_ref()
        .or(shown)
        .or(listed)
        .map(|known| known.reason.clone());
    if verdict == Verdict::Skip && stage.require_all {
        verdict = Verdict::Error;
        reason = reason.map(|reason| format!("skipped, and all cases are required: {reason}"));
    }
    let log_excerpt = if matches!(verdict, Verdict::Pass | Verdict::Skip) {
        String::new()
    } else {
        excerpt(&outcome)
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
        steps: outcome.steps,
        findings: outcome.findings,
        command_line: outcome.command_line,
        ended: outcome.ended,
        facts: outcome.facts,
        log_excerpt,
        known,
        around: around(job),
    }
}

/// What the job's guest has on its command line to go round issues of its kernel.
fn around(job: &Job) -> Option<String> {
    let issues = job.around.iter();
    let said: Vec<String> = issues
        .map(|issue| format!("{}: {}", issue.around.join(" "), issue.known.reason))
        .collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// The lines that a reader needs first: those of the task that hangs, of the first finding, or the last ones of the log since the last step
/// began. Where no step did, what the kernel said while it booted.
fn excerpt(outcome: &AttemptOutcome) -> String {
    if let Some(task) = klog::stuck(&outcome.tasks) {
        return task.lines[..task.lines.len().min(EXCERPT_LINES)].join("\n");
    }
    if let Some(finding) = outcome.findings.first().or(outcome.starved.first()) {
        return finding.lines.join("\n");
    }
    let mut lines: Vec<&str> = outcome.log.lines().collect();
    if let Some(before) = &outcome.logged_before
        && let Some(at) = lines.iter().rposition(|line| line.trim_end() == before)
    {
        lines.drain(..=at);
    }
    lines[lines.len().saturating_sub(EXCERPT_LINES)..].join("\n")
}

/// The kernel's last line on a console; other programs write there too.
pub(super) fn last_line(console: &str) -> Option<String> {
    let last = console.lines().rev().find(|line| line.starts_with('['));
    last.map(|line| line.trim_end().to_owned())
}

/// A time as a record has it.
pub(super) fn seconds(duration: Duration) -> Seconds {
    Seconds::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use suite::Suite;

    fn issue(reason: &str) -> Known {
        let text = format!(
            "suite: x\ncases:\n  - id: a\n    name: n\n    known:\n      - {{ kernels: 6.1.., reason: {reason}, sign: {{ step: 1, kind: log, pattern: x }} }}\n    \
             steps: [log: {{ has: x }}]\n"
        );
        let suite = Suite::parse("x.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        suite.cases[0].known[0].clone()
    }

    #[test]
    fn the_lines_of_booting_are_told_of_a_kernel_that_did_not_boot() {
        let mut outcome = AttemptOutcome {
            log: "[0.1] boot\r\n[0.2] up\r\n[3.0] Offlined Pages 32768\n".to_owned(),
            ..AttemptOutcome::default()
        };
        assert_eq!(excerpt(&outcome).lines().count(), 3);
        outcome.logged_before = last_line("memrig: ready\n[0.1] boot\r\n[0.2] up\r\n# prompt\n");
        assert_eq!(outcome.logged_before.as_deref(), Some("[0.2] up"));
        assert_eq!(excerpt(&outcome), "[3.0] Offlined Pages 32768");
        outcome.logged_before = last_line(&outcome.log);
        assert_eq!(excerpt(&outcome), "");
        // A log that does not have the line is another one.
        outcome.logged_before = Some("[9.9] gone".to_owned());
        assert_eq!(excerpt(&outcome).lines().count(), 3);
    }

    #[test]
    fn what_is_known_of_a_step_hides_nothing_that_comes_after_it() {
        let mut outcome = AttemptOutcome {
            passed_over: vec![PassedOver {
                known: issue("leak"),
                message: "2 is there".to_owned(),
            }],
            ..AttemptOutcome::default()
        };
        let now = |outcome: &AttemptOutcome| (outcome.verdict(), outcome.reason().unwrap());
        assert_eq!(now(&outcome), (Verdict::Known, "leak: 2 is there".to_owned()));
        outcome.trouble = Some(Trouble::kernel("3 is gone"));
        assert_eq!(now(&outcome), (Verdict::Fail, "3 is gone".to_owned()));
        outcome.known = Some(issue("loss"));
        assert_eq!(
            now(&outcome),
            (Verdict::Known, "leak: 2 is there; loss: 3 is gone".to_owned())
        );
        (outcome.trouble, outcome.known) = (Some(Trouble::bench("the line broke")), None);
        assert_eq!(now(&outcome), (Verdict::Error, "the line broke".to_owned()));
    }
}
