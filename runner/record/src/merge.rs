// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several parts of one plan, each run on its own, put together into one run.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Coverage, CoverageLog, Damage, Entry, Event, ExploreRecord, FolderError, Journal, JournalError,
    KernelFacts, ReadError, RunFolder, RunPart, RunRecord, ShardFacts, part::without,
};
use base::{
    Arch,
    fault::{Blame, Blamed, Exit},
};

/// The parts cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A folder that does not read as a run.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A folder that is a whole run.
    #[error("`{folder}` is no shard: it was not run with --shard")]
    NoShard {
        /// The folder.
        folder: Utf8PathBuf,
    },
    /// A folder that parts were put together in already.
    #[error("`{folder}` is no shard: it is what shards were merged into; name the shards")]
    Merged {
        /// The folder.
        folder: Utf8PathBuf,
    },
    /// A part that is of something else.
    #[error("`{folder}` does not belong to `{first}`: {why}")]
    Foreign {
        /// The folder.
        folder: Utf8PathBuf,
        /// The folder that it is held against.
        first: Utf8PathBuf,
        /// What differs.
        why: String,
    },
    /// Not all parts are there.
    #[error("missing: {}; merge what is there with --partial", missing.join(", "))]
    Missing {
        /// The parts, such as `slice:3/5`.
        missing: Vec<String>,
    },
    /// All parts are there, and not all cases.
    #[error(
        "all parts are there, and {lost} of the {of} cases of their plan are in none of them: they were divided by different --times, or a \
         damaged journal lost them; merge what is there with --partial"
    )]
    Lost {
        /// Cases that no part has.
        lost: u32,
        /// Cases of the plan.
        of: u32,
    },
    /// The folder of the merged run.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Files of the cases.
    #[error("cannot copy `{from}` into the merged run")]
    Copy {
        /// The file or folder.
        from: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Blamed for MergeError {
    /// Usage, where the parts do not belong together.
    fn blame(&self) -> Blame {
        match self {
            Self::Read(error) => error.blame(),
            Self::Folder(error) => error.blame(),
            Self::NoShard { .. }
            | Self::Merged { .. }
            | Self::Foreign { .. }
            | Self::Missing { .. }
            | Self::Lost { .. } => Blame::Usage,
            Self::Journal(_) | Self::Copy { .. } => Blame::Bench,
        }
    }
}

/// What was merged.
#[derive(Debug)]
pub struct Merged {
    /// The folder of the merged run.
    pub folder: Utf8PathBuf,
    /// What of the parts could not be read, with the folder of the part.
    pub damage: Vec<(Utf8PathBuf, Damage)>,
    /// Parts that are not there.
    pub missing: Vec<String>,
    /// Cases of the plan that no part has, though all parts are there.
    pub lost: u32,
    /// What the merged run says of how it came about, each in a line.
    pub notes: Vec<String>,
}

impl Merged {
    /// Whether every case of the plan is in it, as far as that is known.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.lost == 0
    }
}

/// A part as it was read.
struct Part {
    record: RunRecord,
    entries: Vec<Entry>,
    shard: ShardFacts,
}

impl Part {
    /// How many of the cases of the plan it was to run: what exploring its kernels added is in no plan.
    fn of_plan(&self) -> usize {
        let mut started = self.entries.iter().filter_map(|entry| match &entry.event {
            Event::RunStarted { planned, .. } => Some(planned.len()),
            _ => None,
        });
        // Where that line is lost, it is all that is known.
        started.next().unwrap_or_else(|| self.planned().count())
    }

    /// Every case that it was to run, and those that came to it.
    fn planned(&self) -> impl Iterator<Item = String> {
        let begun = self.record.cases.iter().map(|case| case.key.id());
        begun.chain(self.record.not_run.iter().map(|key| key.id()))
    }
}

/// What may differ from part to part in a command line: the part, the machine's places and capacity.
const OWN: [&str; 5] = ["--shard", "--results", "--jobs", "-j", "--qemu"];

fn part(folder: &Utf8Path) -> Result<(Part, Vec<Damage>), MergeError> {
    let (record, entries, damage) = RunRecord::read_with(folder, <[Entry]>::to_vec)?;
    let folder = folder.to_owned();
    let shard = match record.facts.part_of_plan() {
        Some(RunPart::Shard(shard)) => shard,
        Some(RunPart::Merged { .. }) => return Err(MergeError::Merged { folder }),
        Some(RunPart::Whole) | None => return Err(MergeError::NoShard { folder }),
    };
    let part = Part {
        record,
        entries,
        shard,
    };
    Ok((part, damage))
}

