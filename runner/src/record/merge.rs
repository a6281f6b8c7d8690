// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several parts of one plan, each run on its own, put together into one run.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Damage, Entry, Event, FolderError, Journal, JournalError, KernelFacts, ReadError, RunFacts, RunFolder,
    RunRecord, journal, read,
};
use crate::base::fault::Exit;

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

/// What was merged.
#[derive(Debug)]
pub struct Merged {
    /// The folder of the merged run.
    pub folder: Utf8PathBuf,
    /// What of the parts could not be read, with the folder of the part.
    pub damage: Vec<(Utf8PathBuf, Damage)>,
    /// Parts that are not there.
    pub missing: Vec<String>,
}

/// A part as it was read.
struct Part {
    record: RunRecord,
    entries: Vec<Entry>,
    /// `slice` or `hash`.
    by: String,
    number: u32,
    of: u32,
}

/// What `--shard` says in a command line: `slice`, 2, 5.
fn shard(argv: &[String]) -> Option<(String, u32, u32)> {
    let words = argv.iter().enumerate();
    let text = words
        .rev()
        .find_map(|(at, word)| match word.strip_prefix("--shard") {
            Some("") => argv.get(at + 1).map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        })?;
    let (by, part) = text.split_once(':')?;
    let (number, of) = part.split_once('/')?;
    Some((by.to_owned(), number.parse().ok()?, of.parse().ok()?))
}

/// The command line without what may differ from part to part: the program's path, the part, the machine's places and capacity.
fn common(argv: &[String]) -> Vec<&str> {
    let own = ["--shard", "--results", "--jobs", "-j", "--qemu"];
    let mut words = Vec::new();
    let mut skip = false;
    for word in argv.iter().skip(1) {
        let name = word.split('=').next().unwrap_or(word);
        if skip {
            skip = false;
        } else if own.contains(&name) {
            skip = !word.contains('=');
        } else {
            words.push(word.as_str());
        }
    }
    words
}

fn part(folder: &Utf8Path) -> Result<(Part, Vec<Damage>), MergeError> {
    let (record, damage) = RunRecord::read(folder)?;
    let (by, number, of) = shard(&record.facts.argv).ok_or_else(|| MergeError::NoShard {
        folder: folder.to_owned(),
    })?;
    // It was read a moment ago.
    let bytes = fs::read(folder.join(journal::NAME)).unwrap_or_default();
    let part = Part {
        record,
        entries: read::entries(&bytes).0,
        by,
        number,
        of,
    };
    Ok((part, damage))
}

/// Why a part does not belong to the first.
fn foreign(first: &Part, part: &Part) -> Option<String> {
    if (&first.by, first.of) != (&part.by, part.of) {
        return Some(format!(
            "one is a part of {} by {}, the other of {} by {}",
            part.of, part.by, first.of, first.by
        ));
    }
    if first.number == part.number {
        return Some(format!("both are part {} of {}", part.number, part.of));
    }
    let (a, b) = (&first.record.facts, &part.record.facts);
    if a.memrig != b.memrig {
        return Some(format!("memrig {} ran one, {} the other", b.memrig, a.memrig));
    }
    if common(&a.argv) != common(&b.argv) {
        return Some(format!(
            "the plans differ: `{}`, and `{}`",
            common(&b.argv).join(" "),
            common(&a.argv).join(" ")
        ));
    }
    let suite = b.suites.iter().find_map(|suite| {
        let other = a.suites.iter().find(|other| other.file == suite.file)?;
        (other.sha256 != suite.sha256).then(|| format!("`{}` is not the same file", suite.file))
    });
    suite.or_else(|| kernels(a, b))
}

