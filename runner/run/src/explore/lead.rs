// SPDX-License-Identifier: MIT OR Apache-2.0
//! What leads the draw: sequences that reached code which none before them did are kept, and varied. Pure.

use std::time::Duration;

use crate::{
    case::Drawn,
    cover::{RanInTurn, Reached},
};
use ::explore::{Corpus, Draw, Kept, Made, Planned};
use base::fault::Verdict;
use record::{GrewRecord, ReachedRecord, Span};

/// What leads the draw of one kernel.
#[derive(Debug)]
pub(super) struct Lead {
    /// Every second sequence is made of those that were kept.
    led: bool,
    pub(super) corpus: Corpus,
    /// What was reached, once a sequence has told which code there is.
    reached: Option<Reached>,
    record: ReachedRecord,
}

impl Lead {
    /// One that goes on from what is kept, or only counts what is reached.
    pub(super) fn new(corpus: Corpus, led: bool) -> Self {
        Self {
            led,
            corpus,
            reached: None,
            record: ReachedRecord {
                led,
                ..ReachedRecord::default()
            },
        }
    }

    /// The sequence of a number: of every two the one that is drawn for it, and one of what is kept, as long as anything is.
    pub(super) fn plan(&mut self, draw: Draw, number: u64) -> Planned {
        let mut of_kept = || {
            let corpus = &mut self.corpus;
            corpus
                .next_waiting(number)
                .or_else(|| corpus.varied(draw, number))
        };
        let kept = match self.led && number % 2 == 1 {
            true => of_kept(),
            false => None,
        };
        kept.unwrap_or_else(|| Planned::drawn(draw, number))
    }

    /// A sequence is over, so long after the exploration began. It is kept if it reached new code and did not fail: the next one made of it would only fail
    /// again.
    pub(super) fn over(
        &mut self,
        seed: u64,
        planned: &Planned,
        drawn: &Drawn,
        (verdict, after): (Verdict, Duration),
    ) {
        let Some(RanInTurn { subject, pieces }) = &drawn.code else {
            return;
        };
        let reached = self.reached.get_or_insert_with(|| {
            let mut reached = Reached::of(subject.clone());
            for kept in &self.corpus.kept {
                let spans = kept.code.iter().map(|&(offset, bytes)| Span { offset, bytes });
                reached.take(spans.enumerate());
            }
            self.record.all = reached.all();
            self.record.before = (self.corpus.kept.len() as u64, reached.counts());
            reached
        });
        let new = reached.take(pieces.iter().copied());
        let Some(last) = new.last else { return };
        self.record.grew.push(GrewRecord {
            number: planned.number,
            after: after.into(),
            of: planned.of().to_vec(),
            functions: new.functions,
            reached: reached.counts(),
        });
        if self.led && verdict <= Verdict::Known {
            self.corpus.kept.push(Kept {
                name: match &planned.made {
                    Made::Again(name) => name.clone(),
                    _ => format!("seed {seed} sequence {}", planned.number),
                },
                machine: planned.sequence.machine().name.to_owned(),
                wishes: drawn.up_to(last),
                code: new.code,
            });
        }
    }

