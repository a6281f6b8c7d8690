// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files and folders that a user names, and files of a run, whose folder a user names.
//!
//! A FIFO would be waited for, a device read for ever: what is not of the kind that is wanted is refused by its name before it is opened.

use std::{
    fs::{FileType, Metadata},
    io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use super::ByteSize;

/// The largest text that is read whole, such as a suite or a configuration: a kernel's `.config` has 300 KiB.
const LARGEST_TEXT: ByteSize = ByteSize::mib(16);

/// What a user named holds no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoText {
    /// Two bytes for each character.
    #[error("this is UTF-16, and UTF-8 is expected")]
    Utf16,
    /// Something else than UTF-8.
    #[error("this is no UTF-8")]
    NoUtf8 {
        /// Line of the first byte that is wrong, from 1.
        line: usize,
        /// Its column in characters, from 1.
        column: usize,
    },
    /// No text has it.
    #[error("a NUL byte: this is no text")]
    Nul {
        /// Its line, from 1.
        line: usize,
        /// Its column in characters, from 1.
        column: usize,
    },
}

impl NoText {
    /// Line and column of what is wrong, each from 1.
    pub fn place(&self) -> (usize, usize) {
        match *self {
            Self::Utf16 => (1, 1),
            Self::NoUtf8 { line, column } | Self::Nul { line, column } => (line, column),
        }
    }
}

/// What lies at a path.
///
/// # Errors
/// Nothing is there, or it may not be looked at; the error has the path.
pub fn look(path: &Path) -> io::Result<Metadata> {
    std::fs::metadata(path).map_err(|error| not_seen(path, &error))
}

/// A path from the root on, without links.
///
/// # Errors
/// As [`look`].
pub fn whole(path: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|error| not_seen(path, &error))
}

fn not_seen(path: &Path, error: &io::Error) -> io::Error {
    let said = match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => format!("`{}` is a link to nothing", path.display()),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            format!("there is no `{}`", path.display())
        }
        _ => format!("`{}` cannot be looked at: {error}", path.display()),
    };
    io::Error::new(error.kind(), said)
}

/// Makes sure that a path leads to a file.
///
/// # Errors
/// Nothing is there, or something else; the error has the path.
pub fn check_file(path: &Path) -> io::Result<()> {
    let facts = look(path)?;
    match facts.is_file() {
        true => Ok(()),
        false => Err(refused(path, kind(facts.file_type()), "a file")),
    }
}

/// Makes sure that a path leads to a folder.
///
/// # Errors
/// Nothing is there, or something else; the error has the path.
pub fn check_folder(path: &Path) -> io::Result<()> {
    let facts = look(path)?;
    match facts.is_dir() {
        true => Ok(()),
        false => Err(refused(path, kind(facts.file_type()), "a folder")),
    }
}

/// Reads a file, however large it is: what memrig itself wrote, and somebody may have put something else in its place.
///
/// # Errors
/// It is no file, or cannot be read; the error has the path.
pub fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    check_file(path)?;
    fs_err::read(path)
}

/// The same; `None` where there is no such file.
///
/// # Errors
/// As [`read_whole`].
pub fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_whole(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file anew, unless something else has its name: who writes to a FIFO waits for a reader.
///
/// # Errors
/// It is no file, or cannot be written; the error has the path.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) -> io::Result<()> {
    match check_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs_err::write(path, contents),
    }
}

/// Reads a file of no more than `most` bytes.
///
/// # Errors
/// It is no file, or larger, or cannot be read; the error has the path.
pub fn read(path: &Path, most: ByteSize) -> io::Result<Vec<u8>> {
    check_file(path)?;
    let size = fs_err::metadata(path)?.len();
    if size > most.as_bytes() {
        return Err(invalid(format!(
            "`{}` has {} MiB: {most} are read at the most",
            path.display(),
            size.div_ceil(1 << 20)
        )));
    }
    fs_err::read(path)
}

