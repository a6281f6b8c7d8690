// SPDX-License-Identifier: MIT OR Apache-2.0
//! Suites of Debian's archives, by name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A suite of Debian's archives that memrig knows how to take kernels from. Which of them a mirror has, the mirror says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DebianSuite {
    /// Debian 12, Linux 6.1.
    Bookworm,
    /// What bookworm gets between its point releases.
    BookwormUpdates,
    /// What the next point release of bookworm may get.
    BookwormProposedUpdates,
    /// Security updates of bookworm.
    BookwormSecurity,
    /// Newer kernels for bookworm.
    BookwormBackports,
    /// Debian 13, Linux 6.12.
    Trixie,
    /// What trixie gets between its point releases.
    TrixieUpdates,
    /// What the next point release of trixie may get.
    TrixieProposedUpdates,
    /// Security updates of trixie.
    TrixieSecurity,
    /// Newer kernels for trixie.
    TrixieBackports,
    /// Debian 14, to come.
    Forky,
    /// Unstable, the newest Linux.
    Sid,
    /// What is not yet for unstable, such as release candidates.
    Experimental,
}

/// The text names no suite that memrig knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown suite of Debian `{0}`: expected one of {expected}", expected = DebianSuite::ALL.map(DebianSuite::name).join(", "))]
pub struct UnknownSuite(String);

impl DebianSuite {
    /// Those whose kernels are meant where nobody names one, oldest first.
    pub const USUAL: [Self; 3] = [Self::Bookworm, Self::Trixie, Self::Sid];

    /// All of them, oldest first.
    const ALL: [Self; 13] = [
        Self::Bookworm,
        Self::BookwormUpdates,
        Self::BookwormProposedUpdates,
        Self::BookwormSecurity,
        Self::BookwormBackports,
        Self::Trixie,
        Self::TrixieUpdates,
        Self::TrixieProposedUpdates,
        Self::TrixieSecurity,
        Self::TrixieBackports,
        Self::Forky,
        Self::Sid,
        Self::Experimental,
    ];

    /// The name that it has in an archive.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::BookwormUpdates => "bookworm-updates",
            Self::BookwormProposedUpdates => "bookworm-proposed-updates",
            Self::BookwormSecurity => "bookworm-security",
            Self::BookwormBackports => "bookworm-backports",
            Self::Trixie => "trixie",
            Self::TrixieUpdates => "trixie-updates",
            Self::TrixieProposedUpdates => "trixie-proposed-updates",
            Self::TrixieSecurity => "trixie-security",
            Self::TrixieBackports => "trixie-backports",
            Self::Forky => "forky",
            Self::Sid => "sid",
            Self::Experimental => "experimental",
        }
    }

    /// Whether it is in the archive of security updates.
    pub(crate) fn is_security(self) -> bool {
        matches!(self, Self::BookwormSecurity | Self::TrixieSecurity)
    }
}

impl fmt::Display for DebianSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DebianSuite {
    type Err = UnknownSuite;

    fn from_str(text: &str) -> Result<Self, UnknownSuite> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name() == text)
            .ok_or_else(|| UnknownSuite(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_by_name() {
        assert!(
            DebianSuite::ALL
                .iter()
                .all(|suite| suite.to_string().parse() == Ok(*suite))
        );
        assert!(
            "jammy"
                .parse::<DebianSuite>()
                .unwrap_err()
                .to_string()
                .contains("expected one of bookworm, bookworm-updates, ")
        );
    }
}