fn kernels(a: &RunFacts, b: &RunFacts) -> Option<String> {
    let of = |kernel: &KernelFacts| (kernel.arch, kernel.label.clone());
    b.kernels.iter().find_map(|kernel| {
        let other = a.kernels.iter().find(|other| of(other) == of(kernel))?;
        ((&other.release, &other.image_sha256) != (&kernel.release, &kernel.image_sha256)).then(|| {
            format!(
                "{} of {} is {} in one and {} in the other, with other images",
                kernel.label, kernel.arch, kernel.release, other.release
            )
        })
    })
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
    for (at, part) in parts.iter().enumerate() {
        for first in &parts[..at] {
            let why = foreign(first, part).or_else(|| twice(first, part));
            if let Some(why) = why {
                return Err(MergeError::Foreign {
                    folder: part.record.folder.clone(),
                    first: first.record.folder.clone(),
                    why,
                });
            }
        }
    }
    let missing: Vec<String> = match parts.first() {
        Some(first) => (1..=first.of)
            .filter(|number| parts.iter().all(|part| part.number != *number))
            .map(|number| format!("{}:{number}/{}", first.by, first.of))
            .collect(),
        None => vec!["every part".to_owned()],
    };
    if parts.is_empty() || !(missing.is_empty() || partial) {
        return Err(MergeError::Missing { missing });
    }
    parts.sort_by_key(|part| part.number);
    let folder = write(&parts, results, &missing)?;
    Ok(Merged {
        folder,
        damage,
        missing,
    })
}

/// A case that two parts planned: they were cut from different plans, or by different times.
fn twice(first: &Part, part: &Part) -> Option<String> {
    let planned = |part: &Part| -> Vec<String> {
        let begun = part.record.cases.iter().map(|case| case.key.id());
        begun
            .chain(part.record.not_run.iter().map(|key| key.id()))
            .collect()
    };
    let there = planned(first);
    let id = planned(part).into_iter().find(|id| there.contains(id))?;
    Some(format!("both have the case {id}"))
}

fn write(parts: &[Part], results: &Utf8Path, missing: &[String]) -> Result<Utf8PathBuf, MergeError> {
    let folder = RunFolder::create(results)?;
    let first = parts
        .iter()
        .min_by_key(|part| part.record.facts.started)
        .map_or(&parts[0], |first| first);
    let mut facts = first.record.facts.clone();
    facts.id = folder.id().clone();
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
    let mut entries: Vec<Entry> = parts
        .iter()
        .flat_map(|part| {
            let later = part.record.facts.started.duration_since(started).as_secs_f64();
            part.entries.iter().map(move |entry| Entry {
                at: entry.at + later,
                event: entry.event.clone(),
            })
        })
        .collect();
    entries.sort_by(|a, b| a.at.total_cmp(&b.at));
    let mut last = 0.0;
    let mut exits: HashMap<&str, usize> = HashMap::new();
    for entry in &entries {
        last = entry.at;
        match &entry.event {
            Event::RunStarted { .. } | Event::RunResumed { .. } => {}
            Event::RunFinished { .. } => *exits.entry("finished").or_default() += 1,
            event => journal.append_as(entry.at, event)?,
        }
    }
    for name in missing {
        let text = format!("{name} is missing: what it was to run is not in this record");
        journal.append_as(last, &Event::Note { text })?;
    }
    for part in parts {
        let from = part.record.folder.join("cases");
        if from.is_dir() {
            copy(&from, &folder.path().join("cases")).map_err(|source| MergeError::Copy { from, source })?;
        }
    }
    // A part that was cut off leaves the whole cut off.
    let whole = missing.is_empty() && exits.get("finished").copied().unwrap_or(0) >= parts.len();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_command_line_says_which_part_it_was() {
        assert_eq!(
            shard(&argv("memrig run --shard slice:2/5")),
            Some(("slice".to_owned(), 2, 5))
        );
        assert_eq!(
            shard(&argv("memrig run --shard=hash:1/2 -j 3")),
            Some(("hash".to_owned(), 1, 2))
        );
        assert_eq!(shard(&argv("memrig run --shard")), None);
        assert_eq!(shard(&argv("memrig run --shards 5")), None);
        let a = argv("/bin/memrig run blocks --shard slice:1/5 -j 2 -k debian:sid --results=/x");
        let b = argv("./memrig run blocks --results y -k debian:sid --shard=slice:2/5");
        assert_eq!(common(&a), common(&b));
        assert_ne!(common(&a), common(&argv("memrig run zones -k debian:sid")));
    }
}
