// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wished for, and how it is drawn.

use std::fmt;

use proptest::{collection::vec, prelude::*, strategy::Union};
use serde::{Deserialize, Serialize};

use crate::pick::Pick;
use base::{Arch, Errno};
use suite::{AutoPolicy, Holding, Vetoable, Via, Working, ZoneChoice};

/// One thing that is wanted of a guest. What it comes to depends on what is there then; where nothing fits, it comes to nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// A DIMM, or standby blocks.
    Add {
        /// How many blocks; one where each is configured by itself.
        blocks: u32,
        /// Which node, where there are several.
        node: Pick,
        /// Whether the memmap is asked to be in the block, where that can be asked for.
        memmap_on_memory: Option<bool>,
    },
    /// A DIMM of half a block, which no kernel takes.
    HalfBlock,
    /// A block goes online.
    Online {
        /// Which.
        block: Pick,
        /// One that is not: else one of all.
        legal: bool,
        /// Where to.
        zone: Option<ZoneChoice>,
        /// By which file; with a zone, by `state`.
        via: Via,
    },
    /// A block goes offline.
    Offline {
        /// Which.
        block: Pick,
        /// One that is online: else one of all.
        legal: bool,
        /// By which file.
        via: Via,
    },
    /// What an `add` brought goes.
    Remove {
        /// Which.
        group: Pick,
    },
    /// A block of the memory at boot goes offline, or online again.
    Boot {
        /// Which.
        block: Pick,
        /// Where to; `None`: offline.
        online: Option<ZoneChoice>,
    },
    /// A standby block is configured.
    Configure {
        /// Which.
        block: Pick,
        /// Where its memmap is.
        memmap_on_memory: Option<bool>,
    },
    /// A standby block is deconfigured.
    Deconfigure {
        /// Which.
        block: Pick,
        /// One that is offline: else one of all.
        legal: bool,
    },
    /// `memmap_on_memory` of a standby block is written.
    Memmap {
        /// Which.
        block: Pick,
        /// What.
        on: bool,
    },
    /// `auto_online_blocks` is written.
    Policy(AutoPolicy),
    /// A notification is refused from here on.
    Veto {
        /// Which.
        notifier: Vetoable,
        /// With what.
        errno: Errno,
    },
    /// No notification is refused any more.
    VetoOff,
    /// The hypervisor refuses storage.
    Refuse {
        /// The n-th of a block's increments; `None`: all of them, from here on.
        at: Option<Pick>,
    },
    /// It refuses none any more.
    RefuseOff,
    /// The hypervisor takes no storage back from here on, or does again.
    Keep {
        /// It does not.
        on: bool,
    },
    /// Pages of blocks are in use from here on.
    Hold {
        /// How.
        by: Holding,
    },
    /// They are in use no more.
    LetGo {
        /// Which of them.
        which: Pick,
    },
    /// Others are at work from here on.
    Load {
        /// What they do.
        by: Working,
    },
    /// They are no more.
    LoadOff,
    /// The kernel has little memory from here on, or again what it had.
    Pressure {
        /// It has little.
        on: bool,
    },
    /// The second CPU goes on or off.
    Cpu {
        /// On, and not off.
        on: bool,
    },
    /// Several writers switch two blocks at the same time.
    Parallel {
        /// The blocks.
        blocks: [Pick; 2],
        /// What each writer does, in its order.
        writers: Vec<Vec<Switch>>,
    },
    /// Each allocation fails once, as a block goes where it is not and comes back.
    Sweep {
        /// Which block.
        block: Pick,
    },
    /// Something is written to a file.
    Write {
        /// Which file.
        file: Writable,
        /// Of which block.
        block: Pick,
        /// What: one of the values that the file has.
        value: Pick,
    },
}

/// What one of several writers does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// The second of the two blocks, and not the first.
    pub(crate) second: bool,
    /// On, in zone Movable, and not off.
    pub(crate) on: bool,
}

/// A file that nonsense is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writable {
    /// `state` of a block.
    State,
    /// `online` of a block.
    Online,
    /// `config` of a standby block.
    Config,
    /// `memmap_on_memory` of a standby block.
    MemmapOnMemory,
    /// `auto_online_blocks`.
    AutoOnline,
}

impl Writable {
    /// What is written there. Values that kernels differ in are left out.
    pub(crate) fn values(self) -> &'static [&'static str] {
        match self {
            Self::State => &[
                "foo",
                "",
                "ONLINE",
                "online ",
                "going-offline",
                "1",
                "online\n",
                "online_movable\n",
                "online_kernel\n",
                "offline\n",
                "offline\n\n",
            ],
            Self::Online | Self::Config | Self::MemmapOnMemory => &["x", "2", "\n", "o", " 1", "-1"],
            Self::AutoOnline => &["foo", "1", "ONLINE", "offline\n\n", "online_movable "],
        }
    }
}

