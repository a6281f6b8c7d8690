// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps as YAML has them. Those that cannot contradict themselves are used as they are; the others are checked into `step`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    address::Address,
    names::{BlockName, BlockRef},
    pattern::Pattern,
    template::Template,
    text,
    words::{AutoPolicy, Filling, Memmap, Notifier, Uevent, Vetoable, Via, ZoneChoice},
};
use base::{ByteSize, Errno};

/// A step. Its word is the key, what it takes the value: `online: { block: b, zone: movable }`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Step")]
pub(super) enum RawStep {
    /// Brings memory blocks into the guest. x86_64 plugs a DIMM. s390x takes the next free standby blocks: on G0 and G1 they are
    /// there already and nothing is executed; on G2 they are configured.
    Add(RawAdd),
    /// Switches blocks on.
    Online(Online),
    /// Switches blocks off.
    Offline(Offline),
    /// Takes blocks out of the guest. x86_64 unplugs the DIMM, and the kernel offlines its blocks if it can. s390x: nothing on G0
    /// and G1; on G2 the blocks are deconfigured.
    Remove(Remove),
    /// Writes a file in the guest with a single write call: either `block` and `file`, or `path`. A good word that is written to
    /// `state` or `online` of a block counts as that operation.
    Write(RawWrite),
    /// Reads a file in the guest and compares it: either `block` and `file`, or `path`; at least one of `is` and `matches`.
    Read(RawRead),
    /// Looks at the kernel log since boot. At least one of `has` and `lacks`.
    Log(RawLog),
    /// Looks at the storage commands that QEMU saw since the last step that acts; s390x.
    StorageCommands(RawStorageCommands),
    /// Looks at which standby storage is assigned: that of these blocks, and no other; s390x.
    Assigned(Assigned),
    /// Lets QEMU refuse to assign storage, from here on; s390x. Exactly one of `at`, `all` and `off`.
    RefuseAssign(RawRefuseAssign),
    /// Lets the kernel's notifier error injection refuse an operation, from here on. Either `notifier` and `errno`, or `off`.
    Veto(RawVeto),
    /// Looks at the notifications of the last step that acts. MEM_PREPARE_ONLINE and MEM_FINISH_OFFLINE are expected only of
    /// kernels that have them (6.9 to 6.18), so that one list serves all.
    Notifiers(Notifiers),
    /// Sets what the kernel does with blocks that are added (`auto_online_blocks`).
    AutoOnline(AutoOnlineBlocks),
    /// Looks at the uevents since the last step that acts.
    Uevents(Uevents),
    /// Looks at where the memmap of online blocks is, in /proc/kpageflags. Only right after they went online.
    Pages(Pages),
    /// Fills a block so that it cannot go offline.
    Busy(Busy),
    /// Ends what a `busy` step started.
    Free(Free),
    /// Runs a shell script in the guest.
    Guest(RawGuest),
    /// Does steps several times. What they add they must remove.
    Repeat(RawRepeat),
    /// Configures standby blocks that were added and deconfigured; s390x G2.
    Configure(Configure),
    /// Deconfigures standby blocks; they keep their name. s390x G2.
    Deconfigure(Deconfigure),
    /// Writes a file of /sys/firmware/memory/memoryN as it is; s390x G2. Exactly one of `config` and `memmap_on_memory`.
    Storage(RawStorage),
}

/// Brings memory blocks into the guest.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Add")]
pub(super) struct RawAdd {
    /// What later steps call the blocks.
    #[serde(rename = "as")]
    pub(crate) name: BlockName,
    /// Size of the DIMM, where it is not a number of blocks; x86_64. Not together with `blocks`.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) size: Option<ByteSize>,
    /// How many memory blocks of the running kernel. Default 1; up to 524288.
    #[serde(default)]
    pub(crate) blocks: Option<u32>,
    /// How often: so many DIMMs, or runs of standby blocks, under one name. `b.0` is the first block of the first. Default 1; up to 1020.
    #[serde(default)]
    pub(crate) times: Option<u32>,
    /// Where the DIMM is, in bytes from the start of the guest's memory; x86_64. Default: QEMU's choice.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) address: Option<Address>,
    /// NUMA node of the DIMM; x86_64.
    #[serde(default)]
    pub(crate) node: Option<u32>,
    /// Whether the memmap is asked to be in the block; s390x G2. Default: as the kernel has it.
    #[serde(default)]
    pub(crate) memmap_on_memory: Option<bool>,
    /// The errno that configuring must return; s390x G2.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) fails: Option<Errno>,
    /// The guest's kernel refuses the DIMM: no block appears; x86_64.
    #[serde(default)]
    pub(crate) refused: Option<bool>,
    /// QEMU refuses the DIMM with an error that contains this text, which is not empty; x86_64.
    #[serde(default)]
    pub(crate) rejected: Option<String>,
}

