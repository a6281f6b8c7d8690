// SPDX-License-Identifier: MIT OR Apache-2.0
//! The port over SSH.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout_at},
};

use super::port::{GuestPort, Output, PortError};
use format::ssh::{Carried, Carry, Login, Session, SshError};

/// How long a guest that listens may take to log us in. A guest under TCG takes about a quarter of a second.
const LOGIN_LIMIT: Duration = Duration::from_secs(30);

/// How long to wait before knocking again at a guest that does not listen yet.
const KNOCK_AGAIN: Duration = Duration::from_millis(50);

/// A shell in the guest, over one SSH session. A session that was lost is opened anew by the next call.
///
/// Calls run one after the other. For two things at a time, connect two.
#[derive(Debug)]
pub struct SshPort {
    port: u16,
    login: Login,
    session: Mutex<Option<Session>>,
}

impl SshPort {
    /// Connects to a guest, and knocks again until it listens or the time is over.
    ///
    /// # Errors
    /// The last reason why it could not; a guest that refuses the key, or has another key than it should, is not asked again.
    pub(crate) async fn connect(port: u16, login: &Login, limit: Duration) -> Result<Self, SshError> {
        let end = Instant::now() + limit;
        loop {
            let error = match timeout_at(end, Session::connect(port, login, LOGIN_LIMIT)).await {
                Ok(Ok(session)) => {
                    return Ok(Self {
                        port,
                        login: login.clone(),
                        session: Mutex::new(Some(session)),
                    });
                }
                Ok(Err(error @ (SshError::Refused { .. } | SshError::Stranger { .. }))) => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => SshError::Deadline(limit),
            };
            // QEMU accepts connections before the guest does, and then closes them.
            if timeout_at(end, sleep(KNOCK_AGAIN)).await.is_err() {
                return Err(error);
            }
        }
    }

    /// A port that connects when it is used.
    pub(crate) fn later(port: u16, login: &Login) -> Self {
        Self {
            port,
            login: login.clone(),
            session: Mutex::new(None),
        }
    }

    /// A second port to the same guest, with a session of its own.
    ///
    /// # Errors
    /// As `SshPort::connect`.
    pub(crate) async fn another(&self, limit: Duration) -> Result<Self, SshError> {
        Self::connect(self.port, &self.login, limit).await
    }

    /// Closes the session; the next call opens one.
    pub(crate) async fn hang_up(&self) {
        self.session.lock().await.take();
    }

    /// Runs a command and carries bytes between its streams and ours, over a session of its own, until it has ended.
    ///
    /// # Errors
    /// Why there was no session, or how the command was lost.
    pub async fn carry(&self, carry: Carry) -> Result<Carried, PortError> {
        let carried = async {
            let session = Session::connect(self.port, &self.login, LOGIN_LIMIT).await?;
            session.carry(carry).await
        };
        carried
            .await
            .map_err(|error| port_error(error, "the shell".to_owned()))
    }

    async fn run(&self, script: &str, limit: Duration) -> Result<Output, SshError> {
        let mut slot = self.session.lock().await;
        let open = match slot.take() {
            Some(session) if !session.is_closed() => session,
            _ => Session::connect(self.port, &self.login, LOGIN_LIMIT.min(limit)).await?,
        };
        // Taken back after the answer only: a call that is dropped here takes its session along.
        let output = open.exec(script, b"", limit).await?;
        *slot = Some(open);
        Ok(output)
    }
}

impl GuestPort for SshPort {
    async fn exec(&self, script: &str, limit: Duration) -> Result<Output, PortError> {
        let what = || format!("script `{}`", first_line(script));
        self.run(script, limit)
            .await
            .map_err(|error| port_error(error, what()))
    }
}

fn first_line(script: &str) -> &str {
    script.trim_start().lines().next().unwrap_or_default()
}

fn port_error(error: SshError, what: String) -> PortError {
    match error {
        SshError::Deadline(limit) => PortError::Deadline { what, limit },
        SshError::Killed(_) | SshError::NoTrailer { .. } => PortError::Killed {
            what,
            how: error.to_string(),
        },
        SshError::Connect { .. }
        | SshError::Handshake { .. }
        | SshError::Stranger { .. }
        | SshError::Refused { .. }
        | SshError::Lost(_)
        | SshError::Closed
        | SshError::Thread(_) => {
            let why = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            PortError::Lost { what, why }
        }
    }
}
