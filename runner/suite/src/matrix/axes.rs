// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a matrix has, and which jobs are of it.

use std::time::Duration;

use serde::Deserialize;

use base::Arch;

/// A matrix, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Its name.
    pub name: String,
    /// Kernels, as on the command line.
    pub(crate) kernels: Vec<String>,
    pub(crate) arches: Vec<Arch>,
    /// Suites, as on the command line.
    pub(crate) suites: Vec<String>,
    /// Choices of variants that are kept, such as `memmap_on_memory=on`. What is varied and not named here is kept whole.
    pub(crate) variants: Vec<String>,
    /// Words added to the kernel's command line; each list makes a job of its own.
    pub(crate) cmdlines: Vec<Vec<String>>,
    /// What is left out.
    pub(crate) exclude: Vec<Pick>,
    /// What is added.
    pub(crate) include: Vec<Pick>,
    /// How its kernels are explored, where they are.
    pub explore: Option<Explore>,
}

/// How the kernels of a matrix are explored, before its cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explore {
    /// How long, all kernels together.
    pub time: Duration,
    /// By which sequences are drawn; without it by another one each time.
    pub seed: Option<u64>,
}

impl Explore {
    /// How long so many of all its kernels are explored, where others have the rest of them: each has the time that it would have then.
    pub fn share(self, kernels: usize, all: usize) -> Duration {
        self.time.mul_f64(kernels as f64 / all.max(1) as f64)
    }
}

/// A part of a matrix; what is not said means all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pick {
    #[serde(default)]
    pub(crate) kernel: Option<String>,
    #[serde(default)]
    pub(crate) arch: Option<Arch>,
    #[serde(default)]
    pub(crate) suite: Option<String>,
    /// A case of it, by its id.
    #[serde(default)]
    pub(crate) case: Option<String>,
    /// A choice of a variant, such as `memmap_on_memory=on`.
    #[serde(default)]
    pub(crate) variant: Option<String>,
    /// Words of the command line, one after another as in `cmdlines`.
    #[serde(default)]
    pub(crate) cmdline: Option<Vec<String>>,
}

/// What a job is, as far as a matrix asks.
#[derive(Debug, Clone, Copy)]
pub struct Coordinates<'a> {
    /// The kernel, as it was named.
    pub kernel: &'a str,
    /// The architecture.
    pub arch: Arch,
    /// The suite, as it was named.
    pub suite: &'a str,
    /// Id of the case.
    pub case: &'a str,
    /// The choices of its variant, such as `memmap_on_memory=on`.
    pub variant: &'a [String],
    /// The words that are added to the command line.
    pub cmdline: &'a [String],
}

impl Matrix {
    /// Whether a job belongs to the matrix.
    pub fn takes(&self, job: Coordinates<'_>) -> bool {
        let named = |list: &[String], name: &str| list.iter().any(|one| one == name);
        let axes = named(&self.kernels, job.kernel)
            && self.arches.contains(&job.arch)
            && named(&self.suites, job.suite)
            && self.cmdlines.iter().any(|words| words == job.cmdline)
            && self.takes_variant(job.variant);
        let excluded = self.exclude.iter().any(|pick| pick.fits(job));
        // What is added is not left out again: the more special word counts.
        (axes && !excluded) || self.include.iter().any(|pick| pick.adds(job))
    }

    fn takes_variant(&self, choices: &[String]) -> bool {
        let name = |choice: &str| choice.split('=').next().unwrap_or(choice).to_owned();
        choices.iter().all(|choice| {
            let varied = name(choice);
            let mut listed = self.variants.iter().filter(|one| name(one) == varied).peekable();
            listed.peek().is_none() || listed.any(|one| one == choice)
        })
    }

    /// Every kernel that is named.
    pub fn all_kernels(&self) -> Vec<String> {
        let added = self.include.iter().filter_map(|pick| pick.kernel.clone());
        once(self.kernels.iter().cloned().chain(added))
    }

    /// Every architecture that is named.
    pub fn all_arches(&self) -> Vec<Arch> {
        let added = self.include.iter().filter_map(|pick| pick.arch);
        once(self.arches.iter().copied().chain(added))
    }

    /// Every suite that is named.
    pub fn all_suites(&self) -> Vec<String> {
        let added = self.include.iter().filter_map(|pick| pick.suite.clone());
        once(self.suites.iter().cloned().chain(added))
    }

    /// Every list of words that is added to a command line.
    pub fn all_cmdlines(&self) -> Vec<Vec<String>> {
        let added = self
            .include
            .iter()
            .map(|pick| pick.cmdline.clone().unwrap_or_default());
        once(self.cmdlines.iter().cloned().chain(added))
    }

    /// How many jobs it can come to at the most, where its suites have `cases` cases in all their variants.
    pub fn at_most(&self, cases: usize) -> usize {
        [
            self.all_kernels().len(),
            self.all_arches().len(),
            self.all_cmdlines().len(),
        ]
        .into_iter()
        .fold(cases, usize::saturating_mul)
    }
}

/// Each once, in their order.
pub(super) fn once<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

impl Pick {
    /// Whether the job is in this part.
    fn fits(&self, job: Coordinates<'_>) -> bool {
        let is = |said: &Option<String>, name: &str| said.as_ref().is_none_or(|said| said == name);
        is(&self.kernel, job.kernel)
            && self.arch.is_none_or(|arch| arch == job.arch)
            && is(&self.suite, job.suite)
            && is(&self.case, job.case)
            && self
                .variant
                .as_ref()
                .is_none_or(|said| job.variant.contains(said))
            && self.cmdline.as_ref().is_none_or(|words| words == job.cmdline)
    }

    /// Whether this part adds the job: one that says no command line means the plain one.
    fn adds(&self, job: Coordinates<'_>) -> bool {
        self.fits(job) && (self.cmdline.is_some() || job.cmdline.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
