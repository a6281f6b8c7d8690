// SPDX-License-Identifier: MIT OR Apache-2.0
//! A matrix: kernels × architectures × command lines × suites, with what is left out and what is added.

mod axes;
mod parts;
mod read;
#[cfg(test)]
mod tests;

pub use axes::{Coordinates, Explore, Matrix};
