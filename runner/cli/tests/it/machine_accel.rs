// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether this host runs guests is found out by running one.

use base::Arch;
use supply::host::in_path;
use vm::{
    accel::{choose, try_guest},
    machine::Accel,
};

use crate::{
    PATIENCE,
    firmware::{Firmware, qemu, spec, start},
};

#[tokio::test]
async fn the_probe_guest_survives_where_instructions_are_translated() {
    assert_eq!(try_guest(&qemu(), Accel::Tcg).await, Ok(()));
}

#[tokio::test]
async fn the_choice_is_kept_and_true() {
    let folder = tempfile::tempdir().unwrap();
    let mut linked = qemu();
    linked.binary = folder.path().join("qemu");
    let there = in_path(&qemu().binary).unwrap();
    std::os::unix::fs::symlink(there, &linked.binary).unwrap();
    let choice = choose(&linked, Arch::X86_64).await;
    assert_eq!(choice.why.lines().count(), 1, "{}", choice.why);
    assert_eq!(
        choice.why.contains("(KVM): "),
        choice.accel == Accel::Kvm,
        "{}",
        choice.why
    );
    // It is not tried again, with a QEMU that could not be started any more.
    fs_err::remove_file(&linked.binary).unwrap();
    assert_eq!(choose(&linked, Arch::X86_64).await, choice);

    let mut spec = spec(&Firmware::default().print("up\n").hang(), folder.path());
    spec.accel = choice.accel;
    let machine = start(&spec, folder.path()).await.unwrap();
    let mut lines = machine.console().from_start();
    machine.resume().await.unwrap();
    let up = machine.wait_for(lines.next(), PATIENCE).await.unwrap().unwrap();
    assert_eq!(up.text, "up");
    machine.stop().await;
}

#[tokio::test]
async fn standby_memory_is_always_translated() {
    assert_eq!(choose(&qemu(), Arch::S390x).await.accel, Accel::Tcg);
}
