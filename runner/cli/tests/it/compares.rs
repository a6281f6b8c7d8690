// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two kernels compared with real guests: a kernel with itself, and two that differ in what is known.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use base::Arch;
use compare::{CompareRecord, Dimension};

use crate::ground::rig;

const SUITE: &str = "\
suite: own
about: one block on both kernels
cases:
  - id: X01
    name: a block goes online and offline
    cmdline: [memhp_default_state=offline]
    steps:
      - add: { as: b }
      - online: { block: b, zone: movable }
      - offline: { block: b }
";

fn compare(folder: &Path, arguments: &[&str]) -> (Output, CompareRecord) {
    rig();
    fs_err::write(folder.join("own.yaml"), SUITE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_memrig"))
        .env("MEMRIG_RESULTS", folder)
        .stdin(Stdio::null())
        .args(["compare", "--format", "json", "--no-cost"])
        .args(arguments)
        .arg(folder.join("own.yaml"))
        .output()
        .unwrap();
    let record = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output, record)
}

#[test]
fn a_kernel_is_equal_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let trixie = "debian:trixie";
    let (output, record) = compare(folder.path(), &["--base", trixie, "--new", trixie]);
    assert_eq!(output.status.code(), Some(0), "{record:#?}");
    assert_eq!(record.arches.len(), 2);
    for (arch, sum) in &record.arches {
        // A comparison of nothing is no comparison.
        assert!(sum.cases == 1 && sum.observations > 300, "{arch}: {sum:#?}");
        assert!(sum.rows.is_empty(), "{arch}: {:#?}", sum.rows);
        assert!(!sum.unseen.contains(&Dimension::Notifiers), "{arch}");
    }
    let first = folder.path().join(&record.runs[0]);
    let mail = fs_err::read_to_string(first.join("compare.mail")).unwrap();
    assert!(mail.contains("no functional change: 0 of "), "{mail}");
    assert!(first.join("compare.json").is_file() && first.join("compare.csv").is_file());
}

#[test]
fn what_6_12_does_otherwise_than_6_1_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = ["--base", "debian:bookworm", "--new", "debian:trixie"];
    let (output, record) = compare(folder.path(), &[&kernels[..], &["-a", "s390x"]].concat());
    assert_eq!(output.status.code(), Some(1), "{record:#?}");
    let sum = &record.arches[&Arch::S390x];
    assert_eq!(sum.cases, 1, "{sum:#?}");
    // Counters that 6.1 does not have yet.
    let memmap = sum.rows.iter().find(|row| row.first.name == "nr_memmap");
    let memmap = memmap.unwrap_or_else(|| panic!("{:#?}", sum.rows));
    assert_eq!(memmap.first.base.as_deref(), Some("absent"));
    assert_eq!(memmap.first.dimension, Dimension::Ledger);
    // It needs more for itself.
    assert!(
        sum.rows.iter().any(|row| row.first.name == "mem_total"),
        "{:#?}",
        sum.rows
    );
    // The notification that 6.9 has added; 6.1 has no KALLSYMS_ALL and no BTF here, and shows its own all the same.
    let is_notified = |row: &&compare::Row| row.first.dimension == Dimension::Notifiers;
    let notified = sum.rows.iter().find(is_notified);
    let notified = &notified.unwrap_or_else(|| panic!("{:#?}", sum.rows)).first;
    assert_eq!(notified.base.as_deref(), Some("MEM_GOING_ONLINE, MEM_ONLINE"));
    assert_eq!(
        notified.new.as_deref(),
        Some("MEM_PREPARE_ONLINE, MEM_GOING_ONLINE, MEM_ONLINE")
    );
    assert_eq!(sum.unseen, [Dimension::Locks]);
    // Every difference was there on a second pair of guests.
    assert_eq!(record.runs.len(), 2);
    // The page was made of what is known at the end.
    let page = folder.path().join(&record.runs[0]).join("report.html");
    let page = fs_err::read_to_string(page).unwrap();
    assert!(
        page.contains("nr_memmap") && !page.contains("not known"),
        "{page}"
    );
}
