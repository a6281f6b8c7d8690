// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps that act: each does one thing to the guest and returns what the model must be told.

use serde_json::json;

use super::{
    bench::{Bench, Named, block_file, standby_set},
    inside,
    script::{self, Script},
    subtests,
    trouble::{Trouble, expect},
};
use crate::{
    base::{Arch, Errno},
    memory::{AddBy, BlockId, Generation, OnlineKind, Op, RemoveBy},
    rig::qemu::standby::property,
    suite::{
        Add, AddResult, AutoOnlineBlocks, Configure, Deconfigure, Extent, Guest, Offline, Online,
        RefuseAssign, Remove, Storage, StorageFile, Veto, Via, Write, ZoneChoice, kernel_bool,
    },
};

/// Folder of the notifier error injection (lib/notifier-error-inject.c).
const INJECTION: &str = "/sys/kernel/debug/notifier-error-inject/memory/actions";

/// `/sys/firmware/memory/memoryN/FILE`.
fn storage_file(block: BlockId, file: StorageFile) -> String {
    format!("/sys/firmware/memory/memory{}/{}", block.0, file.name())
}

/// One operation for one, several for many.
fn together(mut ops: Vec<Op>) -> Op {
    match ops.len() {
        0 => Op::Nothing,
        1 => ops.remove(0),
        _ => Op::Several(ops),
    }
}

