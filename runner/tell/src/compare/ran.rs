// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each line that a series changes, and what ran it.

use std::collections::{BTreeMap, BTreeSet};

use crate::text::{count, printable};
use base::{Arch, fault::Verdict};
use compare::CompareRecord;
use record::{CodeIn, LineRan};

/// A file that a series changes.
pub(crate) struct SeriesFile {
    pub(crate) name: String,
    /// The architectures that the lines have a word for.
    pub(crate) arches: Vec<Arch>,
    pub(crate) lines: Vec<SeriesLine>,
}

/// A line that it has added or changed.
pub(crate) struct SeriesLine {
    pub(crate) number: u32,
    pub(crate) text: String,
    /// What became of it on each architecture, and how that is to be taken, where it says anything.
    pub(crate) ran: Vec<(Option<Verdict>, String)>,
    /// The functions that its code is in.
    pub(crate) code_in: String,
}

/// The files of the series, with all lines that it has added or changed.
pub(crate) fn series_files(record: &CompareRecord) -> Vec<SeriesFile> {
    let files: BTreeSet<&String> = record.ran.values().flat_map(|ran| ran.files.keys()).collect();
    let file = |name: &String| {
        let mut lines: BTreeMap<u32, (&str, BTreeSet<&CodeIn>)> = BTreeMap::new();
        for ran in record.ran.values() {
            for (number, line) in ran.files.get(name).into_iter().flatten() {
                let (_, code_in) = lines.entry(*number).or_insert((&line.text, BTreeSet::new()));
                code_in.extend(&line.code_in);
            }
        }
        let ran_of = |number: u32| {
            let words = record.ran.values().map(|ran| {
                let line = ran.files.get(name).and_then(|lines| lines.get(&number));
                line.map_or((None, String::new()), |line| word(&line.ran))
            });
            words.collect()
        };
        SeriesFile {
            name: name.clone(),
            arches: record.ran.keys().copied().collect(),
            lines: lines
                .into_iter()
                .map(|(number, (text, code_in))| SeriesLine {
                    number,
                    text: printable(text),
                    ran: ran_of(number),
                    code_in: functions(&code_in),
                })
                .collect(),
        }
    };
    files.into_iter().map(file).collect()
}

fn word(ran: &LineRan) -> (Option<Verdict>, String) {
    match ran {
        LineRan::NoCode => (None, "no code".to_owned()),
        LineRan::Never => (Some(Verdict::Fail), "never".to_owned()),
        LineRan::Boot => (Some(Verdict::Known), "while booting".to_owned()),
        LineRan::Cases { times, first } => {
            let cases = count(*times as usize, "case");
            (Some(Verdict::Pass), format!("{cases}, first {first}"))
        }
    }
}

/// Functions that are shown; all of them are in `compare.json`.
const FUNCTIONS: usize = 3;

/// Functions, as `online_pages, page_to_pfn in offline_pages`: an inlined one with the function that it was inlined into.
fn functions(code_in: &BTreeSet<&CodeIn>) -> String {
    let shown = code_in.iter().take(FUNCTIONS).map(|place| {
        let function = printable(&place.function);
        match &place.inlined {
            Some(inlined) => format!("{} in {function}", printable(inlined)),
            None => function,
        }
    });
    let mut words: Vec<String> = shown.collect();
    if code_in.len() > FUNCTIONS {
        words.push(format!("and {} more", code_in.len() - FUNCTIONS));
    }
    words.join(", ")
}
