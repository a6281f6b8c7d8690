// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening the work tree of a source.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Origin, TreeError, debian, users};
use crate::{
    cache::{Cache, CacheError, Key, Lock, NotHere},
    git::Git,
    packages::Packages,
};
use base::{exec::ExecError, named, ui::Ui};

/// Changes when what is kept of a source does.
const LAYOUT: &str = "tree 1";

/// A source with a work tree of our own. Nobody else uses it while this lives.
///
/// Its folder in the cache holds `work` (a git repository with its files), `build` (one folder for each architecture and
/// configuration), and what was applied to it.
#[derive(Debug)]
pub struct SourceTree {
    dir: PathBuf,
    base: String,
    about: String,
    git: Git,
    /// The user's repository, where there is one: it may have more commits than the base.
    theirs: Option<Git>,
    ui: Ui,
    named: bool,
    /// It is as it lies in the cache, which is only looked at: its folder may lack all of it.
    looks: bool,
    _lock: Lock,
}

/// What is written down of a source that does not change.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    base: String,
    about: String,
}

impl SourceTree {
    /// Opens the work tree, and makes it if it is not there (a minute or two, once). In a cache that is only looked at, nothing is made: what of it
    /// is there can be asked for, and commits of the user's in the user's own tree.
    ///
    /// # Errors
    /// The user named something that is no source, or it cannot be got.
    pub fn open(origin: &Origin, packages: &Packages, cache: &Cache, ui: &Ui) -> Result<Self, TreeError> {
        users::need_git(cache, ui)?;
        match origin {
            Origin::Debian(suite) => {
                let package = debian::package(*suite, packages)?;
                let key = Key::new()
                    .with(LAYOUT)
                    .with("debian")
                    .with(&package.sha256)
                    .finish();
                let (dir, lock) = folder(cache, &key)?;
                let written = dir.join("tree.json");
                let kept = match fs_err::read(&written) {
                    // One that another version wrote is as good as none.
                    Ok(text) => serde_json::from_slice::<Kept>(&text).ok(),
                    Err(_) => None,
                };
                let kept = match kept {
                    Some(kept) => kept,
                    None if cache.only_looks() => {
                        let what = format!(
                            "the source {} {} would be got, and built",
                            package.name, package.version
                        );
                        return Err(NotHere::would(what).into());
                    }
                    None => {
                        let about = format!("{} {}", package.name, package.version);
                        let base = debian::unpack(&package, &dir, packages, &about, ui)?;
                        let kept = Kept { base, about };
                        fs_err::write(&written, serde_json::to_vec(&kept).map_err(std::io::Error::from)?)?;
                        kept
                    }
                };
                Ok(Self {
                    git: Git::ours(dir.join("work")),
                    dir,
                    base: kept.base,
                    about: kept.about,
                    theirs: None,
                    ui: ui.clone(),
                    named: true,
                    looks: cache.only_looks(),
                    _lock: lock,
                })
            }
            Origin::Path { path, commit } => {
                let path = named::whole(path)?;
                let key = Key::new()
                    .with(LAYOUT)
                    .with("path")
                    .with(path.as_os_str().as_encoded_bytes());
                let (dir, lock) = folder(cache, &key.finish())?;
                let found = if cache.only_looks() {
                    users::look(&path, commit.as_deref())?
                } else {
                    users::take(&path, commit.as_deref(), &dir, ui)?
                };
                Ok(Self {
                    git: Git::ours(dir.join("work")),
                    dir,
                    base: found.commit,
                    about: found.about,
                    theirs: found.history.then(|| Git::asking(&path)),
                    ui: ui.clone(),
                    named: commit.is_some(),
                    looks: cache.only_looks(),
                    _lock: lock,
                })
            }
        }
    }

    /// The commit that the source's name means, in the work tree's repository.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether the source names its commit itself, so that no other one is meant.
    pub(crate) fn names_its_base(&self) -> bool {
        self.named
    }

