// SPDX-License-Identifier: MIT OR Apache-2.0
//! The subject: memory blocks, what a guest's counters are (the ledger), and what they must be (the model).
//!
//! Pure: the caller runs [`SYMBOLS_SCRIPT`], [`FACTS_SCRIPT`] and [`LEDGER_SCRIPT`] in a guest and hands their output in.
//!
//! ```text
//! facts  = MemoryFacts::parse(output of SYMBOLS_SCRIPT and FACTS_SCRIPT, increment size)
//! before = Ledger::parse(output of LEDGER_SCRIPT, hypervisor)
//! model  = Model::new(facts, &before)
//! a step: (do it); seen = Ledger::parse(...); predicted = model.predict(&before, &op);
//!         mismatches = compare(&before, &predicted.ledger, &seen, predicted.tolerance(&before, &op));
//!         model = predicted.model
//! ```
//!
//! It may use `base`.

mod attribute;
mod block;
mod choose;
mod compare;
mod facts;
mod ledger;
mod model;
#[cfg(any(test, feature = "naive"))]
pub mod naive;
mod op;
mod order;
mod prediction;
#[cfg(any(test, feature = "naive"))]
mod print;
#[cfg(test)]
mod random;
mod read;
mod refusal;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod seeded;
mod slope;
mod span;

pub use self::compare::{FreeTolerance, Mismatch, Reading, Tolerance, compare};
pub use attribute::{Attribute, in_sysfs};
pub use block::{AutoOnline, BlockId, BlockState, OnlineKind, UnknownWord, Zone, ZoneId};
pub use facts::{FACTS_SCRIPT, FactsError, Generation, MemmapMode, MemoryFacts, SYMBOLS_SCRIPT};
pub use ledger::{
    BlockLedger, Dimm, Hypervisor, LEDGER, LEDGER_END, LEDGER_FILE, LEDGER_SCRIPT, Ledger, LedgerError,
    RamRange, Storage, ZoneCounters,
};
pub use model::Model;
pub use op::{AddBy, Op, RemoveBy};
pub use order::Wrote;
pub use prediction::Prediction;
pub use slope::{AfterRound, Slope, slopes};

pub(crate) use facts::OnlinePolicy;
