// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking what lies in a folder of the user's, without writing anything there.
//!
//! Of a git tree, commits are fetched into our repository; git is asked for ids and for what is not committed, and never told to
//! write. Objects are not borrowed through `alternates`: git renews the times of borrowed objects that it would have written.
//! What is not committed, and an unpacked source, becomes a commit in our repository.

use std::{io, path::Path};

use super::TreeError;
use crate::{
    cache::{Cache, NotHere},
    git::{Git, IN_ONE_PACK, text},
    host,
};
use base::{exec::ExecError, named, ui::Ui};

/// What was found.
pub(super) struct Taken {
    pub(super) commit: String,
    pub(super) about: String,
    pub(super) history: bool,
}

/// Makes sure that the host has git.
pub(super) fn need_git(cache: &Cache, ui: &Ui) -> Result<(), TreeError> {
    if host::in_path("git").is_none() {
        if cache.only_looks() {
            return Err(NotHere::would("git would be installed").into());
        }
        host::install_packages(&["git"], ui)?;
    }
    Ok(())
}

/// Takes a commit of the folder, or what lies there now.
pub(super) fn take(path: &Path, commit: Option<&str>, dir: &Path, ui: &Ui) -> Result<Taken, TreeError> {
    let theirs = Git::asking(path);
    match (is_git(&theirs)?, commit) {
        (true, commit) => of_git(&theirs, commit, dir, ui),
        (false, None) => of_folder(path, dir, ui),
        (false, Some(commit)) => Err(TreeError::NotGit {
            path: path.to_owned(),
            commit: commit.to_owned(),
        }),
    }
}

/// The commit of the folder that is meant, if that can be said without taking anything: git is asked in the user's own tree.
pub(super) fn look(path: &Path, commit: Option<&str>) -> Result<Taken, TreeError> {
    let theirs = Git::asking(path);
    match (is_git(&theirs)?, commit) {
        (true, commit) => {
            let named = Named::of(&theirs, commit)?;
            match named.changed {
                0 => Ok(named.taken()),
                changed => Err(NotHere::would(format!(
                    "{changed} files of {} that are not committed would be read, and it would be built unless that was done before",
                    path.display()
                ))
                .into()),
            }
        }
        (false, None) if is_source(path) => Err(NotHere::would(format!(
            "the files of {} would be read, and it would be built unless that was done before",
            path.display()
        ))
        .into()),
        (false, None) => Err(TreeError::NoKernel(path.to_owned())),
        (false, Some(commit)) => Err(TreeError::NotGit {
            path: path.to_owned(),
            commit: commit.to_owned(),
        }),
    }
}

/// A short look, without git, which may not be there yet: whether a source can lie in a folder.
pub(crate) fn check(path: &Path) -> Result<(), TreeError> {
    named::check_folder(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => TreeError::NoFolder(path.to_owned()),
        _ => TreeError::Named(error),
    })?;
    match is_source(path) || path.join(".git").exists() || is_repository(path) {
        true => Ok(()),
        false => Err(TreeError::NoKernel(path.to_owned())),
    }
}

/// Whether a repository lies there that has no files checked out.
fn is_repository(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir()
}

/// Whether an unpacked source lies there.
fn is_source(path: &Path) -> bool {
    path.join("Makefile").is_file() && path.join("Kconfig").is_file()
}

