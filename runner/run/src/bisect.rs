// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first bad commit of a range, by what cases say of each. And what `git bisect run` is told.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use camino::Utf8PathBuf;

use crate::{
    plan::{Filter, LoadedSuite},
    select::{SelectError, Selection, kernels},
    session::{How, Outcome, Request, RunError, run},
};
use base::{
    Arch,
    exec::ExecError,
    fault::{Blame, Blamed, Exit, Verdict},
    ui::Ui,
};
use supply::{
    kernel::{KernelSpec, SourceError},
    tree::{BisectError, Bisection, Next},
};

/// The exit code of `git bisect run` for one of memrig's: only a failure of the kernel is bad, and only passes are good.
///
/// Git stops at 128 and above, and takes everything else but 0 and 125 for bad.
pub fn code_for_git(exit: Exit) -> u8 {
    match exit {
        Exit::Pass => 0,
        Exit::KernelFailed => 1,
        Exit::Usage | Exit::Broken | Exit::NothingSelected | Exit::Interrupted | Exit::Guest(_) => 125,
    }
}

/// What a run says about a commit: `None` where it says nothing.
pub fn good(verdicts: impl Iterator<Item = Verdict>) -> Option<bool> {
    // What is known to fail does fail. A case that was skipped has not told good from bad.
    let verdicts: Vec<Verdict> = verdicts.collect();
    if verdicts
        .iter()
        .any(|verdict| matches!(verdict, Verdict::Fail | Verdict::Known))
    {
        Some(false)
    } else if verdicts.contains(&Verdict::Pass) && !verdicts.contains(&Verdict::Error) {
        Some(true)
    } else {
        None
    }
}

/// What is said of a commit.
pub fn good_word(good: Option<bool>) -> &'static str {
    match good {
        Some(true) => "good",
        Some(false) => "bad",
        None => "nothing can be said",
    }
}

/// What is searched, and by what.
#[derive(Debug, Clone)]
pub struct Range<'a> {
    /// The git tree, with what stands behind its path in the name of a kernel.
    pub tree: &'a str,
    /// A commit that is good.
    pub good: &'a str,
    /// A commit that is bad.
    pub bad: &'a str,
    /// Architectures; none means both.
    pub arches: &'a [Arch],
    /// The suites.
    pub suites: &'a [Arc<LoadedSuite>],
    /// The cases that tell good from bad.
    pub filter: Filter,
    /// QEMU binaries that the user names.
    pub qemus: BTreeMap<Arch, PathBuf>,
    /// The folder that gets the runs' folders.
    pub results: Utf8PathBuf,
}

