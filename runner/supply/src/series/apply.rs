// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making commits of a series, in a work tree that has the series' files and no others.

use std::{cell::RefCell, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Base, LoadedSeries, SeriesError, base, excerpt};
use crate::{
    cache::{CacheError, Key, NotHere},
    git::Git,
    tree::{SourceTree, TreeError},
};
use ::base::exec::ExecError;
use format::mail::Patch;

/// Changes when the commits that are made do.
const LAYOUT: &str = "series 2";

/// A patch that became a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedPatch {
    /// Its title.
    pub title: String,
    /// The commit.
    pub commit: String,
}

/// A patch that does not apply: a verdict on the series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("patch {number} of {total} (`{title}`) does not apply: {said}")]
pub struct NotApplied {
    /// Its number, from 1.
    pub number: usize,
    /// Of how many.
    pub total: usize,
    /// Its title.
    pub title: String,
    /// The file that it fails at.
    pub file: Option<String>,
    /// The first hunk that fails, by its header.
    pub(crate) hunk: Option<String>,
    /// What is wrong, with the file and the hunk.
    pub said: String,
}

/// What became of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The patches that applied, in order.
    pub patches: Vec<AppliedPatch>,
    /// The one that did not; those after it were not tried.
    pub stopped: Option<NotApplied>,
}

/// Applies a series on a commit, or finds out what became of it before.
///
/// # Errors
/// The tree, git, or a range that is none. That a patch does not apply is no error.
pub(crate) fn apply(series: &LoadedSeries, base: &str, tree: &SourceTree) -> Result<Applied, ApplyError> {
    match series {
        LoadedSeries::Range { base, tip } => range(base, tip, tree),
        LoadedSeries::Mails { series, .. } => {
            tree.bring(base, 1)?;
            let mut key = Key::new().with(LAYOUT).with(base);
            for patch in &series.patches {
                key = key.with(patch.for_git());
            }
            let folder = tree.dir().join("series");
            if !tree.only_looks() {
                fs_err::create_dir_all(&folder)?;
            }
            let written = folder.join(format!("{}.json", key.finish()));
            if let Ok(text) = fs_err::read(&written)
                && let Ok(applied) = serde_json::from_slice::<Applied>(&text)
                && tree.is_made()
                && still_there(&applied, tree)?
            {
                return Ok(applied);
            }
            if tree.only_looks() {
                return Err(NotHere::would("the series would be applied, and built").into());
            }
            let applied = mails(&series.patches, base, tree)?;
            fs_err::write(
                &written,
                serde_json::to_vec(&applied).map_err(std::io::Error::from)?,
            )?;
            Ok(applied)
        }
    }
}

/// Chooses the base of a series, and applies it there.
///
/// # Errors
/// As [`base`] and [`apply`]; or it does not apply to a tree that may lack what it stands on, which says nothing about it.
pub fn on_base(series: &LoadedSeries, tree: &SourceTree) -> Result<(Base, Applied), ApplyError> {
    let base = base(series, tree)?;
    let applied = apply(series, &base.commit, tree)?;
    match (&applied.stopped, &base.lacks) {
        (Some(stopped), Some(lacks)) => Err(ApplyError::Needs(format!(
            "{stopped}; that is no fault of the series: {lacks}"
        ))),
        _ => Ok((base, applied)),
    }
}

