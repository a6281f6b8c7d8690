// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verbs that need no guest, as they are typed.

use std::process::{Command, Stdio};

use base::fault::Verdict;
use camino::{Utf8Path, Utf8PathBuf};
use record::{Event, Journal, SubcaseRecord};
use serde_json::Value;

use crate::{page, results::sample};

struct Place {
    _dir: tempfile::TempDir,
    root: Utf8PathBuf,
}

struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A results folder with the sample as two runs, one after the other.
fn place() -> Place {
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

fn memrig(root: &Utf8Path, args: &[&str]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_memrig"))
        .args(args)
        .current_dir(root)
        .env("MEMRIG_CACHE", root.join("cache"))
        .env_remove("MEMRIG_RESULTS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Told {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
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
    fs_err::write(folder.join("compare.json"), &compared[..40]).unwrap();
    let told = memrig(&place.root, &["report", folder.as_str()]);
    assert_eq!(told.code, Some(3));
    assert!(told.err.contains("compare.json` does not read"), "{}", told.err);
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
    assert!(first.out.contains("1 fail (0 new)"), "{}", first.out);
    assert!(
        first
            .out
            .contains("no run before has judged this case on this kernel line"),
        "{}",
        first.out
    );
    let page = fs_err::read_to_string(place.root.join(run("20260914T101530Z-3f9a1c/report.html"))).unwrap();
    assert!(page.contains("first seen") && page.starts_with("<!doctype html>"));
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
            let output = Command::new(env!("CARGO_BIN_EXE_memrig"))
                .args(&words)
                .current_dir(&place.root)
                .env("MEMRIG_CACHE", place.root.join("cache"))
                .env_remove("MEMRIG_RESULTS")
                .stdin(Stdio::null())
                .stdout(stdout)
                .output()
                .unwrap();
            (
                output.status.code(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
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
    let output = Command::new(env!("CARGO_BIN_EXE_memrig"))
        .arg("report")
        .current_dir(elsewhere)
        .env("MEMRIG_CACHE", elsewhere.join("cache"))
        .env("MEMRIG_RESULTS", &results)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains(answer), "{out}");
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
            let told = in_time(&place.root, &["report", run]);
            let said = format!("{file}` is {kind}: expected a file");
            assert!(told.code == Some(2) && told.err.contains(&said), "{}", told.err);
            let told = in_time(&place.root, &["history", "B01"]);
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
                let told = in_time(&place.root, args);
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

/// Calls memrig where it may hang; it is not waited for then.
fn in_time(root: &Utf8Path, args: &[&str]) -> Told {
    let limit = ["60", env!("CARGO_BIN_EXE_memrig")];
    let output = Command::new("timeout")
        .args(limit.iter().chain(args))
        .current_dir(root)
        .env("MEMRIG_CACHE", root.join("cache"))
        .env_remove("MEMRIG_RESULTS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(124), "{args:?} hangs");
    Told {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A place with an empty cache, a source that looks like a kernel's, and programs that write down that they were called.
struct Watched {
    _dir: tempfile::TempDir,
    root: Utf8PathBuf,
}

/// Programs by which something is got, installed or built.
const ACTING: [&str; 9] = [
    "apt-get",
    "apt-config",
    "apt-helper",
    "dpkg",
    "make",
    "ninja",
    "patch",
    "pip",
    "sudo",
];

/// What git can be asked without changing anything.
const ASKING: [&str; 7] = [
    "cat-file",
    "log",
    "merge-base",
    "rev-list",
    "rev-parse",
    "show",
    "status",
];

impl Watched {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let place = Self { _dir: dir, root };
        for folder in ["bin", "linux", "cache", "series"] {
            fs_err::create_dir(place.root.join(folder)).unwrap();
        }
        fs_err::write(place.root.join("linux/Makefile"), "").unwrap();
        fs_err::write(place.root.join("linux/Kconfig"), "").unwrap();
        place.git(&["init", "-q", "-b", "main"]);
        place.git(&["add", "-A"]);
        place.git(&["commit", "-q", "-m", "a source"]);
        fs_err::write(place.root.join("linux/Kconfig"), "config X\n").unwrap();
        place.git(&["commit", "-q", "-a", "-m", "a change"]);
        place.git(&["format-patch", "-q", "-1", "-o", "../series"]);
        for program in ACTING {
            place.program(program, "exit 1");
        }
        let git = supply::host::in_path("git").unwrap();
        place.program("git", &format!("exec {} \"$@\"", git.display()));
        place
    }

    fn git(&self, args: &[&str]) {
        let said = Command::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@x.test"])
            .args(args)
            .current_dir(self.root.join("linux"))
            .output()
            .unwrap();
        assert!(said.status.success(), "{args:?}");
    }

    fn program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;

        let path = self.root.join("bin").join(name);
        let text = format!("#!/bin/sh\necho \"{name} $*\" >> {}/called\n{text}\n", self.root);
        fs_err::write(&path, text).unwrap();
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Calls memrig, and does not wait for one that hangs.
    fn memrig(&self, args: &[&str]) -> Told {
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("timeout")
            .args(["60", env!("CARGO_BIN_EXE_memrig")])
            .args(args)
            .current_dir(&self.root)
            .env("PATH", format!("{}/bin:{path}", self.root))
            .env("XDG_CACHE_HOME", self.root.join("cache"))
            .env_remove("MEMRIG_CACHE")
            .env_remove("MEMRIG_RESULTS")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = Told {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert_ne!(told.code, Some(124), "{args:?} hangs: {}", told.err);
        told
    }

    /// All that is there but the list of calls, with its times.
    fn all(&self) -> String {
        let list = Command::new("find")
            .args([".", "-mindepth", "2", "-printf", "%p %s %T@\n"])
            .current_dir(&self.root)
            .output()
            .unwrap();
        String::from_utf8(list.stdout).unwrap()
    }

    /// Calls that were not questions.
    fn acted(&self) -> Vec<String> {
        let called = fs_err::read_to_string(self.root.join("called")).unwrap_or_default();
        let asks = |line: &&str| {
            let mut words = line.strip_prefix("git ").unwrap_or_default().split(' ');
            let words = std::iter::from_fn(|| match words.next() {
                Some("-c") => {
                    words.next();
                    Some("")
                }
                word => word,
            });
            let subject: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
            subject.first().is_some_and(|word| ASKING.contains(word))
        };
        let acted = called.lines().filter(|line| !asks(line));
        acted.map(str::to_owned).collect()
    }

    /// The kernels of which nothing is in the cache, and what is said of each.
    fn kernels(&self) -> [(String, &'static str); 5] {
        [
            (
                "debian:trixie".to_owned(),
                "debian:trixie for x86_64 is not in the cache: the index of trixie for amd64 would be fetched",
            ),
            (
                "source:debian:trixie".to_owned(),
                "source:debian:trixie for x86_64 is not in the cache: the index of trixie for amd64 would be fetched",
            ),
            (
                "tree:linux".to_owned(),
                "tree:linux for x86_64 is not in the cache: ",
            ),
            (
                "tree:linux@main".to_owned(),
                "tree:linux@main for x86_64 is not in the cache: ",
            ),
            (
                "tree:linux@main~1,series=series".to_owned(),
                "for x86_64 is not in the cache: the series would be applied, and built",
            ),
        ]
    }
}

#[test]
fn a_plan_gets_nothing_and_says_what_would_be_got() {
    let place = Watched::new();
    let before = place.all();
    let untouched = |what: &str| {
        assert_eq!(place.all(), before, "{what} left something");
        assert_eq!(place.acted(), Vec::<String>::new(), "{what}");
    };
    for (kernel, said) in place.kernels() {
        let args = [
            "run",
            "quick",
            "--dry-run",
            "-a",
            "x86_64",
            "-c",
            "Q02",
            "-k",
            &kernel,
        ];
        let told = place.memrig(&args);
        assert_eq!(told.code, Some(0), "{}", told.err);
        let lines = told.err.lines().filter(|line| line.contains(said)).count();
        assert_eq!(lines, 1, "{kernel}: {}", told.err);
        // The job goes by the label, without a release.
        let label = kernel.split(',').next().unwrap();
        assert!(told.out.starts_with(&format!("# x86_64 {label}")), "{}", told.out);
        assert!(told.out.contains(" quick/Q02"), "{}", told.out);
        assert!(told.out.contains("is not known before"), "{}", told.out);
        untouched(&kernel);
    }
    let kernels = place
        .kernels()
        .map(|(kernel, _)| format!("'{kernel}'"))
        .join(", ");
    let matrix = format!("matrix: m\nkernels: [{kernels}]\nsuites: [quick]\n");
    fs_err::write(place.root.join("m.yaml"), matrix).unwrap();
    for args in [
        &["plan", "m.yaml"][..],
        &["plan", "m.yaml", "--format", "json"],
        &["plan", "m.yaml", "--format", "times"],
        &["submit", "--slurm", "--dry-run", "m.yaml"],
    ] {
        let told = place.memrig(args);
        assert_eq!(told.code, Some(0), "{args:?}: {}", told.err);
        for (_, said) in place.kernels() {
            assert!(told.err.contains(said), "{args:?}: {}", told.err);
        }
        let said = "QEMU for s390x is not in the cache: it would be built";
        assert_eq!(told.err.matches(said).count(), 1, "{args:?}: {}", told.err);
        untouched(&args.join(" "));
    }
    let told = place.memrig(&["doctor"]);
    assert!(
        told.code == Some(3) && told.out.contains("is not built yet"),
        "{}",
        told.out
    );
    untouched("doctor");
    for (kernel, said) in [
        ("tree:linux@v9", "has no commit `v9`"),
        ("tree:bin", "is no kernel source"),
        ("tree:linux,series=bin", "has no files `*.patch`"),
        ("debian:potato", "expected bookworm, trixie or sid"),
    ] {
        let told = place.memrig(&["run", "quick", "--dry-run", "-a", "x86_64", "-k", kernel]);
        assert_eq!(told.code, Some(2), "{}", told.err);
        assert!(told.err.contains(said), "{}", told.err);
        untouched(kernel);
    }
}

#[test]
fn a_plan_waits_for_nobody_who_builds_or_fetches() {
    use supply::cache::{Cache, Key};

    let place = Watched::new();
    let cache = place.root.join("cache/memrig");
    let cache = Cache::at(cache.as_std_path(), &base::ui::Ui::silent()).unwrap();
    let linux = fs_err::canonicalize(place.root.join("linux")).unwrap();
    let tree = Key::new()
        .with("tree 1")
        .with("path")
        .with(linux.as_os_str().as_encoded_bytes());
    let names = [
        format!("trees/{}", tree.finish()),
        "apt/trixie-amd64".to_owned(),
        "apt/trixie-s390x".to_owned(),
        "apt/bookworm-amd64".to_owned(),
    ];
    let _held: Vec<_> = names.iter().map(|name| cache.lock(name).unwrap()).collect();
    let kernels = place
        .kernels()
        .map(|(kernel, _)| format!("'{kernel}'"))
        .join(", ");
    let matrix = format!("matrix: m\nkernels: [{kernels}]\nsuites: [quick]\n");
    fs_err::write(place.root.join("m.yaml"), matrix).unwrap();
    for args in [
        &["plan", "m.yaml"][..],
        &["submit", "--slurm", "--dry-run", "m.yaml"],
        &["run", "--dry-run", "-k", "tree:linux", "-k", "debian:trixie"],
    ] {
        let told = place.memrig(args);
        assert_eq!(told.code, Some(0), "{args:?}: {}", told.err);
        assert!(!told.err.contains("waiting for another memrig"), "{}", told.err);
    }
}
