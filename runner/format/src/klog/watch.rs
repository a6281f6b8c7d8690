// SPDX-License-Identifier: MIT OR Apache-2.0
//! A quick look at a console while it grows.

use super::{
    Kind,
    classify::Stamps,
    line::{Line, PIECE_MAX, piece},
    rules::{self, PREFILTER, Rule},
};

/// A line that means death, or mortal illness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// [`Kind::Panic`], or a kind that ends in `die()`: oopses, `kernel BUG`, program checks.
    pub kind: Kind,
    /// The kernel does not go on after this.
    pub fatal: bool,
    /// Byte offset of the line in everything that was pushed.
    pub offset: u64,
    /// The line without printk's prefix. It may still have grown after the alarm.
    pub line: String,
}

/// Watches a console for panics and oopses, in pieces cut anywhere. It says that something happened, and at once; what it was, the
/// [`Classifier`](super::Classifier) says later.
#[derive(Debug, Default)]
pub struct Watch {
    carry: Vec<u8>,
    at: u64,
    stamps: Stamps,
    /// An alarm was given for the line that still grows.
    told: bool,
}

impl Watch {
    /// Takes the next bytes, and gives what they reveal, each line once. A panic is told before its line ends: no more may come.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        self.carry.extend_from_slice(bytes);
        let mut pos = 0;
        while let Some((len, next)) = piece(&self.carry[pos..]) {
            let found = self.look(pos, len, false);
            if !std::mem::take(&mut self.told) {
                alarms.extend(found);
            }
            pos += next;
        }
        self.carry.drain(..pos);
        self.at += pos as u64;
        if !self.told && self.carry.len() < PIECE_MAX {
            let found = self.look(0, self.carry.len(), true);
            self.told = !found.is_empty();
            alarms.extend(found);
        }
        alarms
    }

    fn look(&mut self, pos: usize, len: usize, growing: bool) -> Vec<Alarm> {
        let raw = &self.carry[pos..pos + len];
        if !PREFILTER.is_match(raw) {
            return Vec::new();
        }
        let mut alarms = Vec::new();
        for line in Line::parse(raw) {
            let kernels = if growing {
                self.stamps.clone().learn(&line)
            } else {
                self.stamps.learn(&line)
            };
            if let Some((rule, text)) = alarm(&line, kernels)
                && (rule.fatal || !growing)
            {
                let offset = self.at + (pos + line.offset) as u64;
                alarms.push(Alarm {
                    kind: rule.kind,
                    fatal: rule.fatal,
                    offset,
                    line: text,
                });
            }
        }
        alarms
    }
}

fn alarm(line: &Line<'_>, kernels: bool) -> Option<(&'static Rule, String)> {
    let text = String::from_utf8_lossy(&line.text);
    let (rule, _) = rules::find(&text, false)?;
    (rule.alarms() && (kernels || rule.bare)).then(|| (rule, text.trim_end().to_owned()))
}

/// Whether this one console line, with printk's prefix, says that the kernel gave up.
pub fn is_panic(line: &[u8]) -> bool {
    PREFILTER.is_match(line)
        && Line::parse(line)
            .iter()
            .any(|line| alarm(line, line.time_ns.is_some()).is_some_and(|(rule, _)| rule.fatal))
}
