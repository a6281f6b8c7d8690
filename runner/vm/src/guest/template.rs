// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that was stopped when it was ready, and the guests that go on from there.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    boot::{BootError, BootLimits, Guest, Speed, Ways},
    port::{GuestPort as _, Output, PortError},
};
use crate::machine::{Clock, Logs, Machine, MachineError, MachineSpec, Memory, StartOptions, State};
use base::{ByteSize, fault::Blame};
use format::{cover::Pieces, ssh::Login};

/// A guest that was stopped right after it had booted.
///
/// Its memory is in files without names that end with this process; each clone maps them privately, so that it costs what it changes.
#[derive(Debug)]
pub struct Template {
    spec: MachineSpec,
    memory: Memory,
    state: State,
    /// What the guest had said on its console.
    said: Arc<str>,
    speed: Speed,
    ways: Ways,
    translated: Option<Pieces>,
    /// What its guest was asked once.
    told: String,
}

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The guest did not boot.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The machine did not start, or could not be saved.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// It booted, and then did not do the last thing that it was told.
    #[error("the guest of a template")]
    Port(#[from] PortError),
    /// No memory for it.
    #[error("files for a guest's memory")]
    Memory(#[from] std::io::Error),
}

impl TemplateError {
    /// Whether it is the guest's kernel that did not come so far.
    pub fn blames_the_kernel(&self) -> bool {
        matches!(self, Self::Boot(error) if error.blame() == Blame::Kernel)
    }
}

/// How long the last thing that a template's guest is told may take, before the factor of its speed.
const LAST_LIMIT: Duration = Duration::from_secs(60);

/// How long a guest may go on with what a session's end leaves to be done, before it is stopped.
const COME_TO_REST: Duration = Duration::from_millis(500);

/// How often the last thing is done again once the session has ended, so that what it leaves behind the first times is in the template and not
/// in each clone: seen were 10 to 40 pages between the first two readings of a ledger in a clone, and 0 to 14 since.
const AGAIN: u32 = 2;

impl Template {
    /// Boots a guest, has it run `once` and then `last`, which can be done more than once, and stops it when it has come to rest. What `once` printed is
    /// [`Self::told`], whatever its exit code.
    ///
    /// # Errors
    /// [`TemplateError`] says why there is none.
    pub async fn make(
        spec: &MachineSpec,
        logs: &Logs,
        clock: Clock,
        login: &Login,
        limits: BootLimits,
        once: Option<&str>,
        last: &str,
    ) -> Result<Self, TemplateError> {
        let memory = Memory::new(spec)?;
        let mut spec = spec.clone();
        spec.memory_files = Some(memory.files(true));
        let guest = Guest::boot(&spec, logs, clock, StartOptions::default(), login, limits).await?;
        let told = match once {
            Some(once) => guest.port.exec(once, guest.speed.scale(LAST_LIMIT)).await,
            None => Ok(Output::default()),
        };
        let mut done = guest.port.exec(last, guest.speed.scale(LAST_LIMIT)).await;
        guest.port.ssh().hang_up().await;
        guest.machine.rest(guest.speed.scale(COME_TO_REST)).await;
        if guest.port.ways() == Ways::Line {
            // Where this does not open another session.
            for _ in 0..AGAIN {
                if done.as_ref().is_ok_and(|done| done.code == 0) {
                    done = guest.port.exec(last, guest.speed.scale(LAST_LIMIT)).await;
                }
            }
        }
        let saved = guest.machine.save().await;
        let said = guest.machine.console().text().into();
        let translated = guest.machine.translated();
        let (speed, ways) = (guest.speed, guest.port.ways());
        guest.stop().await;
        spec.memory_files = Some(memory.files(false));
        spec.incoming = true;
        let done = done?;
        if done.code != 0 {
            return Err(TemplateError::Port(PortError::Unclear {
                what: "the last thing before a guest becomes a template".to_owned(),
                said: format!("{} (exit code {})", done.error_text().trim_end(), done.code),
            }));
        }
        Ok(Self {
            spec,
            memory,
            state: saved?,
            said,
            speed,
            ways,
            translated: translated?,
            told: told?.text(),
        })
    }

    /// Starts a guest that goes on where the template stopped, and opens a shell in it.
    ///
    /// # Errors
    /// As [`Guest::boot`].
    pub async fn clone_guest(
        &self,
        logs: &Logs,
        clock: Clock,
        login: &Login,
        limits: BootLimits,
    ) -> Result<Guest, BootError> {
        let options = StartOptions {
            said: Some(self.said.clone()),
        };
        let machine = Machine::start(&self.spec, logs, clock, options).await;
        let machine = machine.map_err(BootError::of_machine)?;
        machine.load(&self.state).await.map_err(BootError::of_machine)?;
        machine.resume().await.map_err(BootError::of_machine)?;
        let guest = Guest::attach(machine, login, limits.shell, self.ways, Some(self.speed)).await?;
        guest.wake_up().await
    }

    /// What the guest had said on its console.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// What its guest printed when it was asked once; empty if it was not.
    pub fn told(&self) -> &str {
        &self.told
    }

    /// Which code its boot ran; `None` if nothing notes it.
    pub fn translated(&self) -> Option<&Pieces> {
        self.translated.as_ref()
    }

    /// The files that its memory is in.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// How much of the host's memory it takes, in bytes.
    pub fn resident(&self) -> ByteSize {
        // A file that cannot be asked has no size that anybody could free.
        self.memory.resident().unwrap_or(ByteSize::bytes(0))
    }
}

impl Guest {
    /// Tells a clone what changed while it did not run: the time, and what makes its random numbers its own.
    async fn wake_up(self) -> Result<Self, BootError> {
        let limit = self.speed.scale(LAST_LIMIT);
        // A host that believes to live before 1970 has no time to tell.
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let script = match seed() {
            Ok(seed) => wake_up(&seed, now),
            Err(error) => {
                let lacking = MachineError::Io {
                    what: "random numbers of the host".to_owned(),
                    source: error,
                };
                self.machine.stop().await;
                return Err(BootError::of_machine(lacking));
            }
        };
        let done = {
            let told = self.port.exec(&script, Machine::longest(limit));
            self.machine.wait_for(told, limit).await
        };
        match done {
            Ok(Ok(output)) if output.code == 0 => Ok(self),
            done => Err(self.did_not_work("telling a clone the time", done).await),
        }
    }
}

/// Sets the clock and seeds the random numbers.
fn wake_up(seed: &str, now: Duration) -> String {
    format!(
        "date -u -s @{} >/dev/null && echo {seed} | memrig-reseed",
        now.as_secs()
    )
}

/// Random text of the host's kernel.
fn seed() -> std::io::Result<String> {
    let uuid = || fs_err::read_to_string("/proc/sys/kernel/random/uuid");
    Ok(format!("{}{}", uuid()?.trim_end(), uuid()?.trim_end()))
}
