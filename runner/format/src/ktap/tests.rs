// SPDX-License-Identifier: MIT OR Apache-2.0
use proptest::prelude::*;

use super::{line::LONGEST, *};

fn told(text: &str) -> (Vec<(String, Status)>, Vec<String>) {
    let report = parse(text);
    let results = report
        .results
        .into_iter()
        .map(|result| (result.name, result.status));
    (results.collect(), report.problems)
}

fn named(results: &[(&str, Status)]) -> Vec<(String, Status)> {
    results
        .iter()
        .map(|(name, status)| ((*name).to_owned(), *status))
        .collect()
}

#[test]
fn nested_subtests_are_folded_into_names() {
    let text = "KTAP version 1\n1..2\n  KTAP version 1\n  # Subtest: inner\n  1..2\n    KTAP version 1\n    1..1\n    # deep: said\n    \
            not ok 1 deep\n  not ok 1 middle\n  ok 2 other # SKIP no such thing\nnot ok 1 outer\nok 2 - last one\n";
    let (results, problems) = told(text);
    let expected = [
        ("outer / middle / deep", Status::NotOk),
        ("outer / other", Status::Skip),
        ("last one", Status::Ok),
    ];
    assert_eq!((results, problems), (named(&expected), vec![]));
    let report = parse(text);
    assert_eq!(report.results[0].said, ["# deep: said"]);
    assert_eq!(report.results[1].reason, "no such thing");
}

#[test]
fn the_runner_of_the_selftests_puts_a_hash_before_what_programs_print() {
    let text = "TAP version 13\n1..2\n# timeout set to 45\n# selftests: mm: a\n# TAP version 13\n# 1..2\n# ok 1 first\n# # ok, this is a remark\n\
            # not ok 2 second\n# # Totals: pass:1 fail:1\nnot ok 1 selftests: mm: a # exit=1\n# selftests: mm: b\n\
            not ok 2 selftests: mm: b # TIMEOUT 45 seconds\n";
    let (results, problems) = told(text);
    let expected = [
        ("selftests: mm: a # exit=1 / first", Status::Ok),
        ("selftests: mm: a # exit=1 / second", Status::NotOk),
        ("selftests: mm: b", Status::NotOk),
    ];
    assert_eq!((results, problems), (named(&expected), vec![]));
}

#[test]
fn a_remark_that_looks_like_a_result_is_none() {
    let (results, problems) =
        told("TAP version 13\n1..1\n# ok 7 of the pages are there\nokay then\nok 1 a\n");
    assert_eq!((results, problems), (named(&[("a", Status::Ok)]), vec![]));
}

#[test]
fn directives() {
    let text = "1..9\nok 1 a # SKIP\nok 2 # skip no root\nnot ok 3 c # TODO later\nnot ok 4 d # XFAIL known\nok 5 e # XFAIL known\n\
            not ok 6 f # SKIP x\nok 7 g # ERROR broke\nnot ok 8 issue #12 is back\nok 9 i # TODO later\n";
    let outcomes: Vec<_> = parse(text)
        .results
        .into_iter()
        .map(|result| result.status)
        .collect();
    use Status::*;
    assert_eq!(
        outcomes,
        [
            Skip,
            Skip,
            ExpectedFail,
            ExpectedFail,
            ExpectedFail,
            Skip,
            NotOk,
            NotOk,
            Ok
        ]
    );
    assert_eq!(parse(text).results[1].name, "2 no root");
}

#[test]
fn a_plan_may_come_last_and_numbers_in_any_order() {
    let (results, problems) = told("TAP version 13\nok 2 b\nok 1 a\n1..2\n");
    assert_eq!((results.len(), problems), (2, vec![]));
}

#[test]
fn what_is_not_whole_is_told() {
    let problems = |text: &str| parse(text).problems.join("; ");
    assert!(problems("TAP version 13\n1..3\nok 1 a\nok 2 b\n").starts_with("2 of 3 results"));
    assert!(problems("TAP version 13\nok 1 a\n").starts_with("1 result and no plan"));
    assert!(problems("TAP version 13\n").contains("no plan"));
    assert!(problems("1..1\nok 1 a\nok 2 b\n").starts_with("2 results, and a plan of 1"));
    assert!(problems("1..2\nok 1 a\nok 1 b\n").contains("came twice"));
    assert!(problems("1..2\nok 1 a\nok 5 b\n").contains("does not have"));
    assert!(problems("1..2\n1..3\nok 1 a\nok 2 b\n").contains("two plans"));
    assert_eq!(
        problems("1..1\nok 1 a\nBail out! no memory\n"),
        "the program gave up: no memory"
    );
    let died = "KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: inner\n  1..2\n  ok 1 a\n";
    assert!(
        problems(died).contains("inner has no result of its own"),
        "{}",
        problems(died)
    );
    assert!(problems(died).contains("1 of 2 results"));
    assert_eq!(parse("hello\n"), Report::default());
}

