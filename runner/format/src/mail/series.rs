// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series, and why mails are none.

use super::{
    message::MessageError,
    needs::Need,
    patch::{Patch, PatchError},
    subject::Version,
};

/// A series of patches, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Title of the cover letter, else of the first patch.
    pub title: String,
    pub(crate) version: Version,
    /// The commits that it names as its base, or its elders do; the most trustworthy first.
    pub bases: Vec<NamedBase>,
    /// What it says that must be in the tree before.
    pub needs: Vec<Need>,
    /// The Message-IDs of its mails, without their brackets.
    pub ids: Vec<String>,
    /// The patches; at least one.
    pub patches: Vec<Patch>,
    /// What was passed over and why, for a person.
    pub notes: Vec<String>,
    /// What is odd about what was taken, for a person.
    pub warnings: Vec<String>,
}

/// A commit that is named as a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBase {
    /// Its id, or a tag.
    pub commit: String,
    /// Who names it: `the series`, or an older version of it.
    pub by: String,
}

/// Which series is meant, where mails have several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// This version, with what was sent again for it; 3.1 is one of 3.
    pub version: Option<Version>,
    /// Words in the title of the series or of one of its patches; case means nothing.
    pub subject: Option<String>,
}

/// Why mails are not a series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// No mail has a diff.
    #[error("no patch in {0}: expected mails with a diff, as `git format-patch` or `b4 am` write them")]
    NoPatch(String),
    /// A mail cannot be read.
    #[error("{mail} cannot be read: {why}")]
    Message {
        /// Which one.
        mail: String,
        /// Why.
        why: MessageError,
    },
    /// A patch cannot be taken.
    #[error("{mail} is not applied: {why}")]
    Patch {
        /// Which one.
        mail: String,
        /// Why.
        why: PatchError,
    },
    /// A packed file does not unpack.
    #[error("`{file}` cannot be unpacked: {said}")]
    Packed {
        /// Which one.
        file: String,
        /// What is wrong.
        said: String,
    },
    /// A mail says that it is a patch, and has no diff.
    #[error("{0} says that it is a patch, and has no diff")]
    NoDiff(String),
    /// Numbers are missing.
    #[error("{version} has {total} patches, and {found} of them are there: missing are {}{}", list(.missing), instead(.whole.as_ref()))]
    Missing {
        /// Version of the series.
        version: Version,
        /// Their numbers.
        missing: Vec<u32>,
        /// How many there should be.
        total: u32,
        /// How many there are.
        found: usize,
        /// The newest older version that is whole.
        whole: Option<Version>,
    },
    /// Two different patches have the same number.
    #[error("{first} and {second} are both patch {number}: keep one of them in the file")]
    Twice {
        /// The number.
        number: u32,
        /// One of them.
        first: String,
        /// The other one.
        second: String,
    },
    /// A number above the count.
    #[error("{mail} is number {number} of {total}")]
    Number {
        /// Which one.
        mail: String,
        /// Its number.
        number: u32,
        /// How many there should be.
        total: u32,
    },
    /// More than one series, and none of them is the newest.
    #[error("there are {} series, {}: choose one with `subject=WORDS` of its title, or keep one in the file", .0.len(), .0.join("; "))]
    Several(Vec<String>),
    /// No series of the version that was chosen.
    #[error("there is no v{}: there are {}", .asked.major, .there.join("; "))]
    NoVersion {
        /// The one that was chosen.
        asked: Version,
        /// What is there, by name.
        there: Vec<String>,
    },
    /// No series with the words that were chosen.
    #[error("no series has `{asked}` in its title: there are {}", .there.join("; "))]
    NoSubject {
        /// The words that were chosen.
        asked: String,
        /// What is there, by name.
        there: Vec<String>,
    },
    /// A patch that was sent again, and does not say for which version.
    #[error("{again} answers {elder} of {version}, and its subject says {says}: keep the one that is meant in the file, or take the elder by `version={}`", .version.major)]
    Unclear {
        /// The mail that came later.
        again: String,
        /// The one that it answers.
        elder: String,
        /// The version of that.
        version: Version,
        /// The version that the later one says.
        says: Version,
    },
}

fn list(numbers: &[u32]) -> String {
    const SHOWN: usize = 10;
    let mut words: Vec<String> = numbers.iter().take(SHOWN).map(u32::to_string).collect();
    if numbers.len() > SHOWN {
        words.push(format!("and {} more", numbers.len() - SHOWN));
    }
    words.join(", ")
}

fn instead(whole: Option<&Version>) -> String {
    whole.map_or_else(String::new, |version| {
        let number = version.to_string();
        format!(
            "; {version} is whole, and `version={}` takes it",
            number.trim_start_matches('v')
        )
    })
}
