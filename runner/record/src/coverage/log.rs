// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a run's coverage down as it comes.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io,
    sync::{Mutex, PoisonError},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Coverage,
    code::{KernelText, ModuleText, Ran, Span},
    line::{Line, NAME},
    packed::Packed,
    read::numbered,
};
use crate::{CaseKey, JournalError, lines::Lines};

/// The coverage of a run, open for appending. It can be shared between threads.
#[derive(Debug)]
pub struct CoverageLog {
    path: Utf8PathBuf,
    lines: Lines,
    /// The number of each piece, of each kernel.
    known: Mutex<Vec<HashMap<Span, usize>>>,
}

impl CoverageLog {
    /// Opens the coverage of a run in its folder. What a run that was cut off has written stays; it is not added to, and kernels are told anew.
    ///
    /// # Errors
    /// The file cannot be made, opened or read.
    pub fn open(folder: &Utf8Path) -> Result<Self, JournalError> {
        let path = folder.join(NAME);
        let opened = match fs_err::read(&path) {
            Ok(bytes) => Lines::resume(path.as_std_path(), &bytes).map(|lines| {
                let last = numbered(&bytes).0.into_keys().next_back();
                (lines, last.map_or(0, |last| last + 1))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Lines::create(path.as_std_path()).map(|lines| (lines, 0))
            }
            Err(error) => Err(error),
        };
        match opened {
            Ok((lines, kernels)) => Ok(Self {
                path,
                lines,
                known: Mutex::new(vec![HashMap::new(); kernels]),
            }),
            Err(source) => Err(JournalError::Open { path, source }),
        }
    }

    /// Writes a kernel down, and returns its number.
    ///
    /// # Errors
    /// The file does not take it.
    pub fn kernel(&self, text: &KernelText) -> Result<usize, JournalError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let kernel = known.len();
        self.append(|| {
            Ok(Line::Kernel {
                kernel,
                label: text.label.clone(),
                release: text.release.clone(),
                arch: text.arch,
                side: text.side,
                end: text.end,
                functions: named(&text.functions)?,
            })
        })?;
        known.push(HashMap::new());
        for module in &text.modules {
            self.module(kernel, module)?;
        }
        for source in &text.sources {
            let rows = source.rows.iter().map(|row| {
                let inlined = row.inlined.as_ref();
                let inlined = inlined.map_or_else(String::new, |function| format!(" {function}"));
                let rest = format!(" {:x} {}{inlined}", row.span.bytes, row.line);
                (row.span.offset, rest)
            });
            self.append(|| {
                Ok(Line::Source {
                    kernel,
                    file: source.file.clone(),
                    rows: deltas(rows)?,
                    changed: source.changed.clone(),
                    last_patch: source.last_patch.clone(),
                })
            })?;
        }
        Ok(kernel)
    }

    /// Writes a module of a kernel down, before any code of it.
    ///
    /// # Errors
    /// The file does not take it.
    pub fn module(&self, kernel: usize, module: &ModuleText) -> Result<(), JournalError> {
        self.append(|| {
            Ok(Line::Module {
                kernel,
                name: module.name.clone(),
                at: module.at,
                bytes: module.bytes,
                functions: named(&module.functions)?,
            })
        })
    }

    /// Writes down what booting a template ran.
    ///
    /// # Errors
    /// The file does not take it.
    pub fn boot(&self, kernel: usize, template: u32, pieces: &[Span]) -> Result<(), JournalError> {
        self.boot_of(kernel, Some(template), pieces)
    }

    fn boot_of(&self, kernel: usize, template: Option<u32>, pieces: &[Span]) -> Result<(), JournalError> {
        let ran = self.numbered(kernel, pieces)?;
        self.append(|| {
            Ok(Line::Boot {
                kernel,
                template,
                ran: Packed::of(ran.bits())?,
            })
        })
    }

    /// Writes down what an attempt at a case ran; the last attempt counts. `lost` pieces had no room.
    ///
    /// # Errors
    /// The file does not take it.
    pub fn case(
        &self,
        kernel: usize,
        key: &CaseKey,
        booted: bool,
        pieces: &[Span],
        lost: u64,
    ) -> Result<(), JournalError> {
        let ran = self.numbered(kernel, pieces)?;
        self.append(|| {
            Ok(Line::Case {
                kernel,
                key: key.clone(),
                booted,
                ran: Packed::of(ran.bits())?,
                lost,
            })
        })
    }

