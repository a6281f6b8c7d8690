// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which commit a series is applied to, and why that one.

use super::LoadedSeries;
use crate::{base::exec::ExecError, rig::tree::SourceTree};

/// The commit that a series is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its id.
    pub commit: String,
    /// Why it is this one, in words.
    pub why: String,
}

/// Chooses the base of a series in a tree; `Err` in the result says what the user named wrongly.
///
/// # Errors
/// Git does not run.
pub fn base(series: &LoadedSeries, tree: &SourceTree) -> Result<Result<Base, String>, ExecError> {
    let ours = |why: String| {
        Ok(Ok(Base {
            commit: tree.base().to_owned(),
            why,
        }))
    };
    match series {
        LoadedSeries::Range { base, .. } => {
            if !tree.has_history() {
                return Ok(Err(format!(
                    "a range such as `{base}..` needs a git tree as its base: {} is none",
                    tree.about()
                )));
            }
            Ok(match tree.commit(base)? {
                Some(commit) => Ok(Base {
                    commit,
                    why: format!("the range begins after {base}"),
                }),
                None => Err(format!("the tree has no commit `{base}`")),
            })
        }
        LoadedSeries::Mails(_) if tree.names_its_base() => ours("it was named".to_owned()),
        LoadedSeries::Mails(series) => match &series.base_commit {
            None => ours("the series names none, so what is there".to_owned()),
            Some(named) => match tree.commit(named)? {
                Some(commit) => Ok(Ok(Base {
                    commit,
                    why: "base-commit of the series".to_owned(),
                })),
                None => ours(format!(
                    "base-commit {named} of the series is not in the tree, so what is there"
                )),
            },
        },
    }
}
