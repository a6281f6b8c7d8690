// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults put into recorded ledgers: the comparison must show each of them.

use super::{
    compare::{FREE_TOLERANCE, SHRINK_TOLERANCE},
    random::dimm_blocks,
    replay::recording,
    *,
};
use base::{ByteSize, Errno, Pages};

/// A guest with memmap_on_memory (x86, 6.12): the ledgers before and after the first block goes online, and the step.
fn first_online() -> (Model, Ledger, Op, Ledger) {
    let recording = recording(include_str!("fixtures/x86_64-6.12-on.txt"));
    let mut model = Model::new(recording.facts, &recording.boot);
    let mut before = recording.boot;
    for (op, _, seen) in recording.steps {
        if matches!(op, Op::Online { .. }) {
            return (model, before, op, seen);
        }
        model = model.predict(&before, &op).model;
        before = seen;
    }
    panic!("no block goes online");
}

fn wrong(fault: impl FnOnce(&mut Ledger)) -> Vec<String> {
    let (model, before, op, mut seen) = first_online();
    fault(&mut seen);
    let mismatches = model.predict(&before, &op).check(&before, &op, &seen);
    mismatches.iter().map(ToString::to_string).collect()
}

const MOVABLE: ZoneId = ZoneId {
    node: 0,
    zone: Zone::Movable,
};
const BLOCK: BlockId = BlockId(32);

fn movable(ledger: &mut Ledger) -> &mut ZoneCounters {
    ledger.zones.get_mut(&MOVABLE).unwrap()
}

#[test]
fn an_unchanged_ledger_has_no_fault() {
    assert_eq!(wrong(|_| {}), Vec::<String>::new());
}

#[test]
fn one_page_too_many_is_seen_and_told_in_the_kernels_words() {
    let text = wrong(|ledger| movable(ledger).managed.0 += 1);
    assert_eq!(
        text,
        ["node 0 zone Movable managed: 0 must be 32256, is 32257 (+1 pages)"]
    );
    assert_eq!(wrong(|ledger| ledger.mem_total.0 -= 1).len(), 1);
}

#[test]
fn every_counter_is_watched() {
    type Fault = fn(&mut Ledger);
    let faults: [(&str, Fault); 21] = [
        ("MemTotal", |l| l.mem_total.0 += 1),
        ("free", |l| l.free.0 -= 64),
        ("free", |l| l.free.0 += 64),
        ("nr_memmap_pages", |l| l.nr_memmap = Some(Pages(511))),
        ("nr_memmap_pages", |l| l.nr_memmap = None),
        ("nr_memmap_boot_pages", |l| l.nr_memmap_boot = Some(Pages(1))),
        ("Movable present", |l| movable(l).present.0 -= 1),
        ("Movable spanned", |l| movable(l).spanned.0 += 512),
        ("Movable start_pfn", |l| movable(l).start_pfn += 512),
        ("node 1 zone Movable", |l| {
            let extra = ZoneId { node: 1, ..MOVABLE };
            l.zones.insert(extra, ZoneCounters::default());
        }),
        ("memory32 state", |l| {
            l.blocks.get_mut(&BLOCK).unwrap().state = BlockState::GoingOffline;
        }),
        ("memory32 online", |l| {
            l.blocks.get_mut(&BLOCK).unwrap().online = false
        }),
        ("memory32 valid_zones", |l| {
            l.blocks.get_mut(&BLOCK).unwrap().valid_zones = vec![Zone::Normal];
        }),
        ("memory32 phys_device", |l| {
            l.blocks.get_mut(&BLOCK).unwrap().phys_device = 1;
        }),
        ("memory32", |l| drop(l.blocks.remove(&BLOCK))),
        ("iomem 100000000-107ffffff", |l| drop(l.ram.pop())),
        ("auto_online_blocks", |l| l.auto_online = AutoOnline::Online),
        ("isolated pageblocks", |l| l.isolated = 1),
        ("taint by faults: none must be none, is W", |l| {
            l.tainted |= 1 << 9
        }),
        ("taint by faults: none must be none, is BD", |l| {
            l.tainted |= 1 << 5 | 1 << 7
        }),
        ("DIMM a", |l| l.hypervisor = Hypervisor::Dimms(Default::default())),
    ];
    for (counter, fault) in faults {
        let text = wrong(fault);
        assert!(
            text.iter().any(|line| line.contains(counter)),
            "{counter}: {text:?}"
        );
    }
}

