// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tells one case of a run from all others.

use std::{collections::HashSet, fmt, fmt::Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{KernelFacts, Side};
use base::{
    Arch,
    fault::{Blame, Blamed},
};

/// The part that stands where a key has nothing to say, such as a case without variants.
const NOTHING: &str = "default";

/// Greatest length of a folder name in bytes, with room for what other tools append to it.
const LONGEST: usize = 200;

/// The coordinates of a case in a run: what tells it from all others.
///
/// What it is called in reports, files and folders is made of it here and nowhere else. Of names only format 1 makes coordinates again, which has
/// kernel and release, side, and variant and round as one text each ([`Written`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct CaseKey {
    /// Architecture of the guest.
    pub arch: Arch,
    /// The kernel as the user named it, such as `debian:sid`; it stays while releases come and go.
    pub label: String,
    /// What `uname -r` prints; `None` where that is not known, as of a kernel that is still to be got.
    pub release: Option<String>,
    /// Name of the kernel's configuration, which only records of other programs have; empty for the one it came with. A side of a comparison stands in
    /// its place.
    pub config: String,
    /// Which of the kernels that are compared; `None` where none are.
    pub side: Option<Side>,
    /// Name of the suite.
    pub suite: String,
    /// The variant, such as `memmap_on_memory=on`; empty for a case without variants.
    pub variant: String,
    /// Id of the case in its suite, such as `B01`.
    pub case: String,
    /// Which time, counted from 1, where the case is run several times.
    pub round: Option<u32>,
}

/// A key as format 1 has it.
#[derive(Serialize, Deserialize)]
struct Written {
    arch: Arch,
    kernel: String,
    config: String,
    suite: String,
    variant: String,
    case: String,
}

impl From<CaseKey> for Written {
    fn from(key: CaseKey) -> Self {
        Self {
            arch: key.arch,
            kernel: key.kernel_name(),
            config: key.config_name().to_owned(),
            variant: key.variant_name(),
            suite: key.suite,
            case: key.case,
        }
    }
}

impl From<Written> for CaseKey {
    /// Kernel and release stay one text, until [`CaseKey::on`] finds them.
    fn from(written: Written) -> Self {
        let side = Side::ALL.into_iter().find(|side| side.word() == written.config);
        let (before, last) = written.variant.rsplit_once(',').unwrap_or(("", &written.variant));
        let round = last.strip_prefix(ROUND).and_then(|round| round.parse().ok());
        let variant = if round.is_some() { before } else { &written.variant };
        Self {
            arch: written.arch,
            label: written.kernel,
            release: None,
            config: if side.is_some() {
                String::new()
            } else {
                written.config
            },
            side,
            suite: written.suite,
            variant: variant.to_owned(),
            case: written.case,
            round,
        }
    }
}

/// A case, whatever it is run on: what people call it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseName {
    /// Name of the suite.
    pub suite: String,
    /// Id of the case.
    pub case: String,
    /// Its variant, with the round where there are several; may be empty.
    pub variant: String,
}

impl fmt::Display for CaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.suite, self.case)?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, " {variant}"),
        }
    }
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

/// What a round is written as: the last choice of the variant.
const ROUND: &str = "round=";

/// What reports call a kernel: label, hyphen, release; the label alone where that begins with the release, or the release is not known.
pub(crate) fn kernel_name(label: &str, release: Option<&str>) -> String {
    match release {
        Some(release) if !is_by_release(label, release) => format!("{label}-{release}"),
        _ => label.to_owned(),
    }
}

/// Whether a label is a release, or one with what tells it from another of the same: `6.12.0@old_bzImage`.
fn is_by_release(label: &str, release: &str) -> bool {
    let more = label.strip_prefix(release);
    more.is_some_and(|more| more.is_empty() || more.starts_with('@'))
}

impl CaseKey {
    /// The same case in one of several rounds, counted from 1.
    pub fn in_round(&self, round: u32) -> Self {
        Self {
            round: Some(round),
            ..self.clone()
        }
    }

    /// What all rounds of the case have in common.
    pub fn without_round(&self) -> Self {
        Self {
            round: None,
            ..self.clone()
        }
    }

    /// The same case on whatever release its kernel has.
    pub fn without_release(&self) -> Self {
        Self {
            release: None,
            ..self.clone()
        }
    }

    /// A key of a record, whose kernel is the one of these that is called so.
    pub(crate) fn on(mut self, kernels: &[KernelFacts]) -> Self {
        let name = self.kernel_name();
        let is = |kernel: &&KernelFacts| kernel.arch == self.arch && kernel.name() == name;
        if let Some(kernel) = kernels.iter().find(is) {
            self.label = kernel.label.clone();
            self.release = Some(kernel.release.clone());
        }
        self
    }

    /// What reports call its kernel: label, hyphen, release.
    pub fn kernel_name(&self) -> String {
        kernel_name(&self.label, self.release.as_deref())
    }