/// Why the search ends without an answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The range.
    #[error(transparent)]
    Range(#[from] BisectError),
    /// The name of the tree.
    #[error(transparent)]
    Kernel(#[from] SourceError),
    /// The kernels.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Git.
    #[error(transparent)]
    Git(#[from] ExecError),
    /// No case tells good from bad.
    #[error("no case of the suites is named by --case")]
    NoCase,
    /// An end of the range would lead to a commit that has nothing to do with it.
    #[error("{title} was said to be {}, and is not: {}", good_word(Some(*.said)), good_word(*.is))]
    End {
        /// The commit.
        title: String,
        /// Whether it was said to be good.
        said: bool,
        /// What it is.
        is: Option<bool>,
    },
    /// A run.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Blamed for SearchError {
    fn blame(&self) -> Blame {
        match self {
            Self::Range(error) => error.blame(),
            Self::Kernel(error) => error.blame(),
            Self::Select(error) => error.blame(),
            Self::Git(error) => error.blame(),
            Self::Run(error) => error.blame(),
            Self::NoCase | Self::End { .. } => Blame::Usage,
        }
    }
}

/// A search for the first bad commit.
#[derive(Debug)]
pub struct Search<'a> {
    range: Range<'a>,
    bisection: Bisection,
    /// Ends of the range that are still to be tested, the last one first, and whether they are said to be good.
    ends: Vec<(String, bool)>,
    last: Option<Last>,
}

/// What the last test came to.
#[derive(Debug)]
struct Last {
    commit: String,
    /// Of an end of the range: whether it was said to be good.
    said: Option<bool>,
    /// Whether it is good.
    is: Option<bool>,
}

/// What one more look of a search came to.
#[derive(Debug)]
pub enum Searched {
    /// A commit was tested.
    Tested {
        /// The commit in words.
        title: String,
        /// Its run.
        outcome: Box<Outcome>,
        /// Whether it is good; `None` where nothing can be said.
        good: Option<bool>,
    },
    /// A commit does not build, or lacks what the bench needs.
    NotTested {
        /// The commit in words.
        title: String,
        /// Why.
        why: SelectError,
    },
    /// This is the first bad commit.
    Found {
        /// Its id.
        commit: String,
        /// It in words.
        title: String,
    },
    /// Commits that could not be tested stand in the way: it is one of these, in words.
    Among(Vec<String>),
}

impl<'a> Search<'a> {
    /// Begins.
    ///
    /// # Errors
    /// The range is none.
    pub fn new(range: Range<'a>) -> Result<Self, SearchError> {
        let (path, _) = parts(range.tree);
        let bisection = Bisection::new(Path::new(path), range.good, range.bad)?;
        let (good, bad) = bisection.ends();
        Ok(Self {
            ends: vec![(good.to_owned(), true), (bad.to_owned(), false)],
            last: None,
            range,
            bisection,
        })
    }

    /// Tests the next commit: the ends first, since one that is not what it was said to be would lead to a commit that has nothing to do with it.
    /// After a run that was interrupted there is no next step.
    ///
    /// # Errors
    /// An end is not what it was said to be, or a commit cannot even be tried.
    pub fn step(&mut self, ui: &Ui) -> Result<Searched, SearchError> {
        self.take_in()?;
        let (commit, said) = match self.ends.pop() {
            Some((commit, said)) => (commit, Some(said)),
            None => match self.bisection.next()? {
                Next::Test { commit, left } => {
                    let title = self.bisection.title(&commit)?;
                    ui.line(&format!("{left} commits are left; next is {title}"));
                    (commit, None)
                }
                Next::Found(commit) => {
                    let title = self.bisection.title(&commit)?;
                    return Ok(Searched::Found { commit, title });
                }
                Next::Among(commits) => {
                    let titles = commits.iter().map(|commit| self.bisection.title(commit));
                    return Ok(Searched::Among(titles.collect::<Result<_, _>>()?));
                }
            },
        };
        let title = self.bisection.title(&commit)?;
        let step = self.test(&commit, title, ui)?;
        let is = match &step {
            Searched::Tested { good, .. } => *good,
            _ => None,
        };
        self.last = Some(Last { commit, said, is });
        Ok(step)
    }

    /// Takes in what the last test said.
    fn take_in(&mut self) -> Result<(), SearchError> {
        match self.last.take() {
            Some(Last {
                commit,
                said: None,
                is,
            }) => self.bisection.mark(&commit, is),
            Some(Last {
                commit,
                said: Some(said),
                is,
            }) if is != Some(said) => {
                let title = self.bisection.title(&commit)?;
                return Err(SearchError::End { title, said, is });
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn test(&self, commit: &str, title: String, ui: &Ui) -> Result<Searched, SearchError> {
        let range = &self.range;
        let (path, options) = parts(range.tree);
        let spec: KernelSpec = format!("tree:{path}@{commit}{options}").parse()?;
        let selection = Selection {
            kernels: kernels(&[spec], range.arches)?,
            suites: range.suites,
            filter: range.filter.clone(),
            reaches: None,
            qemus: range.qemus.clone(),
        };
        let selected = match selection.select(ui) {
            Ok(selected) => selected,
            Err(why) => return Ok(Searched::NotTested { title, why }),
        };
        if selected.jobs.is_empty() {
            return Err(SearchError::NoCase);
        }
        let outcome = run(Request::of(selected, range.results.clone(), How::default()), ui)?;
        let good = good(outcome.record.cases.iter().map(|case| case.verdict));
        Ok(Searched::Tested {
            title,
            outcome: Box::new(outcome),
            good,
        })
    }
}

/// The path of a tree, and the words behind it with their comma.
fn parts(tree: &str) -> (&str, &str) {
    tree.split_at(tree.find(',').unwrap_or(tree.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_never_told_bad_without_evidence_and_never_stopped() {
        let all = [
            (Exit::Pass, 0),
            (Exit::KernelFailed, 1),
            (Exit::Usage, 125),
            (Exit::Broken, 125),
            (Exit::NothingSelected, 125),
            (Exit::Interrupted, 125),
        ];
        for (exit, code) in all {
            assert_eq!(code_for_git(exit), code, "{exit:?}");
        }
    }

    #[test]
    fn only_a_pass_is_good() {
        use Verdict::*;
        assert_eq!(good([Pass, Skip].into_iter()), Some(true));
        assert_eq!(good([Pass, Fail, Error].into_iter()), Some(false));
        assert_eq!(good([Known].into_iter()), Some(false));
        assert_eq!(good([Pass, Error].into_iter()), None);
        assert_eq!(good([Skip].into_iter()), None);
        assert_eq!(good([].into_iter()), None);
    }
}
