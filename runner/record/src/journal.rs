// SPDX-License-Identifier: MIT OR Apache-2.0
//! The journal of a run: what happened, in order, one JSON object a line.
//!
//! It is only ever appended to, and an event is in the file when `append` returns, so that a run that is killed
//! loses nothing but the line it was writing.

use std::{
    io,
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Entry, Event, lines::Lines, read};
use base::named;

/// Name of the journal in a run's folder.
pub(super) const NAME: &str = "events.jsonl";

/// The journal does not take an event.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened.
    #[error("cannot open the journal `{path}`")]
    Open {
        /// The journal.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The event cannot be written: usually a full disk.
    #[error("cannot write to the journal `{path}`; the events before are kept")]
    Write {
        /// The journal.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A journal that is open for appending. It can be shared between threads.
#[derive(Debug)]
pub struct Journal {
    path: Utf8PathBuf,
    started: Instant,
    /// Seconds that lie between the start of the run and `started`, in a run that is taken up again.
    offset: f64,
    lines: Lines,
}

impl Journal {
    /// Starts the journal of a new run in its folder.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be made, or is there already.
    pub fn create(folder: &Utf8Path) -> Result<Self, JournalError> {
        let path = folder.join(NAME);
        let lines = Lines::create(path.as_std_path());
        Self::over(path, lines, 0.0)
    }

    /// Goes on with the journal of a run that was cut off. Its clock goes on from the last event.
    ///
    /// # Errors
    ///
    /// Fails if there is no journal, or it cannot be read or opened.
    pub fn resume(folder: &Utf8Path) -> Result<Self, JournalError> {
        let path = folder.join(NAME);
        let bytes = match named::read_whole(path.as_std_path()) {
            Ok(bytes) => bytes,
            Err(source) => return Err(JournalError::Open { path, source }),
        };
        let offset = read::entries(&bytes).0.last().map_or(0.0, |entry| entry.at);
        let lines = Lines::resume(path.as_std_path(), &bytes);
        Self::over(path, lines, offset)
    }

    fn over(path: Utf8PathBuf, lines: io::Result<Lines>, offset: f64) -> Result<Self, JournalError> {
        let lines = match lines {
            Ok(lines) => lines,
            Err(source) => return Err(JournalError::Open { path, source }),
        };
        Ok(Self {
            path,
            started: Instant::now(),
            offset,
            lines,
        })
    }

    /// Seconds since the run started, by the clock that the events are stamped with.
    pub fn now(&self) -> f64 {
        self.at(Instant::now())
    }

    /// The stamp of an instant. One before the journal was opened counts as the moment of its opening.
    pub(crate) fn at(&self, instant: Instant) -> f64 {
        let since: Duration = instant.saturating_duration_since(self.started);
        // Microseconds: more decimals would only be noise.
        self.offset + since.as_micros() as f64 / 1e6
    }

    /// Appends an event that happens now.
    ///
    /// The end of a case and that of the run are on the disk when this returns; other events are in the file, and
    /// survive the end of memrig but not always that of the machine.
    ///
    /// # Errors
    ///
    /// Fails if the file does not take the whole line. Later events may be tried again: they begin a new line.
    pub fn append(&self, event: &Event) -> Result<(), JournalError> {
        self.append_at(Instant::now(), event)
    }

    /// Appends an event that happened at `instant`.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    pub(crate) fn append_at(&self, instant: Instant, event: &Event) -> Result<(), JournalError> {
        self.write(self.at(instant), event)
            .map_err(|source| JournalError::Write {
                path: self.path.clone(),
                source,
            })
    }

    /// Appends an event with a stamp that it has already.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    pub(super) fn append_as(&self, at: f64, event: &Event) -> Result<(), JournalError> {
        self.write(at, event).map_err(|source| JournalError::Write {
            path: self.path.clone(),
            source,
        })
    }

    fn write(&self, at: f64, event: &Event) -> io::Result<()> {
        /// `Entry`, without owning the event.
        #[derive(serde::Serialize)]
        struct Line<'a> {
            at: f64,
            event: &'a Event,
        }
        let last = matches!(event, Event::CaseFinished { .. } | Event::RunFinished { .. });
        self.lines.append(serde_json::to_vec(&Line { at, event })?, last)
    }
}

/// Reads a line as the journal writes it.
pub(super) fn parse(line: &[u8]) -> Result<Entry, serde_json::Error> {
    serde_json::from_slice(line)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn note(text: &str) -> Event {
        Event::Note {
            text: text.to_owned(),
        }
    }

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    fn notes(folder: &Utf8Path) -> (Vec<String>, usize) {
        let (entries, damage) = read::entries(&fs::read(folder.join(NAME)).unwrap());
        let notes = entries.into_iter().filter_map(|entry| match entry.event {
            Event::Note { text } => Some(text),
            _ => None,
        });
        (notes.collect(), damage.len())
    }

    #[test]
    fn a_full_disk_is_told_to_the_caller() {
        let full = Utf8PathBuf::from("/dev/full");
        let lines = Lines::resume(full.as_std_path(), b"");
        let journal = Journal::over(full, lines, 0.0).unwrap();
        let error = journal.append(&note("lost")).unwrap_err();
        assert!(matches!(&error, JournalError::Write { source, .. }
            if source.kind() == io::ErrorKind::StorageFull));
        assert!(journal.append(&note("lost as well")).is_err());
    }

    #[test]
    fn an_event_after_a_failed_one_begins_a_line() {
        let (_keep, folder) = folder();
        let journal = Journal::create(&folder).unwrap();
        // What a write that fails half way leaves behind.
        journal.lines.tear(b"{\"at\":1.0,\"eve");
        journal.append(&note("after")).unwrap();
        journal.append(&note("and on")).unwrap();
        assert_eq!(notes(&folder), (vec!["after".to_owned(), "and on".to_owned()], 1));
    }

    #[test]
    fn a_journal_is_never_overwritten_and_goes_on_after_a_torn_line() {
        let (_keep, folder) = folder();
        assert!(Journal::resume(&folder).is_err());
        Journal::create(&folder).unwrap().append(&note("first")).unwrap();
        assert!(matches!(Journal::create(&folder), Err(JournalError::Open { .. })));

        let path = folder.join(NAME);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"at\":1234.5,\"event\":{\"note\":{\"text\":\"late\"}}}\n{\"at\":12");
        fs::write(&path, bytes).unwrap();
        let journal = Journal::resume(&folder).unwrap();
        assert!(journal.now() >= 1234.5);
        journal.append(&note("resumed")).unwrap();
        assert_eq!(
            notes(&folder),
            (["first", "late", "resumed"].map(str::to_owned).to_vec(), 1)
        );
    }

    #[test]
    fn threads_do_not_mix_their_lines() {
        let (_keep, folder) = folder();
        let journal = Journal::create(&folder).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let journal = &journal;
                scope.spawn(move || {
                    for i in 0..50 {
                        journal
                            .append(&note(&format!("{thread} {i} {}", "x".repeat(3000))))
                            .unwrap();
                    }
                });
            }
        });
        let (notes, damage) = notes(&folder);
        assert_eq!((notes.len(), damage), (200, 0));
    }
}
