// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which jobs an expression means: `suite(standby) & !case(S0*) & arch(s390x)`. Pure.

use std::{fmt, str::FromStr, sync::Arc};

use winnow::{
    ModalResult, Parser,
    ascii::multispace0,
    combinator::{alt, cut_err, delimited, preceded, separated},
    error::{StrContext, StrContextValue},
    token::take_while,
};

use super::{
    jobs::{LoadedSuite, PlannedKernel},
    selection::{has_choice, is_like, is_named},
};
use base::Arch;
use suite::{Case, Variant};

/// What is looked at of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// The suite's name.
    Suite,
    /// The case's id or name, as `-c` takes it.
    Case,
    /// A choice of its variant.
    Variant,
    /// The architecture.
    Arch,
    /// The kernel's label, with its release or without.
    Kernel,
}

impl Field {
    const ALL: [(Self, &str); 5] = [
        (Self::Suite, "suite"),
        (Self::Case, "case"),
        (Self::Variant, "variant"),
        (Self::Arch, "arch"),
        (Self::Kernel, "kernel"),
    ];

    fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(field, _)| *field == self);
        found.map_or("", |(_, word)| word)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Is(Field, String),
    Not(Box<Term>),
    All(Vec<Term>),
    Any(Vec<Term>),
}

/// An expression that means some of all jobs, in the words of `-E`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    text: String,
    term: Term,
}

/// A job in the making, or a case of a list, which is on no kernel yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) suite: &'a str,
    pub(super) case: &'a Case,
    pub(super) variant: &'a Variant,
    pub(super) on: Option<&'a PlannedKernel>,
}

/// A text that is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at `{rest}`")]
pub struct NoExpression {
    what: String,
    rest: String,
}

impl FromStr for Expression {
    type Err = NoExpression;

