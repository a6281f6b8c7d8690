// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison of two kernels: the answer, the differences, and what was not compared.

use super::{
    table::{Align, columns},
    terminal::Style,
    text::{Lines, count, one_line},
};
use crate::{
    base::{Arch, PAGE_SIZE, fault::Verdict},
    compare::{ArchComparison, COST_SLACK, CaseName, CompareRecord, Difference, Dimension, Kind, Row},
};

/// Longest value in a table, in characters.
const WIDE: usize = 44;

/// Longest line of a mail, in characters.
const MAIL_WIDTH: usize = 72;

/// Differences of one architecture that are shown; all of them are in `compare.json`.
const ROWS: usize = 24;

/// The comparison for a person at a terminal.
pub fn compare_summary(record: &CompareRecord, style: Style) -> String {
    let mut lines = Lines::default();
    for (arch, sum) in &record.arches {
        let answer = format!("{arch}: {}{}", answer(sum), cost(record, *arch));
        lines.line(format_args!("{}", style.paint(verdict(sum), &answer)));
    }
    lines.line(format_args!(""));
    about(record, &mut lines);
    for one in compared(record).iter().filter(|one| !one.rows.is_empty()) {
        let mut rows = vec![["", "", "base", "new", "where"].map(str::to_owned).to_vec()];
        rows.extend(one.rows.iter().take(ROWS).map(|row| row.to_vec()));
        lines.line(format_args!("\ndifferences on {}:", one.arch));
        lines.text(&columns(&rows, &[Align::Left; 5]));
        if one.rows.len() > ROWS {
            lines.line(format_args!("and {} more in compare.json", one.rows.len() - ROWS));
        }
        for reason in &one.reasons {
            lines.line(format_args!("{reason}"));
        }
        lines.line(format_args!("again: {}", one.again));
    }
    rest(record, &mut lines);
    lines.into_text()
}

/// What came of an architecture, in words.
pub(super) struct Compared {
    pub(super) arch: Arch,
    /// How the answer is to be taken.
    pub(super) verdict: Verdict,
    pub(super) answer: String,
    /// Kind, what differs, both values, where.
    pub(super) rows: Vec<[String; 5]>,
    /// Why cases that did not pass did not, each in a line.
    pub(super) reasons: Vec<String>,
    /// The command that looks at the first difference again; empty without one.
    pub(super) again: String,
}

/// The comparison in words, by architecture.
pub(super) fn compared(record: &CompareRecord) -> Vec<Compared> {
    let words = |(arch, sum): (&Arch, &ArchComparison)| Compared {
        arch: *arch,
        verdict: verdict(sum),
        answer: format!("{}{}", answer(sum), cost(record, *arch)),
        rows: sum
            .rows
            .iter()
            .map(|row| {
                let (base, new) = contrast(&row.first);
                [row.kind.to_string(), named(row), base, new, place(row)]
            })
            .collect(),
        reasons: sum.rows.iter().take(ROWS).flat_map(reasons).collect(),
        again: sum
            .rows
            .first()
            .map_or_else(String::new, |row| again(record, *arch, &row.cases[0])),
    };
    record.arches.iter().map(words).collect()
}

/// What was not compared, and what is shown without being judged, each in a line.
pub(super) fn besides(record: &CompareRecord) -> Vec<String> {
    let (not, shown) = not_and_shown(record);
    not.into_iter().chain(shown).collect()
}

/// The comparison as text to be pasted below a patch: no line is longer than 72 characters, but for words that are.
pub fn compare_mail(record: &CompareRecord) -> String {
    let mut lines = Lines::default();
    for (arch, sum) in &record.arches {
        lines.line(format_args!("{arch}: {}{}", answer(sum), cost(record, *arch)));
        for row in sum.rows.iter().take(ROWS) {
            let value = |value: &Option<String>| value.as_deref().map_or("absent".to_owned(), one_line);
            lines.line(format_args!(
                "  {}: {}: {} -> {} ({})",
                row.kind,
                named(row),
                value(&row.first.base),
                value(&row.first.new),
                place(row)
            ));
        }
        if sum.rows.len() > ROWS {
            lines.line(format_args!("  and {} more", sum.rows.len() - ROWS));
        }
    }
    lines.line(format_args!(""));
    about(record, &mut lines);
    rest(record, &mut lines);
    wrapped(&lines.into_text())
}

