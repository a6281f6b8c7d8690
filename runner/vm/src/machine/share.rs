// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host gave a machine of the time in which it wanted to run. Pure.
//!
//! The host's kernel counts for each thread how long it ran and how long it waited for a CPU (`/proc/PID/task/TID/schedstat`). A CPU of the
//! guest that is idle does neither. One that is stopped (SIGSTOP) does neither too, and shows it by its state alone. Waiting is
//! counted when it is over.

use std::{collections::VecDeque, fmt, time::Duration};

/// Between two looks that are further apart memrig itself did not run, and nobody knows what was stopped meanwhile.
const GAP: Duration = Duration::from_secs(2);

/// For how long it is known what the machine got.
const KEPT: Duration = Duration::from_mins(30);

/// What a thread wants at the moment of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// Nothing: it sleeps.
    Nothing,
    /// To run; perhaps it does.
    ToRun,
    /// Somebody stopped it.
    Stopped,
}

/// What the host's kernel has counted for a thread since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) ran: Duration,
    pub(super) waited: Duration,
    pub(super) wants: Wants,
}

/// Of a span of time, what the thread that lost most of it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The span; less than was asked for where the machine is younger.
    pub(crate) span: Duration,
    /// How long the thread ran.
    pub(crate) ran: Duration,
    /// How long it wanted to, and did not.
    pub(crate) lost: Duration,
}

impl Share {
    /// Whether what takes the whole span to show may be the host's doing: a quarter of it was lost.
    ///
    /// Few guests at once on a host lose more, and what speaks against the host is tried again when there is room. Nothing is lost by
    /// being strict.
    pub(crate) fn is_starved(&self) -> bool {
        !self.lost.is_zero() && self.lost * 4 >= self.span
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = self.ran + self.lost;
        write!(
            f,
            "it got {:.1} s of the {:.1} s that it wanted to run",
            self.ran.as_secs_f64(),
            wanted.as_secs_f64()
        )
    }
}

/// What a thread got between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Took {
    ran: Duration,
    lost: Duration,
}

/// The time between two looks.
#[derive(Debug)]
struct Turn {
    end: Duration,
    length: Duration,
    threads: Vec<Took>,
}

/// What all looks came to.
#[derive(Debug, Default)]
pub(super) struct History {
    last: Option<(Duration, Vec<Counted>)>,
    turns: VecDeque<Turn>,
    /// How much time the machine had: that which went by, without what it lost.
    given: Duration,
}

impl History {
    /// Adds a look: the same threads in the same order each time. `stolen` is what part of the time that this host's CPUs ran was taken by another
    /// that it is a guest of.
    pub(super) fn add(&mut self, at: Duration, threads: Vec<Counted>, stolen: f64) {
        let Some((before, counted)) = self.last.replace((at, threads.clone())) else {
            self.given = at;
            return;
        };
        let length = at.saturating_sub(before);
        let mut lost_most = Duration::ZERO;
        let mut turn = Vec::new();
        for (thread, (now, then)) in threads.iter().zip(&counted).enumerate() {
            let ran = now.ran.saturating_sub(then.ran).min(length);
            let waited = now.waited.saturating_sub(then.waited);
            let room = length - ran;
            let credited = waited.min(room);
            let stops = [now, then]
                .iter()
                .filter(|look| look.wants == Wants::Stopped)
                .count();
            let waits = [now, then].iter().all(|look| look.wants == Wants::ToRun);
            let lost = if length > GAP || stops == 2 || (waits && ran.is_zero() && waited.is_zero()) {
                room
            } else if stops == 1 {
                credited + (room - credited) / 2
            } else {
                credited
            };
            self.waited_before(thread, waited.saturating_sub(room));
            let taken = ran.mul_f64(stolen.clamp(0.0, 1.0));
            let (ran, lost) = (ran - taken, lost + taken);
            lost_most = lost_most.max(lost);
            turn.push(Took { ran, lost });
        }
        self.given += length.saturating_sub(lost_most);
        self.turns.push_back(Turn {
            end: at,
            length,
            threads: turn,
        });
        while self
            .turns
            .front()
            .is_some_and(|first| at.saturating_sub(first.end) > KEPT)
        {
            self.turns.pop_front();
        }
    }

    /// A wait that is over now went on for this time before the last look.
    fn waited_before(&mut self, thread: usize, mut waited: Duration) {
        for turn in self.turns.iter_mut().rev() {
            if waited.is_zero() {
                return;
            }
            let Some(took) = turn.threads.get_mut(thread) else {
                return;
            };
            let room = turn.length.saturating_sub(took.ran + took.lost);
            took.lost += waited.min(room);
            waited = waited.saturating_sub(turn.length);
        }
    }

    /// How much time the machine had up to the last look, and when that was. What went by before the first counts whole.
    pub(super) fn given(&self) -> Option<(Duration, Duration)> {
        self.last.as_ref().map(|(at, _)| (self.given, *at))
    }

    /// What the machine got in a span; `None` if nothing is known of it.
    pub(super) fn share(&self, from: Duration, to: Duration) -> Option<Share> {
        let mut span = Duration::ZERO;
        let mut threads: Vec<Took> = Vec::new();
        for turn in &self.turns {
            let begin = turn.end.saturating_sub(turn.length);
            let within = turn.end.min(to).saturating_sub(begin.max(from));
            if within.is_zero() || turn.length.is_zero() {
                continue;
            }
            let part = within.as_secs_f64() / turn.length.as_secs_f64();
            span += within;
            threads.resize(
                threads.len().max(turn.threads.len()),
                Took {
                    ran: Duration::ZERO,
                    lost: Duration::ZERO,
                },
            );
            for (sum, took) in threads.iter_mut().zip(&turn.threads) {
                sum.ran += took.ran.mul_f64(part);
                sum.lost += took.lost.mul_f64(part);
            }
        }
        let Took { ran, lost } = threads.into_iter().max_by_key(|took| (took.lost, took.ran))?;
        Some(Share { span, ran, lost })
    }

