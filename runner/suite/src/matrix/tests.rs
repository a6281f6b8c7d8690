// SPDX-License-Identifier: MIT OR Apache-2.0
//! A matrix from its text to its jobs.

use std::time::Duration;

use super::axes::{Coordinates, Explore, Matrix};
use crate::{Suite, SuiteErrors};
use base::Arch;

const TEXT: &str = "\
matrix: nightly
about: all
kernels: [debian:trixie, debian:sid]
suites: [blocks, standby]
variants: [memmap_on_memory=on]
cmdlines: [[], [page_owner=on, x]]
exclude:
  - { kernel: debian:sid, suite: blocks, arch: x86_64 }
  - { cmdline: [page_owner=on, x], arch: s390x }
include:
  - { kernel: debian:bookworm, suite: blocks, case: B01 }
";

fn parse(text: &str) -> Result<Matrix, SuiteErrors> {
    let kernel = |name: &str| match name.starts_with("debian:") {
        true => Ok(()),
        false => Err((
            format!("`{name}` names no kernel"),
            Some("such as debian:sid".to_owned()),
        )),
    };
    let suite = |name: &str| match name {
        "blocks" | "standby" => Ok(()),
        _ => Err((format!("there is no suite `{name}`"), None)),
    };
    Matrix::parse("m.yaml", text, &kernel, &suite)
}

fn takes(kernel: &str, arch: Arch, suite: &str, case: &str, variant: &[&str], cmdline: &[&str]) -> bool {
    let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    parse(TEXT).unwrap().takes(Coordinates {
        kernel,
        arch,
        suite,
        case,
        variant: &owned(variant),
        cmdline: &owned(cmdline),
    })
}

#[test]
fn axes_less_what_is_left_out_and_what_is_added() {
    use Arch::{S390x, X86_64};
    assert!(takes("debian:trixie", X86_64, "blocks", "B01", &[], &[]));
    assert!(takes(
        "debian:trixie",
        X86_64,
        "blocks",
        "B01",
        &[],
        &["page_owner=on", "x"]
    ));
    assert!(!takes(
        "debian:trixie",
        X86_64,
        "blocks",
        "B01",
        &[],
        &["page_owner=on"]
    ));
    assert!(!takes(
        "debian:trixie",
        S390x,
        "blocks",
        "B01",
        &[],
        &["page_owner=on", "x"]
    ));
    assert!(!takes("debian:sid", X86_64, "blocks", "B01", &[], &[]));
    assert!(takes("debian:sid", S390x, "blocks", "B01", &[], &[]));
    assert!(takes(
        "debian:sid",
        S390x,
        "standby",
        "S1",
        &["memmap_on_memory=on", "increment=4M"],
        &[]
    ));
    assert!(!takes(
        "debian:sid",
        S390x,
        "standby",
        "S1",
        &["memmap_on_memory=off"],
        &[]
    ));
    assert!(takes(
        "debian:bookworm",
        X86_64,
        "blocks",
        "B01",
        &["memmap_on_memory=off"],
        &[]
    ));
    assert!(!takes("debian:bookworm", X86_64, "blocks", "B02", &[], &[]));
    assert!(!takes(
        "debian:bookworm",
        X86_64,
        "blocks",
        "B01",
        &[],
        &["page_owner=on", "x"]
    ));
    let matrix = parse(TEXT).unwrap();
    assert_eq!(matrix.all_kernels().len(), 3);
    assert_eq!(matrix.at_most(10), 10 * 3 * 2 * 2);
    assert_eq!(matrix.at_most(usize::MAX), usize::MAX);
}

#[test]
fn kernels_are_explored_for_some_time() {
    let explore = |words: &str| parse(&format!("{TEXT}explore: {words}\n")).map(|matrix| matrix.explore);
    assert_eq!(parse(TEXT).unwrap().explore, None);
    let hour = Duration::from_secs(3600);
    for (words, seed) in [("{ time: 1h }", None), ("{ time: 60m, seed: 7 }", Some(7))] {
        assert_eq!(explore(words), Ok(Some(Explore { time: hour, seed })));
    }
    let told = |words: &str| explore(words).unwrap_err().to_string();
    insta::assert_snapshot!(told("{ time: 0s }"));
    insta::assert_snapshot!(told("{ time: 1h, sed: 7 }"));
    insta::assert_snapshot!(told("{ seed: 7 }"));
    insta::assert_snapshot!(told("{ time: 1h, seed: -1 }"));
    insta::assert_snapshot!(told("1h"));
}

#[test]
fn every_mistake_is_told_at_its_place() {
    let told = |text: &str| parse(text).unwrap_err().to_string();
    let text = TEXT
        .replace("debian:sid]", "sid]")
        .replace("[blocks, standby]", "[blocks, stanby, blocks]");
    insta::assert_snapshot!(told(&text));
    insta::assert_snapshot!(told(&TEXT.replace("exclude:", "exclud:")));
    insta::assert_snapshot!(told(&TEXT.replace(", suite: blocks, case: B01", ", arch: arm")));
    insta::assert_snapshot!(told(
        "matrix: x\nkernels: []\nsuites: [blocks]\nvariants: [on]\nexclude:\n  - {}\n  - { suite: standby }\n"
    ));
    assert!(told("").contains("the matrix is empty"));
    assert!(told("kernels: [debian:sid]\nkernels: []\n").contains("twice"));
    assert!(
        told("just words").contains("m.yaml:1:1: "),
        "{}",
        told("just words")
    );
}

#[test]
fn a_part_that_means_no_case_is_told_at_its_place() {
    let suite = |name: &str, cases: &str| {
        let text = format!("suite: {name}\nvariants: {{ memmap_on_memory: [off, on] }}\ncases:\n{cases}");
        Suite::parse(&format!("{name}.yaml"), &text).unwrap()
    };
    let blocks = suite("blocks", "  - { id: B01, name: a, steps: [log: { has: x }] }\n");
    let standby = suite(
        "standby",
        "  - { id: S01, name: a, needs: { arch: [s390x] }, variants: {}, steps: [log: { has: x }] }\n",
    );
    let suites = [("blocks", &blocks), ("standby", &standby)];
    let checked = |text: &str| parse(text).unwrap().check_parts("m.yaml", text, &suites);
    assert_eq!(checked(TEXT), Ok(()));
    let text = "\
matrix: m
kernels: [debian:sid]
suites: [blocks, standby]
variants: [memmap_on_memory=force]
exclude:
  - { case: B1 }
  - { case: S01, arch: x86_64 }
include:
  - { kernel: debian:sid, suite: standby, variant: memmap_on_memory=off }
  - { kernel: debian:sid, suite: standby, arch: x86_64 }
";
    insta::assert_snapshot!(checked(text).unwrap_err().to_string());
    let text = "matrix: m\nkernels: [debian:sid]\nsuites: [blocks]\narches: [s390x]\nexclude:\n  - { arch: x86_64 }\n  - { cmdline: [x] }\n";
    insta::assert_snapshot!(parse(text).unwrap_err().to_string());
}
