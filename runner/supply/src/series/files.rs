// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files a series is in, and in which order.

use std::{
    cmp::Ordering,
    io,
    path::{Path, PathBuf},
};

use super::SeriesError;
use ::base::{ByteSize, named};
use format::mail::LARGEST_FILE;

/// The files of mails at a path, in order: the path itself, or what a folder has. A folder may be one of `git format-patch`, a Maildir, an MH
/// folder, whose files are numbers, or one of quilt, whose file `series` tells the order.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, SeriesError> {
    let kind = named::look(path)?;
    if !kind.is_dir() {
        // What is no file either is refused when it is read.
        return Ok(vec![path.to_owned()]);
    }
    let maildir = ["cur", "new"].map(|part| path.join(part));
    if maildir.iter().all(|part| part.is_dir()) {
        let mut found = Vec::new();
        for part in &maildir {
            found.extend(in_folder(part, |name| !name.starts_with('.'))?);
        }
        return some(found, path);
    }
    let order = path.join("series");
    if order.is_file() {
        let text = fs_err::read_to_string(&order)?;
        let words = text.lines().filter_map(|line| line.split_whitespace().next());
        let found = words
            .filter(|word| !word.starts_with('#'))
            .map(|name| path.join(name));
        let found: Vec<PathBuf> = found.collect();
        return if found.is_empty() {
            Err(SeriesError::Empty(path.to_owned()))
        } else {
            Ok(found)
        };
    }
    some(in_folder(path, is_mail)?, path)
}

fn some(mut found: Vec<PathBuf>, path: &Path) -> Result<Vec<PathBuf>, SeriesError> {
    if found.is_empty() {
        return Err(SeriesError::Empty(path.to_owned()));
    }
    let name = |path: &PathBuf| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    found.sort_by(|a, b| natural(&name(a), &name(b)));
    Ok(found)
}

fn in_folder(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, SeriesError> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(path)? {
        let entry = entry?;
        if entry.path().is_file() && wanted(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether a file of a folder is one of mails, by its name.
fn is_mail(name: &str) -> bool {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let number = name.bytes().all(|byte| byte.is_ascii_digit());
    number || matches!(extension, Some("patch" | "eml" | "mbox" | "mbx"))
}

/// The order in which people count: 2 before 10.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    while !a_rest.is_empty() && !b_rest.is_empty() {
        let (a_part, b_part) = (part(a_rest), part(b_rest));
        let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(a_part) && digits(b_part) {
            let (a_number, b_number) = (a_part.trim_start_matches('0'), b_part.trim_start_matches('0'));
            a_number
                .len()
                .cmp(&b_number.len())
                .then_with(|| a_number.cmp(b_number))
        } else {
            a_part.cmp(b_part)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a_rest, b_rest) = (&a_rest[a_part.len()..], &b_rest[b_part.len()..]);
    }
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

/// The digits at the beginning of a text, or all before the first one.
fn part(text: &str) -> &str {
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digit);
    &text[..end.unwrap_or(text.len())]
}

pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    named::read(path, ByteSize::bytes(LARGEST_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_people_count() {
        let mut names = ["10-x", "2-x", "1-x", "0003-x", "x-11", "x-9", "x"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["1-x", "2-x", "0003-x", "10-x", "x", "x-9", "x-11"]);
        assert_eq!(natural("01", "1"), Ordering::Less);
        assert_eq!(natural("1", "1"), Ordering::Equal);
    }

    #[test]
    fn names_of_mails() {
        for name in ["1", "42", "0001-x.patch", "a.mbox.gz", "t.mbx", "x.eml"] {
            assert!(is_mail(name), "{name}");
        }
        for name in ["series", "x.patch~", "README", "x.c", "x.gz"] {
            assert!(!is_mail(name), "{name}");
        }
    }
}
