// SPDX-License-Identifier: MIT OR Apache-2.0
//! KTAP version 1 (Documentation/dev-tools/ktap.rst), and TAP 13 as the kernel's own selftests print it. Pure.
//!
//! Subtests are told by their indentation, or by the `# ` that the runner of the selftests puts before what a program prints. What a
//! program says of itself is not believed: a missing plan, too few results or a number that comes twice is a problem, and a report
//! with a problem is no success.

mod line;
mod reader;
#[cfg(test)]
mod tests;

pub use reader::{Report, Status, TestResult, parse};
