// SPDX-License-Identifier: MIT OR Apache-2.0
//! A booted Linux: a machine, and a port through which things are done in it.
//!
//! [`GuestPort`] is all that a case needs of a guest. Its real side is [`Port`], by a line or by SSH; [`fake::FakeGuest`] is the other. Whether
//! something that went wrong speaks against the kernel or against the bench is found out by [`Guest::diagnose`].

mod boot;
mod diagnosis;
pub mod fake;
mod line;
mod port;
mod ssh;
mod template;
mod witness;

pub use boot::{BootCause, BootError, BootLimits, Guest, Speed};
pub use diagnosis::Diagnosis;
pub use line::LinePort;
pub use port::{GuestPort, Output, Port, PortError};
pub use ssh::SshPort;
pub use template::{Template, TemplateError};
pub use witness::Witness;
