// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first ledger of a case, read without the rest.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

/// The numbers of a ledger that say how much memory booting took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Counters {
    /// In pages.
    pub(super) mem_total: u64,
    /// In pages.
    pub(super) free: u64,
}

/// `ledgers.json`, of which only the first ledger is kept.
#[derive(Debug, Deserialize)]
struct Ledgers {
    #[serde(deserialize_with = "first")]
    ledgers: Option<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    step: Option<u32>,
    ledger: Counters,
}

fn first<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Entry>, D::Error> {
    struct First;
    impl<'de> Visitor<'de> for First {
        type Value = Option<Entry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of ledgers")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let first = list.next_element()?;
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }
    deserializer.deserialize_seq(First)
}

/// The counters before the first step; `None` where the file does not have them.
pub(super) fn at_boot(ledgers_json: &[u8]) -> Option<Counters> {
    let ledgers: Ledgers = serde_json::from_slice(ledgers_json).ok()?;
    let entry = ledgers.ledgers?;
    entry.step.is_none().then_some(entry.ledger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ledger_before_the_first_step_counts() {
        let text = |step: &str| {
            format!(
                r#"{{"format":1,"ledgers":[{{"step":{step},"at":1.5,"ledger":{{"mem_total":7,"free":5,"x":[{{}}]}}}},{{"anything":1}}]}}"#
            )
        };
        let seen = at_boot(text("null").as_bytes());
        assert_eq!(
            seen,
            Some(Counters {
                mem_total: 7,
                free: 5
            })
        );
        assert_eq!(at_boot(text("1").as_bytes()), None);
        assert_eq!(at_boot(br#"{"format":1,"ledgers":[]}"#), None);
        assert_eq!(at_boot(b"{\"format\":1,\"ledg"), None);
    }
}
