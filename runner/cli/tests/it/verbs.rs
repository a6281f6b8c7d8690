// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verbs that need no guest, as they are typed.

use std::process::{Command, Stdio};

use base::fault::Verdict;
use camino::{Utf8Path, Utf8PathBuf};
use record::{Event, Journal, SubcaseRecord};
use serde_json::Value;

use crate::{
    page,
    results::sample,
    told::{self, Told},
};

/// A folder of its own, with results in it.
pub(crate) struct Place {
    _dir: tempfile::TempDir,
    pub(crate) root: Utf8PathBuf,
}

/// A results folder with the sample as two runs, one after the other.
pub(crate) fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    for (name, day) in [
        ("20260914T101530Z-3f9a1c", "14"),
        ("20260915T101530Z-3f9a1c", "15"),
    ] {
        let run = root.join("results").join(name);
        fs_err::create_dir_all(&run).unwrap();
        sample::write(&run);
        for file in ["run.json", "events.jsonl"] {
            let text = fs_err::read_to_string(run.join(file)).unwrap();
            fs_err::write(
                run.join(file),
                text.replace("2026-09-14T10", &format!("2026-09-{day}T10")),
            )
            .unwrap();
        }
    }
    Place { _dir: dir, root }
}

pub(crate) fn memrig(root: &Utf8Path, args: &[&str]) -> Told {
    Told::by(call(root).args(args))
}

fn call(root: &Utf8Path) -> Command {
    let mut command = told::memrig();
    command
        .current_dir(root)
        .env("MEMRIG_CACHE", root.join("cache"))
        .env_remove("MEMRIG_RESULTS");
    command
}

#[test]
fn history_and_trend_of_two_runs() {
    let place = place();
    let told = memrig(
        &place.root,
        &["history", "b01", "--variant", "memmap_on_memory=on"],
    );
    assert_eq!((told.code, &*told.err), (Some(0), ""));
    assert!(
        told.out
            .contains("  FF  (2 runs, 2026-09-14 10:15 to 2026-09-15 10:15)"),
        "{}",
        told.out
    );
    let told = memrig(&place.root, &["history", "B01", "--format", "json"]);
    let all: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 4);
    assert_eq!(
        (&all[0]["line"], &all[0]["arch"]),
        (&"debian:trixie".into(), &"x86_64".into())
    );
    let told = memrig(
        &place.root,
        &["trend", "--format", "csv", "-a", "s390x", "--rebuild"],
    );
    assert_eq!(told.out.lines().count(), 3, "{}", told.out);
    let told = memrig(&place.root, &["flaky"]);
    assert_eq!(
        (told.code, told.out.trim()),
        (Some(0), "no case came out in two ways on the same kernel")
    );
    let told = memrig(&place.root, &["history", "X99"]);
    assert_eq!(told.code, Some(4), "{}", told.err);
    let told = memrig(&place.root, &["history", "B01", "--results", "nowhere"]);
    assert_eq!(told.code, Some(2));
    assert!(
        told.err
            .contains("cannot read the results folder `nowhere`: name it with --results"),
        "{}",
        told.err
    );
}

#[test]
fn a_trend_has_what_operations_cost_where_runs_counted_it() {
    let place = place();
    let cost = |steady: u32| {
        format!(
            r#"[{{"kernel":"debian:trixie","release":"6.12.107+deb13-s390x","arch":"s390x","variant":"memmap_on_memory=on",
            "method":"plugin","qemu":"10.0.13","operations":[{{"name":"online","samples":[9,8],"steady":{steady}}}]}}]"#
        )
    };
    for (run, steady) in [
        ("20260914T101530Z-3f9a1c", 5035551),
        ("20260915T101530Z-3f9a1c", 5035557),
    ] {
        let file = place.root.join("results").join(run).join("cost.json");
        fs_err::write(file, cost(steady)).unwrap();
    }
    let told = memrig(&place.root, &["trend"]);
    assert_eq!((told.code, &*told.err), (Some(0), ""));
    let words = "instructions for one memory block, memmap_on_memory=on\n";
    assert!(told.out.contains(words), "{}", told.out);
    for (day, steady) in [(14, "5035551"), (15, "5035557")] {
        let row = |line: &&str| line.contains(&format!("2026-09-{day}")) && line.contains(steady);
        assert!(told.out.lines().any(|line| row(&line)), "{}", told.out);
    }
    let told = memrig(&place.root, &["trend", "--format", "json", "-a", "s390x"]);
    let all: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(all[1]["costs"][0]["instructions"], 5035557);
    let told = memrig(&place.root, &["trend", "--format", "csv", "--last", "1"]);
    let head = told.out.lines().next().unwrap();
    assert!(
        head.ends_with(",instructions online memmap_on_memory=on,counted_by,counted_by_qemu"),
        "{head}"
    );
    assert!(told.out.contains(",5035557,plugin,10.0.13\n"), "{}", told.out);
    // They are of no suite.
    let told = memrig(&place.root, &["trend", "-s", "standby"]);
    assert!(
        told.code == Some(0) && !told.out.contains("instructions"),
        "{}",
        told.out
    );
    let told = memrig(&place.root, &["trend", "-k", "debian:sid"]);
    assert_eq!(told.code, Some(4), "{}", told.out);
}

