// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps from a tarball to a binary. Each can be interrupted and done again.

use std::{
    io::{self, BufReader},
    path::{Path, PathBuf},
    thread,
};

use super::{
    build::{BuildError, COMPILER},
    source::{CONFIGURE, PATCHES, SourcePackage},
};
use crate::{cache::sha256_file, host};
use base::{
    exec::{Command, ExecError},
    ui::Task,
};

/// Programs that the build calls by name, besides the compiler.
const PROGRAMS: [&str; 7] = ["bison", "flex", "make", "ninja", "patch", "pkg-config", "python3"];

/// What meson 1.5 and the test protocol are called by pip; 1.5.0 is the version that QEMU 10.0 itself brings along.
const PYTHON_PACKAGES: [&str; 3] = ["meson==1.5.0", "distlib", "pycotap>=1.1.0"];

/// Exits with 0 where python has a meson that is new enough, and pycotap.
const PYTHON_CHECK: &str = "from importlib.metadata import version
import sys
version('pycotap')
sys.exit(tuple(map(int, version('meson').split('.')[:2])) < (1, 5))";

/// A build tree: the patched source, the build directory, and one log a step.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

/// Fails if programs are missing, and names all of them.
pub(super) fn check_programs() -> Result<(), BuildError> {
    let missing = |program: &&str| host::in_path(program).is_none();
    let programs: Vec<String> = PROGRAMS.into_iter().filter(missing).map(str::to_owned).collect();
    if programs.is_empty() {
        Ok(())
    } else {
        Err(BuildError::Missing { programs })
    }
}

impl Tree {
    pub(super) fn at(root: PathBuf) -> io::Result<Self> {
        fs_err::create_dir_all(&root)?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    fn build(&self) -> PathBuf {
        self.root.join("build")
    }

    /// The logs that were written so far.
    pub(super) fn logs(&self) -> io::Result<Vec<PathBuf>> {
        let mut logs = Vec::new();
        for entry in fs_err::read_dir(&self.root)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "log") {
                logs.push(path);
            }
        }
        Ok(logs)
    }

    /// Unpacks the tarball and applies the patches.
    pub(super) fn unpack(&self, source: &SourcePackage, task: &Task) -> Result<(), BuildError> {
        // It gets its name when it is whole.
        if self.source().is_dir() {
            return Ok(());
        }
        task.message("unpacking");
        let found = sha256_file(&source.tarball)?;
        if found != source.sha256 {
            return Err(BuildError::Checksum {
                path: source.tarball.clone(),
                found,
                expected: source.sha256.clone(),
            });
        }
        let new = self.root.join("source.new");
        if new.exists() {
            fs_err::remove_dir_all(&new)?;
        }
        let tarball = BufReader::new(fs_err::File::open(&source.tarball)?);
        let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(tarball));
        for entry in archive.entries()? {
            let mut entry = entry?;
            // The first part of each name is the version.
            let path: PathBuf = entry.path()?.components().skip(1).collect();
            if path.as_os_str().is_empty() || entry.header().entry_type().is_pax_global_extensions() {
                continue;
            }
            // A link inside the archive names its target with the version, too.
            if entry.header().entry_type().is_hard_link() {
                let target: PathBuf = match entry.link_name()? {
                    Some(target) => target.components().skip(1).collect(),
                    None => continue,
                };
                fs_err::hard_link(new.join(target), new.join(path))?;
                continue;
            }
            let place = new.join(&path);
            if let Some(parent) = place.parent() {
                fs_err::create_dir_all(parent)?;
            }
            entry.unpack(&place)?;
        }
        task.message("patching");
        for patch in PATCHES {
            let mail = self.root.join(patch.name);
            fs_err::write(&mail, patch.text)?;
            let apply = Command::new("patch")
                .args(["-p1", "--batch", "--no-backup-if-mismatch", "-i"])
                .arg(&mail)
                .dir(&new);
            self.step("patching QEMU", "patch", apply, |_| {})?;
        }
        fs_err::rename(&new, self.source())?;
        Ok(())
    }

    /// Runs `configure`, with a python that has what it needs.
    pub(super) fn configure(&self, task: &Task) -> Result<(), BuildError> {
        let done = self.root.join("configured");
        if done.exists() {
            return Ok(());
        }
        task.message("looking for meson");
        let python = self.python()?;
        task.message("configuring");
        // A half of an earlier configuration is of no use.
        if self.build().exists() {
            fs_err::remove_dir_all(self.build())?;
        }
        fs_err::create_dir(self.build())?;
        let configure = Command::new(self.source().join("configure"))
            .env("CC", COMPILER)
            .arg(format!("--python={}", python.display()))
            .args(CONFIGURE)
            .dir(self.build());
        self.step("configuring QEMU", "configure", configure, |line| {
            task.message(line);
        })?;
        fs_err::write(done, "")?;
        Ok(())
    }

    /// The host's python if it has what `configure` needs, else one of our own.
    fn python(&self) -> Result<PathBuf, BuildError> {
        if Command::new("python3")
            .args(["-c", PYTHON_CHECK])
            .output()
            .is_ok()
        {
            return Ok(PathBuf::from("python3"));
        }
        let venv = self.root.join("python");
        let python = venv.join("bin/python3");
        let own = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv);
        self.step("making a python environment", "python", own, |_| {})?;
        let pip = Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(PYTHON_PACKAGES);
        self.step("installing meson", "python", pip, |_| {})?;
        Ok(python)
    }

    /// Compiles what is not yet compiled, and returns the binary.
    pub(super) fn compile(&self, task: &mut Task) -> Result<PathBuf, BuildError> {
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        let ninja = Command::new("ninja")
            .arg("-C")
            .arg(self.build())
            .arg(format!("-j{jobs}"))
            .arg("qemu-system-s390x");
        task.message("compiling");
        self.step("compiling QEMU", "compile", ninja, |line| {
            if let Some((done, total)) = progress(line) {
                task.set_total(total);
                task.set(done);
            }
        })?;
        Ok(self.build().join("qemu-system-s390x"))
    }

    fn step(
        &self,
        step: &'static str,
        log: &str,
        command: Command,
        mut see: impl FnMut(&str),
    ) -> Result<(), BuildError> {
        let log = self.root.join(format!("{log}.log"));
        let mut errors = Vec::new();
        let run = command.run_logged(&log, |line| {
            if errors.len() < 10 && says_what_is_wrong(line) {
                errors.push(line.to_owned());
            }
            see(line);
        });
        run.map_err(|error| match error {
            ExecError::Failed {
                command,
                status,
                stderr,
            } => BuildError::Step {
                step,
                // Where no line says it, the last ones are all there is.
                errors: match errors.as_slice() {
                    [] => stderr,
                    errors => errors.join("\n"),
                },
                log,
                command,
                status,
            },
            error => error.into(),
        })
    }
}

