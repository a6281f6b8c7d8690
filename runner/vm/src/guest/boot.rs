// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a description to a guest that answers.

use std::{
    fmt,
    sync::{OnceLock, atomic::AtomicU32},
    time::Duration,
};

use super::{
    diagnosis::{Diagnosis, of_machine, show_tasks},
    line::LinePort,
    port::{GuestPort as _, Output, Port, PortError},
    spin::{self, Spin},
    ssh::SshPort,
    witness::Witness,
};
use crate::machine::{Clock, Logs, Machine, MachineError, MachineSpec, StartOptions, Wait};
use base::fault::Blame;
use format::{
    cover::Pieces,
    klog,
    ssh::{Login, SshError},
};

/// What the guest's init prints when it can be talked to.
const READY: &str = "memrig: ready";

/// What follows where the guest also has a shell at its line.
const WITH_LINE: &str = ", with a line";

/// How a guest can be talked to, beside SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ways {
    /// A shell waits at its line.
    Line,
    /// No other.
    SshAlone,
}

/// How a guest that says so can be talked to.
fn ways(line: &str) -> Option<Ways> {
    let at = line.find(READY)?;
    Some(if line[at..].contains(WITH_LINE) {
        Ways::Line
    } else {
        Ways::SshAlone
    })
}

/// A fixed piece of work for a shell.
const SPEED_SCRIPT: &str = "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done";

/// How long [`SPEED_SCRIPT`] takes in a guest that is translated on an idle host of 2020 or later.
const SPEED_REFERENCE: Duration = Duration::from_millis(250);

/// How many times longer things take here than in a guest under TCG on an idle host; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Speed(f64);

impl Speed {
    /// Nothing takes longer.
    pub(crate) const NORMAL: Self = Self(1.0);

    /// The speed of a guest in which the fixed piece of work took this long. At most 50, so that a hang is still found.
    pub(crate) fn of(measured: Duration) -> Self {
        Self((measured.as_secs_f64() / SPEED_REFERENCE.as_secs_f64()).clamp(1.0, 50.0))
    }

    /// A time limit for this guest.
    pub fn scale(self, limit: Duration) -> Duration {
        limit.mul_f64(self.0)
    }
}

/// How long the parts of a boot may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootLimits {
    /// From the first instruction to the console's word that the guest is ready.
    pub ready: Duration,
    /// From one line of the console to the next, or from the first instruction to the first line.
    pub silent: Duration,
    /// From there to a shell.
    pub shell: Duration,
}

impl Default for BootLimits {
    /// For guests that are translated on a busy host: a boot takes 4 s on an idle one.
    fn default() -> Self {
        Self {
            ready: Duration::from_secs(300),
            silent: Duration::from_secs(60),
            shell: Duration::from_secs(60),
        }
    }
}

