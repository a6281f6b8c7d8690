// SPDX-License-Identifier: MIT OR Apache-2.0
//! Walking along a series: every patch is built on its own, in order, before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::onto::{Onto, OntoError};
use base::{Arch, ui::Ui};
use record::{RunRecord, WalkBuild, WalkCase, WalkPoint, WalkRecord};
use supply::{
    kernel::{
        KernelError, KernelSource, KernelSpec,
        source::{SourceKernelError, Warning},
    },
    series::SeriesSource,
};

/// A walk whose kernels are built, and that did not run yet.
#[derive(Debug)]
pub struct Walk {
    /// What is known of it so far.
    pub record: WalkRecord,
    /// The kernels that can be run, in order.
    pub kernels: Vec<(KernelSpec, Arch)>,
}

/// Applies a series, and builds its base and each of its patches for each architecture.
///
/// A patch that does not apply or does not build is a part of the record.
///
/// # Errors
/// What keeps all of it from being tried.
pub fn walk(base: &KernelSource, series: &SeriesSource, arches: &[Arch], ui: &Ui) -> Result<Walk, OntoError> {
    let onto = Onto::look(base, series, ui)?;
    let found = &onto.found;
    let mut walk = Walk {
        record: WalkRecord {
            series: found.title.clone(),
            base: found.base.clone(),
            why: found.why.clone(),
            points: Vec::new(),
        },
        kernels: Vec::new(),
    };
    for number in 0..=found.titles.len() {
        let stopped = found.stopped.as_ref().map(|stopped| stopped.number);
        let kernel = onto.spec(Some(number)).label().map_err(SourceKernelError::from)?;
        walk.record.points.push(WalkPoint {
            number,
            title: number
                .checked_sub(1)
                .map_or_else(String::new, |index| found.titles[index].clone()),
            kernel,
            not_applied: found
                .stopped
                .as_ref()
                .filter(|stopped| stopped.number == number)
                .map(ToString::to_string),
            not_tried: stopped.is_some_and(|stopped| stopped < number),
            arches: BTreeMap::new(),
        });
    }
    // One architecture after the other, so that the objects of a patch are those of the one before it.
    for &arch in arches {
        let mut known: BTreeSet<Warning> = BTreeSet::new();
        for point in &mut walk.record.points {
            if point.not_applied.is_some() || point.not_tried {
                continue;
            }
            let spec = onto.spec(Some(point.number));
            let mut build = WalkBuild::default();
            match onto.build(&spec, arch, ui) {
                Ok(built) => {
                    if point.number > 0 {
                        let new = built.warnings.difference(&known);
                        build.new_warnings = new
                            .map(|warning| format!("{}: {}", warning.file, warning.said))
                            .collect();
                    }
                    known = built.warnings;
                    walk.kernels
                        .push((KernelSpec::of(KernelSource::Source(spec)), arch));
                }
                Err(KernelError::Source(error)) if matches!(*error, SourceKernelError::NotBuilt(_)) => {
                    build.not_built = Some(error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
            point.arches.insert(arch, build);
        }
    }
    Ok(walk)
}

/// Puts the verdicts of a run into the record of a walk.
pub fn fill(walk: &mut WalkRecord, run: &RunRecord) {
    for case in &run.cases {
        let its = |point: &&mut WalkPoint| point.kernel == case.key.label;
        let Some(point) = walk.points.iter_mut().find(its) else {
            continue;
        };
        let Some(build) = point.arches.get_mut(&case.key.arch) else {
            continue;
        };
        build.cases.insert(
            case.key.name().to_string(),
            WalkCase {
                verdict: case.verdict,
                reason: case.reason.clone(),
            },
        );
    }
}