/// Loading a module of another tree, unsigned, out of staging, or with another compiler's options taints as well, and is no fault.
#[test]
fn what_a_module_taints_is_no_fault() {
    let fault = |bits: u64| wrong(move |ledger| ledger.tainted |= bits);
    let faults: u64 = [4, 5, 7, 9, 14].iter().map(|bit| 1 << bit).sum();
    assert_eq!(fault(!faults), Vec::<String>::new());
    assert_eq!(fault(faults).len(), 1);
}

#[test]
fn a_taint_that_the_log_explains_is_not_compared() {
    let (model, before, op, mut seen) = first_online();
    seen.tainted |= 1 << 9;
    let predicted = model.predict(&before, &op).ledger;
    let tolerance = |taint| Tolerance {
        taint,
        ..model.predict(&before, &op).tolerance(&before, &op)
    };
    assert_eq!(compare(&before, &predicted, &seen, tolerance(true)).len(), 1);
    assert_eq!(compare(&before, &predicted, &seen, tolerance(false)), vec![]);
}

#[test]
fn an_altmap_that_was_not_used_is_seen_at_add_and_at_online() {
    // The same guest, told that memmap_on_memory is off: the books of altmap are then wrong by V at every step.
    let recording = recording(include_str!("fixtures/x86_64-6.12-on.txt"));
    let mut facts = recording.facts;
    facts.memmap_on_memory = MemmapMode::Off;
    let mut model = Model::new(facts, &recording.boot);
    let mut before = recording.boot;
    let mut found = Vec::new();
    for (op, _, seen) in recording.steps.into_iter().take(2) {
        for mismatch in model.predict(&before, &op).check(&before, &op, &seen) {
            found.push(mismatch.counter);
        }
        model = model.predict(&before, &op).model;
        before = seen;
    }
    let free = "free (nr_free_pages + pcp count)";
    assert_eq!(found, [free, "MemTotal", free, "node 0 zone Movable managed"]);
}

#[test]
fn what_the_command_line_disturbs_is_not_compared() {
    let (model, before, op, mut seen) = first_online();
    let mut facts = model.facts().clone();
    facts.page_owner = true;
    let tolerance = Model::new(facts, &before)
        .predict(&before, &op)
        .tolerance(&before, &op);
    seen.free.0 -= 5000;
    seen.nr_memmap = Some(Pages(9));
    let predicted = model.predict(&before, &op).ledger;
    assert_eq!(compare(&before, &predicted, &seen, tolerance), vec![]);
    seen.mem_total.0 += 1;
    assert_eq!(compare(&before, &predicted, &seen, tolerance).len(), 1);
}

#[test]
fn an_offline_may_free_slabs_but_must_not_lose_pages() {
    let (model, before, ..) = first_online();
    let offline = Op::Offline {
        block: BLOCK,
        via_online_file: false,
    };
    let free = |op: &Op| model.predict(&before, op).tolerance(&before, op).free.unwrap();
    assert_eq!(free(&offline).below, FREE_TOLERANCE);
    assert_eq!(free(&offline).above, FREE_TOLERANCE + SHRINK_TOLERANCE);
    // All are well below V, so that a memmap in the wrong place cannot hide.
    assert!(free(&offline).above < model.facts().memmap_pages());
    let twice = Op::Several(vec![offline.clone(), offline]);
    assert_eq!(free(&twice).below, Pages(2 * FREE_TOLERANCE.0));
}

/// MemTotal in kB, as a person reads it, for a block that goes online.
fn mem_total_kib(file: &str) -> Vec<i64> {
    let recording = recording(file);
    let mut model = Model::new(recording.facts, &recording.boot);
    let mut before = recording.boot;
    let mut deltas = Vec::new();
    for (op, message, seen) in recording.steps {
        if message.is_none() {
            if matches!(op, Op::Online { .. }) {
                let grown = model.predict(&before, &op).ledger.mem_total - before.mem_total;
                deltas.push(grown.0 * 4);
            }
            model = model.predict(&before, &op).model;
        }
        before = seen;
    }
    deltas.retain(|kib| *kib != 0);
    deltas.sort_unstable();
    deltas.dedup();
    deltas
}

