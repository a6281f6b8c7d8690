// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checking a diff before git sees it: which files it touches, and that its hunks are whole.

use std::collections::BTreeSet;

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
    /// A file name in quotes that do not read.
    #[error("it has a file name that does not read: {0}")]
    Name(String),
}

/// A `diff --git` line begins with this.
const GIT: &str = "diff --git ";

/// Where the diff of a text begins: at the first line that starts one.
pub(super) fn start_of_diff(text: &str) -> Option<usize> {
    let mut at = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let old = line.starts_with("--- ") && lines.peek().is_some_and(|next| next.starts_with("+++ "));
        if line.starts_with(GIT) || old {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// The files that a diff touches, after a look at every line of it.
pub(super) fn check(diff: &str) -> Result<BTreeSet<String>, DiffError> {
    let mut files = BTreeSet::new();
    let mut now = String::new();
    let mut lines = diff.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix(GIT) {
            now = match both(rest)? {
                Some((old, new)) => {
                    files.insert(inside(&old)?);
                    files.insert(inside(&new)?);
                    new
                }
                // With spaces in the names, the lines that follow name the file.
                None => rest.to_owned(),
            };
        } else if let Some(rest) = line.strip_prefix("--- ").or_else(|| line.strip_prefix("+++ ")) {
            // A time may follow after a tab.
            let path = unquoted(rest.split('\t').next().unwrap_or(rest))?;
            if path != "/dev/null" {
                let path = inside(stripped(&path).ok_or_else(|| DiffError::Outside(path.clone()))?)?;
                now.clone_from(&path);
                files.insert(path);
            }
        } else if let Some(path) = ["rename from ", "rename to ", "copy from ", "copy to "]
            .iter()
            .find_map(|words| line.strip_prefix(words))
        {
            files.insert(inside(&unquoted(path)?)?);
        } else if line == "GIT binary patch" || line.starts_with("Binary files ") {
            return Err(DiffError::Binary(now));
        } else if let Some(mode) = ["new file mode ", "new mode ", "deleted file mode ", "old mode "]
            .iter()
            .find_map(|words| line.strip_prefix(words))
        {
            if !mode.starts_with("100") {
                return Err(DiffError::NoFile(now));
            }
        } else if line.starts_with("@@ -") {
            let wrong = || DiffError::Hunk {
                file: now.clone(),
                hunk: line.to_owned(),
            };
            let (mut old, mut new) = counts(line).ok_or_else(wrong)?;
            while old > 0 || new > 0 {
                let (less_old, less_new) = match lines.next().ok_or_else(wrong)?.as_bytes().first() {
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
            // More lines of the same kind mean that the count is wrong; a signature is `-- `.
            let more = |next: &&str| {
                next.starts_with(' ')
                    || next.starts_with('+') && !next.starts_with("+++ ")
                    || next.starts_with('-') && !next.starts_with("--")
            };
            if lines.peek().is_some_and(more) {
                return Err(wrong());
            }
        }
    }
    Ok(files)
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
    let new = unquoted(new)?;
    match (stripped(old), stripped(&new)) {
        (Some(old), Some(new)) => Ok(Some((old.to_owned(), new.to_owned()))),
        _ => Err(DiffError::Outside(rest.to_owned())),
    }
}

/// A path without its first part, which is `a` or `b`.
fn stripped(path: &str) -> Option<&str> {
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
fn unquoted(name: &str) -> Result<String, DiffError> {
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
fn counts(header: &str) -> Option<(u64, u64)> {
    let (ranges, _) = header.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let count = |range: &str| {
        let (start, count) = range.split_once(',').unwrap_or((range, "1"));
        start.parse::<u64>().ok()?;
        count.parse::<u64>().ok()
    };
    Some((count(old)?, count(new)?))
}
