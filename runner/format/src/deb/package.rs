// SPDX-License-Identifier: MIT OR Apache-2.0
//! A `.deb`: an `ar` archive whose member `data.tar.*` has the files, and `control.tar.*` what the package says of itself.

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use crate::packing::Packing;

/// The member with the files.
const DATA: &str = "data.tar";

/// The member with what the package says of itself.
const CONTROL: &str = "control.tar";

/// What went wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The bytes are no package.
    #[error("not a Debian package: {0}")]
    Format(&'static str),
    /// The files are compressed in a way that is not known here.
    #[error("the package's `{0}` is compressed in an unknown way")]
    Compression(String),
    /// Reading it.
    #[error("reading the package")]
    Read(#[from] io::Error),
}

/// What a member of the package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A symbolic link or a hard link, and where it leads.
    Link(String),
    /// A directory or anything else.
    Other,
}

/// One file of a package, at the place in the stream where it can be read.
pub struct Member<'a> {
    /// Path without the leading `./`.
    pub path: String,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits.
    pub mode: u32,
    /// The contents; what is left unread is passed over.
    pub contents: &'a mut dyn Read,
}

/// Shows the files of a package one after the other, until `see` breaks or the package ends.
///
/// # Errors
/// Those of the package, and those of `see`.
pub fn members<E: From<DebError>>(
    deb: impl Read,
    mut see: impl FnMut(Member<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let (name, data) = member(deb, DATA)?;
    let mut archive = tar::Archive::new(decompressed(&name, data)?);
    for entry in archive.entries().map_err(DebError::Read)? {
        let mut entry = entry.map_err(DebError::Read)?;
        let path = String::from_utf8_lossy(&entry.path_bytes())
            .trim_start_matches("./")
            .trim_end_matches('/')
            .to_owned();
        let kind = match entry.header().entry_type() {
            tar::EntryType::Regular => MemberKind::File,
            tar::EntryType::Symlink | tar::EntryType::Link => {
                // A link to nowhere is one to the empty path, which no file has.
                let target = entry.link_name_bytes().unwrap_or_default();
                MemberKind::Link(String::from_utf8_lossy(&target).into_owned())
            }
            _ => MemberKind::Other,
        };
        let mode = entry.header().mode().map_err(DebError::Read)?;
        let member = Member {
            path,
            kind,
            mode,
            contents: &mut entry,
        };
        if see(member)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// What the package says of itself: its file `control`, one stanza.
///
/// # Errors
/// The bytes are no package, or cannot be read.
pub fn control(deb: impl Read) -> Result<String, DebError> {
    let (name, data) = member(deb, CONTROL)?;
    let mut archive = tar::Archive::new(decompressed(&name, data)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry
            .path_bytes()
            .strip_prefix(b"./")
            .unwrap_or(&entry.path_bytes())
            == b"control"
        {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Err(DebError::Format("its member `control.tar` has no `control`"))
}

/// Leads the stream to the member whose name begins so, and returns its name and its bytes.
fn member<R: Read>(mut deb: R, wanted: &str) -> Result<(String, io::Take<R>), DebError> {
    let mut magic = [0; 8];
    deb.read_exact(&mut magic)?;
    if &magic != b"!<arch>\n" {
        return Err(DebError::Format("it does not begin with `!<arch>`"));
    }
    let mut first = true;
    loop {
        let mut header = [0; 60];
        deb.read_exact(&mut header).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof if wanted == DATA => DebError::Format("it has no member `data.tar`"),
            io::ErrorKind::UnexpectedEof => DebError::Format("it has no member `control.tar`"),
            _ => error.into(),
        })?;
        let field = |range| std::str::from_utf8(&header[range]).map(str::trim_end);
        let wrong = DebError::Format("a member of it has a damaged header");
        let (Ok(name), Ok(size)) = (field(0..16), field(48..58)) else {
            return Err(wrong);
        };
        let (name, Ok(size)) = (name.trim_end_matches('/'), size.parse::<u64>()) else {
            return Err(wrong);
        };
        if first && name != "debian-binary" {
            return Err(DebError::Format("its first member is not `debian-binary`"));
        }
        first = false;
        if name.starts_with(wanted) {
            return Ok((name.to_owned(), deb.take(size)));
        }
        // Members begin at even offsets.
        let skip = size.next_multiple_of(2);
        if io::copy(&mut deb.by_ref().take(skip), &mut io::sink())? < skip {
            return Err(DebError::Format("it ends within a member"));
        }
    }
}

fn decompressed<'a>(name: &str, data: impl Read + 'a) -> Result<Box<dyn Read + 'a>, DebError> {
    let packing = match name.split_once(".tar") {
        Some((_, "")) => return Ok(Box::new(data)),
        Some((_, ".gz")) => Packing::Gzip,
        Some((_, ".xz")) => Packing::Xz,
        Some((_, ".zst")) => Packing::Zstd,
        _ => return Err(DebError::Compression(name.to_owned())),
    };
    Ok(packing.unpacked(data)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::samples::{deb_of, tar_of};

    fn read(deb: &[u8]) -> Result<Vec<(String, MemberKind, Vec<u8>)>, DebError> {
        let mut seen = Vec::new();
        members(deb, |member| {
            let mut bytes = Vec::new();
            member.contents.read_to_end(&mut bytes)?;
            seen.push((member.path, member.kind, bytes));
            Ok::<_, DebError>(ControlFlow::Continue(()))
        })?;
        Ok(seen)
    }

    #[test]
    fn all_three_compressions_are_read() {
        let tar = tar_of(&[("usr/bin/a", b"one"), ("boot/b", b"two")]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&tar).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(&tar).unwrap();
        for (name, bytes) in [
            ("data.tar", tar.clone()),
            ("data.tar.gz", gz.finish().unwrap()),
            ("data.tar.xz", xz.finish().unwrap()),
            ("data.tar.zst", zstd::encode_all(tar.as_slice(), 1).unwrap()),
        ] {
            let deb = deb_of(&[
                ("debian-binary", b"2.0\n"),
                ("control.tar.gz", b"odd"),
                (name, &bytes),
            ]);
            let seen = read(&deb).unwrap();
            assert_eq!(
                seen[0],
                ("usr/bin/a".to_owned(), MemberKind::File, b"one".to_vec()),
                "{name}"
            );
            assert_eq!(seen[1].0, "boot/b");
            assert_eq!(seen[2].1, MemberKind::Link("x.so.1.2".to_owned()));
        }
    }

    #[test]
    fn a_package_says_what_it_is() {
        let tar = tar_of(&[("md5sums", b"x"), ("control", b"Package: linux-image-7.2\n")]);
        let deb = |tar| {
            deb_of(&[
                ("debian-binary", b"2.0\n"),
                ("control.tar.zst", &zstd::encode_all(tar, 1).unwrap()),
                ("data.tar", b""),
            ])
        };
        assert_eq!(
            control(deb(tar.as_slice()).as_slice()).unwrap(),
            "Package: linux-image-7.2\n"
        );
        let said = |deb: &[u8]| control(deb).unwrap_err().to_string();
        let other = tar_of(&[("md5sums", b"x")]);
        assert!(said(&deb(other.as_slice())).contains("has no `control`"));
        let none = deb_of(&[("debian-binary", b"2.0\n"), ("data.tar", b"")]);
        assert!(said(&none).contains("no member `control.tar`"));
    }

    #[test]
    fn reading_stops_when_told_and_errors_say_why() {
        let tar = tar_of(&[("a", b"one"), ("b", b"two")]);
        let deb = deb_of(&[("debian-binary", b"2.0\n"), ("data.tar", &tar)]);
        let mut count = 0;
        members(deb.as_slice(), |_| {
            count += 1;
            Ok::<_, DebError>(ControlFlow::Break(()))
        })
        .unwrap();
        assert_eq!(count, 1);
        let said = |deb: &[u8]| read(deb).unwrap_err().to_string();
        assert!(said(b"PK\x03\x04....").contains("!<arch>"));
        assert!(said(&deb_of(&[("debian-binary", b"2.0\n")])).contains("no member `data.tar`"));
        assert!(said(&deb_of(&[("something", b"2.0\n")])).contains("debian-binary"));
        let lz4 = deb_of(&[("debian-binary", b"2.0\n"), ("data.tar.lz4", b"x")]);
        assert!(said(&lz4).contains("data.tar.lz4"));
        assert!(read(&deb[..deb.len() - 1500]).is_err());
    }
}
