// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: what can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::{
    base::{Arch, ByteSize},
    format::slurm::MOST,
    rig::{kernel::KernelSource, series::SeriesSource},
    run::Shard,
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
  memrig compare --base tree:. --series v3.mbox  before and after it
  memrig walk --base tree:. --series v3.mbox    each patch of it on its own
  memrig cost -k debian:trixie                  instructions of an online and an offline
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
    /// Run the same on two kernels, and say what differs
    Compare(Compare),
    /// Build and run each patch of a series on its own
    Walk(Walk),
    /// Count the instructions that an operation on a memory block costs
    Cost(Cost),
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
    /// Run a matrix of kernels, architectures, command lines and suites
    Matrix(Matrix),
    /// Show what a matrix comes to, and how long it will take
    Plan(Plan),
    /// Run a matrix as an array job of a cluster, and put its parts together
    Submit(Submit),
    /// Put the parts of a run from several machines together
    Merge(Merge),
    /// Show what a case came to, run by run
    History(History),
    /// List cases that come out now one way and now another
    Flaky(Flaky),
    /// Show how boot memory and times move from run to run
    Trend(Trend),
    /// Make old runs small
    Prune(Prune),
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
  memrig run --dry-run dimm
  memrig run --resume results/latest")]
pub struct Run {
    /// Which jobs
    #[command(flatten)]
    pub select: Select,
    /// Where things are
    #[command(flatten)]
    pub places: Places,

    /// How
    #[command(flatten)]
    pub how: How,

    /// Print the plan and the QEMU commands, and run nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Finish a run that was cut off: its folder, or its name in the results folder
    #[arg(long, value_name = "RUN", value_hint = ValueHint::DirPath,
          conflicts_with_all = ["suites", "kernels", "arches", "cases", "variants", "dry_run"])]
    pub resume: Option<PathBuf>,

    /// Exit as `git bisect run` wants it: 0 good, 1 bad, 125 for everything that says nothing about the kernel
    #[arg(long)]
    pub bisect: bool,

    /// Which part
    #[command(flatten)]
    pub shard: Part,
}

/// How jobs are run.
#[derive(Debug, Clone, Default, Args)]
pub struct How {
    /// Guests at once; without it, as many as the host's processors and memory allow
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,

    /// Stop starting jobs after the first failure
    #[arg(long)]
    pub fail_fast: bool,

    /// Boot a guest for every case, instead of cloning one that has booted
    #[arg(long)]
    pub no_clone: bool,

    /// Make every skip an error
    #[arg(long)]
    pub require_all: bool,
}

/// Arguments of `memrig compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig compare --base source:debian:trixie --series suites/series/prepare-online quick standby
  memrig compare --base tree:linux --series v3.mbox -a s390x
  memrig compare --base debian:bookworm --new debian:trixie blocks

Exit codes: 0 nothing got worse or changed, 1 something did, 3 something broke or nothing could be compared.")]
pub struct Compare {
    /// Suites to run on both; without any, quick
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub suites: Vec<String>,

    /// The kernel before: any that `run` takes; a source, where the new one is that with a series
    #[arg(long, value_name = "KERNEL", default_value = "tree:.")]
    pub base: KernelSource,

    /// The kernel after
    #[arg(
        long,
        value_name = "KERNEL",
        conflicts_with = "series",
        required_unless_present = "series"
    )]
    pub new: Option<KernelSource>,

    /// The kernel after is the base with this series: an mbox, a folder of patches, or BASE..TIP
    #[arg(long, value_name = "SERIES")]
    pub series: Option<SeriesSource>,

    /// Architecture: x86_64 or s390x; without it, both
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub arches: Vec<Arch>,

    /// Only cases whose id is this, or whose name contains it
    #[arg(short, long = "case", value_name = "CASE")]
    pub cases: Vec<String>,

    /// Only jobs with this variant, such as memmap_on_memory=on
    #[arg(long = "variant", value_name = "NAME=VALUE")]
    pub variants: Vec<String>,

    /// In how many pairs of guests something has to differ to count
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = pairs)]
    pub pairs: usize,

    /// Count what an online and an offline cost too, in instructions
    #[arg(long)]
    pub cost: bool,

    /// Print the comparison in JSON
    #[arg(long)]
    pub json: bool,

    /// Where things are
    #[command(flatten)]
    pub places: Places,

    /// Guests at once; without it, as many as the host's processors and memory allow
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,
}

fn pairs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(pairs @ 1..=99) => Ok(pairs),
        _ => Err("expected a number from 1 to 99".to_owned()),
    }
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