#[test]
fn a_whole_that_is_not_ok_although_its_parts_are_is_kept() {
    let text = "1..1\n  1..1\n  ok 1 part\nnot ok 1 whole\n";
    let (results, _) = told(text);
    assert_eq!(
        results,
        named(&[("whole / part", Status::Ok), ("whole", Status::NotOk)])
    );
}

#[test]
fn a_report_may_be_indented_as_a_whole_and_what_stands_before_it_opens_nothing() {
    let text = " boot\n TAP version 14\n 1..1\n \t# Subtest: a\n \t1..1\n  foo\t#\n \tok 1 - x\n ok 1 - a\n Kernel panic\n";
    assert_eq!(told(text), (named(&[("a / x", Status::Ok)]), vec![]));
    // The head of the outermost test is lost.
    let text = "    KTAP version 1\n    # Subtest: a\n    1..1\n    ok 1 x\nnot ok 1 a\n";
    let results = named(&[("a / x", Status::Ok), ("a", Status::NotOk)]);
    assert_eq!(told(text), (results, vec![]));
}

#[test]
fn a_plan_of_nothing_with_a_reason_is_a_skip() {
    let report = parse("TAP version 13\n1..0 # SKIP no hugepages\n");
    assert_eq!(
        (report.problems.len(), report.results[0].status),
        (0, Status::Skip)
    );
    assert_eq!(report.results[0].reason, "no hugepages");
}

#[test]
fn two_programs_one_after_the_other_are_both_read() {
    let text = "TAP version 13\n1..1\nok 1 a\nTAP version 13\n1..2\nok 1 a\n";
    let (results, problems) = told(text);
    assert_eq!((results.len(), problems.len()), (2, 1));
}

/// A tree of tests, as a program would print it.
#[derive(Debug, Clone)]
enum Test {
    Leaf(bool),
    Node(Vec<Test>),
}

fn tests() -> impl Strategy<Value = Vec<Test>> {
    let leaf = any::<bool>().prop_map(Test::Leaf);
    let test = leaf.prop_recursive(3, 20, 4, |inner| {
        proptest::collection::vec(inner, 1..4).prop_map(Test::Node)
    });
    proptest::collection::vec(test, 1..5)
}

fn print(tests: &[Test], indent: usize, plan_last: bool, out: &mut String, leaves: &mut Vec<bool>) -> bool {
    let pad = " ".repeat(indent);
    out.push_str(&pad);
    out.push_str("KTAP version 1\n");
    let plan = format!("{pad}1..{}\n", tests.len());
    if !plan_last {
        out.push_str(&plan);
    }
    let mut all = true;
    for (at, test) in tests.iter().enumerate() {
        let ok = match test {
            Test::Leaf(ok) => {
                leaves.push(*ok);
                *ok
            }
            Test::Node(inner) => print(inner, indent + 2, plan_last, out, leaves),
        };
        all &= ok;
        let word = if ok { "ok" } else { "not ok" };
        let line = format!("{pad}{word} {} t{at}\n", at + 1);
        out.push_str(&line);
    }
    if plan_last {
        out.push_str(&plan);
    }
    all
}

proptest! {
    #[test]
    fn every_leaf_comes_back_and_a_program_that_dies_never_passes(tests in tests(), plan_last: bool, cut in 0usize..100) {
        let mut text = String::new();
        let mut leaves = Vec::new();
        print(&tests, 0, plan_last, &mut text, &mut leaves);
        let report = parse(&text);
        prop_assert_eq!(&report.problems, &Vec::<String>::new());
        let seen: Vec<bool> = report.results.iter().map(|result| result.status == Status::Ok).collect();
        prop_assert_eq!(seen, leaves);
        // Cut off after any line but the last.
        let lines: Vec<&str> = text.lines().collect();
        let kept = cut * lines.len() / 100;
        let report = parse(&lines[..kept].join("\n"));
        prop_assert!(kept == 0 || !report.problems.is_empty(), "{:?}", &lines[..kept]);
    }

    #[test]
    fn nothing_breaks_the_reader(text in "(?s).{0,300}", lines in proptest::collection::vec("[ #]{0,6}(ok|not ok|1\\.\\.|KTAP version 1|# Subtest:|Bail out!)[ 0-9#a-zA-Z\u{0}\u{1b}é]{0,12}", 0..30)) {
        for text in [text, lines.join("\n")] {
            let report = parse(&text);
            for result in &report.results {
                prop_assert!(!result.name.chars().any(char::is_control));
                prop_assert!(result.name.chars().count() <= LONGEST + 1);
            }
        }
    }
}

