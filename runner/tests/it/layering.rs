// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds the direction of the arrows between the rooms of `runner/src`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// A room and the rooms that it may use.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("base", &[]),
    ("format", &["base"]),
    ("memory", &["base"]),
    ("rig", &["format", "base"]),
    ("suite", &["memory", "base"]),
    ("record", &["memory", "base"]),
    ("compare", &["record", "memory", "base"]),
    (
        "run",
        &["compare", "suite", "record", "memory", "rig", "format", "base"],
    ),
    ("tell", &["compare", "record", "memory", "base"]),
    (
        "cli",
        &[
            "run", "tell", "compare", "suite", "record", "memory", "rig", "format", "base",
        ],
    ),
];

/// Rooms that compute only: they may not name what does I/O.
const PURE: [&str; 4] = ["compare", "memory", "suite", "tell"];

/// Paths of the standard library and of crates that do I/O.
const IO: [&str; 8] = [
    "std::fs",
    "fs_err",
    "std::process",
    "std::net",
    "tokio::",
    "std::env",
    "SystemTime",
    "Instant::now",
];

/// The source files of a room; those of its tests may use anything.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(dir).expect("the folder of a room") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path
            .to_str()
            .is_some_and(|path| path.ends_with(".rs") && !path.ends_with("tests.rs"))
        {
            found.push(path);
        }
    }
    found
}

/// The text of a source file without its tests, which may use anything, and without comments.
fn code(path: &Path) -> String {
    let text = fs_err::read_to_string(path).expect("a source file");
    let code = text.split("#[cfg(test)]").next().expect("a first part");
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The rooms that a text names after `crate::`, also inside of braces.
fn rooms_used(code: &str) -> BTreeSet<&str> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0;
                let mut names = Vec::new();
                let mut start = 0;
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            names.push(&group[start..i]);
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            names.push(&group[start..i]);
                            start = i + 1;
                        }
                        _ => {}
                    }
                }
                names
            }
            None => vec![rest],
        };
        for name in names {
            let word = name
                .trim()
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next();
            used.extend(word.filter(|w| MAY_USE.iter().any(|(room, _)| room == w)));
        }
    }
    used
}

#[test]
fn arrows_between_rooms_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, may_use) in MAY_USE {
        let files = sources(&src.join(room));
        assert!(!files.is_empty(), "room {room} is empty");
        for file in files {
            let code = code(&file);
            for used in rooms_used(&code) {
                if used != room && !may_use.contains(&used) {
                    wrong.push(format!("{} uses {used}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_do_no_io() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for room in PURE {
        for file in sources(&src.join(room)) {
            let code = code(&file);
            for io in IO {
                if code.contains(io) {
                    wrong.push(format!("{} names {io}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "I/O in pure rooms:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_arrows_sees_what_it_must() {
    let used = rooms_used("use crate::{base::{Arch, Errno}, rig::kernel};\nlet x = crate::memory::Ledger;");
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["base", "memory", "rig"]);
}
