// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SQLite file, and how it follows the results folder. The only module that writes to it.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    num::NonZeroUsize,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, UNIX_EPOCH},
};

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::{Connection, OpenFlags, Transaction, params};

use super::{
    cost, cover, head,
    seen::{Boot, HistoryKey},
};
use crate::{
    CaseRecord, CostRecord, Damage, Finish, ReadError, RunId, RunRecord, Seconds, coverage, journal,
    seen::LEDGERS,
};
use base::{
    fault::{Blame, Blamed},
    named,
};

/// Number of the tables below. An index with another number is thrown away and made anew.
const TABLES: i64 = 3;

const SCHEMA: &str = "
CREATE TABLE run (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL,
    started INTEGER, seconds REAL, exit INTEGER);
CREATE TABLE unread (run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, what TEXT NOT NULL, refused INTEGER NOT NULL);
CREATE INDEX unread_of_run ON unread (run);
CREATE TABLE what (
    id INTEGER PRIMARY KEY, arch TEXT NOT NULL, line TEXT NOT NULL, config TEXT NOT NULL, suite TEXT NOT NULL,
    variant TEXT NOT NULL, case_id TEXT NOT NULL COLLATE NOCASE, UNIQUE (arch, line, config, suite, variant, case_id));
CREATE INDEX what_by_case ON what (case_id);
CREATE TABLE seen (
    what INTEGER NOT NULL REFERENCES what, run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    name TEXT NOT NULL, kernel TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT, attempts INTEGER NOT NULL,
    mixed INTEGER NOT NULL, ms INTEGER NOT NULL, boot_total INTEGER, boot_free INTEGER, boot_ms INTEGER,
    PRIMARY KEY (what, run)) WITHOUT ROWID;
CREATE INDEX seen_in_run ON seen (run);
CREATE INDEX seen_unsteady ON seen (what, verdict, mixed);
CREATE TABLE cost (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, arch TEXT NOT NULL, line TEXT NOT NULL, kernel TEXT NOT NULL,
    variant TEXT NOT NULL, operation TEXT NOT NULL, method TEXT NOT NULL, qemu TEXT NOT NULL, instructions INTEGER NOT NULL);
CREATE INDEX cost_of_run ON cost (run);
CREATE TABLE covered (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, arch TEXT NOT NULL, line TEXT NOT NULL,
    kernel TEXT NOT NULL, has_lines INTEGER NOT NULL, reach BLOB NOT NULL);
CREATE INDEX covered_of_run ON covered (run);
CREATE INDEX covered_by_arch ON covered (arch);
CREATE TABLE covered_case (
    what INTEGER NOT NULL REFERENCES what, covered INTEGER NOT NULL REFERENCES covered ON DELETE CASCADE,
    number INTEGER NOT NULL, PRIMARY KEY (what, covered)) WITHOUT ROWID;
CREATE INDEX case_of_covered ON covered_case (covered);
";

