// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bisecting a git tree of the user's without writing to it: git names the commit in the middle, and memrig remembers.

use std::path::Path;

use crate::git::Git;
use base::{
    exec::ExecError,
    fault::{Blame, Blamed},
};

/// The state of a search for the first bad commit.
#[derive(Debug)]
pub struct Bisection {
    git: Git,
    good: Vec<String>,
    bad: String,
    skipped: Vec<String>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Test this commit.
    Test {
        /// Its id.
        commit: String,
        /// How many commits could be the first bad one.
        left: usize,
    },
    /// This is the first bad commit.
    Found(String),
    /// Commits that cannot be tested stand in the way: it is one of these.
    Among(Vec<String>),
}

/// Why there is nothing to search.
#[derive(Debug, thiserror::Error)]
pub enum BisectError {
    /// A name that means no commit.
    #[error("the tree has no commit `{0}`")]
    NoCommit(String),
    /// The ends are in the wrong order, or on different lines.
    #[error("the good commit {good} does not come before the bad one {bad}")]
    Order {
        /// The good one.
        good: String,
        /// The bad one.
        bad: String,
    },
    /// Git.
    #[error("asking a git tree")]
    Git(#[from] ExecError),
}

impl Blamed for BisectError {
    fn blame(&self) -> Blame {
        match self {
            Self::NoCommit(_) | Self::Order { .. } => Blame::Usage,
            Self::Git(_) => Blame::Bench,
        }
    }
}

impl Bisection {
    /// Begins between two commits.
    ///
    /// # Errors
    /// They are not there, or not in this order.
    pub fn new(tree: &Path, good: &str, bad: &str) -> Result<Self, BisectError> {
        let git = Git::asking(tree);
        let id = |name: &str| -> Result<String, BisectError> {
            let full = format!("{name}^{{commit}}");
            match git.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &full]) {
                Ok(id) => Ok(id),
                Err(ExecError::Failed { .. }) => Err(BisectError::NoCommit(name.to_owned())),
                Err(error) => Err(error.into()),
            }
        };
        let (good_id, bad_id) = (id(good)?, id(bad)?);
        if good_id == bad_id || !git.says_yes(&["merge-base", "--is-ancestor", &good_id, &bad_id])? {
            return Err(BisectError::Order {
                good: good.to_owned(),
                bad: bad.to_owned(),
            });
        }
        Ok(Self {
            git,
            good: vec![good_id],
            bad: bad_id,
            skipped: Vec::new(),
        })
    }

    /// The two ends, good and bad.
    pub fn ends(&self) -> (&str, &str) {
        (&self.good[0], &self.bad)
    }

    /// A commit in words: its short id and its subject.
    ///
    /// # Errors
    /// Git does not run.
    pub fn title(&self, commit: &str) -> Result<String, ExecError> {
        self.git
            .run(&["show", "--no-patch", "--format=%h (\"%s\")", commit])
    }

    /// Takes the verdict on a commit; `None` means that nothing can be said.
    pub fn mark(&mut self, commit: &str, good: Option<bool>) {
        match good {
            Some(true) => self.good.push(commit.to_owned()),
            Some(false) => commit.clone_into(&mut self.bad),
            None => self.skipped.push(commit.to_owned()),
        }
    }

    /// The commit to test next, or the end of the search.
    ///
    /// # Errors
    /// Git does not run.
    pub fn next(&self) -> Result<Next, ExecError> {
        let mut args = vec!["rev-list", "--bisect-all", &self.bad, "--not"];
        args.extend(self.good.iter().map(String::as_str));
        let list = self.git.run(&args)?;
        // The one that halves the range best comes first; the bad end is one of them.
        let open: Vec<&str> = list
            .lines()
            .filter_map(|line| line.split(' ').next())
            .filter(|commit| *commit != self.bad && !commit.is_empty())
            .collect();
        let test = open
            .iter()
            .find(|commit| !self.skipped.iter().any(|skipped| skipped == *commit));
        Ok(match test {
            Some(commit) => Next::Test {
                commit: (*commit).to_owned(),
                left: open.len() + 1,
            },
            None if open.is_empty() => Next::Found(self.bad.clone()),
            None => Next::Among(
                open.iter()
                    .map(|commit| (*commit).to_owned())
                    .chain([self.bad.clone()])
                    .collect(),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line of commits, the ids of which are returned in order.
    fn line(dir: &Path, count: usize) -> Vec<String> {
        crate::git::installed();
        let git = Git::ours(dir);
        git.run(&["init", "-q", "-b", "main"]).unwrap();
        (0..count)
            .map(|n| {
                git.run(&["commit", "-q", "--allow-empty", "-m", &format!("c{n}")])
                    .unwrap();
                git.run(&["rev-parse", "HEAD"]).unwrap()
            })
            .collect()
    }

    /// Searches with an oracle, and returns the end and how many were tested.
    fn search(dir: &Path, ends: (&str, &str), verdict: impl Fn(&str) -> Option<bool>) -> (Next, usize) {
        let mut bisection = Bisection::new(dir, ends.0, ends.1).unwrap();
        for tested in 0..100 {
            match bisection.next().unwrap() {
                Next::Test { commit, .. } => bisection.mark(&commit, verdict(&commit)),
                end => return (end, tested),
            }
        }
        panic!("it does not end");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn the_first_bad_commit_is_found_and_what_cannot_be_tested_is_passed_by(
            first in 1..12usize, skipped in prop::collection::btree_set(1..11usize, 0..4)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let ids = line(dir.path(), 12);
            let at = |commit: &str| ids.iter().position(|id| id == commit).unwrap();
            let verdict = |commit: &str| (!skipped.contains(&at(commit))).then(|| at(commit) < first);
            let (end, tested) = search(dir.path(), (&ids[0], "main"), verdict);
            match end {
                Next::Found(commit) => prop_assert_eq!(at(&commit), first),
                Next::Among(commits) => {
                    let places: Vec<usize> = commits.iter().map(|commit| at(commit)).collect();
                    prop_assert!(places.contains(&first));
                    prop_assert!(places.iter().filter(|place| skipped.contains(place)).count() > 0);
                }
                Next::Test { .. } => unreachable!("the search has ended"),
            }
            prop_assert!(tested <= 4 + skipped.len(), "{tested} tested");
        }
    }

    #[test]
    fn ends_that_are_none_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let ids = line(dir.path(), 3);
        let error = |good: &str, bad: &str| Bisection::new(dir.path(), good, bad).unwrap_err().to_string();
        assert_eq!(error("v9", "main"), "the tree has no commit `v9`");
        assert!(error(&ids[2], &ids[0]).contains("does not come before"));
        assert!(error(&ids[1], &ids[1]).contains("does not come before"));
    }
}
