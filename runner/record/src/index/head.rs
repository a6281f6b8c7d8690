// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first ledger of a case, read without the rest.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

use memory::Ledger;

/// `ledgers.json`, of which only the first ledger is kept.
#[derive(Debug, Deserialize)]
struct Ledgers {
    #[serde(deserialize_with = "first")]
    ledgers: Option<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    step: Option<u32>,
    ledger: Ledger,
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

/// The ledger before the first step; `None` where the file does not have it.
pub(super) fn at_boot(ledgers_json: &[u8]) -> Option<Ledger> {
    let ledgers: Ledgers = serde_json::from_slice(ledgers_json).ok()?;
    let entry = ledgers.ledgers?;
    entry.step.is_none().then_some(entry.ledger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::ledger;

    #[test]
    fn only_the_ledger_before_the_first_step_counts() {
        let first = ledger(5);
        let text = |step: &str| {
            let first = serde_json::to_string(&first).unwrap();
            format!(
                r#"{{"format":1,"ledgers":[{{"step":{step},"at":1.5,"ledger":{first}}},{{"anything":1}}]}}"#
            )
        };
        assert_eq!(at_boot(text("null").as_bytes()), Some(first.clone()));
        assert_eq!(at_boot(text("1").as_bytes()), None);
        assert_eq!(at_boot(br#"{"format":1,"ledgers":[]}"#), None);
        assert_eq!(at_boot(b"{\"format\":1,\"ledg"), None);
    }
}
