// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a step did not pass, and whom that accuses.

use base::{
    Errno,
    fault::{Blame, Verdict},
};
use memory::Mismatch;
use record::GuestEnd;
use suite::FailureKind;
use vm::{
    guest::{BootError, Diagnosis},
    machine::{End, MachineError},
};

/// The end of a step, or of a case, that did not pass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trouble {
    /// Positive evidence against the kernel.
    Kernel {
        /// What it did wrong, in one line.
        message: String,
        /// The counters that are not as predicted.
        mismatches: Vec<Mismatch>,
        /// How it did; `None` where the step tells, see [`Trouble::of`].
        kind: Option<FailureKind>,
    },
    /// The guest does not answer, or is gone.
    Guest {
        /// Whom that speaks against.
        blame: Blame,
        /// What happened, in one line.
        message: String,
        /// How it ended, where that is known.
        end: Option<GuestEnd>,
    },
    /// memrig, QEMU or the host could not do it: nothing is known about the kernel.
    Bench {
        /// What broke, in one line.
        message: String,
    },
    /// The host did not give the guest the time that it wanted: tried again when there is room.
    Starved {
        /// What did not come, and what the guest got; in one line.
        message: String,
    },
    /// The same, where another guest would not do it either: QEMU lacks a property, the guest a program.
    Lasting {
        /// What is not there, in one line.
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
    pub(crate) fn kernel(message: impl Into<String>) -> Self {
        Self::mismatch(message, Vec::new())
    }

    /// The kernel did something wrong that these counters show.
    pub(super) fn mismatch(message: impl Into<String>, mismatches: Vec<Mismatch>) -> Self {
        Self::Kernel {
            message: message.into(),
            mismatches,
            kind: None,
        }
    }

    /// The kernel's log shows something that should not be there; `when` is said of it.
    pub(super) fn finding(when: &str, title: &str) -> Self {
        Self::kernel(format!("the kernel log shows{when}: {title}")).of(FailureKind::Finding)
    }

    /// The same of this kind, where it has none yet.
    pub(super) fn of(mut self, of: FailureKind) -> Self {
        if let Self::Kernel { kind, .. } = &mut self {
            kind.get_or_insert(of);
        }
        self
    }

    /// Whether the kernel did something wrong of this kind.
    pub(super) fn is(&self, of: FailureKind) -> bool {
        matches!(self, Self::Kernel { kind: Some(kind), .. } if *kind == of)
    }

    /// Something else than the kernel broke.
    pub(crate) fn bench(message: impl Into<String>) -> Self {
        Self::Bench {
            message: message.into(),
        }
    }

    /// The host was too busy for the guest.
    pub(super) fn starved(message: impl Into<String>) -> Self {
        Self::Starved {
            message: message.into(),
        }
    }

    /// Something else than the kernel is not as it must be, and no other guest changes that.
    pub(crate) fn lasting(message: impl Into<String>) -> Self {
        Self::Lasting {
            message: message.into(),
        }
    }

    /// A fact that the case needs is not so.
    pub(super) fn lacking(message: impl Into<String>) -> Self {
        Self::Lacking {
            message: message.into(),
        }
    }

    /// Whether the guest does not do what it was asked for, and QEMU answers.
    pub(super) fn is_a_hang(&self) -> bool {
        let Self::Guest { blame, end, .. } = self else {
            return false;
        };
        *blame == Blame::Kernel && end.as_ref().is_none_or(|end| *end == GuestEnd::Hung)
    }

    /// A guest did not answer, and this was found; `what` is what was being done.
    pub(super) fn silent(what: &dyn std::fmt::Display, diagnosis: &Diagnosis) -> Self {
        Self::of_guest(format!("{what}: {diagnosis}"), diagnosis)
    }

    /// The machine ended while something was done in it.
    pub(crate) fn ended(end: &End) -> Self {
        Self::of_guest(end.to_string(), &Diagnosis::Ended(end.clone()))
    }

    /// QEMU did not do what it was told.
    pub(super) fn of_machine(error: &MachineError) -> Self {
        let message = chain(error);
        if error.is_lasting() {
            Self::lasting(message)
        } else {
            Self::bench(message)
        }
    }

    /// A guest did not get ready.
    pub(crate) fn not_ready(error: &BootError) -> Self {
        let message = chain(&error.cause);
        match error.diagnosis() {
            Some(diagnosis) => Self::of_guest(message, diagnosis),
            None if error.is_lasting() => Self::lasting(message),
            None => Self::bench(message),
        }
    }

    fn of_guest(message: String, diagnosis: &Diagnosis) -> Self {
        if matches!(diagnosis, Diagnosis::Starved(_)) {
            return Self::starved(message);
        }
        Self::Guest {
            blame: diagnosis.blame(),
            message,
            end: found(diagnosis),
        }
    }

    /// The verdict that it makes.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Kernel { .. } => Verdict::Fail,
            Self::Guest { blame, .. } => blame.verdict(),
            Self::Bench { .. } | Self::Starved { .. } | Self::Lasting { .. } => Verdict::Error,
            Self::Lacking { .. } => Verdict::Skip,
        }
    }

    /// How the guest ended, where it is the guest that did not go on.
    pub(super) fn guest_end(&self) -> Option<&GuestEnd> {
        match self {
            Self::Guest { end, .. } => end.as_ref(),
            _ => None,
        }
    }

    /// Whether the same would come of it on another guest, so that none needs to be tried.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::Lasting { .. })
    }

    /// Whether it is the host that was too busy.
    pub(super) fn is_starved(&self) -> bool {
        matches!(self, Self::Starved { .. })
    }

    /// What happened, in one line.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Kernel { message, .. }
            | Self::Guest { message, .. }
            | Self::Bench { message }
            | Self::Starved { message }
            | Self::Lasting { message }
            | Self::Lacking { message } => message,
        }
    }

    /// The same, told of another place.
    pub(crate) fn told(mut self, tell: impl FnOnce(&str) -> String) -> Self {
        match &mut self {
            Self::Kernel { message, .. }
            | Self::Guest { message, .. }
            | Self::Bench { message }
            | Self::Starved { message }
            | Self::Lasting { message }
            | Self::Lacking { message } => *message = tell(message),
        }
        self
    }
}

