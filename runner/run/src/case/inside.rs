// SPDX-License-Identifier: MIT OR Apache-2.0
//! Doing things inside of a guest, where everything that goes wrong is somebody's fault: the kernel's or the bench's.

use std::{
    future::Future,
    pin::{Pin, pin},
    time::Duration,
};

use super::{guest::UnderTest, trouble::Trouble};
use base::Errno;
use format::klog;
use vm::{
    guest::{Diagnosis, GuestPort as _, Output, PortError},
    machine::{Machine, Wait},
};

/// How long one thing in the guest may take where the suite does not say, before the factor of the guest's speed.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take without getting on, before that factor. A suite that gives more time than [`STEP_LIMIT`] gives it for this too.
const STANDSTILL: Duration = Duration::from_secs(30);

/// What the port's own limit may be late by.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a script. Its exit code is an answer, not an error.
pub(crate) async fn exec(guest: &impl UnderTest, script: &str, limit: Duration) -> Result<Output, Trouble> {
    judged(guest, guest.port().exec(script, longest(limit)), limit, || {
        script_of(script)
    })
    .await
}

/// Reads a file. The kernel's errno is an answer, not an error.
pub(super) async fn read(
    guest: &impl UnderTest,
    path: &str,
    limit: Duration,
) -> Result<Result<String, Errno>, Trouble> {
    judged(guest, guest.port().read(path, longest(limit)), limit, || {
        format!("read of {path}")
    })
    .await
}

/// Writes a file. The kernel's errno is an answer, not an error.
pub(super) async fn write(
    guest: &impl UnderTest,
    path: &str,
    value: &str,
    limit: Duration,
) -> Result<Result<(), Errno>, Trouble> {
    judged(
        guest,
        guest.port().write(path, value, longest(limit)),
        limit,
        || format!("write of `{value}` to {path}"),
    )
    .await
}

/// Writes a file while the `nth` allocation of the writer fails. With the answer comes what is left of `nth`: 0 if one failed.
pub(super) async fn write_failing(
    guest: &impl UnderTest,
    path: &str,
    value: &str,
    nth: u32,
    limit: Duration,
) -> Result<(Result<(), Errno>, u32), Trouble> {
    judged(
        guest,
        guest.port().write_failing(path, value, nth, longest(limit)),
        limit,
        || format!("write of `{value}` to {path} with allocation {nth} failing"),
    )
    .await
}

async fn judged<T>(
    guest: &impl UnderTest,
    work: impl Future<Output = Result<T, PortError>>,
    limit: Duration,
    what: impl Fn() -> String,
) -> Result<T, Trouble> {
    let asked = guest.now();
    let starved = || guest.starved_since(asked);
    let late = |limit| PortError::Deadline { what: what(), limit };
    let mut work = pin!(work);
    let done = match in_two_looks(guest, work.as_mut(), limit).await {
        Begun::Done(done) => done,
        Begun::Stands(diagnosis) => {
            let standstill = guest.scale(STANDSTILL);
            return Err(accuse(guest, &late(standstill), &diagnosis).await);
        }
        Begun::GoesOn(after) => {
            let left = limit.saturating_sub(after);
            guest.wait_for(work, left).await
        }
    };
    match done {
        Ok(Ok(done)) => Ok(done),
        // A connection has limits of its own, by the wall's clock.
        Ok(Err(error @ PortError::Deadline { .. })) if let Some(share) = starved() => Err(Trouble::starved(
            format!("{error}, and the host was too busy for the guest: {share}"),
        )),
        Ok(Err(error @ PortError::Unclear { .. })) => Err(Trouble::bench(error.to_string())),
        Ok(Err(error)) => Err(blame(guest, error).await),
        Err(Wait::Ended(end)) => Err(Trouble::ended(&end)),
        Err(wait @ Wait::Starved { .. }) => Err(Trouble::starved(format!("{}: {wait}", what()))),
        Err(Wait::Deadline(_)) => Err(blame(guest, late(limit)).await),
    }
}

/// What became of something in the time in which it must get on.
enum Begun<T> {
    Done(Result<T, Wait>),
    /// It does not get on.
    Stands(Diagnosis),
    /// It does, and that long it took.
    GoesOn(Duration),
}

