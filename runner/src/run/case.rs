// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a case: boot a guest, look at it, do the steps, check after each, read the log, judge.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    bench::Bench,
    inside,
    log::{findings, whole_log},
    needs,
    plan::Job,
    rounds::{again, how_often},
    stage::{Origin, Stage},
    trouble::{Trouble, end_of},
};
use crate::{
    base::fault::Verdict,
    memory::{FACTS_SCRIPT, Ledger, MemoryFacts, Op, SYMBOLS_SCRIPT},
    record::{
        Attempt, CaseFolder, CaseRecord, Event, FindingRecord, GuestEnd, LedgerEntry, MismatchRecord,
        ObservedCase, Seconds, StepRecord, SubcaseRecord,
    },
    rig::{
        guest::Guest,
        machine::End,
        qemu::standby::{self, property},
    },
    suite::{Action, Case, Known, Step},
};

/// How long one thing in the guest may take where the suite does not say, before the factor of the guest's speed.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// Lines of the log that a report shows.
const EXCERPT_LINES: usize = 40;

/// How long one thing in the guest of a case may take.
fn limit(case: &Case, guest: &Guest) -> Duration {
    let limit = case.time_limit.map_or(STEP_LIMIT, |limit| limit.duration());
    guest.speed.scale(limit)
}

/// What became of a case in one attempt.
struct Tale {
    trouble: Option<Trouble>,
    steps: Vec<StepRecord>,
    findings: Vec<FindingRecord>,
    facts: serde_json::Value,
    ended: Option<GuestEnd>,
    command_line: String,
    log: String,
    release: Option<String>,
    observed: Option<ObservedCase>,
}

impl Tale {
    fn new() -> Self {
        Self {
            trouble: None,
            steps: Vec::new(),
            findings: Vec::new(),
            facts: serde_json::Value::Null,
            ended: None,
            command_line: String::new(),
            log: String::new(),
            release: None,
            observed: None,
        }
    }

    fn verdict(&self) -> Verdict {
        self.trouble.as_ref().map_or(Verdict::Pass, Trouble::verdict)
    }
}

/// Runs a case to its verdict. An error is tried once more on a fresh guest, and a failure twice, to tell always from sometimes.
pub(super) async fn run(job: &Job, stage: &Stage) -> CaseRecord {
    let started = Instant::now();
    let skip = job
        .skip
        .clone()
        .or_else(|| needs::generation(job.case(), stage.generation(job)?));
    if let Some(reason) = &skip {
        return record(
            job,
            Tale {
                trouble: Some(Trouble::Lacking {
                    message: reason.clone(),
                }),
                ..Tale::new()
            },
            Vec::new(),
            started,
            stage,
        );
    }
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut decided: Option<Tale> = None;
    loop {
        let number = attempts.len() as u32 + 1;
        let began = Instant::now();
        stage.note(&Event::CaseStarted {
            key: job.key.clone(),
            name: job.case().name.clone(),
            suite_file: job.suite.file.clone(),
            line: job.case().line as u32,
            attempt: number,
        });
        // What broke may be the clone's fault.
        let origin = match attempts.last() {
            Some(last) if last.verdict == Verdict::Error => Origin::Boot,
            _ => Origin::Clone,
        };
        let tale = match stage.folder.case(&job.key, number) {
            Ok(folder) => attempt(job, stage, &folder, origin).await,
            Err(error) => Tale {
                trouble: Some(Trouble::bench(chain(&error))),
                ..Tale::new()
            },
        };
        attempts.push(Attempt {
            verdict: tale.verdict(),
            reason: tale.trouble.as_ref().map(|trouble| trouble.message().to_owned()),
            seconds: seconds(began.elapsed()),
        });
        let known = known(job, &tale, stage).is_some();
        let lasting = tale.trouble.as_ref().is_some_and(Trouble::is_lasting);
        // Where kernels are compared, a failure is a difference or none; the other pair tells how often.
        let again = again(&attempts, known || stage.watch, lasting) && !stage.stop.is_asked();
        // The last of those with the verdict that counts is told of.
        if decided
            .as_ref()
            .is_none_or(|decided| decided.verdict() != Verdict::Fail || tale.verdict() == Verdict::Fail)
        {
            decided = Some(tale);
        }
        if !again {
            return record(job, decided.unwrap_or_else(Tale::new), attempts, started, stage);
        }
    }
}

/// The listed issue that a case fails by, if it fails.
fn known<'a>(job: &'a Job, tale: &Tale, stage: &Stage) -> Option<&'a Known> {
    let release = match &tale.release {
        Some(release) => release,
        None => stage.kernel(job).release_or_unknown(),
    };
    job.case()
        .known
        .iter()
        .find(|known| known.applies(release, job.key.arch, &job.variant))
}

