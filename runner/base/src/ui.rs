// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one place that prints.
//!
//! Results go to stdout. What is going on goes to stderr: as bars where stderr is a terminal, and as one line for each change
//! of state everywhere else.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::printable;

/// A handle to the terminal; clones share it.
#[derive(Debug, Clone)]
pub struct Ui {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    /// Present where stderr is a terminal that can move its cursor.
    bars: Option<MultiProgress>,
    /// Set by [`Ui::silent`]: keeps what would have been printed.
    captured: Option<Mutex<Vec<String>>>,
    /// What of what goes on is printed.
    talk: Talk,
    /// What stdout answered first to something that it did not take.
    lost: Mutex<Option<io::Error>>,
    /// What [`Ui::warning_once`] said.
    warned: Mutex<BTreeSet<String>>,
}

/// How much of what goes on is printed; results, warnings and errors always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Talk {
    /// Nothing.
    Quiet,
    /// A line for each change of state, or bars.
    #[default]
    Usual,
    /// Each step of each case, too.
    Verbose,
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Detail,
    Plain,
    Warning,
    Error,
}

impl Ui {
    /// The process's own stdout and stderr.
    pub fn terminal() -> Self {
        Self::talking(Talk::Usual)
    }

    /// The same that says so much. Who wants quiet wants no bars.
    pub fn talking(talk: Talk) -> Self {
        // indicatif drops everything, lines as well, on a terminal that it takes for dumb.
        let bars = (talk > Talk::Quiet
            && io::stderr().is_terminal()
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb"))
        .then(MultiProgress::new);
        Self::with(bars, None, talk)
    }

    fn with(bars: Option<MultiProgress>, captured: Option<Mutex<Vec<String>>>, talk: Talk) -> Self {
        Self {
            shared: Arc::new(Shared {
                started: Instant::now(),
                bars,
                captured,
                talk,
                lost: Mutex::default(),
                warned: Mutex::default(),
            }),
        }
    }

    /// Prints nothing and keeps the lines, for tests.
    pub fn silent() -> Self {
        Self::with(None, Some(Mutex::default()), Talk::Usual)
    }

    /// The lines that a [`Ui::silent`] kept.
    pub fn lines(&self) -> Vec<String> {
        let lock = self.shared.captured.as_ref().map(|lines| lines.lock());
        lock.and_then(Result::ok)
            .map(|lines| lines.clone())
            .unwrap_or_default()
    }

    /// Prints a result on stdout. What stdout does not take is told by [`Ui::lost`].
    pub fn out(&self, text: &str) {
        self.print(|| {
            let mut out = anstream::stdout();
            let taken = writeln!(out, "{text}").and_then(|()| out.flush());
            self.taken(taken);
        });
    }

    /// Prints a result on stdout as it is, without an end of line.
    pub fn out_bytes(&self, bytes: &[u8]) {
        self.print(|| {
            let mut out = io::stdout();
            let taken = out.write_all(bytes).and_then(|()| out.flush());
            self.taken(taken);
        });
    }

    /// Keeps why stdout did not take a result. A closed pipe means that the reader has seen enough.
    fn taken(&self, result: io::Result<()>) {
        if let Err(error) = result
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            let mut lost = self.shared.lost.lock().unwrap_or_else(PoisonError::into_inner);
            lost.get_or_insert(error);
        }
    }

    /// Why a part of the results is not on stdout, such as a full disk; `None` if all of them are, or the reader went away.
    /// It is told once.
    pub fn lost(&self) -> Option<io::Error> {
        let mut lost = self.shared.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.take()
    }

    /// Says on stderr that something changed.
    pub fn line(&self, text: &str) {
        self.say(Weight::Plain, text);
    }

    /// Says on stderr what only those read who asked for more ([`Talk::Verbose`]).
    pub fn detail(&self, text: &str) {
        self.say(Weight::Detail, text);
    }

    /// Says on stderr something that the user should know although work goes on.
    pub fn warning(&self, text: &str) {
        self.say(Weight::Warning, text);
    }

    /// The same of something that several parts of the work come upon: the first time alone.
    pub fn warning_once(&self, text: &str) {
        let mut warned = self.shared.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(text.to_owned()) {
            self.warning(text);
        }
    }

    /// Says on stderr why work stops.
    pub fn error(&self, text: &str) {
        self.say(Weight::Error, text);
    }

