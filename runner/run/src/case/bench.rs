// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest on the bench: what is known of it, and how it is looked at.
//!
//! The bench owns the model and the last ledger. Steps act through it, and after each of them it reads the guest's memory state
//! and compares it with what the model predicts.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use super::{
    guest::UnderTest, hold::Held, hypervisor::hypervisor, inside, notifiers, notifiers::Armed, sweep::Fault,
    trouble::Trouble, watch::Watch,
};
use base::{Arch, Errno, Pages};
use format::klog;
use memory::{
    Attribute, BlockId, BlockState, LEDGER_END, LEDGER_SCRIPT, Ledger, MemoryFacts, Mismatch, Model, Op,
    compare,
};
use record::SubcaseRecord;
use suite::{BlockName, BlockRef, CaseMachine, File, RefuseAssign, Working};
use supply::tree::Origin;
use vm::guest::Output;

/// Blocks that a step named.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// The blocks, ascending. They keep their numbers after they are removed.
    pub(super) blocks: Vec<BlockId>,
    /// The DIMMs that made them: QEMU's id of each, and its blocks.
    pub(super) dimms: Vec<(String, Vec<BlockId>)>,
    /// They were removed: others may take their place, and what they did can still be looked at.
    pub(super) gone: bool,
}

/// What scripts printed, as it came.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Lines that a record keeps of what scripts printed.
const SAID_LINES: usize = 20;
/// Characters of such a line.
const SAID_WIDTH: usize = 200;

impl Said {
    /// The last lines of stdout, and behind them those of stderr.
    pub(super) fn tail(&self) -> Vec<String> {
        let [out, errors] = [&self.stdout, &self.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        let lines: Vec<&str> = out
            .lines()
            .chain(errors.lines())
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(SAID_LINES)..]
            .iter()
            .map(|line| line.chars().take(SAID_WIDTH).collect())
            .collect()
    }
}

/// A guest under test.
pub(super) struct Bench<'a, G> {
    pub(super) guest: &'a G,
    pub(super) facts: MemoryFacts,
    /// The machine, as the case has it.
    pub(super) machine: CaseMachine,
    pub(super) model: Model,
    /// The last ledger that was read.
    pub(super) ledger: Ledger,
    /// How far the free pages have gone from the predictions since the guest was last at rest: what was seen less what was predicted, over
    /// all steps since.
    drift: Pages,
    pub(super) names: BTreeMap<BlockName, Named>,
    /// The blocks of the memory that the guest booted with.
    pub(super) at_boot: BTreeSet<BlockId>,
    /// DIMMs plugged so far, for their ids.
    pub(super) dimms: u32,
    /// The notifier probe, where the case has one.
    pub(super) probe: Option<Armed>,
    /// What is watched beside the ledger, where kernels are compared.
    pub(super) watch: Option<Watch>,
    /// The allocation of a write that fails, within a sweep.
    pub(super) fault: Option<Fault>,
    /// Pages that are held, by the names of the steps.
    pub(super) held: BTreeMap<BlockName, Held>,
    /// Who is at work in the guest.
    pub(super) load: Vec<Working>,
    /// Memory was taken, so that the kernel reclaims.
    pub(super) under_pressure: bool,
    /// Priority with which the notifier error injection was loaded.
    pub(super) injection: Option<i32>,
    /// Storage commands up to this number came before the last step that acts; of steps that are drawn, before they were looked at last.
    pub(super) commands_since: u64,
    /// Which of those that ask for storage QEMU refuses.
    pub(super) refuses_assign: RefuseAssign,
    /// It takes no storage back.
    pub(super) keeps_storage: bool,
    /// When they were looked at last, blocks that do not use their storage had some.
    pub(super) storage_was_left: bool,
    /// Length of the console's log, in bytes, when the last ledger was read.
    pub(super) console_since: usize,
    /// The trace of the probe when the last ledger was read, where each step is judged by its notifications.
    pub(super) trace: String,
    /// How many notifications in it were looked at.
    pub(super) notified: usize,
    /// The blocks that were online before the last step that acts; of steps that are drawn, when notifications were looked at last.
    pub(super) was_on: BTreeSet<BlockId>,
    /// Length of the uevent log, in bytes, before the last step that acts.
    pub(super) uevents_since: usize,
    /// Kinds of operations that were done in this guest.
    pub(super) kinds: BTreeSet<&'static str>,
    /// The kernel's source, where it is known.
    pub(super) origin: Option<Origin>,
    /// The folder of the suite's file.
    pub(super) beside: PathBuf,
    /// Tests that programs reported since the step began.
    pub(super) subcases: Vec<SubcaseRecord>,
    /// What scripts of the suite printed since the step began.
    pub(super) said: Said,
    /// Its steps are drawn: none of them looks back at what the one before it did, and that pages are in use is an answer, since nobody said what
    /// the guest does with them.
    pub(super) is_drawn: bool,
    /// The last step was refused since pages are in use.
    pub(super) was_busy: bool,
    /// The pages that the last step was to hold, and let go: some came to lie where nobody asked for them.
    pub(super) lay_elsewhere: Option<BlockName>,
    /// The errnos with which notifications are refused now.
    pub(super) vetoed: Vec<Errno>,
    /// How long one thing in the guest may take.
    pub(super) limit: Duration,
}

