// SPDX-License-Identifier: MIT OR Apache-2.0
//! A suite as YAML has it: what may be written where. The schema and the reference are made from these types and their docs.
//!
//! Nothing here knows whether the parts fit together; that is `check`'s. Words, sizes and names are read into their own types
//! already here, so that a wrong one is reported at its place.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    pattern::{Pattern, TimeLimit},
    range::KernelRange,
    sign::RawSign,
    step::RawStep,
    text,
    words::{Boot, GuestClock, MemmapOnMemory},
};
use base::{Arch, ByteSize};
use memory::Generation;

/// A suite: cases that belong together, in one file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Suite")]
pub(super) struct RawSuite {
    /// Name of the suite, the same as that of its file without `.yaml`. Lower case letters, digits and `-`.
    pub(crate) suite: String,
    /// What the suite shows, in one sentence.
    #[serde(default)]
    pub(crate) about: Option<String>,
    /// The machine of every case that does not say otherwise.
    #[serde(default)]
    pub(crate) machine: Machine,
    /// What every case needs. A case may say more.
    #[serde(default)]
    pub(crate) needs: Needs,
    /// Every case runs once for each combination of these values. A case that has variants of its own runs only for those.
    #[serde(default)]
    pub(crate) variants: Variants,
    /// Kernel log lines that are no finding in any case of the suite.
    #[serde(default)]
    pub(crate) allow_log: Vec<Pattern>,
    /// The cases. A fresh guest is used for each.
    pub(crate) cases: Vec<RawCase>,
}

/// A case: steps in a fresh guest. After every step the whole memory state is compared with what the model predicts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Case")]
pub(super) struct RawCase {
    /// Short and stable; once in a suite. Reports and filters use it.
    pub(crate) id: String,
    /// What must be true, as a clause: "the same state again is refused".
    pub(crate) name: String,
    /// More about it, where the name does not say enough.
    #[serde(default, rename = "about")]
    _about: Option<String>,
    /// What this case needs beyond the suite's needs. A key that the suite has too is replaced.
    #[serde(default)]
    pub(crate) needs: Needs,
    /// Parts of the machine that differ from the suite's.
    #[serde(default)]
    pub(crate) machine: Machine,
    /// Words added to the kernel's command line. `-NAME` leaves out one that memrig puts there by itself: `-loglevel`,
    /// `-memhp_default_state` (then the kernel's configuration decides), `-panic_on_oops`, `-hung_task_panic`, `-cryptomgr.notests`,
    /// and on x86_64 `-unknown_nmi_panic` and `-no_timer_check`.
    #[serde(default)]
    pub(crate) cmdline: Vec<String>,
    /// Replaces the suite's variants. `{}` means that the case runs once.
    #[serde(default)]
    pub(crate) variants: Option<Variants>,
    /// Known issues: where one applies, and the case fails by its sign and by nothing else, its verdict is `known`.
    #[serde(default)]
    pub(crate) known: Vec<RawKnown>,
    /// Kernel log lines that are no finding here, besides the suite's.
    #[serde(default)]
    pub(crate) allow_log: Vec<Pattern>,
    /// Whether the case may start from a clone of a booted guest (`clone`, the default) or boots (`fresh`).
    #[serde(default)]
    pub(crate) boot: Option<Boot>,
    /// How long each step may take, before the factor that memrig measures at boot; up to 168h.
    #[serde(default)]
    pub(crate) time_limit: Option<TimeLimit>,
    /// What is done, in order.
    #[serde(with = "serde_yaml::with::singleton_map_recursive")]
    #[schemars(with = "Vec<RawStep>")]
    pub(crate) steps: Vec<RawStep>,
}

