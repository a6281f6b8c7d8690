// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the parts of a matrix mean cases of its suites: one that means none would be passed over without a word.

use super::axes::{Matrix, Pick, once};
use crate::{
    case::{Case, Suite},
    error::{Complaint, SuiteErrors},
    places::{Node, Spot},
};
use base::Arch;

/// What is wrong, where, and what to do.
type Wrong<'t> = (Spot<'t>, String, String);

impl Matrix {
    /// Looks whether each of its parts means some case of its suites, which come with the names that it has for them. `file` and `text` are those that
    /// it was read from.
    ///
    /// # Errors
    /// What means nothing, each with its place.
    pub fn check_parts(&self, file: &str, text: &str, suites: &[(&str, &Suite)]) -> Result<(), SuiteErrors> {
        let tree = Node::scan(text);
        let root = Spot::root(&tree);
        let cases = |meant: &dyn Fn(&str) -> bool| -> Vec<&Case> {
            let suites = suites.iter().filter(|(name, _)| meant(name));
            suites.flat_map(|(_, suite)| &suite.cases).collect()
        };
        let of_axis = cases(&|name| self.suites.iter().any(|suite| suite == name));
        let variants = self.variants.iter().enumerate().filter_map(|(at, choice)| {
            let message = format!("no case has the variant `{choice}`");
            let spot = root.value("variants").item(at);
            (!varied(&of_axis, choice)).then(|| (spot, message, choices(&of_axis)))
        });
        let of_picks = |picks: &[Pick], key: &str, arches: &[Arch]| -> Vec<Wrong<'_>> {
            let wrong = picks.iter().enumerate().filter_map(|(at, pick)| {
                let meant = cases(&|name| pick.suite.as_ref().is_none_or(|suite| suite == name));
                pick.wrong(&root.value(key).item(at), meant, arches)
            });
            wrong.collect()
        };
        let exclude = of_picks(&self.exclude, "exclude", &self.arches);
        let include = of_picks(&self.include, "include", &self.all_arches());
        let complaints: Vec<Complaint> = variants
            .chain(exclude)
            .chain(include)
            .map(|(spot, message, hint)| Complaint::at(text, spot.span(), message, Some(hint)))
            .collect();
        match complaints.is_empty() {
            true => Ok(()),
            false => Err(SuiteErrors {
                file: file.to_owned(),
                complaints,
            }),
        }
    }
}

impl Pick {
    /// The first of its words by which it means none of the cases of its suites.
    fn wrong<'t>(&self, spot: &Spot<'t>, mut cases: Vec<&Case>, arches: &[Arch]) -> Option<Wrong<'t>> {
        if let Some(id) = &self.case {
            // A suite has a case.
            let hint = format!("`memrig list` shows them, such as {}", cases.first()?.id);
            cases.retain(|case| case.id == *id);
            if cases.is_empty() {
                return Some((spot.value("case"), format!("there is no case `{id}`"), hint));
            }
        }
        if let Some(choice) = &self.variant {
            if !varied(&cases, choice) {
                let message = format!("no case that is meant has the variant `{choice}`");
                return Some((spot.value("variant"), message, choices(&cases)));
            }
            cases.retain(|case| varied(&[case], choice));
        }
        let arches = self.arch.as_ref().map_or(arches, std::slice::from_ref);
        let runs = |case: &&Case| {
            let needs = case.needs.arch.as_ref();
            needs.is_none_or(|needs| arches.iter().any(|arch| needs.contains(arch)))
        };
        if cases.iter().any(runs) {
            return None;
        }
        let names: Vec<String> = arches.iter().map(ToString::to_string).collect();
        let message = format!("no case that is meant is for {}", names.join(" or "));
        let hint = format!("{} needs another `arch`", cases.first()?.id);
        Some((spot.clone(), message, hint))
    }
}

/// Whether one of the cases is varied so.
fn varied(cases: &[&Case], choice: &str) -> bool {
    let variants = cases.iter().flat_map(|case| &case.variants);
    let mut all = variants.flat_map(|variant| &variant.choices);
    all.any(|one| one.to_string() == choice)
}

/// The choices that there are, as a hint.
fn choices(cases: &[&Case]) -> String {
    let variants = cases.iter().flat_map(|case| &case.variants);
    let all = once(variants.flat_map(|variant| variant.choices.iter().map(ToString::to_string)));
    match all.is_empty() {
        true => "they are not varied".to_owned(),
        false => format!("they have {}", all.join(", ")),
    }
}
