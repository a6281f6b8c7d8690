// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong in the call or in a suite is told before anything boots, with exit code 2.

use std::{
    path::Path,
    process::{Command, Stdio},
};

struct Told {
    code: Option<i32>,
    text: String,
}

fn memrig(args: &[&str], results: &Path) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_memrig"))
        .args(args)
        .env("MEMRIG_RESULTS", results)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Told {
        code: output.status.code(),
        text: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a suite, and expects exit code 2 and each of the words.
fn refused(text: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.yaml");
    fs_err::write(&path, text).unwrap();
    let told = memrig(&["run", path.to_str().unwrap()], folder.path());
    assert_eq!(told.code, Some(2), "{}", told.text);
    for word in words {
        assert!(told.text.contains(word), "no `{word}` in: {}", told.text);
    }
    assert!(!folder.path().join("latest").exists(), "a run was started");
}

#[test]
fn an_unknown_key_of_a_suite() {
    refused(
        "suite: own\ncasez: []\ncases: []\n",
        &["own.yaml:2:1", "casez", "^"],
    );
}

#[test]
fn an_unknown_step() {
    let text = "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - onlien: { block: b }\n";
    refused(text, &["own.yaml:6:", "onlien", "online"]);
}

#[test]
fn a_wrong_unit() {
    let text =
        "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - add: { as: b, size: 128X }\n";
    refused(text, &["own.yaml:6:", "128X"]);
}

#[test]
fn a_block_that_does_not_exist() {
    let text = "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - online: { block: c }\n";
    refused(text, &["own.yaml:6:", "`c`"]);
}

#[test]
fn an_id_that_comes_twice() {
    let case = "  - id: A1\n    name: x\n    steps:\n      - add: { as: b }\n";
    refused(
        &format!("suite: own\ncases:\n{case}{case}"),
        &["own.yaml:7:", "A1"],
    );
}

#[test]
fn more_memory_than_the_host_has() {
    let text = "suite: own\nmachine: { memory: 4096GiB }\ncases:\n  - id: A1\n    name: x\n    steps:\n      - add: { as: b }\n";
    refused(text, &["own.yaml:4", "4T", "A1"]);
}

#[test]
fn a_kernel_that_is_none_or_of_the_other_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernel");
    fs_err::write(&path, "#!/bin/sh\necho this is no kernel\n").unwrap();
    let kernel = format!("image:{}", path.display());
    for arch in ["x86_64", "s390x"] {
        let told = memrig(&["run", "quick", "-a", arch, "-k", &kernel], folder.path());
        assert_eq!(told.code, Some(2), "{}", told.text);
        assert!(told.text.contains("cannot be booted"), "{}", told.text);
    }
    let rig = crate::ground::rig();
    for prepared in &rig.kernels {
        let kernel = format!("image:{}", prepared.kernel.image.display());
        let other = memrig_base_other(prepared.kernel.arch);
        let told = memrig(&["run", "quick", "-a", other, "-k", &kernel], folder.path());
        assert_eq!(told.code, Some(2), "{}", told.text);
        assert!(told.text.contains("cannot be booted"), "{}", told.text);
    }
}

fn memrig_base_other(arch: memrig::base::Arch) -> &'static str {
    match arch {
        memrig::base::Arch::X86_64 => "s390x",
        memrig::base::Arch::S390x => "x86_64",
    }
}

#[test]
fn a_results_folder_that_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    let told = memrig(&["run", "quick"], &file.join("results"));
    assert_eq!(told.code, Some(2), "{}", told.text);
    assert!(
        told.text.contains("results folder") && told.text.contains("--results"),
        "{}",
        told.text
    );
}

#[test]
fn a_suite_a_kernel_and_a_case_that_nobody_knows() {
    let folder = tempfile::tempdir().unwrap();
    let told = memrig(&["run", "quik"], folder.path());
    assert_eq!(told.code, Some(2), "{}", told.text);
    assert!(told.text.contains("there is no suite `quik`"), "{}", told.text);
    let told = memrig(&["run", "quick", "-k", "debian:potato"], folder.path());
    assert_eq!(told.code, Some(2), "{}", told.text);
    assert!(told.text.contains("potato"), "{}", told.text);
}

#[test]
fn nothing_selected_has_a_code_of_its_own() {
    crate::ground::rig();
    let folder = tempfile::tempdir().unwrap();
    let told = memrig(
        &["run", "quick", "-k", "debian:trixie", "-c", "NO-SUCH-CASE"],
        folder.path(),
    );
    assert_eq!(told.code, Some(4), "{}", told.text);
}
