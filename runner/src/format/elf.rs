// SPDX-License-Identifier: MIT OR Apache-2.0
//! The little of ELF that building an image needs: what a program links to, and what a kernel module says about itself.
//!
//! Read from files of either byte order; nothing in them is trusted.

/// `e_machine` of x86-64.
pub const EM_X86_64: u16 = 62;
/// `e_machine` of s390 and s390x.
pub const EM_S390: u16 = 22;

const SHT_DYNAMIC: u32 = 6;
const DT_NEEDED: u64 = 1;

/// The bytes are no 64-bit ELF file that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a readable 64-bit ELF file: {0}")]
pub struct ElfError(&'static str);

/// A 64-bit ELF file in memory.
#[derive(Debug, Clone, Copy)]
pub struct Elf<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

#[derive(Debug, Clone, Copy)]
struct Section {
    name: u32,
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
}

impl<'a> Elf<'a> {
    /// Looks at the header.
    ///
    /// # Errors
    /// No ELF magic, or not of 64 bits.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        if bytes.get(..4) != Some(b"\x7fELF") {
            return Err(ElfError("it does not begin with the ELF magic"));
        }
        if bytes.get(4) != Some(&2) || bytes.len() < 64 {
            return Err(ElfError("it is not of 64 bits"));
        }
        let big_endian = match bytes[5] {
            1 => false,
            2 => true,
            _ => return Err(ElfError("its byte order is unknown")),
        };
        Ok(Self { bytes, big_endian })
    }

    /// `e_machine`.
    pub fn machine(&self) -> u16 {
        // The header's 64 bytes were checked to be there.
        self.number::<2>(18).map_or(0, |n| n as u16)
    }

    /// Names of the libraries that the dynamic linker must find (`DT_NEEDED`), in order. Empty for a static program.
    ///
    /// # Errors
    /// Section headers that lead nowhere.
    pub fn needed(&self) -> Result<Vec<&'a str>, ElfError> {
        let lost = ElfError("its dynamic section leads outside of the file");
        let sections = self.sections()?;
        let Some(dynamic) = sections.iter().find(|s| s.kind == SHT_DYNAMIC) else {
            return Ok(Vec::new());
        };
        let strings = sections.get(dynamic.link as usize).ok_or(lost.clone())?;
        let strings = self.contents(strings).ok_or(lost.clone())?;
        let mut needed = Vec::new();
        for entry in 0..dynamic.size / 16 {
            let at = dynamic.offset.checked_add(entry * 16).ok_or(lost.clone())?;
            let tag = self.number::<8>(at).ok_or(lost.clone())?;
            if tag == DT_NEEDED {
                let value = self.number::<8>(at.saturating_add(8)).ok_or(lost.clone())?;
                needed.push(text_at(strings, value).ok_or(lost.clone())?);
            }
        }
        Ok(needed)
    }

    /// Values of a key in the module's `.modinfo`, such as `depends` or `vermagic`. Empty if there are none.
    ///
    /// # Errors
    /// Section headers that lead nowhere.
    pub fn modinfo(&self, key: &str) -> Result<Vec<&'a str>, ElfError> {
        let sections = self.sections()?;
        let names_index = self.number::<2>(62).unwrap_or(0) as usize;
        let names = sections.get(names_index).and_then(|s| self.contents(s));
        let names = names.ok_or(ElfError("its section names lead outside of the file"))?;
        let Some(modinfo) = sections
            .iter()
            .find(|s| text_at(names, u64::from(s.name)) == Some(".modinfo"))
        else {
            return Ok(Vec::new());
        };
        let bytes = self
            .contents(modinfo)
            .ok_or(ElfError("its .modinfo leads outside of the file"))?;
        Ok(bytes
            .split(|b| *b == 0)
            .filter_map(|line| std::str::from_utf8(line).ok())
            .filter_map(|line| line.split_once('='))
            .filter_map(|(name, value)| (name == key).then_some(value))
            .collect())
    }

    fn sections(&self) -> Result<Vec<Section>, ElfError> {
        let lost = ElfError("its section headers lead outside of the file");
        let table = self.number::<8>(40).ok_or(lost.clone())?;
        let size = self.number::<2>(58).ok_or(lost.clone())?;
        let count = self.number::<2>(60).ok_or(lost.clone())?;
        let section = |index: u64| {
            let at = table.checked_add(index * size)?;
            Some(Section {
                name: self.number::<4>(at)? as u32,
                kind: self.number::<4>(at.checked_add(4)?)? as u32,
                offset: self.number::<8>(at.checked_add(24)?)?,
                size: self.number::<8>(at.checked_add(32)?)?,
                link: self.number::<4>(at.checked_add(40)?)? as u32,
            })
        };
        (0..count)
            .map(|index| section(index).ok_or(lost.clone()))
            .collect()
    }

    fn contents(&self, section: &Section) -> Option<&'a [u8]> {
        let start = usize::try_from(section.offset).ok()?;
        let end = start.checked_add(usize::try_from(section.size).ok()?)?;
        self.bytes.get(start..end)
    }

    fn number<const N: usize>(&self, at: u64) -> Option<u64> {
        let start = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(start..start.checked_add(N)?)?;
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.big_endian {
            bytes.iter().fold(0, join)
        } else {
            bytes.iter().rev().fold(0, join)
        })
    }
}

fn text_at(strings: &[u8], at: u64) -> Option<&str> {
    let rest = strings.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().position(|b| *b == 0)?;
    std::str::from_utf8(&rest[..end]).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

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

    /// A big-endian object with a `.modinfo` alone, as a module of s390x has one.
    pub(crate) fn module(machine: u16, big_endian: bool, modinfo: &[u8]) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let put = |out: &mut Vec<u8>, n: u64, size: usize| {
            let be = n.to_be_bytes();
            let mut part = be[8 - size..].to_vec();
            if !big_endian {
                part.reverse();
            }
            out.extend(part);
        };
        let mut out = b"\x7fELF\x02".to_vec();
        out.push(if big_endian { 2 } else { 1 });
        out.extend([1; 1]);
        out.resize(16, 0);
        let data = (modinfo.len() + names.len()) as u64;
        for (n, size) in [
            (1, 2),
            (u64::from(machine), 2),
            (1, 4),
            (0, 8),
            (0, 8),
            (64 + data, 8),
            (0, 4),
        ] {
            put(&mut out, n, size);
        }
        for n in [64, 0, 0, 64, 3, 2] {
            put(&mut out, n, 2);
        }
        out.extend(modinfo);
        out.extend(names);
        let sections = [
            (0, 0, 0),
            (1, 64, modinfo.len()),
            (10, 64 + modinfo.len() as u64, names.len()),
        ];
        for (name, offset, size) in sections {
            for (n, width) in [
                (name, 4),
                (1, 4),
                (0, 8),
                (0, 8),
                (offset, 8),
                (size as u64, 8),
                (0, 4),
                (0, 4),
                (0, 8),
                (0, 8),
            ] {
                put(&mut out, n, width);
            }
        }
        out
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
                // Any answer is good; it must be an answer.
                let _ = (elf.machine(), elf.needed().is_ok(), elf.modinfo("depends").is_ok());
            }
        }
    }
}
