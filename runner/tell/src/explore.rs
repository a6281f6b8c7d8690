// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an exploration came to, for a terminal.

use super::text::{one_line, printable};
use base::fault::Verdict;
use record::{CodeCounts, ExploreRecord, ExploredKernel, FoundRecord, ReachedRecord, RunRecord};

/// Says what was explored, what was found, whether it showed again, and how each finding is repeated. `folder` is the run's, as the user names it;
/// `again` is the run of the suites that were written for what was found.
pub fn explore_summary(record: &ExploreRecord, folder: &str, again: Option<&RunRecord>) -> String {
    let kernels = record.kernels.iter();
    let told: String = kernels.map(|kernel| explored(kernel, folder, again)).collect();
    printable(&told)
}

/// What came of a kernel, for a page: which it is, and a line for each thing.
pub(crate) fn explore_kernel_lines(kernel: &ExploredKernel) -> (String, Vec<String>) {
    let mut lines = vec![counts(kernel)];
    let reached = kernel.reached.iter().map(reached);
    let found = kernel
        .findings
        .iter()
        .map(|found| format!("found: {}: {}", found.sign, found.reason));
    lines.extend(reached.chain(found).map(|line| one_line(&line)));
    (
        one_line(&format!("{} {} {}", kernel.arch, kernel.kernel, kernel.release)),
        lines,
    )
}

/// How many sequences, how fast, and by which seed.
fn counts(kernel: &ExploredKernel) -> String {
    let seconds = kernel.seconds.duration().as_secs_f64();
    format!(
        "{} sequences, {} operations in {seconds:.0} s ({:.1} a second), seed {}",
        kernel.sequences,
        kernel.operations,
        kernel.operations as f64 / seconds.max(1.0),
        kernel.seed,
    )
}

