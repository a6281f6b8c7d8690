// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that end well, badly, late, and with whoever started them.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    thread,
    time::Duration,
};

use rustix::process::Pid;

use super::*;

#[test]
fn a_line_can_be_pasted() {
    assert_eq!(
        Command::new("echo").args(["a b", "it's", "", "x=1"]).line(),
        r"echo 'a b' 'it'\''s' '' x=1"
    );
}

#[test]
fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let script = "sleep 600 & echo $! > child; wait";
    let begun = std::time::Instant::now();
    let run = Command::new("sh").args(["-c", script]).dir(folder.path());
    let error = run.output_within(Duration::from_secs(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`sh -c '{script}'` did not end within 1 s")
    );
    assert!(begun.elapsed() < Duration::from_secs(300));
    let child = fs_err::read_to_string(folder.path().join("child")).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    // A signal is sent at once, and a busy host lets it be obeyed later.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(begun.elapsed() < Duration::from_secs(300), "it is not killed");
        thread::sleep(Duration::from_millis(10));
    }
    let quick = Command::new("echo")
        .arg("x")
        .output_within(Duration::from_secs(600));
    assert_eq!(quick.unwrap(), b"x\n");
}

#[test]
fn another_program_can_start_it() {
    let script = ["-c", "echo $X $0; exit 3", "a b"];
    let by = ["env", "X=1"].map(OsString::from);
    let error = Command::new("sh").args(script).started_by(by.into());
    let error = error.env("X", "2").output().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sh -c 'echo $X $0; exit 3' 'a b'` exited with 3"
    );
    let by = ["env", "X=1"].map(OsString::from);
    let said = Command::new("sh").args(["-c", "echo $X $0", "a b"]);
    assert_eq!(said.started_by(by.into()).output().unwrap(), b"1 a b\n");
    // What it does not start is no program that failed.
    let log = tempfile::NamedTempFile::new().unwrap();
    for logged in [false, true] {
        let command = Command::new("no-such-program-here").started_by(vec!["env".into()]);
        let error = match logged {
            false => command.output().map(drop).unwrap_err(),
            true => command.run_logged(log.path(), |_| {}).unwrap_err(),
        };
        assert!(
            matches!(&error, ExecError::Start { program, source }
                if program == "no-such-program-here" && source.to_string().starts_with("env: ")),
            "{error:?}"
        );
    }
}

#[test]
fn output_carries_what_went_wrong() {
    let ok = Command::new("sh")
        .args(["-c", "echo out; echo err >&2"])
        .output()
        .unwrap();
    assert_eq!(ok, b"out\n");
    let error = Command::new("sh")
        .args(["-c", "echo why >&2; exit 7"])
        .output()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sh -c 'echo why >&2; exit 7'` exited with 7: why"
    );
    let error = Command::new("sh")
        .args(["-c", "kill -9 $$"])
        .output()
        .unwrap_err();
    assert!(error.to_string().contains("was killed by signal 9"), "{error}");
    let error = Command::new("no-such-program-here").output().unwrap_err();
    assert_eq!(error.to_string(), "starting `no-such-program-here`");
}

#[test]
fn four_mebibytes_on_stderr_do_not_block() {
    let script = "head -c 4194304 /dev/zero >&2; echo done";
    assert_eq!(
        Command::new("sh").args(["-c", script]).output().unwrap(),
        b"done\n"
    );
}

#[test]
fn a_logged_run_shows_lines_and_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut seen = Vec::new();
    let run = Command::new("sh")
        .args(["-c", "echo one; echo two >&2; exit 3"])
        .run_logged(&log, |line| seen.push(line.to_owned()));
    assert_eq!(seen, ["one", "two"]);
    assert!(run.unwrap_err().to_string().ends_with("exited with 3: one\ntwo"));
    assert!(fs_err::read_to_string(&log).unwrap().ends_with("one\ntwo\n"));
}

#[test]
fn dropping_a_child_kills_its_whole_group() {
    let mut child = Command::new("sh")
        .args(["-c", "sleep 1000 & echo $!; wait"])
        .piped()
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let grandchild = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    let exit = child.exit();
    drop(child);
    while exit.borrow().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    // Killed, it may wait as a zombie for whoever reaps orphans here.
    let state = |pid: Pid| {
        fs_err::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
            .ok()
            .and_then(|stat| stat.rsplit(") ").next()?.chars().next())
    };
    for _ in 0..1000 {
        if matches!(state(grandchild), None | Some('Z' | 'X')) {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
    panic!("the grandchild is still alive in state {:?}", state(grandchild));
}

#[tokio::test]
async fn a_child_outlives_the_thread_that_asked_for_it() {
    let child = thread::spawn(|| Command::new("sleep").arg("0.3").spawn())
        .join()
        .unwrap()
        .unwrap();
    assert!(child.wait().await.success());
}
