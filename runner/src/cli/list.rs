// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig list`: suites and their cases.

use super::{args::List, failure::Failure, suites};
use crate::base::{Arch, fault::Exit, ui::Ui};

pub(super) fn list(args: &List, ui: &Ui) -> Result<Exit, Failure> {
    for loaded in suites::load(&args.suites, &suites::names())? {
        let suite = &loaded.suite;
        ui.out(&format!(
            "{}: {}",
            suite.name,
            suite.about.as_deref().unwrap_or("no description")
        ));
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
                "  {:5} {:60} {}{variants}{known}",
                case.id,
                case.name,
                arches.join(" ")
            ));
        }
    }
    Ok(Exit::Pass)
}
