// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was seen of a case: its ledgers, and what is seen beside them where kernels are compared.

use std::io;

use camino::Utf8Path;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{CaseRecord, FORMAT, ObservedCase};
use base::{
    fault::{Blame, Blamed},
    named,
};
use memory::Ledger;

/// Names of the files in a case's folder.
pub(crate) const LEDGERS: &str = "ledgers.json";
pub(crate) const OBSERVED: &str = "observed.json";

/// One ledger of `ledgers.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The step after which it was read; `None` for the one before the first step.
    pub step: Option<u32>,
    /// Seconds since the run started.
    pub at: f64,
    /// The ledger.
    pub ledger: Ledger,
}

/// What `ledgers.json` holds.
pub(crate) fn ledgers_json(ledgers: &[LedgerEntry]) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Ledgers<'a> {
        format: u32,
        ledgers: &'a [LedgerEntry],
    }
    serde_json::to_vec(&Ledgers {
        format: FORMAT,
        ledgers,
    })
}

/// Why what was seen of a case cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SeenError {
    /// A file.
    #[error("what was seen of a case cannot be read")]
    Io(#[from] io::Error),
    /// Its text.
    #[error("`{path}` does not read")]
    Json {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Blamed for SeenError {
    fn blame(&self) -> Blame {
        Blame::Bench
    }
}

impl CaseRecord {
    /// Its ledgers in the run in this folder, in order; `None` where none were written.
    ///
    /// # Errors
    ///
    /// Fails if they do not read.
    pub fn ledgers(&self, run: &Utf8Path) -> Result<Option<Vec<LedgerEntry>>, SeenError> {
        let ledgers: Option<Ledgers<LedgerEntry>> = json(&run.join(self.files()).join(LEDGERS))?;
        Ok(ledgers.map(|ledgers| ledgers.ledgers))
    }

    /// What was seen beside them; `None` where nothing was written.
    ///
    /// # Errors
    ///
    /// Fails if it does not read.
    pub fn observed(&self, run: &Utf8Path) -> Result<Option<ObservedCase>, SeenError> {
        json(&run.join(self.files()).join(OBSERVED))
    }
}

/// `ledgers.json`.
#[derive(Deserialize)]
struct Ledgers<T> {
    ledgers: Vec<T>,
}

/// Those ledgers of a `ledgers.json` that read: a report does without the others.
pub(super) fn readable_ledgers(bytes: &[u8]) -> Vec<LedgerEntry> {
    let all = serde_json::from_slice::<Ledgers<serde_json::Value>>(bytes);
    let all = all.map_or_else(|_| Vec::new(), |ledgers| ledgers.ledgers);
    all.into_iter()
        .filter_map(|entry| serde_json::from_value(entry).ok())
        .collect()
}

/// A file, if it is there.
fn json<T: DeserializeOwned>(path: &Utf8Path) -> Result<Option<T>, SeenError> {
    let Some(bytes) = named::read_if_there(path.as_std_path())? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| SeenError::Json {
            path: path.to_string(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never written anew: a later memrig reads it.
    const WRITTEN: &[u8] = include_bytes!("../../cli/tests/corpus/ledgers/of-0.1.0.json");

    #[test]
    fn ledgers_that_were_written_read() {
        let strict: Ledgers<LedgerEntry> = serde_json::from_slice(WRITTEN).unwrap();
        assert!(strict.ledgers.len() > 1);
        assert_eq!(readable_ledgers(WRITTEN), strict.ledgers);
    }

    #[test]
    fn a_ledger_that_does_not_read_takes_no_other_with_it() {
        let mut file: serde_json::Value = serde_json::from_slice(WRITTEN).unwrap();
        let all = readable_ledgers(WRITTEN).len();
        file["ledgers"][1]["ledger"] = serde_json::json!({ "mem_total": 9 });
        assert_eq!(readable_ledgers(file.to_string().as_bytes()).len(), all - 1);
        assert_eq!(readable_ledgers(&WRITTEN[..WRITTEN.len() / 2]), []);
    }
}