/// The answer for one architecture.
fn answer(sum: &ArchComparison) -> String {
    let cases = count(sum.cases, "case");
    if sum.cases == 0 {
        return "not known: no case could be compared".to_owned();
    }
    let mut words: Vec<String> = [Kind::Regression, Kind::Change, Kind::Improvement]
        .into_iter()
        .filter(|kind| sum.count(*kind) > 0)
        .map(|kind| count(sum.count(kind), &kind.to_string()))
        .collect();
    if words.is_empty() {
        words.push("no functional change".to_owned());
    }
    let failing = match sum.failing {
        0 => String::new(),
        failing => format!(", {failing} of which fail on both"),
    };
    let broke = if sum.broke() {
        "; not all of them could be run"
    } else {
        ""
    };
    format!(
        "{}: {} of {} observations differ in {cases}{failing}{broke}",
        words.join(", "),
        sum.differing,
        sum.observations
    )
}

/// What the new kernel costs more, as the end of the answer; empty where nothing was counted.
fn cost(record: &CompareRecord, arch: Arch) -> String {
    let rows = || record.costs.iter().filter(move |row| row.arch == arch);
    if rows().next().is_none() {
        return String::new();
    }
    let words: Vec<String> = rows()
        .filter(|row| row.more() != 0)
        .map(|row| {
            let percent = row.more() as f64 * 100.0 / row.base.max(1) as f64;
            let of = match row.operation.as_str() {
                "remove" => "a remove".to_owned(),
                operation => format!("an {operation}"),
            };
            format!(
                "{:+} instructions ({percent:+.4} %) {of} with {}",
                row.more(),
                row.variant
            )
        })
        .collect();
    match words.is_empty() {
        true => format!("; cost the same within {COST_SLACK} instructions"),
        false => format!("; cost {}", words.join(", ")),
    }
}

/// How the answer is to be taken.
fn verdict(sum: &ArchComparison) -> Verdict {
    if sum.count(Kind::Regression) > 0 {
        Verdict::Fail
    } else if sum.count(Kind::Change) > 0 {
        Verdict::Known
    } else if sum.cases == 0 || sum.broke() {
        Verdict::Error
    } else {
        Verdict::Pass
    }
}

/// What was compared.
fn about(record: &CompareRecord, lines: &mut Lines) {
    if let Some(series) = &record.series {
        lines.line(format_args!("series: {}", one_line(series)));
    }
    if let Some(applied) = &record.applied {
        lines.line(format_args!("applied to: {}", one_line(applied)));
    }
    let releases = |side: fn(&ArchComparison) -> &str| {
        let mut releases: Vec<&str> = record.arches.values().map(side).collect();
        releases.dedup();
        releases.join(", ")
    };
    lines.line(format_args!(
        "base: {} ({})",
        record.base,
        releases(|sum| &sum.base.release)
    ));
    lines.line(format_args!(
        "new: {} ({})",
        record.new,
        releases(|sum| &sum.new.release)
    ));
    lines.line(format_args!(
        "suites: {}; a difference counts if {} pairs of guests have it",
        record.suites.join(" "),
        record.pairs
    ));
}

/// What was not compared, and what is shown without being judged.
fn rest(record: &CompareRecord, lines: &mut Lines) {
    let (not, shown) = not_and_shown(record);
    for (title, part) in [("not compared", not), ("shown, not judged", shown)] {
        if !part.is_empty() {
            lines.line(format_args!("\n{title}:"));
            for line in part {
                lines.line(format_args!("  {line}"));
            }
        }
    }
}

