// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stopping a machine and going on with it in another QEMU: its memory in files that both map, the rest in a few hundred kilobytes.
//!
//! The files have no names: they are memory of this process, which QEMU opens through `/proc`. They cost no disk, and are gone with
//! the last process that has them, however it ends.

use std::{collections::BTreeMap, io, os::fd::AsRawFd as _, path::PathBuf, time::Duration};

use rustix::{
    fd::OwnedFd,
    fs::{MemfdFlags, fstat, ftruncate, memfd_create},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{
    MachineError, MachineSpec, MemoryFiles, Wait,
    launch::{io_error, listen},
    running::Machine,
};
use base::ByteSize;
use format::qmp::Events;

/// How long saving or loading may take; it takes 0.02 s on an idle host.
const MOVE_LIMIT: Duration = Duration::from_secs(60);

/// The memory of a machine and of its clones, in files without names.
#[derive(Debug)]
pub struct Memory {
    files: BTreeMap<String, OwnedFd>,
}

impl Memory {
    /// A file for each memory of a machine, empty: it takes room when the guest writes.
    ///
    /// # Errors
    /// What the host's kernel says.
    pub fn new(spec: &MachineSpec) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for (id, size) in spec.memories() {
            let file = memfd_create(format!("memrig {id}"), MemfdFlags::CLOEXEC)?;
            ftruncate(&file, size.as_bytes())?;
            files.insert(id, file);
        }
        Ok(Self { files })
    }

    /// The files as a machine of this process has them: shared for the one that is to be saved, private for its clones.
    pub fn files(&self, shared: bool) -> MemoryFiles {
        let process = std::process::id();
        let path = |file: &OwnedFd| PathBuf::from(format!("/proc/{process}/fd/{}", file.as_raw_fd()));
        MemoryFiles {
            paths: self
                .files
                .iter()
                .map(|(id, file)| (id.clone(), path(file)))
                .collect(),
            shared,
        }
    }

    /// How much of the host's memory the files take, in bytes.
    ///
    /// # Errors
    /// What the host's kernel says.
    pub(crate) fn resident(&self) -> io::Result<ByteSize> {
        let mut blocks = 0;
        for file in self.files.values() {
            blocks += u64::try_from(fstat(file)?.st_blocks).unwrap_or(0);
        }
        // st_blocks counts 512 bytes, whatever the block size is.
        Ok(ByteSize::bytes(blocks * 512))
    }
}

/// What a machine is without its memory: the state of its CPUs and devices.
#[derive(Debug, Clone)]
pub(crate) struct State(Vec<u8>);

impl Machine {
    /// Stops the guest and takes the machine's state; its memory stays in its [`MemoryFiles`], which must be shared.
    ///
    /// The machine can only be stopped afterwards.
    ///
    /// # Errors
    /// If QEMU cannot, ends, or takes longer than 60 s.
    pub(crate) async fn save(&self) -> Result<State, MachineError> {
        self.pause().await?;
        self.leave_memory_out().await?;
        let path = self.folder.path().join("state");
        let socket = listen(&path).map_err(io_error("the socket of the state"))?;
        let mut events = self.qmp.events();
        let uri = format!("unix:{}", path.display());
        self.command("migrate", json!({ "uri": uri })).await?;
        let moved = async {
            let (mut stream, _) = socket.accept().await?;
            let mut state = Vec::new();
            stream.read_to_end(&mut state).await?;
            Ok::<_, io::Error>(state)
        };
        let state = self.in_time("migrate", moved).await?;
        let state = state.map_err(io_error("the state that QEMU sends"))?;
        self.in_time("migrate", completed(&mut events)).await??;
        Ok(State(state))
    }

    /// Takes over the state of another machine that was like this one. The guest does not run yet: see [`Machine::resume`].
    ///
    /// # Errors
    /// If QEMU cannot, ends, or takes longer than 60 s.
    pub(crate) async fn load(&self, state: &State) -> Result<(), MachineError> {
        self.leave_memory_out().await?;
        let path = self.folder.path().join("state");
        let mut events = self.qmp.events();
        let uri = format!("unix:{}", path.display());
        self.command("migrate-incoming", json!({ "uri": uri })).await?;
        let moved = async {
            let mut stream = UnixStream::connect(&path).await?;
            stream.write_all(&state.0).await?;
            stream.shutdown().await
        };
        let moved = self.in_time("migrate-incoming", moved).await?;
        moved.map_err(io_error("the state for QEMU"))?;
        self.in_time("migrate-incoming", completed(&mut events)).await?
    }

    /// The memory in shared files is no part of the state, and the end of the move is told by an event.
    async fn leave_memory_out(&self) -> Result<(), MachineError> {
        let on = |name: &str| json!({ "capability": name, "state": true });
        let capabilities = json!({ "capabilities": [on("x-ignore-shared"), on("events")] });
        self.command("migrate-set-capabilities", capabilities)
            .await
            .map(drop)
    }

    async fn in_time<T>(&self, command: &str, what: impl Future<Output = T>) -> Result<T, MachineError> {
        let failed = |wait: Wait| MachineError::Command {
            command: command.to_owned(),
            wait,
        };
        self.wait_for(what, MOVE_LIMIT).await.map_err(failed)
    }
}

/// Waits for the event that the state was moved.
async fn completed(events: &mut Events) -> Result<(), MachineError> {
    let end = |event: &format::qmp::Event| {
        let status = event.data.get("status")?.as_str()?;
        (event.name == "MIGRATION" && matches!(status, "completed" | "failed")).then(|| status == "completed")
    };
    match events.find(end).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(io_error("moving the state")(io::Error::other(
            "QEMU says that it failed",
        ))),
        Err(error) => Err(io_error("moving the state")(io::Error::other(error))),
    }
}
