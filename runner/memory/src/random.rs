// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random steps: the model against the naive books.

use proptest::prelude::*;

use super::{
    naive::{BLOCK, BLOCKS, CORE, V0, World, facts},
    *,
};
use base::{ByteSize, Pages};

/// A step in the making; which blocks it means depends on the state in which it is done.
#[derive(Debug, Clone)]
enum Wish {
    Online(u64, OnlineKind, bool),
    Offline(u64, bool),
    Plug(u64),
    Unplug(usize),
    Configure(u64),
    Deconfigure(u64),
    Choose(u64, bool),
    Auto(AutoOnline),
    Keep(bool),
}

fn wish() -> impl Strategy<Value = Wish> {
    let kind = prop_oneof![
        Just(OnlineKind::Default),
        Just(OnlineKind::Kernel),
        Just(OnlineKind::Movable)
    ];
    let policy = prop_oneof![Just(AutoOnline::Offline), Just(AutoOnline::OnlineMovable)];
    // Block 0 holds the kernel and never goes.
    let block = 1..CORE + BLOCKS;
    prop_oneof![
        6 => (block.clone(), kind, any::<bool>()).prop_map(|(b, k, f)| {
            Wish::Online(b, if f { OnlineKind::Default } else { k }, f)
        }),
        4 => (block.clone(), any::<bool>()).prop_map(|(b, f)| Wish::Offline(b, f)),
        3 => (1..4_u64).prop_map(Wish::Plug),
        1 => (0..4_usize).prop_map(Wish::Unplug),
        4 => block.clone().prop_map(Wish::Configure),
        2 => block.clone().prop_map(Wish::Deconfigure),
        1 => (block, any::<bool>()).prop_map(|(b, on)| Wish::Choose(b, on)),
        1 => policy.prop_map(Wish::Auto),
        1 => any::<bool>().prop_map(Wish::Keep),
    ]
}

fn op(world: &World, wish: &Wish) -> Op {
    let x86 = world.facts.generation.is_none();
    let g2 = world.facts.generation == Some(Generation::G2);
    let block = |b: &u64| BlockId(*b);
    match wish {
        Wish::Online(b, kind, file) => Op::Online {
            block: block(b),
            kind: *kind,
            via_online_file: *file,
        },
        Wish::Offline(b, file) => Op::Offline {
            block: block(b),
            via_online_file: *file,
        },
        Wish::Auto(policy) => Op::SetAutoOnline(*policy),
        Wish::Keep(keeps) => Op::KeepStorage(*keeps),
        Wish::Plug(blocks) if x86 => {
            let top = world.books.keys().last().unwrap() + 1;
            if top + blocks > CORE + BLOCKS {
                return Op::Nothing;
            }
            let dimm = Dimm {
                address: top * BLOCK,
                size: ByteSize::bytes(blocks * BLOCK),
                slot: 0,
                node: 0,
            };
            Op::Add {
                blocks: dimm_blocks(&dimm, &world.facts),
                by: AddBy::Dimm {
                    id: format!("d{}", world.calls),
                    dimm,
                },
            }
        }
        Wish::Unplug(n) if x86 => match world.dimms.iter().nth(*n) {
            Some((id, dimm)) => Op::Remove {
                blocks: dimm_blocks(dimm, &world.facts),
                by: RemoveBy::Dimm { id: id.clone() },
            },
            None => Op::Nothing,
        },
        Wish::Configure(b) if g2 => Op::Add {
            blocks: vec![block(b)],
            by: AddBy::Configure,
        },
        Wish::Deconfigure(b) if g2 => Op::Remove {
            blocks: vec![block(b)],
            by: RemoveBy::Deconfigure,
        },
        Wish::Choose(b, on) if g2 => Op::SetMemmapOnMemory {
            block: block(b),
            on: *on,
        },
        _ => Op::Nothing,
    }
}