/// Why there is no guest.
#[derive(Debug, thiserror::Error)]
pub enum BootCause {
    /// There is no machine, or QEMU does not obey.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The machine ended, or never came to the point where it can be talked to.
    #[error("{0}")]
    Guest(Diagnosis),
    /// The guest says that it is ready, and lets nobody in.
    #[error("the guest is ready, and its shell is not to be had")]
    Shell(#[source] SshError),
    /// The guest's shell does not do what every shell does.
    #[error("the guest's shell does not work")]
    Work(#[source] PortError),
    /// The description has no network card.
    #[error("the machine has no network card, and nobody can talk to its guest")]
    NoNetwork,
}

/// Why a guest did not boot, and whom that speaks against.
#[derive(Debug)]
pub struct BootError {
    /// What happened.
    pub cause: BootCause,
    /// The last lines of the console.
    pub console: String,
    /// What the machine said and got, if there was one.
    pub witness: Option<Witness>,
    /// All that the guest said on its console by itself: what it was asked for, since it does not answer, is left out.
    pub said: String,
    /// Which code it ran, where that is noted ([`MachineSpec::cover`]).
    pub translated: Result<Option<Pieces>, MachineError>,
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for BootError {
    /// What is below the cause: the cause itself is what the error says.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

impl BootError {
    /// There is no machine to have a guest in.
    pub(super) fn of_machine(error: MachineError) -> Self {
        Self {
            cause: error.into(),
            console: String::new(),
            witness: None,
            said: String::new(),
            translated: Ok(None),
        }
    }

    /// Whom it speaks against.
    pub fn blame(&self) -> Blame {
        self.diagnosis().map_or(Blame::Bench, Diagnosis::blame)
    }

    /// What was found of the guest; `None` if it is the bench that could not do it.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        match &self.cause {
            BootCause::Guest(diagnosis) => Some(diagnosis),
            BootCause::Machine(_) | BootCause::Shell(_) | BootCause::Work(_) | BootCause::NoNetwork => None,
        }
    }

    /// Whether the kernel is to blame and said nothing: it died, or hangs, before it had a console.
    pub fn is_mute(&self) -> bool {
        self.blame() == Blame::Kernel && !klog::has_spoken(self.said.as_bytes())
    }

    /// Whether it would be the same with another guest of this description.
    pub fn is_lasting(&self) -> bool {
        match &self.cause {
            BootCause::Machine(error) => error.is_lasting(),
            BootCause::NoNetwork => true,
            BootCause::Guest(_) | BootCause::Shell(_) | BootCause::Work(_) => false,
        }
    }
}

/// Why a guest is not waited for any longer.
enum Halt {
    /// What the machine says, or a limit.
    Wait(Wait),
    /// It spins.
    Spin(Spin),
}

/// How many lines of the console go into an error.
const CONSOLE_TAIL: usize = 30;

/// A guest that answers.
#[derive(Debug)]
pub struct Guest {
    /// Its machine.
    pub machine: Machine,
    /// The way into it.
    pub port: Port,
    /// How slow it is.
    pub speed: Speed,
    /// Length of the console's text, in bytes, when its console was asked for its tasks, if it was.
    pub(super) asked: OnceLock<usize>,
    /// What it told of its tasks when it did not answer.
    pub(super) tasks: OnceLock<String>,
    /// How often its tasks were looked at.
    pub(super) looks: AtomicU32,
}

impl Guest {
    /// Starts a machine, lets its guest boot, and opens a shell in it.
    ///
    /// A guest that does not boot is asked for its tasks before it is stopped; the answer is in the console's log.
    ///
    /// # Errors
    /// [`BootError`] says why, and [`BootError::blame`] whom that speaks against.
    pub async fn boot(
        spec: &MachineSpec,
        logs: &Logs,
        clock: Clock,
        options: StartOptions,
        login: &Login,
        limits: BootLimits,
    ) -> Result<Self, BootError> {
        let machine = Machine::start(spec, logs, clock, options)
            .await
            .map_err(BootError::of_machine)?;
        Self::boot_machine(machine, login, limits).await
    }

    /// The same for a machine that was started and does not run yet, so that its properties could be set before the guest's first
    /// instruction.
    ///
    /// # Errors
    /// As [`Guest::boot`].
    pub(crate) async fn boot_machine(
        machine: Machine,
        login: &Login,
        limits: BootLimits,
    ) -> Result<Self, BootError> {
        let mut lines = machine.console().from_start();
        let ready = async {
            machine.resume().await?;
            let ready = async {
                loop {
                    // A kernel that boots says something all the time.
                    let line = tokio::select! {
                        biased;
                        line = machine.wait_for(lines.next(), limits.silent) => line.map_err(Halt::Wait)?,
                        spin = spin::found(&machine) => return Err(Halt::Spin(spin)),
                    };
                    let Some(line) = line else {
                        return Ok(None);
                    };
                    if let Some(ways) = ways(&line.text) {
                        return Ok(Some(ways));
                    }
                }
            };
            let ready = machine.wait_for(ready, limits.ready).await;
            Ok::<_, MachineError>(ready.map_err(Halt::Wait).and_then(|ready| ready))
        };
        let cause = match ready.await {
            Ok(Ok(Some(ways))) => return Self::attach(machine, login, limits.shell, ways, None).await,
            Err(error) => error.into(),
            // The console has closed, which only QEMU's end does.
            Ok(Ok(None)) => BootCause::Guest(Diagnosis::Ended(machine.ended().await)),
            Ok(Err(Halt::Wait(Wait::Ended(end)))) => BootCause::Guest(Diagnosis::Ended(end)),
            Ok(Err(Halt::Wait(wait @ Wait::Starved { .. }))) => starved(&wait),
            Ok(Err(Halt::Wait(Wait::Deadline(_)))) => {
                BootCause::Guest(of_machine(&machine).await.unwrap_or(Diagnosis::Hangs))
            }
            Ok(Err(Halt::Spin(spin))) => {
                let spins = Diagnosis::Spins(spin);
                BootCause::Guest(of_machine(&machine).await.unwrap_or(spins))
            }
        };
        Err(give_up(machine, cause).await)
    }

    /// Finds the way into a machine whose guest is ready, such as a clone that runs.
    ///
    /// Without a `speed`, as a clone has from its template, it is measured, which takes a quarter of a second or more.
    pub(super) async fn attach(
        machine: Machine,
        login: &Login,
        limit: Duration,
        ways: Ways,
        speed: Option<Speed>,
    ) -> Result<Self, BootError> {
        let Some(port) = machine.ssh_port() else {
            return Err(give_up(machine, BootCause::NoNetwork).await);
        };
        let line = match ways {
            Ways::Line => machine.take_line().map(if speed.is_some() {
                LinePort::cloned
            } else {
                LinePort::booted
            }),
            Ways::SshAlone => None,
        };
        let shell = if line.is_some() {
            Ok(Ok(SshPort::later(port, login)))
        } else {
            machine
                .wait_for(SshPort::connect(port, login, Machine::longest(limit)), limit)
                .await
        };
        let shell = match shell {
            Ok(Ok(ssh)) => Port::new(line, ssh),
            Err(Wait::Ended(end)) => {
                return Err(give_up(machine, BootCause::Guest(Diagnosis::Ended(end))).await);
            }
            Ok(Err(error)) => {
                let cause = no_shell(&machine, error).await;
                return Err(give_up(machine, cause).await);
            }
            Err(wait @ Wait::Starved { .. }) => return Err(give_up(machine, starved(&wait)).await),
            Err(Wait::Deadline(limit)) => {
                let cause = no_shell(&machine, SshError::Deadline(limit)).await;
                return Err(give_up(machine, cause).await);
            }
        };
        if let Some(speed) = speed {
            return Ok(Self::with(machine, shell, speed));
        }
        let mut guest = Self::with(machine, shell, Speed::NORMAL);
        // A host that is busy makes no guest slow: limits count what it was given.
        let start = guest.machine.meter().given();
        let worked = guest.port.exec(SPEED_SCRIPT, Machine::longest(limit));
        let worked = guest.machine.wait_for(worked, limit).await;
        guest.speed = Speed::of(guest.machine.meter().given().saturating_sub(start));
        match worked {
            Ok(Ok(output)) if output.code == 0 => Ok(guest),
            worked => Err(guest.did_not_work("counting to 10000", worked).await),
        }
    }

    fn with(machine: Machine, port: Port, speed: Speed) -> Self {
        Self {
            machine,
            port,
            speed,
            asked: OnceLock::new(),
            tasks: OnceLock::new(),
            looks: AtomicU32::new(0),
        }
    }

    /// Why the guest did not do what every guest does; stops it.
    pub(super) async fn did_not_work(
        self,
        what: &str,
        outcome: Result<Result<Output, PortError>, Wait>,
    ) -> BootError {
        let machine = self.machine;
        let cause = match outcome {
            Ok(Ok(output)) => BootCause::Work(PortError::Unclear {
                what: what.to_owned(),
                said: format!("{} (exit code {})", output.error_text().trim_end(), output.code),
            }),
            Ok(Err(error)) => of_machine(&machine)
                .await
                .map_or(BootCause::Work(error), BootCause::Guest),
            Err(Wait::Ended(end)) => BootCause::Guest(Diagnosis::Ended(end)),
            Err(wait @ Wait::Starved { .. }) => starved(&wait),
            Err(Wait::Deadline(_)) => {
                BootCause::Guest(of_machine(&machine).await.unwrap_or(Diagnosis::Hangs))
            }
        };
        give_up(machine, cause).await
    }

    /// Stops the machine.
    pub async fn stop(self) {
        self.port.ssh().hang_up().await;
        self.machine.stop().await;
    }
}

/// A guest that was ready and then takes no connection hangs; one that takes it and refuses us was made wrongly.
async fn no_shell(machine: &Machine, error: SshError) -> BootCause {
    match of_machine(machine).await {
        Some(diagnosis) => BootCause::Guest(diagnosis),
        None if matches!(error, SshError::Deadline(_)) => BootCause::Guest(Diagnosis::Hangs),
        None => BootCause::Shell(error),
    }
}

fn starved(wait: &Wait) -> BootCause {
    BootCause::Guest(Diagnosis::Starved(wait.to_string()))
}

async fn give_up(machine: Machine, mut cause: BootCause) -> BootError {
    let witness = Witness::of(&machine);
    if let BootCause::Guest(Diagnosis::Ended(end)) = &cause
        && let Some(share) = witness.starved_end(end)
    {
        let told = format!("{end}; the host was too busy for the guest: {share}");
        cause = BootCause::Guest(Diagnosis::Starved(told));
    }
    let console = machine.console().clone();
    let mut said = None;
    if matches!(cause, BootCause::Guest(Diagnosis::Hangs | Diagnosis::Spins(_))) {
        said = Some(console.text());
        show_tasks(&machine, &['w', 't', 'l'], Speed::NORMAL).await;
    }
    let translated = machine.translated();
    machine.stop().await;
    let text = console.text();
    let lines: Vec<&str> = text.lines().collect();
    BootError {
        cause,
        console: lines[lines.len().saturating_sub(CONSOLE_TAIL)..].join("\n"),
        said: said.unwrap_or(text),
        witness: Some(witness),
        translated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_and_its_causes_say_each_thing_once() {
        let error = BootError::of_machine(MachineError::Io {
            what: "the socket".to_owned(),
            source: std::io::Error::other("why not"),
        });
        let told = format!("{:#}", anyhow::Error::new(error));
        assert_eq!(told.matches("the socket").count(), 1, "{told}");
        assert_eq!(told.matches("why not").count(), 1, "{told}");
    }

    #[test]
    fn a_fast_guest_gets_no_less_time_and_a_slow_one_more() {
        let limit = Duration::from_secs(10);
        assert_eq!(Speed::of(Duration::from_millis(20)).scale(limit), limit);
        assert_eq!(Speed::of(SPEED_REFERENCE * 4).scale(limit), limit * 4);
        assert_eq!(Speed::of(SPEED_REFERENCE * 1000).scale(limit), limit * 50);
    }
}
