// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cache: everything that costs time to get or to make, kept under one root that several memrigs share.
//!
//! An entry is a directory. It is made under another name while a lock for its key is held, and renamed when it is whole, so
//! that what has its final name can be used by anyone without a lock, also after a kill.
//!
//! What is in an entry is compared with what was put there: one that is damaged is no entry, and is made again.
//!
//! A cache can be [looked at](Cache::looking): then nothing in it is made, changed or waited for, and what is not there is an error that says
//! what would be got.

use std::{
    env,
    fs::{File, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use crate::sums::{self, Sums};
use base::{
    fault::{Blame, Blamed},
    ui::Ui,
};

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No place for it is known.
    #[error("no place for the cache: set MEMRIG_CACHE to a directory, or HOME")]
    NoPlace,
    /// A file or directory of it; the source has the path.
    #[error("using the cache at `{root}` (another place can be named by MEMRIG_CACHE)")]
    Io {
        /// Root of the cache.
        root: PathBuf,
        /// What the host's kernel said.
        source: io::Error,
    },
    /// The cache is only looked at, and this is not in it.
    #[error("{0}")]
    NotHere(NotHere),
}

impl Blamed for CacheError {
    /// Usage, where another place has to be named.
    fn blame(&self) -> Blame {
        match self {
            Self::NoPlace => Blame::Usage,
            Self::Io { source, .. } => Blame::of_place(source),
            Self::NotHere(_) => Blame::Bench,
        }
    }
}

/// What is not in the cache, and would be got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{would}")]
pub struct NotHere {
    /// What would be done, in words, such as `the index of sid for s390x would be fetched`.
    pub would: String,
    /// The kernel's release, where that is known all the same.
    pub release: Option<String>,
}

impl NotHere {
    /// Something of which only that is known.
    pub fn would(would: impl Into<String>) -> CacheError {
        CacheError::NotHere(Self {
            would: would.into(),
            release: None,
        })
    }
}

/// How long what was said once need not be said again.
const DAY: Duration = Duration::from_hours(24);

/// The cache's root.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    ui: Ui,
    /// Nothing is made, changed or waited for.
    looks: bool,
    /// That an entry was used, and is whole, is noted.
    notes: bool,
}

/// A held lock; dropping it lets the next one in.
#[derive(Debug)]
pub struct Lock {
    /// None where the cache is only looked at.
    _file: Option<File>,
}

impl Cache {
    /// The user's cache: `MEMRIG_CACHE`, else `memrig` under `XDG_CACHE_HOME`, else under `~/.cache`.
    ///
    /// # Errors
    /// No place is known, or it cannot be made.
    pub fn open(ui: &Ui) -> Result<Self, CacheError> {
        Self::at(&Self::place()?, ui)
    }

    /// The user's cache as it lies, which need not be there. It is only looked at.
    ///
    /// # Errors
    /// No place is known.
    pub fn look(ui: &Ui) -> Result<Self, CacheError> {
        let root = Self::place()?;
        let root = std::path::absolute(&root).map_err(|source| CacheError::Io { root, source })?;
        Ok(Self {
            root,
            ui: ui.clone(),
            looks: true,
            notes: false,
        })
    }

    fn place() -> Result<PathBuf, CacheError> {
        let variable = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        variable("MEMRIG_CACHE")
            // The base directory specification: a relative path is to be ignored.
            .or_else(|| {
                Some(
                    variable("XDG_CACHE_HOME")
                        .filter(|p| p.is_absolute())?
                        .join("memrig"),
                )
            })
            .or_else(|| Some(variable("HOME")?.join(".cache/memrig")))
            .ok_or(CacheError::NoPlace)
    }