/// The index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite says no.
    #[error("the index `{file}` cannot be used: delete it, it is made again from the results")]
    Sqlite {
        /// The file.
        file: Utf8PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file or its folder.
    #[error("the index `{file}` cannot be written")]
    Io {
        /// The file.
        file: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The results folder.
    #[error("cannot read the results folder `{results}`: name it with --results")]
    Results {
        /// The folder.
        results: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Blamed for IndexError {
    fn blame(&self) -> Blame {
        match self {
            Self::Results { .. } => Blame::Usage,
            Self::Sqlite { .. } | Self::Io { .. } => Blame::Bench,
        }
    }
}

/// An open index.
#[derive(Debug)]
pub struct Index {
    pub(super) db: Connection,
    pub(super) file: Utf8PathBuf,
}

/// Something of the results that the index does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The run, by the name of its folder.
    pub run: String,
    /// What is wrong, and where.
    pub what: String,
    /// Nothing of the run was read: a newer memrig wrote it, or it holds no facts.
    pub(crate) refused: bool,
}

/// What bringing the index up to date came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refreshed {
    /// Runs that were read.
    pub read: usize,
    /// Runs that were in the index as they are.
    pub(crate) kept: usize,
    /// Runs that are gone from the results.
    pub(crate) gone: usize,
    /// What of the runs could not be read, also in earlier times.
    pub unread: Vec<Unread>,
}

impl Index {
    /// Opens the index in `file`, or makes an empty one where there is none, or none that this memrig can use.
    ///
    /// # Errors
    ///
    /// The file cannot be made.
    pub fn open(file: &Utf8Path) -> Result<Self, IndexError> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|source| IndexError::Io {
                file: file.to_owned(),
                source,
            })?;
        }
        match Self::connect(file) {
            Ok(index) if index.fits().unwrap_or(false) => Ok(index),
            _ => Self::anew(file),
        }
    }

    /// Throws away what is in `file`, and makes an empty index.
    ///
    /// # Errors
    ///
    /// The file cannot be replaced.
    pub fn anew(file: &Utf8Path) -> Result<Self, IndexError> {
        for name in [
            file.to_owned(),
            Utf8PathBuf::from(format!("{file}-wal")),
            Utf8PathBuf::from(format!("{file}-shm")),
        ] {
            match fs::remove_file(&name) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(IndexError::Io { file: name, source });
                }
                _ => {}
            }
        }
        let index = Self::connect(file)?;
        let tables = format!("BEGIN;{SCHEMA}PRAGMA user_version = {TABLES};COMMIT;");
        index
            .db
            .execute_batch(&tables)
            .map_err(|source| index.sqlite(source))?;
        Ok(index)
    }

    fn connect(file: &Utf8Path) -> Result<Self, IndexError> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(file, flags)?;
            db.busy_timeout(Duration::from_secs(60))?;
            // What a power failure takes is made again.
            db.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;",
            )?;
            Ok(db)
        };
        open()
            .map(|db| Self {
                db,
                file: file.to_owned(),
            })
            .map_err(|source| IndexError::Sqlite {
                file: file.to_owned(),
                source,
            })
    }

    fn fits(&self) -> rusqlite::Result<bool> {
        let tables: i64 = self
            .db
            .pragma_query_value(None, "user_version", |row| row.get(0))?;
        // Reads a page of every table: what is cut short or overwritten shows here.
        let sound: String = self
            .db
            .pragma_query_value(None, "quick_check", |row| row.get(0))?;
        Ok(tables == TABLES && sound == "ok")
    }

    pub(super) fn sqlite(&self, source: rusqlite::Error) -> IndexError {
        IndexError::Sqlite {
            file: self.file.clone(),
            source,
        }
    }

    /// Reads what is new or changed in the results folder, and forgets what is gone.
    ///
    /// `see` is told how many runs are read, and how many are to be.
    ///
    /// # Errors
    ///
    /// The results folder cannot be listed, or the index does not take the rows. A run that cannot be read is no error: it
    /// is listed in the answer.
    pub fn refresh(
        &mut self,
        results: &Utf8Path,
        mut see: impl FnMut(usize, usize),
    ) -> Result<Refreshed, IndexError> {
        let there = runs(results).map_err(|source| IndexError::Results {
            results: results.to_owned(),
            source,
        })?;
        let known = self.stamps().map_err(|source| self.sqlite(source))?;
        let new: Vec<(&String, &String)> = there
            .iter()
            .filter(|(name, stamp)| known.get(*name) != Some(*stamp))
            .collect();
        let gone: Vec<&String> = known.keys().filter(|name| !there.contains_key(*name)).collect();
        let refreshed = Refreshed {
            read: new.len(),
            kept: there.len() - new.len(),
            gone: gone.len(),
            unread: Vec::new(),
        };
        let file = self.file.clone();
        let mut write = |db: &mut Connection| -> rusqlite::Result<()> {
            let transaction = db.transaction()?;
            for name in gone.iter().copied().chain(new.iter().map(|(name, _)| *name)) {
                transaction
                    .prepare_cached("DELETE FROM run WHERE name = ?1")?
                    .execute([name])?;
            }
            let mut keys = HashMap::new();
            let mut done = 0;
            read_all(results, &new, |run| {
                see(done, new.len());
                done += 1;
                insert(&transaction, &mut keys, &run)
            })?;
            transaction.commit()
        };
        write(&mut self.db).map_err(|source| IndexError::Sqlite { file, source })?;
        let unread = self.unread().map_err(|source| self.sqlite(source))?;
        Ok(Refreshed { unread, ..refreshed })
    }

    fn stamps(&self) -> rusqlite::Result<HashMap<String, String>> {
        let mut statement = self.db.prepare("SELECT name, stamp FROM run")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    fn unread(&self) -> rusqlite::Result<Vec<Unread>> {
        let mut statement = self.db.prepare(
            "SELECT run.name, unread.what, unread.refused FROM unread JOIN run ON run.id = unread.run ORDER BY run.name",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Unread {
                run: row.get(0)?,
                what: row.get(1)?,
                refused: row.get(2)?,
            })
        })?;
        rows.collect()
    }
}