/// How many pages the first operation of a kind, or the first pages of a zone, may take from the free ones for good, beside what the model allows.
///
/// Seen on Debian 6.12 and 7.2, s390x: 36 to 88 pages less after the first online or configure in a guest, and at most 15 after the second
/// and later ones. A memmap is 512 pages or more, so that it cannot hide in this.
const FIRST_TIME: Pages = Pages(96);

impl<'a, G: UnderTest> Bench<'a, G> {
    /// Reads the first ledger and starts the model from it. `at_rest` are the free pages that a guest like this one had when it had settled.
    pub(super) async fn new(
        guest: &'a G,
        facts: MemoryFacts,
        machine: &CaseMachine,
        limit: Duration,
        at_rest: Option<Pages>,
    ) -> Result<Self, Trouble> {
        let Seen { ledger, .. } = settled(guest, facts.arch, limit, at_rest, None).await?;
        let model = Model::new(facts.clone(), &ledger);
        // The standby blocks of s390x may be there from boot on, and are not of its memory.
        let first_standby = match facts.arch {
            Arch::S390x => machine.memory.as_bytes() / facts.block_size.as_bytes(),
            Arch::X86_64 => u64::MAX,
        };
        let blocks = ledger.blocks.keys().copied();
        let at_boot = blocks.filter(|block| block.0 < first_standby).collect();
        let mut bench = Self {
            guest,
            facts,
            machine: machine.clone(),
            model,
            ledger,
            drift: Pages(0),
            names: BTreeMap::new(),
            at_boot,
            dimms: 0,
            probe: None,
            watch: None,
            fault: None,
            held: BTreeMap::new(),
            load: Vec::new(),
            under_pressure: false,
            injection: None,
            commands_since: 0,
            refuses_assign: RefuseAssign::Off,
            keeps_storage: false,
            storage_was_left: false,
            console_since: guest.console().len(),
            uevents_since: 0,
            kinds: BTreeSet::new(),
            origin: None,
            beside: PathBuf::new(),
            subcases: Vec::new(),
            said: Said::default(),
            is_drawn: false,
            was_busy: false,
            lay_elsewhere: None,
            trace: String::new(),
            notified: 0,
            was_on: BTreeSet::new(),
            vetoed: Vec::new(),
            limit,
        };
        bench.mark().await?;
        Ok(bench)
    }

    /// Whether QEMU has standby memory for the guest.
    pub(super) fn has_standby(&self) -> bool {
        self.facts.arch == Arch::S390x
    }

