// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom to blame when a guest does not answer.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    boot::{Guest, Speed},
    port::{GuestPort as _, PortError},
    spin::Spin,
};
use crate::machine::{End, Machine, Wait};
use base::fault::Blame;

/// Prints the tasks of a guest in the form that [`format::klog::tasks`] reads.
const TASKS_SCRIPT: &str = include_str!("../../../../guest-images/rootfs/tasks.sh");

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
    /// QEMU runs the guest, which gets nowhere while it boots.
    Spins(Spin),
    /// The guest answers a new connection: what did not end in time hangs alone.
    StuckAlone,
    /// The host did not give the guest the time that it may take, and how much it got.
    Starved(String),
    /// The guest answers a new connection: only the old one was lost, or its shell was killed.
    ConnectionLost,
}

impl Diagnosis {
    /// Whom it speaks against.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Ended(end) if end.blames_kernel() => Blame::Kernel,
            Self::Hangs | Self::Spins(_) | Self::StuckAlone => Blame::Kernel,
            Self::Ended(_)
            | Self::QemuSilent(_)
            | Self::NotRunning { .. }
            | Self::Starved(_)
            | Self::ConnectionLost => Blame::Bench,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(end) => end.fmt(f),
            Self::QemuSilent(why) => write!(f, "QEMU does not answer: {why}"),
            Self::NotRunning { state } => write!(f, "QEMU does not run the guest: its state is {state}"),
            Self::Starved(how) => f.write_str(how),
            Self::Hangs => f.write_str("the guest hangs: QEMU runs it, and it does not answer"),
            Self::Spins(spin) => write!(f, "the guest hangs: {spin}"),
            Self::StuckAlone => f.write_str("this hangs, while the guest answers other questions"),
            Self::ConnectionLost => f.write_str("the connection broke, and the guest lives"),
        }
    }
}

/// A machine that has ended often shows first as a connection that is lost.
const END_LAG: Duration = Duration::from_secs(2);

/// How long a guest may take to answer whether it lives, before scaling. A login under TCG takes a quarter of a second, and a second in a clone.
const ALIVE_LIMIT: Duration = Duration::from_secs(8);

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
    /// Finds out why the guest did not answer. Takes up to 8 s, scaled, if it hangs.
    pub async fn diagnose(&self, error: &PortError) -> Diagnosis {
        if let Some(diagnosis) = of_machine(&self.machine).await {
            return diagnosis;
        }
        let asked = self.machine.clock().now();
        match (self.ask_aside("true").await, error) {
            (Err(found), _) => found,
            // The guest told that itself. What killed its shell, such as a lack of memory, may have taken the server, too.
            (Ok(None), PortError::Killed { .. }) => Diagnosis::ConnectionLost,
            (Ok(None), _) => self.or_starved(Diagnosis::Hangs, asked),
            // What was too late had all this time; the answer just now took a moment of which any host may take a part.
            (Ok(Some(_)), PortError::Deadline { limit, .. }) => {
                self.or_starved(Diagnosis::StuckAlone, asked.saturating_sub(*limit))
            }
            (Ok(Some(_)), _) => Diagnosis::ConnectionLost,
        }
    }

    /// What was found of a guest, unless the host was too busy for it since then: a connection has limits of its own, by the wall's clock.
    fn or_starved(&self, found: Diagnosis, since: Duration) -> Diagnosis {
        match self.machine.meter().starved_since(since) {
            Some(share) if matches!(found, Diagnosis::Hangs | Diagnosis::StuckAlone) => Diagnosis::Starved(
                format!("no answer, and the host was too busy for the guest: {share}"),
            ),
            _ => found,
        }
    }

    /// Runs a script over a connection of its own, beside what does not answer; `None` without an answer within 8 s, scaled.
    async fn ask_aside(&self, script: &str) -> Result<Option<String>, Diagnosis> {
        let limit = self.speed.scale(ALIVE_LIMIT);
        let asked = async {
            let longest = Machine::longest(limit);
            let port = self.port.ssh().another(longest).await.ok()?;
            Some(port.exec(script, longest).await.ok()?.text())
        };
        match self.machine.wait_for(asked, limit).await {
            Err(Wait::Ended(end)) => Err(Diagnosis::Ended(end)),
            Err(wait @ Wait::Starved { .. }) => Err(Diagnosis::Starved(wait.to_string())),
            Err(Wait::Deadline(_)) => Ok(None),
            Ok(answer) => Ok(answer),
        }
    }

    /// The tasks of a guest that has not answered for a while, over a connection of its own; `None` if it does not answer that either.
    ///
    /// # Errors
    /// What else was found of it.
    pub async fn look(&self) -> Result<Option<String>, Diagnosis> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.ask_aside(TASKS_SCRIPT).await
    }

    /// How often it was looked at. Each look moves its free pages.
    pub fn looks(&self) -> u32 {
        self.looks.load(Ordering::Relaxed)
    }

    /// What is found of a guest that has got nowhere `since` then, by the run's clock.
    pub async fn stands(&self, answers: bool, since: Duration) -> Diagnosis {
        let found = match answers {
            true => Diagnosis::StuckAlone,
            false => of_machine(&self.machine).await.unwrap_or(Diagnosis::Hangs),
        };
        self.or_starved(found, since)
    }

    /// Finds the task in which a guest hangs: by asking the guest, where it answers, else by SysRq `w` and `l`, and where that says nothing by a
    /// non-maskable interrupt, which most kernels answer by a trace and a panic.
    ///
    /// What came is kept, see [`Guest::tasks`].
    pub async fn find_stuck(&self, diagnosis: &Diagnosis) {
        let told = match diagnosis {
            Diagnosis::StuckAlone => self.look().await.ok().flatten(),
            _ => None,
        };
        let told = match told {
            Some(told) => told,
            None => {
                let before = self.machine.console().text().len();
                // Whoever asks twice still began with the first.
                self.asked.get_or_init(|| before);
                show_tasks(&self.machine, &['w', 'l'], self.speed).await;
                let console = self.machine.console().text();
                console.get(before..).unwrap_or_default().to_owned()
            }
        };
        self.tasks.get_or_init(|| told);
    }

    /// What a guest that hangs told of its tasks; `None` if it was not asked.
    pub fn tasks(&self) -> Option<&str> {
        self.tasks.get().map(String::as_str)
    }

    /// Whether its console was asked for its tasks, since it answers in no other way.
    pub fn is_silent(&self) -> bool {
        self.asked.get().is_some()
    }

    /// What it said on its console by itself, up to where memrig asked it for its tasks: what comes of that is no finding.
    pub fn said(&self) -> String {
        let console = self.machine.console().text();
        match self.asked.get().and_then(|at| console.get(..*at)) {
            Some(said) => said.to_owned(),
            None => console,
        }
    }

    /// Waits until the console is silent, so that what the kernel says of what just went wrong is there: 0.3 s of silence, scaled up to 2 s, and 10 s
    /// in all at the most.
    pub async fn last_words(&self) {
        let pause = self.speed.scale(LAST_WORDS_PAUSE).min(LAST_WORDS_PAUSE_MAX);
        let end = Instant::now() + LAST_WORDS_LIMIT;
        let console = self.machine.console();
        while Instant::now() < end {
            let heard = console.text().len();
            // Silence counts only while the guest could speak.
            self.machine.rest(pause).await;
            if console.text().len() == heard {
                return;
            }
        }
    }
}

