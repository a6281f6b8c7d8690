// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many jobs at once: as many as processors and memory allow, until all are done or somebody says stop.

use std::{collections::VecDeque, future::Future, io, num::NonZeroUsize, sync::Arc};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

use base::{ByteSize, ui::Ui};
use supply::{
    cache::{Cache, CacheError},
    host::{HostFacts, available_memory},
    slots::Slots,
};

/// What the host gives to guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Guests at once.
    pub(crate) guests: usize,
    /// Memory for all of them together, in bytes.
    pub(crate) memory: ByteSize,
}

/// Runs what waits for guests or for a cluster to its end.
///
/// # Errors
/// The host gives no threads.
pub(crate) fn waited_for<T>(work: impl Future<Output = T>) -> io::Result<T> {
    Ok(tokio::runtime::Runtime::new()?.block_on(work))
}

/// Guests at once where nobody says how many: a guest waits for a quarter of its time and more, for its devices
/// and for what it is told next.
fn usual_guests(cpus: usize) -> usize {
    cpus.max(1) + cpus / 2
}

/// Memory of the host that guests leave alone, in bytes.
const HOST_RESERVE: ByteSize = ByteSize::gib(1);

/// How much of the host's memory guests can have, in bytes.
pub(crate) fn for_guests(memory: ByteSize) -> ByteSize {
    ByteSize::bytes(memory.as_bytes().saturating_sub(HOST_RESERVE.as_bytes()))
}

impl Capacity {
    /// So many guests, or the usual number, and the memory that they share.
    ///
    /// # Errors
    /// The host does not say what it has.
    pub(crate) fn of(guests: Option<NonZeroUsize>, host: &HostFacts) -> io::Result<Self> {
        Ok(Self {
            guests: guests.map_or_else(|| usual_guests(host.cpus), NonZeroUsize::get),
            memory: for_guests(available_memory()?),
        })
    }

    /// The places for its guests, shared with other memrigs on the host.
    ///
    /// # Errors
    /// There is no cache.
    pub(crate) fn slots(&self, host: &HostFacts, ui: &Ui) -> Result<Arc<Slots>, CacheError> {
        let count = self.guests.max(usual_guests(host.cpus));
        let cache = Cache::open(ui)?;
        Ok(Arc::new(Slots::of(&cache, count, for_guests(host.memory), ui)))
    }
}

/// Asks running jobs to end. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
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
    pub(crate) fn on_signals() -> std::io::Result<Self> {
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
                    std::process::exit(i32::from(base::fault::Exit::Interrupted.code()));
                }
            }
        });
        Ok(stop)
    }

    /// Asks for it.
    #[cfg(test)]
    pub(crate) fn ask(&self) {
        self.ask.send_replace(true);
    }

    /// Whether it was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Ends when it is asked for. Cancel-safe.
    pub(crate) async fn asked(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            // The sender lives in `self`; without it nobody could ask.
            std::future::pending::<()>().await;
        }
    }
}

/// A job and what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admission<J> {
    /// The job.
    pub job: J,
    /// What its guest can use at the most, in bytes; 0 if it has none.
    pub memory: ByteSize,
}

/// How often a job that needs much memory is passed over by smaller ones, before they wait for it.
const PASSED_OVER: u32 = 16;

/// Jobs that have not been started, in the order in which they should be.
struct Waiting<J> {
    jobs: VecDeque<Admission<J>>,
    /// How often the first one was passed over.
    passed_over: u32,
}

impl<J> Waiting<J> {
    /// Takes the first job that fits into `free` bytes, and of these rather one that does not only wait for another. `alone` says
    /// that nothing runs: the first one then gets all there is.
    fn take(&mut self, free: ByteSize, alone: bool, waits: impl Fn(&J) -> bool) -> Option<Admission<J>> {
        let fits = |admission: &Admission<J>| admission.memory <= free;
        let first_fits = fits(self.jobs.front()?);
        let index = if alone {
            0
        } else if !first_fits && self.passed_over >= PASSED_OVER {
            return None;
        } else {
            let ready = |admission: &Admission<J>| fits(admission) && !waits(&admission.job);
            let mut jobs = self.jobs.iter();
            // Where all would wait, one of them can as well do so in its place.
            jobs.position(ready).or_else(|| self.jobs.iter().position(fits))?
        };
        if index == 0 {
            self.passed_over = 0;
        } else if !first_fits {
            self.passed_over += 1;
        }
        self.jobs.remove(index)
    }
}

