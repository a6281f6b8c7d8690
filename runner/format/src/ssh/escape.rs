// SPDX-License-Identifier: MIT OR Apache-2.0
//! The keys by which a person leaves a guest that does not answer any more.

use std::time::{Duration, Instant};

/// Control and `]`, which no program for a guest needs three times in a row.
const KEY: u8 = 0x1d;

/// How often it is pressed.
const TIMES: u32 = 3;

/// From the first time to the last.
const WITHIN: Duration = Duration::from_secs(1);

/// Looks for the key three times within a second, with nothing between. All keys go to the guest as well.
#[derive(Debug, Default)]
pub(super) struct Escape {
    /// How often it came in a row, and when the first of them came.
    seen: Option<(u32, Instant)>,
}

impl Escape {
    /// Takes what was typed; whether that is the end.
    pub(super) fn typed(&mut self, keys: &[u8], now: Instant) -> bool {
        for key in keys {
            self.seen = match self.seen {
                _ if *key != KEY => None,
                Some((count, first)) if now.duration_since(first) <= WITHIN => Some((count + 1, first)),
                _ => Some((1, now)),
            };
            if self.seen.is_some_and(|(count, _)| count == TIMES) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether keys that come at these milliseconds end it, and at which of them.
    fn ends(typed: &[(&[u8], u64)]) -> Option<usize> {
        let start = Instant::now();
        let mut escape = Escape::default();
        typed
            .iter()
            .position(|(keys, at)| escape.typed(keys, start + Duration::from_millis(*at)))
    }

    #[test]
    fn three_in_a_second_end_it() {
        assert_eq!(ends(&[(b"\x1d\x1d\x1d", 0)]), Some(0));
        assert_eq!(ends(&[(b"\x1d", 0), (b"\x1d", 400), (b"\x1d", 1000)]), Some(2));
        assert_eq!(ends(&[(b"ls\x1d\x1d", 0), (b"\x1dx", 10)]), Some(1));
        assert_eq!(
            ends(&[(b"\x1d", 0), (b"\x1d\x1d", 1500), (b"\x1d", 1600)]),
            Some(2),
            "what came too early does not count"
        );
    }

    #[test]
    fn anything_else_does_not() {
        assert_eq!(ends(&[(b"\x1d\x1d", 0), (b"\x1d", 1001)]), None);
        assert_eq!(ends(&[(b"\x1d\x1d", 0), (b"x\x1d", 10), (b"\x1d", 20)]), None);
        assert_eq!(ends(&[(b"]]]^]^]^]\x03\x04", 0)]), None);
    }
}