/// One attempt: everything between two guests.
async fn attempt(job: &Job, stage: &Stage, folder: &CaseFolder, origin: Origin) -> Tale {
    let mut tale = Tale::new();
    let booted = tokio::select! {
        booted = stage.guest(job, folder, origin) => booted,
        () = stage.stop.asked() => Err(Trouble::bench(INTERRUPTED)),
    };
    let (guest, origin) = match booted {
        Ok(guest) => guest,
        Err(trouble) => {
            tale.log = fs_err::read_to_string(folder.console_log()).unwrap_or_else(|_| String::new());
            tale.findings = findings(&tale.log, None, job.case());
            tale.command_line = stage.by_hand_of(job);
            tale.ended = Some(trouble.guest_end().cloned().unwrap_or(GuestEnd::NotReady));
            tale.trouble = Some(trouble);
            return tale;
        }
    };
    tale.command_line = stage.by_hand(&guest);
    let mut ledgers = Vec::new();
    let done = tokio::select! {
        done = steps(job, stage, (&guest, origin), &mut tale, &mut ledgers) => done,
        () = stage.stop.asked() => Err(Trouble::bench(INTERRUPTED)),
    };
    tale.trouble = done.err();
    read_log(job.case(), &guest, folder, &mut tale).await;
    if let Err(error) = folder.write_ledgers(&ledgers) {
        tale.trouble.get_or_insert(Trouble::bench(chain(&error)));
    }
    if let Some(observed) = &tale.observed
        && let Err(error) = folder.write_observed(observed)
    {
        tale.trouble.get_or_insert(Trouble::bench(chain(&error)));
    }
    tale.ended = Some(ended(guest.machine.end(), tale.trouble.as_ref()));
    guest.stop().await;
    tale
}

/// Why a case that somebody interrupted has no verdict.
pub(super) const INTERRUPTED: &str = "interrupted";

/// Looks at the guest, checks that the case means something on it, and does the steps.
async fn steps(
    job: &Job,
    stage: &Stage,
    (guest, origin): (&Guest, Origin),
    tale: &mut Tale,
    ledgers: &mut Vec<LedgerEntry<Ledger>>,
) -> Result<(), Trouble> {
    let case = job.case();
    let limit = limit(case, guest);
    let text = facts(job, stage, guest, origin, limit).await?;
    let increment = match job.key.arch {
        crate::base::Arch::S390x => {
            let size = guest
                .machine
                .property(standby::PATH, property::INCREMENT_SIZE)
                .await;
            let size = size.map_err(|error| Trouble::bench(chain(&error)))?;
            size.as_u64().map(crate::base::ByteSize::bytes)
        }
        crate::base::Arch::X86_64 => None,
    };
    let facts = MemoryFacts::parse(&text, increment)
        .map_err(|error| Trouble::bench(format!("the guest's facts do not read: {error}")))?;
    tale.facts = json!(facts);
    tale.release = Some(facts.release.clone());
    stage.learn(job, &facts);
    needs::check(case, job, &facts, guest, limit).await?;
    at_boot(case, guest, tale)?;
    let cloned = (origin == Origin::Clone).then(|| (stage.templates(), stage.booted(job)));
    let at_rest = cloned
        .as_ref()
        .and_then(|(templates, booted)| templates.free_at_rest(booted));
    let mut bench = Bench::new(guest, facts, job.machine.memory, limit, at_rest).await?;
    if let Some((templates, booted)) = &cloned {
        templates.keep_free_at_rest(booted, bench.ledger.free);
    }
    bench.kernel = stage.kernel(job).label.clone();
    if stage.watch {
        let known = bench.watch(&stage.probe(job.kernel)).await?;
        stage.learn_probe(job.kernel, known);
    }
    let looks = looks_at_notifiers(&case.steps);
    if looks && bench.probe.is_none() {
        bench.arm_probe("").await?;
    }
    if looks {
        bench.prepares()?;
    }
    if looks || stage.watch {
        bench.observe(&Op::Nothing, false).await?;
    }
    let done = all_steps(job, stage, &mut bench, tale, ledgers).await;
    let (observed, asked) = bench.observed(done.is_ok()).await;
    tale.observed = observed;
    // What broke first counts.
    done.and(asked)
}

