// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two lists in one line: what of the one is missing in the other, what is too much, or that the order is another.

/// How many of a kind one line names.
const NAMED: usize = 4;

/// What is wrong with a list that was seen, in one line that begins with what it lists; `None` where it is as it must be.
pub(super) fn wrong<T: PartialEq + ToString>(what: &str, must: &[T], is: &[T]) -> Option<String> {
    if must == is {
        return None;
    }
    let (missing, extra) = (without(must, is), without(is, must));
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("{} missing", named(&missing)));
    }
    if !extra.is_empty() {
        parts.push(format!("{} too much", named(&extra)));
    }
    if parts.is_empty() {
        // The same in another order: from where they part.
        let at = must.iter().zip(is).take_while(|(must, is)| must == is).count();
        let from = |list: &[T]| named(&list.iter().skip(at).collect::<Vec<_>>());
        parts.push(format!(
            "in another order: {} where {} must be",
            from(is),
            from(must)
        ));
    }
    Some(format!("{what}: {}", parts.join(", ")))
}

/// What of `all` is left when each of `these` has taken one that is like it.
fn without<'a, T: PartialEq>(all: &'a [T], these: &[T]) -> Vec<&'a T> {
    let mut taken: Vec<&T> = these.iter().collect();
    all.iter()
        .filter(|one| match taken.iter().position(|other| other == one) {
            Some(at) => {
                taken.remove(at);
                false
            }
            None => true,
        })
        .collect()
}

/// The first of a list, and how many more there are.
fn named<T: ToString>(list: &[&T]) -> String {
    let words: Vec<String> = list.iter().take(NAMED).map(|one| one.to_string()).collect();
    match list.len().saturating_sub(NAMED) {
        0 => words.join(" "),
        more => format!("{} and {more} more", words.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_is_not_as_it_must_be() {
        let told = |must: &[&str], is: &[&str]| wrong("notifications", must, is);
        assert_eq!(told(&["GOING", "ONLINE"], &["GOING", "ONLINE"]), None);
        assert_eq!(told(&[], &[]), None);
        for (must, is, line) in [
            (
                &["GOING", "ONLINE"][..],
                &["GOING"][..],
                "notifications: ONLINE missing",
            ),
            (&["GOING"], &["GOING", "GOING"], "notifications: GOING too much"),
            (
                &["GOING", "CANCEL"],
                &["GOING", "ONLINE"],
                "notifications: CANCEL missing, ONLINE too much",
            ),
            (
                &["PREPARE", "GOING", "ONLINE"],
                &["PREPARE", "ONLINE", "GOING"],
                "notifications: in another order: ONLINE GOING where GOING ONLINE must be",
            ),
        ] {
            assert_eq!(told(must, is).as_deref(), Some(line));
        }
    }

    #[test]
    fn a_long_list_is_cut_with_its_number() {
        let must: Vec<u32> = (9..17).collect();
        assert_eq!(
            wrong("increments", &must, &[]).as_deref(),
            Some("increments: 9 10 11 12 and 4 more missing")
        );
        assert_eq!(
            wrong("increments", &must, &must[..7]).as_deref(),
            Some("increments: 16 missing")
        );
    }
}
