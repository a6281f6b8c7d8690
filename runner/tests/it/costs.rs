// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions of guests are counted, and two guests count the same.

use std::{collections::BTreeMap, path::Path};

use memrig::{
    base::{Arch, ui::Ui},
    compare::COST_SLACK,
    record::{CostMethod, CostRecord},
    rig::{cache::Cache, kernel::KernelSource, packages::Suite, qemu::Counting},
    run::{CostError, CostOptions, Emulator, Prepared, Rig, Wanted, counting, measure, prepare},
};

/// As many as `memrig cost` does: with fewer, a third of them is a few, which agree by chance.
const OPTIONS: CostOptions = CostOptions {
    repetitions: 20,
    warm_up: 3,
    memmap_on_memory: false,
};

fn rig(arch: Arch) -> Rig {
    let wanted = Wanted {
        kernels: vec![(KernelSource::Debian(Suite::Trixie), arch)],
        qemus: BTreeMap::new(),
        refresh: false,
    };
    prepare(&wanted, &Ui::silent()).unwrap()
}

async fn cost(prepared: &Prepared, emulator: &Emulator, how: &Counting) -> Result<CostRecord, CostError> {
    let folder = tempfile::tempdir().unwrap();
    measure(prepared, emulator, how, &OPTIONS, folder.path()).await
}

fn two_guests_cost_the_same(arch: Arch, operations: &[&str]) {
    let rig = rig(arch);
    let (prepared, emulator) = (&rig.kernels[0], &rig.emulators[&arch]);
    let how = counting(emulator, &Ui::silent()).unwrap();
    assert!(matches!(how, Counting::Plugin(_)), "{how:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let one = runtime.block_on(cost(prepared, emulator, &how)).unwrap();
    let other = runtime.block_on(cost(prepared, emulator, &how)).unwrap();
    assert_eq!((one.arch, one.method), (arch, CostMethod::Plugin));
    let names = |record: &CostRecord| -> Vec<String> {
        let operations = record.operations.iter();
        operations.map(|operation| operation.name.clone()).collect()
    };
    assert_eq!(names(&one), operations);
    for name in operations {
        let (one, other) = (one.operation(name).unwrap(), other.operation(name).unwrap());
        // What is left out of a count for longer than it should makes it small.
        assert!(one.steady > Some(20_000), "{one:?}");
        let apart = one.steady.unwrap().abs_diff(other.steady.unwrap_or(0));
        // As far apart as a comparison takes for the same: most pairs count the same, and 5 was seen.
        assert!(apart <= COST_SLACK, "{one:?}\n{other:?}");
    }
}

#[test]
fn two_guests_of_x86_64_cost_the_same() {
    two_guests_cost_the_same(Arch::X86_64, &["online", "offline", "add", "remove"]);
}

#[test]
fn two_guests_of_s390x_cost_the_same() {
    two_guests_cost_the_same(Arch::S390x, &["online", "offline"]);
}

#[test]
fn a_qemu_that_does_not_load_the_plugin_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path(), &Ui::silent()).unwrap();
    let how = Counting::of(Path::new("false"), &cache).unwrap();
    assert!(matches!(how, Counting::GuestTime { .. }), "{how:?}");
}