/// Does the steps, one after the other, up to the first that does not pass.
async fn all_steps(
    job: &Job,
    stage: &Stage,
    bench: &mut Bench<'_>,
    tale: &mut Tale,
    ledgers: &mut Vec<LedgerEntry<Ledger>>,
) -> Result<(), Trouble> {
    let (case, guest) = (job.case(), bench.guest);
    ledgers.push(LedgerEntry {
        step: None,
        at: stage.journal.now(),
        ledger: bench.ledger.clone(),
    });
    for (index, step) in case.steps.iter().enumerate() {
        let number = index as u32 + 1;
        stage.note(&Event::StepStarted {
            case: job.key.id(),
            number,
            text: step.to_string(),
        });
        let began = Instant::now();
        let console = guest.machine.console().text().len();
        let mut done = Box::pin(do_step(bench, step)).await;
        if !step.action.only_looks() {
            // A step that did not pass is the one to see; of a guest that is gone nothing can be seen.
            done = match (done, bench.look_around(Some(number)).await) {
                (Ok(()), seen) => seen,
                (done, _) => done,
            };
        }
        let since = findings_since(guest, console, number, case);
        let trouble = match (done, since.first()) {
            (Err(trouble), _) => Some(trouble),
            (Ok(()), Some(finding)) => Some(Trouble::kernel(format!(
                "the kernel log shows: {}",
                finding.title
            ))),
            (Ok(()), None) => None,
        };
        tale.findings.extend(since);
        ledgers.push(LedgerEntry {
            step: Some(number),
            at: stage.journal.now(),
            ledger: bench.ledger.clone(),
        });
        let record = step_record(
            step,
            number,
            began.elapsed(),
            trouble.as_ref(),
            ledgers.len() as u32 - 1,
            std::mem::take(&mut bench.subcases),
        );
        stage.note(&Event::StepFinished {
            case: job.key.id(),
            step: record.clone(),
        });
        tale.steps.push(record);
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
    }
    Ok(())
}

/// What the guest says about itself. Asking takes a second in a guest whose code is translated anew, so that one clone is asked for all, and
/// one guest for what is the kernel's.
async fn facts(
    job: &Job,
    stage: &Stage,
    guest: &Guest,
    origin: Origin,
    limit: Duration,
) -> Result<String, Trouble> {
    let booted = stage.booted(job);
    let kept = match origin {
        Origin::Clone => stage.templates().facts(&booted),
        Origin::Boot => None,
    };
    if let Some(facts) = kept {
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
    if origin == Origin::Clone {
        stage.templates().keep_facts(&booted, &facts);
    }
    Ok(facts)
}

/// Does one step and compares the guest's memory state with what the model predicts.
async fn do_step(bench: &mut Bench<'_>, step: &Step) -> Result<(), Trouble> {
    if let Action::Repeat(repeat) = &step.action {
        for round in 1..=repeat.times {
            for inner in &repeat.steps {
                Box::pin(do_step(bench, inner))
                    .await
                    .map_err(|trouble| in_round(trouble, round, inner))?;
            }
        }
        return Ok(());
    }
    if step.action.only_looks() {
        return match &step.action {
            Action::Read(read) => bench.read_file(read).await,
            Action::Log(log) => bench.log(log).await,
            Action::StorageCommands(commands) => bench.storage_commands(commands).await,
            Action::Assigned(assigned) => bench.assigned(assigned).await,
            Action::Notifiers(notifiers) => bench.notifiers(notifiers).await,
            Action::Uevents(uevents) => bench.uevents(uevents).await,
            Action::Pages(pages) => bench.pages(pages).await,
            _ => Err(Trouble::lasting("a step that looks has no eye")),
        };
    }
    bench.mark().await?;
    bench.mark_uevents().await?;
    bench.clear_probe().await?;
    let (op, exact) = match &step.action {
        Action::Add(add) => (bench.add(add).await?, true),
        Action::Online(online) => (bench.online(online).await?, true),
        Action::Offline(offline) => (bench.offline(offline).await?, true),
        Action::Remove(remove) => (bench.remove(remove).await?, true),
        Action::Configure(configure) => (bench.configure(configure).await?, true),
        Action::Deconfigure(deconfigure) => (bench.deconfigure(deconfigure).await?, true),
        Action::Storage(storage) => (bench.storage(storage).await?, true),
        Action::Write(write) => (bench.write_file(write).await?, true),
        Action::AutoOnline(auto) => (bench.auto_online(auto).await?, true),
        Action::RefuseAssign(refuse) => (bench.refuse_assign(refuse).await?, true),
        // What follows starts programs, loads modules or fills memory: the free pages move.
        Action::Veto(veto) => (bench.veto(veto).await?, false),
        Action::Busy(busy) => (bench.busy(busy).await?, false),
        Action::Free(free) => (bench.free(free).await?, false),
        Action::Guest(program) => (bench.program(program).await?, false),
        _ => return Err(Trouble::lasting("a step that acts has no hand")),
    };
    let mismatches = bench.observe(&op, exact).await?;
    if mismatches.is_empty() {
        return Ok(());
    }
    let first = &mismatches[0];
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
    Err(Trouble::Kernel { message, mismatches })
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
        Action::Notifiers(_) => true,
        Action::Repeat(repeat) => looks_at_notifiers(&repeat.steps),
        _ => false,
    })
}

