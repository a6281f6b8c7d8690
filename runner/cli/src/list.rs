// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig list`: suites and their cases.

use serde::Serialize;

use super::{
    args::{List, ListFormat},
    failure::Failure,
    suites,
};
use ::run::{Filter, LoadedSuite, check_words};
use base::{Arch, fault::Exit, ui::Ui};

/// A suite, and those of its cases that are meant.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    suite: &'a str,
    about: Option<&'a str>,
    file: &'a str,
    cases: Vec<ListedCase<'a>>,
}

/// A case on the architectures and in the variants that are meant.
#[derive(Debug, Serialize)]
struct ListedCase<'a> {
    id: &'a str,
    name: &'a str,
    line: usize,
    arches: Vec<Arch>,
    /// Such as `memmap_on_memory=on`; none of a case without variants.
    variants: Vec<String>,
    /// Whether it fails as a known issue says, somewhere.
    known: bool,
}

pub(super) fn list(args: &List, ui: &Ui) -> Result<Exit, Failure> {
    let (filter, arches) = (args.which.filter(), args.which.arches());
    let loaded = suites::load(&args.suites, &suites::names())?;
    check_words(&filter, &loaded).map_err(Failure::of)?;
    let listed = loaded.iter().map(|suite| listed(suite, &filter, &arches));
    let listed: Vec<Listed<'_>> = listed.filter(|suite| !suite.cases.is_empty()).collect();
    if listed.is_empty() {
        ui.error("nothing is selected: no case fits the architectures, names and variants that were given");
        return Ok(Exit::NothingSelected);
    }
    match args.format {
        ListFormat::Json => ui.out(&serde_json::to_string_pretty(&listed).map_err(Failure::broken)?),
        ListFormat::Text => listed.iter().for_each(|suite| tell(suite, ui)),
    }
    Ok(Exit::Pass)
}

fn listed<'a>(loaded: &'a LoadedSuite, filter: &Filter, arches: &[Arch]) -> Listed<'a> {
    let cases = loaded.suite.cases.iter().filter_map(|case| {
        let meant = case
            .variants
            .iter()
            .filter(|variant| filter.takes(&loaded.suite.name, case, variant));
        let variants: Vec<String> = meant.map(ToString::to_string).collect();
        let fits = |arch: &&Arch| case.needs.allows(**arch);
        let arches: Vec<Arch> = arches.iter().filter(fits).copied().collect();
        let is_meant = !variants.is_empty() && !arches.is_empty();
        is_meant.then(|| ListedCase {
            id: &case.id,
            name: &case.name,
            line: case.line,
            arches,
            variants: variants
                .into_iter()
                .filter(|variant| !variant.is_empty())
                .collect(),
            known: !case.known.is_empty(),
        })
    });
    Listed {
        suite: &loaded.suite.name,
        about: loaded.suite.about.as_deref(),
        file: &loaded.file,
        cases: cases.collect(),
    }
}

fn tell(suite: &Listed<'_>, ui: &Ui) {
    ui.out(&format!(
        "{}: {}",
        suite.suite,
        suite.about.unwrap_or("no description")
    ));
    let widest = |width: fn(&ListedCase<'_>) -> usize| suite.cases.iter().map(width).max().unwrap_or(0);
    let ids = widest(|case| case.id.len());
    let names = widest(|case| case.name.chars().count());
    for case in &suite.cases {
        let arches: Vec<String> = case.arches.iter().map(ToString::to_string).collect();
        let mut more = vec![arches.join(" ")];
        more.extend((!case.variants.is_empty()).then(|| case.variants.join(" ")));
        more.extend(case.known.then(|| "known issues".to_owned()));
        ui.out(&format!(
            "  {:ids$} {:names$} {}",
            case.id,
            case.name,
            more.join(", ")
        ));
    }
}
