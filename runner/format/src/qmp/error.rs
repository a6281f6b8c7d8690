// SPDX-License-Identifier: MIT OR Apache-2.0
//! How talking to QEMU fails.

use std::io;

use serde_json::Value;

/// Why a command, or the connection, failed.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// QEMU understood the command and refused it.
    #[error("QEMU refused `{command}`: {desc} ({class})")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's error class; nearly always `GenericError`.
        class: String,
        /// QEMU's text.
        desc: String,
    },
    /// The connection was closed before the reply came, or before the command was sent.
    #[error("the connection to QEMU closed before it answered `{command}`")]
    Closed {
        /// The command.
        command: String,
    },
    /// The reply came, and is not what the command returns in the QEMU that memrig was written for.
    #[error("QEMU's answer to `{command}` has another shape than expected: {reply}")]
    Shape {
        /// The command.
        command: String,
        /// The reply.
        reply: Value,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The arguments of a command do not render as JSON.
    #[error("the arguments of `{command}` do not render as JSON")]
    Arguments {
        /// The command.
        command: String,
        /// What does not render.
        source: serde_json::Error,
    },
    /// What QEMU said first was not a greeting.
    #[error("QEMU did not greet: it said `{0}`")]
    Greeting(String),
    /// The socket failed before the greeting.
    #[error("the socket of QEMU's monitor")]
    Io(#[from] io::Error),
}
