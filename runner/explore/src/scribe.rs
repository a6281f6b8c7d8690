// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes the step that a wish comes to, with the errno that is foreseen.

use std::collections::BTreeSet;

use crate::{
    able::Able,
    at_work::Held,
    moment::{Group, Moment},
    pick::Pick,
    wish::{Wish, Writable},
};
use base::{Arch, Errno};
use memory::{AddBy, Attribute, AutoOnline, BlockId, BlockState, Op, RemoveBy, Zone};
use suite::{
    Act, Action, Add, AddResult, AutoOnlineBlocks, BlockName, BlockRef, Configure, Deconfigure, Extent, File,
    Offline, Online, RefuseAssign, RefuseUnassign, Remove, Storage, StorageFile, Veto, Vetoable, Via, Write,
    ZoneChoice,
};

/// Blocks that all DIMMs may have together: of 16 so few never lie so that no place is left between them for three more.
const PLUGGED: u64 = 6;

/// Writes steps, and remembers what of them no ledger shows.
#[derive(Debug, Clone)]
pub struct Scribe {
    /// What the kernel can be asked for.
    pub(crate) able: Able,
    /// For the next name.
    names: u32,
    going_online: Option<Errno>,
    going_offline: Option<Errno>,
    refuses: Option<RefuseAssign>,
    /// The hypervisor takes no storage back.
    keeps_storage: bool,
    /// Names of blocks that were refused as they were added.
    failed: BTreeSet<BlockName>,
    /// Pages that are in use.
    pub(crate) held: Vec<Held>,
    /// Others are at work.
    pub(crate) is_loaded: bool,
    /// The kernel has little memory.
    pub(crate) is_pressed: bool,
    /// The CPU that goes is gone.
    pub(crate) is_cpu_off: bool,
}

/// The errno of something that is refused.
type Fails = Option<Errno>;

impl Scribe {
    /// One for a guest that was just started, whose kernel can be asked for this.
    pub fn new(able: Able) -> Self {
        Self {
            able,
            names: 0,
            going_online: None,
            going_offline: None,
            refuses: None,
            keeps_storage: false,
            failed: BTreeSet::new(),
            held: Vec::new(),
            is_loaded: false,
            is_pressed: false,
            is_cpu_off: false,
        }
    }

    /// The step that a wish comes to as things stand; `None` where there is nothing that it could mean, or where nobody knows what must come of
    /// it.
    pub fn step(&mut self, wish: &Wish, moment: &Moment<'_>) -> Option<Action> {
        if let Wish::Add {
            blocks,
            node,
            memmap_on_memory,
        } = wish
        {
            return self
                .add(*blocks, *node, *memmap_on_memory, moment)
                .map(Action::Act);
        }
        // A name whose blocks did not come keeps them from others, and stands for nothing.
        let groups = moment.groups.iter();
        let moment = &Moment {
            groups: groups
                .filter(|group| !self.failed.contains(&group.name))
                .cloned()
                .collect(),
            boot: moment.boot.clone(),
            ..*moment
        };
        match wish {
            Wish::Sweep { block } => self.sweep(*block, moment).map(Action::Sweep),
            wish => self.act(wish, moment).map(Action::Act),
        }
    }

    /// The same for what acts once.
    fn act(&mut self, wish: &Wish, moment: &Moment<'_>) -> Option<Act> {
        match wish {
            Wish::Add { .. } | Wish::Sweep { .. } => None,
            Wish::Hold { by } => self.hold(*by, moment),
            Wish::LetGo { which } => self.let_go(*which),
            Wish::Load { by } => self.load(*by),
            Wish::LoadOff => self.load_off(),
            Wish::Pressure { on } => self.pressure(*on, moment),
            Wish::Cpu { on } => self.cpu(*on, moment),
            Wish::Parallel { blocks, writers } => self.parallel(*blocks, writers, moment),
            Wish::HalfBlock => self.half_block(moment),
            Wish::Online {
                block,
                legal,
                zone,
                via,
            } => {
                let block = moment.one(*block, *legal, false, |block| {
                    moment.state(block) == Some(BlockState::Offline)
                })?;
                self.online(block, *zone, *via, moment)
            }
            Wish::Offline { block, legal, via } => {
                let block = moment.one(*block, *legal, false, |block| {
                    moment.state(block) == Some(BlockState::Online)
                })?;
                self.offline(block, *via, moment)
            }
            Wish::Remove { group } => self.remove(group.of(&moment.groups)?, moment),
            Wish::Boot { block, online } => {
                let block = boot(*block, online.is_some(), moment)?;
                match online {
                    Some(zone) => self.online(block, Some(*zone), Via::State, moment),
                    None => self.offline(block, Via::State, moment),
                }
            }
            Wish::Configure {
                block,
                memmap_on_memory,
            } => self.configure(*block, *memmap_on_memory, moment),
            Wish::Deconfigure { block, legal } => deconfigure(*block, *legal, moment),
            Wish::Memmap { block, on } => memmap(*block, *on, moment),
            Wish::Policy(policy) => Some(Act::AutoOnline(AutoOnlineBlocks { policy: *policy })),
            Wish::Veto { notifier, errno } => self.veto(*notifier, *errno),
            Wish::VetoOff => {
                let both = [self.going_online.take(), self.going_offline.take()];
                both.iter().flatten().next().map(|_| Act::Veto(Veto::Off))
            }
            Wish::Refuse { at } => self.refuse(*at, moment),
            Wish::RefuseOff => self.refuses.take().map(|_| Act::RefuseAssign(RefuseAssign::Off)),
            Wish::Keep { on } => self.keep_storage(*on),
            Wish::Write { file, block, value } => self.write(*file, *block, *value, moment),
        }
    }

