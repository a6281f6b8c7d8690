// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long something is to take, as people write it.

use std::time::Duration;

use jiff::SignedDuration;

/// The text is no time, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected how long, such as 10m or 1h30m, and longer than no time")]
pub struct NoTime;

/// Reads a time, such as `10m` or `1h30m`.
///
/// # Errors
/// It is none, less than none, or more than can be counted.
pub fn time(text: &str) -> Result<Duration, NoTime> {
    let time = text
        .parse::<SignedDuration>()
        .ok()
        .and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| !time.is_zero()).ok_or(NoTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_longer_than_none_and_no_bare_number() {
        assert_eq!(time("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(time("1500ms"), Ok(Duration::from_millis(1500)));
        for none in ["0s", "-1m", "10", "soon", "", "9999999999999999h"] {
            assert_eq!(time(none), Err(NoTime), "{none}");
        }
    }
}
