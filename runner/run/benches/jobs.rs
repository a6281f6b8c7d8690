// SPDX-License-Identifier: MIT OR Apache-2.0
//! Planning and starting 1 000, 10 000 and 100 000 jobs without guests: as rounds of the same jobs, and on as many more kernels.
//!
//! Prints one JSON object: milliseconds of each part.

use std::sync::Arc;

use run::{LoadedSuite, Rehearsed, rehearse};
use serde_json::{Value, json};
use suite::Suite;

/// Cases of the suite; each has two variants.
const CASES: u32 = 50;

/// Kernels of the smallest plan.
const KERNELS: u32 = 10;

fn suite() -> Arc<LoadedSuite> {
    let case = |number| format!("  - {{ id: C{number}, name: case {number}, steps: [log: {{ has: x }}] }}\n");
    let cases: String = (0..CASES).map(case).collect();
    let text = format!("suite: many\nvariants: {{ memmap_on_memory: [off, on] }}\ncases:\n{cases}");
    Arc::new(LoadedSuite {
        file: "many.yaml".to_owned(),
        sha256: String::new(),
        suite: Suite::parse("many.yaml", &text).unwrap(),
    })
}

fn told(rehearsed: &Rehearsed) -> Value {
    json!({
        "jobs": rehearsed.jobs,
        "planned": rehearsed.planned.as_millis(),
        "ordered": rehearsed.ordered.as_millis(),
        "started": rehearsed.started.as_millis(),
    })
}

#[expect(clippy::print_stdout, reason = "that is what a benchmark is for")]
fn main() {
    let suites = [suite()];
    let mut rounds = Vec::new();
    let mut kernels = Vec::new();
    for times in [1, 10, 100] {
        rounds.push(told(&rehearse(&suites, KERNELS, times).unwrap()));
        kernels.push(told(&rehearse(&suites, KERNELS * times, 1).unwrap()));
    }
    println!("{:#}", json!({ "rounds": rounds, "kernels": kernels }));
}
