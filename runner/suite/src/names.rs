// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names for memory blocks, given and used by the steps of a case.

use std::{fmt, str::FromStr};

use super::text::text_type;

/// The name that an `add` gives to the blocks it brings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockName(String);

/// One or all of the blocks that a name covers: `b` is all of them, `b.0` the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockRef {
    /// What an earlier `add` called them.
    pub name: BlockName,
    /// Which one of them, from 0; all where it is `None`.
    pub index: Option<u32>,
}

/// The text names no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBlockRef {
    /// Not a name.
    #[error("`{0}` is no name: expected a letter, then letters, digits, `-` or `_`")]
    Name(String),
    /// The part after the dot is not a number.
    #[error("`{index}` in `{text}` is no index: expected a number from 0 on, as in b.0")]
    Index {
        /// The whole text.
        text: String,
        /// The part that is no number.
        index: String,
    },
}

impl BlockName {
    /// Whether it is the name of the memory that the guest boots with.
    pub fn is_boot(&self) -> bool {
        self.0 == "boot"
    }

    /// The name of that memory, which no step can give.
    pub(crate) fn boot() -> Self {
        Self("boot".to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BlockName {
    type Err = BadBlockRef;

    fn from_str(text: &str) -> Result<Self, BadBlockRef> {
        let good = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadBlockRef::Name(text.to_owned()))
        }
    }
}

impl fmt::Display for BlockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for BlockRef {
    type Err = BadBlockRef;

    fn from_str(text: &str) -> Result<Self, BadBlockRef> {
        match text.split_once('.') {
            None => Ok(Self {
                name: text.parse()?,
                index: None,
            }),
            Some((name, index)) => Ok(Self {
                name: name.parse()?,
                index: Some(index.parse().map_err(|_| BadBlockRef::Index {
                    text: text.to_owned(),
                    index: index.to_owned(),
                })?),
            }),
        }
    }
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            None => f.pad(self.name.as_str()),
            Some(index) => f.pad(&format!("{}.{index}", self.name)),
        }
    }
}

text_type!(
    BlockName,
    "A name of your choice for the blocks that are added: a letter, then letters, digits, `-` or `_`.",
    "^[A-Za-z][A-Za-z0-9_-]*$"
);
text_type!(
    BlockRef,
    "The blocks that an earlier `add` named: `b` is all of them, `b.0` the first one, `b.1` the second. `boot.3` is memory3, where the \
     guest booted with it.",
    r"^[A-Za-z][A-Za-z0-9_-]*(\.[0-9]+)?$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_name_and_perhaps_an_index() {
        let block: BlockRef = "b.3".parse().unwrap();
        assert_eq!((block.name.as_str(), block.index), ("b", Some(3)));
        assert_eq!("dimm-1".parse::<BlockRef>().unwrap().index, None);
        let error = |text: &str| text.parse::<BlockRef>().unwrap_err().to_string();
        assert!(error("3").contains("is no name"));
        assert!(error("").contains("is no name"));
        assert!(error("b.x").contains("`x` in `b.x` is no index"));
        assert!(error("b.0.1").contains("is no index"));
    }
}