/// Whether the folder is the top of a git tree, or a bare repository: not merely inside of one.
fn is_git(theirs: &Git) -> Result<bool, TreeError> {
    let top = match theirs.run(&["rev-parse", "--show-toplevel"]) {
        Ok(top) => fs_err::canonicalize(top)? == theirs.dir(),
        Err(ExecError::Failed { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    Ok(top || is_repository(theirs.dir()))
}

/// A commit of a git tree of the user's, by questions alone.
struct Named {
    id: String,
    subject: String,
    /// Files that are not committed and are part of what is meant.
    changed: usize,
}

impl Named {
    fn of(theirs: &Git, commit: Option<&str>) -> Result<Self, TreeError> {
        let name = format!("{}^{{commit}}", commit.unwrap_or("HEAD"));
        let id = theirs.run(&["rev-parse", "--verify", "--end-of-options", &name]);
        let id = id.map_err(|error| match error {
            ExecError::Failed { stderr, .. } => TreeError::NoCommit {
                path: theirs.dir().to_owned(),
                commit: commit.unwrap_or("HEAD").to_owned(),
                said: stderr,
            },
            error => error.into(),
        })?;
        let subject = theirs.run(&["show", "--no-patch", "--format=%h (\"%s\")", &id])?;
        if !theirs.says_yes(&["cat-file", "-e", &format!("{id}:Kconfig")])? {
            return Err(TreeError::NoKernel(theirs.dir().to_owned()));
        }
        let bare = theirs.run(&["rev-parse", "--is-bare-repository"])? == "true";
        let changed = if commit.is_some() || bare {
            0
        } else {
            let status = [
                "status",
                "--porcelain",
                "--untracked-files=no",
                "--ignore-submodules=all",
            ];
            theirs.run(&status)?.lines().count()
        };
        Ok(Self { id, subject, changed })
    }

    /// The commit alone.
    fn taken(self) -> Taken {
        Taken {
            commit: self.id,
            about: self.subject,
            history: true,
        }
    }
}

fn of_git(theirs: &Git, commit: Option<&str>, dir: &Path, ui: &Ui) -> Result<Taken, TreeError> {
    let named = Named::of(theirs, commit)?;
    let ours = ours(dir, &theirs.run(&["rev-parse", "--show-object-format"])?)?;
    bring(&ours, theirs, &named.id, 1, ui)?;
    if named.changed == 0 {
        return Ok(named.taken());
    }
    let Named { id, subject, changed } = named;
    ui.line(&format!(
        "{}: {changed} files that are not committed are part of it; new files that git does not know are not",
        theirs.dir().display()
    ));
    let index = dir.join("snapshot.index");
    let place = theirs.run(&["rev-parse", "--path-format=absolute", "--git-path", "index"])?;
    fs_err::copy(&place, &index)?;
    // Git reads a file again that changed in the same second as the index, and tells by the index's own time.
    let written = fs_err::metadata(&place)?.modified()?;
    fs_err::File::options()
        .write(true)
        .open(&index)?
        .set_modified(written)?;
    let snapshot = Snapshot {
        ours: &ours,
        files: theirs.dir(),
        index: &index,
    };
    // The user's index has the times of the files, so that only what changed is read. An index in parts cannot be copied.
    if snapshot.run(&["add", "--update"]).is_err() {
        fs_err::remove_file(&index)?;
        snapshot.run(&["read-tree", &id])?;
        snapshot.run(&["add", "--update"])?;
    }
    let commit = snapshot.commit(Some(&id), "what is not committed")?;
    Ok(Taken {
        commit,
        about: format!("{subject} and {changed} changed files"),
        history: true,
    })
}

/// Makes sure that our repository has a commit of the user's, and as many before it as make `depth` in all.
pub(super) fn bring(ours: &Git, theirs: &Git, commit: &str, depth: usize, ui: &Ui) -> Result<(), TreeError> {
    let oldest = format!("{commit}~{}^{{tree}}", depth - 1);
    if ours.says_yes(&["rev-parse", "--verify", "--quiet", &oldest])? {
        return Ok(());
    }
    let task = ui.task(
        format!(
            "take {} from {}",
            &commit[..12.min(commit.len())],
            theirs.dir().display()
        ),
        None,
    );
    let fetch = Git::asking(ours.dir())
        .command(&[
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
        ])
        .args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--update-shallow",
        ])
        .args(["--no-recurse-submodules", &format!("--depth={depth}")])
        .arg(theirs.dir())
        .arg(commit);
    match fetch.output() {
        Ok(_) => {
            task.done("in a git tree of our own");
            Ok(())
        }
        Err(error) => {
            task.failed();
            Err(error.into())
        }
    }
}

/// A plain folder: all of it that is no product of a build, as a commit.
fn of_folder(path: &Path, dir: &Path, ui: &Ui) -> Result<Taken, TreeError> {
    if !is_source(path) {
        return Err(TreeError::NoKernel(path.to_owned()));
    }
    let ours = ours(dir, "sha1")?;
    let index = dir.join("snapshot.index");
    let snapshot = Snapshot {
        ours: &ours,
        files: path,
        index: &index,
    };
    let task = ui.task(format!("read {}", path.display()), None);
    let commit = snapshot
        .run(&[&IN_ONE_PACK[..], &["add", "--all"]].concat())
        .and_then(|_| snapshot.commit(None, "an unpacked source"));
    match commit {
        Ok(commit) => {
            task.done("a git tree of our own");
            Ok(Taken {
                commit,
                about: format!("the files of {}", path.display()),
                history: false,
            })
        }
        Err(error) => {
            task.failed();
            Err(error.into())
        }
    }
}

fn ours(dir: &Path, format: &str) -> Result<Git, TreeError> {
    let work = dir.join("work");
    let git = Git::ours(&work);
    if !work.join(".git/HEAD").is_file() {
        fs_err::create_dir_all(&work)?;
        let format = format!("--object-format={format}");
        git.run(&["init", "--quiet", "--initial-branch=memrig", &format])?;
    }
    Ok(git)
}

/// Files of the user's seen through an index and a repository of ours.
struct Snapshot<'a> {
    ours: &'a Git,
    files: &'a Path,
    index: &'a Path,
}

impl Snapshot<'_> {
    fn run(&self, args: &[&str]) -> Result<String, ExecError> {
        let command = self
            .ours
            .command(args)
            .dir(self.files)
            .env("GIT_DIR", self.ours.dir().join(".git"))
            .env("GIT_WORK_TREE", self.files)
            .env("GIT_INDEX_FILE", self.index);
        text(command)
    }

    fn commit(&self, parent: Option<&str>, message: &str) -> Result<String, ExecError> {
        let files = self.run(&["write-tree"])?;
        let mut args = vec!["commit-tree", &files, "-m", message];
        if let Some(parent) = parent {
            args.extend(["-p", parent]);
        }
        self.run(&args)
    }
}
