// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to be done about a task: wait, take its end, put it into the queue again, or give it up.

use super::{Exit, Row, State};

/// One go at a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// The array job that it was submitted with.
    pub job: u64,
    /// How often Slurm itself had put it back before.
    pub restarts: u32,
}

/// An end that a task left in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The attempt that left it.
    pub attempt: Attempt,
    /// memrig's exit code, as a shell has it: 128 and the signal where it was killed.
    pub code: u8,
}

/// All that is known about a task.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// Its line in squeue, or in sacct where squeue has none.
    pub row: Option<Row>,
    /// Ends that its attempts left.
    pub ends: Vec<Ended>,
    /// The job that it was last submitted with.
    pub job: u64,
    /// How often it was submitted.
    pub submissions: u32,
    /// How often in a row Slurm was asked and knew nothing of it.
    pub missing: u32,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It waits, for the reason that Slurm gives.
    Waits(String),
    /// It runs on a node.
    Runs(String),
    /// It is not known yet what became of it.
    Ask,
    /// It has run its part; with memrig's exit code.
    Done(Ended),
    /// It did not run its part, and that says nothing about a kernel: it goes into the queue again. Holds why.
    Again(String),
    /// Slurm puts it back again and again: it is to be cancelled. Holds why.
    Cancel(String),
    /// It did not run its part and never will. Holds why.
    GiveUp(String),
}

/// How many attempts a task gets.
pub const MOST: u32 = 3;

/// How often Slurm and the task's own file may know nothing before the task counts as lost: a shared folder shows a file late.
const PATIENCE: u32 = 3;

/// Exit codes with which memrig has run its part and left a run: pass, fail, error, nothing selected.
const RAN: [u8; 4] = [0, 1, 3, 4];

impl Task {
    pub(crate) fn attempts(&self) -> u32 {
        self.submissions + self.row.as_ref().map_or(0, |row| row.restarts)
    }

    /// Decides; `most` is how many attempts a task gets.
    pub fn judge(&self, most: u32) -> Action {
        let row = self.row.as_ref().filter(|row| row.job == self.job);
        if let Some(row) = row.filter(|row| !row.state.is_over()) {
            if self.attempts() > most {
                return Action::Cancel(format!("Slurm started it {} times", self.attempts() - 1));
            }
            return match row.state {
                State::Pending => Action::Waits(row.reason.clone()),
                _ => Action::Runs(row.node.clone()),
            };
        }
        let end = match row {
            // The last go of this submission; an earlier one of the same says nothing any more.
            Some(row) => {
                let attempt = Attempt {
                    job: row.job,
                    restarts: row.restarts,
                };
                self.ends.iter().find(|end| end.attempt == attempt)
            }
            None => {
                let mine = self.ends.iter().filter(|end| end.attempt.job == self.job);
                mine.max_by_key(|end| end.attempt)
            }
        };
        match self.fate(row, end.copied()) {
            Action::Again(why) if self.attempts() >= most => {
                Action::GiveUp(format!("{why}, in the last of {most} attempts"))
            }
            action => action,
        }
    }

