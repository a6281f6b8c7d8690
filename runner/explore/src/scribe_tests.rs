// SPDX-License-Identifier: MIT OR Apache-2.0
//! Thousands of sequences, written as steps in guests that are naive books: each reads as a suite, and what the books refuse was foreseen.

use std::collections::BTreeSet;

use crate::{
    draw::Draw,
    moment::{Group, Moment},
    pick::Pick,
    scribe::Scribe,
    setup::setups,
    text::Found,
    wish::Wish,
};
use base::{Arch, ByteSize, Errno};
use memory::{
    AddBy, Attribute, BlockId, Dimm, Generation, Hypervisor, Ledger, MemmapMode, MemoryFacts, Model, Op,
    RemoveBy,
    naive::{self, BLOCK, BLOCKS, CORE, World},
};
use suite::{Act, AddResult, BlockName, BlockRef, Extent, File, Suite, Vetoable, Via, ZoneChoice};

/// A guest that is books alone.
struct Guest {
    facts: MemoryFacts,
    world: World,
    model: Model,
    ledger: Ledger,
    groups: Vec<(Group, Option<String>)>,
    dimms: u32,
}

impl Guest {
    fn new(facts: MemoryFacts) -> Self {
        let world = World::new(&facts);
        let ledger = world.ledger();
        Self {
            model: Model::new(facts.clone(), &ledger),
            world,
            ledger,
            facts,
            groups: Vec::new(),
            dimms: 0,
        }
    }

    fn moment<'a>(&'a self, machine: &'a suite::CaseMachine) -> Moment<'a> {
        Moment {
            facts: &self.facts,
            model: &self.model,
            ledger: &self.ledger,
            machine,
            groups: self.groups.iter().map(|(group, _)| group.clone()).collect(),
            boot: (0..CORE).map(BlockId).collect(),
        }
    }

    fn blocks(&self, of: &BlockRef) -> Vec<BlockId> {
        if of.name.is_boot() {
            return of.index.map(|index| BlockId(index.into())).into_iter().collect();
        }
        let (group, _) = self.group(&of.name);
        match of.index {
            Some(index) => vec![group.blocks[index as usize]],
            None => group.blocks.clone(),
        }
    }

    fn group(&self, name: &BlockName) -> &(Group, Option<String>) {
        let mut groups = self.groups.iter();
        groups
            .find(|(group, _)| group.name == *name)
            .expect("a name that was given")
    }

    /// The lowest address at which so much lies free.
    fn place(&self, size: u64) -> u64 {
        let Hypervisor::Dimms(dimms) = &self.ledger.hypervisor else {
            panic!("no DIMMs")
        };
        let free = |at: &u64| {
            let taken = |dimm: &Dimm| dimm.address < at + size && *at < dimm.address + dimm.size.as_bytes();
            !dimms.values().any(taken)
        };
        let places = (CORE * 2..(CORE + BLOCKS) * 2).map(|half| half * BLOCK / 2);
        places.into_iter().find(free).expect("a place")
    }

    /// The standby blocks that an `add` takes.
    fn next(&self, count: u32) -> Vec<BlockId> {
        let named = |block: &BlockId| self.groups.iter().any(|(group, _)| group.blocks.contains(block));
        let free = |block: &BlockId| {
            !named(block)
                && self
                    .ledger
                    .storage
                    .get(block)
                    .is_none_or(|storage| !storage.configured)
        };
        let first = |at: &u64| (*at..at + u64::from(count)).all(|block| free(&BlockId(block)));
        let at = (CORE..CORE + BLOCKS).find(first).expect("blocks side by side");
        (at..at + u64::from(count)).map(BlockId).collect()
    }

