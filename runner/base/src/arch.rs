// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two architectures that memrig boots.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Architecture of a guest, by the name that the kernel gives it (`uname -m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Arch {
    /// q35 machine with ACPI memory hotplug (pc-dimm).
    #[serde(rename = "x86_64")]
    X86_64,
    /// s390-ccw-virtio machine with SCLP standby memory.
    #[serde(rename = "s390x")]
    S390x,
}

/// The text names no architecture that memrig knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown architecture `{0}`: expected x86_64 or s390x")]
pub struct UnknownArch(String);

impl Arch {
    /// Both architectures, in the order in which reports list them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::S390x];

    /// Debian's name of the architecture.
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::S390x => "s390x",
        }
    }

    /// Name of the QEMU binary that emulates the architecture.
    pub fn qemu_binary(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86_64",
            Self::S390x => "qemu-system-s390x",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::X86_64 => "x86_64",
            Self::S390x => "s390x",
        })
    }
}

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(text: &str) -> Result<Self, UnknownArch> {
        match text {
            "x86_64" | "amd64" => Ok(Self::X86_64),
            "s390x" | "s390" => Ok(Self::S390x),
            _ => Err(UnknownArch(text.to_owned())),
        }
    }
}
