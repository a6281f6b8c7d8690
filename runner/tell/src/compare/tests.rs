// SPDX-License-Identifier: MIT OR Apache-2.0
use std::collections::BTreeMap;

use super::{
    mail::MAIL_WIDTH,
    summary::ROWS,
    words::{WIDE, contrast},
    *,
};
use crate::Style;
use base::{Arch, fault::Verdict};
use compare::{
    ArchComparison, CompareRecord, CostRow, Difference, Dimension, KernelSide, Kind, NotCompared, Row,
};
use record::{CaseName, ChangedLine, CodeIn, CostMethod, LineRan, SeriesRan};

fn name(case: &str) -> CaseName {
    CaseName {
        suite: "quick".to_owned(),
        case: case.to_owned(),
        variant: "memmap_on_memory=on".to_owned(),
    }
}

fn row(kind: Kind, dimension: Dimension, name_of: &str, values: [&str; 2], step: Option<u32>) -> Row {
    Row {
        kind,
        first: Difference {
            moment: 1,
            step,
            text: step.map_or("case", |_| "online: { block: b }").to_owned(),
            dimension,
            name: name_of.to_owned(),
            base: Some(values[0].to_owned()),
            new: Some(values[1].to_owned()),
        },
        cases: vec![name("Q01"), name("Q02")],
        others: Default::default(),
    }
}

fn sum(rows: Vec<Row>) -> ArchComparison {
    let side = |release: &str| KernelSide {
        release: release.to_owned(),
        sha256: String::new(),
    };
    ArchComparison {
        base: side("6.12.1"),
        new: side("6.12.1-new"),
        cases: 12,
        observations: 3456,
        differing: rows.len(),
        rows,
        unsteady: Vec::new(),
        not_compared: Vec::new(),
        boot_memory: vec![(1000, 998)],
        unseen: vec![Dimension::Locks],
        failing: 0,
        millis: (1500, 2500),
    }
}

fn record(arches: impl IntoIterator<Item = (Arch, ArchComparison)>) -> CompareRecord {
    CompareRecord {
        base: "source:debian:trixie,series=s,patches=0".to_owned(),
        new: "source:debian:trixie,series=s".to_owned(),
        base_named: None,
        new_named: Some("new=source:debian:trixie,series=s".to_owned()),
        series: Some("mend it".to_owned()),
        applied: Some("linux 6.12 (it was named)".to_owned()),
        suites: vec!["quick".to_owned(), "standby".to_owned()],
        runs: vec!["r".to_owned()],
        pairs: 2,
        arches: arches.into_iter().collect(),
        ran: BTreeMap::new(),
        costs: Vec::new(),
        not_counted: Vec::new(),
    }
}

#[test]
fn the_first_lines_answer() {
    let mended = vec![
        row(
            Kind::Improvement,
            Dimension::Verdict,
            "verdict",
            ["fail: dies", "pass"],
            None,
        ),
        row(
            Kind::Change,
            Dimension::Notifiers,
            "notifications",
            ["MEM_ONLINE", "none"],
            Some(3),
        ),
    ];
    let record = record([(Arch::X86_64, sum(Vec::new())), (Arch::S390x, sum(mended))]);
    let text = compare_summary(&record, Style::Plain);
    assert!(
        text.starts_with(
            "x86_64: no functional change: 0 of 3456 observations differ in 12 cases\n\
                 s390x: 1 change, 2 improvements: 2 of 3456 observations differ in 12 cases\n\n\
                 series: mend it\n"
        ),
        "{text}"
    );
    for part in [
        "improvement  verdict    fail        pass  2 cases, first quick/Q01 memmap_on_memory=on\n",
        "quick/Q01 memmap_on_memory=on on the base kernel: dies\n",
        "change       notifiers  MEM_ONLINE  none  2 cases, first quick/Q01 memmap_on_memory=on step 3 `online: { block: b }`\n",
        "again: memrig compare --base source:debian:trixie,series=s,patches=0 --new new=source:debian:trixie,series=s -a s390x quick -c Q01 --variant memmap_on_memory=on\n",
        "not compared:\n  x86_64: locks, because at least one of the kernels has no lockdep (`,config=lockdep` builds it in)\n",
        "MemTotal after boot 4000 KiB on the base, -8 KiB on the new kernel\n",
        "s390x: the cases took 1.5 s on the base, 2.5 s on the new kernel\n",
    ] {
        assert!(text.contains(part), "{part}\n in\n{text}");
    }
    assert_eq!(compare::compare_exit(&record), base::fault::Exit::KernelFailed);
}

