// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case says: the text of a YAML suite in, checked types out.
//!
//! [`Suite::parse`] reads a whole suite and reports everything that is wrong with it at its exact place. The crate is pure: the caller
//! reads the file. It knows nothing of guests; what must be true after a step is the business of `memory`.
//!
//! It may use `memory` and `base`.

mod address;
mod case;
#[cfg(test)]
mod catalogue;
mod check;
mod check_known;
mod cmdline;
mod error;
#[cfg(test)]
mod error_tests;
mod issues;
mod limits;
mod matrix;
#[cfg(test)]
mod mutants;
mod names;
mod pattern;
mod placeholder;
mod places;
#[cfg(test)]
mod places_tests;
mod range;
mod raw;
#[cfg(test)]
mod reader_tests;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod shipped_tests;
mod sign;
mod step;
mod text;
mod words;
mod yaml;

pub use address::{Address, BadAddress};
pub use case::{Case, CaseMachine, Choice, Known, Suite, Variant};
pub use cmdline::words as command_line_words;
pub use error::{SuiteErrors, near};
pub use issues::KernelIssue;
pub use matrix::{Coordinates, Explore, Matrix};
pub use names::{BadBlockRef, BlockName, BlockRef};
pub use pattern::{BadPattern, BadTimeLimit, Pattern, TimeLimit};
pub use placeholder::{BadPlaceholder, Placeholder, PlaceholderText};
pub use range::{BadRange, KernelRange};
pub use raw::Needs;
pub use sign::{Failure, Place, Sign};
pub use step::{
    Act, Action, Add, AddResult, Assigned, AutoOnlineBlocks, Busy, Configure, Cpu, Deconfigure, Extent, File,
    Free, Guest, Hold, Load, Log, Look, Node, Notifiers, Offline, Online, Pages, Parallel, Pressure, Read,
    RefuseAssign, RefuseUnassign, Remove, Repeat, Step, Storage, StorageCommands, StorageFile, Sweep,
    Uevents, Veto, Write,
};
pub use words::{
    AutoPolicy, Boot, FailureKind, Filling, GuestClock, Holding, Memmap, MemmapOnMemory, Notifier, Uevent,
    Vetoable, Via, Working, ZoneChoice,
};
