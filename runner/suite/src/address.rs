// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a DIMM is.

use std::{fmt, str::FromStr};

use super::text::text_type;
use base::ByteSize;

/// A place in the guest's physical memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(u64);

/// The text is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address: expected bytes in hexadecimal such as 0x140000000, or a size such as 5GiB")]
pub struct BadAddress(String);

impl Address {
    /// Bytes from the start of the guest's memory.
    pub fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let read = match text.strip_prefix("0x") {
            Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
            Some(_) => None,
            None => text.parse().map(ByteSize::as_bytes).ok(),
        };
        read.map(Self).ok_or_else(|| BadAddress(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:#x}", self.0))
    }
}

text_type!(
    Address,
    "A place in memory, in bytes: hexadecimal such as 0x140000000, or a size such as 5GiB."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_hexadecimal_or_a_size() {
        let read = |text: &str| text.parse::<Address>().map(Address::as_bytes);
        assert_eq!(read("0x140000000"), Ok(5 << 30));
        assert_eq!(read("5GiB"), Ok(5 << 30));
        for text in ["", "0x", "0x+1", "x", "5 apples", "0x1ffffffffffffffff"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!("5GiB".parse::<Address>().unwrap().to_string(), "0x140000000");
    }
}
