// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether memrig lies, loses or leaves anything where something breaks: `cargo bench --bench faults -- [WORD…]`.
//!
//! A word is `tries=N` (of each fault; without it, as many as the fault has), `seed=N` (what is drawn; it is printed), `harm=left-out` (nothing is broken, so that
//! whatever is looked at must be red), `format=markdown`, or the name of a fault or a part of one. What is seen is told on stderr as it comes; JSON, or a
//! table, is printed in the end. It exits with 1 if anything was wrong, lost or left, or a fault was not tried.

#[path = "../tests/campaign/mod.rs"]
mod campaign;

use std::{collections::BTreeMap, process::ExitCode, time::Instant};

use base::ui::Ui;
use campaign::{Fault, Harm, Tried, faults, tried};
use serde_json::{Value, json};

/// What is asked for.
struct Asked {
    tries: Option<u32>,
    seed: u64,
    harm: Harm,
    markdown: bool,
    names: Vec<String>,
}

/// What came of a fault.
struct Row {
    fault: Fault,
    tries: Vec<Tried>,
    seconds: u64,
}

fn asked() -> Asked {
    let mut asked = Asked {
        tries: None,
        seed: fastrand::u64(..1 << 32),
        harm: Harm::Done,
        markdown: false,
        names: Vec::new(),
    };
    // Cargo adds words of its own.
    for word in std::env::args().skip(1).filter(|word| !word.starts_with("--")) {
        match word.split_once('=') {
            Some(("tries", number)) => asked.tries = Some(number.parse().expect("a number of tries")),
            Some(("seed", number)) => asked.seed = number.parse().expect("a seed"),
            Some(("harm", "left-out")) => asked.harm = Harm::LeftOut,
            Some(("format", "markdown")) => asked.markdown = true,
            _ => asked.names.push(word),
        }
    }
    asked
}

impl Row {
    fn count(&self, what: impl Fn(&Tried) -> bool) -> usize {
        self.tries.iter().filter(|tried| what(tried)).count()
    }

    /// Tries in which it could be done.
    fn done(&self) -> usize {
        self.count(|tried| tried.missed.is_none())
    }

    /// How memrig ended, and how often.
    fn ended(&self) -> BTreeMap<&str, u32> {
        let mut ended = BTreeMap::new();
        for how in self.tries.iter().flat_map(|tried| &tried.ended) {
            *ended.entry(how.as_str()).or_default() += 1;
        }
        ended
    }

    fn is_bad(&self) -> bool {
        self.done() == 0 || self.tries.iter().any(Tried::is_bad)
    }

    fn json(&self) -> Value {
        let all =
            |of: fn(&Tried) -> &Vec<String>| self.tries.iter().flat_map(of).cloned().collect::<Vec<_>>();
        json!({
            "fault": self.fault.name, "must": self.fault.must, "tries": self.done(), "missed": self.tries.len() - self.done(),
            "wrong": all(|tried| &tried.wrong), "lost": all(|tried| &tried.lost), "left": all(|tried| &tried.left), "ended": self.ended(), "seconds": self.seconds,
        })
    }

    fn markdown(&self) -> String {
        let ended = self
            .ended()
            .into_iter()
            .map(|(how, times)| format!("{how} ×{times}"));
        let ended: Vec<String> = ended.collect();
        format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            self.fault.name,
            self.fault.must,
            self.done(),
            self.count(|tried| tried.missed.is_none() && tried.wrong.is_empty()),
            self.count(|tried| !tried.lost.is_empty()),
            self.count(|tried| !tried.left.is_empty()),
            ended.join(", "),
        )
    }
}

fn row(fault: Fault, asked: &Asked, ui: &Ui) -> Row {
    let begun = Instant::now();
    let mut tries = Vec::new();
    let all = asked.tries.unwrap_or(fault.tries);
    for number in 0..all {
        let seed = asked.seed.wrapping_add(number.into());
        let tried = tried(&fault, seed, asked.harm);
        ui.line(&format!(
            "{}, {} of {all}: {}",
            fault.name,
            number + 1,
            tried.ended.join(", ")
        ));
        let seen = [
            ("wrong", &tried.wrong),
            ("lost", &tried.lost),
            ("left", &tried.left),
        ];
        for (what, lines) in seen {
            for line in lines {
                ui.error(&format!("{} (seed={seed}): {what}: {line}", fault.name));
            }
        }
        if let Some(why) = &tried.missed {
            ui.line(&format!("{} (seed={seed}): not tried: {why}", fault.name));
        }
        tries.push(tried);
    }
    let row = Row {
        fault,
        tries,
        seconds: begun.elapsed().as_secs(),
    };
    let word = if row.is_bad() { "bad" } else { "good" };
    ui.line(&format!(
        "{word}  {}: {} tries, {} s",
        row.fault.name,
        row.done(),
        row.seconds
    ));
    row
}

fn main() -> ExitCode {
    let ui = Ui::terminal();
    let asked = asked();
    ui.line(&format!("seed={}", asked.seed));
    let wanted = |fault: &Fault| {
        asked.names.is_empty() || asked.names.iter().any(|name| fault.name.contains(name.as_str()))
    };
    let rows: Vec<Row> = faults()
        .into_iter()
        .filter(wanted)
        .map(|fault| row(fault, &asked, &ui))
        .collect();
    if asked.markdown {
        let rows: String = rows.iter().map(Row::markdown).collect();
        ui.out(&format!("| fault | what must come of it | tries | right | lost | left | exit codes |\n|---|---|---|---|---|---|---|\n{rows}"));
    } else {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        ui.out(&format!("{:#}", json!({ "seed": asked.seed, "faults": rows })));
    }
    let bad: Vec<&str> = rows
        .iter()
        .filter(|row| row.is_bad())
        .map(|row| row.fault.name)
        .collect();
    if rows.is_empty() || !bad.is_empty() {
        ui.error(&format!(
            "{} of {} faults are bad: {}",
            bad.len(),
            rows.len(),
            bad.join(", ")
        ));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
