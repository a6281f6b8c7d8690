// SPDX-License-Identifier: MIT OR Apache-2.0
//! memrig: a test bench for Linux memory-hotplug patch series.
//!
//! The verbs: arguments in, exit code out. One file a verb. It may use all other crates, and nothing is here that a test would want to call.

mod args;
mod bisect;
mod compare;
mod cost;
mod doctor;
mod explore;
mod failure;
mod history;
mod list;
mod matrices;
mod matrix;
mod merge;
mod pages;
mod places;
mod plan;
mod prune;
mod replay;
mod report;
mod run;
mod setup;
mod shell;
mod submit;
mod suites;
mod told;
mod usual;
mod walk;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use ::run::code_for_git;
use args::{Cli, Verb};
use base::{fault::Exit, ui::Ui};
use failure::Failure;

/// Runs the program with the arguments of this process.
fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let for_git = std::env::args_os().any(|arg| arg == "--bisect");
            if !error.use_stderr() {
                let ui = Ui::terminal();
                ui.out(error.render().ansi().to_string().trim_end());
                return ExitCode::from(said(Exit::Pass, &ui).code());
            }
            // Where nobody can be told any more, the exit code still says it.
            let _ = error.print();
            return ExitCode::from(match for_git {
                false => Exit::Usage.code(),
                true => code_for_git(Exit::Usage),
            });
        }
    };
    if !matches!(&cli.verb, Verb::Run(args) if args.bisect) {
        return ExitCode::from(act(&cli).code());
    }
    // A bug of memrig's says nothing about the kernel either; the panic itself was told.
    let exit = std::panic::catch_unwind(|| act(&cli)).unwrap_or(Exit::Broken);
    ExitCode::from(code_for_git(exit))
}

/// Does what the user asks for.
fn act(cli: &Cli) -> Exit {
    let ui = Ui::talking(cli.talk());
    let done = match &cli.verb {
        Verb::Run(args) => run::run(args, &ui),
        Verb::Compare(args) => compare::compare(args, &ui),
        Verb::Walk(args) => walk::walk(args, &ui),
        Verb::Cost(args) => cost::cost(args, &ui),
        Verb::Bisect(args) => bisect::bisect(args, &ui),
        Verb::Explore(args) => explore::explore(args, &ui),
        Verb::List(args) => list::list(args, &ui),
        Verb::Setup(args) => setup::setup(args, &ui),
        Verb::Doctor(args) => doctor::doctor(args, &ui),
        Verb::Shell(args) => shell::shell(args, &ui),
        Verb::Replay(args) => replay::replay(args, &ui),
        Verb::Report(args) => report::report(args, &ui),
        Verb::Matrix(args) => matrix::matrix(args, &ui),
        Verb::Plan(args) => plan::plan(args, &ui),
        Verb::Submit(args) => submit::submit(args, &ui),
        Verb::Merge(args) => merge::merge(args, &ui),
        Verb::History(args) => history::history(args, &ui),
        Verb::Flaky(args) => history::flaky(args, &ui),
        Verb::Trend(args) => history::trend(args, &ui),
        Verb::Prune(args) => prune::prune(args, &ui),
        Verb::Completions { shell } => {
            ui.out_bytes(&pages::completions(*shell, Cli::command()));
            Ok(Exit::Pass)
        }
        Verb::Man(args) => pages::manual(args, &Cli::command(), &ui),
    };
    said(done.unwrap_or_else(|failure| failure.tell(&ui)), &ui)
}

/// The exit code of a verb whose results are on stdout, or should be: what is read there must not be taken for all of it.
fn said(exit: Exit, ui: &Ui) -> Exit {
    let Some(error) = ui.lost() else { return exit };
    Failure::broken(anyhow::Error::new(error).context("stdout did not take all that was printed"))
        .hint("what a run wrote down is in its folder: `memrig report RUN` prints it again")
        .tell(ui)
}