/// Why a series could not even be tried.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The series.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// The range is none.
    #[error("{0}")]
    Range(String),
    /// The series stands on what is not there.
    #[error("{0}")]
    Needs(String),
    /// A patch fits but for what a mail program made of it.
    #[error(
        "patch {number} of {total} (`{title}`) has spaces where {file} has tabs: a mail program has changed it; take it from an archive, or have it \
         sent as it is"
    )]
    Damaged {
        /// Its number, from 1.
        number: usize,
        /// Of how many.
        total: usize,
        /// Its title.
        title: String,
        /// The file that it fails at.
        file: String,
    },
    /// The tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Git.
    #[error("applying a series")]
    Git(#[from] ExecError),
    /// A file; the source has its path.
    #[error("applying a series")]
    Io(#[from] std::io::Error),
}

impl ApplyError {
    /// What would be done, where the cache is only looked at.
    pub fn not_here(&self) -> Option<&NotHere> {
        match self {
            Self::Cache(CacheError::NotHere(what)) => Some(what),
            Self::Tree(error) => error.not_here(),
            Self::Series(error) => error.not_here(),
            _ => None,
        }
    }
}

fn still_there(applied: &Applied, tree: &SourceTree) -> Result<bool, ExecError> {
    for patch in &applied.patches {
        if !tree.git().says_yes(&["cat-file", "-e", &patch.commit])? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The commits of a range: they are there already.
fn range(base: &str, tip: &str, tree: &SourceTree) -> Result<Applied, ApplyError> {
    let commit = |name: &str| -> Result<String, ApplyError> {
        tree.commit(name)?
            .ok_or_else(|| ApplyError::Range(format!("the tree has no commit `{name}`")))
    };
    let (from, to) = (commit(base)?, commit(tip)?);
    let range = format!("{from}..{to}");
    if tree.ask(&["merge-base", &from, &to]).ok().as_deref() != Some(from.as_str()) {
        return Err(ApplyError::Range(format!("{tip} does not come after {base}")));
    }
    if !tree
        .ask(&["rev-list", "--merges", "--max-count=1", &range])?
        .is_empty()
    {
        return Err(ApplyError::Range(format!(
            "{base}..{tip} has merges, so that it is no series of patches"
        )));
    }
    let list = tree.ask(&["log", "--reverse", "--format=%H %s", &range])?;
    let patches: Vec<AppliedPatch> = list
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(commit, title)| AppliedPatch {
            title: title.to_owned(),
            commit: commit.to_owned(),
        })
        .collect();
    if patches.is_empty() {
        return Err(ApplyError::Range(format!("{base}..{tip} has no commits")));
    }
    tree.bring(&to, patches.len() + 1)?;
    Ok(Applied {
        patches,
        stopped: None,
    })
}

fn mails(patches: &[Patch], base: &str, tree: &SourceTree) -> Result<Applied, ApplyError> {
    if let Some(patches) = excerpt::mails(patches, base, tree)? {
        return Ok(Applied {
            patches,
            stopped: None,
        });
    }
    with_all_files(patches, base, tree)
}

/// Applies patches with the list of all files at hand, in a second for each with a kernel's source.
pub(super) fn with_all_files(
    patches: &[Patch],
    base: &str,
    tree: &SourceTree,
) -> Result<Applied, ApplyError> {
    let sparse = Sparse::new(patches, base, tree)?;
    let mut applied = Applied {
        patches: Vec::new(),
        stopped: None,
    };
    for (index, patch) in patches.iter().enumerate() {
        match sparse.am(patch)? {
            Ok(commit) => applied.patches.push(AppliedPatch {
                title: patch.title.clone(),
                commit,
            }),
            Err(refused) if refused.spaces_only => {
                sparse.0.clear()?;
                return Err(ApplyError::Damaged {
                    number: index + 1,
                    total: patches.len(),
                    title: patch.title.clone(),
                    file: refused.file.unwrap_or_default(),
                });
            }
            Err(refused) => {
                applied.stopped = Some(NotApplied {
                    number: index + 1,
                    total: patches.len(),
                    title: patch.title.clone(),
                    file: refused.file,
                    hunk: refused.hunk,
                    said: refused.said,
                });
                break;
            }
        }
    }
    sparse.0.clear()?;
    Ok(applied)
}

/// Why git refused a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused {
    file: Option<String>,
    hunk: Option<String>,
    said: String,
    /// It has no tab, and would fit if spaces were as good as tabs.
    spaces_only: bool,
}

/// A second work tree of our repository. Applying in the one that is built would make its files new.
pub(super) struct Worktree<'a> {
    pub(super) tree: &'a SourceTree,
    pub(super) git: Git,
    pub(super) mail: PathBuf,
    log: PathBuf,
    /// What git said last.
    said: RefCell<Vec<String>>,
}

