// SPDX-License-Identifier: MIT OR Apache-2.0
//! The facts of a run: what was tested, with what, and where.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CaseKey, RunPart, ShardFacts, key::kernel_name};
use base::{Arch, ByteSize};

/// The number of the format that this version writes, and the greatest that it reads.
///
/// It grows when an older memrig would read a newer folder wrongly. A new field that an older one may pass over
/// leaves it as it is, and has a default for folders without it.
pub const FORMAT: u32 = 1;

/// Name of a run, and of its folder: UTC time of its start and six random digits, such as `20260914T101530Z-3f9a1c`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// The id of a run that started at `started`; `random` tells apart runs that start in the same second.
    pub fn new(started: Timestamp, random: u32) -> Self {
        Self(format!(
            "{}-{:06x}",
            started.strftime("%Y%m%dT%H%M%SZ"),
            random & 0xff_ffff
        ))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a folder of that name is one of the runs that memrig made in a results folder. A copy under another name, such as
    /// `sample`, is a run to look at, and none of the history.
    pub(super) fn is_id(name: &str) -> bool {
        let shape = "00000000T000000Z-xxxxxx";
        name.len() == shape.len()
            && name.bytes().zip(shape.bytes()).all(|(c, of)| match of {
                b'0' => c.is_ascii_digit(),
                b'x' => matches!(c, b'0'..=b'9' | b'a'..=b'f'),
                of => c == of,
            })
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What `run.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Number of the format, see [`FORMAT`].
    pub format: u32,
    /// Name of the run.
    pub id: RunId,
    /// When it started.
    pub started: Timestamp,
    /// Version of memrig.
    pub memrig: String,
    /// The command line, the program's own name first.
    pub argv: Vec<String>,
    /// The machine that it ran on.
    pub host: HostFacts,
    /// The kernels under test, in the order in which reports list them.
    pub kernels: Vec<KernelFacts>,
    /// The QEMU binaries, one for each architecture at most.
    pub qemus: Vec<QemuFacts>,
    /// The guests' initramfs images.
    pub images: Vec<ImageFacts>,
    /// The suites that were read.
    pub suites: Vec<SuiteFacts>,
    /// Which part of its plan it is; `None` in a folder of the first memrig, which did not write that down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<RunPart>,
}

impl RunFacts {
    /// Which part of its plan the run is: as it wrote it down, or as its command line says where it is of the first memrig; `None` where
    /// neither says so.
    pub fn part_of_plan(&self) -> Option<RunPart> {
        let of_command_line = || ShardFacts::of_command_line(&self.argv).map(RunPart::Shard);
        self.part.clone().or_else(of_command_line)
    }
}

/// The machine that runs the guests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostFacts {
    /// System, release and machine, as `uname -srm` prints them.
    pub uname: String,
    /// CPUs that memrig may use.
    pub cpus: u32,
    /// Memory of the machine.
    pub memory: ByteSize,
}

/// A kernel under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// Its name in reports and in the history, such as `debian:trixie`: as the user named it, but that a series has its name alone and a digest
    /// of its patches.
    pub label: String,
    /// How the user named it, where that is something else; `None` also in older records, whose label is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its release, as `uname -r` prints it.
    pub release: String,
    /// Its architecture.
    pub arch: Arch,
    /// Packages that it was taken from; empty for one from a file or a tree.
    #[serde(default)]
    pub packages: Vec<PackageFacts>,
    /// SHA-256 of the bootable image, in hex.
    pub image_sha256: String,
    /// Options of its configuration that say something about memory hotplug, such as `CONFIG_MEMORY_HOTPLUG` → `y`.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

impl KernelFacts {
    /// What reports call it: label, hyphen, release.
    pub fn name(&self) -> String {
        kernel_name(&self.label, Some(&self.release))
    }

    /// Whether a case was run on it.
    pub fn is_of(&self, key: &CaseKey) -> bool {
        (self.arch, &self.label, Some(&self.release)) == (key.arch, &key.label, key.release.as_ref())
    }
}

/// A distribution's package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFacts {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the package file, in hex.
    pub sha256: String,
}

/// A QEMU binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QemuFacts {
    /// The architecture that it emulates.
    pub arch: Arch,
    /// File name, such as `qemu-system-s390x`.
    pub binary: String,
    /// What it says its version is.
    pub version: String,
    /// SHA-256 of the binary, in hex.
    pub sha256: String,
    /// The accelerator that guests ran under: `tcg` or `kvm`.
    pub accel: String,
}

/// An initramfs that guests were booted with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The architecture that it is for.
    pub arch: Arch,
    /// Label of the kernel whose modules it holds.
    pub kernel: String,
    /// SHA-256 of the image, in hex.
    pub sha256: String,
}

/// A suite file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteFacts {
    /// Its path as it was given.
    pub file: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_sorts_by_time_and_has_six_digits() {
        let id = |time: &str, random| RunId::new(time.parse().unwrap(), random).to_string();
        let first = id("2026-09-14T10:15:30.9Z", u32::MAX);
        assert_eq!(first, "20260914T101530Z-ffffff");
        assert!(first < id("2026-09-14T10:15:31Z", 0));
        assert!(id("2026-09-14T10:15:31Z", 0).ends_with("Z-000000"));
    }

    #[test]
    fn a_name_is_an_id_or_not() {
        let id = RunId::new("2026-09-14T10:15:30Z".parse().unwrap(), 0x3f_9a1c);
        assert!(RunId::is_id(id.as_str()));
        for name in [
            "sample",
            "latest",
            "",
            "20260914T101530Z-3f9a1c-copy",
            "20260914T101530Z_3f9a1c",
            "slurm",
        ] {
            assert!(!RunId::is_id(name), "{name}");
        }
    }
}
