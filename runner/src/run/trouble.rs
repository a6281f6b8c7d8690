// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a step did not pass, and whom that accuses.

use crate::{
    base::{Errno, fault::Verdict},
    memory::Mismatch,
};

/// The end of a step, or of a case, that did not pass.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Trouble {
    /// Positive evidence against the kernel.
    Kernel {
        /// What it did wrong, in one line.
        message: String,
        /// The counters that are not as predicted.
        mismatches: Vec<Mismatch>,
    },
    /// memrig, QEMU or the host could not do it: nothing is known about the kernel.
    Bench {
        /// What broke, in one line.
        message: String,
    },
    /// A fact that the case needs is not so.
    Lacking {
        /// What was seen, in one line.
        message: String,
    },
}

impl Trouble {
    /// The kernel did something wrong that is not a counter.
    pub(super) fn kernel(message: impl Into<String>) -> Self {
        Self::Kernel {
            message: message.into(),
            mismatches: Vec::new(),
        }
    }

    /// Something else than the kernel broke.
    pub(super) fn bench(message: impl Into<String>) -> Self {
        Self::Bench {
            message: message.into(),
        }
    }

    /// The verdict that it makes.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Kernel { .. } => Verdict::Fail,
            Self::Bench { .. } => Verdict::Error,
            Self::Lacking { .. } => Verdict::Skip,
        }
    }

    /// What happened, in one line.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Kernel { message, .. } | Self::Bench { message } | Self::Lacking { message } => message,
        }
    }
}

/// Compares what an operation returned with what it must return.
///
/// `what` names the operation. `Ok(true)` means that it succeeded as it must, `Ok(false)` that it was refused as it must be.
pub(super) fn expect(what: &str, got: Result<(), Errno>, fails: Option<Errno>) -> Result<bool, Trouble> {
    match (got, fails) {
        (Ok(()), None) => Ok(true),
        (Err(got), Some(wanted)) if got == wanted => Ok(false),
        (Ok(()), Some(wanted)) => Err(Trouble::kernel(format!(
            "{what} succeeded, and must fail with {wanted}"
        ))),
        (Err(got), None) => Err(Trouble::kernel(format!(
            "{what} failed with {got}, and must succeed"
        ))),
        (Err(got), Some(wanted)) => Err(Trouble::kernel(format!(
            "{what} failed with {got}, and must fail with {wanted}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_right_only_if_it_is_the_one_asked_for() {
        let (einval, ebusy): (Errno, Errno) = ("EINVAL".parse().unwrap(), "EBUSY".parse().unwrap());
        assert_eq!(expect("write", Ok(()), None), Ok(true));
        assert_eq!(expect("write", Err(einval), Some(einval)), Ok(false));
        let message = |got, fails| expect("write", got, fails).unwrap_err().message().to_owned();
        assert_eq!(
            message(Ok(()), Some(einval)),
            "write succeeded, and must fail with EINVAL"
        );
        assert_eq!(
            message(Err(ebusy), None),
            "write failed with EBUSY, and must succeed"
        );
        assert_eq!(
            message(Err(ebusy), Some(einval)),
            "write failed with EBUSY, and must fail with EINVAL"
        );
    }
}
