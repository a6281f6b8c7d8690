// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sequences in guests that are none: they pass where nothing is wrong, and what is wrong is found once and made short.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use camino::Utf8Path;

use super::{
    field::{Asked, Field, Grounds, keep},
    findings::{Ended, Signs},
    lead::Lead,
};
use crate::{
    case::{
        Trouble,
        fake::{Fault, HeldFault, Lab, Setup},
    },
    session::{Origin, Stage},
};
use ::explore::{Able, Corpus, Draw, Issues, Whose, setups};
use base::{Arch, fault::Verdict};
use suite::Suite;

impl Grounds for Lab {
    fn stage(&self) -> &Stage {
        &self.stage
    }
}

fn field(arch: Arch, setup: Setup, issues: Issues) -> Arc<Field<Lab>> {
    field_of(arch, [setup], issues)
}

/// One whose guests are these, the last of them again and again.
fn field_of<const N: usize>(arch: Arch, setups_of: [Setup; N], issues: Issues) -> Arc<Field<Lab>> {
    let lab = Lab::new(
        "    steps:\n      - auto_online: { policy: offline }\n",
        setups_of,
    );
    Arc::new(Field {
        jobs: vec![lab.job.clone(); setups(arch).len()],
        grounds: Arc::new(lab),
        draw: Draw { arch, seed: 3 },
        able: Able {
            vetoes: true,
            ..Able::default()
        },
        tries: 60,
        issues,
        cmdline: Vec::new(),
        signs: Mutex::new(Signs::default()),
        lead: Mutex::new(lead(arch)),
        began: Instant::now(),
        until: None,
    })
}

fn lead(arch: Arch) -> Lead {
    let whose = Whose {
        kernel: "lab".to_owned(),
        arch,
        build: String::new(),
    };
    Lead::new(Corpus::new(whose), false)
}

async fn ended(field: &Arc<Field<Lab>>, sequences: u64) -> Vec<Ended> {
    let mut ended = Vec::new();
    for number in 0..sequences {
        ended.push(field.clone().run(number).await);
    }
    ended
}

/// What a guest made of the sequence of a number.
async fn asked(field: &Field<Lab>, number: u64) -> Asked {
    let sequence = field.draw.sequence(number);
    let asked = field.ask(&sequence, ("", None), number, Origin::Clone);
    asked.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_wrong_every_sequence_passes() {
    for (arch, setup) in [
        (Arch::X86_64, Setup::x86()),
        (Arch::X86_64, Setup::x86_altmap()),
        (Arch::S390x, Setup::g1()),
        (Arch::S390x, Setup::g2()),
    ] {
        // The first block holds the kernel.
        let field = field(arch, setup.busy(0), Issues::default());
        for number in 0..12 {
            let tried = asked(&field, number).await.tried;
            assert_eq!(tried.verdict, Verdict::Pass, "{arch} {number}: {}", tried.reason);
            assert!(tried.steps > 1, "{number}");
        }
    }
}

/// The kernel tries without an end to empty the block that it is in.
#[tokio::test(start_paused = true)]
async fn a_block_that_is_never_emptied_ends_its_sequence_and_is_no_finding() {
    let at = "memory0/state offline";
    let said = Fault::Say("page dumped because: migration failure");
    let setup = Setup::x86().always(at, said).always(at, Fault::Stick);
    let field = field(Arch::X86_64, setup, Issues::default());
    let ended = ended(&field, 20).await;
    let given_up: Vec<&Ended> = ended
        .iter()
        .filter(|ended| ended.verdict == Verdict::Skip)
        .collect();
    assert!(!given_up.is_empty());
    for ended in given_up {
        let why = "does not end, and the kernel keeps trying to empty the block: memory0 is in zone";
        assert!(ended.reason.contains(why), "{}", ended.reason);
    }
    assert!(ended.iter().all(|ended| ended.verdict <= Verdict::Pass));
}

#[tokio::test(start_paused = true)]
async fn pages_that_come_to_lie_elsewhere_are_let_go_and_the_sequence_goes_on() {
    let setup = Setup::x86().busy(0).held_fault(HeldFault::Elsewhere);
    let field = field(Arch::X86_64, setup, Issues::default());
    let mut holds = 0;
    for number in 0..12 {
        let asked = asked(&field, number).await;
        assert_eq!(
            asked.tried.verdict,
            Verdict::Pass,
            "{number}: {}",
            asked.tried.reason
        );
        let told = asked.drawn.steps;
        assert!(!told.iter().any(|step| step.contains("hold:")), "{told:?}");
        holds += usize::from(told.len() < asked.tried.steps);
    }
    assert!(holds > 0);
}

/// One of the policies is refused. The first block holds the kernel.
fn faulty() -> Setup {
    let refused = Fault::Refuse("EIO".parse().unwrap());
    Setup::x86()
        .busy(0)
        .always("auto_online_blocks online_kernel", refused)
}

#[tokio::test]
async fn a_fault_is_found_once_and_made_short() {
    let field = field(Arch::X86_64, faulty(), Issues::default());
    let mut ended: Vec<Ended> = Vec::new();
    for number in 0..20 {
        ended.push(field.clone().run(number).await);
        if ended.iter().filter(|ended| ended.sign.is_some()).count() == 2 {
            break;
        }
    }
    let found: Vec<_> = ended.iter().filter_map(|ended| ended.found.as_ref()).collect();
    let [found] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        found.sign,
        "auto_online, errno: auto_online_blocks failed with EIO, and must succeed"
    );
    assert!(found.steps > found.shortest && found.tries > 0, "{found:?}");
    assert_eq!(found.again, (2, 2));
    let folder = field.grounds.stage.folder.path();
    assert!(folder.join(&found.evidence).join("ledgers.json").is_file());
    let text = fs_err::read_to_string(folder.join(&found.file)).unwrap();
    let suite = Suite::parse(&found.file, &text).unwrap_or_else(|errors| panic!("{errors}"));
    let steps: Vec<String> = suite.cases[0].steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "auto_online: { policy: offline }",
            "add: { as: b1 }",
            "auto_online: { policy: kernel }"
        ]
    );
}

