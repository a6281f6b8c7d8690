// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel image tells of itself: whether it is one, of which architecture, of which release, and whether all of it is there. An image
//! that is not whole does not boot, and that is no fault of the kernel.
//!
//! x86: the setup header of `Documentation/arch/x86/boot.rst`. s390: the entry at 0x10000 and the parameter area at 0x10400 of
//! `arch/s390/boot/head.S`, whose sixth word is the place of the version (since 5.3); an image is loaded at address 0, so
//! that places in memory are places in the file. Its end is the trailer for Secure Boot of `arch/s390/boot/vmlinux.lds.S`.

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use base::{Arch, named};
use format::elf::{EM_S390, EM_X86_64, Elf};

/// Enough for the version string of an s390 image, which lies within the decompressor.
const LOOK: u64 = 1 << 20;

/// The end of an s390 image since 6.1, the last eight bytes of a page: the trailer's length, and a name. A signature may follow.
const S390_TRAILER: [u8; 8] = *b"\0\0\0\x20zIPL";

/// How far before the end of the file the trailer may be.
const MOST_SIGNATURE: u64 = 64 << 10;

/// What an image says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Architecture.
    pub arch: Arch,
    /// `uname -r`, where it is written.
    pub release: Option<String>,
}

/// Why an image cannot be booted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is a kernel of the other architecture.
    #[error("it is a kernel for {found}, but {expected} was asked for")]
    WrongArch {
        /// What it is for.
        found: Arch,
        /// What was asked for.
        expected: Arch,
    },
    /// It is a kernel in a form that QEMU's `-kernel` does not load.
    #[error("it is {0}; give the bootable image instead (arch/x86/boot/bzImage, arch/s390/boot/bzImage)")]
    WrongForm(&'static str),
    /// It is for 32-bit x86.
    #[error("it is an x86 kernel of 32 bits; memrig boots those of 64 bits")]
    Bits32,
    /// It is something else.
    #[error("it is no file, but {0}")]
    NoFile(&'static str),
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// It ends before its header says.
    #[error(
        "it is cut off: by its header it has {says} bytes or more, and the file has {has}; copy or build it again"
    )]
    CutOff {
        /// Bytes that it must have.
        says: u64,
        /// Bytes that the file has.
        has: u64,
    },
    /// Its end is not there.
    #[error(
        "it is cut off: a kernel for s390x ends with a page whose last bytes are `zIPL`, and the file, of {has} bytes, does not; copy or build it again"
    )]
    NoEnd {
        /// Bytes that the file has.
        has: u64,
    },
    /// What is compressed in it is not there.
    #[error(
        "it is damaged: behind its compressed part is the size of what is compressed, and that is {size}, where its header has room for {room}; copy or build it again"
    )]
    Damaged {
        /// What is at the place of the size, in bytes.
        size: u64,
        /// The memory that the kernel asks for to unpack itself, in bytes.
        room: u64,
    },
    /// It is something else.
    #[error(
        "it is no kernel image: neither the x86 boot protocol's `HdrS` at 0x202 nor `S390EP` at 0x10008 is there"
    )]
    NoKernel,
}

