// SPDX-License-Identifier: MIT OR Apache-2.0
//! The plugin that counts a guest's instructions, compiled for the QEMU that loads it.

use std::{
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::build::{BuildError, compiler};
use crate::cache::{Cache, CacheError, Key};
use base::exec::{Command, ExecError};

const SOURCE: &str = include_str!("../../../../guest-images/qemu/plugin/cost.c");

/// What the compiler is called with, besides the version of the interface and the files.
const FLAGS: [&str; 6] = [
    "-O2",
    "-Wall",
    "-Werror",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
];

/// The versions of QEMU's plugin interface that the source knows, the newest first: a QEMU that takes an old one may lack what it
/// had.
const VERSIONS: [u32; 3] = [3, 2, 1];

const LIBRARY: &str = "cost.so";

/// Why there is no plugin to try.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// The compiler is not there.
    #[error(transparent)]
    Compiler(#[from] BuildError),
    /// It does not compile.
    #[error("compiling the plugin that counts instructions")]
    Compile(#[from] ExecError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file.
    #[error("the plugin that counts instructions")]
    Io(#[from] io::Error),
}

/// How the instructions of a guest can be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counting {
    /// By this plugin, which the QEMU has loaded.
    Plugin(PathBuf),
    /// Only by the guest's own clock.
    GuestTime {
        /// What the QEMU said of the plugin.
        why: String,
    },
}

impl Counting {
    /// Compiles the plugin for `binary`, or takes it from the cache, and has the binary load it.
    ///
    /// Takes a second, and blocks. Needs a C compiler.
    ///
    /// # Errors
    /// The plugin cannot be compiled. A QEMU that does not load it is an answer.
    pub fn of(binary: &Path, cache: &Cache) -> Result<Self, CounterError> {
        let mut why = String::new();
        for version in VERSIONS {
            let library = compiled(version, cache)?;
            match loads(binary, &library)? {
                Ok(()) => return Ok(Self::Plugin(library)),
                Err(said) => why = said,
            }
        }
        Ok(Self::GuestTime { why })
    }
}

/// The plugin for one version of the interface.
fn compiled(version: u32, cache: &Cache) -> Result<PathBuf, CounterError> {
    let (compiler, said) = compiler()?;
    let define = format!("-DCOST_API={version}");
    let key = Key::new()
        .with(SOURCE)
        .with(FLAGS.join(" "))
        .with(&define)
        .with(&said)
        .finish();
    let folder = cache.entry("plugins", &key, |folder| {
        let source = folder.join("cost.c");
        fs_err::write(&source, SOURCE)?;
        compiler
            .args(FLAGS)
            .arg(&define)
            .arg("-o")
            .arg(folder.join(LIBRARY))
            .arg(&source)
            .output()?;
        Ok::<_, CounterError>(())
    })?;
    Ok(folder.join(LIBRARY))
}

/// Whether a QEMU loads the plugin; what it said, if not.
fn loads(binary: &Path, library: &Path) -> io::Result<Result<(), String>> {
    let mut asked = tempfile::tempfile()?;
    asked.write_all(b"{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"quit\"}\n")?;
    asked.rewind()?;
    let library = library.to_string_lossy().replace(',', ",,");
    let tried = Command::new(binary)
        .args(["-machine", "none", "-accel", "tcg", "-display", "none"])
        .args(["-nodefaults", "-no-user-config", "-qmp", "stdio"])
        .args(["-plugin", &format!("file={library},out=/dev/null")])
        .stdin(asked)
        .output();
    Ok(match tried {
        Ok(_) => Ok(()),
        Err(ExecError::Failed { stderr, .. }) => Err(stderr.trim().to_owned()),
        Err(error) => Err(error.to_string()),
    })
}
