// SPDX-License-Identifier: MIT OR Apache-2.0
//! The async face of a session.

use std::{
    fmt,
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    Carried, Carry, SshError, carry,
    wire::{Access, Wire},
};

/// What a command said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// What it printed on stdout.
    pub stdout: Vec<u8>,
    /// What it printed on stderr.
    pub stderr: Vec<u8>,
    /// Its exit code as the shell gives it: 128 and the signal's number for a command that a signal ended.
    pub code: u8,
}

impl Output {
    /// stdout as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// stderr as text; bytes that are no UTF-8 are replaced.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// What it said about its end: stderr, or the last line of stdout where that says nothing.
    pub fn last_words(&self) -> String {
        let (out, errors) = (self.text(), self.error_text());
        match errors.trim_end() {
            "" => out
                .trim_end()
                .lines()
                .last()
                .map_or_else(String::new, |line| line.trim().to_owned()),
            errors => errors.to_owned(),
        }
    }
}

/// Who logs in, and to whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user in the guest.
    pub user: String,
    /// The private key in OpenSSH's format, not encrypted.
    pub private_key: String,
    /// The server's public key in the SSH wire format; a server with another key is refused. `None` takes any.
    pub server_key: Option<Vec<u8>>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

enum Job {
    Script(Script),
    Carry(Carry, oneshot::Sender<Result<Carried, SshError>>),
}

struct Script {
    script: String,
    stdin: Vec<u8>,
    limit: Duration,
    /// The limit as a moment; time in the queue counts.
    until: Instant,
    reply: oneshot::Sender<Result<Output, SshError>>,
}

/// A session with a server on a port of loopback. Dropping it closes the connection at once, also in mid-command.
#[derive(Debug)]
pub struct Session {
    jobs: mpsc::Sender<Job>,
    hangup: Hangup,
}

/// Closes the connection from outside, which is the only way to unblock libssh2.
#[derive(Debug, Clone)]
struct Hangup {
    socket: Arc<TcpStream>,
    closed: Arc<AtomicBool>,
}

impl Hangup {
    fn now(&self) {
        self.closed.store(true, Ordering::Release);
        // An error means that there is no connection any more.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hangup.now();
    }
}

/// Closes the connection when the future that waits for an answer is dropped: what is in flight can then not be told.
struct Waiting(Option<Hangup>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(hangup) = &self.0 {
            hangup.now();
        }
    }
}

impl Session {
    /// Connects to the server on `port` of loopback and logs in.
    ///
    /// Does not try again: while a guest boots, that is the caller's race.
    ///
    /// # Errors
    /// [`SshError::Connect`], [`SshError::Handshake`], [`SshError::Stranger`], [`SshError::Refused`] or
    /// [`SshError::Deadline`].
    pub async fn connect(port: u16, login: &Login, limit: Duration) -> Result<Self, SshError> {
        let access = Access {
            port,
            login: login.clone(),
        };
        let until = Instant::now() + limit;
        let (connected, connection) = oneshot::channel();
        let (ready, authenticated) = oneshot::channel();
        let (jobs, queue) = mpsc::channel();
        thread::Builder::new()
            .name(format!("ssh {port}"))
            .spawn(move || serve(&access, until, limit, connected, ready, queue))
            .map_err(SshError::Thread)?;
        let socket = match connection.await {
            Ok(socket) => socket?,
            Err(_) => return Err(SshError::Closed),
        };
        let hangup = Hangup {
            socket: Arc::new(socket),
            closed: Arc::default(),
        };
        let mut waiting = Waiting(Some(hangup.clone()));
        authenticated.await.map_err(|_| SshError::Closed)??;
        waiting.0 = None;
        Ok(Self { jobs, hangup })
    }

    /// Runs a script in the guest's shell and takes all that it prints.
    ///
    /// A script that exits with anything but 0 is an answer, not an error. Commands of one session run one after the other.
    /// After an error, and after this future was dropped before its end, the session is closed.
    ///
    /// # Errors
    /// Every way not to know how the script went: see [`SshError`].
    pub async fn exec(&self, script: &str, stdin: &[u8], limit: Duration) -> Result<Output, SshError> {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now() + limit;
        let job = Job::Script(Script {
            script: script.to_owned(),
            stdin: stdin.to_owned(),
            limit,
            until,
            reply,
        });
        self.result(job, answer).await
    }

    /// Runs a command and carries bytes between its streams and ours until it has ended, however long that takes.
    ///
    /// After an error, and after this future was dropped before its end, the session is closed.
    ///
    /// # Errors
    /// [`SshError::Killed`], and every way to lose the command: see [`SshError`].
    pub async fn carry(&self, carry: Carry) -> Result<Carried, SshError> {
        let (reply, answer) = oneshot::channel();
        self.result(Job::Carry(carry, reply), answer).await
    }

    async fn result<T>(
        &self,
        job: Job,
        answer: oneshot::Receiver<Result<T, SshError>>,
    ) -> Result<T, SshError> {
        self.jobs.send(job).map_err(|_| SshError::Closed)?;
        let mut waiting = Waiting(Some(self.hangup.clone()));
        let answer = answer.await.map_err(|_| SshError::Closed)?;
        if answer.is_ok() {
            waiting.0 = None;
        }
        answer
    }

    /// Whether it has ended, so that nothing can be run any more.
    pub fn is_closed(&self) -> bool {
        self.hangup.closed.load(Ordering::Acquire)
    }
}

/// The thread of a session: connects, then does one job after the other until one fails or nobody can ask any more.
fn serve(
    access: &Access,
    until: Instant,
    limit: Duration,
    connected: oneshot::Sender<Result<TcpStream, SshError>>,
    ready: oneshot::Sender<Result<(), SshError>>,
    queue: mpsc::Receiver<Job>,
) {
    let socket = match access.connect(until) {
        Ok((socket, clone)) => {
            // If nobody waits for it, the clone is dropped; the handshake then ends by its limit.
            if connected.send(Ok(clone)).is_err() {
                return;
            }
            socket
        }
        Err(error) => return drop(connected.send(Err(error))),
    };
    let wire = match Wire::open(socket, access, until, limit) {
        Ok(wire) => wire,
        Err(error) => return drop(ready.send(Err(error))),
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    for job in queue {
        let failed = match job {
            Job::Script(job) => answer(job.reply, wire.run(&job.script, &job.stdin, job.until, job.limit)),
            Job::Carry(job, reply) => answer(reply, carry::carry(&wire, job)),
        };
        if failed {
            return;
        }
    }
}

/// Gives an answer; whether it is an error.
fn answer<T>(reply: oneshot::Sender<Result<T, SshError>>, result: Result<T, SshError>) -> bool {
    let failed = result.is_err();
    // Whoever asked may have stopped waiting, and has then closed the connection.
    let _ = reply.send(result);
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_stderr_or_else_the_last_line() {
        let said = |stdout: &str, stderr: &str| {
            let output = Output {
                stdout: stdout.into(),
                stderr: stderr.into(),
                code: 1,
            };
            output.last_words()
        };
        assert_eq!(
            said("one\n 134452 kB are in use \n\n", " \n"),
            "134452 kB are in use"
        );
        assert_eq!(
            said("one\n", "sh: x: not found\nagain\n"),
            "sh: x: not found\nagain"
        );
        assert_eq!(said("", ""), "");
    }
}
