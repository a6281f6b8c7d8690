// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verbs: arguments in, exit code out. One file a verb.

mod args;
mod bisect;
mod compare;
mod cost;
mod doctor;
mod failure;
mod history;
mod list;
mod main;
mod matrix;
mod pages;
mod prune;
mod report;
mod run;
mod setup;
mod shell;
mod submit;
mod suites;
mod walk;

pub use args::Cli;
pub use main::main;
