// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a known issue can be one of its case: variants that the case has, and a sign that its steps can show.

use std::fmt;

use super::{
    case::Known,
    check::{Notes, Scope},
    error::nearest,
    places::Spot,
    raw::{RawCase, RawKnown, Variants},
    sign::{Place, RawSign, Sign, StepSign},
    step::{Action, Step},
    words::FailureKind,
};

/// The known issues of a case whose steps are checked.
pub(super) fn known(
    raw: &RawCase,
    steps: &[Step],
    varied: &Variants,
    scope: &Scope,
    at: &Spot<'_>,
    notes: &mut Notes<'_>,
) -> Vec<Known> {
    let one = |(index, raw): (usize, &RawKnown)| {
        let spot = at.item(index);
        let sign = sign(&raw.sign, steps, &spot.value("sign"), notes);
        issue(raw, sign, varied, scope, &spot, notes)
    };
    raw.known.iter().enumerate().map(one).collect()
}

fn sign(raw: &RawSign, steps: &[Step], at: &Spot<'_>, notes: &mut Notes<'_>) -> Sign {
    let place = place(&raw.step, steps, &at.value("step"), notes);
    let hint = "name the words that only this failure has";
    notes.tests_something(&raw.pattern, &at.value("pattern"), hint);
    for (i, pattern) in raw.log.iter().enumerate() {
        let hint = "name the words that only this finding has";
        notes.tests_something(pattern, &at.value("log").item(i), hint);
    }
    let kind = raw.kind;
    if let Some(place) = place {
        let action = match place {
            Place::Boot => None,
            Place::Step(number) => steps.get(number as usize - 1).map(|step| &step.action),
        };
        let possible = possible(action);
        if !possible.contains(&kind) {
            let words: Vec<_> = possible.iter().map(|kind| kind.word()).collect();
            let message = format_args!("{place} cannot fail by `{kind}`");
            notes.wrong_but(
                &at.value("kind"),
                message,
                Some(format!("expected {}", words.join(", "))),
            );
        }
        if raw.go_on && (kind.ends_the_guest() || place == Place::Boot) {
            notes.wrong(
                &at.key("go_on"),
                "there is no guest in which the case could go on",
            );
        }
    }
    Sign {
        step: place.unwrap_or(Place::Boot),
        kind,
        pattern: raw.pattern.clone(),
        log: raw.log.clone(),
        go_on: raw.go_on,
    }
}

fn place(raw: &StepSign, steps: &[Step], at: &Spot<'_>, notes: &mut Notes<'_>) -> Option<Place> {
    let count = steps.len() as u32;
    match raw {
        StepSign::Boot => Some(Place::Boot),
        StepSign::Number(number) if (1..=count).contains(number) => Some(Place::Step(*number)),
        StepSign::Number(number) => {
            let hint = Some("steps are counted from 1; `boot` is what comes before the first".to_owned());
            let message = format_args!("the case has no step {number}: it has {count}");
            notes.wrong_but(at, message, hint);
            None
        }
        StepSign::Text(text) if text.trim().is_empty() => {
            let hint = Some(format!(
                "name it by its number, 1 to {count}, or by words of its line"
            ));
            notes.wrong_but(at, "the step is named by no words", hint);
            None
        }
        StepSign::Text(text) => {
            let found: Vec<u32> = (1..)
                .zip(steps)
                .filter(|(_, step)| step.to_string().contains(text.as_str()))
                .map(|(number, _)| number)
                .collect();
            let (message, hint) = match found[..] {
                [only] => return Some(Place::Step(only)),
                [] => {
                    let words: Vec<_> = steps.iter().map(|step| step.action.word()).collect();
                    (
                        format!("no step of the case says `{text}`"),
                        nearest(text, words).or_else(|| Some(format!("name it by its number, 1 to {count}"))),
                    )
                }
                _ => {
                    let numbers: Vec<_> = found.iter().map(u32::to_string).collect();
                    (
                        format!("several steps say `{text}`: {}", numbers.join(", ")),
                        Some("name one by its number, or say more of it".to_owned()),
                    )
                }
            };
            notes.wrong_but(at, message, hint);
            None
        }
    }
}

/// How a step can fail; `None` is what comes before the first.
fn possible(action: Option<&Action>) -> Vec<FailureKind> {
    use FailureKind::{Finding, Hang, Mismatch, Panic, Reset};
    let own = match action {
        None => Vec::new(),
        Some(action @ Action::Look(_)) => vec![action.fails_by()],
        Some(action @ Action::Act(_)) => vec![action.fails_by(), Mismatch],
        Some(action) => {
            let within = action.within().iter();
            within.flat_map(|step| possible(Some(&step.action))).collect()
        }
    };
    let mut kinds = Vec::new();
    for kind in own.into_iter().chain([Finding, Hang, Panic, Reset]) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

fn issue(
    raw: &RawKnown,
    sign: Sign,
    varied: &Variants,
    scope: &Scope,
    at: &Spot<'_>,
    notes: &mut Notes<'_>,
) -> Known {
    if raw.reason.trim().is_empty() {
        notes.wrong(&at.value("reason"), "the reason says nothing");
    }
    for (i, arch) in raw
        .arch
        .iter()
        .flatten()
        .enumerate()
        .filter(|(_, arch)| !scope.arches.contains(arch))
    {
        notes.wrong(
            &at.value("arch").item(i),
            format_args!("the case does not run on {arch}"),
        );
    }
    fn unvaried<T: PartialEq + fmt::Display>(
        key: &str,
        listed: &[T],
        varied: &[T],
        at: &Spot<'_>,
        notes: &mut Notes<'_>,
    ) {
        let words: Vec<_> = varied.iter().map(T::to_string).collect();
        for (i, value) in listed
            .iter()
            .enumerate()
            .filter(|(_, value)| !varied.contains(value))
        {
            let hint = nearest(&value.to_string(), words.iter().map(String::as_str))
                .or_else(|| Some(format!("`{key}` is not varied in this case")));
            notes.wrong_but(
                &at.item(i),
                format_args!("the case has no variant `{key}={value}`"),
                hint,
            );
        }
    }
    let of = at.value("variants");
    let (listed, memmap) = (&raw.variants, "memmap_on_memory");
    unvaried(
        memmap,
        &listed.memmap_on_memory,
        &varied.memmap_on_memory,
        &of.value(memmap),
        notes,
    );
    unvaried(
        "increment",
        &listed.increment,
        &varied.increment,
        &of.value("increment"),
        notes,
    );
    for (name, values) in &listed.cmdline {
        let varied = varied.cmdline.get(name).map_or(&[][..], Vec::as_slice);
        unvaried(name, values, varied, &of.value("cmdline").value(name), notes);
    }
    Known {
        kernels: raw.kernels.clone(),
        arch: raw.arch.clone(),
        variants: raw.variants.clone(),
        reason: raw.reason.clone(),
        sign,
    }
}
