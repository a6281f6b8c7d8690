// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file of lines that is only ever appended to.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

/// A file that is open for appending lines. It can be shared between threads.
#[derive(Debug)]
pub(crate) struct Lines(Mutex<Tail>);

#[derive(Debug)]
struct Tail {
    file: fs::File,
    /// The last line in the file has no end.
    torn: bool,
}

impl Lines {
    /// A file that must not be there yet.
    ///
    /// # Errors
    /// It is, or cannot be made.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)
            .map(|file| Self::over(file, false))
    }

    /// A file that goes on behind the bytes that it `has`.
    ///
    /// # Errors
    /// It is not there, or cannot be opened.
    pub(crate) fn resume(path: &Path, has: &[u8]) -> io::Result<Self> {
        let torn = has.last().is_some_and(|last| *last != b'\n');
        OpenOptions::new()
            .append(true)
            .open(path)
            .map(|file| Self::over(file, torn))
    }

    fn over(file: fs::File, torn: bool) -> Self {
        Self(Mutex::new(Tail { file, torn }))
    }

    /// Appends a line, which must have no end yet; with `sync`, it is on the disk when this returns.
    ///
    /// # Errors
    /// The file does not take the whole line. Later ones may be tried again: they begin a line of their own.
    pub(crate) fn append(&self, mut line: Vec<u8>, sync: bool) -> io::Result<()> {
        line.push(b'\n');
        // What the lock guards is right even if a thread panicked with it: `torn` is set before anything is written.
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.torn {
            line.insert(0, b'\n');
        }
        tail.torn = true;
        tail.file.write_all(&line)?;
        tail.torn = false;
        match sync {
            true => tail.file.sync_data(),
            false => Ok(()),
        }
    }

    /// Leaves a line without its end, as a write does that fails half way.
    #[cfg(test)]
    pub(crate) fn tear(&self, part: &[u8]) {
        let mut tail = self.0.lock().unwrap();
        tail.file.write_all(part).unwrap();
        tail.torn = true;
    }
}