/// Switches blocks on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Online {
    /// Which.
    pub block: BlockRef,
    /// In which zone. Default: the kernel's choice.
    #[serde(default)]
    pub zone: Option<ZoneChoice>,
    /// Through which file. Default `state`.
    #[serde(default)]
    pub via: Option<Via>,
    /// The errno that the write must return.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

/// Switches blocks off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offline {
    /// Which.
    pub block: BlockRef,
    /// Through which file. Default `state`.
    #[serde(default)]
    pub via: Option<Via>,
    /// The errno that the write must return.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

/// Takes blocks out of the guest: all that the name covers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// What `add` called them.
    pub block: BlockName,
    /// The errno it must fail with. On x86_64 EBUSY means that the guest answers the ejection with _OST status 0x82 and the DIMM
    /// stays; the blocks then are as they were before. On s390x G2 it is the errno of the write.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

/// Writes a file in the guest. Exactly one of `block` with `file` and `path`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Write")]
pub(super) struct RawWrite {
    /// Which blocks' file; with `file`.
    #[serde(default)]
    pub(crate) block: Option<BlockRef>,
    /// Name of the file in /sys/devices/system/memory/memoryN.
    #[serde(default)]
    pub(crate) file: Option<String>,
    /// Absolute path, in place of `block` and `file`.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// What is written, as it is: no newline is added. Empty, a file of sysfs gets an empty text; other files take no empty value.
    pub(crate) value: String,
    /// The errno that the write must return.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) fails: Option<Errno>,
}

/// Reads a file in the guest. Exactly one of `block` with `file` and `path`; at least one of `is` and `matches`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Read")]
pub(super) struct RawRead {
    /// Which blocks' file; with `file`.
    #[serde(default)]
    pub(crate) block: Option<BlockRef>,
    /// Name of the file in /sys/devices/system/memory/memoryN.
    #[serde(default)]
    pub(crate) file: Option<String>,
    /// Absolute path, in place of `block` and `file`.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// The whole content without white space at its end.
    #[serde(default)]
    pub(crate) is: Option<Template>,
    /// What the content must match.
    #[serde(default)]
    pub(crate) matches: Option<Pattern>,
}

/// Looks at the kernel log since boot. At least one of `has` and `lacks`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Log")]
pub(super) struct RawLog {
    /// A line must match.
    #[serde(default)]
    pub(crate) has: Option<Pattern>,
    /// No line may match.
    #[serde(default)]
    pub(crate) lacks: Option<Pattern>,
}

/// Looks at the storage commands since the last step that acts.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StorageCommands")]
pub(super) struct RawStorageCommands {
    /// One for each increment of `block` in ascending order and nothing else, or none at all.
    pub(crate) are: StorageCommand,
    /// Which blocks; not with `none`. They may be removed by now.
    #[serde(default)]
    pub(crate) block: Option<BlockRef>,
}

/// Storage commands of the SCLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StorageCommand {
    /// ASSIGN STORAGE
    Assign,
    /// UNASSIGN STORAGE
    Unassign,
    /// Neither.
    None,
}

/// Looks at the standby storage that is assigned.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assigned {
    /// The blocks whose storage is assigned; `[]` for none.
    pub are: Vec<BlockRef>,
}

/// Lets QEMU refuse to assign storage. Exactly one of `at`, `all` and `off`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RefuseAssign")]
pub(super) struct RawRefuseAssign {
    /// Only the n-th ASSIGN from now, counted from 1.
    #[serde(default)]
    pub(crate) at: Option<u32>,
    /// Every one.
    #[serde(default)]
    pub(crate) all: Option<bool>,
    /// None any more.
    #[serde(default)]
    pub(crate) off: Option<bool>,
    /// SCLP response code, such as 0x0300. Default: QEMU's choice.
    #[serde(default)]
    pub(crate) response: Option<u16>,
}

