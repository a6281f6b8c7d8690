// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is written down about one case and its steps.

use serde::{Deserialize, Serialize};

use super::{CaseKey, ExploreRecord, Seconds};
use base::fault::Verdict;
use memory::{Mismatch, Reading};

/// A case that has ended, with everything that reports show of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// Which case it is.
    pub key: CaseKey,
    /// Its name in words, as the suite gives it; may be empty.
    pub name: String,
    /// The suite file that it is written in, as it was given to memrig.
    pub suite_file: String,
    /// Line of the suite file where it begins, from 1.
    pub line: u32,
    /// The result.
    pub verdict: Verdict,
    /// Why it was skipped, or what broke or failed; one line. Every verdict but `pass` has one.
    pub reason: Option<String>,
    /// The known issue that the suite lists for this case on this kernel, whether or not it showed.
    #[serde(default)]
    pub known: Option<String>,
    /// The words that its guest had on the command line to go round issues of its kernel, and these issues; one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<String>,
    /// Every attempt in order; a case that was skipped has none. The other fields tell of the one that decided, see
    /// [`CaseRecord::files`].
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// How long it took, all attempts together.
    pub seconds: Seconds,
    /// The steps that were begun, in order.
    #[serde(default)]
    pub steps: Vec<StepRecord>,
    /// What the kernel's log showed.
    #[serde(default)]
    pub findings: Vec<FindingRecord>,
    /// QEMU's command line, quoted for a shell; empty when none was started.
    #[serde(default)]
    pub command_line: String,
    /// How the guest ended; `None` when there was none.
    pub ended: Option<GuestEnd>,
    /// The guest's memory facts that the model used.
    #[serde(default)]
    pub facts: serde_json::Value,
    /// The lines of the guest's log that a reader needs first; empty when all is well.
    #[serde(default)]
    pub log_excerpt: String,
}

impl CaseRecord {
    /// Whether it is the exploration of a kernel, which no suite has, and which has no guest of its own.
    pub fn is_exploration(&self) -> bool {
        self.suite_file == ExploreRecord::FILE
    }

    /// The tests that programs of its steps reported.
    pub fn subcases(&self) -> impl Iterator<Item = &SubcaseRecord> {
        self.subcases_of_steps().map(|(_, subcase)| subcase)
    }

    /// The same, each with the step whose program reported it.
    pub fn subcases_of_steps(&self) -> impl Iterator<Item = (&StepRecord, &SubcaseRecord)> {
        self.steps
            .iter()
            .flat_map(|step| step.subcases.iter().map(move |subcase| (step, subcase)))
    }

    /// Where the files of the attempt that decided are, by its path in the run's folder.
    ///
    /// It is the last attempt with the case's verdict: the case's own folder if nothing was tried after it, and
    /// `attempt-N` in it otherwise.
    pub fn files(&self) -> String {
        let folder = format!("cases/{}", self.key.id());
        let decided = self
            .attempts
            .iter()
            .rposition(|attempt| attempt.verdict == self.verdict);
        match decided {
            Some(index) if index + 1 < self.attempts.len() => format!("{folder}/attempt-{}", index + 1),
            _ => folder,
        }
    }
}

/// One attempt at a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its result.
    pub verdict: Verdict,
    /// Why, where the verdict is not `pass`.
    pub reason: Option<String>,
    /// How long it took.
    pub seconds: Seconds,
}

/// A step of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its place in the case, from 1; in a step that repeats others, the place of the outermost.
    pub number: u32,
    /// Line of the suite file where it is written, from 1.
    pub line: u32,
    /// What it does, in the words of the suite, such as `online b zone movable`.
    pub text: String,
    /// Its result.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: Seconds,
    /// What went wrong, beside the numbers; one line.
    pub message: Option<String>,
    /// Everything that differs from what the model predicted.
    #[serde(default)]
    pub mismatches: Vec<MismatchRecord>,
    /// The tests that a program of it reported, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subcases: Vec<SubcaseRecord>,
    /// The last lines that its scripts printed, of stdout and then of stderr; all of them are in `step-N.out` and `step-N.err`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
    /// The ledger that was read after it: index into `ledgers` of the case's `ledgers.json`, from 0.
    pub ledger: Option<u32>,
}

/// One test that a program in the guest reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubcaseRecord {
    /// Its name, with the names of the tests that it is a part of: `suite / test`.
    pub name: String,
    /// Its result: `known` where the program itself says that it is expected to fail.
    pub verdict: Verdict,
    /// Why, where the program says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the program printed before it, where it failed; the last lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
}

/// One thing that is not what the model predicted. Values are text: numbers, states and lists of zones alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MismatchRecord {
    /// What was counted and where, such as `node 0 Movable present`.
    pub counter: String,
    /// Its value before the step; `None` when it was not there.
    pub before: Option<String>,
    /// The value that the model predicted; `None` when it must not be there.
    pub predicted: Option<String>,
    /// The value that was read; `None` when it was not there.
    pub seen: Option<String>,
    /// By how much `seen` may differ from `predicted`; 0 where the kernel is exact.
    pub tolerance: u64,
    /// Unit of the values, such as `pages`; empty for states.
    pub unit: String,
}

impl From<&Mismatch> for MismatchRecord {
    fn from(mismatch: &Mismatch) -> Self {
        let text = |reading: &Reading| match reading {
            Reading::Absent => None,
            Reading::Count(_) | Reading::Text(_) => Some(reading.to_string()),
        };
        Self {
            counter: mismatch.counter.clone(),
            before: text(&mismatch.before),
            predicted: text(&mismatch.predicted),
            seen: text(&mismatch.seen),
            tolerance: mismatch.tolerance.unsigned_abs(),
            unit: mismatch.unit.clone(),
        }
    }
}

/// Something in the kernel's log that should not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRecord {
    /// Its kind, such as `warning`, `bug`, `panic` or `lockdep`.
    pub kind: String,
    /// What it is, in one line that is the same on every boot of a kernel.
    pub title: String,
    /// Where it happened: `file:line in function`, as far as the kernel names both.
    pub place: Option<String>,
    /// Its lines as the log has them; of several with one title, those of the first.
    pub lines: Vec<String>,
    /// Number of the step in which it came up; `None` for one from before the first step.
    pub since_step: Option<u32>,
    /// How often it came up.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

fn is_once(times: &u32) -> bool {
    *times == 1
}

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestEnd {
    /// memrig stopped it when the case was over.
    Stopped,
    /// It powered itself off or rebooted.
    PoweredOff,
    /// Its kernel panicked.
    Panicked,
    /// It said more on its console than anybody keeps.
    Flooded,
    /// It no longer answered while QEMU did.
    Hung,
    /// It never became ready, and nothing shows that its kernel is to blame.
    NotReady,
    /// QEMU ended by itself; holds how, such as `exit status 1` or `signal 6`.
    QemuExited(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_of_the_model_keeps_what_is_absent_apart_from_zero() {
        let mismatch = Mismatch {
            counter: "node 0 zone Movable managed".to_owned(),
            before: Reading::Text("Movable".to_owned()),
            predicted: Reading::Absent,
            seen: Reading::Count(0),
            unit: "pages".to_owned(),
            tolerance: 32,
        };
        let record = MismatchRecord::from(&mismatch);
        assert_eq!(record.before.as_deref(), Some("Movable"));
        assert_eq!(record.predicted, None);
        assert_eq!(record.seen.as_deref(), Some("0"));
        assert_eq!((record.tolerance, record.unit.as_str()), (32, "pages"));
    }
}
