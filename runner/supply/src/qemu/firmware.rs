// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware that `-kernel` needs although it never runs.

/// `j .`: a branch to itself.
const CODE: [u8; 4] = [0xa7, 0xf4, 0x00, 0x00];

const HEADER: u16 = 64;
const PROGRAM_HEADER: u16 = 56;
const MACHINE_S390: u16 = 22;

/// An ELF file for `-bios`: one instruction that branches to itself.
///
/// QEMU's s390x machine does not start without firmware, also where `-kernel` makes the CPU begin in the kernel (10.0,
/// `s390_ipl_realize`). A flat file would be put to where Linux goes; an ELF file is put to the end of memory.
pub fn firmware() -> Vec<u8> {
    // Class 64, big-endian, version 1.
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 2, 1];
    elf.resize(16, 0);
    for half in [2, MACHINE_S390] {
        elf.extend(half.to_be_bytes());
    }
    elf.extend(1u32.to_be_bytes());
    // Entry, program headers, section headers.
    for double in [0, u64::from(HEADER), 0] {
        elf.extend(double.to_be_bytes());
    }
    elf.extend(0u32.to_be_bytes());
    for half in [HEADER, PROGRAM_HEADER, 1, 0, 0, 0] {
        elf.extend(half.to_be_bytes());
    }
    // One loaded segment that can be read and executed.
    for word in [1u32, 5] {
        elf.extend(word.to_be_bytes());
    }
    let (offset, size) = (u64::from(HEADER + PROGRAM_HEADER), CODE.len() as u64);
    for double in [offset, 0, 0, size, size, 8] {
        elf.extend(double.to_be_bytes());
    }
    elf.extend(CODE);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_as_long_as_they_say() {
        let elf = firmware();
        assert_eq!(elf.len(), usize::from(HEADER + PROGRAM_HEADER) + CODE.len());
        // e_machine, e_ehsize, e_phentsize, e_phnum
        assert_eq!(elf[18..20], [0, 22]);
        assert_eq!(elf[52..58], [0, 64, 0, 56, 0, 1]);
        assert_eq!(elf[120..], CODE);
    }
}
