// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a result can be, and what a shell is told about it.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// The result of a case.
///
/// The order is that of severity, so that the verdict of many is the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was checked, for a reason that was itself checked and is named.
    Skip,
    /// Everything that was checked is as it must be.
    Pass,
    /// It fails just as a listed known issue says.
    Known,
    /// memrig, QEMU or the host broke; nothing is known about the kernel.
    Error,
    /// Positive evidence against the kernel.
    Fail,
}

impl Verdict {
    /// All verdicts, in the order in which reports list them.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Fail, Self::Error, Self::Known, Self::Skip];

    /// The word that reports and filters use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Pass => "pass",
            Self::Known => "known",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Whom something that went wrong speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Whoever called: what was named is not there, or must be installed or allowed by a person.
    Usage,
    /// memrig, QEMU or the host. Nothing is known about a kernel.
    Bench,
    /// A kernel: there is positive evidence.
    Kernel,
}

impl Blame {
    /// Of a folder that does not take what it should: usage, where another one has to be named.
    pub fn of_place(error: &io::Error) -> Self {
        use io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};

        match error.kind() {
            NotADirectory | PermissionDenied | ReadOnlyFilesystem => Self::Usage,
            _ => Self::Bench,
        }
    }

    /// The verdict that it makes of a case.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Usage | Self::Bench => Verdict::Error,
            Self::Kernel => Verdict::Fail,
        }
    }

    /// The exit code of a verb that ends by it.
    pub fn exit(self) -> Exit {
        match self {
            Self::Usage => Exit::Usage,
            Self::Bench => Exit::Broken,
            Self::Kernel => Exit::KernelFailed,
        }
    }
}

/// An error that says whom it speaks against, and so what a verb ends with that it stops.
pub trait Blamed: std::error::Error {
    /// Whom it speaks against.
    fn blame(&self) -> Blame;

    /// What a verb ends with that it stops.
    fn exit(&self) -> Exit {
        self.blame().exit()
    }

    /// What somebody can do who meets it, where its message does not say that.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Exit code of the program. The numbers are part of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all that was selected passed (or is known, or was skipped).
    Pass,
    /// 1: the kernel failed somewhere.
    KernelFailed,
    /// 2: the call was wrong, or a suite does not read.
    Usage,
    /// 3: only errors, nothing can be said about the kernel.
    Broken,
    /// 4: nothing was selected.
    NothingSelected,
    /// 130: stopped by a signal from outside.
    Interrupted,
    /// The exit code of a shell that ran in a guest.
    Guest(u8),
}

impl Exit {
    /// The exit code for a set of verdicts; an empty set means that nothing was selected.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        match verdicts.into_iter().max() {
            None => Self::NothingSelected,
            Some(Verdict::Fail) => Self::KernelFailed,
            Some(Verdict::Error) => Self::Broken,
            Some(Verdict::Pass | Verdict::Known | Verdict::Skip) => Self::Pass,
        }
    }

    /// The number that a shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::KernelFailed => 1,
            Self::Usage => 2,
            Self::Broken => 3,
            Self::NothingSelected => 4,
            Self::Interrupted => 130,
            Self::Guest(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_outweighs_an_error_and_an_error_outweighs_a_pass() {
        use Verdict::*;
        assert_eq!(Exit::of([Pass, Error, Fail, Skip]).code(), 1);
        assert_eq!(Exit::of([Pass, Error, Known]).code(), 3);
        assert_eq!(Exit::of([Pass, Known, Skip]).code(), 0);
        assert_eq!(Exit::of([]).code(), 4);
    }

    #[test]
    fn whom_an_error_speaks_against_is_its_exit_code_and_its_verdict() {
        let told = |blame: Blame| (blame.exit().code(), blame.verdict());
        assert_eq!(told(Blame::Usage), (2, Verdict::Error));
        assert_eq!(told(Blame::Bench), (3, Verdict::Error));
        assert_eq!(told(Blame::Kernel), (1, Verdict::Fail));
    }
}