fn explored(kernel: &ExploredKernel, folder: &str, again: Option<&RunRecord>) -> String {
    let head = format!(
        "{} {} {}: {}: {}\n",
        kernel.arch,
        kernel.kernel,
        kernel.release,
        counts(kernel),
        match (kernel.findings.len(), kernel.sequences) {
            // It was stopped, or had too little time.
            (0, 0) => "no sequence came to its end".to_owned(),
            (0, _) => "nothing found".to_owned(),
            (found, _) => format!("{found} found"),
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
    let once = kernel.once.iter();
    let once = once.map(|once| format!("  once, and not in more guests: {once}\n"));
    let lacking = kernel
        .lacking
        .iter()
        .map(|lacking| format!("  not explored: {lacking}\n"));
    let errors = kernel.errors.iter().map(|error| format!("  error: {error}\n"));
    let reached = kernel.reached.iter().map(reached);
    std::iter::once(head)
        .chain(reached)
        .chain(findings)
        .chain(known)
        .chain(once)
        .chain(lacking)
        .chain(errors)
        .collect()
}

/// Which code was reached, and how it was led there.
fn reached(reached: &ReachedRecord) -> String {
    let (known, before) = &reached.before;
    let now = reached.grew.last().map_or(*before, |grew| grew.reached);
    let mut parts = vec![of(now, reached.all)];
    match reached.grew.last() {
        None => parts.push("nothing new".to_owned()),
        Some(last) => parts.push(format!(
            "new code in {} sequences, the last after {:.0} s",
            reached.grew.len(),
            last.after.duration().as_secs_f64()
        )),
    }
    if reached.led && !reached.grew.is_empty() {
        let varied = reached.grew.iter().filter(|grew| !grew.of.is_empty()).count();
        parts.push(format!("{varied} of them were made of kept ones"));
    }
    if *known > 0 {
        let functions = before.functions;
        parts.push(format!("{functions} known before, by {known} kept sequences"));
    }
    format!("  reached: {}\n", parts.join("; "))
}

/// How much of all code.
fn of(reached: CodeCounts, all: CodeCounts) -> String {
    let lines = match all.lines {
        0 => String::new(),
        all => format!(", {} of {all} lines", reached.lines),
    };
    format!(
        "{} of {} functions of memory hotplug{lines}, {} of {} bytes",
        reached.functions, all.functions, reached.bytes, all.bytes
    )
}

fn finding(kernel: &ExploredKernel, found: &FoundRecord, folder: &str) -> String {
    format!(
        "  found: {}\n    {}\n    in {} sequences, first in number {}{} after {:.1} s, and in {} of {} more guests; {} steps of {} are left, which took {} guests\n    memrig run {folder}/{} -k {} -a {}\n",
        found.sign,
        found.reason,
        found.times,
        found.number,
        match found.of.as_slice() {
            [] => String::new(),
            of => format!(" (made of {})", of.join("; ")),
        },
        found.after.duration().as_secs_f64(),
        found.again.0,
        found.again.1,
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
    // Where parts of a run were put together, it is in a folder of the part's.
    let own = found.file.rsplit('/').next().unwrap_or(&found.file);
    let is_its = |suite: &str| own == format!("{suite}.yaml");
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
    use record::{Attempt, GrewRecord, KnownSeen, Seconds};

    fn reached() -> ReachedRecord {
        let counts = |functions| CodeCounts {
            functions,
            bytes: functions * 100,
            lines: 0,
        };
        let grew = |number, seconds: u64, of: &[&str]| GrewRecord {
            number,
            after: Seconds::from_millis(seconds * 1000),
            of: of.iter().map(|name| (*name).to_owned()).collect(),
            functions: Vec::new(),
            reached: counts(20 + number),
        };
        ReachedRecord {
            led: true,
            all: counts(90),
            before: (3, counts(20)),
            grew: vec![grew(0, 4, &[]), grew(5, 31, &["seed 4 sequence 2"])],
        }
    }

    #[test]
    fn what_was_reached_is_told_with_lines_where_they_are_known() {
        let told = super::reached;
        let mut record = reached();
        record.all.lines = 40;
        record.before.0 = 0;
        record.led = false;
        assert_eq!(
            told(&record),
            "  reached: 25 of 90 functions of memory hotplug, 0 of 40 lines, 2500 of 9000 bytes; new code in 2 sequences, the last after 31 s\n"
        );
        record.grew.clear();
        assert!(
            told(&record).ends_with("2000 of 9000 bytes; nothing new\n"),
            "{}",
            told(&record)
        );
    }

    #[test]
    fn a_kernel_on_which_nothing_ran_is_not_one_where_nothing_was_found() {
        let mut kernel = ExploredKernel::new(7, Arch::S390x, "debian:sid", "7.2");
        let told = |kernel: &ExploredKernel| {
            let kernels = vec![kernel.clone()];
            explore_summary(&ExploreRecord { kernels }, "r", None)
        };
        assert!(
            told(&kernel).ends_with("seed 7: no sequence came to its end\n"),
            "{}",
            told(&kernel)
        );
        kernel.sequences = 1;
        assert!(
            told(&kernel).ends_with("seed 7: nothing found\n"),
            "{}",
            told(&kernel)
        );
    }

    #[test]
    fn a_finding_is_told_with_what_repeats_it() {
        let record = ExploreRecord {
            kernels: vec![ExploredKernel {
                seed: 42,
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
                once: vec!["40 pages".to_owned()],
                findings: vec![FoundRecord {
                    sign: "online, errno: state".to_owned(),
                    reason: "it failed with EIO".to_owned(),
                    number: 7,
                    of: vec!["seed 4 sequence 2".to_owned()],
                    after: Seconds::from_millis(2500),
                    times: 4,
                    steps: 30,
                    shortest: 3,
                    again: (2, 2),
                    tries: 17,
                    file: "found/x.yaml".to_owned(),
                    evidence: "cases/x".to_owned(),
                }],
                reached: Some(reached()),
            }],
        };
        assert_eq!(
            explore_summary(&record, "results/r", None),
            "\
s390x debian:trixie 6.12.1: 20 sequences, 500 operations in 50 s (10.0 a second), seed 42: 1 found
  reached: 25 of 90 functions of memory hotplug, 2500 of 9000 bytes; new code in 2 sequences, the last after 31 s; 1 of them were made of kept ones; 20 known before, by 3 kept sequences
  found: online, errno: state
    it failed with EIO
    in 4 sequences, first in number 7 (made of seed 4 sequence 2) after 2.5 s, and in 2 of 2 more guests; 3 steps of 30 are left, which took 17 guests
    memrig run results/r/found/x.yaml -k debian:trixie -a s390x
  known: 3 times, first after 1.5 s: a leak
  once, and not in more guests: 40 pages
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
