// SPDX-License-Identifier: MIT OR Apache-2.0
//! Repetitions after which nothing has gone with the rounds: free pages, and the objects of the kernel that blocks are made of.

use std::collections::BTreeMap;

use super::{bench::Bench, guest::UnderTest, trouble::Trouble};
use memory::{AfterRound, Mismatch, Op, Reading, Slope, slopes};
use suite::FailureKind;

/// What a script ends with where the kernel shows no slab caches.
const ABSENT: u8 = 3;

/// Counts the objects of slab caches: those that blocks, their files and their ranges are made of. A cache that was shrunk has no objects but those in
/// use.
const OBJECTS: &str = "cd /sys/kernel/slab 2>/dev/null || exit 3
for cache in kmalloc-* kernfs_node_cache radix_tree_node; do
    [ -e $cache/objects ] || continue
    echo 1 > $cache/shrink && read -r objects rest < $cache/objects || exit 1
    echo $cache $objects
done";

/// Stretches between two readings.
const STRETCHES: u32 = 4;

/// What was read after some of the rounds.
#[derive(Debug, Default)]
pub(super) struct Level {
    readings: Vec<AfterRound>,
}

impl Level {
    /// Reads the counters, if this is a round after which they are: the first, which may be the first of its kind in the guest, and the ends of the
    /// stretches.
    pub(super) async fn after<G: UnderTest>(
        &mut self,
        bench: &mut Bench<'_, G>,
        round: u32,
        times: u32,
    ) -> Result<(), Trouble> {
        let mut ends = (0..=STRETCHES).map(|end| 1 + end * (times - 1) / STRETCHES);
        if ends.any(|end| end == round) {
            self.readings.push((round, bench.counters().await?));
        }
        Ok(())
    }

    /// Whether the counters are level.
    pub(super) fn judge(&self) -> Result<(), Trouble> {
        let gone = slopes(&self.readings);
        if gone.is_empty() {
            return Ok(());
        }
        let told: Vec<String> = gone.iter().map(ToString::to_string).collect();
        let message = format!("what must stay goes with the rounds: {}", told.join("; "));
        let mismatches = gone.iter().map(mismatch).collect();
        Err(Trouble::mismatch(message, mismatches).of(FailureKind::Mismatch))
    }
}

fn mismatch(slope: &Slope) -> Mismatch {
    let (first, last) = slope.ends();
    Mismatch {
        counter: slope.counter.clone(),
        before: Reading::Count(first),
        predicted: Reading::Count(first),
        seen: Reading::Count(last),
        unit: String::new(),
        tolerance: 0,
    }
}

impl<G: UnderTest> Bench<'_, G> {
    async fn counters(&mut self) -> Result<BTreeMap<String, i64>, Trouble> {
        let output = self.exec(OBJECTS).await?;
        match output.code {
            0 => {}
            ABSENT => {
                return Err(Trouble::Lacking {
                    message: "needs /sys/kernel/slab to count the kernel's objects (CONFIG_SLUB_DEBUG)"
                        .to_owned(),
                });
            }
            code => {
                let said = output.error_text();
                return Err(Trouble::bench(format!(
                    "counting objects ended with {code}: {}",
                    said.trim_end()
                )));
            }
        }
        let text = output.text();
        let mut counters = BTreeMap::new();
        for line in text.lines() {
            let read = line
                .split_once(' ')
                .and_then(|(cache, objects)| Some((cache, objects.parse().ok()?)));
            let (cache, objects) = read.ok_or_else(|| {
                Trouble::bench(format!("the number of a cache's objects does not read: {line}"))
            })?;
            counters.insert(format!("objects of {cache}"), objects);
        }
        // What counting has moved comes to rest.
        let differs = self.observe(&Op::Nothing, false).await?;
        if !differs.is_empty() {
            return Err(
                Trouble::mismatch("the guest's memory state changes without a step", differs)
                    .of(FailureKind::Mismatch),
            );
        }
        counters.insert("free pages".to_owned(), self.ledger.free.0);
        Ok(counters)
    }
}
