// SPDX-License-Identifier: MIT OR Apache-2.0
//! One case on two kernels, laid beside each other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::seen::{CaseSeen, Dimension, Value};
use base::fault::Verdict;

/// Something that is not the same on both kernels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which moment, from 0: the boot, the steps, the end.
    pub moment: usize,
    /// The step, from 1; `None` for the boot, the end, and the case as a whole.
    pub step: Option<u32>,
    /// What the step does, or `boot`, `end` or `case`.
    pub text: String,
    /// What kind of thing it is.
    pub dimension: Dimension,
    /// What it is called.
    pub name: String,
    /// What was seen on the base; `None` when nothing was.
    pub base: Option<String>,
    /// What was seen on the new kernel.
    pub new: Option<String>,
}

/// Why nothing could be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Silence {
    /// `error` where something broke, `skip` where the case means nothing on one of the kernels.
    pub(crate) verdict: Verdict,
    /// What was said.
    pub(crate) why: String,
}

/// What laying them beside each other came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pair {
    /// They were compared.
    Compared {
        /// How many things were seen on either.
        observations: usize,
        /// Those that differ, in the order of their moments.
        differences: Vec<Difference>,
    },
    /// They were not: one of them says nothing.
    Not(Silence),
}

impl Pair {
    /// Lays two rows of moments beside each other.
    ///
    /// A case that ends early on one kernel is compared up to there. Where its verdicts differ, that is the difference; it says
    /// what follows from it too.
    pub(crate) fn of(base: &CaseSeen, new: &CaseSeen) -> Self {
        let why = |side: &str, seen: &CaseSeen| {
            let reason = seen.reason.as_deref().unwrap_or("no reason was told");
            Self::Not(Silence {
                verdict: seen.verdict,
                why: format!("{} on the {side} kernel: {reason}", seen.verdict),
            })
        };
        let says_nothing = |seen: &CaseSeen| matches!(seen.verdict, Verdict::Error | Verdict::Skip);
        if says_nothing(base) {
            return why("base", base);
        }
        if says_nothing(new) {
            return why("new", new);
        }
        let mut observations = 1;
        let mut differences = Vec::new();
        if base.verdict != new.verdict {
            differences.push(Difference {
                moment: base.moments.len().min(new.moments.len()),
                step: None,
                text: "case".to_owned(),
                dimension: Dimension::Verdict,
                name: "verdict".to_owned(),
                base: Some(told(base)),
                new: Some(told(new)),
            });
        }
        for (index, (base, new)) in base.moments.iter().zip(&new.moments).enumerate() {
            // A case that ended early has its end where the other has a step.
            if base.text != new.text {
                break;
            }
            let unseen: BTreeSet<Dimension> = base.unseen.union(&new.unseen).copied().collect();
            let names: BTreeSet<_> = base.values.keys().chain(new.values.keys()).collect();
            for key in names.into_iter().filter(|key| !unseen.contains(&key.0)) {
                observations += 1;
                let (was, is) = (base.values.get(key), new.values.get(key));
                if same(was, is) {
                    continue;
                }
                let (dimension, name) = key.clone();
                let text = |value: Option<&Value>| value.map(|value| value.text.clone());
                differences.push(Difference {
                    moment: index,
                    step: base.step,
                    text: base.text.clone(),
                    dimension,
                    name,
                    base: text(was),
                    new: text(is),
                });
            }
        }
        Self::Compared {
            observations,
            differences,
        }
    }
}

fn told(seen: &CaseSeen) -> String {
    match &seen.reason {
        Some(reason) if seen.verdict != Verdict::Pass => format!("{}: {reason}", seen.verdict),
        _ => seen.verdict.to_string(),
    }
}

/// Takes what a [`Difference`] of verdicts says apart: the verdict's word, and the reason where it has one.
pub fn verdict_and_reason(told: &str) -> (&str, Option<&str>) {
    match told.split_once(": ") {
        Some((verdict, reason)) => (verdict, Some(reason)),
        None => (told, None),
    }
}

