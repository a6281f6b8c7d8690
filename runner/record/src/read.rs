// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a run back from its folder.
//!
//! A folder may be that of a run that is still going, was killed, or lies on a disk that lost a part of it.
//! Everything that can be read is read, and everything that cannot is listed.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt, io,
};

use camino::{Utf8Path, Utf8PathBuf};

use serde::Deserialize;

use super::{
    CaseKey, CaseRecord, Entry, Event, FORMAT, Journal, KernelFacts, RunFacts, Seconds, StepRecord, StepSpan,
    journal,
};
use base::{
    fault::{Blame, Blamed, Exit, Verdict},
    named,
};

/// A folder is not the folder of a run that this memrig can read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Neither `run.json` nor the journal can be read.
    #[error("`{folder}` holds no run: neither run.json nor {} can be read", journal::NAME)]
    NoRun {
        /// The folder.
        folder: Utf8PathBuf,
        /// What is wrong with each.
        damage: Vec<Damage>,
    },
    /// A file is there but cannot be read.
    #[error("cannot read `{path}`")]
    Io {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run was written by a newer memrig.
    #[error(
        "the run in `{folder}` has format {found}, and this memrig reads up to {FORMAT}: use a newer memrig"
    )]
    TooNew {
        /// The folder.
        folder: Utf8PathBuf,
        /// Its format.
        found: u64,
    },
}

impl Blamed for ReadError {
    /// Usage: a folder was named that holds no run.
    fn blame(&self) -> Blame {
        Blame::Usage
    }
}

/// Something in a run's folder that could not be read, or is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file, by its path in the folder.
    pub(crate) file: String,
    /// The line, from 1; `None` for the file as a whole.
    pub line: Option<usize>,
    pub(crate) what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It ended with this exit code.
    Exit(u8),
    /// The journal ends without a word: it is still going, or was killed.
    CutOff,
}

/// A run, as its folder tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// The folder, as it was given.
    pub folder: Utf8PathBuf,
    /// The facts of the run.
    pub facts: RunFacts,
    /// Cases that were begun or skipped, in the order of the plan, whichever ended first; those that no plan names come last.
    /// One that never finished is an error.
    pub cases: Vec<CaseRecord>,
    /// Cases that were begun and never finished; they are in `cases` as well.
    pub unfinished: Vec<CaseKey>,
    /// Cases of the plan that were never begun.
    pub not_run: Vec<CaseKey>,
    /// Notes, in order.
    pub notes: Vec<String>,
    /// How it ended.
    pub finish: Finish,
    /// Time from the start to the last event.
    pub seconds: Seconds,
    /// When the attempts at each case ran, by its id and their number.
    pub attempts: HashMap<String, BTreeMap<u32, AttemptSpan>>,
}

/// When an attempt at a case ran, in seconds since the run started.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttemptSpan {
    /// When it began.
    pub begun: f64,
    /// Its steps.
    pub steps: Vec<StepSpan>,
}

/// The reason of a case that was begun and never finished.
pub(super) const CUT_OFF: &str = "the run ended while the case was running";

impl RunRecord {
    /// The record of a run that ends now, whose last event its journal has got.
    pub fn ended(&mut self, exit: Exit, journal: &Journal) {
        self.finish = Finish::Exit(exit.code());
        self.seconds = Seconds::from_millis((journal.now() * 1000.0) as u64);
    }

    /// Reads the run in `folder`, and lists what of it could not be read.
    ///
    /// # Errors
    ///
    /// Fails if the folder holds no run, a file of it cannot be opened, or a newer memrig wrote it.
    pub fn read(folder: &Utf8Path) -> Result<(Self, Vec<Damage>), ReadError> {
        let (record, _, damage) = Self::read_with(folder, |_| ())?;
        Ok((record, damage))
    }

