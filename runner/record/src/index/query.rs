// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the index can be asked.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Row, ToSql, types::Type};

use super::{
    seen::{Boot, HistoryKey, RunVerdict, Seen, Unsteady},
    store::{Index, IndexError},
};
use crate::Seconds;
use base::{Arch, fault::Verdict};

/// Which cases are meant; what is empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// Id of the case, in any case of letters.
    pub case: Option<String>,
    /// Name of the suite.
    pub suite: Option<String>,
    /// Architecture.
    pub arch: Option<Arch>,
    /// Kernel line.
    pub line: Option<String>,
    /// Variant, as a whole.
    pub variant: Option<String>,
    /// Only the last so many runs.
    pub last: Option<u32>,
}

const COLUMNS: &str = "SELECT run.name, run.started, what.arch, what.line, what.config, what.suite, what.variant, what.case_id,
    seen.name, seen.kernel, seen.verdict, seen.reason, seen.attempts, seen.mixed, seen.ms, seen.boot_total, seen.boot_free,
    seen.boot_ms FROM seen JOIN what ON what.id = seen.what JOIN run ON run.id = seen.run";

/// Case by case, and each from its first run to its last.
const ORDER: &str = "ORDER BY what.suite, what.case_id, what.arch, what.line, what.config, what.variant, run.started, run.name";

impl Index {
    /// Everything that was seen of the cases that are meant: case by case, and each from its first run to its last.
    ///
    /// # Errors
    ///
    /// The index does not read.
    pub fn seen(&self, which: &Which) -> Result<Vec<Seen>, IndexError> {
        let (filter, values) = which.filter("what");
        self.rows(&format!("{COLUMNS} WHERE {filter} {ORDER}"), &values)
    }

    /// The cases that came out in more than one way on one kernel, or in the attempts of one run.
    ///
    /// # Errors
    ///
    /// The index does not read.
    pub fn unsteady(&self, which: &Which) -> Result<Vec<Unsteady>, IndexError> {
        let (filter, values) = which.filter("what");
        self.ask_unsteady(&filter, &values)
            .map_err(|source| self.sqlite(source))
    }

    fn ask_unsteady(&self, filter: &str, values: &[Box<dyn ToSql>]) -> rusqlite::Result<Vec<Unsteady>> {
        let runs: HashMap<i64, (String, Timestamp)> = self
            .db
            .prepare_cached("SELECT id, name, started FROM run WHERE started IS NOT NULL")?
            .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, time(row, 2)?))))?
            .collect::<rusqlite::Result<_>>()?;
        // A row is a case in a run: what it is called is asked once for each case, and not with each row.
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT seen.what, seen.kernel, seen.run, seen.verdict, seen.mixed
             FROM seen JOIN what ON what.id = seen.what JOIN run ON run.id = seen.run
             WHERE {filter} AND (seen.what, seen.kernel) IN (SELECT what, kernel FROM seen WHERE verdict <> 'skip'
                GROUP BY what, kernel HAVING count(DISTINCT verdict) > 1 OR max(mixed) > 0)
             ORDER BY seen.what, seen.kernel, run.started, run.name"
        ))?;
        let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
        let mut rows = statement.query(values.as_slice())?;
        let mut all: Vec<Unsteady> = Vec::new();
        let mut last = None;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let kernel = row.get_ref(1)?.as_str()?;
            if last != Some(id) || all.last().is_none_or(|one| one.kernel != kernel) {
                let (key, name) = self.key(id)?;
                all.push(Unsteady {
                    key,
                    name,
                    kernel: kernel.to_owned(),
                    runs: Vec::new(),
                });
            }
            last = Some(id);
            if let (Some((run, started)), Some(one)) = (runs.get(&row.get(2)?), all.last_mut()) {
                one.runs.push(RunVerdict {
                    run: run.clone(),
                    started: *started,
                    verdict: verdict(row.get_ref(3)?.as_str()?)?,
                    mixed: row.get(4)?,
                });
            }
        }
        Ok(all)
    }

    /// The case of a number, and its name in the last run that has it.
    fn key(&self, id: i64) -> rusqlite::Result<(HistoryKey, String)> {
        self.db
            .prepare_cached(
                "SELECT arch, line, config, suite, variant, case_id,
                    (SELECT name FROM seen WHERE what = what.id ORDER BY run DESC LIMIT 1) FROM what WHERE id = ?1",
            )?
            .query_row([id], |row| Ok((key(row, 0)?, row.get(6)?)))
    }

    /// What was seen of the given cases in runs that started before `started`.
    ///
    /// # Errors
    ///
    /// The index does not read.
    pub fn before(&self, started: Timestamp, keys: &[HistoryKey]) -> Result<Vec<Seen>, IndexError> {
        let sql = format!(
            "{COLUMNS} WHERE what.arch = ?1 AND what.line = ?2 AND what.config = ?3 AND what.suite = ?4 AND what.variant = ?5
             AND what.case_id = ?6 AND run.started < ?7 ORDER BY run.started DESC, run.name DESC LIMIT {PAST}"
        );
        let ask = || {
            let mut statement = self.db.prepare_cached(&sql)?;
            let mut all = Vec::new();
            for key in keys {
                let arch = key.arch.to_string();
                let values = rusqlite::params![
                    arch,
                    key.line,
                    key.config,
                    key.suite,
                    key.variant,
                    key.case,
                    started.as_millisecond()
                ];
                for row in statement.query_map(values, seen)? {
                    all.push(row?);
                }
            }
            Ok(all)
        };
        ask().map_err(|source| self.sqlite(source))
    }

    fn rows(&self, sql: &str, values: &[Box<dyn ToSql>]) -> Result<Vec<Seen>, IndexError> {
        let ask = || -> rusqlite::Result<Vec<Seen>> {
            let mut statement = self.db.prepare_cached(sql)?;
            let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
            statement.query_map(values.as_slice(), seen)?.collect()
        };
        ask().map_err(|source| self.sqlite(source))
    }
}

