// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tests with real guests stand on: the kernels, images and emulators that `memrig setup` gets, got once.

use std::{collections::BTreeMap, path::PathBuf, sync::OnceLock};

use base::ByteSize;
use base::{Arch, ui::Ui};
use format::ssh::Login;
use run::{Rig, Wanted, prepare};
use supply::{host, image, kernel::KernelSpec, packages::DebianSuite};
use tempfile::TempDir;
use vm::{
    keys::SshKeys,
    machine::{Hotplug, MachineSpec, Standby},
};

/// The kernels that guests of tests boot.
pub(crate) const KERNELS: [DebianSuite; 2] = [DebianSuite::Trixie, DebianSuite::Sid];

/// Packages of the host that only tests need.
const PACKAGES: [&str; 4] = [
    "binutils-s390x-linux-gnu",
    "dropbear-bin",
    "libxml2-utils",
    "qemu-system-x86",
];

/// Makes sure that the host has what only tests need. On a new machine that takes root, or sudo without a password.
pub(crate) fn packages() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        if let Err(error) = host::install_packages(&PACKAGES, &Ui::terminal()) {
            panic!("packages that the tests need are missing: {error}");
        }
    });
}

/// Makes sure that there is a browser that needs no display.
pub(crate) fn browser() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| install("chromium"));
}

/// Makes sure that there is a reader of JUnit XML that others use.
pub(crate) fn junitparser() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| install("python3-junitparser"));
}

/// Makes sure that there is a Slurm, which a test runs for itself.
pub(crate) fn slurm() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        for package in ["munge", "slurm-client", "slurmctld", "slurmd"] {
            install(package);
        }
    });
}

fn install(package: &str) {
    if let Err(error) = host::install_packages(&[package], &Ui::terminal()) {
        panic!("{package} is missing, and this test needs it: {error}");
    }
}

/// Everything that guests need. The first test that asks waits until all is got; on a new machine that takes minutes.
pub(crate) fn rig() -> &'static Rig {
    static RIG: OnceLock<Rig> = OnceLock::new();
    packages();
    RIG.get_or_init(|| {
        let kernels = KERNELS
            .iter()
            .flat_map(|suite| Arch::ALL.map(|arch| (KernelSpec::debian(*suite), arch)));
        let wanted = Wanted {
            kernels: kernels.collect(),
            qemus: BTreeMap::new(),
            refresh: false,
        };
        match prepare(&wanted, &Ui::terminal()) {
            Ok(rig) => rig,
            Err(error) => panic!(
                "`memrig setup` fails here: {error}: {:?}",
                std::error::Error::source(&error)
            ),
        }
    })
}

/// A machine that boots, with the keys that let a test in.
pub(crate) struct Bootable {
    pub(crate) spec: MachineSpec,
    pub(crate) login: Login,
    _keys: TempDir,
}

/// A machine of an architecture with the newest of the kernels.
pub(crate) fn bootable(arch: Arch) -> Bootable {
    let rig = rig();
    let prepared = rig
        .kernels
        .iter()
        .rev()
        .find(|prepared| prepared.kernel.arch == arch)
        .expect("a kernel for each");
    let keys = SshKeys::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ramdisk = folder.path().join("keys.cpio");
    let cpio = image::keys_cpio(
        &keys.dropbear_host_key().unwrap(),
        &keys.authorized_key().unwrap(),
    )
    .unwrap();
    fs_err::write(&ramdisk, cpio).unwrap();
    let mut spec = MachineSpec::new(arch, rig.emulators[&arch].qemu.clone());
    spec.kernel = Some(prepared.kernel.image.clone());
    spec.initrds = vec![prepared.initrd.clone(), ramdisk];
    spec.cmdline = format!(
        "console={} printk.time=1 sysrq_always_enabled=1",
        MachineSpec::console(arch)
    );
    if arch == Arch::S390x {
        spec.hotplug = Hotplug::Standby(Standby {
            size: ByteSize::gib(1),
            increment: None,
        });
    }
    let login = Login {
        user: "root".to_owned(),
        private_key: keys.client_private().unwrap(),
        server_key: Some(keys.host_public().unwrap()),
    };
    Bootable {
        spec,
        login,
        _keys: folder,
    }
}

/// Our QEMU for s390x.
pub(crate) fn qemu_s390x() -> PathBuf {
    rig().emulators[&Arch::S390x].qemu.binary.clone()
}
