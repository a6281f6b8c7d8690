// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a case, checked: what contradicts itself cannot be written in these types.
//!
//! A step says what is done and what is special about its result. What must be true of blocks, zones and counters afterwards is
//! not said here; the model knows it.

use super::{
    address::Address,
    names::{BlockName, BlockRef},
    pattern::Pattern,
    raw_step::{
        Assigned, AutoOnlineBlocks, Busy, Configure, Deconfigure, Free, Notifiers, Offline, Online, Pages,
        Remove, Uevents,
    },
    template::Template,
    words::{FailureKind, Vetoable},
};
use base::{ByteSize, Errno};
use memory::{Attribute, BlockId};

/// One step and where the suite says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Line in the suite file, from 1.
    pub line: usize,
    /// What is done.
    pub action: Action,
}

impl Step {
    /// The files beside the suite's that it brings into the guest, each with the line of the step.
    pub(super) fn files(&self) -> Vec<(usize, &str)> {
        match &self.action {
            Action::Act(Act::Guest(guest)) => guest
                .files
                .iter()
                .map(|file| (self.line, file.as_str()))
                .collect(),
            Action::Repeat(repeat) => repeat.steps.iter().flat_map(Self::files).collect(),
            _ => Vec::new(),
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Change something, in the guest or in what QEMU does.
    Act(Act),
    /// Look at what is, so that what "the last step" did stays the same.
    Look(Look),
    /// Do steps several times.
    Repeat(Repeat),
}

/// A step that acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Bring blocks into the guest, offline.
    Add(Add),
    /// Switch blocks on.
    Online(Online),
    /// Switch blocks off.
    Offline(Offline),
    /// Take blocks out of the guest.
    Remove(Remove),
    /// Write a file in the guest.
    Write(Write),
    /// Let QEMU refuse to hand out storage.
    RefuseAssign(RefuseAssign),
    /// Let the kernel's error injection refuse an operation.
    Veto(Veto),
    /// Set what the kernel does with blocks that are added.
    AutoOnline(AutoOnlineBlocks),
    /// Fill a block so that it cannot go offline.
    Busy(Busy),
    /// End what a `busy` step started.
    Free(Free),
    /// Run a program in the guest.
    Guest(Guest),
    /// Configure a standby block.
    Configure(Configure),
    /// Deconfigure a standby block.
    Deconfigure(Deconfigure),
    /// Write a file of `/sys/firmware/memory/memoryN` as it is.
    Storage(Storage),
}

/// A step that looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Read a file in the guest and compare it.
    Read(Read),
    /// Look at the kernel log since boot.
    Log(Log),
    /// Look at the storage commands since the last step that acts.
    StorageCommands(StorageCommands),
    /// Look at the standby storage that is assigned.
    Assigned(Assigned),
    /// Look at the notifications of the last step that acts.
    Notifiers(Notifiers),
    /// Look at the uevents since the last step that acts.
    Uevents(Uevents),
    /// Look at where the memmap of blocks is.
    Pages(Pages),
}

/// Adds blocks: x86_64 plugs a DIMM; s390x takes the next free standby blocks, and G2 configures them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What later steps call them.
    pub name: BlockName,
    /// How much.
    pub extent: Extent,
    /// How often, at least 1.
    pub times: u32,
    /// Where the DIMM is; x86_64. QEMU's choice where it is `None`.
    pub address: Option<Address>,
    /// NUMA node of the DIMM; x86_64.
    pub node: Option<u32>,
    /// Whether the memmap is asked to be in the block; s390x G2. The kernel's own default where it is `None`.
    pub memmap_on_memory: Option<bool>,
    /// What comes of it.
    pub result: AddResult,
}

/// How much memory an `add` brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many memory blocks of the running kernel, at least 1.
    Blocks(u32),
    /// So many bytes; x86_64.
    Size(ByteSize),
}

/// What comes of an `add`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddResult {
    /// The blocks appear.
    Added,
    /// Writing `config` fails; s390x G2.
    Fails(Errno),
    /// QEMU plugs the DIMM, the guest's kernel refuses it, and no block appears; x86_64.
    Refused,
    /// QEMU itself refuses, with an error that contains this text; x86_64.
    Rejected(String),
}

/// A file of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// A file in `/sys/devices/system/memory/memoryN` of each of these blocks.
    OfBlock {
        /// Which blocks.
        block: BlockRef,
        /// Name of the file.
        file: String,
    },
    /// An absolute path.
    Path(String),
}

/// Writes a text into a file of the guest with a single write call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which file.
    pub file: File,
    /// What is written, as it is; no newline is added. Empty, a file of sysfs gets an empty text.
    pub value: String,
    /// The error that the write must return.
    pub fails: Option<Errno>,
}

