// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks now and then at what the host gives the threads of a QEMU, so that it can be asked for afterwards.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    end::Wait,
    logs::Clock,
    share::{Counted, History, Share, Wants},
};
use format::qmp::Client;

/// How often it is looked. A look reads two small files a thread.
const EVERY: Duration = Duration::from_millis(250);

/// Between two looks that are closer nothing can be told.
const SHORTEST: Duration = Duration::from_millis(5);

/// How many times its limit something may take of the wall's time, whatever the host gave.
const PATIENCE: u32 = 10;

/// How late the kernel's word of a stall may be, and memrig in hearing it.
const LATE: Duration = Duration::from_secs(5);

/// What a machine was given. Clones share it; it outlives the machine.
#[derive(Debug, Clone)]
pub struct Meter {
    seen: Arc<Mutex<Seen>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Seen {
    history: History,
    /// The process and its threads that count; `None` before it is there and when it is gone.
    threads: Option<(i32, Vec<i32>)>,
    host: Host,
}

/// How long something that has a limit may take on the wall's clock at the most.
pub(super) fn longest(limit: Duration) -> Duration {
    limit * PATIENCE
}

impl Meter {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            seen: Arc::default(),
            clock,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Whatever panicked left whole looks behind.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the machine got in the span that ended at a moment of the run's clock, or within 5 s before: the worst. Without a moment the worst
    /// of all that is known. `None` if nothing is known.
    pub(crate) fn worst(&self, span: Duration, at: Option<Duration>) -> Option<Share> {
        self.look();
        let (first, last) = match at {
            Some(at) => (at.saturating_sub(LATE), at),
            None => (Duration::ZERO, self.clock.now()),
        };
        self.seen().history.worst(span, first, last)
    }

    /// What the machine got since a moment of the run's clock, if that was too little.
    pub fn starved_since(&self, from: Duration) -> Option<Share> {
        self.look();
        self.since(from).filter(Share::is_starved)
    }

    fn since(&self, from: Duration) -> Option<Share> {
        self.seen().history.share(from, self.clock.now())
    }

    /// How much time the machine had so far: the wall's, without what it lost.
    pub(crate) fn given(&self) -> Duration {
        self.look();
        let now = self.clock.now();
        match self.seen().history.given() {
            Some((given, at)) => given + now.saturating_sub(at),
            None => now,
        }
    }

    /// Ends when the machine has had `limit`, or when the wall's clock has gone too far beyond that. Cancel-safe.
    pub(super) async fn had(&self, limit: Duration) -> Wait {
        let (began, at, given) = (Instant::now(), self.clock.now(), self.given());
        loop {
            let left = limit.saturating_sub(self.given().saturating_sub(given));
            if left.is_zero() {
                return Wait::Deadline(limit);
            }
            if began.elapsed() >= longest(limit) {
                return Wait::Starved {
                    limit,
                    wall: began.elapsed(),
                    share: self.since(at),
                };
            }
            sleep(left.clamp(SHORTEST, EVERY)).await;
        }
    }

    /// Looks until the machine's threads are gone.
    pub(super) async fn watch(self, pid: i32, qmp: Client) {
        let mut threads = vec![pid];
        // Without an answer QEMU is about to end; its main thread is there in any case.
        if let Ok(cpus) = qmp.execute_raw("query-cpus-fast", json!({})).await {
            for thread in thread_ids(&cpus) {
                if !threads.contains(&thread) {
                    threads.push(thread);
                }
            }
        }
        self.look_at(pid, threads);
        while self.look() {
            sleep(EVERY).await;
        }
    }

    fn look_at(&self, pid: i32, threads: Vec<i32>) {
        self.seen().threads = Some((pid, threads));
    }

    /// Looks at the threads; says whether they are there.
    fn look(&self) -> bool {
        let mut seen = self.seen();
        let Seen {
            history,
            threads,
            host,
        } = &mut *seen;
        let Some((pid, ids)) = threads else {
            return false;
        };
        let now = self.clock.now();
        if let Some((_, at)) = history.given()
            && now.saturating_sub(at) < SHORTEST
        {
            return true;
        }
        let counted: Option<Vec<Counted>> = ids.iter().map(|thread| counted(*pid, *thread)).collect();
        match counted {
            Some(counted) => history.add(now, counted, host.stolen()),
            None => *threads = None,
        }
        threads.is_some()
    }
}

/// The threads that run the guest's CPUs; one for all of them, where it counts instructions.
fn thread_ids(cpus: &Value) -> Vec<i32> {
    let ids = cpus.as_array().into_iter().flatten();
    ids.filter_map(|cpu| cpu.get("thread-id")?.as_i64()?.try_into().ok())
        .collect()
}

/// What the host's kernel says of a thread; `None` if it is gone. Without schedstat (`CONFIG_SCHED_INFO`) ticks say what it ran, and its state
/// that it waits.
fn counted(pid: i32, thread: i32) -> Option<Counted> {
    let folder = format!("/proc/{pid}/task/{thread}");
    let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
    let schedstat = std::fs::read_to_string(format!("{folder}/schedstat")).ok();
    of_texts(&stat, schedstat.as_deref())
}

fn of_texts(stat: &str, schedstat: Option<&str>) -> Option<Counted> {
    // The name in parentheses may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let wants = match fields.next()? {
        "R" => Wants::ToRun,
        "T" | "t" => Wants::Stopped,
        "X" | "Z" => return None,
        _ => Wants::Nothing,
    };
    let nanoseconds = |text: &str| text.parse().map(Duration::from_nanos).ok();
    let of_schedstat = schedstat.and_then(|text| {
        let mut fields = text.split_whitespace();
        Some((nanoseconds(fields.next()?)?, nanoseconds(fields.next()?)?))
    });
    let (ran, waited) = match of_schedstat {
        Some(times) => times,
        None => {
            // utime and stime are fields 14 and 15, in hundredths of a second on every architecture that memrig is built for.
            let ticks: Vec<u64> = fields
                .skip(10)
                .take(2)
                .map_while(|text| text.parse().ok())
                .collect();
            (
                Duration::from_millis(10 * ticks.iter().sum::<u64>()),
                Duration::ZERO,
            )
        }
    };
    Some(Counted { ran, waited, wants })
}

