// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run of memrig in a folder of its own, and what came of it.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use base::fault::Verdict;
use camino::Utf8Path;
use record::{CaseRecord, RunRecord};
use rustix::process::Signal;

use super::processes::{self, Process};

/// How long a run may take before it counts as one that hangs.
const LIMIT: Duration = Duration::from_mins(40);

/// How often is looked whether something came.
const LOOK: Duration = Duration::from_millis(20);

/// How long what a run leaves may take to be gone: the host may be busy.
const GONE: Duration = Duration::from_secs(10);

/// A moment of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// A guest of it has a QEMU.
    Guest,
    /// The step of this number begins, of whichever case is first.
    Step(u32),
    /// So long after it was started.
    After(Duration),
}

/// A memrig that runs.
pub(crate) struct Run {
    child: Child,
    started: Instant,
    folder: PathBuf,
    results: PathBuf,
    out: PathBuf,
    err: PathBuf,
    /// Ports of guests that were seen.
    ports: Vec<u16>,
    /// The run did not come to its end in time.
    hung: bool,
}

/// A run that came to its end.
pub(crate) struct Ended {
    /// How memrig ended.
    pub(crate) status: ExitStatus,
    /// What it printed on stdout.
    out: Vec<u8>,
    /// What it printed on stderr.
    err: Vec<u8>,
    /// Its record, or why that does not read; none if there is no folder of a run.
    pub(crate) record: Option<Result<RunRecord, String>>,
    /// What of its record is damaged, by what the reader says.
    pub(crate) damage: Vec<String>,
    /// What is there still of what it started.
    pub(crate) left: Vec<String>,
    /// It had to be killed.
    pub(crate) hung: bool,
}

/// A result that was told on stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ToldResult {
    /// In lower case, as it is told.
    verdict: String,
    /// Id of the case.
    case: String,
}

impl Run {
    /// Starts a command that is, or becomes, memrig. `folder` is what all its processes have in their environment, `results` where it keeps its record,
    /// `number` one of its own among those that use the folder.
    pub(crate) fn start(mut command: Command, folder: &Path, results: &Path, number: u32) -> Self {
        let said = |name: &str| folder.join(format!("{name}.{number}"));
        let (out, err) = (said("out"), said("err"));
        let file = |path: &Path| File::create(path).expect("a file for what is said");
        let child = command
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .expect("memrig starts");
        Self {
            child,
            started: Instant::now(),
            folder: folder.to_owned(),
            results: results.to_owned(),
            out,
            err,
            ports: Vec::new(),
            hung: false,
        }
    }

    /// Waits for a moment; false if the run ended before.
    pub(crate) fn wait_for(&mut self, moment: Moment) -> bool {
        while self.started.elapsed() < LIMIT {
            if self.child.try_wait().expect("a child").is_some() {
                return false;
            }
            let came = match moment {
                Moment::After(time) => self.started.elapsed() >= time,
                Moment::Guest => self.has_begun() && !self.guests().is_empty(),
                Moment::Step(number) => self.has_begun_step(number),
            };
            if came {
                self.guests();
                return true;
            }
            std::thread::sleep(LOOK);
        }
        false
    }

    /// The QEMUs of its guests.
    pub(crate) fn guests(&mut self) -> Vec<Process> {
        let found = processes::guests_of(&self.folder);
        let ports = found.iter().flat_map(Process::ports);
        self.ports.extend(ports);
        found
    }

    /// The journal of the last run; none before there is one.
    fn journal(&self) -> Option<String> {
        std::fs::read_to_string(self.results.join("latest/events.jsonl")).ok()
    }

    fn has_begun(&self) -> bool {
        self.journal().is_some()
    }

    fn has_begun_step(&self, number: u32) -> bool {
        let begun = format!(",\"number\":{number},");
        self.journal().is_some_and(|text| {
            text.lines()
                .any(|line| line.contains("\"step-started\"") && line.contains(&begun))
        })
    }