    /// A cache at a place of one's own.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn at(root: &Path, ui: &Ui) -> Result<Self, CacheError> {
        let absolute = std::path::absolute(root).and_then(|root| {
            fs_err::create_dir_all(&root)?;
            Ok(root)
        });
        let failed = |source| CacheError::Io {
            root: root.to_owned(),
            source,
        };
        Ok(Self {
            root: absolute.map_err(failed)?,
            ui: ui.clone(),
            looks: false,
            notes: true,
        })
    }

    /// The same cache, only looked at: without its locks, since what has its final name is whole.
    pub(crate) fn looking(&self) -> Self {
        Self {
            looks: true,
            notes: false,
            ..self.clone()
        }
    }

    /// The same for who uses what is found, so that this is noted as ever.
    pub(crate) fn looking_to_use(&self) -> Self {
        Self {
            notes: self.notes,
            ..self.looking()
        }
    }

    /// Whether it is only looked at. Who would write, or wait, says with [`NotHere`] what would be done.
    pub fn only_looks(&self) -> bool {
        self.looks
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory under the root, made if it is not there; not where the cache is only looked at.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn dir(&self, name: impl AsRef<Path>) -> Result<PathBuf, CacheError> {
        let dir = self.root.join(name);
        if self.looks {
            return Ok(dir);
        }
        fs_err::create_dir_all(&dir).map_err(|source| self.failed(source))?;
        Ok(dir)
    }

    /// Waits for, and takes, the lock of this name. Says so if another one holds it. Who only looks needs none.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn lock(&self, name: &str) -> Result<Lock, CacheError> {
        if self.looks {
            return Ok(Lock { _file: None });
        }
        let path = self
            .dir("locks")?
            .join(format!("{}.lock", name.replace('/', "-")));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(|source| self.failed(source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                self.ui
                    .line(&format!("waiting for another memrig that works on {name}"));
                file.lock().map_err(|source| self.failed(source))?;
            }
            Err(TryLockError::Error(source)) => return Err(self.failed(source)),
        }
        Ok(Lock { _file: Some(file) })
    }

    /// Says on the user's terminal what stays true for long, such as what a mirror lacks: once a day, whoever of those that share the cache says it.
    ///
    /// # Errors
    /// That it was said cannot be written down; it was said all the same.
    pub fn say_daily(&self, line: &str) -> Result<(), CacheError> {
        let path = self.dir("told")?.join(&sha256(line.as_bytes())[..16]);
        // A clock that went back makes the last time unknown.
        let last = path.metadata().and_then(|file| file.modified()).ok();
        if last
            .and_then(|last| last.elapsed().ok())
            .is_some_and(|ago| ago < DAY)
        {
            return Ok(());
        }
        self.ui.line(line);
        if self.looks {
            return Ok(());
        }
        fs_err::write(&path, line).map_err(|source| self.failed(source))
    }

    /// What [`Cache::say_daily`] said within the last day, in no particular order.
    ///
    /// # Errors
    /// It does not read.
    pub fn said_today(&self) -> Result<Vec<String>, CacheError> {
        let files = match fs_err::read_dir(self.root.join("told")) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let mut said = Vec::new();
        for file in files {
            let file = file.map_err(|source| self.failed(source))?;
            let when = file.metadata().and_then(|file| file.modified());
            let ago = when.map_err(|source| self.failed(source))?.elapsed();
            if ago.is_ok_and(|ago| ago < DAY) {
                said.push(fs_err::read_to_string(file.path()).map_err(|source| self.failed(source))?);
            }
        }
        Ok(said)
    }

    /// Where the entry of this kind and key is, if it is whole.
    pub fn find(&self, kind: &str, key: &str) -> Option<PathBuf> {
        let path = self.root.join(kind).join(key);
        let found = path.is_dir().then_some(path)?;
        let whole = match self.notes {
            false => sums::seem_the_same(&found, &self.sums(kind, key)).ok()?,
            // Where it cannot be read, whoever makes it again is told why that fails.
            true => sums::compare(&found, &self.sums(kind, key)).ok()?.is_none(),
        };
        if whole && self.notes {
            self.used(&found);
        }
        whole.then_some(found)
    }

    /// Where the sums of an entry are.
    fn sums(&self, kind: &str, key: &str) -> PathBuf {
        self.root.join("sums").join(kind).join(key)
    }

    /// Takes an entry away, in one step: what has its name is whole.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn remove(&self, kind: &str, key: &str) -> io::Result<()> {
        let folder = self.root.join(kind);
        let gone = folder.join(format!(".gone-{key}"));
        fs_err::rename(folder.join(key), &gone)?;
        match gone.is_dir() {
            true => fs_err::remove_dir_all(&gone)?,
            false => fs_err::remove_file(&gone)?,
        }
        match fs_err::remove_file(self.sums(kind, key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes an entry away that is there and is not what was put there, and says so.
    fn remove_damaged(&self, kind: &str, key: &str) -> io::Result<()> {
        let path = self.root.join(kind).join(key);
        if !path.is_dir() {
            return Ok(());
        }
        if let Some(damaged) = sums::compare(&path, &self.sums(kind, key))? {
            self.ui.warning(&format!(
                "`{kind}/{key}` in the cache is not what was put there: {damaged}; it is got or made again"
            ));
            self.remove(kind, key)?;
        }
        Ok(())
    }

    /// Notes at an entry that it is used, by its time. Where that cannot be set, the entry goes too early and is made again.
    pub(crate) fn used(&self, entry: &Path) {
        let _ = File::open(entry).and_then(|entry| entry.set_modified(SystemTime::now()));
    }

    /// The directory of an entry; made by `build`, which fills an empty directory, if it is not there.
    ///
    /// # Errors
    /// Those of `build`, and those of the cache; [`CacheError::NotHere`] where it is only looked at.
    pub fn entry<E: From<CacheError>>(
        &self,
        kind: &str,
        key: &str,
        build: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(found) = self.find(kind, key) {
            return Ok(found);
        }
        if self.looks {
            return Err(NotHere::would(format!("an entry of `{kind}` would be made")).into());
        }
        let _lock = self.lock(&format!("{kind}/{key}"))?;
        if let Some(found) = self.find(kind, key) {
            return Ok(found);
        }
        self.remove_damaged(kind, key)
            .map_err(|source| self.failed(source))?;
        let parent = self.dir(kind)?;
        let name = format!(".new-{key}");
        let half = parent.join(&name);
        if half.exists() {
            // Of a memrig that was killed: nobody else works on it while the lock is held.
            fs_err::remove_dir_all(&half).map_err(|source| self.failed(source))?;
        }
        let new = tempfile::Builder::new()
            .prefix(&name)
            .rand_bytes(0)
            .tempdir_in(&parent);
        let new = new.map_err(|source| self.failed(source))?;
        build(new.path())?;
        let path = parent.join(key);
        // Before it has its name: without them it would be taken as it is.
        let sums = Sums::of(new.path()).and_then(|sums| sums.write(&self.sums(kind, key)));
        sums.map_err(|source| self.failed(source))?;
        fs_err::rename(new.path(), &path).map_err(|source| self.failed(source))?;
        // It has moved away: there is nothing left to remove.
        let _moved = new.keep();
        Ok(path)
    }

    /// Wraps what the host's kernel said.
    pub fn failed(&self, source: io::Error) -> CacheError {
        CacheError::Io {
            root: self.root.clone(),
            source,
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// Reading the file; the error has its path.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&digest.finalize())),
            n => digest.update(&buffer[..n]),
        }
    }
}

/// A key out of several inputs: no two different lists of inputs give the same.
#[derive(Debug, Clone, Default)]
pub struct Key(Sha256);

impl Key {
    /// A key of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one input.
    #[must_use]
    pub fn with(mut self, input: impl AsRef<[u8]>) -> Self {
        let input = input.as_ref();
        self.0.update((input.len() as u64).to_le_bytes());
        self.0.update(input);
        self
    }

    /// The first 32 hexadecimal digits.
    pub fn finish(self) -> String {
        hex(&self.0.finalize()[..16])
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn known_digests() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(sha256_file(file.path()).unwrap(), empty);
        assert_ne!(
            Key::new().with("a").with("bc").finish(),
            Key::new().with("ab").with("c").finish()
        );
    }

    #[test]
    fn what_stays_true_is_said_once_a_day() {
        let root = tempfile::tempdir().unwrap();
        let ui = Ui::silent();
        let cache = Cache::at(root.path(), &ui).unwrap();
        // Who only looks says it, and leaves no word of that.
        cache.looking().say_daily("the mirror lacks a file").unwrap();
        cache.say_daily("the mirror lacks a file").unwrap();
        cache.say_daily("the mirror lacks a file").unwrap();
        Cache::at(root.path(), &ui)
            .unwrap()
            .say_daily("the mirror lacks a file")
            .unwrap();
        cache.say_daily("another thing").unwrap();
        assert_eq!(
            ui.lines(),
            [
                "the mirror lacks a file",
                "the mirror lacks a file",
                "another thing"
            ]
        );
        let mut said = cache.said_today().unwrap();
        said.sort();
        assert_eq!(said, ["another thing", "the mirror lacks a file"]);
        for file in fs_err::read_dir(root.path().join("told")).unwrap() {
            let file = File::options().write(true).open(file.unwrap().path()).unwrap();
            file.set_modified(SystemTime::now() - DAY).unwrap();
        }
        assert_eq!(cache.said_today().unwrap(), Vec::<String>::new());
        cache.say_daily("another thing").unwrap();
        assert_eq!(ui.lines().len(), 4);
    }

    #[test]
    fn an_entry_is_built_once_however_many_ask() {
        let root = tempfile::tempdir().unwrap();
        let ui = Ui::silent();
        let built = AtomicUsize::new(0);
        let ask = || {
            let cache = Cache::at(root.path(), &ui).unwrap();
            let path = cache.entry("thing", "key", |dir| {
                built.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(50));
                fs_err::write(dir.join("file"), "whole").map_err(|e| cache.failed(e))
            });
            fs_err::read_to_string(path.unwrap().join("file")).unwrap()
        };
        thread::scope(|scope| {
            let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            for thread in asking {
                assert_eq!(thread.join().unwrap(), "whole");
            }
        });
        assert_eq!(built.load(Ordering::SeqCst), 1);
        assert!(
            ui.lines()
                .iter()
                .any(|line| line.contains("waiting for another memrig"))
        );
    }

    #[test]
    fn what_a_killed_build_left_is_taken_away() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path(), &Ui::silent()).unwrap();
        let name = root.path().join("thing/.new-key");
        fs_err::create_dir_all(&name).unwrap();
        fs_err::write(name.join("half"), "").unwrap();
        let path = cache
            .entry("thing", "key", |dir| {
                assert_eq!(dir, name, "it is made where the killed one was");
                fs_err::write(dir.join("whole"), "").map_err(|e| cache.failed(e))
            })
            .unwrap();
        assert!(path.join("whole").exists() && !path.join("half").exists());
        assert_eq!(fs_err::read_dir(root.path().join("thing")).unwrap().count(), 1);
    }

    #[test]
    fn who_only_looks_makes_nothing_and_waits_for_nobody() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(&root.path().join("cache"), &Ui::silent()).unwrap();
        let looking = cache.looking();
        let asked = || looking.entry("thing", "key", |_| -> Result<(), CacheError> { panic!("built") });
        assert!(matches!(asked(), Err(CacheError::NotHere(_))));
        assert!(!looking.dir("thing").unwrap().exists());
        assert_eq!(fs_err::read_dir(cache.root()).unwrap().count(), 0);
        let made = cache.entry("thing", "key", |_| Ok::<_, CacheError>(())).unwrap();
        let _held = cache.lock("thing/key").unwrap();
        let _not_waited_for = looking.lock("thing/key").unwrap();
        assert_eq!(asked().unwrap(), made);
    }

    #[test]
    fn an_entry_that_was_damaged_is_made_again_and_told() {
        let root = tempfile::tempdir().unwrap();
        let ui = Ui::silent();
        let cache = Cache::at(root.path(), &ui).unwrap();
        let made = |text: &'static str| {
            cache.entry("thing", "key", |dir| {
                fs_err::write(dir.join("file"), text).map_err(|source| cache.failed(source))
            })
        };
        let path = made("whole").unwrap();
        assert_eq!(made("never").unwrap(), path);
        fs_err::write(path.join("file"), "who").unwrap();
        assert_eq!(cache.looking().find("thing", "key"), None);
        assert_eq!(cache.find("thing", "key"), None);
        assert_eq!(made("again").unwrap(), path);
        assert_eq!(fs_err::read_to_string(path.join("file")).unwrap(), "again");
        let told = ui.lines().join("\n");
        assert!(
            told.contains("`thing/key` in the cache is not what was put there: file is shorter"),
            "{told}"
        );
        assert!(cache.find("thing", "key").is_some());
    }

    #[test]
    fn who_looks_to_use_what_is_found_notes_that() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path(), &Ui::silent()).unwrap();
        let path = cache.entry("thing", "key", |_| Ok::<_, CacheError>(())).unwrap();
        let sums = root.path().join("sums/thing/key");
        let long_ago = SystemTime::UNIX_EPOCH + DAY;
        for (cache, notes) in [
            (cache.looking(), false),
            (cache.looking().looking_to_use(), false),
            (cache.looking_to_use(), true),
        ] {
            File::open(&path).unwrap().set_modified(long_ago).unwrap();
            // As an older memrig left it.
            fs_err::remove_file(&sums).ok();
            assert!(cache.only_looks());
            assert_eq!(cache.find("thing", "key").as_ref(), Some(&path));
            let used = fs_err::metadata(&path).unwrap().modified().unwrap() > long_ago;
            assert_eq!((used, sums.exists()), (notes, notes));
        }
    }

    #[test]
    fn a_failed_build_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path(), &Ui::silent()).unwrap();
        let failed = cache.entry("thing", "key", |dir| {
            fs_err::write(dir.join("half"), "").map_err(|e| cache.failed(e))?;
            Err(CacheError::NoPlace)
        });
        assert!(failed.is_err());
        assert!(cache.find("thing", "key").is_none());
        assert_eq!(fs_err::read_dir(root.path().join("thing")).unwrap().count(), 0);
    }
}
