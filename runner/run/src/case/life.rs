// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a case: get a guest, do the steps, read the log, and try again where one guest does not tell.

use std::time::{Duration, Instant};

use super::{
    drawn::Course,
    guest::{Guests, UnderTest},
    inside,
    known::unexplained,
    log::{Found, findings_of, weigh, whole_log},
    needs,
    outcome::{AttemptOutcome, record, seconds},
    steps::{limit, steps},
    trouble::{Trouble, chain, end_of},
};
use crate::{
    plan::Job,
    session::{NoGuest, Origin, Stage, again},
};
use ::record::{Attempt, CaseFolder, CaseRecord, Event, GuestEnd};
use base::fault::Verdict;
use suite::Case;
use vm::{
    guest::GuestPort as _,
    machine::{End, Machine},
};

/// Why a case that somebody interrupted has no verdict.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// Runs a case to its verdict. An error is tried once more on a fresh guest, and a failure twice, to tell always from sometimes.
pub(crate) async fn run(job: &Job, stage: &Stage) -> CaseRecord {
    live(job, stage, stage).await
}

/// The same with guests that somebody starts.
pub(super) async fn live(job: &Job, stage: &Stage, guests: &impl Guests) -> CaseRecord {
    let started = Instant::now();
    let skip = job
        .skip
        .clone()
        .or_else(|| needs::generation(job.case(), stage.generation(job)?));
    if let Some(reason) = &skip {
        return record(
            job,
            AttemptOutcome {
                trouble: Some(Trouble::Lacking {
                    message: reason.clone(),
                }),
                ..AttemptOutcome::default()
            },
            Vec::new(),
            started,
            stage,
        );
    }
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut starved = 0;
    let mut alone = false;
    let mut decided: Option<AttemptOutcome> = None;
    loop {
        let number = attempts.len() as u32 + 1;
        let place = async {
            match alone {
                true => stage.room.alone().await,
                false => stage.room.beside().await,
            }
        };
        // Without a place the attempt ends as soon as it begins.
        let _place = tokio::select! {
            place = place => Some(place),
            () = stage.stop.asked() => None,
        };
        let began = Instant::now();
        stage.note(&Event::CaseStarted {
            key: job.key.clone(),
            name: job.case().name.clone(),
            suite_file: job.suite.file.clone(),
            line: job.case().line as u32,
            attempt: number,
        });
        // What broke may be the clone's fault, and what fails its template's: guests of one template are one witness.
        let origin = match attempts.is_empty() {
            true => Origin::Clone,
            false => Origin::Boot,
        };
        let mut outcome = match stage.folder.case(&job.key, number) {
            Ok(folder) => attempt(job, stage, guests, (&folder, origin), &mut Course::Written).await,
            Err(error) => AttemptOutcome {
                trouble: Some(Trouble::bench(chain(&error))),
                ..AttemptOutcome::default()
            },
        };
        outcome.judge(job, stage);
        attempts.push(Attempt {
            verdict: outcome.verdict(),
            reason: outcome.reason(),
            seconds: seconds(began.elapsed()),
        });
        alone = outcome.trouble.as_ref().is_some_and(Trouble::is_starved);
        starved += usize::from(alone);
        let lasting = outcome.trouble.as_ref().is_some_and(Trouble::is_lasting);
        // Where kernels are compared, a failure is a difference or none; the other pair tells how often.
        let again = again(&attempts, starved, stage.watch, lasting)
            && !enough_of_hangs(&attempts, outcome.ended.as_ref(), stage.fail_fast)
            && !stage.no_retry
            && !stage.stop.is_asked();
        // The last of those with the verdict that counts is told of.
        let told = match decided.take() {
            Some(before) if before.verdict() == Verdict::Fail && outcome.verdict() != Verdict::Fail => before,
            _ => outcome,
        };
        if !again {
            return record(job, told, attempts, started, stage);
        }
        decided = Some(told);
    }
}

/// Whether a case that hung is not tried again: a hang takes long, and one repetition tells always from sometimes. Where the run ends with the first
/// failure, nobody asks.
fn enough_of_hangs(attempts: &[Attempt], ended: Option<&GuestEnd>, fail_fast: bool) -> bool {
    let fails = attempts
        .iter()
        .filter(|attempt| attempt.verdict == Verdict::Fail)
        .count();
    ended == Some(&GuestEnd::Hung) && (fails > 1 || (fails == 1 && fail_fast))
}

