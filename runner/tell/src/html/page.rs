// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the page shows, put in order for its template. The only module that knows askama.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

use super::{
    boot::{AgainstStandby, boot_memory, boot_time},
    explored::{Explored, explored},
    plot,
    trouble::{Trouble, troubles},
    words::{kernel, link, title, whom},
};
use crate::{
    compare::{Compared, SeriesFile, besides, compared, ran, series_files},
    evidence,
    news::{News, Novelty},
    part, rounds,
    text::{count, cut, one_line},
};
use base::fault::Verdict;
use compare::CompareRecord;
use record::{CaseRecord, ExploreRecord, Finish, Rounds, RunPart, RunRecord, Traces, is_output};

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    /// What a tab shows of the page: the gravest verdicts.
    tab: String,
    /// The first ones that did not pass, each with its reason.
    first: Vec<First>,
    /// How many more did not.
    more: usize,
    answer: Vec<(Verdict, usize)>,
    cases: usize,
    /// Which part of its plan the run is, where it is not just the whole.
    part: Option<String>,
    /// What the rounds say together, and which cases differ between them.
    rounds: Option<(String, Vec<String>)>,
    warnings: Vec<String>,
    facts: Vec<(&'static str, String)>,
    kernels: Vec<[String; 4]>,
    comparison: Option<Comparison>,
    explored: Option<Explored>,
    compared: bool,
    news: Vec<Change>,
    suites: Vec<String>,
    matrix: Vec<MatrixRow>,
    troubles: Vec<Trouble>,
    boot: Vec<Boot>,
    groups: Vec<Group>,
    notes: Vec<String>,
    not_run: Vec<String>,
}

/// Two kernels, by architecture.
struct Comparison {
    kernels: String,
    /// What of the series ran, in a line, where that is known.
    ran: Option<String>,
    /// Each file that the series changes.
    files: Vec<SeriesFile>,
    arches: Vec<Compared>,
    rest: Vec<String>,
}

/// What booting takes, against the size of standby memory.
struct Boot {
    title: &'static str,
    about: &'static str,
    /// What the numbers of the table are.
    cells: &'static str,
    drawn: AgainstStandby,
}

/// Cases that did not pass and are told in the first screen, at the most.
const FIRST: usize = 8;

/// A case that did not pass, in a line.
struct First {
    verdict: Verdict,
    anchor: String,
    title: String,
    reason: String,
}

/// A case that came out otherwise than in the last run.
struct Change {
    class: &'static str,
    word: &'static str,
    anchor: Option<String>,
    title: String,
    whom: String,
    words: String,
}

struct MatrixRow {
    kernel: String,
    arch: String,
    cells: Vec<Option<Cell>>,
}

/// A kernel and a suite.
struct Cell {
    anchor: String,
    label: String,
    counts: Vec<(Verdict, usize)>,
}

/// The cases of a kernel in a suite.
struct Group {
    anchor: String,
    title: String,
    counts: Vec<(Verdict, usize)>,
    rows: Vec<Row>,
}

struct Row {
    verdict: Verdict,
    case: String,
    name: String,
    variant: String,
    seconds: String,
    reason: String,
    /// How many tests programs of it reported, and which.
    counts: String,
    subcases: Vec<(Verdict, String)>,
    anchor: Option<String>,
    spark: String,
    console: Option<String>,
    /// What scripts of it printed: names of the files and where they are.
    outputs: Vec<(String, String)>,
}

/// The page about a run.
///
/// `news` is what is new against earlier runs, where that is known; `traces` are those of the run's cases.
pub fn html(record: &RunRecord, news: Option<&News>, traces: &Traces) -> String {
    html_with(record, news, traces, (None, None))
}

