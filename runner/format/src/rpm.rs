// SPDX-License-Identifier: MIT OR Apache-2.0
//! A `.rpm`: what the package says of itself, and its files.
//!
//! The fourth version of the format, that of rpm 4 (docs/manual/format_v4.md of rpm): a lead of 96 bytes, a header with signatures that ends
//! at a multiple of eight, the header, and the files as a packed `cpio` archive. Numbers are big-endian.

use std::{
    io::{self, Read},
    ops::ControlFlow,
};

use cpio::newc;

use crate::{
    deb::{Member, MemberKind},
    packing::Packing,
};

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum RpmError {
    /// The bytes are no package.
    #[error("not a package of RPM: {0}")]
    Format(&'static str),
    /// The header lacks something.
    #[error("not a package of RPM: its header has no {0}")]
    Lacks(&'static str),
    /// The files are packed in a way that is not known here.
    #[error("the package's files are packed by {0}, which memrig does not read")]
    Packing(String),
    /// Reading it.
    #[error("reading the package")]
    Read(#[from] io::Error),
}

/// What a package says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its version and release, `6.12.0-55.el10`.
    pub version: String,
    /// RPM's name of the architecture that it is for, or `noarch`.
    pub architecture: String,
    /// Name and version of what it requires in exactly that version.
    pub exactly: Vec<(String, String)>,
}

/// What an entry of a header is about (`include/rpm/rpmtag.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Name = 1000,
    Version = 1001,
    Release = 1002,
    Arch = 1022,
    RequireFlags = 1048,
    RequireName = 1049,
    RequireVersion = 1050,
    PayloadCompressor = 1125,
}

/// `RPMSENSE_LESS`, `RPMSENSE_GREATER` and `RPMSENSE_EQUAL`, of the flags of what is required.
const COMPARISON: u32 = 0b1110;
const EQUAL: u32 = 0b1000;

const LEAD: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
const HEADER: [u8; 4] = [0x8e, 0xad, 0xe8, 1];

/// The longest that a header may be, in bytes, as rpm itself has it.
const LONGEST: u64 = 256 << 20;

/// A header: entries of sixteen bytes, and what they lead to.
struct Header {
    entries: Vec<u8>,
    store: Vec<u8>,
}

impl Header {
    fn read(from: &mut impl Read) -> Result<Self, RpmError> {
        let mut start = [0; 16];
        exactly(from, &mut start)?;
        if start[..4] != HEADER {
            return Err(RpmError::Format("a header of it does not begin as one"));
        }
        let entries = u64::from(number(&start[8..])) * 16;
        let store = u64::from(number(&start[12..]));
        if entries > LONGEST || store > LONGEST {
            return Err(RpmError::Format("a header of it is longer than any is"));
        }
        Ok(Self {
            entries: bytes(from, entries)?,
            store: bytes(from, store)?,
        })
    }

    /// Bytes from its start to its end.
    fn length(&self) -> usize {
        16 + self.entries.len() + self.store.len()
    }

    /// How many values an entry has, and the bytes from the first one on; none of one that is not there, as that of a package which requires nothing.
    fn entry(&self, tag: Tag) -> Result<(usize, &[u8]), RpmError> {
        let mut entries = self.entries.chunks_exact(16);
        let Some(entry) = entries.find(|entry| number(entry) == tag as u32) else {
            return Ok((0, &[]));
        };
        let (at, count) = (number(&entry[8..]) as usize, number(&entry[12..]) as usize);
        let values = self.store.get(at..);
        let values = values.ok_or(RpmError::Format("an entry of its header leads out of it"))?;
        Ok((count, values))
    }

    /// The texts of an entry; each ends with a zero.
    fn texts(&self, tag: Tag) -> Result<impl Iterator<Item = String>, RpmError> {
        let (count, bytes) = self.entry(tag)?;
        let texts = bytes.split(|byte| *byte == 0).take(count);
        Ok(texts.map(|text| String::from_utf8_lossy(text).into_owned()))
    }

    fn text(&self, tag: Tag, what: &'static str) -> Result<String, RpmError> {
        let text = self.texts(tag)?.next().filter(|text| !text.is_empty());
        text.ok_or(RpmError::Lacks(what))
    }

    fn numbers(&self, tag: Tag) -> Result<impl Iterator<Item = u32>, RpmError> {
        let (count, bytes) = self.entry(tag)?;
        Ok(bytes.chunks_exact(4).take(count).map(number))
    }
}

/// Big-endian, of the first four bytes, which must be there.
fn number(bytes: &[u8]) -> u32 {
    bytes[..4]
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn exactly(from: &mut impl Read, bytes: &mut [u8]) -> Result<(), RpmError> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => RpmError::Format("it ends before its files begin"),
        _ => error.into(),
    })
}

fn bytes(from: &mut impl Read, length: u64) -> Result<Vec<u8>, RpmError> {
    let mut bytes = Vec::new();
    if from.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(RpmError::Format("it ends within a header"));
    }
    Ok(bytes)
}

/// Reads up to the packed files.
fn header(package: &mut impl Read) -> Result<Header, RpmError> {
    let mut lead = [0; 96];
    exactly(package, &mut lead)?;
    if lead[..4] != LEAD {
        return Err(RpmError::Format("it does not begin as one"));
    }
    let signatures = Header::read(package)?.length();
    let fill = signatures.next_multiple_of(8) - signatures;
    exactly(package, &mut [0; 8][..fill])?;
    Header::read(package)
}

