// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `--cover` notes, held against another meter: a kernel whose memory hotplug is built with gcov runs a case, and the counts that it has
//! afterwards and what the plugin noted are of the same guest. `cargo bench --bench gcov`, or with `-- x86_64` on that architecture.
//!
//! Builds two kernels the first time. Prints Markdown: on how many lines of each file both meters agree, and each line on which they do not.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::Command,
};

use base::{Arch, ui::Ui};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::GzDecoder;
use openssl::base64::decode_block;
use record::{Coverage, CoveredKernel, Ranges};
use serde::Deserialize;

const KERNEL: &str = "source:debian:trixie,config=gcov,series=";
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/gcov");

/// How often gcov says that each line of a source file was run; lines that have code.
type Counts = BTreeMap<u32, u64>;

fn main() {
    let named = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let arch: Arch = named.map_or(Arch::S390x, |name| name.parse().expect("an architecture"));
    let results = tempfile::tempdir().expect("a folder");
    let run = run(arch, results.path());
    let (coverage, damage) = Coverage::read(&run)
        .expect("the run's coverage")
        .expect("a run with --cover has one");
    assert!(damage.is_empty(), "{damage:?}");
    let kernel = &coverage.kernels[0];
    let mut report = vec![format!("{arch}, {}", kernel.text.release)];
    for case in &kernel.cases {
        assert!(!case.booted, "its boot is no part of the case");
        let printed = run.join("cases").join(case.key.id()).join("step-14.out");
        let printed = fs_err::read_to_string(printed).expect("the case's counts");
        let files = counted(arch, &printed).expect("gcov reads the counts");
        assert!(!files.is_empty(), "the guest told no counts");
        let title = case.key.name();
        let text = compared(kernel, &kernel.ranges(&case.ran), &files).expect("the sources are there");
        report.push(format!("\n## {title}\n\n{text}"));
    }
    Ui::terminal().out(&report.join("\n"));
}

/// Runs the case, and returns the folder of the run.
fn run(arch: Arch, results: &Path) -> Utf8PathBuf {
    let status = Command::new(env!("CARGO_BIN_EXE_memrig"))
        .args([
            "run",
            &format!("{HERE}/gcov.yaml"),
            "--cover",
            "-a",
            &arch.to_string(),
        ])
        .args(["-k", &format!("{KERNEL}{HERE}")])
        // A case that is alone boots by itself, and its boot is among what it ran.
        .args(["--repeat", "2", "--results"])
        .arg(results)
        .status()
        .expect("memrig starts");
    assert!(status.success(), "the case does not pass");
    let run = fs_err::canonicalize(results.join("latest")).expect("a run");
    Utf8PathBuf::from_path_buf(run).expect("UTF-8")
}

/// What gcov prints of one object file (`gcov --json-format`).
#[derive(Deserialize)]
struct Said {
    /// The folder that the file was compiled in, from which its paths go.
    current_working_directory: PathBuf,
    files: Vec<SaidFile>,
}

#[derive(Deserialize)]
struct SaidFile {
    file: PathBuf,
    lines: Vec<SaidLine>,
}

#[derive(Deserialize)]
struct SaidLine {
    line_number: u32,
    count: u64,
}

/// What gcov makes of the counts that a guest printed, by the path of each source file.
fn counted(arch: Arch, printed: &str) -> io::Result<BTreeMap<Utf8PathBuf, Counts>> {
    let place = tempfile::tempdir()?;
    let mut files = BTreeMap::new();
    for of_object in printed.split("counts of ").skip(1) {
        let (counts, packed) = of_object.split_once('\n').ok_or(io::ErrorKind::InvalidData)?;
        let counts = Utf8Path::new(counts);
        let packed: String = packed.split_whitespace().collect();
        let mut bytes = Vec::new();
        GzDecoder::new(&*decode_block(&packed)?).read_to_end(&mut bytes)?;
        let stem = counts.file_stem().ok_or(io::ErrorKind::InvalidData)?;
        let name = format!("{stem}.gcda");
        fs_err::write(place.path().join(&name), bytes)?;
        let notes = place.path().join(format!("{stem}.gcno"));
        fs_err::copy(counts.with_extension("gcno"), notes)?;
        let output = Command::new(gcov(arch))
            .args(["--json-format", "--stdout", &name])
            .current_dir(place.path())
            .output()?;
        take(serde_json::from_slice(&output.stdout)?, &mut files)?;
    }
    Ok(files)
}

fn gcov(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "gcov",
        Arch::S390x => "s390x-linux-gnu-gcov",
    }
}

/// Adds the lines of C files; those of headers are of many files.
fn take(said: Said, files: &mut BTreeMap<Utf8PathBuf, Counts>) -> io::Result<()> {
    let is_c = |file: &SaidFile| file.file.extension().is_some_and(|extension| extension == "c");
    for file in said.files.into_iter().filter(is_c) {
        let source = fs_err::canonicalize(said.current_working_directory.join(file.file))?;
        let source = Utf8PathBuf::from_path_buf(source).map_err(|_| io::ErrorKind::InvalidData)?;
        let counts = files.entry(source).or_default();
        // A line is there once for each function that it was compiled into.
        for line in file.lines {
            *counts.entry(line.line_number).or_default() += line.count;
        }
    }
    Ok(())
}

/// A table of what both meters say of each file, and the lines on which they part.
fn compared(
    kernel: &CoveredKernel,
    ran: &Ranges,
    files: &BTreeMap<Utf8PathBuf, Counts>,
) -> io::Result<String> {
    let mut table = vec![
        "| file | both: ran | both: did not | the plugin alone: ran | gcov alone: ran | code for the plugin alone | for gcov alone |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    let mut parted = vec!["\nWhere they part, and who says that it ran:\n".to_owned()];
    for source in &kernel.text.sources {
        // gcov counts the files that the patch names, and no others.
        let Some((path, counts)) = files.iter().find(|(path, _)| path.ends_with(&source.file)) else {
            continue;
        };
        let noted = source.ran(ran);
        let text = fs_err::read_to_string(path)?;
        let lines: Vec<&str> = text.lines().collect();
        let mut numbers = [0; 6];
        for (&line, ran) in &noted {
            let place = match (ran, counts.get(&line)) {
                (true, Some(1..)) => 0,
                (false, Some(0)) => 1,
                (true, Some(0)) => 2,
                (false, Some(_)) => 3,
                (_, None) => 4,
            };
            numbers[place] += 1;
            if matches!(place, 2 | 3) {
                let who = if *ran { "plugin" } else { "gcov" };
                let says = lines.get(line as usize - 1).ok_or(io::ErrorKind::InvalidData)?;
                parted.push(format!("{who}: {}:{line}: {}", source.file, says.trim()));
            }
        }
        numbers[5] = counts.keys().filter(|line| !noted.contains_key(line)).count();
        let cells = numbers.map(|number| number.to_string()).join(" | ");
        table.push(format!("| {} | {cells} |", source.file));
    }
    table.extend(parted);
    Ok(table.join("\n"))
}
