// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders for sockets and keys, with short paths, that are gone with whoever made them.
//!
//! A process that is killed cannot tidy up. So each folder has a lock that its owner holds, and whoever comes later takes
//! away those that nobody holds. A folder gets its name once its lock is held, so that none is seen without it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;

/// What the names of all of them begin with.
const PREFIX: &str = "memrig-";

/// The same before the lock is held, and while the folder goes: the lock may be gone by then.
const UNLOCKED: &str = "memrig.tmp-";

/// The file that the owner holds locked.
const LOCK: &str = "lock";

/// In this time a folder is locked, or gone, if its owner lives.
const YOUNG: Duration = Duration::from_secs(60);

/// A folder of this process alone, gone when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    /// What it is called while it is not locked.
    unlocked: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Scratch {
    /// Makes a folder in the host's folder for temporary files, or in `/tmp` if that has a long path: names of sockets must not
    /// be longer than 108 bytes.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        Self::within(&short_folder(std::env::temp_dir()))
    }

    fn within(parent: &Path) -> io::Result<Self> {
        let unlocked = tempfile::Builder::new().prefix(UNLOCKED).tempdir_in(parent)?;
        let lock = File::create(unlocked.path().join(LOCK))?;
        lock.lock()?;
        let folder = locked_name(parent, unlocked.path())
            .ok_or_else(|| io::Error::other("a temporary folder is not called as was asked for"))?;
        // Nobody else has a folder of this name: theirs, too, had the other one once.
        fs::rename(unlocked.path(), &folder)?;
        Ok(Self {
            folder,
            unlocked: unlocked.keep(),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let gone = fs::rename(&self.folder, &self.unlocked);
        // There is nobody to tell, and nothing is lost: a later sweep takes what could not be removed.
        gone.and_then(|()| fs::remove_dir_all(&self.unlocked)).ok();
    }
}

/// What a folder is called once its lock is held.
fn locked_name(parent: &Path, unlocked: &Path) -> Option<PathBuf> {
    let random = unlocked.file_name()?.to_str()?.strip_prefix(UNLOCKED)?;
    Some(parent.join(format!("{PREFIX}{random}")))
}

/// Takes away the folders of processes that were killed, and says how many there were.
///
/// # Errors
/// The folder for temporary files cannot be listed.
pub fn sweep() -> io::Result<usize> {
    sweep_within(&short_folder(std::env::temp_dir()), YOUNG)
}

fn sweep_within(parent: &Path, young: Duration) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // What somebody else takes away, or owns, is not there for us.
        let nobodys = if name.starts_with(UNLOCKED) {
            let made = entry.metadata().and_then(|facts| facts.modified());
            made.is_ok_and(|made| {
                SystemTime::now()
                    .duration_since(made)
                    .is_ok_and(|age| age >= young)
            })
        } else {
            name.starts_with(PREFIX)
                && File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
        };
        if nobodys && fs::remove_dir_all(entry.path()).is_ok() {
            swept += 1;
        }
    }
    Ok(swept)
}

fn short_folder(folder: PathBuf) -> PathBuf {
    if folder.as_os_str().len() > 80 {
        PathBuf::from("/tmp")
    } else {
        folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_fit_into_a_name_of_108_bytes() {
        let long = PathBuf::from("/var").join("x".repeat(90));
        assert_eq!(short_folder(long), Path::new("/tmp"));
        assert_eq!(short_folder("/var/tmp".into()), Path::new("/var/tmp"));
    }

    #[test]
    fn only_what_nobody_holds_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Scratch::within(parent.path()).unwrap();
        // A process that is killed closes its files and removes nothing.
        let killed = parent.path().join("memrig-killed");
        let unlocked = parent.path().join("memrig.tmp-killed");
        let other = parent.path().join("memrig-of-somebody");
        for folder in [&killed, &unlocked, &other] {
            fs::create_dir(folder).unwrap();
        }
        File::create(killed.join(LOCK)).unwrap();
        assert_eq!(sweep_within(parent.path(), YOUNG).unwrap(), 1);
        assert!(!killed.exists());
        assert!(
            unlocked.exists(),
            "its owner may be about to lock or to remove it"
        );
        assert_eq!(sweep_within(parent.path(), Duration::ZERO).unwrap(), 1);
        assert!(alive.path().exists() && other.exists() && !unlocked.exists());
        let path = alive.path().to_owned();
        drop(alive);
        assert!(!path.exists());
        let left: Vec<_> = fs::read_dir(parent.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "only that of somebody: {left:?}");
    }
}
