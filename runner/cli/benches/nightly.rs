// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a nightly job waits for after its guests: the index of 200 runs, made anew and asked, and the
//! page of a run of 2 000 cases.
//!
//! Prints one JSON object. The runs are made here, in a temporary folder.

use std::{collections::BTreeMap, io::Write, time::Instant};

use base::{Arch, ByteSize, fault::Verdict};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use record::{
    Attempt, CaseKey, CaseRecord, Event, FORMAT, GuestEnd, HostFacts, KernelFacts, LedgerEntry,
    MismatchRecord, RunFacts, RunFolder, RunId, RunRecord, Seconds, StepRecord,
    index::{HistoryKey, Index, Which},
};
use serde_json::{Value, json};

const RUNS: u32 = 200;
const CASES: u32 = 60;

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

/// Writes a run, and returns its folder.
fn write(results: &Utf8Path, run: u32, cases: u32) -> Utf8PathBuf {
    let facts = facts(run);
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
    for number in 0..cases {
        let case = case(run, number);
        let begun = f64::from(number) * 7.0;
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
        append(
            begun,
            Event::CaseStarted {
                key: case.key.clone(),
                name: case.name.clone(),
                suite_file: case.suite_file.clone(),
                line: case.line,
                attempt: 1,
            },
        );
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
    append(f64::from(cases) * 7.0, Event::RunFinished { exit: 1 });
    fs_err::write(path.join("events.jsonl"), journal).unwrap();
    path
}

/// Seconds that something takes.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let result = work();
    (begun.elapsed().as_secs_f64(), result)
}

/// The longest of a few times, in milliseconds.
fn worst<T>(mut work: impl FnMut() -> T) -> f64 {
    (0..5).map(|_| timed(&mut work).0 * 1000.0).fold(0.0, f64::max)
}

fn index(root: &Utf8Path) -> Value {
    let results = root.join("results");
    for run in 0..RUNS {
        write(&results, run, CASES);
    }
    let mut index = Index::anew(&root.join("index.sqlite")).unwrap();
    let (rebuilt, done) = timed(|| index.refresh(&results, |_, _| {}).unwrap());
    assert_eq!(done.read, RUNS as usize);
    let (again, _) = timed(|| index.refresh(&results, |_, _| {}).unwrap());
    let (last, _) = RunRecord::read(&results.join(facts(RUNS - 1).id.as_str())).unwrap();
    let one = Which {
        case: Some("B001".to_owned()),
        ..Which::default()
    };
    let keys: Vec<HistoryKey> = last.cases.iter().map(|case| HistoryKey::of(&case.key)).collect();
    json!({
        "runs": RUNS,
        "cases": RUNS * CASES,
        "rebuilt_s": rebuilt,
        "refreshed_s": again,
        "history_ms": worst(|| tell::history_text(&index.seen(&one).unwrap())),
        "flaky_ms": worst(|| tell::flaky(&index.unsteady(&Which::default()).unwrap())),
        "trend_of_30_runs_ms": worst(|| tell::trend(&index.seen(&Which { last: Some(30), ..Which::default() }).unwrap(), &[])),
        "news_ms": worst(|| tell::news(&last, &index.before(last.facts.started, &keys).unwrap())),
    })
}

/// The page of a run of 2 000 cases, read from its folder.
fn page(root: &Utf8Path) -> Value {
    let folder = write(&root.join("large"), 1, 2_000);
    let (took, bytes) = timed(|| {
        let (record, _) = RunRecord::read(&folder).unwrap();
        tell::html(&record, None, &record.traces()).len()
    });
    json!({ "cases": 2_000, "made_s": took, "bytes": bytes })
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(dir.path()).unwrap();
    let measured = json!({ "index": index(root), "page": page(root) });
    let mut out = std::io::stdout();
    serde_json::to_writer_pretty(&mut out, &measured).unwrap();
    out.write_all(b"\n").unwrap();
}
