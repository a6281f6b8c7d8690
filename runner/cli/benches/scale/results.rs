// SPDX-License-Identifier: MIT OR Apache-2.0
//! What many results cost: the index of runs, made anew and asked; parts of a plan that are put together; the page of a large run.

use std::{collections::BTreeMap, ops::Range};

use base::{Arch, ByteSize, fault::Verdict};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use record::{
    Attempt, CaseKey, CaseRecord, Event, FORMAT, GuestEnd, HostFacts, KernelFacts, LedgerEntry,
    MismatchRecord, PlanFacts, RunFacts, RunFolder, RunId, RunPart, RunRecord, Seconds, ShardFacts,
    StepRecord,
    index::{HistoryKey, Index, Which},
    samples,
};
use serde_json::{Value, json};

use super::taken;

/// How many runs an index is made of, and how many parts are put together.
const RUNS: [u32; 3] = [20, 200, 2_000];
const PARTS: [u32; 3] = [5, 50, 500];

/// Cases of a run in the index, and of a part.
const CASES: u32 = 50;
const CASES_OF_A_PART: u32 = 200;

fn kernel(arch: Arch, run: u32) -> KernelFacts {
    KernelFacts {
        label: "debian:sid".to_owned(),
        source: None,
        release: format!("7.{}.0-{arch}", run / 50),
        arch,
        packages: Vec::new(),
        image_sha256: "0".repeat(64),
        config: BTreeMap::new(),
    }
}

fn facts(run: u32) -> RunFacts {
    let started = Timestamp::from_second(1_790_000_000 + i64::from(run) * 86_400).unwrap();
    RunFacts {
        format: FORMAT,
        id: RunId::new(started, run),
        started,
        memrig: "0.1.0".to_owned(),
        argv: vec!["memrig".to_owned(), "run".to_owned()],
        host: HostFacts {
            uname: "Linux".to_owned(),
            cpus: 2,
            memory: ByteSize::gib(8),
        },
        kernels: Arch::ALL.map(|arch| kernel(arch, run)).into(),
        qemus: Vec::new(),
        images: Vec::new(),
        suites: Vec::new(),
        part: None,
    }
}

/// A case: every 37th fails, others pass.
fn case(run: u32, number: u32) -> CaseRecord {
    let arch = Arch::ALL[number as usize % 2];
    let failed = (run * 7 + number).is_multiple_of(37);
    let verdict = if failed { Verdict::Fail } else { Verdict::Pass };
    let mismatch = MismatchRecord {
        counter: "node 0 zone Movable present".to_owned(),
        before: Some("0".to_owned()),
        predicted: Some("32768".to_owned()),
        seen: Some("32256".to_owned()),
        tolerance: 0,
        unit: "pages".to_owned(),
    };
    let steps = (1..=6).map(|step| StepRecord {
        number: step,
        line: 10 + step,
        text: "online: { block: b, zone: movable }".to_owned(),
        verdict: if failed && step == 6 {
            verdict
        } else {
            Verdict::Pass
        },
        seconds: Seconds::from_millis(150),
        message: None,
        mismatches: if failed && step == 6 {
            vec![mismatch.clone()]
        } else {
            Vec::new()
        },
        subcases: Vec::new(),
        said: Vec::new(),
        ledger: Some(step),
    });
    CaseRecord {
        key: CaseKey {
            arch,
            label: kernel(arch, run).label,
            release: Some(kernel(arch, run).release),
            config: String::new(),
            side: None,
            suite: format!("suite{}", number % 7),
            variant: format!("memmap_on_memory={}", ["off", "on"][number as usize / 2 % 2]),
            case: format!("B{number:03}"),
            round: None,
        },
        name: "a block goes online and offline through its file state".to_owned(),
        suite_file: "suites/blocks.yaml".to_owned(),
        line: 9,
        verdict,
        reason: failed.then(|| "1 of the guest's memory state is not as predicted".to_owned()),
        known: None,
        attempts: vec![Attempt {
            verdict,
            reason: None,
            seconds: Seconds::from_millis(7_000),
        }],
        seconds: Seconds::from_millis(7_000),
        steps: steps.collect(),
        findings: Vec::new(),
        command_line: format!(
            "{} -nodefaults -accel tcg -m size=1G {}",
            arch.qemu_binary(),
            "-device x ".repeat(60)
        ),
        ended: Some(GuestEnd::Stopped),
        facts: json!({ "block_size": "128M" }),
        around: None,
        log_excerpt: if failed {
            "[    2.173844] registered taskstats version 1\n".repeat(40)
        } else {
            String::new()
        },
    }
}

