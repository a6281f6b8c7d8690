// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a kernel out of packages. Modules are 100 MB, so that only what a guest needs is taken.

use std::{
    collections::BTreeSet,
    io::{self, BufReader},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{
    KernelError,
    error::PackageError,
    modules::{decompressed, depends, module_name},
    spec::PackageForm,
};
use crate::{
    cache::Key,
    image::{SPARE_MODULES, boot_modules},
};
use base::Arch;
use format::{
    deb::{self, DebError, Member, MemberKind},
    rpm,
};

/// Changes when what is taken out of packages does.
const LAYOUT: &str = "kernel 1";

fn wanted(arch: Arch) -> Vec<&'static str> {
    boot_modules(arch).iter().chain(&SPARE_MODULES).copied().collect()
}

/// The name that a cache has for what these packages come to, by their digests.
pub(super) fn key<'a>(arch: Arch, packages: impl Iterator<Item = &'a str>) -> String {
    let key = Key::new().with(LAYOUT).with(wanted(arch).join(" "));
    packages.fold(key, |key, sha256| key.with(sha256)).finish()
}

/// Takes what a guest needs out of packages, each with its name, into `dir`: `vmlinuz`, `config` and `modules/RELEASE`. Whether a kernel image was among
/// it.
pub(super) fn unpack(
    form: PackageForm,
    packages: &[(&str, PathBuf)],
    arch: Arch,
    dir: &Path,
) -> Result<bool, KernelError> {
    // Each pass finds what the modules of the pass before need; most need nothing more after the first.
    let mut found = Found::new(&wanted(arch));
    while !found.open.is_empty() {
        let open = std::mem::take(&mut found.open);
        for (package, path) in packages {
            let file = BufReader::new(fs_err::File::open(path)?);
            let mut take = |member: Member<'_>| found.take(member, &open, dir);
            let taken = match form {
                PackageForm::Deb => {
                    deb::members(file, |member| Ok::<_, DebError>(take(member)?)).map_err(PackageError::from)
                }
                PackageForm::Rpm => rpm::members(file, take).map_err(PackageError::from),
            };
            taken.map_err(|source| KernelError::Unpack {
                package: (*package).to_owned(),
                source,
            })?;
        }
        if !found.image {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What was taken out of packages beside the image.
pub(super) struct Unpacked {
    /// `lib/modules/RELEASE` of the kernel.
    pub(super) modules: Option<PathBuf>,
    /// Its configuration.
    pub(super) config: Option<PathBuf>,
}

impl Unpacked {
    /// What is in a folder that [`unpack`] filled.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let modules = dir.join("modules");
        let first = match modules.is_dir() {
            true => fs_err::read_dir(modules)?.next().transpose()?,
            false => None,
        };
        let config = dir.join("config");
        Ok(Self {
            modules: first.map(|entry| entry.path()),
            config: config.is_file().then_some(config),
        })
    }
}

/// What the passes over the packages have found.
struct Found {
    image: bool,
    /// Modules that were taken out or asked for; none is taken twice.
    known: BTreeSet<String>,
    /// Modules that the next pass must look for.
    open: BTreeSet<String>,
}

impl Found {
    fn new(wanted: &[&str]) -> Self {
        let wanted: BTreeSet<String> = wanted.iter().map(|name| name.replace('-', "_")).collect();
        Self {
            image: false,
            known: wanted.clone(),
            open: wanted,
        }
    }

    /// Takes a file out of a package if a guest needs it.
    fn take(
        &mut self,
        member: Member<'_>,
        open: &BTreeSet<String>,
        dir: &Path,
    ) -> io::Result<ControlFlow<()>> {
        let path = member
            .path
            .strip_prefix("usr/")
            .unwrap_or(&member.path)
            .to_owned();
        if member.kind != MemberKind::File {
            return Ok(ControlFlow::Continue(()));
        }
        let target = if path.starts_with("boot/vmlinuz-") {
            "vmlinuz".to_owned()
        } else if path.starts_with("boot/config-") {
            "config".to_owned()
        } else if let Some(rest) = path.strip_prefix("lib/modules/") {
            // A file beside the folders of releases is none of a kernel.
            let (_, under) = rest.split_once('/').unwrap_or((rest, ""));
            let name = under.rsplit('/').next().and_then(module_name);
            match (under, name) {
                ("vmlinuz" | "config", _) => under.to_owned(),
                ("modules.builtin" | "modules.order", _) => format!("modules/{rest}"),
                (_, Some(name)) if open.contains(&name) => format!("modules/{rest}"),
                _ => return Ok(ControlFlow::Continue(())),
            }
        } else {
            return Ok(ControlFlow::Continue(()));
        };
        self.image |= target == "vmlinuz";
        let to = dir.join(&target);
        if let Some(parent) = to.parent() {
            fs_err::create_dir_all(parent)?;
        }
        io::copy(member.contents, &mut fs_err::File::create(&to)?)?;
        if target.contains(".ko") {
            // A module that cannot be read is told by whoever builds an image with it.
            for needed in depends(&decompressed(&to)?).unwrap_or_default() {
                if self.known.insert(needed.clone()) {
                    self.open.insert(needed);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_guest_needs_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let mut found = Found::new(&["virtio-net"]);
        let open = found.open.clone();
        for path in [
            "usr/lib/modules/7.2/vmlinuz",
            "usr/lib/modules/7.2/config",
            "usr/lib/modules/7.2/modules.builtin",
            "usr/lib/modules/7.2/kernel/fs/ext4/ext4.ko",
            "usr/share/doc/linux/copyright",
        ] {
            let member = Member {
                path: path.to_owned(),
                kind: MemberKind::File,
                mode: 0o644,
                contents: &mut b"x".as_slice(),
            };
            assert!(found.take(member, &open, dir.path()).unwrap().is_continue());
        }
        assert!(found.image && dir.path().join("config").is_file());
        assert!(dir.path().join("modules/7.2/modules.builtin").is_file());
        assert!(!dir.path().join("modules/7.2/kernel").exists());
    }
}
