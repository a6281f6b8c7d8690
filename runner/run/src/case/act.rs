// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps that act: each does one thing to the guest and returns what the model must be told.

use std::time::Duration;

use super::{
    bench::Bench,
    guest::UnderTest,
    inside,
    script::{self, Script},
    subtests,
    trouble::{Trouble, expect},
};
use base::{Arch, ByteSize, Errno, PAGE_SIZE, exec::shell_quote};
use memory::{Attribute, BlockId, Generation, OnlineKind, Op, RemoveBy, Zone, in_sysfs};
use suite::{Add, AutoOnlineBlocks, File, Guest, Offline, Online, Remove, Via, Write, ZoneChoice};

/// How long a block may take that is drawn and may never go offline, before the factor of the guest's speed. One that can takes less than a second.
const KEEPS_TRYING: Duration = Duration::from_secs(3);

/// One operation for one, several for many.
pub(super) fn together(mut ops: Vec<Op>) -> Op {
    match ops.len() {
        0 => Op::Nothing,
        1 => ops.remove(0),
        _ => Op::Several(ops),
    }
}

impl<G: UnderTest> Bench<'_, G> {
    /// Writes a file of the guest. The kernel passes over a write of no bytes to a file of sysfs; the empty text is the NUL that ends it.
    pub(super) async fn write(&mut self, path: &str, value: &str) -> Result<Result<(), Errno>, Trouble> {
        self.write_within(path, value, self.limit).await
    }

    /// The same, of which it is a hang if it takes longer than this.
    async fn write_within(
        &mut self,
        path: &str,
        value: &str,
        limit: Duration,
    ) -> Result<Result<(), Errno>, Trouble> {
        let bytes = if value.is_empty() && in_sysfs(path) {
            "\0"
        } else {
            value
        };
        let ahead = self
            .fault
            .as_mut()
            .and_then(|fault| Some((fault.ahead()?, fault)));
        let result = match ahead {
            None => inside::write(self.guest, path, bytes, limit).await?,
            Some((nth, fault)) => {
                let (result, left) = inside::write_failing(self.guest, path, bytes, nth, limit).await?;
                fault.is_left(left);
                result
            }
        };
        if let Some(watch) = &self.watch {
            watch.wrote(path, value, &result);
        }
        Ok(result)
    }

    /// Writes a file of the guest and compares the result with what it must be. `Ok(true)` if it was written.
    pub(super) async fn write_expecting(
        &mut self,
        path: &str,
        value: &str,
        fails: Option<Errno>,
    ) -> Result<bool, Trouble> {
        let got = self.write(path, value).await?;
        self.taken(&format!("writing {value:?} to {path}"), got, fails)
    }

    /// Whether the kernel took a write, where that is as it must be.
    fn taken(&mut self, what: &str, got: Result<(), Errno>, fails: Option<Errno>) -> Result<bool, Trouble> {
        match &mut self.fault {
            None => expect(what, got, fails),
            Some(fault) => fault.expect(what, got),
        }
    }

    /// Asks the kernel for something, and compares the result with what it must be. What it did comes back, where it does anything.
    pub(super) async fn ask(
        &mut self,
        attribute: Attribute,
        value: &str,
        fails: Option<Errno>,
    ) -> Result<Option<Op>, Trouble> {
        self.ask_at(&attribute.path(), attribute, value, fails).await
    }

    /// The same by a path that leads to the file.
    async fn ask_at(
        &mut self,
        path: &str,
        attribute: Attribute,
        value: &str,
        fails: Option<Errno>,
    ) -> Result<Option<Op>, Trouble> {
        let what = format!("writing {value:?} to {path}");
        let asked = attribute.asks(value, self.facts.block_size);
        let limit = match &asked {
            // Nobody said that it ends, and many sequences ask for it.
            Some(Op::Offline { block, .. })
                if self.is_drawn && self.may_be_busy(&[*block], Errno::EBUSY).is_some() =>
            {
                self.limit.min(self.guest.scale(KEEPS_TRYING))
            }
            _ => self.limit,
        };
        let got = self.write_within(path, value, limit).await;
        if let (Err(trouble), Some(Op::Offline { block, .. })) = (&got, &asked)
            && (trouble.is_a_hang() || self.is_drawn && trouble.is_starved())
            && let Some(why) = self.may_be_busy(&[*block], Errno::EBUSY)
            && keeps_trying(self.since(&self.guest.console()))
        {
            let what = format!("{what} does not end, and the kernel keeps trying to empty the block: {why}");
            // No more can be asked of this guest.
            return Err(match self.is_drawn {
                true => Trouble::lacking(what),
                false => Trouble::bench(what),
            });
        }
        let got = got?;
        if let (Err(errno), Some(Op::Offline { block, .. })) = (got, asked)
            && fails != Some(errno)
            && self.busy_with(&[block], errno, fails, &what)?
        {
            return Ok(None);
        }
        let taken = self.taken(&what, got, fails)?;
        self.meant(attribute, value, taken)
    }

    /// Whether `what` was refused since pages of these blocks are in use, and that is an answer.
    ///
    /// # Errors
    /// It was to succeed, or to be refused by a veto: the case has to keep kernel pages out of its blocks.
    pub(super) fn busy_with(
        &mut self,
        blocks: &[BlockId],
        errno: Errno,
        fails: Option<Errno>,
        what: &str,
    ) -> Result<bool, Trouble> {
        let Some(why) = self.may_be_busy(blocks, errno) else {
            return Ok(false);
        };
        self.was_busy = self.is_drawn;
        // Pages are isolated before anybody is notified, so that a veto may never be met (offline_pages, mm/memory_hotplug.c, 6.1 to 7.2).
        let was_to_get_there = fails.is_none_or(|errno| self.vetoed.contains(&errno));
        match (self.is_drawn, was_to_get_there) {
            (false, true) => Err(Trouble::bench(format!("{what} failed with {errno}: {why}"))),
            (busy, _) => Ok(busy),
        }
    }

    /// Why it says nothing against the kernel that blocks did not go offline, if it does not.
    fn may_be_busy(&self, blocks: &[BlockId], errno: Errno) -> Option<String> {
        blocks.iter().find_map(|block| {
            let zone = self.ledger.blocks.get(block)?.zone()?.zone;
            unmovable(*block, zone, errno)
        })
    }

    /// The operation that a write was, if the kernel took it. One that changes nothing, such as the same value again, is none.
    fn meant(&self, attribute: Attribute, value: &str, taken: bool) -> Result<Option<Op>, Trouble> {
        if !taken {
            return Ok(None);
        }
        let op = attribute.asks(value, self.facts.block_size).ok_or_else(|| {
            Trouble::lasting(format!(
                "the kernel took {value:?} for {}, and memrig does not know what that asks for",
                attribute.path()
            ))
        })?;
        // What the model refuses changes nothing either.
        let idle = self.ledger.has(&op) || self.model.refusal(&self.ledger, &op).is_some();
        Ok((!idle).then_some(op))
    }

    /// The file of memory hotplug that a path of a step leads to, by whatever links.
    async fn attribute(&self, file: &File, path: &str) -> Result<Option<Attribute>, Trouble> {
        let known = Attribute::at(path);
        if known.is_some() || matches!(file, File::OfBlock { .. }) || !in_sysfs(path) {
            return Ok(known);
        }
        let output = self.exec(&format!("readlink -f {}", shell_quote(path))).await?;
        Ok(Attribute::at(output.text().trim_end()))
    }

    /// The interface generation of an s390x guest.
    pub(super) fn generation(&self) -> Option<Generation> {
        self.facts.generation
    }

    pub(super) async fn add(&mut self, add: &Add) -> Result<Op, Trouble> {
        let mut ops = Vec::new();
        for time in 0..add.times {
            let more = time > 0;
            ops.push(match (self.facts.arch, self.generation()) {
                (Arch::X86_64, _) => self.plug(add, more).await?,
                (Arch::S390x, Some(Generation::G2)) => self.configure_next(add, more).await?,
                (Arch::S390x, _) => self.take_next(add, more).await?,
            });
        }
        Ok(together(ops))
    }

    pub(super) async fn online(&mut self, online: &Online) -> Result<Op, Trouble> {
        let via = online.via.unwrap_or(Via::State);
        let kind = online.zone.map_or(OnlineKind::Default, ZoneChoice::kind);
        let mut ops = Vec::new();
        for block in self.blocks(&online.block)? {
            let (attribute, value) = match via {
                Via::State => (Attribute::State(block), kind.word()),
                Via::Online => (Attribute::Online(block), "1"),
            };
            ops.extend(self.ask(attribute, value, online.fails).await?);
        }
        Ok(together(ops))
    }

    pub(super) async fn offline(&mut self, offline: &Offline) -> Result<Op, Trouble> {
        let via = offline.via.unwrap_or(Via::State);
        let mut ops = Vec::new();
        for block in self.blocks(&offline.block)? {
            let (attribute, value) = match via {
                Via::State => (Attribute::State(block), "offline"),
                Via::Online => (Attribute::Online(block), "0"),
            };
            // EINTR is no refusal: the kernel is still trying when the signal comes.
            let op = if offline.fails == Some(Errno::EINTR) {
                let path = attribute.path();
                let got = self.interrupt(&path, value).await?;
                let taken = expect(&format!("writing {value:?} to {path}"), got, offline.fails)?;
                self.meant(attribute, value, taken)?
            } else {
                self.ask(attribute, value, offline.fails).await?
            };
            ops.extend(op);
        }
        Ok(together(ops))
    }

    pub(super) async fn remove(&mut self, remove: &Remove) -> Result<Op, Trouble> {
        let named = self.names.get(&remove.block).cloned().ok_or_else(|| {
            Trouble::bench(format!(
                "no step before this one added blocks named {}",
                remove.block
            ))
        })?;
        let op = match (named.dimms.is_empty(), self.generation()) {
            (false, _) => {
                let mut ops = Vec::new();
                for (id, blocks) in &named.dimms {
                    ops.push(self.unplug(id, blocks, remove.fails).await?);
                }
                together(ops)
            }
            (true, Some(Generation::G2)) => self.deconfigure_blocks(&named.blocks, remove.fails).await?,
            (true, _) => Op::Remove {
                blocks: named.blocks.clone(),
                by: RemoveBy::Never,
            },
        };
        if remove.fails.is_none()
            && let Some(named) = self.names.get_mut(&remove.block)
        {
            named.gone = true;
        }
        Ok(op)
    }

    /// Writes any file. By those of memory hotplug the kernel is asked for something; by all others nothing may change.
    pub(super) async fn write_file(&mut self, write: &Write) -> Result<Op, Trouble> {
        let mut ops = Vec::new();
        for (_, path) in self.targets(&write.file)? {
            let attribute = self.attribute(&write.file, &path).await?;
            match attribute {
                Some(attribute) => {
                    ops.extend(self.ask_at(&path, attribute, &write.value, write.fails).await?);
                }
                None => {
                    self.write_expecting(&path, &write.value, write.fails).await?;
                }
            }
        }
        Ok(together(ops))
    }

    pub(super) async fn auto_online(&mut self, auto: &AutoOnlineBlocks) -> Result<Op, Trouble> {
        let word = auto.policy.auto_online().word();
        let op = self.ask(Attribute::AutoOnline, word, None).await?;
        Ok(together(op.into_iter().collect()))
    }

    /// Runs a program in the guest.
    pub(super) async fn program(&mut self, program: &Guest) -> Result<Op, Trouble> {
        self.bring(&program.selftests).await?;
        self.bring_files(&program.files).await?;
        let about = match &program.block {
            Some(block) => about(&self.blocks(block)?, self.facts.block_size),
            None => String::new(),
        };
        let script = Script::new(&program.run);
        // The program itself says which of its tests is not ok.
        let run: &str = if program.ktap {
            &program.run
        } else {
            script.to_run()
        };
        let mut output = match self.exec(&format!("{about}{run}")).await {
            Ok(output) => output,
            Err(trouble) => {
                self.said.stdout.extend(self.guest.unanswered());
                return Err(trouble.told(|message| script.named(&message.replace(&about, ""))));
            }
        };
        let command = match program.ktap {
            true => None,
            false => script.last_command(&mut output.stderr),
        };
        self.said.stdout.extend(&output.stdout);
        self.said.stderr.extend(&output.stderr);
        let code = output.code;
        if program.ktap {
            let said = output.error_text();
            let (subcases, done) = subtests::fold(&output.text(), code, program.exit, said.trim_end());
            self.subcases.extend(subcases);
            return done.map(|()| Op::Nothing);
        }
        if code != program.exit {
            let words = output.last_words();
            let last = words.lines().last().unwrap_or_default();
            return Err(Trouble::kernel(script::failed(code, program.exit, command, last)));
        }
        Ok(Op::Nothing)
    }
}

