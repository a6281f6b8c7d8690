// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making old runs small: what passed keeps its record and ledgers, what did not keeps everything.

use std::{fs, io};

use camino::{Utf8Path, Utf8PathBuf};

use super::{CaseRecord, Finish, RunId, RunRecord, folder::outputs};
use base::fault::Verdict;

/// Files of a case that passed which are not kept, and neither is what its scripts printed. Its ledgers are small, and trends are made of them.
const LOGS: [&str; 4] = ["console.log", "dmesg.log", "qmp.jsonl", "qemu.log"];

/// One run and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// Its folder.
    pub folder: Utf8PathBuf,
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
    /// Why nothing was taken from it, where it was to be pruned.
    pub left: Option<String>,
}

/// Looks at all runs in `results`, and makes those smaller that are older than the last `keep`.
///
/// With `dry`, nothing is changed. Runs that do not read or that have no end are left as they are: a run that is going on has none
/// either. The first of the answer is the newest run.
///
/// # Errors
///
/// The results cannot be listed, or a file cannot be deleted.
pub fn prune(results: &Utf8Path, keep: usize, dry: bool) -> io::Result<Vec<Pruned>> {
    let mut runs = Vec::new();
    for entry in results.read_dir_utf8()? {
        let entry = entry?;
        // `latest` is a link to one of the others.
        let is_run = |name: &str| entry.path().join(name).is_file();
        // What somebody gave a name of its own is kept on purpose.
        if entry.file_type()?.is_dir()
            && RunId::is_id(entry.file_name())
            && (is_run("run.json") || is_run(super::journal::NAME))
        {
            runs.push(entry.into_path());
        }
    }
    // The name of a run begins with the time of its start.
    runs.sort_by(|a, b| b.cmp(a));
    let mut all = Vec::new();
    for (at, folder) in runs.into_iter().enumerate() {
        let before = size(&folder)?;
        let mut pruned = Pruned {
            before,
            after: before,
            left: None,
            folder,
        };
        if at >= keep {
            match RunRecord::read(&pruned.folder) {
                Err(error) => pruned.left = Some(error.to_string()),
                Ok((record, _)) if record.finish == Finish::CutOff => {
                    pruned.left = Some("it has no end: it was cut off, or is still going".to_owned());
                }
                Ok((record, _)) => {
                    let mut taken = 0;
                    for case in record.cases.iter().filter(|case| keeps_little(case)) {
                        taken += take(&pruned.folder.join("cases").join(case.key.id()), dry)?;
                    }
                    pruned.after = before - taken;
                }
            }
        }
        all.push(pruned);
    }
    Ok(all)
}

/// Whether the logs of a case say nothing that its record does not.
fn keeps_little(case: &CaseRecord) -> bool {
    let steady = case
        .attempts
        .iter()
        .all(|attempt| attempt.verdict == case.verdict);
    matches!(case.verdict, Verdict::Pass | Verdict::Skip) && steady && case.findings.is_empty()
}

fn take(case: &Utf8Path, dry: bool) -> io::Result<u64> {
    let mut taken = 0;
    let outputs = outputs(case)?;
    for name in LOGS.into_iter().chain(outputs.iter().map(String::as_str)) {
        let file = case.join(name);
        match fs::symlink_metadata(&file) {
            Ok(facts) if facts.is_file() => {
                taken += facts.len();
                if !dry {
                    fs::remove_file(&file)?;
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

/// Bytes of all files in a folder; links are not followed.
fn size(folder: &Utf8Path) -> io::Result<u64> {
    let mut all = 0;
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            all += size(entry.path())?;
        } else if kind.is_file() {
            all += entry.metadata()?.len();
        }
    }
    Ok(all)
}
