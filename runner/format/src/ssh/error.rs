// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a command in a guest fails to give an answer.

use std::{io, time::Duration};

/// Why there is no session, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// Nobody listens.
    #[error("connecting to port {port} of loopback")]
    Connect {
        /// The port.
        port: u16,
        /// What the host said.
        source: io::Error,
    },
    /// Somebody listens, and the conversation ended before there was a session. Also how a guest shows that has not started its server yet.
    #[error("no SSH session on port {port}: {step}")]
    Handshake {
        /// The port.
        port: u16,
        /// What was being done.
        step: &'static str,
        /// What libssh2 said.
        source: ssh2::Error,
    },
    /// The server has another key than the guest: somebody else listens on the port.
    #[error("the SSH server on port {port} is not the guest: it has another key")]
    Stranger {
        /// The port.
        port: u16,
    },
    /// The server does not take the key.
    #[error("the SSH server on port {port} refused the key of `{user}`")]
    Refused {
        /// The port.
        port: u16,
        /// The user.
        user: String,
        /// What libssh2 said.
        source: ssh2::Error,
    },
    /// The time is over. The session is closed; whether the command ran on is unknown.
    #[error("no answer within {:.1} s", .0.as_secs_f64())]
    Deadline(Duration),
    /// The connection was lost while a command ran. Whether it ran to its end is unknown.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The session had ended before: by a deadline, a lost connection, or because it was closed.
    #[error("the session is closed")]
    Closed,
    /// A signal killed the shell that ran the command.
    #[error("signal {0} killed the shell")]
    Killed(String),
    /// The shell ended without the trailer, and no signal was reported.
    #[error("the shell ended before the command did; its last words were `{last}`")]
    NoTrailer {
        /// The end of what it printed, on stderr or else on stdout.
        last: String,
    },
    /// The thread of the session could not be started.
    #[error("a thread for the session")]
    Thread(#[source] io::Error),
}