/// What a script is told of blocks: their numbers, and that of the first page of each.
fn about(blocks: &[BlockId], size: ByteSize) -> String {
    let list = |number: &dyn Fn(&BlockId) -> u64| {
        let numbers: Vec<_> = blocks.iter().map(|block| number(block).to_string()).collect();
        numbers.join(" ")
    };
    let (numbers, pages) = (
        list(&|block| block.0),
        list(&|block| block.start(size) / PAGE_SIZE),
    );
    format!("block='{numbers}' pfn='{pages}'; ")
}

/// Why a block could not go offline: in a kernel zone there may be pages that cannot be moved (mm/memory_hotplug.c `offline_pages`: EBUSY).
fn unmovable(block: BlockId, zone: Zone, errno: Errno) -> Option<String> {
    (Errno::from_number(16) == Some(errno) && zone != Zone::Movable).then(|| {
        format!(
            "{block} is in zone {zone}, and may hold pages that cannot be moved; `online` with `zone: movable` keeps them out"
        )
    })
}

/// Whether the kernel tells that it cannot move pages of a block which it takes offline. Where one of them is of its own, it does so without an end
/// but by a signal: Documentation/admin-guide/mm/memory-hotplug.rst, 6.1 to 7.2, has offlining with a timeout for that.
fn keeps_trying(said: &str) -> bool {
    let reasons = ["isolation failed", "migration failure"];
    reasons
        .iter()
        .any(|reason| said.contains(&format!("page dumped because: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_told_the_numbers_of_blocks_and_of_their_first_pages() {
        let told = about(&[BlockId(33), BlockId(40)], ByteSize::mib(128));
        assert_eq!(told, "block='33 40' pfn='1081344 1310720'; ");
    }

    #[test]
    fn a_busy_block_of_a_kernel_zone_says_nothing_against_the_kernel() {
        let told = |zone, errno: &str| unmovable(BlockId(32), zone, errno.parse().unwrap());
        let why = told(Zone::Normal, "EBUSY").unwrap();
        assert!(
            why.starts_with("memory32 is in zone Normal, and may hold"),
            "{why}"
        );
        assert_eq!(told(Zone::Movable, "EBUSY"), None);
        assert_eq!(told(Zone::Normal, "EINVAL"), None);
    }
}
