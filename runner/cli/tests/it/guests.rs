// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real guests of both architectures: that they answer, and that each way to be ill is told from all others.

use base::Arch;

use crate::{
    ground::{bootable, rig},
    machine_guests,
};

/// Makes one test for each architecture.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod x86_64 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let guest = super::boot(super::Arch::X86_64).await;
                    super::machine_guests::$name(&guest.spec, &guest.login).await;
                }
            )+
        }
        mod s390x {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let guest = super::boot(super::Arch::S390x).await;
                    super::machine_guests::$name(&guest.spec, &guest.login).await;
                }
            )+
        }
    };
}

/// Getting what a guest needs blocks, and has a runtime of its own.
async fn boot(arch: Arch) -> crate::ground::Bootable {
    tokio::task::spawn_blocking(move || bootable(arch)).await.unwrap()
}

on_both!(
    answers,
    panics,
    hangs,
    loses_its_qemu,
    has_no_root,
    is_never_ready,
    spins
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_wait_is_no_hang() {
    let qemu = tokio::task::spawn_blocking(|| rig().emulators[&Arch::S390x].qemu.clone())
        .await
        .unwrap();
    machine_guests::waits_disabled(qemu).await;
}