/// Lets error injection refuse an operation. Either `notifier` and `errno`, or `off`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Veto")]
pub(super) struct RawVeto {
    /// Which notification is refused.
    #[serde(default)]
    pub(crate) notifier: Option<Vetoable>,
    /// With which errno.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) errno: Option<Errno>,
    /// Place in the chain: higher is called earlier. Default 0. The same in all `veto` steps of a case.
    #[serde(default)]
    pub(crate) priority: Option<i32>,
    /// Nothing is refused any more.
    #[serde(default)]
    pub(crate) off: Option<bool>,
}

/// Looks at the notifications of the last step that acts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notifiers {
    /// Which, in order.
    pub are: Vec<Notifier>,
}

/// Sets what the kernel does with blocks that are added.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoOnlineBlocks {
    /// What.
    pub policy: AutoPolicy,
}

/// Looks at the uevents of blocks since the last step that acts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uevents {
    /// Which blocks; each must have sent the same. They may be removed by now.
    pub block: BlockRef,
    /// Which events, in order.
    pub are: Vec<Uevent>,
}

/// Looks at where the memmap of blocks is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// Which blocks.
    pub block: BlockRef,
    /// In the block (`altmap`) or in memory that was there before (`system`).
    pub memmap: Memmap,
}

/// Fills a block so that it cannot go offline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Busy {
    /// Which; online.
    pub block: BlockRef,
    /// With what.
    pub with: Filling,
    /// What a later `free` calls it.
    #[serde(rename = "as")]
    pub name: BlockName,
}

/// Ends what a `busy` step started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Free {
    /// What `busy` called it.
    pub busy: BlockName,
}

/// Runs a shell script in the guest.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Guest")]
pub(super) struct RawGuest {
    /// The script, for busybox's sh.
    pub(crate) run: String,
    /// Blocks that it is about: the script finds the numbers N of their memoryN in `$block`, and the number of the first page of each in
    /// `$pfn`, separated by spaces.
    #[serde(default)]
    pub(crate) block: Option<BlockRef>,
    /// Files beside the suite's own file: they are put into `/run/files` of the guest, under the same names, and can be run. Not in suites that
    /// come with memrig.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<String>,
    /// The exit code it must end with, 1 to 125. Default: it must succeed.
    #[serde(default)]
    pub(crate) fails: Option<u8>,
    /// Its output is KTAP, and each test in it a subcase.
    #[serde(default)]
    pub(crate) ktap: Option<bool>,
    /// Files of `tools/testing/selftests` in the source of the kernel under test, such as `mm/map_populate.c`: they are put into
    /// `/run/selftests` of the guest, scripts as they are, and of a C file the program that is built from it, under its name without `.c`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) selftests: Vec<String>,
}

/// Does steps several times.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Repeat")]
pub(super) struct RawRepeat {
    /// How often; up to 100000, with the `repeat` around it.
    pub(crate) times: u32,
    /// What.
    pub(crate) steps: Vec<RawStep>,
}

/// Configures standby blocks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    /// Which.
    pub block: BlockRef,
    /// Whether the memmap is asked to be in the block. Default: as the kernel has it.
    #[serde(default)]
    pub memmap_on_memory: Option<bool>,
    /// The errno that it must fail with.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

/// Deconfigures standby blocks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deconfigure {
    /// Which.
    pub block: BlockRef,
    /// The errno that it must fail with.
    #[serde(default, deserialize_with = "text::option")]
    pub fails: Option<Errno>,
}

/// Writes a file of /sys/firmware/memory/memoryN. Exactly one of `config` and `memmap_on_memory`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Storage")]
pub(super) struct RawStorage {
    /// Which blocks.
    pub(crate) block: BlockRef,
    /// What is written to `config`.
    #[serde(default)]
    pub(crate) config: Option<String>,
    /// What is written to `memmap_on_memory`.
    #[serde(default)]
    pub(crate) memmap_on_memory: Option<String>,
    /// The errno that the write must return.
    #[serde(default, deserialize_with = "text::option")]
    pub(crate) fails: Option<Errno>,
}
