// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a write to a file of memory hotplug asks the kernel for, in the kernel's own reading of it.

use super::{AddBy, AutoOnline, BlockId, Op, RemoveBy};
use base::ByteSize;

/// Where the files of memory blocks are.
const BLOCKS: &str = "/sys/devices/system/memory";

/// Where the files of standby memory are (s390 G2).
const STORAGE: &str = "/sys/firmware/memory";

/// A file of sysfs by which memory hotplug is asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `state` of a memory block (drivers/base/memory.c `state_store`).
    State(BlockId),
    /// `online` of a memory block (drivers/base/core.c `online_store`).
    Online(BlockId),
    /// `config` of a standby block (drivers/s390/char/sclp_mem.c of 6.19 on).
    Config(BlockId),
    /// `memmap_on_memory` of a standby block (the same).
    MemmapOnMemory(BlockId),
    /// `auto_online_blocks` (drivers/base/memory.c).
    AutoOnline,
    /// `probe`, which adds a block by its address (drivers/base/memory.c).
    Probe,
}

impl Attribute {
    /// A file of `/sys/devices/system/memory/memoryN`, which may be none of these.
    pub fn block_file(block: BlockId, file: &str) -> String {
        format!("{BLOCKS}/{block}/{file}")
    }

    /// The file at a path without links, if it is one of these.
    pub fn at(path: &str) -> Option<Self> {
        let (folder, file) = path.rsplit_once('/')?;
        let block = |root: &str| {
            let name = folder.strip_prefix(root)?.strip_prefix("/memory")?;
            name.parse().ok().map(BlockId)
        };
        match (file, folder == BLOCKS) {
            ("auto_online_blocks", true) => Some(Self::AutoOnline),
            ("probe", true) => Some(Self::Probe),
            ("state", _) => block(BLOCKS).map(Self::State),
            ("online", _) => block(BLOCKS).map(Self::Online),
            ("config", _) => block(STORAGE).map(Self::Config),
            ("memmap_on_memory", _) => block(STORAGE).map(Self::MemmapOnMemory),
            _ => None,
        }
    }

    /// Its path.
    pub fn path(self) -> String {
        match self {
            Self::State(block) => Self::block_file(block, "state"),
            Self::Online(block) => Self::block_file(block, "online"),
            Self::Config(block) => format!("{STORAGE}/{block}/config"),
            Self::MemmapOnMemory(block) => format!("{STORAGE}/{block}/memmap_on_memory"),
            Self::AutoOnline => format!("{BLOCKS}/auto_online_blocks"),
            Self::Probe => format!("{BLOCKS}/probe"),
        }
    }

    /// What the kernel is asked for by a value, where it takes it; `None` for a value that no kernel takes.
    ///
    /// Kernels differ in how many values they take, and not in what one that they take means.
    pub fn asks(self, value: &str, block_size: ByteSize) -> Option<Op> {
        let value = text(value);
        match self {
            Self::State(block) => Some(match word(value)?.kind() {
                Some(kind) => Op::Online {
                    block,
                    kind,
                    via_online_file: false,
                },
                None => Op::Offline {
                    block,
                    via_online_file: false,
                },
            }),
            Self::Online(block) => Some(match kernel_bool(value)? {
                true => Op::Online {
                    block,
                    kind: super::OnlineKind::Default,
                    via_online_file: true,
                },
                false => Op::Offline {
                    block,
                    via_online_file: true,
                },
            }),
            Self::Config(block) => Some(match kernel_bool(value)? {
                true => Op::Add {
                    blocks: vec![block],
                    by: AddBy::Configure,
                },
                false => Op::Remove {
                    blocks: vec![block],
                    by: RemoveBy::Deconfigure,
                },
            }),
            Self::MemmapOnMemory(block) => kernel_bool(value).map(|on| Op::SetMemmapOnMemory { block, on }),
            Self::AutoOnline => word(value).map(Op::SetAutoOnline),
            Self::Probe => number(value).map(|address| Op::Add {
                blocks: vec![BlockId::holding(address, block_size)],
                by: AddBy::Probe,
            }),
        }
    }
}

/// Whether a path leads to a file of sysfs itself, and not to one of the file systems that are mounted below `/sys`.
///
/// A write of no bytes does not come to such a file's own function (fs/sysfs/file.c `sysfs_kf_write`); that of an empty text, which is its
/// end alone, does.
pub fn in_sysfs(path: &str) -> bool {
    const MOUNTED: [&str; 5] = [
        "/sys/fs/",
        "/sys/kernel/config/",
        "/sys/kernel/debug/",
        "/sys/kernel/security/",
        "/sys/kernel/tracing/",
    ];
    path.starts_with("/sys/") && !MOUNTED.iter().any(|mounted| path.starts_with(mounted))
}

/// What a function of the kernel reads of a value: it ends at the first NUL.
fn text(value: &str) -> &str {
    value.split('\0').next().unwrap_or_default()
}

/// A word of `state` or `auto_online_blocks`: a newline at its end is none of it (lib/string.c `sysfs_streq`).
fn word(value: &str) -> Option<AutoOnline> {
    value.strip_suffix('\n').unwrap_or(value).parse().ok()
}

