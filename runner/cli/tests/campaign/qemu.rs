// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU ends, crashes, stands still, or gets little of the host.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, sleep},
    time::Duration,
};

use rustix::process::Signal;

use super::{
    processes::{self, Process},
    run::{Moment, Run},
    scene::Scene,
};

/// A case of a few steps, the second of which takes some seconds.
pub(super) const SLOW: &str = "\
suite: own
cases:
  - id: F01
    name: a block goes in while the guest rests for a while
    steps:
      - add: { as: b }
      - guest: { run: sleep 5 }
      - online: { block: b, zone: movable }
      - offline: { block: b }
";

/// The same with little time for a step.
const HURRIED: &str = "\
suite: own
cases:
  - id: F01
    name: a block goes in while the guest rests for a while
    time_limit: 5s
    steps:
      - add: { as: b }
      - guest: { run: sleep 2 }
      - online: { block: b, zone: movable }
";

/// Sends the QEMU of a guest a signal in the middle of a step, and gives the guest's run on.
fn in_a_step(
    scene: &mut Scene,
    suite: &str,
    signal: impl FnOnce(&mut fastrand::Rng) -> Signal,
) -> Option<Run> {
    let command = scene.one_guest(suite);
    let mut run = scene.start(command);
    if !run.wait_for(Moment::Step(2)) {
        let ended = scene.end(run);
        scene.missed(format!("the step never began: {}", ended.said()));
        return None;
    }
    // The template may be there still; whoever runs the case is the last one.
    let guest = guest_of_case(&run.guests());
    scene.harm(|rng| {
        let signal = signal(rng);
        guest.iter().for_each(|guest| guest.signal(signal));
    });
    Some(run)
}

/// Of the QEMUs of a run the one that was started last.
fn guest_of_case(guests: &[Process]) -> Option<Process> {
    guests
        .iter()
        .max_by_key(|guest| guest.pid().as_raw_nonzero())
        .cloned()
}

pub(super) fn killed_in_a_step(scene: &mut Scene) {
    if let Some(run) = in_a_step(scene, SLOW, |_| Signal::KILL) {
        let ended = scene.end(run);
        scene.is_error(&ended, &["QEMU"]);
    }
}

pub(super) fn crashes_in_a_step(scene: &mut Scene) {
    let drawn = |rng: &mut fastrand::Rng| {
        rng.choice([Signal::ABORT, Signal::SEGV, Signal::BUS])
            .expect("one")
    };
    if let Some(run) = in_a_step(scene, SLOW, drawn) {
        let ended = scene.end(run);
        scene.is_error(&ended, &["QEMU"]);
    }
}

pub(super) fn stands_still(scene: &mut Scene) {
    if let Some(run) = in_a_step(scene, HURRIED, |_| Signal::STOP) {
        let ended = scene.end(run);
        scene.is_error(&ended, &["host", "QEMU"]);
    }
}

pub(super) fn stands_still_for_a_while(scene: &mut Scene) {
    let Some(mut run) = in_a_step(scene, SLOW, |_| Signal::STOP) else {
        return;
    };
    let seconds = scene.rng.f32().mul_add(10.0, 2.0);
    sleep(Duration::from_secs_f32(seconds));
    run.guests().iter().for_each(|guest| guest.signal(Signal::CONT));
    let ended = scene.end(run);
    scene.accuses_nobody(&ended);
}

/// Starts a run, and waits until it has a guest.
fn with_a_guest(scene: &mut Scene) -> Option<Run> {
    let command = scene.one_guest(SLOW);
    let mut run = scene.start(command);
    if run.wait_for(Moment::Guest) {
        return Some(run);
    }
    let ended = scene.end(run);
    scene.missed(format!("no guest was started: {}", ended.said()));
    None
}

pub(super) fn killed_at_any_time(scene: &mut Scene) {
    let Some(mut run) = with_a_guest(scene) else {
        return;
    };
    let seconds = scene.rng.f32() * 12.0;
    sleep(Duration::from_secs_f32(seconds));
    let guests = run.guests();
    scene.harm(|_| guests.iter().for_each(|guest| guest.signal(Signal::KILL)));
    let ended = scene.end(run);
    if guests.is_empty() {
        return scene.missed("there was no guest at that moment");
    }
    scene.accuses_nobody(&ended);
}

/// The guest gets a tenth of what it wants, from its begin to its end.
pub(super) fn gets_a_tenth(scene: &mut Scene) {
    let Some(run) = with_a_guest(scene) else {
        return;
    };
    let (over, slow) = (AtomicBool::new(false), scene.harm(|_| ()).is_some());
    let folder = scene.folder().to_owned();
    let ended = thread::scope(|scope| {
        scope.spawn(|| {
            while slow && !over.load(Ordering::Relaxed) {
                let stopped = processes::guests_of(&folder);
                stopped.iter().for_each(|guest| guest.signal(Signal::STOP));
                sleep(Duration::from_millis(180));
                stopped.iter().for_each(|guest| guest.signal(Signal::CONT));
                sleep(Duration::from_millis(20));
            }
        });
        let ended = scene.end(run);
        over.store(true, Ordering::Relaxed);
        ended
    });
    scene.accuses_nobody(&ended);
}