/// Reads a file of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Which file.
    pub file: File,
    /// The whole content without white space at its end.
    pub is: Option<Template>,
    /// What the content must match.
    pub matches: Option<Pattern>,
}

/// Looks at the kernel log since boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A line must match it.
    pub has: Option<Pattern>,
    /// No line may match it.
    pub lacks: Option<Pattern>,
}

/// The storage commands that QEMU saw since the last step that acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageCommands {
    /// None.
    None,
    /// One ASSIGN for every increment of the blocks, in ascending order, and nothing else.
    Assign(BlockRef),
    /// One UNASSIGN for every increment of the blocks, in ascending order, and nothing else.
    Unassign(BlockRef),
}

/// Which ASSIGN commands QEMU refuses from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefuseAssign {
    /// Only the n-th from now, counted from 1.
    At {
        /// Which one.
        nth: u32,
        /// SCLP response code; QEMU's default where it is `None`.
        response: Option<u16>,
    },
    /// Every one.
    All {
        /// SCLP response code; QEMU's default where it is `None`.
        response: Option<u16>,
    },
    /// None any more.
    Off,
}

/// What the kernel's notifier error injection does from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Veto {
    /// The notification is refused.
    On {
        /// Which one.
        notifier: Vetoable,
        /// The error it is refused with.
        errno: Errno,
        /// Place in the chain; higher is called earlier. 0 is the kernel's default.
        priority: i32,
    },
    /// Nothing is refused any more.
    Off,
}

/// Runs a shell script in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The script.
    pub run: String,
    /// Blocks that it is told of.
    pub block: Option<BlockRef>,
    /// Files beside the suite's that the guest gets.
    pub files: Vec<String>,
    /// The exit code it must end with.
    pub exit: u8,
    /// Whether its output is KTAP, each test of which becomes a subcase.
    pub ktap: bool,
    /// Files of `tools/testing/selftests` that the guest gets: scripts and C files.
    pub selftests: Vec<String>,
}

/// Writes one file of `/sys/firmware/memory/memoryN`; s390x G2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Which blocks.
    pub block: BlockRef,
    /// Which file.
    pub file: StorageFile,
    /// What is written, as it is.
    pub value: String,
    /// The error that the write must return.
    pub fails: Option<Errno>,
}

/// A file of `/sys/firmware/memory/memoryN` (drivers/s390/char/sclp_mem.c of 6.19 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageFile {
    /// `config`
    Config,
    /// `memmap_on_memory`
    MemmapOnMemory,
}

impl StorageFile {
    /// The file of one block.
    pub fn attribute(self, block: BlockId) -> Attribute {
        match self {
            Self::Config => Attribute::Config(block),
            Self::MemmapOnMemory => Attribute::MemmapOnMemory(block),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::MemmapOnMemory => "memmap_on_memory",
        }
    }
}

/// Does steps several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// How often, at least 1.
    pub times: u32,
    /// What.
    pub steps: Vec<Step>,
}

impl Action {
    /// How it fails, where nothing more is said of that: a step that looks or runs a script by its own word.
    pub fn fails_by(&self) -> FailureKind {
        match self {
            Self::Look(look) => look.fails_by(),
            Self::Act(Act::Guest(_)) => FailureKind::Guest,
            Self::Act(_) | Self::Repeat(_) => FailureKind::Errno,
        }
    }

    /// The word of the step in a suite.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Act(act) => act.word(),
            // A look fails by its own word.
            Self::Look(look) => look.fails_by().word(),
            Self::Repeat(_) => "repeat",
        }
    }
}

impl Act {
    fn word(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Online(_) => "online",
            Self::Offline(_) => "offline",
            Self::Remove(_) => "remove",
            Self::Write(_) => "write",
            Self::RefuseAssign(_) => "refuse_assign",
            Self::Veto(_) => "veto",
            Self::AutoOnline(_) => "auto_online",
            Self::Busy(_) => "busy",
            Self::Free(_) => "free",
            Self::Guest(_) => "guest",
            Self::Configure(_) => "configure",
            Self::Deconfigure(_) => "deconfigure",
            Self::Storage(_) => "storage",
        }
    }
}

impl Look {
    fn fails_by(&self) -> FailureKind {
        match self {
            Self::Read(_) => FailureKind::Read,
            Self::Log(_) => FailureKind::Log,
            Self::StorageCommands(_) => FailureKind::StorageCommands,
            Self::Assigned(_) => FailureKind::Assigned,
            Self::Notifiers(_) => FailureKind::Notifiers,
            Self::Uevents(_) => FailureKind::Uevents,
            Self::Pages(_) => FailureKind::Pages,
        }
    }
}
