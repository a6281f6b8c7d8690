// SPDX-License-Identifier: MIT OR Apache-2.0
//! Expected texts, in which placeholders stand for facts of a block.

use std::{borrow::Cow, fmt, str::FromStr};

use super::text::text_type;

/// What a placeholder in an expected text stands for; all of them are facts of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `{number}`: N of memoryN, decimal.
    Number,
    /// `{phys_index}`: the same as eight hexadecimal digits, as the file prints it (drivers/base/memory.c, `%08lx`).
    PhysIndex,
    /// `{phys_device}`: on s390x the number of the first storage increment from 0; 0 on x86_64.
    PhysDevice,
    /// `{block_size}`: bytes in hexadecimal without 0x, as `block_size_bytes` prints it.
    BlockSize,
}

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceholderText {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Fact(Placeholder),
}

/// A placeholder that memrig does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPlaceholder {
    /// The word between the braces is unknown.
    #[error(
        "unknown placeholder `{{{0}}}`: expected {{number}}, {{phys_index}}, {{phys_device}} or {{block_size}}"
    )]
    Unknown(String),
    /// A brace without its partner.
    #[error("`{0}` has a brace without its partner")]
    Open(String),
}

impl Placeholder {
    const WORDS: [(&'static str, Self); 4] = [
        ("number", Self::Number),
        ("phys_index", Self::PhysIndex),
        ("phys_device", Self::PhysDevice),
        ("block_size", Self::BlockSize),
    ];
}

impl PlaceholderText {
    /// The text with every placeholder replaced by what `fact` says.
    pub fn fill(&self, mut fact: impl FnMut(Placeholder) -> String) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Cow::Borrowed(text.as_str()),
                Part::Fact(placeholder) => Cow::Owned(fact(*placeholder)),
            })
            .collect()
    }

    /// Whether a placeholder is about a block; the block size is about all of them.
    pub(crate) fn needs_block(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Fact(fact) if *fact != Placeholder::BlockSize))
    }
}

impl FromStr for PlaceholderText {
    type Err = BadPlaceholder;

    fn from_str(text: &str) -> Result<Self, BadPlaceholder> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let close = rest[open..].find('}').filter(|_| rest[open..].starts_with('{'));
            let close = open + close.ok_or_else(|| BadPlaceholder::Open(text.to_owned()))?;
            let word = &rest[open + 1..close];
            let (_, fact) = Placeholder::WORDS
                .iter()
                .find(|(known, _)| *known == word)
                .ok_or_else(|| BadPlaceholder::Unknown(word.to_owned()))?;
            parts.extend([Part::Text(rest[..open].to_owned()), Part::Fact(*fact)]);
            rest = &rest[close + 1..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }
}

impl fmt::Display for PlaceholderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

text_type!(
    PlaceholderText,
    "Text in which `{number}`, `{phys_index}`, `{phys_device}` and `{block_size}` stand for facts of the block."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_unknown_ones_named() {
        let template: PlaceholderText = "memory{number} at {phys_index}".parse().unwrap();
        let filled = template.fill(|fact| match fact {
            Placeholder::Number => "9".into(),
            Placeholder::PhysIndex => "00000009".into(),
            other => panic!("{other:?} is not in the text"),
        });
        assert_eq!(filled, "memory9 at 00000009");
        let error = |text: &str| text.parse::<PlaceholderText>().unwrap_err().to_string();
        assert!(error("{numbr}").starts_with("unknown placeholder `{numbr}`"));
        assert!(error("{number").contains("without its partner"));
        assert!(error("a}").contains("without its partner"));
    }
}
