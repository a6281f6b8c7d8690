// SPDX-License-Identifier: MIT OR Apache-2.0
//! libssh2 on its thread: never blocking in a call, always in `poll` with a time limit.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, Channel, ErrorCode};

use super::{Login, Output, SshError, script::Wrapped};
use crate::line::{EndlessAnswer, LARGEST_ANSWER};

/// libssh2's number for "would block" (`LIBSSH2_ERROR_EAGAIN`).
const AGAIN: ErrorCode = ErrorCode::Session(-37);

/// libssh2's numbers for a key that the server does not take.
const REFUSED: [ErrorCode; 2] = [ErrorCode::Session(-18), ErrorCode::Session(-19)];

/// How many bytes of its output explain a shell that ended early.
const LAST_WORDS: usize = 400;

/// Where to connect, and as whom.
pub(super) struct Access {
    pub(super) port: u16,
    pub(super) login: Login,
}

impl Access {
    /// The connection, and a clone of it to close it by.
    pub(super) fn connect(&self, until: Instant) -> Result<(TcpStream, TcpStream), SshError> {
        let left = until
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let connect = || {
            let socket = TcpStream::connect_timeout(&address, left)?;
            socket.set_nodelay(true)?;
            let clone = socket.try_clone()?;
            Ok((socket, clone))
        };
        connect().map_err(|source| SshError::Connect {
            port: self.port,
            source,
        })
    }
}

/// How a step failed: for lack of time, or as libssh2 says.
pub(super) enum Failure {
    Late,
    Ssh(ssh2::Error),
    Io(io::Error),
}

/// A session that has logged in.
pub(super) struct Wire {
    pub(super) session: ssh2::Session,
    pub(super) socket: TcpStream,
}

impl Wire {
    pub(super) fn open(
        socket: TcpStream,
        access: &Access,
        until: Instant,
        limit: Duration,
    ) -> Result<Self, SshError> {
        let Access { port, login } = access;
        let failed = |step| {
            move |failure| match failure {
                Failure::Late => SshError::Deadline(limit),
                Failure::Ssh(source) => SshError::Handshake {
                    port: *port,
                    step,
                    source,
                },
                Failure::Io(source) => SshError::Connect { port: *port, source },
            }
        };
        let clone = socket
            .try_clone()
            .map_err(|source| SshError::Connect { port: *port, source })?;
        let mut session = ssh2::Session::new()
            .map_err(Failure::Ssh)
            .map_err(failed("starting libssh2"))?;
        session.set_tcp_stream(clone);
        session.set_blocking(false);
        let mut wire = Self { session, socket };
        let again = |wire: &mut Self, step: &dyn Fn(&mut ssh2::Session) -> Result<(), ssh2::Error>| loop {
            match step(&mut wire.session) {
                Err(error) if error.code() == AGAIN => wire.wait(until)?,
                result => return result.map_err(Failure::Ssh),
            }
        };
        again(&mut wire, &ssh2::Session::handshake).map_err(failed("agreeing on keys"))?;
        if let Some(expected) = &login.server_key
            && wire.session.host_key().map(|(key, _)| key) != Some(expected.as_slice())
        {
            return Err(SshError::Stranger { port: *port });
        }
        let log_in = |session: &mut ssh2::Session| {
            session.userauth_pubkey_memory(&login.user, None, &login.private_key, None)
        };
        again(&mut wire, &log_in).map_err(|failure| match failure {
            Failure::Ssh(source) if REFUSED.contains(&source.code()) => SshError::Refused {
                port: *port,
                user: login.user.clone(),
                source,
            },
            other => failed("logging in")(other),
        })?;
        Ok(wire)
    }

    /// Whether libssh2 has sent a part of a packet, and waits for the socket to take the rest.
    pub(super) fn is_sending(&self) -> bool {
        let directions = self.session.block_directions();
        matches!(directions, BlockDirections::Outbound | BlockDirections::Both)
    }

