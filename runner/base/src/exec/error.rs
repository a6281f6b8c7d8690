// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a program did not do what it was started for.

use std::{io, os::unix::process::ExitStatusExt as _, process::ExitStatus, time::Duration};

use crate::fault::{Blame, Blamed};

/// Why a program did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started at all.
    #[error("starting `{program}`")]
    Start {
        /// The program.
        program: String,
        /// What the host's kernel said.
        source: io::Error,
    },
    /// It ran and ended badly.
    #[error("`{command}` {}{}", ended(*.status), said(.stderr))]
    Failed {
        /// The command as it could be typed.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed on stderr.
        stderr: String,
    },
    /// It took longer than it may, and was killed.
    #[error("`{command}` did not end within {} s", limit.as_secs())]
    Late {
        /// The command as it could be typed.
        command: String,
        /// How long it was given.
        limit: Duration,
    },
    /// A log file or a pipe of it could not be used.
    #[error("output of `{program}`")]
    Output {
        /// The program.
        program: String,
        /// What the host's kernel said.
        source: io::Error,
    },
}

impl Blamed for ExecError {
    fn blame(&self) -> Blame {
        Blame::Bench
    }
}

/// How a child ended, in words.
pub fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

fn said(stderr: &str) -> String {
    let text = stderr.trim_end();
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}
