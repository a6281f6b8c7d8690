// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranges of kernel releases, such as `6.9..6.18`.
//!
//! Only the leading numbers of a release count. What a distribution appends (`+deb13-amd64`) and a release candidate's
//! `-rc3` are not looked at: a range says which releases were seen to behave in a way, not which source they were built from.

use std::{borrow::Cow, cmp::Ordering, fmt, str::FromStr};

use super::text::text_type;

/// The leading numbers of a kernel release: `6.12.107+deb13-amd64` is 6.12.107.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct KernelVersion(Vec<u32>);

/// A range of kernel releases, both ends included.
///
/// An end covers everything that begins with it: `..6.18` covers 6.18.40. `6.12` alone is all of 6.12.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KernelRange {
    from: Option<KernelVersion>,
    to: Option<KernelVersion>,
}

/// Why a text is not a range of kernel releases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    /// An end is not made of numbers and dots.
    #[error(
        "`{end}` in the kernel range `{text}` is no version: expected a form such as 6.9.., ..6.8, 6.9..6.18 or 6.12"
    )]
    Version {
        /// The whole range.
        text: String,
        /// The part that is no version.
        end: String,
    },
    /// Neither end is given, so that every release would match.
    #[error("the kernel range `{0}` has no end: expected a form such as 6.9.., ..6.8, 6.9..6.18 or 6.12")]
    Open(String),
    /// The first release comes after the last.
    #[error("the kernel range `{0}` is empty: its first release comes after its last")]
    Backwards(String),
}

impl KernelVersion {
    /// Reads the leading numbers of a release as `uname -r` prints it; `None` where it does not begin with a number.
    pub(crate) fn of_release(release: &str) -> Option<Self> {
        let end = release
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(release.len());
        Self::exact(release[..end].trim_end_matches('.'))
    }

    fn exact(text: &str) -> Option<Self> {
        text.split('.')
            .map(|n| n.parse().ok())
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    /// Compares only as many numbers as `end` has.
    fn against(&self, end: &Self) -> Ordering {
        (0..end.0.len())
            .map(|i| self.0.get(i).copied().unwrap_or(0).cmp(&end.0[i]))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

impl KernelRange {
    /// Whether a release, as `uname -r` prints it, is in the range. A release that does not begin with a number is in none.
    pub fn contains(&self, release: &str) -> bool {
        KernelVersion::of_release(release).is_some_and(|version| {
            self.from
                .as_ref()
                .is_none_or(|from| version.against(from).is_ge())
                && self.to.as_ref().is_none_or(|to| version.against(to).is_le())
        })
    }
}

impl FromStr for KernelRange {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let version = |end: &str| {
            KernelVersion::exact(end.trim()).ok_or_else(|| BadRange::Version {
                text: text.to_owned(),
                end: end.trim().to_owned(),
            })
        };
        let some = |end: &str| {
            if end.trim().is_empty() {
                Ok(None)
            } else {
                version(end).map(Some)
            }
        };
        let (from, to) = match text.split_once("..") {
            None => {
                let only = version(text)?;
                (Some(only.clone()), Some(only))
            }
            Some((from, to)) => (some(from)?, some(to)?),
        };
        match (&from, &to) {
            (None, None) => Err(BadRange::Open(text.to_owned())),
            (Some(first), Some(last)) if first.against(last).is_gt() => {
                Err(BadRange::Backwards(text.to_owned()))
            }
            _ => Ok(Self { from, to }),
        }
    }
}

impl fmt::Display for KernelRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: &Option<KernelVersion>| {
            end.as_ref()
                .map_or(Cow::Borrowed(""), |v| Cow::Owned(v.to_string()))
        };
        if self.from == self.to {
            f.write_str(&end(&self.from))
        } else {
            write!(f, "{}..{}", end(&self.from), end(&self.to))
        }
    }
}

text_type!(
    KernelRange,
    "Kernel releases, both ends included: `6.9..`, `..6.8`, `6.9..6.18` (covers 6.18.x), or `6.12` alone.",
    r"^\s*([0-9]+(\.[0-9]+)*)?(\s*\.\.\s*([0-9]+(\.[0-9]+)*)?)?\s*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> KernelRange {
        text.parse().unwrap()
    }

    #[test]
    fn both_ends_are_included() {
        let releases = [
            "6.1.0-42-amd64",
            "6.8.12",
            "6.9.0",
            "6.12.107+deb13-amd64",
            "6.18.40",
            "6.19-rc1",
            "7.2.13",
        ];
        let inside = |text: &str| releases.map(|r| range(text).contains(r));
        assert_eq!(inside("6.9.."), [false, false, true, true, true, true, true]);
        assert_eq!(inside("..6.8"), [true, true, false, false, false, false, false]);
        assert_eq!(
            inside("6.9..6.18"),
            [false, false, true, true, true, false, false]
        );
        assert_eq!(inside("6.12"), [false, false, false, true, false, false, false]);
        assert_eq!(
            inside("6.12.101..6.12.117"),
            [false, false, false, true, false, false, false]
        );
        assert_eq!(
            inside("6.12.108.."),
            [false, false, false, false, true, true, true]
        );
    }

    #[test]
    fn a_release_without_numbers_is_in_no_range() {
        assert!(!range("6.9..").contains("next-20261101"));
        assert!(!range("..6.8").contains(""));
    }

    #[test]
    fn what_is_no_range_is_named() {
        let error = |text: &str| text.parse::<KernelRange>().unwrap_err().to_string();
        assert!(error("6.x..").starts_with("`6.x` in the kernel range `6.x..` is no version"));
        assert!(error("..").contains("has no end"));
        assert!(error("6.18..6.9").contains("is empty"));
        assert!(error("").contains("is no version"));
        assert!(error("6.9...6.10").contains("`.6.10`"));
    }

    #[test]
    fn text_round_trips() {
        for text in ["6.9..", "..6.8", "6.9..6.18", "6.12"] {
            assert_eq!(range(text).to_string(), text);
        }
    }
}
