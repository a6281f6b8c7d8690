// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which part of a plan a run is, where several machines share one.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::RunId;

/// Which part of its plan a run was to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunPart {
    /// All of it.
    Whole,
    /// One of several parts.
    Shard(ShardFacts),
    /// Several parts that were run on their own, put together.
    Merged {
        /// Their names, in the order of their numbers.
        runs: Vec<RunId>,
    },
}

/// One part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardFacts {
    /// How cases found their part: `slice` or `hash`.
    pub how: String,
    /// Which part, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// The whole plan. `None` where the part is known from a command line alone.
    #[serde(default)]
    pub plan: Option<PlanFacts>,
}

/// What a plan was before it was divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFacts {
    /// SHA-256, in hex, of what [`PlanFacts::of`] takes in.
    pub sha256: String,
    /// How many cases it has.
    pub cases: u32,
}

impl PlanFacts {
    /// The facts of a plan: of each case its id, and the digest of its suite file; and whether a skip is an error in it. The order of the
    /// cases does not matter.
    pub fn of<'a>(cases: impl IntoIterator<Item = (String, &'a str)>, require_all: bool) -> Self {
        let mut lines: Vec<String> = cases
            .into_iter()
            .map(|(id, suite)| format!("{id} {suite}\n"))
            .collect();
        lines.sort_unstable();
        let mut digest = Sha256::new();
        digest.update(if require_all { "all\n" } else { "\n" });
        lines.iter().for_each(|line| digest.update(line));
        Self {
            sha256: digest
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            cases: u32::try_from(lines.len()).unwrap_or(u32::MAX),
        }
    }
}

impl ShardFacts {
    /// What `--shard` says in a command line: all that a folder of the first memrig tells.
    pub(super) fn of_command_line(argv: &[String]) -> Option<Self> {
        let words = argv.iter().enumerate();
        let text = words
            .rev()
            .find_map(|(at, word)| match word.strip_prefix("--shard") {
                Some("") => argv.get(at + 1).map(String::as_str),
                Some(rest) => rest.strip_prefix('='),
                None => None,
            })?;
        let (how, part) = text.split_once(':')?;
        let (number, of) = part.split_once('/')?;
        Some(Self {
            how: how.to_owned(),
            number: number.parse().ok()?,
            of: of.parse().ok()?,
            plan: None,
        })
    }

    /// Another part of the same plan.
    pub(super) fn sibling(&self, number: u32) -> Self {
        Self {
            number,
            ..self.clone()
        }
    }
}

impl fmt::Display for ShardFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.how, self.number, self.of)
    }
}

/// The words of a command line but the program's name and these options, which have a value each.
pub(super) fn without<'a>(argv: &'a [String], options: &[&str]) -> Vec<&'a str> {
    let mut words = Vec::new();
    let mut skip = false;
    for word in argv.iter().skip(1) {
        let name = word.split('=').next().unwrap_or(word);
        if skip {
            skip = false;
        } else if options.contains(&name) {
            skip = !word.contains('=');
        } else {
            words.push(word.as_str());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn argv(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_command_line_says_which_part_it_was() {
        let said = |text: &str| ShardFacts::of_command_line(&argv(text)).map(|shard| shard.to_string());
        assert_eq!(said("memrig run --shard slice:2/5").unwrap(), "slice:2/5");
        assert_eq!(said("memrig run --shard=hash:1/2 -j 3").unwrap(), "hash:1/2");
        assert_eq!(said("memrig run --shard"), None);
        assert_eq!(said("memrig run --shards 5"), None);
        let a = argv("/bin/memrig run blocks --shard slice:1/5 -j 2 -k debian:sid --shard=slice:2/5");
        assert_eq!(
            without(&a, &["--shard", "-j"]).join(" "),
            "run blocks -k debian:sid"
        );
    }

    #[test]
    fn the_facts_read_as_they_were_written_down() {
        let plan = PlanFacts::of([("c/B01".to_owned(), "12")], false);
        let shard = ShardFacts {
            how: "slice".to_owned(),
            number: 2,
            of: 5,
            plan: Some(plan.clone()),
        };
        let text = |part: &RunPart| serde_json::to_string(part).unwrap();
        assert_eq!(text(&RunPart::Whole), "\"whole\"");
        let all = [
            RunPart::Whole,
            RunPart::Merged { runs: Vec::new() },
            RunPart::Shard(shard),
        ];
        for part in all {
            assert_eq!(serde_json::from_str::<RunPart>(&text(&part)).unwrap(), part);
        }
        // The digest is a part of the format: machines with different versions of memrig must not find different ones.
        assert_eq!(
            (&*plan.sha256, plan.cases),
            (
                "68137508ff7e7ff5ed2ba19f5d347443fb8a147c901ec17ece0e83696eab6cd2",
                1
            )
        );
    }

    proptest! {
        #[test]
        fn a_plan_is_the_same_in_any_order_and_with_any_change_another(n in 1usize..20, at in 0usize..20, change in 0u8..4) {
            let cases: Vec<(String, &str)> = (0..n).map(|n| (format!("class/{n}"), "12")).collect();
            let plan = |cases: &[(String, &str)], require_all| PlanFacts::of(cases.to_vec(), require_all);
            let mut other = cases.clone();
            other.reverse();
            prop_assert_eq!(plan(&cases, false), plan(&other, false));
            let at = at % n;
            match change {
                0 => drop(other.remove(at)),
                1 => other[at].0.push('x'),
                2 => other[at].1 = "13",
                _ => other.push(("class/new".to_owned(), "12")),
            }
            prop_assert_ne!(plan(&cases, false).sha256, plan(&other, false).sha256);
            prop_assert_ne!(plan(&cases, false).sha256, plan(&cases, true).sha256);
        }
    }
}