    /// What reports show of the configuration: its name, or the side of a comparison; empty without either.
    pub fn config_name(&self) -> &str {
        match self.side {
            Some(side) => side.word(),
            None => &self.config,
        }
    }

    /// What reports show of the variant: with the round as its last choice, where there are several.
    pub fn variant_name(&self) -> String {
        match (&*self.variant, self.round) {
            (variant, None) => variant.to_owned(),
            ("", Some(round)) => format!("{ROUND}{round}"),
            (variant, Some(round)) => format!("{variant},{ROUND}{round}"),
        }
    }

    /// What people call the case, whatever it is run on.
    pub fn name(&self) -> CaseName {
        CaseName {
            suite: self.suite.clone(),
            case: self.case.clone(),
            variant: self.variant_name(),
        }
    }

    /// The JUnit class name: `arch.kernel.config.suite.variant`.
    ///
    /// It always has five parts. A part keeps ASCII letters and digits and the characters `_ + = ~ -`; a dot becomes
    /// `_` (a dot divides the parts), anything else `-`, and an empty part `default`. The name is also that of a folder.
    pub fn classname(&self) -> String {
        let parts = [
            &*self.arch.to_string(),
            &*self.kernel_name(),
            self.config_name(),
            &*self.suite,
            &*self.variant_name(),
        ];
        shortened(parts.map(safe).join("."))
    }

    /// Name of the case's folder inside that of its class: the id with safe characters.
    fn folder(&self) -> String {
        shortened(safe(&self.case))
    }

    /// Class name and folder name with a slash between: unique over a run, see [`check_unique`].
    pub fn id(&self) -> String {
        format!("{}/{}", self.classname(), self.folder())
    }

    /// Whether this is what somebody names by a word: the id in the suite, or the one that reports show.
    pub fn is_called(&self, word: &str) -> bool {
        self.case == word || self.id() == word
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
            label: "debian:trixie".to_owned(),
            release: Some("6.12.107+deb13-s390x".to_owned()),
            config: String::new(),
            side: None,
            suite: suite.to_owned(),
            variant: variant.to_owned(),
            case: case.to_owned(),
            round: None,
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
    fn a_kernel_that_goes_by_its_release_is_not_called_so_twice() {
        let name = |label| kernel_name(label, Some("6.12.0"));
        assert_eq!(name("debian:trixie"), "debian:trixie-6.12.0");
        assert_eq!(name("6.12.0"), "6.12.0");
        assert_eq!(name("6.12.0@old_bzImage"), "6.12.0@old_bzImage");
        assert_eq!(name("6.12.0+x"), "6.12.0+x-6.12.0");
        assert_eq!(kernel_name("a", None), "a");
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
        for variant in ["", "memmap_on_memory=on", "a=b,c=d"] {
            let once = key("blocks", variant, "B01");
            let third = once.in_round(3);
            assert_eq!(third.without_round(), once, "{variant}");
            assert_ne!(third.id(), once.in_round(4).id());
        }
        assert_eq!(key("blocks", "", "B01").in_round(2).variant_name(), "round=2");
        assert_eq!(
            key("blocks", "a=b", "B01").in_round(2).variant_name(),
            "a=b,round=2"
        );
    }

    /// The one way back from a text: what was written down is found again as it was, once the kernels are known.
    #[test]
    fn a_key_that_was_written_down_is_read_as_it_was() {
        let kernel: KernelFacts = serde_json::from_value(serde_json::json!({
            "label": "debian:trixie", "release": "6.12.107+deb13-s390x", "arch": "s390x", "image_sha256": "",
        }))
        .unwrap();
        for variant in ["", "memmap_on_memory=on", "a=b,c=d", "round=x", "around=2"] {
            for side in [None, Some(Side::Base), Some(Side::New)] {
                for round in [None, Some(1), Some(12)] {
                    let mut key = key("blocks", variant, "B01");
                    (key.side, key.round) = (side, round);
                    let text = serde_json::to_string(&key).unwrap();
                    let read: CaseKey = serde_json::from_str(&text).unwrap();
                    assert_eq!(read.id(), key.id(), "{text}");
                    assert_eq!(read.clone().on(std::slice::from_ref(&kernel)), key, "{text}");
                    let other = KernelFacts {
                        arch: Arch::X86_64,
                        ..kernel.clone()
                    };
                    assert_eq!(
                        read.clone().on(&[other]),
                        read,
                        "the kernel of another architecture"
                    );
                }
            }
        }
        let text = serde_json::to_string(&key("blocks", "a=b", "B01").in_round(2)).unwrap();
        assert_eq!(
            text,
            r#"{"arch":"s390x","kernel":"debian:trixie-6.12.107+deb13-s390x","config":"","suite":"blocks","variant":"a=b,round=2","case":"B01"}"#
        );
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
