// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be done in a guest, whatever carries it there.

use std::time::Duration;

use crate::base::Errno;
pub use crate::format::ssh::Output;

/// Why something could not be done in a guest, or is not known to have been done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The connection was lost, or the guest refused it. What was asked for may or may not have happened.
    #[error("{what}: the connection to the guest was lost: {why}")]
    Lost {
        /// What was being done.
        what: String,
        /// How it showed.
        why: String,
    },
    /// The guest did not answer in time.
    #[error("{what}: no answer within {:.1} s", .limit.as_secs_f64())]
    Deadline {
        /// What was being done.
        what: String,
        /// The time it had.
        limit: Duration,
    },
    /// The shell that was to do it was killed, or ended without saying how it went.
    #[error("{what}: the guest's shell {how}")]
    Killed {
        /// What was being done.
        what: String,
        /// How the shell ended.
        how: String,
    },
    /// The guest's shell said something that names no errno.
    #[error("{what}: the guest said `{said}`, which is no errno that memrig knows")]
    Unclear {
        /// What was being done.
        what: String,
        /// What it said.
        said: String,
    },
}

/// Doing things in a guest.
pub trait GuestPort: Send + Sync {
    /// Runs a shell script in the guest.
    ///
    /// A script that fails is an answer, not an error: see [`Output::code`]. A process that the script leaves behind must not
    /// keep its output open.
    fn exec(&self, script: &str, limit: Duration) -> impl Future<Output = Result<Output, PortError>> + Send;

    /// Reads a file whole, as text. The kernel's errno is an answer, not an error.
    fn read(
        &self,
        path: &str,
        limit: Duration,
    ) -> impl Future<Output = Result<Result<String, Errno>, PortError>> + Send;

    /// Writes `value` to a file that exists, in one `write(2)`, without a newline. The kernel's errno is an answer, not an error.
    ///
    /// An empty value opens and closes the file and writes nothing, so that the kernel's `store` function is not called.
    fn write(
        &self,
        path: &str,
        value: &str,
        limit: Duration,
    ) -> impl Future<Output = Result<Result<(), Errno>, PortError>> + Send;
}