/// The folders that memrig made for runs, with a stamp of each: another stamp means that the run has changed.
fn runs(results: &Utf8Path) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(results)? {
        let entry = entry?;
        // `latest` is a link to one of the others.
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !RunId::is_id(&name) {
            continue;
        }
        let files = ["run.json", journal::NAME, cost::FILE, coverage::NAME];
        let stamps = files.map(|file| stamp(&results.join(&name).join(file)));
        if stamps[0].is_some() || stamps[1].is_some() {
            // A file that is not there has no stamp, which is one more state that can change.
            found.insert(name, stamps.map(Option::unwrap_or_default).join("/"));
        }
    }
    Ok(found)
}

fn stamp(file: &Utf8Path) -> Option<String> {
    let facts = fs::metadata(file).ok()?;
    let changed = facts.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}@{}", facts.len(), changed.as_nanos()))
}

/// A run as it was read, ready to be inserted.
struct Read {
    name: String,
    stamp: String,
    record: Result<(RunRecord, Vec<Damage>), ReadError>,
    /// How the guest was after booting, for each case of the record.
    boots: Vec<Option<Boot>>,
    /// What operations cost, or why that does not read.
    costs: Result<Vec<CostRecord>, String>,
    /// Which code of which kernels its cases ran, and what of that does not read.
    covered: (Vec<cover::Kernel>, Vec<String>),
}