/// A console that is silent for so long after something went wrong has said all, before scaling.
const LAST_WORDS_PAUSE: Duration = Duration::from_millis(300);

/// The same at the most.
const LAST_WORDS_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long the last words are waited for.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(10);

/// How long a kernel may be silent within an answer to a SysRq key, before scaling: it prints with interrupts off.
const SYSRQ_PAUSE: Duration = Duration::from_millis(1500);

/// How long the answers to a SysRq key may take.
const SYSRQ_LIMIT: Duration = Duration::from_secs(10);

/// Has a guest show its tasks on the console: those that are blocked (`w`), those that the CPUs run (`l`), or all (`t`). If nothing comes, a
/// non-maskable interrupt is sent.
pub(super) async fn show_tasks(machine: &Machine, keys: &[char], speed: Speed) {
    let before = machine.console().count();
    let pause = speed.scale(SYSRQ_PAUSE).min(SYSRQ_LIMIT / 2);
    for key in keys {
        // It only adds to what is told anyway, and a machine that does not take a key does not take the next either.
        if machine.sysrq(*key).await.is_err() {
            break;
        }
        machine.console().silence(pause, SYSRQ_LIMIT).await;
    }
    if machine.console().count() == before && machine.nmi().await.is_ok() {
        machine
            .console()
            .silence(pause.max(Duration::from_secs(2)), SYSRQ_LIMIT)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use base::fault::Verdict;

    use super::*;

    #[test]
    fn only_evidence_makes_a_failure() {
        let panicked = End::Panicked {
            seen: crate::machine::PanicSource::Console,
            line: "Kernel panic - not syncing: test".to_owned(),
        };
        let spin = Spin {
            at: vec![0x1_0000, 0x1_0004],
            same_registers: true,
            silent: Duration::from_secs(15),
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
            (Diagnosis::Spins(spin), Verdict::Fail),
            (Diagnosis::StuckAlone, Verdict::Fail),
            (Diagnosis::ConnectionLost, Verdict::Error),
            (
                Diagnosis::NotRunning {
                    state: "paused".to_owned(),
                },
                Verdict::Error,
            ),
            (Diagnosis::QemuSilent(String::new()), Verdict::Error),
            (Diagnosis::Starved(String::new()), Verdict::Error),
        ] {
            assert_eq!(diagnosis.blame().verdict(), verdict, "{diagnosis}");
        }
    }
}
