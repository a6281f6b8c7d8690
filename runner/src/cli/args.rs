// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: what can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

use crate::{
    base::Arch,
    rig::{kernel::KernelSource, series::SeriesSource},
};

/// Test bench for Linux memory-hotplug patch series
#[derive(Debug, Parser)]
#[command(
    name = "memrig",
    version,
    about,
    long_about = "Boots real Linux on x86_64 and s390x under QEMU with hot-pluggable and standby memory, drives hotplug \
                  from outside and inside, and checks every step against a model of the memory accounting.",
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 all pass, 1 the kernel failed, 2 usage or a suite that does not read, 3 only errors (nothing \
                  is known about the kernel), 4 nothing selected, 130 interrupted.",
    after_long_help = EXAMPLES
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  memrig run                                    the quick suite on six Debian kernels
  memrig run standby -k debian:trixie -a s390x  one suite, one kernel
  memrig run blocks -c B03                      one case everywhere
  memrig run accounting -k image:bzImage,config=.config
  memrig run -k tree:../linux,series=v3.mbox     a series on a tree
  memrig walk --base tree:. --series v3.mbox    each patch of it on its own
  memrig run --dry-run blocks                   the plan, with QEMU commands to paste
  memrig shell standby -c S04 -k debian:sid -a s390x
  memrig replay results/latest B03

Exit codes:
  0    all pass (or are known, or were skipped)
  1    the kernel failed
  2    the call was wrong, or a suite does not read
  3    only errors: memrig, QEMU or the host broke
  4    nothing was selected
  130  interrupted";

/// The verbs of memrig.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run suites
    Run(Run),
    /// Build and run each patch of a series on its own
    Walk(Walk),
    /// Find the first bad commit of a range by one case
    Bisect(Bisect),
    /// List suites and cases
    List(List),
    /// Get everything a run needs, and run nothing
    Setup(Setup),
    /// Say what is there, what is missing, and what to do
    Doctor(Doctor),
    /// Open a shell in the guest of a case
    Shell(Shell),
    /// Run a case of an earlier run again
    Replay(Replay),
    /// Make the reports of a run again from its record
    Report(Report),
    /// Print a completion script
    Completions {
        /// The shell to print it for
        shell: clap_complete::Shell,
    },
    /// Print the man page
    Man,
}

/// Which jobs are meant.
#[derive(Debug, Clone, Args)]
pub struct Select {
    /// Suites by name, or by path where it has a slash or ends in .yaml
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub suites: Vec<String>,

    /// Kernel: debian:SUITE, source:debian:SUITE, tree:PATH[@COMMIT] or image:PATH[,modules=DIR][,config=FILE]
    ///
    /// Can be given several times; without it, the three Debian kernels. debian: takes the package of bookworm, trixie or sid.
    /// source: and tree: are built, and take ,config=lockdep+kasan (dax, kasan, kmemleak, lockdep, no-hugetlb), ,series=SERIES (an
    /// mbox, a folder of patches, or BASE..TIP) and ,patches=N (only the first N of them).
    #[arg(short, long = "kernel", value_name = "KERNEL")]
    pub kernels: Vec<KernelSource>,

    /// Architecture: x86_64 or s390x; without it, both
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub arches: Vec<Arch>,

    /// Only cases whose id is this, or whose name contains it
    #[arg(short, long = "case", value_name = "CASE")]
    pub cases: Vec<String>,

    /// Only jobs with this variant, such as memmap_on_memory=on
    #[arg(long = "variant", value_name = "NAME=VALUE")]
    pub variants: Vec<String>,
}

/// Where things are.
#[derive(Debug, Clone, Args)]
pub struct Places {
    /// QEMU to use instead of memrig's choice, such as s390x=/usr/bin/qemu-system-s390x
    #[arg(long = "qemu", value_name = "ARCH=PATH", value_parser = qemu_choice)]
    pub qemus: Vec<(Arch, PathBuf)>,

    /// Folder that gets one folder for each run
    #[arg(long, value_name = "DIR", default_value = "results", env = "MEMRIG_RESULTS", value_hint = ValueHint::DirPath)]
    pub results: PathBuf,
}

fn qemu_choice(text: &str) -> Result<(Arch, PathBuf), String> {
    let (arch, path) = text
        .split_once('=')
        .ok_or("expected ARCH=PATH, such as s390x=/usr/bin/qemu-system-s390x")?;
    Ok((
        arch.parse()
            .map_err(|e: crate::base::UnknownArch| e.to_string())?,
        path.into(),
    ))
}

/// Arguments of `memrig run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig run
  memrig run standby accounting -k debian:trixie
  memrig run blocks -c B03 -a x86_64 -j 1
  memrig run --dry-run dimm")]
pub struct Run {
    /// Which jobs
    #[command(flatten)]
    pub select: Select,
    /// Where things are
    #[command(flatten)]
    pub places: Places,

