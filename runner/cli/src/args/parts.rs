// SPDX-License-Identifier: MIT OR Apache-2.0
//! A plan in parts, on one machine or many.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::{How, Places, Repeat};
use ::run::{By, Selected, Shard};
use base::ByteSize;
use format::slurm::MOST;

/// Which part of a plan is meant, where several machines share it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Part {
    /// Run only this part of the plan: slice:M/N (parts that take about as long) or hash:M/N (a job keeps its part)
    #[arg(long, value_name = "PART")]
    pub(crate) shard: Option<Shard>,

    /// How long jobs take, from `memrig plan --format times`; every machine needs the same file
    #[arg(long, value_name = "FILE", requires = "shard", value_hint = ValueHint::FilePath)]
    pub(crate) times: Option<PathBuf>,
}

impl Part {
    /// What the part that is meant has of things that are not jobs.
    pub(crate) fn share<T: Copy>(&self, all: &[T]) -> Vec<T> {
        match &self.shard {
            Some(shard) => shard.share(all.iter().copied()),
            None => all.to_vec(),
        }
    }

    /// Leaves the jobs of the part that is meant; `times` are those of the file, and `require_all` is a part of what the plan is.
    pub(crate) fn narrow<R>(
        &self,
        selected: &mut Selected<R>,
        times: &BTreeMap<String, u64>,
        require_all: bool,
    ) {
        if let Some(shard) = &self.shard {
            selected.narrow(shard, times, require_all);
        }
    }
}

/// The jobs of a matrix, or a part of them.
#[derive(Debug, Clone, Args)]
pub(crate) struct Planned {
    /// The matrix: nightly, or a path with a slash or the ending .yaml
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: String,

    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,

    /// Which part
    #[command(flatten)]
    pub(crate) part: Part,
}

/// Arguments of `memrig matrix`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig matrix nightly
  memrig matrix my.yaml --shard slice:2/5")]
pub(crate) struct Matrix {
    /// Which jobs
    #[command(flatten)]
    pub(crate) planned: Planned,

    /// How often
    #[command(flatten)]
    pub(crate) repeat: Repeat,

    /// How
    #[command(flatten)]
    pub(crate) how: How,
}

/// Arguments of `memrig plan`.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Which jobs
    #[command(flatten)]
    pub(crate) planned: Planned,

    /// Form of the plan
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub(crate) format: PlanFormat,

    /// How many parts the matrix of `--format github` has
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) shards: u32,

    /// How jobs find their part in `--format github`
    #[arg(long, value_enum, default_value_t = PartBy::Slice)]
    pub(crate) by: PartBy,
}

/// Forms of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
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
pub(crate) enum PartBy {
    /// Parts that take about as long
    Slice,
    /// By a hash of the job's name
    Hash,
}

impl PartBy {
    /// The word that `--shard` has for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Slice => By::Slice,
            Self::Hash => By::Hash,
        }
        .word()
    }
}

/// Arguments of `memrig submit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig submit --slurm nightly --shards 8 --partition kernel --time 2:00:00
  memrig submit --slurm my.yaml --shards 4 --dry-run
  memrig submit --slurm --follow 17

Exit codes: those of the run, as if one machine had run it all; 3 if a part is missing; 130 if it was not followed to its end.")]
pub(crate) struct Submit {
    /// The matrix: nightly, or a path with a slash or the ending .yaml
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "follow")]
    pub(crate) file: Option<String>,

    /// As an array job of Slurm
    #[arg(long, required = true)]
    pub(crate) slurm: bool,

    /// How many parts, each a task of the job
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) shards: u32,

    /// How jobs find their part
    #[arg(long, value_enum, default_value_t = PartBy::Slice)]
    pub(crate) by: PartBy,

    /// Partition of the cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) partition: Option<String>,

    /// Account that pays
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,

    /// Time limit of a task, in Slurm's words, such as 1:30:00
    #[arg(long, value_name = "TIME")]
    pub(crate) time: Option<String>,

    /// Memory of a task instead of what the plan needs, such as 8GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) mem: Option<ByteSize>,

    /// Another option of sbatch, such as --sbatch-arg=--qos=night; can be given several times
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) sbatch_arg: Vec<String>,

    /// How often a task runs at the most, where its node fails or something kills it
    #[arg(long, value_name = "N", default_value_t = MOST, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) attempts: u32,

    /// Print the script, and submit nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Follow what was submitted before, by the id of its job
    #[arg(long, value_name = "JOBID", conflicts_with_all = ["file", "dry_run"])]
    pub(crate) follow: Option<u64>,

    /// Cancel the job when memrig is interrupted, instead of leaving it to Slurm
    #[arg(long)]
    pub(crate) cancel_on_interrupt: bool,

    /// Seconds between two looks at the queue, at the most
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) poll: u64,

    /// Where things are; tasks run memrig, and find QEMU, at the same paths on every node
    #[command(flatten)]
    pub(crate) places: Places,

    /// How; guests at once are those of one task, one without -j
    #[command(flatten)]
    pub(crate) how: How,
}

/// Arguments of `memrig merge`.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// Folders of runs, each of one part
    #[arg(value_name = "RUN", required = true, value_hint = ValueHint::DirPath)]
    pub(crate) runs: Vec<PathBuf>,
    /// Folder that gets the folder of the merged run
    #[arg(long, value_name = "DIR", default_value = "results", env = "MEMRIG_RESULTS", value_hint = ValueHint::DirPath)]
    pub(crate) results: PathBuf,
    /// Merge what is there although parts are missing
    #[arg(long)]
    pub(crate) partial: bool,
}
