// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel's log says about a case. Pure.

use super::{guest::UnderTest, trouble::Trouble};
use base::fault::{Blame, Verdict};
use format::klog;
use record::{FindingRecord, GuestEnd};
use suite::{Case, FailureKind};
use vm::{
    guest::{Output, Witness},
    machine::Share,
};

/// What was found in a log.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What speaks against the kernel.
    pub(crate) findings: Vec<FindingRecord>,
    /// What says that something did not happen for a while in which the host was too busy for the guest, and what the guest got of that while.
    pub(super) starved: Vec<(FindingRecord, Share)>,
}

impl Found {
    /// What is wrong, if anything is; `when` goes on from "the kernel log shows".
    pub(super) fn trouble(&self, when: &str) -> Option<Trouble> {
        let finding = self.findings.first();
        let of_kernel = finding.map(|finding| Trouble::finding(when, &finding.title));
        of_kernel.or_else(|| {
            let (finding, share) = self.starved.first()?;
            Some(Trouble::starved(format!(
                "the kernel log shows{when}: {}, and the host was too busy for the guest: {share}",
                finding.title
            )))
        })
    }
}

/// What a log shows that the case does not allow, each title once, with its number. `witness` tells what the guest got; without one all is the kernel's.
pub(crate) fn findings(log: &str, since_step: Option<u32>, case: &Case, witness: Option<&Witness>) -> Found {
    shown(log, since_step, case, |finding| witness?.starved(log, finding))
}

/// The same for a guest under test.
pub(super) fn findings_of(guest: &impl UnderTest, log: &str, since_step: Option<u32>, case: &Case) -> Found {
    shown(log, since_step, case, |finding| guest.starved(log, finding))
}

/// The same where `starved` tells what the guest got of the time that a finding speaks of, if that was too little.
fn shown(
    log: &str,
    since_step: Option<u32>,
    case: &Case,
    starved: impl Fn(&klog::Finding) -> Option<Share>,
) -> Found {
    let mut found = Found::default();
    for finding in klog::classify(log.as_bytes()) {
        let allowed = |line: &String| {
            case.allow_log
                .iter()
                .any(|pattern| pattern.regex().is_match(line))
        };
        if finding.lines.iter().any(allowed) {
            continue;
        }
        let share = starved(&finding);
        let held_back = held_back(&finding);
        let same = |known: &FindingRecord| match held_back {
            Some(_) => known.title.starts_with(&finding.title),
            None => known.title == finding.title,
        };
        let known = match share {
            Some(_) => found
                .starved
                .iter_mut()
                .map(|(record, _)| record)
                .find(|known| same(known)),
            None => found.findings.iter_mut().find(|known| same(known)),
        };
        if let Some(known) = known {
            known.times = known.times.saturating_add(held_back.unwrap_or(1));
            continue;
        }
        let record = FindingRecord {
            kind: finding.kind.to_string(),
            title: finding.title,
            place: finding.place,
            lines: finding.lines,
            since_step,
            times: 1,
        };
        match share {
            Some(share) => found.starved.push((record, share)),
            None => found.findings.push(record),
        }
    }
    found
}

/// How many reports the kernel held back, where a line is about that: after 60 bad pages in a minute it counts them alone (bad_page() of
/// mm/page_alloc.c, print_bad_pte() of mm/memory.c).
fn held_back(finding: &klog::Finding) -> Option<u32> {
    let first = finding.lines.first()?.strip_suffix(" messages suppressed")?;
    first.rsplit_once(": ")?.1.parse().ok()
}

/// The kernel's log as the guest tells it. A guest that does not answer any more did not pass, whatever its steps did.
pub(super) fn whole_log(answer: Result<Output, Trouble>) -> Result<String, Trouble> {
    match answer {
        Ok(output) if output.code == 0 => Ok(output.text()),
        Ok(output) => Err(Trouble::bench(format!(
            "reading the kernel log ended with {}",
            output.code
        ))),
        Err(trouble) => Err(trouble),
    }
}