impl Bench<'_> {
    /// Writes a file of the guest.
    async fn write(&self, path: &str, value: &str) -> Result<Result<(), Errno>, Trouble> {
        let result = inside::write(self.guest, path, value, self.limit).await?;
        if let Some(watch) = &self.watch {
            watch.wrote(path, value, &result);
        }
        Ok(result)
    }

    /// Writes a file of the guest and compares the result with what it must be. `Ok(true)` if it was written.
    async fn write_expecting(&self, path: &str, value: &str, fails: Option<Errno>) -> Result<bool, Trouble> {
        expect(
            &format!("writing {value:?} to {path}"),
            self.write(path, value).await?,
            fails,
        )
    }

    /// The interface generation of an s390x guest.
    pub(super) fn generation(&self) -> Option<Generation> {
        self.facts.generation
    }

    pub(super) async fn add(&mut self, add: &Add) -> Result<Op, Trouble> {
        match (self.facts.arch, self.generation()) {
            (Arch::X86_64, _) => self.plug(add).await,
            (Arch::S390x, Some(Generation::G2)) => self.configure_next(add).await,
            (Arch::S390x, _) => self.take_next(add),
        }
    }

    /// The lowest run of `count` standby blocks that no step has named yet.
    fn next_standby(
        &self,
        count: u32,
        candidates: impl Iterator<Item = BlockId>,
    ) -> Result<Vec<BlockId>, Trouble> {
        let taken = |block: &BlockId| {
            self.names
                .values()
                .any(|named| !named.gone && named.blocks.contains(block))
        };
        let mut run: Vec<BlockId> = Vec::new();
        for block in candidates.filter(|block| !taken(block)) {
            if run.last().is_some_and(|last| last.0 + 1 != block.0) {
                run.clear();
            }
            run.push(block);
            if run.len() == count as usize {
                return Ok(run);
            }
        }
        Err(Trouble::bench(format!(
            "the machine has no {count} consecutive standby blocks left; give it more `hotplug`"
        )))
    }

    /// Takes standby blocks that are there since boot (G0, G1).
    fn take_next(&mut self, add: &Add) -> Result<Op, Trouble> {
        let count = self.blocks_of(add)?;
        let first_standby = self.first_standby()?;
        let candidates = self
            .ledger
            .blocks
            .keys()
            .copied()
            .filter(move |block| *block >= first_standby);
        let blocks = self.next_standby(count, candidates.collect::<Vec<_>>().into_iter())?;
        self.names.insert(
            add.name.clone(),
            Named {
                blocks: blocks.clone(),
                dimm: None,
                gone: false,
            },
        );
        Ok(Op::Add {
            blocks,
            by: AddBy::AtBoot,
        })
    }

    /// The first block that lies wholly in standby memory.
    fn first_standby(&self) -> Result<BlockId, Trouble> {
        let core = self.core.as_bytes();
        Ok(BlockId(core.div_ceil(self.facts.block_size.as_bytes())))
    }

    fn blocks_of(&self, add: &Add) -> Result<u32, Trouble> {
        match add.extent {
            Extent::Blocks(blocks) => Ok(blocks),
            Extent::Size(size) => {
                let blocks = size.as_bytes() / self.facts.block_size.as_bytes();
                u32::try_from(blocks)
                    .map_err(|_| Trouble::bench(format!("{size} is too much standby memory")))
            }
        }
    }

    /// Configures the next standby blocks (G2).
    async fn configure_next(&mut self, add: &Add) -> Result<Op, Trouble> {
        let count = self.blocks_of(add)?;
        let candidates: Vec<BlockId> = self
            .ledger
            .storage
            .iter()
            .filter(|(_, storage)| !storage.configured)
            .map(|(block, _)| *block)
            .collect();
        let blocks = self.next_standby(count, candidates.into_iter())?;
        self.names.insert(
            add.name.clone(),
            Named {
                blocks: blocks.clone(),
                dimm: None,
                gone: false,
            },
        );
        let fails = match add.result {
            AddResult::Fails(errno) => Some(errno),
            _ => None,
        };
        self.configure_blocks(&blocks, add.memmap_on_memory, fails).await
    }

    async fn configure_blocks(
        &mut self,
        blocks: &[BlockId],
        memmap_on_memory: Option<bool>,
        fails: Option<Errno>,
    ) -> Result<Op, Trouble> {
        let mut ops = Vec::new();
        for &block in blocks {
            if let Some(on) = memmap_on_memory {
                let file = storage_file(block, StorageFile::MemmapOnMemory);
                self.write_expecting(&file, if on { "1" } else { "0" }, None)
                    .await?;
                ops.push(Op::SetMemmapOnMemory { block, on });
            }
            if self
                .write_expecting(&storage_file(block, StorageFile::Config), "1", fails)
                .await?
            {
                ops.push(Op::Add {
                    blocks: vec![block],
                    by: AddBy::Configure,
                });
            }
        }
        Ok(together(ops))
    }

    pub(super) async fn configure(&mut self, configure: &Configure) -> Result<Op, Trouble> {
        let blocks = self.blocks(&configure.block)?;
        self.configure_blocks(&blocks, configure.memmap_on_memory, configure.fails)
            .await
    }

    pub(super) async fn deconfigure(&mut self, deconfigure: &Deconfigure) -> Result<Op, Trouble> {
        let blocks = self.blocks(&deconfigure.block)?;
        self.deconfigure_blocks(&blocks, deconfigure.fails).await
    }

    async fn deconfigure_blocks(&mut self, blocks: &[BlockId], fails: Option<Errno>) -> Result<Op, Trouble> {
        let mut ops = Vec::new();
        for &block in blocks {
            if self
                .write_expecting(&storage_file(block, StorageFile::Config), "0", fails)
                .await?
            {
                ops.push(Op::Remove {
                    blocks: vec![block],
                    by: RemoveBy::Deconfigure,
                });
            }
        }
        Ok(together(ops))
    }

    /// Writes one file of `/sys/firmware/memory` as it is.
    pub(super) async fn storage(&mut self, storage: &Storage) -> Result<Op, Trouble> {
        let mut ops = Vec::new();
        for block in self.blocks(&storage.block)? {
            if !self
                .write_expecting(&storage_file(block, storage.file), &storage.value, storage.fails)
                .await?
            {
                continue;
            }
            let on = kernel_bool(&storage.value).ok_or_else(|| {
                Trouble::kernel(format!("the kernel took {:?} for a boolean", storage.value))
            })?;
            let configured = self
                .ledger
                .storage
                .get(&block)
                .is_some_and(|storage| storage.configured);
            match (storage.file, on) {
                (StorageFile::Config, true) if !configured => {
                    ops.push(Op::Add {
                        blocks: vec![block],
                        by: AddBy::Configure,
                    });
                }
                (StorageFile::Config, false) if configured => {
                    ops.push(Op::Remove {
                        blocks: vec![block],
                        by: RemoveBy::Deconfigure,
                    });
                }
                // The same value again is no error and does nothing.
                (StorageFile::Config, _) => {}
                (StorageFile::MemmapOnMemory, on) => ops.push(Op::SetMemmapOnMemory { block, on }),
            }
        }
        Ok(together(ops))
    }

    pub(super) async fn online(&mut self, online: &Online) -> Result<Op, Trouble> {
        let via = online.via.unwrap_or(Via::State);
        let kind = online.zone.map_or(OnlineKind::Default, ZoneChoice::kind);
        let (file, value) = match via {
            Via::State => ("state", kind.word()),
            Via::Online => ("online", "1"),
        };
        let mut ops = Vec::new();
        for block in self.blocks(&online.block)? {
            if self
                .write_expecting(&block_file(block, file), value, online.fails)
                .await?
            {
                ops.push(Op::Online {
                    block,
                    kind,
                    via_online_file: via == Via::Online,
                });
            }
        }
        Ok(together(ops))
    }

    pub(super) async fn offline(&mut self, offline: &Offline) -> Result<Op, Trouble> {
        let via = offline.via.unwrap_or(Via::State);
        let (file, value) = match via {
            Via::State => ("state", "offline"),
            Via::Online => ("online", "0"),
        };
        let mut ops = Vec::new();
        for block in self.blocks(&offline.block)? {
            let path = block_file(block, file);
            // EINTR is no refusal: the kernel is still trying when the signal comes.
            let went = if offline.fails == Some(Errno::EINTR) {
                let got = self.interrupt(&path, value).await?;
                expect(&format!("writing {value:?} to {path}"), got, offline.fails)?
            } else {
                self.write_expecting(&path, value, offline.fails).await?
            };
            if went {
                ops.push(Op::Offline {
                    block,
                    via_online_file: via == Via::Online,
                });
            }
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
        let op = match (&named.dimm, self.generation()) {
            (Some(id), _) => self.unplug(id, &named.blocks, remove.fails).await,
            (None, Some(Generation::G2)) => self.deconfigure_blocks(&named.blocks, remove.fails).await,
            (None, _) => Ok(Op::Remove {
                blocks: named.blocks.clone(),
                by: RemoveBy::Never,
            }),
        }?;
        if remove.fails.is_none()
            && let Some(named) = self.names.get_mut(&remove.block)
        {
            named.gone = true;
        }
        Ok(op)
    }

    /// Writes any file. Words that the model knows become operations; all others must change nothing.
    pub(super) async fn write_file(&mut self, write: &Write) -> Result<Op, Trouble> {
        let mut ops = Vec::new();
        for (block, path) in self.targets(&write.file)? {
            let written = self.write_expecting(&path, &write.value, write.fails).await?;
            let file = path.rsplit('/').next().unwrap_or_default();
            ops.extend(meaning(block, file, write.value.trim_end_matches('\n'), written));
        }
        Ok(together(ops))
    }

    pub(super) async fn auto_online(&mut self, auto: &AutoOnlineBlocks) -> Result<Op, Trouble> {
        self.write_expecting(
            "/sys/devices/system/memory/auto_online_blocks",
            auto.policy.auto_online().word(),
            None,
        )
        .await?;
        Ok(Op::SetAutoOnline(auto.policy.auto_online()))
    }

    pub(super) async fn refuse_assign(&mut self, refuse: &RefuseAssign) -> Result<Op, Trouble> {
        let (all, at, response) = match refuse {
            RefuseAssign::At { nth, response } => (false, *nth, *response),
            RefuseAssign::All { response } => (true, 0, *response),
            RefuseAssign::Off => (false, 0, None),
        };
        if let Some(response) = response {
            standby_set(self.guest, property::REFUSE_RESPONSE, json!(response)).await?;
        }
        standby_set(self.guest, property::REFUSE_ASSIGN, json!(all)).await?;
        standby_set(self.guest, property::REFUSE_ASSIGN_AT, json!(at)).await?;
        Ok(Op::Nothing)
    }

    /// Lets the kernel's error injection refuse a notification, or ends that.
    pub(super) async fn veto(&mut self, veto: &Veto) -> Result<Op, Trouble> {
        match veto {
            Veto::Off => {
                let script = format!("for f in {INJECTION}/*/error; do echo 0 > $f || exit 1; done");
                self.exec_ok("ending the error injection", &script).await?;
            }
            Veto::On {
                notifier,
                errno,
                priority,
            } => {
                if self.injection.is_none() {
                    let load = format!(
                        "[ -d {INJECTION} ] || modprobe memory-notifier-error-inject priority={priority} && [ -d {INJECTION} ]"
                    );
                    self.exec_ok("loading memory-notifier-error-inject", &load)
                        .await?;
                    self.injection = Some(*priority);
                }
                let path = format!("{INJECTION}/{notifier}/error");
                let value = format!("-{}", errno.number());
                if let Err(got) = self.write(&path, &value).await? {
                    return Err(Trouble::bench(format!(
                        "writing {value} to {path} failed with {got}"
                    )));
                }
            }
        }
        Ok(Op::Nothing)
    }

    /// Runs a program in the guest.
    pub(super) async fn program(&mut self, program: &Guest) -> Result<Op, Trouble> {
        self.bring(&program.selftests).await?;
        let script = Script::new(&program.run);
        // The program itself says which of its tests is not ok.
        let run: &str = if program.ktap {
            &program.run
        } else {
            script.to_run()
        };
        let mut output = match self.exec(run).await {
            Ok(output) => output,
            Err(trouble) => {
                self.said.stdout.extend(self.guest.port.unanswered());
                return Err(trouble.told(|message| script.named(message)));
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

/// The operation that a write to a file of a block is, where the kernel took it.
fn meaning(block: Option<BlockId>, file: &str, value: &str, written: bool) -> Option<Op> {
    if !written {
        return None;
    }
    let block = block?;
    let online = |kind, via_online_file| {
        Some(Op::Online {
            block,
            kind,
            via_online_file,
        })
    };
    match (file, value) {
        ("state", "offline") => Some(Op::Offline {
            block,
            via_online_file: false,
        }),
        ("online", "0") => Some(Op::Offline {
            block,
            via_online_file: true,
        }),
        ("state", "online") => online(OnlineKind::Default, false),
        ("state", "online_kernel") => online(OnlineKind::Kernel, false),
        ("state", "online_movable") => online(OnlineKind::Movable, false),
        ("online", "1") => online(OnlineKind::Default, true),
        _ => None,
    }
}
