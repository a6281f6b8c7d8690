// SPDX-License-Identifier: MIT OR Apache-2.0
//! A walk along a series: the verdict on each patch, and whether the series can be bisected.

use std::collections::BTreeSet;

use super::{
    ran::ran,
    table::{Align, columns},
    terminal::Style,
    text::{one_line, printable},
};
use base::{
    Arch,
    fault::{Exit, Verdict},
};
use record::{SeriesRan, WalkBuild, WalkCase, WalkPoint, WalkRecord};

/// What is said about a patch on one architecture.
struct Judged {
    verdict: Verdict,
    /// In a few words, for the table.
    short: String,
    /// Each in a line, below the table.
    lines: Vec<String>,
}

/// The exit code of a walk: 1 where a patch does not apply, does not build, or breaks what worked before it; else 3 where
/// something about a patch is not known.
pub fn walk_exit(walk: &WalkRecord) -> Exit {
    let verdicts = patches(walk)
        .flat_map(|point| judge_all(walk, point))
        .map(|(_, judged)| judged.verdict);
    Exit::of(verdicts)
}

/// The walk for a person at a terminal: the answer, the table of patches, then what needs words.
pub fn walk_summary(walk: &WalkRecord, style: Style) -> String {
    let arches = arches(walk);
    let mut rows = vec![vec!["patch".to_owned()]];
    rows[0].extend(arches.iter().map(ToString::to_string));
    let mut lines = Vec::new();
    for point in &walk.points {
        let name = match point.number {
            0 => format!("  base: {}", one_line(&walk.base)),
            number => format!("{number} {}", one_line(&point.title)),
        };
        let mut row = vec![name];
        for (arch, judged) in judge_all(walk, point) {
            row.push(one_line(&judged.short));
            let place = match point.number {
                0 => format!("base, {arch}"),
                number => format!("patch {number}, {arch}"),
            };
            lines.extend(
                judged
                    .lines
                    .into_iter()
                    .map(|line| format!("{place}: {}\n", printable(&line))),
            );
        }
        if let Some(said) = patch_ran(point) {
            lines.push(format!("patch {}: {said}\n", point.number));
        }
        rows.push(row);
    }
    let align: Vec<Align> = rows[0].iter().map(|_| Align::Left).collect();
    let mut parts = vec![
        answer(walk, style),
        format!(
            "series: {}\nbase: {} ({})\n",
            one_line(&walk.series),
            one_line(&walk.base),
            one_line(&walk.why)
        ),
        columns(&rows, &align),
        lines.concat(),
    ];
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn answer(walk: &WalkRecord, style: Style) -> String {
    let on: Vec<String> = arches(walk).iter().map(ToString::to_string).collect();
    let on = on.join(" and ");
    let of = |verdict: Verdict| -> Vec<String> {
        let all =
            patches(walk).filter(|point| judge_all(walk, point).iter().any(|(_, j)| j.verdict == verdict));
        all.map(|point| point.number.to_string()).collect()
    };
    let (bad, unknown) = (of(Verdict::Fail), of(Verdict::Error));
    if !bad.is_empty() {
        return format!(
            "{}: patch {} of {}\n",
            style.paint(Verdict::Fail, "not bisectable"),
            bad.join(", "),
            walk.points.len() - 1
        );
    }
    if !unknown.is_empty() {
        return format!(
            "{}: nothing can be said about patch {}\n",
            style.paint(Verdict::Error, "not known"),
            unknown.join(", ")
        );
    }
    let all = match walk.points.len() - 1 {
        1 => "the one patch".to_owned(),
        n => format!("each of {n} patches"),
    };
    // A green that ran none of a patch says less of that.
    let not_run: Vec<String> = patches(walk)
        .filter(|point| nothing_ran(point))
        .map(|point| point.number.to_string())
        .collect();
    let not_run = match not_run.is_empty() {
        true => String::new(),
        false => format!("; nothing was run of patch {}", not_run.join(", ")),
    };
    format!(
        "{}: {all} applies, builds, and breaks nothing on {on}{not_run}\n",
        style.paint(Verdict::Pass, "bisectable")
    )
}

/// Which lines of a patch were run on each architecture where that is known.
fn ran_of(point: &WalkPoint) -> Vec<(Arch, &SeriesRan)> {
    let arches = point.arches.iter();
    arches
        .filter_map(|(arch, build)| Some((*arch, build.ran.as_ref()?)))
        .collect()
}

/// Whether the patch has code, and none of it was run anywhere.
fn nothing_ran(point: &WalkPoint) -> bool {
    let arches = ran_of(point);
    arches.iter().any(|(_, ran)| ran.with_code() > 0) && arches.iter().all(|(_, ran)| ran.ran() == 0)
}

/// What of a patch was run, in words.
fn patch_ran(point: &WalkPoint) -> Option<String> {
    let arches = ran_of(point);
    let words = ran(&arches)?;
    Some(if nothing_ran(point) {
        format!("nothing of it was run: {words}")
    } else if arches.iter().all(|(_, ran)| ran.with_code() == 0) {
        "no changed line has code".to_owned()
    } else {
        format!("ran: {words}")
    })
}

fn patches(walk: &WalkRecord) -> impl Iterator<Item = &WalkPoint> {
    walk.points.iter().filter(|point| point.number > 0)
}

fn arches(walk: &WalkRecord) -> BTreeSet<Arch> {
    walk.points
        .iter()
        .flat_map(|point| point.arches.keys().copied())
        .collect()
}

fn judge_all(walk: &WalkRecord, point: &WalkPoint) -> Vec<(Arch, Judged)> {
    arches(walk)
        .into_iter()
        .map(|arch| (arch, judge(walk, point, arch)))
        .collect()
}

fn said(verdict: Verdict, short: &str, line: String) -> Judged {
    Judged {
        verdict,
        short: short.to_owned(),
        lines: vec![line],
    }
}

fn judge(walk: &WalkRecord, point: &WalkPoint, arch: Arch) -> Judged {
    if let Some(why) = &point.not_applied {
        return said(Verdict::Fail, "does not apply", one_line(why));
    }
    let Some(now) = point.arches.get(&arch).filter(|_| !point.not_tried) else {
        return Judged {
            verdict: Verdict::Skip,
            short: "not tried".to_owned(),
            lines: Vec::new(),
        };
    };
    let later = || walk.points.iter().filter(|later| later.number > point.number);
    let before = || {
        walk.points
            .iter()
            .rev()
            .filter(|before| before.number < point.number)
    };
    if let Some(why) = &now.not_built {
        let mends = later().find(|later| {
            later
                .arches
                .get(&arch)
                .is_some_and(|build| build.not_built.is_none())
        });
        let was = before().next().and_then(|before| before.arches.get(&arch));
        let already = was.is_some_and(|was| was.not_built.is_some());
        let mended = mends.map_or(String::new(), |by| format!("; mended by patch {}", by.number));
        let verdict = if already { Verdict::Known } else { Verdict::Fail };
        return said(verdict, "does not build", format!("{}{mended}", one_line(why)));
    }
    // A case is compared with the last point that could run it.
    let last = |name: &str| -> Option<&WalkCase> {
        before()
            .find_map(|before| before.arches.get(&arch)?.cases.get(name))
            .filter(|_| point.number > 0)
    };
    let mends = |name: &str| {
        let passes = |build: &WalkBuild| {
            build
                .cases
                .get(name)
                .is_some_and(|case| case.verdict == Verdict::Pass)
        };
        later().find(|later| later.arches.get(&arch).is_some_and(passes))
    };
    let (mut broken, mut mended, mut unknown, mut same, mut passed) = (0, 0, 0, 0, 0);
    let mut lines: Vec<String> = now
        .new_warnings
        .iter()
        .map(|text| format!("new warning: {}", one_line(text)))
        .collect();
    for (name, case) in &now.cases {
        let was = last(name).map(|case| case.verdict);
        let why = || case.reason.as_deref().map(one_line).unwrap_or_default();
        match (was, case.verdict) {
            (Some(Verdict::Fail), Verdict::Fail) | (Some(Verdict::Known), Verdict::Known) => same += 1,
            (_, Verdict::Fail) if point.number == 0 => {
                same += 1;
                lines.push(format!("{name} fails: {}", why()));
            }
            (_, Verdict::Fail) => {
                broken += 1;
                let later =
                    mends(name).map_or(String::new(), |by| format!("; mended by patch {}", by.number));
                lines.push(format!("breaks {name}: {}{later}", why()));
            }
            (_, Verdict::Error) => {
                unknown += 1;
                lines.push(format!("{name} is not known: {}", why()));
            }
            (Some(Verdict::Fail | Verdict::Known), Verdict::Pass) => {
                mended += 1;
                lines.push(format!("mends {name}"));
            }
            (_, Verdict::Pass) => passed += 1,
            (_, Verdict::Known) => {
                same += 1;
                lines.push(format!("{name} fails as it is known: {}", why()));
            }
            (_, Verdict::Skip) => {}
        }
    }
    let verdict = match (broken, unknown) {
        (0, 0) if now.cases.values().all(|case| case.verdict == Verdict::Skip) => Verdict::Skip,
        (0, 0) => Verdict::Pass,
        (0, _) => Verdict::Error,
        _ => Verdict::Fail,
    };
    let mut words = vec![format!("{} pass", passed + mended)];
    let counts = [
        (broken, "broken"),
        (mended, "mended"),
        (
            same,
            if point.number == 0 {
                "fail"
            } else {
                "fail as before"
            },
        ),
        (unknown, "not known"),
        (now.new_warnings.len(), "new warnings"),
    ];
    words.extend(
        counts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}")),
    );
    Judged {
        verdict,
        short: words.join(", "),
        lines,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use record::{ChangedLine, LineRan, samples::covered_case};

    /// A point with cases on s390x, as `A=pass B=fail`.
    fn point(number: usize, cases: &str) -> WalkPoint {
        let cases = cases
            .split_whitespace()
            .filter_map(|case| case.split_once('='))
            .map(|(name, verdict)| {
                let verdict = *Verdict::ALL.iter().find(|v| v.word() == verdict).unwrap();
                let reason = (verdict != Verdict::Pass).then(|| "why".to_owned());
                (name.to_owned(), WalkCase { verdict, reason })
            });
        let build = WalkBuild {
            cases: cases.collect(),
            ..WalkBuild::default()
        };
        WalkPoint {
            number,
            title: format!("title {number}"),
            kernel: format!("k{number}"),
            not_applied: None,
            not_tried: false,
            arches: BTreeMap::from([(Arch::S390x, build)]),
        }
    }

    fn walk(points: &[&str]) -> WalkRecord {
        WalkRecord {
            series: "mend it".to_owned(),
            base: "linux 1".to_owned(),
            why: "it was named".to_owned(),
            points: points
                .iter()
                .enumerate()
                .map(|(number, cases)| point(number, cases))
                .collect(),
        }
    }

    fn build(walk: &mut WalkRecord, number: usize) -> &mut WalkBuild {
        walk.points[number].arches.get_mut(&Arch::S390x).unwrap()
    }

    #[test]
    fn what_failed_before_is_no_fault_of_a_patch_and_what_it_mends_is_shown() {
        let walk = walk(&[
            "A=fail B=pass K=known",
            "A=pass B=pass K=known",
            "A=pass B=pass K=pass",
        ]);
        assert_eq!(walk_exit(&walk), Exit::Pass);
        assert_eq!(
            walk_summary(&walk, Style::Plain),
            "bisectable: each of 2 patches applies, builds, and breaks nothing on s390x\n\n\
             series: mend it\nbase: linux 1 (it was named)\n\n\
             patch            s390x\n  base: linux 1  1 pass, 2 fail\n\
             1 title 1        2 pass, 1 mended, 1 fail as before\n2 title 2        3 pass, 1 mended\n\n\
             base, s390x: A fails: why\nbase, s390x: K fails as it is known: why\n\
             patch 1, s390x: mends A\npatch 2, s390x: mends K\n"
        );
    }

    #[test]
    fn a_patch_that_breaks_what_a_later_one_mends_is_not_bisectable() {
        let walk = walk(&["A=pass", "A=fail", "A=fail", "A=pass"]);
        assert_eq!(walk_exit(&walk), Exit::KernelFailed);
        let text = walk_summary(&walk, Style::Plain);
        assert!(text.starts_with("not bisectable: patch 1 of 3\n"), "{text}");
        assert!(
            text.contains("patch 1, s390x: breaks A: why; mended by patch 3\n"),
            "{text}"
        );
        assert!(
            text.contains("2 title 2        0 pass, 1 fail as before\n"),
            "{text}"
        );
    }

    #[test]
    fn a_patch_that_does_not_build_or_apply_is_not_bisectable() {
        let mut broken = walk(&["A=pass", "", "A=fail"]);
        build(&mut broken, 1).not_built = Some("mm/a.c:1: error: x".to_owned());
        let text = walk_summary(&broken, Style::Plain);
        assert!(
            text.contains("patch 1, s390x: mm/a.c:1: error: x; mended by patch 2\n"),
            "{text}"
        );
        // It is compared with the last one that could be run.
        assert!(
            text.starts_with("not bisectable: patch 1, 2 of 2\n") && text.contains("breaks A"),
            "{text}"
        );
        let mut stopped = walk(&["A=pass", "A=pass", ""]);
        stopped.points[1].not_applied = Some("patch 1 of 2 does not apply".to_owned());
        stopped.points[2].not_tried = true;
        let text = walk_summary(&stopped, Style::Plain);
        assert!(
            text.contains("1 title 1        does not apply\n2 title 2        not tried\n"),
            "{text}"
        );
        assert_eq!(walk_exit(&stopped), Exit::KernelFailed);
    }

    #[test]
    fn errors_are_not_passes_and_warnings_are_listed() {
        let mut walk = walk(&["A=pass", "A=error"]);
        assert_eq!(walk_exit(&walk), Exit::Broken);
        build(&mut walk, 1).new_warnings = vec!["mm/a.c: unused".to_owned()];
        let text = walk_summary(&walk, Style::Plain);
        assert!(
            text.starts_with("not known: nothing can be said about patch 1\n"),
            "{text}"
        );
        assert!(
            text.contains("0 pass, 1 not known, 1 new warnings")
                && text.contains("new warning: mm/a.c: unused")
        );
    }

    /// Of a patch, lines of `mm/sparse.c` from 7 on: ran by a case (`r`), never (`n`), without code (`-`).
    fn ran_lines(lines: &str) -> SeriesRan {
        let line = |(at, mark): (usize, char)| {
            let ran = match mark {
                'r' => LineRan::Cases {
                    times: 1,
                    first: covered_case("B01", &[]).key.name(),
                },
                'n' => LineRan::Never,
                _ => LineRan::NoCode,
            };
            let text = "line".to_owned();
            let code_in = BTreeSet::new();
            (7 + at as u32, ChangedLine { text, ran, code_in })
        };
        let lines: BTreeMap<u32, ChangedLine> = lines.chars().enumerate().map(line).collect();
        let files = [("mm/sparse.c".to_owned(), lines)];
        SeriesRan {
            files: files.into_iter().filter(|(_, lines)| !lines.is_empty()).collect(),
        }
    }

    #[test]
    fn each_patch_says_which_of_its_lines_ran() {
        let mut walk = walk(&["A=pass"; 6]);
        for (number, lines) in [(1, "rrn"), (2, "n-n"), (3, "--"), (4, "")] {
            build(&mut walk, number).ran = Some(ran_lines(lines));
        }
        let text = walk_summary(&walk, Style::Plain);
        let answer = "bisectable: each of 5 patches applies, builds, and breaks nothing on s390x; nothing was run of patch 2\n";
        assert!(text.starts_with(answer), "{text}");
        let lines = "\n\n\
            patch 1: ran: 2 of 3 changed lines on s390x; never: mm/sparse.c:9\n\
            patch 2: nothing of it was run: 0 of 2 changed lines on s390x; never: mm/sparse.c:7-9\n\
            patch 3: no changed line has code\n\
            patch 4: no changed line has code\n";
        assert!(text.ends_with(lines), "what is not known is not told: {text}");
    }

    #[test]
    fn what_runs_on_one_architecture_is_run() {
        let mut walk = walk(&["A=pass", "A=pass"]);
        build(&mut walk, 1).ran = Some(ran_lines("nn"));
        let there = WalkBuild {
            ran: Some(ran_lines("rn")),
            ..WalkBuild::default()
        };
        walk.points[1].arches.insert(Arch::X86_64, there);
        let text = walk_summary(&walk, Style::Plain);
        assert!(
            !text.contains("nothing was run") && !text.contains("nothing of it"),
            "{text}"
        );
        let line = "patch 1: ran: 1 of 2 changed lines on x86_64, 0 of 2 on s390x; never: mm/sparse.c:8 on x86_64; mm/sparse.c:7-8 on s390x\n";
        assert!(text.ends_with(line), "{text}");
    }
}
