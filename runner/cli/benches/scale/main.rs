// SPDX-License-Identifier: MIT OR Apache-2.0
//! What large plans and many results cost, without guests: `cargo bench --bench scale -- [PART…]`.
//!
//! Parts are `jobs` (planned, put in order and started, up to a million), `index` (of up to 100 000 results), `merge` (of up to 500 parts of one
//! plan, as many runners have run them) and `page` (of a run of 2 000 cases). Each is done with a tenth and a hundredth of that, too: what is linear takes a tenth of the
//! time. Prints one JSON object: seconds, and the most memory that memrig had, in MB. The runs are made here, in a folder for temporary files, of which the largest
//! takes some gigabytes.

mod jobs;
mod results;

use std::time::Instant;

use camino::Utf8Path;
use serde_json::{Value, json};

/// What a part takes.
struct Taken<T> {
    /// What it came to.
    made: T,
    /// How long it took.
    seconds: f64,
    /// The most memory that this process had meanwhile, in MB.
    memory: u64,
}

/// Does something, and says what it takes.
fn taken<T>(work: impl FnOnce() -> T) -> Taken<T> {
    // Linux, Documentation/filesystems/proc.rst: 5 resets the peak of the resident set.
    fs_err::write("/proc/self/clear_refs", "5").unwrap();
    let begun = Instant::now();
    let made = work();
    let seconds = begun.elapsed().as_secs_f64();
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    Taken {
        made,
        seconds,
        memory: kib * 1024 / 1_000_000,
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "that is what a benchmark is for"
)]
fn main() {
    type Part = (&'static str, fn(&Utf8Path) -> Value);
    let parts: [Part; 4] = [
        ("jobs", jobs::measured),
        ("index", results::index),
        ("merge", results::merge),
        ("page", results::page),
    ];
    // `cargo bench` says `--bench` itself.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let unknown = wanted
        .iter()
        .find(|word| parts.iter().all(|(name, _)| name != word));
    if let Some(word) = unknown {
        panic!("no part `{word}`: there are jobs, index, merge and page");
    }
    let mut told = serde_json::Map::new();
    for (name, measured) in parts {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            eprintln!("{name}");
            let folder = tempfile::tempdir().unwrap();
            told.insert(
                name.to_owned(),
                measured(Utf8Path::from_path(folder.path()).unwrap()),
            );
        }
    }
    println!("{:#}", json!(told));
}