    /// The span of a length in which the machine lost most, of those that end between two moments.
    pub(super) fn worst(&self, span: Duration, first: Duration, last: Duration) -> Option<Share> {
        let ends = self.turns.iter().map(|turn| turn.end);
        ends.filter(|end| (first..last).contains(end))
            .chain([last])
            .filter_map(|end| self.share(end.saturating_sub(span), end))
            .max_by_key(|share| share.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Looks a quarter of a second apart at one thread, each told by what it ran and waited since the last, in milliseconds.
    fn history(looks: &[(u64, u64, Wants)]) -> History {
        let mut history = History::default();
        let (mut ran, mut waited) = (0, 0);
        for (number, (more, waits, wants)) in looks.iter().enumerate() {
            (ran, waited) = (ran + more, waited + waits);
            let counted = Counted {
                ran: millis(ran),
                waited: millis(waited),
                wants: *wants,
            };
            history.add(millis(250 * number as u64), vec![counted], 0.0);
        }
        history
    }

    use Wants::{Nothing, Stopped, ToRun};

    #[test]
    fn an_idle_cpu_is_not_starved_and_one_that_waits_is() {
        let all = (Duration::ZERO, millis(1000));
        let idle = history(&[
            (0, 0, Nothing),
            (5, 1, Nothing),
            (0, 0, Nothing),
            (5, 1, Nothing),
            (0, 0, Nothing),
        ]);
        let share = idle.share(all.0, all.1).unwrap();
        assert_eq!((share.span, share.lost), (millis(1000), millis(2)));
        assert!(!share.is_starved());
        let starved = history(&[
            (0, 0, ToRun),
            (25, 225, ToRun),
            (25, 225, ToRun),
            (25, 225, ToRun),
            (25, 225, ToRun),
        ]);
        let share = starved.share(all.0, all.1).unwrap();
        assert_eq!((share.ran, share.lost), (millis(100), millis(900)));
        assert!(share.is_starved());
        assert_eq!(
            share.to_string(),
            "it got 0.1 s of the 1.0 s that it wanted to run"
        );
        assert_eq!(starved.given(), Some((millis(100), millis(1000))));
    }

    #[test]
    fn a_stop_is_seen_by_its_state() {
        let stopped = history(&[
            (250, 0, ToRun),
            (0, 0, Stopped),
            (0, 0, Stopped),
            (0, 0, Stopped),
            (240, 10, ToRun),
        ]);
        let share = stopped.share(Duration::ZERO, millis(1000)).unwrap();
        assert_eq!((share.ran, share.lost), (millis(240), millis(125 + 500 + 10)));
        assert!(share.is_starved());
    }

    #[test]
    fn a_wait_that_is_counted_late_is_counted_where_it_was() {
        // It waited from 250 on, and the host's kernel says so when the wait is over.
        let waited = history(&[
            (0, 0, Nothing),
            (250, 0, ToRun),
            (0, 0, ToRun),
            (0, 0, Nothing),
            (50, 700, ToRun),
        ]);
        let share = waited.share(millis(250), millis(1000)).unwrap();
        assert_eq!((share.ran, share.lost), (millis(50), millis(700)));
        let before = waited.share(Duration::ZERO, millis(250)).unwrap();
        assert_eq!(before.lost, Duration::ZERO, "a wait is never counted twice");
        // One that is not over yet is a wait already.
        let waits = history(&[(250, 0, ToRun), (0, 0, ToRun), (0, 0, ToRun)]);
        assert_eq!(
            waits.share(Duration::ZERO, millis(500)).unwrap().lost,
            millis(500)
        );
    }

    #[test]
    fn what_memrig_did_not_see_is_held_against_nobody() {
        let mut history = History::default();
        let counted = |ran| {
            vec![Counted {
                ran: millis(ran),
                waited: Duration::ZERO,
                wants: Nothing,
            }]
        };
        history.add(millis(0), counted(0), 0.0);
        history.add(millis(250), counted(10), 0.0);
        history.add(millis(30_250), counted(110), 0.0);
        let share = history.share(Duration::ZERO, millis(30_250)).unwrap();
        assert_eq!((share.ran, share.lost), (millis(110), millis(29_900)));
        assert_eq!(history.given(), Some((millis(250 + 100), millis(30_250))));
        // What another host took is no time that the guest had.
        history.add(millis(30_500), counted(310), 0.5);
        let share = history.share(millis(30_250), millis(30_500)).unwrap();
        assert_eq!((share.ran, share.lost), (millis(100), millis(100)));
    }

    #[test]
    fn the_thread_that_lost_most_counts_and_the_worst_span_is_found() {
        let mut history = History::default();
        for number in 0..=40_u64 {
            let look = |ran: u64, waited: u64| Counted {
                ran: millis(ran),
                waited: millis(waited),
                wants: ToRun,
            };
            let lost = 200 * number.saturating_sub(10).min(4);
            history.add(
                millis(250 * number),
                vec![look(250 * number - lost, lost), look(250 * number, 0)],
                0.0,
            );
        }
        let now = millis(10_000);
        assert_eq!(history.share(millis(9000), now).unwrap().lost, Duration::ZERO);
        let worst = history.worst(millis(1000), millis(1000), now).unwrap();
        assert_eq!((worst.span, worst.lost), (millis(1000), millis(800)));
        assert!(worst.is_starved());
        assert_eq!(history.share(millis(20_000), millis(30_000)), None);
    }
}