    fn fate(&self, row: Option<&Row>, end: Option<Ended>) -> Action {
        if let Some(end) = end.filter(|end| RAN.contains(&end.code)) {
            return Action::Done(end);
        }
        let again = |why: &str| Action::Again(why.to_owned());
        match row.map(|row| row.state) {
            Some(State::Cancelled) => return Action::GiveUp("it was cancelled".to_owned()),
            Some(State::Timeout) => {
                return Action::GiveUp(
                    "it took longer than its time limit: give --time more, or make more shards".to_owned(),
                );
            }
            Some(State::OutOfMemory) => return again("it took more memory than it may (--mem)"),
            Some(State::NodeFail) => return again("its node failed"),
            Some(State::Preempted) => return again("it was preempted"),
            _ => {}
        }
        let exit = match (end, row.map(|row| row.exit)) {
            (Some(end), _) => Exit::Code(end.code),
            (None, Some(exit)) => exit,
            (None, None) if self.missing > PATIENCE => {
                return again("Slurm knows nothing of it any more, and it left no exit code");
            }
            (None, None) => return Action::Ask,
        };
        match exit {
            // memrig exits with 130 when something asks it to end.
            Exit::Code(130 | 143) if row.is_none() => {
                Action::GiveUp("it was told to end, and Slurm no longer knows by whom".to_owned())
            }
            Exit::Code(130) => again("it was told to end"),
            Exit::Signal(signal) => again(&format!("signal {signal} killed it")),
            Exit::Code(code) if code > 128 => again(&format!("signal {} killed memrig", code - 128)),
            // The script leaves its file before it exits: a code without one is the script's own.
            Exit::Code(code) if RAN.contains(&code) => again(&format!(
                "it exited with {code} and left no exit code of memrig's"
            )),
            Exit::Code(2) => Action::GiveUp("memrig does not take its command line".to_owned()),
            Exit::Code(126 | 127) => {
                Action::GiveUp("its node does not have memrig where this one has it".to_owned())
            }
            Exit::Code(code) => Action::GiveUp(format!("memrig exited with {code}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(state: State, exit: Exit) -> Row {
        Row {
            job: 7,
            task: 1,
            state,
            exit,
            restarts: 0,
            node: "n1".to_owned(),
            reason: "Resources".to_owned(),
        }
    }

    fn task(row: Option<Row>, end: Option<u8>) -> Task {
        let attempt = Attempt { job: 7, restarts: 0 };
        Task {
            row,
            ends: end.into_iter().map(|code| Ended { attempt, code }).collect(),
            job: 7,
            submissions: 1,
            missing: 0,
        }
    }

    fn is_again(action: &Action) -> bool {
        matches!(action, Action::Again(_))
    }

    #[test]
    fn a_kernel_failure_is_no_failure_of_a_node() {
        for code in [0, 1, 3, 4] {
            let state = if code == 0 {
                State::Completed
            } else {
                State::Failed
            };
            let ended = task(Some(row(state, Exit::Code(code))), Some(code));
            let end = ended.ends[0];
            assert_eq!(ended.judge(MOST), Action::Done(end));
            // Slurm has forgotten it.
            assert_eq!(task(None, Some(code)).judge(MOST), Action::Done(end));
            // What is done is done, whatever happens to the node then.
            let then = task(Some(row(State::NodeFail, Exit::Code(0))), Some(code));
            assert_eq!(then.judge(MOST), Action::Done(end));
        }
    }

    #[test]
    fn what_was_killed_runs_again_and_not_for_ever() {
        let killed = [
            task(Some(row(State::Failed, Exit::Code(137))), Some(137)),
            task(Some(row(State::Failed, Exit::Signal(9))), None),
            task(Some(row(State::NodeFail, Exit::Code(0))), None),
            task(Some(row(State::Preempted, Exit::Signal(15))), Some(130)),
            task(Some(row(State::OutOfMemory, Exit::Code(0))), Some(137)),
            task(Some(row(State::Failed, Exit::Code(130))), Some(130)),
            // The folder is there no more, or full: that it ran says Slurm alone.
            task(Some(row(State::Completed, Exit::Code(0))), None),
            task(None, Some(137)),
        ];
        for mut task in killed {
            assert!(is_again(&task.judge(MOST)), "{task:?}");
            task.submissions = MOST;
            assert!(matches!(task.judge(MOST), Action::GiveUp(_)), "{task:?}");
        }
    }

    #[test]
    fn what_would_end_the_same_way_is_given_up() {
        let hopeless = [
            task(Some(row(State::Cancelled, Exit::Signal(15))), Some(130)),
            task(Some(row(State::Timeout, Exit::Code(0))), Some(130)),
            task(Some(row(State::Failed, Exit::Code(2))), Some(2)),
            task(Some(row(State::Failed, Exit::Code(127))), Some(127)),
            task(Some(row(State::Failed, Exit::Code(101))), Some(101)),
            task(None, Some(130)),
        ];
        for task in hopeless {
            assert!(matches!(task.judge(MOST), Action::GiveUp(_)), "{task:?}");
        }
    }

    #[test]
    fn a_task_of_which_nothing_is_known_is_waited_for_a_while() {
        let mut task = task(None, None);
        assert_eq!(task.judge(MOST), Action::Ask);
        task.missing = PATIENCE + 1;
        assert!(is_again(&task.judge(MOST)));
    }

    #[test]
    fn an_end_of_an_earlier_attempt_is_none() {
        // Slurm put it back after its node failed, and it runs.
        let mut back = task(Some(row(State::Running, Exit::Code(0))), Some(137));
        back.row.as_mut().unwrap().restarts = 1;
        assert_eq!(back.judge(MOST), Action::Runs("n1".to_owned()));
        // It was submitted again; squeue still shows the old job alone.
        let mut again = task(Some(row(State::Failed, Exit::Code(137))), Some(137));
        again.job = 8;
        again.submissions = 2;
        assert_eq!(again.judge(MOST), Action::Ask);
        // Slurm never stops.
        back.row.as_mut().unwrap().restarts = MOST;
        assert!(matches!(back.judge(MOST), Action::Cancel(_)));
    }

    fn states() -> impl Strategy<Value = State> {
        proptest::sample::select(vec![
            State::Pending,
            State::Running,
            State::Completed,
            State::Failed,
            State::Cancelled,
            State::Timeout,
            State::OutOfMemory,
            State::NodeFail,
            State::Preempted,
            State::Unknown,
        ])
    }

    proptest! {
        #[test]
        fn nothing_goes_on_for_ever_and_nothing_passes_without_its_end(
            state in proptest::option::of(states()), exit: u8, end in proptest::option::of(any::<u8>()),
            submissions in 1u32..6, restarts in 0u32..6, missing in 0u32..9
        ) {
            let mut task = task(state.map(|state| row(state, Exit::Code(exit))), end);
            task.submissions = submissions;
            task.missing = missing;
            if let Some(row) = &mut task.row {
                row.restarts = restarts;
                task.ends.iter_mut().for_each(|end| end.attempt.restarts = restarts);
            }
            let attempts = task.attempts();
            match task.judge(MOST) {
                Action::Again(_) => prop_assert!(attempts < MOST),
                Action::Waits(_) | Action::Runs(_) => prop_assert!(attempts <= MOST && !state.unwrap().is_over()),
                Action::Done(done) => prop_assert!(end == Some(done.code) && RAN.contains(&done.code)),
                Action::Ask => prop_assert!(end.is_none() && state.is_none() && missing <= PATIENCE),
                Action::Cancel(_) => prop_assert!(!state.unwrap().is_over()),
                Action::GiveUp(_) => prop_assert!(state.is_none_or(State::is_over)),
            }
        }
    }
}
