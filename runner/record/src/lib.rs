// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run wrote down: its types, the folder and the journal that hold it, and reading it back.
//!
//! A run is one folder (`docs/results-format.md`). Everything that a report shows can be made again from that folder
//! alone. This crate judges nothing and prints nothing.
//!
//! It may use `memory` and `base`.

mod bundle;
mod case;
mod cost;
mod coverage;
mod event;
mod explore;
mod facts;
mod folder;
pub mod index;
mod journal;
mod key;
mod lines;
mod merge;
mod observed;
mod part;
mod prune;
mod read;
mod rounds;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
mod seconds;
mod seen;
mod side;
mod trace;
mod walk;

pub use bundle::{BundleError, Hidden, bundle};
pub use case::{Attempt, CaseRecord, FindingRecord, GuestEnd, MismatchRecord, StepRecord, SubcaseRecord};
pub use cost::{CostMethod, CostRecord, ELSEWHERE, OperationCost, steady, total};
pub use coverage::{
    ChangedLine, CodeIn, Coverage, CoverageLog, CoveredCase, CoveredKernel, KernelText, LineOfCode, LineRan,
    ModuleText, Ran, Ranges, Reach, SeriesRan, SourceLines, Span,
};
pub use event::Event;
pub use explore::{
    CodeCounts, ExploreRecord, ExploredKernel, FoundRecord, GrewRecord, KnownSeen, ReachedRecord,
};
pub use facts::{
    FORMAT, HostFacts, ImageFacts, KernelFacts, PackageFacts, QemuFacts, RunFacts, RunId, SuiteFacts,
};
pub use folder::{CaseFolder, FolderError, RunFolder, is_output};
pub use journal::{Journal, JournalError};
pub use key::{CaseKey, CaseName, NotUnique, check_unique};
pub use merge::{MergeError, Merged, merge};
pub use observed::{Observed, ObservedCase};
pub use part::{PlanFacts, RunPart, ShardFacts};
pub use prune::{Pruned, prune};
pub use read::{AttemptSpan, Damage, Finish, ReadError, RunRecord};
pub use rounds::{Differing, Rounds};
pub use seconds::Seconds;
pub use seen::{LedgerEntry, SeenError};
pub use side::{Side, Sides};
pub use trace::{ConsoleLine, LedgerPoint, QmpLine, StepSpan, Trace, Traces};
pub use walk::{WalkBuild, WalkCase, WalkPoint, WalkRecord};

pub(crate) use event::Entry;
