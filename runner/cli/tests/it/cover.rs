// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which code of a real kernel cases ran.

use std::collections::BTreeSet;

use base::Arch;
use serde_json::Value;

use crate::{
    ground,
    told::{Told, memrig},
};

const SUITE: &str = "suite: ran
cases:
  - id: C1
    name: a block goes online
    steps: [add: { as: b }, online: { block: b, zone: movable }]
  - id: C2
    name: a block goes online and offline
    steps: [add: { as: b }, online: { block: b, zone: movable }, offline: { block: b }]
  - id: C3
    name: nothing is done
    steps: [guest: { run: 'true' }]
  - id: C4
    name: a guest that boots
    boot: fresh
    steps: [guest: { run: 'true' }]
  - id: C5
    name: a notifier of a module refuses
    steps: [add: { as: b }, veto: { notifier: MEM_GOING_ONLINE, errno: ENOMEM }, online: { block: b, zone: movable, fails: ENOMEM }]
";

fn names(functions: &Value) -> BTreeSet<&str> {
    let names = functions.as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn each_case_has_the_functions_that_it_ran_and_no_others() {
    ground::rig();
    let place = tempfile::tempdir().unwrap();
    let suite = place.path().join("ran.yaml");
    fs_err::write(&suite, SUITE).unwrap();
    let results = place.path().join("results");
    let ran = Told::by(
        memrig()
            .args(["run", suite.to_str().unwrap(), "-k", "debian:trixie", "--cover"])
            .env("MEMRIG_RESULTS", &results),
    );
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    assert!(!ran.err.contains("is not known"), "{}", ran.err);
    let report = |format: &str| {
        let folder = results.join("latest");
        Told::by(memrig().args(["report", folder.to_str().unwrap(), "--format", format]))
    };
    let coverage: Value = serde_json::from_str(&report("coverage").out).unwrap();
    let kernels = coverage["kernels"].as_array().unwrap();
    assert_eq!(kernels.len(), Arch::ALL.len());
    for kernel in kernels {
        let cases: Vec<&Value> = kernel["cases"].as_array().unwrap().iter().collect();
        let of = |id: &str| {
            let case = cases.iter().find(|case| case["case"] == id).unwrap();
            assert_eq!(case["booted"], id == "C4", "{case}");
            names(&case["functions"])
        };
        let boot = names(&kernel["boot"]);
        assert!(boot.contains("start_kernel"));
        for (function, by) in [("online_pages", ["C1", "C2"]), ("offline_pages", ["C2", "C2"])] {
            assert!(!boot.contains(function), "{function} while booting");
            for id in ["C1", "C2", "C3", "C4"] {
                let ran = of(id).contains(function);
                assert_eq!(ran, by.contains(&id), "{} {id} {function}", kernel["arch"]);
            }
        }
        for (function, by) in [
            ("virtnet_probe [virtio_net]", &["C4"] as &[&str]),
            // The case has loaded it.
            ("notifier_err_inject_callback [notifier_error_inject]", &["C5"]),
        ] {
            for id in ["C1", "C2", "C3", "C4", "C5"] {
                let ran = of(id).contains(function);
                assert_eq!(ran, by.contains(&id), "{} {id} {function}", kernel["arch"]);
            }
        }
        assert!(boot.contains("virtnet_probe [virtio_net]"));
        assert!(!of("C3").contains("start_kernel"), "a clone has not booted");
        assert!(of("C4").contains("start_kernel"));
    }
    // Cases are chosen by what they ran, without another guest.
    let reaching = |code: &str| {
        let mut memrig = memrig();
        memrig.args([
            "run",
            suite.to_str().unwrap(),
            "-k",
            "debian:trixie",
            "--dry-run",
            "--reaches",
            code,
        ]);
        Told::by(memrig.env("MEMRIG_RESULTS", &results))
    };
    let offline = reaching("offline_pages");
    assert_eq!(offline.code, Some(0), "{}", offline.err);
    assert!(
        offline.err.contains("2 of 10 cases reach offline_pages"),
        "{}",
        offline.err
    );
    let is_job = |line: &&str| {
        Arch::ALL
            .iter()
            .any(|arch| line.starts_with(&format!("# {arch} ")))
    };
    let jobs: Vec<&str> = offline.out.lines().filter(is_job).collect();
    assert!(
        jobs.len() == 2 && jobs.iter().all(|job| job.ends_with(" ran/C2")),
        "{jobs:?}"
    );
    let wrong = reaching("ofline_pages");
    assert_eq!(wrong.code, Some(4), "{}", wrong.err);
    assert!(
        wrong.err.contains("did you mean `offline_pages`?"),
        "{}",
        wrong.err
    );
    // Of a kernel from a package no lines are known.
    let line = reaching("mm/memory_hotplug.c:1474");
    assert_eq!(line.code, Some(2), "{}", line.err);
    assert!(
        line.err
            .contains("memrig run all --cover -k source:debian:trixie"),
        "{}",
        line.err
    );
    let lcov = report("lcov");
    assert_eq!(lcov.code, Some(2), "{}", lcov.out);
    assert!(lcov.err.contains("knows functions, and no lines"), "{}", lcov.err);
}

#[test]
fn a_guest_that_dies_has_told_before_where_its_kernel_lies() {
    ground::rig();
    let place = tempfile::tempdir().unwrap();
    let suite = place.path().join("dies.yaml");
    let text = "suite: dies
cases:
  - id: D1
    name: a block goes online, and the kernel dies
    steps: [add: { as: b }, online: { block: b, zone: movable }, guest: { run: 'echo c > /proc/sysrq-trigger' }]
  - id: D2
    name: nothing is done
    steps: [guest: { run: 'true' }]
";
    fs_err::write(&suite, text).unwrap();
    let results = place.path().join("results");
    let ran = Told::by(
        memrig()
            .args([
                "run",
                suite.to_str().unwrap(),
                "-k",
                "debian:trixie",
                "-a",
                "s390x",
                "--cover",
            ])
            .env("MEMRIG_RESULTS", &results),
    );
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.out, ran.err);
    let folder = results.join("latest");
    let told = Told::by(memrig().args(["report", folder.to_str().unwrap(), "--format", "coverage"]));
    let coverage: Value = serde_json::from_str(&told.out).unwrap();
    let cases = coverage["kernels"][0]["cases"].as_array().unwrap();
    let dead = cases.iter().find(|case| case["case"] == "D1").unwrap();
    assert_eq!(dead["booted"], false);
    assert!(names(&dead["functions"]).contains("online_pages"));
    assert!(names(&dead["functions"]).contains("panic"));
}
