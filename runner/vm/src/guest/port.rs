// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be done in a guest, whatever carries it there.

use std::time::Duration;

use super::{boot::Ways, line::LinePort, ssh::SshPort};
use base::{Errno, exec::shell_quote};
pub use format::ssh::Output;

/// Why something could not be done in a guest, or is not known to have been done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The connection was lost, or the guest refused it. What was asked for may or may not have happened.
    #[error("{what}: the connection to the guest was lost: {why}")]
    Lost {
        /// What was being done.
        what: String,
        /// How it showed.
        why: String,
    },
    /// The guest did not answer in time.
    #[error("{what}: no answer within {:.1} s", .limit.as_secs_f64())]
    Deadline {
        /// What was being done.
        what: String,
        /// The time it had.
        limit: Duration,
    },
    /// The shell that was to do it was killed, or ended without saying how it went.
    #[error("{what}: the guest's shell {how}")]
    Killed {
        /// What was being done.
        what: String,
        /// How the shell ended.
        how: String,
    },
    /// The guest's shell said something that names no errno.
    #[error("{what}: the guest said `{said}`, which is no errno that memrig knows")]
    Unclear {
        /// What was being done.
        what: String,
        /// What it said.
        said: String,
    },
}

impl PortError {
    /// The same error, told of what was to be done and not of how.
    fn about(self, what: String) -> Self {
        match self {
            Self::Lost { why, .. } => Self::Lost { what, why },
            Self::Deadline { limit, .. } => Self::Deadline { what, limit },
            Self::Killed { how, .. } => Self::Killed { what, how },
            Self::Unclear { said, .. } => Self::Unclear { what, said },
        }
    }
}

/// Doing things in a guest.
pub trait GuestPort: Send + Sync {
    /// Runs a shell script in the guest.
    ///
    /// A script that fails is an answer, not an error: see [`Output::code`]. A process that the script leaves behind must not
    /// keep its output open.
    fn exec(&self, script: &str, limit: Duration) -> impl Future<Output = Result<Output, PortError>> + Send;

    /// Reads a file whole, as text. The kernel's errno is an answer, not an error.
    fn read(
        &self,
        path: &str,
        limit: Duration,
    ) -> impl Future<Output = Result<Result<String, Errno>, PortError>> + Send {
        async move {
            let what = || format!("read of {path}");
            let done = self.exec(&format!("cat {}", shell_quote(path)), limit).await;
            let output = done.map_err(|error| error.about(what()))?;
            Ok(errno_of(&output, what)?.map_or_else(|| Ok(output.text()), Err))
        }
    }

    /// Writes `value` to a file that exists, in one `write(2)`, without a newline. The kernel's errno is an answer, not an error.
    ///
    /// An empty value opens and closes the file and writes nothing, so that the kernel's `store` function is not called; `"\0"` calls it with
    /// an empty text.
    fn write(
        &self,
        path: &str,
        value: &str,
        limit: Duration,
    ) -> impl Future<Output = Result<Result<(), Errno>, PortError>> + Send {
        async move {
            let what = || format!("write of `{value}` to {path}");
            let done = self.exec(&write_script(path, value), limit).await;
            let output = done.map_err(|error| error.about(what()))?;
            Ok(errno_of(&output, what)?.map_or(Ok(()), Err))
        }
    }

    /// Writes as [`GuestPort::write`] does, while the `nth` allocation (from 1) of the writing task fails (`/proc/self/fail-nth`,
    /// Documentation/fault-injection/fault-injection.rst). With the answer comes what is left of `nth`: 0 if an allocation failed.
    fn write_failing(
        &self,
        path: &str,
        value: &str,
        nth: u32,
        limit: Duration,
    ) -> impl Future<Output = Result<(Result<(), Errno>, u32), PortError>> + Send {
        async move {
            let what = || format!("write of `{value}` to {path} with allocation {nth} failing");
            let done = self.exec(&failing_script(path, value, nth), limit).await;
            let output = done.map_err(|error| error.about(what()))?;
            let answer = errno_of(&output, what)?.map_or(Ok(()), Err);
            let left = output.text().trim().parse().map_err(|_| PortError::Unclear {
                what: what(),
                said: format!("{:?} is left of its fail-nth", output.text()),
            })?;
            Ok((answer, left))
        }
    }
}

