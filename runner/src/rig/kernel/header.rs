// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the first bytes of a kernel image tell: whether it is one, of which architecture, and of which release.
//!
//! x86: the setup header of `Documentation/arch/x86/boot.rst`. s390: the entry at 0x10000 and the parameter area at 0x10400 of
//! `arch/s390/boot/head.S`, whose sixth word is the place of the version (since 5.3); an image is loaded at address 0, so
//! that places in memory are places in the file.

use std::{
    io::{self, Read},
    path::Path,
};

use crate::{
    base::Arch,
    format::elf::{EM_S390, EM_X86_64, Elf},
};

/// Enough for the version string of an s390 image, which lies within the decompressor.
const LOOK: u64 = 1 << 20;

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
    #[error(
        "it is no kernel image: neither the x86 boot protocol's `HdrS` at 0x202 nor `S390EP` at 0x10008 is there"
    )]
    NoKernel,
}

impl Header {
    /// Looks at a file.
    ///
    /// # Errors
    /// The outer one if the file cannot be read, the inner one if it is no kernel.
    pub fn read(path: &Path) -> io::Result<Result<Self, HeaderError>> {
        let mut bytes = Vec::new();
        fs_err::File::open(path)?.take(LOOK).read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes))
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
    pub fn for_arch(self, expected: Arch) -> Result<Self, HeaderError> {
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
pub(in crate::rig) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::rig) fn x86_image(protocol: u16, xloadflags: u16) -> Vec<u8> {
        let mut image = vec![0; 0x4000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&protocol.to_le_bytes());
        image[0x20e..0x210].copy_from_slice(&0x3000u16.to_le_bytes());
        image[0x236..0x238].copy_from_slice(&xloadflags.to_le_bytes());
        image[0x3200..0x3210].copy_from_slice(b"6.12.107+deb13-a");
        image[0x3210..0x3218].copy_from_slice(b"md64 (x)");
        image
    }

    pub(in crate::rig) fn s390_image() -> Vec<u8> {
        let mut image = vec![0; 0x19000];
        image[0x10008..0x1000e].copy_from_slice(b"S390EP");
        image[0x10428..0x10430].copy_from_slice(&0x182b0u64.to_be_bytes());
        image[0x182b0..0x182c4].copy_from_slice(b"6.1.0-50-s390x (deb)");
        image
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
                let _ = Header::parse(&image);
            }
        }
    }
}
