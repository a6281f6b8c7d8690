// SPDX-License-Identifier: MIT OR Apache-2.0
//! Durations as files have them: seconds with three decimals.

use std::{fmt, iter::Sum, ops::Add, time::Duration};

use serde::{Deserialize, Serialize};

/// A length of time in seconds, kept to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(f64);

impl Seconds {
    /// `millis` milliseconds.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis as f64 / 1000.0)
    }

    /// The length in whole milliseconds; what is negative or no number counts as zero.
    pub fn as_millis(self) -> u64 {
        (self.0 * 1000.0).round() as u64
    }

    /// The length as a `Duration`.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.as_millis())
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_millis();
        f.pad(&format!("{}.{:03}", millis / 1000, millis % 1000))
    }
}

impl Add for Seconds {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::from_millis(self.as_millis().saturating_add(other.as_millis()))
    }
}

impl Sum for Seconds {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_decimals_are_kept() {
        let seconds = Seconds::from(Duration::from_micros(1_234_999));
        assert_eq!(seconds.to_string(), "1.234");
        assert_eq!(serde_json::to_string(&seconds).unwrap(), "1.234");
        assert_eq!(
            [seconds, seconds].into_iter().sum::<Seconds>().to_string(),
            "2.468"
        );
    }

    #[test]
    fn nonsense_from_a_file_counts_as_zero() {
        let negative: Seconds = serde_json::from_str("-3.5").unwrap();
        assert_eq!(negative.as_millis(), 0);
        assert_eq!(Seconds(f64::NAN).as_millis(), 0);
    }
}
