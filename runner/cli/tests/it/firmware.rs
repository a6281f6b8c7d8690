// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests of a few instructions, so that a machine can be tried without a kernel.
//!
//! A flat image of 64 KiB that an x86 CPU starts in real mode at its last 16 bytes.

use std::path::{Path, PathBuf};

use base::Arch;
use vm::machine::{Clock, Logs, Machine, MachineError, MachineSpec, Qemu, StartOptions};

/// Where the serial port takes bytes.
const SERIAL: u16 = 0x3f8;

/// Code under construction.
#[derive(Default)]
pub(crate) struct Firmware(Vec<u8>);

impl Firmware {
    /// `mov dx, port; mov al, value; out dx, al`
    pub(crate) fn out(mut self, port: u16, value: u8) -> Self {
        let [low, high] = port.to_le_bytes();
        self.0.extend([0xba, low, high, 0xb0, value, 0xee]);
        self
    }

    /// Writes to the console.
    pub(crate) fn print(self, text: &str) -> Self {
        text.bytes().fold(self, |code, byte| code.out(SERIAL, byte))
    }

    /// `cli; jmp $`: never answers anything again.
    pub(crate) fn hang(mut self) -> Vec<u8> {
        self.0.extend([0xfa, 0xeb, 0xfe]);
        self.image()
    }

    /// Waits until the console has a byte for the guest.
    pub(crate) fn wait_for_byte(mut self) -> Self {
        // mov dx, 0x3fd; in al, dx; test al, 1; jz to the `in`
        self.0.extend([0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb]);
        self
    }

    /// Sends every byte that comes on the console back, and a break as a zero.
    pub(crate) fn echo(self) -> Vec<u8> {
        let start = self.0.len();
        let mut code = self.wait_for_byte();
        // mov dx, 0x3f8; in al, dx; out dx, al; jmp back
        code.0.extend([0xba, 0xf8, 0x03, 0xec, 0xee, 0xeb]);
        let back = code.0.len() + 1 - start;
        code.0.push(u8::try_from(0x100 - back).unwrap());
        code.image()
    }

    fn image(self) -> Vec<u8> {
        const SIZE: usize = 64 * 1024;
        let mut image = self.0;
        assert!(image.len() < SIZE - 16, "the code is too long");
        image.resize(SIZE, 0x90);
        // jmp f000:0000
        image[SIZE - 16..SIZE - 11].copy_from_slice(&[0xea, 0x00, 0x00, 0x00, 0xf0]);
        image
    }
}

/// The QEMU of the host.
pub(crate) fn qemu() -> Qemu {
    crate::ground::packages();
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("qemu-system-x86_64").exists()));
    assert!(found, "install qemu-system-x86: this test runs a machine");
    Qemu {
        sandbox: true,
        ..Qemu::plain("qemu-system-x86_64")
    }
}

/// A small machine that runs nothing.
pub(crate) fn bare_spec() -> MachineSpec {
    MachineSpec {
        memory: base::ByteSize::mib(128),
        ..MachineSpec::new(Arch::X86_64, qemu())
    }
}

/// A machine whose firmware is `image`.
pub(crate) fn spec(image: &[u8], folder: &Path) -> MachineSpec {
    let path: PathBuf = folder.join("firmware");
    fs_err::write(&path, image).unwrap();
    let mut spec = bare_spec();
    spec.qemu.firmware = Some(path);
    spec
}

/// Starts a machine whose traces go to `folder`.
pub(crate) async fn start(spec: &MachineSpec, folder: &Path) -> Result<Machine, MachineError> {
    Machine::start(
        spec,
        &Logs::in_folder(folder),
        Clock::start(),
        StartOptions::default(),
    )
    .await
}

/// Firmware for an s390x machine: a disabled wait at address 0xdead, as an ELF file.
pub(crate) fn disabled_wait_s390x() -> Vec<u8> {
    const START: u64 = 0x10000;
    let code = [
        0xc0, 0x10, 0x00, 0x00, 0x00, 0x08, // larl %r1, psw
        0xb2, 0xb2, 0x10, 0x00, // lpswe 0(%r1)
        0x07, 0x07, 0x07, 0x07, 0x07, 0x07, // the PSW is aligned
        0x00, 0x02, 0x00, 0x01, 0x80, 0x00, 0x00, 0x00, // wait, without interrupts
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xde, 0xad,
    ];
    // Class 64, big-endian, version 1; executable, s390, version 1.
    let mut elf = b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x16\0\0\0\x01".to_vec();
    let (header, entry) = (64u64, 56u64);
    for address in [START, header, 0] {
        elf.extend(address.to_be_bytes());
    }
    elf.extend(0u32.to_be_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        elf.extend(half.to_be_bytes());
    }
    // One segment: load, readable and executable.
    elf.extend(1u32.to_be_bytes());
    elf.extend(5u32.to_be_bytes());
    let size = code.len() as u64;
    for number in [header + entry, START, START, size, size, 8] {
        elf.extend(u64::to_be_bytes(number));
    }
    elf.extend(code);
    elf
}
