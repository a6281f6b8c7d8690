// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's programs: busybox, dropbear, and the libraries that dropbear is linked to.
//!
//! Taken out of packages as files: nothing of the guest's architecture is run here.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::BufReader,
    ops::ControlFlow,
    path::PathBuf,
};

use super::ImageError;
use crate::packages::{DebianSuite, PackageFacts, Packages, PackagesError};
use base::Arch;
use format::{
    cpio::{Node, Tree},
    deb::{DebError, MemberKind, members},
    elf::Elf,
};

/// Releases that the guest's programs can be of, whatever kernel it boots; a later one is for when the mirror lacks files of those before it.
/// Sid comes last: with its busybox 1.38, looking at sysfs took 50 to 60 pages of an s390x guest (6.12) that no step accounts for.
pub(super) const RELEASES: [DebianSuite; 3] = [DebianSuite::Trixie, DebianSuite::Bookworm, DebianSuite::Sid];

const BUSYBOX: &str = "busybox-static";
const DROPBEAR: &str = "dropbear-bin";

/// Programs that busybox is, for init and for what runs in the guest.
pub(super) const APPLETS: [&str; 82] = [
    "[",
    "ash",
    "awk",
    "base64",
    "basename",
    "cat",
    "chmod",
    "chown",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "dmesg",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "free",
    "grep",
    "head",
    "hexdump",
    "hostname",
    "id",
    "ifconfig",
    "insmod",
    "ip",
    "kill",
    "killall",
    "ln",
    "ls",
    "lsmod",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "modprobe",
    "mount",
    "mv",
    "nproc",
    "od",
    "pidof",
    "poweroff",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "reboot",
    "renice",
    "rm",
    "rmdir",
    "rmmod",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "sysctl",
    "tail",
    "taskset",
    "tee",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "umount",
    "uname",
    "uniq",
    "wc",
    "xargs",
];

/// The packages that the userland can need, roots first, as the index has them. Nothing is fetched.
pub(super) fn resolve(
    packages: &Packages,
    suite: DebianSuite,
    arch: Arch,
) -> Result<Vec<PackageFacts>, PackagesError> {
    packages.closure(suite, arch, &[BUSYBOX, DROPBEAR], |_| true)
}

/// Where the dynamic linker looks first, and where a program looks for the dynamic linker.
fn library_places(arch: Arch) -> (&'static str, &'static str) {
    match arch {
        Arch::X86_64 => ("lib/x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2"),
        Arch::S390x => ("lib/s390x-linux-gnu", "lib/ld64.so.1"),
    }
}

/// Puts the programs into the tree; returns the packages that something was taken from.
pub(super) fn fill(
    tree: &mut Tree,
    parts: &[PackageFacts],
    packages: &Packages,
    arch: Arch,
) -> Result<Vec<PackageFacts>, ImageError> {
    let mut shelf = Shelf {
        parts,
        packages,
        arch,
        open: BTreeMap::new(),
        used: Vec::new(),
    };
    let busybox = shelf.file(BUSYBOX, "bin/busybox")?;
    let missing = missing_applets(&busybox);
    if !missing.is_empty() {
        return Err(ImageError::Applets(missing));
    }
    tree.put("bin/busybox", Node::File(busybox), 0o755)?;
    for applet in APPLETS {
        tree.put(&format!("bin/{applet}"), Node::Link("busybox".to_owned()), 0o777)?;
    }
    for (link, target) in [("sbin", "bin"), ("usr/bin", "../bin"), ("usr/sbin", "../bin")] {
        tree.put(link, Node::Link(target.to_owned()), 0o777)?;
    }

    let dropbear = shelf.file(DROPBEAR, "sbin/dropbear")?;
    let (libraries, linker) = library_places(arch);
    let mut wanted: VecDeque<String> = needed(&dropbear, "sbin/dropbear", DROPBEAR)?.into();
    tree.put("bin/dropbear", Node::File(dropbear), 0o755)?;
    while let Some(soname) = wanted.pop_front() {
        let path = format!("{libraries}/{soname}");
        // The linker is needed by libc under its own name; it is put where programs look for it.
        if tree.get(&path).is_some() || linker.ends_with(&soname) {
            continue;
        }
        let (package, bytes) = shelf.library(&soname)?;
        wanted.extend(needed(&bytes, &soname, &package)?);
        tree.put(&path, Node::File(bytes), 0o755)?;
    }
    let name = linker.rsplit('/').next().unwrap_or(linker);
    let (_, bytes) = shelf.library(name)?;
    tree.put(linker, Node::File(bytes), 0o755)?;
    Ok(shelf.used)
}

fn needed(bytes: &[u8], path: &str, package: &str) -> Result<Vec<String>, ImageError> {
    let needed = Elf::parse(bytes).and_then(|elf| elf.needed());
    let needed = needed.map_err(|source| ImageError::Program {
        path: path.to_owned(),
        package: package.to_owned(),
        source,
    })?;
    Ok(needed.into_iter().map(str::to_owned).collect())
}

