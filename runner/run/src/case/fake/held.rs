// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pages that a process of a fake guest has.

use std::collections::BTreeMap;

use super::kernel::{Kernel, ended, output};
use base::Arch;
use memory::{BlockId, Zone};
use vm::guest::Output;

/// What becomes of them once a block was to go offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldFault {
    /// They lie elsewhere from the beginning.
    Elsewhere,
    /// They stay in a block that went offline.
    Stay,
    /// They are elsewhere, though nothing may move them.
    Move,
    /// One is not mapped any more.
    Lost,
    /// What is in them is another.
    Changed,
    /// They are ordinary pages.
    Ordinary,
    /// The process ends.
    Ends,
}

/// Pages that a process has.
#[derive(Debug)]
pub(super) struct Held {
    pages: u64,
    /// The block that they came to lie in.
    block: BlockId,
    /// What /proc/kpageflags has of each.
    flag: u32,
    /// All are one page.
    is_one: bool,
    /// They are pinned where nothing moves them.
    pinned: bool,
}

/// The first of the frames in a block.
const FIRST: u64 = 1000;

impl Kernel {
    /// Answers the scripts of a `hold`.
    pub(super) fn held(&mut self, script: &str) -> Output {
        if let Some((_, arguments)) = script.split_once("exec memrig-hold ") {
            return self.holds(arguments);
        }
        if script.contains("/pagemap") {
            return match self.happened(HeldFault::Ends) {
                true => ended(3, "137\n", ""),
                false => output(self.pagemap()),
            };
        }
        if script.contains("md5sum") {
            return output(if self.happened(HeldFault::Changed) {
                "2b2b  -\n"
            } else {
                "1a1a  -\n"
            });
        }
        if let (true, Some(held)) = (script.contains("echo >gate"), &mut self.held) {
            held.pinned = true;
        }
        if script.contains("kill $(cat pid)") {
            self.held = None;
        }
        output("")
    }

    fn holds(&mut self, arguments: &str) -> Output {
        let words: Vec<&str> = arguments.split(['\'', ' ']).collect();
        let has = |words_of: &str| arguments.contains(words_of);
        let movable = self.ledger().blocks.iter().find_map(|(id, block)| {
            let is_movable = block.zone().is_some_and(|at| at.zone == Zone::Movable);
            is_movable.then_some(*id)
        });
        let length: u64 = words[1].parse().expect("a length");
        self.held = Some(Held {
            pages: length / 4096,
            block: movable
                .filter(|_| self.held_fault != Some(HeldFault::Elsewhere))
                .unwrap_or(BlockId(0)),
            flag: match words[2] {
                "262194" => 17,
                "17" => 11,
                _ if has(" 12 0") => 21,
                _ if has(" 14 0") => 22,
                _ if has(" 149 a") || has(" 150 a") => 33,
                _ => 12,
            },
            is_one: has(" 12 0"),
            pinned: false,
        });
        output("77\n")
    }

    /// Whether this went wrong: it does with the first offline.
    fn happened(&self, fault: HeldFault) -> bool {
        self.held_fault == Some(fault) && self.asked.iter().any(|asked| asked.contains("offline"))
    }

    /// The frame of each page.
    fn frames(&self) -> Vec<u64> {
        let Some(held) = &self.held else {
            return Vec::new();
        };
        let is_on = |block: &BlockId| {
            self.ledger()
                .blocks
                .get(block)
                .is_some_and(|block| block.zone().is_some())
        };
        let moved = held.pinned || self.happened(HeldFault::Move);
        let stays = is_on(&held.block) || self.happened(HeldFault::Stay);
        let block = if stays && !moved { held.block } else { BlockId(0) };
        let first = block.pfns(self.facts.block_size).start + FIRST;
        let frame = |page| first + if held.is_one { 0 } else { page };
        (0..held.pages).map(frame).collect()
    }

    fn pagemap(&self) -> Vec<u8> {
        let lost = self.happened(HeldFault::Lost);
        let entry = |(page, frame): (usize, u64)| if lost && page == 0 { 0 } else { frame | 1 << 63 };
        let entries = self.frames().into_iter().enumerate().map(entry);
        entries.flat_map(|entry| self.bytes(entry)).collect()
    }

    /// The flags that frames have since they are held.
    pub(super) fn held_flags(&self) -> BTreeMap<u64, u64> {
        let held = self.held.as_ref().map_or(0, |held| held.flag);
        let flag = if self.happened(HeldFault::Ordinary) {
            5
        } else {
            held
        };
        // Large pages and pages of KSM are anonymous, too.
        let flags = 1 << flag | if [21, 22].contains(&flag) { 1 << 12 } else { 0 };
        self.frames().into_iter().map(|frame| (frame, flags)).collect()
    }

    /// A number of 64 bits as the guest has it.
    pub(super) fn bytes(&self, number: u64) -> [u8; 8] {
        match self.facts.arch {
            Arch::X86_64 => number.to_le_bytes(),
            Arch::S390x => number.to_be_bytes(),
        }
    }
}
