// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders for sockets and keys, with short paths, that are gone with whoever made them.
//!
//! A process that is killed cannot tidy up. So each folder has a lock that its owner holds, and whoever comes later takes
//! away those that nobody holds.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;
use tempfile::TempDir;

/// What the names of all of them begin with.
const PREFIX: &str = "memrig-";

/// The file that the owner holds locked.
const LOCK: &str = "lock";

/// A folder that is younger may not be locked yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A folder of this process alone, gone when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
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
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
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
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // What somebody else takes away, or owns, is not there for us.
        let old = |lock: &File| {
            let made = lock.metadata().and_then(|facts| facts.modified()).ok()?;
            Some(SystemTime::now().duration_since(made).ok()? >= young)
        };
        if ours
            && let Ok(lock) = File::open(entry.path().join(LOCK))
            && old(&lock) == Some(true)
            && lock.try_lock().is_ok()
            && fs::remove_dir_all(entry.path()).is_ok()
        {
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
        let Scratch { folder, _lock } = Scratch::within(parent.path()).unwrap();
        let killed = folder.keep();
        drop(_lock);
        let other = parent.path().join("memrig-of-somebody");
        fs::create_dir(&other).unwrap();
        assert_eq!(sweep_within(parent.path(), YOUNG).unwrap(), 0, "it is young");
        assert_eq!(sweep_within(parent.path(), Duration::ZERO).unwrap(), 1);
        assert!(alive.path().exists() && other.exists() && !killed.exists());
        let path = alive.path().to_owned();
        drop(alive);
        assert!(!path.exists());
    }
}
