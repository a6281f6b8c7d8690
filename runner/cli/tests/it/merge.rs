// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parts of a run, put together: the same as if one machine had run it all.

use std::fs;

use base::{Arch, ui::Ui};
use camino::{Utf8Path, Utf8PathBuf};
use record::{
    CaseRecord, Event, ExploreRecord, ExploredKernel, Finish, Journal, MergeError, PlanFacts, RunFacts,
    RunFolder, RunId, RunPart, RunRecord, ShardFacts, merge,
};
use run::{How, Request, Rig, Selected};
use supply::host;

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

/// The plan of these cases.
fn plan(cases: &[CaseRecord]) -> PlanFacts {
    PlanFacts::of(cases.iter().map(|case| (case.key.id(), "12ab")), false)
}

fn shard(number: u32, of: u32, plan: PlanFacts) -> RunPart {
    RunPart::Shard(ShardFacts {
        how: "slice".to_owned(),
        number,
        of,
        plan: Some(plan),
    })
}

/// Each case in one of `of` parts.
fn divided(of: u32) -> Vec<Vec<CaseRecord>> {
    let mut parts = vec![Vec::new(); of as usize];
    for (at, case) in sample::cases().into_iter().enumerate() {
        parts[at % of as usize].push(case);
    }
    parts
}

/// Parts that say themselves which they are. What was typed for them differs, and says nothing of it.
fn shards(root: &Utf8Path, of: u32) -> Vec<Utf8PathBuf> {
    let plan = plan(&sample::cases());
    (1..)
        .zip(divided(of))
        .map(|(number, mine)| {
            let argv = format!("/host{number}/memrig matrix nightly.yaml -j{number} --results /r{number}");
            run(root, number, &argv, &mine, |facts| {
                facts.part = Some(shard(number, of, plan.clone()));
            })
        })
        .collect()
}

