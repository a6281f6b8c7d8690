// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a walk along a series wrote down: `walk.json` in the folder of its run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::SeriesRan;
use base::{Arch, fault::Verdict};

/// A walk along a series, patch by patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkRecord {
    /// Title of the series.
    pub series: String,
    /// What it was applied to, in words.
    pub base: String,
    /// Why to that.
    pub why: String,
    /// The base, and then each patch.
    pub points: Vec<WalkPoint>,
}

/// The tree after some of the patches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkPoint {
    /// How many patches; 0 is the base.
    pub number: usize,
    /// Title of the last one.
    pub title: String,
    /// The kernel as it is named on the command line.
    pub kernel: String,
    /// Why it does not apply, where it does not.
    pub not_applied: Option<String>,
    /// An earlier patch does not apply, so that this one was not tried.
    pub not_tried: bool,
    /// What became of it on each architecture.
    pub arches: BTreeMap<Arch, WalkBuild>,
}

/// A point on one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WalkBuild {
    /// Why it does not build, where it does not.
    pub not_built: Option<String>,
    /// Warnings that the point before does not have: the file and what is said.
    pub new_warnings: Vec<String>,
    /// The cases by suite, id and variant.
    pub cases: BTreeMap<String, WalkCase>,
    /// Which of the lines that the patch has added or changed were run, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran: Option<SeriesRan>,
}

/// A case at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkCase {
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, where it did not pass.
    pub reason: Option<String>,
}
