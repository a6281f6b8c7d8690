// SPDX-License-Identifier: MIT OR Apache-2.0
//! Titles that are the same on every boot: without addresses, numbers of processes and CPUs, and times.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::{pattern::regex, place::without_offsets};

/// Longest title, in characters.
const TITLE_MAX: usize = 140;

static CHANGING: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"exitcode=0x[0-9a-f]+|\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{16}\b|\(____ptrval____\)|kworker/\S+|\b[0-9]+(?:\.[0-9]+)?(?:s|ms|us|ns)?\b",
    )
});

static GROUP: LazyLock<Regex> = LazyLock::new(|| regex(r"\{(=?)(\w+)\}"));

/// A text of the kernel's with everything that changes from boot to boot made equal.
pub(super) fn plain(text: &str) -> String {
    let text = without_offsets(text);
    let text = CHANGING.replace_all(&text, |found: &Captures<'_>| {
        let found = &found[0];
        let word = match found {
            _ if found.starts_with("exitcode") => return found.to_owned(),
            _ if found.starts_with("kworker") => "kworker",
            _ if found.starts_with("0x") || found.starts_with('(') || found.len() == 16 => "ADDR",
            _ => "N",
        };
        word.to_owned()
    });
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(TITLE_MAX)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// The head of a title with its groups filled in, made plain but for `{=group}`.
pub(super) fn fill(head: &str, groups: &Captures<'_>) -> String {
    GROUP
        .replace_all(head, |found: &Captures<'_>| {
            let text = groups.name(&found[2]).map_or("", |group| group.as_str());
            let text = text.trim().trim_end_matches(['!', '.']);
            if &found[1] == "=" {
                text.to_owned()
            } else {
                plain(text)
            }
        })
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_of_one_boot_stays() {
        for (text, want) in [
            (
                "splat: block 3 at 0x100000000 is lost",
                "splat: block N at ADDR is lost",
            ),
            (
                "Attempted to kill init! exitcode=0x00000100",
                "Attempted to kill init! exitcode=0x00000100",
            ),
            (
                "VFS: Unable to mount root fs on unknown-block(1,0)",
                "VFS: Unable to mount root fs on unknown-block(N,N)",
            ),
            (
                "stack is corrupted in: foo.cold+0x1/0x20 [mod]",
                "stack is corrupted in: foo [mod]",
            ),
            ("kworker/0:1  gone at 000003ff7e808532", "kworker gone at ADDR"),
            ("stuck for 22s on cpu2", "stuck for N on cpu2"),
        ] {
            assert_eq!(plain(text), want);
        }
        assert_eq!(plain(&"x".repeat(500)).len(), super::TITLE_MAX);
    }
}
