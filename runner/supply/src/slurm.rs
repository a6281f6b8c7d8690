// SPDX-License-Identifier: MIT OR Apache-2.0
//! Slurm's programs, and the folder of what was submitted: its script, and what the tasks leave there.

use std::{
    fs::{File, TryLockError},
    io,
};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::host;
use base::{
    exec::{Command, ExecError},
    fault::{Blame, Blamed},
    named,
};
use format::slurm::{
    Attempt, Ended, QUEUE_FORMAT, Row, SACCT_FORMAT, TroubleKind, attempt_name, job_id, parse_queue,
    parse_sacct, trouble,
};

/// Slurm does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// Its programs are not here.
    #[error("`{0}` is not here: submit from a machine that has Slurm's programs (Debian: slurm-client)")]
    Missing(&'static str),
    /// The controller does not answer.
    #[error("slurmctld does not answer: look whether it runs, with `scontrol ping`: {0}")]
    Down(String),
    /// The programs have no configuration.
    #[error("Slurm has no configuration on this machine: set SLURM_CONF, or ask who runs the cluster: {0}")]
    NoConfiguration(String),
    /// Munge.
    #[error("Slurm takes no credentials from this machine: look whether munged runs: {0}")]
    Credentials(String),
    /// It understood, and does not want to.
    #[error("{program} refused: {said}{}", hint(said))]
    Refused {
        /// The program.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// It cannot be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// It did what was asked for and said something else.
    #[error("{program} printed {said:?} instead of a job's id; look for it with squeue")]
    NoId {
        /// The program.
        program: &'static str,
        /// What it printed.
        said: String,
    },
}

impl Blamed for SlurmError {
    /// Usage, where Slurm's programs are not here, or it understood and does not want to.
    fn blame(&self) -> Blame {
        match self {
            Self::Missing(_) | Self::Refused { .. } => Blame::Usage,
            Self::Down(_)
            | Self::NoConfiguration(_)
            | Self::Credentials(_)
            | Self::Exec(_)
            | Self::NoId { .. } => Blame::Bench,
        }
    }
}

impl SlurmError {
    /// Whether the same question can be answered later.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Down(_) | Self::Credentials(_))
    }
}

/// What can be done about words of sbatch.
fn hint(said: &str) -> &'static str {
    let hints = [
        (
            "Invalid job array",
            ": make fewer --shards (MaxArraySize of slurm.conf)",
        ),
        ("artition", ": name one that `sinfo` shows with --partition"),
        (
            "ccount",
            ": name one that `sacctmgr show assoc` has for you with --account",
        ),
        (
            "emory",
            ": no node has as much; give --mem less, or run fewer guests at once with -j",
        ),
        (
            "configuration is not available",
            ": no node has that much; run fewer guests at once with -j",
        ),
        ("time", ": give --time as the partition allows it"),
    ];
    let hint = hints.iter().find(|(words, _)| said.contains(words));
    hint.map_or("", |(_, hint)| *hint)
}

/// Runs one of Slurm's programs; the answer is what it printed, or why it did not.
fn ask(program: &'static str, args: &[&str]) -> Result<String, (TroubleKind, SlurmError)> {
    if host::in_path(program).is_none() {
        return Err((TroubleKind::Refused, SlurmError::Missing(program)));
    }
    // Its messages are read.
    match Command::new(program).args(args).env("LC_ALL", "C").output() {
        Ok(out) => Ok(String::from_utf8_lossy(&out).into_owned()),
        Err(ExecError::Failed { stderr, .. }) => {
            let kind = trouble(&stderr);
            let said = stderr.trim().replace('\n', "; ");
            let error = match kind {
                TroubleKind::ControllerDown => SlurmError::Down(said),
                TroubleKind::NoConfiguration => SlurmError::NoConfiguration(said),
                TroubleKind::Credentials => SlurmError::Credentials(said),
                _ => SlurmError::Refused { program, said },
            };
            Err((kind, error))
        }
        Err(error) => Err((TroubleKind::Refused, error.into())),
    }
}

