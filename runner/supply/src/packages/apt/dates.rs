// SPDX-License-Identifier: MIT OR Apache-2.0
//! How old the index of a mirror is, beside those that were seen before. Pure.
//!
//! A signature does not say that an index is the newest: who stands between may send an old one again, and with it packages that were mended since.

use std::{collections::BTreeMap, fmt};

use format::deb::Release;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// When the newest index of each suite was made, by the suite's codename, such as `trixie-security`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Dates(BTreeMap<String, Timestamp>);

/// What an index is beside those that were seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beside {
    /// There was none, or an older one.
    Newer,
    /// As old as the newest.
    Same,
    /// Older than that.
    Older(Older),
}

/// An index that is older than one that was seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Older {
    codename: String,
    sent: Timestamp,
    seen: Timestamp,
}

impl Beside {
    pub(super) fn older(&self) -> Option<&Older> {
        match self {
            Self::Older(older) => Some(older),
            Self::Newer | Self::Same => None,
        }
    }
}

impl Dates {
    /// Takes in what an index says of itself, unless it is older than what was seen.
    pub(super) fn take(&mut self, release: Release) -> Beside {
        let Release { codename, date } = release;
        match self.0.get(&codename) {
            Some(seen) if date == *seen => Beside::Same,
            Some(&seen) if date < seen => Beside::Older(Older {
                codename,
                sent: date,
                seen,
            }),
            _ => {
                self.0.insert(codename, date);
                Beside::Newer
            }
        }
    }
}

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |moment: Timestamp| moment.strftime("%F %R").to_string();
        write!(
            f,
            "the mirror sends an index of {} that was made {} UTC, and one of {} was seen before: it stands still, or somebody sends an old one again",
            self.codename,
            time(self.sent),
            time(self.seen)
        )
    }
}

/// Where apt says that it has got a Release from: the addresses of all, since it does not say which of them it kept. One that the server calls unchanged is none of them.
pub(super) fn fetched_releases(said: &str) -> Vec<String> {
    let uri = |line: &str| {
        let mut words = line.strip_prefix("Get:")?.split_whitespace().skip(1);
        let (archive, suite, name) = (words.next()?, words.next()?, words.next()?);
        matches!(name, "InRelease" | "Release")
            .then(|| format!("{}/dists/{suite}/{name}", archive.trim_end_matches('/')))
    };
    said.lines().filter_map(uri).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(codename: &str, date: &str) -> Release {
        Release {
            codename: codename.to_owned(),
            date: date.parse().unwrap(),
        }
    }

    #[test]
    fn an_index_that_is_older_than_what_was_seen_is_told() {
        let mut dates = Dates::default();
        assert_eq!(dates.take(release("sid", "2026-11-28T08:00:00Z")), Beside::Newer);
        assert_eq!(dates.take(release("sid", "2026-11-28T08:00:00Z")), Beside::Same);
        assert_eq!(
            dates.take(release("trixie", "2026-11-01T08:00:00Z")),
            Beside::Newer
        );
        assert_eq!(dates.take(release("sid", "2026-11-29T14:00:00Z")), Beside::Newer);
        let Beside::Older(older) = dates.take(release("sid", "2026-11-29T13:59:00Z")) else {
            panic!("it is older");
        };
        assert!(
            older
                .to_string()
                .starts_with("the mirror sends an index of sid that was made 2026-11-29 13:59 UTC, and one of 2026-11-29 14:00 was"),
            "{older}"
        );
    }

    #[test]
    fn what_was_fetched_is_told_from_what_is_unchanged() {
        // apt 2.6.1, `apt-get update -q` with LC_ALL=C.
        let said = "Hit:1 http://mirror.test/security sid-security InRelease\nIgn:2 http://mirror.test/debian sid InRelease\n\
            Get:3 http://mirror.test/debian sid Release [214 B]\nGet:4 http://mirror.test/debian/ experimental InRelease [60.2 kB]\n\
            Get:5 http://mirror.test/debian sid/main amd64 Packages [145 B]\nFetched 359 B in 0s (20.6 kB/s)\n";
        assert_eq!(
            fetched_releases(said),
            [
                "http://mirror.test/debian/dists/sid/Release",
                "http://mirror.test/debian/dists/experimental/InRelease"
            ]
        );
    }
}
