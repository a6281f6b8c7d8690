// SPDX-License-Identifier: MIT OR Apache-2.0
//! What memory hotplug costs, in guest instructions: `cost.json` in the folder of its run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use base::Arch;

/// How instructions were counted. Counts of different methods cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CostMethod {
    /// Our QEMU plugin counted what the task executed that did the operation; other tasks and idle time are no part of it.
    #[serde(rename = "plugin-2")]
    Plugin,
    /// The same as it was done at first, in old records only: other tasks were counted if they came back from the scheduler while the one that
    /// is meant waited, and it was not counted itself from where it gave way in another place (`cond_resched`) until it waited again.
    #[serde(rename = "plugin")]
    PluginByAddress,
    /// The guest looked at its clock, which runs by a nanosecond an instruction (`-icount shift=0`); idle time is a part of it.
    GuestTime,
}

impl CostMethod {
    pub(crate) const ALL: [Self; 3] = [Self::Plugin, Self::PluginByAddress, Self::GuestTime];

    /// What who reads a number must know of it.
    pub fn caveat(self) -> &'static str {
        match self {
            Self::Plugin => {
                "instructions of interrupts, other tasks, the scheduler, the slab allocator, RCU and random numbers are not counted"
            }
            Self::PluginByAddress => {
                "instructions of interrupts, the scheduler, the slab allocator, RCU and random numbers are not counted, nor some behind a wait"
            }
            Self::GuestTime => "the guest's clock counts interrupts and idle time too",
        }
    }
}

impl fmt::Display for CostMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plugin => "plugin-2",
            Self::PluginByAddress => "plugin",
            Self::GuestTime => "guest-time",
        })
    }
}

/// What the operations of one kernel cost, in one guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostRecord {
    /// Label of the kernel, as on the command line.
    pub kernel: String,
    /// `uname -r`.
    pub release: String,
    /// Architecture.
    pub arch: Arch,
    /// What was varied, such as `memmap_on_memory=on`.
    pub variant: String,
    /// How it was counted.
    pub method: CostMethod,
    /// Version of the QEMU: what counts as one instruction is its affair (a string instruction may count once for each round).
    pub qemu: String,
    /// The operations, in the order in which they were done.
    pub operations: Vec<OperationCost>,
}

impl CostRecord {
    /// An operation by its name.
    pub fn operation(&self, name: &str) -> Option<&OperationCost> {
        self.operations.iter().find(|operation| operation.name == name)
    }

    /// What each operation costs, in one line: `online 5021687, offline 4981598`, in instructions.
    pub fn in_short(&self) -> String {
        let cost = |operation: &OperationCost| Some(format!("{} {}", operation.name, operation.cost()?));
        self.operations
            .iter()
            .filter_map(cost)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// What one operation cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationCost {
    /// `online`, `offline`, `add` (configure) or `remove` (deconfigure), of one memory block.
    pub name: String,
    /// Instructions of each repetition, in order, without those of the warm-up.
    pub samples: Vec<u64>,
    /// What repeats of them, where they were counted block by block: see [`steady`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<u64>,
    /// What of `steady` was executed in each function of the kernel's, and [`ELSEWHERE`]; empty where that was not asked for. Of functions with the
    /// same name it is the sum.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<String, i64>,
}

/// What stands for the name of a function where code is none of the kernel's: the program that writes to a file.
pub const ELSEWHERE: &str = "(elsewhere)";

/// The instructions of the repetitions without luck: what each block of code costs, by its address, which is the lowest number that a third of
/// the repetitions agree on.
///
/// Each repetition is a map from a block's address to its instructions; a block that is missing cost nothing. Whether a slab
/// object lies in the first page of its slab, or the random numbers have to be drawn anew, moves a few blocks each; the sum over
/// all of them hardly ever repeats, and that of these does. `None` without repetitions.
pub fn steady(repetitions: &[BTreeMap<u64, i64>]) -> Option<BTreeMap<u64, i64>> {
    let enough = repetitions.len().div_ceil(3).max(1);
    let blocks: BTreeSet<u64> = repetitions
        .iter()
        .flat_map(|blocks| blocks.keys().copied())
        .collect();
    let agreed = |block| {
        let mut counts: Vec<i64> = repetitions
            .iter()
            .map(|blocks| blocks.get(&block).copied().unwrap_or(0))
            .collect();
        counts.sort_unstable();
        let agreed = counts.chunk_by(|a, b| a == b).find(|same| same.len() >= enough);
        // Where no third agrees, at least the middle is steady.
        (block, agreed.map_or(counts[counts.len() / 2], |same| same[0]))
    };
    (!repetitions.is_empty()).then(|| blocks.into_iter().map(agreed).collect())
}

/// The instructions of all blocks together.
pub fn total(blocks: &BTreeMap<u64, i64>) -> u64 {
    u64::try_from(blocks.values().sum::<i64>()).unwrap_or(0)
}

impl OperationCost {
    /// What the operation costs, as it is compared: the steady cost, or the lowest sample where there is none.
    pub fn cost(&self) -> Option<u64> {
        self.steady.or_else(|| self.minimum())
    }

