// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cache's root: its entries, its locks, and what was said of late.

use std::{
    env,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    digest::sha256,
    error::{CacheError, NotHere},
    sums::{self, Damaged, Sums},
};
use base::ui::Ui;

/// How long what was said once need not be said again.
pub(super) const DAY: Duration = Duration::from_hours(24);

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

/// What is at the place of an entry.
enum Found {
    /// It is not there, or not known to be what was put there.
    Nothing,
    /// What was put there.
    Whole(PathBuf),
    /// Something else.
    Damaged(Damaged),
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
        match self.look_at(kind, key) {
            Ok(Found::Whole(path)) => Some(path),
            // Whoever makes it again is told why it does not read, and what is damaged.
            Ok(Found::Nothing | Found::Damaged(_)) | Err(_) => None,
        }
    }

    fn look_at(&self, kind: &str, key: &str) -> io::Result<Found> {
        let path = self.root.join(kind).join(key);
        let sums = self.sums(kind, key);
        if !path.is_dir() {
            return Ok(Found::Nothing);
        }
        if !self.notes {
            return Ok(match sums::seem_the_same(&path, &sums)? {
                true => Found::Whole(path),
                // Which it is, only reading it tells.
                false => Found::Nothing,
            });
        }
        Ok(match sums::compare(&path, &sums)? {
            Some(damaged) => Found::Damaged(damaged),
            None => {
                self.used(&path);
                Found::Whole(path)
            }
        })
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
        let failed = |source| self.failed(source);
        match self.look_at(kind, key).map_err(failed)? {
            Found::Nothing => {}
            Found::Whole(path) => return Ok(path),
            Found::Damaged(damaged) => {
                self.ui.warning(&format!(
                    "`{kind}/{key}` in the cache is not what was put there: {damaged}; it is got or made again"
                ));
                self.remove(kind, key).map_err(failed)?;
            }
        }
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
