// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which failures of a case are those that its suite lists as known. Pure.

use super::trouble::Trouble;
use crate::plan::Job;
use base::fault::Verdict;
use memory::Mismatch;
use record::{FindingRecord, GuestEnd};
use suite::{Failure, FailureKind, Known, Place, Sign};

/// A known issue that showed, and after which the case went on.
#[derive(Debug, Clone)]
pub(super) struct PassedOver {
    /// The issue.
    pub(super) known: Known,
    /// What was seen, in one line.
    pub(super) message: String,
}

/// The issues that are listed for a job's kernel of this release: that which the job is to show, and those of its case.
pub(super) fn listed<'j>(job: &'j Job, release: &str) -> impl Iterator<Item = &'j Known> {
    let of_kernel = job.shows.iter().map(|issue| &issue.known);
    let known = of_kernel.chain(&job.case().known);
    known.filter(move |known| known.applies(release, job.key.arch, &job.variant))
}

/// The failure that a trouble is, for a sign to recognise; `None` where it speaks against no kernel.
pub(super) fn failure<'f>(
    trouble: &Trouble,
    step: Place,
    findings: impl IntoIterator<Item = &'f FindingRecord>,
) -> Option<Failure> {
    if trouble.verdict() != Verdict::Fail {
        return None;
    }
    let kind = match trouble {
        Trouble::Guest { end, .. } => match end {
            Some(GuestEnd::Panicked) => FailureKind::Panic,
            Some(GuestEnd::PoweredOff) => FailureKind::Reset,
            _ => FailureKind::Hang,
        },
        Trouble::Kernel { kind, .. } => kind.unwrap_or(FailureKind::Errno),
        _ => return None,
    };
    let message = [trouble.message().to_owned()];
    let said = match trouble {
        Trouble::Kernel { mismatches, .. } if !mismatches.is_empty() => {
            mismatches.iter().map(counter).collect()
        }
        // What the log says of it counts, and not only what was made of it in one line.
        _ if kind.is_seen_in_the_log() => {
            let log = findings.into_iter().flat_map(lines).map(str::to_owned);
            message.into_iter().chain(log).collect()
        }
        _ => message.into(),
    };
    Some(Failure { step, kind, said })
}

fn counter(mismatch: &Mismatch) -> String {
    let Mismatch {
        counter,
        predicted,
        seen,
        ..
    } = mismatch;
    format!("{counter}: predicted {predicted}, seen {seen}")
}

/// The issue that a failure is: its sign, and no finding that it does not explain.
pub(super) fn shown<'k, 'f>(
    known: impl Iterator<Item = &'k Known>,
    failure: &Failure,
    findings: impl IntoIterator<Item = &'f FindingRecord> + Clone,
) -> Option<&'k Known> {
    explaining(known.filter(|known| known.sign.is(failure)), findings)
}

/// The first of these issues that explains all findings.
pub(super) fn explaining<'k, 'f>(
    mut known: impl Iterator<Item = &'k Known>,
    findings: impl IntoIterator<Item = &'f FindingRecord> + Clone,
) -> Option<&'k Known> {
    known.find(|known| {
        let mut findings = findings.clone().into_iter();
        findings.all(|finding| explained(finding, &known.sign))
    })
}

/// The findings that none of these signs explains.
pub(super) fn unexplained<'f>(
    findings: &'f [FindingRecord],
    signs: impl Iterator<Item = &'f Sign> + Clone,
) -> impl Iterator<Item = &'f FindingRecord> {
    findings
        .iter()
        .filter(move |finding| !signs.clone().any(|sign| explained(finding, sign)))
}

fn explained(finding: &FindingRecord, sign: &Sign) -> bool {
    sign.explains(lines(finding))
}

