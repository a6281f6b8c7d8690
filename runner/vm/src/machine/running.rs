// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine from its start to its end.

use std::{
    ffi::OsString,
    io::{self, BufReader},
    path::PathBuf,
    process::ExitStatus,
    sync::PoisonError,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{UnixStream, unix::OwnedWriteHalf},
    sync::Mutex,
    task::JoinSet,
    time::timeout,
};

use super::{
    console::Console,
    end::{End, Ending, Wait},
    launch::io_error,
    logs::Clock,
    meter::{Meter, longest},
    spec::SpecError,
};
use crate::scratch::Scratch;
use base::{
    Arch,
    exec::{Child, ExecError},
};
use format::{
    cover::Pieces,
    qmp::{Client, QmpError},
};

/// How long QEMU may take for a command that does not wait for the guest.
const COMMAND_LIMIT: Duration = Duration::from_secs(20);

/// How long QEMU may take for each step of its end.
const QUIT_LIMIT: Duration = Duration::from_secs(5);

/// A console that is silent for so long after a panic has said all.
const LAST_WORDS_PAUSE: Duration = Duration::from_millis(300);

/// How long the last words of a guest are waited for.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(5);

/// The name of the file, in the machine's folder, of the plugin that notes which code runs.
pub(super) const CODE_FILE: &str = "code";

/// Why there is no machine, or why it did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The description contradicts itself.
    #[error("this machine cannot be")]
    Spec(#[from] SpecError),
    /// QEMU could not be started.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// A file or socket of the machine could not be used.
    #[error("{what}")]
    Io {
        /// Which one.
        what: String,
        /// What the host said.
        source: io::Error,
    },
    /// QEMU ended, or stopped answering, before the machine was there.
    #[error("QEMU did not start a machine: {wait}; its output is in {log}")]
    Start {
        /// How the wait for it ended.
        wait: Wait,
        /// What QEMU printed.
        log: PathBuf,
    },
    /// A binary that does not do what every QEMU does.
    #[error("`{}` does not answer over QMP: {wait}", .binary.display())]
    NoAnswer {
        /// The binary.
        binary: PathBuf,
        /// How the wait for an answer ended.
        wait: Wait,
    },
    /// A QEMU for another architecture.
    #[error("`{}` emulates {emulates}, not {arch}", .binary.display())]
    Other {
        /// The binary.
        binary: PathBuf,
        /// The architecture that was wanted.
        arch: Arch,
        /// QEMU's name of the one that it has.
        emulates: String,
    },
    /// QEMU refused a command, or answered something unexpected.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// The machine ended, or QEMU stopped answering, before a command was done.
    #[error("QEMU did not do `{command}`: {wait}")]
    Command {
        /// The command.
        command: String,
        /// How the wait for its reply ended.
        wait: Wait,
    },
}

/// What QEMU says of an option or a property that it does not have, or of a file that is not there. It says the same each time.
const NOT_THERE: [&str; 6] = [
    "not found",
    "not supported",
    "unsupported",
    "invalid option",
    "is not a valid device model name",
    "No such file or directory",
];

impl MachineError {
    /// Whether the same machine would fail in the same way once more.
    pub fn is_lasting(&self) -> bool {
        let lacks = |text: &str| NOT_THERE.iter().any(|words| text.contains(words));
        match self {
            Self::Spec(_) | Self::Other { .. } => true,
            Self::Exec(ExecError::Start { source, .. }) => matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ),
            Self::Qmp(QmpError::Refused { class, desc, .. }) => class == "CommandNotFound" || lacks(desc),
            Self::Start {
                wait: Wait::Ended(End::QemuExited { stderr, .. }),
                ..
            } => lacks(stderr),
            Self::Exec(_)
            | Self::Io { .. }
            | Self::Start { .. }
            | Self::NoAnswer { .. }
            | Self::Qmp(_)
            | Self::Command { .. } => false,
        }
    }
}

/// A machine whose QEMU runs. Dropping it kills QEMU.
#[derive(Debug)]
pub struct Machine {
    pub(super) arch: Arch,
    pub(super) child: Child,
    pub(super) qmp: Client,
    pub(super) console: Console,
    pub(super) keyboard: Mutex<OwnedWriteHalf>,
    pub(super) guest_line: std::sync::Mutex<Option<UnixStream>>,
    pub(super) ending: Ending,
    pub(super) ssh_port: Option<u16>,
    pub(super) line: Vec<OsString>,
    pub(super) by_hand: Vec<OsString>,
    /// The tasks that watch; they end with the machine.
    pub(super) watchers: JoinSet<()>,
    pub(super) clock: Clock,
    pub(super) meter: Meter,
    /// A plugin notes which code runs.
    pub(super) notes_code: bool,
    /// The sockets; gone with the machine.
    pub(super) folder: Scratch,
}

