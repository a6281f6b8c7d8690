// SPDX-License-Identifier: MIT OR Apache-2.0
//! The folder of a run and those of its cases.

use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    os::unix::fs::symlink,
};

use camino::{Utf8Path, Utf8PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::{CaseKey, LedgerEntry, ObservedCase, RunFacts, RunId, seen};
use base::fault::{Blame, Blamed};

/// How often a name is tried before it is taken that something else is wrong.
const TRIES: usize = 16;

/// Something about a run's folder cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder for results does not take a new run.
    #[error("cannot make a run's folder in `{results}`: name a folder that can be written")]
    Create {
        /// The folder for results.
        results: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the run does not take what it should hold.
    #[error("cannot write `{path}`; what the run wrote before is still there")]
    Write {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Blamed for FolderError {
    /// Usage, where another place has to be named.
    fn blame(&self) -> Blame {
        match self {
            Self::Create { source, .. } => Blame::of_place(source),
            Self::Write { .. } => Blame::Bench,
        }
    }
}

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: Utf8PathBuf,
    id: RunId,
    started: Timestamp,
}

impl RunFolder {
    /// Makes the folder of a run that starts now; makes `results` where it is missing.
    ///
    /// Two runs that start at once get two folders.
    ///
    /// # Errors
    ///
    /// Fails if `results` cannot be made or does not take a new folder.
    pub fn create(results: &Utf8Path) -> Result<Self, FolderError> {
        let error = |source| FolderError::Create {
            results: results.to_owned(),
            source,
        };
        fs::create_dir_all(results).map_err(error)?;
        let started = Timestamp::now();
        for _ in 0..TRIES {
            // The state of a hasher is random in every process, and enough to keep names apart.
            let random = RandomState::new().build_hasher().finish() as u32;
            let id = RunId::new(started, random);
            let path = results.join(id.as_str());
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, id, started }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(error(e)),
            }
        }
        Err(error(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "every name that was tried is taken",
        )))
    }

    /// The folder of a run that was begun before.
    pub fn of(path: &Utf8Path, facts: &RunFacts) -> Self {
        Self {
            path: path.to_owned(),
            id: facts.id.clone(),
            started: facts.started,
        }
    }

    /// The folder.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The run's name.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// When the run started.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Writes `run.json`; a second call replaces it as a whole.
    ///
    /// # Errors
    ///
    /// Fails if the folder does not take the file.
    pub fn write_facts(&self, facts: &RunFacts) -> Result<(), FolderError> {
        self.write("run.json", &json(&self.path.join("run.json"), facts)?)
    }

    /// Writes a file of the run, such as `junit.xml`; a reader sees the old one or the new one, never a part.
    ///
    /// # Errors
    ///
    /// Fails if the folder does not take the file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        replace(&self.path.join(name), bytes)
    }

    /// Points the symbolic link `latest` beside the run's folder at it.
    ///
    /// # Errors
    ///
    /// Fails if the link cannot be made, or something that is no link has its name.
    pub fn point_latest(&self) -> Result<(), FolderError> {
        let results = self.path.parent().unwrap_or(Utf8Path::new("."));
        let latest = results.join("latest");
        // A link cannot be changed in place: a new one takes the name of the old one.
        let new = results.join(format!(".latest-{}", self.id));
        let point = || {
            symlink(self.id.as_str(), &new)?;
            fs::rename(&new, &latest)
        };
        point().map_err(|source| FolderError::Write { path: latest, source })
    }

    /// Makes the folder of a guest that others go on from, by its number in the run.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be made.
    pub fn template(&self, number: usize) -> Result<Utf8PathBuf, FolderError> {
        let path = self.path.join(format!("templates/{number}"));
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(FolderError::Write { path, source }),
        }
    }

    /// Makes the folder of an attempt at a case.
    ///
    /// From the second attempt on, the files of the one before are moved to `attempt-1`, `attempt-2`, … in it, and those of
    /// an attempt that was cut off, before a run that is taken up again, to `cut-off`.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be made or the files do not move.
    pub fn case(&self, key: &CaseKey, attempt: u32) -> Result<CaseFolder, FolderError> {
        let path = self.path.join("cases").join(key.id());
        let make = || {
            fs::create_dir_all(&path)?;
            if attempt > 1 {
                move_aside(&path, &format!("attempt-{}", attempt - 1))
            } else if holds_files(&path)? {
                move_aside(&path, "cut-off")
            } else {
                Ok(())
            }
        };
        make().map_err(|source| FolderError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(CaseFolder { path })
    }
}

