// SPDX-License-Identifier: MIT OR Apache-2.0
//! What sbatch, squeue and sacct print.

/// What squeue is asked for, as its `--Format`; [`parse_queue`] reads the answer.
pub const QUEUE_FORMAT: &str =
    "ArrayJobID:|,ArrayTaskID:|,State:|,exit_code:|,RestartCnt:|,NodeList:|,Reason:|";

/// What sacct is asked for, as its `--format`, with `-n -P -X --duplicates`; [`parse_sacct`] reads the answer.
pub const SACCT_FORMAT: &str = "JobID,State,ExitCode,NodeList,Reason";

/// A task as Slurm sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Id of the array job.
    pub job: u64,
    /// Number of the task in it.
    pub task: u32,
    /// Its state.
    pub state: State,
    /// How its script ended; means nothing before it has.
    pub(crate) exit: Exit,
    /// How often Slurm itself has put it back into the queue.
    pub(crate) restarts: u32,
    /// Where it runs or ran.
    pub(crate) node: String,
    /// Why it waits, or why it ended.
    pub(crate) reason: String,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It exited.
    Code(u8),
    /// A signal killed it.
    Signal(u8),
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits.
    Pending,
    /// It runs, or is about to, or about to end.
    Running,
    /// It exited with 0.
    Completed,
    /// It ended otherwise.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// It took longer than it may.
    Timeout,
    /// It took more memory than it may.
    OutOfMemory,
    /// Its node failed or did not start.
    NodeFail,
    /// Something more important took its place.
    Preempted,
    /// A word that is not known here: it may still be alive.
    Unknown,
}

impl State {
    /// Reads Slurm's word, such as `NODE_FAIL` or `CANCELLED by 1000`.
    fn of(word: &str) -> Self {
        match word.split_whitespace().next().unwrap_or("") {
            "PENDING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => {
                Self::Pending
            }
            "RUNNING" | "CONFIGURING" | "COMPLETING" | "SIGNALING" | "STAGE_OUT" | "RESIZING"
            | "SUSPENDED" | "STOPPED" => Self::Running,
            "COMPLETED" => Self::Completed,
            "FAILED" => Self::Failed,
            "CANCELLED" | "REVOKED" => Self::Cancelled,
            "TIMEOUT" | "DEADLINE" => Self::Timeout,
            "OUT_OF_MEMORY" => Self::OutOfMemory,
            "NODE_FAIL" | "BOOT_FAIL" | "LAUNCH_FAILED" | "RECONFIG_FAIL" => Self::NodeFail,
            "PREEMPTED" => Self::Preempted,
            _ => Self::Unknown,
        }
    }

    /// Whether it will not go on by itself.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Unknown)
    }
}

/// The id that `sbatch --parsable` printed: `17` or `17;cluster`.
pub fn job_id(text: &str) -> Option<u64> {
    let line = text.lines().rfind(|line| !line.trim().is_empty())?;
    line.split(';').next()?.trim().parse().ok()
}

/// Reads what `squeue --noheader --array --Format` printed. Lines that are no task of an array are left out.
pub fn parse_queue(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let mut fields = line.split('|').map(str::trim);
        let mut next = || fields.next();
        let row = Row {
            job: next()?.parse().ok()?,
            task: next()?.parse().ok()?,
            state: State::of(next()?),
            exit: wait_status(next()?.parse().ok()?),
            restarts: next()?.parse().ok()?,
            node: next()?.to_owned(),
            reason: next()?.to_owned(),
        };
        Some(row)
    };
    text.lines().filter_map(row).collect()
}

