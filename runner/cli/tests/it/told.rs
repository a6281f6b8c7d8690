// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a call of memrig came to.

use std::process::{Command, Stdio};

use crate::PATIENCE;

/// A call that came to its end.
pub(crate) struct Told {
    /// The exit code; none where a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed on stdout.
    pub(crate) out: String,
    /// What it printed on stderr.
    pub(crate) err: String,
}

/// A call of memrig without a terminal, still to be given arguments, a folder and an environment. One that hangs is ended.
pub(crate) fn memrig() -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=10", &PATIENCE.as_secs().to_string()])
        .arg(env!("CARGO_BIN_EXE_memrig"))
        .stdin(Stdio::null());
    command
}

impl Told {
    /// Runs what [`memrig`] began.
    pub(crate) fn by(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        assert_ne!(told.code, Some(124), "{command:?} hangs: {}", told.err);
        told
    }
}
