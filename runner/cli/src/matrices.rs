// SPDX-License-Identifier: MIT OR Apache-2.0
//! From names on the command line to matrices, and how long their jobs take.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::{args::Part, failure::Failure, suites};
use ::run::{Job, LoadedMatrix, times_before};
use base::{named, ui::Ui};
use suite::Matrix;
use supply::kernel::KernelSpec;

/// The matrices that come with memrig, by name.
const OURS: [(&str, &str); 1] = [("nightly", include_str!("../../../suites/nightly.yaml"))];

/// More jobs than these are a mistake in the matrix: at ten seconds each they would take days.
const MOST: usize = 100_000;

/// Reads a matrix and its suites, and refuses what no one can mean. Nothing is got here.
pub(super) fn load(name: &str) -> Result<LoadedMatrix, Failure> {
    let (file, text) = if name.contains('/') || name.ends_with(".yaml") {
        (name.to_owned(), suites::read(name)?.0)
    } else {
        let (_, text) = OURS.iter().find(|(ours, _)| *ours == name).ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("there is no matrix `{name}`"))
                .hint("the matrix is nightly; a path has a slash or ends in .yaml")
        })?;
        (format!("suites/{name}.yaml"), (*text).to_owned())
    };
    let kernel = |name: &str| match name.parse::<KernelSpec>() {
        Ok(_) => Ok(()),
        Err(error) => Err((error.to_string(), None)),
    };
    let suite = |name: &str| {
        if name == "all" {
            return Err((
                "`all` is no suite here".to_owned(),
                Some("name each one".to_owned()),
            ));
        }
        match name.contains('/') || name.ends_with(".yaml") || suites::names().contains(&name) {
            true => Ok(()),
            false => Err((
                format!("there is no suite `{name}`"),
                Some(format!(
                    "the suites are {}; a path has a slash or ends in .yaml",
                    suites::names().join(", ")
                )),
            )),
        }
    };
    let matrix = Matrix::parse(&file, &text, &kernel, &suite).map_err(Failure::of)?;
    let mut loaded = Vec::new();
    for name in matrix.all_suites() {
        let suite = suites::load(std::slice::from_ref(&name), &[])?.remove(0);
        loaded.push((name, suite));
    }
    let by_name: Vec<_> = loaded
        .iter()
        .map(|(name, suite)| (name.as_str(), &suite.suite))
        .collect();
    matrix.check_parts(&file, &text, &by_name).map_err(Failure::of)?;
    let cases = loaded
        .iter()
        .flat_map(|(_, suite)| &suite.suite.cases)
        .map(|case| case.variants.len())
        .sum();
    let most = matrix.at_most(cases);
    if most > MOST {
        return Err(Failure::usage(anyhow::anyhow!(
            "{file}: the matrix comes to up to {most} jobs, and {MOST} are the most: {} kernels × {} architectures × {} command lines × {cases} \
             cases with their variants",
            matrix.all_kernels().len(),
            matrix.all_arches().len(),
            matrix.all_cmdlines().len(),
        ))
        .hint("take values out of an axis, or make several matrices"));
    }
    Ok(LoadedMatrix {
        matrix,
        suites: loaded,
    })
}

/// How long jobs take, in milliseconds by the id of the case, as `--times` says.
pub(super) fn times_of(which: &Part) -> Result<BTreeMap<String, u64>, Failure> {
    let Some(file) = &which.times else {
        return Ok(BTreeMap::new());
    };
    let none = |error: anyhow::Error| {
        Failure::usage(error.context(format!("`{}` holds no times", file.display())))
            .hint("make it with `memrig plan --format times`")
    };
    let bytes = named::read_text(file).map_err(Failure::usage)?;
    let text = named::text(&bytes).map_err(|error| none(error.into()))?;
    serde_json::from_str(text).map_err(|error| none(error.into()))
}

/// Milliseconds that each job took in earlier runs. What keeps them from being known is told.
pub(super) fn history_of(jobs: &[Job], results: &Utf8Path, ui: &Ui) -> BTreeMap<String, u64> {
    times_before(jobs, results, ui).unwrap_or_else(|error| {
        ui.warning("how long the jobs took before is not known:");
        Failure::of(error).tell(ui);
        BTreeMap::new()
    })
}
