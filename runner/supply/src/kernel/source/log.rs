// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the log of a kernel's build: what went wrong first, and what the compiler warns of.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;
use serde::{Deserialize, Serialize};

/// A kernel that does not build: a verdict on its source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it does not build: {said}\nthe whole log is {}", .log.display())]
pub struct NotBuilt {
    /// The file of the source with the first error, where one is named.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
    /// The first error, with the file and the line.
    pub said: String,
    /// The whole log.
    pub log: PathBuf,
}

/// Something that the compiler warns of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// The file of the source.
    pub file: String,
    /// What it says; without the line, which moves with every patch above it.
    pub said: String,
}

/// What is taken from a log while it is written.
#[derive(Debug, Default)]
pub(super) struct Seen {
    work: String,
    pub(super) compiled: BTreeSet<String>,
    pub(super) warnings: BTreeSet<Warning>,
    errors: Vec<(Option<String>, Option<u32>, String)>,
    /// The file that was linked last.
    last_linked: Option<String>,
}

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern, compiled by a test")
}

static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?P<file>[^\s:]+):(?P<line>\d+):(?:\d+:)? (?:fatal )?(?P<kind>error|warning|syntax error)\b:? ?(?P<said>.*)$",
    )
});
static COMPILED: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s+(?:CC|AS)(?: \[M\])?\s+(\S+)\.o$"));
static LINKED: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s+LD\s+(\S+)$"));
static OTHER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?:undefined reference to|^ERROR: |: error: |multiple definition of|No rule to make target|^make.*\*\*\* |: not found$|No space left|Read-only file system)",
    )
});

impl Seen {
    pub(super) fn new(work: &Path) -> Self {
        Self {
            work: format!("{}/", work.display()),
            ..Self::default()
        }
    }

    /// Takes a line of the log.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(compiled) = COMPILED.captures(line) {
            self.compiled.insert(compiled[1].to_owned());
            return;
        }
        if let Some(linked) = LINKED.captures(line) {
            self.last_linked = Some(linked[1].to_owned());
            return;
        }
        let line = line.replace(&self.work, "");
        // As scripts/cc-version.sh says what is too old: then comes which version it is, and which it must be.
        if let Some(more) = line.strip_prefix("***   ")
            && let Some((_, _, said)) = self.errors.last_mut()
        {
            let words: Vec<&str> = more.split_whitespace().collect();
            *said = format!("{}; {}", said.trim_end_matches('.'), words.join(" "));
        } else if let Some(said) = line.strip_prefix("*** ") {
            self.errors.push((None, None, said.trim().to_owned()));
        } else if let Some(place) = PLACE.captures(&line) {
            let file = place["file"].trim_start_matches("../").to_owned();
            if &place["kind"] == "warning" {
                self.warnings.insert(Warning {
                    file,
                    said: place["said"].to_owned(),
                });
            } else {
                self.errors.push((Some(file), place["line"].parse().ok(), line));
            }
        } else if OTHER.is_match(&line) {
            self.errors.push((None, None, line.trim().to_owned()));
        }
    }

    /// The file, in the folder of objects, that the kernel has been linked into when a line is told: make takes its symbols from there
    /// (`mksysmap` of `scripts/link-vmlinux.sh`). Since 6.15 it is not `vmlinux`, which is made of it.
    pub(super) fn linked_by(&self, line: &str) -> Option<&str> {
        let words = line.split_whitespace();
        match words.eq(["NM", "System.map"]) {
            true => self.last_linked.as_deref(),
            false => None,
        }
    }

    /// The first error: one with a place, where there is one, since make only repeats it.
    pub(super) fn failed(mut self, log: PathBuf) -> NotBuilt {
        let first = self
            .errors
            .iter()
            .position(|(file, _, _)| file.is_some())
            .unwrap_or(0);
        if self.errors.is_empty() {
            self.errors
                .push((None, None, "the log does not say why".to_owned()));
        }
        let (file, line, said) = self.errors.swap_remove(first);
        NotBuilt {
            file,
            line,
            said,
            log,
        }
    }
}

/// The warnings of a whole kernel, of which a build compiles only what changed.
pub(super) fn carried(
    mut before: BTreeMap<String, BTreeSet<Warning>>,
    seen: &Seen,
) -> BTreeMap<String, BTreeSet<Warning>> {
    before.retain(|file, _| {
        let stem = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
        !seen.compiled.contains(stem)
    });
    for warning in &seen.warnings {
        before
            .entry(warning.file.clone())
            .or_default()
            .insert(warning.clone());
    }
    before
}
