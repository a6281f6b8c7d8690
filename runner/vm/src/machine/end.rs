// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a machine ends, and how a wait for something in it ends.

use std::{process::ExitStatus, time::Duration};

use tokio::sync::watch;

use super::{console::LARGEST_CONSOLE, share::Share};
use base::exec::ended;

/// Where a panic was seen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanicSource {
    /// The machine told QEMU (pvpanic).
    Event,
    /// A line on the console.
    Console,
}

/// Why nothing more is to be expected of a guest. The first cause is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// QEMU's process ended although nobody asked it to.
    #[error("QEMU {}{}", ended(*.status), tail(.stderr))]
    QemuExited {
        /// How.
        status: ExitStatus,
        /// The end of what it printed.
        stderr: String,
    },
    /// QEMU lives but stopped the guest because it cannot go on (`internal-error`, `io-error`).
    #[error("QEMU stopped the guest: {state}")]
    QemuFailed {
        /// QEMU's run state.
        state: String,
    },
    /// The kernel panicked.
    #[error("the kernel panicked: {line}")]
    Panicked {
        /// Who said so first.
        seen: PanicSource,
        /// The line of the console that says why, or what the event carried.
        line: String,
    },
    /// s390x: all CPUs are in a disabled wait, or one in a program-interruption loop, and no panic was printed before.
    #[error("the CPU is in a {reason} at PSW {psw_mask:#018x} {psw_addr:#018x}")]
    DisabledWait {
        /// `disabled-wait`, `extint-loop`, `pgmint-loop` or `opint-loop`.
        reason: String,
        /// First half of the program status word.
        psw_mask: u64,
        /// Second half: the address.
        psw_addr: u64,
    },
    /// The guest says more on its console than anybody keeps.
    #[error("the guest floods its console: more than {} MiB", LARGEST_CONSOLE >> 20)]
    Flooded,
    /// The guest switched itself off.
    #[error("the guest switched itself off")]
    SwitchedOff,
    /// The guest reset itself; on x86_64 this is also how a triple fault shows.
    #[error("the guest reset itself")]
    Reset,
    /// memrig stopped it.
    #[error("the machine was stopped")]
    Stopped,
}

impl End {
    /// Whether this speaks against the guest's kernel, and not against QEMU, the host or memrig.
    pub fn blames_kernel(&self) -> bool {
        match self {
            Self::Panicked { .. }
            | Self::DisabledWait { .. }
            | Self::Flooded
            | Self::SwitchedOff
            | Self::Reset => true,
            Self::QemuExited { .. } | Self::QemuFailed { .. } | Self::Stopped => false,
        }
    }
}

/// The end of a machine as its watchers see it: the first cause is kept, later ones are its consequences.
#[derive(Debug, Clone)]
pub(super) struct Ending(watch::Sender<Option<End>>);

impl Ending {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn set(&self, end: End) {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(end);
            }
            is_first
        });
    }

    pub(super) fn get(&self) -> Option<End> {
        self.0.borrow().clone()
    }

    /// Waits for the end. Cancel-safe.
    pub(super) async fn wait(&self) -> End {
        let mut end = self.0.subscribe();
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(End::Stopped),
            // The sender is in `self`.
            Err(_) => End::Stopped,
        }
    }
}

fn tail(stderr: &str) -> String {
    match stderr.trim_end() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wait {
    /// The machine ended first: QEMU exited, the kernel panicked, …
    #[error(transparent)]
    Ended(#[from] End),
    /// The time is over, and the machine still runs as far as anybody can tell.
    #[error("nothing came within {}", seconds(*.0))]
    Deadline(Duration),
    /// The host did not give the machine the time that it may take, however long that was waited for.
    #[error("nothing came within {}, in which the host was too busy for its {}{}", seconds(*.wall), seconds(*.limit), told(.share.as_ref()))]
    Starved {
        /// The time that it may take.
        limit: Duration,
        /// How long it was waited for.
        wall: Duration,
        /// What it got meanwhile.
        share: Option<Share>,
    },
}

fn told(share: Option<&Share>) -> String {
    share.map_or_else(String::new, |share| format!(": {share}"))
}

pub(crate) fn seconds(limit: Duration) -> String {
    format!("{:.1} s", limit.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_cause_is_kept() {
        let ending = Ending::new();
        let early = ending.clone();
        let waiting = tokio::spawn(async move { early.wait().await });
        ending.set(End::Reset);
        ending.set(End::Stopped);
        assert_eq!(ending.get(), Some(End::Reset));
        assert_eq!(waiting.await.unwrap(), End::Reset);
        assert_eq!(
            ending.wait().await,
            End::Reset,
            "it is still told to whoever asks late"
        );
    }
}
