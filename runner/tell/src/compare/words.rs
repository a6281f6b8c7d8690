// SPDX-License-Identifier: MIT OR Apache-2.0
//! The answer, and each difference, in words.

use crate::{
    ran,
    text::{count, one_line},
};
use base::{Arch, fault::Verdict};
use compare::{
    ArchComparison, COST_SLACK, CompareRecord, Difference, Dimension, Kind, Row, verdict_and_reason,
};
use record::CaseName;

/// Longest value in a table, in characters.
pub(super) const WIDE: usize = 44;

/// The answer for one architecture.
pub(super) fn answer(record: &CompareRecord, arch: Arch, sum: &ArchComparison) -> String {
    let cases = count(sum.cases, "case");
    if sum.cases == 0 {
        return "not known: no case could be compared".to_owned();
    }
    let not_run = not_run(record, arch);
    let mut words: Vec<String> = [Kind::Regression, Kind::Change, Kind::Improvement]
        .into_iter()
        .filter(|kind| sum.count(*kind) > 0)
        .map(|kind| count(sum.count(kind), &kind.to_string()))
        .collect();
    match not_run {
        // That says nothing of the series, so that nothing is claimed of it.
        Some(why) => words.insert(0, why),
        None if words.is_empty() => words.push("no functional change".to_owned()),
        None => {}
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

/// What of the series was run on each architecture, in a line; `None` where that is not known.
pub(crate) fn ran(record: &CompareRecord) -> Option<String> {
    let arches: Vec<_> = record.ran.iter().map(|(arch, ran)| (*arch, ran)).collect();
    Some(format!("ran: {}", ran::ran(&arches)?))
}

/// Why nothing can be claimed of the series on an architecture: none of its lines was run, or none has code. `None` where something ran, or it is not
/// known.
pub(super) fn not_run(record: &CompareRecord, arch: Arch) -> Option<String> {
    let ran = record.ran.get(&arch)?;
    if ran.files.is_empty() || ran.ran() > 0 {
        return None;
    }
    Some(match ran.with_code() {
        0 => "nothing of the series was run: its changed lines have no code in this kernel".to_owned(),
        lines => format!(
            "nothing of the series was run: no case reaches any of its {lines} changed lines with code"
        ),
    })
}

/// What the new kernel costs more, as the end of the answer; empty where nothing was counted.
pub(super) fn cost(record: &CompareRecord, arch: Arch) -> String {
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
pub(super) fn verdict(record: &CompareRecord, arch: Arch, sum: &ArchComparison) -> Verdict {
    if sum.count(Kind::Regression) > 0 {
        Verdict::Fail
    } else if sum.count(Kind::Change) > 0 {
        Verdict::Known
    } else if sum.cases == 0 || sum.broke() || not_run(record, arch).is_some() {
        Verdict::Error
    } else {
        Verdict::Pass
    }
}

/// What differs, and of how many others the same was seen.
pub(super) fn named(row: &Row) -> String {
    match row.others.len() {
        0 => what(&row.first),
        n => format!("{} and {n} more", what(&row.first)),
    }
}

/// What differs, in words.
pub(super) fn what(difference: &Difference) -> String {
    let dimension = difference.dimension.to_string();
    let name = one_line(&difference.name);
    if name == dimension || name == "notifications" {
        dimension
    } else {
        format!("{dimension} {name}")
    }
}

/// Where a difference was seen.
pub(super) fn place(row: &Row) -> String {
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
pub(super) fn reasons(row: &Row) -> Vec<String> {
    let told = |side: &str, value: &Option<String>| {
        let reason = verdict_and_reason(value.as_deref()?).1?;
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
pub(super) fn contrast(difference: &Difference) -> (String, String) {
    let text = |value: &Option<String>| value.as_deref().map_or("absent".to_owned(), one_line);
    let (base, new) = (text(&difference.base), text(&difference.new));
    if difference.dimension == Dimension::Verdict {
        let word = |text: &str| verdict_and_reason(text).0.to_owned();
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
pub(super) fn again(record: &CompareRecord, arch: Arch, case: &CaseName) -> String {
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
    let base = record.base_named.as_ref().unwrap_or(&record.base);
    let new = record.new_named.as_ref().unwrap_or(&record.new);
    format!(
        "memrig compare --base {base} --new {new} -a {arch} {suite} -c {}{variant}",
        case.case
    )
}