/// Reads a text as the kernel's kstrtobool does (lib/kstrtox.c), by its first letters; `None` where that answers EINVAL. `e` and `d`
/// are taken by newer kernels (6.1.176 and 6.12.117 do not, 7.2 does).
fn kernel_bool(value: &str) -> Option<bool> {
    let mut letters = text(value).chars().map(|c| c.to_ascii_lowercase());
    match letters.next()? {
        'e' | 'y' | 't' | '1' => Some(true),
        'd' | 'n' | 'f' | '0' => Some(false),
        'o' => match letters.next()? {
            'n' => Some(true),
            'f' => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Reads a number as the kernel's kstrtoull does with base 0 (lib/kstrtox.c).
fn number(value: &str) -> Option<u64> {
    let value = value.strip_prefix('+').unwrap_or(value);
    let digits = value.strip_suffix('\n').unwrap_or(value);
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    // A second sign is none of the kernel's.
    let plain = digits.chars().all(|digit| digit.is_digit(radix));
    plain.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnlineKind;

    const SIZE: ByteSize = ByteSize::mib(128);
    const BLOCK: BlockId = BlockId(32);

    fn online(kind: OnlineKind, via_online_file: bool) -> Option<Op> {
        Some(Op::Online {
            block: BLOCK,
            kind,
            via_online_file,
        })
    }

    fn offline(via_online_file: bool) -> Option<Op> {
        Some(Op::Offline {
            block: BLOCK,
            via_online_file,
        })
    }

    #[test]
    fn state_takes_its_words_with_and_without_a_newline() {
        let asks = |value: &str| Attribute::State(BLOCK).asks(value, SIZE);
        for end in ["", "\n", "\0", "\n\0rest"] {
            let asks = |word: &str| asks(&format!("{word}{end}"));
            assert_eq!(asks("online"), online(OnlineKind::Default, false), "{end:?}");
            assert_eq!(
                asks("online_kernel"),
                online(OnlineKind::Kernel, false),
                "{end:?}"
            );
            assert_eq!(
                asks("online_movable"),
                online(OnlineKind::Movable, false),
                "{end:?}"
            );
            assert_eq!(asks("offline"), offline(false), "{end:?}");
        }
        for no in [
            "",
            "\n",
            "ONLINE",
            "online ",
            "online\n\n",
            "online_movbale",
            "1",
            "going-offline",
        ] {
            assert_eq!(asks(no), None, "{no:?}");
        }
    }

    #[test]
    fn online_goes_by_the_first_letters() {
        let asks = |value| Attribute::Online(BLOCK).asks(value, SIZE);
        let yes = [
            "1",
            "1\n",
            "y",
            "Y",
            "yes",
            "t",
            "True",
            "on",
            "ON\n",
            "oN",
            "online_movable",
            "online",
            "enabled",
        ];
        for value in yes {
            assert_eq!(asks(value), online(OnlineKind::Default, true), "{value:?}");
        }
        for value in [
            "0", "0\n", "n", "N", "no", "f", "foo", "off", "OFf", "offline", "disabled",
        ] {
            assert_eq!(asks(value), offline(true), "{value:?}");
        }
        for value in ["", "\n", "\0", "2", "x", "o", "o\n", " 1", "-1"] {
            assert_eq!(asks(value), None, "{value:?}");
        }
    }

    #[test]
    fn other_files_have_their_own_words() {
        let config = |value| Attribute::Config(BLOCK).asks(value, SIZE);
        assert!(matches!(
            config("y\n"),
            Some(Op::Add {
                by: AddBy::Configure,
                ..
            })
        ));
        assert!(matches!(
            config("foo"),
            Some(Op::Remove {
                by: RemoveBy::Deconfigure,
                ..
            })
        ));
        assert_eq!(config("x"), None);
        let memmap = Attribute::MemmapOnMemory(BLOCK).asks("off", SIZE);
        assert_eq!(
            memmap,
            Some(Op::SetMemmapOnMemory {
                block: BLOCK,
                on: false
            })
        );
        let policy = |value| Attribute::AutoOnline.asks(value, SIZE);
        assert_eq!(
            policy("online_kernel\n"),
            Some(Op::SetAutoOnline(AutoOnline::OnlineKernel))
        );
        assert_eq!(policy("1"), None);
        for address in ["0x100000000", "4294967296\n", "040000000000", "+0X100000000"] {
            let added = Op::Add {
                blocks: vec![BLOCK],
                by: AddBy::Probe,
            };
            assert_eq!(Attribute::Probe.asks(address, SIZE), Some(added), "{address}");
        }
        for address in ["", "0x", "++1", "0x1 ", "09", "-1"] {
            assert_eq!(Attribute::Probe.asks(address, SIZE), None, "{address}");
        }
    }

    #[test]
    fn a_path_is_the_file_that_it_names() {
        let all = [
            Attribute::State(BLOCK),
            Attribute::Online(BLOCK),
            Attribute::Config(BLOCK),
            Attribute::MemmapOnMemory(BLOCK),
            Attribute::AutoOnline,
            Attribute::Probe,
        ];
        for attribute in all {
            assert_eq!(Attribute::at(&attribute.path()), Some(attribute));
        }
        for other in [
            "/sys/devices/system/memory/memory32/valid_zones",
            "/sys/devices/system/memory/state",
            "/sys/devices/system/memory/memory32/probe",
            "/sys/devices/system/cpu/cpu1/online",
            "/sys/firmware/memory/memory32/state",
            "state",
        ] {
            assert_eq!(Attribute::at(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_mounted_below_sysfs_is_none_of_it() {
        assert!(in_sysfs("/sys/devices/system/memory/memory32/online"));
        assert!(in_sysfs("/sys/module/memory_hotplug/parameters/online_policy"));
        for other in [
            "/sys/kernel/tracing/trace",
            "/sys/fs/cgroup/memory.high",
            "/proc/sys/vm/drop_caches",
            "/tmp/x",
        ] {
            assert!(!in_sysfs(other), "{other}");
        }
    }
}