/// The page of a run that compared two kernels, or explored.
pub fn html_with(
    record: &RunRecord,
    news: Option<&News>,
    traces: &Traces,
    (compare, explore): (Option<&CompareRecord>, Option<&ExploreRecord>),
) -> String {
    let mut page = page(record, news, traces);
    page.explored = explore.map(explored);
    page.comparison = compare.map(|compare| Comparison {
        kernels: format!("{} and {}", one_line(&compare.base), one_line(&compare.new)),
        ran: ran(compare),
        files: series_files(compare),
        arches: compared(compare),
        rest: besides(compare),
    });
    page.render()
        .expect("the template writes into a String and calls nothing that fails")
}

fn page(record: &RunRecord, news: Option<&News>, traces: &Traces) -> Page {
    let facts = &record.facts;
    let mut warnings = Vec::new();
    if record.finish == Finish::CutOff {
        warnings.push("The run was cut off, or is still going.".to_owned());
    }
    if !record.not_run.is_empty() {
        warnings.push(format!("{} not run.", count(record.not_run.len(), "case")));
    }
    let anchors = anchors(record);
    let (suites, matrix) = matrix(record);
    let qemus: Vec<String> = facts
        .qemus
        .iter()
        .map(|qemu| format!("{} {} ({})", qemu.binary, qemu.version, qemu.accel))
        .collect();
    let host = &facts.host;
    let part = facts.part_of_plan();
    let troubles = troubles(record, news, traces, &anchors);
    let first = || troubles.iter().filter(|one| one.verdict > Verdict::Known);
    Page {
        tab: tab(record),
        more: first().count().saturating_sub(FIRST),
        first: first()
            .take(FIRST)
            .map(|one| First {
                verdict: one.verdict,
                anchor: one.anchor.clone(),
                title: one.title.clone(),
                reason: cut(&one.headline, LONGEST_REASON),
            })
            .collect(),
        comparison: None,
        explored: None,
        title: facts.id.to_string(),
        answer: counts(record.cases.iter()),
        cases: record.cases.len(),
        part: part
            .as_ref()
            .filter(|part| **part != RunPart::Whole)
            .map(part::words),
        rounds: Rounds::of(record).map(|several| {
            let differ = several.differ.iter().map(rounds::differing);
            (rounds::answer(&several), differ.collect())
        }),
        warnings,
        facts: vec![
            (
                "plan",
                part.as_ref().map_or_else(
                    || "the run does not say which part of it it is".to_owned(),
                    part::words,
                ),
            ),
            (
                "started",
                facts.started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            ),
            ("took", format!("{} s", record.seconds)),
            ("memrig", facts.memrig.clone()),
            ("called as", one_line(&facts.argv.join(" "))),
            ("QEMU", one_line(&qemus.join(", "))),
            (
                "host",
                one_line(&format!(
                    "{}, {} CPUs, {:.1} GiB",
                    host.uname,
                    host.cpus,
                    host.memory.as_bytes() as f64 / f64::from(1 << 30)
                )),
            ),
        ],
        kernels: facts
            .kernels
            .iter()
            .map(|kernel| {
                // A kernel that is split over packages has one version all the same.
                let packages: BTreeSet<&str> =
                    kernel.packages.iter().map(|package| &*package.version).collect();
                let packages: Vec<&str> = packages.into_iter().collect();
                [
                    kernel.arch.to_string(),
                    one_line(&kernel.label),
                    one_line(&kernel.release),
                    one_line(&packages.join(", ")),
                ]
            })
            .collect(),
        compared: news.is_some(),
        news: news.map_or_else(Vec::new, |news| changes(record, news, &anchors)),
        suites,
        matrix,
        troubles,
        boot: boot(record, traces),
        groups: groups(record, traces, &anchors),
        notes: record.notes.iter().map(|note| one_line(note)).collect(),
        not_run: record.not_run.iter().map(|key| one_line(&key.id())).collect(),
    }
}

/// Longest reason in a line about a case, in bytes.
const LONGEST_REASON: usize = 240;

