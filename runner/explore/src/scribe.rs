// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes the step that a wish comes to, with the errno that is foreseen.

use std::collections::BTreeSet;

use crate::{
    pick::Pick,
    standing::{Group, Standing},
    wish::{Wish, Writable},
};
use base::{Arch, Errno};
use memory::{AddBy, Attribute, AutoOnline, BlockId, BlockState, Op, RemoveBy, Zone};
use suite::{
    Act, Add, AddResult, AutoOnlineBlocks, BlockName, BlockRef, Configure, Deconfigure, Extent, File,
    Offline, Online, RefuseAssign, Remove, Storage, StorageFile, Veto, Vetoable, Via, Write, ZoneChoice,
};

/// Blocks that all DIMMs may have together: of 16 so few never lie so that no place is left between them for three more.
const PLUGGED: u64 = 6;

/// Writes steps, and remembers what of them no ledger shows.
#[derive(Debug, Clone)]
pub struct Scribe {
    /// The kernel can be told to refuse notifications.
    injects: bool,
    /// For the name of the next blocks.
    names: u32,
    going_online: Option<Errno>,
    going_offline: Option<Errno>,
    refuses: Option<RefuseAssign>,
    /// Names of blocks that were refused as they were added.
    failed: BTreeSet<BlockName>,
}

/// The errno of something that is refused.
type Fails = Option<Errno>;

impl Scribe {
    /// One for a guest that was just started. `injects` says whether its kernel can be told to refuse notifications.
    pub fn new(injects: bool) -> Self {
        Self {
            injects,
            names: 0,
            going_online: None,
            going_offline: None,
            refuses: None,
            failed: BTreeSet::new(),
        }
    }

    /// The step that a wish comes to as things stand; `None` where there is nothing that it could mean, or where nobody knows what must come of
    /// it.
    pub fn step(&mut self, wish: &Wish, standing: &Standing<'_>) -> Option<Act> {
        if let Wish::Add {
            blocks,
            node,
            memmap_on_memory,
        } = wish
        {
            return self.add(*blocks, *node, *memmap_on_memory, standing);
        }
        // A name whose blocks did not come keeps them from others, and stands for nothing.
        let groups = standing.groups.iter();
        let standing = &Standing {
            groups: groups
                .filter(|group| !self.failed.contains(&group.name))
                .cloned()
                .collect(),
            boot: standing.boot.clone(),
            ..*standing
        };
        match wish {
            Wish::Add { .. } => None,
            Wish::HalfBlock => self.half_block(standing),
            Wish::Online {
                block,
                legal,
                zone,
                via,
            } => {
                let block = standing.one(*block, *legal, false, |block| {
                    standing.state(block) == Some(BlockState::Offline)
                })?;
                self.online(block, *zone, *via, standing)
            }
            Wish::Offline { block, legal, via } => {
                let block = standing.one(*block, *legal, false, |block| {
                    standing.state(block) == Some(BlockState::Online)
                })?;
                self.offline(block, *via, standing)
            }
            Wish::Remove { group } => self.remove(group.of(&standing.groups)?, standing),
            Wish::Boot { block, online } => {
                let block = boot(*block, online.is_some(), standing)?;
                match online {
                    Some(zone) => self.online(block, Some(*zone), Via::State, standing),
                    None => self.offline(block, Via::State, standing),
                }
            }
            Wish::Configure {
                block,
                memmap_on_memory,
            } => self.configure(*block, *memmap_on_memory, standing),
            Wish::Deconfigure { block, legal } => deconfigure(*block, *legal, standing),
            Wish::Memmap { block, on } => memmap(*block, *on, standing),
            Wish::Policy(policy) => Some(Act::AutoOnline(AutoOnlineBlocks { policy: *policy })),
            Wish::Veto { notifier, errno } => self.veto(*notifier, *errno),
            Wish::VetoOff => {
                let both = [self.going_online.take(), self.going_offline.take()];
                both.iter().flatten().next().map(|_| Act::Veto(Veto::Off))
            }
            Wish::Refuse { at } => self.refuse(*at, standing),
            Wish::RefuseOff => self.refuses.take().map(|_| Act::RefuseAssign(RefuseAssign::Off)),
            Wish::Write { file, block, value } => self.write(*file, *block, *value, standing),
        }
    }

    fn name(&mut self) -> Option<BlockName> {
        self.names += 1;
        format!("b{}", self.names).parse().ok()
    }