/// What a finding says: its title, and its lines.
fn lines(finding: &FindingRecord) -> impl Iterator<Item = &str> {
    [&finding.title]
        .into_iter()
        .chain(&finding.lines)
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::Reading;
    use suite::Suite;

    /// A known issue with this sign.
    fn issue(sign: &str) -> Known {
        let text = format!(
            "suite: x\ncases:\n  - id: a\n    name: n\n    known:\n      - {{ kernels: 6.1.., reason: r, sign: {sign} }}\n    steps:\n      \
             - add: {{ as: b }}\n      - online: {{ block: b }}\n      - guest: {{ run: x }}\n"
        );
        let suite = Suite::parse("x.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        suite.cases[0].known[0].clone()
    }

    fn counters(names: &[&str]) -> Trouble {
        let one = |name: &&str| Mismatch {
            counter: (*name).to_owned(),
            before: Reading::Absent,
            predicted: Reading::Count(1),
            seen: Reading::Count(2),
            unit: String::new(),
            tolerance: 0,
        };
        Trouble::mismatch("several", names.iter().map(one).collect()).of(FailureKind::Mismatch)
    }

    fn finding(title: &str) -> FindingRecord {
        FindingRecord {
            kind: "warning".to_owned(),
            title: title.to_owned(),
            place: None,
            lines: vec![format!("[    1.000000] {title}")],
            times: 1,
            since_step: Some(2),
        }
    }

    fn is_known(sign: &str, trouble: &Trouble, step: u32, findings: &[FindingRecord]) -> bool {
        let Some(failure) = failure(trouble, Place::Step(step), findings) else {
            return false;
        };
        shown([&issue(sign)].into_iter(), &failure, findings).is_some()
    }

    #[test]
    fn a_known_issue_is_its_step_its_kind_and_its_text() {
        let sign = "{ step: 2, kind: mismatch, pattern: '^MemTotal: predicted 1, seen 2$' }";
        assert!(is_known(sign, &counters(&["MemTotal"]), 2, &[]));
        assert!(!is_known(sign, &counters(&["MemTotal"]), 1, &[]));
        assert!(!is_known(
            sign,
            &counters(&["MemTotal", "nr_memmap_pages"]),
            2,
            &[]
        ));
        let returned = Trouble::kernel("MemTotal: predicted 1, seen 2").of(FailureKind::Errno);
        assert!(!is_known(sign, &returned, 2, &[]));
        assert!(
            !is_known(sign, &Trouble::bench("MemTotal: predicted 1, seen 2"), 2, &[]),
            "what the bench broke is nobody's known issue"
        );
    }

    #[test]
    fn a_finding_that_no_word_explains_is_another_failure() {
        let sign = "{ step: 2, kind: errno, pattern: EIO, log: ['page allocation failure'] }";
        let trouble = Trouble::kernel("failed with EIO").of(FailureKind::Errno);
        let expected = finding("page allocation failure: order 4");
        assert!(is_known(sign, &trouble, 2, &[]));
        assert!(is_known(sign, &trouble, 2, std::slice::from_ref(&expected)));
        assert!(!is_known(
            sign,
            &trouble,
            2,
            &[expected, finding("WARNING in foo")]
        ));
    }

    #[test]
    fn a_known_finding_does_not_hide_the_next() {
        let sign = "{ step: 2, kind: finding, pattern: 'WARNING in foo' }";
        let trouble = Trouble::finding("", "WARNING in foo");
        assert!(is_known(sign, &trouble, 2, &[finding("WARNING in foo")]));
        assert!(!is_known(
            sign,
            &trouble,
            2,
            &[finding("WARNING in foo"), finding("WARNING in bar")]
        ));
        assert!(!is_known(sign, &trouble, 2, &[finding("WARNING in bar")]));
    }

    #[test]
    fn ways_for_a_guest_to_end_are_told_apart() {
        let ended = |end| Trouble::Guest {
            blame: base::fault::Blame::Kernel,
            message: "it ended".to_owned(),
            end,
        };
        let kind = |end| failure(&ended(end), Place::Boot, &[]).map(|failure| failure.kind);
        assert_eq!(kind(Some(GuestEnd::Panicked)), Some(FailureKind::Panic));
        assert_eq!(kind(Some(GuestEnd::PoweredOff)), Some(FailureKind::Reset));
        assert_eq!(kind(Some(GuestEnd::Hung)), Some(FailureKind::Hang));
    }
}