/// Those of the applets that busybox is not. It keeps their names one after the other, each with a NUL behind it.
fn missing_applets(busybox: &[u8]) -> Vec<&'static str> {
    let words: BTreeSet<&[u8]> = busybox.split(|byte| *byte == 0).collect();
    let missing = |applet: &&str| !words.contains(applet.as_bytes());
    APPLETS.into_iter().filter(missing).collect()
}

/// What a package has that could be wanted: programs and libraries, by path without `usr/`.
#[derive(Debug, Default)]
struct Contents {
    files: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<String, String>,
}

/// The packages, opened when something of them is wanted.
struct Shelf<'a> {
    parts: &'a [PackageFacts],
    packages: &'a Packages,
    arch: Arch,
    open: BTreeMap<String, Contents>,
    used: Vec<PackageFacts>,
}

impl Shelf<'_> {
    fn file(&mut self, package: &str, path: &str) -> Result<Vec<u8>, ImageError> {
        let part = self.parts.iter().find(|part| part.name == package);
        let part = part.ok_or_else(|| ImageError::NoFile(path.to_owned()))?;
        let contents = self.open(part)?;
        let bytes = contents
            .files
            .get(path)
            .ok_or_else(|| ImageError::NoFile(path.to_owned()))?;
        Ok(bytes.clone())
    }

    /// Finds a library by its name: first in the package that Debian's policy would call after it, then in all others.
    fn library(&mut self, soname: &str) -> Result<(String, Vec<u8>), ImageError> {
        let by_policy = soname.replace(".so.", "");
        let linker = soname.starts_with("ld");
        let rank = |part: &&PackageFacts| match part.name.as_str() {
            name if name == by_policy || (linker && name == "libc6") => 0,
            _ => 1,
        };
        let parts = self.parts;
        let mut order: Vec<&PackageFacts> = parts.iter().collect();
        order.sort_by_key(rank);
        for part in order {
            if let Some(bytes) = self.open(part)?.library(soname) {
                return Ok((part.name.clone(), bytes));
            }
        }
        Err(ImageError::NoFile(soname.to_owned()))
    }

    fn open(&mut self, part: &PackageFacts) -> Result<&Contents, ImageError> {
        if !self.open.contains_key(&part.name) {
            let path = self.packages.fetch(part, self.arch)?;
            let contents = Contents::read(path).map_err(|source| ImageError::Unpack {
                package: part.name.clone(),
                source,
            })?;
            self.open.insert(part.name.clone(), contents);
            self.used.push(part.clone());
        }
        Ok(&self.open[&part.name])
    }
}

impl Contents {
    fn read(deb: PathBuf) -> Result<Self, DebError> {
        let mut contents = Self::default();
        members(BufReader::new(fs_err::File::open(deb)?), |member| {
            let path = member
                .path
                .strip_prefix("usr/")
                .unwrap_or(&member.path)
                .to_owned();
            let wanted = ["bin/", "sbin/", "lib/", "lib64/"]
                .iter()
                .any(|dir| path.starts_with(dir));
            // Tables of character sets are most of libc's files, and no program of the guest's uses them.
            if wanted && !path.contains("/gconv/") {
                match member.kind {
                    MemberKind::File => {
                        let mut bytes = Vec::new();
                        member.contents.read_to_end(&mut bytes)?;
                        contents.files.insert(path, bytes);
                    }
                    MemberKind::Link(target) => {
                        contents.links.insert(path, target);
                    }
                    MemberKind::Other => {}
                }
            }
            Ok::<_, DebError>(ControlFlow::Continue(()))
        })?;
        Ok(contents)
    }

    /// The file of this name, through links to another name beside it.
    fn library(&self, soname: &str) -> Option<Vec<u8>> {
        let named = |path: &str, name: &str| path.rsplit('/').next() == Some(name);
        if let Some((_, bytes)) = self.files.iter().find(|(path, _)| named(path, soname)) {
            return Some(bytes.clone());
        }
        let (_, target) = self.links.iter().find(|(path, _)| named(path, soname))?;
        let name = target.rsplit('/').next()?;
        self.files
            .iter()
            .find(|(path, _)| named(path, name))
            .map(|(_, bytes)| bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_behind_its_link() {
        let mut contents = Contents::default();
        contents
            .files
            .insert("lib/x/libz.so.1.3.1".to_owned(), b"z".to_vec());
        contents
            .links
            .insert("lib/x/libz.so.1".to_owned(), "libz.so.1.3.1".to_owned());
        contents
            .links
            .insert("lib/x/libgone.so.1".to_owned(), "libgone.so.1.2".to_owned());
        assert_eq!(contents.library("libz.so.1"), Some(b"z".to_vec()));
        assert_eq!(contents.library("libz.so.1.3.1"), Some(b"z".to_vec()));
        assert_eq!(contents.library("libgone.so.1"), None);
    }

    #[test]
    fn applets_are_whole_words() {
        let mut busybox = APPLETS.join("\0").into_bytes();
        assert_eq!(missing_applets(&busybox), Vec::<&str>::new());
        busybox[0] = b'x';
        busybox.pop();
        assert_eq!(missing_applets(&busybox), ["[", "xargs"]);
    }
}