    /// The guest's memory state as it is now.
    pub(super) async fn seen(&self) -> Result<Ledger, Trouble> {
        let seen = read(self.guest, self.facts.arch, self.limit, None).await?;
        Ok(seen.ledger)
    }

    /// What is read together with a ledger, by the same question to the guest.
    fn beside(&self) -> Option<&'static str> {
        (self.is_drawn && self.probe.is_some()).then_some(notifiers::READ)
    }

    /// Runs a script in the guest; only a broken guest is an error, not the script's exit code.
    pub(super) async fn exec(&self, script: &str) -> Result<Output, Trouble> {
        inside::exec(self.guest, script, self.limit).await
    }

    /// Runs a script that must succeed, and returns what it printed.
    pub(super) async fn exec_ok(&self, what: &str, script: &str) -> Result<String, Trouble> {
        let output = self.exec(script).await?;
        if output.code != 0 {
            let said = String::from_utf8_lossy(&output.stderr);
            let message = format!(
                "{what}: the script ended with {}: {}",
                output.code,
                said.trim_end()
            );
            // The shell's words for a program, and modprobe's for a module, that the guest's image has not.
            return Err(if said.contains("not found") {
                Trouble::lasting(message)
            } else {
                Trouble::bench(message)
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The blocks that a reference means.
    pub(super) fn blocks(&self, of: &BlockRef) -> Result<Vec<BlockId>, Trouble> {
        if of.name.is_boot() {
            let block = of.index.map(|index| BlockId(u64::from(index)));
            return match block.filter(|block| self.at_boot.contains(block)) {
                Some(block) => Ok(vec![block]),
                None => Err(Trouble::Lacking {
                    message: format!(
                        "needs {of} to be memory at boot, and that is {}",
                        self.shown_at_boot()
                    ),
                }),
            };
        }
        let named = self.names.get(&of.name).ok_or_else(|| {
            Trouble::lasting(format!("no step before this one added blocks named {}", of.name))
        })?;
        match of.index {
            None => Ok(named.blocks.clone()),
            Some(index) => named
                .blocks
                .get(index as usize)
                .map(|block| vec![*block])
                .ok_or_else(|| {
                    Trouble::bench(format!(
                        "{} has only {} blocks, counted from 0",
                        of.name,
                        named.blocks.len()
                    ))
                }),
        }
    }

    /// The blocks of the memory at boot, from the first to the last.
    fn shown_at_boot(&self) -> String {
        let name =
            |block: Option<&BlockId>| block.map_or_else(String::new, |block| format!("memory{}", block.0));
        format!("{} to {}", name(self.at_boot.first()), name(self.at_boot.last()))
    }

    /// Gives blocks a name; `more` are added to those that have it already.
    pub(super) fn named(&mut self, name: &BlockName, blocks: &[BlockId], dimm: Option<String>, more: bool) {
        let dimm = dimm.map(|id| (id, blocks.to_vec()));
        match self.names.get_mut(name).filter(|_| more) {
            Some(named) => {
                named.blocks.extend(blocks);
                named.dimms.extend(dimm);
            }
            None => {
                let named = Named {
                    blocks: blocks.to_vec(),
                    dimms: dimm.into_iter().collect(),
                    gone: false,
                };
                self.names.insert(name.clone(), named);
            }
        }
    }

    /// The paths that a file of a step means, each with its block, where it is a block's.
    pub(super) fn targets(&self, file: &File) -> Result<Vec<(Option<BlockId>, String)>, Trouble> {
        match file {
            File::Path(path) => Ok(vec![(None, path.clone())]),
            File::OfBlock { block, file } => {
                let path = |block| (Some(block), Attribute::block_file(block, file));
                Ok(self.blocks(block)?.into_iter().map(path).collect())
            }
        }
    }

    /// The numbers of the storage increments that a block consists of, ascending. Increment n starts at (n - 1) times its size.
    pub(super) fn increments(&self, block: BlockId) -> Result<Vec<u32>, Trouble> {
        match self.facts.increment {
            Some(_) => Ok(self.facts.increments(block).collect()),
            None => Err(Trouble::bench("the machine has no increments")),
        }
    }

    /// Whether an operation is of a kind that was not done before in this guest.
    fn is_first(&mut self, op: &Op) -> bool {
        match op {
            // Every one of them is remembered, also after the first that is new.
            Op::Several(ops) => ops.iter().filter(|op| self.is_first(op)).count() > 0,
            Op::Add { .. } => self.kinds.insert("add"),
            Op::Online { .. } => self.kinds.insert("online"),
            Op::Offline { .. } => self.kinds.insert("offline"),
            Op::Remove { .. } => self.kinds.insert("remove"),
            _ => false,
        }
    }

    /// What of the console was said since the memory state was read last.
    pub(super) fn since<'c>(&self, console: &'c str) -> &'c str {
        console.get(self.console_since..).unwrap_or(console)
    }

    /// The blocks that are online.
    pub(super) fn online_blocks(&self) -> BTreeSet<BlockId> {
        let blocks = self.ledger.blocks.iter();
        let on = blocks.filter(|(_, block)| block.state == BlockState::Online);
        on.map(|(id, _)| *id).collect()
    }

    /// Reads the ledger after `op`, compares it with what the model predicts, and takes it as the state from here on.
    ///
    /// `exact` says whether the free pages can be predicted: a step that starts programs or fills memory moves them.
    pub(super) async fn observe(&mut self, op: &Op, exact: bool) -> Result<Vec<Mismatch>, Trouble> {
        let first = self.is_first(op);
        let busy = !self.load.is_empty();
        let exact = exact && !busy;
        let mut left = SETTLE;
        let mut foreseen = None;
        loop {
            // After a step that starts programs, the next one is measured from where the guest has come to rest. It does not while others are at work.
            let (guest, arch, limit, beside) = (self.guest, self.facts.arch, self.limit, self.beside());
            let Seen { ledger: seen, beside } = if exact || busy {
                read(guest, arch, limit, beside).await?
            } else {
                settled(guest, arch, limit, None, beside).await?
            };
            let (op, predicted) = match (op, foreseen.take()) {
                (_, Some(foreseen)) => foreseen,
                // Which of its blocks did not go offline shows in what is seen.
                (Op::UnplugRefused { blocks, .. }, None) => {
                    let op = self.model.unplug_refused(&self.ledger, &seen, blocks);
                    let predicted = self.model.predict(&self.ledger, &op);
                    (op, predicted)
                }
                (op, None) => (op.clone(), self.model.predict(&self.ledger, op)),
            };
            let mut tolerance = predicted.tolerance(&self.ledger, &op);
            if let Some(free) = &mut tolerance.free {
                if first || populates(&self.ledger, &predicted.ledger) {
                    free.below = free.below + FIRST_TIME;
                }
                *free = free.after(self.drift);
                if self.under_pressure {
                    *free = free.reclaiming();
                }
            }
            if !exact {
                tolerance.free = None;
            }
            // What the log tells is judged by the suite's own words, whatever it leaves behind.
            let console = self.guest.console();
            tolerance.taint = klog::classify(self.since(&console).as_bytes()).is_empty();
            let mismatches = compare(&self.ledger, &predicted.ledger, &seen, tolerance);
            // What the guest does on its own (freeing in the background, other CPUs' lists) settles; what an operation did stays.
            if mismatches.is_empty() || left == 0 {
                self.drift = if exact {
                    self.drift + (seen.free - predicted.ledger.free)
                } else {
                    Pages(0)
                };
                self.model = predicted.model;
                self.ledger = seen;
                self.trace = beside;
                self.console_since = console.len();
                return Ok(mismatches);
            }
            left -= 1;
            foreseen = (!matches!(op, Op::UnplugRefused { .. })).then_some((op, predicted));
            self.guest.rest(Duration::from_millis(200)).await;
        }
    }
}

impl<G: UnderTest> Bench<'_, G> {
    /// Takes the guest's memory state as it is, after a step that is known not to come to what the model predicts.
    pub(super) async fn takes_what_is_there(&mut self) -> Result<(), Trouble> {
        // What differs was told when the step failed.
        self.observe(&Op::Nothing, false).await?;
        if self.is_drawn {
            self.clear_probe().await?;
            self.pass_commands().await?;
            self.was_on = self.online_blocks();
        }
        Ok(())
    }
}

