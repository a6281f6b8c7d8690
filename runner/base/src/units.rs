// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes in bytes and in pages, never mixed.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, Neg, Sub},
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Base page size of both architectures, in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// A size in bytes.
///
/// Text follows QEMU: the suffixes `K M G T` (also `KiB MiB …`) are powers of 1024, and a bare number is bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "SizeText", into = "String")]
#[schemars(with = "String")]
pub struct ByteSize(u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSizeError {
    /// No digits in front.
    #[error("`{0}` is not a size: expected a number with a suffix K, M, G or T, such as 128M")]
    NotANumber(String),
    /// Digits, then something that is no unit.
    #[error("unknown unit `{unit}` in `{text}`: expected K, M, G or T (powers of 1024)")]
    Unit {
        /// The whole text.
        text: String,
        /// The part that is no unit.
        unit: String,
    },
    /// More than 2^64 - 1 bytes.
    #[error("`{0}` is more than 2^64 bytes")]
    TooLarge(String),
}

const SUFFIXES: [(&str, u32); 4] = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];

impl ByteSize {
    /// `n` bytes.
    pub const fn bytes(n: u64) -> Self {
        Self(n)
    }

    /// `n` times 2^20 bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` times 2^30 bytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// The size in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The size in whole pages; a last partial page is dropped.
    pub const fn pages(self) -> Pages {
        Pages((self.0 / PAGE_SIZE) as i64)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (suffix, shift) in SUFFIXES {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return f.pad(&format!("{}{suffix}", self.0 >> shift));
            }
        }
        f.pad(&self.0.to_string())
    }
}

impl FromStr for ByteSize {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let trimmed = text.trim();
        let split = trimmed
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(trimmed.len());
        let (digits, unit) = trimmed.split_at(split);
        if digits.is_empty() {
            return Err(ParseSizeError::NotANumber(text.to_owned()));
        }
        let shift = match unit.trim() {
            "" | "B" => 0,
            unit => SUFFIXES
                .iter()
                .find(|(s, _)| {
                    unit.strip_prefix(s)
                        .or_else(|| unit.strip_prefix(&s.to_lowercase()))
                        .is_some_and(|rest| matches!(rest, "" | "iB"))
                })
                .map(|(_, shift)| *shift)
                .ok_or_else(|| ParseSizeError::Unit {
                    text: text.to_owned(),
                    unit: unit.to_owned(),
                })?,
        };
        let too_large = || ParseSizeError::TooLarge(text.to_owned());
        let number: u64 = digits.parse().map_err(|_| too_large())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(too_large)
    }
}

/// What a YAML or JSON scalar may be where a size is meant.
#[derive(Deserialize)]
struct SizeText(String);

impl TryFrom<SizeText> for ByteSize {
    type Error = ParseSizeError;

    fn try_from(text: SizeText) -> Result<Self, ParseSizeError> {
        text.0.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl Add for ByteSize {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// A number of base pages, or a difference of two such numbers.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Pages(pub i64);

impl Pages {
    /// The pages that a number of KiB, as in `/proc/meminfo`, makes.
    pub const fn from_kib(kib: i64) -> Self {
        Self(kib / (PAGE_SIZE as i64 / 1024))
    }

    /// The distance from zero.
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Add for Pages {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Pages {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Pages {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Pages {
    fn sum<I: Iterator<Item = Self>>(pages: I) -> Self {
        pages.fold(Self(0), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn suffixes_are_powers_of_1024() {
        assert_eq!("128M".parse(), Ok(ByteSize::mib(128)));
        assert_eq!("1GiB".parse(), Ok(ByteSize::gib(1)));
        assert_eq!("64k".parse(), Ok(ByteSize::bytes(65536)));
        assert_eq!("17".parse(), Ok(ByteSize::bytes(17)));
    }

    #[test]
    fn what_is_no_size_is_named() {
        let error = |text: &str| text.parse::<ByteSize>().unwrap_err().to_string();
        assert_eq!(
            error("128X"),
            "unknown unit `X` in `128X`: expected K, M, G or T (powers of 1024)"
        );
        assert_eq!(
            error("128MB"),
            "unknown unit `MB` in `128MB`: expected K, M, G or T (powers of 1024)"
        );
        assert!(error("many").contains("is not a size"));
        assert!(error("-1M").contains("is not a size"));
        assert!(error("99999999999999T").contains("more than 2^64"));
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: u64) {
            let size = ByteSize::bytes(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