impl<'a> Worktree<'a> {
    pub(super) fn at(tree: &'a SourceTree) -> Self {
        Self {
            tree,
            git: Git::ours(tree.dir().join("apply")),
            mail: tree.dir().join("apply.mbox"),
            log: tree.dir().join("apply.log"),
            said: RefCell::new(Vec::new()),
        }
    }

    /// Removes it, if it is there.
    pub(super) fn clear(&self) -> Result<(), ApplyError> {
        if self.git.dir().exists() {
            fs_err::remove_dir_all(self.git.dir())?;
        }
        self.tree.git().run(&["worktree", "prune"])?;
        for file in [&self.mail, &self.log] {
            if file.exists() {
                fs_err::remove_file(file)?;
            }
        }
        Ok(())
    }

    /// Has git apply a patch; the commit that is checked out then, or `None` where it does not apply.
    pub(super) fn am(&self, patch: &Patch) -> Result<Option<String>, ApplyError> {
        let text = patch.for_git();
        for id in contents(&String::from_utf8_lossy(&text)) {
            self.tree.bring_content(id)?;
        }
        fs_err::write(&self.mail, &text)?;
        let mail = self.mail.to_string_lossy().into_owned();
        let am = self.git.command(&[
            "am",
            "--quiet",
            "--3way",
            "--patch-format=mboxrd",
            "--committer-date-is-author-date",
            &mail,
        ]);
        let mut said = Vec::new();
        let done = am.run_logged(&self.log, |line| said.push(line.to_owned()));
        self.said.replace(said);
        match done {
            Ok(()) => Ok(Some(self.git.run(&["rev-parse", "HEAD"])?)),
            // It says so of a patch that does not fit, and ends in the same way where it cannot work at all.
            Err(ExecError::Failed { .. })
                if self
                    .said
                    .borrow()
                    .iter()
                    .any(|line| line.starts_with("Patch failed at ")) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A work tree with the list of all files of the base, of which those of the series are there.
struct Sparse<'a>(Worktree<'a>);

impl<'a> Sparse<'a> {
    fn new(patches: &[Patch], base: &str, tree: &'a SourceTree) -> Result<Self, ApplyError> {
        let worktree = Worktree::at(tree);
        let name = worktree.git.dir().to_string_lossy().into_owned();
        tree.git().run(&[
            "worktree",
            "add",
            "--quiet",
            "--no-checkout",
            "--detach",
            &name,
            base,
        ])?;
        let mut files: Vec<String> = patches
            .iter()
            .flat_map(|patch| patch.files.iter().map(|file| pattern(file)))
            .collect();
        files.sort();
        files.dedup();
        let list = tree.dir().join("apply.files");
        fs_err::write(&list, files.join("\n") + "\n")?;
        let set = worktree
            .git
            .command(&["sparse-checkout", "set", "--no-cone", "--stdin"])
            .stdin(fs_err::File::open(&list)?.into_parts().0);
        set.output()?;
        fs_err::remove_file(&list)?;
        worktree.git.run(&["read-tree", "-m", "-u", "HEAD"])?;
        Ok(Self(worktree))
    }

    /// Applies one patch; the commit, or why not.
    fn am(&self, patch: &Patch) -> Result<Result<String, Refused>, ApplyError> {
        let Self(worktree) = self;
        let before = worktree.git.run(&["rev-parse", "HEAD"])?;
        match worktree.am(patch)? {
            Some(after) if after == before => Ok(Err(Refused {
                file: None,
                hunk: None,
                said: "all of it is in the tree already".to_owned(),
                spaces_only: false,
            })),
            Some(after) => Ok(Ok(after)),
            None => {
                // An abort that finds nothing to abort has done what it is for.
                worktree.git.says_yes(&["am", "--abort"])?;
                let mail = worktree.mail.to_string_lossy().into_owned();
                let check = |options: &[&str]| {
                    let args = [&["apply", "--check"], options, &[mail.as_str()]].concat();
                    match worktree.git.command(&args).output() {
                        Err(ExecError::Failed { stderr, .. }) => Ok(Some(stderr)),
                        Ok(_) => Ok(None),
                        Err(error) => Err(ApplyError::from(error)),
                    }
                };
                let alone = check(&[])?;
                if alone.is_some()
                    && !patch.diff().contains(&b'\t')
                    && check(&["--ignore-whitespace"])?.is_none()
                {
                    return Ok(Err(Refused {
                        spaces_only: true,
                        ..refused(&patch.for_git(), alone.as_deref().unwrap_or_default(), &[])
                    }));
                }
                let alone = alone.unwrap_or_default();
                Ok(Err(refused(&patch.for_git(), &alone, &worktree.said.borrow())))
            }
        }
    }
}

/// The ids of what the files of a patch were before it, which a merge starts from.
fn contents(patch: &str) -> impl Iterator<Item = &str> {
    patch.lines().filter_map(|line| {
        let (id, _) = line.strip_prefix("index ")?.split_once("..")?;
        let hex = id.len() >= 7 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        (hex && id.bytes().any(|byte| byte != b'0')).then_some(id)
    })
}

/// A line of gitignore(5) that means just this file.
fn pattern(file: &str) -> String {
    let mut line = "/".to_owned();
    for c in file.chars() {
        if "\\*?[]! ".contains(c) {
            line.push('\\');
        }
        line.push(c);
    }
    line
}

/// Finds the file and the hunk in what `git apply` says of the patch alone, or else in what `git am` said.
fn refused(patch: &[u8], apply: &str, am: &[String]) -> Refused {
    let patch = String::from_utf8_lossy(patch);
    let errors: Vec<&str> = apply
        .lines()
        .chain(am.iter().map(String::as_str))
        .filter_map(|line| line.strip_prefix("error: "))
        .collect();
    if let Some((file, line)) = errors
        .iter()
        .find_map(|error| error.strip_prefix("patch failed: ")?.rsplit_once(':'))
    {
        let hunk = hunk(&patch, file, line);
        let shown = hunk
            .as_ref()
            .map_or_else(|| format!("line {line}"), |hunk| format!("the hunk `{hunk}`"));
        return Refused {
            file: Some(file.to_owned()),
            hunk,
            said: format!("{shown} of {file} does not fit what is there"),
            spaces_only: false,
        };
    }
    let conflict = am.iter().find(|line| line.starts_with("CONFLICT"));
    let said = errors.first().copied().or(conflict.map(String::as_str));
    let file = said
        .and_then(|said| Some(said.split_once(": ")?.0))
        .filter(|file| file.contains('/'));
    // What it says to a person who works on in its folder is not for the reader here.
    let all = am
        .iter()
        .filter(|line| !line.starts_with("hint: ") && !line.starts_with("Patch failed at "));
    let all = || all.map(String::as_str).collect::<Vec<_>>().join("; ");
    Refused {
        file: file.map(str::to_owned),
        hunk: None,
        said: said.map_or_else(all, str::to_owned),
        spaces_only: false,
    }
}

/// The header of the hunk of a file that begins at this line of the old file.
fn hunk(patch: &str, file: &str, line: &str) -> Option<String> {
    let mut here = false;
    patch.lines().find_map(|text| {
        if let Some(path) = text.strip_prefix("+++ ").or_else(|| text.strip_prefix("--- ")) {
            here = here && text.starts_with("+++ ") || path.ends_with(file);
        }
        let start = text.strip_prefix("@@ -")?.split([',', ' ']).next()?;
        (here && start == line).then(|| text.to_owned())
    })
}