    /// Takes over what another run has.
    ///
    /// # Errors
    /// The file does not take it.
    pub(crate) fn take(&self, coverage: &Coverage) -> Result<(), JournalError> {
        for kernel in &coverage.kernels {
            let number = self.kernel(&kernel.text)?;
            self.boot_of(number, None, &kernel.spans(&kernel.boot))?;
            for case in &kernel.cases {
                self.case(
                    number,
                    &case.key,
                    case.booted,
                    &kernel.spans(&case.ran),
                    case.lost,
                )?;
            }
        }
        Ok(())
    }

    /// Numbers pieces; those that are new are written down first.
    fn numbered(&self, kernel: usize, pieces: &[Span]) -> Result<Ran, JournalError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut known[kernel];
        let mut new: Vec<Span> = pieces
            .iter()
            .filter(|span| !known.contains_key(span))
            .copied()
            .collect();
        new.sort_unstable();
        new.dedup();
        if !new.is_empty() {
            let first = known.len();
            self.append(|| {
                let pieces = new.iter().map(|span| (span.offset, format!(" {:x}", span.bytes)));
                Ok(Line::Code {
                    kernel,
                    first,
                    pieces: deltas(pieces)?,
                })
            })?;
            known.extend(new.into_iter().enumerate().map(|(at, span)| (span, first + at)));
        }
        Ok(pieces.iter().map(|span| known[span]).collect())
    }

    fn append(&self, line: impl FnOnce() -> io::Result<Line>) -> Result<(), JournalError> {
        let written = line()
            .and_then(|line| serde_json::to_vec(&line).map_err(io::Error::from))
            .and_then(|line| self.lines.append(line, false));
        written.map_err(|source| JournalError::Write {
            path: self.path.clone(),
            source,
        })
    }
}

/// Functions, as lines of how far one begins behind the one before it, in hex, and its name.
fn named(functions: &[(u64, String)]) -> io::Result<Packed> {
    deltas(functions.iter().map(|(at, name)| (*at, format!(" {name}"))))
}