    /// The lowest sample; `None` without any.
    pub(crate) fn minimum(&self) -> Option<u64> {
        self.samples.iter().copied().min()
    }

    /// The sample that was seen most often, the lowest of them where several were; `None` without any.
    pub fn mode(&self) -> Option<u64> {
        let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
        for sample in &self.samples {
            *seen.entry(*sample).or_default() += 1;
        }
        let most = seen.values().copied().max()?;
        seen.into_iter()
            .find(|(_, times)| *times == most)
            .map(|(sample, _)| sample)
    }

    /// How often the mode was seen.
    pub fn agreeing(&self) -> usize {
        let mode = self.mode();
        self.samples
            .iter()
            .filter(|sample| Some(**sample) == mode)
            .count()
    }

    /// From the lowest to the highest sample; 0 without any.
    pub fn spread(&self) -> u64 {
        self.samples.iter().copied().max().unwrap_or(0) - self.minimum().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(samples: &[u64]) -> OperationCost {
        OperationCost {
            name: "online".to_owned(),
            samples: samples.to_vec(),
            steady: None,
            functions: BTreeMap::new(),
        }
    }

    fn agreed(repetitions: &[BTreeMap<u64, i64>]) -> Option<u64> {
        steady(repetitions).map(|blocks| total(&blocks))
    }

    #[test]
    fn a_tick_inside_moves_the_spread_and_neither_mode_nor_minimum() {
        let cost = of(&[46_703, 46_703, 53_709, 46_703]);
        assert_eq!((cost.minimum(), cost.mode()), (Some(46_703), Some(46_703)));
        assert_eq!((cost.spread(), cost.agreeing()), (7_006, 3));
    }

    #[test]
    fn a_lucky_sample_moves_the_minimum_and_not_the_mode() {
        let cost = of(&[100, 97, 100, 103, 103]);
        assert_eq!((cost.minimum(), cost.mode()), (Some(97), Some(100)));
    }

    #[test]
    fn of_nothing_there_is_nothing() {
        assert_eq!((of(&[]).minimum(), of(&[]).mode()), (None, None));
        assert_eq!((of(&[]).spread(), of(&[]).agreeing()), (0, 0));
    }

    #[test]
    fn a_record_reads_back() {
        let text = r#"{"kernel":"debian:trixie","release":"6.12.107","arch":"s390x","variant":"memmap_on_memory=on",
            "method":"guest-time","qemu":"10.0.13","operations":[{"name":"online","samples":[3,1]}]}"#;
        let record: CostRecord = serde_json::from_str(text).unwrap();
        assert_eq!(record.operation("online").unwrap().minimum(), Some(1));
        assert_eq!(record.operation("add"), None);
        let again: CostRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!(again, record);
        assert_eq!(record.in_short(), "online 1");
        for method in CostMethod::ALL {
            // A record and an index have the same word.
            assert_eq!(serde_json::to_value(method).unwrap(), method.to_string());
        }
    }

    /// Repetitions of one path of 1000 instructions, 12 of which are luck: a block of 5 or 7, and another of 0 or 7.
    fn lucky(extra: i64, luck: &[(bool, bool)]) -> Vec<BTreeMap<u64, i64>> {
        let blocks = |(a, b): &(bool, bool)| {
            let mut blocks = BTreeMap::from([(0x10, 988 + extra), (0x20, if *a { 5 } else { 7 })]);
            if *b {
                blocks.insert(0x30, 7);
            }
            blocks
        };
        luck.iter().map(blocks).collect()
    }

    #[test]
    fn ten_instructions_more_are_seen_through_luck() {
        let one = [(true, false), (false, false), (true, true), (false, true)];
        let other = [(false, true), (true, true), (false, false), (true, false)];
        assert_eq!(agreed(&lucky(0, &one)), Some(993));
        assert_eq!(agreed(&lucky(0, &other)), Some(993));
        assert_eq!(agreed(&lucky(10, &other)), Some(1003));
    }

    #[test]
    fn what_one_repetition_of_many_does_is_luck() {
        let mut many = lucky(0, &[(true, false); 20]);
        many[7].insert(0x40, 5000);
        many[9].insert(0x10, 900);
        assert_eq!(agreed(&many), Some(993));
        assert_eq!(agreed(&many[..0]), None);
        let apart: Vec<_> = (1..=20).map(|count| BTreeMap::from([(1, count)])).collect();
        assert_eq!(agreed(&apart), Some(11), "nothing agrees");
    }

    proptest! {
        #[test]
        fn mode_and_minimum_do_not_depend_on_the_order(mut samples in prop::collection::vec(0_u64..5, 1..30)) {
            let cost = of(&samples);
            let mode = cost.mode().unwrap();
            prop_assert!(samples.contains(&mode));
            prop_assert!(cost.minimum().unwrap() <= mode && mode <= cost.minimum().unwrap() + cost.spread());
            for other in 0..5 {
                let times = samples.iter().filter(|sample| **sample == other).count();
                prop_assert!(times <= cost.agreeing());
            }
            samples.reverse();
            prop_assert_eq!(of(&samples).mode(), Some(mode));
        }
    }
}