    fn add(
        &mut self,
        blocks: u32,
        node: Pick,
        memmap_on_memory: Option<bool>,
        standing: &Standing<'_>,
    ) -> Option<Act> {
        // Whether a block that comes goes online then, nobody asks.
        if self.going_online.is_some() && standing.ledger.auto_online != AutoOnline::Offline {
            return None;
        }
        let x86 = standing.facts.arch == Arch::X86_64;
        let blocks = if standing.is_g2() { 1 } else { blocks };
        let fits = match x86 {
            true => {
                let whole = standing.groups.iter().all(|group| !group.blocks.is_empty());
                whole && standing.plugged() + u64::from(blocks) <= PLUGGED
            }
            false => standing.has_standby(blocks),
        };
        if !fits {
            return None;
        }
        let name = self.name()?;
        let mut result = AddResult::Added;
        if standing.is_g2() && self.refuses.is_some() {
            self.assigns();
            self.failed.insert(name.clone());
            result = AddResult::Fails(Errno::from_number(5)?);
        }
        let nodes: Vec<u32> = (0..standing.machine.nodes).collect();
        Some(Act::Add(Add {
            name,
            extent: Extent::Blocks(blocks),
            times: 1,
            address: None,
            node: (x86 && nodes.len() > 1)
                .then(|| node.of(&nodes).copied())
                .flatten(),
            memmap_on_memory: asked(memmap_on_memory, standing),
            result,
        }))
    }