impl Header {
    /// Looks at a file, and whether all of the image is in it.
    ///
    /// # Errors
    /// The outer one if the file cannot be read, the inner one if it is no whole kernel.
    pub fn read(path: &Path) -> io::Result<Result<Self, HeaderError>> {
        let kind = named::look(path)?.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() {
                "a directory"
            } else {
                "a pipe or device"
            };
            return Ok(Err(HeaderError::NoFile(what)));
        }
        Self::of(&mut fs_err::File::open(path)?)
    }

    fn of(file: &mut (impl Read + Seek)) -> io::Result<Result<Self, HeaderError>> {
        let has = file.seek(SeekFrom::End(0))?;
        let head = part(file, 0, LOOK)?;
        if has == 0 {
            return Ok(Err(HeaderError::Empty));
        }
        let header = match Self::parse(&head) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        let whole = match header.arch {
            Arch::X86_64 => x86_whole(&head, has, file)?,
            Arch::S390x => s390_whole(&head, header.release.as_deref(), has, file)?,
        };
        Ok(whole.map(|()| header))
    }

    /// Looks at the first bytes of an image; one MiB is enough.
    ///
    /// # Errors
    /// It is no bootable kernel.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.get(0x202..0x206) == Some(b"HdrS") {
            return x86(bytes);
        }
        if bytes.get(0x10008..0x1000e) == Some(b"S390EP") {
            return Ok(Self {
                arch: Arch::S390x,
                release: number(bytes, 0x10428, 8, true).and_then(|at| release_at(bytes, at)),
            });
        }
        Err(match Elf::parse(bytes).map(|elf| elf.machine()) {
            Ok(EM_X86_64) => HeaderError::WrongForm("an x86-64 ELF file (vmlinux)"),
            Ok(EM_S390) => HeaderError::WrongForm("an s390 ELF file (vmlinux)"),
            Ok(_) => HeaderError::WrongForm("an ELF file for another architecture"),
            Err(_) if bytes.starts_with(&[0x1f, 0x8b]) => HeaderError::WrongForm("compressed by gzip"),
            Err(_) if bytes.starts_with(b"\xfd7zXZ") => HeaderError::WrongForm("compressed by xz"),
            Err(_) if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => {
                HeaderError::WrongForm("compressed by zstd")
            }
            Err(_) if bytes.get(0x38..0x3c) == Some(b"ARM\x64") => {
                HeaderError::WrongForm("a kernel for arm64")
            }
            Err(_) => HeaderError::NoKernel,
        })
    }

    /// Itself, if it is for this architecture.
    ///
    /// # Errors
    /// It is for the other one.
    pub(crate) fn for_arch(self, expected: Arch) -> Result<Self, HeaderError> {
        if self.arch == expected {
            return Ok(self);
        }
        Err(HeaderError::WrongArch {
            found: self.arch,
            expected,
        })
    }
}

fn x86(bytes: &[u8]) -> Result<Header, HeaderError> {
    let protocol = number(bytes, 0x206, 2, false).unwrap_or(0);
    let version = number(bytes, 0x20e, 2, false).unwrap_or(0);
    // xloadflags came with protocol 2.12 (Linux 3.8); its bit 0 says that there is a 64-bit entry.
    if protocol < 0x20c || number(bytes, 0x236, 2, false).unwrap_or(0) & 1 == 0 {
        return Err(HeaderError::Bits32);
    }
    Ok(Header {
        arch: Arch::X86_64,
        release: (version != 0)
            .then(|| release_at(bytes, version + 0x200))
            .flatten(),
    })
}

/// Whether a bzImage of x86 is all there: its setup sectors (`setup_sects`, 512 bytes each, and one more) and its protected-mode code
/// (`syssize`, in 16 bytes), in which the compressed kernel lies (`payload_offset`, `payload_length`). The last four bytes of that are the
/// size of what is compressed, whatever compressed it (`size_append` of scripts/Makefile.lib); it is unpacked within `init_size`.
fn x86_whole(head: &[u8], has: u64, file: &mut (impl Read + Seek)) -> io::Result<Result<(), HeaderError>> {
    let field = |at, size| number(head, at, size, false).unwrap_or(0);
    let sectors = match field(0x1f1, 1) {
        0 => 4,
        sectors => sectors,
    };
    let setup = (sectors + 1) * 512;
    let (offset, length, room) = (field(0x248, 4), field(0x24c, 4), field(0x260, 4));
    let says = setup + (field(0x1f4, 4) * 16).max(offset + length);
    if has < says {
        return Ok(Err(HeaderError::CutOff { says, has }));
    }
    if length < 4 {
        return Ok(Ok(()));
    }
    let last = part(file, setup + offset + length - 4, 4)?;
    let size = number(&last, 0, 4, false).unwrap_or(0);
    Ok(if (1..=room).contains(&size) {
        Ok(())
    } else {
        Err(HeaderError::Damaged { size, room })
    })
}

