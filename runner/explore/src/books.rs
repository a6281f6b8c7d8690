// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that is none: naive books, which steps are written for.

use crate::{
    able::Able,
    moment::{Group, Moment},
};
use base::{ByteSize, Errno};
use memory::{
    AddBy, Attribute, BlockId, Dimm, Generation, Hypervisor, Ledger, MemoryFacts, Model, Op, RemoveBy,
    naive::{BLOCK, BLOCKS, CORE, World},
};
use suite::{Act, Action, AddResult, BlockName, BlockRef, Extent, File, RefuseUnassign, Via, ZoneChoice};

/// A guest that is books alone.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) facts: MemoryFacts,
    world: World,
    model: Model,
    pub(crate) ledger: Ledger,
    pub(crate) groups: Vec<(Group, Option<String>)>,
    dimms: u32,
}

impl Guest {
    pub(crate) fn new(facts: MemoryFacts) -> Self {
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

    pub(crate) fn moment<'a>(&'a self, machine: &'a suite::CaseMachine) -> Moment<'a> {
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
    pub(crate) fn asked(&mut self, act: &Act) -> (Vec<Op>, Option<Errno>) {
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
            Act::RefuseUnassign(refuse) => (vec![Op::KeepStorage(*refuse != RefuseUnassign::Off)], None),
            Act::Veto(_)
            | Act::RefuseAssign(_)
            | Act::Hold(_)
            | Act::Free(_)
            | Act::Load(_)
            | Act::Pressure(_)
            | Act::Cpu(_) => (vec![Op::Nothing], None),
            other => panic!("nobody draws {other:?}"),
        }
    }

    /// Whether the books refuse it as they are.
    fn refused(&mut self, action: &Action) -> bool {
        let Action::Act(act) = action else { return false };
        let (ops, _) = self.asked(act);
        ops.iter()
            .any(|op| self.model.refusal(&self.ledger, op).is_some())
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
    pub(crate) fn does(&mut self, action: &Action, injected: bool) -> bool {
        let act = match action {
            // One after the other is one of the orders; what they refuse then, they may refuse.
            Action::Act(Act::Parallel(parallel)) => {
                return parallel.writers.iter().flatten().all(|step| {
                    let can = self.refused(&step.action);
                    can || self.does(&step.action, false)
                });
            }
            // It comes to where it began, without a refusal.
            Action::Sweep(sweep) => {
                let begun = self.ledger.blocks.clone();
                let done = sweep.steps.iter().all(|step| self.does(&step.action, false));
                return done && self.ledger.blocks == begun;
            }
            Action::Act(act) => act,
            other => panic!("nobody draws {other:?}"),
        };
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

/// A kernel that can be asked for all, or for all but vetoes.
pub(crate) fn able(vetoes: bool) -> Able {
    Able {
        vetoes,
        sweeps: true,
        thp: true,
        ksm: true,
        hugetlb: true,
        compacts: true,
        tells_pages: true,
        pins: true,
    }
}