    /// Shows that a part of the work has begun. `total` is in whatever the part counts; `None` if it is not known.
    pub fn task(&self, name: impl Into<String>, total: Option<u64>) -> Task {
        let name = name.into();
        let bar = self.shared.bars.as_ref().map(|bars| {
            let bar = bars.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
            let template = match total {
                Some(_) => "{prefix:24!} {bar:24} {pos}/{len} {elapsed} {wide_msg}",
                None => "{prefix:24!} {spinner} {elapsed} {wide_msg}",
            };
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        if bar.is_none() {
            self.line(&format!("{name} ..."));
        }
        Task {
            ui: self.clone(),
            name,
            total,
            bar,
            started: Instant::now(),
            said: 0,
        }
    }

    /// A task whose beginning is worth a bar on a terminal, and no line anywhere else. `total` as of [`Ui::task`].
    pub fn live_task(&self, name: &str, total: Option<u64>) -> Option<Task> {
        self.shared.bars.is_some().then(|| self.task(name, total))
    }

    fn say(&self, weight: Weight, text: &str) {
        let (prefix, style) = match weight {
            Weight::Detail | Weight::Plain => ("", Style::new()),
            Weight::Warning => ("warning: ", AnsiColor::Yellow.on_default().bold()),
            Weight::Error => ("error: ", AnsiColor::Red.on_default().bold()),
        };
        let least = match weight {
            Weight::Detail => Talk::Verbose,
            Weight::Plain => Talk::Usual,
            Weight::Warning | Weight::Error => Talk::Quiet,
        };
        if self.shared.talk < least {
            return;
        }
        // Much of it is what a guest, a compiler or a mail said.
        let text = printable(text);
        if let Some(lines) = &self.shared.captured {
            if let Ok(mut lines) = lines.lock() {
                lines.push(format!("{prefix}{text}"));
            }
            return;
        }
        // A person at a terminal sees the time pass; a log file wants it written down.
        let time = match (&self.shared.bars, weight) {
            (None, Weight::Detail | Weight::Plain) => {
                format!("[{:7.1}s] ", self.shared.started.elapsed().as_secs_f64())
            }
            _ => String::new(),
        };
        self.print(|| {
            let mut err = anstream::stderr();
            // Where stderr is gone there is nobody left to tell.
            let _ = writeln!(err, "{time}{style}{prefix}{style:#}{text}");
        });
    }

    /// Runs `print` with the bars out of the way.
    fn print(&self, print: impl FnOnce()) {
        match &self.shared.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}

/// One part of the work that takes time. Finish it with [`Task::done`] or [`Task::failed`].
#[derive(Debug)]
pub struct Task {
    ui: Ui,
    name: String,
    total: Option<u64>,
    bar: Option<ProgressBar>,
    started: Instant,
    /// Tenths of the total that were said in a line already.
    said: u64,
}

impl Task {
    /// Tells how far it is, in the unit of its total.
    pub fn set(&mut self, position: u64) {
        match (&self.bar, self.total) {
            (Some(bar), _) => bar.set_position(position),
            (None, Some(total)) if total > 0 => {
                // A quarter at a time is enough for a log.
                let quarter = (position * 4 / total).min(3);
                if quarter > self.said {
                    self.said = quarter;
                    self.ui.line(&format!("{} {position}/{total}", self.name));
                }
            }
            _ => {}
        }
    }

    /// Shows what it is doing right now; on a terminal only.
    pub fn message(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(printable(text));
        }
    }

    /// Sets a total that was not known before.
    pub fn set_total(&mut self, total: u64) {
        self.total = Some(total);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
    }

    /// Ends it well and says what came out.
    pub fn done(self, result: &str) {
        let line = format!(
            "{}: {result} ({:.1} s)",
            self.name,
            self.started.elapsed().as_secs_f64()
        );
        self.clear();
        self.ui.line(&line);
    }

    /// Ends it well without a line.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Ends it badly; the error itself is told by whoever handles it.
    pub fn failed(self) {
        self.clear();
        self.ui.line(&format!(
            "{}: failed ({:.1} s)",
            self.name,
            self.started.elapsed().as_secs_f64()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn away_from_a_terminal_each_change_is_one_line() {
        let ui = Ui::silent();
        let mut task = ui.task("qemu", Some(100));
        for position in 0..=100 {
            task.set(position);
        }
        task.done("built");
        ui.warning("mind the gap");
        ui.line("the guest said \x1b[2J");
        let lines = ui.lines();
        assert_eq!(
            lines[..4],
            ["qemu ...", "qemu 25/100", "qemu 50/100", "qemu 75/100"]
        );
        assert!(lines[4].starts_with("qemu: built ("), "{lines:?}");
        assert_eq!(lines[5], "warning: mind the gap");
        assert_eq!(lines[6], "the guest said \\x1b[2J");
    }

    #[test]
    fn what_several_parts_come_upon_is_said_once() {
        let ui = Ui::silent();
        for text in ["a", "b", "a"] {
            ui.clone().warning_once(text);
        }
        assert_eq!(ui.lines(), ["warning: a", "warning: b"]);
    }

    #[test]
    fn what_stdout_does_not_take_is_kept_and_a_reader_that_went_away_is_no_loss() {
        let ui = Ui::silent();
        ui.taken(Ok(()));
        ui.taken(Err(io::ErrorKind::BrokenPipe.into()));
        assert!(ui.lost().is_none());
        ui.taken(Err(io::ErrorKind::StorageFull.into()));
        ui.taken(Err(io::ErrorKind::Other.into()));
        ui.taken(Ok(()));
        let lost = ui.lost().map(|error| error.kind());
        assert_eq!(lost, Some(io::ErrorKind::StorageFull), "the first one");
    }
}
