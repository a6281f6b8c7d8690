// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running git: in repositories of our own, where nothing but memrig decides what it does, and read-only in the user's.

use std::path::{Path, PathBuf};

use base::exec::{Command, ExecError};

/// Variables by which a caller, such as a hook of git's, would turn a command to another repository.
const TURNING: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Who commits in our repositories, and when: the same series makes the same commits.
const IDENTITY: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "memrig"),
    ("GIT_AUTHOR_EMAIL", "memrig@localhost"),
    ("GIT_AUTHOR_DATE", "@0 +0000"),
    ("GIT_COMMITTER_NAME", "memrig"),
    ("GIT_COMMITTER_EMAIL", "memrig@localhost"),
    ("GIT_COMMITTER_DATE", "@0 +0000"),
];

/// Makes sure that a host on which tests run has git, as the verbs do that need it.
#[cfg(test)]
pub(super) fn installed() {
    use super::host;
    use base::ui::Ui;

    static INSTALLED: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    INSTALLED.get_or_init(|| {
        if host::in_path("git").is_none()
            && let Err(error) = host::install_packages(&["git"], &Ui::terminal())
        {
            panic!("tests of sources and series need git: {error}");
        }
    });
}

/// A place where git runs.
#[derive(Debug, Clone)]
pub(super) struct Git {
    dir: PathBuf,
    ours: bool,
}

impl Git {
    /// In a work tree of our own. No configuration of the user or the machine, and no hooks.
    pub(super) fn ours(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            ours: true,
        }
    }

    /// In a repository of the user's: for questions only. Git writes nothing on the way.
    pub(super) fn asking(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            ours: false,
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command, not yet started.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git").dir(&self.dir).env("LC_ALL", "C");
        for name in TURNING {
            command = command.unset(name);
        }
        // Refreshing the index on the side would be a write; a monitor would be a program that stays.
        command = command
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .args(["-c", "core.fsmonitor=false"]);
        if self.ours {
            for (name, value) in IDENTITY {
                command = command.env(name, value);
            }
            command = command
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_SYSTEM", "/dev/null")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .args(["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"])
                .args(["-c", "maintenance.auto=false", "-c", "advice.detachedHead=false"])
                // It is a cache: waiting for the disk at each of 90 000 objects takes minutes.
                .args(["-c", "core.fsync=none"]);
        }
        command.args(args)
    }

    /// Runs a command, and returns what it printed, without the last line end.
    pub(super) fn run(&self, args: &[&str]) -> Result<String, ExecError> {
        text(self.command(args))
    }

    /// Whether a command succeeds.
    pub(super) fn says_yes(&self, args: &[&str]) -> Result<bool, ExecError> {
        match self.command(args).output() {
            Ok(_) => Ok(true),
            Err(ExecError::Failed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Options that let `git add` of a whole source write one file instead of one for each object.
pub(super) const IN_ONE_PACK: [&str; 4] = ["-c", "core.bigFileThreshold=1", "-c", "core.compression=1"];

/// What a command prints, without the last line end.
pub(super) fn text(command: Command) -> Result<String, ExecError> {
    let out = command.output()?;
    Ok(String::from_utf8_lossy(&out).trim_end_matches('\n').to_owned())
}
