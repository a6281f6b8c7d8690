// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asking the index which cases ran what.

use std::collections::{BTreeSet, HashMap, HashSet, hash_map::Entry};

use crate::plan::{Job, Target};
use base::Arch;
use record::{
    Ran, Reach,
    index::{CoveredBy, HistoryKey, Index, IndexError, LastCovered},
};

/// What the covered kernels that were asked say, each asked once.
pub(super) struct Asked<'a> {
    index: &'a Index,
    reaches: HashMap<i64, Reach>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(index: &'a Index) -> Self {
        let reaches = HashMap::new();
        Self { index, reaches }
    }

    pub(super) fn reach(&mut self, by: &CoveredBy) -> Result<&Reach, IndexError> {
        if !self.reaches.contains_key(&by.id) {
            self.reaches.insert(by.id, self.index.reach(by)?);
        }
        Ok(&self.reaches[&by.id])
    }

    /// Which of the cases reach a target.
    pub(super) fn reaching(
        &mut self,
        sources: &[Option<&LastCovered>],
        target: &Target,
    ) -> Result<Vec<bool>, IndexError> {
        let mut ran: HashMap<i64, Ran> = HashMap::new();
        let mut reaching = Vec::new();
        for source in sources {
            let Some(last) = source else {
                reaching.push(false);
                continue;
            };
            let reached = match ran.entry(last.by.id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(target.reached_by(self.reach(&last.by)?)),
            };
            reaching.push(reached.has(last.number));
        }
        Ok(reaching)
    }
}

/// The cases of jobs, each once.
pub(super) fn keys_of<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> Vec<HistoryKey> {
    let mut known = HashSet::new();
    let keys = jobs.into_iter().map(|job| HistoryKey::of(&job.key));
    keys.filter(|key| known.insert(key.clone())).collect()
}

/// Where all cases were covered last, on the architectures of some.
pub(super) fn last_covered(index: &Index, keys: &[HistoryKey]) -> Result<Vec<LastCovered>, IndexError> {
    let arches: BTreeSet<Arch> = keys.iter().map(|key| key.arch).collect();
    let mut all = Vec::new();
    for arch in arches {
        all.extend(index.last_covered(arch)?);
    }
    Ok(all)
}
