// SPDX-License-Identifier: MIT OR Apache-2.0
//! From text to the raw types, with every error that serde_yaml finds, in a suite author's words.
//!
//! serde_yaml stops at its first error. To find the next, the step, case or key that holds it is replaced by something harmless
//! that keeps all lines where they are, and the text is read again.

use super::{
    error::{Complaint, nearest},
    places::{Kind, Node, Span},
    raw::RawSuite,
};

/// What to do about a known issue that any failure would match.
const SIGN_HINT: &str = "say what it is recognised by: `sign: { step: 3, kind: errno, pattern: 'failed with EIO' }`; a case that fails \
    otherwise fails";

/// How many errors are looked for before giving up.
const MOST: usize = 20;

/// Reads a text.
///
/// # Errors
/// All that is wrong with its form, in the order of the lines.
pub(super) fn read(text: &str) -> Result<RawSuite, Vec<Complaint>> {
    let tree = Node::scan(text);
    if tree.kind == Kind::Scalar && tree.span.is_empty() {
        let message = "the suite is empty";
        return Err(vec![Complaint::at(
            text,
            0..0,
            message,
            Some("begin with `suite: NAME` and `cases:`".into()),
        )]);
    }
    let doubled = doubled_keys(text, &tree);
    if !doubled.is_empty() {
        return Err(doubled);
    }
    let mut complaints: Vec<Complaint> = Vec::new();
    let mut patched = text.to_owned();
    loop {
        match serde_yaml::from_str::<RawSuite>(&patched) {
            Ok(raw) if complaints.is_empty() => return Ok(raw),
            Ok(_) => break,
            Err(error) => {
                let tree = Node::scan(&patched);
                let (place, complaint) = complaint(text, &patched, &tree, &error);
                let seen = complaints
                    .iter()
                    .any(|c| (c.line, &c.message) == (complaint.line, &complaint.message));
                if seen {
                    break;
                }
                complaints.push(complaint);
                match without(&patched, &tree, place) {
                    Some(next) if complaints.len() < MOST => patched = next,
                    _ => break,
                }
            }
        }
    }
    complaints.sort_by_key(|c| (c.line, c.column));
    Err(complaints)
}

pub(super) fn doubled_keys(text: &str, tree: &Node) -> Vec<Complaint> {
    let mut found = Vec::new();
    tree.walk(&mut |node| {
        let Kind::Map(entries) = &node.kind else { return };
        for (i, (key, span, _)) in entries.iter().enumerate() {
            if let Some((_, first, _)) = entries[..i].iter().find(|(k, ..)| k == key) {
                let first = Complaint::at(text, first.clone(), "", None).line;
                let hint = Some(format!("the first one is in line {first}"));
                found.push(Complaint::at(
                    text,
                    span.clone(),
                    format!("the key `{key}` is there twice"),
                    hint,
                ));
            }
        }
    });
    found
}

/// What serde_yaml's error says. The place is found in the patched text, and shown in the line as it was written.
pub(super) fn complaint(
    text: &str,
    patched: &str,
    tree: &Node,
    error: &serde_yaml::Error,
) -> (usize, Complaint) {
    let whole = error.to_string();
    let (path, said) = split_path(strip_place(&whole));
    let offset = error
        .location()
        .map_or(0, |at| offset_of(patched, at.line(), at.column()));
    // Errors about the top level carry no place.
    let offset = if offset == 0 { tree.span.start } else { offset };
    let mut span = span_at(tree, offset);
    let (message, hint) = reworded(path, said, patched, offset);
    if let Some(field) = said
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split('`').next())
        && path.is_empty()
        && let Kind::Map(entries) = &tree.kind
        && let Some((_, key, _)) = entries.iter().find(|(key, ..)| key == field)
    {
        span = key.clone();
    }
    let at = Complaint::at(patched, span.clone(), message, hint);
    let source = text
        .lines()
        .nth(at.line - 1)
        .unwrap_or_default()
        .trim_end()
        .to_owned();
    (span.start, Complaint { source, ..at })
}

/// serde_yaml appends the place, and what it was doing, to its messages.
fn strip_place(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |end| &message[..end])
}

/// `cases[0].steps[1].add: missing field …` to its two parts.
fn split_path(message: &str) -> (&str, &str) {
    match message.split_once(": ") {
        Some((path, rest))
            if !path.is_empty()
                && path
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']' | '?')) =>
        {
            (path, rest)
        }
        _ => ("", message),
    }
}

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = &text[start.min(text.len())..];
    start
        + rest
            .char_indices()
            .nth(column.saturating_sub(1))
            .map_or(rest.len(), |(i, _)| i)
}

/// The smallest thing that begins at the offset: a key before a mapping that begins with it.
fn span_at(tree: &Node, offset: usize) -> Span {
    let mut best = offset..offset;
    tree.walk(&mut |node| {
        let keys: &[_] = if let Kind::Map(entries) = &node.kind {
            entries
        } else {
            &[]
        };
        let spans = keys.iter().map(|(_, key, _)| key).chain([&node.span]);
        for span in spans.filter(|span| span.start == offset && !span.is_empty()) {
            if best.is_empty() || span.len() < best.len() {
                best = span.clone();
            }
        }
    });
    best
}

/// Names the thing that a path leads to, as ` in …`.
fn in_what(path: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or(path);
    match last.split('[').next().unwrap_or(last) {
        "" => " in the suite".to_owned(),
        "cases" => " in a case".to_owned(),
        "known" => " in `known`".to_owned(),
        word => format!(" in `{word}`"),
    }
}