/// What a guest of this kind, which does something twice, is found by, and the look that its case ends with.
///
/// No step of a sequence looks at what was sent, and no case of a suite but one that says so.
async fn found_by_a_look(arch: Arch, setup: Setup) -> (String, Option<String>) {
    let mut field = field(arch, setup, Issues::default());
    Arc::get_mut(&mut field).expect("nobody else's").tries = 0;
    let ended = field.clone().run(0).await;
    let found = ended.found.expect("a finding");
    let text = fs_err::read_to_string(field.grounds.stage.folder.path().join(&found.file)).unwrap();
    let suite = Suite::parse(&found.file, &text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(found.shortest + 1, suite.cases[0].steps.len() as u64);
    let last = suite.cases[0].steps.last().map(ToString::to_string);
    (found.sign, last)
}

#[tokio::test]
async fn a_notification_that_is_sent_twice_is_found_and_its_case_looks_at_it() {
    let (sign, last) = found_by_a_look(Arch::X86_64, Setup::x86().busy(0).notifies_twice()).await;
    let twice = "notifiers: memoryN: no MEM_ONLINE comes after MEM_ONLINE";
    assert!(sign.ends_with(twice), "{sign}");
    assert_eq!(last.as_deref(), Some("notifiers: { whole: true }"));
}

#[tokio::test]
async fn a_storage_command_that_is_sent_twice_is_found_and_its_case_looks_at_it() {
    let (sign, last) = found_by_a_look(Arch::S390x, Setup::g1().assigns_twice()).await;
    let twice = "storage_commands: a storage command was so already: Assign N: NxN";
    assert!(sign.ends_with(twice), "{sign}");
    assert_eq!(last.as_deref(), Some("storage_commands: { are: done }"));
}

/// The free pages of one guest are some less from its third memory state on, which no other guest shows.
#[tokio::test(start_paused = true)]
async fn free_pages_that_no_other_guest_shows_are_a_finding_only_when_they_come_often() {
    let lies = || {
        Setup::x86().after(
            "memrig-ledger",
            2,
            Fault::Lie("/proc/zoneinfo:  nr_free_pages", -60),
        )
    };
    let true_one = Setup::x86;
    let setups = [lies(), true_one(), true_one()];
    let setups: [Setup; 12] = std::array::from_fn(|at| setups[at % 3].clone());
    let field = field_of(Arch::X86_64, setups, Issues::default());
    let mut told = Vec::new();
    for _ in 0..4 {
        // The same sequence, in three guests each time.
        let ended = field.clone().run(1).await;
        assert_eq!(ended.verdict, Verdict::Fail, "{}", ended.reason);
        let again = ended.found.as_ref().map(|found| (found.again, found.tries));
        told.push((ended.once.is_some(), ended.sign.is_some(), again));
    }
    let chance = (true, false, None);
    assert_eq!(told, [chance, chance, chance, (false, true, Some(((0, 2), 0)))]);
}

#[tokio::test]
async fn a_finding_is_given_no_more_time_than_its_kernel_but_a_minute() {
    let patience = |explored: Option<u64>| {
        let mut field = Arc::into_inner(field(Arch::X86_64, Setup::x86(), Issues::default())).expect("one");
        field.until = explored.map(|seconds| field.began + Duration::from_secs(seconds));
        field.patience().as_secs()
    };
    assert_eq!(
        [Some(5), Some(150), Some(3600), None].map(patience),
        [60, 150, 600, 600]
    );
}

/// What a suite lists whose case has this known issue, an `add` and an `auto_online`.
fn listed(known: &str) -> Issues {
    let text = format!(
        "suite: x\ncases:\n  - id: A\n    name: a\n    known: [{{ {known} }}]\n    \
         steps: [add: {{ as: b }}, auto_online: {{ policy: kernel }}]\n"
    );
    Issues::of([&Suite::parse("x.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"))])
}