/// What a guest is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machine {
    /// Memory at boot. Default 1GiB; with `hotplug` up to 64TiB, which is what Linux addresses.
    #[serde(
        default,
        deserialize_with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) memory: Option<ByteSize>,
    /// Memory that can be added: standby memory on s390x, room for DIMMs on x86_64. Default 2GiB.
    #[serde(
        default,
        deserialize_with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) hotplug: Option<ByteSize>,
    /// Slots for DIMMs; x86_64. Default 16; up to 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slots: Option<u32>,
    /// Size of a storage increment, a power of two from 1MiB on; s390x. Default: QEMU's choice.
    #[serde(
        default,
        deserialize_with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) increment: Option<ByteSize>,
    /// Number of CPUs. Default 1; up to 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpus: Option<u32>,
    /// What the guest's clock goes by. Default `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clock: Option<GuestClock>,
    /// Number of NUMA nodes; x86_64. Node 0 has all memory and all CPUs at boot. Default 1; up to 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nodes: Option<u32>,
    /// Distances between the nodes (the ACPI table SLIT), a row for each node: 10 to itself, 11 to 254 to others, 255 where there is no way.
    /// Default: no table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dist: Option<Vec<Vec<u8>>>,
    /// Whether the CPUs have EDAT-1, without which the kernel maps page by page; s390x. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) edat1: Option<bool>,
    /// What the SCLP says about storage elements; s390x.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sclp: Option<Sclp>,
}

/// What the SCLP of an s390x machine says about its storage elements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sclp {
    /// Highest storage element id, 1 to 255. Element 1 has the standby memory. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_element_id: Option<u16>,
    /// Response code to READ STORAGE ELEMENT INFORMATION of element 1 while it is not attached, such as 0x0310 or 0x0410.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) element_response: Option<u16>,
}

/// Facts that are looked at before a case runs. Where one is not so, the case is skipped, and the skip says what was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Architectures. Default: both.
    #[serde(default)]
    pub(crate) arch: Option<Vec<Arch>>,
    /// Interface generations: G0 to 6.8, G1 6.9 to 6.18, G2 from 6.19 on. Found by looking at the guest. Only s390x kernels have
    /// one, so that such a case does not run on x86_64.
    #[serde(default)]
    pub generation: Option<Vec<Generation>>,
    /// States that the parameter memory_hotplug.memmap_on_memory may have.
    #[serde(default)]
    pub memmap_on_memory: Option<Vec<MemmapOnMemory>>,
    /// Options of the kernel's configuration: `y`, `m`, `n` (not set), `set` (y or m), or the very value.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Releases. Only where no fact of the guest says the same.
    #[serde(default)]
    pub kernels: Option<KernelRange>,
    /// Absolute paths that must be in the guest.
    #[serde(default)]
    pub files: Vec<String>,
}

/// What is varied. A case runs once for each combination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variants {
    /// Values of memory_hotplug.memmap_on_memory at boot. A kernel that has no such parameter skips `on` and `force`.
    #[serde(default)]
    pub(crate) memmap_on_memory: Vec<MemmapOnMemory>,
    /// Sizes of a storage increment; s390x.
    #[serde(default, deserialize_with = "text::list")]
    pub(crate) increment: Vec<ByteSize>,
    /// Any other parameter of the kernel's command line, with its values.
    #[serde(default)]
    pub(crate) cmdline: BTreeMap<String, Vec<String>>,
}

impl Variants {
    /// How many combinations there are.
    pub(super) fn count(&self) -> usize {
        let axes = self.cmdline.values().map(Vec::len);
        [self.memmap_on_memory.len(), self.increment.len()]
            .into_iter()
            .chain(axes)
            .map(|values| values.max(1))
            .fold(1, usize::saturating_mul)
    }
}

/// A failure that is known: where all of it matches, a case that fails by its sign is `known`, and one that passes is reported as fixed. A case
/// that fails in any other way fails.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Known")]
pub(super) struct RawKnown {
    /// Releases that have it.
    pub(crate) kernels: KernelRange,
    /// Architectures that have it. Default: all that the case runs on.
    #[serde(default)]
    pub(crate) arch: Option<Vec<Arch>>,
    /// Variants that have it. Default: all.
    #[serde(default)]
    pub(crate) variants: Variants,
    /// What is wrong, as a clause.
    pub(crate) reason: String,
    /// What it is recognised by.
    pub(crate) sign: RawSign,
    /// Where it can be seen or read: file and line of the kernel, a mail, a commit.
    #[serde(default, rename = "evidence")]
    _evidence: Option<String>,
}