    fn half_block(&mut self, standing: &Standing<'_>) -> Option<Act> {
        let whole = standing.groups.iter().all(|group| !group.blocks.is_empty());
        if !whole || standing.plugged() + 1 > PLUGGED {
            return None;
        }
        Some(Act::Add(Add {
            name: self.name()?,
            extent: Extent::Size(base::ByteSize::bytes(standing.facts.block_size.as_bytes() / 2)),
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
        standing: &Standing<'_>,
    ) -> Option<Act> {
        let via = if zone.is_some() { Via::State } else { via };
        let op = Op::Online {
            block: id,
            kind: zone.map_or(memory::OnlineKind::Default, ZoneChoice::kind),
            via_online_file: via == Via::Online,
        };
        let fails = self.onlines(id, &op, standing)?;
        Some(Act::Online(Online {
            block,
            zone,
            via: (via == Via::Online).then_some(via),
            fails,
        }))
    }

    /// What comes of an online; `None` where that is not known.
    fn onlines(&mut self, id: BlockId, op: &Op, standing: &Standing<'_>) -> Option<Fails> {
        if let Some(errno) = standing.refusal(op) {
            return Some(Some(errno));
        }
        if standing.ledger.has(op) {
            return Some(None);
        }
        // Boot memory has its storage, and what was taken from it by an offline comes back by the same commands.
        if standing.is_by_state() && self.refuses.is_some() {
            if standing.boot.contains(&id) {
                return None;
            }
            self.assigns();
            return Some(Errno::from_number(1));
        }
        Some(self.going_online)
    }

    fn offline(&self, (block, id): (BlockRef, BlockId), via: Via, standing: &Standing<'_>) -> Option<Act> {
        let op = Op::Offline {
            block: id,
            via_online_file: via == Via::Online,
        };
        let fails = self.offlines(&op, standing)?;
        Some(Act::Offline(Offline {
            block,
            via: (via == Via::Online).then_some(via),
            fails,
        }))
    }

    fn offlines(&self, op: &Op, standing: &Standing<'_>) -> Option<Fails> {
        let fails = match (standing.refusal(op), self.going_offline) {
            // Which of two callbacks refuses first depends on how they were built.
            (Some(errno), Some(_)) if Errno::from_number(1) == Some(errno) => return None,
            (Some(errno), _) => Some(errno),
            (None, _) if standing.ledger.has(op) => None,
            (None, veto) => veto,
        };
        Some(fails)
    }

    fn remove(&self, group: &Group, standing: &Standing<'_>) -> Option<Act> {
        let is_online = |block: &BlockId| standing.state(*block) == Some(BlockState::Online);
        let online = group.blocks.iter().any(is_online);
        let busy = Errno::from_number(16);
        let fails = match (standing.facts.arch, standing.is_g2()) {
            (Arch::X86_64, _) => {
                let block = |id: &BlockId| standing.ledger.blocks.get(id);
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
            (_, true) => standing.refusal(&Op::Remove {
                blocks: group.blocks.clone(),
                by: RemoveBy::Deconfigure,
            }),
            // It only loses its name.
            (_, false) => None,
        };
        if standing.is_g2() && group.blocks.iter().any(|block| standing.configures(*block)) {
            return None;
        }
        Some(Act::Remove(Remove {
            block: group.name.clone(),
            fails,
        }))
    }

    fn configure(&mut self, pick: Pick, memmap: Option<bool>, standing: &Standing<'_>) -> Option<Act> {
        if !standing.is_g2()
            || self.going_online.is_some() && standing.ledger.auto_online != AutoOnline::Offline
        {
            return None;
        }
        let (block, id) = pick.of(&standing.blocks(true)).cloned()?;
        let configures = standing.configures(id);
        let mut fails = standing.refusal(&Op::Add {
            blocks: vec![id],
            by: AddBy::Configure,
        });
        if fails.is_none() && configures && self.refuses.is_some() {
            self.assigns();
            fails = Errno::from_number(5);
        }
        Some(Act::Configure(Configure {
            block,
            // Where it is configured, the choice comes too late, and is another step.
            memmap_on_memory: asked(memmap, standing).filter(|_| configures),
            fails,
        }))
    }

    fn veto(&mut self, notifier: Vetoable, errno: Errno) -> Option<Act> {
        if !self.injects || self.refuses.is_some() {
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

    fn refuse(&mut self, at: Option<Pick>, standing: &Standing<'_>) -> Option<Act> {
        let increment = standing.facts.increment?.as_bytes();
        if self.going_online.is_some() || self.going_offline.is_some() {
            return None;
        }
        let each = standing.facts.block_size.as_bytes().checked_div(increment)?;
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

    fn write(&mut self, file: Writable, pick: Pick, value: Pick, standing: &Standing<'_>) -> Option<Act> {
        let value = *value.of(file.values())?;
        let einval = Errno::from_number(22);
        let standby = matches!(file, Writable::Config | Writable::MemmapOnMemory);
        if standby && !standing.is_g2() {
            return None;
        }
        if file == Writable::AutoOnline {
            return Some(Act::Write(Write {
                file: File::Path(Attribute::AutoOnline.path()),
                value: value.to_owned(),
                fails: einval,
            }));
        }
        let (block, id) = pick.of(&standing.blocks(standby)).cloned()?;
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
        let fails = match attribute.asks(value, standing.facts.block_size) {
            None => einval,
            Some(op @ Op::Online { .. }) => self.onlines(id, &op, standing)?,
            Some(op) => self.offlines(&op, standing)?,
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
fn boot(pick: Pick, online: bool, standing: &Standing<'_>) -> Option<(BlockRef, BlockId)> {
    let from = if online {
        BlockState::Offline
    } else {
        BlockState::Online
    };
    let mut blocks = standing.boot.clone();
    blocks.retain(|block| standing.state(*block) == Some(from));
    let block = *pick.of(&blocks)?;
    let name = "boot".parse().ok()?;
    let index = u32::try_from(block.0).ok();
    Some((BlockRef { name, index }, block))
}

/// What can be asked of the memmap: nothing, but where each block has a choice.
fn asked(memmap: Option<bool>, standing: &Standing<'_>) -> Option<bool> {
    memmap.filter(|on| standing.is_g2() && (!on || standing.takes_altmap()))
}

fn deconfigure(pick: Pick, legal: bool, standing: &Standing<'_>) -> Option<Act> {
    if !standing.is_g2() {
        return None;
    }
    let (block, id) = standing.one(pick, legal, true, |block| {
        standing.state(block) == Some(BlockState::Offline)
    })?;
    let fails = standing.refusal(&Op::Remove {
        blocks: vec![id],
        by: RemoveBy::Deconfigure,
    });
    Some(Act::Deconfigure(Deconfigure { block, fails }))
}

fn memmap(pick: Pick, on: bool, standing: &Standing<'_>) -> Option<Act> {
    if !standing.is_g2() {
        return None;
    }
    let (block, id) = pick.of(&standing.blocks(true)).cloned()?;
    let fails = standing.refusal(&Op::SetMemmapOnMemory { block: id, on });
    Some(Act::Storage(Storage {
        block,
        file: StorageFile::MemmapOnMemory,
        value: if on { "1" } else { "0" }.to_owned(),
        fails,
    }))
}