/// The message and hint for what serde says.
fn reworded(path: &str, said: &str, text: &str, offset: usize) -> (String, Option<String>) {
    let first = |prefix: &str| said.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    let known = || {
        said.split_once(", expected ")
            .map_or("", |(_, list)| list)
            .split('`')
            .skip(1)
            .step_by(2)
    };
    if let Some(field) = first("unknown field `") {
        return (
            format!("unknown key `{field}`{}", in_what(path)),
            nearest(field, known()),
        );
    }
    if let Some(word) = first("unknown variant `") {
        let what = if path.ends_with(']') && path.contains("steps[") && known().any(|k| k == "add") {
            "step"
        } else {
            "word"
        };
        return (format!("unknown {what} `{word}`"), nearest(word, known()));
    }
    if let Some(field) = first("missing field `") {
        let hint = (field == "sign").then(|| SIGN_HINT.to_owned());
        return (format!("the key `{field}` is missing{}", in_what(path)), hint);
    }
    if said.ends_with("expected newtype variant") {
        let hint = "a step is `- word: { key: value }`";
        return ("the step has no keys".to_owned(), Some(hint.to_owned()));
    }
    if said.ends_with("expected map with a single key") {
        let hint = "one step is one `- word: { … }`; a further step needs its own `- `, and its keys belong below the word";
        return ("a step has exactly one word".to_owned(), Some(hint.to_owned()));
    }
    if let Some((found, expected)) = said
        .strip_prefix("invalid type: ")
        .and_then(|s| s.split_once(", expected "))
    {
        let found = match found {
            "sequence" => "a list",
            "map" => "a mapping",
            "unit value" => "nothing",
            found => found,
        };
        let expected = match expected {
            "a sequence" => "a list, such as [x] or lines that begin with `- `",
            "a boolean" => "true or false",
            "u8" | "u16" | "u32" | "u64" | "usize" => "a number from 0 on",
            "i32" | "i64" => "a whole number",
            "a map" => "a mapping, such as { key: value }",
            "struct RawSuite" => "a suite: a mapping with the keys `suite` and `cases`",
            word if word.starts_with("struct") => "a mapping, such as { key: value }",
            word if word.starts_with("enum RawStep") => "a step, such as `online: { block: b }`",
            word if word.starts_with("enum") => "a word",
            other => other,
        };
        return (format!("expected {expected}, found {found}"), None);
    }
    if said.starts_with("found character that cannot start any token") && text[offset..].starts_with('\t') {
        let hint = "indent with spaces: YAML does not allow tabs there";
        return ("a tab in the indentation".to_owned(), Some(hint.to_owned()));
    }
    if said.starts_with("repetition limit") || said.starts_with("recursion limit") {
        let hint = "write the values out: aliases of aliases, or lists in lists, make it too large";
        return (said.to_owned(), Some(hint.to_owned()));
    }
    if said.starts_with("deserializing from YAML containing more than one document") {
        return (
            "more than one document".to_owned(),
            Some("one suite, one file: take out the `---` lines".to_owned()),
        );
    }
    (said.to_owned(), None)
}

/// The text without what holds the place, if something small enough does: a step, a key that a case need not have, a whole case.
fn without(text: &str, tree: &Node, place: usize) -> Option<String> {
    let holds = |span: &Span| span.contains(&place);
    let top = |node: &Node, needed: &[&str]| {
        let Kind::Map(entries) = &node.kind else {
            return None;
        };
        entries
            .iter()
            .find(|(key, name, value)| (holds(name) || holds(&value.span)) && !needed.contains(&key.as_str()))
            .filter(|(_, name, _)| begins_line(text, name.start))
            .map(|(_, name, value)| name.start..value.span.end.max(name.end))
    };
    let Some(case) = tree
        .get("cases")
        .and_then(|cases| cases.items().iter().find(|case| holds(&case.span)))
    else {
        return top(tree, &["suite", "cases"]).map(|span| replaced(text, span, ""));
    };
    let mut steps = case.get("steps");
    let mut step = None;
    while let Some(inner) = steps.and_then(|list| list.items().iter().find(|step| holds(&step.span))) {
        step = Some(inner);
        steps = ["repeat", "sweep"]
            .iter()
            .find_map(|word| inner.get(word)?.get("steps"));
    }
    if let Some(step) = step {
        return Some(replaced(text, step.span.clone(), "log: {}"));
    }
    // The first key stands behind a dash. What is wrong at the place of the case itself is a missing key.
    let key = if place == case.span.start {
        None
    } else {
        top(case, &["id", "name", "steps"])
    };
    Some(match key {
        Some(span) => replaced(text, span, ""),
        None => replaced(text, case.span.clone(), "{ id: x, name: x, steps: [] }"),
    })
}

fn begins_line(text: &str, offset: usize) -> bool {
    let start = text[..offset].rfind('\n').map_or(0, |i| i + 1);
    text[start..offset].trim().is_empty()
}

/// Replaces a span, and keeps the lines after it, and the columns behind it, where they are.
fn replaced(text: &str, span: Span, by: &str) -> String {
    let old = &text[span.clone()];
    let lines = old.matches('\n').count();
    let last = old.rsplit('\n').next().unwrap_or(old).chars().count();
    let pad = if lines == 0 {
        last.saturating_sub(by.chars().count())
    } else {
        last
    };
    format!(
        "{}{by}{}{}{}",
        &text[..span.start],
        "\n".repeat(lines),
        " ".repeat(pad),
        &text[span.end..]
    )
}
