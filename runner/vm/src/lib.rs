// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running guest: QEMU and its monitor ([`machine`]), the Linux in it ([`guest`]), how it is run ([`accel`]), the keys by which it is known
//! ([`keys`]), and where its files are while it lives ([`scratch`]).
//!
//! It may use `format`, `memory` and `base`. It never meets `supply`: whoever starts a machine hands it the paths of a QEMU, a kernel and an
//! image, wherever they come from. Whether what a guest shows is right is not asked here.

pub mod accel;
pub mod guest;
pub mod keys;
pub mod machine;
pub mod scratch;
