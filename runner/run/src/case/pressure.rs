// SPDX-License-Identifier: MIT OR Apache-2.0
//! Leaving the guest's kernel little free memory, and giving it back.

use super::{bench::Bench, guest::UnderTest, trouble::Trouble};
use base::PAGE_SIZE;
use memory::Op;
use suite::Pressure;

/// How far what is free may be from what was asked for, in pages: a MiB.
const NEAR: u64 = 256;

/// The script that takes memory until so many pages are free above the low watermarks, and prints how many are. Above them, as the ledger counts free
/// pages, since the kernel keeps the rest for itself: 55 MiB of 1 GiB were seen where it makes large pages. What is for CMA is no kernel allocation's.
///
/// Files of a ramfs are what no reclaim gives back and no killed process (`mapping_set_unevictable`, fs/ramfs/inode.c, 6.1 to 7.2), and their pages come
/// from the zones of the kernel's own (GFP_HIGHUSER, which is not movable). Each file is a little less than what is still to be taken, since the kernel
/// takes pages for it, too.
fn take(pages: u64) -> String {
    format!(
        "free() {{
    awk '
        /^Node/ {{ counts = $4 != \"Movable\" && $4 != \"Device\" }}
        counts && ($1 == \"nr_free_pages\" || $1 == \"count:\") {{ free += $2 }}
        counts && ($1 == \"low\" || $1 == \"nr_free_cma\") {{ free -= $2 }}
        END {{ print free }}' /proc/zoneinfo
}}
mkdir -p /run/pressure && mount -t ramfs pressure /run/pressure || exit 1
for file in 1 2 3 4 5 6 7 8; do
    left=$(($(free) - {pages}))
    [ $left -gt {NEAR} ] || break
    dd if=/dev/zero of=/run/pressure/$file bs=64k count=$((left / 17)) 2>/dev/null || exit 1
done
free"
    )
}

impl<G: UnderTest> Bench<'_, G> {
    /// Takes memory from the kernel, or gives it back.
    pub(super) async fn pressure(&mut self, pressure: &Pressure) -> Result<Op, Trouble> {
        match pressure {
            Pressure::Free(free) => {
                let pages = free.as_bytes() / PAGE_SIZE;
                let said = self.exec_ok("taking memory", &take(pages)).await?;
                let left: i64 = said.trim().parse().map_err(|_| {
                    Trouble::bench(format!(
                        "taking memory: the guest does not say what is free: {said:?}"
                    ))
                })?;
                if left.abs_diff(pages as i64) > 2 * NEAR {
                    return Err(Trouble::bench(format!(
                        "{left} pages are free above the low watermarks, and {pages} must be: the guest has less memory than that, or takes some itself"
                    )));
                }
                self.under_pressure = true;
            }
            Pressure::Off => {
                let script = "umount /run/pressure && rmdir /run/pressure";
                self.exec_ok("giving memory back", script).await?;
                self.under_pressure = false;
            }
        }
        Ok(Op::Nothing)
    }
}