#[tokio::test(start_paused = true)]
async fn what_a_suite_lists_as_known_is_no_finding() {
    let issues = listed(
        "kernels: 6.12.., reason: the policy is refused, sign: { step: 2, kind: errno, pattern: 'failed with EIO' }",
    );
    let field = field(Arch::X86_64, faulty(), issues);
    let ended = ended(&field, 8).await;
    assert!(ended.iter().any(|ended| !ended.known.is_empty()));
    for ended in ended {
        assert!(
            ended.sign.is_none() && ended.verdict <= Verdict::Known,
            "{}",
            ended.reason
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_dies_as_it_boots_is_a_finding_unless_a_suite_knows_it() {
    let known = listed(
        "kernels: 0.., reason: it dies, sign: { step: boot, kind: panic, pattern: 'not syncing: early' }",
    );
    for (issues, verdict, found) in [
        (Issues::default(), Verdict::Fail, true),
        (known, Verdict::Known, false),
    ] {
        let end = vm::machine::End::Panicked {
            seen: vm::machine::PanicSource::Console,
            line: "Kernel panic - not syncing: early".to_owned(),
        };
        let dies = Setup::no_guest(Trouble::ended(&end));
        let ended = ended(&field(Arch::X86_64, dies, issues), 1).await;
        let [ended] = ended.as_slice() else {
            panic!("{ended:?}")
        };
        assert_eq!(
            (ended.verdict, ended.found.is_some()),
            (verdict, found),
            "{ended:?}"
        );
        assert_eq!(ended.known.len(), usize::from(!found));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sequence_that_breaks_is_tried_once_more_and_accuses_nobody() {
    let field = field(
        Arch::X86_64,
        Setup::x86().always("memrig-ledger", Fault::Lose),
        Issues::default(),
    );
    let ended = ended(&field, 1).await;
    assert_eq!(
        (ended[0].verdict, ended[0].steps),
        (Verdict::Error, 0),
        "{}",
        ended[0].reason
    );
    assert_eq!(field.grounds.origins.lock().unwrap().len(), 2);
    assert!(ended[0].sign.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_sequence_ends_with_its_time() {
    let field = field(Arch::X86_64, Setup::x86(), Issues::default());
    let sequence = field.draw.sequence(0);
    let over = Some(Instant::now());
    let asked = field.ask(&sequence, ("", over), 0, Origin::Clone).await.unwrap();
    assert_eq!(
        (asked.tried.verdict, asked.tried.steps),
        (Verdict::Pass, 1),
        "its opening alone"
    );
}

#[test]
fn what_two_kernels_show_in_one_sequence_has_two_files_unless_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let run = Utf8Path::from_path(folder.path()).unwrap();
    let text = |kernel: &'static str, step: &'static str| {
        move |name: &str| format!("# found on {kernel}\nsuite: {name}\n{step}\n")
    };
    let kept = |kernel, step| keep(run, "s390x-online-3", text(kernel, step)).unwrap();
    let name = "found/s390x-online-3.yaml";
    assert_eq!(kept("6.12", "online"), name);
    assert_eq!(kept("7.2", "online"), name);
    assert_eq!(kept("7.2", "offline"), "found/s390x-online-3-2.yaml");
    assert_eq!(kept("6.1", "offline"), "found/s390x-online-3-2.yaml");
    assert_eq!(kept("6.1", "remove"), "found/s390x-online-3-3.yaml");
    let first = fs_err::read_to_string(run.join(name)).unwrap();
    assert_eq!(first, text("6.12", "online")("s390x-online-3"));
}
