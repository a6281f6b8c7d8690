// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our plugins for QEMU, compiled for the one that loads them.

use std::{
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::build::{BuildError, compiler};
use crate::cache::{Cache, CacheError, Key};
use base::exec::{Command, ExecError};

/// A plugin of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// Counts the instructions that are executed between two markers.
    Cost,
    /// Notes which code is run for the first time.
    Cover,
}

/// QEMU's interface, which all of them include.
const INTERFACE: &str = include_str!("../../../../guest-images/qemu/plugin/plugin.h");

/// Packages with the compiler that [`Plugin::library`] calls.
pub const COMPILER_PACKAGES: [&str; 2] = ["gcc", "libc6-dev"];

/// What the compiler is called with, besides the version of the interface and the files.
const FLAGS: [&str; 6] = [
    "-O2",
    "-Wall",
    "-Werror",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
];

/// The versions of QEMU's plugin interface that the sources know, the newest first: a QEMU that takes an old one may lack what it
/// had.
const VERSIONS: [u32; 3] = [3, 2, 1];

/// Why there is no plugin to try.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The compiler is not there.
    #[error(transparent)]
    Compiler(#[from] BuildError),
    /// It does not compile.
    #[error("compiling a plugin for QEMU")]
    Compile(#[from] ExecError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file.
    #[error("a plugin for QEMU")]
    Io(#[from] io::Error),
}

/// What a QEMU said of a plugin that it did not load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLoaded(pub String);

impl Plugin {
    fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Cover => "cover",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Cost => include_str!("../../../../guest-images/qemu/plugin/cost.c"),
            Self::Cover => include_str!("../../../../guest-images/qemu/plugin/cover.c"),
        }
    }

    /// Compiles the plugin for `binary`, or takes it from the cache, and has the binary load it.
    ///
    /// Takes a second, and blocks. Needs a C compiler ([`COMPILER_PACKAGES`]).
    ///
    /// # Errors
    /// The plugin cannot be compiled. A QEMU that does not load it is an answer.
    pub fn library(self, binary: &Path, cache: &Cache) -> Result<Result<PathBuf, NotLoaded>, PluginError> {
        let mut why = NotLoaded(String::new());
        for version in VERSIONS {
            let library = self.compiled(version, cache)?;
            match loads(binary, &library)? {
                Ok(()) => return Ok(Ok(library)),
                Err(said) => why = said,
            }
        }
        Ok(Err(why))
    }

    /// The plugin for one version of the interface.
    fn compiled(self, version: u32, cache: &Cache) -> Result<PathBuf, PluginError> {
        let (compiler, said) = compiler()?;
        let define = format!("-DPLUGIN_API={version}");
        let library = format!("{}.so", self.name());
        let key = Key::new()
            .with(self.source())
            .with(INTERFACE)
            .with(FLAGS.join(" "))
            .with(&define)
            .with(&said)
            .finish();
        let folder = cache.entry("plugins", &key, |folder| {
            let source = folder.join(format!("{}.c", self.name()));
            fs_err::write(&source, self.source())?;
            fs_err::write(folder.join("plugin.h"), INTERFACE)?;
            compiler
                .args(FLAGS)
                .arg(&define)
                .arg("-o")
                .arg(folder.join(&library))
                .arg(&source)
                .output()?;
            Ok::<_, PluginError>(())
        })?;
        Ok(folder.join(library))
    }
}

/// Whether a QEMU loads a plugin; what it said, if not.
fn loads(binary: &Path, library: &Path) -> io::Result<Result<(), NotLoaded>> {
    let mut asked = tempfile::tempfile()?;
    asked.write_all(b"{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"quit\"}\n")?;
    asked.rewind()?;
    let out = tempfile::NamedTempFile::new()?;
    let escaped = |path: &Path| path.to_string_lossy().replace(',', ",,");
    let plugin = format!("file={},out={}", escaped(library), escaped(out.path()));
    let tried = Command::new(binary)
        .args(["-machine", "none", "-accel", "tcg", "-display", "none"])
        .args(["-nodefaults", "-no-user-config", "-qmp", "stdio"])
        .args(["-plugin", &plugin])
        .stdin(asked)
        .output();
    Ok(match tried {
        Ok(_) => Ok(()),
        Err(ExecError::Failed { stderr, .. }) => Err(NotLoaded(stderr.trim().to_owned())),
        Err(error) => Err(NotLoaded(error.to_string())),
    })
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
    /// By the plugin where `binary` loads it.
    ///
    /// # Errors
    /// As [`Plugin::library`].
    pub fn of(binary: &Path, cache: &Cache) -> Result<Self, PluginError> {
        Ok(match Plugin::Cost.library(binary, cache)? {
            Ok(library) => Self::Plugin(library),
            Err(NotLoaded(why)) => Self::GuestTime { why },
        })
    }
}