    /// Guests at once; without it, as many as the host's processors and memory allow
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,

    /// Stop starting jobs after the first failure
    #[arg(long)]
    pub fail_fast: bool,

    /// Print the plan and the QEMU commands, and run nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Make every skip an error
    #[arg(long)]
    pub require_all: bool,

    /// Exit as `git bisect run` wants it: 0 good, 1 bad, 125 for everything that says nothing about the kernel
    #[arg(long)]
    pub bisect: bool,
}

/// Arguments of `memrig walk`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig walk --base source:debian:trixie --series suites/series/prepare-online quick standby
  memrig walk --base tree:linux --series v3.mbox -a s390x
  memrig walk --base tree:linux --series v6.12..topic quick

Exit codes: 0 each patch applies, builds, and breaks nothing; 1 one does not; 3 something is not known.")]
pub struct Walk {
    /// Suites to run on each patch; without any, quick
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub suites: Vec<String>,

    /// Source that the series is for: tree:PATH[@COMMIT] or source:debian:SUITE, with ,config=NAME
    ///
    /// Of tree:PATH without a commit, the base-commit of the series is taken, if it is there.
    #[arg(long, value_name = "KERNEL", default_value = "tree:.")]
    pub base: KernelSource,

    /// The series: an mbox, a folder of patches, or BASE..TIP
    #[arg(long, value_name = "SERIES")]
    pub series: SeriesSource,

    /// Architecture: x86_64 or s390x; without it, both
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub arches: Vec<Arch>,

    /// Only cases whose id is this, or whose name contains it
    #[arg(short, long = "case", value_name = "CASE")]
    pub cases: Vec<String>,

    /// Only jobs with this variant, such as memmap_on_memory=on
    #[arg(long = "variant", value_name = "NAME=VALUE")]
    pub variants: Vec<String>,

    /// Where things are
    #[command(flatten)]
    pub places: Places,

    /// Guests at once; without it, as many as the host's processors and memory allow
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,
}

/// Arguments of `memrig bisect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig bisect --tree ../linux --good v6.12.95 --bad v6.12.107 quick -c Q01 -a s390x

Nothing in the tree is touched. The other way round, from within the tree:
  git bisect run memrig run quick -c Q01 -a s390x -k tree:. --bisect

Exit codes: 0 the commit was found, 3 it was not, 2 an end is not what it was said to be.")]
pub struct Bisect {
    /// Suites; without any, quick
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub suites: Vec<String>,

    /// The git tree, with ,config=NAME where a configuration of kconfigs/debug is meant
    #[arg(long, value_name = "PATH", default_value = ".", value_hint = ValueHint::DirPath)]
    pub tree: String,

    /// A commit that is good
    #[arg(long, value_name = "COMMIT")]
    pub good: String,

    /// A commit that is bad
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    pub bad: String,

    /// Architecture; without it, both
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub arches: Vec<Arch>,

    /// The case that tells good from bad
    #[arg(short, long = "case", value_name = "CASE", required = true)]
    pub cases: Vec<String>,

    /// Only jobs with this variant, such as memmap_on_memory=on
    #[arg(long = "variant", value_name = "NAME=VALUE")]
    pub variants: Vec<String>,

    /// Where things are
    #[command(flatten)]
    pub places: Places,
}

/// Arguments of `memrig list`.
#[derive(Debug, Args)]
pub struct List {
    /// Suites; without any, all that come with memrig
    #[arg(value_name = "SUITE")]
    pub suites: Vec<String>,
}

/// Arguments of `memrig setup`.
#[derive(Debug, Args)]
pub struct Setup {
    /// Kernels to get; without any, the three Debian kernels
    #[arg(short, long = "kernel", value_name = "KERNEL")]
    pub kernels: Vec<KernelSource>,

    /// Architectures; without any, both
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub arches: Vec<Arch>,

    /// Ask the mirror for newer versions
    #[arg(long)]
    pub refresh: bool,
}

/// Arguments of `memrig doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Where things are
    #[command(flatten)]
    pub places: Places,
}

/// Arguments of `memrig shell`.
#[derive(Debug, Args)]
pub struct Shell {
    /// Which job; the first one that matches is taken
    #[command(flatten)]
    pub select: Select,
    /// Where things are
    #[command(flatten)]
    pub places: Places,
}

/// Arguments of `memrig replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Folder of the run, or its name in the results folder
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub run: PathBuf,
    /// Id of the case, or classname/id
    #[arg(value_name = "CASE")]
    pub case: String,
    /// Where things are
    #[command(flatten)]
    pub places: Places,
}

/// Arguments of `memrig report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Folder of the run
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath, default_value = "results/latest")]
    pub run: PathBuf,
    /// Write junit.xml and cases.csv into the run's folder again
    #[arg(long)]
    pub write: bool,
}