/// What a step, or a case, comes to beside the log of that moment: what the log shows outranks all that could not be made of the rest.
///
/// A panic is called by its cause, a step that nobody could judge and one whose task died by what the log shows of it. What else accuses the kernel
/// keeps its words.
pub(crate) fn weigh(trouble: Option<Trouble>, found: &Found) -> Option<Trouble> {
    let Some(trouble) = trouble else {
        return found.trouble("");
    };
    let findings = &found.findings;
    // What the host is to blame for says nothing beside anything else.
    let Some(first) = findings.first() else {
        return Some(trouble);
    };
    let shows = |finding: &FindingRecord| format!("the kernel log shows: {}", finding.title);
    if findings
        .iter()
        .any(|finding| trouble.message().contains(&finding.title))
    {
        return Some(trouble);
    }
    let by_cause = |message: &str| match cause(findings) {
        Some((cause, Some(panic))) => format!("the kernel panicked: {}, then {}", cause.title, panic.title),
        Some((cause, None)) => format!("the kernel panicked: {}", cause.title),
        None => format!("{}; {message}", shows(first)),
    };
    // A task that died is the reason of what came of its step.
    let died = findings
        .iter()
        .find(|finding| kind(finding).is_some_and(klog::Kind::kills));
    Some(match trouble {
        Trouble::Guest {
            blame: Blame::Kernel,
            message,
            end: end @ Some(GuestEnd::Panicked),
        } => Trouble::Guest {
            blame: Blame::Kernel,
            message: by_cause(&message),
            end,
        },
        Trouble::Guest { message, end, .. } => Trouble::Guest {
            blame: Blame::Kernel,
            message: format!("{}; {message}", shows(died.unwrap_or(first))),
            end,
        },
        Trouble::Kernel {
            message,
            mismatches,
            kind,
        } => Trouble::Kernel {
            message: match died {
                Some(died) => format!("{}; {message}", shows(died)),
                None => message,
            },
            mismatches,
            kind,
        },
        trouble if trouble.verdict() == Verdict::Error => {
            let message = format!("{}; {}", shows(died.unwrap_or(first)), trouble.message());
            Trouble::kernel(message).of(FailureKind::Finding)
        }
        trouble => trouble,
    })
}

/// The kind of a finding; `None` of one that an older record calls otherwise.
fn kind(finding: &FindingRecord) -> Option<klog::Kind> {
    finding.kind.parse().ok()
}