impl Machine {
    /// Lets the guest run: for the first time, or after [`Machine::pause`].
    ///
    /// # Errors
    /// As [`Machine::command`].
    pub async fn resume(&self) -> Result<(), MachineError> {
        self.command("cont", json!({})).await.map(drop)
    }

    /// Stops the guest's CPUs.
    ///
    /// # Errors
    /// As [`Machine::command`].
    pub async fn pause(&self) -> Result<(), MachineError> {
        self.command("stop", json!({})).await.map(drop)
    }

    /// The machine protocol, for commands that have their own race, and for events.
    pub fn qmp(&self) -> &Client {
        &self.qmp
    }

    /// Has QEMU do something that does not wait for the guest.
    ///
    /// # Errors
    /// If QEMU refuses, exits, or does not answer within 20 s. A panic of the guest does not end the wait, since QEMU can be
    /// asked about a guest that has panicked.
    pub async fn command(&self, command: &str, arguments: Value) -> Result<Value, MachineError> {
        let failed = |wait| MachineError::Command {
            command: command.to_owned(),
            wait,
        };
        let reply = tokio::select! {
            biased;
            reply = self.qmp.execute_raw(command, arguments) => Ok(reply),
            wait = self.meter.had(COMMAND_LIMIT) => Err(wait),
        };
        match reply {
            Ok(Err(QmpError::Closed { command })) => {
                // QEMU is ending: how, is a moment away.
                let wait = match timeout(Duration::from_secs(5), self.ending.wait()).await {
                    Ok(end) => Wait::Ended(end),
                    Err(_) => return Err(QmpError::Closed { command }.into()),
                };
                Err(failed(wait))
            }
            Ok(reply) => Ok(reply?),
            Err(wait) => Err(failed(wait)),
        }
    }

    /// Sets a property of an object in the machine, as `refuse-assign` of `/machine/sclp/standby-memory`.
    ///
    /// # Errors
    /// As [`Machine::command`].
    pub(crate) async fn set_property(
        &self,
        path: &str,
        property: &str,
        value: Value,
    ) -> Result<(), MachineError> {
        let arguments = json!({"path": path, "property": property, "value": value});
        self.command("qom-set", arguments).await.map(drop)
    }

    /// Reads a property of an object in the machine.
    ///
    /// # Errors
    /// As [`Machine::command`].
    pub async fn property(&self, path: &str, property: &str) -> Result<Value, MachineError> {
        self.command("qom-get", json!({"path": path, "property": property}))
            .await
    }

    /// The registers of all CPUs, as QEMU's monitor prints them while they run.
    ///
    /// # Errors
    /// As [`Machine::command`].
    pub(crate) async fn registers(&self) -> Result<String, MachineError> {
        let command = json!({"command-line": "info registers -a"});
        Ok(match self.command("human-monitor-command", command).await? {
            Value::String(text) => text,
            // By its protocol it prints a text; whoever reads another answer finds no CPU in it.
            other => other.to_string(),
        })
    }

    /// Which CPUs, in the order of their numbers, the guest has not started, or has stopped (s390x); one of x86_64 waits for an interrupt then.
    ///
    /// # Errors
    /// As [`Machine::command`].
    pub(crate) async fn stopped_cpus(&self) -> Result<Vec<bool>, MachineError> {
        let cpus = self.command("query-cpus-fast", json!({})).await?;
        let stopped = |cpu: &Value| {
            cpu["cpu-state"]
                .as_str()
                .is_some_and(|state| state != "operating")
        };
        Ok(cpus.as_array().into_iter().flatten().map(stopped).collect())
    }

    /// Its architecture.
    pub(crate) fn arch(&self) -> Arch {
        self.arch
    }

    /// QEMU's run state: `running`, `paused`, `guest-panicked`, …
    ///
    /// # Errors
    /// As [`Machine::command`].
    pub async fn run_state(&self) -> Result<String, MachineError> {
        let status = self.command("query-status", json!({})).await?;
        Ok(status
            .get("status")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned())
    }

    /// Which code the guest ran since its machine started, each piece once, also after QEMU was killed; `None` if nothing notes it
    /// ([`MachineSpec::cover`](super::MachineSpec::cover)).
    ///
    /// # Errors
    /// QEMU's file is not there, or does not read.
    pub fn translated(&self) -> Result<Option<Pieces>, MachineError> {
        if !self.notes_code {
            return Ok(None);
        }
        self.code_file(|file| Pieces::read(BufReader::new(file)))
            .map(Some)
    }

    /// How many pieces that is.
    ///
    /// # Errors
    /// As [`Self::translated`].
    pub fn noted(&self) -> Result<Option<u64>, MachineError> {
        if !self.notes_code {
            return Ok(None);
        }
        self.code_file(Pieces::count).map(Some)
    }

    fn code_file<T>(&self, read: impl FnOnce(fs_err::File) -> io::Result<T>) -> Result<T, MachineError> {
        let file = fs_err::File::open(self.folder.path().join(CODE_FILE));
        file.and_then(read)
            .map_err(io_error("the file of the plugin that notes which code runs"))
    }

