// SPDX-License-Identifier: MIT OR Apache-2.0
//! Applying patches to an excerpt of the source: a commit that has the series' files and no others.
//!
//! Git reads and writes the list of all files for each patch, which takes it half a second of CPU time with a kernel's 90 000. Of an excerpt
//! the list is short. What a patch changed there is then put into the whole tree, and looked at again.

use super::apply::{AppliedPatch, ApplyError, Worktree};
use crate::{git::Git, tree::SourceTree};
use base::exec::ExecError;
use format::mail::Patch;

/// Applies all patches; `None` if one of them does not apply here. It may yet do so with all files beside it, as where a file was renamed, and
/// where it does not, only that tells why.
pub(super) fn mails(
    patches: &[Patch],
    base: &str,
    tree: &SourceTree,
) -> Result<Option<Vec<AppliedPatch>>, ApplyError> {
    let worktree = Worktree::at(tree);
    // What a killed memrig left.
    worktree.clear()?;
    let applied = match excerpt(patches, base, tree)? {
        Some(excerpt) => in_excerpt(patches, base, &excerpt, &worktree)?,
        None => None,
    };
    worktree.clear()?;
    Ok(applied)
}

/// A commit with those of the files that the base has; `None` if one of them is no file there.
fn excerpt(patches: &[Patch], base: &str, tree: &SourceTree) -> Result<Option<String>, ApplyError> {
    let mut files: Vec<&str> = patches
        .iter()
        .flat_map(|patch| patch.files.iter().map(String::as_str))
        .collect();
    files.sort_unstable();
    files.dedup();
    let mut entries = Vec::new();
    // A command line has its limit.
    for part in files.chunks(1000) {
        let ls = ["--literal-pathspecs", "ls-tree", "-z", "--full-tree", base, "--"];
        entries.extend(tree.git().command(&[&ls[..], part].concat()).output()?);
    }
    let is_file = |entry: &[u8]| entry.is_empty() || entry.starts_with(b"100");
    if !entries.split(|byte| *byte == 0).all(is_file) {
        return Ok(None);
    }
    let list = tree.dir().join("apply.files");
    let index = tree.dir().join("apply.index");
    fs_err::write(&list, entries)?;
    if index.exists() {
        fs_err::remove_file(&index)?;
    }
    let with_index = |args: &[&str]| tree.git().command(args).env("GIT_INDEX_FILE", &index);
    with_index(&["update-index", "-z", "--index-info"])
        .stdin(fs_err::File::open(&list)?.into_parts().0)
        .output()?;
    let files = crate::git::text(with_index(&["write-tree"]))?;
    for file in [&list, &index] {
        if file.exists() {
            fs_err::remove_file(file)?;
        }
    }
    Ok(Some(tree.git().run(&[
        "commit-tree",
        &files,
        "-m",
        "an excerpt",
    ])?))
}

fn in_excerpt(
    patches: &[Patch],
    base: &str,
    excerpt: &str,
    worktree: &Worktree<'_>,
) -> Result<Option<Vec<AppliedPatch>>, ApplyError> {
    let git = worktree.tree.git();
    let name = worktree.git.dir().to_string_lossy().into_owned();
    git.run(&["worktree", "add", "--quiet", "--detach", &name, excerpt])?;
    let (mut whole, mut few) = (base.to_owned(), excerpt.to_owned());
    let mut applied = Vec::new();
    for patch in patches {
        let Some(after) = worktree.am(patch)?.filter(|after| *after != few) else {
            return Ok(None);
        };
        let Some(commit) = in_whole(git, &whole, &few, &after, worktree)? else {
            return Ok(None);
        };
        applied.push(AppliedPatch {
            title: patch.title.clone(),
            commit: commit.clone(),
        });
        (whole, few) = (commit, after);
    }
    Ok(Some(applied))
}

/// The commit `after`, made on the excerpt `few`, as one on the whole tree that the excerpt is of; `None` where that is not the same change.
fn in_whole(
    git: &Git,
    whole: &str,
    few: &str,
    after: &str,
    worktree: &Worktree<'_>,
) -> Result<Option<String>, ApplyError> {
    let files = git.run(&["rev-parse", &format!("{whole}^{{tree}}")])?;
    // A merge of both, which have the excerpt in common: the one adds all other files, the other has the patch.
    let ours = git.run(&["commit-tree", &files, "-p", few, "-m", "all of it"])?;
    let exact = ["-c", "merge.renames=false", "-c", "merge.directoryRenames=false"];
    let merge = [&exact[..], &["merge-tree", "--write-tree", &ours, after]].concat();
    let merged = match git.run(&merge) {
        Ok(merged) => merged,
        // A file where there is a folder, or a git before 2.38.
        Err(ExecError::Failed { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let change = |from: &str, to: &str| {
        let diff = ["diff-tree", "-r", "--no-renames", "--full-index", from, to];
        git.command(&diff).output()
    };
    if change(&files, &merged)? != change(few, after)? {
        return Ok(None);
    }
    // Author, dates and message are those that git made of the mail.
    let commit = git.command(&["cat-file", "commit", after]).output()?;
    let mut lines = commit.splitn(3, |byte| *byte == b'\n');
    let (Some(tree), Some(parent), Some(rest)) = (lines.next(), lines.next(), lines.next()) else {
        return Ok(None);
    };
    if !tree.starts_with(b"tree ") || !parent.starts_with(b"parent ") {
        return Ok(None);
    }
    let mut text = format!("tree {merged}\nparent {whole}\n").into_bytes();
    text.extend_from_slice(rest);
    fs_err::write(&worktree.mail, text)?;
    let file = worktree.mail.to_string_lossy();
    Ok(Some(git.run(&[
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--no-filters",
        &file,
    ])?))
}
