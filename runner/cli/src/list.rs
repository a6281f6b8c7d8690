// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig list`: suites and their cases.

use super::{args::List, failure::Failure, suites};
use base::{Arch, fault::Exit, ui::Ui};
use suite::Case;

pub(super) fn list(args: &List, ui: &Ui) -> Result<Exit, Failure> {
    for loaded in suites::load(&args.suites, &suites::names())? {
        let suite = &loaded.suite;
        ui.out(&format!(
            "{}: {}",
            suite.name,
            suite.about.as_deref().unwrap_or("no description")
        ));
        let widest = |width: fn(&Case) -> usize| suite.cases.iter().map(width).max().unwrap_or(0);
        let (ids, names) = (
            widest(|case| case.id.len()),
            widest(|case| case.name.chars().count()),
        );
        for case in &suite.cases {
            let arches: Vec<String> = Arch::ALL
                .iter()
                .filter(|arch| case.needs.allows(**arch))
                .map(ToString::to_string)
                .collect();
            let variants = match case.variants.len() {
                1 => String::new(),
                count => format!(", {count} variants"),
            };
            let known = if case.known.is_empty() {
                ""
            } else {
                ", known issues"
            };
            ui.out(&format!(
                "  {:ids$} {:names$} {}{variants}{known}",
                case.id,
                case.name,
                arches.join(" ")
            ));
        }
    }
    Ok(Exit::Pass)
}
