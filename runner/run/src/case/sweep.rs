// SPDX-License-Identifier: MIT OR Apache-2.0
//! Doing steps with each of their allocations failing once.

use super::{
    bench::Bench,
    guest::UnderTest,
    steps::do_step,
    trouble::{Trouble, expect},
};
use base::Errno;
use format::klog;
use memory::Mismatch;
use suite::{FailureKind, Step, Sweep};

/// Most rounds of a sweep. Going online takes some dozens of allocations, and each round seconds.
const MOST: u32 = 2000;

/// What a script ends with where the kernel cannot let allocations fail.
const ABSENT: u8 = 3;

/// Lets allocations fail that may wait, and pages of every order; which of them, and of which task, `/proc/self/fail-nth` says
/// (Documentation/fault-injection/fault-injection.rst). Pages of processes are left out: the shell's own would count.
const READY: &str = "cd /sys/kernel/debug 2>/dev/null && [ -e /proc/self/fail-nth ] && [ -d failslab ] && [ -d fail_page_alloc ] || exit 3
for kind in failslab fail_page_alloc; do echo N > $kind/ignore-gfp-wait || exit 1; done
echo 0 > fail_page_alloc/min-order";

/// An allocation that fails.
#[derive(Debug)]
pub(super) struct Fault {
    at: At,
    /// Errnos that a write may return for it, beside ENOMEM.
    fails: Vec<Errno>,
    /// A write was refused for it.
    refused: bool,
    /// That write is still to be done again.
    again: bool,
}

/// When it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// After so many allocations less one, in a write that is still to come.
    Ahead(u32),
    /// In the last write.
    Now,
    /// In an earlier one.
    Past,
}

impl Fault {
    fn new(nth: u32, fails: &[Errno]) -> Self {
        Self {
            at: At::Ahead(nth),
            fails: fails.to_vec(),
            refused: false,
            again: false,
        }
    }

    /// How many allocations of the next write it takes; `None` if it was in one before.
    pub(super) fn ahead(&self) -> Option<u32> {
        match self.at {
            At::Ahead(nth) => Some(nth),
            At::Now | At::Past => None,
        }
    }

    /// A write is done, after which it is so many allocations ahead: none if one failed.
    pub(super) fn is_left(&mut self, nth: u32) {
        self.at = if nth == 0 { At::Now } else { At::Ahead(nth) };
    }

    /// Whether a write was taken; one in which the allocation failed may be refused for that.
    pub(super) fn expect(&mut self, what: &str, got: Result<(), Errno>) -> Result<bool, Trouble> {
        let now = self.at == At::Now;
        if now {
            self.at = At::Past;
        }
        match got {
            Err(errno) if now && (errno == Errno::ENOMEM || self.fails.contains(&errno)) => {
                (self.refused, self.again) = (true, true);
                Ok(false)
            }
            Err(errno) if now => Err(Trouble::kernel(format!(
                "{what} failed with {errno}, and for want of memory may fail with {}",
                self.allowed()
            ))),
            got => expect(what, got, None),
        }
    }

    fn allowed(&self) -> String {
        let words = [Errno::ENOMEM].iter().chain(&self.fails).map(Errno::to_string);
        words.collect::<Vec<_>>().join(" or ")
    }
}

/// What came of the rounds.
#[derive(Debug, Default)]
struct Came {
    /// In so many the write was refused.
    refused: u32,
    /// In so many it was taken.
    taken: u32,
    /// After so many steps the guest's memory was not as predicted; of the first, what is said of it.
    wrong: u32,
    first: String,
    /// All that was not.
    mismatches: Vec<Mismatch>,
}

