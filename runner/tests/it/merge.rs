// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parts of a run, put together: the same as if one machine had run it all.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use memrig::{
    base::Arch,
    record::{CaseRecord, Event, Finish, Journal, RunFacts, RunFolder, RunId, RunRecord, merge},
};

use crate::results::sample;

struct Place {
    _dir: tempfile::TempDir,
    root: Utf8PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    Place { _dir: dir, root }
}

/// Writes a run of these cases; part `number` starts as many seconds later.
fn run(
    root: &Utf8Path,
    number: u32,
    argv: &str,
    cases: &[CaseRecord],
    change: impl Fn(&mut RunFacts),
) -> Utf8PathBuf {
    let mut facts = sample::facts();
    facts.started += jiff::SignedDuration::from_secs(number.into());
    facts.id = RunId::new(facts.started, number);
    facts.argv = argv.split_whitespace().map(str::to_owned).collect();
    change(&mut facts);
    let path = root.join(format!("part-{number}"));
    fs::create_dir_all(&path).unwrap();
    let folder = RunFolder::of(&path, &facts);
    folder.write_facts(&facts).unwrap();
    let journal = Journal::create(&path).unwrap();
    let append = |event: Event| journal.append(&event).unwrap();
    append(Event::RunStarted {
        facts: Box::new(facts),
        planned: cases.iter().map(|case| case.key.clone()).collect(),
    });
    for case in cases {
        let files = folder.case(&case.key, 1).unwrap();
        fs::write(files.console_log(), case.key.id()).unwrap();
        append(Event::CaseFinished {
            record: Box::new(case.clone()),
        });
    }
    append(Event::RunFinished { exit: 1 });
    path
}

fn shards(root: &Utf8Path, of: u32) -> Vec<Utf8PathBuf> {
    let cases = sample::cases();
    (1..=of)
        .map(|number| {
            let mine: Vec<CaseRecord> = cases
                .iter()
                .enumerate()
                .filter(|(at, _)| *at as u32 % of + 1 == number)
                .map(|(_, case)| case.clone())
                .collect();
            let argv =
                format!("/host{number}/memrig run --shard slice:{number}/{of} blocks --results /r{number}");
            run(root, number, &argv, &mine, |_| {})
        })
        .collect()
}

fn sorted(record: &RunRecord) -> Vec<CaseRecord> {
    let mut cases = record.cases.clone();
    cases.sort_by_key(|case| case.key.id());
    cases
}

#[test]
fn five_parts_are_what_one_machine_would_have_run() {
    let place = place();
    let whole = run(
        &place.root.join("whole"),
        1,
        "memrig run blocks",
        &sample::cases(),
        |_| {},
    );
    let (whole, _) = RunRecord::read(&whole).unwrap();
    let mut parts = shards(&place.root, 5);
    parts.reverse();
    let merged = merge(&parts, &place.root.join("results"), false).unwrap();
    assert!(merged.damage.is_empty() && merged.missing.is_empty());
    let (record, damage) = RunRecord::read(&merged.folder).unwrap();
    assert_eq!(damage, []);
    assert_eq!(sorted(&record), sorted(&whole));
    assert_eq!(
        (record.finish, &record.not_run),
        (Finish::Exit(1), &whole.not_run)
    );
    assert_eq!(record.facts.kernels, whole.facts.kernels);
    assert_eq!(record.facts.id.as_str(), merged.folder.file_name().unwrap());
    for case in &record.cases {
        let console = merged
            .folder
            .join("cases")
            .join(case.key.id())
            .join("console.log");
        assert_eq!(fs::read_to_string(console).unwrap(), case.key.id());
    }
}

#[test]
fn a_missing_part_is_named_and_leaves_a_hole_that_shows() {
    let place = place();
    let parts = shards(&place.root, 5);
    let some = [parts[0].clone(), parts[2].clone(), parts[3].clone()];
    let results = place.root.join("results");
    let error = merge(&some, &results, false).unwrap_err().to_string();
    assert!(error.starts_with("missing: slice:2/5, slice:5/5;"), "{error}");
    assert!(!results.exists(), "nothing is written before all is known to fit");
    let merged = merge(&some, &results, true).unwrap();
    let (record, _) = RunRecord::read(&merged.folder).unwrap();
    assert_eq!(record.finish, Finish::CutOff);
    assert_eq!(record.notes.len(), 2);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let place = place();
    let parts = shards(&place.root, 2);
    let cases = sample::cases();
    let refused = |other: &Utf8Path| {
        let error = merge(
            &[parts[0].clone(), other.to_owned()],
            &place.root.join("results"),
            false,
        );
        error.unwrap_err().to_string()
    };
    let other = |name: &str, argv: &str, change: &dyn Fn(&mut RunFacts)| {
        refused(&run(&place.root.join(name), 2, argv, &cases[1..2], change))
    };
    let right = "memrig run --shard slice:2/2 blocks";
    let error = other("a", "memrig run blocks", &|_| {});
    assert!(error.contains("is no shard"), "{error}");
    let error = other("b", "memrig run --shard slice:2/3 blocks", &|_| {});
    assert!(
        error.contains("one is a part of 3 by slice, the other of 2 by slice"),
        "{error}"
    );
    let error = other("c", "memrig run --shard hash:2/2 blocks", &|_| {});
    assert!(error.contains("by hash"), "{error}");
    let error = other("d", "memrig run --shard slice:2/2 zones", &|_| {});
    assert!(error.contains("the plans differ"), "{error}");
    let error = other("e", right, &|facts| facts.suites[0].sha256 = "0".to_owned());
    assert!(
        error.contains("`suites/blocks.yaml` is not the same file"),
        "{error}"
    );
    let error = other("f", right, &|facts| {
        let kernel = facts.kernels.iter_mut().find(|kernel| kernel.arch == Arch::S390x);
        kernel.unwrap().release = "6.12.108".to_owned();
    });
    assert!(
        error.contains("debian:trixie of s390x is 6.12.108 in one"),
        "{error}"
    );
    let error = refused(&run(&place.root.join("g"), 2, right, &cases[0..1], |_| {}));
    assert!(error.contains("both have the case "), "{error}");
    let error = refused(&parts[0]);
    assert!(error.contains("both are part 1 of 2"), "{error}");
    let error = refused(&place.root.join("nothing"));
    assert!(error.contains("holds no run"), "{error}");
}

#[test]
fn a_damaged_line_of_a_part_is_told_and_the_rest_is_merged() {
    let place = place();
    let parts = shards(&place.root, 2);
    let journal = parts[1].join("events.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1] = "{\"at\":";
    fs::write(&journal, lines.join("\n") + "\n").unwrap();
    let merged = merge(&parts, &place.root.join("results"), false).unwrap();
    assert_eq!(merged.damage.len(), 1);
    assert_eq!(
        (&merged.damage[0].0, merged.damage[0].1.line),
        (&parts[1], Some(2))
    );
    let (record, _) = RunRecord::read(&merged.folder).unwrap();
    assert_eq!((record.cases.len(), record.not_run.len()), (4, 1));
}
