// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels before and after a change.

use std::{num::NonZeroUsize, time::Duration};

use clap::{Args, ValueHint};

use super::{ListFormat, Places, TableFormat, Which, jobs::guests};
use base::{Arch, time};
use supply::{
    kernel::{KernelSource, KernelSpec},
    series::SeriesSource,
};

/// Arguments of `memrig compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig compare --base source:debian:trixie --series suites/series/prepare-online quick standby
  memrig compare --base tree:linux --series v3.mbox -a s390x
  memrig compare --base debian:bookworm --new debian:trixie blocks
  memrig compare --base tree:linux --series v3.mbox -a s390x --explore 10m
  memrig compare --base old=image:a/bzImage --new new=image:b/bzImage blocks

Exit codes: 0 nothing got worse or changed, 1 something did, 3 something broke or nothing could be compared.")]
pub(crate) struct Compare {
    /// Suites to run on both; without any, quick
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub(crate) suites: Vec<String>,

    /// The kernel before: any that `run` takes, NAME= before it or not; a source, where the new one is that with a series
    #[arg(long, value_name = "KERNEL", default_value = "tree:.")]
    pub(crate) base: KernelSpec,

    /// The kernel after
    #[arg(
        long,
        value_name = "KERNEL",
        conflicts_with = "series",
        required_unless_present = "series"
    )]
    pub(crate) new: Option<KernelSpec>,

    /// The kernel after is the base with this series: an mbox, a folder of patches, b4:MESSAGE-ID, or BASE..TIP
    ///
    /// Behind it, ,version=N or ,subject=WORDS chooses among several in a file, and ,prerequisite=SERIES names what it stands on.
    #[arg(long, value_name = "SERIES")]
    pub(crate) series: Option<SeriesSource>,

    /// Which of their jobs
    #[command(flatten)]
    pub(crate) which: Which,

    /// In how many pairs of guests something has to differ to count
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = pairs)]
    pub(crate) pairs: usize,

    /// Draw the same sequences on both first, for so long, such as 5m; what either of them shows is run on both as one more case
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) explore: Option<Duration>,

    /// By which those sequences are drawn; without it, another one each time
    #[arg(long, value_name = "S", requires = "explore")]
    pub(crate) seed: Option<u64>,

    /// Do not count what operations on a memory block cost, in instructions
    #[arg(long)]
    pub(crate) no_cost: bool,

    /// Do not see which lines of the series run
    #[arg(long)]
    pub(crate) no_cover: bool,

    /// Form of the comparison
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,

    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,

    /// Guests at once; without it, three for two of the host's processors, as far as its memory allows
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = guests)]
    pub(crate) jobs: Option<NonZeroUsize>,
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
pub(crate) struct Walk {
    /// Suites to run on each patch; without any, quick
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub(crate) suites: Vec<String>,

    /// Source that the series is for: tree:PATH[@COMMIT] or source:debian:SUITE, with ,config=NAME
    ///
    /// Of tree:PATH without a commit, the base-commit of the series is taken, if it is there.
    #[arg(long, value_name = "KERNEL", default_value = "tree:.")]
    pub(crate) base: KernelSource,

    /// The series: an mbox, a folder of patches, b4:MESSAGE-ID, or BASE..TIP
    ///
    /// Behind it, ,version=N or ,subject=WORDS chooses among several in a file, and ,prerequisite=SERIES names what it stands on.
    #[arg(long, value_name = "SERIES")]
    pub(crate) series: SeriesSource,

    /// Which of their jobs
    #[command(flatten)]
    pub(crate) which: Which,

    /// Do not see which lines of each patch run
    #[arg(long)]
    pub(crate) no_cover: bool,

    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,

    /// Guests at once; without it, three for two of the host's processors, as far as its memory allows
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = guests)]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// Arguments of `memrig cost`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig cost -k debian:trixie
  memrig cost --by-function -k debian:trixie
  memrig cost -k source:debian:trixie -k source:debian:trixie,series=v3.mbox -a s390x
  memrig cost -k image:bzImage,config=.config --format json

A kernel is measured in a guest of its own for memmap_on_memory off and on. The first number is what repeats, and what two kernels
are compared by; the spread is that of single repetitions.

Exit codes: 0 everything was counted, 1 a kernel failed, 3 something is not known.")]
pub(crate) struct Cost {
    /// Kernel, as for `memrig run`; can be given several times; without it, the three Debian kernels
    #[arg(short, long = "kernel", value_name = "KERNEL")]
    pub(crate) kernels: Vec<KernelSpec>,

    /// Architecture: x86_64 or s390x; without it, both
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub(crate) arches: Vec<Arch>,

    /// How often each operation is done
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repetitions: u32,

    /// Say what each function takes: of the first kernel of an architecture the 20 that take most, of the others those that differ from it
    #[arg(long)]
    pub(crate) by_function: bool,

    /// Guests at once; without it, three for two of the host's processors. What they count does not depend on it
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = guests)]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Form of the counts; json has all functions
    #[arg(long, value_enum, default_value_t = ListFormat::Text)]
    pub(crate) format: ListFormat,

    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Arguments of `memrig bisect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig bisect --tree ../linux --good v6.12.95 --bad v6.12.107 quick -c Q01 -a s390x

Nothing in the tree is touched. The other way round, from within the tree:
  git bisect run memrig run quick -c Q01 -a s390x -k tree:. --bisect

Exit codes: 0 the commit was found, 3 it was not, 2 an end is not what it was said to be.")]
pub(crate) struct Bisect {
    /// Suites; without any, quick
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub(crate) suites: Vec<String>,

    /// The git tree, with ,config=NAME where a configuration of kconfigs/debug is meant
    #[arg(long, value_name = "PATH", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) tree: String,

    /// A commit that is good
    #[arg(long, value_name = "COMMIT")]
    pub(crate) good: String,

    /// A commit that is bad
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    pub(crate) bad: String,

    /// Architecture; without it, both
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub(crate) arches: Vec<Arch>,

    /// The case that tells good from bad
    #[arg(short, long = "case", value_name = "CASE", required = true)]
    pub(crate) cases: Vec<String>,

    /// Only jobs with this variant, such as memmap_on_memory=on
    #[arg(long = "variant", value_name = "NAME=VALUE")]
    pub(crate) variants: Vec<String>,

    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,
}