    /// What the guest said on its console.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// The clock that all that is seen of this machine is told by.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The host's port that leads to the guest's port 22; `None` without a network.
    pub fn ssh_port(&self) -> Option<u16> {
        self.ssh_port
    }

    /// The host's end of the line; `None` if the machine has none, or somebody took it before.
    pub(crate) fn take_line(&self) -> Option<UnixStream> {
        self.guest_line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Process id of QEMU.
    pub fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// The command that runs.
    pub fn line(&self) -> &[OsString] {
        &self.line
    }

    /// The same machine as a command for a terminal.
    pub fn by_hand(&self) -> &[OsString] {
        &self.by_hand
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<End> {
        self.ending.get()
    }

    /// Waits for its end. Cancel-safe.
    pub async fn ended(&self) -> End {
        self.ending.wait().await
    }

    /// What the host gave it.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// How long [`Machine::wait_for`] may go on by the wall's clock: what is raced should not give up before.
    pub fn longest(limit: Duration) -> Duration {
        longest(limit)
    }

    /// Races `what` against the machine's end and a time limit. If several are there at once, `what` wins.
    ///
    /// The limit is of time that the host gave the machine: while its threads wait for a CPU, or are stopped, it does not pass. Ten
    /// times the limit by the wall's clock ends the wait all the same.
    ///
    /// # Errors
    /// [`Wait`] tells the machine's end (QEMU exited, the kernel panicked, …), the deadline, and a host that was too busy apart.
    pub async fn wait_for<T>(&self, what: impl Future<Output = T>, limit: Duration) -> Result<T, Wait> {
        tokio::select! {
            biased;
            done = what => Ok(done),
            end = self.ending.wait() => Err(Wait::Ended(end)),
            wait = self.meter.had(limit) => Err(wait),
        }
    }

    /// Lets the guest have some time: that which the host gives it, and not the wall's.
    pub async fn rest(&self, time: Duration) {
        // On a host that is too busy for that, nothing else would help.
        drop(self.meter.had(time).await);
    }

    /// Writes to the guest's console as a keyboard does.
    ///
    /// # Errors
    /// If QEMU has closed the console.
    pub async fn type_text(&self, text: &[u8]) -> io::Result<()> {
        let mut keyboard = self.keyboard.lock().await;
        keyboard.write_all(text).await?;
        keyboard.flush().await
    }

    /// Asks the guest's kernel, through its console, for what a SysRq key does; `t` and `w` show all, or all blocked, tasks.
    ///
    /// The answer comes on the console. It needs a console that the guest has opened and interrupts that are served, and the
    /// kernel's `sysrq_always_enabled`.
    ///
    /// # Errors
    /// If QEMU does not take the break, or has closed the console.
    pub async fn sysrq(&self, key: char) -> Result<(), MachineError> {
        let mut text = key.to_string();
        match self.arch {
            Arch::X86_64 => drop(
                self.command("chardev-send-break", json!({"id": "console"}))
                    .await?,
            ),
            // Control-O, in drivers/s390/char/sclp_vt220.c of 6.1 to 7.2.
            Arch::S390x => text.insert(0, '\u{f}'),
        }
        self.type_text(text.as_bytes())
            .await
            .map_err(|source| MachineError::Io {
                what: "the guest's console".to_owned(),
                source,
            })
    }

    /// Sends a non-maskable interrupt (x86_64) or a restart (s390x), for a guest that serves no interrupts any more.
    ///
    /// # Errors
    /// As [`Machine::command`].
    pub(crate) async fn nmi(&self) -> Result<(), MachineError> {
        self.command("inject-nmi", json!({})).await.map(drop)
    }

    /// Stops the machine, whatever state it is in, and waits until QEMU is gone.
    ///
    /// QEMU is asked first, then terminated, then killed. A guest that is printing its last words may finish them.
    pub async fn stop(mut self) -> ExitStatus {
        if self.end().is_some_and(|end| end.blames_kernel()) {
            self.console.silence(LAST_WORDS_PAUSE, LAST_WORDS_LIMIT).await;
        }
        self.ending.set(End::Stopped);
        // Whether it could still be asked shows in whether it ends.
        let _ = timeout(QUIT_LIMIT, self.qmp.execute_raw("quit", json!({}))).await;
        let mut status = timeout(QUIT_LIMIT, self.child.wait()).await;
        if status.is_err() {
            self.child.terminate();
            status = timeout(QUIT_LIMIT, self.child.wait()).await;
        }
        let status = match status {
            Ok(status) => status,
            Err(_) => {
                self.child.kill();
                self.child.wait().await
            }
        };
        // The watchers end with the sockets; what was on its way still reaches the logs.
        let watchers = async { while self.watchers.join_next().await.is_some() {} };
        if timeout(QUIT_LIMIT, watchers).await.is_err() {
            self.watchers.abort_all();
        }
        status
    }
}
