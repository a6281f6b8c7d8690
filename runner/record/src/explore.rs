// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an exploration wrote down: `explore.json`.

use std::io;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::{Attempt, CaseKey, CaseRecord, Seconds};
use base::{Arch, fault::Verdict, named};

/// What was explored, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct ExploreRecord {
    /// The kernels, in the order in which they were explored.
    pub kernels: Vec<ExploredKernel>,
}

/// The same as a file has it: the first ones had one seed for all kernels.
#[derive(Deserialize)]
struct Written {
    seed: Option<u64>,
    kernels: Vec<ExploredKernel>,
}

impl ExploreRecord {
    /// Its name in the folder of a run.
    pub const FILE: &str = "explore.json";

    /// The folder of a run with the suites of what was found.
    pub const FOUND: &str = "found";

    /// Reads that of a run, where it explored.
    ///
    /// # Errors
    /// The file cannot be read, or is not what one is.
    pub fn read(run: &Utf8Path) -> io::Result<Option<Self>> {
        let path = run.join(Self::FILE);
        let Some(text) = named::read_if_there(path.as_std_path())? else {
            return Ok(None);
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            let what = format!("`{path}` does not read: {error}");
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }
}

impl From<Written> for ExploreRecord {
    fn from(written: Written) -> Self {
        let mut kernels = written.kernels;
        if let Some(seed) = written.seed {
            kernels.iter_mut().for_each(|kernel| kernel.seed = seed);
        }
        Self { kernels }
    }
}

/// What was explored of one kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExploredKernel {
    /// By which the sequences were drawn.
    #[serde(default)]
    pub seed: u64,
    /// Architecture.
    pub arch: Arch,
    /// The kernel as the user named it.
    pub kernel: String,
    /// Its release.
    pub release: String,
    /// Sequences that ran to their end.
    pub sequences: u64,
    /// Steps that were done in them; those by which sequences were made shorter are not counted.
    pub operations: u64,
    /// Time by the wall's clock.
    pub seconds: Seconds,
    /// Sequences that broke twice, which says nothing about the kernel: why each did, in one line.
    pub errors: Vec<String>,
    /// Machines that the kernel lacks something for, and what.
    pub lacking: Vec<String>,
    /// Known issues that showed.
    pub known: Vec<KnownSeen>,
    /// Sequences after which the free pages alone were not as predicted, and that did not show it again in more guests: why, in one line each. What a
    /// guest does on its own is in that counter, too, so that it speaks against no kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub once: Vec<String>,
    /// What was found.
    pub findings: Vec<FoundRecord>,
    /// Which code of memory hotplug was reached, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<ReachedRecord>,
}

/// How much code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeCounts {
    /// Functions of which something ran.
    pub functions: u64,
    /// Bytes.
    pub bytes: u64,
    /// Lines; 0 where they are not known.
    pub lines: u64,
}

/// Which code of memory hotplug the sequences of a kernel reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReachedRecord {
    /// Sequences that reach new code were kept and varied.
    pub led: bool,
    /// All code of memory hotplug that the kernel has.
    pub all: CodeCounts,
    /// Sequences of earlier explorations of this build, and the code that they are known to reach.
    pub before: (u64, CodeCounts),
    /// How much was reached, with that, after each sequence that reached more.
    pub grew: Vec<GrewRecord>,
}

/// A sequence that reached code which none before it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrewRecord {
    /// Its number.
    pub number: u64,
    /// When it was over, since the kernel's exploration began.
    pub after: Seconds,
    /// What it was made of: the names of kept sequences; none of one that was drawn.
    pub of: Vec<String>,
    /// Functions that it was the first to reach.
    pub functions: Vec<String>,
    /// How much was reached then.
    pub reached: CodeCounts,
}

impl ExploredKernel {
    /// A kernel of which nothing was explored yet.
    pub fn new(seed: u64, arch: Arch, kernel: &str, release: &str) -> Self {
        Self {
            seed,
            arch,
            kernel: kernel.to_owned(),
            release: release.to_owned(),
            sequences: 0,
            operations: 0,
            seconds: Seconds::default(),
            errors: Vec::new(),
            lacking: Vec::new(),
            known: Vec::new(),
            once: Vec::new(),
            findings: Vec::new(),
            reached: None,
        }
    }

    /// The exploration as one case of its run, so that every report has what came of it: a failure where anything was found, whether or not it
    /// shows again, and an error where sequences broke, or none ran. `key` is the case's.
    pub fn case(&self, key: CaseKey) -> CaseRecord {
        let (verdict, reason) = self.verdict();
        CaseRecord {
            key,
            name: "random sequences, judged by the model".to_owned(),
            suite_file: ExploreRecord::FILE.to_owned(),
            line: 0,
            verdict,
            reason: reason.clone(),
            known: None,
            around: None,
            attempts: match verdict {
                Verdict::Skip => Vec::new(),
                _ => vec![Attempt {
                    verdict,
                    reason,
                    seconds: self.seconds,
                }],
            },
            seconds: self.seconds,
            steps: Vec::new(),
            findings: Vec::new(),
            command_line: String::new(),
            ended: None,
            facts: serde_json::Value::Null,
            log_excerpt: String::new(),
        }
    }