/// Reads a file that should be a text of a usual size; [`text`] says whether it is one.
///
/// # Errors
/// As [`read`].
pub fn read_text(path: &Path) -> io::Result<Vec<u8>> {
    read(path, LARGEST_TEXT)
}

/// What a file holds as text, without the byte order mark that some editors put before it.
///
/// # Errors
/// It is no text in UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, NoText> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(NoText::Utf16);
    }
    let place = |good: &[u8]| {
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let last = good.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        (line, 1 + String::from_utf8_lossy(last).chars().count())
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = place(&bytes[..error.valid_up_to()]);
        NoText::NoUtf8 { line, column }
    })?;
    match text.find('\0') {
        // Without its mark, too, UTF-16 has one beside each letter of English.
        Some(at) if at < 2 && text.len() > 3 && text.as_bytes()[at + 2] == 0 => Err(NoText::Utf16),
        Some(at) => {
            let (line, column) = place(&bytes[..at]);
            Err(NoText::Nul { line, column })
        }
        None => Ok(text),
    }
}

fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        "a folder"
    } else if found.is_file() {
        "a file"
    } else if found.is_fifo() {
        "a FIFO"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn refused(path: &Path, found: &str, wanted: &str) -> io::Error {
    invalid(format!("`{}` is {found}: expected {wanted}", path.display()))
}

fn invalid(said: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_by_its_name_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for (path, kind) in [
            (fifo.as_path(), "a FIFO"),
            (&link, "a FIFO"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
            (folder.path(), "a folder"),
        ] {
            let said = read_text(path).unwrap_err().to_string();
            assert_eq!(said, format!("`{}` is {kind}: expected a file", path.display()));
            assert_eq!(read_whole(path).unwrap_err().to_string(), said);
            assert_eq!(write(path, "x").unwrap_err().to_string(), said);
        }
        let said = check_folder(&fifo).unwrap_err().to_string();
        assert!(said.ends_with("is a FIFO: expected a folder"), "{said}");
        let file = folder.path().join("file");
        write(&file, "x").unwrap();
        write(&file, [b'x'; 2048]).unwrap();
        assert_eq!(read_text(&file).unwrap().len(), 2048);
        let said = read(&file, ByteSize::bytes(1024)).unwrap_err().to_string();
        assert!(said.ends_with("has 1 MiB: 1K are read at the most"), "{said}");
        let said = check_folder(&file).unwrap_err().to_string();
        assert!(said.ends_with("is a file: expected a folder"), "{said}");
        let missing = check_file(&folder.path().join("no")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        for path in [folder.path().join("no"), file.join("no")] {
            let said = format!("there is no `{}`", path.display());
            assert_eq!(look(&path).unwrap_err().to_string(), said);
            assert_eq!(whole(&path).unwrap_err().to_string(), said);
        }
        let nowhere = folder.path().join("nowhere");
        std::os::unix::fs::symlink(folder.path().join("no"), &nowhere).unwrap();
        let said = check_file(&nowhere).unwrap_err().to_string();
        assert_eq!(said, format!("`{}` is a link to nothing", nowhere.display()));
    }

    #[test]
    fn a_text_is_utf8_with_or_without_a_mark() {
        assert_eq!(text(b"\xef\xbb\xbfa: b\n"), Ok("a: b\n"));
        assert_eq!(text(b""), Ok(""));
        assert_eq!(text("ü\r\n".as_bytes()), Ok("ü\r\n"));
        for utf16 in [
            &b"\xff\xfea\0:\0"[..],
            b"\xfe\xff\0a\0:",
            b"a\0:\0 \0",
            b"\0a\0:\0 ",
        ] {
            assert_eq!(text(utf16), Err(NoText::Utf16), "{utf16:?}");
        }
        assert_eq!(
            text(b"a\n\xc3\xbcb\xff"),
            Err(NoText::NoUtf8 { line: 2, column: 3 })
        );
        assert_eq!(text(b"a\nbc\0d"), Err(NoText::Nul { line: 2, column: 3 }));
        assert_eq!(text(b"\0").unwrap_err().place(), (1, 1));
    }
}