/// `1 fail, 2 error`, or that all pass.
fn tab(record: &RunRecord) -> String {
    let counts = counts(record.cases.iter());
    let of = |verdict: Verdict| counts.iter().find(|(one, _)| *one == verdict);
    let grave: Vec<String> = [Verdict::Fail, Verdict::Error]
        .into_iter()
        .filter_map(|verdict| of(verdict).map(|(verdict, n)| format!("{n} {verdict}")))
        .collect();
    match (grave.is_empty(), of(Verdict::Pass)) {
        (false, _) => grave.join(", "),
        (true, Some((_, n))) => format!("{n} pass"),
        (true, None) => "nothing judged".to_owned(),
    }
}

fn boot(record: &RunRecord, traces: &Traces) -> Vec<Boot> {
    let memory = boot_memory(record, traces).map(|drawn| Boot {
        title: "Memory taken at boot",
        about: "MiB less free after boot than with the least standby memory. A ring at the upper edge is a panic.",
        cells: "MiB taken with standby of",
        drawn,
    });
    let time = boot_time(record, traces).map(|drawn| Boot {
        title: "Time to find standby memory at boot",
        about: "Milliseconds of the kernel’s initcall where the guest’s clock counts instructions: a million are one.",
        cells: "ms with standby of",
        drawn,
    });
    memory.into_iter().chain(time).collect()
}

/// Places of the cases that have one of their own, by their id.
fn anchors(record: &RunRecord) -> BTreeMap<String, String> {
    let troubled = |case: &&CaseRecord| !matches!(case.verdict, Verdict::Pass | Verdict::Skip);
    record
        .cases
        .iter()
        .filter(troubled)
        .enumerate()
        .map(|(at, case)| (case.key.id(), format!("case-{}", at + 1)))
        .collect()
}

/// How many there are of each verdict, without those of which there is none.
fn counts<'a>(cases: impl Iterator<Item = &'a CaseRecord> + Clone) -> Vec<(Verdict, usize)> {
    Verdict::ALL
        .into_iter()
        .map(|verdict| {
            (
                verdict,
                cases.clone().filter(|case| case.verdict == verdict).count(),
            )
        })
        .filter(|(_, n)| *n > 0)
        .collect()
}

fn changes(record: &RunRecord, news: &News, anchors: &BTreeMap<String, String>) -> Vec<Change> {
    let mut changes: Vec<(u8, Change)> = Vec::new();
    for case in &record.cases {
        let id = case.key.id();
        let (rank, class, word, words) = match (news.failures.get(&id), news.fixed.get(&id)) {
            (Some(standing), _) => {
                let (rank, word) = match standing {
                    Novelty::New { .. } => (0, "new"),
                    Novelty::Unseen => (1, "first seen"),
                    Novelty::Still { .. } => (2, "still"),
                };
                (rank, "fail", word, standing.words(&case.key.kernel_name()))
            }
            (None, Some(past)) => (3, "pass", "fixed", format!("failed in {}", past.run)),
            (None, None) => continue,
        };
        changes.push((
            rank,
            Change {
                class,
                word,
                anchor: anchors.get(&id).cloned(),
                title: title(case),
                whom: whom(&case.key),
                words: one_line(&words),
            },
        ));
    }
    changes.sort_by_key(|(rank, _)| *rank);
    changes.into_iter().map(|(_, change)| change).collect()
}

/// Place of a kernel and a suite among the groups, which are in the order of the matrix.
fn group_anchor(kernel: usize, suite: usize) -> String {
    format!("group-{}-{}", kernel + 1, suite + 1)
}

/// The kernels and the suites of a run, in the order in which they come.
fn axes(record: &RunRecord) -> (Vec<(String, String)>, Vec<String>) {
    let mut kernels = Vec::new();
    let mut suites = Vec::new();
    for case in &record.cases {
        let row = (case.key.arch.to_string(), kernel(&case.key));
        if !kernels.contains(&row) {
            kernels.push(row);
        }
        if !suites.contains(&case.key.suite) {
            suites.push(case.key.suite.clone());
        }
    }
    kernels.sort_by(|a, b| a.0.cmp(&b.0));
    (kernels, suites)
}

