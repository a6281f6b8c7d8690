// SPDX-License-Identifier: MIT OR Apache-2.0
//! Walking along a series: every patch is built on its own, in order, before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cover::kernels_with_lines,
    onto::{Onto, OntoError},
    session::Outcome,
};
use base::{Arch, ui::Ui};
use record::{CoveredKernel, ReadError, RunRecord, SeriesRan, WalkBuild, WalkCase, WalkPoint, WalkRecord};
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
        let kernel = onto.label(Some(number))?;
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

/// Puts what a run came to into the record of a walk: the verdicts, and which lines of each patch were run, where the run kept that.
///
/// # Errors
/// What the run kept cannot be opened.
pub fn fill(walk: &mut WalkRecord, run: &Outcome, ui: &Ui) -> Result<(), ReadError> {
    put_verdicts(walk, &run.record);
    put_lines(walk, &kernels_with_lines(&run.folder, ui)?);
    Ok(())
}

fn put_verdicts(walk: &mut WalkRecord, run: &RunRecord) {
    for case in &run.cases {
        let Some((_, build)) = build_of(walk, &case.key.label, case.key.arch) else {
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

/// The base has no patch.
fn put_lines(walk: &mut WalkRecord, kernels: &[CoveredKernel]) {
    for kernel in kernels {
        if let Some((1.., build)) = build_of(walk, &kernel.text.label, kernel.text.arch) {
            build.ran = Some(SeriesRan::of_last_patch(kernel));
        }
    }
}

/// The point of a walk that a kernel is, by its number, on an architecture.
fn build_of<'a>(walk: &'a mut WalkRecord, label: &str, arch: Arch) -> Option<(usize, &'a mut WalkBuild)> {
    let point = walk.points.iter_mut().find(|point| point.kernel == label)?;
    Some((point.number, point.arches.get_mut(&arch)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{SourceLines, samples::covered_kernel};

    #[test]
    fn each_patch_has_its_own_lines_and_the_base_has_none() {
        let point = |number: usize| WalkPoint {
            number,
            title: String::new(),
            kernel: format!("k,patches={number}"),
            not_applied: None,
            not_tried: false,
            arches: [(Arch::X86_64, WalkBuild::default())].into(),
        };
        let mut walk = WalkRecord {
            series: String::new(),
            base: String::new(),
            why: String::new(),
            points: (0..=3).map(point).collect(),
        };
        // The third is not among what the run covered.
        let kernel = |number: u32| {
            let source = SourceLines {
                file: "mm/a.c".to_owned(),
                changed: (1..=number).map(|line| (line, String::new())).collect(),
                last_patch: [(number, String::new())].into(),
                ..SourceLines::default()
            };
            let mut kernel = covered_kernel(&[], vec![source], &[]);
            kernel.text.label = format!("k,patches={number}");
            kernel
        };
        put_lines(&mut walk, &[kernel(0), kernel(1), kernel(2)]);
        let lines = |number: usize| {
            let ran = walk.points[number].arches[&Arch::X86_64].ran.as_ref()?;
            Some(ran.files["mm/a.c"].keys().copied().collect::<Vec<_>>())
        };
        assert_eq!(
            [0, 1, 2, 3].map(lines),
            [None, Some(vec![1]), Some(vec![2]), None]
        );
    }
}
