// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a case whose guest breaks: whom it accuses, and how often it is tried.

use std::time::Duration;

use super::{
    fake::{Death, Fault, Lab, Setup, cases, comes_to, steps_of, tried},
    trouble::Trouble,
};
use crate::session::Origin;
use base::fault::Verdict;
use record::{CaseRecord, GuestEnd};

/// A block that goes online.
pub(super) const ONLINE: &str = "add: { as: b }\nonline: { block: b, zone: movable }";

/// Where the guest meets what goes wrong: in the second step.
pub(super) const AT: &str = "memory4/state online";

pub(super) fn refused() -> Setup {
    Setup::x86().always(AT, Fault::Refuse("EIO".parse().unwrap()))
}

pub(super) fn at(fault: Fault) -> Setup {
    Setup::x86().always(AT, fault)
}

pub(super) fn verdicts(record: &CaseRecord) -> Vec<Verdict> {
    record.attempts.iter().map(|attempt| attempt.verdict).collect()
}

pub(super) const ONCE: &str = "WARNING: CPU: 0 PID: 1 at mm/memory_hotplug.c:1 online_pages+0x1/0x2";

// A guest that breaks in a step.
cases! {
    a_panic_is_the_kernels: at(Fault::Die(Death::Panic("no luck"))), ONLINE => Fail, "the kernel panicked: panic: no luck";
    a_reset_is_the_kernels: at(Fault::Die(Death::Reset)), ONLINE => Fail, "the guest reset itself";
    a_qemu_that_is_gone_is_nobodys_failure: at(Fault::Die(Death::QemuGone)), ONLINE => Error, "out of memory";
    a_guest_that_answers_nobody_hangs: at(Fault::Hang), ONLINE
        => Fail, "no answer within 30.0 s: the guest hangs: QEMU runs it, and it does not answer";
    a_write_that_does_not_end_hangs_alone: at(Fault::Stick), ONLINE => Fail, "this hangs, while the guest answers other questions";
    a_hang_is_told_with_its_place: at(Fault::Stick), ONLINE
        => Fail, "the step's shell (pid 140) is blocked in mem_hotplug_begin";
    a_connection_that_breaks_is_nobodys_failure: at(Fault::Lose), ONLINE => Error, "the connection broke, and the guest lives";
    a_host_that_is_too_busy_accuses_nobody: at(Fault::Starve), ONLINE => Error, "in which the host was too busy";
    an_answer_that_is_late_is_one: at(Fault::Late(10)), ONLINE => Pass;
    a_program_that_does_not_end_hangs_alone: Setup::x86().program("forever", 0, "").always("forever", Fault::Stick),
        "guest: { run: forever }" => Fail, "script `forever`: no answer within 30.0 s: this hangs";
    a_guest_that_dies_of_a_program: Setup::x86().program("crash", 0, "").always("crash", Fault::Die(Death::Panic("sysrq"))),
        "guest: { run: crash }" => Fail, "the kernel panicked: panic: sysrq";
    a_guest_that_dies_as_it_tells_its_facts: Setup::x86().always("vmcoreinfo", Fault::Die(Death::Panic("early"))),
        ONLINE => Fail, "the kernel panicked: panic: early";
    facts_that_do_not_read_are_nobodys_failure: Setup::x86().always("vmcoreinfo", Fault::Exit(1, "")),
        ONLINE => Error, "the guest's facts do not read";
    a_guest_that_does_not_tell_its_log_did_not_pass: Setup::x86().always("dmesg", Fault::Stick), ONLINE
        => Fail, "script `dmesg`: no answer within 30.0 s: this hangs";
    a_log_that_ends_badly_is_nobodys_failure: Setup::x86().always("dmesg", Fault::Exit(1, "")), ONLINE
        => Error, "reading the kernel log ended with 1";
}

