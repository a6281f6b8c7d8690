// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which code the cases of runs ran: `coverage.jsonl` of the runs, as rows of the index. What all cases of a kernel ran is one packed value.

use std::{collections::HashMap, sync::Arc};

use camino::Utf8Path;
use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::{
    query::{foreign, key, time},
    seen::HistoryKey,
    store::{Index, IndexError},
};
use crate::{Coverage, CoveredKernel, Reach, coverage};
use base::{Arch, fault::Verdict};

/// A kernel of a run that kept which code its cases ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoveredBy {
    /// Its number in the index.
    pub id: i64,
    /// Folder of the run, by its name in the results folder.
    pub run: String,
    /// When the run started.
    pub started: Timestamp,
    /// Architecture.
    pub arch: Arch,
    /// The kernel line.
    pub line: String,
    /// The kernel: label, hyphen, release.
    pub kernel: String,
    /// Its lines are known, and not its functions alone.
    pub has_lines: bool,
}

impl CoveredBy {
    /// What orders them by age, the newest last.
    pub fn age(&self) -> (Timestamp, i64) {
        (self.started, self.id)
    }
}

/// A case where it was covered last on a kernel line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCovered {
    /// Which case it is.
    pub key: HistoryKey,
    /// On what.
    pub by: Arc<CoveredBy>,
    /// Its number in the [`Reach`] of that.
    pub number: usize,
    /// The kernel failed it then, whether that was known or not.
    pub failed: bool,
}

impl Index {
    /// Where each case was covered last on each kernel line of an architecture; no boot of a template counts for it.
    ///
    /// # Errors
    ///
    /// The index does not read.
    pub fn last_covered(&self, arch: Arch) -> Result<Vec<LastCovered>, IndexError> {
        let ask = || -> rusqlite::Result<Vec<LastCovered>> {
            // The columns beside a maximum are those of its row.
            let mut statement = self.db.prepare_cached(
                "SELECT what.arch, what.line, what.config, what.suite, what.variant, what.case_id, covered_case.number,
                    max(run.started), covered.id, run.name, covered.kernel, covered.has_lines, seen.verdict
                 FROM covered JOIN covered_case ON covered_case.covered = covered.id JOIN what ON what.id = covered_case.what
                 JOIN run ON run.id = covered.run LEFT JOIN seen ON seen.what = what.id AND seen.run = run.id
                 WHERE covered.arch = ?1 GROUP BY covered_case.what
                 ORDER BY what.suite, what.case_id, what.line, what.config, what.variant",
            )?;
            let mut kernels: HashMap<i64, Arc<CoveredBy>> = HashMap::new();
            let mut rows = statement.query([arch.to_string()])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                let (key, id) = (key(row, 0)?, row.get(8)?);
                let by = match kernels.get(&id) {
                    Some(by) => by.clone(),
                    None => {
                        let by = Arc::new(CoveredBy {
                            id,
                            run: row.get(9)?,
                            started: time(row, 7)?,
                            arch,
                            line: key.line.clone(),
                            kernel: row.get(10)?,
                            has_lines: row.get(11)?,
                        });
                        kernels.insert(id, by.clone());
                        by
                    }
                };
                let number: u32 = row.get(6)?;
                // A run that was cut off may have covered what it did not judge.
                let judged: Option<String> = row.get(12)?;
                let is_failure =
                    |word: &str| [Verdict::Fail, Verdict::Known].map(Verdict::word).contains(&word);
                all.push(LastCovered {
                    key,
                    by,
                    number: number as usize,
                    failed: judged.as_deref().is_some_and(is_failure),
                });
            }
            Ok(all)
        };
        ask().map_err(|source| self.sqlite(source))
    }

    /// Which of the cases that were covered on a kernel in a run ran what.
    ///
    /// # Errors
    ///
    /// The index does not read.
    pub fn reach(&self, by: &CoveredBy) -> Result<Reach, IndexError> {
        let ask = || -> rusqlite::Result<Reach> {
            let mut statement = self
                .db
                .prepare_cached("SELECT reach FROM covered WHERE id = ?1")?;
            statement.query_row([by.id], |row| {
                Reach::unpacked(row.get_ref(0)?.as_blob()?).map_err(|error| foreign(0, error))
            })
        };
        ask().map_err(|source| self.sqlite(source))
    }
}

/// A covered kernel as it is kept.
pub(super) struct Kernel {
    arch: Arch,
    line: String,
    kernel: String,
    has_lines: bool,
    /// Its cases, by their numbers.
    cases: Vec<HistoryKey>,
    /// Its [`Reach`], packed.
    reach: Vec<u8>,
}

/// Reads which code the cases of a run ran, and says what of it does not read; nothing where the run kept none.
pub(super) fn read(folder: &Utf8Path) -> (Vec<Kernel>, Vec<String>) {
    let (coverage, damage) = match Coverage::read(folder) {
        Ok(Some(read)) => read,
        Ok(None) => return (Vec::new(), Vec::new()),
        Err(error) => return (Vec::new(), vec![error.to_string()]),
    };
    let mut damage: Vec<String> = damage.iter().map(ToString::to_string).collect();
    let mut kernels = Vec::new();
    for covered in &coverage.kernels {
        match kernel(covered) {
            Ok(kernel) => kernels.push(kernel),
            Err(error) => damage.push(format!("{}: {error}", coverage::NAME)),
        }
    }
    (kernels, damage)
}