/// Whether two observations are the same, within what they may differ.
fn same(base: Option<&Value>, new: Option<&Value>) -> bool {
    let (Some(base), Some(new)) = (base, new) else {
        return base == new;
    };
    if base.text == new.text {
        return true;
    }
    let slack = base.slack.min(new.slack);
    match (base.text.parse::<i64>(), new.text.parse::<i64>()) {
        (Ok(base), Ok(new)) => base.abs_diff(new) <= slack,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::Moment;

    fn seen(verdict: Verdict, moments: &[&[(Dimension, &str, &str, u64)]]) -> CaseSeen {
        let moment = |(index, values): (usize, &&[(Dimension, &str, &str, u64)])| Moment {
            step: (index > 0).then_some(index as u32),
            text: format!("step {index}"),
            values: values
                .iter()
                .map(|(dimension, name, text, slack)| {
                    let value = Value {
                        text: (*text).to_owned(),
                        slack: *slack,
                    };
                    ((*dimension, (*name).to_owned()), value)
                })
                .collect(),
            unseen: BTreeSet::new(),
        };
        CaseSeen {
            verdict,
            reason: (verdict != Verdict::Pass).then(|| "why".to_owned()),
            boot_memory: None,
            moments: moments.iter().enumerate().map(moment).collect(),
        }
    }

    use Dimension::{Ledger, Notifiers, Sysfs};

    #[test]
    fn what_is_missing_or_differs_is_a_difference_and_slack_is_kept() {
        let base = seen(
            Verdict::Pass,
            &[
                &[(Ledger, "free", "100", 32), (Sysfs, "a", "there", 0)],
                &[(Notifiers, "n", "A, B", 0)],
            ],
        );
        let new = seen(
            Verdict::Pass,
            &[
                &[(Ledger, "free", "132", 32)],
                &[(Notifiers, "n", "A", 0), (Ledger, "x", "+1", 0)],
            ],
        );
        let Pair::Compared {
            observations,
            differences,
        } = Pair::of(&base, &new)
        else {
            panic!("not compared")
        };
        assert_eq!(observations, 5);
        let short: Vec<_> = differences
            .iter()
            .map(|d| (d.moment, d.name.as_str(), d.base.as_deref(), d.new.as_deref()))
            .collect();
        assert_eq!(
            short,
            [
                (0, "a", Some("there"), None),
                (1, "n", Some("A, B"), Some("A")),
                (1, "x", None, Some("+1"))
            ]
        );
        let far = seen(
            Verdict::Pass,
            &[&[(Ledger, "free", "133", 32), (Sysfs, "a", "there", 0)]],
        );
        assert!(
            matches!(Pair::of(&base, &far), Pair::Compared { differences, .. } if differences.len() == 1)
        );
    }

    #[test]
    fn what_one_cannot_show_is_not_compared() {
        let base = seen(Verdict::Pass, &[&[(Notifiers, "n", "A", 0)]]);
        let mut new = seen(Verdict::Pass, &[&[]]);
        new.moments[0].unseen.insert(Notifiers);
        assert!(
            matches!(Pair::of(&base, &new), Pair::Compared { observations: 1, differences } if differences.is_empty())
        );
    }

    #[test]
    fn an_early_end_is_a_verdict_and_an_error_says_nothing() {
        let base = seen(Verdict::Fail, &[&[]]);
        let new = seen(Verdict::Pass, &[&[], &[(Ledger, "x", "+1", 0)]]);
        let Pair::Compared { differences, .. } = Pair::of(&base, &new) else {
            panic!("not compared")
        };
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].base.as_deref(), Some("fail: why"));
        let broken = seen(Verdict::Error, &[&[]]);
        assert_eq!(
            Pair::of(&new, &broken),
            Pair::Not(Silence {
                verdict: Verdict::Error,
                why: "error on the new kernel: why".to_owned(),
            })
        );
    }
}