/// Reads what `sacct -n -P -X --duplicates` printed: a line for each go of a task, in order; the last one counts, and those before it are
/// how often Slurm put the task back. The exit code of one that was above 127 is not to be relied on.
pub fn parse_sacct(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let mut fields = line.split('|').map(str::trim);
        let mut next = || fields.next();
        let (job, task) = next()?.split_once('_')?;
        let (job, task) = (job.parse().ok()?, task.parse().ok()?);
        let state = State::of(next()?);
        let (code, signal) = next()?.split_once(':')?;
        let (code, signal) = (code.parse().ok()?, signal.parse().ok()?);
        let row = Row {
            job,
            task,
            state,
            exit: if signal == 0 {
                Exit::Code(code)
            } else {
                Exit::Signal(signal)
            },
            restarts: 0,
            node: next()?.to_owned(),
            reason: next()?.to_owned(),
        };
        Some(row)
    };
    let mut rows: Vec<Row> = Vec::new();
    for mut row in text.lines().filter_map(row) {
        let earlier = rows
            .iter()
            .position(|earlier| (earlier.job, earlier.task) == (row.job, row.task));
        if let Some(at) = earlier {
            row.restarts = rows.remove(at).restarts + 1;
        }
        rows.push(row);
    }
    rows
}

/// squeue has the exit code as wait(2) gives it.
fn wait_status(status: u32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code((status >> 8) as u8),
        signal => Exit::Signal(signal as u8),
    }
}

/// What a program of Slurm's complains about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The job is none, or none any more.
    UnknownJob,
    /// The controller does not answer.
    ControllerDown,
    /// There is no configuration.
    NoConfiguration,
    /// Credentials are not made or not taken: munge.
    Credentials,
    /// There is no accounting.
    NoAccounting,
    /// The request is refused.
    Refused,
}

