// SPDX-License-Identifier: MIT OR Apache-2.0
//! The index against results folders that were written for it.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::{Index, Which};
use crate::{
    Attempt, CaseKey, CaseRecord, CostMethod, CostRecord, Event, FORMAT, GuestEnd, HostFacts, Journal,
    KernelFacts, LedgerEntry, OperationCost, RunFacts, RunFolder, RunId, Seconds,
};
use base::{Arch, fault::Verdict};
use memory::Ledger;

pub(super) struct Place {
    _dir: tempfile::TempDir,
    pub(super) results: Utf8PathBuf,
    pub(super) file: Utf8PathBuf,
}

pub(super) fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    let results = root.join("results");
    fs::create_dir(&results).unwrap();
    Place {
        _dir: dir,
        file: root.join("cache/index.sqlite"),
        results,
    }
}

pub(super) fn key(release: &str, case: &str) -> CaseKey {
    CaseKey {
        arch: Arch::S390x,
        label: "debian:sid".to_owned(),
        release: Some(release.to_owned()),
        config: String::new(),
        side: None,
        suite: "standby".to_owned(),
        variant: String::new(),
        case: case.to_owned(),
        round: None,
    }
}

fn case(key: CaseKey, verdict: Verdict) -> CaseRecord {
    let seconds = Seconds::from_millis(1_500);
    CaseRecord {
        key,
        name: "a name".to_owned(),
        suite_file: "suites/standby.yaml".to_owned(),
        line: 7,
        verdict,
        reason: (verdict != Verdict::Pass).then(|| "why".to_owned()),
        known: None,
        attempts: vec![Attempt {
            verdict,
            reason: None,
            seconds,
        }],
        seconds,
        steps: Vec::new(),
        findings: Vec::new(),
        command_line: String::new(),
        ended: Some(GuestEnd::Stopped),
        facts: json!({}),
        around: None,
        log_excerpt: String::new(),
    }
}

/// The ledger of a guest without anything that can be added.
pub(super) fn ledger(free: u64) -> Ledger {
    serde_json::from_value(json!({
        "mem_total": 1000, "free": free, "zones": {}, "nr_memmap": null, "nr_memmap_boot": null, "blocks": {}, "storage": {}, "ram": [],
        "auto_online": "offline", "isolated": 0, "tainted": 0, "hypervisor": { "dimms": {} },
    }))
    .unwrap()
}

/// Writes a run of the given day of September.
pub(super) fn run(results: &Utf8Path, day: u32, release: &str, cases: &[(&str, Verdict)]) -> Utf8PathBuf {
    let cases: Vec<_> = cases
        .iter()
        .map(|(id, verdict)| (key(release, id), *verdict))
        .collect();
    run_of(results, day, release, &cases)
}

fn run_of(results: &Utf8Path, day: u32, release: &str, cases: &[(CaseKey, Verdict)]) -> Utf8PathBuf {
    let started = format!("2026-09-{day:02}T01:00:00Z").parse().unwrap();
    let id = RunId::new(started, day);
    let path = results.join(id.as_str());
    fs::create_dir(&path).unwrap();
    let facts = RunFacts {
        format: FORMAT,
        id,
        started,
        memrig: "0.1.0".to_owned(),
        argv: Vec::new(),
        host: HostFacts::default(),
        kernels: vec![KernelFacts {
            label: "debian:sid".to_owned(),
            source: None,
            release: release.to_owned(),
            arch: Arch::S390x,
            packages: Vec::new(),
            image_sha256: String::new(),
            config: Default::default(),
        }],
        qemus: Vec::new(),
        images: Vec::new(),
        suites: Vec::new(),
        part: None,
    };
    let folder = RunFolder::of(&path, &facts);
    folder.write_facts(&facts).unwrap();
    let journal = Journal::create(&path).unwrap();
    journal
        .append(&Event::RunStarted {
            facts: Box::new(facts),
            planned: cases.iter().map(|(key, _)| key.clone()).collect(),
        })
        .unwrap();
    for (key, verdict) in cases {
        let record = case(key.clone(), *verdict);
        let files = folder.case(&record.key, 1).unwrap();
        files
            .write_ledgers(&[LedgerEntry {
                step: None,
                at: 1.0,
                ledger: ledger(900 - u64::from(day)),
            }])
            .unwrap();
        journal
            .append(&Event::CaseFinished {
                record: Box::new(record),
            })
            .unwrap();
    }
    journal.append(&Event::RunFinished { exit: 0 }).unwrap();
    path
}

