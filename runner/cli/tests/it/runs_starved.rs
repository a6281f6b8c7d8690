// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host that does not let a guest run, and the kernel's word of it: nothing that speaks against the kernel.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base::fault::Verdict;
use camino::Utf8Path;
use record::RunRecord;
use rustix::process::{Pid, Signal, kill_process};

use crate::{ground::rig, runs::qemus_of};

/// How long anything here may take.
const LIMIT: Duration = Duration::from_mins(10);

/// What the guest says when it is to be stopped.
const SIGN: &str = "the guest is busy";

/// The guest says what its kernel says when no CPU did anything for a while, and looks for that for half a minute: whoever stops it may be late. Whether
/// the kernel itself does is a matter of chance. It looks at its clock before it says its sign: whoever stops it may be quicker than its next look.
const SUITE: &str = "\
suite: own
needs: { arch: [x86_64] }
cases:
  - id: BUSY
    name: a guest that looks at the time
    boot: fresh
    steps:
      - guest:
          run: |
            set -- the guest is busy
            then=$(cut -d. -f1 /proc/uptime)
            echo $* > /dev/kmsg
            until=$((then + 30))
            while [ $then -lt $until ]; do
              now=$(cut -d. -f1 /proc/uptime)
              [ $((now - then)) -lt 6 ] || { echo 'rcu: INFO: rcu_preempt self-detected stall on CPU' > /dev/kmsg; break; }
              then=$now
            done
";

/// The consoles below a folder.
fn consoles(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(consoles(&path));
        } else if path.ends_with("console.log") {
            found.push(path);
        }
    }
    found
}

/// Waits until the guest says its sign.
fn wait_for_sign(results: &Path, memrig: &mut Child) {
    let began = Instant::now();
    let said = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains(SIGN));
    while !consoles(results).iter().any(said) {
        assert_eq!(memrig.try_wait().unwrap(), None, "it ended");
        assert!(began.elapsed() < LIMIT, "nothing was said");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_guest_that_was_stopped_accuses_nobody() {
    rig();
    let folder = tempfile::tempdir().unwrap();
    let suite = folder.path().join("own.yaml");
    fs_err::write(&suite, SUITE).unwrap();
    let results = folder.path().join("results");
    let mut memrig = Command::new(env!("CARGO_BIN_EXE_memrig"))
        .arg("run")
        .arg(&suite)
        .args(["-k", "debian:trixie", "-a", "x86_64"])
        .env("MEMRIG_RESULTS", &results)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_sign(&results, &mut memrig);
    let qemu = *qemus_of(memrig.id()).first().expect("a QEMU");
    let qemu = Pid::from_raw(qemu.cast_signed()).expect("a process");
    kill_process(qemu, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(10));
    kill_process(qemu, Signal::CONT).unwrap();
    let status = memrig.wait().unwrap();
    let latest = fs_err::canonicalize(results.join("latest")).unwrap();
    let (record, _) = RunRecord::read(Utf8Path::from_path(&latest).unwrap()).unwrap();
    let case = &record.cases[0];
    let attempts: Vec<_> = case
        .attempts
        .iter()
        .map(|attempt| (attempt.verdict, attempt.reason.as_deref()))
        .collect();
    assert!(
        attempts.iter().all(|(verdict, _)| *verdict != Verdict::Fail),
        "{attempts:#?}"
    );
    let [(Verdict::Error, Some(reason)), ..] = attempts[..] else {
        panic!("the first one must be an error with its reason: {attempts:#?}");
    };
    assert!(
        reason.contains("the host was too busy for the guest: it got ")
            && reason.contains(" that it wanted to run"),
        "{reason}"
    );
    assert!(case.findings.is_empty(), "{:#?}", case.findings);
    // The host may be busy with other things; then it is an error once more.
    let code = status.code();
    match case.verdict {
        Verdict::Pass => assert_eq!(code, Some(0)),
        verdict => assert_eq!((verdict, code), (Verdict::Error, Some(3)), "{attempts:#?}"),
    }
}
