// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory blocks and zones, in the kernel's words.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use base::ByteSize;

/// The number N of the memory block `memoryN`; it starts at N times the block size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockId(pub u64);

impl BlockId {
    /// The block that holds a physical address.
    pub fn holding(address: u64, block_size: ByteSize) -> Self {
        Self(address / block_size.as_bytes())
    }

    /// First physical address of the block.
    pub fn start(self, block_size: ByteSize) -> u64 {
        self.0 * block_size.as_bytes()
    }

    /// First page frame of the block.
    pub(crate) fn start_pfn(self, block_size: ByteSize) -> u64 {
        self.0 * block_size.pages().0.unsigned_abs()
    }

    /// Page frames of the block.
    pub fn pfns(self, block_size: ByteSize) -> std::ops::Range<u64> {
        self.start_pfn(block_size)..Self(self.0 + 1).start_pfn(block_size)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("memory{}", self.0))
    }
}

/// A zone of the page allocator, by its name in `/proc/zoneinfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// Below 16 MiB on x86, below 2 GiB on s390.
    Dma,
    /// Below 4 GiB on x86.
    Dma32,
    /// The other kernel memory.
    Normal,
    /// Memory for what can be migrated away.
    Movable,
    /// Memory of devices.
    Device,
}

impl Zone {
    /// All zones, in the kernel's order.
    pub(crate) const ALL: [Self; 5] = [Self::Dma, Self::Dma32, Self::Normal, Self::Movable, Self::Device];

    /// The name that the kernel prints.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dma => "DMA",
            Self::Dma32 => "DMA32",
            Self::Normal => "Normal",
            Self::Movable => "Movable",
            Self::Device => "Device",
        }
    }
}

/// The text is not what the kernel prints here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{text}`: expected one of {expected}")]
pub struct UnknownWord {
    /// What was expected, such as `zone`.
    pub(crate) what: &'static str,
    pub(crate) text: String,
    /// The words that are known.
    pub(crate) expected: String,
}

fn word<T: Copy>(
    what: &'static str,
    text: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, UnknownWord> {
    all.iter()
        .copied()
        .find(|item| name(*item) == text)
        .ok_or_else(|| UnknownWord {
            what,
            text: text.to_owned(),
            expected: all.iter().map(|item| name(*item)).collect::<Vec<_>>().join(", "),
        })
}

impl FromStr for Zone {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        word("zone", text, &Self::ALL, Self::name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A zone of one NUMA node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneId {
    pub(crate) node: u32,
    /// The zone.
    pub zone: Zone,
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("node {} zone {}", self.node, self.zone))
    }
}

impl From<ZoneId> for String {
    fn from(id: ZoneId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ZoneId {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, UnknownWord> {
        let parts = text
            .strip_prefix("node ")
            .and_then(|rest| rest.split_once(" zone "));
        if let Some((node, zone)) = parts
            && let Ok(node) = node.parse()
        {
            return Ok(Self {
                node,
                zone: zone.parse()?,
            });
        }
        Err(UnknownWord {
            what: "zone of a node",
            text,
            expected: "`node N zone NAME`".to_owned(),
        })
    }
}

/// State of a memory block, as its file `state` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockState {
    /// In use by the page allocator.
    Online,
    /// Known, not in use.
    Offline,
    /// Its pages are being migrated away.
    GoingOffline,
}

impl BlockState {
    /// The word in the file `state`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::GoingOffline => "going-offline",
        }
    }
}

impl FromStr for BlockState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let all = [Self::Online, Self::Offline, Self::GoingOffline];
        word("block state", text, &all, Self::name)
    }
}

impl fmt::Display for BlockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a block is put online: the word written to its file `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OnlineKind {
    /// The kernel chooses the zone by its policy.
    #[serde(rename = "online")]
    Default,
    /// To a kernel zone.
    #[serde(rename = "online_kernel")]
    Kernel,
    /// To zone Movable.
    #[serde(rename = "online_movable")]
    Movable,
}

impl OnlineKind {
    /// The word to write to `state`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "online",
            Self::Kernel => "online_kernel",
            Self::Movable => "online_movable",
        }
    }
}

impl fmt::Display for OnlineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What happens to a block when it is added: the content of `auto_online_blocks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoOnline {
    /// It stays offline.
    Offline,
    /// It goes online, to the zone that the policy chooses.
    Online,
    /// It goes online to a kernel zone.
    OnlineKernel,
    /// It goes online to zone Movable.
    OnlineMovable,
}

impl AutoOnline {
    /// The word in `auto_online_blocks`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Online => "online",
            Self::OnlineKernel => "online_kernel",
            Self::OnlineMovable => "online_movable",
        }
    }

    /// How an added block goes online; `None` if it does not.
    pub(crate) fn kind(self) -> Option<OnlineKind> {
        match self {
            Self::Offline => None,
            Self::Online => Some(OnlineKind::Default),
            Self::OnlineKernel => Some(OnlineKind::Kernel),
            Self::OnlineMovable => Some(OnlineKind::Movable),
        }
    }
}

impl From<OnlineKind> for AutoOnline {
    fn from(kind: OnlineKind) -> Self {
        match kind {
            OnlineKind::Default => Self::Online,
            OnlineKind::Kernel => Self::OnlineKernel,
            OnlineKind::Movable => Self::OnlineMovable,
        }
    }
}

impl FromStr for AutoOnline {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let all = [
            Self::Offline,
            Self::Online,
            Self::OnlineKernel,
            Self::OnlineMovable,
        ];
        word("auto-online policy", text, &all, Self::word)
    }
}

impl fmt::Display for AutoOnline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
