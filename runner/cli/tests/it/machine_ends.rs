// SPDX-License-Identifier: MIT OR Apache-2.0
//! How guests end, each told from the others, with guests of a few instructions.

use std::time::{Duration, Instant};

use vm::machine::{End, PanicSource, Wait};

use crate::{
    PATIENCE,
    firmware::{Firmware, spec, start},
};

/// Runs a guest until something ends the wait for something that never comes.
async fn run(image: Vec<u8>, limit: Duration) -> (Wait, String) {
    let folder = tempfile::tempdir().unwrap();
    let machine = start(&spec(&image, folder.path()), folder.path()).await.unwrap();
    machine.resume().await.unwrap();
    let never = std::future::pending::<()>();
    let wait = machine.wait_for(never, limit).await.unwrap_err();
    machine.stop().await;
    let console = fs_err::read_to_string(folder.path().join("console.log")).unwrap();
    (wait, console)
}

#[tokio::test]
async fn what_is_waited_for_wins_if_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let image = Firmware::default().print("starting\r\nmemrig: ready\r\n").hang();
    let machine = start(&spec(&image, folder.path()), folder.path()).await.unwrap();
    let mut lines = machine.console().from_start();
    machine.resume().await.unwrap();
    let ready = lines.find(|line| line.text.ends_with(": ready").then(|| line.text.clone()));
    let ready = machine.wait_for(ready, PATIENCE).await.unwrap();
    assert_eq!(ready.as_deref(), Some("memrig: ready"));
    assert_eq!(machine.console().text(), "starting\nmemrig: ready\n");
    machine.stop().await;
}

#[tokio::test]
async fn a_panic_on_the_console_ends_the_wait_at_once() {
    let text = "[    1.0] Kernel panic - not syncing: Attempted to kill init!\r\n[    1.1] CPU: 0\r\n";
    let started = Instant::now();
    let (wait, console) = run(Firmware::default().print(text).hang(), PATIENCE).await;
    let Wait::Ended(End::Panicked { seen, line }) = wait else {
        panic!("{wait}")
    };
    assert_eq!(seen, PanicSource::Console);
    assert_eq!(
        line,
        "[    1.0] Kernel panic - not syncing: Attempted to kill init!"
    );
    assert_eq!(console, text, "what follows the panic is in the log");
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_panic_in_a_line_that_never_ends_is_noticed() {
    let (wait, _) = run(
        Firmware::default()
            .print("Kernel panic - not syncing: cut")
            .hang(),
        PATIENCE,
    )
    .await;
    assert!(
        matches!(wait, Wait::Ended(End::Panicked { ref line, .. }) if line.ends_with(": cut")),
        "{wait}"
    );
}

#[tokio::test]
async fn a_panic_that_only_the_machine_is_told_of_is_noticed() {
    let (wait, _) = run(Firmware::default().out(0x505, 1).hang(), PATIENCE).await;
    assert!(
        matches!(
            wait,
            Wait::Ended(End::Panicked {
                seen: PanicSource::Event,
                ..
            })
        ),
        "{wait}"
    );
}

#[tokio::test]
async fn a_guest_that_resets_itself_has_ended() {
    let (wait, _) = run(Firmware::default().out(0xcf9, 6).hang(), PATIENCE).await;
    assert_eq!(wait, Wait::Ended(End::Reset));
}

#[tokio::test]
async fn a_qemu_that_exits_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    // It waits, so that the reply to `cont` is not lost with QEMU.
    let image = Firmware::default().wait_for_byte().out(0xf4, 1).hang();
    let mut spec = spec(&image, folder.path());
    spec.extra = vec![
        "-device".to_owned(),
        "isa-debug-exit,iobase=0xf4,iosize=1".to_owned(),
    ];
    let machine = start(&spec, folder.path()).await.unwrap();
    machine.resume().await.unwrap();
    machine.type_text(b"x").await.unwrap();
    let wait = machine
        .wait_for(std::future::pending::<()>(), PATIENCE)
        .await
        .unwrap_err();
    let Wait::Ended(end @ End::QemuExited { status, .. }) = &wait else {
        panic!("{wait}")
    };
    assert_eq!(status.code(), Some(3));
    assert!(!end.blames_kernel());
    machine.stop().await;
}

#[tokio::test]
async fn a_guest_that_hangs_shows_by_the_deadline_alone() {
    let limit = Duration::from_millis(300);
    let (wait, _) = run(Firmware::default().hang(), limit).await;
    assert_eq!(wait, Wait::Deadline(limit));
}

#[tokio::test]
async fn the_first_cause_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let panic = Firmware::default().print("Kernel panic - not syncing: first\r\n");
    let image = panic.wait_for_byte().out(0xcf9, 6).hang();
    let machine = start(&spec(&image, folder.path()), folder.path()).await.unwrap();
    let mut events = machine.qmp().events();
    machine.resume().await.unwrap();
    let first = tokio::time::timeout(PATIENCE, machine.ended()).await.unwrap();
    assert!(matches!(first, End::Panicked { .. }), "{first}");
    machine.type_text(b"x").await.unwrap();
    let shutdown = events.find(|event| (event.name == "SHUTDOWN").then_some(()));
    tokio::time::timeout(PATIENCE, shutdown).await.unwrap().unwrap();
    // The reply comes after the event was handed out.
    assert_eq!(machine.run_state().await.unwrap(), "shutdown");
    assert_eq!(machine.end(), Some(first));
    machine.stop().await;
}

#[tokio::test]
async fn a_sysrq_key_reaches_the_serial_port_after_a_break() {
    let folder = tempfile::tempdir().unwrap();
    let image = Firmware::default().print("up\r\n").echo();
    let machine = start(&spec(&image, folder.path()), folder.path()).await.unwrap();
    let mut lines = machine.console().from_start();
    machine.resume().await.unwrap();
    machine.wait_for(lines.next(), PATIENCE).await.unwrap().unwrap();
    machine.sysrq('t').await.unwrap();
    machine.type_text(b"\n").await.unwrap();
    let echo = machine.wait_for(lines.next(), PATIENCE).await.unwrap().unwrap();
    assert_eq!(echo.text, "\0t");
    machine.stop().await;
}
