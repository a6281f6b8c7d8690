// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exploring: the plan of a seed, what is refused, and a fault of a real kernel that is found, made short, and found again by what was written.

use camino::Utf8Path;
use serde_json::Value;

use crate::{
    ground,
    told::{Told, memrig},
};

fn explore(results: &Utf8Path, args: &[&str]) -> Told {
    let mut command = memrig();
    command.arg("explore").args(args).env("MEMRIG_RESULTS", results);
    Told::by(&mut command)
}

#[test]
fn a_seed_is_a_plan_and_nothing_is_run_for_it() {
    let place = folder();
    let plan = |seed: &str| {
        let told = explore(&place.1, &["--dry-run", "--sequences", "3", "--seed", seed]);
        assert_eq!((told.code, told.err.as_str()), (Some(0), ""));
        // The lines between name the seed.
        let wishes: Vec<&str> = told.out.lines().filter(|line| line.starts_with("  ")).collect();
        assert!(wishes.len() > 6, "{}", told.out);
        (wishes.join("\n"), told.out.matches("sequence").count())
    };
    assert_eq!(plan("7"), plan("7"));
    assert_ne!(plan("7").0, plan("8").0);
    assert_eq!(plan("7").1, 6);
    assert_eq!(fs_err::read_dir(&place.1).unwrap().count(), 0);
}

#[test]
fn what_is_no_time_is_refused() {
    let place = folder();
    for (args, said) in [
        (&["--time", "0s"][..], "longer than no time"),
        (&["--time", "soon"], "expected how long, such as 10m"),
        (&["--sequences", "0"], "0 is not in 1..=1000000"),
        (&["--dry-run"], "--sequences <N>"),
        (&["--time", "1m", "--sequences", "3"], "cannot be used with"),
        (&["--corpus", "x", "--unled"], "cannot be used with"),
        (
            &["--corpus", "/dev/null/x"],
            "another folder can be named by --corpus",
        ),
    ] {
        let told = explore(&place.1, args);
        assert_eq!(told.code, Some(2), "{args:?}");
        assert!(told.err.contains(said), "{args:?}: {}", told.err);
    }
}

#[test]
fn a_comparison_explores_for_some_time_and_by_a_seed_of_that() {
    for (args, said) in [
        (["--explore", "0s"], "longer than no time"),
        (["--seed", "3"], "--explore <TIME>"),
    ] {
        let both = ["compare", "--base", "debian:sid", "--new", "debian:trixie"];
        let told = Told::by(memrig().args(both).args(args).env("MEMRIG_RESULTS", &folder().1));
        assert_eq!(told.code, Some(2), "{args:?}");
        assert!(told.err.contains(said), "{args:?}: {}", told.err);
    }
}

/// The first sequence of this seed refuses an increment halfway, after steps that have nothing to do with it, and 6.12 does not give back those before it.
const HALFWAY: [&str; 8] = [
    "-k",
    "debian:trixie",
    "-a",
    "s390x",
    "--seed",
    "912",
    "--sequences",
    "1",
];

#[test]
fn a_fault_of_a_guest_is_found_made_short_and_found_again() {
    ground::rig();
    let place = folder();
    let found = explore(
        &place.1,
        &[&HALFWAY[..], &["--with-known", "--tries", "16"]].concat(),
    );
    assert_eq!(found.code, Some(1), "{}\n{}", found.out, found.err);
    let run = place.1.join("latest");
    let record: Value = serde_json::from_slice(&fs_err::read(run.join("explore.json")).unwrap()).unwrap();
    let findings = &record["kernels"][0]["findings"];
    let sign = "online, mismatch: standby increments assigned";
    assert_eq!(
        (findings.as_array().unwrap().len(), &findings[0]["sign"]),
        (1, &sign.into())
    );
    let file = run.join(findings[0]["file"].as_str().unwrap());
    let text = fs_err::read_to_string(&file).unwrap();
    let steps = |of: &str| findings[0][of].as_u64().unwrap();
    assert_eq!(
        text.matches("      - ").count() as u64,
        steps("shortest"),
        "{text}"
    );
    assert!(
        2 * steps("shortest") <= steps("steps"),
        "{} of {}",
        steps("shortest"),
        steps("steps")
    );
    let again = Told::by(
        memrig()
            .args([
                "run",
                file.as_str(),
                "-k",
                "debian:trixie",
                "-a",
                "s390x",
                "--no-retry",
            ])
            .env("MEMRIG_RESULTS", &place.1),
    );
    assert_eq!(again.code, Some(1), "{}\n{}", again.out, again.err);
    assert!(
        again.out.contains("first standby increments assigned"),
        "{}",
        again.out
    );
}

#[test]
fn what_the_suites_know_of_a_guest_is_no_finding() {
    ground::rig();
    let place = folder();
    let told = explore(&place.1, &HALFWAY);
    assert_eq!(told.code, Some(0), "{}\n{}", told.out, told.err);
    assert!(told.out.contains("nothing found"), "{}", told.out);
    assert!(
        told.out
            .contains("assigned increments are not given back when one of them is refused"),
        "{}",
        told.out
    );
}

#[test]
fn a_matrix_explores_its_kernels_before_its_cases_and_each_is_a_case_of_the_run() {
    ground::rig();
    let place = folder();
    let matrix = place.1.join("m.yaml");
    let text = "matrix: m\nkernels: [debian:trixie]\nsuites: [quick]\nexplore: { time: 10s, seed: 7 }\nexclude:\n  - { suite: quick }\n\
        include:\n  - { kernel: debian:trixie, arch: x86_64, suite: quick, case: Q02 }\n  - { kernel: debian:trixie, arch: s390x, suite: quick, case: Q02 }\n";
    fs_err::write(&matrix, text).unwrap();
    let results = place.1.join("results");
    let told = |args: &[&str]| {
        let mut command = memrig();
        Told::by(command.args(args).env("MEMRIG_RESULTS", &results))
    };
    let plan = told(&["plan", matrix.as_str()]);
    let line = "2 kernels explored before them, 0.2 min together, with seed 7\n";
    assert!(plan.out.ends_with(line), "{}{}", plan.out, plan.err);
    // A part has a kernel for itself, and as much time for it as without parts.
    let plan = told(&["plan", matrix.as_str(), "--shard", "slice:2/2"]);
    let line = "1 kernel explored before them, 0.1 min together, with seed 7\n";
    assert!(plan.out.ends_with(line), "{}{}", plan.out, plan.err);

    let part = told(&["matrix", matrix.as_str(), "--shard", "slice:1/2"]);
    assert_eq!(part.code, Some(0), "{}{}", part.out, part.err);
    let run = results.join("latest");
    let record: Value = serde_json::from_slice(&fs_err::read(run.join("explore.json")).unwrap()).unwrap();
    let kernels = record["kernels"].as_array().unwrap();
    assert_eq!((kernels.len(), &kernels[0]["seed"]), (1, &7.into()));
    assert!(kernels[0]["sequences"].as_u64() > Some(0), "{record}");
    let junit = fs_err::read_to_string(run.join("junit.xml")).unwrap();
    for case in ["sequences random", "Q02 "] {
        assert_eq!(
            junit.matches(&format!("testcase name=\"{case}")).count(),
            1,
            "{junit}"
        );
    }
    let again = told(&["replay", "latest", "sequences"]);
    assert_eq!(again.code, Some(2), "{}{}", again.out, again.err);
    assert!(again.err.contains(" --seed 7"), "{}", again.err);
}

/// A folder that is gone with what comes first, and its path.
fn folder() -> (tempfile::TempDir, camino::Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap().to_owned();
    (folder, path)
}
