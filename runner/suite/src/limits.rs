// SPDX-License-Identifier: MIT OR Apache-2.0
//! The largest numbers that a suite may name. What is larger is a slip of the pen, and is told at its place: no guest boots for it, and nothing
//! computes with it.

use super::places::Spot;
use base::ByteSize;

/// Most memory of a machine, at boot and hot-plugged together: Linux addresses 2^46 bytes on s390x, and on x86_64 with page tables of four levels
/// (`MAX_PHYSMEM_BITS`).
pub(super) const MEMORY: ByteSize = ByteSize::gib(64 << 10);

/// The first place at which no memory of an x86_64 machine can be: the architecture's page tables hold addresses of 52 bits.
pub(super) const ADDRESS: ByteSize = ByteSize::gib(4 << 20);

/// Most NUMA nodes of a machine. QEMU has room for 128 and Linux for 1024; each costs the guest zones of its own, and eight show all that more would.
pub(super) const NODES: u32 = 8;

/// Most slots for DIMMs: QEMU's x86_64 machine has no more (`ACPI_MAX_RAM_SLOTS`).
pub(super) const SLOTS: u32 = 256;

/// Most storage increments that the standby element of QEMU's s390x machine can have: what fits into one SCCB of 4 KiB. No case can add more
/// runs of blocks than that.
pub(super) const INCREMENTS: u32 = 1020;

/// Most blocks of one name: all of [`MEMORY`] in the smallest blocks, of 128 MiB.
pub(super) const BLOCKS: u32 = (MEMORY.as_bytes() >> 27) as u32;

/// Most rounds of a `repeat`, with those around it: of one second each, they take more than a day.
pub(super) const ROUNDS: u32 = 100_000;

/// Most variants of a case: of ten seconds each, they take almost three hours on one kernel.
pub(super) const VARIANTS: usize = 1000;

/// Longest limit for a step, in seconds: a week.
pub(super) const TIME: u64 = 7 * 24 * 3600;

/// Notes numbers of a step that are larger than what their key takes.
pub(super) fn check(
    numbers: &[(&str, Option<u32>, u32)],
    at: &Spot<'_>,
    notes: &mut super::check::Notes<'_>,
) {
    for (key, number, most) in numbers {
        if let Some(number) = number.filter(|number| number > most) {
            let message = format_args!("{number} is out of range: expected up to {most}");
            notes.wrong(&at.value(key), message);
        }
    }
}
