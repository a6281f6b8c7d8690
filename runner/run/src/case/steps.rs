// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a case in one guest: look at it, do them one by one, check the memory state and the log after each.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    bench::Bench,
    drawn::{Course, as_it_went},
    guest::UnderTest,
    inside::{self, STEP_LIMIT},
    known::{PassedOver, failure, listed, shown},
    level::Level,
    log::{Found, findings_of, weigh},
    needs,
    outcome::{AttemptOutcome, last_line, seconds},
    trouble::{Trouble, chain},
};
use crate::{
    plan::Job,
    session::{Origin, Slot, Stage},
};
use base::{Arch, ByteSize, fault::Verdict};
use format::standby::{self, property};
use memory::{FACTS_SCRIPT, MemoryFacts, Mismatch, Op, SYMBOLS_SCRIPT};
use record::{CaseFolder, Event, LedgerEntry, MismatchRecord, StepRecord, SubcaseRecord};
use suite::{Act, Action, Case, FailureKind, Look, Place, Repeat, Step};

/// How long one thing in the guest of a case may take.
pub(super) fn limit(case: &Case, guest: &impl UnderTest) -> Duration {
    let limit = case.time_limit.map_or(STEP_LIMIT, |limit| limit.duration());
    guest.scale(limit)
}

/// Looks at the guest, checks that the case means something on it, and does the steps.
pub(super) async fn steps(
    job: &Job,
    stage: &Stage,
    (guest, origin): (&impl UnderTest, Origin),
    course: &mut Course<'_>,
    folder: &CaseFolder,
    outcome: &mut AttemptOutcome,
    ledgers: &mut Vec<LedgerEntry>,
) -> Result<(), Trouble> {
    let case = job.case();
    let limit = limit(case, guest);
    let text = facts(job, stage, guest, origin, limit).await?;
    let facts = MemoryFacts::parse(&text, increment(job, guest).await?)
        .map_err(|error| Trouble::bench(format!("the guest's facts do not read: {error}")))?;
    outcome.facts = json!(facts);
    outcome.release = Some(facts.release.clone());
    stage.learn(job, &facts);
    needs::check(case, job, &facts, guest, limit).await?;
    at_boot(case, guest, outcome)?;
    let cloned = cloned(job, stage, origin);
    let at_rest = cloned.and_then(Slot::free_at_rest);
    let mut bench = Bench::new(guest, facts, &job.machine, limit, at_rest).await?;
    if let Some(slot) = cloned {
        slot.keep_free_at_rest(bench.ledger.free);
    }
    bench.origin = stage.kernel(job).origin.clone();
    bench.beside = job.suite.folder().to_owned();
    if stage.watch {
        let known = bench.watch(&stage.probe(job.kernel)).await?;
        stage.learn_probe(job.kernel, known);
    }
    bench.is_drawn = course.is_drawn();
    bench.was_on = bench.online_blocks();
    let looks = looks_at_notifiers(&case.steps) || bench.is_drawn;
    if looks && bench.probe.is_none() {
        // A kernel that cannot show them is told by the step that looks.
        match bench.arm_probe("").await {
            Ok(_) | Err(Trouble::Lacking { .. }) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    // Sequences are drawn in clones of a guest that has the probe.
    if looks && !(bench.is_drawn && matches!(origin, Origin::Clone)) || stage.watch {
        bench.observe(&Op::Nothing, false).await?;
    }
    let done = all_steps(job, stage, &mut bench, course, folder, outcome, ledgers).await;
    let (observed, asked) = bench.observed(done.is_ok()).await;
    outcome.observed = observed;
    // What broke first counts.
    done.and(asked)
}

/// Does the steps, one after the other, up to the first that does not pass.
async fn all_steps(
    job: &Job,
    stage: &Stage,
    bench: &mut Bench<'_, impl UnderTest>,
    course: &mut Course<'_>,
    folder: &CaseFolder,
    outcome: &mut AttemptOutcome,
    ledgers: &mut Vec<LedgerEntry>,
) -> Result<(), Trouble> {
    let (case, guest) = (job.case(), bench.guest);
    let is_drawn = course.is_drawn();
    let note = |event: Event| {
        // Thousands of sequences pass, and nobody asks for their steps again.
        if !is_drawn {
            stage.note(&event);
        }
    };
    ledgers.push(LedgerEntry {
        step: None,
        at: stage.journal.now(),
        ledger: bench.ledger.clone(),
    });
    // What could not be looked at. The steps after it are done all the same: a failure of theirs counts for more.
    let mut unseen = None;
    let mut number = 0;
    while let Some(step) = course.next(number as usize, case, bench) {
        let step = step.as_ref();
        number += 1;
        note(Event::StepStarted {
            case: job.key.id(),
            number,
            text: step.to_string(),
        });
        let began = Instant::now();
        let said = guest.console();
        outcome.logged_before = last_line(&said);
        let console = said.len();
        let mut done = Box::pin(do_step(bench, step)).await;
        let gone =
            |done: &Result<(), Trouble>| done.as_ref().is_err_and(|trouble| trouble.guest_end().is_some());
        if !matches!(step.action, Action::Look(_)) && !gone(&done) {
            // A step that did not pass is the one to see; of a guest that is gone nothing can be seen.
            done = match (done, bench.look_around(Some(number)).await) {
                (Ok(()), seen) => seen,
                (done, _) => done,
            };
        }
        if done.is_err() {
            // Its kernel may still be telling what happened.
            guest.last_words().await;
        }
        let said = std::mem::take(&mut bench.said);
        let kept = folder.add_output(number, &said.stdout, &said.stderr);
        done = done.and(kept.map_err(|error| Trouble::bench(chain(&error))));
        let since = findings_since(guest, console, number, case);
        let mut trouble = weigh(done.err(), &since);
        let mut goes_on = trouble.as_ref().and_then(|trouble| {
            let failure = failure(trouble, Place::Step(number), &since.findings)?;
            let release = outcome.release.as_deref().unwrap_or_default();
            match course {
                Course::Written => {
                    let known = shown(listed(job, release), &failure, &since.findings);
                    known.filter(|known| known.sign.go_on).cloned()
                }
                Course::Drawn(drawn) => {
                    let line = as_it_went(step, bench.was_busy);
                    drawn.known(job, release, &failure, &line, &since.findings)
                }
            }
        });
        if goes_on.is_some()
            && let Err(worse) = bench.takes_what_is_there().await
        {
            (trouble, goes_on) = (Some(worse), None);
        }
        outcome.take(since);
        ledgers.push(LedgerEntry {
            step: Some(number),
            at: stage.journal.now(),
            ledger: bench.ledger.clone(),
        });
        let mut record = step_record(
            step,
            number,
            began.elapsed(),
            trouble.as_ref(),
            ledgers.len() as u32 - 1,
            std::mem::take(&mut bench.subcases),
            said.tail(),
        );
        if goes_on.is_some() {
            record.verdict = Verdict::Known;
        }
        note(Event::StepFinished {
            case: job.key.id(),
            step: record.clone(),
        });
        if let Course::Drawn(drawn) = course {
            let fails = trouble.as_ref().filter(|_| goes_on.is_none());
            drawn.did(step, bench, fails);
        }
        outcome.steps.push(record);
        match (trouble, goes_on) {
            (Some(trouble), Some(known)) => outcome.passed_over.push(PassedOver {
                known,
                message: trouble.message().to_owned(),
            }),
            (Some(trouble @ Trouble::Lacking { .. }), None) if leaves_all(step) => {
                unseen.get_or_insert(trouble);
            }
            (Some(trouble), None) => return Err(trouble),
            (None, _) => {}
        }
    }
    unseen.map_or(Ok(()), Err)
}

/// Whether the guest is as it must be after a step that met a fact which it lacks.
fn leaves_all(step: &Step) -> bool {
    match &step.action {
        Action::Look(_) => true,
        Action::Act(_) => false,
        action => {
            let mut steps = action.within().iter();
            steps.all(|step| matches!(step.action, Action::Look(_)))
        }
    }
}

/// What is known of the template that a guest was cloned from.
fn cloned<'a>(job: &Job, stage: &'a Stage, origin: Origin) -> Option<&'a Slot> {
    stage.templates().slot(job).filter(|_| origin == Origin::Clone)
}

