// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is run, where and how.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, sync::Arc};

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum, ValueHint};

use super::Part;
use ::run::{self as run, Expression, Filter, LoadedSuite, Reaches, SelectError, Selection, Target, kernels};
use base::{Arch, fault::Verdict};
use supply::kernel::KernelSpec;

/// Which jobs are meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Select {
    /// Suites by name (`memrig list`, or all), or by path where it has a slash or ends in .yaml; without any, quick
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub(crate) suites: Vec<String>,

    /// Kernel, NAME= before it or not: debian:SUITE[=VERSION], deb:FILE.deb, rpm:FILE.rpm, image:FILE, image:DIR, tree:PATH[@COMMIT] or
    /// source:debian:SUITE
    ///
    /// Can be given several times; without it, the three Debian kernels. debian: takes the package of a suite such as
    /// trixie, sid, trixie-backports or experimental, the newest or that of a version. deb:FILE.deb+FILE.deb is a kernel that is split over several
    /// packages, and so is rpm:FILE.rpm+FILE.rpm. image: takes ,modules=DIR ,config=FILE ,vmlinux=FILE, and finds them itself in a folder that a
    /// kernel was built in, or in /boot. Files are run on their own architecture, and go by their release where they have no name.
    /// source: and tree: are built, and take ,config=lockdep+kasan (dax, gcov, kasan, kmemleak, lockdep, no-hugetlb), ,series=SERIES (an
    /// mbox, a folder of patches, b4:MESSAGE-ID, or BASE..TIP) and ,patches=N (only the first N of them). Behind a series, ,version=N or
    /// ,subject=WORDS chooses among several in its file, and ,prerequisite=SERIES names what it stands on.
    #[arg(short, long = "kernel", value_name = "KERNEL")]
    pub(crate) kernels: Vec<KernelSpec>,

    /// Which of their jobs
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Which jobs of some suites and kernels are meant; an empty list means all.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Which {
    /// Architecture: x86_64 or s390x; without it, both, and of an image its own
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub(crate) arches: Vec<Arch>,

    /// Only cases whose id is this, or whose name contains it; with * or ?, whose id or name is like it; "not WORD", all others
    #[arg(short, long = "case", value_name = "CASE")]
    pub(crate) cases: Vec<String>,

    /// Only jobs with this variant, such as memmap_on_memory=on
    #[arg(long = "variant", value_name = "NAME=VALUE")]
    pub(crate) variants: Vec<String>,

    /// Only jobs that an expression means, such as 'suite(standby) & !case(S0*) & arch(s390x)'
    ///
    /// suite(), case(), variant(), arch() and kernel() take a word or a pattern with * and ?; ! or not, & and | join them, parentheses group.
    #[arg(short = 'E', long = "expression", value_name = "EXPRESSION")]
    pub(crate) expression: Option<Expression>,
}

impl Which {
    /// The architectures, all of them where none is named.
    pub(crate) fn arches(&self) -> Vec<Arch> {
        match self.arches.is_empty() {
            true => Arch::ALL.to_vec(),
            false => self.arches.clone(),
        }
    }

    /// The cases and variants.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            cases: self.cases.clone(),
            variants: self.variants.clone(),
            expression: self.expression.clone(),
        }
    }
}

impl Select {
    /// What is selected of these suites.
    ///
    /// # Errors
    /// A file is no kernel.
    pub(crate) fn of<'a>(
        &self,
        suites: &'a [Arc<LoadedSuite>],
        places: &Places,
    ) -> Result<Selection<'a>, SelectError> {
        Ok(Selection {
            kernels: kernels(&self.kernels, &self.which.arches)?,
            suites,
            filter: self.which.filter(),
            reaches: None,
            qemus: places.qemus(),
        })
    }
}

/// How often each job is run.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Repeat {
    /// Run each job N times, in a guest of its own each time, and tell which do not come to the same every time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: Option<u32>,
}

impl Repeat {
    /// The number of rounds, from 1.
    pub(crate) fn rounds(self) -> u32 {
        self.repeat.unwrap_or(1)
    }
}

/// Where things are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Places {
    /// QEMU to use instead of memrig's choice, such as s390x=/usr/bin/qemu-system-s390x
    #[arg(long = "qemu", value_name = "ARCH=PATH", value_parser = qemu_choice)]
    pub(crate) qemus: Vec<(Arch, PathBuf)>,

    /// Folder that gets one folder for each run
    #[arg(long, value_name = "DIR", default_value = "results", env = "MEMRIG_RESULTS", value_hint = ValueHint::DirPath)]
    pub(crate) results: PathBuf,
}

impl Places {
    /// The QEMU of each architecture that is named; of two for one, the last.
    pub(crate) fn qemus(&self) -> BTreeMap<Arch, PathBuf> {
        self.qemus.iter().cloned().collect()
    }
}

fn qemu_choice(text: &str) -> Result<(Arch, PathBuf), String> {
    let (arch, path) = text
        .split_once('=')
        .ok_or("expected ARCH=PATH, such as s390x=/usr/bin/qemu-system-s390x")?;
    Ok((
        arch.parse().map_err(|e: base::UnknownArch| e.to_string())?,
        path.into(),
    ))
}

/// Arguments of `memrig run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig run
  memrig run standby accounting -k debian:trixie
  memrig run blocks -c B03 -a x86_64 -j 1
  memrig run blocks -c 'B0*' -c 'not B03'
  memrig run standby -c S12 --repeat 20
  memrig run all -k debian:trixie --reaches offline_pages
  memrig run --dry-run dimm
  memrig run --resume results/latest")]
