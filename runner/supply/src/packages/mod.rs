// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian packages of any release and architecture, through an apt root of our own.
//!
//! The mirror and the keys are those of the machine's own apt configuration; the machine's apt state is never touched. Signatures
//! are always checked. What was looked up or fetched once is taken from the cache afterwards, without the network.

mod apt;
mod config;
mod fetch;
mod sources;
mod suite;

pub use fetch::{PackageFacts, Packages, PackagesError, SourceTarball};
pub use sources::SourcesError;
pub use suite::{DebianSuite, UnknownSuite};

#[cfg(test)]
pub(crate) use fetch::tests;