    fn verdict(&self) -> (Verdict, Option<String>) {
        let (verdict, reason) = if let [first, others @ ..] = self.findings.as_slice() {
            let sign = &first.sign;
            let found = match others.len() {
                0 => format!("found: {sign}"),
                n => format!("{} found, first {sign}", n + 1),
            };
            (Verdict::Fail, format!("{found} (seed {})", self.seed))
        } else if let Some(first) = self.errors.first() {
            let errors = self.errors.len();
            let broke = format!("{errors} of {} sequences broke", self.sequences + errors as u64);
            (Verdict::Error, format!("{broke}, first: {first}"))
        } else if self.sequences > 0 {
            return (Verdict::Pass, None);
        } else if let Some(lacking) = self.lacking.first() {
            (Verdict::Skip, format!("no sequence can run: {lacking}"))
        } else {
            let seconds = self.seconds;
            (
                Verdict::Error,
                format!("no sequence came to its end in {seconds} s: give it more time"),
            )
        };
        (verdict, Some(reason))
    }
}

/// A known issue that showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownSeen {
    /// What is wrong, as the suite has it.
    pub reason: String,
    /// How often it showed.
    pub times: u64,
    /// When it showed first, since the kernel's exploration began.
    pub after: Seconds,
}

/// A fault that a sequence showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundRecord {
    /// What it is recognised by.
    pub sign: String,
    /// What was seen in the sequence as it was drawn, in one line.
    pub reason: String,
    /// Number of the sequence that showed it first.
    pub number: u64,
    /// What that was made of: the names of kept sequences; none of one that was drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// When it did, since the kernel's exploration began.
    pub after: Seconds,
    /// In how many sequences it showed.
    pub times: u64,
    /// Steps of the sequence that was drawn, up to the one that failed.
    pub steps: u64,
    /// Steps of the one that was made of it.
    pub shortest: u64,
    /// In how many more guests the same sequence failed so, of those that were asked.
    #[serde(default)]
    pub again: (u32, u32),
    /// Guests that it took to make it shorter; none is asked where it never failed so again.
    pub tries: u32,
    /// The suite that shows it, by its path in the run's folder.
    pub file: String,
    /// The files of the guest that showed it first, by their path in the run's folder.
    pub evidence: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::covered_case;

    fn explored() -> ExploredKernel {
        ExploredKernel::new(7, Arch::S390x, "debian:sid", "7.2.13")
    }

    fn verdict(kernel: &ExploredKernel) -> (Verdict, Option<String>) {
        let case = kernel.case(covered_case("sequences", &[]).key);
        assert_eq!(case.attempts.is_empty(), case.verdict == Verdict::Skip);
        (case.verdict, case.reason)
    }

    #[test]
    fn an_exploration_passes_only_where_sequences_ran_and_none_failed_or_broke() {
        let mut kernel = explored();
        kernel.seconds = Seconds::from_millis(2500);
        let told = |verdict, reason: &str| (verdict, Some(reason.to_owned()));
        let none = "no sequence came to its end in 2.500 s: give it more time";
        assert_eq!(verdict(&kernel), told(Verdict::Error, none));
        kernel.lacking.push("nodes: the host is too small".to_owned());
        let none = "no sequence can run: nodes: the host is too small";
        assert_eq!(verdict(&kernel), told(Verdict::Skip, none));
        kernel.sequences = 3;
        assert_eq!(verdict(&kernel), (Verdict::Pass, None));
        kernel.errors = ["the line broke", "QEMU is gone"].map(str::to_owned).into();
        let broke = "2 of 5 sequences broke, first: the line broke";
        assert_eq!(verdict(&kernel), told(Verdict::Error, broke));
        let found = json!({ "sign": "online, errno: EIO", "reason": "r", "number": 1, "after": 1.0, "times": 1, "steps": 9, "shortest": 2,
            "tries": 3, "file": "found/x.yaml", "evidence": "cases/x" });
        kernel.findings = vec![serde_json::from_value(found).unwrap()];
        let one = "found: online, errno: EIO (seed 7)";
        assert_eq!(verdict(&kernel), told(Verdict::Fail, one));
        kernel.findings.push(kernel.findings[0].clone());
        let two = "2 found, first online, errno: EIO (seed 7)";
        assert_eq!(verdict(&kernel), told(Verdict::Fail, two));
    }

    #[test]
    fn a_seed_for_all_kernels_reads_as_that_of_each() {
        let mut kernel = serde_json::to_value(explored()).unwrap();
        let now: ExploreRecord = serde_json::from_value(json!({ "kernels": [&kernel] })).unwrap();
        assert_eq!(now.kernels, [explored()]);
        kernel.as_object_mut().unwrap().remove("seed");
        let first: ExploreRecord = serde_json::from_value(json!({ "seed": 7, "kernels": [kernel] })).unwrap();
        assert_eq!(first, now);
    }
}
