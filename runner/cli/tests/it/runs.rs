// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole runs of the program with real guests: green where the kernel is right, red where it is made wrong.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use base::fault::Verdict;
use camino::Utf8Path;
use record::{CaseRecord, Rounds, RunRecord};

use crate::{
    PATIENCE,
    ground::{KERNELS, rig},
};

/// The program, with a results folder of the test's own.
fn memrig(results: &Path) -> Command {
    // What is slow on a new machine happens before any time is taken.
    rig();
    let mut command = Command::new(env!("CARGO_BIN_EXE_memrig"));
    command.env("MEMRIG_RESULTS", results).stdin(Stdio::null());
    command
}

fn latest(results: &Path) -> PathBuf {
    fs_err::canonicalize(results.join("latest")).unwrap()
}

fn record(results: &Path) -> RunRecord {
    let folder = latest(results);
    RunRecord::read(Utf8Path::from_path(&folder).unwrap()).unwrap().0
}

fn told(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn suite(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("own.yaml");
    fs_err::write(&path, text).unwrap();
    path
}

fn case<'a>(record: &'a RunRecord, id: &str) -> &'a CaseRecord {
    record
        .cases
        .iter()
        .find(|case| case.key.case == id)
        .unwrap_or_else(|| panic!("no case {id}"))
}

#[test]
fn the_quick_suite_passes_on_two_kernels_of_both_architectures() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = KERNELS
        .iter()
        .flat_map(|suite| ["-k".to_owned(), format!("debian:{suite}")]);
    let output = memrig(folder.path())
        .args(["run", "quick"])
        .args(kernels)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let record = record(folder.path());
    let passed = record
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Pass)
        .count();
    let steps: usize = record.cases.iter().map(|case| case.steps.len()).sum();
    assert!(
        passed >= 20 && steps >= 80,
        "{passed} passed with {steps} steps: {}",
        told(&output)
    );
    assert!(
        record
            .cases
            .iter()
            .all(|case| matches!(case.verdict, Verdict::Pass | Verdict::Skip))
    );
    let junit = fs_err::read_to_string(latest(folder.path()).join("junit.xml")).unwrap();
    assert_eq!(junit.matches("<testcase ").count(), record.cases.len());
}

const RED: &str = "\
suite: own
needs: { arch: [s390x], generation: [G1] }
cases:
  - id: REFUSED
    name: an assign is refused that nobody expects
    steps:
      - add: { as: b }
      - refuse_assign: { at: 1 }
      - online: { block: b, zone: movable }
  - id: LEAK
    name: an online that is refused halfway leaves storage assigned
    machine: { increment: 4MiB }
    steps:
      - add: { as: b }
      - refuse_assign: { at: 2 }
      - online: { block: b, zone: movable, fails: EPERM }
  - id: PANIC
    name: the kernel panics in the middle of a case
    steps:
      - add: { as: b }
      - guest: { run: echo c > /proc/sysrq-trigger }
      - online: { block: b, zone: movable }
  - id: WARN
    name: an expectation that is wrong
    steps:
      - add: { as: b }
      - read: { block: b, file: phys_index, is: no index at all }
  - id: FINE
    name: what follows a panic has a guest of its own
    steps:
      - add: { as: b }
      - online: { block: b, zone: movable }
";

const KNOWN: &str = "\
suite: own
needs: { arch: [s390x], generation: [G1] }
cases:
  - id: SHOWS
    name: the known issue
    known:
      - { kernels: 6.9.., reason: an index is none, sign: { step: read, kind: read, pattern: 'predicted no index' } }
    steps:
      - add: { as: b }
      - read: { block: b, file: phys_index, is: no index }
  - id: OTHER
    name: another failure before it
    known:
      - { kernels: 6.9.., reason: an index is none, sign: { step: read, kind: read, pattern: 'predicted no index' } }
    steps:
      - add: { as: b }
      - online: { block: b, zone: movable, fails: EIO }
      - read: { block: b, file: phys_index, is: no index }
  - id: GOES-ON
    name: the steps after it are done
    known:
      - { kernels: 6.9.., reason: an errno is none, sign: { step: EIO, kind: errno, pattern: 'must fail with EIO', go_on: true } }
    steps:
      - add: { as: b }
      - online: { block: b, zone: movable, fails: EIO }
      - offline: { block: b }
      - online: { block: b, zone: kernel }
  - id: GOES-ON-OTHER
    name: a failure after it is one
    known:
      - { kernels: 6.9.., reason: an errno is none, sign: { step: EIO, kind: errno, pattern: 'must fail with EIO', go_on: true } }
    steps:
      - add: { as: b }
      - online: { block: b, zone: movable, fails: EIO }
      - offline: { block: b, fails: EBUSY }
  - id: MENDED
    name: what is listed does not show
    known:
      - { kernels: 6.9.., reason: an index is none, sign: { step: 1, kind: errno, pattern: EIO } }
    steps:
      - add: { as: b }