/// What the guest says about itself. Asking takes a second in a guest whose code is translated anew, so that one clone is asked for all, and
/// one guest for what is the kernel's.
async fn facts(
    job: &Job,
    stage: &Stage,
    guest: &impl UnderTest,
    origin: Origin,
    limit: Duration,
) -> Result<String, Trouble> {
    let cloned = cloned(job, stage, origin);
    if let Some(facts) = cloned.and_then(Slot::facts) {
        return Ok(facts.to_owned());
    }
    let mut facts = match stage.symbols(job.kernel) {
        Some(symbols) => symbols,
        None => {
            let symbols = inside::exec(guest, SYMBOLS_SCRIPT, limit).await?.text();
            stage.learn_symbols(job.kernel, symbols.clone());
            symbols
        }
    };
    facts += &inside::exec(guest, FACTS_SCRIPT, limit).await?.text();
    if let Some(slot) = cloned {
        slot.keep_facts(&facts);
    }
    Ok(facts)
}

/// The size of the storage increments that the machine really has; `None` on x86_64, which knows none.
async fn increment(job: &Job, guest: &impl UnderTest) -> Result<Option<ByteSize>, Trouble> {
    if job.key.arch == Arch::X86_64 {
        return Ok(None);
    }
    let size = guest.property(standby::PATH, property::INCREMENT_SIZE);
    let size = size.await.map_err(|error| Trouble::bench(chain(&error)))?;
    Ok(size.as_u64().map(ByteSize::bytes))
}