/// A ledger with as many blocks as a guest of 3 GiB has.
fn ledger(free: u64) -> Value {
    let block = json!({ "state": "online", "online": true, "valid_zones": ["normal"], "removable": true, "phys_index": 0,
        "phys_device": 0, "node": 0 });
    let blocks: BTreeMap<String, Value> = (0..24).map(|n| (n.to_string(), block.clone())).collect();
    let zone = json!({ "start_pfn": 0, "spanned": 262_144, "present": 262_144, "managed": 250_943 });
    json!({ "mem_total": 250_943, "free": free, "zones": { "node 0 zone Normal": zone, "node 0 zone Movable": zone },
        "nr_memmap": 0, "nr_memmap_boot": 4096, "blocks": blocks, "storage": {}, "ram": [], "auto_online": "offline", "isolated": 0,
        "tainted": 0, "hypervisor": { "dimms": {} } })
}

/// Writes a run of these cases, and returns its folder.
fn write(results: &Utf8Path, facts: RunFacts, run: u32, cases: Range<u32>) -> Utf8PathBuf {
    let path = results.join(facts.id.as_str());
    fs_err::create_dir_all(&path).unwrap();
    let folder = RunFolder::of(&path, &facts);
    folder.write_facts(&facts).unwrap();
    let mut journal = Vec::new();
    let mut append = |at: f64, event: Event| {
        serde_json::to_writer(&mut journal, &json!({ "at": at, "event": event })).unwrap();
        journal.push(b'\n');
    };
    append(
        0.0,
        Event::RunStarted {
            facts: Box::new(facts),
            planned: Vec::new(),
        },
    );
    let begin = cases.start;
    let length = cases.len() as f64 * 7.0;
    for number in cases {
        let case = case(run, number);
        let begun = f64::from(number - begin) * 7.0;
        let files = folder.case(&case.key, 1).unwrap();
        let ledgers = (0..7).map(|step: u32| {
            json!({ "step": (step > 0).then_some(step), "at": begun + 5.0 + f64::from(step) * 0.15,
                "ledger": ledger(240_000 - 512 * u64::from(step)) })
        });
        let ledgers: Vec<LedgerEntry> = serde_json::from_value(ledgers.collect()).unwrap();
        files.write_ledgers(&ledgers).unwrap();
        fs_err::write(
            files.console_log(),
            "[    0.000000] Linux version 7.1.0\r\nmemrig: ready\r\n".repeat(100),
        )
        .unwrap();
        let qmp = json!({ "at": begun + 0.1, "way": "sent", "text": "{\"execute\":\"query-memory-devices\",\"id\":3}" });
        fs_err::write(files.qmp_log(), format!("{qmp}\n").repeat(30)).unwrap();
        append(begun, samples::begun(&case, 1));
        for step in &case.steps {
            let at = begun + 5.0 + f64::from(step.number) * 0.15;
            append(
                at - 0.15,
                Event::StepStarted {
                    case: case.key.id(),
                    number: step.number,
                    text: step.text.clone(),
                },
            );
            append(
                at,
                Event::StepFinished {
                    case: case.key.id(),
                    step: step.clone(),
                },
            );
        }
        append(
            begun + 6.0,
            Event::CaseFinished {
                record: Box::new(case),
            },
        );
    }
    append(length, Event::RunFinished { exit: 1 });
    fs_err::write(path.join("events.jsonl"), journal).unwrap();
    path
}

