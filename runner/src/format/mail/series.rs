// SPDX-License-Identifier: MIT OR Apache-2.0
//! From mails to a series: which belong to it, in which order, and whether it is whole.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    mbox,
    message::{Message, MessageError},
    patch::{Patch, PatchError},
};

/// A series of patches, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Title of the cover letter, else of the first patch.
    pub title: String,
    /// Which version of the series it is.
    pub version: u32,
    /// The commit that it names as its base.
    pub base_commit: Option<String>,
    /// The patches; at least one.
    pub patches: Vec<Patch>,
    /// What was passed over and why, for a person.
    pub notes: Vec<String>,
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
    /// A mail says that it is a patch, and has no diff.
    #[error("{0} says that it is a patch, and has no diff")]
    NoDiff(String),
    /// Numbers are missing.
    #[error("v{version} has {total} patches, and {found} of them are there: missing are {}", list(.missing))]
    Missing {
        /// Version of the series.
        version: u32,
        /// Their numbers.
        missing: Vec<u32>,
        /// How many there should be.
        total: u32,
        /// How many there are.
        found: usize,
    },
    /// Two different patches have the same number.
    #[error("{first} and {second} are both patch {number}: keep one series in the file")]
    Twice {
        /// The number.
        number: u32,
        /// One of them.
        first: String,
        /// The other one.
        second: String,
    },
    /// The patches do not agree on how many they are.
    #[error("{mail} counts {seen} patches, and another one counts {total}: keep one series in the file")]
    Total {
        /// Which one.
        mail: String,
        /// What it says.
        seen: u32,
        /// What another one says.
        total: u32,
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
    /// Some patches have numbers, and some have not.
    #[error("{0} has no number, and others have: keep one series in the file")]
    Unnumbered(String),
}

fn list(numbers: &[u32]) -> String {
    const SHOWN: usize = 10;
    let mut words: Vec<String> = numbers.iter().take(SHOWN).map(u32::to_string).collect();
    if numbers.len() > SHOWN {
        words.push(format!("and {} more", numbers.len() - SHOWN));
    }
    words.join(", ")
}

/// Mails out of one or several files.
#[derive(Debug, Clone, Default)]
pub struct Mails {
    /// Each mail, with words that say which one it is.
    mails: Vec<(String, Vec<u8>)>,
    files: Vec<String>,
}

/// A mail with a diff.
struct Candidate {
    /// Words that say which mail it is.
    mail: String,
    message: Message,
    patch: Patch,
}

impl Mails {
    /// Adds the mails of a file.
    pub fn add(&mut self, file: &str, bytes: &[u8]) {
        self.files.push(format!("`{file}`"));
        let found = mbox::mails(bytes);
        let only = found.len() == 1;
        for (index, mail) in found.into_iter().enumerate() {
            let name = if only {
                format!("`{file}`")
            } else {
                format!("mail {} of `{file}`", index + 1)
            };
            self.mails.push((name, mail));
        }
    }

    /// The series in the mails: the newest version of it, in the order of its numbers.
    ///
    /// Answers and mails without a diff are passed over, as in the saved thread of a discussion.
    ///
    /// # Errors
    /// The first thing that makes it impossible to apply them as they were meant.
    pub fn series(&self) -> Result<Series, SeriesError> {
        let mut notes = Vec::new();
        let mut covers = Vec::new();
        let mut candidates = Vec::new();
        for (mail, bytes) in &self.mails {
            let message = match Message::parse(bytes) {
                Ok(message) => message,
                // Something in a thread that never was a patch does no harm.
                Err(error) if self.mails.len() > 1 && Message::is_talk(bytes, &error) => {
                    notes.push(format!("{mail} was passed over: {error}"));
                    continue;
                }
                Err(why) => {
                    return Err(SeriesError::Message {
                        mail: mail.clone(),
                        why,
                    });
                }
            };
            let mail = format!("{mail} (`{}`)", message.subject.title);
            if message.subject.reply {
                notes.push(format!("{mail} was passed over: it is an answer"));
                continue;
            }
            if message.subject.number.is_some_and(|(number, _)| number == 0) {
                covers.push(message);
                continue;
            }
            let patch = Patch::of(&message).map_err(|why| SeriesError::Patch {
                mail: mail.clone(),
                why,
            })?;
            match patch {
                Some(patch) => candidates.push(Candidate { mail, message, patch }),
                None if message.subject.patch && message.subject.number.is_some() => {
                    return Err(SeriesError::NoDiff(mail));
                }
                None => notes.push(format!("{mail} was passed over: it has no diff")),
            }
        }
        let newest = candidates
            .iter()
            .map(|candidate| candidate.message.subject.version)
            .max();
        let version = newest.ok_or_else(|| SeriesError::NoPatch(self.files.join(", ")))?;
        let older = candidates.len();
        candidates.retain(|candidate| candidate.message.subject.version == version);
        let older = older - candidates.len();
        if older > 0 {
            notes.push(format!(
                "{older} patches of versions before v{version} were passed over"
            ));
        }
        let candidates = ordered(candidates, version)?;
        let cover = covers.iter().find(|cover| cover.subject.version == version);
        let base_commit = cover
            .into_iter()
            .chain(candidates.iter().map(|candidate| &candidate.message))
            .find_map(|message| base_commit(&message.text));
        let title = cover.map(|cover| cover.subject.title.clone());
        Ok(Series {
            title: title.unwrap_or_else(|| candidates[0].patch.title.clone()),
            version,
            base_commit,
            patches: candidates.into_iter().map(|candidate| candidate.patch).collect(),
            notes,
        })
    }
}

/// The patches by number, each once and all there; those without numbers as they came.
fn ordered(candidates: Vec<Candidate>, version: u32) -> Result<Vec<Candidate>, SeriesError> {
    let numbers = |candidate: &Candidate| candidate.message.subject.number;
    let Some(total) = candidates
        .iter()
        .find_map(|candidate| Some(numbers(candidate)?.1))
    else {
        return Ok(candidates);
    };
    let mut by_number: BTreeMap<u32, Candidate> = BTreeMap::new();
    for candidate in candidates {
        let mail = candidate.mail.clone();
        let Some((number, seen)) = numbers(&candidate) else {
            return Err(SeriesError::Unnumbered(mail));
        };
        if seen != total {
            return Err(SeriesError::Total { mail, seen, total });
        }
        if number > total {
            return Err(SeriesError::Number { mail, number, total });
        }
        match by_number.get(&number) {
            // The same mail twice, as it comes through two lists.
            Some(first) if first.patch == candidate.patch => {}
            Some(first) => {
                return Err(SeriesError::Twice {
                    number,
                    first: first.mail.clone(),
                    second: mail,
                });
            }
            None => {
                by_number.insert(number, candidate);
            }
        }
    }
    let there: BTreeSet<u32> = by_number.keys().copied().collect();
    let missing: Vec<u32> = (1..=total).filter(|number| !there.contains(number)).collect();
    if missing.is_empty() {
        Ok(by_number.into_values().collect())
    } else {
        Err(SeriesError::Missing {
            version,
            missing,
            total,
            found: there.len(),
        })
    }
}

/// The commit of a line `base-commit: …`.
fn base_commit(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let id = line.strip_prefix("base-commit:")?.trim();
        let hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        (hex && (7..=64).contains(&id.len())).then(|| id.to_ascii_lowercase())
    })
}