    /// What the source is, in words: a package and its version, or a commit.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Whether commits of the user's can be asked for.
    pub(crate) fn has_history(&self) -> bool {
        self.theirs.is_some()
    }

    /// The full id of a commit by its name in the user's repository, such as a branch; `None` where there is no such one.
    ///
    /// # Errors
    /// Git does not run.
    pub fn commit(&self, name: &str) -> Result<Option<String>, ExecError> {
        let git = self.theirs.as_ref().unwrap_or(&self.git);
        let name = format!("{name}^{{commit}}");
        match git.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]) {
            Ok(id) => Ok(Some(id)),
            Err(ExecError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that a commit is in our repository, and as many before it as make `depth` in all.
    ///
    /// # Errors
    /// Git cannot fetch it.
    pub fn bring(&self, commit: &str, depth: usize) -> Result<(), TreeError> {
        if self.looks {
            // It is asked for where it is.
            return Ok(());
        }
        match &self.theirs {
            Some(theirs) => users::bring(&self.git, theirs, commit, depth, &self.ui),
            None => Ok(()),
        }
    }

    /// Asks the user's repository, or ours where there is none. For commands that only read.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<String, ExecError> {
        self.theirs.as_ref().unwrap_or(&self.git).run(args)
    }

    /// Makes sure that content that a patch names is in our repository, if the user's has it: a merge needs it.
    pub(crate) fn bring_content(&self, id: &str) -> Result<(), TreeError> {
        let Some(theirs) = &self.theirs else { return Ok(()) };
        if self.git.says_yes(&["cat-file", "-e", id])? {
            return Ok(());
        }
        match theirs.command(&["cat-file", "blob", id]).output() {
            Ok(content) => {
                let file = self.dir.join("content");
                fs_err::write(&file, content)?;
                let file = file.to_string_lossy();
                self.git.run(&["hash-object", "-w", "--no-filters", &file])?;
                Ok(fs_err::remove_file(&*file)?)
            }
            // Nobody has it: the patch is from elsewhere.
            Err(ExecError::Failed { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The id of a commit's content, which is the same for commits with the same files.
    ///
    /// # Errors
    /// Git does not run.
    pub fn content(&self, commit: &str) -> Result<String, ExecError> {
        let name = format!("{commit}^{{tree}}");
        let ask = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
        match &self.theirs {
            // Ours has what was applied, and may lack what was not brought.
            Some(theirs) if self.looks => match theirs.run(&ask) {
                Err(ExecError::Failed { .. }) if self.is_made() => self.git.run(&ask),
                answer => answer,
            },
            _ => self.git.run(&ask),
        }
    }

    /// Whether it is as it lies in a cache that is only looked at.
    pub fn only_looks(&self) -> bool {
        self.looks
    }

    /// Whether there is a work tree of our own, which may not be so where it is only looked at.
    pub(crate) fn is_made(&self) -> bool {
        self.work().join(".git/HEAD").is_file()
    }

    /// Makes the files those of a commit. Files that are the same keep their times, so that they are not compiled again.
    ///
    /// # Errors
    /// Git does not run, or the disk is full.
    pub fn check_out(&self, commit: &str) -> Result<(), TreeError> {
        // One that was cut off leaves its lock behind; nobody else works here.
        let lock = self.work().join(".git/index.lock");
        if lock.exists() {
            fs_err::remove_file(lock)?;
        }
        self.git
            .run(&["checkout", "--quiet", "--force", "--detach", commit])?;
        Ok(())
    }

    /// The work tree.
    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// The folder in the cache that holds all of it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn git(&self) -> &Git {
        &self.git
    }
}

fn folder(cache: &Cache, key: &str) -> Result<(PathBuf, Lock), CacheError> {
    let lock = cache.lock(&format!("trees/{key}"))?;
    let folder = cache.dir(Path::new("trees").join(key))?;
    if !cache.only_looks() {
        cache.used(&folder);
    }
    Ok((folder, lock))
}
