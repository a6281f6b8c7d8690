// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison as a mail.

use super::{
    summary::{ROWS, about, rest},
    words::{answer, cost, named, place, ran},
};
use crate::text::{Lines, count, one_line};
use compare::CompareRecord;

/// Longest line of a mail, in characters.
pub(super) const MAIL_WIDTH: usize = 72;

/// The comparison as text to be pasted below a patch: no line is longer than 72 characters, but for words that are.
pub fn compare_mail(record: &CompareRecord) -> String {
    let mut lines = Lines::default();
    for (arch, sum) in &record.arches {
        lines.line(format_args!(
            "{arch}: {}{}",
            answer(record, *arch, sum),
            cost(record, *arch)
        ));
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
    if let Some(ran) = ran(record) {
        lines.line(format_args!("{ran}"));
    }
    lines.line(format_args!(""));
    about(record, &mut lines);
    rest(record, &mut lines);
    lines.line(format_args!("\n{}", trailer(record)));
    wrapped(&lines.into_text())
}

/// A line for the trailers of a commit's message: what was compared, how much of it was looked at, and what was not.
fn trailer(record: &CompareRecord) -> String {
    let mut parts = vec![format!(
        "Compared-with: memrig {}: {} against {}; {}",
        env!("CARGO_PKG_VERSION"),
        record.new,
        record.base,
        record.suites.join(" ")
    )];
    parts.extend(record.arches.iter().map(|(arch, sum)| {
        let not: usize = sum.not_compared.iter().map(|group| group.cases.len()).sum();
        let not = match not {
            0 => String::new(),
            n => format!(", {} not compared", count(n, "case")),
        };
        let differ = match sum.differing {
            0 => "none differs".to_owned(),
            n => format!("{n} differ"),
        };
        format!(
            "{arch} {} to {}: {}, {}, {differ}{not}",
            sum.base.release,
            sum.new.release,
            count(sum.cases, "case"),
            count(sum.observations, "observation"),
        )
    }));
    one_line(&parts.join("; "))
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