fn holds_files(case: &Utf8Path) -> io::Result<bool> {
    for entry in fs::read_dir(case)? {
        if entry?.file_type()?.is_file() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Moves the files of an attempt into a folder of their own.
fn move_aside(case: &Utf8Path, name: &str) -> io::Result<()> {
    let aside = case.join(name);
    fs::create_dir_all(&aside)?;
    for entry in fs::read_dir(case)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::rename(entry.path(), aside.as_std_path().join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// The folder of one case.
#[derive(Debug, Clone)]
pub struct CaseFolder {
    path: Utf8PathBuf,
}

impl CaseFolder {
    /// The folder.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Where everything that the guest printed goes.
    pub fn console_log(&self) -> Utf8PathBuf {
        self.path.join("console.log")
    }

    /// All that the guest printed so far, of a guest that is gone; for a person. Bytes that are no UTF-8 are replaced, and a log that cannot be
    /// read says so in its place. Empty where no console was opened.
    pub fn console_text(&self) -> String {
        match fs::read(self.console_log()) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => format!("the console's log cannot be read: {error}"),
        }
    }

    /// Where the kernel's log goes.
    pub fn dmesg_log(&self) -> Utf8PathBuf {
        self.path.join("dmesg.log")
    }

    /// What a guest that hung told of its tasks.
    pub fn tasks_log(&self) -> Utf8PathBuf {
        self.path.join("tasks.log")
    }

    /// Where the conversation with QEMU goes, one JSON object a line.
    pub fn qmp_log(&self) -> Utf8PathBuf {
        self.path.join("qmp.jsonl")
    }

    /// Where the ledgers go.
    pub fn ledgers_json(&self) -> Utf8PathBuf {
        self.path.join(seen::LEDGERS)
    }

    /// Where what is seen beside the ledgers goes, where kernels are compared.
    pub(crate) fn observed_json(&self) -> Utf8PathBuf {
        self.path.join(seen::OBSERVED)
    }

    /// Adds what a script of a step printed to the files of the step, `step-N.out` and `step-N.err`: as it came, and only where it
    /// printed something.
    ///
    /// # Errors
    ///
    /// Fails if the folder does not take the files.
    pub fn add_output(&self, step: u32, stdout: &[u8], stderr: &[u8]) -> Result<(), FolderError> {
        for (bytes, stream) in [(stdout, OUTPUTS[0]), (stderr, OUTPUTS[1])] {
            if bytes.is_empty() {
                continue;
            }
            let path = self.path.join(format!("{STEP}{step}{stream}"));
            let add = || {
                let mut file = fs::OpenOptions::new().create(true).append(true).open(&path)?;
                file.write_all(bytes)
            };
            add().map_err(|source| FolderError::Write {
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Writes `observed.json`.
    ///
    /// # Errors
    ///
    /// Fails if the folder does not take the file.
    pub fn write_observed(&self, observed: &ObservedCase) -> Result<(), FolderError> {
        let path = self.observed_json();
        let bytes = json(&path, observed)?;
        replace(&path, &bytes)
    }

    /// Writes `ledgers.json`.
    ///
    /// # Errors
    ///
    /// Fails if the folder does not take the file.
    pub fn write_ledgers(&self, ledgers: &[LedgerEntry]) -> Result<(), FolderError> {
        let path = self.ledgers_json();
        // Every case has them, and they are kept longest: white space would be two thirds of them.
        let bytes = seen::ledgers_json(ledgers).map_err(|e| FolderError::Write {
            path: path.clone(),
            source: e.into(),
        })?;
        replace(&path, &bytes)
    }
}

/// What names of files with a script's output begin and end with.
const STEP: &str = "step-";
const OUTPUTS: [&str; 2] = [".out", ".err"];

/// Whether a file of a case has what a script of a step printed, by its name.
pub fn is_output(name: &str) -> bool {
    step_of_output(name).is_some()
}

/// The step whose output a file has, and which of [`OUTPUTS`] that is.
fn step_of_output(name: &str) -> Option<(u32, usize)> {
    let rest = name.strip_prefix(STEP)?;
    let of = |(at, end): (usize, &&str)| Some((rest.strip_suffix(*end)?.parse().ok()?, at));
    OUTPUTS.iter().enumerate().find_map(of)
}

/// Names of the files in a case's folder that have what scripts printed, by step; none where there is no such folder.
///
/// # Errors
///
/// The folder cannot be listed.
pub(super) fn outputs(case: &Utf8Path) -> io::Result<Vec<String>> {
    let entries = match case.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if is_output(entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort_by_key(|name| step_of_output(name));
    Ok(names)
}

fn json(path: &Utf8Path, value: &impl Serialize) -> Result<Vec<u8>, FolderError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| FolderError::Write {
        path: path.to_owned(),
        source: e.into(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes beside the file and renames over it.
fn replace(path: &Utf8Path, bytes: &[u8]) -> Result<(), FolderError> {
    let new = Utf8PathBuf::from(format!("{path}.new"));
    let write = || {
        let mut file = fs::File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| FolderError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;

    fn results() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    fn key() -> CaseKey {
        CaseKey {
            arch: Arch::X86_64,
            label: "k".to_owned(),
            release: None,
            config: String::new(),
            side: None,
            suite: "blocks".to_owned(),
            variant: String::new(),
            case: "B01".to_owned(),
            round: None,
        }
    }

    #[test]
    fn runs_that_start_at_once_get_folders_of_their_own() {
        let (_keep, results) = results();
        let many: Vec<RunFolder> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let run = RunFolder::create(&results).unwrap();
                        run.point_latest().unwrap();
                        run
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let ids: std::collections::HashSet<&RunId> = many.iter().map(RunFolder::id).collect();
        assert_eq!(ids.len(), 8);
        let latest = results.join("latest").read_link_utf8().unwrap();
        assert!(ids.iter().any(|id| id.as_str() == latest));
        // Nothing but the runs and the link is left.
        assert_eq!(fs::read_dir(&results).unwrap().count(), 9);
    }

    #[test]
    fn the_link_moves_on_and_never_replaces_a_folder() {
        let (_keep, results) = results();
        RunFolder::create(&results).unwrap().point_latest().unwrap();
        let second = RunFolder::create(&results).unwrap();
        second.point_latest().unwrap();
        let latest = results.join("latest");
        assert_eq!(latest.read_link_utf8().unwrap(), second.id().as_str());

        fs::remove_file(&latest).unwrap();
        fs::create_dir(&latest).unwrap();
        fs::write(latest.join("mine"), "").unwrap();
        let error = second.point_latest().unwrap_err();
        assert!(error.to_string().contains("latest"), "{error}");
        assert!(latest.join("mine").exists());
    }

    #[test]
    fn results_that_take_no_folder_are_named() {
        let (_keep, results) = results();
        let file = results.join("file");
        fs::write(&file, "").unwrap();
        let error = RunFolder::create(&file.join("results")).unwrap_err();
        assert!(matches!(error, FolderError::Create { .. }));
        assert!(error.to_string().contains("file/results"), "{error}");
    }

    #[test]
    fn what_scripts_print_is_kept_by_step() {
        let (_keep, results) = results();
        let run = RunFolder::create(&results).unwrap();
        let case = run.case(&key(), 1).unwrap();
        case.add_output(10, b"ten\n", b"").unwrap();
        case.add_output(2, b"one\n", b"\xff").unwrap();
        case.add_output(2, b"two", b"").unwrap();
        case.add_output(3, b"", b"").unwrap();
        fs::write(case.path().join("step-x.out"), "").unwrap();
        assert_eq!(
            outputs(case.path()).unwrap(),
            ["step-2.out", "step-2.err", "step-10.out"]
        );
        let kept = |name: &str| fs::read(case.path().join(name)).unwrap();
        assert_eq!(
            (kept("step-2.out"), kept("step-2.err")),
            (b"one\ntwo".to_vec(), b"\xff".to_vec())
        );
        assert_eq!(outputs(&results.join("none")).unwrap(), Vec::<String>::new());
        let again = run.case(&key(), 2).unwrap();
        assert!(again.path().join("attempt-1/step-2.err").is_file());
    }

    #[test]
    fn a_second_attempt_keeps_the_files_of_the_first() {
        let (_keep, results) = results();
        let run = RunFolder::create(&results).unwrap();
        let first = run.case(&key(), 1).unwrap();
        fs::write(first.console_log(), "first").unwrap();
        let second = run.case(&key(), 2).unwrap();
        assert!(!second.console_log().exists());
        fs::write(second.console_log(), "second").unwrap();
        let third = run.case(&key(), 3).unwrap();
        let kept = |name: &str| fs::read_to_string(third.path().join(name)).unwrap();
        assert_eq!(kept("attempt-1/console.log"), "first");
        assert_eq!(kept("attempt-2/console.log"), "second");
    }

    #[test]
    fn a_console_is_shown_whatever_bytes_are_in_it() {
        let (_keep, results) = results();
        let folder = RunFolder::create(&results).unwrap().case(&key(), 1).unwrap();
        assert_eq!(folder.console_text(), "");
        fs::write(folder.console_log(), b"up\n\xffpanic\n").unwrap();
        assert_eq!(folder.console_text(), "up\n\u{fffd}panic\n");
        fs::remove_file(folder.console_log()).unwrap();
        fs::create_dir(folder.console_log()).unwrap();
        let said = folder.console_text();
        assert!(said.starts_with("the console's log cannot be read: "), "{said}");
    }
}
