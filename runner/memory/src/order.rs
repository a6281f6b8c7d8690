// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writers beside each other: in which orders their writes can have been done, by what they returned.

use super::{Ledger, Model, Op};
use base::Errno;

/// A write that was done beside others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrote {
    /// What it asked for.
    pub op: Op,
    /// What it returned.
    pub answer: Result<(), Errno>,
}

/// A state that some order leads to, and what was done for it, in order.
struct State {
    model: Model,
    ledger: Ledger,
    done: Vec<Op>,
}

impl Model {
    /// What can have been done, in each of the orders that explain what the writes of all writers returned; one of those that lead to the same state. Each
    /// writer's own writes are done in their order. `refusals` are errnos that a write may return because of the others; nothing is done then.
    pub fn orders(&self, before: &Ledger, writers: &[Vec<Wrote>], refusals: &[Errno]) -> Vec<Op> {
        let begin = State {
            model: self.clone(),
            ledger: before.clone(),
            done: Vec::new(),
        };
        // What is left of each writer's, and the states that some order leads to by then. One write is done at a time, so that those with as many done are
        // whole before the first with one more.
        let left: Vec<&[Wrote]> = writers.iter().map(Vec::as_slice).collect();
        let mut now = vec![(left, begin)];
        for _ in 0..writers.iter().map(Vec::len).sum() {
            let mut next: Vec<(Vec<&[Wrote]>, State)> = Vec::new();
            for (left, state) in &now {
                for (writer, writes) in left.iter().enumerate() {
                    let Some((wrote, rest)) = writes.split_first() else {
                        continue;
                    };
                    let Some(state) = after(state, wrote, refusals) else {
                        continue;
                    };
                    let mut left = left.clone();
                    left[writer] = rest;
                    let is_there = |(other, there): &(Vec<&[Wrote]>, State)| {
                        there.ledger == state.ledger && lengths(other).eq(lengths(&left))
                    };
                    if !next.iter().any(is_there) {
                        next.push((left, state));
                    }
                }
            }
            now = next;
        }
        now.into_iter().map(|(_, end)| Op::Several(end.done)).collect()
    }

    /// Of operations that may have been done, the one that explains best what was seen.
    pub fn likeliest(&self, before: &Ledger, seen: &Ledger, ops: impl IntoIterator<Item = Op>) -> Op {
        ops.into_iter()
            .min_by_key(|op| self.predict(before, op).check(before, op, seen).len())
            .unwrap_or(Op::Nothing)
    }
}

/// How many writes of each writer are left.
fn lengths(left: &[&[Wrote]]) -> impl Iterator<Item = usize> {
    left.iter().map(|writes| writes.len())
}

/// The state after a write, if it can have returned that.
fn after(state: &State, wrote: &Wrote, refusals: &[Errno]) -> Option<State> {
    let refusal = state.model.refusal(&state.ledger, &wrote.op);
    let (model, ledger, mut done) = (&state.model, &state.ledger, state.done.clone());
    match (wrote.answer, refusal) {
        (Ok(()), None) => {
            let predicted = model.predict(ledger, &wrote.op);
            if !ledger.has(&wrote.op) {
                done.push(wrote.op.clone());
            }
            Some(State {
                model: predicted.model,
                ledger: predicted.ledger,
                done,
            })
        }
        (Err(errno), refusal) if refusal == Some(errno) || refusals.contains(&errno) => Some(State {
            model: model.clone(),
            ledger: ledger.clone(),
            done,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlockId, BlockState, MemmapMode, OnlineKind, naive};

    const BLOCK: BlockId = BlockId(naive::CORE);

    /// A guest with a block that is offline.
    fn guest() -> (Model, Ledger) {
        let facts = naive::facts(Some(crate::Generation::G1), MemmapMode::Off);
        let ledger = naive::World::new(&facts).ledger();
        assert_eq!(ledger.blocks[&BLOCK].state, BlockState::Offline);
        (Model::new(facts, &ledger), ledger)
    }

    fn wrote(on: bool, answer: Option<&str>) -> Wrote {
        let (block, via_online_file) = (BLOCK, false);
        let op = match on {
            true => Op::Online {
                block,
                kind: OnlineKind::Movable,
                via_online_file,
            },
            false => Op::Offline {
                block,
                via_online_file,
            },
        };
        Wrote {
            op,
            answer: answer.map_or(Ok(()), |errno| Err(errno.parse().unwrap())),
        }
    }

    /// Where the block can be in the end.
    fn ends(writers: &[Vec<Wrote>], refusals: &[&str]) -> Vec<BlockState> {
        let (model, ledger) = guest();
        let refusals: Vec<Errno> = refusals.iter().map(|errno| errno.parse().unwrap()).collect();
        let orders = model.orders(&ledger, writers, &refusals);
        orders
            .iter()
            .map(|op| model.predict(&ledger, op).ledger.blocks[&BLOCK].state)
            .collect()
    }

    #[test]
    fn answers_have_the_orders_that_give_them() {
        let (on, off) = (wrote(true, None), wrote(false, None));
        assert_eq!(
            ends(&[vec![on.clone()], vec![off.clone()]], &[]),
            [BlockState::Offline]
        );
        // The one that came too late, or too early.
        assert_eq!(
            ends(&[vec![on.clone()], vec![wrote(true, Some("EINVAL"))]], &[]),
            [BlockState::Online]
        );
        assert_eq!(
            ends(&[vec![wrote(false, Some("EINVAL"))], vec![on.clone()]], &[]),
            [BlockState::Online]
        );
        // Each writer's own come in their order.
        assert_eq!(
            ends(&[vec![off.clone(), on.clone()], vec![on]], &[]),
            [BlockState::Online]
        );
    }

    #[test]
    fn what_no_order_gives_has_none() {
        let (on, off) = (wrote(true, None), wrote(false, None));
        assert_eq!(ends(&[vec![on.clone()], vec![on.clone()]], &[]), []);
        assert_eq!(ends(&[vec![off], vec![wrote(true, Some("EINVAL"))]], &[]), []);
        assert_eq!(ends(&[vec![on], vec![wrote(false, Some("EIO"))]], &[]), []);
    }

    #[test]
    fn a_write_that_the_others_keep_out_has_done_nothing() {
        let busy = wrote(false, Some("EBUSY"));
        assert_eq!(
            ends(&[vec![wrote(true, None)], vec![busy]], &["EBUSY"]),
            [BlockState::Online]
        );
    }
}
