// SPDX-License-Identifier: MIT OR Apache-2.0
//! Regular expressions and durations.

use std::{fmt, str::FromStr, time::Duration};

use regex::Regex;

use super::{limits, text::text_type};

/// A regular expression, searched for anywhere in a line unless it is anchored.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// The text is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no regular expression: {why}")]
pub struct BadPattern {
    text: String,
    why: String,
}

impl Pattern {
    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.0
    }

    /// Whether it fits whatever there is, so that it tests nothing: an empty text, and one that nobody writes.
    pub(super) fn fits_everything(&self) -> bool {
        ["", "\u{fffd}\u{1}"].iter().all(|text| self.0.is_match(text))
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        Regex::new(text).map(Self).map_err(|error| {
            let whole = error.to_string();
            let last = whole.lines().last().unwrap_or_default();
            BadPattern {
                text: text.to_owned(),
                why: last.trim_start_matches("error: ").to_owned(),
            }
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str())
    }
}

text_type!(
    Pattern,
    "A regular expression (syntax of the Rust crate regex), found anywhere in a line unless it is anchored."
);

/// How long something may take, before the factor that memrig measures at boot is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimeLimit(Duration);

/// The text is no duration that a step may take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTimeLimit {
    /// It is none.
    #[error("`{0}` is no duration: expected a number from 1 on with a unit s, min or h, such as 90s or 5min")]
    NoDuration(String),
    /// Nobody waits for it.
    #[error("`{0}` is too long: expected up to {max}h", max = limits::TIME / 3600)]
    TooLong(String),
}

const TIME_UNITS: [(&str, u64); 3] = [("h", 3600), ("min", 60), ("s", 1)];

impl TimeLimit {
    /// The limit as a duration.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for TimeLimit {
    type Err = BadTimeLimit;

    fn from_str(text: &str) -> Result<Self, BadTimeLimit> {
        let bad = || BadTimeLimit::NoDuration(text.to_owned());
        let long = || BadTimeLimit::TooLong(text.to_owned());
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (digits, unit) = trimmed.split_at(split);
        let (_, scale) = TIME_UNITS
            .iter()
            .find(|(word, _)| *word == unit.trim())
            .ok_or_else(bad)?;
        if digits.is_empty() {
            return Err(bad());
        }
        let number: u64 = digits.parse().map_err(|_| long())?;
        match number.checked_mul(*scale) {
            Some(0) => Err(bad()),
            Some(seconds @ ..=limits::TIME) => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(long()),
        }
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (unit, scale) = TIME_UNITS
            .iter()
            .find(|(_, s)| seconds.is_multiple_of(*s))
            .unwrap_or(&("s", 1));
        f.pad(&format!("{}{unit}", seconds / scale))
    }
}

text_type!(
    TimeLimit,
    "A duration with a unit s, min or h, such as `90s` or `5min`.",
    "^ *[0-9]+ *(s|min|h) *$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_have_a_unit() {
        assert_eq!(
            "5min".parse::<TimeLimit>().unwrap().duration(),
            Duration::from_secs(300)
        );
        for text in ["90s", "5min", "2h"] {
            assert_eq!(text.parse::<TimeLimit>().unwrap().to_string(), text);
        }
        for text in ["", "90", "0s", "5 weeks", "-1s", "s"] {
            let error = text.parse::<TimeLimit>().unwrap_err().to_string();
            assert!(error.contains("is no duration"), "{error}");
        }
        assert!("168h".parse::<TimeLimit>().is_ok());
        for text in ["169h", "604801s", "99999999999999999h", "99999999999999999999s"] {
            let error = text.parse::<TimeLimit>().unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is too long: expected up to 168h"));
        }
    }

    #[test]
    fn what_fits_everything_is_told_from_what_fits_an_empty_line() {
        let fits = |text: &str| text.parse::<Pattern>().unwrap().fits_everything();
        assert!(["", ".*", "x*", "a|", "^", "(?i)"].into_iter().all(fits));
        assert!(!["^$", "x", ".", "^ *$", "a|^$"].into_iter().any(fits));
    }

    #[test]
    fn a_bad_pattern_says_why_in_one_line() {
        let error = "a(b".parse::<Pattern>().unwrap_err().to_string();
        assert_eq!(error, "`a(b` is no regular expression: unclosed group");
    }
}
