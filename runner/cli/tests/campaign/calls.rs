// SPDX-License-Identifier: MIT OR Apache-2.0
//! memrig is killed, stopped by signals, and called twice at once.

use std::{thread::sleep, time::Duration};

use rustix::process::Signal;

use super::{
    run::{Ended, Moment, Run},
    scene::Scene,
};

/// Three cases in two groups of guests, so that a run has a begin, a middle and an end.
const THREE: &str = "\
suite: own
cases:
  - id: F01
    name: a block goes in and online
    steps:
      - add: { as: b }
      - online: { block: b, zone: movable }
  - id: F02
    name: a block goes online and offline
    steps:
      - add: { as: b }
      - online: { block: b, zone: movable }
      - offline: { block: b }
  - id: F03
    name: a guest of its own
    boot: fresh
    steps:
      - add: { as: b }
";

/// How many cases that are.
const CASES: usize = 3;

/// How long such a run takes on a host that is not busy, or somewhat longer.
const WHOLE: f32 = 20.0;

/// Starts a run.
fn started(scene: &mut Scene) -> Run {
    let mut command = scene.memrig();
    command.args(scene.run_args(THREE));
    scene.start(command)
}

/// Waits for any moment of a run; false if it was over before.
fn any_moment(scene: &mut Scene, run: &mut Run) -> bool {
    let seconds = scene.rng.f32() * WHOLE;
    run.wait_for(Moment::After(Duration::from_secs_f32(seconds)))
}

/// Starts a run that is to be cut off, and waits for any moment of it.
fn in_its_midst(scene: &mut Scene) -> Option<Run> {
    let mut run = started(scene);
    if any_moment(scene, &mut run) {
        return Some(run);
    }
    scene.end(run);
    scene.missed("it was over before");
    None
}

pub(super) fn killed_and_resumed(scene: &mut Scene) {
    let Some(mut run) = in_its_midst(scene) else {
        return;
    };
    scene.harm(|_| run.signal(Signal::KILL));
    let ended = scene.end(run);
    if !ended.was_ended_by(Signal::KILL) {
        return scene.wrong(format!(
            "{:?}, and must be killed: {}",
            ended.status,
            ended.said()
        ));
    }
    finished_later(scene, &ended);
}

pub(super) fn stopped_and_resumed(scene: &mut Scene) {
    let Some(mut run) = in_its_midst(scene) else {
        return;
    };
    let drawn = scene.harm(|rng| {
        let signal = rng.choice([Signal::INT, Signal::TERM, Signal::HUP]).expect("one");
        run.signal(signal);
        signal
    });
    let ended = scene.end(run);
    let ended_by = |signal: Option<Signal>| signal.is_some_and(|signal| ended.was_ended_by(signal));
    // Before it listens to signals nothing was begun, and one ends it at once.
    let at_once = ended_by(drawn) && ended.cases().is_empty();
    if ended.code() == Some(0) && ended.cases().len() == CASES && drawn.is_some() {
        return scene.missed("it was over before");
    }
    if ended.code() != Some(130) && !at_once {
        scene.wrong(format!(
            "{:?} after {drawn:?}, and must be 130: {}",
            ended.status,
            ended.said()
        ));
    }
    finished_later(scene, &ended);
}

/// What a run that was cut off has measured is kept when it is resumed, and the rest comes to its end.
fn finished_later(scene: &mut Scene, cut: &Ended) {
    // Where nothing was begun, nothing was measured; one that does not read is noted as lost.
    let Some(Ok(record)) = &cut.record else {
        return;
    };
    let unfinished = |id: &str| record.unfinished.iter().any(|key| key.id() == id);
    let finished = record.cases.iter().filter(|case| !unfinished(&case.key.id()));
    let mut command = scene.memrig();
    command
        .args(["run", "--resume"])
        .arg(scene.results().join("latest"));
    let run = scene.start(command);
    let ended = scene.end(run);
    // All may have been done, so that nothing is left to do.
    if ended.code() != Some(4) {
        scene.passes(&ended);
    }
    if ended.cases().len() != CASES {
        scene.lost(format!(
            "{} cases of {CASES} after it was resumed",
            ended.cases().len()
        ));
    }
    for case in finished {
        let now = ended.cases().iter().find(|other| other.key == case.key);
        if now.is_none_or(|now| now.steps != case.steps) {
            scene.lost(format!("what was measured in {}", case.key.case));
        }
    }
}

/// Two that share cache and results, one of which is killed.
pub(super) fn one_of_two_killed(scene: &mut Scene) {
    let mut first = started(scene);
    let second = started(scene);
    let over = !any_moment(scene, &mut first);
    scene.harm(|_| first.signal(Signal::KILL));
    // Both have the folder in their environment: what the first leaves is looked at when the second is done.
    sleep(Duration::from_millis(100));
    let ended = scene.end_beside_others(second);
    let killed = first.status();
    scene.passes(&ended);
    match killed {
        _ if over => return scene.missed("it was over before"),
        Some(status) if status.code().is_none() => {}
        status => scene.wrong(format!("the other one: {status:?}, and must be killed")),
    }
    // Who starts next takes away what the first left.
    let third = started(scene);
    let ended = scene.end(third);
    scene.passes(&ended);
}