    pub(crate) fn name(&mut self, first: &str) -> Option<BlockName> {
        self.names += 1;
        format!("{first}{}", self.names).parse().ok()
    }

    /// Whether notifications or storage are refused.
    pub(crate) fn is_refusing(&self) -> bool {
        self.going_online.is_some()
            || self.going_offline.is_some()
            || self.refuses.is_some()
            || self.keeps_storage
    }

    fn add(
        &mut self,
        blocks: u32,
        node: Pick,
        memmap_on_memory: Option<bool>,
        moment: &Moment<'_>,
    ) -> Option<Act> {
        // Whether a block that comes goes online then, nobody asks.
        if self.going_online.is_some() && moment.ledger.auto_online != AutoOnline::Offline {
            return None;
        }
        let x86 = moment.facts.arch == Arch::X86_64;
        let blocks = if moment.is_g2() { 1 } else { blocks };
        let fits = match x86 {
            true => {
                let whole = moment.groups.iter().all(|group| !group.blocks.is_empty());
                whole && moment.plugged() + u64::from(blocks) <= PLUGGED
            }
            false => moment.has_standby(blocks),
        };
        if !fits {
            return None;
        }
        let name = self.name("b")?;
        let mut result = AddResult::Added;
        if moment.is_g2() && self.refuses.is_some() {
            if moment.ledger.has_storage_left(moment.facts) {
                return None;
            }
            self.assigns();
            self.failed.insert(name.clone());
            result = AddResult::Fails(Errno::from_number(5)?);
        }
        let nodes: Vec<u32> = (0..moment.machine.nodes).collect();
        Some(Act::Add(Add {
            name,
            extent: Extent::Blocks(blocks),
            times: 1,
            address: None,
            node: (x86 && nodes.len() > 1)
                .then(|| node.of(&nodes).copied())
                .flatten(),
            memmap_on_memory: asked(memmap_on_memory, moment),
            result,
        }))
    }

    fn half_block(&mut self, moment: &Moment<'_>) -> Option<Act> {
        let whole = moment.groups.iter().all(|group| !group.blocks.is_empty());
        if !whole || moment.plugged() + 1 > PLUGGED {
            return None;
        }
        Some(Act::Add(Add {
            name: self.name("b")?,
            extent: Extent::Size(base::ByteSize::bytes(moment.facts.block_size.as_bytes() / 2)),
            times: 1,
            address: None,
            node: None,
            memmap_on_memory: None,
            result: AddResult::Refused,
        }))
    }

    /// An increment is refused from here on no more, if it was only one.
    fn assigns(&mut self) {
        if let Some(RefuseAssign::At { .. }) = self.refuses {
            self.refuses = None;
        }
    }

    fn online(
        &mut self,
        (block, id): (BlockRef, BlockId),
        zone: Option<ZoneChoice>,
        via: Via,
        moment: &Moment<'_>,
    ) -> Option<Act> {
        let via = if zone.is_some() { Via::State } else { via };
        let op = Op::Online {
            block: id,
            kind: zone.map_or(memory::OnlineKind::Default, ZoneChoice::kind),
            via_online_file: via == Via::Online,
        };
        let fails = self.onlines(id, &op, moment)?;
        Some(Act::Online(Online {
            block,
            zone,
            via: (via == Via::Online).then_some(via),
            fails,
        }))
    }

