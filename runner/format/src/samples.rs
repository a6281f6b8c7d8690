// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages and modules that are made for a test, here and in the crates above.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

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

/// A package of RPM, of version 7.2-1, that requires these in exactly these versions and has these files.
pub fn rpm_of(name: &str, architecture: &str, requires: &[(&str, &str)], files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut entries, mut store, mut count) = (Vec::new(), Vec::new(), 0u32);
    let mut put = |tag: u32, kind: u32, values: Vec<Vec<u8>>| {
        let words = [tag, kind, store.len() as u32, values.len() as u32];
        entries.extend(words.map(u32::to_be_bytes).concat());
        store.extend(values.concat());
        count += 1;
    };
    let text = |text: &str| [text.as_bytes(), b"\0"].concat();
    for (tag, value) in [
        (1000, name),
        (1001, "7.2"),
        (1002, "1"),
        (1022, architecture),
        (1125, "zstd"),
    ] {
        put(tag, 6, vec![text(value)]);
    }
    // Beside what a kernel requires, each package requires what the rpm that reads it must have: less or as much.
    let names = requires
        .iter()
        .map(|(name, _)| *name)
        .chain(["rpmlib(PayloadIsZstd)"]);
    let versions = requires.iter().map(|(_, version)| *version).chain(["5.4.18-1"]);
    let flags = requires.iter().map(|_| 8).chain([10 | 1 << 24]);
    put(1049, 8, names.map(text).collect());
    put(1050, 8, versions.map(text).collect());
    let flags: Vec<Vec<u8>> = flags.map(|flags: u32| flags.to_be_bytes().to_vec()).collect();
    put(1048, 4, flags);
    let mut archive = Vec::new();
    for (path, contents) in files {
        let entry = cpio::newc::Builder::new(&format!(".{path}")).mode(0o100_644);
        let mut entry = entry.write(archive, contents.len() as u32);
        entry.write_all(contents).unwrap();
        archive = entry.finish().unwrap();
    }
    let archive = cpio::newc::trailer(archive).unwrap();
    let header = |count: u32, length: usize| {
        let numbers = [0x8ead_e801, 0, count, length as u32];
        numbers.map(u32::to_be_bytes).concat()
    };
    let mut lead = vec![0xed, 0xab, 0xee, 0xdb, 3];
    lead.resize(96, 0);
    [
        lead,
        header(0, 0),
        header(count, store.len()),
        entries,
        store,
        zstd::encode_all(archive.as_slice(), 1).unwrap(),
    ]
    .concat()
}

/// Makes, at a path, what has all that is looked for in a `vmlinux`: a text that begins at `_stext`, and lines of `init/main.c`. By the host's C
/// compiler, with more options.
pub fn vmlinux(at: &Path, options: &[&str]) {
    let mut cc = Command::new("cc")
        .args([
            "-g1",
            "-O1",
            "-nostdlib",
            "-static",
            "-Wl,-e,_stext",
            "-x",
            "c",
            "-",
            "-o",
        ])
        .arg(at)
        .args(options)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let source = "#line 1 \"init/main.c\"\nint f(int x);\nint _stext(int x)\n{\n\treturn f(x) + 1;\n}\nint f(int x)\n{\n\treturn x;\n}\n";
    cc.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    let made = cc.wait().unwrap();
    assert!(made.success(), "cc: {made}");
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