    /// How it ended, if it did.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Sends memrig itself a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // One that was waited for has its number no more.
        if self.status().is_none() {
            let own = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(own, signal).expect("a child");
        }
    }

    /// Waits for its end, and looks at what is there then.
    pub(crate) fn end(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            if self.started.elapsed() > LIMIT {
                self.hung = true;
                for process in processes::of(&self.folder) {
                    process.signal(Signal::KILL);
                }
                self.child.kill().expect("a child");
            }
            self.guests();
            std::thread::sleep(LOOK * 5);
        };
        let left = self.left();
        let read = |path: &Path| fs_err::read(path).expect("what was said");
        let (out, err) = (read(&self.out), read(&self.err));
        let (record, damage) = recorded(&self.results, &String::from_utf8_lossy(&err));
        Ended {
            status,
            out,
            err,
            record,
            damage,
            left,
            hung: self.hung,
        }
    }

    /// What is there still, after a moment in which it may go.
    fn left(&self) -> Vec<String> {
        let gone = Instant::now() + GONE;
        loop {
            let processes = processes::of(&self.folder);
            let mut left: Vec<String> = processes.iter().map(Process::name).collect();
            let open = self.ports.iter().filter(|port| processes::listens(**port));
            left.extend(open.map(|port| format!("port {port}")));
            if left.is_empty() || Instant::now() > gone {
                // What follows is to find the ground clean.
                processes.iter().for_each(|process| process.signal(Signal::KILL));
                return left;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The record that a run says it has, or else the last one of the results folder, with what of it is damaged. Where the run had its folder, it may be called
/// otherwise from here.
fn recorded(results: &Path, said: &str) -> (Option<Result<RunRecord, String>>, Vec<String>) {
    let told = said
        .lines()
        .find_map(|line| line.split_once("record in ")?.1.rsplit('/').next());
    let Ok(folder) = fs_err::canonicalize(results.join(told.unwrap_or("latest"))) else {
        return (None, Vec::new());
    };
    match RunRecord::read(Utf8Path::from_path(&folder).expect("a path of ours")) {
        Ok((record, damage)) => {
            let damage = damage.iter().map(ToString::to_string).collect();
            (Some(Ok(record)), damage)
        }
        Err(error) => (Some(Err(error.to_string())), Vec::new()),
    }
}

impl Ended {
    /// The exit code; none where a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether this signal ended it.
    pub(crate) fn was_ended_by(&self, signal: Signal) -> bool {
        self.status.signal() == Some(signal.as_raw())
    }

    /// The cases of its record; none if it has none that reads.
    pub(crate) fn cases(&self) -> &[CaseRecord] {
        match &self.record {
            Some(Ok(record)) => &record.cases,
            _ => &[],
        }
    }

    /// What it said on both, for a reader.
    pub(crate) fn said(&self) -> String {
        format!(
            "{}{}",
            String::from_utf8_lossy(&self.err),
            String::from_utf8_lossy(&self.out)
        )
    }

    /// The results that it told on stderr.
    fn told(&self) -> Vec<ToldResult> {
        told(&String::from_utf8_lossy(&self.err))
    }

    /// What was told and is not in the record.
    pub(crate) fn lost(&self) -> Vec<String> {
        let mut lost = match &self.record {
            Some(Err(error)) => vec![format!("the record does not read: {error}")],
            _ => Vec::new(),
        };
        let kept = |told: &ToldResult| {
            let same = |case: &&CaseRecord| case.key.case == told.case;
            self.cases().iter().find(same).map(|case| case.verdict)
        };
        for told in self.told() {
            match kept(&told) {
                Some(verdict) if verdict.to_string() == told.verdict => {}
                kept => lost.push(format!(
                    "{} of {} was told and is not in the record, which has {kept:?}",
                    told.verdict, told.case
                )),
            }
        }
        lost
    }
}

/// The results in what memrig says without a terminal: a time in brackets, the verdict, the architecture, the kernel, the suite and the case.
fn told(text: &str) -> Vec<ToldResult> {
    let verdicts = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Error,
        Verdict::Known,
        Verdict::Skip,
    ];
    let verdicts = verdicts.map(|verdict| verdict.to_string());
    let results = text.lines().filter_map(|line| {
        let (_, rest) = line.strip_prefix('[')?.split_once("s] ")?;
        let mut words = rest.split_whitespace();
        let verdict = words.next()?.to_owned();
        if !verdicts.contains(&verdict) {
            return None;
        }
        let case = words.nth(2)?.rsplit('/').next()?.to_owned();
        Some(ToldResult { verdict, case })
    });
    results.collect()
}

#[cfg(test)]
mod tests {
    // Imports are within: the benchmark, which has the same file, leaves tests out.
    #[test]
    fn results_are_read_as_they_are_told() {
        use super::told;

        let text = "[    0.3s] 1 job, 1 at once, record in results/20261130T143406Z-1cb0ad\n\
                    [   19.3s] pass  s390x  debian:trixie-6.12.107+deb13-s390x own/F01 (12.2 s)\n\
                    [   29.4s] fail  x86_64 debian:trixie-6.12.117+deb13-amd64 own/F02 (29.1 s): script `x`: the guest hangs\n\
                    FAIL own F02 the guest does something in a step\n\
                    [   99.9s] x86_64.debian-trixie.default.own.default/F03: step 2: guest: { run: pass }\n";
        let read: Vec<_> = told(text)
            .into_iter()
            .map(|told| (told.verdict, told.case))
            .collect();
        let pair = |verdict: &str, case: &str| (verdict.to_owned(), case.to_owned());
        assert_eq!(read, [pair("pass", "F01"), pair("fail", "F02")]);
    }

    /// What outlives its memrig is seen, and so is a result that was told and not kept.
    #[test]
    fn what_is_left_or_lost_is_seen() {
        use super::*;

        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let line = "[    1.0s] pass  s390x  debian:trixie own/F01 (0.5 s)";
        command
            .args(["-c", &format!("sleep 600 & echo '{line}' >&2")])
            .env("MEMRIG_RESULTS", folder.path());
        let run = Run::start(command, folder.path(), &folder.path().join("results"), 1);
        let ended = run.end();
        assert_eq!(ended.code(), Some(0));
        assert!(
            matches!(&ended.left[..], [left] if left.starts_with("sleep (")),
            "{:?}",
            ended.left
        );
        assert_eq!(
            ended.lost(),
            ["pass of F01 was told and is not in the record, which has None"]
        );
        // Whoever comes next finds the ground clean.
        let until = Instant::now() + GONE;
        while !processes::of(folder.path()).is_empty() {
            assert!(Instant::now() < until, "it lives on");
            std::thread::sleep(LOOK);
        }
    }
}
