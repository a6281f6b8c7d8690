// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several writers at the same time: what they return, and what they leave, must be that of some order of their writes.

use std::fmt::Write as _;

use super::{bench::Bench, guest::UnderTest, trouble::Trouble};
use base::Errno;
use memory::{Attribute, OnlineKind, Op, Wrote};
use suite::{Act, Action, Parallel, Step, Via, ZoneChoice};

/// A write that a writer is to do.
struct Write {
    path: String,
    value: &'static str,
    op: Op,
}

impl<G: UnderTest> Bench<'_, G> {
    /// Lets the writers write. What comes back is what was done, in the order that explains it best.
    pub(super) async fn parallel(&mut self, parallel: &Parallel) -> Result<Op, Trouble> {
        let of = |steps: &Vec<Step>| steps.iter().map(|step| self.asked_beside(step)).collect();
        let writers: Vec<Vec<Write>> = parallel.writers.iter().map(of).collect::<Result<_, _>>()?;
        let told = self.exec_ok("writing side by side", &script(&writers)).await?;
        let wrote = answers(&writers, &told)?;
        let orders = self.model.orders(&self.ledger, &wrote, &parallel.fails);
        match orders.len() {
            0 => Err(Trouble::kernel(format!(
                "no order of the writes explains what they returned: {}",
                shown(&writers, &wrote)
            ))),
            _ => {
                let seen = self.seen().await?;
                Ok(self.model.likeliest(&self.ledger, &seen, orders))
            }
        }
    }

    fn asked_beside(&self, step: &Step) -> Result<Write, Trouble> {
        let (block, via, state, online) = match &step.action {
            Action::Act(Act::Online(online)) => {
                let kind = online.zone.map_or(OnlineKind::Default, ZoneChoice::kind);
                (&online.block, online.via, kind.word(), "1")
            }
            Action::Act(Act::Offline(offline)) => (&offline.block, offline.via, "offline", "0"),
            _ => return Err(Trouble::lasting(format!("`{step}` cannot be done beside others"))),
        };
        let blocks = self.blocks(block)?;
        let [block] = blocks.as_slice() else {
            return Err(Trouble::lasting(format!(
                "`{step}` is about {} blocks",
                blocks.len()
            )));
        };
        let (attribute, value) = match via.unwrap_or(Via::State) {
            Via::State => (Attribute::State(*block), state),
            Via::Online => (Attribute::Online(*block), online),
        };
        let op = attribute.asks(value, self.facts.block_size);
        Ok(Write {
            path: attribute.path(),
            value,
            op: op.ok_or_else(|| Trouble::lasting(format!("`{step}` asks for nothing that memrig knows")))?,
        })
    }
}

/// The script of all writers. Each has a process of its own, and begins when all are there; what a write came to is a line, with the numbers of its
/// writer and of the write.
fn script(writers: &[Vec<Write>]) -> String {
    let mut script =
        "rm -rf /run/parallel; mkdir -p /run/parallel && cd /run/parallel || exit 1\n".to_owned();
    for (writer, writes) in writers.iter().enumerate() {
        script += "{\nwhile [ ! -e go ]; do :; done\n";
        for (number, Write { path, value, .. }) in writes.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                script,
                "said=$( {{ echo -n {value} >{path}; }} 2>&1 ); echo \"{writer} {number} $? $said\" >>{writer}"
            );
        }
        script += "} &\n";
    }
    script + "touch go\nwait\ncat [0-9]*"
}

/// What each write returned, by what the script told.
fn answers(writers: &[Vec<Write>], told: &str) -> Result<Vec<Vec<Wrote>>, Trouble> {
    let of = |(writer, writes): (usize, &Vec<Write>)| {
        let one = |(number, write): (usize, &Write)| {
            let begins = format!("{writer} {number} ");
            let line = told.lines().find_map(|line| line.strip_prefix(&begins));
            let answer = match line.and_then(|line| line.split_once(' ')) {
                Some(("0", "")) => Ok(()),
                Some((_, said)) if let Some(errno) = Errno::from_message(said) => Err(errno),
                // A line that is not there is told as an empty one.
                _ => {
                    return Err(Trouble::bench(format!(
                        "writing {:?} to {} beside others: the guest said {:?}",
                        write.value,
                        write.path,
                        line.unwrap_or_default()
                    )));
                }
            };
            Ok(Wrote {
                op: write.op.clone(),
                answer,
            })
        };
        writes.iter().enumerate().map(one).collect()
    };
    writers.iter().enumerate().map(of).collect()
}

/// The writes with what they returned, writer by writer.
fn shown(writers: &[Vec<Write>], wrote: &[Vec<Wrote>]) -> String {
    let one = |(write, wrote): (&Write, &Wrote)| {
        let answer = wrote
            .answer
            .map_or_else(|errno| errno.to_string(), |()| "taken".to_owned());
        format!("{:?} to {} {answer}", write.value, write.path)
    };
    let of = |(writes, wrote): (&Vec<Write>, &Vec<Wrote>)| {
        let all: Vec<String> = writes.iter().zip(wrote).map(one).collect();
        all.join(", ")
    };
    let all: Vec<String> = writers.iter().zip(wrote).map(of).collect();
    all.join(" | ")
}
