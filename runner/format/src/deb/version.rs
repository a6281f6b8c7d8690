// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order of Debian versions, by the algorithm of deb-version(7).

use std::cmp::Ordering;

/// Compares two versions: epoch, then upstream version, then Debian revision.
///
/// An epoch that is no number counts as 0, as nothing in an archive has one.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, rest_a) = epoch(a);
    let (epoch_b, rest_b) = epoch(b);
    let (upstream_a, revision_a) = revision(rest_a);
    let (upstream_b, revision_b) = revision(rest_b);
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| part(upstream_a.as_bytes(), upstream_b.as_bytes()))
        .then_with(|| part(revision_a.as_bytes(), revision_b.as_bytes()))
}

fn epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

fn revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, ""))
}

/// Where a character stands: a tilde before the end, the end before letters, letters before the rest.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    }
}

fn part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let digits = |text: &[u8]| text.iter().take_while(|c| c.is_ascii_digit()).count();
    while !a.is_empty() || !b.is_empty() {
        while [a, b]
            .iter()
            .any(|t| t.first().is_some_and(|c| !c.is_ascii_digit()))
        {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order != Ordering::Equal {
                return order;
            }
            a = a.get(1..).unwrap_or(a);
            b = b.get(1..).unwrap_or(b);
        }
        let (number_a, rest_a) = a.split_at(digits(a));
        let (number_b, rest_b) = b.split_at(digits(b));
        let order = number(number_a, number_b);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// Compares digits of any length; no digits are 0.
fn number(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| digits.iter().position(|d| *d != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        // Each line was put to `dpkg --compare-versions`.
        let ascending = [
            "6.1.176-1",
            "6.12.9-1",
            "6.12.12~rc1-1",
            "6.12.12-1~bpo12+1",
            "6.12.12-1",
            "6.12.12-1+b1",
            "6.12.107-1",
            "7.2.13-1",
            "10.0.13+ds-0+deb13u1",
            "1:1.37.0-6+b9",
            "1:7.2+dfsg-7+deb12u18",
        ];
        for (low, a) in ascending.iter().enumerate() {
            for (high, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), low.cmp(&high), "{a} and {b}");
            }
        }
    }

    #[test]
    fn oddities() {
        for (a, b, order) in [
            ("1.0", "1.0-0", Ordering::Equal),
            ("1.00", "1.0", Ordering::Equal),
            ("0:1", "1", Ordering::Equal),
            ("1.0~", "1.0", Ordering::Less),
            ("1.0~~", "1.0~", Ordering::Less),
            ("1.0a", "1.0+", Ordering::Less),
            ("1.0", "1.0a", Ordering::Less),
            (
                "99999999999999999999999",
                "100000000000000000000000",
                Ordering::Less,
            ),
        ] {
            assert_eq!(compare(a, b), order, "{a} and {b}");
            assert_eq!(compare(b, a), order.reverse(), "{b} and {a}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(a in "[0-9a-c.+~:-]{0,8}", b in "[0-9a-c.+~:-]{0,8}", c in "[0-9a-c.+~:-]{0,8}") {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                prop_assert_ne!(compare(&a, &c), Ordering::Greater);
            }
        }
    }
}
