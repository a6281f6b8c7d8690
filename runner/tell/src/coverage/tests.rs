// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use record::{
    Coverage, LineOfCode, SourceLines, Span,
    samples::{covered_case, covered_kernel},
};

fn span(offset: u64) -> Span {
    Span { offset, bytes: 4 }
}

/// Two functions of two lines each: the second line of the first is run by both cases, the first line of the second by the boot alone.
fn coverage() -> Coverage {
    let row = |offset, line, inlined: Option<&str>| LineOfCode {
        span: span(offset),
        line,
        inlined: inlined.map(str::to_owned),
    };
    let source = SourceLines {
        file: "mm/a.c".to_owned(),
        rows: vec![
            row(0, 10, None),
            row(4, 11, Some("see")),
            row(20, 30, None),
            row(24, 31, Some("see")),
        ],
        changed: [(11, "new();".to_owned())].into(),
        ..SourceLines::default()
    };
    let functions = [(0, "online_pages"), (20, "offline_pages")];
    let mut kernel = covered_kernel(&functions, vec![source], &[0, 4, 20].map(span));
    kernel.text.label = "source:debian:trixie".to_owned();
    kernel.boot = [2].into_iter().collect();
    kernel.cases = vec![covered_case("B01", &[0, 1]), covered_case("B02", &[1])];
    Coverage {
        kernels: vec![kernel],
    }
}

#[test]
fn a_tracefile_counts_cases() {
    let text = "\
TN:x86_64_source_debian_trixie_6_12
SF:mm/a.c
FN:10,online_pages
FN:30,offline_pages
FNDA:1,online_pages
FNDA:1,offline_pages
FNF:2
FNH:2
DA:10,1
DA:11,2
DA:30,1
DA:31,0
LF:4
LH:3
end_of_record
";
    assert_eq!(lcov(&coverage()), text);
}

#[test]
fn cobertura_has_a_class_for_each_file() {
    let xml = cobertura(&coverage(), 17);
    for part in [
        "lines-covered=\"3\" lines-valid=\"4\"",
        "line-rate=\"0.7500\"",
        "timestamp=\"17\"",
        "<class name=\"mm/a.c\" filename=\"mm/a.c\"",
        "<line number=\"11\" hits=\"2\"/>",
        "<line number=\"31\" hits=\"0\"/>",
    ] {
        assert!(xml.contains(part), "{part} is not in {xml}");
    }
    let mut hostile = coverage();
    hostile.kernels[0].text.label = "a\"<b>&\u{1}".to_owned();
    assert!(cobertura(&hostile, 0).contains("<package name=\"x86_64.a&quot;&lt;b>&amp;"));
}

#[test]
fn a_person_reads_what_the_cases_ran() {
    let text = "\
ran: 1 of 2 functions of x86_64.source:debian:trixie-6.12 in 2 cases
of its series: 1 of 1 changed lines
file     lines  functions
mm/a.c  3 of 4     2 of 2
";
    assert_eq!(coverage_summary(&coverage()), text);
}

#[test]
fn json_has_the_functions_of_each_case() {
    let json = coverage_json(&coverage());
    let kernel = &json["kernels"][0];
    assert_eq!(
        kernel["cases"][1]["functions"],
        serde_json::json!(["online_pages"])
    );
    assert_eq!(kernel["boot"], serde_json::json!(["offline_pages"]));
    assert_eq!(kernel["files"][0]["lines"]["11"], 2);
    let inlined = serde_json::json!([
        { "function": "see", "into": "offline_pages", "cases": 0 },
        { "function": "see", "into": "online_pages", "cases": 2 },
    ]);
    assert_eq!(kernel["files"][0]["inlined"], inlined);
}

#[test]
fn markdown_tells_what_no_case_reaches() {
    let mut coverage = coverage();
    // A file of which only parts are about memory hotplug, in another kernel.
    let mut other = coverage.kernels[0].clone();
    other.text.arch = base::Arch::S390x;
    other.text.sources[0].file = "mm/page_alloc.c".to_owned();
    other.text.functions[0].1 = "alloc_pages".to_owned();
    other.text.functions[1].1 = "offline_isolated_pages".to_owned();
    other.boot = record::Ran::default();
    // Its boot is among what this one ran.
    other.cases[1] = record::CoveredCase {
        booted: true,
        ..covered_case("B02", &[1, 2])
    };
    coverage.kernels.insert(0, other);
    let text = "\
# What the cases reach

Of run `20261129T101530Z-3f9a1c`: lines that a case ran, and with `+` those that only booting ran, of the lines that have code. Cases that boot by themselves count as booting.

| file | x86_64 source:debian:trixie-6.12, 2 cases | s390x source:debian:trixie-6.12, 2 cases |
|---|---|---|
| mm/a.c | 2 + 1 of 4 | – |
| mm/page_alloc.c (parts) | – | 0 + 1 of 2 |

## Functions that no case reaches

`boot`: only booting does. `never`: nothing does. `–`: not in this kernel, or inlined wherever it is used.

| function | x86_64 source:debian:trixie-6.12, 2 cases | s390x source:debian:trixie-6.12, 2 cases |
|---|---|---|
| mm/a.c: `offline_pages` | boot | – |
| mm/page_alloc.c: `offline_isolated_pages` | – | boot |
";
    assert_eq!(
        coverage_markdown(&coverage, &["20261129T101530Z-3f9a1c".to_owned()]),
        text
    );
    let both = coverage_markdown(&coverage, &["one".to_owned(), "two".to_owned()]);
    assert!(both.contains("\nOf runs `one`, `two`: lines that"), "{both}");
}