    /// What comes of an online; `None` where that is not known.
    fn onlines(&mut self, id: BlockId, op: &Op, moment: &Moment<'_>) -> Option<Fails> {
        if let Some(errno) = moment.refusal(op) {
            return Some(Some(errno));
        }
        if moment.ledger.has(op) {
            return Some(None);
        }
        // Boot memory has its storage, and what was taken from it by an offline comes back by the same commands. Whether what a block had before is
        // given back with the rest, where some is refused, depends on the kernel.
        if moment.is_by_state() && self.refuses.is_some() {
            if moment.boot.contains(&id) || moment.has_storage(id) {
                return None;
            }
            self.assigns();
            return Some(Errno::from_number(1));
        }
        // Whether the callback that gives storage back is called, where one before it refuses, depends on how they were built.
        if moment.is_by_state() && self.going_online.is_some() && moment.has_storage(id) {
            return None;
        }
        Some(self.going_online)
    }

    fn offline(&self, (block, id): (BlockRef, BlockId), via: Via, moment: &Moment<'_>) -> Option<Act> {
        let op = Op::Offline {
            block: id,
            via_online_file: via == Via::Online,
        };
        let fails = match self.offlines(id, &op, moment)? {
            // The kernel goes on trying until a signal comes, and the step sends one.
            None if self.is_kept(id) && !moment.ledger.has(&op) => Some(Errno::EINTR),
            fails => fails,
        };
        Some(Act::Offline(Offline {
            block,
            via: (via == Via::Online).then_some(via),
            fails,
        }))
    }

    /// What comes of an offline, but for pages that are in use and keep the block; `None` where that is not known.
    fn offlines(&self, id: BlockId, op: &Op, moment: &Moment<'_>) -> Option<Fails> {
        if self.is_pinned() && moment.is_of_kernel(id) {
            return None;
        }
        let fails = match (moment.refusal(op), self.going_offline) {
            // Which of two callbacks refuses first depends on how they were built.
            (Some(errno), Some(_)) if Errno::from_number(1) == Some(errno) => return None,
            (Some(errno), _) => Some(errno),
            (None, _) if moment.ledger.has(op) => None,
            (None, veto) => veto,
        };
        Some(fails)
    }

    fn remove(&self, group: &Group, moment: &Moment<'_>) -> Option<Act> {
        let stays = |block: &BlockId| self.is_kept(*block) || self.is_pinned() && moment.is_of_kernel(*block);
        // A DIMM would go offline without an end.
        if moment.facts.arch == Arch::X86_64 && group.blocks.iter().any(stays) {
            return None;
        }
        let is_online = |block: &BlockId| moment.state(*block) == Some(BlockState::Online);
        let online = group.blocks.iter().any(is_online);
        let busy = Errno::from_number(16);
        let fails = match (moment.facts.arch, moment.is_g2()) {
            (Arch::X86_64, _) => {
                let block = |id: &BlockId| moment.ledger.blocks.get(id);
                let movable = |id: &BlockId| {
                    let zone = block(id).and_then(memory::BlockLedger::zone);
                    zone.is_none_or(|zone| zone.zone == Zone::Movable)
                };
                // Blocks that went offline and must come back, where others stayed, would be refused that.
                if self.going_online.is_some() && !group.blocks.iter().all(movable) {
                    return None;
                }
                busy.filter(|_| online && self.going_offline.is_some())
            }
            (_, true) => moment.refusal(&Op::Remove {
                blocks: group.blocks.clone(),
                by: RemoveBy::Deconfigure,
            }),
            // It only loses its name.
            (_, false) => None,
        };
        if moment.is_g2() && group.blocks.iter().any(|block| moment.configures(*block)) {
            return None;
        }
        Some(Act::Remove(Remove {
            block: group.name.clone(),
            fails,
        }))
    }

    fn configure(&mut self, pick: Pick, memmap: Option<bool>, moment: &Moment<'_>) -> Option<Act> {
        if !moment.is_g2() || self.going_online.is_some() && moment.ledger.auto_online != AutoOnline::Offline
        {
            return None;
        }
        let (block, id) = pick.of(&moment.blocks(true)).cloned()?;
        let configures = moment.configures(id);
        let mut fails = moment.refusal(&Op::Add {
            blocks: vec![id],
            by: AddBy::Configure,
        });
        if fails.is_none() && configures && self.refuses.is_some() {
            if moment.has_storage(id) {
                return None;
            }
            self.assigns();
            fails = Errno::from_number(5);
        }
        Some(Act::Configure(Configure {
            block,
            // Where it is configured, the choice comes too late, and is another step.
            memmap_on_memory: asked(memmap, moment).filter(|_| configures),
            fails,
        }))
    }

    fn veto(&mut self, notifier: Vetoable, errno: Errno) -> Option<Act> {
        if !self.able.vetoes || self.refuses.is_some() || self.keeps_storage {
            return None;
        }
        match notifier {
            Vetoable::GoingOnline => self.going_online = Some(errno),
            Vetoable::GoingOffline => self.going_offline = Some(errno),
        }
        Some(Act::Veto(Veto::On {
            notifier,
            errno,
            priority: 0,
        }))
    }

