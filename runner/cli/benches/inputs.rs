// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether every reader stands damaged input: `cargo bench --profile dev --bench inputs -- [SECONDS [SEED [NAME]]]`, a minute for each reader unless said. The
//! profile `dev` sees a number that overflows, and is slower.
//!
//! Prints one JSON object on stdout: of each reader how many inputs it read, how many of them it took, how many that is in a second, and the longest that one
//! took. An input that it falls over is written into the folder for temporary files, and the last line of stderr and the exit code say so.

#[path = "../tests/inputs/mod.rs"]
mod damaged;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use base::ui::Ui;
use damaged::Enough;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let ui = Ui::terminal();
    // Cargo adds words of its own.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let number = |at: usize| args.get(at).map(|word| word.parse::<u64>().expect("a number"));
    let time = Duration::from_secs(number(0).unwrap_or(60));
    let enough = Enough {
        damaged: u64::MAX,
        time,
    };
    let seed = number(1).unwrap_or_else(|| fastrand::u64(..));
    let mut readers = damaged::readers();
    readers.retain(|reader| args.get(2).is_none_or(|name| name == reader.name));
    if readers.is_empty() {
        ui.error(&format!("no reader is called `{}`", args[2]));
        return ExitCode::FAILURE;
    }
    let mut report = serde_json::Map::new();
    let mut bad = 0;
    for reader in readers {
        let begin = Instant::now();
        let tried = damaged::tried(&reader, seed, enough);
        for (why, input) in &tried.bad {
            let (file, path) = tempfile::Builder::new()
                .prefix("memrig-input-")
                .tempfile()
                .and_then(|file| file.keep().map_err(|error| error.error))
                .expect("a file");
            drop(file);
            fs_err::write(&path, input).expect("a file");
            ui.error(&format!("{}: {why}: {}", reader.name, path.display()));
            bad += 1;
        }
        let one = json!({
            "inputs": tried.inputs, "taken": tried.taken, "a second": (tried.inputs as f64 / begin.elapsed().as_secs_f64()) as u64,
            "slowest ms": tried.slowest.as_millis() as u64, "bad": tried.bad.len(),
        });
        ui.line(&format!("{}: {one}", reader.name));
        report.insert(reader.name.to_owned(), one);
    }
    ui.out(&format!(
        "{:#}",
        json!({ "seed": seed, "readers": Value::Object(report) })
    ));
    if bad > 0 {
        ui.error(&format!("{bad} inputs made a reader fall over"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
