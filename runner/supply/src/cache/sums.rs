// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what lies in the cache is what was put there.
//!
//! Each entry has a file of sums beside it. Sizes and times are looked at whenever an entry is used, what is in its files once a day and where these differ: a guest
//! whose kernel lost its end on some disk would speak against the kernel.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::digest::sha256_file;

/// How long what was read once need not be read again.
const DAY: Duration = Duration::from_hours(24);

/// The files of an entry by their paths in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sums(BTreeMap<PathBuf, Sum>);

/// A file of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    bytes: u64,
    /// When it was changed last, in nanoseconds since 1970.
    changed: i128,
    sha256: String,
}

/// How an entry is not what was put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damaged {
    /// A file, by its path in the entry.
    file: PathBuf,
    what: &'static str,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file.display(), self.what)
    }
}

/// Sizes in bytes of all files below a folder, and when they were changed, by their paths in it. Links are not followed, and are none.
fn files(folder: &Path) -> io::Result<BTreeMap<PathBuf, (u64, i128)>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(&next)? {
            let path = entry?.path();
            let facts = fs_err::symlink_metadata(&path)?;
            if facts.is_dir() {
                folders.push(path);
            } else if facts.is_file() {
                let changed = i128::from(facts.mtime()) * 1_000_000_000 + i128::from(facts.mtime_nsec());
                let inside = path.strip_prefix(folder).expect("below it").to_owned();
                found.insert(inside, (facts.len(), changed));
            }
        }
    }
    Ok(found)
}

impl Sums {
    /// Those of a folder as it is.
    ///
    /// # Errors
    /// It does not read.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let sums = files(folder)?.into_iter().map(|(path, (bytes, changed))| {
            let sha256 = sha256_file(&folder.join(&path))?;
            let sum = Sum {
                bytes,
                changed,
                sha256,
            };
            Ok((path, sum))
        });
        Ok(Self(sums.collect::<io::Result<_>>()?))
    }

    /// Whether sizes and times are these; a file that is too much matters to nobody.
    fn look_like(&self, found: &BTreeMap<PathBuf, (u64, i128)>) -> bool {
        let mut sums = self.0.iter();
        sums.all(|(path, sum)| found.get(path) == Some(&(sum.bytes, sum.changed)))
    }

    /// How a folder, in which these files were found, differs in what they hold; else the same sums with the times that they have now.
    fn compared(
        mut self,
        folder: &Path,
        found: &BTreeMap<PathBuf, (u64, i128)>,
    ) -> io::Result<Result<Self, Damaged>> {
        for (path, sum) in &mut self.0 {
            let what = match found.get(path) {
                None => "is gone",
                Some((bytes, _)) if *bytes < sum.bytes => "is shorter than it was",
                Some((bytes, _)) if *bytes > sum.bytes => "is longer than it was",
                Some(_) if sha256_file(&folder.join(path))? != sum.sha256 => "holds something else",
                Some((_, changed)) => {
                    sum.changed = *changed;
                    continue;
                }
            };
            return Ok(Err(Damaged {
                file: path.clone(),
                what,
            }));
        }
        Ok(Ok(self))
    }

    /// Writes them, whole or not at all.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().expect("a file in a folder");
        fs_err::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(&serde_json::to_vec(self)?)?;
        new.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Writes them for the next one who looks. Where that fails, as on a full disk, the next one reads the files again.
    fn note(&self, path: &Path) {
        let _ = self.write(path);
    }

    /// Those that were written; none where nobody has, or what was written does not read.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs_err::read(path) {
            // What does not read says nothing about the entry.
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether an entry that is only looked at is what was put there, by sizes and times alone. One without sums is taken as it is.
///
/// # Errors
/// It does not read.
pub(super) fn seem_the_same(entry: &Path, sums: &Path) -> io::Result<bool> {
    match Sums::read(sums)? {
        Some(known) => Ok(known.look_like(&files(entry)?)),
        None => Ok(true),
    }
}