/// Whether an s390 image has its end. How long it is, is not written in it.
fn s390_whole(
    head: &[u8],
    release: Option<&str>,
    has: u64,
    file: &mut (impl Read + Seek),
) -> io::Result<Result<(), HeaderError>> {
    // The version lies in the first pages of the image; what is no place near them is none.
    let version = number(head, 0x10428, 8, true).filter(|at| *at < LOOK);
    if let Some(version) = version.filter(|at| has <= *at) {
        let says = version + 1;
        return Ok(Err(HeaderError::CutOff { says, has }));
    }
    if !release.is_some_and(has_trailer) {
        return Ok(Ok(()));
    }
    let page = 4096;
    let first = has.saturating_sub(MOST_SIGNATURE) / page * page;
    let tail = part(file, first, has - first)?;
    let ends = |page: &[u8]| page.ends_with(&S390_TRAILER);
    Ok(if tail.chunks_exact(page as usize).any(ends) {
        Ok(())
    } else {
        Err(HeaderError::NoEnd { has })
    })
}

/// Whether images of this release have the trailer: from 6.1 on.
fn has_trailer(release: &str) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0_u32));
    (numbers.next(), numbers.next()) >= (Some(6), Some(1))
}

/// The bytes of a file from `at` on, `length` or fewer.
fn part(file: &mut (impl Read + Seek), at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first word of a version string: digits in front, or it is none.
fn release_at(bytes: &[u8], at: u64) -> Option<String> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().take(128).position(|b| matches!(b, 0 | b' '))?;
    let word = std::str::from_utf8(&rest[..end]).ok()?;
    let plain = |c: char| c.is_ascii_graphic();
    (word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(plain)).then(|| word.to_owned())
}

