// SPDX-License-Identifier: MIT OR Apache-2.0
//! A shell in the guest of a case: with a terminal for whoever types, and with pipes for a script.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    time::Duration,
};

use camino::Utf8PathBuf;
use rustix::process;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    case::{Trouble, chain, inside},
    plan::Job,
    session::{Origin, Rig, Stage, Stop, waited_for},
};
use base::{
    fault::{Blame, Blamed, Exit, Verdict},
    tty::{self, Raw, WindowSize},
    ui::Ui,
};
use format::ssh::{Carried, Carry, Pty, Resizer};
use record::{Journal, RunFolder};
use vm::{guest::Guest, machine::Console, scratch::Scratch};

/// How long the guest may take to tell the shell's exit code, before the factor of its speed.
const CODE_LIMIT: Duration = Duration::from_secs(60);

/// How many lines of the console explain the end of a guest: a panic with its registers and its trace.
const CONSOLE_TAIL: usize = 60;

/// Where the guest keeps the exit code of the shell.
const CODE_FILE: &str = "/run/memrig-shell-code";

/// A stop that a program may prepare for: ^Z where the terminal is not raw, and `kill -TSTP`.
const SUSPEND: SignalKind = SignalKind::from_raw(process::Signal::TSTP.as_raw());

/// What follows each stop, also one that nobody could prepare for.
const RESUME: SignalKind = SignalKind::from_raw(process::Signal::CONT.as_raw());

/// What a terminal without a window is taken for.
const USUAL_SIZE: WindowSize = WindowSize {
    columns: 80,
    rows: 24,
};

/// What a terminal is taken for that has no name, or one that no server takes.
const USUAL_TERM: &str = "vt100";

/// The longest name of a terminal; libssh2 takes 256 bytes.
const TERM_LIMIT: usize = 200;

/// Why there is no shell, or not any more.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NoShell {
    message: String,
    /// The last lines of the guest's console, if it booted.
    pub console: String,
    blame: Blame,
}

impl Blamed for NoShell {
    fn blame(&self) -> Blame {
        self.blame
    }
}

impl NoShell {
    fn bench(message: impl Into<String>) -> Self {
        Self::of(&Trouble::bench(message), String::new())
    }

    fn of(trouble: &Trouble, console: String) -> Self {
        Self {
            message: trouble.message().to_owned(),
            console,
            blame: match trouble.verdict() {
                Verdict::Fail => Blame::Kernel,
                _ => Blame::Bench,
            },
        }
    }
}

/// The signals that end memrig from outside, and those that stop it and let it go on. None is lost while nobody waits.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    suspend: Signal,
    resume: Signal,
}

impl Ends {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            suspend: signal(SUSPEND)?,
            resume: signal(RESUME)?,
        })
    }

    /// Waits for the next end. Until then a stop finds the terminal as it was before, and whoever goes on has it raw again; a
    /// terminal that is gone is an end. Cancel-safe.
    async fn next(&mut self) {
        loop {
            tokio::select! {
                // What went on before a stop says nothing about the time after it.
                biased;
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => return,
                _ = self.resume.recv() => if tty::resume().is_err() { return },
                _ = self.suspend.recv() => if tty::suspend().is_err() { return },
            }
        }
    }
}

/// How a session in a guest ended, while the guest lived.
enum Session {
    Exited(u8),
    Left,
    Interrupted,
}

/// Boots the guest of a job and opens a shell in it: a terminal where stdin is one, else a `sh` that reads its script from stdin.
///
/// The exit code is the shell's. A terminal is left as it was found.
///
/// # Errors
/// Why there is no guest, or not any more.
pub fn open_shell(job: &Job, rig: Rig, ui: &Ui) -> Result<Exit, NoShell> {
    let opened = waited_for(shell(job, rig, ui));
    opened.map_err(|error| NoShell::bench(error.to_string()))?
}

