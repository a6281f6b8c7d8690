// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pages that processes of a fake guest have.

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
    /// They are in a pipe, and do not keep their block online.
    Loose,
    /// The process ends.
    Ends,
}

/// Pages that a process has.
#[derive(Debug)]
pub(super) struct Held {
    /// What the step calls them.
    name: String,
    pid: u64,
    pages: u64,
    /// The block that they came to lie in.
    block: BlockId,
    /// What /proc/kpageflags has of each.
    flag: u32,
    /// All are one page.
    is_one: bool,
    /// They are pinned where nothing moves them.
    pinned: bool,
    /// They are in a pipe, too, which keeps their block online.
    in_pipe: bool,
}

/// The first process.
const PID: u64 = 77;

/// The first of the frames in a block, and how many each process has there.
const FIRST: u64 = 1000;
const EACH: u64 = 2048;

impl Kernel {
    /// Answers the scripts of a `hold`, where it is one.
    pub(super) fn held(&mut self, script: &str) -> Option<Output> {
        if let Some((before, arguments)) = script.split_once("exec memrig-hold ") {
            return Some(self.holds(before, arguments));
        }
        let is_of = |held: &Held| {
            let (folder, process) = (format!("/run/held/{}", held.name), format!("/proc/{}/", held.pid));
            let mut words = script.split([' ', ';', '\n']);
            words.any(|word| word == folder) || script.contains(&process)
        };
        let at = self.held.iter().position(is_of)?;
        let said = if script.contains("/pagemap") {
            match self.happened(HeldFault::Ends) {
                true => return Some(ended(3, "137\n", "")),
                false => self.pagemap(&self.held[at]),
            }
        } else if script.contains("md5sum") {
            let changed = self.happened(HeldFault::Changed);
            if changed { "2b2b  -\n" } else { "1a1a  -\n" }.into()
        } else {
            Vec::new()
        };
        self.held[at].pinned |= script.contains("echo >gate");
        if script.contains("kill $(cat pid)") {
            self.held.remove(at);
        }
        Some(output(said))
    }

    fn holds(&mut self, before: &str, arguments: &str) -> Output {
        let words: Vec<&str> = arguments.split(['\'', ' ']).collect();
        let has = |words_of: &str| arguments.contains(words_of);
        let movable = self.ledger().blocks.iter().find_map(|(id, block)| {
            let is_movable = block.zone().is_some_and(|at| at.zone == Zone::Movable);
            is_movable.then_some(*id)
        });
        let length: u64 = words[1].parse().expect("a length");
        let name = before
            .split_once("/run/held/")
            .and_then(|(_, rest)| rest.split(' ').next());
        let pid = self.held.last().map_or(PID, |last| last.pid + 1);
        self.held.push(Held {
            name: name.expect("a name").to_owned(),
            pid,
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
            in_pipe: has(" 278 1 i") || has(" 309 1 i"),
        });
        output(format!("{pid}\n"))
    }

    /// Whether pages in a pipe keep this block online.
    pub(super) fn is_kept(&self, block: BlockId) -> bool {
        let mut held = self.held.iter();
        self.held_fault != Some(HeldFault::Loose) && held.any(|held| held.in_pipe && held.block == block)
    }

    /// Whether this went wrong: it does with the first offline.
    fn happened(&self, fault: HeldFault) -> bool {
        self.held_fault == Some(fault) && self.asked.iter().any(|asked| asked.contains("offline"))
    }

    /// The frame of each page.
    fn frames(&self, held: &Held) -> Vec<u64> {
        let is_on = |block: &BlockId| {
            self.ledger()
                .blocks
                .get(block)
                .is_some_and(|block| block.zone().is_some())
        };
        let moved = held.pinned || self.happened(HeldFault::Move);
        let stays = is_on(&held.block) || self.happened(HeldFault::Stay);
        let block = if stays && !moved { held.block } else { BlockId(0) };
        let first = block.pfns(self.facts.block_size).start + FIRST + (held.pid - PID) * EACH;
        let frame = |page| first + if held.is_one { 0 } else { page };
        (0..held.pages).map(frame).collect()
    }

    fn pagemap(&self, held: &Held) -> Vec<u8> {
        let lost = self.happened(HeldFault::Lost);
        let entry = |(page, frame): (usize, u64)| if lost && page == 0 { 0 } else { frame | 1 << 63 };
        let entries = self.frames(held).into_iter().enumerate().map(entry);
        entries.flat_map(|entry| self.bytes(entry)).collect()
    }

    /// The flags that frames have since they are held.
    pub(super) fn held_flags(&self) -> BTreeMap<u64, u64> {
        let flags = |held: &Held| match held.flag {
            _ if self.happened(HeldFault::Ordinary) => 1 << 5,
            // Large pages and pages of KSM are anonymous, too.
            flag @ (21 | 22) => 1 << flag | 1 << 12,
            flag => 1 << flag,
        };
        let of = |held: &Held| {
            let flags = flags(held);
            self.frames(held)
                .into_iter()
                .map(move |frame| (frame, flags))
                .collect::<Vec<_>>()
        };
        self.held.iter().flat_map(of).collect()
    }

    /// A number of 64 bits as the guest has it.
    pub(super) fn bytes(&self, number: u64) -> [u8; 8] {
        match self.facts.arch {
            Arch::X86_64 => number.to_le_bytes(),
            Arch::S390x => number.to_be_bytes(),
        }
    }
}