    /// What a step asks for, one thing after the other; and the errno that it must fail with.
    fn asked(&mut self, act: &Act) -> (Vec<Op>, Option<Errno>) {
        let each = |blocks: Vec<BlockId>, op: &dyn Fn(BlockId) -> Op| blocks.into_iter().map(op).collect();
        match act {
            Act::Add(add) => {
                let ops = self.add(add);
                match add.result {
                    AddResult::Fails(errno) => (Vec::new(), Some(errno)),
                    _ => (ops, None),
                }
            }
            Act::Online(online) => {
                let kind = online.zone.map_or(memory::OnlineKind::Default, ZoneChoice::kind);
                let ops = each(self.blocks(&online.block), &|block| Op::Online {
                    block,
                    kind,
                    via_online_file: online.via == Some(Via::Online),
                });
                (ops, online.fails)
            }
            Act::Offline(offline) => {
                let ops = each(self.blocks(&offline.block), &|block| Op::Offline {
                    block,
                    via_online_file: offline.via == Some(Via::Online),
                });
                (ops, offline.fails)
            }
            Act::Remove(remove) => {
                let (group, dimm) = self.group(&remove.block).clone();
                if remove.fails.is_none() {
                    self.groups.retain(|(other, _)| *other != group);
                }
                let blocks = group.blocks;
                let op = match (dimm, self.facts.generation) {
                    (Some(id), _) => Op::Remove {
                        blocks,
                        by: RemoveBy::Dimm { id },
                    },
                    (None, Some(Generation::G2)) => Op::Remove {
                        blocks,
                        by: RemoveBy::Deconfigure,
                    },
                    // It only loses its name.
                    (None, _) => Op::Nothing,
                };
                (vec![op], remove.fails)
            }
            Act::Configure(configure) => {
                let blocks = self.blocks(&configure.block);
                let memmap = configure
                    .memmap_on_memory
                    .map(|on| Op::SetMemmapOnMemory { block: blocks[0], on });
                let add = Op::Add {
                    blocks,
                    by: AddBy::Configure,
                };
                (memmap.into_iter().chain([add]).collect(), configure.fails)
            }
            Act::Deconfigure(deconfigure) => {
                let blocks = self.blocks(&deconfigure.block);
                let by = RemoveBy::Deconfigure;
                (vec![Op::Remove { blocks, by }], deconfigure.fails)
            }
            Act::Storage(storage) => {
                let attribute = storage.file.attribute(self.blocks(&storage.block)[0]);
                (self.written(attribute, &storage.value), storage.fails)
            }
            Act::Write(write) => {
                let attribute = match &write.file {
                    File::Path(path) => Attribute::at(path),
                    File::OfBlock { block, file } => {
                        Attribute::at(&Attribute::block_file(self.blocks(block)[0], file))
                    }
                };
                (
                    self.written(attribute.expect("a file"), &write.value),
                    write.fails,
                )
            }
            Act::AutoOnline(auto) => (vec![Op::SetAutoOnline(auto.policy.auto_online())], None),
            Act::Veto(_) | Act::RefuseAssign(_) => (vec![Op::Nothing], None),
            other => panic!("nobody draws {other:?}"),
        }
    }

    fn written(&self, attribute: Attribute, value: &str) -> Vec<Op> {
        attribute.asks(value, self.facts.block_size).into_iter().collect()
    }

    fn add(&mut self, add: &suite::Add) -> Vec<Op> {
        let (size, count) = match add.extent {
            Extent::Blocks(blocks) => (u64::from(blocks) * BLOCK, blocks),
            Extent::Size(size) => (size.as_bytes(), 0),
        };
        let (blocks, op, dimm) = match self.facts.generation {
            None => {
                let address = self.place(size);
                let id = format!("dimm{}", self.dimms);
                self.dimms += 1;
                let first = address / BLOCK;
                let blocks: Vec<BlockId> = (first..first + u64::from(count)).map(BlockId).collect();
                let dimm = Dimm {
                    address,
                    size: ByteSize::bytes(size),
                    slot: 0,
                    node: 0,
                };
                let by = AddBy::Dimm { id: id.clone(), dimm };
                (blocks.clone(), Op::Add { blocks, by }, Some(id))
            }
            Some(Generation::G2) => {
                let blocks = self.next(count);
                let by = AddBy::Configure;
                (blocks.clone(), Op::Add { blocks, by }, None)
            }
            Some(_) => {
                let blocks = self.next(count);
                let by = AddBy::AtBoot;
                (blocks.clone(), Op::Add { blocks, by }, None)
            }
        };
        let memmap = add
            .memmap_on_memory
            .map(|on| Op::SetMemmapOnMemory { block: blocks[0], on });
        let name = add.name.clone();
        self.groups.push((Group { name, blocks }, dimm));
        memmap.into_iter().chain([op]).collect()
    }

    /// Does a step of a guest in which nothing is injected, and says whether the books did as it says.
    fn does(&mut self, act: &Act, injected: bool) -> bool {
        let (ops, fails) = self.asked(act);
        if injected || ops.is_empty() {
            return true;
        }
        let mut done = true;
        for op in &ops {
            if fails.is_none() || self.model.refusal(&self.ledger, op).is_none() {
                done &= self.world.step(op);
                self.model = self.model.predict(&self.ledger, op).model;
                self.ledger = self.world.ledger();
            } else {
                done &= self.world.step(op);
            }
        }
        done == fails.is_none()
    }
}

/// Whether a step fails by what an earlier one injected.
fn injected(act: &Act, moment: &Moment<'_>, guest: &Guest) -> bool {
    let mut guest = Guest {
        facts: guest.facts.clone(),
        world: guest.world.clone(),
        model: guest.model.clone(),
        ledger: guest.ledger.clone(),
        groups: guest.groups.clone(),
        dimms: guest.dimms,
    };
    let (ops, fails) = guest.asked(act);
    fails.is_some() && !ops.is_empty() && ops.iter().all(|op| moment.refusal(op).is_none())
}