/// Reads runs on all processors, and gives each to `take`, in no particular order: most of the time goes into JSON.
fn read_all<E>(
    results: &Utf8Path,
    runs: &[(&String, &String)],
    mut take: impl FnMut(Read) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        // A run that was read waits here until it is taken; more than these would only take memory.
        let (sender, receiver) = mpsc::sync_channel(workers * 2);
        for _ in 0..workers {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                while let Some((name, stamp)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Nobody receives any more where a run was not taken.
                    if sender.send(read(results, name, stamp)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // A reader that panics panics here too, when the scope ends: no run is lost without a word.
        receiver.into_iter().try_for_each(&mut take)
    })
}

fn read(results: &Utf8Path, name: &str, stamp: &str) -> Read {
    let folder = results.join(name);
    let record = RunRecord::read(&folder);
    let boots = match &record {
        Ok((record, _)) => record.cases.iter().map(|case| at_boot(&folder, case)).collect(),
        Err(_) => Vec::new(),
    };
    Read {
        name: name.to_owned(),
        stamp: stamp.to_owned(),
        record,
        boots,
        costs: cost::read(&folder),
        covered: cover::read(&folder),
    }
}

fn at_boot(folder: &Utf8Path, case: &CaseRecord) -> Option<Boot> {
    case.ended.as_ref()?;
    let file = folder.join(case.files()).join(LEDGERS);
    let ledgers = named::read_whole(file.as_std_path()).ok()?;
    let ledger = head::at_boot(&ledgers)?;
    Some(Boot {
        mem_total: ledger.mem_total.0.unsigned_abs(),
        free: ledger.free.0.unsigned_abs(),
        seconds: beside_steps(case),
    })
}

fn insert(
    transaction: &Transaction<'_>,
    keys: &mut HashMap<HistoryKey, i64>,
    read: &Read,
) -> rusqlite::Result<()> {
    let (started, seconds, exit) = match &read.record {
        Ok((record, _)) => (
            Some(record.facts.started.as_millisecond()),
            Some(record.seconds.as_millis() as f64 / 1000.0),
            match record.finish {
                Finish::Exit(code) => Some(code),
                Finish::CutOff => None,
            },
        ),
        Err(_) => (None, None, None),
    };
    transaction
        .prepare_cached("INSERT INTO run (name, stamp, started, seconds, exit) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![read.name, read.stamp, started, seconds, exit])?;
    let run = transaction.last_insert_rowid();
    let unread = |what: &str, refused: bool| {
        transaction
            .prepare_cached("INSERT INTO unread (run, what, refused) VALUES (?1, ?2, ?3)")?
            .execute(params![run, what, refused])
    };
    match &read.record {
        Ok((record, damage)) => {
            for damage in damage {
                unread(&damage.to_string(), false)?;
            }
            for row in rows(record) {
                let what = key_id(transaction, keys, row.key)?;
                insert_case(
                    transaction,
                    run,
                    what,
                    read.boots[row.at],
                    &record.cases[row.at],
                    row.mixed,
                )?;
            }
            match &read.costs {
                Ok(costs) => cost::insert(transaction, run, costs)?,
                Err(error) => {
                    unread(error, false)?;
                }
            }
            let (kernels, damage) = &read.covered;
            for what in damage {
                unread(what, false)?;
            }
            cover::insert(transaction, run, kernels, |key| key_id(transaction, keys, key))?;
        }
        Err(error) => {
            unread(&refusal(error), true)?;
        }
    }
    Ok(())
}

/// A row of a run.
struct Row {
    key: HistoryKey,
    /// Which of the run's cases it tells of.
    at: usize,
    /// Rounds or attempts had different verdicts.
    mixed: bool,
}

/// One row for each case, however many rounds it had: the first of those with the gravest verdict stands for all.
fn rows(record: &RunRecord) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut known: HashMap<HistoryKey, usize> = HashMap::new();
    for (at, case) in record.cases.iter().enumerate() {
        let key = HistoryKey::of(&case.key);
        let mixed = case
            .attempts
            .iter()
            .any(|attempt| attempt.verdict != case.attempts[0].verdict);
        match known.get(&key) {
            None => {
                known.insert(key.clone(), rows.len());
                rows.push(Row { key, at, mixed });
            }
            Some(row) => {
                let row = &mut rows[*row];
                let other = &record.cases[row.at];
                row.mixed |= mixed || other.verdict != case.verdict;
                if case.verdict > other.verdict {
                    row.at = at;
                }
            }
        }
    }
    rows
}

/// The error and what it lists.
fn refusal(error: &ReadError) -> String {
    match error {
        ReadError::NoRun { damage, .. } => {
            let all: Vec<String> = damage.iter().map(ToString::to_string).collect();
            format!("{error} ({})", all.join("; "))
        }
        ReadError::Io { source, .. } => format!("{error}: {source}"),
        ReadError::TooNew { .. } => error.to_string(),
    }
}

fn key_id(
    transaction: &Transaction<'_>,
    keys: &mut HashMap<HistoryKey, i64>,
    key: HistoryKey,
) -> rusqlite::Result<i64> {
    if let Some(id) = keys.get(&key) {
        return Ok(*id);
    }
    // The update changes nothing: without it a row that is there already would not be returned.
    let id = transaction
        .prepare_cached(
            "INSERT INTO what (arch, line, config, suite, variant, case_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET arch = excluded.arch RETURNING id",
        )?
        .query_row(
            params![
                key.arch.to_string(),
                key.line,
                key.config,
                key.suite,
                key.variant,
                key.case
            ],
            |row| row.get(0),
        )?;
    keys.insert(key, id);
    Ok(id)
}

fn insert_case(
    transaction: &Transaction<'_>,
    run: i64,
    what: i64,
    boot: Option<Boot>,
    case: &CaseRecord,
    mixed: bool,
) -> rusqlite::Result<()> {
    // Two cases whose ids differ by the size of letters alone (a damaged journal) are one row.
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO seen (what, run, name, kernel, verdict, reason, attempts, mixed, ms, boot_total,
             boot_free, boot_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            what,
            run,
            case.name,
            case.key.kernel_name(),
            case.verdict.word(),
            case.reason,
            case.attempts.len() as i64,
            mixed,
            case.seconds.as_millis() as i64,
            boot.map(|boot| boot.mem_total as i64),
            boot.map(|boot| boot.free as i64),
            boot.map(|boot| boot.seconds.as_millis() as i64),
        ])?;
    Ok(())
}

/// What the attempt that decided took beside its steps.
fn beside_steps(case: &CaseRecord) -> Seconds {
    let decided = case
        .attempts
        .iter()
        .rfind(|attempt| attempt.verdict == case.verdict);
    let whole = decided.map_or(case.seconds, |attempt| attempt.seconds);
    let steps: Seconds = case.steps.iter().map(|step| step.seconds).sum();
    Seconds::from_millis(whole.as_millis().saturating_sub(steps.as_millis()))
}
