// SPDX-License-Identifier: MIT OR Apache-2.0
//! The counters of a ledger by name. The names are those of the kernel's files.

use base::Pages;
use memory::{BlockLedger, Dimm, Hypervisor, Ledger, RamRange, Storage, ZoneCounters};

/// One leaf of a ledger.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf {
    /// A count: only how it moved is compared after a step.
    Count(i64),
    /// A word.
    Word(String),
}

impl Leaf {
    fn count(count: impl TryInto<i64> + ToString + Copy) -> Self {
        count
            .try_into()
            .map_or_else(|_| Self::Word(count.to_string()), Self::Count)
    }

    fn word(word: impl ToString) -> Self {
        Self::Word(word.to_string())
    }

    fn words(words: impl IntoIterator<Item = impl ToString>) -> Self {
        let words: Vec<String> = words.into_iter().map(|word| word.to_string()).collect();
        match words.is_empty() {
            true => Self::word("none"),
            false => Self::Word(words.join(" ")),
        }
    }
}

/// All leaves of a ledger, each with its name.
pub(super) fn leaves(ledger: &Ledger) -> Vec<(String, Leaf)> {
    // Taken apart, so that a counter that is new cannot be forgotten here.
    let Ledger {
        mem_total,
        free,
        zones,
        nr_memmap,
        nr_memmap_boot,
        blocks,
        storage,
        ram,
        auto_online,
        isolated,
        tainted,
        hypervisor,
    } = ledger;
    let mut found = Vec::new();
    let mut add = |name: String, leaf: Leaf| found.push((name, leaf));
    let pages =
        |pages: Option<Pages>| pages.map_or_else(|| Leaf::word("absent"), |pages| Leaf::Count(pages.0));
    add("mem_total".to_owned(), Leaf::Count(mem_total.0));
    add("free".to_owned(), Leaf::Count(free.0));
    add("nr_memmap".to_owned(), pages(*nr_memmap));
    add("nr_memmap_boot".to_owned(), pages(*nr_memmap_boot));
    add("auto_online".to_owned(), Leaf::word(auto_online));
    add("isolated".to_owned(), Leaf::count(*isolated));
    add("tainted".to_owned(), Leaf::count(*tainted));
    for (id, zone) in zones {
        let ZoneCounters {
            start_pfn,
            spanned,
            present,
            managed,
        } = zone;
        add(format!("{id} start_pfn"), Leaf::count(*start_pfn));
        add(format!("{id} spanned"), Leaf::Count(spanned.0));
        add(format!("{id} present"), Leaf::Count(present.0));
        add(format!("{id} managed"), Leaf::Count(managed.0));
    }
    for (id, block) in blocks {
        let BlockLedger {
            state,
            online,
            valid_zones,
            removable,
            phys_index,
            phys_device,
            node,
        } = block;
        let zones = valid_zones.iter().map(|zone| zone.to_string().to_lowercase());
        add(format!("{id} state"), Leaf::word(state));
        add(format!("{id} online"), Leaf::word(online));
        add(format!("{id} valid_zones"), Leaf::words(zones));
        add(format!("{id} removable"), Leaf::word(removable));
        add(format!("{id} phys_index"), Leaf::count(*phys_index));
        add(format!("{id} phys_device"), Leaf::count(*phys_device));
        add(format!("{id} node"), Leaf::count(*node));
    }
    for (id, storage) in storage {
        let Storage {
            configured,
            memmap_on_memory,
        } = storage;
        add(format!("firmware {id} configured"), Leaf::word(configured));
        add(
            format!("firmware {id} memmap_on_memory"),
            Leaf::word(memmap_on_memory),
        );
    }
    for RamRange { start, last, name } in ram {
        add(format!("iomem {start:x}-{last:x} {name}"), Leaf::word("there"));
    }
    match hypervisor {
        Hypervisor::Standby {
            assigned,
            unassigned_core,
        } => {
            add("assigned increments".to_owned(), Leaf::words(assigned));
            add(
                "unassigned core increments".to_owned(),
                Leaf::words(unassigned_core),
            );
        }
        Hypervisor::Dimms(dimms) => {
            for (id, dimm) in dimms {
                let Dimm {
                    address,
                    size,
                    slot,
                    node,
                } = dimm;
                add(format!("{id} address"), Leaf::count(*address));
                add(format!("{id} size"), Leaf::word(size));
                add(format!("{id} slot"), Leaf::count(*slot));
                add(format!("{id} node"), Leaf::count(*node));
            }
        }
    }
    found
}

/// A name without the number of its memory block: what differs for each block is one difference.
pub(super) fn any_block(name: &str) -> String {
    let mut any = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("memory") {
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        any.push_str(before);
        any.push_str("memory");
        if rest.len() < after.len() {
            any.push('#');
        }
    }
    any + rest
}

/// What a finding of the kernel's log is called: without what changes from one build or boot to the next.
pub(super) fn finding(kind: &str, place: Option<&str>, title: &str) -> String {
    match place {
        Some(place) => format!("{kind} in {}", without_numbers(place)),
        None => format!("{kind}: {}", without_numbers(title)),
    }
}

