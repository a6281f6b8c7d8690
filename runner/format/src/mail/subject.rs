// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a subject such as `[PATCH v2 03/11] mm: …` says.

use std::{fmt, str::FromStr};

/// Which version of a series: `v3`, or `v3.1` where a part of it was sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The number before the point.
    pub(crate) major: u32,
    /// The one after it; 0 where there is none. That of `v3b` is 2.
    pub minor: u32,
}

impl Version {
    /// The one of a series that names none.
    pub(crate) const FIRST: Self = Self { major: 1, minor: 0 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            0 => write!(f, "v{}", self.major),
            minor => write!(f, "v{}.{minor}", self.major),
        }
    }
}

/// The text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version: expected a number such as `3`, or `3.1`")]
pub struct VersionError(String);

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let upper = text.to_ascii_uppercase();
        match version(upper.strip_prefix('V').unwrap_or(&upper)) {
            Some((version, "")) => Ok(version),
            _ => Err(VersionError(text.to_owned())),
        }
    }
}

/// A subject, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// It answers another mail, or hands it on.
    pub(crate) reply: bool,
    /// A bracket has the word PATCH, RFC or RESEND, or a number.
    pub(crate) patch: bool,
    /// The number after `v`; `None` where none is given.
    pub(crate) version: Option<Version>,
    /// Which of how many; 0 is the cover letter.
    pub(crate) number: Option<(u32, u32)>,
    /// What stands after the brackets.
    pub(crate) title: String,
}

/// What separates the words in the brackets of a subject.
const SEPARATORS: &str = " \t,;:_-()+|=#&";

/// Words that may have another one, a version or a number right behind them.
const GLUED: [&str; 5] = ["RESEND", "REPOST", "PATCHES", "PATCH", "RFC"];

/// Words that have a version behind them. The longest come first.
const VERSIONED: [&str; 6] = ["VERSION", "VER", "REV", "TAKE", "TRY", "V"];

/// Words before the subject of an answer, and of a mail that is handed on.
const REPLIES: [&str; 15] = [
    "re", "aw", "fwd", "fw", "sv", "vs", "antw", "antwort", "odp", "r", "rif", "wg", "回复", "答复", "转发",
];

impl Subject {
    /// Reads a subject that has no line ends any more.
    pub(crate) fn parse(text: &str) -> Self {
        let mut subject = Self {
            reply: false,
            patch: false,
            version: None,
            number: None,
            title: String::new(),
        };
        let mut rest = text.trim();
        loop {
            // As in `[EXTERNAL] Re: [PATCH] …`; what follows the tag of a patch is its title.
            if let Some(answered) = strip_reply(rest).filter(|_| !subject.patch) {
                subject.reply = true;
                rest = answered.trim_start();
            } else if let Some((tag, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'))
            {
                subject.tag(&tag.to_uppercase());
                rest = after.trim_start();
            } else {
                break;
            }
        }
        // As in `[PATCH 1/2]: mm: …`; and folding leaves more than one space.
        let title = rest.trim_start_matches([':', ' ']);
        subject.title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        subject
    }

    /// Which version it is of: the first one, where it does not say so.
    pub(crate) fn version(&self) -> Version {
        self.version.unwrap_or(Version::FIRST)
    }

    /// Reads what stands in a pair of brackets, in capitals.
    fn tag(&mut self, tag: &str) {
        let words: Vec<&str> = tag
            .split(|c| SEPARATORS.contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        let mut at = 0;
        while at < words.len() {
            let after = &words[at + 1..];
            at += match (words[at], after) {
                // The kernel that it is for, as in `[PATCH for v6.12]`.
                ("FOR", [_, ..]) => 2,
                (word, [number, ..]) if VERSIONED.contains(&word) && version(number).is_some() => {
                    self.version_word(number);
                    2
                }
                (number, ["OF", total, ..]) if digits(number).is_some() => {
                    self.numbers(number, total);
                    3
                }
                (word, _) => {
                    self.word(word);
                    1
                }
            };
        }
    }

    fn word(&mut self, word: &str) {
        if let Some(rest) = GLUED.iter().find_map(|glued| word.strip_prefix(glued)) {
            self.patch = true;
            if !rest.is_empty() {
                self.word(rest.trim_start_matches('/'));
            }
            return;
        }
        let versioned = VERSIONED
            .iter()
            .find_map(|word_before| word.strip_prefix(word_before));
        if let Some(rest) = versioned.and_then(|text| self.version_word(text)) {
            if !rest.is_empty() {
                self.word(rest);
            }
            return;
        }
        let Some((number, total)) = word.split_once('/') else {
            return;
        };
        // As in `1/3v2`.
        let end = total.find(|c: char| !c.is_ascii_digit()).unwrap_or(total.len());
        let (total, rest) = total.split_at(end);
        if self.numbers(number, total) {
            if !rest.is_empty() {
                self.word(rest);
            }
        } else {
            // As in `RFC/PATCH`.
            let glued = |part: &&str| GLUED.iter().any(|glued| part.starts_with(glued));
            for part in word.split('/').filter(glued) {
                self.word(part);
            }
        }
    }

    fn numbers(&mut self, number: &str, total: &str) -> bool {
        let Some(numbers) = digits(number).zip(digits(total)) else {
            return false;
        };
        self.number = Some(numbers);
        self.patch = true;
        true
    }

    /// Reads a version; what follows it, where it is one.
    fn version_word<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let (found, rest) = version(text)?;
        // Beside a plain one, one with a point is that of a kernel: `[PATCH v6.12 v2 1/3]`.
        if found.minor == 0 || self.version.is_none() {
            self.version = Some(found);
        }
        Some(rest)
    }
}

/// A version at the beginning of a text in capitals, and what follows it.
fn version(text: &str) -> Option<(Version, &str)> {
    let (major, rest) = number_at_start(text)?;
    let with = |minor| Version { major, minor };
    if let Some((minor, rest)) = rest.strip_prefix('.').and_then(number_at_start) {
        return Some((with(minor), rest));
    }
    match rest.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some((with(u32::from(letter - b'A') + 1), "")),
        // `2/3` after a V is no version.
        [b'/', ..] => None,
        _ => Some((with(0), rest)),
    }
}

fn number_at_start(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((digits(&text[..end])?, &text[end..]))
}

fn strip_reply(text: &str) -> Option<&str> {
    let (word, rest) = text.split_once([':', '：'])?;
    // Some count: `Re[2]:`, `Re^2:`.
    let word = word.split(['[', '^', '(']).next().unwrap_or(word).trim();
    let lower = word.to_lowercase();
    REPLIES.contains(&lower.as_str()).then_some(rest)
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}
