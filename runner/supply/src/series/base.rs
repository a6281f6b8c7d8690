// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which commit a series is applied to, and why that one.

use super::{ApplyError, LoadedSeries, apply};
use crate::{cache::NotHere, tree::SourceTree};
use format::mail::{Need, Series};

/// The commit that a series is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its id.
    pub commit: String,
    /// Why it is this one, in words.
    pub why: String,
    /// What the series says that it stands on, and that is not known to be there. Then it is no fault of the series if it does not apply.
    pub lacks: Option<String>,
}

/// Chooses the base of a series in a tree, and applies to it what the user names as prerequisites.
///
/// # Errors
/// Git does not run, the user named something wrongly, or the series needs what was not given.
pub fn base(series: &LoadedSeries, tree: &SourceTree) -> Result<Base, ApplyError> {
    match series {
        LoadedSeries::Range { base, .. } => {
            if !tree.has_history() {
                return Err(ApplyError::Range(format!(
                    "a range such as `{base}..` needs a git tree as its base: {} is none",
                    tree.about()
                )));
            }
            match tree.commit(base)? {
                Some(commit) => Ok(Base {
                    commit,
                    why: format!("the range begins after {base}"),
                    lacks: None,
                }),
                None => Err(ApplyError::Range(format!("the tree has no commit `{base}`"))),
            }
        }
        LoadedSeries::Mails { series, before } => {
            let (mut chosen, named) = of_mails(series, tree)?;
            let mut given = Given::default();
            for before in before {
                // What comes first may itself say on which commit.
                chosen.commit = on_top(before, &chosen.commit, tree)?;
                given.add(before, tree)?;
            }
            if !before.is_empty() {
                chosen.why += ", with its prerequisites";
            }
            let missing: Vec<String> = series
                .needs
                .iter()
                .filter(|need| !given.has(need))
                .map(ToString::to_string)
                .collect();
            if !missing.is_empty() && before.is_empty() {
                let said = format!(
                    "it needs {}: give it with `prerequisite=SERIES`",
                    missing.join(", ")
                );
                if named {
                    // Patches on which a series stands are not in the commit that it names beside them.
                    return Err(ApplyError::Needs(format!("the series is not applied: {said}")));
                }
                chosen.lacks = Some(
                    chosen
                        .lacks
                        .map_or(said.clone(), |lacks| format!("{lacks}, and {said}")),
                );
            }
            Ok(chosen)
        }
    }
}

/// The base, and whether it is the one that the series names.
fn of_mails(series: &Series, tree: &SourceTree) -> Result<(Base, bool), ApplyError> {
    let ours = |why: &str, lacks: Option<String>| Base {
        commit: tree.base().to_owned(),
        why: why.to_owned(),
        lacks,
    };
    if tree.names_its_base() {
        return Ok((ours("it was named", None), false));
    }
    for named in &series.bases {
        if let Some(commit) = tree.commit(&named.commit)? {
            let why = format!("base-commit of {}", named.by);
            return Ok((
                Base {
                    commit,
                    why,
                    lacks: None,
                },
                true,
            ));
        }
    }
    let Some(first) = series.bases.first() else {
        return Ok((ours("the series names none, so what is there", None), false));
    };
    let lacks = format!("its base-commit {} is not in the tree", first.commit);
    let why = format!(
        "base-commit {} of {} is not in the tree, so what is there",
        first.commit, first.by
    );
    Ok((ours(&why, Some(lacks)), false))
}

/// The commit of a prerequisite on another one.
fn on_top(before: &LoadedSeries, commit: &str, tree: &SourceTree) -> Result<String, ApplyError> {
    let LoadedSeries::Mails { series, .. } = before else {
        return Err(ApplyError::Needs(
            "a range of commits is no prerequisite: name its last commit as the base, as in tree:PATH@COMMIT"
                .to_owned(),
        ));
    };
    let applied = apply(before, commit, tree)?;
    match (applied.stopped, applied.patches.last()) {
        (None, Some(last)) => Ok(last.commit.clone()),
        (stopped, _) => {
            let said = stopped.map_or_else(String::new, |stopped| stopped.to_string());
            Err(ApplyError::Needs(format!(
                "of the prerequisite `{}`, {said}",
                series.title
            )))
        }
    }
}

/// The ids of what was given.
#[derive(Default)]
struct Given {
    patches: Vec<String>,
    mails: Vec<String>,
}

impl Given {
    fn add(&mut self, before: &LoadedSeries, tree: &SourceTree) -> Result<(), ApplyError> {
        let LoadedSeries::Mails { series, .. } = before else {
            return Ok(());
        };
        self.mails.extend(series.ids.iter().cloned());
        if tree.only_looks() {
            return Err(
                NotHere::would("the series and its prerequisites would be applied, and built").into(),
            );
        }
        for patch in &series.patches {
            let mail = tree.dir().join("prerequisite.patch");
            fs_err::write(&mail, patch.for_git())?;
            let ask = tree.git().command(&["patch-id", "--stable"]);
            let said = crate::git::text(ask.stdin(fs_err::File::open(&mail)?.into_parts().0))?;
            fs_err::remove_file(&mail)?;
            self.patches
                .extend(said.split_whitespace().next().map(str::to_owned));
        }
        Ok(())
    }

    fn has(&self, need: &Need) -> bool {
        match need {
            Need::Patch(id) => self.patches.contains(id),
            Need::Mail(id) => self.mails.contains(id),
            Need::Change(_) => false,
        }
    }
}
