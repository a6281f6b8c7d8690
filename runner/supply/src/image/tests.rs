// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of packages made for the test.

use std::path::Path;

use super::*;
use crate::{
    kernel::{self, KernelSpec, s390_image},
    packages::{
        DebianSuite,
        tests::{Sample, lack, stock},
    },
};
use format::{elf::EM_S390, samples::module as elf};

fn module(name: &str, depends: &[&str]) -> ModuleFile {
    ModuleFile {
        name: name.to_owned(),
        path: format!("kernel/{name}.ko"),
        bytes: Vec::new(),
        depends: depends.iter().map(|&d| d.to_owned()).collect(),
    }
}

#[test]
fn modprobe_finds_all_that_a_module_needs() {
    let modules = [
        module("a", &[]),
        module("b", &["a"]),
        module("c", &["a", "b"]),
        module("d", &["c"]),
    ];
    assert_eq!(
        modules_dep(&modules),
        "kernel/a.ko:\nkernel/b.ko: kernel/a.ko\nkernel/c.ko: kernel/b.ko kernel/a.ko\n\
         kernel/d.ko: kernel/c.ko kernel/b.ko kernel/a.ko\n"
    );
}

#[test]
fn keys_change_the_second_archive_alone() {
    let make = || keys_cpio(b"host", "ssh-ed25519 AAAA").unwrap();
    assert_eq!(make(), make());
    assert_eq!(make().len() % 512, 0);
    let other = keys_cpio(b"another host", "ssh-ed25519 BBBB").unwrap();
    assert_ne!(make(), other);
}

/// A cache that has a Debian kernel and the guest's programs, all of them for show.
fn stocked(root: &Path, config: &str, busybox: &[u8]) -> (Cache, Packages, Ui) {
    let ui = Ui::silent();
    let cache = Cache::at(root, &ui).unwrap();
    let virtio_net = elf_module(b"depends=net_failover\0");
    let net_failover = elf_module(b"depends=\0");
    let kernel: &[(&str, &[u8])] = &[
        ("boot/vmlinuz-6.1.0-50-s390x", &s390_image()),
        ("boot/config-6.1.0-50-s390x", config.as_bytes()),
        ("lib/modules/6.1.0-50-s390x/kernel/net_failover.ko", &net_failover),
        ("lib/modules/6.1.0-50-s390x/kernel/virtio_net.ko", &virtio_net),
        ("lib/modules/6.1.0-50-s390x/kernel/ext4.ko", &virtio_net),
    ];
    let meta = (
        "linux-image-s390x",
        "linux-image-6.1.0-50-s390x (= 6.1.176-1)",
        &[][..],
    );
    stock(
        &cache,
        DebianSuite::Bookworm,
        Arch::S390x,
        &[meta, ("linux-image-6.1.0-50-s390x", "kmod", kernel)],
    );
    stock_programs(&cache, DebianSuite::Trixie, busybox);
    (cache.clone(), Packages::open(&cache, &ui), ui)
}

/// Makes a cache have the guest's programs.
fn stock_programs(cache: &Cache, suite: DebianSuite, busybox: &[u8]) {
    let elf = elf(EM_S390, true, b"");
    // The packages of two releases differ.
    let release = ("usr/share/doc/release", suite.name().as_bytes());
    let programs: [Sample<'_>; 3] = [
        ("busybox-static", "", &[("usr/bin/busybox", busybox), release]),
        (
            "dropbear-bin",
            "libc6 (>= 2.38)",
            &[("usr/sbin/dropbear", &elf), release],
        ),
        (
            "libc6",
            "",
            &[("usr/lib/s390x-linux-gnu/ld64.so.1", &elf), release],
        ),
    ];
    stock(cache, suite, Arch::S390x, &programs);
}

fn elf_module(modinfo: &[u8]) -> Vec<u8> {
    elf(EM_S390, true, modinfo)
}

const CONFIG: &str = "CONFIG_VIRTIO_NET=m\n";

