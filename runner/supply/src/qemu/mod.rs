// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our QEMU for s390x: how it is built, what it can do, and how it is checked.
//!
//! No released QEMU emulates SCLP standby memory, and TCG has no EDAT-1, without which Linux 6.9 to 6.18 never puts the memmap
//! on the hotplugged memory. The patches in `guest-images/qemu/patches` add both to the version in [`SOURCE`]. They are
//! compiled into memrig, so that an installed binary can build its QEMU from the distribution's source package alone.

pub mod bare_metal;
mod build;
mod capabilities;
mod expected;
mod firmware;
mod plugin;
mod recipe;
mod source;

pub use build::{BuildError, StandbyQemu, build, find};
pub use capabilities::{Capabilities, CapabilityError};
pub use expected::{Backend, RUNS, Run};
pub use firmware::firmware;
pub use plugin::{COMPILER_PACKAGES, Counting, NotLoaded, Plugin, PluginError};
pub use source::{HOST_PACKAGES, PATCHES, Patch, PinnedSource, SOURCE, SourcePackage};
