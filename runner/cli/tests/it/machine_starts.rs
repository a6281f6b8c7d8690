// SPDX-License-Identifier: MIT OR Apache-2.0
//! How machines start, how they do not, and that none is left behind.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::Stdio,
    time::Duration,
};

use base::Arch;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use vm::machine::{End, MachineError, Memory, Qemu, Wait};

use crate::firmware::{Firmware, bare_spec, qemu, spec, start};

/// Whether a process is gone, or only waits for its parent to notice.
fn is_gone(pid: Pid) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let state = stat
        .ok()
        .and_then(|stat| stat.rsplit(") ").next()?.chars().next());
    test_kill_process(pid).is_err() || matches!(state, None | Some('Z' | 'X'))
}

async fn is_gone_soon(pid: Pid) -> bool {
    for _ in 0..1000 {
        if is_gone(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn what_qemu_says_about_a_bad_argument_is_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = bare_spec();
    spec.extra = vec!["-device".to_owned(), "no-such-device".to_owned()];
    let error = start(&spec, folder.path()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("exited with 1") && text.contains("no-such-device"),
        "{text}"
    );
    assert!(text.contains("qemu.log"), "{text}");
}

#[tokio::test]
async fn a_qemu_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = bare_spec();
    spec.qemu.binary = "qemu-system-vax".into();
    let error = start(&spec, folder.path()).await.unwrap_err();
    assert_eq!(error.to_string(), "starting `qemu-system-vax`");
}

#[tokio::test]
async fn a_program_that_is_no_qemu_does_not_hold_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = bare_spec();
    spec.qemu.binary = "true".into();
    let error = start(&spec, folder.path()).await.unwrap_err();
    assert!(
        matches!(&error, MachineError::Start { wait: Wait::Ended(End::QemuExited { status, .. }), .. } if status.success()),
        "{error}"
    );
}

#[tokio::test]
async fn a_machine_that_contradicts_itself_is_not_started() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = bare_spec();
    spec.cpus = 0;
    let error = start(&spec, folder.path()).await.unwrap_err();
    assert!(matches!(error, MachineError::Spec(_)), "{error}");
    assert!(!folder.path().join("qemu.log").exists());
}

#[tokio::test]
async fn the_forwarded_port_is_on_loopback_alone() {
    let folder = tempfile::tempdir().unwrap();
    let machine = start(&bare_spec(), folder.path()).await.unwrap();
    let port = machine.ssh_port().unwrap();
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "QEMU listens");
    assert!(
        TcpListener::bind(("127.0.0.2", port)).is_ok(),
        "QEMU listens on more than one address"
    );
    machine.stop().await;
}

#[tokio::test]
async fn a_port_that_somebody_else_took_is_replaced_a_few_times() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut spec = bare_spec();
    spec.extra = vec![
        "-netdev".to_owned(),
        format!("user,id=second,hostfwd=tcp:127.0.0.1:{port}-:22"),
    ];
    start(&spec, folder.path()).await.unwrap_err();
    let log = fs_err::read_to_string(folder.path().join("qemu.log")).unwrap();
    assert_eq!(
        log.matches("Could not set up host forwarding rule").count(),
        5,
        "{log}"
    );
}

#[tokio::test]
async fn a_binary_is_asked_what_it_can_do() {
    crate::ground::packages();
    let asked = Qemu::ask("qemu-system-x86_64", Arch::X86_64, None).await.unwrap();
    assert_eq!(asked.binary, qemu().binary);
    // Debian builds it with seccomp, and what the binary said must be what it then takes.
    assert!(asked.sandbox);
    let folder = tempfile::tempdir().unwrap();
    let mut spec = bare_spec();
    spec.qemu = asked;
    let memory = Memory::new(&spec).unwrap();
    for shared in [true, false] {
        spec.memory_files = Some(memory.files(shared));
        start(&spec, folder.path()).await.unwrap().stop().await;
    }
    let error = Qemu::ask("false", Arch::X86_64, None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`false` does not answer over QMP: QEMU exited with 1"
    );
    let error = Qemu::ask("qemu-system-x86_64", Arch::S390x, None)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`qemu-system-x86_64` emulates x86_64, not s390x"
    );
}

#[tokio::test]
async fn stopping_and_dropping_leave_no_process_and_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    for stop in [true, false] {
        let machine = start(&spec(&Firmware::default().hang(), folder.path()), folder.path())
            .await
            .unwrap();
        let pid = Pid::from_raw(machine.pid()).unwrap();
        let socket = machine.line().iter().find_map(|word| {
            let word = word.to_str()?;
            word.strip_prefix("socket,id=monitor,path=").map(str::to_owned)
        });
        machine.resume().await.unwrap();
        assert!(!is_gone(pid));
        if stop {
            assert!(machine.stop().await.success());
            assert!(is_gone(pid), "`stop` waits for the end");
        } else {
            drop(machine);
            assert!(is_gone_soon(pid).await);
        }
        assert!(!std::path::Path::new(&socket.unwrap()).exists());
    }
}

#[tokio::test]
async fn a_qemu_that_takes_no_commands_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let machine = start(&bare_spec(), folder.path()).await.unwrap();
    let pid = Pid::from_raw(machine.pid()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let status = machine.stop().await;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

/// Played twice: as the test, and, in a process of its own, as a memrig that is killed.
#[tokio::test]
async fn no_qemu_survives_a_memrig_that_is_killed() {
    const ROLE: &str = "MEMRIG_TEST_HOLDS_A_MACHINE";
    let folder = tempfile::tempdir().unwrap();
    if std::env::var_os(ROLE).is_some() {
        let machine = start(&bare_spec(), folder.path()).await.unwrap();
        // The harness captures `println!`, not the stream itself.
        std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("qemu {}\n", machine.pid()).as_bytes(),
        )
        .unwrap();
        std::future::pending::<()>().await;
    }
    let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "machine_starts::no_qemu_survives_a_memrig_that_is_killed",
            "--nocapture",
        ])
        .env(ROLE, "1")
        // Whoever is killed does not tidy up.
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stderr.take().unwrap()).lines();
    let qemu = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("qemu ")?.parse().ok())
        .and_then(Pid::from_raw)
        .expect("the other process tells the id of its QEMU");
    assert!(!is_gone(qemu));
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(is_gone_soon(qemu).await, "QEMU {qemu:?} is still there");
}
