// SPDX-License-Identifier: MIT OR Apache-2.0
//! The little of ELF that building an image needs: what a program links to, and what a kernel module says about itself.
//!
//! Read from files of either byte order; nothing in them is trusted.

use object::{
    Endianness,
    elf::{DT_NEEDED, FileHeader64},
    read::elf::{Dyn, FileHeader, SectionHeader},
};

pub use object::elf::{EM_S390, EM_X86_64};

/// The bytes are no 64-bit ELF file that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a readable 64-bit ELF file: {0}")]
pub struct ElfError(String);

impl From<object::Error> for ElfError {
    fn from(error: object::Error) -> Self {
        Self(error.to_string())
    }
}

/// A 64-bit ELF file in memory.
#[derive(Debug, Clone, Copy)]
pub struct Elf<'a> {
    bytes: &'a [u8],
    header: &'a FileHeader64<Endianness>,
    endian: Endianness,
}

impl<'a> Elf<'a> {
    /// Looks at the header.
    ///
    /// # Errors
    /// No ELF magic, or not of 64 bits.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err(ElfError("it does not begin with the ELF magic".to_owned()));
        }
        if bytes.get(4) != Some(&2) {
            return Err(ElfError("it is not of 64 bits".to_owned()));
        }
        let header = FileHeader64::parse(bytes)?;
        let endian = header.endian()?;
        Ok(Self {
            bytes,
            header,
            endian,
        })
    }

    /// `e_machine`.
    pub fn machine(&self) -> u16 {
        self.header.e_machine(self.endian)
    }

    /// Names of the libraries that the dynamic linker must find (`DT_NEEDED`), in order. Empty for a static program.
    ///
    /// # Errors
    /// Section headers that lead nowhere.
    pub fn needed(&self) -> Result<Vec<&'a str>, ElfError> {
        let sections = self.header.sections(self.endian, self.bytes)?;
        let Some((entries, strings)) = sections.dynamic(self.endian, self.bytes)? else {
            return Ok(Vec::new());
        };
        let strings = sections.strings(self.endian, self.bytes, strings)?;
        entries
            .iter()
            .filter(|entry| entry.tag32(self.endian) == Some(DT_NEEDED))
            .map(|entry| {
                let name = entry.string(self.endian, strings)?;
                std::str::from_utf8(name).map_err(|_| ElfError("a library's name is no UTF-8".to_owned()))
            })
            .collect()
    }

    /// Values of a key in the module's `.modinfo`, such as `depends` or `vermagic`. Empty if there are none.
    ///
    /// # Errors
    /// Section headers that lead nowhere.
    pub fn modinfo(&self, key: &str) -> Result<Vec<&'a str>, ElfError> {
        let sections = self.header.sections(self.endian, self.bytes)?;
        let Some((_, modinfo)) = sections.section_by_name(self.endian, b".modinfo") else {
            return Ok(Vec::new());
        };
        Ok(modinfo
            .data(self.endian, self.bytes)?
            .split(|b| *b == 0)
            .filter_map(|line| std::str::from_utf8(line).ok())
            .filter_map(|line| line.split_once('='))
            .filter_map(|(name, value)| (name == key).then_some(value))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::module;

    /// The program that runs this test is an ELF file that links to libc.
    fn own_program() -> Vec<u8> {
        fs_err::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn libraries_of_a_program_are_found() {
        let bytes = own_program();
        let elf = Elf::parse(&bytes).unwrap();
        assert!(elf.needed().unwrap().contains(&"libc.so.6"));
        assert_eq!(elf.modinfo("depends").unwrap(), Vec::<&str>::new());
    }

    #[test]
    fn a_module_tells_what_it_depends_on() {
        for big_endian in [false, true] {
            let bytes = module(
                EM_S390,
                big_endian,
                b"license=GPL\0depends=net_failover,failover\0name=virtio_net\0",
            );
            let elf = Elf::parse(&bytes).unwrap();
            assert_eq!(elf.machine(), EM_S390);
            assert_eq!(elf.modinfo("depends").unwrap(), ["net_failover,failover"]);
            assert_eq!(elf.modinfo("alias").unwrap(), Vec::<&str>::new());
        }
    }

    #[test]
    fn what_is_no_elf_file_is_said() {
        assert!(Elf::parse(b"MZ").unwrap_err().to_string().contains("ELF magic"));
        assert!(
            Elf::parse(b"\x7fELF\x01")
                .unwrap_err()
                .to_string()
                .contains("64 bits")
        );
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(flips in proptest::collection::vec((0usize..400, any::<u8>()), 1..20), cut in 0usize..400) {
            let mut bytes = module(EM_X86_64, false, b"depends=a,b\0vermagic=6.12 SMP\0");
            for (at, byte) in flips {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            bytes.truncate(cut);
            if let Ok(elf) = Elf::parse(&bytes) {
                let machine = [bytes[18], bytes[19]];
                prop_assert!([u16::from_le_bytes(machine), u16::from_be_bytes(machine)].contains(&elf.machine()));
                // What is found lies in the file; that nothing is, is an answer too.
                let found = elf.needed().into_iter().chain(elf.modinfo("depends")).flatten();
                for name in found {
                    prop_assert!(name.is_empty() || bytes.windows(name.len()).any(|part| part == name.as_bytes()));
                }
            }
        }
    }
}