#[test]
fn a_table_has_a_line_for_each_difference_of_a_case_and_for_each_cost() {
    let rows = vec![row(
        Kind::Change,
        Dimension::Notifiers,
        "notifications",
        ["MEM_ONLINE, MEM_X", "none"],
        Some(3),
    )];
    let mut record = record([(Arch::S390x, sum(rows))]);
    record.costs.push(CostRow {
        arch: Arch::S390x,
        variant: String::new(),
        operation: "online".to_owned(),
        method: CostMethod::Plugin,
        base: 1000,
        new: 1010,
        spread: 0,
        again: None,
    });
    let lines = "s390x,change,quick,{},memmap_on_memory=on,3,online: { block: b },notifiers,notifications,\"MEM_ONLINE, MEM_X\",none\n";
    assert_eq!(
        compare_csv(&record),
        format!(
            "arch,kind,suite,case,variant,step,at,dimension,name,base,new\n{}{}s390x,change,,,,,,cost,online,1000,1010\n",
            lines.replace("{}", "Q01"),
            lines.replace("{}", "Q02")
        )
    );
}

#[test]
fn what_an_operation_costs_more_ends_the_answer() {
    let row = |operation: &str, base, new| CostRow {
        arch: Arch::S390x,
        variant: "memmap_on_memory=off".to_owned(),
        operation: operation.to_owned(),
        method: CostMethod::Plugin,
        base,
        new,
        spread: 7,
        again: (base != new).then_some((base, new)),
    };
    let mut record = record([(Arch::X86_64, sum(Vec::new())), (Arch::S390x, sum(Vec::new()))]);
    record.costs = vec![row("online", 10_000, 10_010), row("offline", 9_000, 9_000)];
    let text = compare_summary(&record, Style::Plain);
    assert!(
        text.contains("in 12 cases; cost +10 instructions (+0.1000 %) an online with memmap_on_memory=off\n"),
        "{text}"
    );
    assert!(text.contains("x86_64: no functional change: 0 of 3456 observations differ in 12 cases\n"));
    assert!(text.contains("offline memmap_on_memory=off: 9000 instructions on the base, 9000 on the new kernel (by plugin-2; single ones within 7)"));
    assert!(
        text.contains(
            "  cost: instructions of interrupts, other tasks, the scheduler, the slab allocator, RCU and random numbers are not counted; \
             up to 8 instructions more or less count as the same\n"
        ),
        "{text}"
    );
    record.costs.remove(0);
    let text = compare_summary(&record, Style::Plain);
    assert!(
        text.contains("in 12 cases; cost the same within 8 instructions\n"),
        "{text}"
    );
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    use base::fault::Exit;
    use compare::compare_exit;
    let exit = |sum: ArchComparison| compare_exit(&record([(Arch::S390x, sum)]));
    let verdict = |kind| row(kind, Dimension::Verdict, "verdict", ["fail", "pass"], None);
    assert_eq!(exit(sum(Vec::new())), Exit::Pass);
    assert_eq!(exit(sum(vec![verdict(Kind::Improvement)])), Exit::Pass);
    assert_eq!(exit(sum(vec![verdict(Kind::Regression)])), Exit::KernelFailed);
    let mut broken = sum(Vec::new());
    broken.not_compared.push(NotCompared {
        verdict: base::fault::Verdict::Error,
        why: "error on the new kernel: QEMU died".to_owned(),
        cases: vec![name("Q01")],
    });
    assert_eq!(exit(broken.clone()), Exit::Broken);
    let text = compare_summary(&record([(Arch::S390x, broken)]), Style::Plain);
    assert!(
        text.contains("differ in 12 cases; not all of them could be run\n"),
        "{text}"
    );
    let mut nothing = sum(Vec::new());
    nothing.cases = 0;
    assert_eq!(exit(nothing.clone()), Exit::Broken);
    let text = compare_summary(&record([(Arch::S390x, nothing)]), Style::Plain);
    assert!(
        text.starts_with("s390x: not known: no case could be compared\n"),
        "{text}"
    );
    assert_eq!(compare_exit(&record([])), Exit::Broken);
}

