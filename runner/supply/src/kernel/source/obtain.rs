// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a source to a kernel that can be booted, out of the cache where it was built before.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use super::{
    Lost, NotBuilt, Warning, Weight,
    build::{Build, By, LAYOUT},
    fragments::{UnknownFragment, fragments},
    spec::BuildSpec,
    toolchain::{CompilerError, Toolchain},
};
use crate::{
    cache::{Cache, CacheError, Key, NotHere},
    confined::Reach,
    host::{self, HostError},
    kernel::{Kernel, KernelError, SeriesChanges},
    packages::Packages,
    series::{self, ApplyError, LoadedSeries, NotApplied, SeriesError, SeriesSource},
    tree::{self, Origin, SourceTree, TreeError},
};
use base::{
    Arch,
    exec::ExecError,
    fault::{Blame, Blamed},
    ui::Ui,
};
use format::{kconfig::KconfigError, lines::LineTable, mail::Changed};

/// Why there is no kernel of a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceKernelError {
    /// Its tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Its series cannot be read.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// Its series cannot be tried.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A patch does not apply: a verdict on the series.
    #[error(transparent)]
    NotApplied(Box<NotApplied>),
    /// It does not build: a verdict on the source.
    #[error(transparent)]
    NotBuilt(Box<NotBuilt>),
    /// More patches than the series has.
    #[error("the series has {there} patches, and {asked} are asked for")]
    Patches {
        /// How many it has.
        there: usize,
        /// How many were asked for.
        asked: usize,
    },
    /// An unknown fragment.
    #[error(transparent)]
    Fragment(#[from] UnknownFragment),
    /// Options that must be, and are not.
    #[error("this source cannot be configured for the bench:\n{0}")]
    Needed(String),
    /// A configuration that does not read.
    #[error("`{path}`")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KconfigError,
    },
    /// Programs that the host lacks.
    #[error(transparent)]
    Host(#[from] HostError),
    /// What the user's variables name does not do.
    #[error(transparent)]
    Compiler(#[from] CompilerError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A program.
    #[error("building a kernel")]
    Exec(#[from] ExecError),
    /// A file; the source has its path.
    #[error("building a kernel")]
    Io(#[from] io::Error),
}

impl Blamed for SourceKernelError {
    /// Usage, where something was named wrong, or has to be installed.
    fn blame(&self) -> Blame {
        match self {
            Self::Tree(error) | Self::Apply(ApplyError::Tree(error)) => error.blame(),
            Self::Series(error) | Self::Apply(ApplyError::Series(error)) => error.blame(),
            Self::Apply(ApplyError::Range(_) | ApplyError::Needs(_) | ApplyError::Damaged { .. })
            | Self::Patches { .. }
            | Self::Fragment(_)
            | Self::Needed(_) => Blame::Usage,
            Self::Host(error) => error.blame(),
            Self::Compiler(CompilerError::Exec(_)) => Blame::Bench,
            Self::Compiler(_) => Blame::Usage,
            _ => Blame::Bench,
        }
    }
}

impl SourceKernelError {
    /// What would be got or built, where the cache is only looked at.
    pub fn not_here(&self) -> Option<&NotHere> {
        match self {
            Self::Cache(CacheError::NotHere(what)) => Some(what),
            Self::Tree(error) => error.not_here(),
            Self::Apply(error) => error.not_here(),
            Self::Series(error) => error.not_here(),
            _ => None,
        }
    }
}

/// A kernel of a source, with what its build said.
#[derive(Debug)]
pub struct BuiltKernel {
    /// The kernel.
    pub kernel: Kernel,
    /// Warnings of the compiler in all of it.
    pub warnings: BTreeSet<Warning>,
    /// The log of the build.
    pub log: PathBuf,
}

const IMAGE: &str = "bzImage";
const CONFIG: &str = "config";
const LOG: &str = "build.log";
const WARNINGS: &str = "warnings.json";
const LINES: &str = "lines.gz";

/// The kernel of a source.
pub(in crate::kernel) fn obtain(
    spec: &BuildSpec,
    arch: Arch,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Kernel, KernelError> {
    build_kernel(spec, arch, packages, cache, ui).map(|built| built.kernel)
}

/// Whether what was named is there, as far as a short look shows: the fragments, the folder, the series.
pub(in crate::kernel) fn check(spec: &BuildSpec, arch: Arch) -> Result<(), SourceKernelError> {
    fragments(arch, &spec.configs)?;
    if let Origin::Path { path, .. } = &spec.origin {
        tree::check(path)?;
    }
    if let Some(series) = &spec.series {
        series.check()?;
    }
    Ok(())
}

/// Packages with what building for an architecture calls, git included, and the host lacks.
pub(in crate::kernel) fn host_packages(arch: Arch) -> Vec<&'static str> {
    let git = host::in_path("git").is_none().then_some("git");
    Toolchain::here(arch).lacks().into_iter().chain(git).collect()
}

/// Builds the kernel of a source, or takes it from the cache: what has the same files, configuration and compiler is the same. Who finds it there
/// waits for no build of another one; in a cache that is only looked at, nothing is got or built.
///
/// # Errors
/// [`KernelError::Source`] says what; that a patch does not apply or that it does not build are verdicts on the source.
pub fn build_kernel(
    spec: &BuildSpec,
    arch: Arch,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<BuiltKernel, KernelError> {
    // A tree is locked for as long as something is built of it; what was built needs no lock.
    let (dir, changed) = packages
        .looked_first(cache, |packages, cache| built(spec, arch, packages, cache, ui))
        .map_err(|error| KernelError::Source(Box::new(error)))?;
    let (image, config) = (dir.join(IMAGE), dir.join(CONFIG));
    let label = spec
        .label(cache)
        .map_err(|error| KernelError::Source(Box::new(error.into())))?;
    let mut kernel = Kernel::from_files(label, arch, &image, None, Some(&config))?;
    let named = spec.to_string();
    let lines = dir.join(LINES);
    kernel.origin = Some(spec.origin.clone());
    kernel.lines = lines.is_file().then_some(lines);
    kernel.changed = changed;
    kernel.source = (named != kernel.label).then_some(named);
    let warnings = serde_json::from_slice(&fs_err::read(dir.join(WARNINGS))?).map_err(io::Error::from)?;
    Ok(BuiltKernel {
        kernel,
        warnings,
        log: dir.join(LOG),
    })
}

/// A series on a source, before anything of it is built.
#[derive(Debug)]
pub struct Prospect {
    /// Title of the series.
    pub title: String,
    /// What it is applied to, in words.
    pub base: String,
    /// Why to that.
    pub why: String,
    /// Titles of the patches that apply, in order.
    pub applied: Vec<String>,
    /// The first one that does not.
    pub stopped: Option<NotApplied>,
    /// Titles of all patches.
    pub titles: Vec<String>,
}

/// Applies a series to a source and builds nothing.
///
/// # Errors
/// As [`build_kernel`]; that a patch does not apply is no error here.
pub fn prospect(
    origin: &Origin,
    series: &SeriesSource,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Prospect, SourceKernelError> {
    let tree = SourceTree::open(origin, packages, cache, ui)?;
    let loaded = series.load(cache)?;
    let (base, done) = series::on_base(&loaded, &tree)?;
    let applied: Vec<String> = done.patches.into_iter().map(|patch| patch.title).collect();
    tell(&loaded, ui);
    let (title, titles) = match loaded {
        LoadedSeries::Mails { series, .. } => {
            let titles = series.patches.into_iter().map(|patch| patch.title).collect();
            (series.title, titles)
        }
        LoadedSeries::Range { base, tip } => (format!("{base}..{tip}"), applied.clone()),
    };
    if let Some(lacks) = &base.lacks {
        ui.warning(&format!("it applies, although {lacks}"));
    }
    let about = if base.commit == tree.base() {
        tree.about().to_owned()
    } else {
        base.commit.clone()
    };
    Ok(Prospect {
        title,
        base: about,
        why: base.why,
        applied,
        stopped: done.stopped,
        titles,
    })
}

/// Says what of the mails was passed over, and what is odd about those that were taken.
fn tell(series: &LoadedSeries, ui: &Ui) {
    let LoadedSeries::Mails { series, before } = series else {
        return;
    };
    for before in before {
        tell(before, ui);
    }
    for note in &series.notes {
        ui.line(note);
    }
    for warning in &series.warnings {
        ui.warning(warning);
    }
}

fn built(
    spec: &BuildSpec,
    arch: Arch,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<(PathBuf, SeriesChanges), SourceKernelError> {
    let fragments = fragments(arch, &spec.configs)?;
    let toolchain = Toolchain::here(arch);
    // Before a source is got for nothing.
    toolchain.check()?;
    let tree = SourceTree::open(&spec.origin, packages, cache, ui)?;
    let series = match &spec.series {
        Some(series) => Some(series.load(cache)?),
        None => None,
    };
    // Of a build that would be, too: who only looks can still stay away from it.
    let runs = series
        .as_ref()
        .map_or_else(Vec::new, |series| runs(series, spec.patches));
    let tell_runs = || runs.iter().for_each(|told| ui.warning_once(told));
    let (commit, before) = commit(spec, series.as_ref(), &tree).inspect_err(|error| {
        if error.not_here().is_some() {
            tell_runs();
        }
    })?;
    tree.bring(&commit, 1)?;
    if !cache.only_looks() {
        toolchain.install(ui)?;
    } else if let [missing @ .., last] = toolchain.lacks().as_slice() {
        let missing: Vec<&str> = missing.iter().copied().chain([*last]).collect();
        tell_runs();
        return Err(
            NotHere::would(format!("{} would be installed, and it built", missing.join(", "))).into(),
        );
    }
    if let Some(note) = &toolchain.note {
        ui.warning(note);
    }
    let compiler = toolchain.version()?;
    let mut key = Key::new()
        .with(LAYOUT)
        .with(LineTable::LAYOUT)
        .with(arch.to_string())
        .with(&compiler)
        .with(tree.content(&commit)?);
    for part in toolchain
        .words
        .iter()
        .map(String::as_str)
        .chain(toolchain.flags.as_deref())
        .chain(fragments.iter().map(|fragment| fragment.text))
    {
        key = key.with(part);
    }
    let key = key.finish();
    if cache.only_looks() && cache.find("built", &key).is_none() {
        tell_runs();
        return Err(NotHere::would(format!("it would be built by {compiler}")).into());
    }
    let dir = cache.entry("built", &key, |dir| {
        tell_runs();
        if let reach @ (Reach::Files(..) | Reach::Users(_)) = Reach::made(ui) {
            cache.say_daily(&format!("builds of kernels {reach}"))?;
        }
        tree.check_out(&commit)?;
        let build = Build {
            tree: &tree,
            arch,
            fragments: &fragments,
            toolchain: &toolchain,
            compiler: &compiler,
            by: match &series {
                Some(LoadedSeries::Mails { .. }) if spec.patches != Some(0) => By::Mail {
                    runs: !runs.is_empty(),
                },
                _ => By::Source,
            },
        };
        let task = ui.task(format!("build {spec} {arch}"), None);
        let outcome = match build.run(&task) {
            Ok(made) => {
                task.done(&format!("{compiler}, {} warnings", made.warnings.len()));
                tell_lost(&made.lost, arch, ui);
                fs_err::copy(made.image, dir.join(IMAGE))?;
                fs_err::copy(made.config, dir.join(CONFIG))?;
                fs_err::copy(made.log, dir.join(LOG))?;
                match made.table {
                    Ok(table) => fs_err::write(dir.join(LINES), table)?,
                    // It boots all the same.
                    Err(why) => ui.warning(&format!(
                        "{arch}: which lines of {spec} run will not be known: {why}"
                    )),
                }
                fs_err::write(
                    dir.join(WARNINGS),
                    serde_json::to_vec_pretty(&made.warnings).map_err(io::Error::from)?,
                )?;
                Ok(())
            }
            Err(error) => {
                task.failed();
                Err(kept(error, cache)?)
            }
        };
        // Why there is no kernel counts for more than what is left of it.
        outcome.and(build.clear().map_err(SourceKernelError::Io))
    })?;
    let changed = match before {
        Some(before) => before.changed(&tree, &commit)?,
        None => SeriesChanges::default(),
    };
    Ok((dir, changed))
}

/// What comes before a series, and before its last patch.
struct Before {
    /// The commit that the series is on.
    series: String,
    /// The commit that its last patch is on.
    last_patch: String,
}

impl Before {
    fn changed(&self, tree: &SourceTree, commit: &str) -> Result<SeriesChanges, SourceKernelError> {
        let series = changed(tree, &self.series, commit)?;
        let last_patch = match self.last_patch == self.series {
            true => series.lines.clone(),
            false => changed(tree, &self.last_patch, commit)?.lines,
        };
        Ok(SeriesChanges { series, last_patch })
    }
}

/// What a commit changes of an earlier one.
fn changed(tree: &SourceTree, before: &str, commit: &str) -> Result<Changed, SourceKernelError> {
    if !tree.only_looks() {
        tree.bring(before, 1)?;
    }
    let options = [
        "--function-context",
        "--no-color",
        "--no-ext-diff",
        "--no-renames",
    ];
    let prefixes = ["--src-prefix=a/", "--dst-prefix=b/"];
    let diff = [&["diff"], &options[..], &prefixes, &[before, commit, "--"]].concat();
    match tree.git().run(&diff) {
        Ok(diff) => Ok(Changed::of(&diff)),
        Err(ExecError::Failed { .. }) if tree.only_looks() => {
            Err(NotHere::would("the commit that the series is on would be fetched").into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The commit that is built, and what comes before its series, if it has one.
fn commit(
    spec: &BuildSpec,
    series: Option<&LoadedSeries>,
    tree: &SourceTree,
) -> Result<(String, Option<Before>), SourceKernelError> {
    let Some(series) = series else {
        return Ok((tree.base().to_owned(), None));
    };
    if spec.patches == Some(0) {
        return Ok((series::base(series, tree)?.commit, None));
    }
    let (base, applied) = series::on_base(series, tree)?;
    let there = applied.patches.len()
        + applied
            .stopped
            .as_ref()
            .map_or(0, |stopped| stopped.total - applied.patches.len());
    let asked = spec.patches.unwrap_or(there);
    let commit_of = |number: usize| {
        applied
            .patches
            .get(number.checked_sub(1)?)
            .map(|patch| &patch.commit)
    };
    match (commit_of(asked), applied.stopped) {
        (Some(commit), _) => {
            let before = Before {
                last_patch: commit_of(asked - 1).unwrap_or(&base.commit).clone(),
                series: base.commit,
            };
            Ok((commit.clone(), Some(before)))
        }
        (None, Some(stopped)) if asked <= there => Err(SourceKernelError::NotApplied(Box::new(stopped))),
        (None, _) => Err(SourceKernelError::Patches { there, asked }),
    }
}

/// How many files of a patch are named.
const FILES_NAMED: usize = 4;

/// A line for each of the patches that are built and change what runs on this host: nobody but who sent them has looked at that.
fn runs(series: &LoadedSeries, patches: Option<usize>) -> Vec<String> {
    let LoadedSeries::Mails { series, before } = series else {
        return Vec::new();
    };
    if patches == Some(0) {
        return Vec::new();
    }
    let mut told: Vec<String> = before.iter().flat_map(|before| runs(before, None)).collect();
    let total = series.patches.len();
    for (at, patch) in series.patches.iter().enumerate().take(patches.unwrap_or(total)) {
        let files = patch.runs_at_build();
        let (named, more) = files.split_at(files.len().min(FILES_NAMED));
        let more = match more {
            [] if named.is_empty() => continue,
            [] => String::new(),
            more => format!(" and {} more", more.len()),
        };
        told.push(format!(
            "patch {} of {total} (`{}`) changes what a build runs on this host: {}{more}",
            at + 1,
            patch.title,
            named.join(", ")
        ));
    }
    told
}

/// Says which options are not what was asked, and whether that matters.
fn tell_lost(lost: &[Lost], arch: Arch, ui: &Ui) {
    let mut harmless = Vec::new();
    for lost in lost {
        match lost.weight {
            Weight::Harmless => harmless.push(lost.option.as_str()),
            Weight::Needed(_) | Weight::Blind(_) => ui.warning(&format!("{arch}: {lost}")),
        }
    }
    if !harmless.is_empty() {
        ui.line(&format!(
            "{arch}: this version does not take, and the bench does not need: {}",
            harmless.join(", ")
        ));
    }
}

/// Puts the log of a failed build where the next build does not overwrite it.
fn kept(error: SourceKernelError, cache: &Cache) -> Result<SourceKernelError, SourceKernelError> {
    let SourceKernelError::NotBuilt(mut failed) = error else {
        return Ok(error);
    };
    let text = fs_err::read(&failed.log)?;
    let name = format!("{}.log", &crate::cache::sha256(&text)[..16]);
    let place = cache.dir(Path::new("failed"))?.join(name);
    fs_err::write(&place, text)?;
    failed.log = place;
    Ok(SourceKernelError::NotBuilt(failed))
}
