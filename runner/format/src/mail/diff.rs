// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checking a diff before git sees it: which files it touches, and that its hunks are whole.

use std::{borrow::Cow, collections::BTreeSet};

/// Why a diff is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// A path that leads out of the tree, or into git's own files.
    #[error("it names the file `{0}`, which is not in the tree")]
    Outside(String),
    /// A change of bytes.
    #[error("it has a binary patch of `{0}`: memrig takes text only")]
    Binary(String),
    /// A link or a submodule.
    #[error("it makes `{0}` a symbolic link or a submodule: memrig takes plain files only")]
    NoFile(String),
    /// A hunk with another number of lines than it says.
    #[error(
        "the hunk `{hunk}` of `{file}` does not have the lines that it counts: a mail program has cut or wrapped them"
    )]
    Hunk {
        /// The file.
        file: String,
        /// Its header.
        hunk: String,
    },
    /// Paths without the folders that git puts before them.
    #[error(
        "its paths, such as `{0}`, have no `a/` and `b/` before them: have it sent without `diff.noprefix`"
    )]
    NoPrefix(String),
    /// No-break spaces where a diff has spaces.
    #[error(
        "a mail program has made no-break spaces of the spaces in the diff of `{0}`: have it sent as it is, by `git send-email` or attached"
    )]
    Spaces(String),
    /// A file name in quotes that do not read.
    #[error("it has a file name that does not read: {0}")]
    Name(String),
}

/// A `diff --git` line begins with this.
const GIT: &str = "diff --git ";

