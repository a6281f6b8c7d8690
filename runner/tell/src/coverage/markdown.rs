// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the cases of a run reach of memory hotplug, and what none of them does, as Markdown.

use std::collections::{BTreeMap, BTreeSet};

use record::{Coverage, CoveredCase, CoveredKernel, Ran, Ranges, SourceLines};

use crate::text::{Lines, count};

/// Files of which only parts are about memory hotplug, and what the names of the functions of these parts have in them.
const PARTS: [(&str, &[&str]); 1] = [(
    "mm/page_alloc.c",
    &[
        "adjust_managed_page_count",
        "build_zonelists",
        "build_all_zonelists",
        "buddy",
        "calculate_totalreserve_pages",
        "contig",
        "free_range",
        "hugepage",
        "isolate",
        "isolated",
        "min_free_kbytes",
        "move_freepages",
        "online",
        "pageblock",
        "per_zone",
        "zone_pageset",
        "zone_pcp",
    ],
)];

/// How much of the code in something ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reached {
    /// Nothing of it.
    #[default]
    Never,
    /// Only while booting.
    Boot,
    /// In a case.
    Case,
}

impl Reached {
    fn of(case: bool, boot: bool) -> Self {
        match (case, boot) {
            (true, _) => Self::Case,
            (false, true) => Self::Boot,
            (false, false) => Self::Never,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Boot => "boot",
            Self::Case => "yes",
        }
    }
}

/// What of a file one kernel has.
#[derive(Debug, Default)]
struct FileReached {
    lines: BTreeMap<u32, Reached>,
    functions: BTreeMap<String, Reached>,
}

impl FileReached {
    fn lines_that(&self, reached: Reached) -> usize {
        self.lines.values().filter(|line| **line == reached).count()
    }
}

/// A table of the files of memory hotplug, with a column for each kernel whose lines are known, and one of the functions that no case reaches.
pub fn coverage_markdown(coverage: &Coverage, runs: &[String]) -> String {
    let with_lines = |kernel: &&CoveredKernel| !kernel.text.sources.is_empty();
    let mut kernels: Vec<&CoveredKernel> = coverage.kernels.iter().filter(with_lines).collect();
    // They were first seen in any order.
    kernels.sort_by_key(|kernel| kernel.text.arch);
    let reached: Vec<BTreeMap<&str, FileReached>> = kernels.iter().map(|kernel| of_kernel(kernel)).collect();
    let files: BTreeSet<&str> = reached.iter().flat_map(BTreeMap::keys).copied().collect();
    let mut lines = Lines::default();
    lines.line(format_args!("# What the cases reach\n"));
    lines.line(format_args!(
        "Of {} `{}`: lines that a case ran, and with `+` those that only booting ran, of the lines that have code. Cases that boot by themselves count as \
         booting.\n",
        if runs.len() == 1 { "run" } else { "runs" },
        runs.join("`, `")
    ));
    let heads: Vec<String> = kernels.iter().map(|kernel| head(kernel)).collect();
    table(&mut lines, "file", &heads);
    for file in &files {
        let cell = |of: &BTreeMap<&str, FileReached>| match of.get(file) {
            Some(reached) => cell(reached),
            None => "–".to_owned(),
        };
        row(&mut lines, &shown(file), reached.iter().map(cell));
    }
    lines.line(format_args!("\n## Functions that no case reaches\n"));
    lines.line(format_args!(
        "`boot`: only booting does. `never`: nothing does. `–`: not in this kernel, or inlined wherever it is used.\n"
    ));
    table(&mut lines, "function", &heads);
    for file in &files {
        let of_file = || reached.iter().map(|of| of.get(file));
        for function in missed(of_file()) {
            let cell = |of: Option<&FileReached>| {
                let reached = of.and_then(|of| of.functions.get(function));
                reached.map_or("–", |reached| reached.word()).to_owned()
            };
            row(&mut lines, &format!("{file}: `{function}`"), of_file().map(cell));
        }
    }
    lines.into_text()
}

/// The functions of a file that the cases of at least one kernel do not reach.
fn missed<'a>(kernels: impl Iterator<Item = Option<&'a FileReached>>) -> BTreeSet<&'a str> {
    let functions = kernels.flatten().flat_map(|of| &of.functions);
    let missed = functions.filter(|(_, reached)| **reached != Reached::Case);
    missed.map(|(name, _)| name.as_str()).collect()
}

fn cell(reached: &FileReached) -> String {
    let (cases, boot) = (
        reached.lines_that(Reached::Case),
        reached.lines_that(Reached::Boot),
    );
    format!("{cases} + {boot} of {}", reached.lines.len())
}

fn head(kernel: &CoveredKernel) -> String {
    let text = &kernel.text;
    let side = text
        .side
        .map_or_else(String::new, |side| format!(", {}", side.word()));
    let cases = count(kernel.cases.len(), "case");
    format!("{} {}{side}, {cases}", text.arch, text.name())
}

/// A file's name, and whether it is only a part of it.
fn shown(file: &str) -> String {
    match PARTS.iter().any(|(whole, _)| *whole == file) {
        true => format!("{file} (parts)"),
        false => file.to_owned(),
    }
}

fn table(lines: &mut Lines, first: &str, heads: &[String]) {
    row(lines, first, heads.iter().cloned());
    lines.line(format_args!("|---|{}", "---|".repeat(heads.len())));
}

fn row(lines: &mut Lines, first: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    lines.line(format_args!("| {first} | {} |", cells.join(" | ")));
}

fn of_kernel(kernel: &CoveredKernel) -> BTreeMap<&str, FileReached> {
    // Of a case that boots by itself nobody knows what of it was its boot.
    let (booted, cloned): (Vec<_>, Vec<_>) = kernel.cases.iter().partition(|case| case.booted);
    let together = |cases: Vec<&CoveredCase>, first: &Ran| {
        cases.iter().fold(first.clone(), |all, case| all.or(&case.ran))
    };
    let cases = kernel.ranges(&together(cloned, &Ran::default()));
    let boot = kernel.ranges(&together(booted, &kernel.boot));
    let sources = kernel.text.sources.iter();
    let with_code = sources.filter(|source| !source.rows.is_empty());
    with_code
        .map(|source| (source.file.as_str(), of_file(kernel, source, &cases, &boot)))
        .collect()
}

fn of_file(kernel: &CoveredKernel, source: &SourceLines, cases: &Ranges, boot: &Ranges) -> FileReached {
    let parts = PARTS.iter().find(|(file, _)| *file == source.file);
    let is_meant = |function: &str| match parts {
        Some((_, parts)) => parts.iter().any(|part| function.contains(part)),
        None => true,
    };
    let meant = source.rows.iter().filter(|row| {
        let function = kernel.function_at(row.span.offset);
        function.is_some_and(is_meant)
    });
    let source = SourceLines {
        rows: meant.cloned().collect(),
        ..source.clone()
    };
    let (in_cases, in_boot) = (source.ran(cases), source.ran(boot));
    let lines = in_cases
        .into_iter()
        .map(|(line, ran)| (line, Reached::of(ran, in_boot[&line])));
    let (ran, booted) = (kernel.functions_ran(cases), kernel.functions_ran(boot));
    let functions = super::counts::functions(kernel, &source, cases);
    let functions = functions.into_iter().map(|(_, name, _)| {
        let reached = Reached::of(ran.contains(name), booted.contains(name));
        (name.to_owned(), reached)
    });
    FileReached {
        lines: lines.collect(),
        functions: functions.collect(),
    }
}
