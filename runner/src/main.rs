// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `memrig` binary: hands the arguments to [`memrig::cli`] and returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    memrig::cli::main()
}
