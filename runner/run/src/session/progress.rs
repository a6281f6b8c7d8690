// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far a run is, on a terminal: one bar over all jobs, with what did not pass and how long the rest will take.

use std::time::{Duration, Instant};

use base::{
    fault::Verdict,
    ui::{Task, Ui},
};

/// Jobs that have to be over before the time of the rest is told: the first ones boot the templates.
const ENOUGH: u64 = 4;

/// The bar of a run. Where nobody sees it, it is none.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<Task>,
    began: Instant,
    total: u64,
    over: u64,
    failed: u64,
    broken: u64,
}

impl Progress {
    pub(super) fn new(jobs: usize, ui: &Ui) -> Self {
        let total = jobs as u64;
        Self {
            bar: ui.live_task("cases", Some(total)),
            began: Instant::now(),
            total,
            over: 0,
            failed: 0,
            broken: 0,
        }
    }

    /// A job is over.
    pub(super) fn over(&mut self, verdict: Verdict) {
        self.over += 1;
        self.failed += u64::from(verdict == Verdict::Fail);
        self.broken += u64::from(verdict == Verdict::Error);
        let words = self.words(self.began.elapsed());
        if let Some(bar) = &mut self.bar {
            bar.set(self.over);
            bar.message(&words);
        }
    }

    /// `2 fail, 1 error, about 3 min left`.
    fn words(&self, elapsed: Duration) -> String {
        let mut parts = Vec::new();
        for (n, verdict) in [(self.failed, Verdict::Fail), (self.broken, Verdict::Error)] {
            if n > 0 {
                parts.push(format!("{n} {verdict}"));
            }
        }
        if self.over >= ENOUGH && self.over < self.total {
            let left = elapsed.as_secs_f64() / self.over as f64 * (self.total - self.over) as f64;
            parts.push(match left as u64 {
                seconds @ ..90 => format!("about {seconds} s left"),
                seconds => format!("about {} min left", seconds.div_ceil(60)),
            });
        }
        parts.join(", ")
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_what_did_not_pass_and_how_long_the_rest_takes() {
        let mut progress = Progress::new(12, &Ui::silent());
        assert!(progress.bar.is_none(), "a log has lines");
        let words = |progress: &Progress| progress.words(Duration::from_secs(40));
        assert_eq!(words(&progress), "");
        progress.over(Verdict::Fail);
        progress.over(Verdict::Pass);
        assert_eq!(words(&progress), "1 fail");
        progress.over(Verdict::Error);
        progress.over(Verdict::Skip);
        assert_eq!(words(&progress), "1 fail, 1 error, about 80 s left");
        assert_eq!(
            progress.words(Duration::from_secs(400)),
            "1 fail, 1 error, about 14 min left"
        );
        for _ in 0..8 {
            progress.over(Verdict::Pass);
        }
        assert_eq!(words(&progress), "1 fail, 1 error");
    }
}
