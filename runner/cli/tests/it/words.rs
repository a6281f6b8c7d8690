// SPDX-License-Identifier: MIT OR Apache-2.0
//! What words fit, what is said of those that nearly do, and who wants to hear little.

use crate::verbs::{memrig, place};

#[test]
fn a_list_has_what_the_words_fit_and_its_variants_by_name() {
    let place = place();
    let told = memrig(
        &place.root,
        &[
            "list", "quick", "blocks", "blocks", "-c", "B0*", "-c", "not B02", "-a", "s390x",
        ],
    );
    assert_eq!(told.code, Some(0), "{}", told.err);
    let lines: Vec<&str> = told.out.lines().collect();
    assert!(
        lines[0].starts_with("blocks: "),
        "a suite without such a case is left out: {}",
        told.out
    );
    assert!(
        lines[1].starts_with("  B01 ") && lines[2].starts_with("  B03 "),
        "{}",
        told.out
    );
    assert!(
        lines[1].contains(" s390x, memmap_on_memory=off memmap_on_memory=on"),
        "{}",
        lines[1]
    );
    assert_eq!(
        told.out.matches("blocks: ").count(),
        1,
        "what is named twice is one"
    );
    let told = memrig(
        &place.root,
        &[
            "list",
            "blocks",
            "-c",
            "B01",
            "--variant",
            "memmap_on_memory=on",
            "--format",
            "json",
        ],
    );
    let listed: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let case = &listed[0]["cases"][0];
    assert_eq!(
        (&listed[0]["suite"], &case["id"]),
        (&"blocks".into(), &"B01".into())
    );
    assert_eq!(case["arches"], serde_json::json!(["x86_64", "s390x"]));
    assert_eq!(case["variants"], serde_json::json!(["memmap_on_memory=on"]));
    let told = memrig(&place.root, &["list", "-c", "B77"]);
    assert_eq!(told.code, Some(4), "{}", told.err);
    assert!(told.err.contains("no case has the id `B77`"), "{}", told.err);
}

#[test]
fn what_is_nearly_right_is_told_in_words() {
    let place = place();
    for (args, said) in [
        (
            &["run", "qick"][..],
            "there is no suite `qick`\nhint: did you mean `quick`? the suites are all, quick,",
        ),
        (
            &["run", "-j", "0"],
            "expected how many guests run at once, 1 or more",
        ),
        (
            &["run", "-j", "-3"],
            "'-3' for '--jobs <N>': expected how many guests run at once, 1 or more",
        ),
        (
            &["cost", "-j", "x"],
            "expected how many guests run at once, 1 or more",
        ),
    ] {
        let told = memrig(&place.root, args);
        assert_eq!(told.code, Some(2), "{args:?}: {}", told.err);
        assert!(told.err.contains(said), "{args:?}: {}", told.err);
    }
}

#[test]
fn who_wants_quiet_is_told_results_alone() {
    let place = place();
    let plan = |more: &[&str]| {
        let args = [
            "run",
            "quick",
            "-c",
            "Q02",
            "-k",
            "debian:sid",
            "-a",
            "s390x",
            "--dry-run",
        ];
        let told = memrig(&place.root, &[&args, more].concat());
        assert_eq!(told.code, Some(0), "{}", told.err);
        (told.out, told.err)
    };
    let (out, err) = plan(&[]);
    assert!(err.contains("is not in the cache"), "{err}");
    assert_eq!(plan(&["-q"]), (out, String::new()));
}
