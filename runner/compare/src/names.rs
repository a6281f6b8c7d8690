// SPDX-License-Identifier: MIT OR Apache-2.0
//! The counters of a ledger by name. The names are those of the kernel's files.

use serde_json::Value as Json;

/// One leaf of a ledger.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf {
    /// A count: only how it moved is compared after a step.
    Count(i64),
    /// A word.
    Word(String),
}

/// All leaves of a ledger, as it is in `ledgers.json`, each with its name.
pub(super) fn leaves(ledger: &Json) -> Vec<(String, Leaf)> {
    let mut found = Vec::new();
    let Json::Object(parts) = ledger else {
        return found;
    };
    for (part, value) in parts {
        match part.as_str() {
            "zones" => below(value, "", &mut found),
            "blocks" => below(value, "memory", &mut found),
            "storage" => below(value, "firmware memory", &mut found),
            "hypervisor" => hypervisor(value, &mut found),
            "ram" => {
                let ranges = value.as_array().into_iter().flatten();
                found.extend(ranges.map(|range| (range_name(range), Leaf::Word("there".to_owned()))));
            }
            _ => found.push((part.clone(), leaf(value))),
        }
    }
    found
}

/// The leaves of a map of maps.
fn below(value: &Json, prefix: &str, found: &mut Vec<(String, Leaf)>) {
    for (key, fields) in value.as_object().into_iter().flatten() {
        for (field, value) in fields.as_object().into_iter().flatten() {
            found.push((format!("{prefix}{key} {field}"), leaf(value)));
        }
    }
}

/// What QEMU has handed out, under the name of how.
fn hypervisor(value: &Json, found: &mut Vec<(String, Leaf)>) {
    for (_, fields) in value.as_object().into_iter().flatten() {
        for (name, value) in fields.as_object().into_iter().flatten() {
            match value {
                Json::Object(_) => {
                    let mut part = Vec::new();
                    below(&serde_json::json!({ name: value }), "", &mut part);
                    found.extend(part);
                }
                _ => found.push((format!("{} increments", name.replace('_', " ")), leaf(value))),
            }
        }
    }
}

/// A range as `/proc/iomem` has it; one of another shape is its own name, so that nothing of it is lost.
fn range_name(range: &Json) -> String {
    let address = |key: &str| range[key].as_u64();
    match (address("start"), address("last"), range["name"].as_str()) {
        (Some(start), Some(last), Some(name)) => format!("iomem {start:x}-{last:x} {name}"),
        _ => format!("iomem {range}"),
    }
}

fn leaf(value: &Json) -> Leaf {
    match value {
        Json::Number(number) => match number.as_i64() {
            Some(count) => Leaf::Count(count),
            None => Leaf::Word(number.to_string()),
        },
        Json::String(text) => Leaf::Word(text.clone()),
        Json::Null => Leaf::Word("absent".to_owned()),
        Json::Array(items) if items.is_empty() => Leaf::Word("none".to_owned()),
        Json::Array(items) => {
            let words: Vec<String> = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect();
            Leaf::Word(words.join(" "))
        }
        other => Leaf::Word(other.to_string()),
    }
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

    #[test]
    fn leaves_have_the_names_of_the_kernel() {
        let ledger = serde_json::json!({
            "mem_total": 7,
            "nr_memmap": null,
            "zones": { "node 0 zone Movable": { "present": 3 } },
            "blocks": { "4": { "state": "online", "valid_zones": ["movable", "normal"], "removable": true } },
            "storage": { "4": { "configured": true } },
            "ram": [{ "start": 4096, "last": 8191, "name": "System RAM" }],
            "hypervisor": { "standby": { "assigned": [17, 18], "unassigned_core": [] } }
        });
        let mut leaves = leaves(&ledger);
        leaves.sort_by(|a, b| a.0.cmp(&b.0));
        let word = |text: &str| Leaf::Word(text.to_owned());
        let expected = [
            ("assigned increments", word("17 18")),
            ("firmware memory4 configured", word("true")),
            ("iomem 1000-1fff System RAM", word("there")),
            ("mem_total", Leaf::Count(7)),
            ("memory4 removable", word("true")),
            ("memory4 state", word("online")),
            ("memory4 valid_zones", word("movable normal")),
            ("node 0 zone Movable present", Leaf::Count(3)),
            ("nr_memmap", word("absent")),
            ("unassigned core increments", word("none")),
        ];
        assert_eq!(leaves, expected.map(|(name, leaf)| (name.to_owned(), leaf)));
    }

    #[test]
    fn dimms_are_leaves_too() {
        let ledger =
            serde_json::json!({ "hypervisor": { "dimms": { "dimm0": { "address": 16, "slot": 0 } } } });
        assert_eq!(
            leaves(&ledger),
            [
                ("dimm0 address".to_owned(), Leaf::Count(16)),
                ("dimm0 slot".to_owned(), Leaf::Count(0))
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