/// Findings of booting are the kernel's too.
fn at_boot(case: &Case, guest: &Guest, tale: &mut Tale) -> Result<(), Trouble> {
    tale.findings = findings(&guest.machine.console().text(), None, case);
    match tale.findings.first() {
        Some(finding) => Err(Trouble::kernel(format!(
            "the kernel log shows, while booting: {}",
            finding.title
        ))),
        None => Ok(()),
    }
}

fn findings_since(guest: &Guest, console: usize, step: u32, case: &Case) -> Vec<FindingRecord> {
    let text = guest.machine.console().text();
    findings(text.get(console..).unwrap_or(&text), Some(step), case)
}

/// Keeps the kernel's log, from the guest where it lives and from the console where it does not, and finds what was not seen yet.
async fn read_log(case: &Case, guest: &Guest, folder: &CaseFolder, tale: &mut Tale) {
    let console = guest.machine.console().text();
    tale.log = console;
    if guest.machine.end().is_none() {
        match whole_log(inside::exec(guest, "dmesg", limit(case, guest)).await) {
            Ok(log) => tale.log = log,
            Err(trouble) => {
                tale.trouble.get_or_insert(trouble);
            }
        }
    }
    if let Err(error) = fs_err::write(folder.dmesg_log(), &tale.log) {
        tale.trouble.get_or_insert(Trouble::bench(error.to_string()));
    }
    for finding in findings(&tale.log, None, case) {
        if tale.findings.iter().all(|known| known.title != finding.title) {
            tale.trouble.get_or_insert(Trouble::kernel(format!(
                "the kernel log shows: {}",
                finding.title
            )));
            tale.findings.push(finding);
        }
    }
}

/// What was found when the guest did not answer, else how its machine ended.
fn ended(end: Option<End>, trouble: Option<&Trouble>) -> GuestEnd {
    let found = trouble.and_then(Trouble::guest_end).cloned();
    found
        .or_else(|| end.as_ref().map(end_of))
        .unwrap_or(GuestEnd::Stopped)
}

fn step_record(
    step: &Step,
    number: u32,
    took: Duration,
    trouble: Option<&Trouble>,
    ledger: u32,
    subcases: Vec<SubcaseRecord>,
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
        ledger: Some(ledger),
    }
}

/// Makes the record, and turns a failure that is known into `known`.
fn record(job: &Job, tale: Tale, attempts: Vec<Attempt>, started: Instant, stage: &Stage) -> CaseRecord {
    let case = job.case();
    let mut verdict = tale.verdict();
    let mut reason = tale.trouble.as_ref().map(|trouble| trouble.message().to_owned());
    if let (Some(often), Some(reason)) = (how_often(&attempts), &mut reason) {
        *reason = format!("{reason} [{often}]");
    }
    let known = known(job, &tale, stage);
    match (known, verdict) {
        (Some(known), Verdict::Fail) => {
            verdict = Verdict::Known;
            reason = Some(match reason {
                Some(seen) => format!("{}: {seen}", known.reason),
                None => known.reason.clone(),
            });
        }
        (Some(known), Verdict::Pass) => {
            reason = Some(format!("passes although it is listed as known: {}", known.reason))
        }
        _ => {}
    }
    if verdict == Verdict::Skip && stage.require_all {
        verdict = Verdict::Error;
        reason = reason.map(|reason| format!("skipped, and all cases are required: {reason}"));
    }
    let log_excerpt = if matches!(verdict, Verdict::Pass | Verdict::Skip) {
        String::new()
    } else {
        excerpt(&tale)
    };
    CaseRecord {
        key: job.key.clone(),
        name: case.name.clone(),
        suite_file: job.suite.file.clone(),
        line: case.line as u32,
        verdict,
        reason,
        attempts,
        seconds: seconds(started.elapsed()),
        steps: tale.steps,
        findings: tale.findings,
        command_line: tale.command_line,
        ended: tale.ended,
        facts: tale.facts,
        log_excerpt,
        known: known.map(|known| known.reason.clone()),
    }
}

/// The lines of the log that a reader needs first: those of the first finding, or the last ones.
fn excerpt(tale: &Tale) -> String {
    if let Some(finding) = tale.findings.first() {
        return finding.lines.join("\n");
    }
    let lines: Vec<&str> = tale.log.lines().collect();
    lines[lines.len().saturating_sub(EXCERPT_LINES)..].join("\n")
}

fn seconds(duration: Duration) -> Seconds {
    Seconds::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
