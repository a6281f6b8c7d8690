// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tells one fault from another, whatever sequence shows it.

use std::fmt;

use suite::{Failure, FailureKind};

/// What a failure is recognised by: how it fails, the word of its step, and the first thing that was seen, without its numbers. Failures with one
/// sign are one finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sign {
    kind: &'static str,
    word: String,
    seen: String,
}

impl Sign {
    /// That of a failure in a step that begins with this word.
    pub fn of(failure: &Failure, step: &str) -> Self {
        let first = failure.said.first().map_or("", String::as_str);
        let seen = match failure.kind {
            // Which counter it is; by how much is chance.
            FailureKind::Mismatch => first.split(": predicted").next().unwrap_or(first),
            // What cannot be; what else was sent is chance.
            FailureKind::Notifiers => first.split("; sent was").next().unwrap_or(first),
            // Which file it was written to is told by its name alone.
            FailureKind::Errno => first.rsplit('/').next().unwrap_or(first),
            _ => first,
        };
        Self {
            kind: failure.kind.word(),
            word: word(step).to_owned(),
            seen: without_numbers(seen),
        }
    }

    /// Whether it is in the free pages alone, which hold what a guest does on its own, too.
    pub fn is_of_free_pages(&self) -> bool {
        self.kind == FailureKind::Mismatch.word() && self.seen.starts_with("free (")
    }

    /// A name for a file: letters, digits and hyphens.
    pub fn file_name(&self) -> String {
        let text = format!("{} {} {}", self.word, self.kind, self.seen).to_lowercase();
        let words: Vec<&str> = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let mut name = words.join("-");
        name.truncate(LONGEST);
        name
    }
}

/// Bytes of a file's name, without its ending.
const LONGEST: usize = 60;

/// The word of a step's line; of a write to `state`, that of the step that it is as good as.
pub(crate) fn word(step: &str) -> &str {
    let written = |value: &str| step.contains(&format!("file: state, value: \"{value}"));
    match step.split(':').next().unwrap_or(step) {
        "write" if written("online") => "online",
        "write" if written("offline") => "offline",
        word => word,
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.word, self.kind, self.seen)
    }
}

/// A text in which each number is `N`. A word that begins with a letter keeps what it has, unless it is the number of a block.
fn without_numbers(text: &str) -> String {
    let mut short = String::new();
    let mut in_number = false;
    for c in text.chars() {
        if c.is_ascii_digit() {
            if !in_number {
                short.push('N');
            }
            in_number = true;
        } else {
            in_number = false;
            short.push(c);
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use suite::Place;

    fn sign(kind: FailureKind, said: &str, step: &str) -> String {
        let failure = Failure {
            step: Place::Step(3),
            kind,
            said: vec![said.to_owned(), "and more".to_owned()],
        };
        Sign::of(&failure, step).to_string()
    }

    #[test]
    fn the_same_fault_of_another_block_has_the_same_sign() {
        let of = |said| sign(FailureKind::Mismatch, said, "online: { block: b1 }");
        let one = of("memory9 valid_zones: predicted Movable, seen Normal");
        assert_eq!(one, "online, mismatch: memoryN valid_zones");
        assert_eq!(of("memory12 valid_zones: predicted Normal, seen Movable"), one);
        assert_ne!(of("MemTotal: predicted 1, seen 2"), one);
        let sent = |others| {
            let said = format!("memory9: no MEM_ONLINE comes after MEM_ONLINE; sent was {others}");
            sign(FailureKind::Notifiers, &said, "parallel: {}")
        };
        let two = "parallel, notifiers: memoryN: no MEM_ONLINE comes after MEM_ONLINE";
        assert_eq!(
            [sent("MEM_ONLINE, MEM_ONLINE"), sent("MEM_GOING_ONLINE")],
            [two, two]
        );
        let offline = sign(
            FailureKind::Mismatch,
            "memory9 valid_zones: predicted a, seen b",
            "offline: { block: b1 }",
        );
        assert_ne!(offline, one);
    }

    #[test]
    fn an_errno_is_told_with_its_file_and_not_with_its_block() {
        let said = r#"writing "online" to /sys/devices/system/memory/memory9/state failed with EIO, and must succeed"#;
        let of = |said: &str| sign(FailureKind::Errno, said, "online: {}");
        assert_eq!(of(said), "online, errno: state failed with EIO, and must succeed");
        assert_ne!(of(said), of(&said.replace("EIO", "EINVAL")));
        assert_eq!(of(said), of(&said.replace("memory9", "memory10")));
    }

    #[test]
    fn a_state_that_is_written_is_that_step() {
        assert_eq!(
            word(r#"write: { block: b1, file: state, value: "online_kernel\n" }"#),
            "online"
        );
        assert_eq!(
            word(r#"write: { block: b1, file: state, value: "offline\n" }"#),
            "offline"
        );
        assert_eq!(
            word(r#"write: { block: b1, file: state, value: "foo" }"#),
            "write"
        );
        assert_eq!(
            word(r#"write: { block: b1, file: online, value: "online" }"#),
            "write"
        );
    }

    #[test]
    fn it_names_a_file() {
        let failure = Failure {
            step: Place::Boot,
            kind: FailureKind::Finding,
            said: vec!["WARNING at mm/memory_hotplug.c:12 in online_pages".to_owned()],
        };
        let name = Sign::of(&failure, "online: {}").file_name();
        assert_eq!(
            name,
            "online-finding-warning-at-mm-memory-hotplug-c-n-in-online-pa"
        );
    }
}
