// SPDX-License-Identifier: MIT OR Apache-2.0
//! A port of this host for QEMU to listen on.

use std::{io, net::TcpListener};

/// A port of loopback that is free now. Somebody may take it before QEMU does, which QEMU then says.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// What QEMU prints when it cannot listen on the port.
pub(super) fn was_taken(stderr: &str) -> bool {
    stderr.contains("Could not set up host forwarding rule")
}
