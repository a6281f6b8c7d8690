// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `memrig submit` says and does when Slurm does not want to, with programs that only look like Slurm's.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::{PATIENCE, ground};

/// Programs of this folder come first.
fn fake(folder: &Path, program: &str, script: &str) {
    let path = folder.join("bin").join(program);
    fs_err::create_dir_all(folder.join("bin")).unwrap();
    fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn place() -> tempfile::TempDir {
    ground::rig();
    let place = tempfile::tempdir().unwrap();
    for program in ["sbatch", "squeue", "scancel", "sacct"] {
        fake(place.path(), program, "exit 1");
    }
    let matrix = "matrix: m\nkernels: [debian:trixie]\narches: [x86_64]\nsuites: [quick]\n";
    fs_err::write(place.path().join("m.yaml"), matrix).unwrap();
    place
}

fn memrig(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memrig"));
    let path = std::env::var("PATH").unwrap();
    command
        .args(["submit", "--slurm"])
        .args(args)
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", folder.join("bin").display()))
        .env("MEMRIG_RESULTS", folder.join("results"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn told(output: &Output) -> (Option<i32>, String) {
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// What Slurm 22.05.8 said.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../format/tests/corpus/slurm");

#[test]
fn why_nothing_was_submitted_is_said_with_what_to_do() {
    let place = place();
    let folder = place.path();
    let answers = [
        (
            "bad-partition.txt",
            2,
            "name one that `sinfo` shows with --partition",
        ),
        ("too-much-memory.txt", 2, "give --mem less"),
        ("array-too-large.txt", 2, "make fewer --shards"),
        ("controller-down.txt", 3, "slurmctld does not answer"),
        ("no-munge.txt", 3, "look whether munged runs"),
        ("no-configuration.txt", 3, "set SLURM_CONF"),
    ];
    for (answer, code, words) in answers {
        fake(folder, "sbatch", &format!("cat {RECORDED}/{answer} >&2; exit 1"));
        let (got, text) = told(&memrig(folder, &["m.yaml"]).output().unwrap());
        assert!(
            got == Some(code) && text.contains(words),
            "{answer}: {got:?} {text}"
        );
    }
    // What was not submitted leaves nothing behind.
    assert_eq!(fs_err::read_dir(folder.join("results/slurm")).unwrap().count(), 0);

    fake(folder, "sbatch", "echo hello");
    let (code, text) = told(&memrig(folder, &["m.yaml"]).output().unwrap());
    assert!(
        code == Some(3) && text.contains("instead of a job's id"),
        "{text}"
    );
    let mut without = memrig(folder, &["m.yaml"]);
    let (code, text) = told(&without.env("PATH", "/nowhere").output().unwrap());
    assert!(code == Some(2) && text.contains("`sbatch` is not here"), "{text}");
    let (code, text) = told(&memrig(folder, &["--follow", "99"]).output().unwrap());
    assert!(
        code == Some(2) && text.contains("no job 99 was submitted from"),
        "{text}"
    );
    let (code, text) = told(
        &memrig(folder, &["m.yaml", "--sbatch-arg=--array=1"])
            .output()
            .unwrap(),
    );
    assert!(
        code == Some(2) && text.contains("memrig sets --array itself"),
        "{text}"
    );
}

#[test]
fn a_dry_run_prints_the_script_and_asks_nobody() {
    let place = place();
    let folder = place.path();
    fake(folder, "sbatch", &format!("touch {}/asked", folder.display()));
    let args = [
        "m.yaml",
        "--dry-run",
        "--shards",
        "500",
        "--partition",
        "kernel",
        "-j",
        "2",
    ];
    let output = memrig(folder, &args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output).1);
    for line in [
        "#SBATCH --partition=kernel",
        "#SBATCH --cpus-per-task=2",
        "--jobs 2",
        "$SLURM_ARRAY_TASK_ID/",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // No more parts than jobs.
    assert!(
        !text.contains("#SBATCH --array=1-500") && text.contains("#SBATCH --array=1-"),
        "{text}"
    );
    assert!(!folder.join("asked").exists() && !folder.join("results").exists());
}

/// Starts following a job that waits for ever, and interrupts it.
fn interrupted(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    fake(folder, "sbatch", "echo 17");
    fake(
        folder,
        "squeue",
        &format!(
            "touch {}/looked; echo '17|1|PENDING|0|0||JobHeldUser|'",
            folder.display()
        ),
    );
    fake(
        folder,
        "scancel",
        &format!("echo \"$@\" > {}/cancelled", folder.display()),
    );
    let child = memrig(folder, args).spawn().unwrap();
    let begun = Instant::now();
    while !folder.join("looked").exists() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    told(&child.wait_with_output().unwrap())
}

#[test]
fn an_interrupt_leaves_the_job_or_cancels_it_alone() {
    let place = place();
    let folder = place.path();
    let (code, text) = interrupted(folder, &["m.yaml", "--shards", "1"]);
    assert_eq!(code, Some(130), "{text}");
    assert!(
        text.contains("memrig submit --slurm --follow 17") && text.contains("scancel 17"),
        "{text}"
    );
    assert!(
        text.contains("tasks wait, says Slurm, for: JobHeldUser"),
        "{text}"
    );
    assert!(!folder.join("cancelled").exists());
    fs_err::remove_file(folder.join("looked")).unwrap();
    let (code, _) = interrupted(folder, &["--follow", "17", "--cancel-on-interrupt"]);
    assert_eq!(code, Some(130));
    assert_eq!(fs_err::read_to_string(folder.join("cancelled")).unwrap(), "17\n");
}

#[test]
fn a_task_that_is_killed_each_time_is_given_up_and_nothing_is_made_of_it() {
    let place = place();
    let folder = place.path();
    // Each submission is a job of its own, and every task of it is killed at once.
    let count = folder.join("count").display().to_string();
    fake(folder, "sbatch", &format!("echo x >> {count}; wc -l < {count}"));
    fake(
        folder,
        "squeue",
        &format!("n=$(wc -l < {count}); echo \"$n|1|FAILED|9|0|n1|None|\""),
    );
    let args = ["m.yaml", "--shards", "1", "--attempts", "2", "--poll", "1"];
    let (code, text) = told(&memrig(folder, &args).output().unwrap());
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("task 1: signal 9 killed it: it goes into the queue again"),
        "{text}"
    );
    assert!(
        text.contains("task 1: given up: signal 9 killed it, in the last of 2 attempts"),
        "{text}"
    );
    assert!(text.contains("no task has made a run"), "{text}");
    assert_eq!(fs_err::read_to_string(count).unwrap(), "x\nx\n");
}
