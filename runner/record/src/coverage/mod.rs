// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which code of each kernel the cases of a run ran.
//!
//! `coverage.jsonl` in the run's folder has it, one JSON object a line (`docs/results-format.md`). All places are offsets in bytes from the start of
//! the kernel's text (`_stext`), so that a kernel may lie elsewhere in each guest; modules have places of their own behind it. A piece of code is written down once for a kernel; a case then has
//! a bit for each piece.

mod code;
mod line;
mod log;
mod packed;
mod reach;
mod read;
mod series;

pub use code::{
    CodeIn, CoveredCase, CoveredKernel, KernelText, LineOfCode, ModuleText, Ran, Ranges, SourceLines, Span,
};
pub(crate) use line::NAME;
pub use log::CoverageLog;
pub use reach::Reach;
pub use read::Coverage;
pub use series::{ChangedLine, LineRan, SeriesRan};