/// What was not compared and why, and what is only shown.
fn not_and_shown(record: &CompareRecord) -> (Vec<String>, Vec<String>) {
    let mut not = Vec::new();
    let mut shown = Vec::new();
    for (arch, sum) in &record.arches {
        for group in &sum.not_compared {
            let n = count(group.cases.len(), "case");
            not.push(format!(
                "{arch}: {n}, first {}: {}",
                group.cases[0],
                one_line(&group.why)
            ));
        }
        for dimension in &sum.unseen {
            not.push(format!(
                "{arch}: {dimension}: one of the kernels does not show them"
            ));
        }
        for row in &sum.unsteady {
            let (base, new) = contrast(&row.first);
            not.push(format!(
                "{arch}: {}: differs in one pair and not in another ({base}, {new}; {})",
                what(&row.first),
                place(row)
            ));
        }
        for (base, new) in &sum.boot_memory {
            shown.push(format!(
                "{arch}: MemTotal after boot {} KiB on the base, {:+} KiB on the new kernel",
                base * PAGE_SIZE as i64 / 1024,
                (new - base) * PAGE_SIZE as i64 / 1024
            ));
        }
        for row in record.costs.iter().filter(|row| row.arch == *arch) {
            let again = match row.again {
                Some((base, new)) => format!("; in a second pair {base} and {new}"),
                None => String::new(),
            };
            shown.push(format!(
                "{arch}: {} {}: {} instructions on the base, {} on the new kernel{again} (by {}; single ones within {})",
                row.operation, row.variant, row.base, row.new, row.method, row.spread
            ));
        }
        let seconds = |millis: u64| millis as f64 / 1000.0;
        shown.push(format!(
            "{arch}: the cases took {:.1} s on the base, {:.1} s on the new kernel",
            seconds(sum.millis.0),
            seconds(sum.millis.1)
        ));
    }
    let counted = record
        .not_counted
        .iter()
        .map(|why| format!("cost: {}", one_line(why)));
    not.extend(counted);
    (not, shown)
}

/// What differs, and of how many others the same was seen.
fn named(row: &Row) -> String {
    match row.others.len() {
        0 => what(&row.first),
        n => format!("{} and {n} more", what(&row.first)),
    }
}

/// What differs, in words.
fn what(difference: &Difference) -> String {
    let dimension = difference.dimension.to_string();
    let name = one_line(&difference.name);
    if name == dimension || name == "notifications" {
        dimension
    } else {
        format!("{dimension} {name}")
    }
}

/// Where a difference was seen.
fn place(row: &Row) -> String {
    let first = &row.cases[0];
    let step = match row.first.step {
        Some(step) => format!(" step {step} `{}`", one_line(&row.first.text)),
        None if row.first.text == "case" => String::new(),
        None => format!(" {}", row.first.text),
    };
    match row.cases.len() {
        1 => format!("{first}{step}"),
        n => format!("{n} cases, first {first}{step}"),
    }
}

/// Why the first case of a verdict that differs did not pass, on either kernel.
fn reasons(row: &Row) -> Vec<String> {
    let told = |side: &str, value: &Option<String>| {
        let (_, reason) = value.as_deref()?.split_once(": ")?;
        Some(format!(
            "{} on the {side} kernel: {}",
            row.cases[0],
            one_line(reason)
        ))
    };
    if row.first.dimension != Dimension::Verdict {
        return Vec::new();
    }
    [told("base", &row.first.base), told("new", &row.first.new)]
        .into_iter()
        .flatten()
        .collect()
}

/// Both values, cut to the part in which they differ.
fn contrast(difference: &Difference) -> (String, String) {
    let text = |value: &Option<String>| value.as_deref().map_or("absent".to_owned(), one_line);
    let (base, new) = (text(&difference.base), text(&difference.new));
    if difference.dimension == Dimension::Verdict {
        let word = |text: &str| text.split(':').next().unwrap_or(text).to_owned();
        return (word(&base), word(&new));
    }
    if base.chars().count() <= WIDE && new.chars().count() <= WIDE {
        return (base, new);
    }
    let same = base.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    // A few characters before the place tell where one is.
    let from = if same > WIDE / 2 { same - WIDE / 4 } else { 0 };
    let cut = |text: &str| {
        let mut part: String = text.chars().skip(from).take(WIDE).collect();
        if from > 0 {
            part.insert_str(0, "...");
        }
        if text.chars().count() > from + WIDE {
            part.push_str("...");
        }
        part
    };
    (cut(&base), cut(&new))
}