    /// What was reached; `None` where it is not known.
    pub(super) fn record(&self) -> Option<ReachedRecord> {
        self.reached.as_ref().map(|_| self.record.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cover::SubjectCode;
    use ::explore::{Able, Issues, Whose};
    use base::Arch;
    use record::KernelText;

    fn lead(led: bool) -> Lead {
        let whose = Whose {
            kernel: "k".to_owned(),
            arch: Arch::X86_64,
            build: "one".to_owned(),
        };
        Lead::new(Corpus::new(whose), led)
    }

    const DRAW: Draw = Draw {
        arch: Arch::X86_64,
        seed: 5,
    };

    /// A sequence that ran so many bytes of a function of memory hotplug.
    fn ran(bytes: u64) -> Drawn {
        let text = KernelText {
            label: "k".to_owned(),
            release: "6".to_owned(),
            arch: Arch::X86_64,
            side: None,
            end: 0x100,
            functions: vec![(0, "schedule".to_owned()), (0x10, "online_pages".to_owned())],
            modules: Vec::new(),
            sources: Vec::new(),
        };
        let mut drawn = Drawn::new(Vec::new(), Able::default(), Issues::default(), None);
        drawn.code = Some(RanInTurn {
            subject: Arc::new(SubjectCode::of(&text)),
            pieces: vec![(
                0,
                Span {
                    offset: 0,
                    bytes: 0x10 + bytes,
                },
            )],
        });
        drawn
    }

    fn over(lead: &mut Lead, number: u64, bytes: u64, verdict: Verdict) {
        let planned = lead.plan(DRAW, number);
        lead.over(
            DRAW.seed,
            &planned,
            &ran(bytes),
            (verdict, Duration::from_secs(number)),
        );
    }

    #[test]
    fn what_reaches_more_and_does_not_fail_is_kept_and_every_second_one_is_made_of_it() {
        let mut lead = lead(true);
        assert_eq!(lead.plan(DRAW, 1), Planned::drawn(DRAW, 1), "nothing is kept yet");
        assert_eq!(lead.record(), None, "nothing is known yet");
        for (number, bytes, verdict) in [
            (0, 4, Verdict::Pass),
            (2, 4, Verdict::Pass),
            (4, 6, Verdict::Fail),
            (6, 6, Verdict::Pass),
            (8, 9, Verdict::Known),
        ] {
            over(&mut lead, number, bytes, verdict);
        }
        let kept: Vec<(&str, &[(u64, u64)])> = lead
            .corpus
            .kept
            .iter()
            .map(|kept| (kept.name.as_str(), kept.code.as_slice()))
            .collect();
        assert_eq!(
            kept,
            [
                ("seed 5 sequence 0", &[(0x10, 4)][..]),
                ("seed 5 sequence 8", &[(0x10, 9)])
            ]
        );
        let record = lead.record().unwrap();
        let grew: Vec<(u64, u64)> = record
            .grew
            .iter()
            .map(|grew| (grew.number, grew.reached.bytes))
            .collect();
        assert_eq!(grew, [(0, 4), (4, 6), (8, 9)]);
        assert_eq!(record.grew[0].functions, ["online_pages"]);
        assert_eq!(lead.plan(DRAW, 10), Planned::drawn(DRAW, 10));
        let varied = lead.plan(DRAW, 11);
        assert!(!varied.of().is_empty());
        assert!(matches!(varied.made, Made::Varied(_)));
    }

    #[test]
    fn what_an_earlier_exploration_reached_is_nothing_new() {
        let mut before = lead(true);
        over(&mut before, 0, 8, Verdict::Pass);
        let mut lead = Lead::new(before.corpus.clone(), true);
        over(&mut lead, 0, 8, Verdict::Pass);
        let record = lead.record().unwrap();
        assert_eq!(
            (record.grew.len(), record.before.0, record.before.1.bytes),
            (0, 1, 8)
        );
        // Of another build it runs again, and is kept if it reaches anything there.
        let kept = before.corpus.kept.remove(0);
        before.corpus.waiting.push_back(kept);
        let mut lead = Lead::new(before.corpus, true);
        let again = lead.plan(DRAW, 1);
        assert_eq!(again.made, Made::Again("seed 5 sequence 0".to_owned()));
        lead.over(DRAW.seed, &again, &ran(8), (Verdict::Pass, Duration::ZERO));
        assert_eq!(lead.corpus.kept[0].name, "seed 5 sequence 0");
    }

    #[test]
    fn by_the_seed_alone_nothing_is_kept_and_it_is_told_what_was_reached() {
        let mut lead = lead(false);
        over(&mut lead, 0, 8, Verdict::Pass);
        assert!(lead.corpus.is_empty());
        assert_eq!(lead.plan(DRAW, 1), Planned::drawn(DRAW, 1));
        assert_eq!(lead.record().map(|record| record.grew.len()), Some(1));
    }
}