/// Runs jobs in their order, as many at once as fit, and hands each result to `done` in the order of their ends.
///
/// A job is started only when its memory is free beside that of the others and what `kept` says that is kept for them, and rather not
/// while `waits` says that it would only wait for another one. After [`Stop`] none is started any more; running jobs are expected
/// to watch it themselves. `done` returns whether to go on. A job with a guest begins when it has one of the `slots`.
pub(crate) async fn run_all<J, T, F>(
    jobs: Vec<Admission<J>>,
    (capacity, slots): (Capacity, &Arc<Slots>),
    stop: &Stop,
    kept: impl Fn() -> ByteSize,
    waits: impl Fn(&J) -> bool,
    start: impl Fn(J) -> F,
    mut done: impl FnMut(T) -> bool,
) where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut waiting = Waiting {
        jobs: jobs.into(),
        passed_over: 0,
    };
    let mut used: u64 = 0;
    let mut running = JoinSet::new();
    loop {
        while running.len() < capacity.guests.max(1) && !stop.is_asked() {
            let taken = used + kept().as_bytes();
            let free = ByteSize::bytes(capacity.memory.as_bytes().saturating_sub(taken));
            let Some(admission) = waiting.take(free, running.is_empty(), &waits) else {
                break;
            };
            let memory = admission.memory.as_bytes();
            used += memory;
            let work = start(admission.job);
            let (slots, stop) = (slots.clone(), stop.clone());
            running.spawn(async move {
                let slot = async {
                    match memory {
                        0 => None,
                        memory => slots.take(ByteSize::bytes(memory)).await,
                    }
                };
                let _slot = tokio::select! {
                    slot = slot => slot,
                    // The job sees it too, and ends.
                    () = stop.asked() => None,
                };
                (work.await, memory)
            });
        }
        match running.join_next().await {
            None => return,
            Some(Ok((result, memory))) => {
                used -= memory;
                if !done(result) {
                    waiting.jobs.clear();
                }
            }
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
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

    fn alone() -> Arc<Slots> {
        Arc::new(Slots::alone(&Ui::silent()))
    }

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
            (capacity, &alone()),
            &Stop::default(),
            || ByteSize::mib(10),
            |_| false,
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
        assert!((61..=90).contains(&most), "{most}");
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
            (capacity, &alone()),
            &stop,
            || ByteSize::bytes(0),
            |_| false,
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
            (capacity, &alone()),
            &Stop::default(),
            || ByteSize::bytes(0),
            |_| false,
            |n| async move { n },
            |_| {
                finished += 1;
                false
            },
        )
        .await;
        assert_eq!(finished, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_job_is_passed_over_and_does_not_starve() {
        // 100 fits beside nothing that runs; the small ones never leave room by themselves.
        let mut sizes = vec![60, 100];
        sizes.extend([50; 60]);
        let capacity = Capacity {
            guests: 2,
            memory: ByteSize::mib(120),
        };
        let mut order = Vec::new();
        run_all(
            admissions(&sizes),
            (capacity, &alone()),
            &Stop::default(),
            || ByteSize::bytes(0),
            |_| false,
            |n| async move {
                tokio::time::sleep(Duration::from_millis(n)).await;
                n
            },
            |n| {
                order.push(n);
                true
            },
        )
        .await;
        assert_eq!(order.len(), sizes.len());
        let at = order.iter().position(|n| *n == 100);
        let passed = PASSED_OVER as usize;
        assert!(at.is_some_and(|at| (passed..passed + 3).contains(&at)), "{at:?}");
    }

    #[test]
    fn a_job_that_would_wait_is_passed_over_while_another_is_there() {
        let mut waiting = Waiting {
            jobs: admissions(&[1, 2, 3, 70]).into(),
            passed_over: 0,
        };
        let mut take = |alone, waits: &dyn Fn(u64) -> bool| {
            let taken = waiting.take(ByteSize::mib(50), alone, |job| waits(*job));
            taken.map(|admission| admission.job)
        };
        assert_eq!(take(false, &|job| job < 3), Some(3));
        // 70 does not wait, and does not fit.
        assert_eq!(take(false, &|job| job < 3), Some(1));
        assert_eq!(take(false, &|_| false), Some(2));
        assert_eq!(take(false, &|_| false), None);
        assert_eq!(take(true, &|_| true), Some(70));
        assert_eq!(take(true, &|_| false), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_is_larger_than_all_there_is_runs_alone() {
        let capacity = Capacity {
            guests: 2,
            memory: ByteSize::mib(50),
        };
        let mut order = Vec::new();
        run_all(
            admissions(&[60, 60]),
            (capacity, &alone()),
            &Stop::default(),
            || ByteSize::mib(40),
            |_| false,
            |n| async move { n },
            |n| {
                order.push(n);
                true
            },
        )
        .await;
        assert_eq!(order, [60, 60]);
    }
}
