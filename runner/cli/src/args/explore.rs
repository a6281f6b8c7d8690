// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is explored, and how long.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use clap::Args;

use super::{Places, jobs::guests};
use ::run::{Budget, Leading};
use base::{Arch, time};
use supply::kernel::KernelSpec;

/// Guests that one finding is given, where nobody says how many.
pub(crate) const TRIES: u32 = 60;

/// Arguments of `memrig explore`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig explore -k debian:trixie -a s390x
  memrig explore --time 1h
  memrig explore -k debian:sid --seed 42 --sequences 100
  memrig explore -a x86_64 --seed 42 --sequences 3 --dry-run

Random sequences of operations, each step of which is judged by the model. What fails and is not known is made shorter and written as a \
suite that `memrig run` takes. Sequences that reach code of memory hotplug which none before them did are kept, and varied. The same seed draws \
the same sequences, and with --unled no others run.

Exit codes: 0 nothing was found, 1 something was, 3 something broke.")]
pub(crate) struct Explore {
    /// Kernel, as `memrig run` takes it; can be given several times; without it, the three Debian kernels
    #[arg(short, long = "kernel", value_name = "KERNEL")]
    pub(crate) kernels: Vec<KernelSpec>,

    /// Architecture: x86_64 or s390x; without it, both, and of an image its own
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub(crate) arches: Vec<Arch>,

    /// How long, such as 10m or 1h30m; several kernels share it
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    pub(crate) time: Duration,

    /// How many sequences for each kernel, in place of a time
    #[arg(long, value_name = "N", conflicts_with = "time", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) sequences: Option<u64>,

    /// By which sequences are drawn: the same draws the same; without it, another one each time
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,

    /// Guests at once; without it, three for two of the host's processors, as far as its memory allows
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = guests)]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Guests that one finding is given, to make it shorter
    #[arg(long, value_name = "N", default_value_t = TRIES)]
    pub(crate) tries: u32,

    /// Keep sequences that reach new code in this folder, and go on from those that are there; without it, in the cache
    #[arg(long, value_name = "DIR", conflicts_with_all = ["unled", "no_cover"])]
    pub(crate) corpus: Option<PathBuf>,

    /// Draw by the seed alone: nothing is kept, and nothing varied
    #[arg(long)]
    pub(crate) unled: bool,

    /// Do not look which code runs, and draw by the seed alone
    #[arg(long)]
    pub(crate) no_cover: bool,

    /// Boot all guests with these words, too
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    pub(crate) cmdline: String,

    /// Find also what the suites list as known
    #[arg(long)]
    pub(crate) with_known: bool,

    /// Print the sequences that are drawn, wish by wish, and run nothing; needs --sequences
    #[arg(long, requires = "sequences")]
    pub(crate) dry_run: bool,

    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,
}

impl Explore {
    /// What leads the draw.
    pub(crate) fn leading(&self) -> Leading {
        match (self.no_cover, self.unled) {
            (true, _) => Leading::SeedUnseen,
            (false, true) => Leading::Seed,
            (false, false) => Leading::Code(self.corpus.clone()),
        }
    }

    /// How long.
    pub(crate) fn budget(&self) -> Budget {
        self.sequences.map_or(Budget::Time(self.time), Budget::Sequences)
    }
}

/// A seed that is another one each time, and short enough to be typed.
pub(crate) fn any_seed() -> u64 {
    // The state of a hasher is random in every process.
    RandomState::new().build_hasher().finish() % 1_000_000
}
