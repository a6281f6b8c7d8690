// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program and its verbs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

use base::ui::Talk;

use super::{
    Bisect, Compare, Cost, Doctor, Explore, Flaky, History, List, Matrix, Merge, Plan, Prune, Replay, Report,
    Run, Setup, Shell, Submit, Trend, Walk,
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
pub(crate) struct Cli {
    /// Print results, warnings and errors alone, and nothing of what goes on
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Print each step of each case, too
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// What to do
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Cli {
    /// How much of what goes on is printed.
    pub(crate) fn talk(&self) -> Talk {
        match (self.quiet, self.verbose) {
            (true, _) => Talk::Quiet,
            (false, true) => Talk::Verbose,
            (false, false) => Talk::Usual,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  memrig run                                    the quick suite on six Debian kernels
  memrig run standby -k debian:trixie -a s390x  one suite, one kernel
  memrig run blocks -c B03                      one case everywhere
  memrig run accounting -k image:../linux       a kernel that was built there
  memrig run -k tree:../linux,series=v3.mbox     a series on a tree
  memrig compare --base tree:. --series v3.mbox  before and after it
  memrig walk --base tree:. --series v3.mbox    each patch of it on its own
  memrig cost -k debian:trixie                  instructions of an add, an online, an offline, a remove
  memrig explore -k debian:trixie --time 10m    sequences that nobody thought of
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

/// Arguments of `memrig man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  memrig man run | man -l -
  memrig man --into ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// The verb; without it, memrig and all of its verbs on one page
    #[arg(value_name = "VERB", conflicts_with = "into")]
    pub(crate) verb: Option<String>,

    /// Write a page for memrig and one for each verb into this folder, such as memrig-run.1
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) into: Option<PathBuf>,
}

/// The verbs of memrig.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run suites
    Run(Run),
    /// Run the same on two kernels, and say what differs
    Compare(Box<Compare>),
    /// Build and run each patch of a series on its own
    Walk(Box<Walk>),
    /// Count the instructions that an operation on a memory block costs
    Cost(Cost),
    /// Find the first bad commit of a range by one case
    Bisect(Bisect),
    /// Run random sequences of operations, judged by the model, and make what fails short
    Explore(Explore),
    /// List suites and cases
    List(List),
    /// Get everything a run needs, and run nothing
    Setup(Setup),
    /// Say what is there, what is missing, and what to do
    Doctor(Doctor),
    /// Open a terminal in the guest of a case, or run a script there
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
    /// Print the man page, or that of a verb
    Man(Man),
}