async fn shell(job: &Job, rig: Rig, ui: &Ui) -> Result<Exit, NoShell> {
    let told = |error: &(dyn std::error::Error + 'static)| NoShell::bench(chain(error));
    let mut ends = Ends::watch().map_err(|error| told(&error))?;
    let scratch = Scratch::new().map_err(|error| told(&error))?;
    let results = Utf8PathBuf::from_path_buf(scratch.path().to_owned())
        .map_err(|path| NoShell::bench(format!("{path:?} is no UTF-8")))?;
    let folder = RunFolder::create(&results).map_err(|error| told(&error))?;
    let journal = Arc::new(Journal::create(folder.path()).map_err(|error| told(&error))?);
    let case_folder = folder.case(&job.key, 1).map_err(|error| told(&error))?;
    let stage =
        Stage::new(rig, folder, journal, Stop::default(), false, ui.clone()).map_err(NoShell::bench)?;
    ui.line(&format!(
        "booting {} for {} {}",
        job.key.kernel_name(),
        job.key.suite,
        job.key.case
    ));
    let (guest, _) = tokio::select! {
        booted = stage.guest(job, &case_folder, Origin::Boot) => booted.map_err(|no_guest| {
            let (trouble, _) = no_guest.weighed(job.case());
            NoShell::of(&trouble, tail(&case_folder.console_text()))
        })?,
        () = ends.next() => {
            ui.line("interrupted");
            return Ok(Exit::Interrupted);
        }
    };
    let is_typed = tty::is_typed();
    ui.line(&format!(
        "guest is up; its console is in {}{}",
        case_folder.console_log(),
        match is_typed {
            true => "; end with `exit` or ^D, or leave with ^] three times if it does not answer",
            false => "",
        }
    ));
    ui.line(&stage.by_hand(&guest));
    let done = session(&guest, is_typed, &mut ends).await;
    if is_typed && !matches!(done, Ok(Session::Exited(_))) {
        // What the guest printed last may have left the cursor anywhere.
        ui.line("");
    }
    let console = guest.machine.console().clone();
    tokio::select! {
        () = guest.stop() => {}
        // Whoever insists does not want to wait for a guest that does not end: QEMU is killed.
        () = ends.next() => return Ok(Exit::Interrupted),
    }
    match done {
        Ok(Session::Exited(code)) => Ok(Exit::Guest(code)),
        Ok(Session::Left) => {
            ui.line("left the guest");
            Ok(Exit::Interrupted)
        }
        Ok(Session::Interrupted) => {
            ui.line("interrupted");
            Ok(Exit::Interrupted)
        }
        Err(trouble) => Err(NoShell::of(&trouble, last_lines(&console))),
    }
}

/// Runs the shell until it ends, somebody leaves or interrupts it, or the guest is no more. When this returns the terminal is what
/// it was.
async fn session(guest: &Guest, is_typed: bool, ends: &mut Ends) -> Result<Session, Trouble> {
    let broken = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| Trouble::bench(format!("{what}: {error}"))
    };
    let (pty, resizer) = match is_typed {
        true => {
            let size = tty::window_size().unwrap_or(USUAL_SIZE);
            let (pty, resizer) = Pty::new(&term(std::env::var("TERM").ok()), size)
                .map_err(broken("a way to tell the guest of the window's size"))?;
            (Some(pty), Some(resizer))
        }
        false => (None, None),
    };
    let copy = |fd: io::Result<OwnedFd>| fd.map_err(broken("memrig's own stdin, stdout and stderr"));
    let carry = Carry {
        command: command(is_typed),
        pty,
        input: copy(io::stdin().as_fd().try_clone_to_owned())?,
        output: copy(io::stdout().as_fd().try_clone_to_owned())?,
        errors: copy(io::stderr().as_fd().try_clone_to_owned())?,
    };
    let heard = |kind| signal(kind).map_err(broken("the signal of another window size"));
    let mut windows = [heard(SignalKind::window_change())?, heard(RESUME)?];
    let raw = match is_typed {
        true => Some(Raw::enter().map_err(broken("the terminal"))?),
        false => None,
    };
    let carried = tokio::select! {
        carried = guest.port.ssh().carry(carry) => Some(carried),
        end = guest.machine.ended() => return Err(Trouble::ended(&end)),
        () = ends.next() => None,
        () = follow(&mut windows, resizer) => None,
    };
    drop(raw);
    match carried {
        None => Ok(Session::Interrupted),
        Some(Ok(Carried::Left)) => Ok(Session::Left),
        Some(Ok(Carried::Cut(error))) => Err(Trouble::bench(format!(
            "stdout did not take all that the script printed: {}",
            io::Error::from(error)
        ))),
        Some(Ok(Carried::Ended)) => exit_code(guest).await.map(Session::Exited),
        Some(Err(error)) => Err(inside::blame(guest, error).await),
    }
}

/// Tells the guest of each new size of the window; whoever was stopped was not told. Never ends.
async fn follow([changed, resumed]: &mut [Signal; 2], resizer: Option<Resizer>) {
    let Some(resizer) = resizer else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = changed.recv() => {}
            _ = resumed.recv() => {}
        }
        if let Some(size) = tty::window_size() {
            resizer.set(size);
        }
    }
}

/// The command for the guest. The outer shell outlives the inner one and writes down how that ended.
fn command(is_typed: bool) -> String {
    let shell = match is_typed {
        true => r"cd; PS1='guest:\w# ' sh -l",
        false => "sh",
    };
    format!("rm -f {CODE_FILE}; {shell}; echo $? >{CODE_FILE}")
}

/// The exit code that the guest wrote down. Without it nothing is known of how the shell ended.
async fn exit_code(guest: &Guest) -> Result<u8, Trouble> {
    let output = inside::exec(guest, &format!("cat {CODE_FILE}"), guest.speed.scale(CODE_LIMIT)).await?;
    output.text().trim().parse().map_err(|_| {
        Trouble::bench(
            "the shell in the guest ended without an exit code: somebody killed what waited for it",
        )
    })
}

/// The kind of terminal, as the server is told it.
fn term(named: Option<String>) -> String {
    named
        .filter(|name| !name.is_empty() && name.len() <= TERM_LIMIT)
        .unwrap_or_else(|| USUAL_TERM.to_owned())
}

fn last_lines(console: &Console) -> String {
    tail(&console.text())
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(CONSOLE_TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_terminal_that_no_server_takes_is_a_usual_one() {
        assert_eq!(term(Some("xterm-256color".to_owned())), "xterm-256color");
        for odd in [None, Some(String::new()), Some("x".repeat(TERM_LIMIT + 1))] {
            assert_eq!(term(odd), USUAL_TERM);
        }
    }

    #[test]
    fn the_exit_code_of_a_lost_shell_says_whom_that_speaks_against() {
        let kernel = Trouble::kernel("panicked");
        assert_eq!(kernel.verdict(), Verdict::Fail);
        assert_eq!(NoShell::of(&kernel, String::new()).blame(), Blame::Kernel);
        assert_eq!(NoShell::bench("QEMU was killed").blame(), Blame::Bench);
    }

    #[test]
    fn the_tail_is_the_end() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let tail = tail(&text);
        assert_eq!(tail.lines().count(), CONSOLE_TAIL);
        assert!(
            tail.starts_with("line 40\n") && tail.ends_with("line 99"),
            "{tail}"
        );
        assert_eq!(super::tail("one"), "one");
    }
}