/// Looks whether Slurm's programs are here.
///
/// # Errors
/// One is not.
pub fn look() -> Result<(), SlurmError> {
    let missing = ["sbatch", "squeue", "scancel"]
        .into_iter()
        .find(|program| host::in_path(program).is_none());
    missing.map_or(Ok(()), |program| Err(SlurmError::Missing(program)))
}

fn list<T: ToString>(items: &[T]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    words.join(",")
}

/// Submits a script, all of its tasks or only `tasks`; the answer is the id of the job.
///
/// # Errors
/// Slurm is not here, does not answer, or refuses.
pub fn submit(script: &Utf8Path, tasks: Option<&[u32]>) -> Result<u64, SlurmError> {
    let mut args = vec!["--parsable".to_owned()];
    args.extend(tasks.map(|tasks| format!("--array={}", list(tasks))));
    args.push(script.to_string());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let said = ask("sbatch", &args).map_err(|(_, error)| error)?;
    job_id(&said).ok_or(SlurmError::NoId {
        program: "sbatch",
        said,
    })
}

/// The tasks of jobs that Slurm still knows; one question for all of them.
///
/// # Errors
/// Slurm does not answer.
pub fn queue(jobs: &[u64]) -> Result<Vec<Row>, SlurmError> {
    let jobs = format!("--jobs={}", list(jobs));
    let format = format!("--Format={QUEUE_FORMAT}");
    match ask(
        "squeue",
        &["--noheader", "--array", "--states=all", &jobs, &format],
    ) {
        Ok(text) => Ok(parse_queue(&text)),
        Err((TroubleKind::UnknownJob, _)) => Ok(Vec::new()),
        Err((_, error)) => Err(error),
    }
}

/// The tasks of jobs as accounting has them; `None` where there is none.
pub fn accounting(jobs: &[u64]) -> Option<Vec<Row>> {
    let jobs = format!("--jobs={}", list(jobs));
    let format = format!("--format={SACCT_FORMAT}");
    let args = ["-n", "-P", "-X", "--duplicates", &jobs, &format];
    ask("sacct", &args).ok().map(|text| parse_sacct(&text))
}

/// Cancels jobs, or tasks such as `17_3`. Those that have ended are no error.
///
/// # Errors
/// Slurm does not answer.
pub fn cancel<T: AsRef<str>>(jobs: &[T]) -> Result<(), SlurmError> {
    let jobs: Vec<&str> = jobs.iter().map(AsRef::as_ref).collect();
    match ask("scancel", &jobs) {
        Ok(_) | Err((TroubleKind::UnknownJob, _)) => Ok(()),
        Err((_, error)) => Err(error),
    }
}

/// What was submitted, as `submit.json` keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Name of the job and of its folder.
    pub name: String,
    /// Folder that gets the merged run.
    pub results: Utf8PathBuf,
    /// How many tasks there are.
    pub shards: u32,
    /// Attempts that each task gets.
    pub most: u32,
    /// The jobs, the first of them with all tasks.
    pub jobs: Vec<Submitted>,
    /// Folder of the merged run, once there is one.
    pub merged: Option<Utf8PathBuf>,
}

/// One job that was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Its id.
    pub id: u64,
    /// Its tasks.
    pub tasks: Vec<u32>,
}

impl Submission {
    /// The last job that a task was submitted with, and how often it was.
    pub fn of(&self, task: u32) -> Option<(u64, u32)> {
        let mut jobs = self.jobs.iter().filter(|job| job.tasks.contains(&task));
        let count = jobs.clone().count() as u32;
        jobs.next_back().map(|job| (job.id, count))
    }
}

/// The folder of a submission, held by whoever follows it.
#[derive(Debug)]
pub struct Folder {
    path: Utf8PathBuf,
    _lock: File,
}