/// Reads the stderr of a program of Slurm's.
pub fn trouble(stderr: &str) -> TroubleKind {
    let kinds = [
        ("Invalid job id specified", TroubleKind::UnknownJob),
        ("Unable to contact slurm controller", TroubleKind::ControllerDown),
        ("Socket timed out", TroubleKind::ControllerDown),
        ("Zero Bytes were transmitted", TroubleKind::ControllerDown),
        ("in standby mode", TroubleKind::ControllerDown),
        (
            "Could not establish a configuration source",
            TroubleKind::NoConfiguration,
        ),
        (
            "Unable to process configuration file",
            TroubleKind::NoConfiguration,
        ),
        ("Munge encode failed", TroubleKind::Credentials),
        ("Protocol authentication error", TroubleKind::Credentials),
        ("Invalid authentication credential", TroubleKind::Credentials),
        ("accounting storage is disabled", TroubleKind::NoAccounting),
        ("Unable to contact slurmdbd", TroubleKind::NoAccounting),
    ];
    // munge is told of first, the controller that is therefore not reached last.
    let all = kinds.iter().filter(|(words, _)| stderr.contains(words));
    let mut all = all.map(|(_, kind)| *kind).collect::<Vec<_>>();
    all.sort_by_key(|kind| *kind != TroubleKind::Credentials);
    all.first().copied().unwrap_or(TroubleKind::Refused)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Slurm 22.05.8 printed.
    macro_rules! recorded {
        ($name:literal) => {
            include_str!(concat!("../../tests/corpus/slurm/", $name))
        };
    }

    #[test]
    fn recorded_queues_read() {
        let rows = parse_queue(recorded!("running.txt"));
        let states: Vec<_> = rows.iter().map(|row| (row.task, row.state)).collect();
        assert_eq!(
            states,
            [
                (3, State::Pending),
                (4, State::Pending),
                (5, State::Pending),
                (2, State::Running),
                (1, State::Running)
            ]
        );
        assert_eq!(
            (&*rows[0].reason, &*rows[3].node, rows[0].restarts),
            ("Resources", "localhost", 0)
        );
        let rows = parse_queue(recorded!("ended.txt"));
        let ends: Vec<_> = rows.iter().map(|row| (row.task, row.state, row.exit)).collect();
        assert_eq!(
            ends,
            [
                (5, State::Cancelled, Exit::Signal(15)),
                (1, State::Completed, Exit::Code(0)),
                (4, State::Failed, Exit::Code(137)),
                (3, State::Failed, Exit::Signal(9)),
                (2, State::Failed, Exit::Code(1)),
            ]
        );
        let rows = parse_queue(recorded!("node-failed.txt"));
        assert_eq!(
            (rows[1].task, rows[1].state, rows[1].restarts),
            (5, State::Pending, 1)
        );
    }

    #[test]
    fn accounting_reads_and_the_last_go_counts() {
        let rows = parse_sacct(recorded!("accounting.txt"));
        let ends: Vec<_> = rows.iter().map(|row| (row.task, row.state, row.exit)).collect();
        // The task that exited with 137 has 9:0 there.
        assert_eq!(
            ends[1..],
            [
                (2, State::Failed, Exit::Code(1)),
                (3, State::Failed, Exit::Signal(9)),
                (4, State::Failed, Exit::Code(9)),
                (5, State::Cancelled, Exit::Code(0)),
                (5, State::NodeFail, Exit::Code(0)),
                (6, State::Completed, Exit::Code(0)),
            ]
        );
    }

    #[test]
    fn each_go_of_a_task_counts_and_the_last_one_tells() {
        let rows =
            parse_sacct("17_2|NODE_FAIL|0:0|n2|None\n17_2|FAILED|1:0|n1|None\n17_[4-5]|PENDING|0:0||None\n");
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].state, rows[0].restarts, &*rows[0].node),
            (State::Failed, 1, "n1")
        );
    }

    #[test]
    fn complaints_are_told_apart() {
        let kinds = [
            ("unknown-job.txt", TroubleKind::UnknownJob),
            ("controller-down.txt", TroubleKind::ControllerDown),
            ("no-configuration.txt", TroubleKind::NoConfiguration),
            ("no-munge.txt", TroubleKind::Credentials),
            ("no-accounting.txt", TroubleKind::NoAccounting),
            ("bad-partition.txt", TroubleKind::Refused),
            ("too-much-memory.txt", TroubleKind::Refused),
        ];
        let texts = [
            recorded!("unknown-job.txt"),
            recorded!("controller-down.txt"),
            recorded!("no-configuration.txt"),
            recorded!("no-munge.txt"),
            recorded!("no-accounting.txt"),
            recorded!("bad-partition.txt"),
            recorded!("too-much-memory.txt"),
        ];
        for ((name, kind), text) in kinds.into_iter().zip(texts) {
            assert_eq!(trouble(text), kind, "{name}");
        }
    }

    #[test]
    fn the_id_of_a_job() {
        assert_eq!(job_id("17\n"), Some(17));
        assert_eq!(job_id("sbatch: lua: hello\n17;main\n"), Some(17));
        assert_eq!(job_id("Submitted batch job 17\n"), None);
        assert_eq!(job_id(""), None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_printed_breaks_the_readers(text in "(?s).{0,200}", fields in proptest::collection::vec("[0-9A-Z_|: ]{0,30}\n", 0..6)) {
            for text in [text, fields.concat()] {
                for row in parse_queue(&text).iter().chain(&parse_sacct(&text)) {
                    prop_assert!(!row.node.contains('|') && !row.reason.contains('\n'));
                }
                job_id(&text);
                trouble(&text);
            }
        }

        #[test]
        fn a_row_comes_back(job: u64, task: u32, code: u8, signal in 1u8..65, restarts in 0u32..9, died: bool) {
            let status = if died { u32::from(signal) } else { u32::from(code) << 8 };
            let rows = parse_queue(&format!("{job}|{task}|FAILED|{status}|{restarts}|n[1-3]|None|\n"));
            let exit = if died { Exit::Signal(signal) } else { Exit::Code(code) };
            let (code, signal) = if died { (0, signal) } else { (code, 0) };
            prop_assert_eq!(&rows[0].exit, &exit);
            prop_assert_eq!(&rows, &parse_sacct(&format!("{job}_{task}|FAILED|{code}:{signal}|n[1-3]|None\n").repeat(restarts as usize + 1)));
        }
    }
}