#[test]
fn a_mail_has_short_lines_and_no_colours() {
    let long = "Assign 1: 0x0020, Assign 2: 0x0020, Assign 3: 0x0020, Assign 4: 0x0020";
    let rows = vec![row(
        Kind::Change,
        Dimension::StorageCommands,
        "storage commands",
        [long, "none\u{1b}[31m"],
        Some(2),
    )];
    let mail = compare_mail(&record([(Arch::S390x, sum(rows))]));
    assert!(
        mail.lines().all(|line| line.chars().count() <= MAIL_WIDTH),
        "{mail}"
    );
    assert!(!mail.contains('\u{1b}'));
    let flat = mail.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains(long) && flat.contains("storage commands: Assign 1"),
        "{mail}"
    );
}

#[test]
fn a_mail_ends_with_a_trailer_that_says_how_much_was_looked_at() {
    let mut sum = sum(Vec::new());
    sum.not_compared.push(NotCompared {
        verdict: Verdict::Error,
        why: "it broke".to_owned(),
        cases: vec![name("Q01"), name("Q02")],
    });
    let mail = compare_mail(&record([(Arch::S390x, sum)]));
    let (_, trailer) = mail.rsplit_once("\n\n").unwrap();
    // What goes on in the next line is further in, as git folds a trailer.
    assert!(
        trailer.lines().skip(1).all(|line| line.starts_with("    ")),
        "{trailer}"
    );
    let flat = trailer.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        flat,
        format!(
            "Compared-with: memrig {}: source:debian:trixie,series=s against source:debian:trixie,series=s,patches=0; quick standby; \
             s390x 6.12.1 to 6.12.1-new: 12 cases, 3456 observations, none differs, 2 cases not compared",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[test]
fn long_values_are_cut_around_the_place_where_they_part() {
    let values = [
        format!("{}{}{}", "a ".repeat(40), "X", " b".repeat(40)),
        format!("{}{}{}", "a ".repeat(40), "Y", " b".repeat(40)),
    ];
    let difference = row(
        Kind::Change,
        Dimension::Sysfs,
        "f",
        [&values[0], &values[1]],
        Some(1),
    )
    .first;
    let (base, new) = contrast(&difference);
    assert!(base.contains('X') && new.contains('Y'), "{base} {new}");
    assert!(base.starts_with("...") && base.ends_with("...") && base.chars().count() <= WIDE + 6);
}

#[test]
fn rows_beyond_the_table_are_counted() {
    let rows = vec![row(Kind::Change, Dimension::Sysfs, "f", ["a", "b"], Some(1)); ROWS + 3];
    let text = compare_summary(&record(BTreeMap::from([(Arch::S390x, sum(rows))])), Style::Plain);
    assert!(text.contains("and 3 more in compare.json\n"), "{text}");
}

fn changed((at, ran): &(u32, LineRan)) -> (u32, ChangedLine) {
    let text = format!("line_{at}();");
    (
        *at,
        ChangedLine {
            text,
            ran: ran.clone(),
            code_in: [CodeIn {
                function: "online_pages".to_owned(),
                inlined: (*at == 8).then(|| "page_to_pfn".to_owned()),
            }]
            .into(),
        },
    )
}

fn ran(lines: &[(u32, LineRan)]) -> SeriesRan {
    SeriesRan {
        files: [("mm/sparse.c".to_owned(), lines.iter().map(changed).collect())].into(),
    }
}

fn by_a_case() -> LineRan {
    LineRan::Cases {
        times: 3,
        first: name("Q01"),
    }
}

#[test]
fn below_the_answer_it_says_what_of_the_series_ran() {
    let mut compared = record([(Arch::X86_64, sum(Vec::new())), (Arch::S390x, sum(Vec::new()))]);
    let lines = [
        (7, by_a_case()),
        (8, LineRan::Never),
        (9, LineRan::NoCode),
        (10, LineRan::Never),
        (20, LineRan::Boot),
    ];
    compared.ran.insert(Arch::X86_64, ran(&lines));
    compared
        .ran
        .insert(Arch::S390x, ran(&[(7, by_a_case()), (8, by_a_case())]));
    let expected = "\
x86_64: no functional change: 0 of 3456 observations differ in 12 cases
s390x: no functional change: 0 of 3456 observations differ in 12 cases
ran: 2 of 4 changed lines (1 while booting alone) on x86_64, 2 of 2 on s390x; never: mm/sparse.c:8-10 on x86_64
";
    let text = compare_summary(&compared, Style::Plain);
    assert!(text.starts_with(expected), "{text}");
    assert!(compare_mail(&compared).contains("\nran: 2 of 4 changed lines"));
}

#[test]
fn nothing_is_claimed_of_a_series_that_did_not_run() {
    let mut compared = record([(Arch::X86_64, sum(Vec::new()))]);
    compared
        .ran
        .insert(Arch::X86_64, ran(&[(8, LineRan::Never), (9, LineRan::NoCode)]));
    let text = compare_summary(&compared, Style::Plain);
    let first = "x86_64: nothing of the series was run: no case reaches any of its 1 changed lines with code: 0 of 3456";
    assert!(text.starts_with(first), "{text}");
    assert!(!compare_mail(&compared).contains("no functional change"));
    compared.ran.insert(Arch::X86_64, ran(&[(9, LineRan::NoCode)]));
    let text = compare_summary(&compared, Style::Plain);
    assert!(
        text.contains("its changed lines have no code in this kernel"),
        "{text}"
    );
    assert!(!text.contains("no functional change"));
}

#[test]
fn the_page_marks_each_line_of_the_series() {
    let mut compared = record([(Arch::X86_64, sum(Vec::new())), (Arch::S390x, sum(Vec::new()))]);
    compared
        .ran
        .insert(Arch::X86_64, ran(&[(7, by_a_case()), (8, LineRan::Never)]));
    compared
        .ran
        .insert(Arch::S390x, ran(&[(7, LineRan::Boot), (8, LineRan::NoCode)]));
    let files = series_files(&compared);
    let words: Vec<Vec<String>> = files[0]
        .lines
        .iter()
        .map(|line| line.ran.iter().map(|(_, word)| word.clone()).collect())
        .collect();
    let case = "3 cases, first quick/Q01 memmap_on_memory=on";
    assert_eq!(words, [[case, "while booting"], ["never", "no code"]]);
    assert_eq!(
        (files[0].lines[1].number, &*files[0].lines[1].text),
        (8, "line_8();")
    );
    let functions: Vec<&str> = files[0].lines.iter().map(|line| &*line.code_in).collect();
    assert_eq!(functions, ["online_pages", "page_to_pfn in online_pages"]);
}

#[test]
fn functions_beyond_a_few_are_counted() {
    let mut ran = ran(&[(7, by_a_case())]);
    let code_in = (0..5).map(|n| CodeIn {
        function: format!("f{n}"),
        inlined: None,
    });
    ran.files
        .get_mut("mm/sparse.c")
        .unwrap()
        .get_mut(&7)
        .unwrap()
        .code_in = code_in.collect();
    let mut compared = record([(Arch::X86_64, sum(Vec::new()))]);
    compared.ran.insert(Arch::X86_64, ran);
    assert_eq!(
        series_files(&compared)[0].lines[0].code_in,
        "f0, f1, f2, and 2 more"
    );
}