/// Whether a zone has pages afterwards that had none before.
fn populates(before: &Ledger, after: &Ledger) -> bool {
    let present = |ledger: &Ledger, zone| ledger.zones.get(zone).is_some_and(|zone| zone.present.0 > 0);
    after
        .zones
        .keys()
        .any(|zone| present(after, zone) && !present(before, zone))
}

/// How far two readings of the free pages may be apart, in pages, for the guest to count as settled: of the 32 that a step may move unseen, a step
/// that does nothing moves 15.
const AT_REST: i64 = 12;

/// How often the first ledger is read until the guest has settled. A guest that never does is taken as it is.
const SETTLE_FIRST: u32 = 15;

/// Reads the ledger until what booting left to be done no longer moves the free pages. Seen: 91 pages on Debian 7.2, x86_64, within a step that
/// does nothing. One reading is enough where the free pages are as many as those `at_rest`.
async fn settled(
    guest: &impl UnderTest,
    arch: Arch,
    limit: Duration,
    at_rest: Option<Pages>,
    beside: Option<&str>,
) -> Result<Seen, Trouble> {
    let mut last = read(guest, arch, limit, beside).await?;
    if at_rest.is_some_and(|free| (last.ledger.free - free).abs().0 <= AT_REST) {
        return Ok(last);
    }
    for _ in 0..SETTLE_FIRST {
        guest.rest(Duration::from_millis(100)).await;
        let now = read(guest, arch, limit, beside).await?;
        let moved = (now.ledger.free - last.ledger.free).abs().0;
        last = now;
        if moved <= AT_REST {
            break;
        }
    }
    Ok(last)
}

