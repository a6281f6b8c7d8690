// SPDX-License-Identifier: MIT OR Apache-2.0
//! A command in a guest whose input and outputs are ours: bytes are carried both ways until it ends.

use std::{
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, poll};
use ssh2::Channel;

use super::{
    SshError,
    escape::Escape,
    wire::{Failure, Wire},
};
use base::tty::WindowSize;

/// How long each of the steps before and after the carrying may take; a guest that is translated takes a few tenths of a second.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// What is typed or piped while the guest takes nothing. More stays where it is.
const INPUT_LIMIT: usize = 64 * 1024;

/// A pipe that can be written to takes so many bytes without blocking (`PIPE_BUF`).
const WITHOUT_BLOCKING: usize = 4096;

/// A terminal for a command in a guest.
#[derive(Debug)]
pub struct Pty {
    term: String,
    size: WindowSize,
    resized: UnixDatagram,
}

/// Tells a command's terminal that the window has another size.
#[derive(Debug)]
pub struct Resizer(UnixDatagram);

impl Pty {
    /// A terminal of the kind that `TERM` names, and the way to tell it of another size.
    ///
    /// # Errors
    /// If the host gives no pair of sockets.
    pub fn new(term: &str, size: WindowSize) -> io::Result<(Self, Resizer)> {
        let (tell, resized) = UnixDatagram::pair()?;
        tell.set_nonblocking(true)?;
        resized.set_nonblocking(true)?;
        let term = term.to_owned();
        Ok((Self { term, size, resized }, Resizer(tell)))
    }
}

impl Resizer {
    /// Tells it. One that has ended needs to know no more.
    pub fn set(&self, size: WindowSize) {
        let [[a, b], [c, d]] = [size.columns.to_be_bytes(), size.rows.to_be_bytes()];
        // Lost only if nobody listens, or with hundreds on their way already.
        let _ = self.0.send(&[a, b, c, d]);
    }
}

/// A command and the streams that it gets.
#[derive(Debug)]
pub struct Carry {
    /// The command, for a POSIX shell.
    pub command: String,
    /// Its terminal; without one, it has three pipes.
    pub pty: Option<Pty>,
    /// What it reads.
    pub input: OwnedFd,
    /// Where its output goes; if nobody reads there any more, nowhere.
    pub output: OwnedFd,
    /// Where its stderr goes. A command with a terminal has only the one output.
    pub errors: OwnedFd,
}

/// How the carrying ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// The command has ended, and all that it printed was carried. Its exit code is not known here: what libssh2 says of it is
    /// nothing to go by.
    Ended,
    /// The command has ended, and where its output goes did not take all of it: a full disk, but not a reader that went away.
    Cut(rustix::io::Errno),
    /// The person at the terminal left by pressing `^]` three times, or the terminal is gone.
    Left,
}

/// What goes to the guest next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Send {
    Size(WindowSize),
    Input,
    End,
}

/// One output of the command, and what is on its way there.
struct Sink {
    stream: i32,
    fd: OwnedFd,
    pending: Vec<u8>,
    gone: bool,
    /// Why it takes no more, where that is not that nobody reads.
    lost: Option<rustix::io::Errno>,
}

impl Sink {
    fn new(stream: i32, fd: OwnedFd) -> Self {
        Self {
            stream,
            fd,
            pending: Vec::new(),
            gone: false,
            lost: None,
        }
    }

    /// Writes what goes without blocking a pipe.
    fn write(&mut self) {
        let count = self.pending.len().min(WITHOUT_BLOCKING);
        match rustix::io::write(&self.fd, &self.pending[..count]) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => {
                // A reader that has gone away has seen enough; the command goes on.
                self.lost = (error != rustix::io::Errno::PIPE).then_some(error);
                self.gone = true;
                self.pending.clear();
            }
        }
    }
}

struct Carrier<'a> {
    wire: &'a Wire,
    channel: Channel,
    pty: Option<Pty>,
    input: Option<OwnedFd>,
    sinks: [Sink; 2],
    /// Input that the guest has not taken yet.
    typed: Vec<u8>,
    resize: Option<WindowSize>,
    end_told: bool,
    escape: Escape,
}

