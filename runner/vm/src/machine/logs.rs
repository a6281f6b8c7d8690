// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a machine leaves its traces, and the clock that all of them share.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::json;

use format::qmp::{Direction, Transcript};

/// The clock of a run: time since its start. Copies show the same time.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since its start.
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }
}

/// The files that a machine writes. They are created, or appended to; their folder must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// What the guest writes to its console, byte by byte.
    pub(crate) console: PathBuf,
    /// Every line of the machine protocol, as `{"at": seconds, "way": "sent" | "received" | "damaged", "text": …}`.
    pub(crate) qmp: PathBuf,
    /// What QEMU itself prints.
    pub(crate) qemu: PathBuf,
}

impl Logs {
    /// `console.log`, `qmp.jsonl` and `qemu.log` in one folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self {
            console: folder.join("console.log"),
            qmp: folder.join("qmp.jsonl"),
            qemu: folder.join("qemu.log"),
        }
    }

    /// A transcript of the machine protocol that goes to its file, every line at once.
    pub(super) fn transcript(&self, clock: Clock) -> io::Result<Transcript> {
        let file = fs_err::File::options()
            .create(true)
            .append(true)
            .open(&self.qmp)?;
        let file = Mutex::new(file);
        Ok(Arc::new(move |direction, text| {
            let way = match direction {
                Direction::Sent => "sent",
                Direction::Received => "received",
                Direction::Damaged => "damaged",
            };
            let line = json!({"at": clock.now().as_secs_f64(), "way": way, "text": text});
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk must not stop a guest; the run itself notices it.
            let _ = writeln!(file, "{line}");
        }))
    }
}
