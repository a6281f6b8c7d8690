// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors of the guest's kernel by their symbolic names.
//!
//! The numbers are those of `include/uapi/asm-generic/errno*.h`, which both architectures share.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An errno of the guest's kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Errno(u16);

/// The text names no errno.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown errno `{0}`: expected a name such as EINVAL or EBUSY, or E followed by a number up to 4095")]
pub struct UnknownErrno(String);

/// Number, name, and the text that the C library prints for it.
const TABLE: [(u16, &str, &str); 26] = [
    (1, "EPERM", "Operation not permitted"),
    (2, "ENOENT", "No such file or directory"),
    (4, "EINTR", "Interrupted system call"),
    (5, "EIO", "Input/output error"),
    (5, "EIO", "I/O error"),
    (6, "ENXIO", "No such device or address"),
    (7, "E2BIG", "Argument list too long"),
    (9, "EBADF", "Bad file descriptor"),
    (11, "EAGAIN", "Resource temporarily unavailable"),
    (12, "ENOMEM", "Cannot allocate memory"),
    (12, "ENOMEM", "Out of memory"),
    (13, "EACCES", "Permission denied"),
    (14, "EFAULT", "Bad address"),
    (16, "EBUSY", "Device or resource busy"),
    (16, "EBUSY", "Resource busy"),
    (17, "EEXIST", "File exists"),
    (19, "ENODEV", "No such device"),
    (20, "ENOTDIR", "Not a directory"),
    (21, "EISDIR", "Is a directory"),
    (22, "EINVAL", "Invalid argument"),
    (28, "ENOSPC", "No space left on device"),
    (30, "EROFS", "Read-only file system"),
    (34, "ERANGE", "Numerical result out of range"),
    (95, "EOPNOTSUPP", "Operation not supported"),
    (110, "ETIMEDOUT", "Connection timed out"),
    (133, "EHWPOISON", "Memory page has hardware error"),
];

impl Errno {
    /// A signal came before the system call was done.
    pub const EINTR: Self = Self(4);
    /// ENOMEM, by which a call ends that got no memory.
    pub const ENOMEM: Self = Self(12);
    /// `EBUSY`: what was asked for is in use.
    pub const EBUSY: Self = Self(16);

    /// The errno with this number; `None` from 4096 on, where no errno is.
    pub fn from_number(number: u16) -> Option<Self> {
        (1..=4095).contains(&number).then_some(Self(number))
    }

    /// The number, without a sign.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The symbolic name, or `E` and the number where memrig knows no name.
    pub(crate) fn name(self) -> Cow<'static, str> {
        TABLE.iter().find(|(number, ..)| *number == self.0).map_or_else(
            || Cow::Owned(format!("E{}", self.0)),
            |(_, name, _)| Cow::Borrowed(*name),
        )
    }

    /// Reads what a shell in the guest prints when a write fails (`sh: write error: Invalid argument`).
    ///
    /// Takes the last part after a colon; `Unknown error 4095` is read as a number.
    pub fn from_message(message: &str) -> Option<Self> {
        let text = message.trim_end().rsplit(": ").next()?.trim();
        if let Some(number) = text.strip_prefix("Unknown error ") {
            return Self::from_number(number.trim().trim_start_matches('-').parse().ok()?);
        }
        TABLE
            .iter()
            .find(|(.., t)| *t == text)
            .map(|(number, ..)| Self(*number))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl FromStr for Errno {
    type Err = UnknownErrno;

    fn from_str(text: &str) -> Result<Self, UnknownErrno> {
        TABLE
            .iter()
            .find(|(_, name, _)| *name == text)
            .map(|(number, ..)| Self(*number))
            .or_else(|| Self::from_number(text.strip_prefix('E')?.parse().ok()?))
            .ok_or_else(|| UnknownErrno(text.to_owned()))
    }
}

impl TryFrom<String> for Errno {
    type Error = UnknownErrno;

    fn try_from(text: String) -> Result<Self, UnknownErrno> {
        text.parse()
    }
}

impl From<Errno> for String {
    fn from(errno: Errno) -> Self {
        errno.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_messages_lead_to_the_same_errno() {
        let einval: Errno = "EINVAL".parse().unwrap();
        assert_eq!(einval.number(), 22);
        assert_eq!(
            Errno::from_message("sh: write error: Invalid argument\n"),
            Some(einval)
        );
        assert_eq!(
            Errno::from_message("sh: write error: Unknown error 4095"),
            Errno::from_number(4095)
        );
        assert_eq!("E4095".parse::<Errno>().unwrap().number(), 4095);
        assert_eq!(Errno::from_message("all is well"), None);
        assert!("EWHAT".parse::<Errno>().is_err());
        assert!("E0".parse::<Errno>().is_err());
    }
}
