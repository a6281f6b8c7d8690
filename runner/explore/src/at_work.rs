// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps that have others at work in the guest: pages in use, programs that go on, little memory, a CPU that goes, writers side by side, allocations that
//! fail.

use crate::{able::Able, moment::Moment, pick::Pick, scribe::Scribe, wish::Switch};
use base::{Arch, ByteSize, Errno};
use memory::{BlockId, BlockLedger, BlockState, OnlineKind, Op, Zone};
use suite::{
    Act, Action, BlockName, BlockRef, Cpu, Free, Hold, Holding, Load, Offline, Online, Parallel, Pressure,
    Step, Sweep, Working, ZoneChoice,
};

/// Kinds of pages that are in use at once, at the most: all of them are looked at after each step.
const HELD: usize = 2;

/// How much memory the kernel has where it has little. All that is drawn still has enough: the memmap of a block takes 4 MiB at the most.
const LITTLE: ByteSize = ByteSize::mib(64);

/// The CPU that goes.
const CPU: u32 = 1;

/// Pages that are in use.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    name: BlockName,
    by: Holding,
    /// The block that they keep online.
    pub(crate) keeps: Option<BlockId>,
}

impl Able {
    /// Whether pages can be in use so.
    fn holds(&self, by: Holding, arch: Arch) -> bool {
        match by {
            Holding::Anon | Holding::Mlock | Holding::File | Holding::Pipe => true,
            Holding::Thp => self.thp,
            Holding::Ksm => self.ksm,
            Holding::Hugetlb => self.hugetlb && arch == Arch::X86_64,
            Holding::Longterm => self.pins,
        }
    }

    /// Whether others can be at work so. What has to be asked for on the command line nobody draws.
    fn works(&self, by: Working) -> bool {
        match by {
            Working::Cache | Working::Anon | Working::Fork | Working::Sysfs => true,
            Working::Compaction => self.compacts,
            Working::Pages => self.tells_pages,
            Working::PageOwner | Working::PageTables => false,
        }
    }
}

impl Moment<'_> {
    fn zone(&self, block: BlockId) -> Option<Zone> {
        let zone = self.ledger.blocks.get(&block).and_then(BlockLedger::zone);
        zone.map(|at| at.zone)
    }

    /// Whether a block is online where pages of the kernel's own may be.
    pub(crate) fn is_of_kernel(&self, block: BlockId) -> bool {
        self.zone(block).is_some_and(|zone| zone != Zone::Movable)
    }

    /// All blocks of zone Movable, where they are those of one name, or one of them, beside the CPUs: pages are taken from there first.
    fn all_movable(&self) -> Option<(BlockRef, Vec<BlockId>)> {
        let blocks = self.ledger.blocks.keys().copied();
        let movable: Vec<BlockId> = blocks
            .filter(|block| self.zone(*block) == Some(Zone::Movable))
            .collect();
        let is_beside = |block: &BlockId| {
            let block = self.ledger.blocks.get(block);
            block.is_some_and(|block| block.node == 0)
        };
        if !movable.iter().all(is_beside) {
            return None;
        }
        if let [only] = movable.as_slice() {
            let one = self.blocks(false).into_iter().find(|(_, block)| block == only);
            return one.map(|(reference, _)| (reference, movable));
        }
        let group = self.groups.iter().find(|group| group.blocks == movable)?;
        let name = group.name.clone();
        (!movable.is_empty()).then_some((BlockRef { name, index: None }, movable))
    }
}

impl Scribe {
    pub(crate) fn hold(&mut self, by: Holding, moment: &Moment<'_>) -> Option<Act> {
        let is_held = self.held.iter().any(|held| held.by == by);
        if self.is_loaded
            || self.is_pressed
            || is_held
            || self.held.len() >= HELD
            || !self.able.holds(by, moment.facts.arch)
        {
            return None;
        }
        let (block, blocks) = moment.all_movable()?;
        let keeps = match (by, blocks.as_slice()) {
            (Holding::Pipe, [one]) => Some(*one),
            // In which of several they come to lie, nobody asks.
            (Holding::Pipe, _) => return None,
            _ => None,
        };
        let name = self.name("h")?;
        self.held.push(Held {
            name: name.clone(),
            by,
            keeps,
        });
        Some(Act::Hold(Hold { block, by, name }))
    }

    pub(crate) fn let_go(&mut self, which: Pick) -> Option<Act> {
        let name = which.of(&self.held)?.name.clone();
        self.forget(&name);
        Some(Act::Free(Free::Hold(name)))
    }

    /// Pages are not in use, as they were to be: the guest had them elsewhere.
    pub fn forget(&mut self, name: &BlockName) {
        self.held.retain(|held| held.name != *name);
    }