fn number(bytes: &[u8], at: usize, size: usize, big_endian: bool) -> Option<u64> {
    let part = bytes.get(at..at + size)?;
    let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    Some(if big_endian {
        part.iter().fold(0, join)
    } else {
        part.iter().rev().fold(0, join)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn x86_image(protocol: u16, xloadflags: u16) -> Vec<u8> {
        let mut image = vec![0; 0x4000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&protocol.to_le_bytes());
        image[0x20e..0x210].copy_from_slice(&0x3000u16.to_le_bytes());
        image[0x236..0x238].copy_from_slice(&xloadflags.to_le_bytes());
        image[0x3200..0x3210].copy_from_slice(b"6.12.107+deb13-a");
        image[0x3210..0x3218].copy_from_slice(b"md64 (x)");
        image
    }

    pub(crate) fn s390_image() -> Vec<u8> {
        let mut image = vec![0; 0x19000];
        image[0x10008..0x1000e].copy_from_slice(b"S390EP");
        image[0x10428..0x10430].copy_from_slice(&0x182b0u64.to_be_bytes());
        image[0x182b0..0x182c4].copy_from_slice(b"6.1.0-50-s390x (deb)");
        image[0x18ff8..].copy_from_slice(&S390_TRAILER);
        image
    }

    /// A bzImage with two setup sectors, and 0x3800 bytes of code with a compressed kernel of 5 MB in it.
    fn whole_x86() -> Vec<u8> {
        let mut image = x86_image(0x20f, 0x7f);
        image[0x1f1] = 3;
        image[0x1f4..0x1f8].copy_from_slice(&0x380u32.to_le_bytes());
        image[0x248..0x24c].copy_from_slice(&0x100u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&0x2f00u32.to_le_bytes());
        image[0x260..0x264].copy_from_slice(&6_000_000u32.to_le_bytes());
        image[0x37fc..0x3800].copy_from_slice(&5_000_000u32.to_le_bytes());
        image
    }

    fn looked_at(image: &[u8]) -> Result<Header, HeaderError> {
        Header::of(&mut io::Cursor::new(image)).unwrap()
    }

    #[test]
    fn an_image_that_is_cut_off_or_damaged_is_told_from_a_whole_one() {
        let image = whole_x86();
        assert!(looked_at(&image).is_ok());
        let signed = [&image[..], &[7; 1472]].concat();
        assert!(looked_at(&signed).is_ok(), "a signature may follow");
        for length in [0x3fff, 0x3800, 0x1000] {
            let cut = looked_at(&image[..length]).unwrap_err();
            let (says, has) = (0x4000, length as u64);
            assert_eq!(cut, HeaderError::CutOff { says, has });
        }
        let mut zeroed = image.clone();
        zeroed[0x3000..0x3800].fill(0);
        let room = 6_000_000;
        assert_eq!(looked_at(&zeroed), Err(HeaderError::Damaged { size: 0, room }));
        zeroed[0x37fc..0x3800].fill(0xff);
        let size = u64::from(u32::MAX);
        assert_eq!(looked_at(&zeroed), Err(HeaderError::Damaged { size, room }));

        let image = s390_image();
        assert!(looked_at(&image).is_ok());
        assert!(looked_at(&[&image[..], &[7; 777]].concat()).is_ok());
        for length in [0x18fff, 0x18ff8, 0x18800] {
            let has = length as u64;
            assert_eq!(looked_at(&image[..length]), Err(HeaderError::NoEnd { has }));
        }
        let (says, has) = (0x182b1, 0x18000);
        assert_eq!(
            looked_at(&image[..0x18000]),
            Err(HeaderError::CutOff { says, has }),
            "its version lies behind the end"
        );
        assert_eq!(looked_at(&[]), Err(HeaderError::Empty));
    }

    #[test]
    fn the_trailer_is_asked_only_of_releases_that_have_it() {
        for (release, has) in [
            ("6.1.0-50-s390x", true),
            ("6.12.107+deb13-s390x", true),
            ("7.2.13", true),
            ("6.0.9", false),
            ("5.19.0", false),
        ] {
            assert_eq!(has_trailer(release), has, "{release}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            Header::read(folder.path()).unwrap(),
            Err(HeaderError::NoFile("a directory"))
        );
        assert_eq!(
            Header::read(Path::new("/dev/zero")).unwrap(),
            Err(HeaderError::NoFile("a pipe or device"))
        );
    }

    #[test]
    fn both_architectures_tell_their_release() {
        let x86 = Header::parse(&x86_image(0x20f, 0x7f)).unwrap();
        assert_eq!(x86.release.as_deref(), Some("6.12.107+deb13-amd64"));
        assert_eq!(x86.arch, Arch::X86_64);
        let s390 = Header::parse(&s390_image()).unwrap();
        assert_eq!(s390.release.as_deref(), Some("6.1.0-50-s390x"));
        assert_eq!(s390.arch, Arch::S390x);
        let error = s390.for_arch(Arch::X86_64).unwrap_err().to_string();
        assert_eq!(error, "it is a kernel for s390x, but x86_64 was asked for");
    }

    #[test]
    fn an_image_without_a_version_is_still_a_kernel() {
        let mut image = s390_image();
        image[0x10428..0x10430].fill(0);
        assert_eq!(Header::parse(&image).unwrap().release, None);
        image[0x10428..0x10430].fill(0xff);
        assert_eq!(Header::parse(&image).unwrap().release, None);
    }

    #[test]
    fn everything_else_is_named() {
        let said = |bytes: &[u8]| Header::parse(bytes).unwrap_err().to_string();
        assert!(said(b"").contains("no kernel image"));
        assert!(said(&[0x1f, 0x8b, 8, 0]).contains("gzip"));
        assert_eq!(Header::parse(&x86_image(0x20f, 0)), Err(HeaderError::Bits32));
        assert_eq!(Header::parse(&x86_image(0x204, 1)), Err(HeaderError::Bits32));
        let own = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        assert!(said(&own).contains("ELF file (vmlinux)"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..0x19000, damage in proptest::collection::vec(any::<u8>(), 1..64), cut in 0usize..0x19000) {
            for mut image in [s390_image(), x86_image(0x20f, 1)] {
                for (place, byte) in image.iter_mut().skip(at).zip(&damage) {
                    *place = *byte;
                }
                image.truncate(cut.max(at));
                // Any answer is good; it must be an answer.
                let _ = looked_at(&image);
            }
        }
    }
}