/// The cases of each kernel and suite.
fn cells(record: &RunRecord) -> BTreeMap<(usize, usize), Vec<&CaseRecord>> {
    let (kernels, suites) = axes(record);
    let mut cells: BTreeMap<_, Vec<&CaseRecord>> = BTreeMap::new();
    for case in &record.cases {
        let row = (case.key.arch.to_string(), kernel(&case.key));
        let at = kernels.iter().position(|one| *one == row);
        let suite = suites.iter().position(|one| *one == case.key.suite);
        if let (Some(at), Some(suite)) = (at, suite) {
            cells.entry((at, suite)).or_default().push(case);
        }
    }
    cells
}

fn matrix(record: &RunRecord) -> (Vec<String>, Vec<MatrixRow>) {
    let (kernels, suites) = axes(record);
    let cells = cells(record);
    let rows = kernels.iter().enumerate().map(|(at, (arch, kernel))| MatrixRow {
        kernel: kernel.clone(),
        arch: arch.clone(),
        cells: suites
            .iter()
            .enumerate()
            .map(|(suite, name)| {
                let cases = cells.get(&(at, suite))?;
                let counts = counts(cases.iter().copied());
                if cases.is_empty() {
                    return None;
                }
                let words: Vec<String> = counts
                    .iter()
                    .map(|(verdict, n)| format!("{n} {verdict}"))
                    .collect();
                Some(Cell {
                    anchor: group_anchor(at, suite),
                    label: one_line(&format!("{name} on {arch} {kernel}: {}", words.join(", "))),
                    counts,
                })
            })
            .collect(),
    });
    (
        suites.iter().map(|suite| one_line(suite)).collect(),
        rows.collect(),
    )
}

fn groups(record: &RunRecord, traces: &Traces, anchors: &BTreeMap<String, String>) -> Vec<Group> {
    let (kernels, suites) = axes(record);
    cells(record)
        .into_iter()
        .map(|((at, suite), mut cases)| {
            // As the suite has them, and not as they ended.
            cases.sort_by_cached_key(|case| (case.line, case.key.variant_name()));
            let (arch, kernel) = &kernels[at];
            Group {
                anchor: group_anchor(at, suite),
                title: one_line(&format!("{} on {arch} {kernel}", suites[suite])),
                counts: counts(cases.iter().copied()),
                rows: cases
                    .into_iter()
                    .map(|case| group_row(case, traces, anchors))
                    .collect(),
            }
        })
        .collect()
}

fn group_row(case: &CaseRecord, traces: &Traces, anchors: &BTreeMap<String, String>) -> Row {
    let id = case.key.id();
    let trace = traces.get(&id);
    let has = |name: &str| trace.is_some_and(|trace| trace.files.iter().any(|file| file == name));
    let reason = match (case.verdict, &case.known) {
        (Verdict::Pass, Some(known)) => format!("passes although it is listed as known: {}", one_line(known)),
        (Verdict::Pass, None) => String::new(),
        _ => evidence::headline(case),
    };
    Row {
        verdict: case.verdict,
        case: one_line(&case.key.case),
        name: one_line(&case.name),
        variant: one_line(&case.key.variant_name()),
        seconds: case.seconds.to_string(),
        reason: cut(&reason, 300),
        counts: evidence::subcase_counts(case),
        subcases: case
            .subcases()
            .take(500)
            .map(|subcase| (subcase.verdict, cut(&evidence::subcase_title(subcase), 400)))
            .collect(),
        anchor: anchors.get(&id).cloned(),
        spark: trace.map_or_else(String::new, |trace| plot::spark(&trace.ledgers)),
        console: has("console.log").then(|| link(case, "console.log")),
        outputs: trace
            .map_or(&[][..], |trace| &trace.files)
            .iter()
            .filter(|file| is_output(file))
            .map(|file| (file.clone(), link(case, file)))
            .collect(),
    }
}