/// How a guest of which this was found ended; `None` where it lives, or where nobody could see.
fn found(diagnosis: &Diagnosis) -> Option<GuestEnd> {
    match diagnosis {
        Diagnosis::Ended(end) => Some(end_of(end)),
        Diagnosis::Hangs | Diagnosis::Spins(_) | Diagnosis::StuckAlone => Some(GuestEnd::Hung),
        Diagnosis::QemuSilent(_)
        | Diagnosis::NotRunning { .. }
        | Diagnosis::Starved(_)
        | Diagnosis::ConnectionLost => None,
    }
}

/// The record's word for the end of a machine.
pub(super) fn end_of(end: &End) -> GuestEnd {
    match end {
        End::Stopped => GuestEnd::Stopped,
        End::Panicked { .. } | End::DisabledWait { .. } => GuestEnd::Panicked,
        End::Flooded => GuestEnd::Flooded,
        End::SwitchedOff | End::Reset => GuestEnd::PoweredOff,
        End::QemuExited { .. } | End::QemuFailed { .. } => GuestEnd::QemuExited(end.to_string()),
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

/// An error with its causes, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_guest_ended_is_what_was_found_and_not_what_is_said() {
        let ways = [
            (Diagnosis::Hangs, Some(GuestEnd::Hung), Verdict::Fail),
            (Diagnosis::StuckAlone, Some(GuestEnd::Hung), Verdict::Fail),
            (Diagnosis::ConnectionLost, None, Verdict::Error),
            (Diagnosis::QemuSilent("hangs".to_owned()), None, Verdict::Error),
            (
                Diagnosis::Ended(End::Reset),
                Some(GuestEnd::PoweredOff),
                Verdict::Fail,
            ),
            (
                Diagnosis::Ended(End::Flooded),
                Some(GuestEnd::Flooded),
                Verdict::Fail,
            ),
            (
                Diagnosis::Ended(End::QemuFailed {
                    state: "internal-error".to_owned(),
                }),
                Some(GuestEnd::QemuExited(
                    "QEMU stopped the guest: internal-error".to_owned(),
                )),
                Verdict::Error,
            ),
        ];
        for (diagnosis, end, verdict) in ways {
            let trouble =
                Trouble::silent(&"reading", &diagnosis).told(|message| format!("round 2: {message}"));
            assert_eq!(
                (trouble.guest_end(), trouble.verdict()),
                (end.as_ref(), verdict),
                "{diagnosis}"
            );
            let booting = Trouble::not_ready(&BootError {
                cause: vm::guest::BootCause::Guest(diagnosis.clone()),
                console: String::new(),
                witness: None,
                said: String::new(),
                translated: Ok(None),
            });
            assert_eq!(
                (booting.guest_end(), booting.verdict()),
                (end.as_ref(), verdict),
                "booting: {diagnosis}"
            );
        }
        let script = Trouble::kernel("the script says that it hangs");
        assert_eq!(script.guest_end(), None);
    }

    #[test]
    fn what_no_other_guest_changes_is_told_apart() {
        use format::qmp::QmpError;
        use vm::guest::BootCause;
        let refused = |desc: &str| {
            let error = QmpError::Refused {
                command: "qom-set".to_owned(),
                class: "GenericError".to_owned(),
                desc: desc.to_owned(),
            };
            BootError {
                cause: BootCause::Machine(MachineError::Qmp(error)),
                console: String::new(),
                witness: None,
                said: String::new(),
                translated: Ok(None),
            }
        };
        let lasting = |error: &BootError| Trouble::not_ready(error).is_lasting();
        assert!(lasting(&refused("Property 's390-standby.commands' not found")));
        assert!(!lasting(&refused("Cannot allocate memory")));
        assert!(lasting(&BootError {
            cause: BootCause::NoNetwork,
            console: String::new(),
            witness: None,
            said: String::new(),
            translated: Ok(None),
        }));
        assert!(!Trouble::bench("the connection broke").is_lasting());
    }

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
