// SPDX-License-Identifier: MIT OR Apache-2.0
//! A booted Linux: a machine, and a port through which things are done in it.
//!
//! [`GuestPort`] is all that a case needs of a guest; [`Port`] does it by a line or by SSH. Whether something that went wrong speaks against
//! the kernel or against the bench is found out by [`Guest::diagnose`].

mod boot;
mod diagnosis;
mod line;
mod port;
mod spin;
mod ssh;
mod template;
mod witness;

pub use boot::{BootCause, BootError, BootLimits, Guest, Speed};
pub use diagnosis::Diagnosis;
pub use port::{GuestPort, Output, Port, PortError};
pub use spin::Spin;
pub use ssh::SshPort;
pub use template::{Template, TemplateError};
pub use witness::Witness;
