// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processes of a run, found by what they were given: a folder of the run's own is in the environment of each.

use std::{net::TcpStream, path::Path};

use rustix::process::{Pid, Signal, kill_process};

/// A process of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pid: Pid,
    /// Its command line, a word for each.
    words: Vec<String>,
}

/// The processes whose environment names a folder, zombies left out.
pub(crate) fn of(folder: &Path) -> Vec<Process> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let entries = fs_err::read_dir("/proc").expect("a /proc");
    // Processes come and go, and some are of others.
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let found = pids.filter_map(|pid: i32| {
        // What does not read is gone, or another user's.
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).ok();
        let environment = read("environ")?;
        if !environment.windows(folder.len()).any(|part| part == folder) {
            return None;
        }
        let words = read("cmdline")?;
        let words = words
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned());
        Some(Process {
            pid: Pid::from_raw(pid)?,
            words: words.filter(|word| !word.is_empty()).collect(),
        })
    });
    // One that is a zombie has no words.
    found.filter(|process| !process.words.is_empty()).collect()
}

/// The QEMUs of guests among them.
pub(crate) fn guests_of(folder: &Path) -> Vec<Process> {
    let mut found = of(folder);
    found.retain(Process::runs_a_guest);
    found
}

impl Process {
    /// Whether its program is called so, or begins so.
    fn is(&self, program: &str) -> bool {
        let name = self.words[0].rsplit('/').next();
        name.is_some_and(|name| name.starts_with(program))
    }

    /// Whether it is a QEMU that runs a guest, and not one that is asked what it can do.
    fn runs_a_guest(&self) -> bool {
        self.is("qemu-system") && !self.ports().is_empty()
    }

    /// The ports of the host that lead into its guest.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let forwards = self
            .words
            .iter()
            .filter_map(|word| word.split_once("hostfwd=tcp:127.0.0.1:"));
        forwards
            .filter_map(|(_, rest)| rest.split('-').next()?.parse().ok())
            .collect()
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        // One that is gone takes none.
        let _ = kill_process(self.pid, signal);
    }

    /// What it is, for a reader.
    pub(crate) fn name(&self) -> String {
        format!("{} ({})", self.words[0], self.pid.as_raw_nonzero())
    }
}

/// Whether anybody takes connections at a port of the loopback.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
