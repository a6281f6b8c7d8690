// SPDX-License-Identifier: MIT OR Apache-2.0
//! docs/catalogue.md, made from suites/catalogue.yaml and the suites: what is to be tried, which case tries it, and how that was seen red.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use serde::Deserialize;

use super::{Case, Suite};

const INTRODUCTION: &str = "\
What is to be tried of memory hotplug, row by row, with the cases that try it; and what no case tries yet, with what that would take. A case is
`SUITE/ID`: `memrig run SUITE -c ID` runs it.
";

const OF_CASES: &str = "\
A case that cannot fail tests nothing. It was seen red by a fault that somebody made for it, by a wrong word in a copy of it, by a kernel that was
changed, or by one that has the fault (a known issue, with the kernels that have it). `not kept`: nobody has written down how.
";

/// The list, as suites/catalogue.yaml has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    sections: Vec<Section>,
    /// By `SUITE/ID`.
    cases: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    is: String,
    /// What no case shows of it, and what that would take.
    lacks: Option<String>,
}

/// What is said of a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Rows.
    shows: Vec<String>,
    /// What it shows where that is no row.
    about: Option<String>,
    /// How it was seen red, beside its known issues.
    red: Option<String>,
}

impl Catalogue {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|section| &section.rows)
    }

    fn showing(&self, row: &Row) -> Vec<&str> {
        let shows = |entry: &Entry| entry.shows.contains(&row.id);
        let cases = self.cases.iter().filter(|(_, entry)| shows(entry));
        cases.map(|(id, _)| id.as_str()).collect()
    }

    /// What does not fit together, in it and with the cases that there are.
    fn wrong(&self, cases: &BTreeMap<String, &Case>) -> Vec<String> {
        let mut wrong = Vec::new();
        let ids: BTreeSet<&str> = self.rows().map(|row| row.id.as_str()).collect();
        if ids.len() != self.rows().count() {
            wrong.push("a row is there twice".to_owned());
        }
        for row in self.rows() {
            if row.lacks.is_none() && self.showing(row).is_empty() {
                wrong.push(format!("{} has no case, and does not say what it lacks", row.id));
            }
        }
        for (id, case) in cases {
            match self.cases.get(id) {
                None => wrong.push(format!("{id} has no line")),
                Some(entry) if entry.red.is_none() && case.known.is_empty() => {
                    wrong.push(format!("{id} does not say how it was seen red"));
                }
                Some(_) => {}
            }
        }
        for (id, entry) in &self.cases {
            if !cases.contains_key(id) {
                wrong.push(format!("{id} is in no suite"));
            }
            if entry.shows.is_empty() != entry.about.is_some() {
                wrong.push(format!("{id} shows rows, or says what it is about"));
            }
            let unknown = entry.shows.iter().filter(|row| !ids.contains(row.as_str()));
            wrong.extend(unknown.map(|row| format!("{id} shows {row}, which is no row")));
        }
        wrong
    }

    fn write(&self, cases: &BTreeMap<String, &Case>, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "<!-- Generated from suites/catalogue.yaml and the suites by `MEMRIG_BLESS=1 cargo test`. -->\n# Catalogue\n\n{INTRODUCTION}"
        )?;
        let (shown, all) = (
            self.rows().filter(|row| !self.showing(row).is_empty()).count(),
            self.rows().count(),
        );
        writeln!(out, "{} cases show {shown} of {all} rows.\n", cases.len())?;
        for section in &self.sections {
            writeln!(
                out,
                "## {}\n\n| row | what | cases | not shown |\n|---|---|---|---|",
                section.title
            )?;
            for row in &section.rows {
                let (shown, lacks) = (self.showing(row).join(", "), row.lacks.as_deref());
                let shown = if shown.is_empty() { "–" } else { &shown };
                writeln!(
                    out,
                    "| {} | {} | {shown} | {} |",
                    row.id,
                    row.is,
                    lacks.unwrap_or_default()
                )?;
            }
            writeln!(out)?;
        }
        writeln!(
            out,
            "## Cases\n\n{OF_CASES}\n| case | what | rows | seen red |\n|---|---|---|---|"
        )?;
        for (id, entry) in &self.cases {
            let Some(case) = cases.get(id) else { continue };
            let rows = entry.about.clone().unwrap_or_else(|| entry.shows.join(", "));
            writeln!(out, "| {id} | {} | {rows} | {} |", case.name, red(entry, case))?;
        }
        Ok(())
    }
}

/// How a case was seen red: what is said of it, and the kernels on which it fails as known.
fn red(entry: &Entry, case: &Case) -> String {
    let known = case
        .known
        .iter()
        .map(|known| format!("known on {}", known.kernels));
    let mut ways: Vec<String> = entry.red.iter().cloned().chain(known).collect();
    ways.dedup();
    ways.join("; ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            schema::tests::is_current,
            shipped_tests::{SUITES, by_id},
        },
        *,
    };

    fn suites() -> Vec<Suite> {
        SUITES
            .map(|(name, text)| Suite::parse(name, text).unwrap_or_else(|errors| panic!("{errors}")))
            .into()
    }

    fn catalogue() -> Catalogue {
        serde_yaml::from_str(include_str!("../../../suites/catalogue.yaml")).unwrap()
    }

    #[test]
    fn every_case_has_a_line_and_every_line_a_case() {
        let suites = suites();
        assert_eq!(catalogue().wrong(&by_id(&suites)), Vec::<String>::new());
    }

    #[test]
    fn the_committed_catalogue_is_current() {
        let (suites, mut text) = (suites(), String::new());
        catalogue().write(&by_id(&suites), &mut text).unwrap();
        is_current("docs/catalogue.md", &text);
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let text = "\
sections: [{ title: T, rows: [{ id: R1, is: one }, { id: R2, is: two, lacks: all }, { id: R2, is: two }] }]
cases:
  s/gone: { shows: [R9], red: not kept }
  s/A: { shows: [] }
";
        let catalogue: Catalogue = serde_yaml::from_str(text).unwrap();
        let suite = "suite: s\ncases:\n  - { id: A, name: a, steps: [log: { has: x }] }\n  - { id: B, name: b, steps: [log: { has: x }] }\n";
        let suites = [Suite::parse("s.yaml", suite).unwrap_or_else(|errors| panic!("{errors}"))];
        let must = [
            "a row is there twice",
            "R1 has no case, and does not say what it lacks",
            "R2 has no case, and does not say what it lacks",
            "s/A does not say how it was seen red",
            "s/B has no line",
            "s/A shows rows, or says what it is about",
            "s/gone is in no suite",
            "s/gone shows R9, which is no row",
        ];
        assert_eq!(catalogue.wrong(&by_id(&suites)), must);
    }
}
