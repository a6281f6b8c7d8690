// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking at NUMA nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    bench::Bench,
    guest::UnderTest,
    look::{differs, told},
    trouble::Trouble,
};
use base::PAGE_SIZE;
use memory::BlockId;
use suite::Node;

/// What a script ends with where the kernel has no nodes.
const ABSENT: u8 = 3;

/// What sysfs says of a node.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Of each file that lists nodes, whether this one is among them.
    flags: BTreeMap<String, bool>,
    /// The blocks that its directory has links to.
    links: BTreeSet<BlockId>,
    /// Its MemTotal, in KiB; `None` where it has no directory.
    mem_total: Option<u64>,
}

/// The script that prints it: the lists as `FILE:LIST`, then what is in its directory.
fn look(number: u32) -> String {
    format!(
        "cd /sys/devices/system/node 2>/dev/null || exit {ABSENT}
grep -sH '' online has_memory has_normal_memory has_cpu
cd node{number} 2>/dev/null || exit 0
echo links: memory*
grep -s MemTotal meminfo"
    )
}

impl Seen {
    /// Reads what the script printed; `None` where it does not read.
    fn parse(text: &str, number: u32) -> Option<Self> {
        let mut seen = Self::default();
        for line in text.lines() {
            if let Some(links) = line.strip_prefix("links:") {
                let block = |name: &str| name.strip_prefix("memory").and_then(|number| number.parse().ok());
                seen.links = links.split_whitespace().filter_map(block).map(BlockId).collect();
            } else if line.contains(" MemTotal:") {
                seen.mem_total = Some(line.split_whitespace().rev().nth(1)?.parse().ok()?);
            } else {
                let (file, list) = line.split_once(':')?;
                seen.flags.insert(file.to_owned(), lists(list, number)?);
            }
        }
        Some(seen)
    }
}

/// Whether a list such as `0-1,3` has a number (lib/vsprintf.c `%*pbl`); `None` if it is no list.
fn lists(list: &str, number: u32) -> Option<bool> {
    let mut has = false;
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        has |= (first.parse::<u32>().ok()?..=last.parse().ok()?).contains(&number);
    }
    Some(has)
}

impl<G: UnderTest> Bench<'_, G> {
    pub(super) async fn node(&self, wanted: &Node) -> Result<(), Trouble> {
        let number = wanted.number;
        let output = self.exec(&look(number)).await?;
        if output.code == ABSENT {
            return Err(Trouble::Lacking {
                message: "needs CONFIG_NUMA: the kernel has no /sys/devices/system/node".to_owned(),
            });
        }
        let text = output.text();
        let seen = Seen::parse(&text, number).ok_or_else(|| {
            Trouble::bench(format!(
                "what sysfs says of node {number} does not read: {text:?}"
            ))
        })?;
        let mut wrong = Vec::new();
        for (file, must) in wanted.flags() {
            if let Some(must) = must {
                let is = seen.flags.get(file).copied().unwrap_or(false);
                wrong.push(differs(format!("node {number} in {file}"), "", must, is));
            }
        }
        if let Some(must) = wanted.online {
            let is = seen.mem_total.is_some();
            wrong.push(differs(format!("node{number} has a directory"), "", must, is));
        }
        if let Some(blocks) = &wanted.blocks {
            let mut must = BTreeSet::new();
            for block in blocks {
                must.extend(self.blocks(block)?);
            }
            let is = seen.links.difference(&self.at_boot).copied().collect();
            wrong.push(differs(
                format!("node{number} links"),
                "",
                names(&must),
                names(&is),
            ));
        }
        // What its zones manage is all that it has (`si_meminfo_node`, mm/show_mem.c; 6.1: mm/page_alloc.c).
        if let Some(is) = seen.mem_total {
            let must = self.ledger.managed_of(number).0.unsigned_abs() * PAGE_SIZE / 1024;
            wrong.push(differs(format!("node{number} MemTotal"), "KiB", must, is));
        }
        let wrong: Vec<_> = wrong.into_iter().flatten().collect();
        let Some(first) = wrong.first() else {
            return Ok(());
        };
        let message = format!(
            "{}: must be {}, is {}",
            first.counter, first.predicted, first.seen
        );
        told(message, wrong)
    }
}

fn names(blocks: &BTreeSet<BlockId>) -> String {
    let names: Vec<_> = blocks.iter().map(BlockId::to_string).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_nodes_has_what_it_names() {
        for (list, has) in [
            ("0", false),
            ("1", true),
            ("0-1", true),
            ("0,2-4", false),
            ("", false),
            ("0,1,5\n", true),
        ] {
            assert_eq!(lists(list, 1), Some(has), "{list:?}");
        }
        assert_eq!(lists("x", 1), None);
    }

    #[test]
    fn what_is_printed_of_a_node_is_read() {
        let text = "online:0-1\nhas_memory:0\nhas_cpu:0\nlinks: memory32 memory33\nNode 1 MemTotal:       131072 kB\n";
        let seen = Seen::parse(text, 1).unwrap();
        assert!(seen.flags["online"] && !seen.flags["has_memory"]);
        assert_eq!(seen.links, [BlockId(32), BlockId(33)].into());
        assert_eq!(seen.mem_total, Some(131_072));
        // The shell leaves a pattern that nothing matches.
        let none = Seen::parse("online:0\nlinks: memory*\n", 1).unwrap();
        assert_eq!(none.links, BTreeSet::new());
        assert_eq!(Seen::parse("sh: not found\n", 1), None);
        assert_eq!(Seen::parse("online\n", 1), None);
    }
}
