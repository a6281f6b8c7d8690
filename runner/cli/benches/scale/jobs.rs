// SPDX-License-Identifier: MIT OR Apache-2.0
//! Planning and starting jobs without guests: as rounds of the same jobs, and on as many more kernels.

use std::sync::Arc;

use camino::Utf8Path;
use run::{LoadedSuite, Rehearsed, rehearse};
use serde_json::{Value, json};
use suite::Suite;

use super::taken;

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

/// How many times as many jobs as the smallest plan has, 1 000.
const TIMES: [u32; 3] = [10, 100, 1_000];

fn told(kernels: u32, rounds: u32) -> Value {
    let suites = [suite()];
    let done = taken(|| rehearse(&suites, kernels, rounds).unwrap());
    let Rehearsed {
        jobs,
        planned,
        ordered,
        started,
    } = done.made;
    json!({
        "jobs": jobs,
        "planned_s": planned.as_secs_f64(),
        "ordered_s": ordered.as_secs_f64(),
        "started_s": started.as_secs_f64(),
        "memory_mb": done.memory,
    })
}

pub(super) fn measured(_: &Utf8Path) -> Value {
    json!({
        "rounds": TIMES.map(|times| told(KERNELS, times)),
        "kernels": TIMES.map(|times| told(KERNELS * times, 1)),
    })
}