/// Does one step, and tells how it did not pass.
pub(super) async fn do_step(bench: &mut Bench<'_, impl UnderTest>, step: &Step) -> Result<(), Trouble> {
    let mut done = match &step.action {
        Action::Act(act) => do_act(bench, act).await,
        Action::Look(look) => do_look(bench, look).await,
        Action::Repeat(repeat) => do_repeat(bench, repeat).await,
        Action::Sweep(sweep) => bench.sweep(sweep).await,
    };
    if bench.is_drawn && done.is_ok() {
        done = bench.were_done().await;
        // One may come of the other; what was sent is looked at in any case, so that the next step is judged by its own.
        let whole = bench.were_whole().await;
        done = done.and(whole);
    }
    done.map_err(|trouble| trouble.of(step.action.fails_by()))
}

/// Does steps again and again, and goes on after a look at what the guest lacks.
async fn do_repeat(bench: &mut Bench<'_, impl UnderTest>, repeat: &Repeat) -> Result<(), Trouble> {
    let mut unseen = None;
    let mut level = repeat.level.then(Level::default);
    for round in 1..=repeat.times {
        for inner in &repeat.steps {
            match Box::pin(do_step(bench, inner)).await {
                Err(trouble @ Trouble::Lacking { .. }) if leaves_all(inner) => {
                    unseen.get_or_insert(trouble);
                }
                done => done.map_err(|trouble| in_round(trouble, round, inner))?,
            }
        }
        if let Some(level) = &mut level {
            level.after(bench, round, repeat.times).await?;
        }
    }
    level.map_or(Ok(()), |level| level.judge())?;
    unseen.map_or(Ok(()), Err)
}

async fn do_look(bench: &mut Bench<'_, impl UnderTest>, look: &Look) -> Result<(), Trouble> {
    match look {
        Look::Read(read) => bench.read_file(read).await,
        Look::Log(log) => bench.log(log).await,
        Look::StorageCommands(commands) => bench.storage_commands(commands).await,
        Look::Assigned(assigned) => bench.assigned(assigned).await,
        Look::Notifiers(notifiers) => bench.notifiers(notifiers).await,
        Look::Uevents(uevents) => bench.uevents(uevents).await,
        Look::Node(node) => bench.node(node).await,
        Look::Pages(pages) => bench.pages(pages).await,
    }
}

/// Does a step that acts, and compares the guest's memory state with what the model predicts.
async fn do_act(bench: &mut Bench<'_, impl UnderTest>, act: &Act) -> Result<(), Trouble> {
    if !bench.is_drawn {
        bench.mark().await?;
        bench.mark_uevents().await?;
        bench.clear_probe().await?;
        bench.was_on = bench.online_blocks();
    }
    let looks = bench.guest.looks();
    let (op, exact) = match act {
        Act::Add(add) => (bench.add(add).await?, true),
        Act::Online(online) => (bench.online(online).await?, true),
        Act::Offline(offline) => (bench.offline(offline).await?, true),
        Act::Remove(remove) => (bench.remove(remove).await?, true),
        Act::Configure(configure) => (bench.configure(configure).await?, true),
        Act::Deconfigure(deconfigure) => (bench.deconfigure(deconfigure).await?, true),
        Act::Storage(storage) => (bench.storage(storage).await?, true),
        Act::Write(write) => (bench.write_file(write).await?, true),
        Act::AutoOnline(auto) => (bench.auto_online(auto).await?, true),
        Act::RefuseAssign(refuse) => (bench.refuse_assign(refuse).await?, true),
        Act::RefuseUnassign(refuse) => (bench.refuse_unassign(refuse).await?, true),
        // What follows starts or stops CPUs' own lists of pages, starts programs, loads modules or fills memory: the free pages move.
        Act::Veto(veto) => (bench.veto(veto).await?, false),
        Act::Busy(busy) => (bench.busy(busy).await?, false),
        Act::Hold(hold) => (bench.hold(hold).await?, false),
        Act::Free(free) => (bench.free(free).await?, false),
        Act::Pressure(pressure) => (bench.pressure(pressure).await?, false),
        Act::Load(load) => (bench.load(load).await?, false),
        Act::Cpu(cpu) => (bench.cpu(cpu).await?, false),
        Act::Guest(program) => (bench.program(program).await?, false),
        Act::Parallel(parallel) => (bench.parallel(parallel).await?, false),
    };
    let was_on = bench.online_blocks();
    // A guest that was looked at on its way has started programs for that.
    let exact = exact && bench.guest.looks() == looks;
    as_predicted(bench.observe(&op, exact).await?)?;
    // A step that holds pages has looked at them, and looking starts programs: what comes next is measured from there. Of many steps only those are
    // looked at that took a block away.
    let may_have_moved = match act {
        Act::Hold(_) => false,
        _ => !bench.is_drawn || !was_on.is_subset(&bench.online_blocks()),
    };
    if may_have_moved && bench.looks_at_held().await? {
        as_predicted(bench.observe(&Op::Nothing, false).await?)?;
    }
    Ok(())
}