";

#[test]
fn a_known_issue_hides_no_other_failure() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_own(folder.path(), KNOWN);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let record = record(folder.path());
    let came_to = |id| {
        let case = case(&record, id);
        let steps: Vec<_> = case.steps.iter().map(|step| step.verdict).collect();
        (case.verdict, case.attempts.len(), steps)
    };
    use Verdict::{Fail, Known, Pass};
    assert_eq!(came_to("SHOWS"), (Known, 1, vec![Pass, Fail]));
    assert_eq!(came_to("OTHER"), (Fail, 3, vec![Pass, Fail]));
    assert_eq!(came_to("GOES-ON"), (Known, 1, vec![Pass, Known, Pass, Pass]));
    assert_eq!(came_to("GOES-ON-OTHER"), (Fail, 3, vec![Pass, Known, Fail]));
    assert_eq!(came_to("MENDED"), (Pass, 1, vec![Pass]));
    let reason = |id| case(&record, id).reason.clone().unwrap();
    assert!(
        reason("SHOWS").starts_with("an index is none: "),
        "{}",
        reason("SHOWS")
    );
    assert!(
        reason("OTHER").contains("succeeded, and must fail with EIO")
            && reason("OTHER").ends_with(
                "not the known issue, which is step 3, read, /predicted no index/: an index is none"
            ),
        "{}",
        reason("OTHER")
    );
    assert!(
        reason("MENDED").starts_with("passes although it is listed as known"),
        "{}",
        reason("MENDED")
    );
}

#[test]
fn a_script_finds_its_blocks_and_the_files_beside_its_suite() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("lib")).unwrap();
    fs_err::write(folder.path().join("lib/it's.sh"), "#!/bin/sh\nexit $1\n").unwrap();
    let text = "\
suite: own
needs: { arch: [s390x], generation: [G1] }
cases:
  - id: FILES
    name: files are there, and a script knows its blocks
    steps:
      - add: { as: b, times: 2 }
      - guest: { block: b, files: [\"lib/it's.sh\"], run: 'set -- $block; \"/run/files/lib/it''s.sh\" $#', fails: 2 }
      - guest: { block: b.1, run: 'test \"$pfn\" -eq $((block * 0x$(cat /sys/devices/system/memory/block_size_bytes) / 4096))' }
      - online: { block: b, zone: movable }
      - offline: { block: b }
      - remove: { block: b }
  - id: NO-SUCH-BLOCK
    name: what the guest did not boot with is no failure
    steps:
      - offline: { block: boot.4000 }
";
    let output = run_own(folder.path(), text);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let record = record(folder.path());
    assert_eq!(case(&record, "FILES").verdict, Verdict::Pass, "{}", told(&output));
    let lacking = case(&record, "NO-SUCH-BLOCK");
    assert_eq!(lacking.verdict, Verdict::Skip);
    let reason = lacking.reason.as_deref().unwrap();
    assert!(
        reason.starts_with("needs boot.4000 to be memory at boot, and that is memory0 to memory"),
        "{reason}"
    );
}

/// Runs a suite of the test's own on 6.12, s390x.
fn run_own(folder: &Path, text: &str) -> Output {
    memrig(folder)
        .arg("run")
        .arg(suite(folder, text))
        .args(["-k", "debian:trixie", "-a", "s390x"])
        .output()
        .unwrap()
}

#[test]
fn what_is_made_wrong_is_red() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_own(folder.path(), RED);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let record = record(folder.path());
    let fails = |id: &str, why: &str| {
        let case = case(&record, id);
        let reason = case.reason.clone().unwrap_or_default();
        assert_eq!(case.verdict, Verdict::Fail, "{id}: {reason}");
        assert!(reason.contains(why), "{id}: {reason}");
    };
    fails("REFUSED", "failed with EPERM, and must succeed");
    fails("LEAK", "assigned");
    fails("PANIC", "panic");
    fails("WARN", "does not say what it must");
    // Nobody knows of these failures, so that each was looked at three times.
    assert_eq!(case(&record, "WARN").attempts.len(), 3);
    assert!(
        case(&record, "WARN")
            .reason
            .as_ref()
            .is_some_and(|why| why.ends_with("[3 of 3]"))
    );
    assert_eq!(
        case(&record, "FINE").verdict,
        Verdict::Pass,
        "{:?}",
        case(&record, "FINE").reason
    );
    // The panic stopped the case where it happened, and its log is kept.
    assert_eq!(case(&record, "PANIC").steps.len(), 2);
    assert!(case(&record, "PANIC").log_excerpt.contains("Kernel panic"));
}

