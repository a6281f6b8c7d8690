// SPDX-License-Identifier: MIT OR Apache-2.0
//! One try of a fault: the folder that it has for itself, what was done in it, and what was seen.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use base::{Arch, fault::Verdict};
use fastrand::Rng;
use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    faults::Fault,
    run::{Ended, Run},
};

/// Whether the harm of a fault is done. Where it is left out, a fault whose outcome is looked at is red.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    Done,
    LeftOut,
}

/// What was seen in one try, a line for each thing.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    /// What came of it and must not: a verdict, an exit code, words that are not there.
    pub(crate) wrong: Vec<String>,
    /// What was measured, and is not in the record.
    pub(crate) lost: Vec<String>,
    /// Processes, ports and files that are there still.
    pub(crate) left: Vec<String>,
    /// How the memrigs of the try ended, one after the other.
    pub(crate) ended: Vec<String>,
    /// Why it was no try: the run was over before, or the host does not let it be done.
    pub(crate) missed: Option<String>,
}

/// A try under way.
pub(crate) struct Scene {
    /// What is drawn: moments, files, signals.
    pub(crate) rng: Rng,
    /// The guest's.
    pub(crate) arch: Arch,
    harm: Harm,
    /// What a note of something wrong begins with.
    about: String,
    folder: TempDir,
    started: u32,
    tried: Tried,
}

/// Does a fault once. `seed` says all that is drawn but the time that things take.
pub(crate) fn tried(fault: &Fault, seed: u64, harm: Harm) -> Tried {
    let mut rng = Rng::with_seed(seed);
    let arch = fault.arch.unwrap_or_else(|| rng.choice(Arch::ALL).expect("one"));
    // The names of sockets are short.
    let folder = tempfile::Builder::new()
        .prefix("mf-")
        .tempdir()
        .expect("a folder");
    for name in ["results", "tmp"] {
        fs_err::create_dir(folder.path().join(name)).expect("a folder");
    }
    let mut scene = Scene {
        rng,
        arch,
        harm,
        about: arch.to_string(),
        folder,
        started: 0,
        tried: Tried::default(),
    };
    (fault.act)(&mut scene);
    scene.tried
}

impl Tried {
    /// Whether something is as it must not be.
    pub(crate) fn is_bad(&self) -> bool {
        !(self.wrong.is_empty() && self.lost.is_empty() && self.left.is_empty())
    }
}

impl Scene {
    /// The folder that it has for itself.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the record of its runs is.
    pub(crate) fn results(&self) -> PathBuf {
        self.folder().join("results")
    }