/// How often a ledger that differs is read again before the difference counts.
const SETTLE: u32 = 3;

/// What one look at a guest shows.
struct Seen {
    ledger: Ledger,
    /// What was printed beside it.
    beside: String,
}

/// Reads the whole memory state: one command in the guest, and a question or two to QEMU. `beside` is a script whose output comes with it.
async fn read(
    guest: &impl UnderTest,
    arch: Arch,
    limit: Duration,
    beside: Option<&str>,
) -> Result<Seen, Trouble> {
    let script: Vec<&str> = std::iter::once(LEDGER_SCRIPT).chain(beside).collect();
    let output = inside::exec(guest, &script.join("\n"), limit).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let hypervisor = hypervisor(guest, arch).await?;
    let how_it_ended = || {
        let said = output.error_text();
        let colon = if said.is_empty() { "" } else { ": " };
        format!("exit code {}{colon}{}", output.code, said.trim_end())
    };
    let ledger = Ledger::parse(&text, hypervisor).map_err(|error| {
        Trouble::bench(format!(
            "the guest's memory state does not read: {error} ({})",
            how_it_ended()
        ))
    })?;
    if let Some(beside) = beside
        && output.code != 0
    {
        return Err(Trouble::bench(format!(
            "`{beside}` did not print all beside the memory state ({})",
            how_it_ended()
        )));
    }
    // A ledger that reads has its last line.
    let beside = text.split_once(LEDGER_END).map_or("", |(_, beside)| beside);
    Ok(Seen {
        ledger,
        beside: beside.to_owned(),
    })
}