    /// The same, with what `take` makes of the journal.
    pub(crate) fn read_with<T>(
        folder: &Utf8Path,
        take: impl FnOnce(&[Entry]) -> T,
    ) -> Result<(Self, T, Vec<Damage>), ReadError> {
        let mut damage = Vec::new();
        let facts = match load(folder, "run.json")? {
            None => Err("is missing".to_owned()),
            Some(bytes) => facts(folder, &bytes)?,
        };
        let entries = match load(folder, journal::NAME)? {
            None => {
                damage.push(whole(journal::NAME, "is missing".to_owned()));
                Vec::new()
            }
            Some(bytes) => {
                check_format(folder, &bytes)?;
                let (entries, lines) = entries(&bytes);
                damage.extend(lines);
                entries
            }
        };
        let journalled = entries.iter().find_map(|entry| match &entry.event {
            Event::RunStarted { facts, .. } => Some((**facts).clone()),
            _ => None,
        });
        let facts = match (facts, journalled) {
            (Ok(facts), _) => facts,
            (Err(what), Some(facts)) => {
                damage.push(whole("run.json", what));
                facts
            }
            (Err(what), None) => {
                damage.push(whole("run.json", what));
                return Err(ReadError::NoRun {
                    folder: folder.to_owned(),
                    damage,
                });
            }
        };
        let mut told = Told {
            kernels: facts.kernels.clone(),
            ..Told::default()
        };
        let seconds = entries.iter().map(|entry| entry.at).fold(0.0, f64::max);
        let taken = take(&entries);
        for entry in entries {
            told.hear(entry);
        }
        Ok((told.record(folder, facts, seconds), taken, damage))
    }
}

fn whole(file: &str, what: String) -> Damage {
    Damage {
        file: file.to_owned(),
        line: None,
        what,
    }
}

pub(super) fn load(folder: &Utf8Path, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
    let path = folder.join(name);
    match named::read_whole(path.as_std_path()) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(ReadError::Io { path, source }),
    }
}

/// The one field that every format of the facts has.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

fn supported(folder: &Utf8Path, found: u64) -> Result<(), ReadError> {
    if found > u64::from(FORMAT) {
        return Err(ReadError::TooNew {
            folder: folder.to_owned(),
            found,
        });
    }
    Ok(())
}

/// Reads `run.json`; the inner error says what is wrong with it.
fn facts(folder: &Utf8Path, bytes: &[u8]) -> Result<Result<RunFacts, String>, ReadError> {
    // The number comes first: what else a newer format holds may not parse.
    if let Ok(Format { format }) = serde_json::from_slice(bytes) {
        supported(folder, format)?;
    }
    Ok(serde_json::from_slice(bytes).map_err(|e| e.to_string()))
}

/// Looks for the number of the format in the first line of a journal.
fn check_format(folder: &Utf8Path, bytes: &[u8]) -> Result<(), ReadError> {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let format = serde_json::from_slice::<serde_json::Value>(first)
        .ok()
        .and_then(|line| line.pointer("/event/run-started/facts/format")?.as_u64());
    format.map_or(Ok(()), |found| supported(folder, found))
}

/// Reads all lines of a journal that can be read, and lists the others.
pub(super) fn entries(bytes: &[u8]) -> (Vec<Entry>, Vec<Damage>) {
    let mut entries = Vec::new();
    let mut damage = Vec::new();
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let torn = lines.peek().is_none();
        match journal::parse(line) {
            Ok(entry) => entries.push(entry),
            Err(e) => damage.push(Damage {
                file: journal::NAME.to_owned(),
                line: Some(index + 1),
                what: if torn {
                    "the last line was cut off while it was written".to_owned()
                } else {
                    e.to_string()
                },
            }),
        }
    }
    (entries, damage)
}

/// What the journal has told so far.
#[derive(Default)]
struct Told {
    /// Those of the run.
    kernels: Vec<KernelFacts>,
    planned: Vec<CaseKey>,
    /// In the order in which the cases began or were skipped.
    cases: Vec<CaseRecord>,
    /// Place in `cases` by the case's id.
    places: HashMap<String, usize>,
    /// Ids of cases that have begun and not finished.
    running: HashSet<String>,
    /// Number of the last attempt that began, by the case's id.
    last: HashMap<String, u32>,
    attempts: HashMap<String, BTreeMap<u32, AttemptSpan>>,
    notes: Vec<String>,
    exit: Option<u8>,
}