/// Digits, and hexadecimal numbers of eight places and more, become `#`.
fn without_numbers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let (body, end) = match word.char_indices().last() {
            Some((at, last)) if !last.is_ascii_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        let number = !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_digit());
        let address = body.len() >= 8 && body.bytes().all(|byte| byte.is_ascii_hexdigit());
        let offset = body.len() > 2 && body.starts_with("0x");
        plain.push_str(if number || address || offset { "#" } else { body });
        plain.push_str(end);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(hypervisor: serde_json::Value) -> Vec<(String, Leaf)> {
        let ledger = serde_json::from_value(serde_json::json!({
            "mem_total": 7, "free": 5, "nr_memmap": null, "nr_memmap_boot": 2, "auto_online": "online_movable", "isolated": 0,
            "tainted": u64::MAX,
            "zones": { "node 0 zone Movable": { "start_pfn": 9, "spanned": 4, "present": 3, "managed": 2 } },
            "blocks": { "4": { "state": "going-offline", "online": false, "valid_zones": ["movable", "dma32"], "removable": true,
                "phys_index": 4, "phys_device": 0, "node": 1 } },
            "storage": { "4": { "configured": true, "memmap_on_memory": false } },
            "ram": [{ "start": 4096, "last": 8191, "name": "System RAM" }],
            "hypervisor": hypervisor,
        }));
        leaves(&ledger.unwrap())
    }

    #[test]
    fn leaves_have_the_names_of_the_kernel() {
        let standby = serde_json::json!({ "standby": { "assigned": [17, 18], "unassigned_core": [] } });
        let mut leaves = found(standby);
        leaves.sort_by(|a, b| a.0.cmp(&b.0));
        let word = |text: &str| Leaf::Word(text.to_owned());
        let expected = [
            ("assigned increments", word("17 18")),
            ("auto_online", word("online_movable")),
            ("firmware memory4 configured", word("true")),
            ("firmware memory4 memmap_on_memory", word("false")),
            ("free", Leaf::Count(5)),
            ("iomem 1000-1fff System RAM", word("there")),
            ("isolated", Leaf::Count(0)),
            ("mem_total", Leaf::Count(7)),
            ("memory4 node", Leaf::Count(1)),
            ("memory4 online", word("false")),
            ("memory4 phys_device", Leaf::Count(0)),
            ("memory4 phys_index", Leaf::Count(4)),
            ("memory4 removable", word("true")),
            ("memory4 state", word("going-offline")),
            ("memory4 valid_zones", word("movable dma32")),
            ("node 0 zone Movable managed", Leaf::Count(2)),
            ("node 0 zone Movable present", Leaf::Count(3)),
            ("node 0 zone Movable spanned", Leaf::Count(4)),
            ("node 0 zone Movable start_pfn", Leaf::Count(9)),
            ("nr_memmap", word("absent")),
            ("nr_memmap_boot", Leaf::Count(2)),
            ("tainted", word("18446744073709551615")),
            ("unassigned core increments", word("none")),
        ];
        assert_eq!(leaves, expected.map(|(name, leaf)| (name.to_owned(), leaf)));
    }

    #[test]
    fn dimms_are_leaves_too() {
        let dimms = serde_json::json!({ "dimms": { "dimm0": { "address": 16, "size": "1G", "slot": 0, "node": 2 } } });
        let all = found(dimms);
        let dimm = all.iter().filter(|(name, _)| name.starts_with("dimm0 "));
        let seen: Vec<String> = dimm.map(|(name, leaf)| format!("{name} {leaf:?}")).collect();
        assert_eq!(
            seen,
            [
                "dimm0 address Count(16)",
                "dimm0 size Word(\"1G\")",
                "dimm0 slot Count(0)",
                "dimm0 node Count(2)"
            ]
        );
    }

    #[test]
    fn a_block_is_as_good_as_another() {
        assert_eq!(
            any_block("devices/system/memory/memory12/seeded"),
            "devices/system/memory/memory#/seeded"
        );
        assert_eq!(any_block("memory4 state"), "memory# state");
        assert_eq!(any_block("firmware memory"), "firmware memory");
    }

    #[test]
    fn a_finding_keeps_its_name_over_builds_and_boots() {
        let one = finding(
            "warning",
            None,
            "WARNING: CPU: 1 PID: 123 at mm/a.c:77 online_pages+0x12/0x340",
        );
        let two = finding(
            "warning",
            None,
            "WARNING: CPU: 0 PID: 99 at mm/a.c:78 online_pages+0x1f/0x350",
        );
        assert_eq!(one, two);
        assert!(one.contains("mm/a.c") && one.contains("online_pages"), "{one}");
        assert_ne!(
            one,
            finding(
                "warning",
                None,
                "WARNING: CPU: 1 PID: 123 at mm/b.c:77 online_pages+0x12/0x340"
            )
        );
        assert_eq!(finding("panic", Some("f+0x1/0x2"), "x"), "panic in f+#/#");
    }
}
