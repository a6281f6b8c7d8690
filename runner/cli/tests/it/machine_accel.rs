// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether this host runs guests is found out by running one.

use std::time::{Duration, Instant};

use base::Arch;
use vm::{
    accel::{choose, try_guest},
    machine::Accel,
};

use crate::firmware::{Firmware, qemu, spec, start};

#[tokio::test]
async fn the_probe_guest_survives_where_instructions_are_translated() {
    assert_eq!(try_guest(&qemu(), Accel::Tcg).await, Ok(()));
}

#[tokio::test]
async fn the_choice_is_quick_kept_and_true() {
    let started = Instant::now();
    let choice = choose(&qemu(), Arch::X86_64).await;
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(choice.why.lines().count(), 1, "{}", choice.why);
    assert_eq!(
        choice.why.contains("(KVM): "),
        choice.accel == Accel::Kvm,
        "{}",
        choice.why
    );
    let again = Instant::now();
    assert_eq!(choose(&qemu(), Arch::X86_64).await, choice);
    assert!(
        again.elapsed() < Duration::from_millis(100),
        "{:?}",
        again.elapsed()
    );

    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&Firmware::default().print("up\n").hang(), folder.path());
    spec.accel = choice.accel;
    let machine = start(&spec, folder.path()).await.unwrap();
    let mut lines = machine.console().from_start();
    machine.resume().await.unwrap();
    let up = machine
        .wait_for(lines.next(), Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(up.text, "up");
    machine.stop().await;
}

#[tokio::test]
async fn standby_memory_is_always_translated() {
    assert_eq!(choose(&qemu(), Arch::S390x).await.accel, Accel::Tcg);
}
