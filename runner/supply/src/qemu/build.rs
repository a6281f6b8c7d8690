// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building our QEMU from a source package and keeping the result.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use sha2::{Digest, Sha256};

use super::{
    capabilities::{Capabilities, CapabilityError},
    firmware::firmware,
    recipe::{self, Tree},
    source::{CONFIGURE, HOST_PACKAGES, PATCHES, SourcePackage},
};
use crate::cache::{hex, sha256_file};
use base::{
    exec::{Command, ExecError, ended},
    ui::Ui,
};

/// A QEMU with standby memory, ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandbyQemu {
    /// `qemu-system-s390x`.
    pub binary: PathBuf,
    /// The file for `-bios`.
    pub firmware: PathBuf,
    /// Checksum of the binary, in hex digits.
    pub sha256: String,
    /// The upstream version that it was built from.
    pub version: String,
    /// Hash of everything that went into it; its folder in the cache.
    pub key: String,
}

/// Why there is no QEMU.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The tarball is not the one that was asked for.
    #[error("{path} has sha256 {found}, expected {expected}: fetch it again")]
    Checksum {
        /// The tarball.
        path: PathBuf,
        /// What its content says.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// A file of the source or of the cache could not be read or written; the source has the path.
    #[error("keeping QEMU in the cache")]
    Io(#[from] io::Error),
    /// Programs that the build needs are not there.
    #[error(
        "building QEMU needs {}, not found in PATH; on Debian: apt-get install {}",
        .programs.join(", "),
        HOST_PACKAGES.join(" ")
    )]
    Missing {
        /// The programs.
        programs: Vec<String>,
    },
    /// A step of the build failed.
    #[error("{step} failed: `{command}` {}; the whole log is {}\n{errors}", ended(*.status), .log.display())]
    Step {
        /// What was being done.
        step: &'static str,
        /// The first lines that say what is wrong.
        errors: String,
        /// The log.
        log: PathBuf,
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A program of it could not be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// What was built does not answer.
    #[error("asking the new QEMU what it can do")]
    Capabilities(#[from] CapabilityError),
    /// What was built lacks what the patches add.
    #[error("the QEMU that was built lacks what the patches add: {0:?}")]
    Incomplete(Capabilities),
}

/// Name of the C compiler.
pub(super) const COMPILER: &str = "gcc";

/// Name of the program, in the build tree and in the cache.
const PROGRAM: &str = "qemu-system-s390x";
const FIRMWARE: &str = "firmware.elf";
const CHECKSUM: &str = "qemu-system-s390x.sha256";

/// The QEMU that [`build`] made before from the same things, if it is in the cache.
///
/// Only the checksum of the source is looked at, so that the tarball itself need not be there any more.
///
/// # Errors
/// If the compiler cannot be asked for its version, or the cache cannot be read.
pub fn find(source: &SourcePackage, cache: &Path) -> Result<Option<StandbyQemu>, BuildError> {
    take(source, cache, key(source, &compiler_version()?))
}

fn take(source: &SourcePackage, cache: &Path, key: String) -> Result<Option<StandbyQemu>, BuildError> {
    let dir = cache.join("qemu").join(&key);
    if !dir.is_dir() {
        return Ok(None);
    }
    Ok(Some(StandbyQemu {
        sha256: fs_err::read_to_string(dir.join(CHECKSUM))?.trim().to_owned(),
        binary: dir.join(PROGRAM),
        firmware: dir.join(FIRMWARE),
        version: source.version.clone(),
        key,
    }))
}

/// Builds our QEMU, or takes it from the cache.
///
/// The result lives in `cache/qemu/<key>/`, where the key is a hash of the tarball, the patches, the configuration and the
/// compiler. A build that was interrupted is continued from `cache/qemu/<key>.build/`, and who comes second waits for the
/// first. Takes minutes, and blocks.
///
/// # Errors
/// See [`BuildError`]; what the steps printed is kept in logs.
pub fn build(source: &SourcePackage, cache: &Path, ui: &Ui) -> Result<StandbyQemu, BuildError> {
    let compiler = compiler_version()?;
    let key = key(source, &compiler);
    if let Some(found) = take(source, cache, key.clone())? {
        return Ok(found);
    }
    recipe::check_programs()?;
    let folder = cache.join("qemu");
    fs_err::create_dir_all(&folder)?;
    let lock = File::create(folder.join(format!("{key}.lock")))?;
    if lock.try_lock().is_err() {
        ui.line("waiting for another memrig that builds QEMU");
        lock.lock()?;
    }
    // The other one may have built it while this one waited.
    if let Some(found) = take(source, cache, key.clone())? {
        return Ok(found);
    }
    let tree = Tree::at(folder.join(format!("{key}.build")))?;
    let mut task = ui.task("build QEMU", None);
    let result = tree
        .unpack(source, &task)
        .and_then(|()| tree.configure(&task))
        .and_then(|()| tree.compile(&mut task))
        .and_then(|binary| keep(&binary, &tree, &folder, &key));
    match result {
        Ok(()) => task.done(&format!("{} for s390x with standby memory", source.version)),
        Err(error) => {
            task.failed();
            return Err(error);
        }
    }
    take(source, cache, key)?.ok_or_else(|| {
        let gone = format!("{} was removed just now", folder.display());
        io::Error::new(io::ErrorKind::NotFound, gone).into()
    })
}

/// Moves what was built to its place, in one step, and removes the tree.
fn keep(binary: &Path, tree: &Tree, folder: &Path, key: &str) -> Result<(), BuildError> {
    let found = Capabilities::of(binary)?;
    if !found.complete() {
        return Err(BuildError::Incomplete(found));
    }
    let new = folder.join(format!("{key}.new"));
    if new.exists() {
        fs_err::remove_dir_all(&new)?;
    }
    fs_err::create_dir(&new)?;
    fs_err::copy(binary, new.join(PROGRAM))?;
    fs_err::write(new.join(FIRMWARE), firmware())?;
    fs_err::write(new.join(CHECKSUM), sha256_file(binary)? + "\n")?;
    for log in tree.logs()? {
        fs_err::copy(&log, new.join(log.file_name().unwrap_or_default()))?;
    }
    fs_err::rename(&new, folder.join(key))?;
    fs_err::remove_dir_all(tree.root())?;
    Ok(())
}

/// What the compiler says about itself; `configure` takes the same one.
fn compiler_version() -> Result<String, BuildError> {
    compiler().map(|(_, said)| said)
}

/// The C compiler, which builds what memrig itself needs, and what it says about itself. `CC` names the one for kernels.
pub(super) fn compiler() -> Result<(Command, String), BuildError> {
    let version = Command::new(COMPILER).arg("--version").output();
    let version = version.map_err(|_| BuildError::Missing {
        programs: vec![COMPILER.to_owned()],
    })?;
    let text = String::from_utf8_lossy(&version);
    Ok((
        Command::new(COMPILER),
        // One that says nothing of its version is told from the others by that.
        text.lines().next().unwrap_or("").to_owned(),
    ))
}

/// Hash of everything that can make a difference in the result.
fn key(source: &SourcePackage, compiler: &str) -> String {
    let mut hash = Sha256::new();
    let patches = PATCHES.iter().flat_map(|patch| [patch.name, patch.text]);
    let parts = [source.version.as_str(), &source.sha256, compiler]
        .into_iter()
        .chain(CONFIGURE.iter().copied())
        .chain(patches);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(firmware());
    hex(&hash.finalize())[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::SOURCE;

    #[test]
    fn the_key_follows_what_goes_in() {
        let source = SOURCE.at("here");
        let same = key(&source, "gcc 12");
        assert_eq!(same, key(&SOURCE.at("there"), "gcc 12"));
        assert_ne!(same, key(&source, "gcc 14"));
        let other = SourcePackage {
            sha256: "00".to_owned(),
            ..source
        };
        assert_ne!(same, key(&other, "gcc 12"));
    }

    #[test]
    fn what_is_in_the_cache_is_found_without_its_source() {
        let cache = tempfile::tempdir().unwrap();
        let source = SOURCE.at("/nowhere");
        assert_eq!(find(&source, cache.path()).unwrap(), None);
        let key = key(&source, &compiler_version().unwrap());
        let dir = cache.path().join("qemu").join(&key);
        fs_err::create_dir_all(&dir).unwrap();
        fs_err::write(dir.join(CHECKSUM), "abcd\n").unwrap();
        let found = find(&source, cache.path()).unwrap().unwrap();
        assert_eq!((found.sha256.as_str(), &found.key), ("abcd", &key));
        assert_eq!(build(&source, cache.path(), &Ui::silent()).unwrap(), found);
    }

    #[test]
    fn a_wrong_tarball_is_refused_before_it_is_used() {
        let cache = tempfile::tempdir().unwrap();
        let tarball = cache.path().join("qemu.tar.xz");
        fs_err::write(&tarball, "not the source").unwrap();
        let tree = Tree::at(cache.path().join("x.build")).unwrap();
        let ui = Ui::silent();
        let task = ui.task("build QEMU", None);
        let error = tree.unpack(&SOURCE.at(&tarball), &task).unwrap_err();
        let BuildError::Checksum { expected, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(expected, SOURCE.sha256);
        assert!(error.to_string().ends_with("fetch it again"));
    }
}
