// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series on its base: what a walk and a comparison have in common.

use base::{
    Arch,
    fault::{Blame, Blamed},
    ui::Ui,
};
use supply::{
    cache::{Cache, CacheError},
    kernel::{
        KernelError, KernelSource,
        source::{BuildSpec, BuiltKernel, Prospect, SourceKernelError, build_kernel, prospect},
    },
    packages::Packages,
    series::SeriesSource,
};

/// A series on its base, before anything of it is built.
pub(crate) struct Onto {
    spec: BuildSpec,
    series: SeriesSource,
    pub(crate) found: Prospect,
    cache: Cache,
    packages: Packages,
}

/// Why there are no kernels with the series.
#[derive(Debug, thiserror::Error)]
pub enum OntoError {
    /// The base is no source.
    #[error(
        "`{0}` is no source that patches can be applied to: expected tree:PATH[@COMMIT] or source:debian:SUITE"
    )]
    Base(String),
    /// The base names a series itself.
    #[error("`{0}` has a series already: name it with --series")]
    Series(String),
    /// The source or the series.
    #[error(transparent)]
    Source(#[from] SourceKernelError),
    /// A kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A patch of the series does not apply.
    #[error("{0}")]
    NotApplied(String),
    /// The series does not build.
    #[error("the series does not build for {arch}: {why}")]
    NotBuilt {
        /// For this architecture.
        arch: Arch,
        /// What the compiler says.
        why: String,
    },
}

impl Blamed for OntoError {
    fn blame(&self) -> Blame {
        match self {
            Self::Base(_) | Self::Series(_) => Blame::Usage,
            Self::Source(error) => error.blame(),
            Self::Kernel(error) => error.blame(),
            Self::Cache(error) => error.blame(),
            Self::NotApplied(_) | Self::NotBuilt { .. } => Blame::Kernel,
        }
    }
}

impl Onto {
    /// Applies the series, and tells to what.
    ///
    /// # Errors
    /// The base takes no series, or nothing can be tried; that a patch does not apply is no error here.
    pub(crate) fn look(base: &KernelSource, series: &SeriesSource, ui: &Ui) -> Result<Self, OntoError> {
        let KernelSource::Source(spec) = base else {
            return Err(OntoError::Base(base.to_string()));
        };
        if spec.series.is_some() {
            return Err(OntoError::Series(base.to_string()));
        }
        let cache = Cache::open(ui)?;
        let packages = Packages::open(&cache, ui);
        let found = prospect(&spec.origin, series, &packages, &cache, ui)?;
        ui.line(&format!("base: {} ({})", found.base, found.why));
        Ok(Self {
            spec: spec.clone(),
            series: series.clone(),
            found,
            cache,
            packages,
        })
    }

    /// The kernel with the first so many patches, or with all of them.
    pub(crate) fn spec(&self, patches: Option<usize>) -> BuildSpec {
        BuildSpec {
            series: Some(self.series.clone()),
            patches,
            ..self.spec.clone()
        }
    }

    /// What a kernel of it is called.
    ///
    /// # Errors
    /// As [`BuildSpec::label`].
    pub(crate) fn label(&self, patches: Option<usize>) -> Result<String, SourceKernelError> {
        Ok(self.spec(patches).label(&self.cache)?)
    }

    /// Builds a kernel.
    ///
    /// # Errors
    /// As [`build_kernel`].
    pub(crate) fn build(&self, spec: &BuildSpec, arch: Arch, ui: &Ui) -> Result<BuiltKernel, KernelError> {
        build_kernel(spec, arch, &self.packages, &self.cache, ui)
    }
}