#[test]
fn mem_total_grows_by_the_block_or_by_the_block_without_its_memmap() {
    assert_eq!(
        mem_total_kib(include_str!("fixtures/x86_64-6.12-off.txt")),
        [131_072]
    );
    assert_eq!(
        mem_total_kib(include_str!("fixtures/x86_64-6.12-on.txt")),
        [129_024]
    );
    assert_eq!(
        mem_total_kib(include_str!("fixtures/s390x-6.12-off.txt")),
        [262_144]
    );
    assert_eq!(
        mem_total_kib(include_str!("fixtures/s390x-6.12-on.txt")),
        // The second is a boot block that came back.
        [258_048, 262_144]
    );
    // 6.1 gives altmap to the DIMM of one block, not to larger ones.
    let both = mem_total_kib(include_str!("fixtures/x86_64-6.1-on.txt"));
    assert_eq!(both, [129_024, 131_072]);
}

#[test]
fn a_dimm_that_is_no_whole_number_of_blocks_makes_none() {
    let (model, ..) = first_online();
    let dimm = |address, mib| Dimm {
        address,
        size: ByteSize::mib(mib),
        slot: 0,
        node: 0,
    };
    let blocks = |dimm: Dimm| dimm_blocks(&dimm, model.facts()).len();
    assert_eq!(blocks(dimm(0x1_0000_0000, 256)), 2);
    assert_eq!(blocks(dimm(0x1_0000_0000, 64)), 0);
    assert_eq!(blocks(dimm(0x1_0400_0000, 128)), 0);
}

#[test]
fn a_refused_unplug_forgets_the_zone_of_what_came_back() {
    let (mut model, before, op, _) = first_online();
    let blocks = vec![BLOCK];
    let online = model.predict(&before, &op).ledger;
    model = model.predict(&before, &op).model;
    // Busy itself, the block never left Movable.
    assert_eq!(
        model.unplug_refused(&online, &online, &blocks),
        Op::UnplugRefused {
            blocks: blocks.clone(),
            busy: blocks.clone(),
        }
    );
    let moved = Op::UnplugRefused { blocks, busy: vec![] };
    let after = model.predict(&online, &moved).ledger;
    assert_eq!(after.blocks[&BLOCK].valid_zones, [Zone::Normal]);
    assert_eq!(after.mem_total, online.mem_total);
}

#[test]
fn refusals_of_a_standby_block_follow_its_state() {
    let recording = recording(include_str!("fixtures/s390x-7.2-off.txt"));
    let mut model = Model::new(recording.facts, &recording.boot);
    let boot = recording.boot;
    let block = BlockId(8);
    let errno = |model: &Model, ledger: &Ledger, op: &Op| model.refusal(ledger, op).map(Errno::number);
    let online = Op::Online {
        block,
        kind: OnlineKind::Default,
        via_online_file: false,
    };
    let configure = Op::Add {
        blocks: vec![block],
        by: AddBy::Configure,
    };
    let deconfigure = Op::Remove {
        blocks: vec![block],
        by: RemoveBy::Deconfigure,
    };
    let choose = |on| Op::SetMemmapOnMemory { block, on };
    assert_eq!(errno(&model, &boot, &online), Some(2));
    assert_eq!(errno(&model, &boot, &choose(true)), Some(95));
    assert_eq!(errno(&model, &boot, &choose(false)), None);
    let both = Op::Several(vec![configure.clone(), online.clone()]);
    assert_eq!(errno(&model, &boot, &both), None);
    let after = model.predict(&boot, &both).ledger;
    model = model.predict(&boot, &both).model;
    assert_eq!(errno(&model, &after, &deconfigure), Some(16));
    assert_eq!(errno(&model, &after, &choose(false)), Some(16));
    // EOPNOTSUPP is looked for before EBUSY.
    assert_eq!(errno(&model, &after, &choose(true)), Some(95));
    assert_eq!(errno(&model, &after, &online), Some(22));
    assert_eq!(model.predict(&after, &deconfigure).ledger, after);
}