impl Told {
    fn hear(&mut self, entry: Entry) {
        let at = entry.at;
        match entry.event {
            Event::RunStarted { planned, .. } => {
                self.planned = planned.into_iter().map(|key| key.on(&self.kernels)).collect();
            }
            Event::RunResumed { .. } => self.exit = None,
            Event::CaseStarted {
                key,
                name,
                suite_file,
                line,
                attempt,
            } => {
                let id = key.id();
                let begun = AttemptSpan {
                    begun: at,
                    steps: Vec::new(),
                };
                self.running.insert(id.clone());
                self.last.insert(id.clone(), attempt);
                self.attempts
                    .entry(id.clone())
                    .or_default()
                    .insert(attempt, begun);
                let key = key.on(&self.kernels);
                self.put(id, unfinished(key, name, suite_file, line));
            }
            Event::StepStarted { case, number, .. } => {
                if let Some(steps) = self.running_steps(&case) {
                    steps.push(StepSpan {
                        number,
                        from: at,
                        to: None,
                    });
                }
            }
            Event::StepFinished { case, step } => {
                let open = self
                    .running_steps(&case)
                    .and_then(|steps| steps.iter_mut().rfind(|span| span.number == step.number));
                if let Some(span) = open {
                    span.to = Some(at);
                }
                self.step(&case, step);
            }
            Event::CaseFinished { mut record } => {
                let id = record.key.id();
                self.running.remove(&id);
                record.key = record.key.on(&self.kernels);
                self.put(id, *record);
            }
            Event::Note { text } => self.notes.push(text),
            Event::RunFinished { exit } => self.exit = Some(exit),
            Event::TemplateMade { .. } | Event::Unwritten(_) => {}
        }
    }

    /// The steps of the attempt at a case that began last.
    fn running_steps(&mut self, case: &str) -> Option<&mut Vec<StepSpan>> {
        let attempt = self.last.get(case)?;
        Some(&mut self.attempts.get_mut(case)?.get_mut(attempt)?.steps)
    }

    fn put(&mut self, id: String, record: CaseRecord) {
        match self.places.get(&id) {
            Some(place) => self.cases[*place] = record,
            None => {
                self.places.insert(id, self.cases.len());
                self.cases.push(record);
            }
        }
    }

    fn step(&mut self, case: &str, step: StepRecord) {
        if let Some(place) = self.places.get(case) {
            self.cases[*place].steps.push(step);
        }
    }

    fn record(mut self, folder: &Utf8Path, facts: RunFacts, seconds: f64) -> RunRecord {
        let places: HashMap<String, usize> = self.planned.iter().map(CaseKey::id).zip(0..).collect();
        let place = |case: &CaseRecord| places.get(&case.key.id()).copied().unwrap_or(usize::MAX);
        // Two runs of one plan tell of it in the same order.
        self.cases.sort_by_cached_key(place);
        let not_run = self
            .planned
            .into_iter()
            .filter(|key| !self.places.contains_key(&key.id()))
            .collect();
        let keys = self.cases.iter().map(|case| &case.key);
        let unfinished = keys
            .filter(|key| self.running.contains(&key.id()))
            .cloned()
            .collect();
        RunRecord {
            folder: folder.to_owned(),
            facts,
            cases: self.cases,
            unfinished,
            not_run,
            notes: self.notes,
            finish: self.exit.map_or(Finish::CutOff, Finish::Exit),
            seconds: Seconds::from_millis((seconds * 1000.0).round() as u64),
            attempts: self.attempts,
        }
    }
}

/// A case of which only the beginning is known.
fn unfinished(key: CaseKey, name: String, suite_file: String, line: u32) -> CaseRecord {
    CaseRecord {
        key,
        name,
        suite_file,
        line,
        verdict: Verdict::Error,
        reason: Some(CUT_OFF.to_owned()),
        known: None,
        attempts: Vec::new(),
        seconds: Seconds::default(),
        steps: Vec::new(),
        findings: Vec::new(),
        command_line: String::new(),
        ended: None,
        facts: serde_json::Value::Null,
        around: None,
        log_excerpt: String::new(),
    }
}
