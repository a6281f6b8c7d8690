// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig run --bisect` tells git nothing that it does not know: without a guest, every outcome is 125.

use std::process::{Command, Stdio};

fn code(args: &[&str]) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_memrig"));
    if args[0] != "run" {
        // What they make of a folder that is none is of no use to anyone.
        command.env("MEMRIG_CACHE", folder.path());
    }
    command
        .args(args)
        .env("MEMRIG_RESULTS", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
        .status
        .code()
}

#[test]
fn whatever_goes_wrong_before_a_guest_is_no_verdict() {
    for wrong in [
        &["run", "--bisect", "--no-such-option"][..],
        &["run", "--bisect", "-k", "nothing:here"],
        &["run", "--bisect", "no-such-suite"],
        &["run", "--bisect", "-k", "image:/dev/null", "-a", "x86_64"],
        &["run", "--bisect", "-k", "tree:/nonexistent", "-a", "s390x"],
    ] {
        assert_eq!(code(wrong), Some(125), "{wrong:?}");
        let plain: Vec<&str> = wrong.iter().copied().filter(|word| *word != "--bisect").collect();
        assert_eq!(code(&plain), Some(2), "{plain:?}");
    }
}

#[test]
fn a_series_and_its_base_are_looked_at_before_anything_is_built() {
    let empty = tempfile::tempdir().unwrap();
    let dir = empty.path().to_str().unwrap();
    let tree = format!("tree:{dir}");
    assert_eq!(
        code(&["walk", "--base", "debian:trixie", "--series", dir]),
        Some(2)
    );
    assert_eq!(code(&["walk", "--base", &tree, "--series", dir]), Some(2));
    assert_eq!(
        code(&["bisect", "--tree", dir, "--good", "HEAD~1", "-c", "Q01"]),
        Some(2)
    );
}