/// How many runs back a case is looked at, to say since when it fails.
const PAST: u32 = 50;

impl Which {
    /// The condition on the columns of `table`, with the values of its places.
    pub(super) fn filter(&self, table: &str) -> (String, Vec<Box<dyn ToSql>>) {
        let mut conditions = vec!["1".to_owned()];
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut equal = |column: &str, value: Option<String>| {
            if let Some(value) = value {
                values.push(Box::new(value));
                conditions.push(format!("{table}.{column} = ?{}", values.len()));
            }
        };
        equal("case_id", self.case.clone());
        equal("suite", self.suite.clone());
        equal("arch", self.arch.map(|arch| arch.to_string()));
        equal("line", self.line.clone());
        equal("variant", self.variant.clone());
        if let Some(last) = self.last {
            conditions.push(format!(
                "run.id IN (SELECT id FROM run WHERE started IS NOT NULL ORDER BY started DESC, name DESC LIMIT {last})"
            ));
        }
        (conditions.join(" AND "), values)
    }
}

fn seen(row: &Row<'_>) -> rusqlite::Result<Seen> {
    let millis = |column| -> rusqlite::Result<Seconds> {
        Ok(Seconds::from_millis(row.get::<_, i64>(column)?.unsigned_abs()))
    };
    let boot = match row.get::<_, Option<i64>>(15)? {
        Some(total) => Some(Boot {
            mem_total: total.unsigned_abs(),
            free: row.get::<_, i64>(16)?.unsigned_abs(),
            seconds: millis(17)?,
        }),
        None => None,
    };
    Ok(Seen {
        run: row.get(0)?,
        started: time(row, 1)?,
        key: key(row, 2)?,
        name: row.get(8)?,
        kernel: row.get(9)?,
        verdict: verdict(row.get_ref(10)?.as_str()?)?,
        reason: row.get(11)?,
        attempts: row.get(12)?,
        mixed: row.get(13)?,
        seconds: millis(14)?,
        boot,
    })
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(column)?).map_err(|error| foreign(column, error))
}

/// The columns of a case, from the given one on.
pub(super) fn key(row: &Row<'_>, from: usize) -> rusqlite::Result<HistoryKey> {
    Ok(HistoryKey {
        arch: row
            .get_ref(from)?
            .as_str()?
            .parse()
            .map_err(|error| foreign(from, error))?,
        line: row.get(from + 1)?,
        config: row.get(from + 2)?,
        suite: row.get(from + 3)?,
        variant: row.get(from + 4)?,
        case: row.get(from + 5)?,
    })
}

fn verdict(word: &str) -> rusqlite::Result<Verdict> {
    Verdict::ALL
        .into_iter()
        .find(|verdict| verdict.word() == word)
        .ok_or_else(|| foreign(10, std::io::Error::other(format!("no verdict: {word}"))))
}

/// A value that no memrig writes there.
pub(super) fn foreign(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