#[test]
fn whatever_is_drawn_reads_as_a_suite_and_fails_where_the_books_refuse() {
    let guests = [
        (None, MemmapMode::Off),
        (None, MemmapMode::On),
        (Some(Generation::G0), MemmapMode::Absent),
        (Some(Generation::G1), MemmapMode::On),
        (Some(Generation::G2), MemmapMode::Off),
        (Some(Generation::G2), MemmapMode::On),
    ];
    let mut words: BTreeSet<String> = BTreeSet::new();
    for (generation, mode) in guests {
        let arch = if generation.is_some() {
            Arch::S390x
        } else {
            Arch::X86_64
        };
        let draw = Draw { arch, seed: 11 };
        let opening = Suite::parse("explore.yaml", &crate::text::opening(arch, &[])).expect("an opening");
        for number in 0..200 {
            let sequence = draw.sequence(number);
            let machine = suite::CaseMachine {
                hotplug: ByteSize::bytes(BLOCKS * BLOCK),
                memory: ByteSize::bytes(CORE * BLOCK),
                ..opening.cases[sequence.setup].machine.clone()
            };
            let mut guest = Guest::new(naive::facts(generation, mode));
            let mut scribe = Scribe::new(number % 2 == 0);
            let mut lines = vec!["auto_online: { policy: offline }".to_owned()];
            for wish in &sequence.wishes {
                let Some(act) = scribe.step(wish, &guest.moment(&machine)) else {
                    continue;
                };
                let line = suite::Step {
                    line: 1,
                    action: suite::Action::Act(act.clone()),
                }
                .to_string();
                words.insert(line.split(':').next().unwrap().to_owned());
                let injected = injected(&act, &guest.moment(&machine), &guest);
                assert!(
                    guest.does(&act, injected),
                    "{generation:?} {number}: {wish}: {line}\n{}",
                    lines.join("\n")
                );
                lines.push(line);
            }
            let found = Found {
                words: &[],
                setup: &setups(arch)[sequence.setup],
                arch,
                generation,
                suite: "drawn",
                name: "drawn",
                steps: &lines,
                about: &[],
            };
            let text = found.text();
            if let Err(errors) = Suite::parse("drawn.yaml", &text) {
                panic!("{generation:?} {number}: {errors}\n{text}");
            }
        }
    }
    let all = [
        "add",
        "auto_online",
        "configure",
        "deconfigure",
        "offline",
        "online",
        "refuse_assign",
        "remove",
        "storage",
        "veto",
        "write",
    ];
    assert_eq!(words.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn a_block_with_storage_that_is_left_is_not_put_online_against_a_veto() {
    let facts = naive::facts(Some(Generation::G1), MemmapMode::Off);
    let increment = facts.increment.expect("increments").as_bytes();
    let mut guest = Guest::new(facts);
    let block = BlockId(CORE);
    let group = Group {
        name: "b1".parse().expect("a name"),
        blocks: vec![block],
    };
    guest.groups.push((group, None));
    let machine = Suite::parse("explore.yaml", &crate::text::opening(Arch::S390x, &[])).expect("an opening");
    let machine = machine.cases[0].machine.clone();
    let online = Wish::Online {
        block: Pick::try_from(0).expect("a percentage"),
        legal: true,
        zone: None,
        via: Via::State,
    };
    let mut scribe = Scribe::new(true);
    assert!(scribe.step(&online, &guest.moment(&machine)).is_some());
    let veto = Wish::Veto {
        notifier: Vetoable::GoingOnline,
        errno: Errno::ENOMEM,
    };
    assert!(scribe.step(&veto, &guest.moment(&machine)).is_some());
    assert!(scribe.step(&online, &guest.moment(&machine)).is_some());
    let Hypervisor::Standby { assigned, .. } = &mut guest.ledger.hypervisor else {
        panic!("no standby storage")
    };
    let last = BlockId(CORE + 1).start(ByteSize::bytes(BLOCK)) / increment;
    assigned.insert(last as u32);
    assert_eq!(scribe.step(&online, &guest.moment(&machine)), None);
    assigned_to_another(&mut guest, last as u32 + 1);
    assert!(scribe.step(&online, &guest.moment(&machine)).is_some());
}

/// Leaves this increment alone assigned.
fn assigned_to_another(guest: &mut Guest, number: u32) {
    if let Hypervisor::Standby { assigned, .. } = &mut guest.ledger.hypervisor {
        *assigned = [number].into();
    }
}