/// What programs of the selftests of Linux 6.12.107 (Debian) printed in guests of Debian's kernel of the same version: madv_populate on s390x,
/// mdwe_test, which is written with kselftest_harness.h, and mremap_test on x86_64. Each was called without arguments, from the
/// step `guest`, and its stdout and stderr written to the console.
#[test]
fn what_programs_of_the_selftests_print_is_read() {
    let counts = |text: &str| {
        let (results, problems) = told(text);
        let count = |of| results.iter().filter(|(_, status)| *status == of).count();
        let counts = [Status::Ok, Status::NotOk, Status::Skip, Status::ExpectedFail].map(count);
        (counts, problems)
    };
    assert_eq!(
        counts(include_str!("fixtures/madv_populate-s390x.txt")),
        ([21, 0, 0, 0], vec![])
    );
    assert_eq!(
        counts(include_str!("fixtures/mdwe_test.txt")),
        ([32, 0, 4, 0], vec![])
    );
    assert_eq!(
        counts(include_str!("fixtures/mremap_test.txt")),
        ([12, 4, 0, 3], vec![])
    );
}

/// What KUnit printed of its example suite, by three generations: Linux 6.1 (modules without a head, hyphens), 6.12 (a head and a plan for
/// each module, parameters without a plan), 6.18 (a plan for parameters of an array, none for generated ones). Debian's kernels have no KUnit:
/// the texts are written after lib/kunit/test.c of each, with names and numbers of our own, as `dmesg` shows them.
#[test]
fn what_three_generations_of_kunit_print_is_read() {
    use Status::{Ok, Skip};
    let modules = include_str!("fixtures/kunit-6.1-modules-made-up.txt");
    let suites = [
        ("memblocks / covers", Ok),
        ("memblocks / sizes / 128 MiB", Ok),
        ("memblocks / sizes / 2 GiB", Skip),
        ("zones / spans", Ok),
    ];
    assert_eq!(told(modules), (named(&suites), vec![]));
    for text in [
        include_str!("fixtures/kunit-6.12-made-up.txt"),
        include_str!("fixtures/kunit-6.18-made-up.txt"),
    ] {
        assert_eq!(told(text), (named(&suites), vec![]), "{text}");
        // Whatever stands before the lines.
        let plain: Vec<&str> = text.lines().map(|line| &line[15..]).collect();
        let with = |before: &str| {
            plain
                .iter()
                .map(|line| format!("{before}{line}\n"))
                .collect::<String>()
        };
        for before in [
            "",
            "kern  :info  : [   12.345678] ",
            "<6>[   12.345678][  T112] ",
            "[Sat Nov 28 14:32:01 2026] ",
            "guest kernel: ",
        ] {
            assert_eq!(told(&with(before)), (named(&suites), vec![]), "{before}");
        }
        // A line that is lost is missed.
        for lost in ["ok 1 128 MiB", "ok 2 sizes", "ok 1 covers"] {
            let (_, problems) = told(
                &text
                    .lines()
                    .filter(|line| !line.ends_with(lost))
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
            assert!(!problems.is_empty(), "without {lost}: {text}");
        }
    }
}

#[test]
fn parameters_without_a_plan_end_with_the_result_of_their_test() {
    let text = |last: &str| {
        format!(
            "KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: s\n  1..1\n    KTAP version 1\n    # Subtest: t\n    ok 1 a\n    ok 2 b\n{last}ok 1 s\n"
        )
    };
    let (results, problems) = told(&text("  ok 1 t\n"));
    assert_eq!((results.len(), problems), (2, vec![]));
    // Another test's result closes nothing, and neither does that of the suite.
    for last in ["  ok 1 u\n", ""] {
        let (_, problems) = told(&text(last));
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with("2 results and no plan")),
            "{problems:?}"
        );
    }
    let gap = text("  ok 1 t\n").replace("ok 2 b", "ok 3 b");
    assert!(
        told(&gap).1[0].contains("lines are missing"),
        "{:?}",
        told(&gap).1
    );
}

#[test]
fn no_number_is_too_large() {
    let text = |head: &str, number: &str| format!("KTAP version 1\n{head}ok {number} a\n");
    let (results, problems) = told(&text("1..1\n", "18446744073709551615"));
    assert_eq!(results.len(), 1);
    assert_eq!(problems, ["a result has a number that a plan of 1 does not have"]);
    // Parameters without a plan, whose numbers have no successor.
    let inner = "KTAP version 1\n1..1\n  # Subtest: t\n  ok 18446744073709551615 a\nok 1 t\n";
    assert!(
        told(inner).1[0].contains("lines are missing"),
        "{:?}",
        told(inner).1
    );
}
