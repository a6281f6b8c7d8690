// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which cases reach a piece of the kernel's code, by what they ran when they were covered last. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    str::FromStr,
};

use base::Arch;
use record::{
    Ran, Reach,
    index::{CoveredBy, HistoryKey, LastCovered},
};

/// A piece of the kernel's code that a case reaches or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A function, by its name.
    Function(String),
    /// Any of some lines.
    Lines {
        /// The file, by its path in the kernel's tree.
        file: String,
        /// The first line, from 1.
        first: u32,
        /// The last one.
        last: u32,
    },
}

/// The text names no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no code: expected FUNCTION, FILE:LINE or FILE:FIRST-LAST, such as offline_pages or mm/memory_hotplug.c:1474"
)]
pub struct BadTarget(String);

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = || BadTarget(text.to_owned());
        let Some((file, lines)) = text.rsplit_once(':') else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let named = !text.is_empty() && text.chars().all(is_name);
            return match named && !text.starts_with(|c: char| c.is_ascii_digit()) {
                true => Ok(Self::Function(text.to_owned())),
                false => Err(bad()),
            };
        };
        let (first, last) = lines.split_once('-').unwrap_or((lines, lines));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if !file.is_empty() && (1..=last).contains(&first) => Ok(Self::Lines {
                file: file.trim_start_matches("./").to_owned(),
                first,
                last,
            }),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) => f.write_str(name),
            Self::Lines { file, first, last } if first == last => write!(f, "{file}:{first}"),
            Self::Lines { file, first, last } => write!(f, "{file}:{first}-{last}"),
        }
    }
}

impl Target {
    /// Whether only a kernel whose lines are known says who reaches it.
    pub(crate) fn needs_lines(&self) -> bool {
        matches!(self, Self::Lines { .. })
    }

    /// The cases that reach it: none where the kernel has nothing of the kind.
    pub(crate) fn reached_by(&self, reach: &Reach) -> Ran {
        let ran = match self {
            Self::Function(name) => reach.function(name).cloned(),
            Self::Lines { file, first, last } => reach.lines(file, *first..=*last),
        };
        ran.unwrap_or_default()
    }
}

/// Where some cases were covered last; `None` for those that never were.
///
/// What is known of a case on its own kernel line comes first, and then what is known of it on another line of its architecture, the newest first. Lines of
/// a file are other lines in another kernel: with `needs_lines`, all cases of a kernel line are looked up on one, which is its own wherever that has been
/// covered with lines.
pub(crate) fn sources<'a>(
    keys: &[HistoryKey],
    covered: &'a [LastCovered],
    needs_lines: bool,
) -> Vec<Option<&'a LastCovered>> {
    let fitting = || covered.iter().filter(|last| last.by.has_lines || !needs_lines);
    let mut known: HashMap<(Arch, &str, &str, &str), Vec<&LastCovered>> = HashMap::new();
    for last in fitting() {
        known.entry(whatever_kernel(&last.key)).or_default().push(last);
    }
    let line_of = |key: &HistoryKey| -> Option<String> {
        let of_arch = || fitting().filter(|last| last.key.arch == key.arch);
        let own = || of_arch().any(|last| last.key.line == key.line);
        match needs_lines && !own() {
            true => Some(of_arch().max_by_key(|last| last.by.age())?.key.line.clone()),
            false => Some(key.line.clone()),
        }
    };
    let mut lines: BTreeMap<(Arch, &str), Option<String>> = BTreeMap::new();
    keys.iter()
        .map(|key| {
            let line = lines
                .entry((key.arch, &key.line))
                .or_insert_with(|| line_of(key))
                .as_ref()?;
            let all = known.get(&whatever_kernel(key))?;
            let own = all
                .iter()
                .filter(|last| last.key.line == *line)
                .max_by_key(|last| last.by.age());
            let other = || {
                all.iter()
                    .max_by_key(|last| last.by.age())
                    .filter(|_| !needs_lines)
            };
            own.or_else(other).copied()
        })
        .collect()
}

/// A case on whatever kernel of its architecture.
fn whatever_kernel(key: &HistoryKey) -> (Arch, &str, &str, &str) {
    (key.arch, &key.suite, &key.variant, &key.case)
}