    fn refuse(&mut self, at: Option<Pick>, moment: &Moment<'_>) -> Option<Act> {
        let increment = moment.facts.increment?.as_bytes();
        if self.going_online.is_some() || self.going_offline.is_some() || self.keeps_storage {
            return None;
        }
        let each = moment.facts.block_size.as_bytes().checked_div(increment)?;
        let refuse = match at {
            Some(at) => RefuseAssign::At {
                nth: at.number(each as u32),
                response: None,
            },
            None => RefuseAssign::All { response: None },
        };
        self.refuses = Some(refuse.clone());
        Some(Act::RefuseAssign(refuse))
    }

    /// Not while an online can fail that has some storage by then: what is left of that, nobody can say.
    fn keep_storage(&mut self, on: bool) -> Option<Act> {
        if on == self.keeps_storage || on && self.is_refusing() {
            return None;
        }
        self.keeps_storage = on;
        Some(Act::RefuseUnassign(match on {
            true => RefuseUnassign::All { response: None },
            false => RefuseUnassign::Off,
        }))
    }

    fn write(&mut self, file: Writable, pick: Pick, value: Pick, moment: &Moment<'_>) -> Option<Act> {
        let value = *value.of(file.values())?;
        let einval = Errno::from_number(22);
        let standby = matches!(file, Writable::Config | Writable::MemmapOnMemory);
        if standby && !moment.is_g2() {
            return None;
        }
        if file == Writable::AutoOnline {
            return Some(Act::Write(Write {
                file: File::Path(Attribute::AutoOnline.path()),
                value: value.to_owned(),
                fails: einval,
            }));
        }
        let (block, id) = pick.of(&moment.blocks(standby)).cloned()?;
        let (attribute, name) = match file {
            Writable::State => (Attribute::State(id), "state"),
            Writable::Online => (Attribute::Online(id), "online"),
            Writable::Config | Writable::MemmapOnMemory => {
                return Some(Act::Storage(Storage {
                    block,
                    file: match file {
                        Writable::Config => StorageFile::Config,
                        _ => StorageFile::MemmapOnMemory,
                    },
                    value: value.to_owned(),
                    fails: einval,
                }));
            }
            Writable::AutoOnline => return None,
        };
        let fails = match attribute.asks(value, moment.facts.block_size) {
            None => einval,
            Some(op @ Op::Online { .. }) => self.onlines(id, &op, moment)?,
            Some(_) if self.is_kept(id) => return None,
            Some(op) => self.offlines(id, &op, moment)?,
        };
        Some(Act::Write(Write {
            file: File::OfBlock {
                block,
                file: name.to_owned(),
            },
            value: value.to_owned(),
            fails,
        }))
    }
}

/// A block of the memory at boot that is not as wanted yet.
fn boot(pick: Pick, online: bool, moment: &Moment<'_>) -> Option<(BlockRef, BlockId)> {
    let from = if online {
        BlockState::Offline
    } else {
        BlockState::Online
    };
    let mut blocks = moment.boot.clone();
    blocks.retain(|block| moment.state(*block) == Some(from));
    let block = *pick.of(&blocks)?;
    let name = "boot".parse().ok()?;
    let index = u32::try_from(block.0).ok();
    Some((BlockRef { name, index }, block))
}

/// What can be asked of the memmap: nothing, but where each block has a choice.
fn asked(memmap: Option<bool>, moment: &Moment<'_>) -> Option<bool> {
    memmap.filter(|on| moment.is_g2() && (!on || moment.takes_altmap()))
}

fn deconfigure(pick: Pick, legal: bool, moment: &Moment<'_>) -> Option<Act> {
    if !moment.is_g2() {
        return None;
    }
    let (block, id) = moment.one(pick, legal, true, |block| {
        moment.state(block) == Some(BlockState::Offline)
    })?;
    let fails = moment.refusal(&Op::Remove {
        blocks: vec![id],
        by: RemoveBy::Deconfigure,
    });
    Some(Act::Deconfigure(Deconfigure { block, fails }))
}

fn memmap(pick: Pick, on: bool, moment: &Moment<'_>) -> Option<Act> {
    if !moment.is_g2() {
        return None;
    }
    let (block, id) = pick.of(&moment.blocks(true)).cloned()?;
    let fails = moment.refusal(&Op::SetMemmapOnMemory { block: id, on });
    Some(Act::Storage(Storage {
        block,
        file: StorageFile::MemmapOnMemory,
        value: if on { "1" } else { "0" }.to_owned(),
        fails,
    }))
}
