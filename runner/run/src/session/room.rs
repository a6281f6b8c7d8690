// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that run beside each other, and one that has the host to itself.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Instant, sleep},
};

use supply::host::{CpuTimes, cpu_times};

/// How long room on the host is waited for. One that is always too busy says so by an error.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same, where that was in vain before.
const PATIENCE_LEFT: Duration = Duration::from_secs(5);

/// How long the host is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How many CPUs must be idle.
const IDLE: f64 = 0.8;

/// Where the attempts of a run take place.
#[derive(Debug, Default)]
pub(crate) struct Room {
    guests: RwLock<()>,
    /// Room was waited for in vain: others keep the host busy.
    is_always_busy: AtomicBool,
}

/// That an attempt may run, as long as it is kept.
#[derive(Debug)]
pub(crate) enum Permit<'a> {
    /// Others run beside it.
    Beside { _others: RwLockReadGuard<'a, ()> },
    /// No other guest of this run does.
    Alone { _all: RwLockWriteGuard<'a, ()> },
}

impl Room {
    /// Leave to run beside others.
    pub(crate) async fn beside(&self) -> Permit<'_> {
        Permit::Beside {
            _others: self.guests.read().await,
        }
    }

    /// Leave to run alone, for a guest that the host gave too little: when those that run have ended, and a CPU of the host is idle, which is waited for
    /// a minute at the most, and less after it was in vain. Cancel-safe.
    pub(crate) async fn alone(&self) -> Permit<'_> {
        let all = self.guests.write().await;
        let patience = match self.is_always_busy.load(Ordering::Relaxed) {
            true => PATIENCE_LEFT,
            false => PATIENCE,
        };
        let end = Instant::now() + patience;
        // Where /proc does not say what the CPUs do, there is nothing to wait for.
        let mut before = cpu_times().ok();
        while let Some(then) = before {
            sleep(LOOK).await;
            before = cpu_times().ok();
            if before.is_some_and(|now| is_free(then, now)) {
                self.is_always_busy.store(false, Ordering::Relaxed);
                break;
            }
            if Instant::now() >= end {
                self.is_always_busy.store(true, Ordering::Relaxed);
                break;
            }
        }
        Permit::Alone { _all: all }
    }
}

/// Whether a CPU was idle between two looks.
fn is_free(before: CpuTimes, now: CpuTimes) -> bool {
    let (idle, all) = (
        now.idle.saturating_sub(before.idle),
        now.all.saturating_sub(before.all),
    );
    all > 0 && idle as f64 * now.cpus as f64 >= IDLE * all as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_is_idle_is_room() {
        let times = |idle, all| CpuTimes { idle, all, cpus: 2 };
        assert!(is_free(times(0, 0), times(100, 200)));
        assert!(!is_free(times(0, 0), times(70, 200)));
        assert!(!is_free(times(5, 5), times(5, 5)), "no time went by");
    }

    #[tokio::test]
    async fn who_is_alone_waits_for_the_others_and_they_for_him() {
        let room = Room::default();
        let (one, two) = (room.beside().await, room.beside().await);
        let alone = async { room.guests.write().await };
        tokio::pin!(alone);
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, &mut alone).await.is_err());
        drop(one);
        assert!(
            tokio::time::timeout(soon, room.beside()).await.is_err(),
            "it is next"
        );
        drop(two);
        drop(alone.await);
        room.beside().await;
    }
}