/// The ways into a guest: the line, which is quick, for as long as it answers; SSH for all else.
#[derive(Debug)]
pub struct Port {
    line: Option<LinePort>,
    ssh: SshPort,
}

impl Port {
    /// A port to a guest; `line` is there if its shell waits at it.
    pub(crate) fn new(line: Option<LinePort>, ssh: SshPort) -> Self {
        Self { line, ssh }
    }

    /// How the guest can be talked to.
    pub(super) fn ways(&self) -> Ways {
        match self.line {
            Some(_) => Ways::Line,
            None => Ways::SshAlone,
        }
    }

    /// What a script printed before the guest stopped answering, as far as it came over the line; SSH keeps nothing of it.
    pub fn unanswered(&self) -> Vec<u8> {
        self.line.as_ref().map_or_else(Vec::new, LinePort::unanswered)
    }

    /// The way by SSH, for a connection of its own.
    pub fn ssh(&self) -> &SshPort {
        &self.ssh
    }
}

impl GuestPort for Port {
    async fn exec(&self, script: &str, limit: Duration) -> Result<Output, PortError> {
        if let Some(line) = &self.line
            && let Some(done) = line.exec(script, limit).await
        {
            return done;
        }
        self.ssh.exec(script, limit).await
    }
}

/// The script for one write.
///
/// `echo` and not `printf`: busybox' `printf` keeps the errno to itself. The test comes first because sysfs answers an attempt to
/// create a file with EACCES.
fn write_script(path: &str, value: &str) -> String {
    let (path, value) = (shell_quote(path), echoed(value));
    format!("{}\necho {value} >{path}", there(&path))
}

/// The same with an allocation that fails. The files are open before, since opening them allocates too; no other process is started. What is told
/// afterwards may allocate again.
fn failing_script(path: &str, value: &str, nth: u32) -> String {
    let (path, value) = (shell_quote(path), echoed(value));
    let there = there(&path);
    format!(
        "{there}\nexec 3>{path} 4<>/proc/self/fail-nth\necho {nth} >&4 && echo {value} >&3\ncode=$?\nread -r left <&4\necho 0 >&4\necho $left\nexit $code"
    )
}

/// Ends a script where a file is not there; its path is quoted.
fn there(path: &str) -> String {
    format!("[ -e {path} ] || {{ echo ': No such file or directory' >&2; exit 1; }}")
}

/// What `echo` takes to write a value.
fn echoed(value: &str) -> String {
    if value.contains('\0') || value.starts_with('-') {
        // A NUL cannot stand in a script, and what begins with `-` may be an option of `echo`: written as octal digits, four for each.
        let escaped = value.replace('\\', r"\\").replace('\0', r"\0000");
        let escaped = match escaped.strip_prefix('-') {
            Some(rest) => format!(r"\0055{rest}"),
            None => escaped,
        };
        format!("-ne {}", shell_quote(&escaped))
    } else {
        format!("-n {}", shell_quote(value))
    }
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
    fn every_value_reaches_the_file() {
        let line = |value| {
            write_script("/f", value)
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(line("online"), "echo -n online >/f");
        assert_eq!(line(r"a\n"), r"echo -n 'a\n' >/f");
        assert_eq!(line("\0"), r"echo -ne '\0000' >/f");
        assert_eq!(line("-n"), r"echo -ne '\0055n' >/f");
        assert_eq!(line("-\\0\0"), r"echo -ne '\0055\\0\0000' >/f");
    }

    #[test]
    fn an_allocation_fails_in_the_write_and_not_before() {
        let must = "[ -e /f ] || { echo ': No such file or directory' >&2; exit 1; }\n\
                    exec 3>/f 4<>/proc/self/fail-nth\necho 7 >&4 && echo -n online >&3\ncode=$?\nread -r left <&4\necho 0 >&4\necho $left\nexit $code";
        assert_eq!(failing_script("/f", "online", 7), must);
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
