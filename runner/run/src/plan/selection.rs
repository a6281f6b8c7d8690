// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of all jobs are meant. Pure.

use std::sync::Arc;

use wildmatch::WildMatch;

use super::{
    expression::{Candidate, Expression},
    jobs::LoadedSuite,
};
use suite::{Case, Variant};

/// Before a word that means all cases but those that it fits.
const NOT: &str = "not ";

/// Which jobs are meant; an empty list means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Ids of cases, or parts of their names; with `*` or `?`, all of an id or of a name; behind `not `, what is left out.
    pub cases: Vec<String>,
    /// Choices of variants, such as `memmap_on_memory=on`.
    pub variants: Vec<String>,
    /// What jobs must be besides.
    pub expression: Option<Expression>,
}

impl Filter {
    /// Whether it means a case of a suite in a variant, on some kernel.
    pub fn takes(&self, suite: &str, case: &Case, variant: &Variant) -> bool {
        self.takes_candidate(Candidate {
            suite,
            case,
            variant,
            on: None,
        })
    }

    /// Whether it means a job in the making.
    pub(super) fn takes_candidate(&self, candidate: Candidate<'_>) -> bool {
        let Candidate { case, variant, .. } = candidate;
        let (not, only): (Vec<&String>, Vec<&String>) =
            self.cases.iter().partition(|text| text.starts_with(NOT));
        let fits = |text: &&String| is_named(case, word(text));
        (only.is_empty() || only.iter().any(fits))
            && !not.iter().any(fits)
            && self.variants.iter().all(|text| has_choice(variant, text))
            && self
                .expression
                .as_ref()
                .is_none_or(|expression| expression.takes(candidate))
    }

    /// The first of the words that fits nothing in any of the suites, and so is a mistake; seen without any kernel.
    pub(crate) fn misses(&self, suites: &[Arc<LoadedSuite>]) -> Option<Missed<'_>> {
        let cases = || suites.iter().flat_map(|loaded| &loaded.suite.cases);
        let case = self
            .cases
            .iter()
            .find(|text| !cases().any(|case| is_named(case, word(text))));
        let mut variants = self.variants.iter();
        let has = |text: &String| cases().any(|case| case.variants.iter().any(|v| has_choice(v, text)));
        case.map(|text| Missed::Case(text))
            .or_else(|| variants.find(|text| !has(text)).map(|text| Missed::Variant(text)))
            .or_else(|| Some(Missed::Word(self.expression.as_ref()?.misses(suites)?)))
    }
}

/// A word of a filter that fits nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missed<'a> {
    /// Of a case.
    #[error("no case has {}", sought(.0))]
    Case(&'a str),
    /// Of a variant.
    #[error("no case has the variant `{0}`")]
    Variant(&'a str),
    /// Of an expression.
    #[error("{0}")]
    Word(String),
}

/// A word of a filter without the `not` before it.
fn word(text: &str) -> &str {
    text.strip_prefix(NOT).unwrap_or(text).trim()
}

fn is_glob(word: &str) -> bool {
    word.contains(['*', '?'])
}

/// What a word fits, in words.
fn sought(text: &str) -> String {
    let word = word(text);
    match is_glob(word) {
        true => format!("an id or a name like `{word}`"),
        false => format!("the id `{word}`, or a name that contains it"),
    }
}

pub(super) fn is_named(case: &Case, word: &str) -> bool {
    if is_glob(word) {
        return is_like(&case.id, word) || is_like(&case.name, word);
    }
    case.id.eq_ignore_ascii_case(word) || case.name.to_lowercase().contains(&word.to_lowercase())
}

/// Whether a pattern with `*` and `?` fits a whole text, whatever the case of its letters.
pub(super) fn is_like(text: &str, word: &str) -> bool {
    WildMatch::new_case_insensitive(word).matches(text)
}

pub(super) fn has_choice(variant: &Variant, text: &str) -> bool {
    variant.choices.iter().any(|choice| choice.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use suite::Suite;

    const SUITE: &str = "\
suite: x
cases:
  - { id: B01, name: online and offline, steps: [log: { has: x }] }
  - { id: B02, name: the same again, steps: [log: { has: x }] }
  - { id: C01, name: online to the end, steps: [log: { has: x }] }
";

    fn taken(words: &[&str]) -> Vec<String> {
        let suite = Suite::parse("x.yaml", SUITE).unwrap();
        let filter = filter(words);
        let takes = |case: &&Case| filter.takes("x", case, &case.variants[0]);
        suite
            .cases
            .iter()
            .filter(takes)
            .map(|case| case.id.clone())
            .collect()
    }

    fn filter(words: &[&str]) -> Filter {
        Filter {
            cases: words.iter().map(|word| (*word).to_owned()).collect(),
            ..Filter::default()
        }
    }

    #[test]
    fn words_fit_by_id_by_name_and_by_glob_and_leave_out() {
        assert_eq!(taken(&[]), ["B01", "B02", "C01"]);
        assert_eq!(taken(&["b02"]), ["B02"]);
        assert_eq!(taken(&["ONLINE"]), ["B01", "C01"]);
        assert_eq!(taken(&["b*"]), ["B01", "B02"]);
        assert_eq!(taken(&["?01"]), ["B01", "C01"]);
        assert_eq!(taken(&["online*"]), ["B01", "C01"]);
        assert_eq!(taken(&["*end", "B02"]), ["B02", "C01"]);
        assert_eq!(taken(&["not B01"]), ["B02", "C01"]);
        assert_eq!(taken(&["online", "not c*"]), ["B01"]);
        assert_eq!(taken(&["B0"]), Vec::<String>::new());
    }

    #[test]
    fn a_word_that_fits_nothing_is_told_as_what_it_is() {
        let loaded = [Arc::new(LoadedSuite {
            file: "x.yaml".to_owned(),
            sha256: String::new(),
            suite: Suite::parse("x.yaml", SUITE).unwrap(),
        })];
        let said = |word: &str| filter(&[word]).misses(&loaded).map(|missed| missed.to_string());
        assert_eq!(said("B*"), None);
        assert_eq!(said("not B01"), None);
        assert_eq!(said("D*").unwrap(), "no case has an id or a name like `D*`");
        let plain = "no case has the id `D01`, or a name that contains it";
        assert_eq!(said("D01").unwrap(), plain);
        assert_eq!(said("not D01").unwrap(), plain);
    }
}
