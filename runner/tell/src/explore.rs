// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an exploration came to, for a terminal.

use super::text::printable;
use base::fault::Verdict;
use record::{ExploreRecord, ExploredKernel, FoundRecord, RunRecord};

/// Says what was explored, what was found, whether it showed again, and how each finding is repeated. `folder` is the run's, as the user names it;
/// `again` is the run of the suites that were written for what was found.
pub fn explore_summary(record: &ExploreRecord, folder: &str, again: Option<&RunRecord>) -> String {
    let kernels = record.kernels.iter();
    let told: String = kernels
        .map(|kernel| explored(kernel, record.seed, folder, again))
        .collect();
    printable(&told)
}

fn explored(kernel: &ExploredKernel, seed: u64, folder: &str, again: Option<&RunRecord>) -> String {
    let seconds = kernel.seconds.duration().as_secs_f64();
    let head = format!(
        "{} {} {}: {} sequences, {} operations in {seconds:.0} s ({:.1} a second), seed {seed}: {}\n",
        kernel.arch,
        kernel.kernel,
        kernel.release,
        kernel.sequences,
        kernel.operations,
        kernel.operations as f64 / seconds.max(1.0),
        match kernel.findings.len() {
            0 => "nothing found".to_owned(),
            found => format!("{found} found"),
        }
    );
    let findings = kernel
        .findings
        .iter()
        .map(|found| finding(kernel, found, folder) + &shown_again(found, again));
    let known = kernel.known.iter().map(|known| {
        let after = known.after.duration().as_secs_f64();
        format!(
            "  known: {} times, first after {after:.1} s: {}\n",
            known.times, known.reason
        )
    });
    let lacking = kernel
        .lacking
        .iter()
        .map(|lacking| format!("  not explored: {lacking}\n"));
    let errors = kernel.errors.iter().map(|error| format!("  error: {error}\n"));
    std::iter::once(head)
        .chain(findings)
        .chain(known)
        .chain(lacking)
        .chain(errors)
        .collect()
}

fn finding(kernel: &ExploredKernel, found: &FoundRecord, folder: &str) -> String {
    format!(
        "  found: {}\n    {}\n    in {} sequences, first in number {} after {:.1} s; {} steps of {} are left, which took {} guests\n    memrig run {folder}/{} -k {} -a {}\n",
        found.sign,
        found.reason,
        found.times,
        found.number,
        found.after.duration().as_secs_f64(),
        found.shortest,
        found.steps,
        found.tries,
        found.file,
        kernel.kernel,
        kernel.arch
    )
}

/// In how many guests the suite of a finding showed it.
fn shown_again(found: &FoundRecord, again: Option<&RunRecord>) -> String {
    let Some(run) = again else { return String::new() };
    let is_its = |suite: &str| found.file == format!("found/{suite}.yaml");
    let Some(case) = run.cases.iter().find(|case| is_its(&case.key.suite)) else {
        return "    its suite was not run\n".to_owned();
    };
    let shown = case
        .attempts
        .iter()
        .filter(|one| one.verdict == Verdict::Fail)
        .count();
    match shown {
        0 => format!("    run again, it did not show: {}\n", case.verdict),
        n => format!("    run again, {n} of {} guests showed it\n", case.attempts.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;
    use record::{Attempt, KnownSeen, Seconds};

    #[test]
    fn a_finding_is_told_with_what_repeats_it() {
        let record = ExploreRecord {
            seed: 42,
            kernels: vec![ExploredKernel {
                arch: Arch::S390x,
                kernel: "debian:trixie".to_owned(),
                release: "6.12.1".to_owned(),
                sequences: 20,
                operations: 500,
                seconds: Seconds::from_millis(50_000),
                errors: vec!["the line broke".to_owned()],
                lacking: vec!["memmap: needs the parameter".to_owned()],
                known: vec![KnownSeen {
                    reason: "a leak".to_owned(),
                    times: 3,
                    after: Seconds::from_millis(1500),
                }],
                findings: vec![FoundRecord {
                    sign: "online, errno: state".to_owned(),
                    reason: "it failed with EIO".to_owned(),
                    number: 7,
                    after: Seconds::from_millis(2500),
                    times: 4,
                    steps: 30,
                    shortest: 3,
                    tries: 17,
                    file: "found/x.yaml".to_owned(),
                    evidence: "cases/x".to_owned(),
                }],
            }],
        };
        assert_eq!(
            explore_summary(&record, "results/r", None),
            "\
s390x debian:trixie 6.12.1: 20 sequences, 500 operations in 50 s (10.0 a second), seed 42: 1 found
  found: online, errno: state
    it failed with EIO
    in 4 sequences, first in number 7 after 2.5 s; 3 steps of 30 are left, which took 17 guests
    memrig run results/r/found/x.yaml -k debian:trixie -a s390x
  known: 3 times, first after 1.5 s: a leak
  not explored: memmap: needs the parameter
  error: the line broke
"
        );
        // Its suite is run by the name of its file.
        let mut run = crate::news::tests::record(Verdict::Fail);
        let of = |run: &RunRecord| explore_summary(&record, "r", Some(run));
        assert!(of(&run).contains("\n    its suite was not run\n"));
        run.cases[0].key.suite = "x".to_owned();
        run.cases[0].attempts = [Verdict::Fail, Verdict::Pass, Verdict::Fail]
            .map(|verdict| Attempt {
                verdict,
                reason: None,
                seconds: Seconds::default(),
            })
            .into();
        assert!(
            of(&run).contains("\n    run again, 2 of 3 guests showed it\n"),
            "{}",
            of(&run)
        );
        run.cases[0].verdict = Verdict::Pass;
        run.cases[0].attempts.clear();
        assert!(
            of(&run).contains("\n    run again, it did not show: pass\n"),
            "{}",
            of(&run)
        );
    }
}
