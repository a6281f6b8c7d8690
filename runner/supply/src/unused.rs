// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the cache holds and nobody has used for long.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::cache::{Cache, CacheError};
use base::ByteSize;

/// Kinds of entries that are got or made again when they are needed, and whose times say when they were used last. Apt's indices and a
/// QEMU of ours are not among them.
const KINDS: [&str; 11] = [
    "built",
    "debs",
    "failed",
    "images",
    "kernels",
    "lines",
    "mails",
    "plugins",
    "selftests",
    "told",
    "trees",
];

/// An entry of the cache that was not used for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// What it is of, such as `built`.
    pub kind: &'static str,
    /// Its name in the folder of its kind.
    pub key: String,
    /// What its files hold.
    pub size: ByteSize,
    /// How long nobody used it.
    pub since: Duration,
}

/// The entries that nobody used for so long, those of one kind together, the oldest first. A clock that went back makes an entry a used one.
///
/// # Errors
/// The cache does not read.
pub fn unused(cache: &Cache, since: Duration) -> Result<Vec<Unused>, CacheError> {
    let failed = |source| cache.failed(source);
    let mut all = Vec::new();
    for kind in KINDS {
        let mut of_kind = Vec::new();
        for entry in entries(&cache.root().join(kind)).map_err(failed)? {
            let found = look(kind, &entry).map_err(failed)?;
            of_kind.extend(found.filter(|unused| unused.since >= since));
        }
        of_kind.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.key.cmp(&b.key)));
        all.append(&mut of_kind);
    }
    Ok(all)
}

/// Takes an entry out of the cache, once whoever makes or uses it under its lock has done so.
///
/// # Errors
/// It cannot be removed.
pub fn remove(cache: &Cache, unused: &Unused) -> Result<(), CacheError> {
    let Unused { kind, key, .. } = unused;
    let _lock = cache.lock(&format!("{kind}/{key}"))?;
    let removed = cache.remove(kind, key);
    removed.map_err(|source| cache.failed(source))
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs_err::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What is known of an entry; `None` if it went meanwhile, or has no name that can be written.
fn look(kind: &'static str, entry: &Path) -> io::Result<Option<Unused>> {
    let Some(key) = entry.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    let facts = match fs_err::symlink_metadata(entry) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let since = SystemTime::now().duration_since(facts.modified()?);
    Ok(Some(Unused {
        kind,
        key: key.to_owned(),
        size: ByteSize::bytes(size(entry)?),
        since: since.unwrap_or_default(),
    }))
}

/// Bytes of a file, or of all files below a folder. Links are not followed.
fn size(path: &Path) -> io::Result<u64> {
    let facts = fs_err::symlink_metadata(path)?;
    if !facts.is_dir() {
        return Ok(facts.len());
    }
    entries(path)?.iter().map(|entry| size(entry)).sum()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use base::ui::Ui;

    const DAY: Duration = Duration::from_hours(24);

    fn aged(path: &Path, ago: Duration) {
        File::open(path)
            .unwrap()
            .set_modified(SystemTime::now() - ago)
            .unwrap();
    }

    #[test]
    fn what_was_used_lately_stays_and_the_rest_goes() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path(), &Ui::silent()).unwrap();
        let make = |kind: &str, key: &str| {
            let made = cache.entry(kind, key, |dir| {
                fs_err::write(dir.join("f"), [0; 1000]).map_err(|e| cache.failed(e))
            });
            made.unwrap()
        };
        let (old, used, qemu) = (
            make("kernels", "old"),
            make("kernels", "used"),
            make("qemu", "old"),
        );
        for path in [&old, &used, &qemu] {
            aged(path, 40 * DAY);
        }
        // Whoever asks for an entry uses it; whoever only looks does not.
        assert!(cache.find("kernels", "used").is_some());
        assert!(cache.looking().find("kernels", "old").is_some());
        let found = unused(&cache, 30 * DAY).unwrap();
        let keys: Vec<_> = found
            .iter()
            .map(|unused| (unused.kind, unused.key.as_str()))
            .collect();
        assert_eq!(keys, [("kernels", "old")]);
        assert_eq!(found[0].size, ByteSize::bytes(1000));
        assert_eq!(unused(&cache, 41 * DAY).unwrap(), []);
        remove(&cache, &found[0]).unwrap();
        assert!(!old.exists() && used.is_dir() && qemu.is_dir());
        assert_eq!(root.path().join("kernels").read_dir().unwrap().count(), 1);
        assert!(remove(&cache, &found[0]).is_err());
    }
}
