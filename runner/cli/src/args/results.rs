// SPDX-License-Identifier: MIT OR Apache-2.0
//! What earlier runs are asked for.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum, ValueHint};

use base::Arch;

/// Arguments of `memrig report`.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Folder of the run, or its name in the results folder; without any, the run there that began last. Of several, which code their cases ran can be
    /// told together; of a case that more than one ran on a kernel, the one that is named last
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) runs: Vec<PathBuf>,

    /// Write junit.xml, cases.csv, subcases.csv and report.html into the run's folder again
    #[arg(long)]
    pub(crate) write: bool,

    /// Print the run in this form instead of the summary
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,

    /// Write report.html into the run's folder
    #[arg(long)]
    pub(crate) html: bool,

    /// Pack the run's folder into this file (.tar.gz), to be attached to a mail; your home, working and cache folders' names are taken out
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["write", "html", "format"])]
    pub(crate) bundle: Option<PathBuf>,

    /// Results folder (else MEMRIG_RESULTS, else results) of the run, whose earlier runs tell what is new; a run that is named by
    /// its path is held against those of the folder that it is in
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) results: Option<PathBuf>,
}

/// Forms of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// The summary, for a person
    Text,
    /// The cases as comma-separated values
    Csv,
    /// The tests that programs in guests reported, as comma-separated values
    SubcasesCsv,
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
    /// Which lines of the kernel were run, as a tracefile of LCOV
    Lcov,
    /// The same as Cobertura XML
    Cobertura,
    /// Which functions each case ran, and how many cases each line, in JSON
    Coverage,
    /// What the cases reach of memory hotplug's files, and which functions none of them does, in Markdown
    CoverageMd,
}

impl ReportFormat {
    /// Whether it tells which code was run, and of what else there is nothing.
    pub(crate) fn is_of_code(self) -> bool {
        matches!(
            self,
            Self::Lcov | Self::Cobertura | Self::Coverage | Self::CoverageMd
        )
    }
}

/// Arguments of `memrig prune`.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").args(["keep", "cache"]).required(true).multiple(true)),
    after_help = "Of an older run, a case that passed keeps its record and ledgers, and one that did not keeps everything.

Examples:
  memrig prune --keep 30
  memrig prune --cache --unused 7 --dry-run"
)]
pub(crate) struct Prune {
    /// Leave the last N runs as they are
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,

    /// Remove from the cache what was not used for long: kernels, images, packages, source trees and what was built of them
    #[arg(long)]
    pub(crate) cache: bool,

    /// How long, in days
    #[arg(long, value_name = "DAYS", default_value_t = 30, requires = "cache", value_parser = clap::value_parser!(u32).range(2..=3650))]
    pub(crate) unused: u32,

    /// Folder with one folder for each run
    #[arg(long, value_name = "DIR", default_value = "results", env = "MEMRIG_RESULTS", value_hint = ValueHint::DirPath)]
    pub(crate) results: PathBuf,
    /// Show the sizes, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which runs and cases of the results are looked at.
#[derive(Debug, Clone, Args)]
pub(crate) struct Past {
    /// Folder with one folder for each run
    #[arg(long, value_name = "DIR", default_value = "results", env = "MEMRIG_RESULTS", value_hint = ValueHint::DirPath)]
    pub(crate) results: PathBuf,

    /// Only this kernel line, as it was named: debian:sid
    #[arg(short = 'k', short_alias = 'l', long = "kernel", value_name = "KERNEL")]
    pub(crate) line: Option<String>,

    /// Only this architecture
    #[arg(short, long, value_name = "ARCH")]
    pub(crate) arch: Option<Arch>,

    /// Only this suite
    #[arg(short, long, value_name = "SUITE")]
    pub(crate) suite: Option<String>,

    /// Only this variant, such as memmap_on_memory=on
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) variant: Option<String>,

    /// Only the last N runs
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<u32>,

    /// Form of the answer
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,

    /// Make the index anew from the results
    #[arg(long)]
    pub(crate) rebuild: bool,
}

/// Forms of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
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
pub(crate) struct History {
    /// Id of the case
    #[arg(value_name = "CASE", required_unless_present = "html")]
    pub(crate) case: Option<String>,

    /// Write history.html into the results folder: case by run, of the last 30 runs or of --last
    #[arg(long, conflicts_with = "format")]
    pub(crate) html: bool,

    /// Which runs
    #[command(flatten)]
    pub(crate) past: Past,
}

/// Arguments of `memrig flaky`.
#[derive(Debug, Args)]
pub(crate) struct Flaky {
    /// Which runs
    #[command(flatten)]
    pub(crate) past: Past,
}

/// Arguments of `memrig trend`.
#[derive(Debug, Args)]
#[command(
    after_help = "Of the runs with cases: memory in use after boot and times. Of those of `memrig cost` and `memrig compare`: what an online and \
                  an offline of one memory block cost, in instructions of the guest; with --case or --suite they are left out."
)]
pub(crate) struct Trend {
    /// Only this case, so that the same work is compared
    #[arg(short, long, value_name = "CASE")]
    pub(crate) case: Option<String>,
    /// Which runs
    #[command(flatten)]
    pub(crate) past: Past,
}
