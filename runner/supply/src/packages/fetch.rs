// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking packages up and fetching them, with all that they depend on.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{
    DebianSuite,
    apt::{Root, SOURCE},
    sources::SourcesError,
};
use crate::cache::{self, Cache, CacheError, NotHere};
use base::{Arch, exec::ExecError, ui::Ui};
use format::deb::{self, Dependency, Relation};

/// One package as the release's signed index describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFacts {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Debian's name of its architecture, or `all`.
    pub(crate) architecture: String,
    /// Release whose index named it.
    pub suite: DebianSuite,
    /// SHA-256 of the `.deb`, in hexadecimal.
    pub sha256: String,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// Path on the mirror.
    pub(crate) filename: String,
    /// `Depends`, as written.
    pub(crate) depends: String,
}

impl PackageFacts {
    /// What it depends on.
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        deb::depends(&self.depends)
    }
}

/// The upstream tarball of a source package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTarball {
    /// Source package.
    pub name: String,
    /// Version of the source package.
    pub version: String,
    /// The `*.orig.tar.*`, in the cache.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal, which is the one in the release's signed index.
    pub sha256: String,
}

/// Why a package could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The machine's apt configuration.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A program of apt's could not be run.
    #[error("memrig gets Debian's packages by apt (`apt-get`, `apt-config`)")]
    Apt(#[from] ExecError),
    /// The index does not name it.
    #[error(
        "{suite} has no package `{package}` for {architecture}: run `memrig setup --refresh` if it is newer than the index in the cache"
    )]
    NoSuchPackage {
        /// Release.
        suite: DebianSuite,
        /// Debian's name of the architecture, or `source`.
        architecture: String,
        /// Name.
        package: String,
    },
    /// Several attempts failed.
    #[error(
        "{what} failed {}; the mirror is `{mirror}` (MEMRIG_MIRROR names another one, \
         `memrig setup --refresh` asks again).\n{said}", times(*.attempts)
    )]
    Mirror {
        /// What was tried.
        what: String,
        /// How often.
        attempts: u32,
        /// URI of the mirror.
        mirror: String,
        /// What apt said.
        said: String,
    },
    /// The mirror does not have a file that its own signed index lists, as while it is being copied.
    #[error(
        "the index of {suite} for {architecture} lists {what}, and the mirror `{mirror}` does not have it: it may be half copied \
         (MEMRIG_MIRROR names another one, `memrig setup --refresh` asks again)"
    )]
    Absent {
        /// The package and its version.
        what: String,
        /// Release.
        suite: DebianSuite,
        /// Debian's name of the architecture.
        architecture: String,
        /// URI of the mirror.
        mirror: String,
    },
    /// It came, and there is no room for it.
    #[error("{what}: no space is left for the cache at `{}` (MEMRIG_CACHE names another place)", .cache.display())]
    Full {
        /// What was fetched.
        what: String,
        /// Root of the cache.
        cache: PathBuf,
    },
    /// The mirror has moved on since it was looked up; looking it up again finds the new one.
    #[error("{what} is no longer in {suite}, which now has {now}: run `memrig setup --refresh`")]
    Gone {
        /// The package, or file.
        what: String,
        /// Release.
        suite: DebianSuite,
        /// What is there instead.
        now: String,
    },
    /// A file that is not what the index says.
    #[error("`{path}` has SHA-256 {found}, but the signed index says {expected}; it was thrown away")]
    Sha256 {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What it should have.
        expected: String,
    },
    /// A file; the source has its path.
    #[error("keeping packages")]
    Io(#[from] io::Error),
}

impl PackagesError {
    /// What would be got, where the cache is only looked at.
    pub fn not_here(&self) -> Option<&NotHere> {
        match self {
            Self::Cache(CacheError::NotHere(what)) => Some(what),
            _ => None,
        }
    }
}

fn times(attempts: u32) -> String {
    match attempts {
        1 => "at once".to_owned(),
        n => format!("{n} times"),
    }
}