pub(crate) struct Run {
    /// Which jobs
    #[command(flatten)]
    pub(crate) select: Select,
    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,

    /// How
    #[command(flatten)]
    pub(crate) how: How,

    /// How often
    #[command(flatten)]
    pub(crate) repeat: Repeat,

    /// Only cases that ran this code when they were covered last: FUNCTION, FILE:LINE or FILE:FIRST-LAST
    ///
    /// Such as offline_pages or mm/memory_hotplug.c:1474, a line of the kernel that is named or of the one that the answer names. Can be given
    /// several times: a case that reaches any of it is run. What cases reach is known of runs with --cover in the results folder.
    #[arg(long, value_name = "CODE")]
    pub(crate) reaches: Vec<Target>,

    /// Print the plan and the QEMU commands as far as they are known, and get, build and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Finish a run that was cut off: its folder, or its name in the results folder
    #[arg(long, value_name = "RUN", value_hint = ValueHint::DirPath,
          conflicts_with_all = ["suites", "kernels", "arches", "cases", "variants", "expression", "repeat", "reaches", "dry_run"])]
    pub(crate) resume: Option<PathBuf>,

    /// Exit as `git bisect run` wants it: 0 good, 1 bad, 125 for everything that says nothing about the kernel
    #[arg(long)]
    pub(crate) bisect: bool,

    /// Which part
    #[command(flatten)]
    pub(crate) part: Part,
}

impl Run {
    /// What cases have to reach, by the runs in a results folder; `None` where nothing is asked for.
    pub(crate) fn reaches(&self, results: Utf8PathBuf) -> Option<Reaches> {
        (!self.reaches.is_empty()).then(|| Reaches {
            targets: self.reaches.clone(),
            results,
        })
    }
}

/// How jobs are run.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct How {
    /// Guests at once; without it, three for two of the host's processors, as far as its memory allows
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = guests)]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Start no more jobs after the first failure of the kernel; with `=error`, after the first error of the bench, too
    #[arg(long, value_name = "WHEN", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "fail")]
    pub(crate) fail_fast: Option<FailFast>,

    /// Boot a guest for every case, instead of cloning one that has booted
    #[arg(long)]
    pub(crate) no_clone: bool,

    /// Run each case in one guest, whatever comes of it; else an error is tried once more, and a failure is tried to tell always from sometimes
    #[arg(long)]
    pub(crate) no_retry: bool,

    /// Keep which code of its kernel each case ran; needs guests that are translated (TCG)
    #[arg(long)]
    pub(crate) cover: bool,

    /// Make every skip an error
    #[arg(long)]
    pub(crate) require_all: bool,
}

impl How {
    /// The same, as a run takes it.
    pub(crate) fn how(&self) -> run::How {
        run::How {
            guests: self.jobs,
            fail_fast: self.fail_fast.map(FailFast::verdict),
            require_all: self.require_all,
            no_clone: self.no_clone,
            no_retry: self.no_retry,
            cover: self.cover,
            watch: false,
        }
    }
}

/// How many guests at once.
pub(super) fn guests(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "expected how many guests run at once, 1 or more".to_owned())
}

/// After what no more jobs are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailFast {
    /// A failure of the kernel; an error of the bench says nothing about it
    Fail,
    /// A failure or an error
    Error,
}

impl FailFast {
    /// The least verdict that ends it.
    fn verdict(self) -> Verdict {
        match self {
            Self::Fail => Verdict::Fail,
            Self::Error => Verdict::Error,
        }
    }
}

/// Arguments of `memrig list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Suites; without any, all that come with memrig
    #[arg(value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub(crate) suites: Vec<String>,

    /// Which of their cases
    #[command(flatten)]
    pub(crate) which: Which,

    /// Form of the list
    #[arg(long, value_enum, default_value_t = ListFormat::Text)]
    pub(crate) format: ListFormat,
}

/// Forms of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// For a person
    Text,
    /// JSON
    Json,
}

/// Arguments of `memrig setup`.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Kernels to get; without any, the three Debian kernels
    #[arg(short, long = "kernel", value_name = "KERNEL")]
    pub(crate) kernels: Vec<KernelSpec>,

    /// Architectures; without any, both
    #[arg(short, long = "arch", value_name = "ARCH")]
    pub(crate) arches: Vec<Arch>,

    /// Ask the mirror for newer versions
    #[arg(long)]
    pub(crate) refresh: bool,
}

/// Arguments of `memrig doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Arguments of `memrig shell`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig shell blocks -c B01 -k debian:sid -a x86_64
  echo 'cat /proc/meminfo' | memrig shell standby -c S04 -a s390x

Boots the guest of the first case that fits, and does none of its steps. From a terminal it is a terminal in the guest; end it \
with `exit` or ^D, or press ^] three times to leave a guest that does not answer. Without one, a `sh` in the guest reads its \
script from stdin.

Exit codes: that of the shell; 1 if the guest's kernel ended first, 3 if QEMU did, 130 if it was left or interrupted.")]
pub(crate) struct Shell {
    /// Which job; the first one that matches is taken
    #[command(flatten)]
    pub(crate) select: Select,
    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Arguments of `memrig replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Folder of the run, or its name in the results folder
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// Id of the case, or classname/id
    #[arg(value_name = "CASE")]
    pub(crate) case: String,
    /// How often
    #[command(flatten)]
    pub(crate) repeat: Repeat,
    /// Where things are
    #[command(flatten)]
    pub(crate) places: Places,
}
