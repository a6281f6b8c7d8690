// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run's record says, in the forms that people and programs read.
//!
//! Everything here is a pure function of the record: it reads no file, knows no clock and prints nothing, so that a
//! report made years later is the report that was made then.

mod csv;
mod evidence;
mod junit;
mod table;
mod terminal;
mod text;
mod walk;

pub use csv::csv;
pub use junit::junit;
pub use terminal::{Style, summary};
pub use walk::{walk_exit, walk_summary};