    /// Waits until the socket can do what libssh2 last wanted of it.
    pub(super) fn wait(&self, until: Instant) -> Result<(), Failure> {
        let flags = match self.session.block_directions() {
            BlockDirections::Outbound => PollFlags::OUT,
            BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
            BlockDirections::Inbound | BlockDirections::None => PollFlags::IN,
        };
        loop {
            let left = until
                .checked_duration_since(Instant::now())
                .ok_or(Failure::Late)?;
            let timeout = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&self.socket, flags)], timeout.as_ref()) {
                Ok(0) => return Err(Failure::Late),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Failure::Io(error.into())),
            }
        }
    }

    /// Repeats a step of libssh2 until it does not want to wait any more.
    pub(super) fn until<T>(
        &self,
        until: Instant,
        mut step: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, Failure> {
        loop {
            match step() {
                Err(error) if error.code() == AGAIN => self.wait(until)?,
                result => return result.map_err(Failure::Ssh),
            }
        }
    }

    /// Runs one script.
    pub(super) fn run(
        &self,
        script: &str,
        stdin: &[u8],
        until: Instant,
        limit: Duration,
    ) -> Result<Output, SshError> {
        let mut wrapped = Wrapped::new(script);
        let mut input = std::mem::take(&mut wrapped.head);
        input.extend_from_slice(stdin);
        let mut said = Output::default();
        let ended = self
            .converse(&wrapped.command, &input, until, &mut said)
            .map_err(|failure| match failure {
                Failure::Late => SshError::Deadline(limit),
                Failure::Ssh(error) => SshError::Lost(error.message().to_owned()),
                Failure::Io(error) => SshError::Lost(error.to_string()),
            })?;
        if let Some(signal) = ended {
            return Err(SshError::Killed(signal));
        }
        match wrapped.unwrap(said.stdout) {
            Ok((stdout, code)) => Ok(Output {
                stdout,
                code,
                stderr: said.stderr,
            }),
            Err(stdout) => {
                let words = if said.stderr.is_empty() {
                    &stdout
                } else {
                    &said.stderr
                };
                let last = &words[words.len().saturating_sub(LAST_WORDS)..];
                Err(SshError::NoTrailer {
                    last: String::from_utf8_lossy(last).trim().to_owned(),
                })
            }
        }
    }

    /// Runs a command in a channel of its own; the result is the signal that ended it, if one did.
    fn converse(
        &self,
        command: &str,
        input: &[u8],
        until: Instant,
        said: &mut Output,
    ) -> Result<Option<String>, Failure> {
        let mut channel = self.until(until, || self.session.channel_session())?;
        self.until(until, || channel.exec(command))?;
        self.transfer(&mut channel, input, until, said)?;
        // Closing our side first would have the server leave out how the command ended.
        self.until(until, || channel.wait_close())?;
        let signal = channel.exit_signal().map_err(Failure::Ssh)?.exit_signal;
        self.until(until, || channel.close())?;
        Ok(signal)
    }

    /// Sends the input while both outputs are taken, so that none of the three can block another.
    fn transfer(
        &self,
        channel: &mut Channel,
        mut input: &[u8],
        until: Instant,
        said: &mut Output,
    ) -> Result<(), Failure> {
        let mut buffer = vec![0; 64 * 1024];
        let mut input_open = true;
        loop {
            let mut moved = false;
            if input_open && input.is_empty() {
                match channel.send_eof() {
                    Err(error) if error.code() == AGAIN => {}
                    // A command that has ended takes no input any more.
                    Ok(()) | Err(_) => input_open = false,
                }
            } else if input_open {
                match channel.write(input) {
                    Ok(count) => {
                        input = &input[count..];
                        moved |= count > 0;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => input_open = false,
                }
            }
            for (stream, taken) in [
                (0, &mut said.stdout),
                (ssh2::EXTENDED_DATA_STDERR, &mut said.stderr),
            ] {
                match channel.stream(stream).read(&mut buffer) {
                    Ok(count) => {
                        taken.extend_from_slice(&buffer[..count]);
                        moved |= count > 0;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(Failure::Io(error)),
                }
            }
            // Who never stops is never waited for, and no limit ends that.
            if said.stdout.len() + said.stderr.len() > LARGEST_ANSWER {
                return Err(Failure::Io(EndlessAnswer.into()));
            }
            if channel.eof() {
                return Ok(());
            }
            if !moved {
                self.wait(until)?;
            }
        }
    }
}
