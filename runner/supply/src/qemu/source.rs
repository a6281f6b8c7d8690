// SPDX-License-Identifier: MIT OR Apache-2.0
//! What our QEMU is made of.

use std::path::PathBuf;

/// A patch that is compiled into memrig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// Its file name in `guest-images/qemu/patches`.
    pub name: &'static str,
    /// The mail.
    pub text: &'static str,
}

macro_rules! patch {
    ($name:literal) => {
        Patch {
            name: $name,
            text: include_str!(concat!("../../../../guest-images/qemu/patches/", $name)),
        }
    };
}

/// The upstream part of a distribution's source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePackage {
    /// The unpacked-from tarball (`qemu_10.0.13+ds.orig.tar.xz`), on this host.
    pub(crate) tarball: PathBuf,
    /// The upstream version, as in `10.0.13`.
    pub version: String,
    /// Checksum of the tarball in hex digits; it is checked before the tarball is used.
    pub sha256: String,
}

/// A source package that the patches are known to apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedSource {
    /// Name of the source package.
    pub package: &'static str,
    /// The distribution's suite that carries it.
    pub suite: &'static str,
    /// The upstream version.
    pub version: &'static str,
    /// File name of the upstream tarball.
    pub(crate) tarball: &'static str,
    /// Checksum of the tarball in hex digits.
    pub sha256: &'static str,
}

impl PinnedSource {
    /// The same source, where `tarball` is the file on this host.
    pub fn at(&self, tarball: impl Into<PathBuf>) -> SourcePackage {
        SourcePackage {
            tarball: tarball.into(),
            version: self.version.to_owned(),
            sha256: self.sha256.to_owned(),
        }
    }
}

/// The source that the patches are made for. A pool drops old versions, so whoever fetches it keeps it.
pub const SOURCE: PinnedSource = PinnedSource {
    package: "qemu",
    suite: "trixie",
    version: "10.0.13",
    tarball: "qemu_10.0.13+ds.orig.tar.xz",
    sha256: "6a0888e806c2ffc0c5f0733e974f9aea55491950d3c47c98669c8b236dde59ae",
};

/// Debian packages that the build needs.
///
/// Meson has to be 1.5 or newer; where the host's python has none, or no `pycotap`, the build gets both by pip.
pub const HOST_PACKAGES: &[&str] = &[
    "bison",
    "flex",
    "gcc",
    "libc6-dev",
    "libfdt-dev",
    "libglib2.0-dev",
    "libseccomp-dev",
    "libslirp-dev",
    "make",
    "ninja-build",
    "patch",
    "pkg-config",
    "python3-venv",
    "zlib1g-dev",
];

/// What `configure` is called with, besides the python.
pub(crate) const CONFIGURE: &[&str] = &[
    "--target-list=s390x-softmmu",
    "--without-default-features",
    "--enable-system",
    "--enable-tcg",
    "--enable-slirp",
    "--enable-fdt=system",
    // For the one that counts instructions, `guest-images/qemu/plugin/cost.c`.
    "--enable-plugins",
    // A guest that takes its QEMU over has a process that starts no other one.
    "--enable-seccomp",
    // The repacked tarball has no firmware images.
    "--disable-install-blobs",
    "--disable-docs",
    "--disable-tools",
    "--disable-werror",
    "--disable-debug-info",
];

/// The patches, in the order in which they are applied.
pub const PATCHES: &[Patch] = &[
    patch!("0001-s390x-sclp-standby-memory.patch"),
    patch!("0002-target-s390x-edat-1.patch"),
    patch!("0003-s390x-sclp-faults-and-log.patch"),
    patch!("0004-target-s390x-keep-translations.patch"),
    patch!("0005-target-s390x-lowcore.patch"),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_patch_of_the_folder_is_compiled_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-images/qemu/patches");
        let mut names: Vec<String> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let ours: Vec<&str> = PATCHES.iter().map(|patch| patch.name).collect();
        assert_eq!(names, ours);
    }
}