/// Reads ninja's `[n/m] …`.
fn progress(line: &str) -> Option<(u64, u64)> {
    let (counts, _) = line.strip_prefix('[')?.split_once(']')?;
    let (done, total) = counts.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

/// Whether a line of a log is one that a person would look for.
fn says_what_is_wrong(line: &str) -> bool {
    [
        "error:",
        "ERROR",
        "FAILED",
        "fatal:",
        "undefined reference",
        "No module named",
    ]
    .iter()
    .any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use base::ui::Ui;

    #[test]
    fn progress_is_read_from_ninja_only() {
        assert_eq!(progress("[12/1353] Compiling C object a.c.o"), Some((12, 1353)));
        assert_eq!(progress("[1/0"), None);
        assert_eq!(progress("a.c:3: error: [1/2]"), None);
    }

    #[test]
    fn a_failed_step_shows_its_first_errors_and_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::at(dir.path().join("x.build")).unwrap();
        let script = "echo fine; echo 'a.c:1:2: error: first'; seq 1000; echo 'ninja: build stopped'; exit 1";
        let failing = Command::new("sh").args(["-c", script]);
        let error = tree
            .step("compiling QEMU", "compile", failing, |_| {})
            .unwrap_err();
        let BuildError::Step { errors, log, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(errors, "a.c:1:2: error: first");
        assert!(fs_err::read_to_string(log).unwrap().contains("999\n"));
        assert!(error.to_string().starts_with("compiling QEMU failed: `sh -c "));
        assert_eq!(tree.logs().unwrap(), std::slice::from_ref(log));
    }

    #[test]
    fn a_half_unpacked_source_is_unpacked_again() {
        let dir = tempfile::tempdir().unwrap();
        let tarball = dir.path().join("x.tar.xz");
        let mut archive =
            tar::Builder::new(liblzma::write::XzEncoder::new(File::create(&tarball).unwrap(), 1));
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o755);
        archive
            .append_data(&mut header, "qemu-1/configure", &b"x\n"[..])
            .unwrap();
        archive.into_inner().unwrap().finish().unwrap();
        let source = SourcePackage {
            sha256: sha256_file(&tarball).unwrap(),
            version: "1".to_owned(),
            tarball,
        };
        let tree = Tree::at(dir.path().join("x.build")).unwrap();
        let half = tree.root().join("source.new");
        fs_err::create_dir(&half).unwrap();
        fs_err::write(half.join("left over"), "").unwrap();
        let task = Ui::silent().task("qemu", None);
        // The patches do not apply to this, so that it must not look finished.
        let error = tree.unpack(&source, &task).unwrap_err().to_string();
        assert!(error.starts_with("patching QEMU failed"), "{error}");
        assert!(!tree.source().exists());
        assert!(half.join("configure").exists() && !half.join("left over").exists());
    }
}