/// Why the kernel panicked, and its panic, where that is only what came of it.
fn cause(findings: &[FindingRecord]) -> Option<(&FindingRecord, Option<&FindingRecord>)> {
    let at = findings
        .iter()
        .position(|finding| kind(finding) == Some(klog::Kind::Panic))?;
    let panic = &findings[at];
    let cause = findings[..at]
        .iter()
        .rfind(|before| kind(before).is_some_and(|kind| kind.leads_to(&panic.title)));
    Some(match cause {
        Some(cause) => (cause, Some(panic)),
        None => (panic, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use suite::Suite;

    #[test]
    fn what_comes_again_and_again_is_one_finding_with_its_number() {
        let suite = "suite: s\ncases:\n  - { id: A, name: a, steps: [log: { has: x }] }\n";
        let suite = Suite::parse("s.yaml", suite).unwrap();
        let log: String = (0..60)
            .map(|at| {
                format!(
                    "[   12.{at:03}000] BUG: Bad page state in process sh{at}  pfn:1{at:04}\n\
                     [   12.{at:03}100] page: refcount:0 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x1{at:04}\n\
                     [   12.{at:03}200] Call Trace:\n[   12.{at:03}300]  <TASK>\n[   12.{at:03}400]  dump_stack_lvl+0x5d/0x80\n\
                     [   12.{at:03}500]  bad_page.cold+0x7a/0x91\n[   12.{at:03}600]  offline_pages+0x1{at:02}/0x8e0\n\
                     [   12.{at:03}700]  </TASK>\n"
                )
            })
            .collect();
        let told = |log: &str| -> Vec<(String, u32)> {
            let all = findings(log, Some(2), &suite.cases[0], None).findings;
            all.into_iter().map(|one| (one.title, one.times)).collect()
        };
        let times = |times| vec![("Bad page state in offline_pages".to_owned(), times)];
        assert_eq!(told(&log), times(60));
        let more = "[   74.000000] BUG: Bad page state: 4 messages suppressed\n";
        assert_eq!(told(&(log.clone() + more)), times(64));
        assert_eq!(told(more), [("Bad page state".to_owned(), 1)]);
        let all = findings(&log, Some(2), &suite.cases[0], None).findings;
        assert!(all[0].lines[0].contains("process sh0 "), "{:?}", all[0].lines);
    }

    #[test]
    fn a_guest_that_does_not_tell_its_log_did_not_pass() {
        let said = |code| {
            Ok(Output {
                stdout: b"log".to_vec(),
                stderr: Vec::new(),
                code,
            })
        };
        assert_eq!(whole_log(said(0)).as_deref(), Ok("log"));
        assert_eq!(whole_log(said(1)).unwrap_err().verdict(), Verdict::Error);
        let silent = Trouble::kernel("no answer");
        assert_eq!(whole_log(Err(silent.clone())), Err(silent));
    }

    fn found(kind: klog::Kind, title: &str) -> FindingRecord {
        FindingRecord {
            kind: kind.to_string(),
            title: title.to_owned(),
            place: None,
            lines: Vec::new(),
            since_step: Some(1),
            times: 1,
        }
    }

    fn of(findings: &[FindingRecord]) -> Found {
        Found {
            findings: findings.to_vec(),
            ..Found::default()
        }
    }

    #[test]
    fn what_the_log_shows_outranks_a_step_that_nobody_could_judge() {
        let oops = found(klog::Kind::AddressingException, "addressing exception in foo");
        let unclear = Trouble::bench("write: the guest said ` (exit code 139)`");
        let told = weigh(Some(unclear.clone()), &of(std::slice::from_ref(&oops))).unwrap();
        assert_eq!(told.verdict(), Verdict::Fail);
        assert_eq!(
            told.message(),
            "the kernel log shows: addressing exception in foo; write: the guest said ` (exit code 139)`"
        );
        assert_eq!(
            weigh(Some(told.clone()), &of(std::slice::from_ref(&oops))),
            Some(told),
            "said once"
        );
        let lasting = Trouble::lasting("the script ended with 127: not found");
        assert_eq!(
            weigh(Some(lasting), &of(std::slice::from_ref(&oops)))
                .unwrap()
                .verdict(),
            Verdict::Fail
        );
        assert_eq!(weigh(Some(unclear.clone()), &of(&[])), Some(unclear));
        let lost = Trouble::silent(&"write", &vm::guest::Diagnosis::ConnectionLost);
        assert_eq!(weigh(Some(lost), &of(&[oops])).unwrap().verdict(), Verdict::Fail);
    }

    #[test]
    fn a_difference_of_its_own_keeps_its_words_unless_its_task_died() {
        let warning = found(klog::Kind::Warning, "WARNING in foo");
        let refused = Trouble::kernel("writing failed with EIO, and must succeed");
        assert_eq!(
            weigh(Some(refused.clone()), &of(std::slice::from_ref(&warning))),
            Some(refused)
        );
        let ended = Trouble::kernel("the script ended with 139, and must end with 0");
        let oops = found(klog::Kind::Oops, "Oops in bar");
        assert_eq!(
            weigh(Some(ended), &of(&[warning.clone(), oops]))
                .unwrap()
                .message(),
            "the kernel log shows: Oops in bar; the script ended with 139, and must end with 0"
        );
        assert_eq!(
            weigh(None, &of(&[warning])).unwrap().message(),
            "the kernel log shows: WARNING in foo"
        );
        let skip = Trouble::Lacking {
            message: "no".to_owned(),
        };
        let oops = found(klog::Kind::Oops, "Oops in bar");
        assert_eq!(weigh(Some(skip.clone()), &of(&[oops])), Some(skip));
    }

    #[test]
    fn a_panic_is_called_by_its_cause() {
        let panicked = |line: &str| {
            Trouble::ended(&vm::machine::End::Panicked {
                seen: vm::machine::PanicSource::Console,
                line: line.to_owned(),
            })
        };
        let log = include_str!("../../../format/tests/corpus/klog/killinit-6.12-amd64.txt");
        let of_its_own = klog::classify(log.as_bytes());
        assert_eq!(of_its_own.len(), 1, "{of_its_own:#?}");
        let log = include_str!("../../../format/tests/corpus/klog/panic_on_oops-6.12-amd64.txt");
        let findings: Vec<FindingRecord> = klog::classify(log.as_bytes())
            .into_iter()
            .map(|finding| found(finding.kind, &finding.title))
            .collect();
        let told = weigh(
            Some(panicked("Kernel panic - not syncing: Fatal exception")),
            &of(&findings),
        )
        .unwrap();
        assert_eq!(
            told.message(),
            "the kernel panicked: BUG: kernel NULL pointer dereference in splat_null_read <- splat_init, then panic: Fatal exception"
        );
        assert_eq!(told.guest_end(), Some(&GuestEnd::Panicked));
        let alone = [
            found(klog::Kind::Warning, "WARNING in foo"),
            found(klog::Kind::Panic, "panic: sysrq triggered crash"),
        ];
        assert_eq!(
            weigh(Some(panicked("Kernel panic")), &of(&alone))
                .unwrap()
                .message(),
            "the kernel panicked: panic: sysrq triggered crash"
        );
    }
}