fn guests() -> impl Strategy<Value = MemoryFacts> {
    let generation = prop_oneof![
        Just(None),
        Just(Some(Generation::G0)),
        Just(Some(Generation::G1)),
        Just(Some(Generation::G2))
    ];
    let mode = prop_oneof![Just(MemmapMode::Off), Just(MemmapMode::On)];
    (generation, mode).prop_map(|(generation, mode)| facts(generation, mode))
}

const EXACT: Tolerance = Tolerance {
    free: Some(FreeTolerance {
        below: Pages(0),
        above: Pages(0),
    }),
    nr_memmap: true,
    taint: true,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_model_agrees_with_books_kept_chunk_by_chunk(facts in guests(), wishes in prop::collection::vec(wish(), 1..25)) {
        let mut world = World::new(&facts);
        let mut before = world.ledger();
        let mut model = Model::new(facts, &before);
        for wish in wishes {
            let op = op(&world, &wish);
            let refused = model.refusal(&before, &op).is_some();
            prop_assert_eq!(world.step(&op), !refused, "{:?}", op);
            let predicted = model.predict(&before, &op).ledger;
            let seen = world.ledger();
            let wrong = compare(&before, &predicted, &seen, EXACT);
            prop_assert!(wrong.is_empty(), "{:?}: {:?}", op, wrong);
            let is_written = !matches!(op, Op::Add { by: AddBy::Dimm { .. }, .. } | Op::Remove { by: RemoveBy::Dimm { .. }, .. } | Op::KeepStorage(_));
            if is_written && !refused {
                prop_assert_eq!(before.has(&op), seen == before, "{:?}", op);
            }
            model = model.predict(&before, &op).model;
            before = seen;
        }
    }

    #[test]
    fn going_back_restores_the_books(facts in guests(), wishes in prop::collection::vec(wish(), 0..12), b in CORE..CORE + BLOCKS) {
        let mut world = World::new(&facts);
        let mut ledger = world.ledger();
        let mut model = Model::new(facts, &ledger);
        for wish in wishes {
            let op = op(&world, &wish);
            // Storage that is kept does not go back.
            if model.refusal(&ledger, &op).is_some() || op == Op::KeepStorage(true) {
                continue;
            }
            world.step(&op);
            let next = model.predict(&ledger, &op).ledger;
            model = model.predict(&ledger, &op).model;
            ledger = next;
        }
        let block = BlockId(b);
        let there = ledger.blocks.get(&block).map(|b| b.state);
        let ops = match there {
            Some(BlockState::Offline) => Some((Wish::Online(b, OnlineKind::Movable, false), Wish::Offline(b, false))),
            None => Some((Wish::Configure(b), Wish::Deconfigure(b))),
            _ => None,
        };
        if let Some((forth, back)) = ops
            && ledger.auto_online == AutoOnline::Offline
        {
            let forth = op(&world, &forth);
            let back = op(&world, &back);
            let there = model.predict(&ledger, &forth).ledger;
            let mut later = model.clone();
            later = later.predict(&ledger, &forth).model;
            let restored = later.predict(&there, &back).ledger;
            prop_assert_eq!(compare(&there, &ledger, &restored, EXACT), vec![]);
            later = later.predict(&there, &back).model;
            prop_assert_eq!(later, model);
        }
    }
}

#[test]
fn the_naive_world_uses_altmap_where_it_should() {
    assert_eq!(
        facts(Some(Generation::G2), MemmapMode::On).altmap(1),
        Some(Pages(V0 as i64))
    );
    assert!(facts(None, MemmapMode::On).altmap(3).is_some());
    assert_eq!(facts(Some(Generation::G0), MemmapMode::On).altmap(1), None);
}

/// The DIMM's blocks, if the kernel takes it: a whole number of blocks at a block's start.
pub(crate) fn dimm_blocks(dimm: &Dimm, facts: &MemoryFacts) -> Vec<BlockId> {
    let block = facts.block_size.as_bytes();
    let size = dimm.size.as_bytes();
    if !dimm.address.is_multiple_of(block) || !size.is_multiple_of(block) {
        return Vec::new();
    }
    let first = dimm.address / block;
    (first..first + size / block).map(BlockId).collect()
}
