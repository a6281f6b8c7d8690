// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fake guest is told to do wrong.

use base::Errno;

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A line that begins so is printed with its last number off by so much.
    Lie(&'static str, i64),
    /// A write returns this.
    Refuse(Errno),
    /// A write is taken, and nothing comes of it.
    Ignore,
    /// A script ends with this code, and says that on stderr.
    Exit(u8, &'static str),
    /// The kernel says that on its console, and goes on.
    Say(&'static str),
    /// What is asked for is never done; all else is answered.
    Stick,
    /// The guest answers nobody any more.
    Hang,
    /// It ends.
    Die(Death),
    /// The connection breaks.
    Lose,
    /// It is answered, but not in a time that the host gave the guest.
    Starve,
    /// The answer takes so many seconds.
    Late(u64),
}

/// How a guest ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Death {
    /// The kernel says why, and panics.
    Panic(&'static str),
    /// QEMU is gone.
    QemuGone,
    /// The guest resets itself.
    Reset,
}

/// A fault, and when it comes.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// What is asked for has this text in it: a script, `write PATH VALUE`, or `read PATH`.
    pub(super) at: &'static str,
    /// How often that passes before.
    pub(super) after: u32,
    /// How often it comes.
    pub(super) times: u32,
    pub(super) fault: Fault,
}

/// The faults that something which is asked for meets.
pub(super) fn met(rules: &mut [Rule], asked: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for rule in rules.iter_mut().filter(|rule| asked.contains(rule.at)) {
        if rule.after > 0 {
            rule.after -= 1;
        } else if rule.times > 0 {
            rule.times -= 1;
            faults.push(rule.fault.clone());
        }
    }
    faults
}