/// Where the diff of a text begins: at the first line that starts one.
pub(super) fn start_of_diff(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut lines = text.split_inclusive(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let old = line.starts_with(b"--- ") && lines.peek().is_some_and(|next| next.starts_with(b"+++ "));
        if line.starts_with(GIT.as_bytes()) || old {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// What a look at every line of a diff has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked {
    /// The files that it touches.
    pub(super) files: BTreeSet<String>,
    /// Where it ends: what stands below is no part of it.
    pub(super) end: usize,
    /// What stands right below a hunk, looks like a part of it, and is none by its header; for a person.
    pub(super) left_out: Option<String>,
}

/// The lines of a diff, and where the one that was taken last ends.
struct Lines<'a> {
    diff: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn take(&mut self) -> Option<Cow<'a, str>> {
        if self.at == self.diff.len() {
            return None;
        }
        let line = self.peek();
        self.at = (self.at + line.len() + 1).min(self.diff.len());
        // Names of files that are not UTF-8 are in quotes; what else is not is looked at by its first letter.
        Some(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// The next line without its end; nothing where there is none.
    fn peek(&self) -> &'a [u8] {
        let rest = &self.diff[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        &rest[..end.unwrap_or(rest.len())]
    }
}

/// Looks at every line of a diff.
pub(super) fn check(diff: &[u8]) -> Result<Checked, DiffError> {
    let mut checked = Checked {
        files: BTreeSet::new(),
        end: 0,
        left_out: None,
    };
    let mut now = String::new();
    // The file and the header of the hunk that was last.
    let mut last: Option<(String, String)> = None;
    let mut old_name = None;
    // Whether lines stand below the last hunk that look like a part of it.
    let mut loose = false;
    let mut lines = Lines { diff, at: 0 };
    while let Some(line) = lines.take() {
        let line = line.as_ref();
        let files = &mut checked.files;
        if let Some(rest) = line.strip_prefix(GIT) {
            (last, loose) = (None, false);
            now = match both(rest)? {
                Some((old, new)) => {
                    files.insert(inside(&old)?);
                    files.insert(inside(&new)?);
                    new
                }
                // With spaces in the names, the lines that follow name the file.
                None => rest.to_owned(),
            };
        } else if let Some(rest) = file_of(line, old_name.is_some(), &lines) {
            (last, loose) = (None, false);
            // A time may follow after a tab.
            let path = unquoted(rest.split('\t').next().unwrap_or(rest))?;
            if path != "/dev/null" {
                let name = stripped(&path).ok_or_else(|| DiffError::Outside(path.clone()))?;
                now = inside(name)?;
                files.insert(now.clone());
            }
            if line.starts_with("--- ") {
                old_name = Some(path);
            } else if old_name.take().as_ref() == Some(&path) && path != "/dev/null" {
                return Err(DiffError::NoPrefix(path));
            }
        } else if let Some(path) = ["rename from ", "rename to ", "copy from ", "copy to "]
            .iter()
            .find_map(|words| line.strip_prefix(words))
            .filter(|_| last.is_none())
        {
            files.insert(inside(&unquoted(path)?)?);
        } else if line == "GIT binary patch" || line.starts_with("Binary files ") {
            return Err(DiffError::Binary(now));
        } else if let Some(mode) = ["new file mode ", "new mode ", "deleted file mode ", "old mode "]
            .iter()
            .find_map(|words| line.strip_prefix(words))
            .filter(|_| last.is_none())
        {
            if !mode.starts_with("100") {
                return Err(DiffError::NoFile(now));
            }
        } else if line.starts_with("@@ -") {
            // A hunk after lines that no hunk counts: they were a part of one.
            if let Some((file, hunk)) = last.take().filter(|_| loose) {
                return Err(DiffError::Hunk { file, hunk });
            }
            hunk(line, &now, &mut lines)?;
            last = Some((now.clone(), line.to_owned()));
            checked.end = lines.at;
            let next = lines.peek();
            if more(next) {
                let next = String::from_utf8_lossy(next).trim_end().to_owned();
                loose = true;
                checked.left_out = Some(format!(
                    "`{next}` and what follows it in {now} is left out, as git does: the hunk `{line}` above does not count it"
                ));
            }
            continue;
        } else if last.is_some() || !is_index(line) {
            continue;
        }
        checked.end = lines.at;
    }
    Ok(checked)
}

fn is_index(line: &str) -> bool {
    ["index ", "similarity index ", "dissimilarity index "]
        .iter()
        .any(|words| line.starts_with(words))
}

/// What follows `--- ` or `+++ ` in a line that names a file.
fn file_of<'a>(line: &'a str, second: bool, lines: &Lines<'_>) -> Option<&'a str> {
    // A text below the diff may have such lines too; these come together.
    let old = line
        .strip_prefix("--- ")
        .filter(|_| lines.peek().starts_with(b"+++ "));
    old.or_else(|| line.strip_prefix("+++ ").filter(|_| second))
}

/// Whether a line after a hunk would be one more of it. A signature is `-- `, and the next file may begin with `--- `.
fn more(next: &[u8]) -> bool {
    match next {
        [b'-', b'-', ..] => false,
        [b'+', ..] => !next.starts_with(b"+++ "),
        [b' ' | b'-', ..] => true,
        _ => false,
    }
}

/// Reads the lines of a hunk, whose header this is.
fn hunk(header: &str, file: &str, lines: &mut Lines<'_>) -> Result<(), DiffError> {
    let wrong = || DiffError::Hunk {
        file: file.to_owned(),
        hunk: header.to_owned(),
    };
    let (mut old, mut new) = counts(header).ok_or_else(wrong)?;
    while old > 0 || new > 0 {
        let line = lines.take().ok_or_else(wrong)?;
        if line.starts_with('\u{a0}') {
            return Err(DiffError::Spaces(file.to_owned()));
        }
        let (less_old, less_new) = match line.as_bytes().first() {
            // An empty line is one of context that has lost its space.
            Some(b' ') | None => (1, 1),
            Some(b'-') => (1, 0),
            Some(b'+') => (0, 1),
            Some(b'\\') => (0, 0),
            Some(_) => return Err(wrong()),
        };
        old = u64::checked_sub(old, less_old).ok_or_else(wrong)?;
        new = u64::checked_sub(new, less_new).ok_or_else(wrong)?;
    }
    if lines.peek().starts_with(b"\\") {
        lines.take();
    }
    Ok(())
}

/// The two paths of a `diff --git` line, without `a/` and `b/`.
fn both(rest: &str) -> Result<Option<(String, String)>, DiffError> {
    if let Some(quoted) = rest.strip_prefix('"') {
        let end = quoted
            .match_indices('"')
            .map(|(at, _)| at + 1)
            .find(|&at| !rest[..at].ends_with('\\'))
            .ok_or_else(|| DiffError::Name(rest.to_owned()))?;
        let (old, new) = (unquoted(&rest[..=end])?, unquoted(rest[end + 1..].trim_start())?);
        return Ok(stripped(&old)
            .zip(stripped(&new))
            .map(|(old, new)| (old.to_owned(), new.to_owned())));
    }
    let mut words = rest.split(' ');
    let (old, new) = (words.next(), words.next());
    if words.next().is_some() {
        return Ok(None);
    }
    let (Some(old), Some(new)) = (old, new) else {
        return Err(DiffError::Name(rest.to_owned()));
    };
    if old == new {
        return Err(DiffError::NoPrefix(new.to_owned()));
    }
    let new = unquoted(new)?;
    match (stripped(old), stripped(&new)) {
        (Some(old), Some(new)) => Ok(Some((old.to_owned(), new.to_owned()))),
        _ => Err(DiffError::Outside(rest.to_owned())),
    }
}

/// A path without its first part, which is `a` or `b`.
pub(super) fn stripped(path: &str) -> Option<&str> {
    let (first, rest) = path.split_once('/')?;
    (!first.is_empty() && first != "..").then_some(rest)
}

/// The path, if every part of it is a plain name.
fn inside(path: &str) -> Result<String, DiffError> {
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.eq_ignore_ascii_case(".git");
    if path.split('/').all(plain) && !path.contains(['\0', '\n']) {
        Ok(path.to_owned())
    } else {
        Err(DiffError::Outside(path.to_owned()))
    }
}

/// A name without the quotes that git puts around unusual ones.
pub(super) fn unquoted(name: &str) -> Result<String, DiffError> {
    let wrong = || DiffError::Name(name.to_owned());
    let Some(inner) = name.strip_prefix('"') else {
        return Ok(name.to_owned());
    };
    let inner = inner.strip_suffix('"').ok_or_else(wrong)?;
    let mut bytes = Vec::new();
    let mut rest = inner.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().ok_or_else(wrong)? {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            byte @ (b'"' | b'\\') => byte,
            first @ b'0'..=b'3' => {
                let mut value = first - b'0';
                for _ in 0..2 {
                    let digit = rest
                        .next()
                        .filter(|d| (b'0'..=b'7').contains(d))
                        .ok_or_else(wrong)?;
                    value = value * 8 + (digit - b'0');
                }
                value
            }
            _ => return Err(wrong()),
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// The numbers of lines of `@@ -a,b +c,d @@`.
pub(super) fn counts(header: &str) -> Option<(u64, u64)> {
    let (ranges, _) = header.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let count = |range: &str| {
        let (start, count) = range.split_once(',').unwrap_or((range, "1"));
        start.parse::<u64>().ok()?;
        count.parse::<u64>().ok()
    };
    Some((count(old)?, count(new)?))
}