/// Carries for one command.
pub(super) fn carry(wire: &Wire, carry: Carry) -> Result<Carried, SshError> {
    match run(wire, carry) {
        Ok((_, Some(signal))) => Err(SshError::Killed(signal)),
        Ok((carried, None)) => Ok(carried),
        Err(Failure::Late) => Err(SshError::Deadline(STEP_LIMIT)),
        Err(Failure::Ssh(error)) => Err(SshError::Lost(error.message().to_owned())),
        Err(Failure::Io(error)) => Err(SshError::Lost(error.to_string())),
    }
}

/// How the carrying ended, and the signal that ended the command, if one did.
fn run(wire: &Wire, carry: Carry) -> Result<(Carried, Option<String>), Failure> {
    let until = Instant::now() + STEP_LIMIT;
    let mut channel = wire.until(until, || wire.session.channel_session())?;
    if let Some(Pty { term, size, .. }) = &carry.pty {
        let size = Some((u32::from(size.columns), u32::from(size.rows), 0, 0));
        wire.until(until, || channel.request_pty(term, None, size))?;
    }
    wire.until(until, || channel.exec(&carry.command))?;
    let mut carrier = Carrier {
        wire,
        channel,
        pty: carry.pty,
        input: Some(carry.input),
        sinks: [
            Sink::new(0, carry.output),
            Sink::new(ssh2::EXTENDED_DATA_STDERR, carry.errors),
        ],
        typed: Vec::new(),
        resize: None,
        end_told: false,
        escape: Escape::default(),
    };
    let carried = carrier.carry()?;
    if carried == Carried::Left {
        return Ok((carried, None));
    }
    // A terminal that is gone is one that was left.
    let cut = carrier.sinks[0].lost.filter(|_| carrier.pty.is_none());
    let mut channel = carrier.channel;
    let until = Instant::now() + STEP_LIMIT;
    // Closing our side first would have the server leave out how the command ended.
    wire.until(until, || channel.wait_close())?;
    let signal = channel.exit_signal().map_err(Failure::Ssh)?.exit_signal;
    wire.until(until, || channel.close())?;
    Ok((cut.map_or(carried, Carried::Cut), signal))
}

