// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a series says that it stands on: a base, and patches that are not in it.

use std::fmt;

/// A patch or a series that must be in the tree before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A patch, by the id that `git patch-id --stable` gives it.
    Patch(String),
    /// A mail, by its Message-ID.
    Mail(String),
    /// A series, by the id that b4 keeps over all of its versions.
    Change(String),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patch(id) => write!(f, "the patch with the patch-id {id}"),
            Self::Mail(id) => write!(f, "<{id}>"),
            Self::Change(id) => write!(f, "the series with the change-id {id}"),
        }
    }
}

/// What follows a word at the beginning of a line, whatever its case.
fn values<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(word).then(|| value.trim())
    })
}

/// The commits or tags of the lines `base-commit: …`; what stands behind is for people.
pub(super) fn bases(text: &str) -> impl Iterator<Item = String> {
    values(text, "base-commit").filter_map(|value| {
        let word = value
            .split(|c: char| c.is_whitespace() || ",;()<>`'\"#".contains(c))
            .map(|word| word.trim_end_matches('.'))
            .find(|word| !word.is_empty() && !word.eq_ignore_ascii_case("commit"))?;
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
        let usual =
            word.len() <= 64 && word.bytes().all(name) && !word.starts_with('-') && !word.contains("..");
        let commit = (7..=64).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if commit {
            Some(word.to_ascii_lowercase())
        } else {
            // A tag, such as next-20260301.
            (usual && word.contains(|c: char| c.is_ascii_digit())).then(|| word.to_owned())
        }
    })
}

/// What the lines `prerequisite-…: …` name.
pub(super) fn needs(text: &str) -> Vec<Need> {
    let word = |value: &str| {
        value
            .split_whitespace()
            .next()
            .map(|word| word.trim_matches(['<', '>']).to_owned())
    };
    let patches = values(text, "prerequisite-patch-id")
        .filter_map(word)
        .map(Need::Patch);
    let mails = values(text, "prerequisite-message-id")
        .filter_map(word)
        .map(Need::Mail);
    let changes = values(text, "prerequisite-change-id")
        .filter_map(word)
        .map(Need::Change);
    let based = values(text, "based-on")
        .filter(|value| value.contains('@'))
        .filter_map(word)
        .map(Need::Mail);
    patches.chain(mails).chain(changes).chain(based).collect()
}