/// The tests that programs reported have a table of their own, and a file where there are any.
#[test]
fn a_report_writes_the_subcases_where_there_are_any() {
    let place = place();
    let folder = place.root.join("results/20260914T101530Z-3f9a1c");
    let write = || {
        let told = memrig(&place.root, &["report", folder.as_str(), "--write"]);
        assert_eq!(told.code, Some(1), "{}", told.err);
        fs_err::read_to_string(folder.join("subcases.csv")).ok()
    };
    assert_eq!(write(), None);
    let mut record = sample::cases().swap_remove(0);
    record.steps[0].subcases = vec![SubcaseRecord {
        name: "mm, first".to_owned(),
        verdict: Verdict::Pass,
        reason: None,
        said: Vec::new(),
    }];
    let record = Box::new(record);
    Journal::resume(&folder)
        .unwrap()
        .append(&Event::CaseFinished { record })
        .unwrap();
    let written = write().unwrap();
    assert!(
        written.ends_with(",B01,1,1,\"mm, first\",pass,,suites/blocks.yaml,12\n"),
        "{written}"
    );
    let told = memrig(
        &place.root,
        &["report", folder.as_str(), "--format", "subcases-csv"],
    );
    assert_eq!(told.out, written);
}

#[test]
fn the_report_of_a_compared_run_begins_with_the_comparison() {
    let place = place();
    let folder = place.root.join("results/20260914T101530Z-3f9a1c");
    let report = |format: &str| {
        let told = memrig(&place.root, &["report", folder.as_str(), "--format", format]);
        assert_eq!(told.code, Some(1), "{}", told.err);
        told.out
    };
    let alone = report("text");
    let compared = serde_json::to_vec(&page::comparison()).unwrap();
    fs_err::write(folder.join("compare.json"), &compared).unwrap();
    let both = report("text");
    assert!(both.starts_with("s390x: 1 change"), "{both}");
    assert!(both.ends_with(&alone), "{both}");
    let json: Value = serde_json::from_str(&report("json")).unwrap();
    assert_eq!(json["compare"]["new"], "debian:sid");
    // What lies beside a record takes nothing with it that reads.
    fs_err::write(folder.join("compare.json"), &compared[..40]).unwrap();
    fs_err::write(folder.join("explore.json"), "{\"kernels\": [").unwrap();
    let told = memrig(&place.root, &["report", folder.as_str(), "--write"]);
    assert_eq!(told.code, Some(1), "{}", told.err);
    assert!(told.out.starts_with(alone.trim_end()), "{}", told.out);
    for file in ["compare.json` does not read", "explore.json"] {
        assert!(told.err.contains(file), "{file}: {}", told.err);
    }
    for file in ["report.html", "junit.xml", "cases.csv"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
}

#[test]
fn damage_and_newer_formats_are_told_and_the_rest_is_shown() {
    let place = place();
    let results = place.root.join("results");
    let journal = results.join("20260914T101530Z-3f9a1c/events.jsonl");
    let text = fs_err::read_to_string(&journal).unwrap();
    fs_err::write(
        &journal,
        text.replacen("{\"at\":", "{\"at\"", 4)
            .replacen("{\"at\"", "{\"at\":", 3),
    )
    .unwrap();
    let newer = results.join("20260916T101530Z-3f9a1c");
    fs_err::create_dir(&newer).unwrap();
    fs_err::write(newer.join("run.json"), "{\"format\": 2}").unwrap();
    let told = memrig(&place.root, &["history", "S08"]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(
        told.err.contains("20260914T101530Z-3f9a1c: events.jsonl:4: "),
        "{}",
        told.err
    );
    assert!(
        told.err
            .contains("has format 2, and this memrig reads up to 1: use a newer memrig"),
        "{}",
        told.err
    );
    assert!(told.out.contains("  KK  (2 runs"), "{}", told.out);
}

#[test]
fn a_report_tells_new_failures_from_old_ones() {
    let place = place();
    let run = |name: &str| format!("results/{name}");
    let first = memrig(
        &place.root,
        &["report", &run("20260914T101530Z-3f9a1c"), "--html"],
    );
    assert_eq!(first.code, Some(1));
    // No run before has judged anything.
    assert!(
        first.out.contains("1 fail,") && !first.out.contains("run before"),
        "{}",
        first.out
    );
    let page = fs_err::read_to_string(place.root.join(run("20260914T101530Z-3f9a1c/report.html"))).unwrap();
    assert!(!page.contains("first seen") && page.starts_with("<!doctype html>"));
    // What failed passed the day before.
    let journal = place.root.join(run("20260914T101530Z-3f9a1c/events.jsonl"));
    let text = fs_err::read_to_string(&journal).unwrap();
    fs_err::write(
        &journal,
        text.replace("\"verdict\":\"fail\"", "\"verdict\":\"pass\""),
    )
    .unwrap();
    let second = memrig(&place.root, &["report", &run("20260915T101530Z-3f9a1c")]);
    assert!(second.out.contains("1 fail (1 new)"), "{}", second.out);
    assert!(
        second.out.contains("new: passed in 20260914T101530Z-3f9a1c"),
        "{}",
        second.out
    );
    for format in ["json", "kcidb"] {
        let told = memrig(
            &place.root,
            &["report", &run("20260915T101530Z-3f9a1c"), "--format", format],
        );
        assert!(serde_json::from_str::<Value>(&told.out).unwrap().is_object());
    }
}

#[test]
fn a_matrix_that_nobody_can_mean_is_refused_before_anything_is_got() {
    let place = place();
    let refused = |text: &str, words: &str| {
        fs_err::write(place.root.join("m.yaml"), text).unwrap();
        let told = memrig(&place.root, &["matrix", "m.yaml", "--results", "none"]);
        assert_eq!(told.code, Some(2), "{}", told.err);
        assert!(told.err.contains(words), "no `{words}` in: {}", told.err);
        assert!(!place.root.join("none/latest").exists(), "a run was started");
        assert!(!place.root.join("cache/debs").exists(), "something was got");
    };
    refused(
        "matrix: m\nkernels: [debian:sid]\nsuites: [blokcs]\n",
        "m.yaml:3:10: there is no suite `blokcs`",
    );
    refused(
        "matrix: m\nkernels: [sid]\nsuites: [blocks]\n",
        "m.yaml:2:11: `sid` names no kernel",
    );
    refused(
        "matrix: m\nkernels: []\nsuites: [blocks]\n",
        "m.yaml:2:1: `kernels` is empty",
    );
    let words: String = (0..6_000).map(|n| format!("  - [x={n}]\n")).collect();
    let large = format!("matrix: m\nkernels: [debian:sid]\nsuites: [blocks]\ncmdlines:\n{words}");
    refused(
        &large,
        "and 100000 are the most: 1 kernels × 2 architectures × 6000 command lines ×",
    );
    let told = memrig(&place.root, &["matrix", "nightli"]);
    assert!(
        told.code == Some(2) && told.err.contains("there is no matrix `nightli`"),
        "{}",
        told.err
    );
    let told = memrig(&place.root, &["run", "--shard", "slice:6/5"]);
    assert!(
        told.code == Some(2) && told.err.contains("is no shard"),
        "{}",
        told.err
    );
}

#[test]
fn a_plan_for_github_is_one_line_of_json() {
    let place = place();
    let told = memrig(
        &place.root,
        &[
            "plan", "nightly", "--format", "github", "--shards", "2", "--by", "hash",
        ],
    );
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert_eq!(
        told.out,
        "{\"include\":[{\"shard\":\"hash:1/2\"},{\"shard\":\"hash:2/2\"}]}\n"
    );
}

#[test]
fn prune_shows_sizes_and_merge_names_what_is_no_part() {
    let place = place();
    let told = memrig(&place.root, &["prune", "--keep", "0", "--dry-run"]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(
        told.out.contains("2 runs: ") && told.out.contains("would be now"),
        "{}",
        told.out
    );
    let told = memrig(&place.root, &["merge", "results/20260914T101530Z-3f9a1c"]);
    assert_eq!(told.code, Some(2));
    assert!(
        told.err.contains("is no shard: it was not run with --shard"),
        "{}",
        told.err
    );
}

/// What is on stdout must not be taken for all of it where the disk was full.
#[test]
fn what_stdout_does_not_take_is_an_error_of_every_verb_that_prints() {
    let place = place();
    let run = "20260914T101530Z-3f9a1c";
    let report: Vec<Vec<&str>> = [
        "text",
        "csv",
        "subcases-csv",
        "json",
        "junit",
        "ktap",
        "github",
        "kcidb",
    ]
    .into_iter()
    .map(|format| vec!["report", run, "--format", format])
    .collect();
    let others = [
        "history B01",
        "history B01 --format csv",
        "flaky",
        "trend --format json",
        "list",
        "prune --keep 9",
        "plan nightly --format github",
        "doctor",
        "completions bash",
        "man",
        "--help",
        "run --help",
        "--version",
    ];
    let others = others.map(|words| words.split(' ').collect());
    for words in report.into_iter().chain(others) {
        let to = |stdout: Stdio| {
            let told = Told::by(call(&place.root).args(&words).stdout(stdout));
            (told.code, told.err)
        };
        let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, said) = to(full.into_file().into());
        assert_eq!(code, Some(3), "{words:?}: {said}");
        assert!(
            said.contains(
                "error: stdout did not take all that was printed\n  caused by: No space left on device"
            ),
            "{words:?}: {said}"
        );
        // A reader that has seen enough is none.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (_, said) = to(writer.into());
        assert!(!said.contains("stdout"), "{words:?}: {said}");
    }
}

/// A fresh clone has a run that shows what one looks like.
#[test]
fn a_run_under_a_name_of_its_own_is_shown_and_counts_nowhere() {
    let place = place();
    let sample = place.root.join("results/sample");
    fs_err::rename(place.root.join("results/20260914T101530Z-3f9a1c"), &sample).unwrap();
    let told = memrig(
        &place.root,
        &["history", "b01", "--variant", "memmap_on_memory=on"],
    );
    assert!(told.out.contains("  F  (1 run, "), "{}", told.out);
    let told = memrig(&place.root, &["trend"]);
    assert!(!told.out.contains("sample"), "{}", told.out);
    let told = memrig(&place.root, &["prune", "--keep", "0"]);
    assert!(
        told.out.contains("\n1 runs: ") && !told.out.contains("sample"),
        "{}",
        told.out
    );
    let told = memrig(&place.root, &["report", "results/sample"]);
    assert!(
        told.out.contains("again: memrig replay results/sample "),
        "{}",
        told.out
    );
}

#[test]
fn a_report_without_a_name_is_of_the_last_run_in_the_results_folder() {
    let place = place();
    let results = place.root.join("results");
    std::os::unix::fs::symlink("20260915T101530Z-3f9a1c", results.join("latest")).unwrap();
    let answer = " cases: ";
    let told = memrig(&place.root, &["report"]);
    assert!(told.out.contains(answer), "{}", told.err);
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = Utf8Path::from_path(elsewhere.path()).unwrap();
    let told = memrig(elsewhere, &["report", "--results", results.as_str()]);
    assert!(told.out.contains(answer), "{}", told.err);
    assert!(
        told.out.contains(&format!(" --results {results}\n")),
        "{}",
        told.out
    );
    let told = Told::by(call(elsewhere).arg("report").env("MEMRIG_RESULTS", &results));
    assert!(told.out.contains(answer), "{}", told.out);
}

#[test]
fn a_bundle_for_a_folder_that_is_not_there_is_refused() {
    let place = place();
    let run = "results/20260914T101530Z-3f9a1c";
    let told = memrig(&place.root, &["report", run, "--bundle", "no/such/run.tar.gz"]);
    assert_eq!(told.code, Some(2), "{}", told.err);
    assert!(
        told.err.starts_with("error: there is no `no/such`"),
        "{}",
        told.err
    );
}

#[test]
fn what_is_no_file_in_a_run_is_told_by_its_kind_and_not_waited_for() {
    let put = |path: &Utf8Path, kind: &str| {
        if path.exists() {
            fs_err::remove_file(path).unwrap();
        }
        match kind {
            "a FIFO" => {
                let fifo = rustix::fs::FileType::Fifo;
                let all = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                rustix::fs::mknodat(rustix::fs::CWD, path.as_std_path(), fifo, all, 0).unwrap();
            }
            "a device" => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
            _ => fs_err::create_dir(path).unwrap(),
        }
    };
    for kind in ["a FIFO", "a device", "a folder"] {
        for file in ["run.json", "events.jsonl"] {
            let place = place();
            let run = "results/20260914T101530Z-3f9a1c";
            put(&place.root.join(run).join(file), kind);
            let told = memrig(&place.root, &["report", run]);
            let said = format!("{file}` is {kind}: expected a file");
            assert!(told.code == Some(2) && told.err.contains(&said), "{}", told.err);
            let told = memrig(&place.root, &["history", "B01"]);
            assert!(told.code == Some(0) && told.err.contains(&said), "{}", told.err);
        }
        for file in ["junit.xml", "report.html", "compare.json", "costs.json"] {
            let place = place();
            let run = "results/20260914T101530Z-3f9a1c";
            put(&place.root.join(run).join(file), kind);
            for args in [
                &["report", run, "--write"][..],
                &["report", run, "--html"],
                &["history", "B01"],
            ] {
                let told = memrig(&place.root, args);
                assert!(
                    // The sample has a failure.
                    matches!(told.code, Some(0 | 1))
                        || told.err.contains(&format!("is {kind}: expected a file")),
                    "{file} {args:?}: {}",
                    told.err
                );
            }
        }
    }
}
