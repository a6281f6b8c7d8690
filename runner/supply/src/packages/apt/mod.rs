// SPDX-License-Identifier: MIT OR Apache-2.0
//! One apt root for each release and architecture: apt fetches and checks the signed index, memrig reads it.

mod dates;
mod index;
mod root;
mod said;

#[cfg(test)]
pub(super) use root::tests;
pub(super) use root::{Root, SOURCE};
