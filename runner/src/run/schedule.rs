// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many jobs at once: as many as processors and memory allow, until all are done or somebody says stop.

use std::{future::Future, sync::Arc};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::base::ByteSize;

/// What the host gives to guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Guests at once.
    pub guests: usize,
    /// Memory for all of them together, in bytes.
    pub memory: ByteSize,
}

/// Asks running jobs to end. Clones share it.
#[derive(Debug, Clone)]
pub struct Stop {
    asked: watch::Receiver<bool>,
    ask: Arc<watch::Sender<bool>>,
}

impl Default for Stop {
    fn default() -> Self {
        let (ask, asked) = watch::channel(false);
        Self {
            asked,
            ask: Arc::new(ask),
        }
    }
}

impl Stop {
    /// A stop that is asked for by SIGINT, SIGTERM or SIGHUP.
    ///
    /// A second signal ends the process at once: guests die with it.
    pub fn on_signals() -> std::io::Result<Self> {
        let stop = Self::default();
        let (mut interrupt, mut terminate, mut hangup) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        );
        let ask = stop.ask.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                if ask.send_replace(true) {
                    // The user insists: nothing may be waited for any more.
                    std::process::exit(i32::from(crate::base::fault::Exit::Interrupted.code()));
                }
            }
        });
        Ok(stop)
    }

    /// Asks for it.
    pub fn ask(&self) {
        self.ask.send_replace(true);
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Ends when it is asked for. Cancel-safe.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            // The sender lives in `self`; without it nobody could ask.
            std::future::pending::<()>().await;
        }
    }
}

/// A job and the memory that its guest can grow to.
#[derive(Debug)]
pub(super) struct Admission<J> {
    /// The job.
    pub job: J,
    /// What its guest can use at the most, in bytes.
    pub memory: ByteSize,
}

/// Runs jobs in their order, as many at once as fit, and hands each result to `done` in the order of their ends.
///
/// A job is started only when its memory is free. After [`Stop`] none is started any more; running jobs are expected to watch
/// it themselves. `done` returns whether to go on.
pub(super) async fn run_all<J, T, F>(
    jobs: Vec<Admission<J>>,
    capacity: Capacity,
    stop: &Stop,
    start: impl Fn(J) -> F,
    mut done: impl FnMut(T) -> bool,
) where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mib = |size: ByteSize| {
        u32::try_from(size.as_bytes() >> 20)
            .unwrap_or(u32::MAX >> 4)
            .max(1)
    };
    let all_memory = mib(capacity.memory);
    let slots = Arc::new(Semaphore::new(capacity.guests.max(1)));
    let memory = Arc::new(Semaphore::new(all_memory as usize));
    let mut running = JoinSet::new();
    let mut waiting = jobs.into_iter();
    let mut next = waiting.next();
    while next.is_some() || !running.is_empty() {
        let admitted = async {
            match &next {
                // A guest that is larger than all there is gets all there is: the plan refused it before.
                Some(admission) => {
                    let slot = slots.clone().acquire_owned().await;
                    let room = memory
                        .clone()
                        .acquire_many_owned(mib(admission.memory).min(all_memory))
                        .await;
                    (slot, room)
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.asked(), if next.is_some() => next = None,
            Some(result) = running.join_next(), if !running.is_empty() => match result {
                Ok(result) => {
                    if !done(result) {
                        next = None;
                    }
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            permits = admitted => {
                if let Some(admission) = next.take() {
                    let work = start(admission.job);
                    running.spawn(async move {
                        let _permits = permits;
                        work.await
                    });
                }
                next = waiting.next();
            }
        }
        if next.is_none() {
            // Nothing more is to be started: what waits is dropped once and for all.
            waiting = Vec::new().into_iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    fn admissions(sizes: &[u64]) -> Vec<Admission<u64>> {
        sizes
            .iter()
            .map(|&n| Admission {
                job: n,
                memory: ByteSize::mib(n),
            })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_memory_than_there_is() {
        let used = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let capacity = Capacity {
            guests: 3,
            memory: ByteSize::mib(100),
        };
        let mut finished = Vec::new();
        run_all(
            admissions(&[60, 50, 40, 30, 20, 10]),
            capacity,
            &Stop::default(),
            |n| {
                let (used, most) = (used.clone(), most.clone());
                async move {
                    let now = used.fetch_add(n as usize, Ordering::SeqCst) + n as usize;
                    most.fetch_max(now, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(n)).await;
                    used.fetch_sub(n as usize, Ordering::SeqCst);
                    n
                }
            },
            |n| {
                finished.push(n);
                true
            },
        )
        .await;
        assert_eq!(finished.len(), 6);
        let most = most.load(Ordering::SeqCst);
        assert!((61..=100).contains(&most), "{most}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_stop_nothing_is_started() {
        let capacity = Capacity {
            guests: 1,
            memory: ByteSize::gib(1),
        };
        let stop = Stop::default();
        let asked = stop.clone();
        let mut finished = Vec::new();
        run_all(
            admissions(&[1, 2, 3]),
            capacity,
            &stop,
            |n| async move { n },
            |n| {
                finished.push(n);
                asked.ask();
                true
            },
        )
        .await;
        assert_eq!(finished, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_receiver_of_results_can_end_it() {
        let capacity = Capacity {
            guests: 1,
            memory: ByteSize::gib(1),
        };
        let mut finished = 0;
        run_all(
            admissions(&[1, 2, 3]),
            capacity,
            &Stop::default(),
            |n| async move { n },
            |_| {
                finished += 1;
                false
            },
        )
        .await;
        assert_eq!(finished, 1);
    }
}