/// Whether nothing differs from the prediction.
fn as_predicted(mismatches: Vec<Mismatch>) -> Result<(), Trouble> {
    let Some(first) = mismatches.first() else {
        return Ok(());
    };
    let message = format!(
        "{} of the guest's memory state {} not as predicted, first {}: predicted {}, seen {}",
        match mismatches.len() {
            1 => "1 entry".to_owned(),
            n => format!("{n} entries"),
        },
        if mismatches.len() == 1 { "is" } else { "are" },
        first.counter,
        first.predicted,
        first.seen
    );
    Err(Trouble::mismatch(message, mismatches).of(FailureKind::Mismatch))
}

/// Tells in which round of a repetition a step did not pass.
fn in_round(trouble: Trouble, round: u32, step: &Step) -> Trouble {
    match trouble {
        // A fact about the guest is so in every round.
        Trouble::Lacking { .. } => trouble,
        _ => trouble.told(|message| format!("round {round}, `{step}`: {message}")),
    }
}

fn looks_at_notifiers(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.action {
        Action::Look(Look::Notifiers(_)) => true,
        action => looks_at_notifiers(action.within()),
    })
}

/// Findings of booting are the kernel's too.
fn at_boot(case: &Case, guest: &impl UnderTest, outcome: &mut AttemptOutcome) -> Result<(), Trouble> {
    let text = guest.console();
    let found = findings_of(guest, &text, None, case);
    let trouble = found.trouble(", while booting");
    outcome.take(found);
    trouble.map_or(Ok(()), Err)
}

fn findings_since(guest: &impl UnderTest, console: usize, step: u32, case: &Case) -> Found {
    let text = guest.said();
    let since = text.get(console..).unwrap_or(&text);
    findings_of(guest, since, Some(step), case)
}

fn step_record(
    step: &Step,
    number: u32,
    took: Duration,
    trouble: Option<&Trouble>,
    ledger: u32,
    subcases: Vec<SubcaseRecord>,
    said: Vec<String>,
) -> StepRecord {
    let mismatches = match trouble {
        Some(Trouble::Kernel { mismatches, .. }) => mismatches.iter().map(MismatchRecord::from).collect(),
        _ => Vec::new(),
    };
    StepRecord {
        number,
        line: step.line as u32,
        text: step.to_string(),
        verdict: trouble.map_or(Verdict::Pass, Trouble::verdict),
        seconds: seconds(took),
        message: trouble.map(|trouble| trouble.message().to_owned()),
        mismatches,
        subcases,
        said,
        ledger: Some(ledger),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use suite::Suite;

    #[test]
    fn only_what_looks_can_be_left_out() {
        let text = "\
suite: looks
about: steps that look and steps that act
cases:
  - id: L1
    name: one of each
    steps:
      - add: { as: b }
      - pages: { block: b, memmap: altmap }
      - notifiers: { are: [MEM_ONLINE] }
      - repeat: { times: 2, steps: [{ pages: { block: b, memmap: altmap } }] }
      - repeat: { times: 2, steps: [{ online: { block: b } }, { offline: { block: b } }] }
      - guest: { run: 'true', ktap: true }
";
        let suite = Suite::parse("looks.yaml", text).unwrap_or_else(|errors| panic!("{errors}"));
        let left: Vec<bool> = suite.cases[0].steps.iter().map(leaves_all).collect();
        assert_eq!(left, [false, true, true, true, false, false]);
    }
}