/// The command that looks at a case again.
fn again(record: &CompareRecord, arch: Arch, case: &CaseName) -> String {
    let suite = record
        .suites
        .iter()
        .find(|suite| {
            let stem = suite.rsplit('/').next().unwrap_or(suite);
            stem.trim_end_matches(".yaml") == case.suite
        })
        .map_or(case.suite.as_str(), String::as_str);
    let variant = match case.variant.as_str() {
        "" => String::new(),
        variant => variant
            .split(',')
            .map(|choice| format!(" --variant {}", choice.trim()))
            .collect(),
    };
    format!(
        "memrig compare --base {} --new {} -a {arch} {suite} -c {}{variant}",
        record.base, record.new, case.case
    )
}

/// Breaks lines at spaces where they are longer than a mail's; the rest of a line goes further in.
fn wrapped(text: &str) -> String {
    let mut mail = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let mut width = 0;
        for word in line.split_whitespace() {
            let length = word.chars().count();
            if width == 0 {
                mail.push_str(&" ".repeat(indent));
                width = indent;
            } else if width + 1 + length > MAIL_WIDTH {
                mail.push('\n');
                mail.push_str(&" ".repeat(indent + 4));
                width = indent + 4;
            } else {
                mail.push(' ');
                width += 1;
            }
            mail.push_str(word);
            width += length;
        }
        mail.push('\n');
    }
    mail
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        compare::{CostRow, KernelSide, NotCompared},
        record::CostMethod,
    };

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
            series: Some("mend it".to_owned()),
            applied: Some("linux 6.12 (it was named)".to_owned()),
            suites: vec!["quick".to_owned(), "standby".to_owned()],
            runs: vec!["r".to_owned()],
            pairs: 2,
            arches: arches.into_iter().collect(),
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
            "again: memrig compare --base source:debian:trixie,series=s,patches=0 --new source:debian:trixie,series=s -a s390x quick -c Q01 --variant memmap_on_memory=on\n",
            "not compared:\n  x86_64: locks: one of the kernels does not show them\n",
            "MemTotal after boot 4000 KiB on the base, -8 KiB on the new kernel\n",
            "s390x: the cases took 1.5 s on the base, 2.5 s on the new kernel\n",
        ] {
            assert!(text.contains(part), "{part}\n in\n{text}");
        }
        assert_eq!(
            crate::compare::compare_exit(&record),
            crate::base::fault::Exit::KernelFailed
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
            text.contains(
                "in 12 cases; cost +10 instructions (+0.1000 %) an online with memmap_on_memory=off\n"
            ),
            "{text}"
        );
        assert!(text.contains("x86_64: no functional change: 0 of 3456 observations differ in 12 cases\n"));
        assert!(text.contains("offline memmap_on_memory=off: 9000 instructions on the base, 9000 on the new kernel (by plugin; single ones within 7)"));
        record.costs.remove(0);
        let text = compare_summary(&record, Style::Plain);
        assert!(
            text.contains("in 12 cases; cost the same within 8 instructions\n"),
            "{text}"
        );
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        use crate::{base::fault::Exit, compare::compare_exit};
        let exit = |sum: ArchComparison| compare_exit(&record([(Arch::S390x, sum)]));
        let verdict = |kind| row(kind, Dimension::Verdict, "verdict", ["fail", "pass"], None);
        assert_eq!(exit(sum(Vec::new())), Exit::Pass);
        assert_eq!(exit(sum(vec![verdict(Kind::Improvement)])), Exit::Pass);
        assert_eq!(exit(sum(vec![verdict(Kind::Regression)])), Exit::KernelFailed);
        let mut broken = sum(Vec::new());
        broken.not_compared.push(NotCompared {
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
}