    fn from_str(text: &str) -> Result<Self, NoExpression> {
        let term = delimited(multispace0, any, multispace0)
            .parse(text)
            .map_err(|error| NoExpression {
                rest: text
                    .get(error.offset()..)
                    .filter(|rest| !rest.is_empty())
                    .unwrap_or("the end")
                    .to_owned(),
                what: match error.inner().to_string() {
                    // What follows a whole expression is no part of it.
                    said if said.is_empty() => "expected & or |".to_owned(),
                    said => said.replace('\n', ", "),
                },
            })?;
        Ok(Self {
            text: text.trim().to_owned(),
            term,
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn any(input: &mut &str) -> ModalResult<Term> {
    separated(1.., all, (multispace0, alt(("||", "|")), multispace0))
        .map(|terms: Vec<Term>| several(terms, Term::Any))
        .parse_next(input)
}

fn all(input: &mut &str) -> ModalResult<Term> {
    separated(1.., one, (multispace0, alt(("&&", "&")), multispace0))
        .map(|terms: Vec<Term>| several(terms, Term::All))
        .parse_next(input)
}

fn several(mut terms: Vec<Term>, make: fn(Vec<Term>) -> Term) -> Term {
    match terms.len() {
        1 => terms.remove(0),
        _ => make(terms),
    }
}

fn one(input: &mut &str) -> ModalResult<Term> {
    let not = preceded((alt(("!", "not ")), multispace0), cut_err(one)).map(|term| Term::Not(Box::new(term)));
    let within = delimited(
        ("(", multispace0),
        cut_err(any),
        (
            multispace0,
            cut_err(")").context(StrContext::Expected(StrContextValue::CharLiteral(')'))),
        ),
    );
    alt((not, within, is))
        .context(StrContext::Expected(StrContextValue::Description(
            "suite(…), case(…), variant(…), arch(…), kernel(…), !, ( or )",
        )))
        .parse_next(input)
}

fn is(input: &mut &str) -> ModalResult<Term> {
    let field = alt((
        "suite".value(Field::Suite),
        "case".value(Field::Case),
        "variant".value(Field::Variant),
        "arch".value(Field::Arch),
        "kernel".value(Field::Kernel),
    ));
    // Nothing is called so that it has a bracket: one that opens is a bracket before it that was not closed.
    let value = take_while(1.., |letter| !matches!(letter, '(' | ')')).context(StrContext::Expected(
        StrContextValue::Description("a word or a pattern"),
    ));
    let close = cut_err(")").context(StrContext::Expected(StrContextValue::CharLiteral(')')));
    (field, preceded("(", cut_err(value)), close)
        .map(|(field, value, _): (Field, &str, _)| Term::Is(field, value.trim().to_owned()))
        .parse_next(input)
}

impl Expression {
    /// Whether it means a job; what is not known of one that is on no kernel yet speaks neither for nor against it.
    pub(super) fn takes(&self, candidate: Candidate<'_>) -> bool {
        self.term.holds(candidate) != Some(false)
    }

    /// The first of its words that fits nothing in any of the suites, and so is a mistake; of kernels and architectures nothing is known
    /// before.
    pub(super) fn misses(&self, suites: &[Arc<LoadedSuite>]) -> Option<String> {
        self.term.misses(suites)
    }
}

impl Term {
    fn holds(&self, candidate: Candidate<'_>) -> Option<bool> {
        match self {
            Self::Is(field, word) => fits(*field, word, candidate),
            Self::Not(term) => term.holds(candidate).map(|holds| !holds),
            Self::All(terms) => together(terms, candidate, false),
            Self::Any(terms) => together(terms, candidate, true),
        }
    }

    fn misses(&self, suites: &[Arc<LoadedSuite>]) -> Option<String> {
        match self {
            Self::Is(Field::Arch, word) => (!Arch::ALL.iter().any(|arch| is_like(&arch.to_string(), word)))
                .then(|| format!("there is no architecture `{word}`")),
            Self::Is(Field::Kernel, _) => None,
            Self::Is(field, word) => {
                let mut candidates = suites.iter().flat_map(|loaded| {
                    let suite = &loaded.suite;
                    let of = |case| (suite.name.as_str(), case);
                    suite.cases.iter().map(of)
                });
                let there = candidates.any(|(suite, case)| {
                    case.variants.iter().any(|variant| {
                        let candidate = Candidate {
                            suite,
                            case,
                            variant,
                            on: None,
                        };
                        fits(*field, word, candidate) == Some(true)
                    })
                });
                (!there).then(|| format!("nothing has {}({word})", field.word()))
            }
            Self::Not(term) => term.misses(suites),
            Self::All(terms) | Self::Any(terms) => terms.iter().find_map(|term| term.misses(suites)),
        }
    }
}

/// `enough` where one of them is that, its opposite where all are, and nothing where it depends on what is not known.
fn together(terms: &[Term], candidate: Candidate<'_>, enough: bool) -> Option<bool> {
    let mut known = true;
    for term in terms {
        match term.holds(candidate) {
            Some(holds) if holds == enough => return Some(enough),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!enough)
}

fn fits(field: Field, word: &str, candidate: Candidate<'_>) -> Option<bool> {
    Some(match field {
        Field::Suite => is_like(candidate.suite, word),
        Field::Case => is_named(candidate.case, word),
        Field::Variant => has_choice(candidate.variant, word),
        Field::Arch => is_like(&candidate.on?.arch.to_string(), word),
        Field::Kernel => {
            let kernel = candidate.on?;
            let release = kernel.release.as_deref().unwrap_or_default();
            is_like(&kernel.label, word) || is_like(&format!("{}-{release}", kernel.label), word)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use suite::Suite;

    const SUITE: &str = "\
suite: standby
cases:
  - { id: S01, name: online and offline, steps: [log: { has: x }] }
  - { id: S02, name: the same again, steps: [log: { has: x }], variants: { memmap_on_memory: [off, on] } }
";

    fn suites() -> [Arc<LoadedSuite>; 1] {
        [Arc::new(LoadedSuite {
            file: "standby.yaml".to_owned(),
            sha256: String::new(),
            suite: Suite::parse("standby.yaml", SUITE).unwrap(),
        })]
    }

    fn kernel(arch: Arch) -> PlannedKernel {
        PlannedKernel {
            label: "debian:sid".to_owned(),
            named: "debian:sid".to_owned(),
            arch,
            release: Some("7.2.13".to_owned()),
            config: None,
        }
    }

    fn taken(text: &str, on: Option<&PlannedKernel>) -> Vec<String> {
        let expression: Expression = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let [loaded] = suites();
        let mut taken = Vec::new();
        for case in &loaded.suite.cases {
            for variant in &case.variants {
                if expression.takes(Candidate {
                    suite: "standby",
                    case,
                    variant,
                    on,
                }) {
                    let choice = variant
                        .choices
                        .first()
                        .map(|choice| format!(" {choice}"))
                        .unwrap_or_default();
                    taken.push(format!("{}{choice}", case.id));
                }
            }
        }
        taken
    }

    #[test]
    fn an_expression_means_what_its_words_say() {
        let s390x = kernel(Arch::S390x);
        let on = |text: &str| taken(text, Some(&s390x));
        let all = ["S01", "S02 memmap_on_memory=off", "S02 memmap_on_memory=on"];
        assert_eq!(on("suite(stand*)"), all);
        assert_eq!(on("case(S01)"), ["S01"]);
        assert_eq!(
            on("!case(S01) & !variant(memmap_on_memory=on)"),
            ["S02 memmap_on_memory=off"]
        );
        assert_eq!(
            on("case(s01) | variant(memmap_on_memory=on)"),
            ["S01", "S02 memmap_on_memory=on"]
        );
        // & binds more than |.
        assert_eq!(
            on("case(S01) | suite(standby) & variant(memmap_on_memory=on)").len(),
            2
        );
        assert_eq!(
            on("(case(S01)|suite(standby)) && variant(memmap_on_memory=on)").len(),
            1
        );
        assert_eq!(on("not (case(S01))").len(), 2);
        assert_eq!(on("arch(s390x) & kernel(debian:sid)"), all);
        assert_eq!(on("kernel(*7.2*)"), all);
        assert_eq!(on("arch(x86_64)"), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_known_yet_leaves_nothing_out_that_it_alone_decides() {
        assert_eq!(taken("arch(x86_64)", None).len(), 3);
        assert_eq!(taken("!arch(x86_64)", None).len(), 3);
        assert_eq!(taken("arch(x86_64) & case(S01)", None), ["S01"]);
        assert_eq!(taken("arch(x86_64) | case(S01)", None).len(), 3);
    }

    #[test]
    fn what_is_no_expression_is_told_with_its_place() {
        let said = |text: &str| text.parse::<Expression>().unwrap_err().to_string();
        for (text, at) in [
            ("", "at `the end`"),
            ("suite()", "at `)`"),
            ("suite(quick", "at `the end`"),
            ("quick", "at `quick`"),
            ("suite(quick) case(S01)", "at `case(S01)`"),
            ("suite(quick) & (case(S01)", "at `the end`"),
            ("suite(quick) & ", "at `& `"),
            ("suite(quick & case(S01)", "at `(S01)`"),
        ] {
            assert!(said(text).ends_with(at), "{text}: {}", said(text));
        }
        assert!(said("quick").contains("suite(…)"), "{}", said("quick"));
    }

    #[test]
    fn a_word_that_fits_nothing_is_a_mistake() {
        let missed = |text: &str| text.parse::<Expression>().unwrap().misses(&suites());
        assert_eq!(
            missed("suite(standby) & !case(S0*) & arch(s390x) & kernel(x)"),
            None
        );
        assert_eq!(missed("case(S01) | case(X*)").unwrap(), "nothing has case(X*)");
        assert_eq!(missed("arch(arm)").unwrap(), "there is no architecture `arm`");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "[ a-z()!&|*=,]{0,40}") {
            if let Ok(expression) = text.parse::<Expression>() {
                prop_assert_eq!(expression.to_string(), text.trim());
            }
        }
    }
}