const TIMED: &str = "\
suite: own
needs: { arch: [s390x] }
machine: { hotplug: 1GiB, clock: instructions }
cases:
  - id: ONE
    name: a guest boots
    cmdline: [initcall_debug]
    boot: fresh
    steps: [ log: { has: 'initcall sclp_detect_standby_memory' } ]
  - id: TWO
    name: another guest boots
    cmdline: [initcall_debug]
    boot: fresh
    steps: [ log: { has: 'initcall sclp_detect_standby_memory' } ]
";

/// Under the host's clock the same initcall moves by more than this from boot to boot.
#[test]
fn under_a_clock_of_instructions_two_boots_take_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_own(folder.path(), TIMED);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let record = record(folder.path());
    let traces = record.traces();
    let took = ["ONE", "TWO"].map(|id| {
        let trace = &traces[&case(&record, id).key.id()];
        let mut calls = trace.initcalls.iter();
        calls
            .find(|(name, _)| name == "sclp_detect_standby_memory")
            .unwrap()
            .1
    });
    assert!(took[0].abs_diff(took[1]) * 200 <= took[0], "{took:?} us");
}

#[test]
fn a_qemu_without_standby_memory_is_an_error_and_no_pass() {
    let folder = tempfile::tempdir().unwrap();
    // The x86_64 QEMU stands for any binary that is not ours: it runs, and has nothing of what is needed.
    let output = memrig(folder.path())
        .args([
            "run",
            "quick",
            "-k",
            "debian:trixie",
            "-a",
            "s390x",
            "-c",
            "Q01",
            "--qemu",
            "s390x=/usr/bin/qemu-system-x86_64",
        ])
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(0), "{}", told(&output));
    assert_ne!(output.status.code(), Some(1), "{}", told(&output));
}

/// A process's name, state and parent, as its `stat` has them; `None` if it is gone.
fn stat(pid: u32) -> Option<(String, char, u32)> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let (state, parent) = (words.next()?.chars().next()?, words.next()?.parse().ok()?);
    Some((name.to_owned(), state, parent))
}

/// The QEMUs that a process has started.
pub(crate) fn qemus_of(parent: u32) -> Vec<u32> {
    fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            stat(*pid).is_some_and(|(name, _, its)| its == parent && name.starts_with("qemu-system"))
        })
        .collect()
}

fn alive(pid: u32) -> bool {
    !matches!(stat(pid), None | Some((_, 'Z' | 'X', _)))
}

#[test]
fn after_a_kill_no_qemu_lives_and_the_run_is_finished_by_resume() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = memrig(folder.path())
        .args([
            "run",
            "quick",
            "-k",
            "debian:trixie",
            "-c",
            "Q01",
            "-j",
            "1",
            "--repeat",
            "2",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(120);
    let mut qemus = Vec::new();
    while qemus.is_empty() {
        assert!(Instant::now() < limit, "no guest was started");
        std::thread::sleep(Duration::from_millis(50));
        qemus = qemus_of(child.id());
        // A binary that is asked what it can do is no guest of the run.
        if !folder.path().join("latest").exists() {
            qemus.clear();
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let limit = Instant::now() + PATIENCE;
    while qemus.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < limit, "QEMU {qemus:?} outlived memrig");
        std::thread::sleep(Duration::from_millis(20));
    }
    let record = record(folder.path());
    assert!(
        record.cases.iter().any(|case| case.verdict == Verdict::Error),
        "a case that was cut off is an error"
    );
    assert!(!record.not_run.is_empty());

    let planned = record.cases.len() + record.not_run.len();
    let output = memrig(folder.path())
        .args(["run", "--resume"])
        .arg(folder.path().join("latest"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let again = self::record(folder.path());
    assert_eq!(again.facts, record.facts, "it is the same run");
    assert_eq!(again.cases.len(), planned);
    let rounds = Rounds::of(&again).unwrap();
    assert_eq!((rounds.rounds, rounds.cases), (2, planned / 2));
    assert_eq!(rounds.differ, []);
    assert!(again.not_run.is_empty() && again.unfinished.is_empty());
    assert!(
        again
            .cases
            .iter()
            .all(|case| matches!(case.verdict, Verdict::Pass | Verdict::Skip)),
        "{}",
        told(&output)
    );
    let output = memrig(folder.path())
        .args(["run", "--resume"])
        .arg(folder.path().join("latest"))
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(4),
        "nothing is left: {}",
        told(&output)
    );
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "run",
        "quick",
        "-k",
        "debian:trixie",
        "-a",
        "x86_64",
        "-c",
        "Q02",
        "-j",
        "1",
    ];
    let children: Vec<_> = (0..2)
        .map(|_| {
            memrig(folder.path())
                .args(args)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
    let runs = fs_err::read_dir(folder.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().join("junit.xml").exists());
    // `latest` points to one of them.
    assert_eq!(runs.count(), 3);
}
