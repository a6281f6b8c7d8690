// SPDX-License-Identifier: MIT OR Apache-2.0
//! The port over SSH.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout_at},
};

use super::port::{GuestPort, Output, PortError};
use crate::{
    base::{Errno, exec::shell_quote},
    format::ssh::{Login, Session, SshError},
};

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
    pub async fn connect(port: u16, login: &Login, limit: Duration) -> Result<Self, SshError> {
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

    /// A second port to the same guest, with a session of its own.
    ///
    /// # Errors
    /// As [`SshPort::connect`].
    pub async fn another(&self, limit: Duration) -> Result<Self, SshError> {
        Self::connect(self.port, &self.login, limit).await
    }

    /// Closes the session; the next call opens one.
    pub async fn hang_up(&self) {
        self.session.lock().await.take();
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

    async fn read(&self, path: &str, limit: Duration) -> Result<Result<String, Errno>, PortError> {
        let what = || format!("read of {path}");
        let script = format!("cat {}", shell_quote(path));
        let output = self
            .run(&script, limit)
            .await
            .map_err(|error| port_error(error, what()))?;
        Ok(errno_of(&output, what)?.map_or_else(|| Ok(output.text()), Err))
    }

    async fn write(&self, path: &str, value: &str, limit: Duration) -> Result<Result<(), Errno>, PortError> {
        let what = || format!("write of `{value}` to {path}");
        let output = self.run(&write_script(path, value), limit).await;
        let output = output.map_err(|error| port_error(error, what()))?;
        Ok(errno_of(&output, what)?.map_or(Ok(()), Err))
    }
}

/// The script for one write.
///
/// `echo` and not `printf`: busybox' `printf` keeps the errno to itself. The test comes first because sysfs answers an attempt to
/// create a file with EACCES.
fn write_script(path: &str, value: &str) -> String {
    let (path, value) = (shell_quote(path), shell_quote(value));
    format!("[ -e {path} ] || {{ echo ': No such file or directory' >&2; exit 1; }}\necho -n {value} >{path}")
}

/// The errno that a shell told, if it failed.
fn errno_of(output: &Output, what: impl FnOnce() -> String) -> Result<Option<Errno>, PortError> {
    let said = output.error_text();
    let last = said.trim_end().lines().next_back().unwrap_or_default();
    if output.code == 0 && last.is_empty() {
        return Ok(None);
    }
    match Errno::from_message(last) {
        Some(errno) if output.code != 0 => Ok(Some(errno)),
        _ => {
            let said = format!("{} (exit code {})", said.trim_end(), output.code);
            Err(PortError::Unclear { what: what(), said })
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn output(code: u8, stderr: &str) -> Output {
        Output {
            stdout: Vec::new(),
            stderr: stderr.into(),
            code,
        }
    }

    #[test]
    fn the_errno_is_the_one_that_the_shell_names() {
        let errno = |output| errno_of(&output, || "write".to_owned());
        let einval: Errno = "EINVAL".parse().unwrap();
        let eacces: Errno = "EACCES".parse().unwrap();
        assert_eq!(errno(output(0, "")), Ok(None));
        let said = "sh: write error: Invalid argument\n";
        assert_eq!(errno(output(1, said)), Ok(Some(einval)));
        let said = "warning\nsh: line 0: can't create /sys/x: Permission denied\n";
        assert_eq!(errno(output(1, said)), Ok(Some(eacces)));
    }

    #[test]
    fn what_names_no_errno_is_no_answer() {
        for unclear in [
            output(1, "sh: write error: Host is unhappy"),
            output(1, ""),
            output(0, "sh: write error: Invalid argument"),
        ] {
            let result = errno_of(&unclear, || "write".to_owned());
            assert!(
                matches!(result, Err(PortError::Unclear { .. })),
                "{unclear:?} {result:?}"
            );
        }
    }
}
