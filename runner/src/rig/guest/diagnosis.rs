// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom to blame when a guest does not answer.

use std::{fmt, time::Duration};

use tokio::time::timeout;

use super::{
    boot::Guest,
    port::{GuestPort as _, PortError},
};
use crate::{
    base::fault::Verdict,
    rig::machine::{End, Machine},
};

/// Whom something that went wrong speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The guest's kernel: there is positive evidence.
    Kernel,
    /// memrig, QEMU or the host. Nothing is known about the kernel.
    Bench,
}

impl Blame {
    /// The verdict that it makes.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Kernel => Verdict::Fail,
            Self::Bench => Verdict::Error,
        }
    }
}

/// What was found when a guest did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnosis {
    /// The machine has ended.
    Ended(End),
    /// QEMU itself does not answer.
    QemuSilent(String),
    /// QEMU answers, and does not run the guest.
    NotRunning {
        /// QEMU's run state.
        state: String,
    },
    /// QEMU runs the guest, and the guest does not answer a new connection either.
    Hangs,
    /// The guest answers a new connection: what did not end in time hangs alone.
    StuckAlone,
    /// The guest answers a new connection: only the old one was lost, or its shell was killed.
    ConnectionLost,
}

impl Diagnosis {
    /// Whom it speaks against.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Ended(end) if end.blames_kernel() => Blame::Kernel,
            Self::Hangs | Self::StuckAlone => Blame::Kernel,
            Self::Ended(_) | Self::QemuSilent(_) | Self::NotRunning { .. } | Self::ConnectionLost => {
                Blame::Bench
            }
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(end) => end.fmt(f),
            Self::QemuSilent(why) => write!(f, "QEMU does not answer: {why}"),
            Self::NotRunning { state } => write!(f, "QEMU does not run the guest: its state is {state}"),
            Self::Hangs => f.write_str("the guest hangs: QEMU runs it, and it does not answer"),
            Self::StuckAlone => f.write_str("this hangs, while the guest answers other questions"),
            Self::ConnectionLost => f.write_str("the connection broke, and the guest lives"),
        }
    }
}

/// A machine that has ended often shows first as a connection that is lost.
const END_LAG: Duration = Duration::from_secs(2);

/// How long a guest may take to answer whether it lives, before scaling.
const ALIVE_LIMIT: Duration = Duration::from_secs(20);

/// What the machine alone tells: `None` if QEMU runs the guest.
pub(super) async fn of_machine(machine: &Machine) -> Option<Diagnosis> {
    if let Ok(end) = timeout(END_LAG, machine.ended()).await {
        return Some(Diagnosis::Ended(end));
    }
    match machine.run_state().await {
        Ok(state) if state == "running" => None,
        Ok(state) => Some(Diagnosis::NotRunning { state }),
        Err(error) => Some(match machine.end() {
            Some(end) => Diagnosis::Ended(end),
            None => Diagnosis::QemuSilent(error.to_string()),
        }),
    }
}

impl Guest {
    /// Finds out why the guest did not answer. Takes up to 20 s, scaled, if it hangs.
    pub async fn diagnose(&self, error: &PortError) -> Diagnosis {
        if let Some(diagnosis) = of_machine(&self.machine).await {
            return diagnosis;
        }
        let limit = self.speed.scale(ALIVE_LIMIT);
        let lives = async {
            let port = self.port.ssh().another(limit).await.ok()?;
            port.exec("true", limit).await.ok()
        };
        match self.machine.wait_for(lives, limit).await {
            Err(crate::rig::machine::Wait::Ended(end)) => Diagnosis::Ended(end),
            Err(crate::rig::machine::Wait::Deadline(_)) | Ok(None) => Diagnosis::Hangs,
            Ok(Some(_)) if matches!(error, PortError::Deadline { .. }) => Diagnosis::StuckAlone,
            Ok(Some(_)) => Diagnosis::ConnectionLost,
        }
    }

    /// Has a guest that hangs show on its console what it does: blocked tasks, all tasks, and the CPUs.
    ///
    /// Says whether anything came. If nothing does, a non-maskable interrupt is sent, which most kernels answer by a trace.
    pub async fn show_tasks(&self) -> bool {
        show_tasks(&self.machine).await
    }
}

/// How long a kernel may be silent within an answer to a SysRq key.
const SYSRQ_PAUSE: Duration = Duration::from_secs(2);

/// How long the answers to a SysRq key may take; a slow guest with many tasks takes this.
const SYSRQ_LIMIT: Duration = Duration::from_secs(20);

/// See [`Guest::show_tasks`].
pub(super) async fn show_tasks(machine: &Machine) -> bool {
    let before = machine.console().count();
    for key in ['w', 't', 'l'] {
        // It only adds to what is told anyway, and a machine that does not take a key does not take the next either.
        if machine.sysrq(key).await.is_err() {
            break;
        }
        machine.console().silence(SYSRQ_PAUSE, SYSRQ_LIMIT).await;
    }
    if machine.console().count() == before && machine.nmi().await.is_ok() {
        machine.console().silence(SYSRQ_PAUSE, SYSRQ_LIMIT).await;
    }
    machine.console().count() > before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_evidence_makes_a_failure() {
        let panicked = End::Panicked {
            seen: crate::rig::machine::PanicSource::Console,
            line: "Kernel panic - not syncing: test".to_owned(),
        };
        let exited = End::QemuExited {
            status: std::process::ExitStatus::default(),
            stderr: String::new(),
        };
        for (diagnosis, verdict) in [
            (Diagnosis::Ended(panicked), Verdict::Fail),
            (Diagnosis::Ended(exited), Verdict::Error),
            (Diagnosis::Ended(End::Stopped), Verdict::Error),
            (Diagnosis::Hangs, Verdict::Fail),
            (Diagnosis::StuckAlone, Verdict::Fail),
            (Diagnosis::ConnectionLost, Verdict::Error),
            (
                Diagnosis::NotRunning {
                    state: "paused".to_owned(),
                },
                Verdict::Error,
            ),
            (Diagnosis::QemuSilent(String::new()), Verdict::Error),
        ] {
            assert_eq!(diagnosis.blame().verdict(), verdict, "{diagnosis}");
        }
    }
}