impl Carrier<'_> {
    fn carry(&mut self) -> Result<Carried, Failure> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            self.send()?;
            let read = self.receive(&mut buffer)?;
            let drained = self.sinks.iter().all(|sink| sink.pending.is_empty());
            if drained && self.channel.eof() {
                return Ok(Carried::Ended);
            }
            if read || self.is_ahead(drained) {
                continue;
            }
            if let Some(end) = self.wait(&mut buffer)? {
                return Ok(end);
            }
        }
    }

    /// Whether there is something to do of which no poll tells: whatever is read of the socket, also for the sake of one stream, libssh2 keeps.
    /// That can be the other stream's, or the word that the guest takes more input, after which it may say nothing until it gets some.
    fn is_ahead(&self, drained: bool) -> bool {
        let takes_more = !self.typed.is_empty() && self.channel.write_window().remaining > 0;
        takes_more || (drained && self.channel.read_window().available > 0)
    }

    /// Sends until there is nothing more, or the guest takes no more.
    fn send(&mut self) -> Result<(), Failure> {
        while let Some(next) = self.next() {
            let Self {
                wire, channel, typed, ..
            } = self;
            let sent = whole(wire, || match next {
                Send::Size(WindowSize { columns, rows }) => {
                    let sent = channel.request_pty_size(columns.into(), rows.into(), None, None);
                    sent.map(|()| 0).map_err(io::Error::from)
                }
                Send::Input => match channel.write(typed) {
                    Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
                    written => written,
                },
                Send::End => channel.send_eof().map(|()| 0).map_err(io::Error::from),
            })?;
            match sent {
                Ok(count) => {
                    self.typed.drain(..count);
                    self.end_told |= next == Send::End;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Send::Size(size) = next {
                        self.resize = Some(size);
                    }
                    break;
                }
                // A command that has ended takes no input any more; whether the connection is there, reading tells.
                Err(_) => {
                    self.typed.clear();
                    self.input = None;
                    self.end_told = true;
                }
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Send> {
        if let Some(size) = self.resize.take() {
            Some(Send::Size(size))
        } else if !self.typed.is_empty() {
            Some(Send::Input)
        } else {
            (self.input.is_none() && !self.end_told).then_some(Send::End)
        }
    }

    /// Takes what the command printed, from each stream whose last piece is where it goes. Whether something came.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        let mut moved = false;
        for sink in self.sinks.iter_mut().filter(|sink| sink.pending.is_empty()) {
            let mut stream = self.channel.stream(sink.stream);
            match whole(self.wire, || stream.read(buffer))? {
                Ok(count) => {
                    moved |= count > 0;
                    if !sink.gone {
                        sink.pending.extend_from_slice(&buffer[..count]);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Failure::Io(error)),
            }
        }
        Ok(moved)
    }

    /// Waits for the guest, for somebody who types, for room where output goes, and for another size.
    fn wait(&mut self, buffer: &mut [u8]) -> Result<Option<Carried>, Failure> {
        // Where no stream is read, what waits at the socket must not wake anybody.
        let is_read = self.sinks.iter().any(|sink| sink.pending.is_empty());
        let socket = match is_read {
            true => PollFlags::IN,
            false => PollFlags::empty(),
        };
        let input = self.input.as_ref().filter(|_| self.typed.len() < INPUT_LIMIT);
        let resized = self.pty.as_ref().map(|pty| &pty.resized);
        let mut fds = vec![PollFd::new(&self.wire.socket, socket)];
        fds.extend(input.map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(resized.map(|fd| PollFd::new(fd, PollFlags::IN)));
        let waiting = self.sinks.iter().filter(|sink| !sink.pending.is_empty());
        fds.extend(waiting.map(|sink| PollFd::new(&sink.fd, PollFlags::OUT)));
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(None),
            Err(error) => return Err(Failure::Io(error.into())),
        }
        if !is_read && !fds[0].revents().is_empty() {
            return Err(Failure::Io(io::ErrorKind::ConnectionAborted.into()));
        }
        // In the order in which they were put in.
        let mut ready = fds.iter().skip(1).map(|fd| !fd.revents().is_empty());
        let is_typed = input.is_some() && ready.next() == Some(true);
        let is_resized = resized.is_some() && ready.next() == Some(true);
        let writable: Vec<bool> = ready.collect();
        let waiting = self.sinks.iter_mut().filter(|sink| !sink.pending.is_empty());
        for (sink, _) in waiting.zip(writable).filter(|(_, ready)| *ready) {
            sink.write();
        }
        if is_resized {
            self.take_size();
        }
        Ok(if is_typed { self.take_input(buffer) } else { None })
    }

    /// Takes the last of the sizes that were told.
    fn take_size(&mut self) {
        let Some(pty) = &self.pty else { return };
        let mut size = [0; 4];
        while matches!(pty.resized.recv(&mut size), Ok(4)) {
            let [a, b, c, d] = size;
            self.resize = Some(WindowSize {
                columns: u16::from_be_bytes([a, b]),
                rows: u16::from_be_bytes([c, d]),
            });
        }
    }

    fn take_input(&mut self, buffer: &mut [u8]) -> Option<Carried> {
        let input = self.input.as_ref()?;
        match rustix::io::read(input, &mut *buffer) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => None,
            Ok(count) if count > 0 => {
                let keys = &buffer[..count];
                self.typed.extend_from_slice(keys);
                let left = self.pty.is_some() && self.escape.typed(keys, Instant::now());
                left.then_some(Carried::Left)
            }
            // A raw terminal has no end but its own.
            Ok(_) | Err(_) if self.pty.is_some() => Some(Carried::Left),
            Ok(_) | Err(_) => {
                self.input = None;
                None
            }
        }
    }
}

/// Repeats a step of which libssh2 could send only a part: nothing else may be asked of it before the rest has gone. That takes
/// no time, since the guest allows less to be on its way than the socket holds.
fn whole<T>(wire: &Wire, mut step: impl FnMut() -> io::Result<T>) -> Result<io::Result<T>, Failure> {
    let until = Instant::now() + STEP_LIMIT;
    loop {
        match step() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && wire.is_sending() => {
                wire.wait(until)?
            }
            done => return Ok(done),
        }
    }
}
