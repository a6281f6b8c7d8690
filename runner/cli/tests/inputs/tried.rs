// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trying a reader.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use fastrand::Rng;

use super::{damage, readers::Reader};

/// What came of trying a reader.
#[derive(Debug)]
pub(crate) struct Tried {
    /// How many inputs it read.
    pub(crate) inputs: u64,
    /// How many of them it took, and did not refuse.
    pub(crate) taken: u64,
    /// The longest that one took.
    pub(crate) slowest: Duration,
    /// Inputs that it fell over, or read for too long, with what was seen; the first of each kind.
    pub(crate) bad: Vec<(String, Vec<u8>)>,
}

/// How long an input may take: they are small, and a host that is busy is no reader's fault.
const LONG: Duration = Duration::from_secs(20);

/// How many inputs that a reader fell over are kept.
const KEPT: usize = 8;

/// When enough was tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Enough {
    /// So many damaged inputs.
    pub(crate) damaged: u64,
    /// Or so much time; whole inputs are read in any case, and a damaged one.
    pub(crate) time: Duration,
}

/// Lets a reader read all its whole inputs, and then damaged ones, drawn by `seed`. What is drawn does not go by the host: one that is slow gets less far.
pub(crate) fn tried(reader: &Reader, seed: u64, enough: Enough) -> Tried {
    let mut tried = Tried {
        inputs: 0,
        taken: 0,
        slowest: Duration::ZERO,
        bad: Vec::new(),
    };
    for whole in &reader.seeds {
        tried.take(reader, whole);
    }
    let mut rng = Rng::with_seed(seed);
    let begin = Instant::now();
    for _ in 0..enough.damaged {
        tried.take(reader, &damage::damaged(&reader.seeds, &mut rng));
        if begin.elapsed() >= enough.time {
            break;
        }
    }
    tried
}

impl Tried {
    fn take(&mut self, reader: &Reader, input: &[u8]) {
        let started = Instant::now();
        // What a reader keeps from one input to the next are files that are written anew, and nothing that a panic could leave half done.
        let read = catch_unwind(AssertUnwindSafe(|| (reader.read)(input)));
        let took = started.elapsed();
        self.inputs += 1;
        self.slowest = self.slowest.max(took);
        let bad = match read {
            Err(panic) => said(&*panic),
            Ok(_) if took > LONG => "it takes too long".to_owned(),
            Ok(taken) => {
                self.taken += u64::from(taken);
                return;
            }
        };
        if self.bad.len() < KEPT && self.bad.iter().all(|(known, _)| *known != bad) {
            self.bad.push((bad, input.to_vec()));
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}