fn built(
    root: &Path,
    config: &str,
    busybox: &[u8],
    extra: &[Extra<'_>],
) -> Result<(Image, Kernel), ImageError> {
    let (cache, packages, ui) = stocked(root, config, busybox);
    let source = KernelSpec::debian(DebianSuite::Bookworm);
    let kernel = kernel::obtain(&source, Arch::S390x, &packages, &cache, &ui).unwrap();
    Ok((obtain(&kernel, extra, &packages, &cache, &ui)?, kernel))
}

#[test]
fn the_same_inputs_make_the_same_bytes() {
    let busybox = userland::APPLETS.join("\0").into_bytes();
    let script = Extra {
        path: "/bin/memrig-facts",
        bytes: b"#!/bin/sh\n",
        mode: 0o755,
    };
    let roots: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let (first, kernel) = built(roots[0].path(), CONFIG, &busybox, &[script]).unwrap();
    let (second, _) = built(roots[1].path(), CONFIG, &busybox, &[script]).unwrap();
    assert_eq!(
        fs_err::read(&first.path).unwrap(),
        fs_err::read(&second.path).unwrap()
    );
    assert_eq!(first.sha256, cache::sha256_file(&first.path).unwrap());
    let (other, _) = built(roots[2].path(), CONFIG, &busybox, &[]).unwrap();
    assert_ne!(first.sha256, other.sha256);

    assert_eq!(kernel.release.as_deref(), Some("6.1.0-50-s390x"));
    assert_eq!(kernel.packages.len(), 1);
    assert_eq!(first.boot_modules, ["net_failover", "virtio_net"]);
    assert_eq!(first.modules, first.boot_modules);
    let names: Vec<_> = first.packages.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["busybox-static", "dropbear-bin", "libc6"]);
    let has = |text: &str| {
        fs_err::read(&first.path)
            .unwrap()
            .windows(text.len())
            .any(|w| w == text.as_bytes())
    };
    assert!(has("bin/memrig-facts\0") && has("lib/modules/6.1.0-50-s390x/kernel/virtio_net.ko\0"));
    assert!(has("lib/ld64.so.1\0") && !has("ext4.ko"));
}

#[test]
fn programs_are_of_another_release_where_the_mirror_lacks_some() {
    let busybox = userland::APPLETS.join("\0").into_bytes();
    let root = tempfile::tempdir().unwrap();
    let (cache, packages, ui) = stocked(root.path(), CONFIG, &busybox);
    let source = KernelSpec::debian(DebianSuite::Bookworm);
    let kernel = kernel::obtain(&source, Arch::S390x, &packages, &cache, &ui).unwrap();
    let suites = || {
        let image = obtain(&kernel, &[], &packages, &cache, &ui).unwrap();
        image.packages.iter().map(|part| part.suite).collect::<Vec<_>>()
    };
    let told_of_images = || {
        ui.lines()
            .iter()
            .filter(|line| line.contains("image for"))
            .count()
    };
    stock_programs(&cache, DebianSuite::Bookworm, &busybox);
    assert_eq!(suites(), [DebianSuite::Trixie; 3]);
    let lines_of_one = told_of_images();
    assert!(lines_of_one > 0, "{:?}", ui.lines());
    lack(&cache, DebianSuite::Trixie, "s390x", "libc6");
    fs_err::remove_dir_all(root.path().join("images")).unwrap();
    assert_eq!(suites(), [DebianSuite::Bookworm; 3]);
    assert_eq!(told_of_images(), 2 * lines_of_one, "{:?}", ui.lines());
    // What is in the cache, and what could not be made, is no news.
    assert_eq!(suites(), [DebianSuite::Bookworm; 3]);
    assert_eq!(told_of_images(), 2 * lines_of_one, "{:?}", ui.lines());
}

#[test]
fn what_an_image_cannot_be_made_of_is_told() {
    let root = || tempfile::tempdir().unwrap();
    let busybox = userland::APPLETS.join("\0").into_bytes();
    let told = |config, busybox| {
        built(root().path(), config, busybox, &[])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        told(CONFIG, b"\0sh\0").split(", ").count(),
        userland::APPLETS.len() - 1
    );
    let (image, mut kernel) = built(root().path(), "CONFIG_VIRTIO_NET=y\n", &busybox, &[]).unwrap();
    assert_eq!(image.boot_modules.len(), 2);
    kernel.modules_dir = None;
    let without = |kernel: &Kernel| modules_of(kernel).unwrap_err().to_string();
    assert_eq!(modules_of(&kernel).unwrap(), (Vec::new(), Vec::new()));
    kernel.config = Some(Kconfig::parse(CONFIG).unwrap());
    assert!(without(&kernel).contains("`CONFIG_VIRTIO_NET=m`"));
    // Scripts go over the console where it is built in, with what it hangs on.
    let line = |bus: &str| format!("{CONFIG}CONFIG_VIRTIO_CONSOLE=y\nCONFIG_{bus}=y\n");
    kernel.config = Some(Kconfig::parse(&line("VIRTIO_PCI")).unwrap());
    assert!(
        without(&kernel).contains("`CONFIG_VIRTIO_NET=m`"),
        "it is a kernel for s390x"
    );
    kernel.config = Some(Kconfig::parse(&line("S390_GUEST")).unwrap());
    assert_eq!(modules_of(&kernel).unwrap(), (Vec::new(), Vec::new()));
    kernel.config = Some(Kconfig::parse("").unwrap());
    assert!(without(&kernel).contains("is n in its configuration"));
}
