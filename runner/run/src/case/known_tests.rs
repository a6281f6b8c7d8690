// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of a case that fails: issues that its suite lists, and issues of its kernel.

use std::sync::Arc;

use super::{
    fake::{Death, Fault, Lab, Setup, comes_to, steps_of},
    life_tests::{AT, ONCE, ONLINE, at, refused, verdicts},
    trouble::Trouble,
};
use base::fault::Verdict;
use record::CaseRecord;
use suite::KernelIssue;

/// What a case with this known issue comes to.
async fn known(sign: &str, setup: Setup) -> CaseRecord {
    let case = format!(
        "    known:\n      - {{ kernels: 6.12.., reason: an old tale, sign: {sign} }}\n{}",
        steps_of(&format!("{ONLINE}\noffline: {{ block: b }}"))
    );
    Lab::new(&case, [setup]).run().await
}

const EIO: &str = "{ step: 2, kind: errno, pattern: 'failed with EIO' }";

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_listed_is_known_and_tried_once() {
    let record = known(EIO, refused()).await;
    comes_to(
        &record,
        Verdict::Known,
        Some("an old tale: writing \"online_movable\""),
    );
    assert_eq!(
        (verdicts(&record), record.known.as_deref()),
        (vec![Verdict::Known], Some("an old tale"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_case_that_passes_although_it_is_listed_says_so() {
    comes_to(
        &known(EIO, Setup::x86()).await,
        Verdict::Pass,
        Some("passes although it is listed as known: an old tale"),
    );
}

#[tokio::test(start_paused = true)]
async fn another_failure_of_a_case_that_is_listed_is_one() {
    let other = at(Fault::Refuse("EPERM".parse().unwrap()));
    comes_to(
        &known(EIO, other).await,
        Verdict::Fail,
        Some("not the known issue, which is"),
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_in_another_step_is_another_failure() {
    let sign = "{ step: 3, kind: errno, pattern: 'failed with EIO' }";
    comes_to(
        &known(sign, refused()).await,
        Verdict::Fail,
        Some("failed with EIO"),
    );
}

#[tokio::test(start_paused = true)]
async fn an_issue_of_other_kernels_is_none_of_this() {
    let case = format!(
        "    known:\n      - {{ kernels: ..6.11, reason: an old tale, sign: {EIO} }}\n{}",
        steps_of(ONLINE)
    );
    let record = Lab::new(&case, [refused()]).run().await;
    comes_to(&record, Verdict::Fail, Some("failed with EIO"));
    assert_eq!(record.known, None);
}

#[tokio::test(start_paused = true)]
async fn what_broke_is_nobodys_known_issue() {
    let sign = "{ step: 2, kind: errno, pattern: 'connection' }";
    comes_to(
        &known(sign, at(Fault::Lose)).await,
        Verdict::Error,
        Some("the connection broke"),
    );
}

/// A block that is refused while the log has a warning.
fn refused_with_a_finding() -> Setup {
    refused().always(AT, Fault::Say(ONCE))
}

#[tokio::test(start_paused = true)]
async fn a_finding_beside_a_known_issue_is_a_failure() {
    let said = "beside the known issue (an old tale) the log shows: WARNING at mm/memory_hotplug.c:1 in online_pages";
    comes_to(
        &known(EIO, refused_with_a_finding()).await,
        Verdict::Fail,
        Some(said),
    );
}

#[tokio::test(start_paused = true)]
async fn a_finding_that_the_sign_explains_is_known_with_it() {
    let sign = "{ step: 2, kind: errno, pattern: 'failed with EIO', log: ['online_pages'] }";
    comes_to(
        &known(sign, refused_with_a_finding()).await,
        Verdict::Known,
        Some("an old tale"),
    );
}

#[tokio::test(start_paused = true)]
async fn ways_to_end_are_known_by_their_kind() {
    for (kind, fault, pattern) in [
        ("panic", Fault::Die(Death::Panic("no luck")), "no luck"),
        ("reset", Fault::Die(Death::Reset), "reset itself"),
        ("hang", Fault::Hang, "hangs"),
        ("finding", Fault::Say(ONCE), "online_pages"),
    ] {
        let sign = format!("{{ step: 2, kind: {kind}, pattern: '{pattern}' }}");
        let record = known(&sign, at(fault.clone())).await;
        assert_eq!(record.verdict, Verdict::Known, "{kind}: {:?}", record.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_case_goes_on_after_what_is_known_and_may_be_gone_on_after() {
    let sign = "{ step: 2, kind: mismatch, pattern: '^MemTotal: predicted \\d+, seen \\d+$', go_on: true }";
    let setup = Setup::x86().after("memrig-ledger", 3, Fault::Lie("/proc/meminfo:MemTotal", 4));
    let record = known(sign, setup).await;
    comes_to(
        &record,
        Verdict::Known,
        Some("an old tale: 1 entry of the guest's memory state"),
    );
    let told: Vec<_> = record.steps.iter().map(|step| step.verdict).collect();
    assert_eq!(told, [Verdict::Pass, Verdict::Known, Verdict::Pass]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_after_what_was_gone_on_after_counts_for_more() {
    let sign = "{ step: 2, kind: errno, pattern: 'EIO', go_on: true }";
    let record = known(sign, refused().busy(4)).await;
    comes_to(
        &record,
        Verdict::Fail,
        Some("failed with EINVAL, and must succeed"),
    );
}

/// An issue of the guests' kernel, whose sign is a panic with this text.
fn issue(pattern: &str) -> Arc<KernelIssue> {
    let text = format!(
        "issues: [{{ kernels: 6.12, reason: it dies, sign: {{ kind: panic, pattern: {pattern} }}, around: [go=round], evidence: x }}]"
    );
    let issues = KernelIssue::parse("x.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    Arc::new(issues[0].clone())
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_dies_of_an_issue_of_its_kernel_is_known_and_tried_once() {
    let end = vm::machine::End::Panicked {
        seen: vm::machine::PanicSource::Console,
        line: "Kernel panic - not syncing: early".to_owned(),
    };
    let dying = |pattern| {
        let mut lab = Lab::new(&steps_of(ONLINE), [Setup::no_guest(Trouble::ended(&end))]);
        lab.job.shows = Some(issue(pattern));
        lab
    };
    let record = dying("early").run().await;
    comes_to(&record, Verdict::Known, Some("it dies"));
    assert_eq!(verdicts(&record), [Verdict::Known]);
    comes_to(
        &dying("late").run().await,
        Verdict::Fail,
        Some("not the known issue"),
    );
    let mut alive = Lab::new(&steps_of(ONLINE), [Setup::x86()]);
    alive.job.shows = Some(issue("early"));
    comes_to(
        &alive.run().await,
        Verdict::Pass,
        Some("passes although it is listed as known: it dies"),
    );
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_goes_round_an_issue_of_its_kernel_says_so_and_has_no_excuse() {
    let mut lab = Lab::new(&steps_of(ONLINE), [refused()]);
    lab.job.around.push(issue("EIO"));
    let record = lab.run().await;
    assert_eq!(record.around.as_deref(), Some("go=round: it dies"));
    assert_eq!((record.verdict, record.known), (Verdict::Fail, None));
}