/// Debian's packages. Clones share everything.
#[derive(Debug, Clone)]
pub struct Packages {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cache: Cache,
    ui: Ui,
    /// Fetch indices anew, except those that this process has fetched.
    refresh: bool,
    fresh: Mutex<BTreeSet<(DebianSuite, &'static str)>>,
    /// What the user was told of the mirror, also by those that only look.
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl Packages {
    /// Packages kept in this cache. Asks nothing of the network or of the machine yet.
    pub fn open(cache: &Cache, ui: &Ui) -> Self {
        Self::with(cache, ui, false)
    }

    /// The same, but every index is fetched anew before it is used (`memrig setup --refresh`).
    pub fn refreshing(cache: &Cache, ui: &Ui) -> Self {
        Self::with(cache, ui, true)
    }

    fn with(cache: &Cache, ui: &Ui, refresh: bool) -> Self {
        Self {
            shared: Arc::new(Shared {
                cache: cache.clone(),
                ui: ui.clone(),
                refresh,
                fresh: Mutex::default(),
                told: Arc::default(),
            }),
        }
    }

    /// What `get` finds in the cache, without waiting for a memrig that fetches or builds; else what it gets. Why it was not found is not told:
    /// whatever is wrong is met again when it is got, and told then.
    pub(crate) fn looked_first<T, E>(
        &self,
        cache: &Cache,
        get: impl Fn(&Self, &Cache) -> Result<T, E>,
    ) -> Result<T, E> {
        let found = self
            .looking()
            .and_then(|packages| get(&packages, &cache.looking_to_use()).ok());
        found.map_or_else(|| get(self, cache), Ok)
    }

    /// The same, of which only what is in the cache is known: nothing is fetched, and nobody is waited for. `None` where the user asked for
    /// newer indices, so that what is there is not what is meant.
    fn looking(&self) -> Option<Self> {
        let Shared {
            cache,
            ui,
            refresh,
            told,
            fresh: _,
        } = &*self.shared;
        (!refresh).then(|| Self {
            shared: Arc::new(Shared {
                cache: cache.looking_to_use(),
                ui: ui.clone(),
                refresh: false,
                fresh: Mutex::default(),
                told: told.clone(),
            }),
        })
    }

    /// The packages of these names and, of what they depend on, all that `follow` says yes to; each once, nearest first. What
    /// is in no index (a virtual package) is left out, except of the names themselves.
    ///
    /// # Errors
    /// No mirror, or it cannot be reached, or its signature is bad; or one of `names` is no package.
    pub(crate) fn closure(
        &self,
        suite: DebianSuite,
        arch: Arch,
        names: &[&str],
        follow: impl Fn(&Relation) -> bool,
    ) -> Result<Vec<PackageFacts>, PackagesError> {
        let root = self.root(suite, arch.debian())?;
        walk(names, follow, |name| root.resolve(name))
    }

    /// The packages of this name and version and, of what they depend on, all that `follow` says yes to, of that version as well; each once.
    ///
    /// # Errors
    /// As [`Packages::closure`].
    pub(crate) fn closure_of_version(
        &self,
        suite: DebianSuite,
        arch: Arch,
        (name, version): (&str, &str),
        follow: impl Fn(&Relation) -> bool,
    ) -> Result<Vec<PackageFacts>, PackagesError> {
        let root = self.root(suite, arch.debian())?;
        walk(&[name], follow, |name| root.resolve_version(name, version))
    }

    /// Names and versions in the suite's index, of names that `which` says yes to; the newest versions first.
    ///
    /// # Errors
    /// No mirror, or it cannot be reached, or its signature is bad.
    pub(crate) fn versions(
        &self,
        suite: DebianSuite,
        arch: Arch,
        which: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, String)>, PackagesError> {
        self.root(suite, arch.debian())?.versions(which)
    }

    /// The names in the release's index that `which` says yes to, those of the newest versions first.
    ///
    /// # Errors
    /// No mirror, or it cannot be reached, or its signature is bad.
    pub fn names(
        &self,
        suite: DebianSuite,
        arch: Arch,
        which: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, PackagesError> {
        self.root(suite, arch.debian())?.names(which)
    }

    /// The `.deb` of a package, in the cache; fetched if it is not there. Its SHA-256 was checked.
    ///
    /// # Errors
    /// Three attempts failed, or the file is not what the index says; [`PackagesError::Absent`] if the mirror answers and has no
    /// such file. That is remembered until a [`Packages::refreshing`] asks anew.
    pub(crate) fn fetch(&self, facts: &PackageFacts, arch: Arch) -> Result<PathBuf, PackagesError> {
        self.root(facts.suite, arch.debian())?.fetch(facts)
    }

    /// The upstream tarball of a source package; fetched if it is not in the cache.
    ///
    /// # Errors
    /// As [`Packages::fetch`].
    pub fn fetch_source(&self, suite: DebianSuite, source: &str) -> Result<SourceTarball, PackagesError> {
        self.root(suite, SOURCE)?.fetch_source(source)
    }

    /// Tells the user what the mirror lacks and what is taken instead: once a day, however many kernels it is about.
    pub(crate) fn tell(&self, line: String) {
        let mut told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.contains(&line) {
            if let Err(error) = self.shared.cache.say_daily(&line) {
                self.shared.ui.warning(&error.to_string());
            }
            told.insert(line);
        }
    }

    fn root(&self, suite: DebianSuite, architecture: &'static str) -> Result<Root<'_>, PackagesError> {
        let Shared {
            cache,
            ui,
            refresh,
            fresh,
            told: _,
        } = &*self.shared;
        let root = Root::open(cache, ui, suite, architecture)?;
        // A lock that a panicking thread held still guards a set of names.
        let first = *refresh
            && fresh
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert((suite, architecture));
        if first {
            root.refresh()?;
        }
        Ok(root)
    }
}

fn walk(
    names: &[&str],
    follow: impl Fn(&Relation) -> bool,
    resolve: impl Fn(&str) -> Result<PackageFacts, PackagesError>,
) -> Result<Vec<PackageFacts>, PackagesError> {
    let mut found: Vec<PackageFacts> = Vec::new();
    let mut open: VecDeque<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop_front() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let facts = match resolve(&name) {
            Err(PackagesError::NoSuchPackage { .. }) if !names.contains(&name.as_str()) => continue,
            outcome => outcome?,
        };
        let relations = facts.dependencies().into_iter().flatten().filter(&follow);
        open.extend(relations.map(|relation| relation.name));
        found.push(facts);
    }
    Ok(found)
}

/// Checks a file against the index and throws it away if it differs.
pub(super) fn check(path: &Path, expected: &str) -> Result<(), PackagesError> {
    let found = cache::sha256_file(path)?;
    if found == expected {
        return Ok(());
    }
    fs_err::remove_file(path)?;
    Err(PackagesError::Sha256 {
        path: path.to_owned(),
        found,
        expected: expected.to_owned(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn facts(name: &str, depends: &str) -> PackageFacts {
        PackageFacts {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "amd64".to_owned(),
            suite: DebianSuite::Sid,
            sha256: String::new(),
            size: 0,
            filename: String::new(),
            depends: depends.to_owned(),
        }
    }

    /// Name, dependencies and files of a package made for a test.
    pub(crate) type Sample<'a> = (&'a str, &'a str, &'a [(&'a str, &'a [u8])]);

    /// Makes a cache know a package of these files, as if it had been looked up and fetched.
    pub(crate) fn stock(cache: &Cache, suite: DebianSuite, arch: Arch, packages: &[Sample<'_>]) {
        let debs = packages.iter().map(|(name, depends, files)| {
            let deb = format::samples::deb_of(&[
                ("debian-binary", b"2.0\n"),
                ("data.tar", &format::samples::tar_of(files)),
            ]);
            let facts = PackageFacts {
                suite,
                sha256: cache::sha256(&deb),
                size: deb.len() as u64,
                filename: format!("{name}.deb"),
                architecture: arch.debian().to_owned(),
                ..facts(name, depends)
            };
            (facts, deb)
        });
        let debs: Vec<_> = debs.collect();
        let debs: Vec<_> = debs.iter().map(|(facts, deb)| (facts, deb.as_slice())).collect();
        crate::packages::apt::tests::stock(cache, suite, arch.debian(), &debs);
    }

    pub(crate) use crate::packages::apt::tests::{index, lack};

    /// What a walk over an index of names and dependencies finds.
    pub(crate) fn walked(
        index: &[(&str, &str)],
        names: &[&str],
        follow: impl Fn(&Relation) -> bool,
    ) -> Result<Vec<String>, PackagesError> {
        let resolve = |name: &str| {
            let found = index.iter().find(|(n, _)| *n == name);
            found
                .map(|(name, depends)| facts(name, depends))
                .ok_or_else(|| PackagesError::NoSuchPackage {
                    suite: DebianSuite::Sid,
                    architecture: "amd64".to_owned(),
                    package: name.to_owned(),
                })
        };
        Ok(walk(names, follow, resolve)?
            .into_iter()
            .map(|facts| facts.name)
            .collect())
    }

    #[test]
    fn dependencies_are_followed_once_and_virtual_ones_left_out() {
        let index = [("a", "b, c | virtual"), ("b", "c"), ("c", "a")];
        assert_eq!(walked(&index, &["a"], |_| true).unwrap(), ["a", "b", "c"]);
        assert_eq!(
            walked(&index, &["a"], |relation| relation.name == "b").unwrap(),
            ["a", "b"]
        );
        let error = walked(&index, &["virtual"], |_| true).unwrap_err().to_string();
        assert!(
            error.starts_with("sid has no package `virtual` for amd64"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_not_what_the_index_says_is_thrown_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        fs_err::write(&path, "x").unwrap();
        check(&path, &cache::sha256(b"x")).unwrap();
        assert!(matches!(
            check(&path, &cache::sha256(b"y")),
            Err(PackagesError::Sha256 { .. })
        ));
        assert!(!path.exists());
    }
}