/// Arguments of `memrig cost`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig cost -k debian:trixie
  memrig cost -k source:debian:trixie -k source:debian:trixie,series=v3.mbox -a s390x
  memrig cost -k image:bzImage,config=.config -a x86_64 --json

A kernel is measured in a guest of its own for memmap_on_memory off and on. The first number is what repeats, and what two kernels
are compared by; the spread is that of single repetitions.

Exit codes: 0 everything was counted, 1 a kernel failed, 3 something is not known.")]
pub struct Cost {
    /// Kernel, as for `memrig run`; can be given several times; without it, the three Debian kernels
    #[arg(short, long = "kernel", value_name = "KERNEL")]
    pub kernels: Vec<KernelSource>,

    /// Architecture: x86_64 or s390x; without it, both
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub arches: Vec<Arch>,

    /// How often each operation is done
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repetitions: u32,

    /// Print the records as JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// Where things are
    #[command(flatten)]
    pub places: Places,
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

/// Which part of a plan is meant, where several machines share it.
#[derive(Debug, Clone, Args)]
pub struct Part {
    /// Run only this part of the plan: slice:M/N (parts that take about as long) or hash:M/N (a job keeps its part)
    #[arg(long, value_name = "PART")]
    pub shard: Option<Shard>,

    /// How long jobs take, from `memrig plan --format times`; every machine needs the same file
    #[arg(long, value_name = "FILE", requires = "shard", value_hint = ValueHint::FilePath)]
    pub times: Option<PathBuf>,
}

/// Arguments of `memrig matrix`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig matrix nightly
  memrig matrix my.yaml --shard slice:2/5")]
pub struct Matrix {
    /// The matrix: nightly, or a path with a slash or the ending .yaml
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: String,
    /// Where things are
    #[command(flatten)]
    pub places: Places,
    /// Which part
    #[command(flatten)]
    pub shard: Part,

    /// How
    #[command(flatten)]
    pub how: How,
}

/// Arguments of `memrig plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The matrix: nightly, or a path with a slash or the ending .yaml
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: String,
    /// Where things are
    #[command(flatten)]
    pub places: Places,
    /// Which part
    #[command(flatten)]
    pub shard: Part,

    /// Form of the plan
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,

    /// How many parts the matrix of `--format github` has
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub shards: u32,

    /// How jobs find their part in `--format github`
    #[arg(long, value_enum, default_value_t = PartBy::Slice)]
    pub by: PartBy,
}

/// Forms of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// Jobs and time by kernel and suite, from the times of earlier runs
    Text,
    /// Every job, in JSON
    Json,
    /// Milliseconds of each job, for --times
    Times,
    /// The parts, as GitHub Actions wants a matrix
    Github,
}

/// How jobs find their part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PartBy {
    /// Parts that take about as long
    Slice,
    /// By a hash of the job's name
    Hash,
}

impl PartBy {
    /// The word that `--shard` has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Slice => "slice",
            Self::Hash => "hash",
        }
    }
}

/// Arguments of `memrig submit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig submit --slurm nightly --shards 8 --partition kernel --time 2:00:00
  memrig submit --slurm my.yaml --shards 4 --dry-run
  memrig submit --slurm --follow 17

Exit codes: those of the run, as if one machine had run it all; 3 if a part is missing; 130 if it was not followed to its end.")]
pub struct Submit {
    /// The matrix: nightly, or a path with a slash or the ending .yaml
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "follow")]
    pub file: Option<String>,

    /// As an array job of Slurm
    #[arg(long, required = true)]
    pub slurm: bool,

    /// How many parts, each a task of the job
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub shards: u32,

    /// How jobs find their part
    #[arg(long, value_enum, default_value_t = PartBy::Slice)]
    pub by: PartBy,

    /// Partition of the cluster
    #[arg(long, value_name = "NAME")]
    pub partition: Option<String>,

    /// Account that pays
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,

    /// Time limit of a task, in Slurm's words, such as 1:30:00
    #[arg(long, value_name = "TIME")]
    pub time: Option<String>,

    /// Memory of a task instead of what the plan needs, such as 8GiB
    #[arg(long, value_name = "SIZE")]
    pub mem: Option<ByteSize>,

    /// Another option of sbatch, such as --sbatch-arg=--qos=night; can be given several times
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub sbatch_arg: Vec<String>,

    /// How often a task runs at the most, where its node fails or something kills it
    #[arg(long, value_name = "N", default_value_t = MOST, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub attempts: u32,

    /// Print the script, and submit nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Follow what was submitted before, by the id of its job
    #[arg(long, value_name = "JOBID", conflicts_with_all = ["file", "dry_run"])]
    pub follow: Option<u64>,

    /// Cancel the job when memrig is interrupted, instead of leaving it to Slurm
    #[arg(long)]
    pub cancel_on_interrupt: bool,

    /// Seconds between two looks at the queue, at the most
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub poll: u64,

    /// Where things are; tasks run memrig, and find QEMU, at the same paths on every node
    #[command(flatten)]
    pub places: Places,

    /// How; guests at once are those of one task, one without -j
    #[command(flatten)]
    pub how: How,
}

