// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `--cover` notes, held against another meter: a kernel whose memory hotplug is built with gcov runs a case, and the counts that it has
//! afterwards and what the plugin noted are of the same guest. `cargo bench --bench gcov`, or with `-- x86_64` on that architecture.
//!
//! Builds two kernels the first time. Prints Markdown: on how many lines of each file both meters agree, and each line on which they do not.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::Command,
};

use base::{Arch, ui::Ui};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::GzDecoder;
use openssl::base64::decode_block;
use record::{Coverage, CoveredKernel, Ranges};
use serde_json::Value;

const KERNEL: &str = "source:debian:trixie,config=gcov,series=";
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/gcov");

/// What gcov says of a source file.
struct Counted {
    /// Where it lies.
    source: PathBuf,
    /// How often each line that has code was run.
    lines: BTreeMap<u32, u64>,
}

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
    let mut report = format!("{arch}, {}\n", kernel.text.release);
    for case in &kernel.cases {
        assert!(!case.booted, "its boot is no part of the case");
        let printed = run.join("cases").join(case.key.id()).join("step-14.out");
        let printed = fs_err::read_to_string(printed).expect("the case's counts");
        let files = counted(arch, &printed).expect("gcov reads the counts");
        assert!(!files.is_empty(), "the guest told no counts");
        let title = case.key.name();
        let text = compared(kernel, &kernel.ranges(&case.ran), &files).expect("a String takes it");
        write!(report, "\n## {title}\n\n{text}").expect("a String takes it");
    }
    Ui::terminal().out(report.trim_end());
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

/// What gcov makes of the counts that a guest printed, by file of the kernel's tree.
fn counted(arch: Arch, printed: &str) -> io::Result<BTreeMap<String, Counted>> {
    let place = tempfile::tempdir()?;
    let mut files = BTreeMap::new();
    for of_object in printed.split("counts of ").skip(1) {
        let (counts, packed) = of_object.split_once('\n').ok_or(io::ErrorKind::InvalidData)?;
        let counts = Utf8Path::new(counts);
        let packed: String = packed.split_whitespace().collect();
        let mut bytes = Vec::new();
        GzDecoder::new(&*decode_block(&packed)?).read_to_end(&mut bytes)?;
        let name = counts.file_name().ok_or(io::ErrorKind::InvalidData)?;
        fs_err::write(place.path().join(name), bytes)?;
        let notes = counts.with_extension("gcno");
        fs_err::copy(&notes, place.path().join(notes.file_name().unwrap_or_default()))?;
        let output = Command::new(gcov(arch))
            .args(["--json-format", "--stdout", name])
            .current_dir(place.path())
            .output()?;
        let said: Value = serde_json::from_slice(&output.stdout)?;
        take(&said, &mut files);
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
fn take(said: &Value, files: &mut BTreeMap<String, Counted>) {
    let build = Path::new(said["current_working_directory"].as_str().unwrap_or_default());
    for file in said["files"].as_array().into_iter().flatten() {
        let path = build.join(file["file"].as_str().unwrap_or_default());
        let Ok(source) = path.canonicalize() else {
            continue;
        };
        if source.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let number = |line: &Value, what: &str| line[what].as_u64().unwrap_or_default();
        let lines = file["lines"].as_array().into_iter().flatten();
        let lines = lines.map(|line| (number(line, "line_number") as u32, number(line, "count")));
        let mut counted = Counted {
            source: source.clone(),
            lines: BTreeMap::new(),
        };
        for (line, count) in lines {
            *counted.lines.entry(line).or_default() += count;
        }
        files.insert(source.display().to_string(), counted);
    }
}

/// A table of what both meters say of each file, and the lines on which they part.
fn compared(
    kernel: &CoveredKernel,
    ran: &Ranges,
    files: &BTreeMap<String, Counted>,
) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "| file | both: ran | both: did not | the plugin alone: ran | gcov alone: ran | code for the plugin alone | for gcov alone |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let mut parted = String::new();
    for source in &kernel.text.sources {
        let is_it = |path: &&String| path.ends_with(&format!("/{}", source.file));
        let Some(path) = files.keys().find(is_it) else {
            continue;
        };
        let counted = &files[path];
        let noted = source.ran(ran);
        let lines = fs_err::read_to_string(&counted.source).unwrap_or_default();
        let lines: Vec<&str> = lines.lines().collect();
        let mut numbers = [0; 6];
        for (line, ran) in &noted {
            let count = counted.lines.get(line);
            let place = match (ran, count) {
                (true, Some(1..)) => 0,
                (false, Some(0)) => 1,
                (true, Some(0)) => 2,
                (false, Some(_)) => 3,
                (_, None) => 4,
            };
            numbers[place] += 1;
            if matches!(place, 2 | 3) {
                let who = if *ran { "plugin" } else { "gcov" };
                let says = lines.get(*line as usize - 1).copied().unwrap_or_default();
                writeln!(parted, "{who}: {}:{line}: {}", source.file, says.trim())?;
            }
        }
        numbers[5] = counted
            .lines
            .keys()
            .filter(|line| !noted.contains_key(line))
            .count();
        let cells = numbers.map(|number| number.to_string()).join(" | ");
        writeln!(text, "| {} | {cells} |", source.file)?;
    }
    write!(text, "\nWhere they part, and who says that it ran:\n\n{parted}")?;
    Ok(text)
}
