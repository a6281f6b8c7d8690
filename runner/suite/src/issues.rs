// SPDX-License-Identifier: MIT OR Apache-2.0
//! Known issues that kernels have in every case: which kernels, what they are recognised by, and the words on the command line that go round them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    case::Known,
    error::{Complaint, SuiteErrors},
    pattern::Pattern,
    places::{Node, Span, Spot},
    range::KernelRange,
    raw::Variants,
    sign::{Place, Sign},
    words::FailureKind,
    yaml,
};
use base::Arch;

/// A known issue of kernels that shows while a guest boots, whatever its case is.
#[derive(Debug, Clone)]
pub struct KernelIssue {
    /// What is wrong, on which releases and architectures, and what it is recognised by.
    pub known: Known,
    /// Words for the kernel's command line with which it does not show.
    pub around: Vec<String>,
    /// Options of the configuration, each with `y`, `m`, `n`, `set` (y or m), or the very value.
    config: BTreeMap<String, String>,
    /// It shows where one of these words is on the command line; with any, if there is none.
    cmdline: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIssues {
    issues: Vec<RawIssue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIssue {
    kernels: KernelRange,
    #[serde(default)]
    arch: Option<Vec<Arch>>,
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    cmdline: Vec<String>,
    reason: String,
    sign: RawSign,
    around: Vec<String>,
    #[serde(rename = "evidence")]
    _evidence: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSign {
    kind: FailureKind,
    pattern: Pattern,
    #[serde(default)]
    log: Vec<Pattern>,
}

impl KernelIssue {
    /// Reads a list of them.
    ///
    /// # Errors
    /// What is wrong with the text, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Vec<Self>, SuiteErrors> {
        let tree = Node::scan(text);
        let failed = |complaints| SuiteErrors {
            file: file.to_owned(),
            complaints,
        };
        let raw: RawIssues = serde_yaml::from_str(text)
            .map_err(|error| failed(vec![yaml::complaint(text, text, &tree, &error).1]))?;
        let list = Spot::root(&tree).value("issues");
        let wrong: Vec<Complaint> = (0..)
            .zip(&raw.issues)
            .flat_map(|(at, issue)| check(text, issue, &list.item(at)))
            .collect();
        match wrong.is_empty() {
            true => Ok(raw.issues.into_iter().map(Self::of).collect()),
            false => Err(failed(wrong)),
        }
    }

    fn of(raw: RawIssue) -> Self {
        Self {
            known: Known {
                kernels: raw.kernels,
                arch: raw.arch,
                variants: Variants::default(),
                reason: raw.reason,
                sign: Sign {
                    step: Place::Boot,
                    kind: raw.sign.kind,
                    pattern: raw.sign.pattern,
                    log: raw.sign.log,
                    go_on: false,
                },
            },
            around: raw.around,
            config: raw.config,
            cmdline: raw.cmdline,
        }
    }

    /// Whether a guest with this kernel and these words on its command line has it. `is` says whether an option of the configuration has a value.
    pub fn shows(
        &self,
        release: &str,
        arch: Arch,
        cmdline: &[String],
        is: impl Fn(&str, &str) -> bool,
    ) -> bool {
        let here = self.known.is_of(release, arch);
        let asked = self.cmdline.is_empty() || self.cmdline.iter().any(|word| cmdline.contains(word));
        let clear = self.around.iter().all(|word| cmdline.contains(word));
        here && asked && !clear && self.config.iter().all(|(option, value)| is(option, value))
    }
}

fn check(text: &str, issue: &RawIssue, at: &Spot<'_>) -> Vec<Complaint> {
    let note =
        |span: Span, message: &str, hint: &str| Complaint::at(text, span, message, Some(hint.to_owned()));
    let mut wrong = Vec::new();
    if issue.around.is_empty() {
        let hint = "without one, each case lists the issue as its own";
        wrong.push(note(
            at.value("around").span(),
            "no word goes round the issue",
            hint,
        ));
    }
    let sign = at.value("sign");
    if issue.sign.pattern.fits_everything() {
        let hint = "name the words that only this failure has";
        wrong.push(note(
            sign.value("pattern").span(),
            "the pattern matches everything",
            hint,
        ));
    }
    if !issue.sign.kind.is_seen_in_the_log() {
        let hint = "expected panic, hang, reset or finding";
        wrong.push(note(
            sign.value("kind").span(),
            "a guest does not fail like this while it boots",
            hint,
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
issues:
  - kernels: 6.12.101..6.12
    arch: [s390x]
    config: { CONFIG_DEBUG_VM: y }
    cmdline: [memmap=on, memmap=force]
    reason: it dies
    sign: { kind: panic, pattern: poison }
    around: [vm_debug=-]
    evidence: x
";

    #[test]
    fn the_committed_list_reads() {
        let issues = KernelIssue::parse("known.yaml", include_str!("../../../suites/known.yaml"))
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert!(!issues.is_empty());
    }

    #[test]
    fn an_issue_is_of_a_release_an_architecture_a_configuration_and_a_command_line() {
        let issue = &KernelIssue::parse("x.yaml", TEXT).unwrap()[0];
        let shows = |release: &str, arch, words: &[&str], debug: &str| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            issue.shows(release, arch, &words, |option, value| {
                option == "CONFIG_DEBUG_VM" && value == debug
            })
        };
        assert!(shows("6.12.117", Arch::S390x, &["x", "memmap=force"], "y"));
        assert!(!shows("6.12.100", Arch::S390x, &["memmap=on"], "y"));
        assert!(!shows("6.12.117", Arch::X86_64, &["memmap=on"], "y"));
        assert!(!shows("6.12.117", Arch::S390x, &["memmap=on"], "n"));
        assert!(!shows("6.12.117", Arch::S390x, &["memmap=off"], "y"));
        assert!(!shows("6.12.117", Arch::S390x, &["memmap=on", "vm_debug=-"], "y"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_at_its_place() {
        let said = |from: &str, to: &str| {
            let error = KernelIssue::parse("x.yaml", &TEXT.replace(from, to)).unwrap_err();
            error.to_string()
        };
        let at = |said: &str, begin: &str| assert!(said.starts_with(begin), "{said}");
        at(
            &said("[vm_debug=-]", "[]"),
            "x.yaml:8:13: no word goes round the issue",
        );
        at(
            &said("poison", "'.*'"),
            "x.yaml:7:35: the pattern matches everything",
        );
        at(
            &said("panic", "errno"),
            "x.yaml:7:19: a guest does not fail like this while it boots",
        );
        at(&said("config:", "konfig:"), "x.yaml:4:5: ");
    }
}