/// An errno with which a notification is refused. EINTR is the writer's own signal, and none of these.
fn errno() -> impl Strategy<Value = Errno> {
    prop::sample::select(vec![12_u16, 1, 5, 16, 4095]).prop_filter_map("no errno", Errno::from_number)
}

fn zone() -> impl Strategy<Value = Option<ZoneChoice>> {
    prop::sample::select(vec![
        Some(ZoneChoice::Movable),
        Some(ZoneChoice::Movable),
        Some(ZoneChoice::Kernel),
        None,
    ])
}

fn via() -> impl Strategy<Value = Via> {
    prop::sample::select(vec![Via::State, Via::State, Via::Online])
}

fn legal() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.8)
}

/// How much rarer than the rarest of all others is what takes long: a sweep is as long as a hundred of them, and where others are at work each step is.
const RARER: u32 = 4;

/// Draws a wish for a guest of this architecture.
pub(crate) fn wish(arch: Arch) -> impl Strategy<Value = Wish> {
    let mut drawn = everywhere();
    drawn.extend(at_work());
    drawn.extend(match arch {
        Arch::X86_64 => x86_64(),
        Arch::S390x => s390x(),
    });
    for (weight, _) in &mut drawn {
        *weight *= RARER;
    }
    drawn.extend(rare());
    Union::new_weighted(drawn)
}

/// What takes long. What ends it is no rarer than other wishes.
fn rare() -> Vec<(u32, BoxedStrategy<Wish>)> {
    let by = prop::sample::select(vec![
        Working::Cache,
        Working::Anon,
        Working::Fork,
        Working::Compaction,
        Working::Pages,
        Working::Sysfs,
    ]);
    vec![
        (1, Pick::any().prop_map(|block| Wish::Sweep { block }).boxed()),
        (1, by.prop_map(|by| Wish::Load { by }).boxed()),
        (1, Just(Wish::Pressure { on: true }).boxed()),
    ]
}

/// Draws blocks that come.
pub(crate) fn add() -> impl Strategy<Value = Wish> {
    let add = (1..=3_u32, Pick::any(), prop::option::of(any::<bool>()));
    add.prop_map(|(blocks, node, memmap_on_memory)| Wish::Add {
        blocks,
        node,
        memmap_on_memory,
    })
}

fn everywhere() -> Vec<(u32, BoxedStrategy<Wish>)> {
    let policy = prop::sample::select(vec![
        AutoPolicy::Offline,
        AutoPolicy::Offline,
        AutoPolicy::Online,
        AutoPolicy::Kernel,
        AutoPolicy::Movable,
    ]);
    let notifier = prop::sample::select(vec![Vetoable::GoingOnline, Vetoable::GoingOffline]);
    vec![
        (4, add().boxed()),
        (
            8,
            (Pick::any(), legal(), zone(), via())
                .prop_map(|(block, legal, zone, via)| Wish::Online {
                    block,
                    legal,
                    zone,
                    via,
                })
                .boxed(),
        ),
        (
            6,
            (Pick::any(), legal(), via())
                .prop_map(|(block, legal, via)| Wish::Offline { block, legal, via })
                .boxed(),
        ),
        (2, Pick::any().prop_map(|group| Wish::Remove { group }).boxed()),
        (
            1,
            (Pick::any(), zone())
                .prop_map(|(block, zone)| Wish::Boot { block, online: zone })
                .boxed(),
        ),
        (1, policy.prop_map(Wish::Policy).boxed()),
        (
            1,
            (notifier, errno())
                .prop_map(|(notifier, errno)| Wish::Veto { notifier, errno })
                .boxed(),
        ),
        (2, Just(Wish::VetoOff).boxed()),
        (
            2,
            written(vec![Writable::State, Writable::Online, Writable::AutoOnline]),
        ),
    ]
}

/// What has others at work.
fn at_work() -> Vec<(u32, BoxedStrategy<Wish>)> {
    let by = prop::sample::select(vec![
        Holding::Anon,
        Holding::Mlock,
        Holding::Thp,
        Holding::Ksm,
        Holding::File,
        Holding::Hugetlb,
        Holding::Longterm,
        Holding::Pipe,
    ]);
    let switch = (any::<bool>(), any::<bool>()).prop_map(|(second, on)| Switch { second, on });
    let writers = vec(vec(switch, 1..=2), 2..=3);
    let blocks = [Pick::any(), Pick::any()];
    vec![
        (1, by.prop_map(|by| Wish::Hold { by }).boxed()),
        (1, Pick::any().prop_map(|which| Wish::LetGo { which }).boxed()),
        (4, Just(Wish::LoadOff).boxed()),
        (2, Just(Wish::Pressure { on: false }).boxed()),
        (1, any::<bool>().prop_map(|on| Wish::Cpu { on }).boxed()),
        (
            1,
            (blocks, writers)
                .prop_map(|(blocks, writers)| Wish::Parallel { blocks, writers })
                .boxed(),
        ),
    ]
}

