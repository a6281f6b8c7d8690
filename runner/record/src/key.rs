// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tells one case of a run from all others.

use std::{collections::HashSet, fmt::Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use base::{
    Arch,
    fault::{Blame, Blamed},
};

/// The part that stands where a key has nothing to say, such as a case without variants.
const NOTHING: &str = "default";

/// Greatest length of a folder name in bytes, with room for what other tools append to it.
const LONGEST: usize = 200;

/// The coordinates of a case in a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseKey {
    /// Architecture of the guest.
    pub arch: Arch,
    /// The kernel: its label, a hyphen, its release.
    pub kernel: String,
    /// Name of the kernel's configuration; empty for the one it came with.
    pub config: String,
    /// Name of the suite.
    pub suite: String,
    /// The variant, such as `memmap_on_memory=on`; empty for a case without variants.
    pub variant: String,
    /// Id of the case in its suite, such as `B01`.
    pub case: String,
}

/// Two cases of a run cannot be told apart in its reports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two cases of the run are both called `{id}`: give one of them another id, variant or kernel label")]
pub struct NotUnique {
    /// What both are called.
    pub(crate) id: String,
}

impl Blamed for NotUnique {
    fn blame(&self) -> Blame {
        Blame::Usage
    }
}

/// The last choice of a variant, where a case is run several times.
const ROUND: &str = "round=";

impl CaseKey {
    /// The same case in one of several rounds, counted from 1: the round is the last choice of the variant.
    pub fn in_round(&self, round: u32) -> Self {
        let comma = if self.variant.is_empty() { "" } else { "," };
        Self {
            variant: format!("{}{comma}{ROUND}{round}", self.variant),
            ..self.clone()
        }
    }

    /// The round, counted from 1; `None` where the case is run once.
    pub fn round(&self) -> Option<u32> {
        self.split().1
    }

    /// What all rounds of the case have in common.
    pub fn without_round(&self) -> Self {
        Self {
            variant: self.split().0.to_owned(),
            ..self.clone()
        }
    }

    /// The variant, and the round that it ends with.
    fn split(&self) -> (&str, Option<u32>) {
        let (before, last) = self.variant.rsplit_once(',').unwrap_or(("", &self.variant));
        match last.strip_prefix(ROUND).map(str::parse) {
            Some(Ok(round)) => (before, Some(round)),
            _ => (&self.variant, None),
        }
    }

    /// The JUnit class name: `arch.kernel.config.suite.variant`.
    ///
    /// It always has five parts. A part keeps ASCII letters and digits and the characters `_ + = ~ -`; a dot becomes
    /// `_` (a dot divides the parts), anything else `-`, and an empty part `default`. The name is also that of a folder.
    pub fn classname(&self) -> String {
        let parts = [
            &*self.arch.to_string(),
            &*self.kernel,
            &*self.config,
            &*self.suite,
            &*self.variant,
        ];
        shortened(parts.map(safe).join("."))
    }

    /// Name of the case's folder inside that of its class: the id with safe characters.
    pub(crate) fn folder(&self) -> String {
        shortened(safe(&self.case))
    }

    /// Class name and folder name with a slash between: unique over a run, see [`check_unique`].
    pub fn id(&self) -> String {
        format!("{}/{}", self.classname(), self.folder())
    }
}

/// Checks that no two cases of a run share their [`CaseKey::id`].
///
/// Report readers keep only the first of two equal names, so that the second would be lost without a word.
///
/// # Errors
///
/// Returns the first id that comes twice.
pub fn check_unique<'a>(keys: impl IntoIterator<Item = &'a CaseKey>) -> Result<(), NotUnique> {
    let mut seen = HashSet::new();
    for key in keys {
        let id = key.id();
        // Folders on a file system without case must not meet either.
        if !seen.insert(id.to_lowercase()) {
            return Err(NotUnique { id });
        }
    }
    Ok(())
}

fn safe(part: &str) -> String {
    if part.is_empty() {
        return NOTHING.to_owned();
    }
    part.chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '+' | '=' | '~' | '-' => c,
            '.' => '_',
            _ => '-',
        })
        .collect()
}

/// Cuts a name that no file system takes, and keeps it distinct by a hash of the whole.
fn shortened(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let digest = Sha256::digest(name.as_bytes());
    let mut short: String = name.chars().take(LONGEST - 9).collect();
    short.push('~');
    for byte in &digest[..4] {
        write!(short, "{byte:02x}").expect("writing into a String cannot fail");
    }
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(suite: &str, variant: &str, case: &str) -> CaseKey {
        CaseKey {
            arch: Arch::S390x,
            kernel: "debian:trixie-6.12.107+deb13-s390x".to_owned(),
            config: String::new(),
            suite: suite.to_owned(),
            variant: variant.to_owned(),
            case: case.to_owned(),
        }
    }

    #[test]
    fn a_class_has_five_parts() {
        assert_eq!(
            key("blocks", "memmap_on_memory=on", "B01").id(),
            "s390x.debian-trixie-6_12_107+deb13-s390x.default.blocks.memmap_on_memory=on/B01"
        );
    }

    #[test]
    fn two_equal_names_are_an_error() {
        let keys = [
            key("blocks", "", "B01"),
            key("blocks", "", "B02"),
            key("blocks", "", "b01"),
        ];
        let error = check_unique(&keys).unwrap_err();
        assert!(error.to_string().contains("/b01"), "{error}");
        assert_eq!(check_unique(&keys[..2]), Ok(()));
        // Different in the plan, the same in a report.
        let keys = [key("blocks", "a.b", "B01"), key("blocks", "a_b", "B01")];
        assert!(check_unique(&keys).is_err());
    }

    #[test]
    fn the_rounds_of_a_case_are_told_apart_and_found_together() {
        for variant in ["", "memmap_on_memory=on", "a=b,c=d", "round=x", "around=2"] {
            let once = key("blocks", variant, "B01");
            assert_eq!(
                (once.round(), once.without_round()),
                (None, once.clone()),
                "{variant}"
            );
            let third = once.in_round(3);
            assert_eq!(
                (third.round(), third.without_round()),
                (Some(3), once.clone()),
                "{variant}"
            );
            assert_ne!(third.id(), once.in_round(4).id());
        }
        assert_eq!(key("blocks", "", "B01").in_round(2).variant, "round=2");
        assert_eq!(key("blocks", "a=b", "B01").in_round(2).variant, "a=b,round=2");
    }

    #[test]
    fn names_too_long_for_a_folder_stay_apart() {
        let long = "x".repeat(300);
        let keys = [
            key("s", &format!("{long}1"), "c"),
            key("s", &format!("{long}2"), "c"),
        ];
        assert!(keys[0].classname().len() <= LONGEST);
        assert_eq!(check_unique(&keys), Ok(()));
    }

    proptest! {
        #[test]
        fn any_key_makes_one_safe_folder(suite: String, variant: String, case: String) {
            let key = key(&suite, &variant, &case);
            let (class, folder) = (key.classname(), key.folder());
            for name in [&class, &folder] {
                prop_assert!(!name.is_empty() && name.len() <= LONGEST);
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=~-.".contains(c)));
            }
            prop_assert!(!folder.contains('.'));
        }
    }
}