/// The longest of a few times, in milliseconds.
fn worst<T>(mut work: impl FnMut() -> T) -> f64 {
    (0..5)
        .map(|_| taken(&mut work).seconds * 1000.0)
        .fold(0.0, f64::max)
}

pub(super) fn index(root: &Utf8Path) -> Value {
    let results = root.join("results");
    let mut there = 0;
    let mut indexed = |runs: u32| {
        for run in there..runs {
            write(&results, facts(run), run, 0..CASES);
        }
        there = runs;
        let file = root.join(format!("index-{runs}.sqlite"));
        let mut index = Index::anew(&file).unwrap();
        let rebuilt = taken(|| index.refresh(&results, |_, _| {}).unwrap());
        assert_eq!(rebuilt.made.read, runs as usize);
        let again = taken(|| index.refresh(&results, |_, _| {}).unwrap());
        let (last, _) = RunRecord::read(&results.join(facts(runs - 1).id.as_str())).unwrap();
        let one = Which {
            case: Some("B001".to_owned()),
            ..Which::default()
        };
        let keys: Vec<HistoryKey> = last.cases.iter().map(|case| HistoryKey::of(&case.key)).collect();
        json!({
            "runs": runs,
            "results": runs * CASES,
            "file_mb": fs_err::metadata(&file).unwrap().len() / 1_000_000,
            "rebuilt_s": rebuilt.seconds,
            "memory_mb": rebuilt.memory,
            "refreshed_s": again.seconds,
            "history_ms": worst(|| tell::history_text(&index.seen(&one).unwrap())),
            "flaky_ms": worst(|| tell::flaky(&index.unsteady(&Which::default()).unwrap())),
            "trend_of_30_runs_ms": worst(|| tell::trend(&index.seen(&Which { last: Some(30), ..Which::default() }).unwrap(), &[])),
            "news_ms": worst(|| tell::news(&last, &index.before(last.facts.started, &keys).unwrap())),
        })
    };
    json!(RUNS.map(&mut indexed))
}

/// One of so many parts of a plan.
fn part(number: u32, of: u32) -> RunFacts {
    let whole = facts(0);
    let plan = PlanFacts {
        sha256: "0".repeat(64),
        cases: of * CASES_OF_A_PART,
    };
    RunFacts {
        id: RunId::new(whole.started, number),
        part: Some(RunPart::Shard(ShardFacts {
            how: "slice".to_owned(),
            number,
            of,
            plan: Some(plan),
        })),
        ..whole
    }
}

pub(super) fn merge(root: &Utf8Path) -> Value {
    let merged = |of: u32| {
        let results = root.join(of.to_string());
        let parts = (1..=of).map(|number| {
            let begin = (number - 1) * CASES_OF_A_PART;
            write(&results, part(number, of), 0, begin..begin + CASES_OF_A_PART)
        });
        let parts: Vec<Utf8PathBuf> = parts.collect();
        let done = taken(|| record::merge(&parts, &results, false).unwrap());
        assert!(done.made.is_whole());
        let told = json!({
            "parts": of,
            "cases": of * CASES_OF_A_PART,
            "merged_s": done.seconds,
            "memory_mb": done.memory,
        });
        fs_err::remove_dir_all(&results).unwrap();
        told
    };
    json!(PARTS.map(merged))
}

/// The page of a run of 2 000 cases, read from its folder.
pub(super) fn page(root: &Utf8Path) -> Value {
    let paged = |cases: u32| {
        let folder = write(&root.join(cases.to_string()), facts(1), 1, 0..cases);
        let page = taken(|| {
            let (record, _) = RunRecord::read(&folder).unwrap();
            tell::html(&record, None, &record.traces()).len()
        });
        json!({ "cases": cases, "made_s": page.seconds, "memory_mb": page.memory, "bytes": page.made })
    };
    json!([20, 200, 2_000].map(paged))
}
