// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeping a block from going offline: with what the kernel cannot move, or with pages that somebody holds.

use std::time::Duration;

use super::{bench::Bench, guest::UnderTest, trouble::Trouble};
use base::Errno;
use memory::{BlockId, BlockLedger, Op, Zone};
use suite::{Busy, Filling, Free};

/// How long a write may take until it is interrupted, where it must end by that, before the factor of the guest's speed. Going
/// offline takes less than a second.
const INTERRUPT_AFTER: Duration = Duration::from_secs(3);

/// A shell's exit code for a child that a signal ended is this and the signal.
const SIGNAL_EXIT: u8 = 128;
const SIGTERM: u8 = 15;

impl<G: UnderTest> Bench<'_, G> {
    /// Fills a block with what the kernel cannot move.
    pub(super) async fn busy(&mut self, busy: &Busy) -> Result<Op, Trouble> {
        let blocks = self.blocks(&busy.block)?;
        match busy.with {
            // Inodes and dentries of a tmpfs stay until they are removed. They take about a kilobyte
            // each, and the kernel takes from its highest zone first.
            Filling::Slab => {
                let directories = 20_000 * blocks.len().max(1);
                let script = format!(
                    "mkdir -p /run/busy/{0} && cd /run/busy/{0} && seq {directories} | xargs -n 5000 mkdir",
                    busy.name
                );
                self.exec_ok("filling the block with inodes", &script).await?;
            }
            Filling::Pin => {
                self.holds_all_movable(&blocks)?;
                // Pages of a tmpfs that cat sends are in the pipe themselves, and nobody reads that.
                let script = format!(
                    "mkdir -p /run/busy/{0} && cd /run/busy/{0} && dd if=/dev/zero of=pages bs=64k count=1 2>&1 || exit
cat pages | sleep 1000000 >/dev/null 2>&1 &
echo $! >pid",
                    busy.name
                );
                self.exec_ok("holding pages of a file", &script).await?;
            }
        }
        Ok(Op::Nothing)
    }

    pub(super) async fn free(&mut self, free: &Free) -> Result<Op, Trouble> {
        let name = match free {
            Free::Busy(name) => name,
            Free::Hold(name) => return self.let_go(name).await,
        };
        self.exec_ok(
            "freeing what filled the block",
            &format!(
                "cd /run/busy/{name} && if [ -e pid ]; then kill $(cat pid); fi && cd / && rm -rf /run/busy/{name}"
            ),
        )
        .await?;
        Ok(Op::Nothing)
    }

    /// Whether these blocks are all of zone Movable, from which the pages of files are taken first.
    fn holds_all_movable(&self, blocks: &[BlockId]) -> Result<(), Trouble> {
        match (blocks, self.all_movable().as_slice()) {
            ([block], [only]) if block == only => Ok(()),
            _ => Err(Trouble::lasting(
                "a page is held in the one block that zone Movable has: put no other online there",
            )),
        }
    }

    /// The blocks of zone Movable, from which the pages of processes and of files are taken first.
    pub(super) fn all_movable(&self) -> Vec<BlockId> {
        let movable = |(id, block): (&BlockId, &BlockLedger)| {
            block
                .zone()
                .is_some_and(|at| at.zone == Zone::Movable)
                .then_some(*id)
        };
        self.ledger.blocks.iter().filter_map(movable).collect()
    }

    /// Writes a file and, if the kernel is still at it after a while, interrupts the writer by a signal.
    pub(super) async fn interrupt(&self, path: &str, value: &str) -> Result<Result<(), Errno>, Trouble> {
        let after = self.guest.scale(INTERRUPT_AFTER).as_secs().max(1);
        let output = self
            .exec(&format!("timeout {after} sh -c 'echo -n {value} >{path}'"))
            .await?;
        let said = output.error_text();
        match (output.code, Errno::from_message(said.trim_end())) {
            (0, _) => Ok(Ok(())),
            // The shell is killed as soon as the kernel has given up.
            (code, _) if code == SIGNAL_EXIT + SIGTERM => Ok(Err(Errno::EINTR)),
            (_, Some(errno)) => Ok(Err(errno)),
            (code, None) => Err(Trouble::bench(format!(
                "writing {value:?} to {path}: the guest said `{}` (exit code {code})",
                said.trim_end()
            ))),
        }
    }
}