/// One attempt: everything between two guests.
pub(super) async fn attempt(
    job: &Job,
    stage: &Stage,
    guests: &impl Guests,
    (folder, origin): (&CaseFolder, Origin),
    course: &mut Course<'_>,
) -> AttemptOutcome {
    let mut outcome = AttemptOutcome::default();
    let booted = tokio::select! {
        booted = guests.guest(job, folder, origin) => booted,
        () = stage.stop.asked() => Err(NoGuest::from(Trouble::bench(INTERRUPTED))),
    };
    let (guest, origin) = match booted {
        Ok(guest) => guest,
        Err(no_guest) => {
            let (trouble, found) = no_guest.weighed(job.case());
            outcome.log = folder.console_text();
            outcome.take(found);
            outcome.command_line = stage.by_hand_of(job);
            outcome.ended = Some(trouble.guest_end().cloned().unwrap_or(GuestEnd::NotReady));
            outcome.trouble = Some(trouble);
            return outcome;
        }
    };
    outcome.command_line = guests.by_hand(&guest);
    let mut ledgers = Vec::new();
    let done = tokio::select! {
        done = steps(job, stage, (&guest, origin), course, folder, &mut outcome, &mut ledgers) => Some(done),
        () = stage.stop.asked() => None,
    };
    match done {
        Some(done) => {
            outcome.trouble = done.err().map(|trouble| of_host(trouble, &guest));
            read_log(job.case(), &guest, &mut outcome).await;
        }
        // Whoever interrupts does not wait for a guest that may not answer.
        None => {
            outcome.trouble = Some(Trouble::bench(INTERRUPTED));
            outcome.log = guest.console();
        }
    }
    if let Err(error) = fs_err::write(folder.dmesg_log(), &outcome.log) {
        outcome.trouble.get_or_insert(Trouble::bench(error.to_string()));
    }
    if let Some(tasks) = guest.tasks() {
        outcome.tasks = tasks.to_owned();
        if let Err(error) = fs_err::write(folder.tasks_log(), tasks) {
            outcome.trouble.get_or_insert(Trouble::bench(error.to_string()));
        }
    }
    if let Err(error) = folder.write_ledgers(&ledgers) {
        outcome.trouble.get_or_insert(Trouble::bench(chain(&error)));
    }
    if let Some(observed) = &outcome.observed
        && let Err(error) = folder.write_observed(observed)
    {
        outcome.trouble.get_or_insert(Trouble::bench(chain(&error)));
    }
    outcome.ended = Some(ended(guest.end(), outcome.trouble.as_ref()));
    if !stage.stop.is_asked() {
        course.ran(stage.keep_code(job, &guest, origin).await);
    }
    guest.stop().await;
    outcome
}

/// How long a guest in which something went wrong may take to tell its log, before the factor of its speed; the console has the same.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// Takes the kernel's log, from the guest where it answers and from the console where it does not, finds what was not seen yet, and weighs it all.
async fn read_log(case: &Case, guest: &impl UnderTest, outcome: &mut AttemptOutcome) {
    if outcome.trouble.is_some() {
        // Its kernel may still be telling what happened.
        guest.last_words().await;
    }
    outcome.log = guest.console();
    let mut said = guest.said();
    if guest.end().is_none() && !guest.is_silent() {
        let told = match &outcome.trouble {
            None => whole_log(inside::exec(guest, "dmesg", limit(case, guest)).await),
            Some(_) => {
                let limit = guest.scale(LOG_LIMIT);
                let told = guest
                    .wait_for(guest.port().exec("dmesg", Machine::longest(limit)), limit)
                    .await;
                whole_log(
                    told.map_err(|wait| wait.to_string())
                        .and_then(|told| told.map_err(|error| error.to_string()))
                        .map_err(Trouble::bench),
                )
            }
        };
        match told {
            Ok(log) => {
                said.clone_from(&log);
                outcome.log = log;
            }
            Err(trouble) => {
                outcome.trouble.get_or_insert(trouble);
            }
        }
    }
    let Found { findings, starved } = findings_of(guest, &said, None, case);
    for finding in findings {
        if let Some(known) = outcome
            .findings
            .iter_mut()
            .find(|known| known.title == finding.title)
        {
            // It went on after the step that it was first seen in.
            known.times = known.times.max(finding.times);
        } else {
            outcome.findings.push(finding);
        }
    }
    // What the case went on after was weighed there.
    let passed_over = outcome.passed_over.iter().map(|passed| &passed.known.sign);
    let mut found = Found {
        findings: unexplained(&outcome.findings, passed_over).cloned().collect(),
        starved: Vec::new(),
    };
    for (finding, share) in starved {
        if outcome.starved.iter().all(|known| known.title != finding.title) {
            outcome.starved.push(finding.clone());
            found.starved.push((finding, share));
        }
    }
    outcome.trouble = weigh(outcome.trouble.take(), &found);
}

/// A panic by which the kernel answers to time that went by is the host's, where that was too busy for the guest.
fn of_host(trouble: Trouble, guest: &impl UnderTest) -> Trouble {
    let end = guest.end();
    match end.and_then(|end| guest.starved_end(&end)) {
        Some(share) if trouble.guest_end() == Some(&GuestEnd::Panicked) => Trouble::starved(format!(
            "{}, and the host was too busy for the guest: {share}",
            trouble.message()
        )),
        _ => trouble,
    }
}

/// What was found when the guest did not answer, else how its machine ended.
fn ended(end: Option<End>, trouble: Option<&Trouble>) -> GuestEnd {
    let found = trouble.and_then(Trouble::guest_end).cloned();
    found
        .or_else(|| end.as_ref().map(end_of))
        .unwrap_or(GuestEnd::Stopped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::record::Seconds;

    #[test]
    fn a_hang_is_repeated_once_and_not_at_all_where_the_first_failure_ends_the_run() {
        let fail = Attempt {
            verdict: Verdict::Fail,
            reason: None,
            seconds: Seconds::default(),
        };
        let hung = Some(&GuestEnd::Hung);
        let (one, two) = (vec![fail.clone()], vec![fail.clone(), fail]);
        assert!(!enough_of_hangs(&one, hung, false));
        assert!(enough_of_hangs(&two, hung, false));
        assert!(enough_of_hangs(&one, hung, true));
        assert!(!enough_of_hangs(&two, Some(&GuestEnd::Panicked), true));
        assert!(!enough_of_hangs(&two, None, false));
    }
}
