// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that runs, and the thread that starts it.

use std::{
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{self, ExitStatus},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal};
use tokio::sync::watch;

/// The end of a child of which nothing is known: exit code 127, never success.
fn unknown_end() -> ExitStatus {
    ExitStatus::from_raw(127 << 8)
}

/// A running program and its process group. Dropping it kills the group.
#[derive(Debug)]
pub struct Child {
    group: Group,
    /// What it prints on stdout, where pipes were asked for.
    pub(crate) stdout: Option<process::ChildStdout>,
    /// What it prints on stderr, where pipes were asked for.
    pub stderr: Option<process::ChildStderr>,
}

/// The process group of a child, for whoever ends it while another one waits.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// That of the child, which leads it.
    pid: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Group {
    /// How its leader ended, if it has.
    fn status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Sends a signal to all of it, unless its leader has ended.
    pub(super) fn signal(&self, signal: Signal) {
        if self.status().is_none() {
            // An error means that the group is gone already, which is what was asked for.
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }
}

impl Child {
    /// Its process id, which is also its group.
    pub fn pid(&self) -> i32 {
        self.group.pid.as_raw_nonzero().get()
    }

    /// Its group.
    pub(super) fn group(&self) -> Group {
        self.group.clone()
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.group.status()
    }

    /// A receiver that turns to `Some` when the child ends. Cancel-safe, and can be cloned.
    pub fn exit(&self) -> watch::Receiver<Option<ExitStatus>> {
        self.group.exit.clone()
    }

    /// Waits for its end. Cancel-safe.
    pub async fn wait(&self) -> ExitStatus {
        let mut exit = self.exit();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or_else(unknown_end),
            // The waiting thread always sends before it ends.
            Err(_) => self.status().unwrap_or_else(unknown_end),
        }
    }

    /// Waits for its end on this thread.
    pub fn wait_blocking(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            // A receiver of `watch` has no blocking wait; the end of a build is not waited for closely.
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends SIGTERM to the group.
    pub fn terminate(&self) {
        self.group.signal(Signal::TERM);
    }

    /// Kills the group.
    pub fn kill(&self) {
        self.group.signal(Signal::KILL);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program to be started, and where its child is waited for.
struct Order {
    program: process::Command,
    reply: mpsc::Sender<io::Result<Child>>,
}

/// Starts a program on the thread that does so.
pub(super) fn start(program: process::Command) -> io::Result<Child> {
    let gone = || io::Error::other("the thread that starts children has ended");
    let (reply, started) = mpsc::channel();
    spawner().send(Order { program, reply }).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

/// The one thread that starts children.
///
/// The kernel's parent-death signal is sent when the *thread* that forked ends, so a thread of a pool would take its children
/// along when the pool shrinks. This one lives as long as the process.
fn spawner() -> &'static mpsc::Sender<Order> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (orders, received) = mpsc::channel::<Order>();
        let run = move || {
            for order in received {
                // Nobody waits any more: the child, if there is one, is killed by its drop.
                let _ = order.reply.send(fork(order.program));
            }
        };
        if let Err(error) = thread::Builder::new().name("spawner".to_owned()).spawn(run) {
            // The receiver went with the closure, so that every order is told.
            drop(error);
        }
        orders
    })
}

fn fork(mut program: process::Command) -> io::Result<Child> {
    program.process_group(0);
    let parent = rustix::process::getpid();
    let die_with_parent = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::Error::other("memrig ended while it started this"))
        }
    };
    #[expect(
        unsafe_code,
        reason = "the parent-death signal can only be set between fork and exec"
    )]
    // SAFETY: the closure makes two system calls, allocates nothing on its good path, and takes no lock.
    unsafe {
        program.pre_exec(die_with_parent);
    }
    let mut child = program.spawn()?;
    let (sender, exit) = watch::channel(None);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let pid = Pid::from_child(&child);
    thread::Builder::new()
        .name(format!("wait {pid:?}"))
        .spawn(move || {
            let status = child.wait().unwrap_or_else(|_| unknown_end());
            sender.send_replace(Some(status));
        })?;
    Ok(Child {
        group: Group { pid, exit },
        stdout,
        stderr,
    })
}
