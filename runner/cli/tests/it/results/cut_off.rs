// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs that were killed, or whose files lost something.

use std::fs;

use base::fault::Verdict;
use camino::{Utf8Path, Utf8PathBuf};
use record::{Finish, ReadError, RunRecord};

use super::sample;

struct Run {
    _keep: tempfile::TempDir,
    folder: Utf8PathBuf,
}

impl Run {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(keep.path()).unwrap().to_owned();
        sample::write(&folder);
        Self { _keep: keep, folder }
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.folder.join("events.jsonl")).unwrap()
    }

    /// Replaces the journal.
    fn with(&self, journal: impl AsRef<[u8]>) -> &Self {
        fs::write(self.folder.join("events.jsonl"), journal).unwrap();
        self
    }

    fn read(&self) -> (RunRecord, Vec<String>) {
        let (record, damage) = RunRecord::read(&self.folder).unwrap();
        (record, damage.iter().map(ToString::to_string).collect())
    }
}

/// Whatever byte the end of the file is, everything before it is read, and no case is lost or better than it was.
#[test]
fn a_run_killed_at_any_byte_is_read_to_there() {
    let run = Run::new();
    let journal = run.journal();
    let first = journal.find('\n').unwrap();
    let ends = [first + 1, journal.len()]
        .into_iter()
        .chain((first + 1..journal.len()).step_by(37));
    for end in ends {
        let (record, damage) = run.with(&journal[..end]).read();
        let torn = !journal[..end].ends_with('\n') && !journal[end..].starts_with('\n');
        assert_eq!(damage.len(), usize::from(torn), "{damage:?}");
        assert_eq!(record.cases.len() + record.not_run.len(), 5);
        for (case, whole) in record.cases.iter().zip(sample::cases()) {
            if *case != whole {
                assert_eq!(case.verdict, Verdict::Error);
                assert_eq!(
                    case.reason.as_deref(),
                    Some("the run ended while the case was running")
                );
            }
        }
        let finished = journal[..end].contains("run-finished") && !torn;
        assert_eq!(record.finish == Finish::CutOff, !finished);
    }
}

#[test]
fn a_case_that_never_finished_keeps_the_steps_that_did() {
    let run = Run::new();
    let journal = run.journal();
    let end = journal.find("\"number\":3,\"text\"").unwrap();
    let (record, damage) = run.with(&journal[..end]).read();
    assert_eq!(
        damage,
        [format!(
            "events.jsonl:{}: the last line was cut off while it was written",
            journal[..end].lines().count()
        )]
    );
    assert_eq!(record.cases.len(), 1);
    assert_eq!(record.cases[0].steps, sample::cases()[0].steps[..2]);
    assert_eq!(record.unfinished, [record.cases[0].key.clone()]);
    assert_eq!(record.not_run.len(), 4);
    assert!(
        tell::summary(&record, tell::Style::Plain)
            .starts_with("1 case: 1 error; 4 cases not run; the run was cut off\n")
    );
}

#[test]
fn a_damaged_line_costs_only_itself() {
    let run = Run::new();
    let lines: Vec<String> = run.journal().lines().map(str::to_owned).collect();
    let mut bytes = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        match index {
            3 => bytes.extend_from_slice(b"{\"at\":0.1,\"event\":{\"what-a-newer-one-says\":{}}}"),
            4 => bytes.extend_from_slice(b"\xff\xfe\x00"),
            _ => bytes.extend_from_slice(line.as_bytes()),
        }
        bytes.push(b'\n');
    }
    let (record, damage) = run.with(bytes).read();
    assert_eq!(damage.len(), 2);
    assert!(
        damage[0].starts_with("events.jsonl:4: unknown variant `what-a-newer-one-says`"),
        "{}",
        damage[0]
    );
    assert!(damage[1].starts_with("events.jsonl:5: "));
    assert_eq!(record.cases, sample::cases());
}

#[test]
fn facts_are_read_from_the_journal_where_run_json_is_lost() {
    let run = Run::new();
    fs::write(run.folder.join("run.json"), "{").unwrap();
    let (record, damage) = run.read();
    assert_eq!(record.facts, sample::facts());
    assert_eq!(damage.len(), 1);
    assert!(damage[0].starts_with("run.json: EOF while parsing"));
    fs::remove_file(run.folder.join("run.json")).unwrap();
    assert_eq!(run.read().1, ["run.json: is missing"]);

    fs::remove_file(run.folder.join("events.jsonl")).unwrap();
    let error = RunRecord::read(&run.folder).unwrap_err();
    assert!(matches!(error, ReadError::NoRun { .. }), "{error}");
}

#[test]
fn a_run_without_a_journal_is_no_green_run() {
    let run = Run::new();
    fs::remove_file(run.folder.join("events.jsonl")).unwrap();
    let (record, damage) = run.read();
    assert_eq!(damage, ["events.jsonl: is missing"]);
    assert_eq!((record.cases.len(), record.finish), (0, Finish::CutOff));
}

#[test]
fn a_newer_format_is_refused_before_anything_else_is_read() {
    let newer = "{\"format\":2,\"kernels\":\"something else\"}";
    let run = Run::new();
    fs::write(run.folder.join("run.json"), newer).unwrap();
    let error = RunRecord::read(&run.folder).unwrap_err().to_string();
    assert!(
        error.contains("has format 2, and this memrig reads up to 1"),
        "{error}"
    );

    fs::remove_file(run.folder.join("run.json")).unwrap();
    run.with(format!(
        "{{\"at\":0,\"event\":{{\"run-started\":{{\"facts\":{newer}}}}}}}\n"
    ));
    let error = RunRecord::read(&run.folder).unwrap_err();
    assert!(matches!(error, ReadError::TooNew { found: 2, .. }), "{error}");
}

/// Fields that a later memrig adds are passed over.
#[test]
fn an_unknown_field_is_no_damage() {
    let run = Run::new();
    let journal = run
        .journal()
        .replace("\"log_excerpt\":", "\"new\":[1],\"log_excerpt\":");
    let (record, damage) = run.with(journal).read();
    assert_eq!(damage, [""; 0]);
    assert_eq!(record.cases, sample::cases());
}