/// Arguments of `memrig merge`.
#[derive(Debug, Args)]
pub struct Merge {
    /// Folders of runs, each of one part
    #[arg(value_name = "RUN", required = true, value_hint = ValueHint::DirPath)]
    pub runs: Vec<PathBuf>,
    /// Folder that gets the folder of the merged run
    #[arg(long, value_name = "DIR", default_value = "results", env = "MEMRIG_RESULTS", value_hint = ValueHint::DirPath)]
    pub results: PathBuf,
    /// Merge what is there although parts are missing
    #[arg(long)]
    pub partial: bool,
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
    /// Write junit.xml, cases.csv and report.html into the run's folder again
    #[arg(long)]
    pub write: bool,

    /// Print the run in this form instead of the summary
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,

    /// Write report.html into the run's folder
    #[arg(long)]
    pub html: bool,

    /// Results folder whose earlier runs tell what is new; without it, the folder that the run is in
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub results: Option<PathBuf>,
}

/// Forms of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// The summary, for a person
    Text,
    /// The cases as comma-separated values
    Csv,
    /// The whole record, in JSON
    Json,
    /// JUnit XML
    Junit,
    /// KTAP version 1
    Ktap,
    /// Annotations of GitHub Actions
    Github,
    /// JSON in the shape of KCIDB
    Kcidb,
}

/// Arguments of `memrig prune`.
#[derive(Debug, Args)]
#[command(
    after_help = "Of an older run, a case that passed keeps its record and ledgers, and one that did not keeps everything."
)]
pub struct Prune {
    /// Leave the last N runs as they are
    #[arg(long, value_name = "N")]
    pub keep: usize,
    /// Folder with one folder for each run
    #[arg(long, value_name = "DIR", default_value = "results", env = "MEMRIG_RESULTS", value_hint = ValueHint::DirPath)]
    pub results: PathBuf,
    /// Show the sizes, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Which runs and cases of the results are looked at.
#[derive(Debug, Clone, Args)]
pub struct Past {
    /// Folder with one folder for each run
    #[arg(long, value_name = "DIR", default_value = "results", env = "MEMRIG_RESULTS", value_hint = ValueHint::DirPath)]
    pub results: PathBuf,

    /// Only this kernel line, as it was named: debian:sid
    #[arg(short, long = "kernel", value_name = "KERNEL")]
    pub line: Option<String>,

    /// Only this architecture
    #[arg(short, long, value_name = "ARCH")]
    pub arch: Option<Arch>,

    /// Only this suite
    #[arg(short, long, value_name = "SUITE")]
    pub suite: Option<String>,

    /// Only this variant, such as memmap_on_memory=on
    #[arg(long, value_name = "NAME=VALUE")]
    pub variant: Option<String>,

    /// Only the last N runs
    #[arg(long, value_name = "N")]
    pub last: Option<u32>,

    /// Form of the answer
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub format: TableFormat,

    /// Make the index anew from the results
    #[arg(long)]
    pub rebuild: bool,
}

/// Forms of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For a person
    Text,
    /// Comma-separated values
    Csv,
    /// JSON
    Json,
}

/// Arguments of `memrig history`.
#[derive(Debug, Args)]
#[command(
    after_help = "One letter is one run, the oldest first: . pass, F fail, E error, K known, s skip, p passed after another attempt did not."
)]
pub struct History {
    /// Id of the case
    #[arg(value_name = "CASE")]
    pub case: String,
    /// Which runs
    #[command(flatten)]
    pub past: Past,
}

/// Arguments of `memrig flaky`.
#[derive(Debug, Args)]
pub struct Flaky {
    /// Which runs
    #[command(flatten)]
    pub past: Past,
}

/// Arguments of `memrig trend`.
#[derive(Debug, Args)]
pub struct Trend {
    /// Only this case, so that the same work is compared
    #[arg(short, long, value_name = "CASE")]
    pub case: Option<String>,
    /// Which runs
    #[command(flatten)]
    pub past: Past,
}
