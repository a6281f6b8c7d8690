// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counters that go with the rounds of a repetition, where each round ends as it began.

use std::{collections::BTreeMap, fmt};

/// How far a counter must go in one direction, for each round and in every stretch between two readings, to count as going with the rounds: half of the
/// least that a loss in each round is. What a guest does on its own goes up and down.
const STEP: f64 = 0.5;

/// Counters after a round: its number, and each counter by its name.
pub type AfterRound = (u32, BTreeMap<String, i64>);

/// A counter that goes with the rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slope {
    /// Its name.
    pub counter: String,
    /// After which rounds it was read, and what it was; at least two.
    pub readings: Vec<(u32, i64)>,
}

impl Slope {
    /// What it was after the first reading, and after the last.
    pub fn ends(&self) -> (i64, i64) {
        let value = |reading: Option<&(u32, i64)>| reading.map_or(0, |(_, value)| *value);
        (value(self.readings.first()), value(self.readings.last()))
    }

    fn a_round(&self) -> f64 {
        let round = |reading: Option<&(u32, i64)>| reading.map_or(0, |(round, _)| *round);
        let rounds = round(self.readings.last()) - round(self.readings.first());
        let (first, last) = self.ends();
        (last - first) as f64 / f64::from(rounds.max(1))
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rounds, values): (Vec<_>, Vec<_>) = self
            .readings
            .iter()
            .map(|(round, value)| (round.to_string(), value.to_string()))
            .unzip();
        write!(
            f,
            "{} {:+.1} a round: {} after rounds {}",
            self.counter,
            self.a_round(),
            values.join(", "),
            rounds.join(", ")
        )
    }
}

/// The counters that go with the rounds, in all of the stretches between two readings. One that a reading has not is passed over.
pub fn slopes(readings: &[AfterRound]) -> Vec<Slope> {
    let Some((_, first)) = readings.first() else {
        return Vec::new();
    };
    let of = |counter: &String| {
        let values = readings
            .iter()
            .map(|(round, counters)| Some((*round, *counters.get(counter)?)));
        Some(Slope {
            counter: counter.clone(),
            readings: values.collect::<Option<_>>()?,
        })
    };
    first.keys().filter_map(of).filter(goes).collect()
}

fn goes(slope: &Slope) -> bool {
    let stretches = slope.readings.windows(2).filter_map(|pair| match pair {
        [(from, before), (to, after)] => Some((after - before) as f64 / f64::from((to - from).max(1))),
        _ => None,
    });
    let stretches: Vec<f64> = stretches.collect();
    !stretches.is_empty()
        && (stretches.iter().all(|step| *step >= STEP) || stretches.iter().all(|step| *step <= -STEP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(values: &[i64]) -> Vec<AfterRound> {
        let reading =
            |(at, value): (usize, &i64)| (1 + 10 * at as u32, BTreeMap::from([("free".to_owned(), *value)]));
        values.iter().enumerate().map(reading).collect()
    }

    fn told(values: &[i64]) -> Vec<String> {
        slopes(&readings(values)).iter().map(Slope::to_string).collect()
    }

    #[test]
    fn what_goes_with_the_rounds_is_told_with_all_its_readings() {
        let must = "free -1.0 a round: 900, 890, 881, 871, 860 after rounds 1, 11, 21, 31, 41";
        assert_eq!(told(&[900, 890, 881, 871, 860]), [must]);
        assert_eq!(told(&[0, 5, 10, 15, 20]).len(), 1);
    }

    #[test]
    fn what_goes_up_and_down_or_once_is_none() {
        for values in [
            [900, 890, 881, 885, 860],
            [900, 800, 800, 800, 800],
            [900, 900, 900, 900, 900],
            [0, 4, 8, 12, 16],
        ] {
            assert_eq!(told(&values), Vec::<String>::new(), "{values:?}");
        }
    }

    #[test]
    fn a_counter_that_is_not_always_there_is_passed_over() {
        let mut some = readings(&[9, 8, 7, 6, 5]);
        some.iter_mut()
            .for_each(|(round, _)| *round = (*round).div_ceil(10));
        assert_eq!(slopes(&some).len(), 1);
        some[2].1.clear();
        assert_eq!(slopes(&some), Vec::new());
        assert_eq!(slopes(&[]), Vec::new());
    }
}
