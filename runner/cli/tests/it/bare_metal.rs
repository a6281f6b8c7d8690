// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our QEMU, checked by a guest without an operating system.

use std::path::{Path, PathBuf};

use supply::qemu::{
    Capabilities, RUNS, Run,
    bare_metal::{Deviation, assemble, check, check_run},
    firmware,
};

/// The QEMU under test: what `memrig setup` builds.
fn qemu() -> PathBuf {
    crate::ground::qemu_s390x()
}

fn prepare(dir: &Path) -> (PathBuf, PathBuf) {
    let bios = dir.join("firmware.elf");
    fs_err::write(&bios, firmware()).unwrap();
    (bios, assemble(dir).unwrap())
}

#[test]
fn standby_memory_and_edat_1_do_what_they_must() {
    let dir = tempfile::tempdir().unwrap();
    let (bios, guest) = prepare(dir.path());
    let deviations = check(&qemu(), &bios, &guest, dir.path()).unwrap();
    let text: String = deviations
        .iter()
        .map(|deviation| format!("{deviation}\n"))
        .collect();
    assert!(deviations.is_empty(), "{text}");
}

#[test]
fn a_qemu_that_behaves_in_another_way_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (bios, guest) = prepare(dir.path());
    // It refuses nothing, but should refuse the seventh.
    let run = Run {
        settings: &[],
        ..RUNS[3]
    };
    let deviations = check_run(&qemu(), &bios, &guest, dir.path(), &run).unwrap();
    let steps: Vec<usize> = deviations
        .iter()
        .map(|deviation| match deviation {
            Deviation::Step { step, .. } => *step,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(steps, [31, 34]);
}

#[test]
fn it_says_itself_what_it_can_do() {
    let found = Capabilities::of(&qemu()).unwrap();
    assert!(found.complete(), "{found:?}");
}
