// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a known issue is recognised by, so that it hides no other failure.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use super::{case::Case, pattern::Pattern, step::Step, words::FailureKind};

/// What a known issue is recognised by.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sign")]
pub(super) struct RawSign {
    /// In which step it shows.
    pub(crate) step: StepSign,
    /// How.
    pub(crate) kind: FailureKind,
    /// What the failure says: the reason, of a mismatch each counter that differs (`COUNTER: predicted N, seen M`), of a finding its title or
    /// one of its lines.
    pub(crate) pattern: Pattern,
    /// Findings of the kernel's log that come with it, by a line each. Any other finding is a failure.
    #[serde(default)]
    pub(crate) log: Vec<Pattern>,
    /// The steps after it are done too, and the model goes on from what was seen. Default: the case ends there.
    #[serde(default)]
    pub(crate) go_on: bool,
}

/// Which step, as a suite names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StepSign {
    /// Before the first.
    Boot,
    /// By its number, from 1.
    Number(u32),
    /// By what its line says.
    Text(String),
}

impl FromStr for StepSign {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text, text.parse()) {
            ("boot", _) => Self::Boot,
            (_, Ok(number)) => Self::Number(number),
            (text, Err(_)) => Self::Text(text.to_owned()),
        })
    }
}

impl<'de> Deserialize<'de> for StepSign {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = StepSign;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of a step, words of it, or `boot`")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<StepSign, E> {
                // No case has as many steps as that.
                Ok(StepSign::Number(u32::try_from(number).unwrap_or(u32::MAX)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StepSign, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Either)
    }
}

impl JsonSchema for StepSign {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StepSign".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "minLength": 1 }],
            "description": "A step of the case: its number, from 1; words that only its line has, such as `assigned` or \
                `online: { block: b, zone: kernel }`; or `boot`, for what comes before the first. Steps in a `repeat` are named by it.",
        })
    }
}

/// Where in a case something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the first step.
    Boot,
    /// In a step, counted from 1.
    Step(u32),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot => f.write_str("booting"),
            Self::Step(number) => write!(f, "step {number}"),
        }
    }
}

/// What a known issue is recognised by.
#[derive(Debug, Clone)]
pub struct Sign {
    /// Where it shows.
    pub(crate) step: Place,
    /// How.
    pub(crate) kind: FailureKind,
    /// What the failure says.
    pub(crate) pattern: Pattern,
    /// Lines of the findings that come with it.
    pub(crate) log: Vec<Pattern>,
    /// Whether the case goes on after it.
    pub go_on: bool,
}

/// A failure, as far as a sign can tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where it showed.
    pub step: Place,
    /// How.
    pub kind: FailureKind,
    /// What it says, line by line; never empty.
    pub said: Vec<String>,
}

impl Sign {
    /// Whether the failure is this one: of several counters that differ, each must be its; which findings are, [`Sign::explains`] tells.
    pub fn is(&self, failure: &Failure) -> bool {
        self.step == failure.step && self.is_anywhere(failure)
    }

    /// The same, whatever step it shows in.
    pub fn is_anywhere(&self, failure: &Failure) -> bool {
        let mut said = failure.said.iter();
        let mine = |line: &String| self.pattern.regex().is_match(line);
        self.kind == failure.kind
            && match self.kind.is_seen_in_the_log() {
                true => said.any(mine),
                false => !failure.said.is_empty() && said.all(mine),
            }
    }

    /// The step of its case in which it shows; `None` before the first.
    pub fn step_of<'c>(&self, case: &'c Case) -> Option<&'c Step> {
        match self.step {
            Place::Boot => None,
            Place::Step(number) => case.steps.get(number.checked_sub(1)? as usize),
        }
    }

    /// Whether a finding of the log comes with it: one of its lines says so.
    pub fn explains<'l>(&self, mut lines: impl Iterator<Item = &'l str>) -> bool {
        let own = self.kind.is_seen_in_the_log().then_some(&self.pattern);
        lines.any(|line| {
            own.into_iter()
                .chain(&self.log)
                .any(|pattern| pattern.regex().is_match(line))
        })
    }
}

/// What is looked for: where, how, and which words.
impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, /{}/", self.step, self.kind, self.pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(kind: FailureKind) -> Sign {
        Sign {
            step: Place::Step(3),
            kind,
            pattern: "Movable".parse().unwrap(),
            log: vec!["oom-killer".parse().unwrap()],
            go_on: false,
        }
    }

    fn failure(step: Place, kind: FailureKind, said: &[&str]) -> Failure {
        let said = said.iter().map(|line| (*line).to_owned()).collect();
        Failure { step, kind, said }
    }

    #[test]
    fn a_failure_of_another_step_kind_or_text_is_another() {
        use FailureKind::{Errno, Mismatch};
        let known = sign(Mismatch);
        let seen = |step, kind, said: &[&str]| known.is(&failure(step, kind, said));
        let here = Place::Step(3);
        assert!(seen(
            here,
            Mismatch,
            &["node 0 Movable present", "zone Movable managed"]
        ));
        assert!(!seen(here, Mismatch, &["node 0 Movable present", "MemTotal"]));
        assert!(!seen(here, Errno, &["Movable"]));
        assert!(!seen(Place::Step(2), Mismatch, &["Movable"]));
        assert!(!seen(Place::Boot, Mismatch, &["Movable"]));
        assert!(!seen(here, Mismatch, &[]));
    }

    #[test]
    fn a_finding_is_explained_by_what_the_sign_says_of_the_log() {
        let explains = |kind, line| sign(kind).explains([line].into_iter());
        assert!(explains(FailureKind::Errno, "x invoked oom-killer: y"));
        assert!(!explains(FailureKind::Errno, "WARNING in Movable"));
        assert!(explains(FailureKind::Finding, "WARNING in Movable"));
        assert!(explains(
            FailureKind::Panic,
            "Kernel panic - not syncing: Movable"
        ));
        assert!(!explains(FailureKind::Panic, "BUG: something else"));
    }

    #[test]
    fn a_step_is_named_by_number_by_words_or_as_the_boot() {
        let read = |text: &str| serde_yaml::from_str::<StepSign>(text).unwrap();
        assert_eq!(read("4"), StepSign::Number(4));
        assert_eq!(read("'4'"), StepSign::Number(4));
        assert_eq!(read("boot"), StepSign::Boot);
        assert_eq!(read("assigned"), StepSign::Text("assigned".to_owned()));
        assert_eq!(read("99999999999"), StepSign::Number(u32::MAX));
        let error = serde_yaml::from_str::<StepSign>("[1]").unwrap_err().to_string();
        assert!(
            error.contains("the number of a step, words of it, or `boot`"),
            "{error}"
        );
    }
}