    /// Whether pages that are in use keep this block online.
    pub(crate) fn is_kept(&self, block: BlockId) -> bool {
        self.held.iter().any(|held| held.keeps == Some(block))
    }

    /// Whether pages that do not move may be in any block from which the kernel allocates.
    pub(crate) fn is_pinned(&self) -> bool {
        self.is_pressed || self.held.iter().any(|held| held.by == Holding::Longterm)
    }

    /// Whether nobody is at work, and the kernel has its memory. Where pages are held, it is looked where they lie, and others would move them.
    fn is_at_rest(&self) -> bool {
        !self.is_loaded && !self.is_pressed && self.held.is_empty()
    }

    pub(crate) fn load(&mut self, by: Working) -> Option<Act> {
        if !self.is_at_rest() || !self.able.works(by) {
            return None;
        }
        self.is_loaded = true;
        Some(Act::Load(Load::On {
            by: vec![by],
            seed: None,
        }))
    }

    pub(crate) fn load_off(&mut self) -> Option<Act> {
        std::mem::take(&mut self.is_loaded).then_some(Act::Load(Load::Off))
    }

    /// What ends a sequence: it is looked what came of those who are still at work.
    pub fn last(&mut self) -> Option<Action> {
        self.load_off().map(Action::Act)
    }

    /// All memory at boot must be there: with less, the kernel may have no more than that.
    pub(crate) fn pressure(&mut self, on: bool, moment: &Moment<'_>) -> Option<Act> {
        let is_there = |block: &BlockId| moment.state(*block) == Some(BlockState::Online);
        let can_be = self.is_at_rest() && moment.boot.iter().all(is_there);
        if on == self.is_pressed || on && !can_be {
            return None;
        }
        self.is_pressed = on;
        Some(Act::Pressure(match on {
            true => Pressure::Free(LITTLE),
            false => Pressure::Off,
        }))
    }

    pub(crate) fn cpu(&mut self, on: bool, moment: &Moment<'_>) -> Option<Act> {
        if moment.machine.cpus <= CPU || on != self.is_cpu_off {
            return None;
        }
        self.is_cpu_off = !on;
        Some(Act::Cpu(Cpu {
            number: CPU,
            on,
            fails: None,
        }))
    }

    pub(crate) fn parallel(
        &self,
        blocks: [Pick; 2],
        writers: &[Vec<Switch>],
        moment: &Moment<'_>,
    ) -> Option<Act> {
        if self.is_refusing() {
            return None;
        }
        let switched = self.switched(moment);
        let blocks = [blocks[0].of(&switched)?, blocks[1].of(&switched)?].map(|(block, _)| block);
        let step = |switch: &Switch| {
            let block = blocks[usize::from(switch.second)].clone();
            if switch.on { online(block) } else { offline(block) }
        };
        let writers = writers.iter().map(|switches| switches.iter().map(step).collect());
        Some(Act::Parallel(Parallel {
            writers: writers.collect(),
            fails: Vec::new(),
        }))
    }

    pub(crate) fn sweep(&self, block: Pick, moment: &Moment<'_>) -> Option<Sweep> {
        if !self.able.sweeps || self.is_refusing() || !self.is_at_rest() {
            return None;
        }
        let (block, id) = block.of(&self.switched(moment)).cloned()?;
        let there_and_back = match moment.state(id)? {
            BlockState::Online => [offline(block.clone()), online(block)],
            // What is left of its storage, an online that fails may give back.
            _ if moment.is_by_state() && moment.has_storage(id) => return None,
            _ => [online(block.clone()), offline(block)],
        };
        let eperm = Errno::from_number(1).filter(|_| moment.is_by_state());
        Some(Sweep {
            steps: there_and_back.into(),
            fails: eperm.into_iter().collect(),
        })
    }

    /// Blocks that go between offline and zone Movable by nothing but a write.
    fn switched(&self, moment: &Moment<'_>) -> Vec<(BlockRef, BlockId)> {
        let mut blocks = moment.blocks(false);
        blocks.retain(|(_, block)| {
            let op = match moment.state(*block) {
                Some(BlockState::Offline) => Op::Online {
                    block: *block,
                    kind: OnlineKind::Movable,
                    via_online_file: false,
                },
                _ => Op::Offline {
                    block: *block,
                    via_online_file: false,
                },
            };
            !moment.is_of_kernel(*block) && !self.is_kept(*block) && moment.refusal(&op).is_none()
        });
        blocks
    }
}

fn online(block: BlockRef) -> Step {
    step(Act::Online(Online {
        block,
        zone: Some(ZoneChoice::Movable),
        via: None,
        fails: None,
    }))
}

fn offline(block: BlockRef) -> Step {
    step(Act::Offline(Offline {
        block,
        via: None,
        fails: None,
    }))
}

fn step(act: Act) -> Step {
    Step {
        line: 1,
        action: Action::Act(act),
    }
}
