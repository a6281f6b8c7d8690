// SPDX-License-Identifier: MIT OR Apache-2.0
//! What operations cost, run by run: `cost.json` of the runs, as rows of the index.

use std::io;

use camino::Utf8Path;
use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};
use serde::Serialize;

use super::{
    query::{Which, foreign, time},
    store::{Index, IndexError},
};
use crate::{CostMethod, CostRecord, key::kernel_name};
use base::{Arch, named};

/// The file that `memrig cost` leaves in the folder of its run. What a comparison counts is in such runs too, one for each side.
pub(super) const FILE: &str = "cost.json";

/// What one operation on a memory block cost in one run.
///
/// Counts are comparable where architecture, variant, method and QEMU are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Folder of the run, by its name in the results folder.
    pub run: String,
    /// When the run started.
    pub started: Timestamp,
    /// Architecture of the guest.
    pub arch: Arch,
    /// The kernel line.
    pub line: String,
    /// The kernel: label, hyphen, release.
    pub kernel: String,
    /// What was varied, such as `memmap_on_memory=on`.
    pub variant: String,
    /// `online`, `offline`, `add` or `remove`.
    pub operation: String,
    /// How it was counted.
    pub method: CostMethod,
    /// Version of the QEMU.
    pub qemu: String,
    /// Instructions of the guest: those that its repetitions agree on, or the lowest of them where it was not counted block by block.
    pub instructions: u64,
}

impl Index {
    /// What operations cost on the kernels that are meant: line by line, and each from its first run to its last.
    ///
    /// A cost is that of a kernel and of no case: where a case or a suite is meant, there is none.
    ///
    /// # Errors
    ///
    /// The index does not read.
    pub fn costs(&self, which: &Which) -> Result<Vec<Cost>, IndexError> {
        if which.case.is_some() || which.suite.is_some() {
            return Ok(Vec::new());
        }
        let (filter, values) = which.filter("cost");
        let sql = format!(
            "SELECT run.name, run.started, cost.arch, cost.line, cost.kernel, cost.variant, cost.operation, cost.method, cost.qemu,
                cost.instructions FROM cost JOIN run ON run.id = cost.run
             WHERE {filter} ORDER BY cost.arch, cost.line, run.started, run.name, cost.rowid"
        );
        let ask = || -> rusqlite::Result<Vec<Cost>> {
            let values: Vec<&dyn rusqlite::ToSql> = values.iter().map(AsRef::as_ref).collect();
            let mut statement = self.db.prepare_cached(&sql)?;
            statement.query_map(values.as_slice(), cost)?.collect()
        };
        ask().map_err(|source| self.sqlite(source))
    }
}

fn cost(row: &Row<'_>) -> rusqlite::Result<Cost> {
    let word = row.get_ref(7)?.as_str()?;
    Ok(Cost {
        run: row.get(0)?,
        started: time(row, 1)?,
        arch: row
            .get_ref(2)?
            .as_str()?
            .parse()
            .map_err(|error| foreign(2, error))?,
        line: row.get(3)?,
        kernel: row.get(4)?,
        variant: row.get(5)?,
        operation: row.get(6)?,
        method: CostMethod::ALL
            .into_iter()
            .find(|method| method.to_string() == word)
            .ok_or_else(|| foreign(7, io::Error::other(format!("no method: {word}"))))?,
        qemu: row.get(8)?,
        instructions: row.get::<_, i64>(9)?.unsigned_abs(),
    })
}

/// The costs that the run in `folder` wrote down; most runs have none. What does not read is told in words.
pub(super) fn read(folder: &Utf8Path) -> Result<Vec<CostRecord>, String> {
    match named::read_whole(folder.join(FILE).as_std_path()) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("{FILE}: {error}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{FILE}: {error}")),
    }
}

/// Puts the costs of a run into the index. An operation without a single repetition has none.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    run: i64,
    records: &[CostRecord],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO cost (run, arch, line, kernel, variant, operation, method, qemu, instructions)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for record in records {
        for operation in &record.operations {
            let Some(instructions) = operation.cost() else {
                continue;
            };
            statement.execute(params![
                run,
                record.arch.to_string(),
                record.kernel,
                kernel_name(&record.kernel, Some(&record.release)),
                record.variant,
                operation.name,
                record.method.to_string(),
                record.qemu,
                // No guest executes more.
                i64::try_from(instructions).unwrap_or(i64::MAX),
            ])?;
        }
    }
    Ok(())
}
