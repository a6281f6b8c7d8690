// SPDX-License-Identifier: MIT OR Apache-2.0
//! Some of the faults that `cargo bench --bench faults` does, once each.

#[path = "../campaign/mod.rs"]
mod campaign;

use std::collections::BTreeMap;

use campaign::{Fault, Harm, Tried, faults, tried};

use crate::ground::rig;

/// What is drawn: the same for everybody.
const SEED: u64 = 3;

/// How often a fault is tried that the host did not let be done.
const TRIES: u64 = 3;

/// Does a fault, once more where it could not be done.
fn done(name: &str, harm: Harm) -> Tried {
    rig();
    let fault = fault(name);
    let mut tries = (0..TRIES).map(|number| tried(&fault, SEED + number, harm));
    let done = tries.find_map(|tried| match tried.missed {
        Some(_) if !tried.is_bad() => None,
        _ => Some(tried),
    });
    done.unwrap_or_else(|| panic!("`{name}` could not be tried"))
}

fn fault(name: &str) -> Fault {
    let mut all = faults().into_iter();
    all.find(|fault| fault.name == name)
        .unwrap_or_else(|| panic!("no fault is called `{name}`"))
}

fn holds(name: &str) {
    let tried = done(name, Harm::Done);
    assert!(!tried.is_bad(), "{name}: {tried:#?}");
}

#[test]
fn a_guest_whose_programs_were_killed_accuses_no_kernel() {
    holds("sshd and the line are killed");
}

#[test]
fn a_guest_that_resets_itself_is_a_failure() {
    holds("the guest resets itself");
}

#[test]
fn hostile_bytes_of_a_guest_reach_no_terminal() {
    holds("the guest says hostile bytes");
}

#[test]
fn a_full_disk_loses_nothing_that_was_told() {
    holds("the results are on a full disk");
}

#[test]
fn a_damaged_entry_of_the_cache_accuses_no_kernel() {
    holds("an entry of the cache is damaged");
}

#[test]
fn a_run_that_was_killed_is_finished() {
    holds("memrig is killed");
}

/// Whoever looks at what comes of a fault sees that it was not done.
#[test]
fn harm_that_was_left_out_is_seen() {
    let tried = done("QEMU is killed in a step", Harm::LeftOut);
    assert!(
        tried
            .wrong
            .iter()
            .any(|wrong| wrong.contains("F01 is pass, and must be error")),
        "{tried:#?}"
    );
}

#[test]
fn the_document_has_each_fault_with_its_tries_or_says_that_it_was_not_tried() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reliability.md");
    let document = fs_err::read_to_string(document).expect("the document");
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
        let [name, must, tries, ..] = cells[..] else {
            return None;
        };
        Some((name, (must, tries.parse().ok()?)))
    });
    let mut rows: BTreeMap<&str, (&str, u32)> = rows.collect();
    let untried = document
        .lines()
        .find_map(|line| line.strip_prefix("Not tried yet: "));
    // Without such a line all were.
    let untried: Vec<&str> = untried
        .unwrap_or_default()
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    for fault in faults() {
        match rows.remove(fault.name) {
            Some((must, tries)) => {
                assert_eq!(must, fault.must, "{}", fault.name);
                // Fewer than the fault has are told as they are.
                assert!(tries.min(fault.tries) > 0, "{}: {tries} tries", fault.name);
                assert!(!untried.contains(&fault.name), "`{}` was tried", fault.name);
            }
            None => assert!(untried.contains(&fault.name), "no row has `{}`", fault.name),
        }
    }
    assert_eq!(rows, BTreeMap::new(), "these are no faults");
}