/// The parts that were found to belong together so far, and which of them said something first.
///
/// Each part is held against what all before it said at once: hundreds of runners share a plan.
#[derive(Default)]
struct Together<'a> {
    parts: Vec<&'a Part>,
    numbers: HashMap<u32, &'a Part>,
    suites: HashMap<&'a str, (&'a str, &'a Part)>,
    kernels: HashMap<(Arch, &'a str), (&'a KernelFacts, &'a Part)>,
    cases: HashMap<String, &'a Part>,
    /// The first that says what its plan was.
    with_plan: Option<&'a Part>,
    /// The first that does not.
    without_plan: Option<&'a Part>,
}

/// A part that an other one does not belong to, and why.
type Foreign<'a> = (&'a Part, String);

impl<'a> Together<'a> {
    /// Takes in one more.
    fn take(&mut self, part: &'a Part) -> Result<(), Foreign<'a>> {
        self.division(part)?;
        self.what_was_run(part)?;
        self.plan(part)?;
        for id in part.planned() {
            if let Some(other) = self.cases.get(&id)
                && !std::ptr::eq(*other, part)
            {
                // They were cut from different plans, or by different times.
                return Err((*other, format!("both have the case {id}")));
            }
            self.cases.insert(id, part);
        }
        self.parts.push(part);
        Ok(())
    }

    /// How the plan was divided.
    fn division(&mut self, part: &'a Part) -> Result<(), Foreign<'a>> {
        let other = &part.shard;
        if let Some(&first) = self.parts.first() {
            let one = &first.shard;
            if (&one.how, one.of) != (&other.how, other.of) {
                let why = format!(
                    "one is a part of {} by {}, the other of {} by {}",
                    other.of, other.how, one.of, one.how
                );
                return Err((first, why));
            }
        }
        match self.numbers.insert(other.number, part) {
            Some(same) => Err((same, format!("both are part {} of {}", other.number, other.of))),
            None => Ok(()),
        }
    }

    /// The memrig, the suites and the kernels.
    fn what_was_run(&mut self, part: &'a Part) -> Result<(), Foreign<'a>> {
        let facts = &part.record.facts;
        if let Some(&first) = self.parts.first() {
            let (a, b) = (&first.record.facts.memrig, &facts.memrig);
            if a != b {
                return Err((first, format!("memrig {b} ran one, {a} the other")));
            }
        }
        for suite in &facts.suites {
            let (sha256, first) = *self.suites.entry(&suite.file).or_insert((&suite.sha256, part));
            if sha256 != suite.sha256 {
                return Err((first, format!("`{}` is not the same file", suite.file)));
            }
        }
        for kernel in &facts.kernels {
            let of = (kernel.arch, kernel.label.as_str());
            let (other, first) = *self.kernels.entry(of).or_insert((kernel, part));
            if (&other.release, &other.image_sha256) != (&kernel.release, &kernel.image_sha256) {
                let why = format!(
                    "{} of {} is {} in one and {} in the other, with other images",
                    kernel.label, kernel.arch, kernel.release, other.release
                );
                return Err((first, why));
            }
        }
        Ok(())
    }

    /// The plan. Where a part does not say what its plan was, what was typed must be the same.
    fn plan(&mut self, part: &'a Part) -> Result<(), Foreign<'a>> {
        let typed = |part: &Part| without(&part.record.facts.argv, &OWN).join(" ");
        let as_typed = |first: &'a Part| {
            let (a, b) = (typed(first), typed(part));
            if a == b {
                return Ok(());
            }
            Err((first, format!("the plans differ: `{b}`, and `{a}`")))
        };
        match &part.shard.plan {
            Some(plan) => {
                let first = *self.with_plan.get_or_insert(part);
                if let Some(one) = first.shard.plan.as_ref().filter(|one| *one != plan) {
                    let why = format!(
                        "the plans differ: `{}` has {} cases, and `{}` {}",
                        typed(part),
                        plan.cases,
                        typed(first),
                        one.cases
                    );
                    return Err((first, why));
                }
                self.without_plan.map_or(Ok(()), as_typed)
            }
            None => match self.without_plan {
                // It was held against all before it, and all after it against it.
                Some(first) => as_typed(first),
                None => {
                    self.without_plan = Some(part);
                    self.parts.iter().try_for_each(|first| as_typed(first))
                }
            },
        }
    }
}

/// Puts the parts in `folders` together into one new run in `results`.
///
/// # Errors
///
/// A part does not read or does not belong to the others, parts are missing and `partial` is not said, or the new run cannot be
/// written. The parts are never changed.
pub fn merge(folders: &[Utf8PathBuf], results: &Utf8Path, partial: bool) -> Result<Merged, MergeError> {
    let mut parts = Vec::new();
    let mut damage = Vec::new();
    for folder in folders {
        let (part, damaged) = part(folder)?;
        damage.extend(damaged.into_iter().map(|one| (folder.clone(), one)));
        parts.push(part);
    }
    let mut together = Together::default();
    for part in &parts {
        together.take(part).map_err(|(first, why)| MergeError::Foreign {
            folder: part.record.folder.clone(),
            first: first.record.folder.clone(),
            why,
        })?;
    }
    let mut missing: Vec<String> = match parts.first() {
        Some(Part { shard, .. }) => (1..=shard.of)
            .filter(|number| parts.iter().all(|part| part.shard.number != *number))
            .map(|number| shard.sibling(number).to_string())
            .collect(),
        None => vec!["every part".to_owned()],
    };
    let plan = parts.iter().find_map(|part| part.shard.plan.clone());
    let there: usize = parts.iter().map(Part::of_plan).sum();
    let lost = plan.as_ref().map_or(0, |plan| {
        plan.cases
            .saturating_sub(u32::try_from(there).unwrap_or(u32::MAX))
    });
    // A part that had nothing to do may not have left a folder.
    if plan.is_some() && lost == 0 {
        missing.clear();
    }
    if !parts.is_empty() && missing.is_empty() && lost > 0 && !partial {
        let of = plan.map_or(0, |plan| plan.cases);
        return Err(MergeError::Lost { lost, of });
    }
    if parts.is_empty() || !(missing.is_empty() || partial) {
        return Err(MergeError::Missing { missing });
    }
    parts.sort_by_key(|part| part.shard.number);
    let mut notes: Vec<String> = missing
        .iter()
        .map(|name| format!("{name} is missing: what it was to run is not in this record"))
        .collect();
    let lost = if missing.is_empty() { lost } else { 0 };
    if lost > 0 {
        notes.push(format!("cases of the plan that none of its parts has: {lost}"));
    }
    notes.extend(parts.iter().filter(|part| part.record.facts.part.is_none()).map(|part| {
        format!(
            "{} does not say which part it is, as runs of an older memrig do not: {} was read from its command line",
            part.record.facts.id, part.shard
        )
    }));
    let merged = Merged {
        folder: Utf8PathBuf::new(),
        damage,
        missing,
        lost,
        notes,
    };
    let folder = write(&parts, results, &merged)?;
    let mut merged = Merged { folder, ..merged };
    merged.damage.extend(cover(&parts, &merged.folder)?);
    merged.damage.extend(explored(&parts, &merged.folder)?);
    Ok(merged)
}

/// Puts together which code the parts ran, where they know; with what of that does not read.
fn cover(parts: &[Part], merged: &Utf8Path) -> Result<Vec<(Utf8PathBuf, Damage)>, MergeError> {
    let mut log = None;
    let mut damaged = Vec::new();
    for part in parts {
        let folder = &part.record.folder;
        let Some((coverage, damage)) = Coverage::read(folder)? else {
            continue;
        };
        damaged.extend(damage.into_iter().map(|one| (folder.clone(), one)));
        let log = match &log {
            Some(log) => log,
            None => log.insert(CoverageLog::open(merged)?),
        };
        log.take(&coverage)?;
    }
    Ok(damaged)
}

/// Puts together what the parts explored, and the suites of what they found; with what of that does not read.
fn explored(parts: &[Part], merged: &Utf8Path) -> Result<Vec<(Utf8PathBuf, Damage)>, MergeError> {
    let mut all = ExploreRecord::default();
    let mut damaged = Vec::new();
    for part in parts {
        let folder = &part.record.folder;
        match ExploreRecord::read(folder) {
            Ok(None) => continue,
            Ok(Some(record)) => all.kernels.extend(record.kernels.into_iter().map(|mut kernel| {
                // Two parts may have given two suites one name.
                for found in &mut kernel.findings {
                    found.file = found_in(part, &found.file);
                }
                kernel
            })),
            Err(error) => {
                let file = ExploreRecord::FILE.to_owned();
                let what = error.to_string();
                damaged.push((
                    folder.clone(),
                    Damage {
                        file,
                        line: None,
                        what,
                    },
                ));
            }
        }
        let (from, to) = (
            folder.join(ExploreRecord::FOUND),
            merged.join(found_in(part, ExploreRecord::FOUND)),
        );
        if from.is_dir() {
            copy(&from, &to).map_err(|source| MergeError::Copy { from, source })?;
        }
    }
    if !all.kernels.is_empty() {
        let path = merged.join(ExploreRecord::FILE);
        let text = serde_json::to_vec_pretty(&all).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text))
            .map_err(|source| FolderError::Write { path, source })?;
    }
    Ok(damaged)
}

/// Where a part's `found/x.yaml` is in the merged run.
fn found_in(part: &Part, file: &str) -> String {
    let found = ExploreRecord::FOUND;
    let own = file.strip_prefix(found).unwrap_or(file);
    format!("{found}/{}{own}", part.record.facts.id)
}

fn write(parts: &[Part], results: &Utf8Path, merged: &Merged) -> Result<Utf8PathBuf, MergeError> {
    let folder = RunFolder::create(results)?;
    let first = parts
        .iter()
        .min_by_key(|part| part.record.facts.started)
        .map_or(&parts[0], |first| first);
    let mut facts = first.record.facts.clone();
    facts.id = folder.id().clone();
    facts.part = Some(RunPart::Merged {
        runs: parts.iter().map(|part| part.record.facts.id.clone()).collect(),
    });
    // What one machine would have been told to do the same.
    facts.argv = facts
        .argv
        .first()
        .map(String::as_str)
        .into_iter()
        .chain(without(&facts.argv, &["--shard"]))
        .map(str::to_owned)
        .collect();
    for part in parts {
        let other = &part.record.facts;
        unite(&mut facts.kernels, &other.kernels);
        unite(&mut facts.qemus, &other.qemus);
        unite(&mut facts.images, &other.images);
        unite(&mut facts.suites, &other.suites);
    }
    folder.write_facts(&facts)?;
    let journal = Journal::create(folder.path())?;
    let planned = parts.iter().flat_map(|part| {
        let begun = part.record.cases.iter().map(|case| &case.key);
        begun.chain(&part.record.not_run).cloned()
    });
    let started = facts.started;
    journal.append_as(
        0.0,
        &Event::RunStarted {
            facts: Box::new(facts),
            planned: planned.collect(),
        },
    )?;
    let mut entries: Vec<(f64, &Event)> = parts
        .iter()
        .flat_map(|part| {
            let later = part.record.facts.started.duration_since(started).as_secs_f64();
            part.entries
                .iter()
                .map(move |entry| (entry.at + later, &entry.event))
        })
        .collect();
    entries.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut last = 0.0;
    let mut finished = 0;
    for (at, event) in entries {
        last = at;
        match event {
            Event::RunStarted { .. } | Event::RunResumed { .. } | Event::Unwritten(_) => {}
            Event::RunFinished { .. } => finished += 1,
            event => journal.append_as(at, event)?,
        }
    }
    for text in &merged.notes {
        let text = text.clone();
        journal.append_as(last, &Event::Note { text })?;
    }
    for part in parts {
        let from = part.record.folder.join("cases");
        if from.is_dir() {
            copy(&from, &folder.path().join("cases")).map_err(|source| MergeError::Copy { from, source })?;
        }
    }
    // A part that was cut off leaves the whole cut off.
    let whole = merged.is_whole() && finished >= parts.len();
    if whole {
        let exit = Exit::of(
            parts
                .iter()
                .flat_map(|part| part.record.cases.iter().map(|case| case.verdict)),
        );
        journal.append_as(last, &Event::RunFinished { exit: exit.code() })?;
    }
    folder.point_latest()?;
    Ok(folder.path().to_owned())
}

fn unite<T: PartialEq + Clone>(all: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

fn copy(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut entries = BTreeMap::new();
    for entry in from.read_dir_utf8()? {
        let entry = entry?;
        entries.insert(entry.file_name().to_owned(), entry.file_type()?);
    }
    for (name, kind) in entries {
        let (from, to) = (from.join(&name), to.join(&name));
        if kind.is_dir() {
            copy(&from, &to)?;
        } else if kind.is_file() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
