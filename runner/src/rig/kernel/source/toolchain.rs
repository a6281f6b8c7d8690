// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which compiler builds a kernel, by the same variables that the kernel's own Makefile takes.

use std::{ffi::OsStr, path::Path, thread};

use crate::{
    base::{
        Arch,
        exec::{Command, ExecError},
        ui::Ui,
    },
    rig::host::{self, HostError},
};

/// What make is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toolchain {
    /// The kernel's name of the architecture.
    pub(super) arch: &'static str,
    /// Words for make's command line: `ARCH=…`, `CC=…` and such.
    pub(super) words: Vec<String>,
    /// The compiler, which may be two words.
    pub(super) compiler: String,
    /// `-jN`, unless `MAKEFLAGS` has one.
    pub(super) jobs: Option<String>,
    /// What is needed: a program or a header, and the package that has it.
    needs: Vec<(String, &'static str)>,
    /// Something that the user should know.
    pub(super) note: Option<String>,
}

/// Programs that every build needs.
const PROGRAMS: [(&str, &str); 8] = [
    ("bc", "bc"),
    ("bison", "bison"),
    ("flex", "flex"),
    ("gcc", "gcc"),
    ("make", "make"),
    ("perl", "perl"),
    ("/usr/include/gelf.h", "libelf-dev"),
    ("/usr/include/linux/types.h", "linux-libc-dev"),
];

impl Toolchain {
    /// Chooses by the variables `CC`, `LLVM`, `CROSS_COMPILE` and `MAKEFLAGS`, as `variable` gives them.
    pub(super) fn choose(
        arch: Arch,
        host: &str,
        has_ccache: bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let variable = |name| variable(name).filter(|value| !value.trim().is_empty());
        let (kernel_arch, prefix, package) = match arch {
            Arch::X86_64 => ("x86_64", "x86_64-linux-gnu-", "gcc-x86-64-linux-gnu"),
            Arch::S390x => ("s390", "s390x-linux-gnu-", "gcc-s390x-linux-gnu"),
        };
        let native = host == arch.to_string();
        let mut words = vec![format!("ARCH={kernel_arch}")];
        let mut needs: Vec<(String, &'static str)> = PROGRAMS
            .iter()
            .map(|(program, package)| ((*program).to_owned(), *package))
            .collect();
        let mut note = None;
        let llvm = variable("LLVM").filter(|llvm| llvm != "0");
        let cc = variable("CC").filter(|cc| {
            // Gcc builds for one architecture, clang for all.
            let fits =
                native || cc.contains("clang") || variable("CROSS_COMPILE").is_some() || cc.contains(prefix);
            if !fits {
                note = Some(format!(
                    "CC={cc} does not build for {arch}, so that it is not used there"
                ));
            }
            fits
        });
        let compiler = if let Some(llvm) = &llvm {
            words.push(format!("LLVM={llvm}"));
            let version = llvm.strip_prefix('-').map(|_| llvm.clone()).unwrap_or_default();
            for (program, package) in [("clang", "clang"), ("ld.lld", "lld"), ("llvm-ar", "llvm")] {
                if version.is_empty() && !llvm.contains('/') {
                    needs.push((program.to_owned(), package));
                }
            }
            cc.clone().unwrap_or(format!("clang{version}"))
        } else {
            let cross = variable("CROSS_COMPILE")
                .filter(|cross| !native || cross.contains(arch.to_string().as_str()));
            let prefix = match (&cross, native) {
                (Some(cross), _) => cross.clone(),
                (None, true) => String::new(),
                (None, false) => {
                    needs.push((format!("{prefix}gcc"), package));
                    prefix.to_owned()
                }
            };
            if !prefix.is_empty() {
                words.push(format!("CROSS_COMPILE={prefix}"));
            }
            cc.clone().unwrap_or_else(|| {
                let gcc = format!("{prefix}gcc");
                if has_ccache { format!("ccache {gcc}") } else { gcc }
            })
        };
        if cc.is_some() || llvm.is_none() {
            words.push(format!("CC={compiler}"));
        }
        let flags = variable("MAKEFLAGS").unwrap_or_default();
        let jobs = (!flags.contains("-j"))
            .then(|| format!("-j{}", thread::available_parallelism().map_or(1, usize::from)));
        Self {
            arch: kernel_arch,
            words,
            compiler,
            jobs,
            needs,
            note,
        }
    }

    /// The one for this machine and environment.
    pub(super) fn here(arch: Arch) -> Self {
        let ccache = host::in_path("ccache").is_some();
        Self::choose(arch, std::env::consts::ARCH, ccache, |name| {
            std::env::var(name).ok()
        })
    }

    /// Packages with what the build calls and the host lacks.
    pub(super) fn lacks(&self) -> Vec<&'static str> {
        let missing = |(program, _): &&(String, &'static str)| {
            if program.starts_with('/') {
                !Path::new(program).exists()
            } else {
                host::in_path(program).is_none()
            }
        };
        self.needs
            .iter()
            .filter(missing)
            .map(|(_, package)| *package)
            .collect()
    }

    /// Makes sure that the host has what the build calls.
    pub(super) fn install(&self, ui: &Ui) -> Result<(), HostError> {
        match self.lacks().as_slice() {
            [] => Ok(()),
            missing => host::install_packages(missing, ui),
        }
    }

    /// What the compiler says about itself, in one line.
    pub(super) fn version(&self) -> Result<String, ExecError> {
        let mut words = self.compiler.split_whitespace();
        let out = Command::new(words.next().unwrap_or("gcc"))
            .args(words)
            .arg("--version")
            .output()?;
        Ok(String::from_utf8_lossy(&out)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned())
    }

    /// A program that runs in the source, and builds the same wherever and whenever it does.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // Each of them would make another kernel of the same source.
        for name in [
            "KBUILD_OUTPUT",
            "KBUILD_EXTMOD",
            "KCONFIG_CONFIG",
            "KCONFIG_ALLCONFIG",
            "KCFLAGS",
            "ARCH",
            "CC",
        ] {
            command = command.unset(name);
        }
        command
            .env("LC_ALL", "C")
            // Without it, a source in git gets a `+` behind its release.
            .env("LOCALVERSION", "")
            .env("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970")
            .env("KBUILD_BUILD_USER", "memrig")
            .env("KBUILD_BUILD_HOST", "memrig")
            .env("KBUILD_BUILD_VERSION", "1")
    }
}