/// Lines of how far each place is behind the one before it, in hex, and what is to be said of it.
fn deltas(places: impl Iterator<Item = (u64, String)>) -> io::Result<Packed> {
    let (mut text, mut last) = (String::new(), 0);
    for (place, rest) in places {
        let Some(delta) = u64::checked_sub(place, last) else {
            return Err(io::Error::other("places that do not ascend"));
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{delta:x}{rest}");
        last = place;
    }
    Packed::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use base::Arch;

    use super::*;
    use crate::{
        coverage::{Coverage, LineOfCode, SourceLines},
        samples::covered_case,
    };

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    /// A log of a kernel with one case, which ran two bytes at its start.
    fn one_case() -> (tempfile::TempDir, Utf8PathBuf, CoverageLog) {
        let (keep, folder) = folder();
        let log = CoverageLog::open(&folder).unwrap();
        log.kernel(&text()).unwrap();
        log.case(0, &key("B01"), false, &[span(0, 2)], 0).unwrap();
        (keep, folder, log)
    }

    fn span(offset: u64, bytes: u64) -> Span {
        Span { offset, bytes }
    }

    fn text() -> KernelText {
        KernelText {
            label: "debian:trixie".to_owned(),
            release: "6.12.107".to_owned(),
            arch: Arch::S390x,
            side: None,
            end: 0x100,
            functions: vec![(0, "a".to_owned()), (0x40, "b".to_owned())],
            modules: Vec::new(),
            sources: vec![SourceLines {
                file: "mm/sparse.c".to_owned(),
                rows: vec![LineOfCode {
                    span: span(0x40, 6),
                    line: 17,
                    inlined: Some("do_it".to_owned()),
                }],
                changed: [(16, "/* why */".to_owned()), (17, "do_it();".to_owned())].into(),
                last_patch: [(17, "do_it();".to_owned())].into(),
            }],
        }
    }

    fn key(case: &str) -> CaseKey {
        covered_case(case, &[]).key
    }

    fn spans_of(coverage: &Coverage, case: usize) -> Vec<u64> {
        let kernel = &coverage.kernels[0];
        let ranges = kernel.ranges(&kernel.cases[case].ran);
        (0..0x100).filter(|at| ranges.meets(*at, at + 1)).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let (_keep, folder) = folder();
        let log = CoverageLog::open(&folder).unwrap();
        assert_eq!(log.kernel(&text()).unwrap(), 0);
        log.boot(0, 1, &[span(0, 2)]).unwrap();
        log.case(0, &key("B01"), false, &[span(0x40, 2), span(0, 2)], 0)
            .unwrap();
        log.case(0, &key("B02"), true, &[span(0x40, 2), span(0x20, 1)], 3)
            .unwrap();
        let (coverage, damage) = Coverage::read(&folder).unwrap().unwrap();
        assert_eq!(damage, []);
        let kernel = &coverage.kernels[0];
        assert_eq!(kernel.text, text());
        assert_eq!(kernel.boot, Ran::of_bits(vec![1]));
        assert_eq!(spans_of(&coverage, 0), [0, 1, 0x40, 0x41]);
        assert_eq!(spans_of(&coverage, 1), [0x20, 0x40, 0x41]);
        assert_eq!((kernel.cases[1].booted, kernel.cases[1].lost), (true, 3));
    }

    fn module(name: &str, at: u64) -> ModuleText {
        let functions = vec![(0, format!("of_{name}")), (8, "b.cold".to_owned())];
        ModuleText::new(name, at, 16, functions)
    }

    #[test]
    fn modules_have_one_place_in_all_that_a_run_wrote() {
        let (_keep, folder) = folder();
        let log = CoverageLog::open(&folder).unwrap();
        log.kernel(&text()).unwrap();
        log.module(0, &module("one", 0x100)).unwrap();
        log.module(0, &module("two", 0x110)).unwrap();
        log.case(0, &key("B01"), false, &[span(0x102, 2)], 0).unwrap();
        // Taken up again, the run meets them in another order.
        let again = CoverageLog::open(&folder).unwrap();
        again.kernel(&text()).unwrap();
        again.module(1, &module("two", 0x100)).unwrap();
        again.module(1, &module("three", 0x110)).unwrap();
        let pieces = [span(0x10, 2), span(0x108, 2), span(0x112, 2)];
        again.case(1, &key("B02"), false, &pieces, 0).unwrap();
        let (coverage, damage) = Coverage::read(&folder).unwrap().unwrap();
        assert_eq!((damage, coverage.kernels.len()), (Vec::new(), 1));
        let kernel = &coverage.kernels[0];
        let places = kernel
            .text
            .modules
            .iter()
            .map(|module| (module.name.as_str(), module.at));
        assert_eq!(
            places.collect::<Vec<_>>(),
            [("one", 0x100), ("two", 0x110), ("three", 0x120)]
        );
        let ran = |case: usize| -> Vec<&str> {
            let ranges = kernel.ranges(&kernel.cases[case].ran);
            kernel.functions_ran(&ranges).into_iter().collect()
        };
        assert_eq!(ran(0), ["of_one [one]"]);
        assert_eq!(ran(1), ["a", "b [two]", "of_three [three]"]);
    }

    #[test]
    fn the_last_attempt_counts_and_a_torn_line_loses_itself_alone() {
        let (_keep, folder, log) = one_case();
        log.lines.tear(b"{\"case\":{\"ker");
        log.case(0, &key("B01"), true, &[span(0x40, 2)], 0).unwrap();
        let (coverage, damage) = Coverage::read(&folder).unwrap().unwrap();
        assert_eq!(damage.len(), 1);
        assert_eq!(coverage.kernels[0].cases.len(), 1);
        assert_eq!(spans_of(&coverage, 0), [0x40, 0x41]);
    }

    #[test]
    fn a_run_that_goes_on_tells_its_kernels_anew() {
        let (_keep, folder) = folder();
        for case in ["B01", "B02"] {
            let log = CoverageLog::open(&folder).unwrap();
            let kernel = log.kernel(&text()).unwrap();
            log.case(kernel, &key(case), false, &[span(0x40, 2)], 0).unwrap();
        }
        let (coverage, damage) = Coverage::read(&folder).unwrap().unwrap();
        assert_eq!((damage, coverage.kernels.len()), (Vec::new(), 1));
        assert_eq!(coverage.kernels[0].cases.len(), 2);
    }

    #[test]
    fn pieces_that_are_lost_take_no_other_with_them() {
        let (_keep, folder, log) = one_case();
        log.case(0, &key("B02"), false, &[span(0x40, 2)], 0).unwrap();
        let path = folder.join(NAME);
        let whole = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = whole.lines().collect();
        assert!(lines[2].starts_with("{\"code\":"));
        lines[2] = "{}";
        std::fs::write(&path, lines.join("\n")).unwrap();
        let (coverage, damage) = Coverage::read(&folder).unwrap().unwrap();
        assert_eq!(damage.len(), 1);
        assert_eq!(spans_of(&coverage, 0), Vec::<u64>::new());
        assert_eq!(spans_of(&coverage, 1), [0x40, 0x41]);
    }

    #[test]
    fn a_number_that_no_kernel_has_costs_its_line_alone() {
        let (_keep, folder, _) = one_case();
        let path = folder.join(NAME);
        let whole = std::fs::read_to_string(&path).unwrap();
        let damaged = whole.replacen("\"first\":0", "\"first\":9223372036854775807", 1);
        assert_ne!(damaged, whole);
        std::fs::write(&path, damaged).unwrap();
        let (coverage, damage) = Coverage::read(&folder).unwrap().unwrap();
        assert_eq!(damage.len(), 1);
        assert_eq!(damage[0].what, "no kernel has 9223372036854775807 pieces of code");
        assert_eq!(coverage.kernels[0].cases.len(), 1);
    }

    #[test]
    fn what_two_runs_had_is_in_the_one_that_took_it() {
        let (_one, first) = folder();
        let (_two, second) = folder();
        let (_both, merged) = folder();
        for (run, case, piece) in [(&first, "B01", span(0, 2)), (&second, "B02", span(0x40, 2))] {
            let log = CoverageLog::open(run).unwrap();
            log.kernel(&text()).unwrap();
            log.boot(0, 1, &[span(0x80, 1)]).unwrap();
            log.case(0, &key(case), false, &[piece], 0).unwrap();
        }
        let log = CoverageLog::open(&merged).unwrap();
        for run in [&first, &second] {
            log.take(&Coverage::read(run).unwrap().unwrap().0).unwrap();
        }
        let (coverage, damage) = Coverage::read(&merged).unwrap().unwrap();
        assert_eq!((damage, coverage.kernels.len()), (Vec::new(), 1));
        let kernel = &coverage.kernels[0];
        assert_eq!(kernel.text, text());
        assert!(kernel.ranges(&kernel.boot).meets(0x80, 0x81));
        assert_eq!(
            (spans_of(&coverage, 0), spans_of(&coverage, 1)),
            (vec![0, 1], vec![0x40, 0x41])
        );
    }

    #[test]
    fn runs_are_joined_by_kernel_and_the_later_one_counts_for_a_case() {
        let (_one, first) = folder();
        let (_two, second) = folder();
        let ran = |run: &Utf8Path, text: &KernelText, cases: &[(&str, Span)]| {
            let log = CoverageLog::open(run).unwrap();
            let kernel = log.kernel(text).unwrap();
            for (case, piece) in cases {
                log.case(kernel, &key(case), false, &[*piece], 0).unwrap();
            }
        };
        ran(&first, &text(), &[("B01", span(0, 2)), ("B02", span(0, 2))]);
        let other = KernelText {
            release: "9.9".to_owned(),
            ..text()
        };
        ran(&second, &other, &[("B01", span(0, 2))]);
        ran(&second, &text(), &[("B02", span(0x40, 2))]);
        let [mut coverage, later] = [&first, &second].map(|run| Coverage::read(run).unwrap().unwrap().0);
        coverage.join(later);
        let cases = |at: usize| coverage.kernels[at].cases.len();
        assert_eq!((coverage.kernels.len(), cases(0), cases(1)), (2, 2, 1));
        assert_eq!(coverage.kernels[1].text.release, "9.9");
        assert_eq!(
            (spans_of(&coverage, 0), spans_of(&coverage, 1)),
            (vec![0, 1], vec![0x40, 0x41])
        );
    }

    #[test]
    fn a_full_disk_is_told() {
        let log = CoverageLog {
            path: "/dev/full".into(),
            lines: Lines::resume("/dev/full".as_ref(), b"").unwrap(),
            known: Mutex::default(),
        };
        assert!(matches!(log.kernel(&text()), Err(JournalError::Write { .. })));
    }
}