/// Covered kernels in words, the newest first: `KERNEL in RUN`, and how many more.
pub(crate) fn in_words(covered: &[&CoveredBy]) -> String {
    let mut all: Vec<&CoveredBy> = covered.to_vec();
    all.sort_by_key(|by| (std::cmp::Reverse(by.started), by.id));
    all.dedup_by_key(|by| by.id);
    let named: Vec<String> = all
        .iter()
        .take(2)
        .map(|by| format!("{} in {}", by.kernel, by.run))
        .collect();
    match all.len().saturating_sub(2) {
        0 => named.join(" and "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// The first of some names, and how many more.
pub(crate) fn some_of(names: &BTreeSet<String>) -> String {
    let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    match names.len().saturating_sub(3) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// When a case has its turn: what may show something before what will not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// It is known to reach what is looked for, and failed when that was seen: a change of what it reaches may mend it.
    Failed,
    /// It is known to reach what is looked for, of which this many cases reach the part that the fewest do.
    First(usize),
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// It is known not to reach it.
    Last,
}

impl Turn {
    /// Whether it is known to reach what is looked for.
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Self::Failed | Self::First(_))
    }
}

/// The turns of cases; of those that it does not have nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turns(HashMap<HistoryKey, Turn>);

impl Turns {
    /// The turn of a case.
    pub(crate) fn of(&self, key: &HistoryKey) -> Turn {
        self.0.get(key).copied().unwrap_or_default()
    }
}

impl FromIterator<(HistoryKey, Turn)> for Turns {
    fn from_iter<T: IntoIterator<Item = (HistoryKey, Turn)>>(turns: T) -> Self {
        Self(turns.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn key(line: &str, case: &str) -> HistoryKey {
        HistoryKey {
            arch: Arch::S390x,
            line: line.to_owned(),
            config: String::new(),
            suite: "blocks".to_owned(),
            variant: String::new(),
            case: case.to_owned(),
        }
    }

    /// A case that was covered on a day of November; the day is the number of its kernel, too.
    fn last(line: &str, case: &str, day: i64, has_lines: bool) -> LastCovered {
        LastCovered {
            key: key(line, case),
            by: Arc::new(CoveredBy {
                id: day,
                run: format!("run-{day}"),
                started: format!("2026-11-{day:02}T01:00:00Z").parse().unwrap(),
                arch: Arch::S390x,
                line: line.to_owned(),
                kernel: format!("{line}-7.{day}"),
                has_lines,
            }),
            number: 0,
            failed: false,
        }
    }

    #[test]
    fn a_target_is_a_function_or_lines() {
        let good = [
            "offline_pages",
            "_stext",
            "mm/memory_hotplug.c:1474",
            "mm/sparse.c:17-20",
        ];
        for text in good {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("./a.c:3-3".parse::<Target>().unwrap().to_string(), "a.c:3");
        let bad = [
            "",
            "mm/sparse.c",
            "17",
            "a b",
            "a.c:",
            "a.c:0",
            "a.c:x",
            "a.c:5-4",
            ":7",
            "a.c:1-2-3",
            "f.cold",
        ];
        for text in bad {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` names no code")), "{error}");
        }
    }

    #[test]
    fn a_case_goes_by_its_own_kernel_line_and_else_by_the_newest() {
        let covered = [
            last("sid", "B01", 1, false),
            last("trixie", "B01", 2, false),
            last("bookworm", "B01", 3, false),
            last("trixie", "B02", 2, false),
        ];
        let days = |line: &str| -> Vec<Option<i64>> {
            let keys = ["B01", "B02", "B03"].map(|case| key(line, case));
            let sources = sources(&keys, &covered, false);
            sources
                .into_iter()
                .map(|last| last.map(|last| last.by.id))
                .collect()
        };
        assert_eq!(days("sid"), [Some(1), Some(2), None]);
        assert_eq!(days("trixie"), [Some(2), Some(2), None]);
        assert_eq!(days("new"), [Some(3), Some(2), None]);
        let elsewhere = HistoryKey {
            arch: Arch::X86_64,
            ..key("sid", "B01")
        };
        assert_eq!(sources(&[elsewhere], &covered, false), [None]);
    }

    #[test]
    fn lines_are_those_of_one_kernel_line() {
        let covered = [
            last("sid", "B01", 1, true),
            last("trixie", "B01", 2, true),
            last("trixie", "B02", 2, true),
            last("bookworm", "B02", 3, false),
        ];
        let days = |line: &str| -> Vec<Option<i64>> {
            let keys = ["B01", "B02"].map(|case| key(line, case));
            let sources = sources(&keys, &covered, true);
            sources
                .into_iter()
                .map(|last| last.map(|last| last.by.id))
                .collect()
        };
        assert_eq!(days("sid"), [Some(1), None], "the lines of trixie are others");
        assert_eq!(days("bookworm"), [Some(2), Some(2)], "its own are not known");
        assert_eq!(days("trixie"), [Some(2), Some(2)]);
        assert_eq!(sources(&[key("sid", "B01")], &covered[3..], true), [None]);
    }

    #[test]
    fn what_there_is_much_of_is_told_in_part() {
        let covered: Vec<LastCovered> = (1..=3).map(|day| last("sid", "B01", day, false)).collect();
        let by: Vec<&CoveredBy> = covered.iter().map(|last| &*last.by).collect();
        assert_eq!(in_words(&[by[0], by[0]]), "sid-7.1 in run-1");
        assert_eq!(in_words(&by[..2]), "sid-7.2 in run-2 and sid-7.1 in run-1");
        assert_eq!(in_words(&by), "sid-7.3 in run-3, sid-7.2 in run-2 and 1 more");
        let names = |count: usize| {
            ["a", "b", "c", "d"][..count]
                .iter()
                .map(|&name| name.to_owned())
                .collect()
        };
        assert_eq!(some_of(&names(3)), "a, b, c");
        assert_eq!(some_of(&names(4)), "a, b, c and 1 more");
    }
}