/// Waits for something; a guest that has not done it after a while is looked at twice, half of [`STANDSTILL`] apart.
async fn in_two_looks<T>(
    guest: &impl UnderTest,
    mut work: Pin<&mut impl Future<Output = T>>,
    limit: Duration,
) -> Begun<T> {
    let half = guest.scale(STANDSTILL / 2);
    if limit > guest.scale(STEP_LIMIT) || limit <= half * 2 {
        return Begun::GoesOn(Duration::ZERO);
    }
    let asked = guest.now();
    let mut before: Option<Option<String>> = None;
    for _ in 0..2 {
        match guest.wait_for(work.as_mut(), half).await {
            Err(Wait::Deadline(_)) => {}
            done => return Begun::Done(done),
        }
        // A guest of which something else is found is not held for one that stands still.
        let Ok(seen) = guest.look().await else {
            continue;
        };
        match (before.take(), &seen) {
            (Some(None), None) => return Begun::Stands(guest.stands(false, asked).await),
            (Some(Some(before)), Some(seen)) if klog::stands_still(&before, seen) => {
                return Begun::Stands(guest.stands(true, asked).await);
            }
            _ => before = Some(seen),
        }
    }
    Begun::GoesOn(half * 2)
}

/// The port's own limit, which is by the wall's clock: the machine's, which counts what the host gave, comes first.
fn longest(limit: Duration) -> Duration {
    Machine::longest(limit) + GRACE
}

fn script_of(script: &str) -> String {
    format!(
        "script `{}`",
        script.trim_start().lines().next().unwrap_or_default()
    )
}

/// Finds out who is to blame for a guest that did not answer.
pub(crate) async fn blame(guest: &impl UnderTest, error: PortError) -> Trouble {
    let diagnosis = guest.diagnose(&error).await;
    accuse(guest, &error, &diagnosis).await
}

/// Tells what was found of a guest that did not answer, and where it hangs, if it does.
async fn accuse(guest: &impl UnderTest, error: &PortError, diagnosis: &Diagnosis) -> Trouble {
    let trouble = Trouble::silent(error, diagnosis);
    if !matches!(diagnosis, Diagnosis::Hangs | Diagnosis::StuckAlone) {
        return trouble;
    }
    guest.find_stuck(diagnosis).await;
    match guest.tasks().and_then(stuck_in) {
        Some(place) => trouble.told(|message| format!("{message}, and {place}")),
        None => trouble,
    }
}

/// Which task hangs where, as far as that can be seen in what a guest told of its tasks.
fn stuck_in(told: &str) -> Option<String> {
    let Some(task) = klog::stuck(told) else {
        return hung_in(told).map(|place| format!("is in {place}"));
    };
    let does = match task.state {
        'D' => "is blocked in",
        'R' => "runs in",
        _ => "waits in",
    };
    // The shell at the other end of the line does what a step says.
    let name = match task.name.as_str() {
        "memrig-line" => "the step's shell",
        name => name,
    };
    Some(format!("{name} (pid {}) {does} {}", task.pid, task.place()?))
}

/// Where the interrupt that cannot be held off found the kernel; `None` if it shows what it does without that.
fn hung_in(said: &str) -> Option<String> {
    klog::classify(said.as_bytes())
        .into_iter()
        .find(|finding| finding.kind == klog::Kind::Panic && finding.title.contains("NMI"))?
        .place
        .filter(|place| !klog::is_idle(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_is_told_with_its_place() {
        let log = include_str!("../../../format/tests/corpus/klog/hard-6.12-lockdep-amd64.txt");
        assert_eq!(hung_in(log).as_deref(), Some("splat_hard"));
        // Without unknown_nmi_panic that is all it says.
        let silent = "[   67.3] Uhhuh. NMI received for unknown reason 31 on CPU 0.\n[   67.4] Dazed and confused, but trying to continue\n";
        assert_eq!(hung_in(silent), None);
        let other = "[    1.000000] Kernel panic - not syncing: lost\n";
        assert_eq!(hung_in(other), None);
    }
}
