// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every crate uses: architectures, units, errnos, verdicts, children, files that are named, the terminal, and the one place that prints.
//!
//! It knows nothing of kernels, guests or suites, and uses no other crate of the house.

mod arch;
mod errno;
pub mod exec;
pub mod fault;
pub mod named;
mod quote;
mod time;
pub mod tty;
pub mod ui;
mod units;

pub use arch::{Arch, UnknownArch};
pub use errno::{Errno, UnknownErrno};
pub use quote::{printable, quoted, shortened};
pub use time::{NoTime, time};
pub use units::{ByteSize, PAGE_SIZE, Pages, ParseSizeError};