/// Parts of a memrig that left it to the command line.
fn older_shards(root: &Utf8Path, of: u32) -> Vec<Utf8PathBuf> {
    (1..)
        .zip(divided(of))
        .map(|(number, mine)| {
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
    assert!(merged.is_whole() && record.notes.is_empty());
    let ids = |number: u32| {
        RunId::new(
            sample::facts().started + jiff::SignedDuration::from_secs(number.into()),
            number,
        )
    };
    let runs = (1..=5).map(ids).collect();
    assert_eq!(record.facts.part, Some(RunPart::Merged { runs }));
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
    let parts = older_shards(&place.root, 2);
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
    assert!(
        error.contains("the plans differ: `run zones`, and `run blocks`"),
        "{error}"
    );
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

#[test]
fn parts_of_an_older_memrig_are_told_by_their_command_lines_and_the_record_says_so() {
    let place = place();
    let parts = older_shards(&place.root, 2);
    let merged = merge(&parts, &place.root.join("results"), false).unwrap();
    assert!(merged.is_whole());
    let (record, _) = RunRecord::read(&merged.folder).unwrap();
    assert_eq!((record.cases.len(), record.finish), (5, Finish::Exit(1)));
    assert_eq!(record.notes, merged.notes);
    assert_eq!(record.notes.len(), 2);
    assert!(
        record.notes[1].contains("does not say which part it is") && record.notes[1].contains("slice:2/2"),
        "{:?}",
        record.notes
    );
    // It was the command line of a part, and this is the whole.
    assert_eq!(
        record.facts.argv.join(" "),
        "/host1/memrig run blocks --results /r1"
    );

    // A part that says so, and one that does not: what was typed has to be the same.
    let mixed = |name: &str, argv: &str| {
        let all = plan(&sample::cases());
        let part = run(&place.root.join(name), 2, argv, &divided(2)[1], |facts| {
            facts.part = Some(shard(2, 2, all.clone()));
        });
        merge(&[parts[0].clone(), part], &place.root.join("results"), false)
    };
    assert_eq!(mixed("a", "memrig run blocks").unwrap().notes.len(), 1);
    let error = mixed("b", "memrig run zones").unwrap_err().to_string();
    assert!(error.contains("the plans differ"), "{error}");
}

#[test]
fn the_record_says_which_part_a_run_is_whatever_was_typed() {
    let place = place();
    let results = place.root.join("results");
    let cases = sample::cases();
    let all = plan(&cases);
    let part = |name: &str, number: u32, argv: &str, cases: &[CaseRecord], part: RunPart| {
        run(&place.root.join(name), number, argv, cases, |facts| {
            facts.part = Some(part.clone());
        })
    };
    let divided = divided(2);
    let first = part("a", 1, "memrig run x", &divided[0], shard(1, 2, all.clone()));
    let refused = |other: &Utf8PathBuf| {
        let error = merge(&[first.clone(), other.clone()], &results, false);
        error.unwrap_err().to_string()
    };
    // The command line of a whole run may have such a word.
    let whole = part(
        "b",
        2,
        "memrig run x --shard slice:2/2",
        &divided[1],
        RunPart::Whole,
    );
    assert!(refused(&whole).contains("is no shard: it was not run with --shard"));
    // The whole plan counts, and not the own cases alone.
    let mut fewer = cases.clone();
    fewer.pop();
    let other = part(
        "c",
        2,
        "memrig run x",
        &divided[1][..1],
        shard(2, 2, plan(&fewer)),
    );
    let error = refused(&other);
    assert!(
        error.contains("the plans differ: `run x` has 4 cases, and `run x` 5"),
        "{error}"
    );
    let second = part("d", 2, "memrig run y", &divided[1], shard(2, 2, all.clone()));
    let merged = merge(&[second, first.clone()], &results, false).unwrap();
    assert_eq!(RunRecord::read(&merged.folder).unwrap().0.cases.len(), 5);
    let error = refused(&merged.folder);
    assert!(error.contains("it is what shards were merged into"), "{error}");

    // Divided by other times, no part may have a case.
    let lacks = part("e", 2, "memrig run x", &divided[1][..1], shard(2, 2, all.clone()));
    let error = refused(&lacks);
    assert!(
        error.contains("1 of the 5 cases of their plan are in none"),
        "{error}"
    );
    let merged = merge(&[first.clone(), lacks], &results, true).unwrap();
    assert!(!merged.is_whole() && merged.lost == 1);
    let (record, _) = RunRecord::read(&merged.folder).unwrap();
    assert_eq!(record.finish, Finish::CutOff);
    assert_eq!(record.notes, ["cases of the plan that none of its parts has: 1"]);

    // A part without a single case leaves no folder, and nothing is missing.
    let thirds: Vec<Utf8PathBuf> = [1u32, 3]
        .into_iter()
        .zip(&divided)
        .map(|(number, cases)| part("f", number, "memrig run x", cases, shard(number, 3, all.clone())))
        .collect();
    let merged = merge(&thirds, &results, false).unwrap();
    assert!(merged.is_whole() && merged.notes.is_empty(), "{:?}", merged.notes);
}

/// No guest is needed for that: a part may have nothing to do.
#[test]
fn a_run_writes_down_which_part_it_is() {
    let place = place();
    let part = shard(2, 3, plan(&sample::cases()));
    let selected = Selected {
        rig: Rig {
            kernels: Vec::new(),
            emulators: Default::default(),
        },
        jobs: Vec::new(),
        part: part.clone(),
        host: host::facts().unwrap(),
    };
    let request = Request::of(selected, place.root.join("results"), How::default());
    let done = run::run(request, &Ui::silent()).unwrap();
    assert_eq!(done.record.facts.part.as_ref(), Some(&part));
    // It is in the first line of the journal too, where run.json is lost.
    fs::remove_file(done.folder.join("run.json")).unwrap();
    let (record, damage) = RunRecord::read(&done.folder).unwrap();
    assert_eq!((record.facts.part, damage.len()), (Some(part), 1));
}

/// Adds what a part found in this kernel under the name that all parts give it: a case that no plan has, and its suite.
fn explored(part: &Utf8Path, seed: u64) {
    let mut kernel = ExploredKernel::new(seed, Arch::S390x, "debian:sid", "7.2.13");
    let found = serde_json::json!({ "sign": "s", "reason": "r", "number": 1, "after": 1.0, "times": 1, "steps": 9, "shortest": 2,
        "tries": 3, "file": "found/x.yaml", "evidence": "cases/x" });
    kernel.findings = vec![serde_json::from_value(found).unwrap()];
    let mut key = sample::cases()[0].key.clone();
    key.case = format!("sequences-{seed}");
    let record = Box::new(kernel.case(key));
    Journal::resume(part)
        .unwrap()
        .append(&Event::CaseFinished { record })
        .unwrap();
    let record = ExploreRecord {
        kernels: vec![kernel],
    };
    let text = serde_json::to_vec(&record).unwrap();
    fs::write(part.join(ExploreRecord::FILE), text).unwrap();
    fs::create_dir(part.join("found")).unwrap();
    fs::write(part.join("found/x.yaml"), seed.to_string()).unwrap();
}

#[test]
fn what_parts_found_is_put_together_and_stands_for_no_case_of_the_plan() {
    let place = place();
    let parts = shards(&place.root, 3);
    explored(&parts[0], 1);
    explored(&parts[2], 2);
    let merged = merge(&parts, &place.root.join("results"), false).unwrap();
    let record = ExploreRecord::read(&merged.folder).unwrap().unwrap();
    let found: Vec<(u64, String)> = record
        .kernels
        .iter()
        .map(|kernel| {
            let file = merged.folder.join(&kernel.findings[0].file);
            (kernel.seed, fs::read_to_string(file).unwrap())
        })
        .collect();
    assert_eq!(found, [(1, "1".to_owned()), (2, "2".to_owned())]);
    let (whole, _) = RunRecord::read(&merged.folder).unwrap();
    assert_eq!(whole.cases.iter().filter(|case| case.is_exploration()).count(), 2);
    // As many cases as the plan has are not all of it.
    let plan = plan(&sample::cases());
    let few: Vec<Utf8PathBuf> = (1..)
        .zip(divided(3))
        .map(|(number, mut mine)| {
            mine.truncate(mine.len() - usize::from(number == 3));
            run(
                &place.root.join("few"),
                number,
                "memrig matrix nightly",
                &mine,
                |facts| {
                    facts.part = Some(shard(number, 3, plan.clone()));
                },
            )
        })
        .collect();
    explored(&few[0], 1);
    let error = merge(&few, &place.root.join("results"), false).unwrap_err();
    assert!(matches!(error, MergeError::Lost { lost: 1, .. }), "{error}");
    // A file that does not read is told, and takes nothing with it.
    fs::write(parts[0].join(ExploreRecord::FILE), "{").unwrap();
    let merged = merge(&parts, &place.root.join("results"), false).unwrap();
    assert_eq!(merged.damage.len(), 1);
    assert!(merged.damage[0].1.to_string().starts_with("explore.json: "));
    let record = ExploreRecord::read(&merged.folder).unwrap().unwrap();
    assert_eq!(record.kernels.len(), 1);
}