fn kernel(covered: &CoveredKernel) -> std::io::Result<Kernel> {
    let text = &covered.text;
    let (mut cases, mut known) = (Vec::new(), HashMap::new());
    let mut number = |key: HistoryKey| {
        *known.entry(key.clone()).or_insert_with(|| {
            cases.push(key);
            cases.len() - 1
        })
    };
    let key = |case: &crate::CoveredCase| HistoryKey {
        line: text.label.clone(),
        ..HistoryKey::of(&case.key)
    };
    let numbers: Vec<usize> = covered.cases.iter().map(|case| number(key(case))).collect();
    Ok(Kernel {
        arch: text.arch,
        line: text.label.clone(),
        kernel: text.name(),
        has_lines: !text.sources.is_empty(),
        reach: Reach::of(covered, &numbers).packed()?,
        cases,
    })
}

/// Adds the covered kernels of a run; `what` gives the number of a case.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    run: i64,
    kernels: &[Kernel],
    mut what: impl FnMut(HistoryKey) -> rusqlite::Result<i64>,
) -> rusqlite::Result<()> {
    for kernel in kernels {
        transaction
            .prepare_cached(
                "INSERT INTO covered (run, arch, line, kernel, has_lines, reach) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                run,
                kernel.arch.to_string(),
                kernel.line,
                kernel.kernel,
                kernel.has_lines,
                kernel.reach
            ])?;
        let covered = transaction.last_insert_rowid();
        let mut statement = transaction.prepare_cached(
            "INSERT OR REPLACE INTO covered_case (what, covered, number) VALUES (?1, ?2, ?3)",
        )?;
        for (number, key) in kernel.cases.iter().enumerate() {
            // Two cases whose ids differ by the size of letters alone are one row.
            statement.execute(params![what(key.clone())?, covered, number as i64])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        CaseKey, CoverageLog, KernelText, LineOfCode, SourceLines, Span,
        index::{
            Which,
            tests::{Place, key as case_key, place, run},
        },
    };

    fn span(offset: u64) -> Span {
        Span { offset, bytes: 4 }
    }

    /// `online_pages` at 0 and `offline_pages` at 0x40, which has line 17.
    fn text(release: &str, has_lines: bool) -> KernelText {
        let source = SourceLines {
            file: "mm/a.c".to_owned(),
            rows: vec![LineOfCode {
                inlined: None,
                span: span(0x40),
                line: 17,
            }],
            ..SourceLines::default()
        };
        KernelText {
            modules: Vec::new(),
            label: "debian:sid".to_owned(),
            release: release.to_owned(),
            arch: Arch::S390x,
            side: None,
            end: 0x100,
            functions: vec![(0, "online_pages".to_owned()), (0x40, "offline_pages".to_owned())],
            sources: if has_lines { vec![source] } else { Vec::new() },
        }
    }

    fn covered(run: &Utf8Path, release: &str, has_lines: bool, cases: &[(CaseKey, u64)]) {
        let log = CoverageLog::open(run).unwrap();
        let kernel = log.kernel(&text(release, has_lines)).unwrap();
        log.boot(kernel, 1, &[span(0x40)]).unwrap();
        for (key, at) in cases {
            log.case(kernel, key, false, &[span(*at)], 0).unwrap();
        }
    }

    fn refreshed(place: &Place) -> (Index, Vec<String>) {
        let mut index = Index::open(&place.file).unwrap();
        let unread = index.refresh(&place.results, |_, _| {}).unwrap().unread;
        (index, unread.into_iter().map(|unread| unread.what).collect())
    }

    /// The cases that ran `offline_pages` where they were covered last, with the day and the kernel of that.
    fn offline(index: &Index) -> Vec<String> {
        let all = index.last_covered(Arch::S390x).unwrap().into_iter();
        all.filter(|last| {
            let reach = index.reach(&last.by).unwrap();
            let ran = reach.function("offline_pages");
            ran.is_some_and(|ran| ran.has(last.number))
        })
        .map(|last| {
            let by = &last.by;
            assert_eq!(
                (&*by.line, by.arch, &*last.key.line),
                ("debian:sid", Arch::S390x, "debian:sid")
            );
            assert!(by.run.starts_with(&by.started.strftime("%Y%m%dT").to_string()));
            format!("{} {} {}", by.started.strftime("%d"), last.key.case, by.kernel)
        })
        .collect()
    }

    #[test]
    fn the_last_covered_run_of_a_case_counts() {
        let place = place();
        let pass = [("S01", Verdict::Pass), ("S02", Verdict::Pass)];
        let first = run(&place.results, 1, "7.1.0", &pass);
        let second = run(&place.results, 2, "7.2.0", &pass);
        // Without coverage.
        run(&place.results, 3, "7.3.0", &pass);
        let [s01, s02] = ["S01", "S02"].map(|case| case_key("7.1.0", case));
        covered(&first, "7.1.0", false, &[(s01.clone(), 0x40), (s02, 0x40)]);
        let (index, unread) = refreshed(&place);
        assert_eq!(unread, Vec::<String>::new());
        let firsts = ["01 S01 debian:sid-7.1.0", "01 S02 debian:sid-7.1.0"];
        assert_eq!(offline(&index), firsts, "not by the boot, which ran it too");
        assert_eq!(index.last_covered(Arch::X86_64).unwrap(), []);

        // Written after the run was read; it has one of them, which does something else now.
        covered(&second, "7.2.0", true, &[(s01, 0)]);
        let (index, _) = refreshed(&place);
        assert_eq!(offline(&index), ["01 S02 debian:sid-7.1.0"]);
        let lines = |index: &Index| -> Vec<bool> {
            let all = index.last_covered(Arch::S390x).unwrap().into_iter();
            all.map(|last| last.by.has_lines).collect()
        };
        assert_eq!(lines(&index), [true, false]);
        let by = &index.last_covered(Arch::S390x).unwrap()[0].by;
        let reach = index.reach(by).unwrap();
        assert_eq!(reach.files().collect::<Vec<_>>(), ["mm/a.c"]);
        assert!(reach.lines("mm/a.c", 17..=17).is_some_and(|ran| !ran.has(0)));

        let mut anew = Index::anew(&place.file.with_file_name("other.sqlite")).unwrap();
        anew.refresh(&place.results, |_, _| {}).unwrap();
        assert_eq!(offline(&anew), offline(&index));

        fs::remove_dir_all(second).unwrap();
        let (index, _) = refreshed(&place);
        assert_eq!(offline(&index), firsts, "as if it had not been");
    }

    #[test]
    fn whether_a_case_failed_when_it_was_covered_is_known() {
        let place = place();
        let failed = |index: &Index| -> Vec<String> {
            let all = index.last_covered(Arch::S390x).unwrap().into_iter();
            all.filter(|last| last.failed).map(|last| last.key.case).collect()
        };
        let verdicts = [
            ("S01", Verdict::Pass),
            ("S02", Verdict::Fail),
            ("S03", Verdict::Known),
            ("S04", Verdict::Error),
        ];
        let path = run(&place.results, 1, "7.1.0", &verdicts);
        // The last one was not judged.
        let keys = ["S01", "S02", "S03", "S04", "S05"].map(|case| (case_key("7.1.0", case), 0x40));
        covered(&path, "7.1.0", false, &keys);
        assert_eq!(failed(&refreshed(&place).0), ["S02", "S03"]);
        // A later run in which it was not covered says nothing of the one in which it was.
        let path = run(
            &place.results,
            2,
            "7.2.0",
            &verdicts.map(|(case, _)| (case, Verdict::Fail)),
        );
        covered(&path, "7.2.0", false, &keys[2..4]);
        assert_eq!(failed(&refreshed(&place).0), ["S02", "S03", "S04"]);
    }

    #[test]
    fn the_rounds_of_a_case_are_one() {
        let place = place();
        let path = run(&place.results, 1, "7.1.0", &[("S01", Verdict::Pass)]);
        let once = case_key("7.1.0", "S01");
        let rounds = [(once.in_round(1), 0x40), (once.in_round(2), 0)];
        covered(&path, "7.1.0", false, &rounds);
        let (index, _) = refreshed(&place);
        assert_eq!(index.last_covered(Arch::S390x).unwrap().len(), 1);
        assert_eq!(offline(&index).len(), 1);
    }

    #[test]
    fn a_damaged_coverage_costs_itself_alone_and_is_told_each_time() {
        let place = place();
        let cases = [("S01", Verdict::Pass), ("S02", Verdict::Pass)];
        let path = run(&place.results, 1, "7.1.0", &cases);
        let [s01, s02] = ["S01", "S02"].map(|case| (case_key("7.1.0", case), 0x40));
        covered(&path, "7.1.0", false, &[s01, s02]);
        let file = path.join(coverage::NAME);
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let torn = [&lines[..lines.len() - 1], &["{\"case\":{\"ker"]].concat();
        fs::write(&file, torn.join("\n")).unwrap();
        for _ in 0..2 {
            let (index, unread) = refreshed(&place);
            assert!(
                unread.len() == 1 && unread[0].starts_with("coverage.jsonl:5: "),
                "{unread:?}"
            );
            assert_eq!(offline(&index), ["01 S01 debian:sid-7.1.0"]);
            assert_eq!(index.seen(&Which::default()).unwrap().len(), 2);
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let (index, unread) = refreshed(&place);
        assert_eq!(unread.len(), 1, "{unread:?}");
        assert_eq!(offline(&index), Vec::<String>::new());
        assert_eq!(index.seen(&Which::default()).unwrap().len(), 2);
    }
}
