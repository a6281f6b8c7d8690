// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of all jobs are meant. Pure.

use std::sync::Arc;

use super::jobs::LoadedSuite;
use suite::{Case, Variant};

/// Which jobs are meant; an empty list means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Ids of cases, or parts of their names.
    pub cases: Vec<String>,
    /// Choices of variants, such as `memmap_on_memory=on`.
    pub variants: Vec<String>,
}

impl Filter {
    /// Whether it means a case in a variant.
    pub(super) fn takes(&self, case: &Case, variant: &Variant) -> bool {
        (self.cases.is_empty() || self.cases.iter().any(|text| is_named(case, text)))
            && self.variants.iter().all(|text| has_choice(variant, text))
    }

    /// The first of the words that fits nothing in any of the suites, and so is a mistake; seen without any kernel.
    pub(crate) fn misses(&self, suites: &[Arc<LoadedSuite>]) -> Option<Missed<'_>> {
        let cases = || suites.iter().flat_map(|loaded| &loaded.suite.cases);
        let case = self
            .cases
            .iter()
            .find(|text| !cases().any(|case| is_named(case, text)));
        let mut variants = self.variants.iter();
        let has = |text: &String| cases().any(|case| case.variants.iter().any(|v| has_choice(v, text)));
        case.map(|text| Missed::Case(text))
            .or_else(|| variants.find(|text| !has(text)).map(|text| Missed::Variant(text)))
    }
}

/// A word of a filter that fits nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missed<'a> {
    /// Of a case.
    #[error("no case has the id `{0}`, or a name that contains it")]
    Case(&'a str),
    /// Of a variant.
    #[error("no case has the variant `{0}`")]
    Variant(&'a str),
}

fn is_named(case: &Case, text: &str) -> bool {
    case.id.eq_ignore_ascii_case(text) || case.name.to_lowercase().contains(&text.to_lowercase())
}

fn has_choice(variant: &Variant, text: &str) -> bool {
    variant.choices.iter().any(|choice| choice.to_string() == text)
}