/// The folder of a submission cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Somebody else follows it.
    #[error("another memrig follows what was submitted in `{0}`")]
    Followed(Utf8PathBuf),
    /// There is none.
    #[error(
        "no job {job} was submitted from `{results}`: name the results folder that it was submitted with"
    )]
    Unknown {
        /// The job that was asked for.
        job: u64,
        /// Where it was looked for.
        results: Utf8PathBuf,
    },
    /// It does not read as one.
    #[error("`{path}` does not read")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Reading or writing.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Blamed for FolderError {
    fn blame(&self) -> Blame {
        match self {
            Self::Followed(_) | Self::Unknown { .. } | Self::Read { .. } => Blame::Usage,
            Self::Io(_) => Blame::Bench,
        }
    }
}

/// Folder below the results that has one folder for each submission.
const HOME: &str = "slurm";

impl Folder {
    /// Makes the folder of a new submission.
    ///
    /// # Errors
    /// The results folder does not take it.
    pub fn create(results: &Utf8Path, name: &str) -> Result<Self, FolderError> {
        let path = results.join(HOME).join(name);
        for part in ["log", "end", "part"] {
            fs::create_dir_all(path.join(part))?;
        }
        Self::hold(path)
    }

    /// Finds the submission with a job.
    ///
    /// # Errors
    /// There is none, or somebody else follows it.
    pub fn find(results: &Utf8Path, job: u64) -> Result<(Self, Submission), FolderError> {
        let unknown = || FolderError::Unknown {
            job,
            results: results.to_owned(),
        };
        for entry in results.join(HOME).read_dir_utf8().map_err(|_| unknown())? {
            let path = entry?.into_path();
            let file = path.join("submit.json");
            // One that was never submitted has none.
            let Ok(text) = named::read_whole(file.as_std_path()) else {
                continue;
            };
            let submission: Submission = match serde_json::from_slice(&text) {
                Ok(submission) => submission,
                Err(source) => return Err(FolderError::Read { path: file, source }),
            };
            if submission.jobs.iter().any(|submitted| submitted.id == job) {
                return Ok((Self::hold(path)?, submission));
            }
        }
        Err(unknown())
    }

    fn hold(path: Utf8PathBuf) -> Result<Self, FolderError> {
        let lock = File::create(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Followed(path)),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Writes the script; the answer is where.
    ///
    /// # Errors
    /// The folder does not take it.
    pub fn write_script(&self, text: &str) -> io::Result<Utf8PathBuf> {
        let path = self.path.join("script.sh");
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Where the script is.
    pub fn script(&self) -> Utf8PathBuf {
        self.path.join("script.sh")
    }

    /// Writes down what was submitted.
    ///
    /// # Errors
    /// The folder does not take it.
    pub fn keep(&self, submission: &Submission) -> io::Result<()> {
        let new = self.path.join(".submit.json");
        fs::write(&new, serde_json::to_vec_pretty(submission)?)?;
        fs::rename(new, self.path.join("submit.json"))
    }

    /// The ends that tasks have left, with the number of the task.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn ends(&self) -> io::Result<Vec<(u32, Ended)>> {
        let mut ends = Vec::new();
        for entry in self.path.join("end").read_dir_utf8()? {
            let entry = entry?;
            let Some((task, attempt)) = attempt_of(entry.file_name()) else {
                continue;
            };
            // A file that was seen and cannot be read yet is there at the next look.
            let code = named::read_text(entry.path().as_std_path())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .and_then(|text| text.trim().parse().ok());
            ends.extend(code.map(|code| (task, Ended { attempt, code })));
        }
        Ok(ends)
    }

    /// The run that an attempt at a task made.
    pub fn run_of(&self, task: u32, attempt: Attempt) -> Option<Utf8PathBuf> {
        run_in(&self.path.join("part").join(attempt_name(task, attempt)))
    }

    /// The run of the last attempt at a task that made one.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn last_run(&self, task: u32) -> io::Result<Option<Utf8PathBuf>> {
        let mut runs = Vec::new();
        for entry in self.path.join("part").read_dir_utf8()? {
            let entry = entry?;
            if let Some((of, attempt)) = attempt_of(entry.file_name())
                && of == task
                && let Some(run) = run_in(entry.path())
            {
                runs.push((attempt, run));
            }
        }
        Ok(runs.into_iter().max().map(|(_, run)| run))
    }