/// How an entry differs from what was put there. One without sums, such as an older memrig's, is taken as it is, and has some from now on.
///
/// # Errors
/// It does not read.
pub(super) fn compare(entry: &Path, sums: &Path) -> io::Result<Option<Damaged>> {
    let Some(known) = Sums::read(sums)? else {
        Sums::of(entry)?.note(sums);
        return Ok(None);
    };
    let read = fs_err::metadata(sums)?.modified()?;
    // A clock that went back makes the last time unknown.
    let recent = SystemTime::now().duration_since(read).is_ok_and(|ago| ago < DAY);
    let found = files(entry)?;
    if recent && known.look_like(&found) {
        return Ok(None);
    }
    match known.compared(entry, &found)? {
        Ok(now) => {
            now.note(sums);
            Ok(None)
        }
        Err(damaged) => Ok(Some(damaged)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// An entry of two files, and where its sums are.
    fn entry() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let (entry, sums) = (root.path().join("entry"), root.path().join("sums/entry"));
        fs_err::create_dir_all(entry.join("modules")).unwrap();
        fs_err::write(entry.join("vmlinuz"), "a kernel").unwrap();
        fs_err::write(entry.join("modules/a.ko"), "a module").unwrap();
        Sums::of(&entry).unwrap().write(&sums).unwrap();
        (root, entry, sums)
    }

    fn said(entry: &Path, sums: &Path) -> Option<String> {
        compare(entry, sums).unwrap().map(|damaged| damaged.to_string())
    }

    #[test]
    fn what_is_as_it_was_is_whole() {
        let (_root, entry, sums) = entry();
        assert_eq!(said(&entry, &sums), None);
        assert!(seem_the_same(&entry, &sums).unwrap());
        // A file that somebody put there is nobody's.
        fs_err::write(entry.join("more"), "").unwrap();
        assert_eq!(said(&entry, &sums), None);
    }

    #[test]
    fn every_kind_of_damage_is_told() {
        for (text, what) in [
            ("a ker", "is shorter than it was"),
            ("a kernel of more", "is longer than it was"),
            ("o kernel", "holds something else"),
        ] {
            let (_root, entry, sums) = entry();
            fs_err::write(entry.join("vmlinuz"), text).unwrap();
            assert_eq!(said(&entry, &sums), Some(format!("vmlinuz {what}")));
            assert!(!seem_the_same(&entry, &sums).unwrap());
            // And again: it is not taken as it is.
            assert_eq!(said(&entry, &sums), Some(format!("vmlinuz {what}")));
        }
        let (_root, entry, sums) = entry();
        fs_err::remove_file(entry.join("modules/a.ko")).unwrap();
        assert_eq!(said(&entry, &sums).as_deref(), Some("modules/a.ko is gone"));
    }

    #[test]
    fn a_copy_has_other_times_and_is_whole() {
        let (_root, entry, sums) = entry();
        let other = SystemTime::UNIX_EPOCH + DAY;
        File::open(entry.join("vmlinuz"))
            .unwrap()
            .set_modified(other)
            .unwrap();
        assert!(!seem_the_same(&entry, &sums).unwrap());
        assert_eq!(said(&entry, &sums), None);
        assert!(seem_the_same(&entry, &sums).unwrap());
    }

    #[test]
    fn what_changed_without_a_trace_is_seen_a_day_later() {
        let (_root, entry, sums) = entry();
        let file = entry.join("vmlinuz");
        let changed = fs_err::metadata(&file).unwrap().modified().unwrap();
        fs_err::write(&file, "o kernel").unwrap();
        File::open(&file).unwrap().set_modified(changed).unwrap();
        assert_eq!(said(&entry, &sums), None);
        let yesterday = SystemTime::now() - DAY;
        File::open(&sums).unwrap().set_modified(yesterday).unwrap();
        assert_eq!(
            said(&entry, &sums).as_deref(),
            Some("vmlinuz holds something else")
        );
    }

    #[test]
    fn an_entry_without_sums_gets_some() {
        let (_root, entry, sums) = entry();
        for text in [None, Some("not JSON")] {
            fs_err::remove_file(&sums).unwrap();
            if let Some(text) = text {
                fs_err::write(&sums, text).unwrap();
            }
            assert_eq!(said(&entry, &sums), None);
            assert_eq!(Sums::read(&sums).unwrap(), Some(Sums::of(&entry).unwrap()));
        }
    }
}