impl<G: UnderTest> Bench<'_, G> {
    /// Does the steps until no allocation is left that could fail. What one leaves behind is no reason to try the others less: it is told at the end.
    pub(super) async fn sweep(&mut self, sweep: &Sweep) -> Result<(), Trouble> {
        self.can_fail().await?;
        let mut came = Came::default();
        for nth in 1..=MOST {
            let begun = self.ledger.blocks.clone();
            self.fault = Some(Fault::new(nth, &sweep.fails));
            let done = self.round(&sweep.steps, nth, &mut came).await;
            let fault = self.fault.take();
            done.map_err(|trouble| came.before(trouble))?;
            if self.ledger.blocks != begun {
                return Err(came.elsewhere());
            }
            match fault {
                Some(Fault { refused: true, .. }) => came.refused += 1,
                Some(fault) if fault.ahead().is_none() => came.taken += 1,
                _ => return self.swept(nth - 1, came),
            }
        }
        Err(Trouble::lasting(format!(
            "after {MOST} rounds there still are allocations that can fail: put fewer steps into the sweep"
        )))
    }

    async fn round(&mut self, steps: &[Step], nth: u32, came: &mut Came) -> Result<(), Trouble> {
        let console = self.guest.console().len();
        for step in steps {
            let done = self.step(step, "").await;
            came.take(done, || self.allocation(nth, console))?;
            let again = self.fault.as_mut().map(|fault| std::mem::take(&mut fault.again));
            if again == Some(true) {
                let done = self.step(step, "once more, with memory: ").await;
                came.take(done, || self.allocation(nth, console))?;
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step, how: &str) -> Result<(), Trouble> {
        let done = Box::pin(do_step(self, step)).await;
        done.map_err(|trouble| trouble.told(|said| format!("{how}`{step}`: {said}")))
    }

    /// The allocation that a round lets fail, by its number and, as far as the log has it since then, its place.
    fn allocation(&self, nth: u32, console: usize) -> String {
        let text = self.guest.console();
        match text.get(console..).and_then(klog::failed_allocation) {
            Some(place) => format!("allocation {nth} ({place})"),
            None => format!("allocation {nth}"),
        }
    }

    /// Whether the kernel can let allocations fail.
    async fn can_fail(&self) -> Result<(), Trouble> {
        let output = self.exec(READY).await?;
        match output.code {
            0 => Ok(()),
            ABSENT => Err(Trouble::Lacking {
                message: "needs CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAULT_INJECTION_DEBUG_FS: `-k source:debian:trixie` \
                          builds a kernel that has them"
                    .to_owned(),
            }),
            code => Err(Trouble::bench(format!(
                "preparing allocations to fail ended with {code}: {}",
                output.error_text().trim_end()
            ))),
        }
    }

    /// The end of a sweep.
    fn swept(&mut self, rounds: u32, came: Came) -> Result<(), Trouble> {
        if rounds == 0 {
            return Err(Trouble::lasting(
                "no write of the sweep allocates anything, so that it tries nothing: do other steps in it",
            ));
        }
        let Came { refused, taken, .. } = came;
        let line = format!(
            "{rounds} allocations failed, one at a time: {refused} writes were refused, {taken} were not\n"
        );
        self.said.stdout.extend(line.as_bytes());
        came.trouble().map_or(Ok(()), Err)
    }
}

impl Came {
    /// Takes what became of a step. That memory is not as predicted is kept; all else ends the sweep.
    fn take(
        &mut self,
        done: Result<(), Trouble>,
        allocation: impl FnOnce() -> String,
    ) -> Result<(), Trouble> {
        match done {
            Err(Trouble::Kernel {
                message, mismatches, ..
            }) if !mismatches.is_empty() => {
                if self.wrong == 0 {
                    self.first = format!("{} fails: {message}", allocation());
                }
                self.wrong += 1;
                self.mismatches.extend(mismatches);
                Ok(())
            }
            done => done.map_err(|trouble| trouble.told(|said| format!("{} fails: {said}", allocation()))),
        }
    }

    /// What ended the sweep, with what had gone wrong before: that may be the cause.
    fn before(&self, trouble: Trouble) -> Trouble {
        match self.wrong {
            0 => trouble,
            _ => trouble.told(|said| format!("{said}; before that, {}", self.first)),
        }
    }

    /// A round that ended elsewhere than it began.
    fn elsewhere(&self) -> Trouble {
        match self.wrong {
            0 => Trouble::lasting(
                "the steps of the sweep do not lead back to where they begin: a block is not as it was",
            ),
            _ => self.before(Trouble::kernel("a block is not as it was before the round")),
        }
    }

    /// What it was that was not as predicted.
    fn trouble(self) -> Option<Trouble> {
        let message = match self.wrong {
            0 => return None,
            1 => self.first,
            more => format!("{}; {} more steps like it", self.first, more - 1),
        };
        Some(Trouble::mismatch(message, self.mismatches).of(FailureKind::Mismatch))
    }
}