fn x86_64() -> Vec<(u32, BoxedStrategy<Wish>)> {
    vec![(1, Just(Wish::HalfBlock).boxed())]
}

fn s390x() -> Vec<(u32, BoxedStrategy<Wish>)> {
    let at = prop::option::weighted(0.8, Pick::any());
    vec![
        (
            3,
            (Pick::any(), prop::option::of(any::<bool>()))
                .prop_map(|(block, memmap_on_memory)| Wish::Configure {
                    block,
                    memmap_on_memory,
                })
                .boxed(),
        ),
        (
            3,
            (Pick::any(), legal())
                .prop_map(|(block, legal)| Wish::Deconfigure { block, legal })
                .boxed(),
        ),
        (
            1,
            (Pick::any(), any::<bool>())
                .prop_map(|(block, on)| Wish::Memmap { block, on })
                .boxed(),
        ),
        (1, at.prop_map(|at| Wish::Refuse { at }).boxed()),
        (2, Just(Wish::RefuseOff).boxed()),
        (1, any::<bool>().prop_map(|on| Wish::Keep { on }).boxed()),
        (1, written(vec![Writable::Config, Writable::MemmapOnMemory])),
    ]
}

fn written(files: Vec<Writable>) -> BoxedStrategy<Wish> {
    (prop::sample::select(files), Pick::any(), Pick::any())
        .prop_map(|(file, block, value)| Wish::Write { file, block, value })
        .boxed()
}

impl Switch {
    /// In words, of one of these.
    fn of(self, [first, second]: &[Pick; 2]) -> String {
        let block = if self.second { second } else { first };
        format!("{} {block}", if self.on { "online" } else { "offline" })
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |legal: bool| if legal { "" } else { " of all" };
        let asked = |on: &Option<bool>| match on {
            None => "",
            Some(true) => ", memmap on memory",
            Some(false) => ", memmap off memory",
        };
        match self {
            Self::Add {
                blocks,
                node,
                memmap_on_memory,
            } => write!(f, "add {blocks} at node {node}{}", asked(memmap_on_memory)),
            Self::HalfBlock => f.write_str("add half a block"),
            Self::Online {
                block,
                legal,
                zone,
                via,
            } => {
                let zone = zone.map_or_else(String::new, |zone| format!(" zone {zone}"));
                write!(f, "online {block}{}{zone} via {via}", any(*legal))
            }
            Self::Offline { block, legal, via } => write!(f, "offline {block}{} via {via}", any(*legal)),
            Self::Remove { group } => write!(f, "remove {group}"),
            Self::Boot { block, online: None } => write!(f, "offline boot {block}"),
            Self::Boot {
                block,
                online: Some(zone),
            } => write!(f, "online boot {block} zone {zone}"),
            Self::Configure {
                block,
                memmap_on_memory,
            } => write!(f, "configure {block}{}", asked(memmap_on_memory)),
            Self::Deconfigure { block, legal } => write!(f, "deconfigure {block}{}", any(*legal)),
            Self::Memmap { block, on } => write!(f, "memmap_on_memory {block} {}", u8::from(*on)),
            Self::Policy(policy) => write!(f, "auto_online {policy}"),
            Self::Veto { notifier, errno } => write!(f, "veto {notifier} {errno}"),
            Self::VetoOff => f.write_str("veto off"),
            Self::Refuse { at: None } => f.write_str("refuse_assign all"),
            Self::Refuse { at: Some(at) } => write!(f, "refuse_assign at {at}"),
            Self::RefuseOff => f.write_str("refuse_assign off"),
            Self::Keep { on } => write!(f, "refuse_unassign {}", if *on { "all" } else { "off" }),
            Self::Hold { by } => write!(f, "hold by {by}"),
            Self::LetGo { which } => write!(f, "free {which}"),
            Self::Load { by } => write!(f, "load by {by}"),
            Self::LoadOff => f.write_str("load off"),
            Self::Pressure { on } => write!(f, "pressure {}", if *on { "on" } else { "off" }),
            Self::Cpu { on } => write!(f, "cpu {}", if *on { "on" } else { "off" }),
            Self::Parallel { blocks, writers } => {
                f.write_str("parallel")?;
                writers.iter().enumerate().try_for_each(|(index, switches)| {
                    f.write_str(if index == 0 { " " } else { " | " })?;
                    let words: Vec<_> = switches.iter().map(|switch| switch.of(blocks)).collect();
                    f.write_str(&words.join(", "))
                })
            }
            Self::Sweep { block } => write!(f, "sweep {block}"),
            Self::Write { file, block, value } => write!(f, "write {file:?} of {block}: value {value}"),
        }
    }
}