/// Reads what a package says of itself.
///
/// # Errors
/// The bytes are no package, or cannot be read.
pub fn about(mut package: impl Read) -> Result<About, RpmError> {
    let of = header(&mut package)?;
    let requires = of
        .texts(Tag::RequireName)?
        .zip(of.texts(Tag::RequireVersion)?)
        .zip(of.numbers(Tag::RequireFlags)?);
    let exactly = requires.filter(|(_, flags)| flags & COMPARISON == EQUAL);
    let (version, release) = (
        of.text(Tag::Version, "version")?,
        of.text(Tag::Release, "release")?,
    );
    Ok(About {
        name: of.text(Tag::Name, "name")?,
        version: format!("{version}-{release}"),
        architecture: of.text(Tag::Arch, "architecture")?,
        exactly: exactly.map(|(required, _)| required).collect(),
    })
}

/// Kinds of files in the mode of an archive's entry.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// Shows the files of a package one after the other, until `see` breaks or the package ends.
///
/// # Errors
/// Those of the package, and those of `see`.
pub fn members(
    mut package: impl Read,
    mut see: impl FnMut(Member<'_>) -> io::Result<ControlFlow<()>>,
) -> Result<(), RpmError> {
    let header = header(&mut package)?;
    let packing = match &*header.text(Tag::PayloadCompressor, "word on how its files are packed")? {
        "gzip" => Packing::Gzip,
        "xz" => Packing::Xz,
        "zstd" => Packing::Zstd,
        other => return Err(RpmError::Packing(other.to_owned())),
    };
    let mut archive = packing.unpacked(package)?;
    loop {
        let mut file = newc::Reader::new(archive)?;
        if file.entry().is_trailer() {
            return Ok(());
        }
        let name = file.entry().name();
        let path = name.trim_start_matches("./").trim_start_matches('/').to_owned();
        let mode = file.entry().mode();
        let kind = match mode & KIND {
            REGULAR => MemberKind::File,
            SYMLINK => {
                let mut target = String::new();
                // A link to nowhere is one to the empty path, which no file has.
                file.read_to_string(&mut target)?;
                MemberKind::Link(target)
            }
            _ => MemberKind::Other,
        };
        let member = Member {
            path,
            kind,
            mode: mode & !KIND,
            contents: &mut file,
        };
        if see(member)?.is_break() {
            return Ok(());
        }
        archive = file.finish()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::rpm_of;

    const REQUIRES: [(&str, &str); 1] = [("kernel-modules-core-uname-r", "7.2-1.fc45.s390x")];
    const FILES: [(&str, &[u8]); 2] = [
        ("/lib/modules/7.2/config", b"x"),
        ("/lib/modules/7.2/vmlinuz", b"image"),
    ];

    /// Path and contents of each file.
    fn files(package: &[u8]) -> Result<Vec<(String, Vec<u8>)>, RpmError> {
        let mut seen = Vec::new();
        members(package, |member| {
            let mut contents = Vec::new();
            member.contents.read_to_end(&mut contents)?;
            if member.kind == MemberKind::File {
                seen.push((member.path, contents));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(seen)
    }

    #[test]
    fn a_package_tells_what_it_is_and_what_it_has() {
        let bytes = rpm_of("kernel-core", "s390x", &REQUIRES, &FILES);
        let said = About {
            name: "kernel-core".to_owned(),
            version: "7.2-1".to_owned(),
            architecture: "s390x".to_owned(),
            exactly: REQUIRES
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .into(),
        };
        assert_eq!(about(bytes.as_slice()).unwrap(), said);
        let whole = FILES.map(|(path, contents)| (path[1..].to_owned(), contents.to_vec()));
        assert_eq!(files(&bytes).unwrap(), whole);
    }

    /// `tests/corpus/rpm` has the commands.
    #[test]
    fn what_rpmbuild_made_is_read() {
        for packing in ["gzip", "xz", "zstd"] {
            let path = format!("{}/tests/corpus/rpm/{packing}.rpm", env!("CARGO_MANIFEST_DIR"));
            let bytes = fs_err::read(path).unwrap();
            let said = about(bytes.as_slice()).unwrap();
            assert_eq!((&*said.name, &*said.version), ("kernel-core", "7.2-1.fc45"));
            assert_eq!(said.architecture, "s390x");
            let required = (
                "kernel-modules-core-uname-r".to_owned(),
                "7.2-1.fc45.s390x".to_owned(),
            );
            assert!(said.exactly.contains(&required), "{said:?}");
            // The image that lies under /boot is one that the package owns and does not have.
            let config = (
                "lib/modules/7.2-1.fc45.s390x/config".to_owned(),
                b"CONFIG_X=y\n".to_vec(),
            );
            let vmlinuz = (
                "lib/modules/7.2-1.fc45.s390x/vmlinuz".to_owned(),
                b"image\n".to_vec(),
            );
            assert_eq!(files(&bytes).unwrap(), [config, vmlinuz], "{packing}");
        }
    }

    #[test]
    fn what_is_no_package_is_told() {
        let bytes = rpm_of("kernel-core", "s390x", &REQUIRES, &FILES);
        for broken in [
            b"".as_slice(),
            b"!<arch>\n",
            &bytes[..90],
            &bytes[..100],
            &bytes[..200],
        ] {
            assert!(matches!(about(broken), Err(RpmError::Format(_))));
        }
        assert!(
            files(&bytes[..bytes.len() - 20]).is_err(),
            "its last bytes are not there"
        );
        // The first entry of the header, behind the lead and no signatures, is that of the name: its place, far away.
        let mut astray = bytes.clone();
        astray[96 + 16 + 16 + 8..][..4].fill(0xff);
        assert_eq!(
            about(astray.as_slice()).unwrap_err().to_string(),
            "not a package of RPM: an entry of its header leads out of it"
        );
        let nameless = rpm_of("", "s390x", &[], &[]);
        assert_eq!(
            about(nameless.as_slice()).unwrap_err().to_string(),
            "not a package of RPM: its header has no name"
        );
    }
}
