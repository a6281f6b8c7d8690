// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the index that apt has fetched and checked.

use std::{collections::BTreeSet, path::PathBuf, rc::Rc};

use super::root::{Located, Root, SOURCE};
use crate::packages::PackagesError;
use format::deb::{Stanza, compare, names_in, stanza_of};

impl Root<'_> {
    /// The names in the index that `which` says yes to, those of the newest versions first; each once.
    pub(in crate::packages) fn names(
        &self,
        which: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, PackagesError> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in self.versions(which)? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Names and versions in the index, of names that `which` says yes to; the newest versions first, each once.
    pub(in crate::packages) fn versions(
        &self,
        which: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, String)>, PackagesError> {
        self.ensure_index()?;
        let mut found: BTreeSet<(String, String)> = BTreeSet::new();
        for (_, text) in self.index()? {
            for name in names_in(&text).filter(|name| which(name)) {
                let versions = stanza_of(&text, name)
                    .into_iter()
                    .filter_map(|stanza| stanza.get("Version"));
                found.extend(versions.map(|version| (name.to_owned(), version.to_owned())));
            }
        }
        let mut found: Vec<(String, String)> = found.into_iter().collect();
        found.sort_by(|(_, a), (_, b)| compare(b, a));
        Ok(found)
    }

    /// The newest stanza of this name in any of the root's indices.
    pub(super) fn newest<T>(
        &self,
        name: &str,
        facts: impl Fn(&Stanza<'_>) -> Option<T>,
        version: impl Fn(&T) -> &String,
    ) -> Result<Located<T>, PackagesError> {
        self.ensure_index()?;
        let mut best: Option<Located<T>> = None;
        for (security, text) in self.index()? {
            for stanza in stanza_of(&text, name) {
                let Some(facts) = facts(&stanza) else { continue };
                if best
                    .as_ref()
                    .is_none_or(|best| compare(version(&facts), version(&best.facts)).is_gt())
                {
                    best = Some(Located { facts, security });
                }
            }
        }
        best.ok_or_else(|| PackagesError::NoSuchPackage {
            suite: self.suite,
            architecture: self.architecture.to_owned(),
            package: name.to_owned(),
        })
    }

    fn index(&self) -> Result<Vec<(bool, Rc<str>)>, PackagesError> {
        let mut index = self.index.borrow_mut();
        if index.is_empty() {
            for (security, path) in self.index_files()? {
                index.push((security, fs_err::read_to_string(path)?.into()));
            }
        }
        Ok(index.clone())
    }

    /// The index files that apt has fetched, and whether each is of security updates.
    pub(super) fn index_files(&self) -> Result<Vec<(bool, PathBuf)>, PackagesError> {
        let end = if self.architecture == SOURCE {
            "_Sources"
        } else {
            "_Packages"
        };
        let files = self.lists(|name| name.ends_with(end))?;
        let of_security = |path: &PathBuf| {
            let name = path.file_name();
            name.is_some_and(|name| name.to_string_lossy().contains("-security_main"))
        };
        Ok(files.into_iter().map(|path| (of_security(&path), path)).collect())
    }

    /// The files in which the suites say what they are.
    pub(super) fn releases(&self) -> Result<Vec<PathBuf>, PackagesError> {
        self.lists(|name| name.ends_with("_InRelease") || name.ends_with("_Release"))
    }

    /// The files that apt has fetched whose names `which` says yes to, in the order of these.
    fn lists(&self, which: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, PackagesError> {
        let mut files = Vec::new();
        for entry in fs_err::read_dir(self.dir.join("state/lists"))? {
            let entry = entry?;
            if which(&entry.file_name().to_string_lossy()) {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    }
}
