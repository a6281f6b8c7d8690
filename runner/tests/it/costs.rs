// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions of guests are counted, and two guests count the same.

use std::{collections::BTreeMap, path::Path};

use memrig::{
    base::{Arch, ui::Ui},
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

/// Instructions that two guests may be apart: an interrupt that is counted is thousands, and a kernel that does one thing more for each page
/// tens of thousands. Most pairs count the same; 5 was seen.
const FAR: u64 = 64;

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

fn two_guests_cost_the_same(arch: Arch) {
    let rig = rig(arch);
    let (prepared, emulator) = (&rig.kernels[0], &rig.emulators[&arch]);
    let how = counting(emulator, &Ui::silent()).unwrap();
    assert!(matches!(how, Counting::Plugin(_)), "{how:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let one = runtime.block_on(cost(prepared, emulator, &how)).unwrap();
    let other = runtime.block_on(cost(prepared, emulator, &how)).unwrap();
    assert_eq!((one.arch, one.method), (arch, CostMethod::Plugin));
    for name in ["online", "offline"] {
        let (one, other) = (one.operation(name).unwrap(), other.operation(name).unwrap());
        // A block has 32768 pages or more, and each of them is touched.
        assert!(one.steady > Some(100_000), "{one:?}");
        let apart = one.steady.unwrap().abs_diff(other.steady.unwrap_or(0));
        assert!(apart <= FAR, "{one:?}\n{other:?}");
    }
}

#[test]
fn two_guests_of_x86_64_cost_the_same() {
    two_guests_cost_the_same(Arch::X86_64);
}

#[test]
fn two_guests_of_s390x_cost_the_same() {
    two_guests_cost_the_same(Arch::S390x);
}

#[test]
fn a_qemu_that_does_not_load_the_plugin_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path(), &Ui::silent()).unwrap();
    let how = Counting::of(Path::new("false"), &cache).unwrap();
    assert!(matches!(how, Counting::GuestTime { .. }), "{how:?}");
}