    /// Where its runs have temporary files.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder().join("tmp")
    }

    /// A call of memrig with folders of the scene.
    pub(crate) fn memrig(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memrig"));
        self.place(&mut command);
        command
    }

    /// Gives a command the folders of the scene, so that what it starts is known by them.
    pub(crate) fn place(&self, command: &mut Command) {
        command
            .env("MEMRIG_RESULTS", self.results())
            .env("TMPDIR", self.temporary())
            .current_dir(self.folder());
    }

    /// What a run of a suite of the scene is called with.
    pub(crate) fn run_args(&self, suite: &str) -> Vec<String> {
        fs_err::write(self.folder().join("own.yaml"), suite).expect("a suite");
        let arch = self.arch.to_string();
        let words = ["run", "./own.yaml", "-k", "debian:trixie", "-a", &arch, "-j", "1"];
        words.map(str::to_owned).into()
    }

    /// A run of a suite, to be started; a case has one guest.
    pub(crate) fn one_guest(&self, suite: &str) -> Command {
        let mut command = self.memrig();
        command.args(self.run_args(suite)).arg("--no-retry");
        command
    }

    /// Starts a run.
    pub(crate) fn start(&mut self, command: Command) -> Run {
        self.started += 1;
        Run::start(command, self.folder(), &self.results(), self.started)
    }

    /// Does harm, unless it is to be left out.
    pub(crate) fn harm<T>(&mut self, act: impl FnOnce(&mut Rng) -> T) -> Option<T> {
        (self.harm == Harm::Done).then(|| act(&mut self.rng))
    }

    /// Words that do harm; none where it is left out.
    pub(crate) fn words_of_harm(&mut self, words: impl Into<String>) -> String {
        self.harm(|_| words.into()).unwrap_or_default()
    }

    /// Waits for a run's end, and looks whether it hung, and at what it left or lost.
    pub(crate) fn end(&mut self, run: Run) -> Ended {
        let ended = self.end_beside_others(run);
        // Who is killed tidies up nothing: the next one does that.
        if !ended.hung && !ended.was_ended_by(Signal::KILL) {
            for entry in fs_err::read_dir(self.temporary()).expect("a folder of its own") {
                let path = entry.expect("an entry").path();
                self.tried.left.push(format!("temporary file {}", path.display()));
            }
        }
        ended
    }

    /// The same where others had the same folder for temporary files, which are not looked at.
    pub(crate) fn end_beside_others(&mut self, run: Run) -> Ended {
        let ended = run.end();
        let how = match (ended.status.code(), ended.status.signal()) {
            (Some(code), _) => code.to_string(),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown".to_owned(),
        };
        self.tried.ended.push(how);
        if ended.hung {
            self.wrong(format!("it hangs: {}", ended.said()));
        }
        self.tried.lost.extend(ended.lost());
        self.tried.left.extend(ended.left.iter().cloned());
        if matches!(ended.code(), Some(0 | 1)) {
            self.tried.lost.extend(ended.damage.iter().cloned());
        }
        if let (Some(code), Some(Ok(_))) = (ended.code(), &ended.record)
            && let Some(wrong) = disagrees(code, &ended)
        {
            self.wrong(wrong);
        }
        ended
    }

    /// Notes what must not be.
    pub(crate) fn wrong(&mut self, what: impl Into<String>) {
        self.tried.wrong.push(format!("{}: {}", self.about, what.into()));
    }

    /// Says what was drawn, for whatever is noted from here on.
    pub(crate) fn drew(&mut self, what: &str) {
        self.about = format!("{} ({what})", self.arch);
    }

    /// Notes what was lost.
    pub(crate) fn lost(&mut self, what: impl Into<String>) {
        self.tried.lost.push(format!("{}: {}", self.about, what.into()));
    }

    /// Notes that it was no try.
    pub(crate) fn missed(&mut self, why: impl Into<String>) {
        self.tried.missed = Some(why.into());
    }

    /// The kernel is not accused, in no attempt.
    pub(crate) fn accuses_nobody(&mut self, ended: &Ended) {
        for case in ended.cases() {
            let failed = |verdict: Verdict| matches!(verdict, Verdict::Fail | Verdict::Known);
            if failed(case.verdict) || case.attempts.iter().any(|attempt| failed(attempt.verdict)) {
                let reasons = case.attempts.iter().filter_map(|attempt| attempt.reason.clone());
                let reasons: Vec<String> = case.reason.clone().into_iter().chain(reasons).collect();
                self.wrong(format!("{} accuses the kernel: {reasons:?}", case.key.case));
            }
        }
        if ended.code() == Some(1) {
            self.wrong(format!("exit code 1: {}", ended.said()));
        }
    }

    /// All cases passed.
    pub(crate) fn passes(&mut self, ended: &Ended) {
        let passed = ended.cases().iter().all(|case| case.verdict == Verdict::Pass);
        if ended.code() != Some(0) || ended.cases().is_empty() || !passed {
            self.wrong(format!("{:?}, and must pass: {}", ended.status, ended.said()));
        }
    }

    /// The first case is an error of the bench, whose reason has one of these words.
    pub(crate) fn is_error(&mut self, ended: &Ended, words: &[&str]) {
        self.accuses_nobody(ended);
        self.came_to(ended, Verdict::Error, words);
    }

    /// The first case is a failure of the kernel, whose reason has one of these words.
    pub(crate) fn is_fail(&mut self, ended: &Ended, words: &[&str]) {
        self.came_to(ended, Verdict::Fail, words);
    }

    fn came_to(&mut self, ended: &Ended, verdict: Verdict, words: &[&str]) {
        let Some(case) = ended.cases().first() else {
            return self.wrong(format!("no case in the record: {}", ended.said()));
        };
        // One that passed has none.
        let reason = case.reason.as_deref().unwrap_or_default();
        let busy = case.verdict == Verdict::Error && reason.contains("the host was too busy");
        if busy && verdict == Verdict::Fail {
            return self.missed(format!("the host was too busy: {reason}"));
        }
        if case.verdict != verdict {
            self.wrong(format!(
                "{} is {}, and must be {verdict}: {reason}",
                case.key.case, case.verdict
            ));
        } else if !words.iter().any(|word| reason.contains(word)) {
            self.wrong(format!("the reason has none of {words:?}: {reason}"));
        }
    }
}

/// What is wrong with an exit code, by the cases of the record.
fn disagrees(code: i32, ended: &Ended) -> Option<String> {
    let has = |verdict: Verdict| ended.cases().iter().any(|case| case.verdict == verdict);
    let right: &[i32] = match (has(Verdict::Fail), has(Verdict::Error)) {
        (true, _) => &[1],
        (_, true) => &[3, 130],
        // It may have broken beside its cases, or have been stopped.
        _ => &[0, 3, 130],
    };
    (!right.contains(&code))
        .then(|| format!("exit code {code}, and by the record {right:?}: {}", ended.said()))
}
