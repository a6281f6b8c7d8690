// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which part of its plan a run is, in words.

use super::text::{count, one_line};
use record::RunPart;

/// Such as `shard slice:2/5 of a plan of 387 cases`.
pub(super) fn words(part: &RunPart) -> String {
    match part {
        RunPart::Whole => "the whole plan".to_owned(),
        RunPart::Shard(shard) => {
            let shard_of = one_line(&format!("shard {shard}"));
            // What is known from a command line alone does not say how large the plan was.
            shard.plan.as_ref().map_or_else(
                || shard_of.clone(),
                |plan| format!("{shard_of} of a plan of {}", count(plan.cases as usize, "case")),
            )
        }
        RunPart::Merged { runs } => {
            let names: Vec<&str> = runs.iter().map(|run| run.as_str()).collect();
            one_line(&format!(
                "merged from {}: {}",
                count(runs.len(), "run"),
                names.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{PlanFacts, RunId, ShardFacts};

    #[test]
    fn a_part_is_named_as_it_was_asked_for() {
        let mut shard = ShardFacts {
            how: "slice".to_owned(),
            number: 2,
            of: 5,
            plan: Some(PlanFacts {
                sha256: String::new(),
                cases: 387,
            }),
        };
        let of_plan = words(&RunPart::Shard(shard.clone()));
        assert_eq!(of_plan, "shard slice:2/5 of a plan of 387 cases");
        shard.plan = None;
        shard.how = "slice\u{1b}[2J".to_owned();
        assert_eq!(words(&RunPart::Shard(shard)), "shard slice\\x1b[2J:2/5");
        let runs = [1, 2].map(|random| RunId::new(jiff::Timestamp::UNIX_EPOCH, random));
        assert_eq!(
            words(&RunPart::Merged { runs: runs.to_vec() }),
            "merged from 2 runs: 19700101T000000Z-000001, 19700101T000000Z-000002"
        );
        assert_eq!(words(&RunPart::Whole), "the whole plan");
    }
}
