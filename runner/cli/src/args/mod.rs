// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: what can be typed.

mod explore;
mod jobs;
mod parts;
mod results;
mod series;
mod verbs;

pub(super) use explore::{Explore, TRIES, any_seed};
pub(super) use jobs::{
    Doctor, FailFast, How, List, ListFormat, Places, Repeat, Replay, Run, Setup, Shell, Which,
};
pub(super) use parts::{Matrix, Merge, Part, Plan, PlanFormat, Submit};
pub(super) use results::{Flaky, History, Past, Prune, Report, ReportFormat, TableFormat, Trend};
pub(super) use series::{Bisect, Compare, Cost, Walk};
pub(crate) use verbs::Cli;
pub(super) use verbs::{Man, Verb};
