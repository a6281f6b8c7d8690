// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the rounds of a run say, in words.

use super::text::{count, one_line};
use base::fault::Verdict;
use record::{Differing, Rounds};

/// Such as `20 rounds: 0 of 405 cases differ`.
pub(super) fn answer(rounds: &Rounds) -> String {
    format!(
        "{}: {} of {} differ",
        count(rounds.rounds as usize, "round"),
        rounds.differ.len(),
        count(rounds.cases, "case")
    )
}

/// A case that did not come to the same each time: which it is, how often it came to each verdict, and in which rounds to all but the commonest.
pub(super) fn differing(case: &Differing) -> String {
    let key = &case.key;
    let mut line = format!(
        "{} {} {} on {} {}",
        key.suite,
        key.case,
        case.name,
        key.arch,
        key.kernel_name()
    );
    for part in [key.config_name(), &key.variant_name()] {
        if !part.is_empty() {
            line.push(' ');
            line.push_str(part);
        }
    }
    let most = case.verdicts.values().map(Vec::len).max();
    let commonest = Verdict::ALL
        .into_iter()
        .find(|verdict| case.verdicts.get(verdict).map(Vec::len) == most);
    let words = Verdict::ALL.into_iter().filter_map(|verdict| {
        let rounds = case.verdicts.get(&verdict)?;
        let words = format!("{} {verdict}", rounds.len());
        if commonest == Some(verdict) {
            return Some(words);
        }
        let numbers: Vec<String> = rounds.iter().map(u32::to_string).collect();
        let word = if rounds.len() == 1 { "round" } else { "rounds" };
        Some(format!("{words} ({word} {})", numbers.join(", ")))
    });
    let words: Vec<String> = words.collect();
    one_line(&format!("{line}: {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Style, news, summary};
    use record::RunRecord;

    /// A run of two cases, the second of which came to these verdicts.
    fn run(verdicts: &[Verdict]) -> RunRecord {
        let mut record = news::tests::record(Verdict::Pass);
        let steady = record.cases.remove(0);
        for (round, verdict) in (1..).zip(verdicts) {
            let mut case = steady.clone();
            case.key = steady.key.in_round(round);
            record.cases.push(case.clone());
            case.key.case = "S02".to_owned();
            case.key = case.key.in_round(round);
            case.verdict = *verdict;
            case.reason = Some("why".to_owned());
            record.cases.push(case);
        }
        record
    }

    #[test]
    fn a_case_that_does_not_come_to_the_same_is_named_with_its_rounds() {
        use Verdict::{Error, Fail, Pass};
        let several = Rounds::of(&run(&[Pass, Fail, Pass, Fail, Error])).unwrap();
        assert_eq!(answer(&several), "5 rounds: 1 of 2 cases differ");
        assert_eq!(
            differing(&several.differ[0]),
            "standby S02  on s390x debian:sid-7.2.0: 2 pass, 2 fail (rounds 2, 4), 1 error (round 5)"
        );
        let several = Rounds::of(&run(&[Fail, Fail])).unwrap();
        assert_eq!(answer(&several), "2 rounds: 0 of 2 cases differ");
        assert_eq!(Rounds::of(&news::tests::record(Pass)), None, "it was run once");
    }

    #[test]
    fn a_round_that_did_not_come_to_its_end_says_nothing() {
        let mut record = run(&[Verdict::Pass, Verdict::Error]);
        record.unfinished.push(record.cases[3].key.clone());
        let several = Rounds::of(&record).unwrap();
        assert_eq!(answer(&several), "2 rounds: 0 of 1 case differ");
    }

    #[test]
    fn what_is_the_same_in_every_round_is_told_once() {
        let told = summary(&run(&[Verdict::Fail; 3]), Style::Plain);
        assert!(
            told.starts_with("6 cases: 3 pass, 3 fail; 3 rounds: 0 of 2 cases differ\n"),
            "{told}"
        );
        assert_eq!(told.matches("FAIL standby S02").count(), 1, "{told}");
        assert!(told.contains("the first of 3, in 3 rounds"), "{told}");
        let told = summary(&run(&[Verdict::Pass, Verdict::Fail]), Style::Plain);
        assert!(told.contains("\ndiffers standby S02"), "{told}");
    }
}