    /// Takes away the runs of the parts, once they are merged.
    ///
    /// # Errors
    /// They cannot be taken away.
    pub fn remove_parts(&self) -> io::Result<()> {
        fs::remove_dir_all(self.path.join("part"))
    }
}

/// `3.17.0`: the task, and the attempt.
fn attempt_of(name: &str) -> Option<(u32, Attempt)> {
    let mut numbers = name.split('.');
    let task = numbers.next()?.parse().ok()?;
    let attempt = Attempt {
        job: numbers.next()?.parse().ok()?,
        restarts: numbers.next()?.parse().ok()?,
    };
    numbers.next().is_none().then_some((task, attempt))
}

/// The one run in a results folder.
fn run_in(results: &Utf8Path) -> Option<Utf8PathBuf> {
    let entries = results.read_dir_utf8().ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.into_path()));
    // `latest` is a link to it.
    let mut runs = paths.filter(|path| !path.is_symlink() && path.join("run.json").is_file());
    runs.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, path)
    }

    #[test]
    fn what_was_submitted_is_found_again_and_followed_by_one() {
        let (_dir, results) = results();
        let folder = Folder::create(&results, "memrig-1").unwrap();
        let submission = Submission {
            name: "memrig-1".to_owned(),
            results: results.clone(),
            shards: 2,
            most: 3,
            jobs: vec![
                Submitted {
                    id: 17,
                    tasks: vec![1, 2],
                },
                Submitted {
                    id: 18,
                    tasks: vec![2],
                },
            ],
            merged: None,
        };
        folder.keep(&submission).unwrap();
        let error = Folder::find(&results, 18).unwrap_err();
        assert!(matches!(error, FolderError::Followed(_)), "{error}");
        drop(folder);
        let (_, found) = Folder::find(&results, 18).unwrap();
        assert_eq!(found, submission);
        assert_eq!(
            (found.of(1), found.of(2), found.of(3)),
            (Some((17, 1)), Some((18, 2)), None)
        );
        let error = Folder::find(&results, 19).unwrap_err();
        assert!(
            error.to_string().starts_with("no job 19 was submitted from"),
            "{error}"
        );
    }

    #[test]
    fn what_tasks_leave_is_read() {
        let (_dir, results) = results();
        let folder = Folder::create(&results, "memrig-1").unwrap();
        for (name, text) in [
            ("3.17.0", "137\n"),
            ("3.18.1", "1\n"),
            (".4.17.0", "0"),
            ("5.17.0", ""),
            ("x", "1"),
        ] {
            fs::write(folder.path().join("end").join(name), text).unwrap();
        }
        let mut ends = folder.ends().unwrap();
        ends.sort_by_key(|(_, end)| end.attempt);
        let attempt = |job, restarts| Attempt { job, restarts };
        let end = |job, restarts, code| {
            (
                3,
                Ended {
                    attempt: attempt(job, restarts),
                    code,
                },
            )
        };
        assert_eq!(ends, [end(17, 0, 137), end(18, 1, 1)]);

        for (part, run) in [("3.17.0", "a"), ("3.9.2", "b"), ("3.18.0", "")] {
            let path = folder.path().join("part").join(part).join(run);
            fs::create_dir_all(&path).unwrap();
            if !run.is_empty() {
                fs::write(path.join("run.json"), "{}").unwrap();
            }
        }
        assert!(folder.last_run(3).unwrap().unwrap().ends_with("3.17.0/a"));
        assert!(folder.run_of(3, attempt(9, 2)).unwrap().ends_with("3.9.2/b"));
        assert_eq!(
            (folder.last_run(4).unwrap(), folder.run_of(3, attempt(18, 0))),
            (None, None)
        );
    }
}