// What the kernel's log shows.
cases! {
    a_warning_in_a_step_fails: at(Fault::Say(ONCE)), ONLINE => Fail, "the kernel log shows: WARNING at mm/memory_hotplug.c:1 in online_pages";
    a_warning_while_booting_fails: Setup::x86().boots_saying(ONCE), ONLINE
        => Fail, "the kernel log shows, while booting: WARNING at mm/memory_hotplug.c:1 in online_pages";
    a_warning_as_the_log_is_read_fails: Setup::x86().always("dmesg", Fault::Say(ONCE)), ONLINE
        => Fail, "the kernel log shows: WARNING at mm/memory_hotplug.c:1 in online_pages";
    a_warning_outranks_what_broke: at(Fault::Lose).always(AT, Fault::Say(ONCE)), ONLINE => Error, "the connection broke";
    a_warning_before_what_broke_is_the_kernels: Setup::x86().always(AT, Fault::Say(ONCE)).always(AT, Fault::Lose), ONLINE
        => Fail, "the kernel log shows: WARNING at mm/memory_hotplug.c:1 in online_pages; write";
    a_refusal_keeps_its_words_beside_a_warning:
        Setup::x86().always(AT, Fault::Say(ONCE)).always(AT, Fault::Refuse("EIO".parse().unwrap())), ONLINE
        => Fail, "failed with EIO, and must succeed";
    a_taint_that_the_log_explains_is_no_mismatch:
        Setup::x86().always(AT, Fault::Say(ONCE)).after("memrig-ledger", 3, Fault::Lie("/proc/sys/kernel/tainted", 512)), ONLINE
        => Fail, "the kernel log shows: WARNING at mm/memory_hotplug.c:1 in online_pages";
    an_ordinary_line_is_no_finding: at(Fault::Say("Built 1 zonelists, mobility grouping on")), ONLINE => Pass;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_the_case_allows_is_no_finding() {
    let case = format!("    allow_log: ['online_pages']\n{}", steps_of(ONLINE));
    comes_to(
        &Lab::new(&case, [at(Fault::Say(ONCE))]).run().await,
        Verdict::Pass,
        None,
    );
}

#[tokio::test(start_paused = true)]
async fn a_finding_says_in_which_step_it_came_and_how_often() {
    let record = tried(
        ONLINE,
        [Setup::x86()
            .always(AT, Fault::Say(ONCE))
            .always("memrig-ledger", Fault::Say("hello"))],
    )
    .await;
    let [finding] = record.findings.as_slice() else {
        panic!("{:?}", record.findings)
    };
    assert_eq!((finding.since_step, finding.times), (Some(2), 1));
    assert!(
        record.log_excerpt.contains("online_pages+0x1/0x2"),
        "{}",
        record.log_excerpt
    );
}

// How often a case is tried.

async fn attempts(setups: impl IntoIterator<Item = Setup>) -> (Verdict, Vec<Verdict>, String) {
    let record = tried(ONLINE, setups).await;
    (
        record.verdict,
        verdicts(&record),
        // A pass has none.
        record.reason.unwrap_or_default(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_pass_is_tried_once() {
    assert_eq!(
        attempts([Setup::x86()]).await,
        (Verdict::Pass, vec![Verdict::Pass], String::new())
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_three_times() {
    use Verdict::Fail;
    let (verdict, all, reason) = attempts([refused()]).await;
    assert_eq!((verdict, all), (Fail, vec![Fail; 3]));
    assert!(reason.ends_with("[3 of 3]"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_guest_stays_one_and_is_told_as_sometimes() {
    use Verdict::{Fail, Pass};
    let (verdict, all, reason) = attempts([refused(), Setup::x86()]).await;
    assert_eq!((verdict, all), (Fail, vec![Fail, Pass, Pass]));
    assert!(
        reason.contains("failed with EIO") && reason.ends_with("[1 of 3]"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_last_guest_is_told_too() {
    use Verdict::{Fail, Pass};
    let (verdict, all, reason) = attempts([refused(), Setup::x86(), refused()]).await;
    assert_eq!((verdict, all), (Fail, vec![Fail, Pass, Fail]));
    assert!(reason.ends_with("[2 of 3]"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_error_between_failures_is_no_guest_that_told() {
    use Verdict::{Error, Fail};
    let (verdict, all, reason) = attempts([refused(), at(Fault::Lose), refused()]).await;
    assert_eq!((verdict, all), (Fail, vec![Fail, Error, Fail]));
    assert!(reason.ends_with("[2 of 2]"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_tried_once_more() {
    use Verdict::{Error, Pass};
    let (verdict, all, _) = attempts([at(Fault::Lose)]).await;
    assert_eq!((verdict, all), (Error, vec![Error; 2]));
    let (verdict, all, reason) = attempts([at(Fault::Lose), Setup::x86()]).await;
    assert_eq!((verdict, all, reason.as_str()), (Pass, vec![Error, Pass], ""));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_turns_into_a_failure_is_tried_as_one() {
    use Verdict::{Error, Fail};
    let (verdict, all, _) = attempts([at(Fault::Lose), refused()]).await;
    assert_eq!((verdict, all), (Fail, vec![Error, Fail, Fail, Fail]));
}

#[tokio::test(start_paused = true)]
async fn what_no_other_guest_changes_is_tried_once() {
    let record = tried("add: { as: b, blocks: 13 }", [Setup::g1()]).await;
    assert_eq!(verdicts(&record), [Verdict::Error]);
}

#[tokio::test(start_paused = true)]
async fn what_the_host_was_too_busy_for_is_made_up_for() {
    use Verdict::{Error, Pass};
    let (verdict, all, _) = attempts([at(Fault::Starve)]).await;
    assert_eq!((verdict, all), (Error, vec![Error; 4]));
    let (verdict, all, _) = attempts([
        at(Fault::Starve),
        at(Fault::Starve),
        at(Fault::Lose),
        Setup::x86(),
    ])
    .await;
    assert_eq!((verdict, all), (Pass, vec![Error, Error, Error, Pass]));
}

#[tokio::test(start_paused = true)]
async fn a_hang_is_repeated_once() {
    use Verdict::Fail;
    assert_eq!(attempts([at(Fault::Hang)]).await.1, [Fail; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_hang_that_ends_the_run_is_not_repeated() {
    let mut lab = Lab::new(&steps_of(ONLINE), [at(Fault::Stick)]);
    lab.stage.fail_fast = true;
    assert_eq!(verdicts(&lab.run().await), [Verdict::Fail]);
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_retry_gets_one_guest_for_a_case() {
    for (setup, verdict) in [
        (at(Fault::Lose), Verdict::Error),
        (at(Fault::Starve), Verdict::Error),
        (refused(), Verdict::Fail),
    ] {
        let mut lab = Lab::new(&steps_of(ONLINE), [setup]);
        lab.stage.no_retry = true;
        assert_eq!(verdicts(&lab.run().await), [verdict]);
    }
}

#[tokio::test(start_paused = true)]
async fn where_kernels_are_compared_the_other_pair_tells_how_often() {
    let mut lab = Lab::new(&steps_of(ONLINE), [refused()]);
    lab.stage.watch = true;
    assert_eq!(verdicts(&lab.run().await), [Verdict::Fail]);
}

#[tokio::test(start_paused = true)]
async fn a_case_that_is_tried_again_boots() {
    let lab = Lab::new(&steps_of(ONLINE), [refused()]);
    lab.run().await;
    assert_eq!(
        *lab.origins.lock().unwrap(),
        [Origin::Clone, Origin::Boot, Origin::Boot]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_the_kernels_is_asked_once_in_a_run() {
    let lab = Lab::new(&steps_of(ONLINE), [refused()]);
    lab.run().await;
    assert_eq!((lab.asked("kallsyms"), lab.asked("vmcoreinfo")), (1, 3));
}

// Guests that never come to be.

#[tokio::test(start_paused = true)]
async fn a_guest_that_does_not_start_is_an_error_of_two_attempts() {
    let record = tried(ONLINE, [Setup::no_guest(Trouble::bench("no memory left"))]).await;
    comes_to(&record, Verdict::Error, Some("no memory left"));
    assert_eq!((verdicts(&record).len(), record.steps.len()), (2, 0));
    assert_eq!(record.ended, Some(GuestEnd::NotReady));
    assert!(record.command_line.contains("qemu"), "{}", record.command_line);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_lacks_something_of_qemu_is_tried_once() {
    let record = tried(ONLINE, [Setup::no_guest(Trouble::lasting("no such device"))]).await;
    assert_eq!(verdicts(&record), [Verdict::Error]);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_panics_as_it_boots_fails() {
    let end = vm::machine::End::Panicked {
        seen: vm::machine::PanicSource::Console,
        line: "Kernel panic - not syncing: early".to_owned(),
    };
    let record = tried(ONLINE, [Setup::no_guest(Trouble::ended(&end))]).await;
    comes_to(
        &record,
        Verdict::Fail,
        Some("the kernel panicked: Kernel panic - not syncing: early [3 of 3]"),
    );
    assert_eq!(record.ended, Some(GuestEnd::Panicked));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_skipped_starts_no_guest() {
    let mut lab = Lab::new(&steps_of(ONLINE), [Setup::x86()]);
    lab.job.skip = Some("needs CONFIG_X=y".to_owned());
    let record = lab.run().await;
    comes_to(&record, Verdict::Skip, Some("needs CONFIG_X=y"));
    assert!(record.attempts.is_empty() && lab.origins.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_skip_is_an_error_where_all_cases_are_required() {
    let mut lab = Lab::new(&steps_of(ONLINE), [Setup::x86()]);
    lab.job.skip = Some("needs CONFIG_X=y".to_owned());
    lab.stage.require_all = true;
    let said = "skipped, and all cases are required: needs CONFIG_X=y";
    comes_to(&lab.run().await, Verdict::Error, Some(said));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_a_case_needs_and_the_guest_lacks_skips() {
    let case = format!(
        "    needs: {{ arch: [x86_64], files: [/dev/kmsg] }}\n{}",
        steps_of(ONLINE)
    );
    let lacks = Lab::new(&case, [Setup::x86()]).run().await;
    comes_to(
        &lacks,
        Verdict::Skip,
        Some("needs /dev/kmsg in the guest, and it is not there"),
    );
    let has = Lab::new(&case, [Setup::x86().file("/dev/kmsg", "")]).run().await;
    comes_to(&has, Verdict::Pass, None);
}

#[tokio::test(start_paused = true)]
async fn a_mode_that_a_case_needs_and_the_guest_has_not_skips() {
    let case = format!(
        "    needs: {{ arch: [x86_64], memmap_on_memory: [on] }}\n{}",
        steps_of(ONLINE)
    );
    let off = Lab::new(&case, [Setup::x86()]).run().await;
    comes_to(
        &off,
        Verdict::Skip,
        Some("needs memory_hotplug.memmap_on_memory on, and it is off"),
    );
    comes_to(
        &Lab::new(&case, [Setup::x86_altmap()]).run().await,
        Verdict::Pass,
        None,
    );
}

#[tokio::test(start_paused = true)]
async fn a_kernel_of_another_generation_is_booted_for_once() {
    let case = format!(
        "    needs: {{ arch: [s390x], generation: [G0] }}\n{}",
        steps_of("add: { as: b }")
    );
    let lab = Lab::new(&case, [Setup::g1()]);
    for _ in 0..2 {
        comes_to(
            &lab.run().await,
            Verdict::Skip,
            Some("needs interface generation G0, and the kernel is G1"),
        );
    }
    assert_eq!(lab.origins.lock().unwrap().len(), 1);
}

// Time, and somebody who does not want to wait.

#[tokio::test(start_paused = true)]
async fn a_time_limit_of_the_suite_is_kept() {
    let case = format!("    time_limit: 20s\n{}", steps_of(ONLINE));
    let record = Lab::new(&case, [at(Fault::Stick)]).run().await;
    comes_to(
        &record,
        Verdict::Fail,
        Some("no answer within 20.0 s: this hangs"),
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_suite_gives_more_time_is_waited_for() {
    let case = format!("    time_limit: 10min\n{}", steps_of(ONLINE));
    comes_to(
        &Lab::new(&case, [at(Fault::Late(599))]).run().await,
        Verdict::Pass,
        None,
    );
    let record = Lab::new(&case, [at(Fault::Late(601))]).run().await;
    comes_to(&record, Verdict::Fail, Some("no answer within 600.0 s"));
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_a_step_that_hangs() {
    let lab = Lab::new(&steps_of(ONLINE), [at(Fault::Hang)]);
    let (stop, began) = (lab.stage.stop.clone(), tokio::time::Instant::now());
    let (record, ()) = tokio::join!(lab.run(), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        stop.ask();
    });
    assert_eq!(
        (record.verdict, record.reason.as_deref()),
        (Verdict::Error, Some(super::INTERRUPTED))
    );
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(record.attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_case_that_begins_after_an_interrupt_ends_at_once() {
    let lab = Lab::new(&steps_of(ONLINE), [at(Fault::Hang)]);
    lab.stage.stop.ask();
    let record = lab.run().await;
    assert_eq!(
        (record.verdict, record.reason.as_deref()),
        (Verdict::Error, Some(super::INTERRUPTED))
    );
}

#[tokio::test(start_paused = true)]
async fn how_a_guest_ended_is_told() {
    for (fault, ended) in [
        (Fault::Die(Death::Panic("x")), GuestEnd::Panicked),
        (Fault::Die(Death::Reset), GuestEnd::PoweredOff),
        (Fault::Hang, GuestEnd::Hung),
        (Fault::Stick, GuestEnd::Hung),
        (Fault::Lose, GuestEnd::Stopped),
        (Fault::Late(0), GuestEnd::Stopped),
    ] {
        assert_eq!(
            tried(ONLINE, [at(fault.clone())]).await.ended,
            Some(ended),
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_steps_up_to_the_first_that_fails_are_told() {
    let steps = format!("{ONLINE}\noffline: {{ block: b }}");
    let record = tried(&steps, [refused()]).await;
    let told: Vec<_> = record
        .steps
        .iter()
        .map(|step| (step.number, step.verdict, step.ledger))
        .collect();
    assert_eq!(told, [(1, Verdict::Pass, Some(1)), (2, Verdict::Fail, Some(2))]);
    assert!(record.steps[1].message.as_ref().unwrap().contains("EIO"));
    assert_eq!(record.steps[1].text, "online: { block: b, zone: movable }");
}

#[tokio::test(start_paused = true)]
async fn what_a_guest_said_and_did_is_in_the_folder_of_its_attempt() {
    let lab = Lab::new(&steps_of(ONLINE), [at(Fault::Stick)]);
    lab.run().await;
    for folder in ["attempt-1/", ""] {
        let kept = |name: &str| lab.kept(&format!("{folder}{name}"));
        assert!(kept("dmesg.log").contains("Linux version"));
        assert!(kept("tasks.log").contains("mem_hotplug_begin"));
        assert!(kept("ledgers.json").contains("mem_total"));
    }
}