/// What the host's own host took of it.
#[derive(Debug, Default)]
struct Host {
    busy: u64,
    steal: u64,
    part: f64,
}

impl Host {
    /// What part of the time since the last question in which this host's CPUs ran it did not get.
    fn stolen(&mut self) -> f64 {
        let Ok(text) = std::fs::read_to_string("/proc/stat") else {
            // What is not known is taken off nobody's time.
            return 0.0;
        };
        self.stolen_of(&text)
    }

    fn stolen_of(&mut self, text: &str) -> f64 {
        let numbers: Vec<u64> = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .map_while(|number| number.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal …
        let [user, nice, system, _, _, irq, softirq, steal, ..] = numbers[..] else {
            return 0.0;
        };
        let busy = user + nice + system + irq + softirq + steal;
        let (ran, taken) = (busy.saturating_sub(self.busy), steal.saturating_sub(self.steal));
        // Less than a fifth of a second says nothing; what it was before still holds.
        if ran >= 20 {
            self.part = match self.busy {
                0 => 0.0,
                _ => taken as f64 / ran as f64,
            };
            (self.busy, self.steal) = (busy, steal);
        }
        self.part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hosts_kernel_says_is_read() {
        let stat =
            "18282 (a) b (c) R 18279 18279 2273 0 -1 4194304 102 0 0 0 250 50 0 0 20 0 1 0 137563 3133440";
        let told = of_texts(stat, Some("2000000000 3000000000 17\n")).unwrap();
        assert_eq!(
            (told.ran, told.waited, told.wants),
            (Duration::from_secs(2), Duration::from_secs(3), Wants::ToRun)
        );
        let ticks = of_texts(&stat.replace(") R", ") T"), None).unwrap();
        assert_eq!((ticks.ran, ticks.wants), (Duration::from_secs(3), Wants::Stopped));
        assert_eq!(of_texts("1 (q) Z 1", Some("1 2 3")), None);
        let cpus = json!([{"cpu-index": 0, "thread-id": 7}, {"cpu-index": 1, "thread-id": 8}, {}]);
        assert_eq!(thread_ids(&cpus), [7, 8]);
    }

    #[test]
    fn what_the_hosts_own_host_took_is_a_part_of_what_ran() {
        let mut host = Host::default();
        assert_eq!(host.stolen_of("cpu  100 0 0 500 0 0 0 50 0 0\ncpu0 1"), 0.0);
        assert_eq!(host.stolen_of("cpu  130 0 0 900 0 0 0 60 0 0\n"), 0.25);
        assert_eq!(host.stolen_of("no such line"), 0.0);
    }

    #[tokio::test]
    async fn a_stopped_process_has_no_time_and_its_limit_does_not_pass() {
        let child = base::exec::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let meter = Meter::new(Clock::start());
        meter.look_at(child.pid(), vec![child.pid()]);
        let pid = rustix::process::Pid::from_raw(child.pid()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        for _ in 0..6 {
            sleep(EVERY).await;
            meter.look();
        }
        let share = meter.worst(Duration::from_secs(1), None).unwrap();
        assert!(share.is_starved(), "{share:?}");
        assert!(share.lost > Duration::from_millis(900), "{share:?}");
        let limit = EVERY;
        let wait = meter.had(limit).await;
        let Wait::Starved { wall, share, .. } = &wait else {
            panic!("{wait}")
        };
        assert!(
            *wall >= longest(limit) && share.is_some_and(|share| share.lost > limit),
            "{wait}"
        );
        child.kill();
        child.wait().await;
        let wait = meter.had(limit).await;
        assert_eq!(
            wait,
            Wait::Deadline(limit),
            "of a process that is gone nothing is known but the time"
        );
    }
}
