// SPDX-License-Identifier: MIT OR Apache-2.0
//! What building a patched kernel costs beside make, for a patch to one file: `cargo bench --bench builds`.
//!
//! Prints one JSON object on stdout. The kernel of the base is built first, where the cache does not have it; then, in turn, memrig builds a series
//! of one patch, and make alone, called as memrig calls it, the same objects after a change of the same kind. The fastest of each: what else runs on a
//! host makes neither faster.

use std::{path::Path, time::Instant};

use base::{Arch, exec::Command, ui::Ui};
use serde_json::{Value, json};
use supply::{
    cache::Cache,
    kernel::source::{BuildSpec, build_kernel, make_alone},
    packages::{DebianSuite, Packages},
    series::{SeriesPlace, SeriesSource},
    tree::{Origin, SourceTree},
};

const ROUNDS: u32 = 7;
const FILE: &str = "mm/memory_hotplug.c";

fn main() {
    let ui = Ui::terminal();
    let cache = Cache::open(&ui).expect("a cache");
    let packages = Packages::open(&cache, &ui);
    let mut report = serde_json::Map::new();
    for arch in Arch::ALL {
        report.insert(arch.to_string(), builds(arch, &packages, &cache, &ui));
    }
    ui.out(&format!("{:#}", Value::Object(report)));
}

fn builds(arch: Arch, packages: &Packages, cache: &Cache, ui: &Ui) -> Value {
    let origin = Origin::Debian(DebianSuite::Trixie);
    let base = BuildSpec::of(origin.clone());
    build_kernel(&base, arch, packages, cache, ui).expect("a base that builds");
    let folder = tempfile::tempdir().expect("a folder");
    // No compiler has seen these, so that none of its caches answers.
    let mark = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock")
        .as_nanos();
    let (mut by_memrig, mut by_make) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let series = folder.path().join(format!("{round}.patch"));
        fs_err::write(
            &series,
            patch(&origin, packages, cache, ui, &format!("{mark}{round}a")),
        )
        .expect("a file");
        let spec = BuildSpec {
            series: Some(SeriesSource::of(SeriesPlace::Mails(series))),
            ..base.clone()
        };
        let start = Instant::now();
        build_kernel(&spec, arch, packages, cache, ui).expect("a series that builds");
        by_memrig.push(start.elapsed().as_secs_f64());

        let tree = SourceTree::open(&origin, packages, cache, ui).expect("a tree");
        tree.check_out(tree.base()).expect("a base");
        change(&tree.work().join(FILE), &format!("{mark}{round}b"));
        let start = Instant::now();
        make_alone(&tree, arch).output().expect("a kernel that builds");
        by_make.push(start.elapsed().as_secs_f64());
        tree.check_out(tree.base()).expect("a base");
    }
    let (memrig, make) = (fastest(&by_memrig), fastest(&by_make));
    json!({ "patched_kernel_s": memrig, "make_alone_s": make, "patched_kernel_over_make": memrig / make })
}

/// One more function at the end of a file.
fn change(file: &Path, mark: &str) {
    let text = fs_err::read_to_string(file).expect("a source");
    fs_err::write(
        file,
        format!(
            "{text}\nint bench_{mark}(void);\nint bench_{mark}(void)\n{{\n\treturn {};\n}}\n",
            mark.len()
        ),
    )
    .expect("a source that can be changed");
}

/// A mail with that change.
fn patch(origin: &Origin, packages: &Packages, cache: &Cache, ui: &Ui, mark: &str) -> String {
    let tree = SourceTree::open(origin, packages, cache, ui).expect("a tree");
    tree.check_out(tree.base()).expect("a base");
    change(&tree.work().join(FILE), mark);
    let diff = Command::new("git")
        .dir(tree.work())
        .args(["diff", "--", FILE])
        .output();
    let diff = String::from_utf8(diff.expect("a difference")).expect("UTF-8");
    tree.check_out(tree.base()).expect("a base");
    format!(
        "From: Bench <bench@example.org>\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nSubject: [PATCH] mm: bench\n\nBench.\n---\n{diff}-- \n2.39\n"
    )
}

fn fastest(seconds: &[f64]) -> f64 {
    seconds.iter().copied().fold(f64::INFINITY, f64::min)
}
