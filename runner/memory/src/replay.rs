// SPDX-License-Identifier: MIT OR Apache-2.0
//! The proof of the model: ledgers recorded in real guests, before and after every step, against its predictions.

use base::{ByteSize, Errno};

use super::*;

/// A guest's life: its facts, and after each step its ledger.
pub(super) struct Recording {
    pub(super) facts: MemoryFacts,
    pub(super) boot: Ledger,
    /// The step, the message of a refused write, the ledger after it.
    pub(super) steps: Vec<(Op, Option<String>, Ledger)>,
}

/// `=n` keeps n lines of the ledger before, `-n` drops n, `+` adds one.
fn edit<'a>(before: &[&'a str], edits: &[&'a str]) -> Vec<&'a str> {
    let mut rest = before.iter().copied();
    let mut lines = Vec::new();
    for edit in edits {
        let (kind, tail) = edit.split_at(1);
        match kind {
            "=" => lines.extend(rest.by_ref().take(tail.parse().unwrap())),
            "-" => drop(rest.by_ref().nth(tail.parse::<usize>().unwrap() - 1)),
            "+" => lines.push(tail),
            _ => panic!("no edit: {edit}"),
        }
    }
    lines
}

pub(super) fn recording(text: &str) -> Recording {
    let mut facts = None;
    let mut ledger_lines = Vec::new();
    let mut boot = None;
    let mut op: Option<(Op, Option<String>)> = None;
    let mut steps = Vec::new();
    for section in text.split("\n@@ ").skip(1) {
        let (head, body) = section.split_once('\n').unwrap_or((section, ""));
        let (what, detail) = head.split_once(' ').unwrap();
        match what {
            "facts" => {
                let increment = (detail != "-").then(|| detail.parse::<ByteSize>().unwrap());
                facts = Some(MemoryFacts::parse(body, increment).unwrap());
            }
            "op" => {
                let (json, refused) = match detail.split_once(" refused ") {
                    Some((json, message)) => (json, Some(message.to_owned())),
                    None => (detail, None),
                };
                op = Some((serde_json::from_str(json).unwrap(), refused));
            }
            "ledger" => {
                let edits: Vec<_> = body.lines().collect();
                ledger_lines = edit(&ledger_lines, &edits);
                let hypervisor = serde_json::from_str(detail).unwrap();
                let ledger = Ledger::parse(&ledger_lines.join("\n"), hypervisor).unwrap();
                match op.take() {
                    None => boot = Some(ledger),
                    Some((op, refused)) => steps.push((op, refused, ledger)),
                }
            }
            _ => panic!("no section: {what}"),
        }
    }
    Recording {
        facts: facts.unwrap(),
        boot: boot.unwrap(),
        steps,
    }
}

macro_rules! recordings {
    ($($name:ident => $file:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            replay($file, include_str!(concat!("fixtures/", $file)));
        })*
    };
}

recordings! {
    x86_64_6_1_on => "x86_64-6.1-on.txt",
    x86_64_6_12_off => "x86_64-6.12-off.txt",
    x86_64_6_12_on => "x86_64-6.12-on.txt",
    x86_64_6_12_force => "x86_64-6.12-force.txt",
    x86_64_6_12_auto_movable => "x86_64-6.12-auto-movable.txt",
    x86_64_6_12_numa => "x86_64-6.12-numa.txt",
    x86_64_7_2_numa => "x86_64-7.2-numa.txt",
    x86_64_7_2_off => "x86_64-7.2-off.txt",
    x86_64_7_2_on => "x86_64-7.2-on.txt",
    s390x_6_1 => "s390x-6.1.txt",
    s390x_6_12_off => "s390x-6.12-off.txt",
    s390x_6_12_on => "s390x-6.12-on.txt",
    s390x_7_2_off => "s390x-7.2-off.txt",
    s390x_7_2_on => "s390x-7.2-on.txt",
    s390x_7_2_rzm512 => "s390x-7.2-rzm512.txt",
}

/// EBUSY depends on the use of pages, which the model does not know.
const EBUSY: u16 = 16;

/// The step as the model must be told it: a refused write changes nothing.
pub(super) fn done(model: &Model, before: &Ledger, seen: &Ledger, op: &Op, refused: bool) -> Op {
    match op {
        Op::UnplugRefused { blocks, .. } => model.unplug_refused(before, seen, blocks),
        _ if refused => Op::Nothing,
        op => op.clone(),
    }
}

fn replay(file: &str, text: &str) {
    let recording = recording(text);
    let mut model = Model::new(recording.facts, &recording.boot);
    let mut before = recording.boot;
    let mut wrong = Vec::new();
    assert!(recording.steps.len() > 15, "{file} is short");
    for (number, (op, message, seen)) in recording.steps.into_iter().enumerate() {
        let mut note = |text: String| wrong.push(format!("step {number} {op:?} {message:?}: {text}"));
        let refusal = model.refusal(&before, &op);
        let errno = message.as_deref().and_then(Errno::from_message);
        let depends_on_use = errno.map(Errno::number) == Some(EBUSY);
        if refusal != errno && !(refusal.is_none() && depends_on_use) {
            note(format!("the model says {refusal:?}"));
        }
        let done = done(&model, &before, &seen, &op, message.is_some());
        for mismatch in model.predict(&before, &done).check(&before, &done, &seen) {
            note(mismatch.to_string());
        }
        model = model.predict(&before, &done).model;
        before = seen;
    }
    assert!(wrong.is_empty(), "{file}:\n{}", wrong.join("\n"));
}
