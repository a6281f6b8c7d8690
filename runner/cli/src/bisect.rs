// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig bisect`: the first bad commit of a range, by one case. And the exit codes that `git bisect run` wants.

use std::{path::Path, sync::Arc};

use super::{
    args::{Bisect, How},
    failure::Failure,
    report, run, setup, suites,
};
use ::run::{Filter, LoadedSuite};
use base::{
    fault::{Exit, Verdict},
    ui::Ui,
};
use supply::{
    kernel::KernelSource,
    tree::{Bisection, Next},
};

/// The exit code of `git bisect run` for one of memrig's: only a failure of the kernel is bad, and only passes are good.
///
/// Git stops at 128 and above, and takes everything else but 0 and 125 for bad.
pub(super) fn code_for_git(exit: Exit) -> u8 {
    match exit {
        Exit::Pass => 0,
        Exit::KernelFailed => 1,
        Exit::Usage | Exit::Broken | Exit::NothingSelected | Exit::Interrupted | Exit::Guest(_) => 125,
    }
}

/// What a run says about a commit: `None` where it says nothing.
pub(super) fn good(verdicts: impl Iterator<Item = Verdict>) -> Option<bool> {
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

fn word(good: Option<bool>) -> &'static str {
    match good {
        Some(true) => "good",
        Some(false) => "bad",
        None => "nothing can be said",
    }
}

struct Driver<'a> {
    args: &'a Bisect,
    path: &'a str,
    options: &'a str,
    suites: Vec<Arc<LoadedSuite>>,
    ui: &'a Ui,
}

/// What came of one commit.
enum Tested {
    Said(Option<bool>),
    Interrupted,
}

impl Driver<'_> {
    fn test(&self, commit: &str, title: &str) -> Result<Tested, Failure> {
        let name = format!("tree:{}@{commit}{}", self.path, self.options);
        let source: KernelSource = name.parse().map_err(Failure::of)?;
        let kernels = setup::kernels(&[source], &self.args.arches);
        let filter = Filter {
            cases: self.args.cases.clone(),
            variants: self.args.variants.clone(),
        };
        let selected = match run::select_of(kernels, &filter, &self.args.places, &self.suites, self.ui) {
            Ok(selected) => selected,
            // It does not build, or lacks what the bench needs.
            Err(failure) => {
                failure.tell(self.ui);
                self.ui.line(&format!("{title}: {}", word(None)));
                return Ok(Tested::Said(None));
            }
        };
        if selected.jobs.is_empty() {
            return Err(Failure::usage(anyhow::anyhow!(
                "no case of the suites is named by --case"
            )));
        }
        let results = run::utf8(&self.args.places.results)?;
        let outcome = run::outcome(selected, results, None, &How::default(), self.ui)?;
        report::write(&outcome.record, None, &outcome.folder)?;
        if outcome.exit == Exit::Interrupted {
            return Ok(Tested::Interrupted);
        }
        let said = good(outcome.record.cases.iter().map(|case| case.verdict));
        self.ui
            .out(&format!("{}: {title} ({})", word(said), outcome.folder));
        Ok(Tested::Said(said))
    }
}

pub(super) fn bisect(args: &Bisect, ui: &Ui) -> Result<Exit, Failure> {
    let (path, options) = args.tree.split_at(args.tree.find(',').unwrap_or(args.tree.len()));
    let driver = Driver {
        args,
        path,
        options,
        suites: suites::load(&args.suites, &["quick"])?,
        ui,
    };
    run::check_results(&run::utf8(&args.places.results)?)?;
    let mut bisection = Bisection::new(Path::new(path), &args.good, &args.bad).map_err(Failure::of)?;
    // An end that is not what it was said to be would lead to a commit that has nothing to do with it.
    let (good, bad) = bisection.ends();
    for (commit, wanted) in [(bad.to_owned(), false), (good.to_owned(), true)] {
        let title = bisection.title(&commit).map_err(Failure::of)?;
        match driver.test(&commit, &title)? {
            Tested::Interrupted => return Ok(Exit::Interrupted),
            Tested::Said(said) if said == Some(wanted) => {}
            Tested::Said(said) => {
                return Err(Failure::usage(anyhow::anyhow!(
                    "{title} was said to be {}, and is not: {}",
                    word(Some(wanted)),
                    word(said)
                )));
            }
        }
    }
    loop {
        match bisection.next().map_err(Failure::of)? {
            Next::Test { commit, left } => {
                let title = bisection.title(&commit).map_err(Failure::of)?;
                ui.line(&format!("{left} commits are left; next is {title}"));
                match driver.test(&commit, &title)? {
                    Tested::Interrupted => return Ok(Exit::Interrupted),
                    Tested::Said(said) => bisection.mark(&commit, said),
                }
            }
            Next::Found(commit) => {
                let title = bisection.title(&commit).map_err(Failure::of)?;
                ui.out(&format!("the first bad commit is {commit}: {title}"));
                return Ok(Exit::Pass);
            }
            Next::Among(commits) => {
                ui.out("commits that could not be tested stand in the way; the first bad commit is one of:");
                for commit in commits {
                    ui.out(&format!("  {}", bisection.title(&commit).map_err(Failure::of)?));
                }
                return Ok(Exit::Broken);
            }
        }
    }
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
