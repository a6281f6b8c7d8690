// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done in the guest, and what the guest tells of it.

use base::ByteSize;

/// Prints what [`Look`] reads.
pub(super) const LOOK: &str = "\
echo release:$(uname -r)
echo memmap:$(cat /sys/module/memory_hotplug/parameters/memmap_on_memory 2> /dev/null)
cd /sys/devices/system/memory
echo block_size:$(cat block_size_bytes)
for block in memory[0-9]*; do [ \"$(cat $block/state)\" = offline ] && echo offline:$block; done
cd /sys/firmware/memory 2> /dev/null || exit 0
for block in memory[0-9]*; do [ \"$(cat $block/config)\" = 0 ] && echo unconfigured:$block; done
exit 0";

/// What can be measured in a guest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Look {
    pub(super) release: String,
    pub(super) memmap: String,
    pub(super) block_size: ByteSize,
    pub(super) offline: Vec<String>,
    pub(super) unconfigured: Vec<String>,
}

impl Look {
    pub(super) fn of(text: &str) -> Self {
        let mut look = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            match key {
                "release" => value.clone_into(&mut look.release),
                "memmap" => value.clone_into(&mut look.memmap),
                // A size that does not read is refused by QEMU, as 0.
                "block_size" => {
                    look.block_size = ByteSize::bytes(u64::from_str_radix(value, 16).unwrap_or(0))
                }
                "offline" => look.offline.push(value.to_owned()),
                "unconfigured" => look.unconfigured.push(value.to_owned()),
                _ => {}
            }
        }
        look
    }
}

/// One write to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) file: String,
    pub(super) text: &'static str,
}

/// Two blocks: one that goes online and stays, and one that goes through the operations.
///
/// Without the first, each online would be the first of its zone: the kernel then stops all CPUs to build its lists of zones, writes
/// numbers to its log, and allocates, all of which costs now more and now less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) stays: Vec<Operation>,
    pub(super) round: Vec<Operation>,
}

/// What is done, after which the second block is as before; `None` without two blocks.
pub(super) fn planned(seen: &Look) -> Option<Plan> {
    let write = |name, file: String, text| Operation { name, file, text };
    let state = |block: &str| format!("/sys/devices/system/memory/{block}/state");
    let config = |block: &str| format!("/sys/firmware/memory/{block}/config");
    let online = |block: &str| write("online", state(block), "online_movable");
    let offline = |block: &str| write("offline", state(block), "offline");
    if let [first, second, ..] = seen.unconfigured.as_slice() {
        return Some(Plan {
            stays: vec![write("add", config(first), "1"), online(first)],
            round: vec![
                write("add", config(second), "1"),
                online(second),
                offline(second),
                write("remove", config(second), "0"),
            ],
        });
    }
    let [first, second, ..] = seen.offline.as_slice() else {
        return None;
    };
    Some(Plan {
        stays: vec![online(first)],
        round: vec![online(second), offline(second)],
    })
}

/// The script that does the operations so many times, in one process: what is started in between would move pages about.
pub(super) fn script(plan: &Plan, rounds: u32) -> String {
    let stays = plan
        .stays
        .iter()
        .map(|Operation { file, text, .. }| format!("echo {text} > {file} || exit\n"));
    let round = plan
        .round
        .iter()
        .map(|Operation { file, text, .. }| format!(" {file} {text}"));
    // A pipe would wake its reader.
    format!(
        "{}memrig-cost 1 > /dev/null\nmemrig-cost {rounds}{} > /tmp/cost\ncat /tmp/cost\n",
        stays.collect::<String>(),
        round.collect::<String>(),
    )
}

/// One operation, as the guest tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) name: &'static str,
    pub(super) errno: u64,
    pub(super) ticks: u64,
}

/// Reads what the script printed: errno and clock of each operation, in hex.
pub(super) fn said(operations: &[Operation], text: &str) -> Result<Vec<Said>, String> {
    let read = |(index, line): (usize, &str)| {
        let mut words = line.split(' ').map(|word| u64::from_str_radix(word, 16));
        match (words.next(), words.next(), words.next()) {
            (Some(Ok(errno)), Some(Ok(ticks)), None) => Ok(Said {
                name: operations[index % operations.len()].name,
                errno,
                ticks,
            }),
            _ => Err(format!("the guest's count does not read: `{line}`")),
        }
    };
    text.lines().enumerate().map(read).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What is done on a kernel that adds its blocks itself.
    pub(in crate::cost) fn g2() -> Vec<Operation> {
        let seen =
            "release:7.2.0\nmemmap:Y\nblock_size:8000000\nunconfigured:memory8\nunconfigured:memory9\n";
        let seen = Look::of(seen);
        assert_eq!(seen.block_size, ByteSize::mib(128));
        planned(&seen).unwrap().round
    }

    #[test]
    fn a_block_that_can_be_added_is_added_and_removed_in_each_round() {
        let names: Vec<&str> = g2().iter().map(|operation| operation.name).collect();
        assert_eq!(names, ["add", "online", "offline", "remove"]);
        let seen = Look::of("release:6.12\nmemmap:\nblock_size:10000000\noffline:memory4\noffline:memory5\n");
        let plan = planned(&seen).unwrap();
        let files: Vec<&str> = plan
            .round
            .iter()
            .map(|operation| operation.file.as_str())
            .collect();
        assert_eq!(files, ["/sys/devices/system/memory/memory5/state"; 2]);
        assert_eq!(
            script(&plan, 7).lines().collect::<Vec<_>>(),
            [
                "echo online_movable > /sys/devices/system/memory/memory4/state || exit",
                "memrig-cost 1 > /dev/null",
                "memrig-cost 7 /sys/devices/system/memory/memory5/state online_movable \
                 /sys/devices/system/memory/memory5/state offline > /tmp/cost",
                "cat /tmp/cost",
            ]
        );
        assert_eq!(planned(&Look::of("release:6.12\noffline:memory4\n")), None);
    }

    #[test]
    fn what_the_guest_says_goes_to_its_operation() {
        let text = "0000000000000000 0000000000001000\n0000000000000010 00000000000000ff\n";
        let said = said(&g2(), text).unwrap();
        assert_eq!((said[0].name, said[0].errno, said[0].ticks), ("add", 0, 4096));
        assert_eq!((said[1].name, said[1].errno, said[1].ticks), ("online", 16, 255));
        for wrong in ["sh: memrig-cost: not found\n", "0\n", "0 0 0\n"] {
            assert!(super::said(&g2(), wrong).is_err(), "{wrong}");
        }
    }
}
