// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that died before they could tell where their kernel lies. Pure.

use std::collections::{HashMap, HashSet};

use super::logged::{Layout, LoggedKernel};
use format::cover::Pieces;
use record::{CaseKey, Span};

/// Guests that died, and where other guests of their kernels have these.
#[derive(Debug, Default)]
pub(super) struct Dead {
    /// A boot of each kernel, by its index in the run.
    boots: HashMap<usize, Boot>,
    /// What was run before any guest of the kernel has told where that lies: the case, the kernel's index, and the code.
    waiting: Vec<(CaseKey, usize, Pieces)>,
}

/// What a guest ran that died.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Its case.
    pub(super) key: CaseKey,
    /// The kernel's number in the log.
    pub(super) kernel: usize,
    /// What of its code is the kernel's.
    pub(super) spans: Vec<Span>,
    /// How many pieces were not noted.
    pub(super) lost: u64,
}

/// Where the kernel of a guest lies that came up, and what its boot ran there.
#[derive(Debug)]
struct Boot {
    known: LoggedKernel,
    layout: Layout,
    ran: HashSet<Span>,
}

impl Dead {
    /// A guest of a kernel has come up and told where that lies; its boot ran this. The first one of each kernel is enough.
    pub(super) fn came_up(&mut self, kernel: usize, (known, layout): (&LoggedKernel, &Layout), ran: &[Span]) {
        self.boots.entry(kernel).or_insert_with(|| Boot {
            known: known.clone(),
            layout: layout.of_image(),
            ran: ran.iter().copied().collect(),
        });
    }

    /// A guest of a kernel has died.
    pub(super) fn died(&mut self, key: &CaseKey, kernel: usize, code: &Pieces) {
        self.waiting.push((key.clone(), kernel, code.clone()));
    }

    /// Those of a kernel that are to be kept, each once; none as long as no guest of it has come up.
    pub(super) fn placed(&mut self, kernel: usize) -> Vec<Placed> {
        let Some(boot) = self.boots.get(&kernel) else {
            return Vec::new();
        };
        let those = self.waiting.extract_if(.., |(_, its, _)| *its == kernel);
        let placed = those.filter_map(|(key, _, code)| {
            Some(Placed {
                key,
                kernel: boot.known.number,
                spans: boot.placed(&code)?,
                lost: code.lost,
            })
        });
        placed.collect()
    }
}

impl Boot {
    /// What of a dead guest's code is the kernel's. `None` if its kernel lies elsewhere: two boots run the same for the most part, and at another place
    /// hardly any of their pieces would agree.
    fn placed(&self, code: &Pieces) -> Option<Vec<Span>> {
        let spans = self.known.placed(&self.layout, code);
        let same = spans.iter().filter(|span| self.ran.contains(span)).count();
        (same * 2 > spans.len()).then_some(spans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::{cover::Piece, kallsyms::Functions};
    use record::samples::covered_case;

    const SAID: &str = "00001000 T _stext\n00001010 t f\n00002000 T _etext\n";

    fn ran(places: &[u64]) -> Pieces {
        let piece = |&address: &u64| Piece {
            address,
            host: address,
            bytes: 4,
        };
        Pieces {
            pieces: places.iter().map(piece).collect(),
            ..Pieces::default()
        }
    }

    #[test]
    fn a_guest_that_died_has_its_kernel_where_another_has_it() {
        let known = LoggedKernel::new(3, &Functions::parse(SAID).unwrap());
        let layout = Layout::parse(SAID).unwrap();
        let mut dead = Dead::default();
        let key = |case| covered_case(case, &[]).key;
        // It ran less than the one that lived, and something else at its end.
        dead.died(&key("A"), 0, &ran(&[0x1000, 0x1008, 0x1024]));
        dead.died(&key("ELSEWHERE"), 0, &ran(&[0x1004, 0x100c, 0x1010]));
        dead.died(&key("NOTHING"), 0, &ran(&[]));
        dead.died(&key("OTHER"), 1, &ran(&[0x1000]));
        assert_eq!(dead.placed(0), [], "nobody has told yet");
        let lived = known.placed(&layout, &ran(&[0x1000, 0x1008, 0x1010]));
        dead.came_up(0, (&known, &layout), &lived);
        let placed = dead.placed(0);
        assert_eq!(placed.len(), 1, "{placed:?}");
        assert_eq!((&*placed[0].key.case, placed[0].kernel), ("A", 3));
        let offsets: Vec<u64> = placed[0].spans.iter().map(|span| span.offset).collect();
        assert_eq!(offsets, [0, 8, 0x24]);
        assert_eq!(dead.placed(0), [], "each is kept once");
        assert_eq!(dead.placed(1), []);
    }
}