fn letters(index: &Index) -> String {
    let seen = index.seen(&Which::default()).unwrap();
    seen.iter()
        .map(|one| format!("{}{}{}", one.started.strftime("%d"), one.key.case, one.verdict))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn it_follows_the_results_and_a_new_one_says_the_same() {
    let place = place();
    let first = run(
        &place.results,
        1,
        "7.1.0",
        &[("S01", Verdict::Pass), ("S02", Verdict::Pass)],
    );
    let mut index = Index::open(&place.file).unwrap();
    let done = index.refresh(&place.results, |_, _| {}).unwrap();
    assert_eq!((done.read, done.kept, done.gone), (1, 0, 0));
    assert_eq!(letters(&index), "01S01pass 01S02pass");

    run(&place.results, 2, "7.2.0", &[("S01", Verdict::Fail)]);
    std::os::unix::fs::symlink("20260902T010000Z-000002", place.results.join("latest")).unwrap();
    let done = index.refresh(&place.results, |_, _| {}).unwrap();
    assert_eq!((done.read, done.kept, done.gone), (1, 1, 0));
    assert_eq!(letters(&index), "01S01pass 02S01fail 01S02pass");
    let seen = index.seen(&Which::default()).unwrap();
    // The line stays while the release changes.
    assert_eq!(
        (&*seen[1].key.line, &*seen[1].kernel),
        ("debian:sid", "debian:sid-7.2.0")
    );
    let boot = seen[1].boot.unwrap();
    assert_eq!(
        (boot.mem_total, boot.free, boot.seconds.as_millis()),
        (1000, 898, 1500)
    );

    let mut anew = Index::anew(&place.file.with_file_name("other.sqlite")).unwrap();
    anew.refresh(&place.results, |_, _| {}).unwrap();
    assert_eq!(anew.seen(&Which::default()).unwrap(), seen);

    fs::remove_dir_all(first).unwrap();
    let done = index.refresh(&place.results, |_, _| {}).unwrap();
    assert_eq!((done.read, done.kept, done.gone), (0, 1, 1));
    assert_eq!(letters(&index), "02S01fail");
}

#[test]
fn a_copy_under_a_name_of_its_own_is_none_of_the_history() {
    let place = place();
    let path = run(&place.results, 1, "7.1.0", &[("S01", Verdict::Fail)]);
    fs::rename(&path, place.results.join("sample")).unwrap();
    run(&place.results, 2, "7.2.0", &[("S01", Verdict::Pass)]);
    let mut index = Index::open(&place.file).unwrap();
    let done = index.refresh(&place.results, |_, _| {}).unwrap();
    assert_eq!((done.read, letters(&index)), (1, "02S01pass".to_owned()));
}

#[test]
fn the_rounds_of_a_case_are_one_row_and_the_gravest_stands_for_all() {
    let place = place();
    let rounds = |id: &str, verdicts: [Verdict; 3]| {
        let once = key("7.2.0", id);
        let rounds: Vec<_> = (1..).map(|round| once.in_round(round)).zip(verdicts).collect();
        rounds
    };
    let cases = [
        rounds("S01", [Verdict::Pass; 3]),
        rounds("S02", [Verdict::Pass, Verdict::Fail, Verdict::Pass]),
    ];
    run(&place.results, 1, "7.2.0", &[("S01", Verdict::Pass)]);
    run_of(&place.results, 2, "7.2.0", &cases.concat());
    let mut index = Index::open(&place.file).unwrap();
    index.refresh(&place.results, |_, _| {}).unwrap();
    assert_eq!(letters(&index), "01S01pass 02S01pass 02S02fail");
    let unsteady = index.unsteady(&Which::default()).unwrap();
    assert_eq!(unsteady.len(), 1);
    assert_eq!(unsteady[0].key.case, "S02");
}

#[test]
fn a_run_that_goes_on_is_read_again() {
    let place = place();
    let path = run(&place.results, 1, "7.1.0", &[("S01", Verdict::Pass)]);
    let mut index = Index::open(&place.file).unwrap();
    index.refresh(&place.results, |_, _| {}).unwrap();
    let journal = Journal::resume(&path).unwrap();
    let record = Box::new(case(key("7.1.0", "S01"), Verdict::Fail));
    journal.append(&Event::CaseFinished { record }).unwrap();
    index.refresh(&place.results, |_, _| {}).unwrap();
    assert_eq!(letters(&index), "01S01fail");
}

#[test]
fn a_damaged_line_costs_that_line_and_is_told_each_time() {
    let place = place();
    let path = run(
        &place.results,
        1,
        "7.1.0",
        &[("S01", Verdict::Pass), ("S02", Verdict::Pass)],
    );
    run(&place.results, 2, "7.1.0", &[("S01", Verdict::Pass)]);
    let journal = path.join("events.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1] = r#"{"at":1.0,"event":{"case-fini"#;
    fs::write(&journal, lines.join("\n") + "\n").unwrap();
    let mut index = Index::open(&place.file).unwrap();
    for read in [2, 0] {
        let done = index.refresh(&place.results, |_, _| {}).unwrap();
        assert_eq!(done.read, read);
        assert_eq!(done.unread.len(), 1);
        assert!(
            done.unread[0].what.starts_with("events.jsonl:2: "),
            "{:?}",
            done.unread
        );
        assert!(!done.unread[0].refused);
        assert_eq!(letters(&index), "02S01pass 01S02pass");
    }
}

#[test]
fn a_run_of_a_newer_format_is_refused_and_the_others_are_read() {
    let place = place();
    let path = run(&place.results, 1, "7.1.0", &[("S01", Verdict::Pass)]);
    run(&place.results, 2, "7.1.0", &[("S01", Verdict::Fail)]);
    let facts = path.join("run.json");
    let text = fs::read_to_string(&facts).unwrap();
    fs::write(&facts, text.replace("\"format\": 1", "\"format\": 9")).unwrap();
    let mut index = Index::open(&place.file).unwrap();
    let done = index.refresh(&place.results, |_, _| {}).unwrap();
    assert!(
        done.unread[0].refused && done.unread[0].what.contains("has format 9"),
        "{:?}",
        done.unread
    );
    assert!(done.unread[0].what.contains("use a newer memrig"));
    assert_eq!(letters(&index), "02S01fail");
}

#[test]
fn a_file_that_is_no_index_is_made_anew() {
    let place = place();
    run(&place.results, 1, "7.1.0", &[("S01", Verdict::Pass)]);
    let write = |bytes: &[u8]| {
        fs::create_dir_all(place.file.parent().unwrap()).unwrap();
        fs::write(&place.file, bytes).unwrap();
    };
    let check = || {
        let mut index = Index::open(&place.file).unwrap();
        assert_eq!(index.refresh(&place.results, |_, _| {}).unwrap().read, 1);
        assert_eq!(letters(&index), "01S01pass");
    };
    write(b"no database at all, but long enough to have a header of one");
    check();
    // Tables of another version.
    Index::open(&place.file)
        .unwrap()
        .db
        .pragma_update(None, "user_version", 77)
        .unwrap();
    check();
    // A page that was overwritten.
    let mut bytes = fs::read(&place.file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle - 4096..middle + 4096].fill(0xa5);
    write(&bytes);
    check();
}

#[test]
fn filters_and_the_runs_before() {
    let place = place();
    for (day, verdict) in [(1, Verdict::Pass), (2, Verdict::Fail), (3, Verdict::Pass)] {
        run(
            &place.results,
            day,
            "7.1.0",
            &[("S01", verdict), ("S02", Verdict::Pass)],
        );
    }
    let mut index = Index::open(&place.file).unwrap();
    index.refresh(&place.results, |_, _| {}).unwrap();
    let count = |which: Which| index.seen(&which).unwrap().len();
    let case = |case: &str| Which {
        case: Some(case.to_owned()),
        ..Which::default()
    };
    assert_eq!(count(case("s01")), 3);
    assert_eq!(count(case("S03")), 0);
    assert_eq!(
        count(Which {
            last: Some(2),
            ..case("S01")
        }),
        2
    );
    assert_eq!(
        count(Which {
            arch: Some(Arch::X86_64),
            ..Which::default()
        }),
        0
    );
    assert_eq!(
        count(Which {
            line: Some("debian:sid".to_owned()),
            ..Which::default()
        }),
        6
    );
    let unsteady = index.unsteady(&Which::default()).unwrap();
    assert_eq!(unsteady.len(), 1);
    assert_eq!((&*unsteady[0].key.case, &*unsteady[0].name), ("S01", "a name"));
    let verdicts: Vec<_> = unsteady[0].runs.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail, Verdict::Pass]);
    let third = "2026-09-03T01:00:00Z".parse().unwrap();
    let before = index.before(third, &[unsteady[0].key.clone()]).unwrap();
    assert_eq!(
        before.iter().map(|one| one.verdict).collect::<Vec<_>>(),
        [Verdict::Fail, Verdict::Pass],
        "the last one first, and not the run itself"
    );
}

/// Writes down what an online cost in a run: samples, or what they agree on.
fn costs(run: &Utf8Path, release: &str, samples: &[u64], steady: Option<u64>) {
    let operation = |name: &str, samples: &[u64], steady| OperationCost {
        name: name.to_owned(),
        samples: samples.to_vec(),
        steady,
        functions: std::collections::BTreeMap::new(),
    };
    let record = |variant: &str| CostRecord {
        kernel: "debian:sid".to_owned(),
        release: release.to_owned(),
        arch: Arch::S390x,
        variant: variant.to_owned(),
        method: CostMethod::Plugin,
        qemu: "10.0.13".to_owned(),
        operations: vec![
            operation("online", samples, steady),
            operation("offline", &[], None),
        ],
    };
    let records = [record("memmap_on_memory=off"), record("memmap_on_memory=on")];
    fs::write(run.join("cost.json"), serde_json::to_vec(&records).unwrap()).unwrap();
}

#[test]
fn costs_are_rows_of_their_own_that_follow_their_files() {
    let place = place();
    let first = run(&place.results, 1, "7.1.0", &[("S01", Verdict::Pass)]);
    let second = run(&place.results, 2, "7.2.0", &[]);
    costs(&second, "7.2.0", &[53_709, 46_703], Some(46_700));
    let mut index = Index::open(&place.file).unwrap();
    let done = index.refresh(&place.results, |_, _| {}).unwrap();
    assert_eq!((done.read, done.unread.len()), (2, 0));
    let numbers = |index: &Index, which: &Which| -> Vec<(String, u64)> {
        let costs = index.costs(which).unwrap();
        costs
            .into_iter()
            .map(|cost| {
                (
                    format!("{} {}", cost.started.strftime("%d"), cost.variant),
                    cost.instructions,
                )
            })
            .collect()
    };
    let row = |text: &str, n| (text.to_owned(), n);
    let (off, on) = ("02 memmap_on_memory=off", "02 memmap_on_memory=on");
    let all = Which::default();
    assert_eq!(numbers(&index, &all), [row(off, 46_700), row(on, 46_700)]);
    let cost = &index.costs(&all).unwrap()[0];
    assert_eq!(
        (
            &*cost.line,
            &*cost.kernel,
            &*cost.operation,
            &*cost.qemu,
            cost.method
        ),
        (
            "debian:sid",
            "debian:sid-7.2.0",
            "online",
            "10.0.13",
            CostMethod::Plugin
        )
    );

    // Written after the run itself, and without counts by block: the lowest stands for it.
    costs(&first, "7.1.0", &[9, 7, 8], None);
    assert_eq!(index.refresh(&place.results, |_, _| {}).unwrap().read, 1);
    let sevens = [
        row("01 memmap_on_memory=off", 7),
        row("01 memmap_on_memory=on", 7),
    ];
    assert_eq!(numbers(&index, &all)[..2], sevens);
    assert_eq!(numbers(&index, &all).len(), 4);
    let only = |change: &dyn Fn(&mut Which)| {
        let mut which = Which::default();
        change(&mut which);
        numbers(&index, &which).len()
    };
    assert_eq!(
        only(&|which| which.variant = Some("memmap_on_memory=on".to_owned())),
        2
    );
    assert_eq!(only(&|which| which.last = Some(1)), 2);
    assert_eq!(only(&|which| which.arch = Some(Arch::X86_64)), 0);
    assert_eq!(only(&|which| which.line = Some("debian:sid".to_owned())), 4);
    // A cost is of no case.
    assert_eq!(only(&|which| which.case = Some("S01".to_owned())), 0);
    assert_eq!(only(&|which| which.suite = Some("standby".to_owned())), 0);

    // What does not read is told each time, and costs the case rows nothing.
    fs::write(first.join("cost.json"), "[{\"kernel\":").unwrap();
    for read in [1, 0] {
        let done = index.refresh(&place.results, |_, _| {}).unwrap();
        assert_eq!(done.read, read);
        assert!(
            done.unread.len() == 1
                && done.unread[0].what.starts_with("cost.json: ")
                && !done.unread[0].refused,
            "{:?}",
            done.unread
        );
    }
    assert_eq!(numbers(&index, &all), [row(off, 46_700), row(on, 46_700)]);
    assert_eq!(letters(&index), "01S01pass");

    fs::remove_dir_all(second).unwrap();
    index.refresh(&place.results, |_, _| {}).unwrap();
    assert_eq!(numbers(&index, &all), []);
}

/// The first memrig made an index without costs, that knows every run: taken as it is, it would say that there are none.
#[test]
fn an_index_without_costs_is_made_anew() {
    let place = place();
    let path = run(&place.results, 1, "7.1.0", &[("S01", Verdict::Pass)]);
    costs(&path, "7.1.0", &[7], None);
    let mut index = Index::open(&place.file).unwrap();
    index.refresh(&place.results, |_, _| {}).unwrap();
    index
        .db
        .execute_batch("DROP TABLE cost; PRAGMA user_version = 1;")
        .unwrap();
    drop(index);
    let mut index = Index::open(&place.file).unwrap();
    assert_eq!(index.refresh(&place.results, |_, _| {}).unwrap().read, 1);
    assert_eq!(index.costs(&Which::default()).unwrap().len(), 2);
}
