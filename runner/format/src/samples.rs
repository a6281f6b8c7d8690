// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages and modules that are made for a test, here and in the crates above.

use std::io::Write as _;

use object::elf::{SHT_NULL, SHT_PROGBITS, SHT_STRTAB};

/// A tar archive of these files, and of a link.
pub fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, format!("./{path}"), *bytes)
            .unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    builder
        .append_link(&mut link, "./usr/lib/x.so.1", "x.so.1.2")
        .unwrap();
    builder.into_inner().unwrap()
}

/// A Debian package of these members.
pub fn deb_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut deb = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        writeln!(
            deb,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            "100644",
            bytes.len()
        )
        .unwrap();
        deb.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            deb.push(b'\n');
        }
    }
    deb
}

/// A big-endian object with a `.modinfo` alone, as a module of s390x has one.
pub fn module(machine: u16, big_endian: bool, modinfo: &[u8]) -> Vec<u8> {
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
        (0, SHT_NULL, 0, 0),
        (1, SHT_PROGBITS, 64, modinfo.len()),
        (10, SHT_STRTAB, 64 + modinfo.len() as u64, names.len()),
    ];
    for (name, kind, offset, size) in sections {
        for (n, width) in [
            (name, 4),
            (u64::from(kind), 4),
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
