// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which compiler builds a kernel, by the same variables that the kernel's own Makefile takes.

use std::{ffi::OsStr, path::Path, thread};

use crate::host::{self, HostError};
use base::{
    Arch,
    exec::{Command, ExecError, shell_line},
    ui::Ui,
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
    /// Flags for the compiler, behind the kernel's own.
    pub(super) flags: Option<String>,
    /// `-jN`, unless `MAKEFLAGS` has one.
    pub(super) jobs: Option<String>,
    /// The linker.
    linker: String,
    /// What the folder of the objects is called beside the architecture, unless gcc makes them.
    pub(super) family: Option<String>,
    /// What is needed: a program or a header, and the package that has it.
    needs: Vec<(String, &'static str)>,
    /// Programs that the user's variables name, which are the user's to install; and the package that has each, where that is known.
    named: Vec<(String, Option<String>)>,
    /// Something that the user should know.
    pub(super) note: Option<String>,
}

/// Why a kernel cannot be built with what the user's variables name.
#[derive(Debug, thiserror::Error)]
pub enum CompilerError {
    /// It is not there.
    #[error("{variables} needs {}, which this machine does not have: {install}", programs.join(", "))]
    Missing {
        /// The variables, as a shell would take them.
        variables: String,
        /// The programs.
        programs: Vec<String>,
        /// What the user can do.
        install: String,
    },
    /// Lld had no s390x for long.
    #[error(
        "{variables}: `{linker}` ({version}) does not link for s390x; LLVM 18.1 and newer do. Name a newer one, as in LLVM=-19, or link with \
         GNU ld by CC=clang instead of LLVM"
    )]
    NoS390x {
        /// The variables, as a shell would take them.
        variables: String,
        /// The linker.
        linker: String,
        /// What it says about itself.
        version: String,
    },
    /// It does not run.
    #[error(transparent)]
    Exec(#[from] ExecError),
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
    /// Chooses by the variables `CC`, `LLVM`, `LLVM_IAS`, `CROSS_COMPILE`, `KCFLAGS` and `MAKEFLAGS`, as `variable` gives them.
    pub(super) fn choose(
        arch: Arch,
        host: &str,
        has_ccache: bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let variable = |name| variable(name).filter(|value| !value.trim().is_empty());
        let (kernel_arch, prefix, package, binutils) = match arch {
            Arch::X86_64 => (
                "x86_64",
                "x86_64-linux-gnu-",
                "gcc-x86-64-linux-gnu",
                "binutils-x86-64-linux-gnu",
            ),
            Arch::S390x => (
                "s390",
                "s390x-linux-gnu-",
                "gcc-s390x-linux-gnu",
                "binutils-s390x-linux-gnu",
            ),
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
        let ias = variable("LLVM_IAS");
        let mut named = Vec::new();
        // GNU's assembler or linker is called by this name.
        let prefix = if llvm.is_some() && ias.as_deref() != Some("0") {
            None
        } else {
            let cross = variable("CROSS_COMPILE")
                .filter(|cross| !native || cross.contains(arch.to_string().as_str()));
            match (cross, native) {
                (Some(cross), _) => Some(cross),
                (None, true) => None,
                (None, false) => {
                    if cc.is_none() && llvm.is_none() {
                        needs.push((format!("{prefix}gcc"), package));
                    } else {
                        needs.push((format!("{prefix}ld"), binutils));
                    }
                    Some(prefix.to_owned())
                }
            }
        };
        let (compiler, linker) = if let Some(llvm) = &llvm {
            words.push(format!("LLVM={llvm}"));
            // As the kernel's Makefile has it.
            let (path, version) = match (llvm.ends_with('/'), llvm.starts_with('-')) {
                (true, _) => (llvm.as_str(), ""),
                (_, true) => ("", llvm.as_str()),
                _ => ("", ""),
            };
            let program = |name: &str| format!("{path}{name}{version}");
            for (name, package) in [("clang", "clang"), ("ld.lld", "lld"), ("llvm-ar", "llvm")] {
                if name != "clang" || cc.is_none() {
                    let package = path.is_empty().then(|| format!("{package}{version}"));
                    named.push((program(name), package));
                }
            }
            (cc.clone().unwrap_or(program("clang")), program("ld.lld"))
        } else {
            // Without one it is the host's own compiler.
            let prefix = prefix.as_deref().unwrap_or("");
            let gcc = cc.clone().unwrap_or_else(|| {
                let gcc = format!("{prefix}gcc");
                if has_ccache { format!("ccache {gcc}") } else { gcc }
            });
            (gcc, format!("{prefix}ld"))
        };
        if let Some(prefix) = &prefix {
            words.push(format!("CROSS_COMPILE={prefix}"));
        }
        if cc.is_some() || llvm.is_none() {
            words.push(format!("CC={compiler}"));
        }
        if let Some(cc) = &cc {
            // Of `ccache clang -m64` both programs are needed.
            let programs = cc.split_whitespace().filter(|word| !word.starts_with('-'));
            named.extend(programs.map(|program| {
                let package = program.contains("clang") && !program.contains('/');
                (program.to_owned(), package.then(|| program.to_owned()))
            }));
        }
        if let Some(ias) = ias.filter(|_| compiler.contains("clang")) {
            words.push(format!("LLVM_IAS={ias}"));
        }
        let family = match &llvm {
            Some(llvm) => Some(format!("llvm{llvm}")),
            None => compiler.contains("clang").then(|| "clang".to_owned()),
        };
        let flags = variable("MAKEFLAGS").unwrap_or_default();
        let jobs = (!flags.contains("-j"))
            .then(|| format!("-j{}", thread::available_parallelism().map_or(1, usize::from)));
        Self {
            arch: kernel_arch,
            words,
            compiler,
            linker,
            family: family.map(|name| name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
            flags: variable("KCFLAGS"),
            jobs,
            needs,
            named,
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

    /// Makes sure that what the user's variables name is there and can do what is asked; nothing of it is installed.
    ///
    /// # Errors
    /// It is not, or it cannot.
    pub(super) fn check(&self) -> Result<(), CompilerError> {
        let variables = || {
            let named = |word: &&String| word.starts_with("LLVM") || word.starts_with("CC=");
            shell_line(self.words.iter().filter(named))
        };
        let missing = |(program, _): &&(String, Option<String>)| host::in_path(program).is_none();
        let missing: Vec<&(String, Option<String>)> = self.named.iter().filter(missing).collect();
        if !missing.is_empty() {
            let packages: Option<Vec<&str>> = missing.iter().map(|(_, package)| package.as_deref()).collect();
            return Err(CompilerError::Missing {
                variables: variables(),
                programs: missing.iter().map(|(program, _)| program.clone()).collect(),
                install: match packages {
                    Some(packages) => format!(
                        "memrig installs no compiler that you name; on Debian, `apt-get install {}` does",
                        packages.join(" ")
                    ),
                    None => "memrig installs no compiler that you name".to_owned(),
                },
            });
        }
        if self.arch == "s390" && self.words.iter().any(|word| word.starts_with("LLVM=")) {
            let asked = Command::new(&self.linker).args(["-m", "elf64_s390", "-o", "/dev/null"]);
            let knows = match asked.output() {
                Ok(_) => true,
                Err(ExecError::Failed { stderr, .. }) => knows_the_machine(&stderr),
                Err(error) => return Err(error.into()),
            };
            if !knows {
                return Err(CompilerError::NoS390x {
                    variables: variables(),
                    linker: self.linker.clone(),
                    version: first_line(Command::new(&self.linker).arg("--version"))?,
                });
            }
        }
        Ok(())
    }

    /// What the compiler and the linker say about themselves, in one line.
    pub(super) fn version(&self) -> Result<String, ExecError> {
        let mut words = self.compiler.split_whitespace();
        let compiler = Command::new(words.next().unwrap_or("gcc")).args(words);
        let linker = first_line(Command::new(&self.linker).arg("--version"))?;
        Ok(format!("{}, {linker}", first_line(compiler.arg("--version"))?))
    }

    /// A program that runs in the source, and builds the same wherever and whenever it does.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // Each of them would make another kernel of the same source; those that are honoured are among the words.
        for name in [
            "KBUILD_OUTPUT",
            "KBUILD_EXTMOD",
            "KCONFIG_CONFIG",
            "KCONFIG_ALLCONFIG",
            "KCFLAGS",
            "ARCH",
            "CC",
            "CROSS_COMPILE",
            "LLVM",
            "LLVM_IAS",
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

/// The first line that a program prints; empty where it prints nothing.
fn first_line(command: Command) -> Result<String, ExecError> {
    let output = command.output()?;
    Ok(String::from_utf8_lossy(&output)
        .lines()
        .next()
        .unwrap_or("")
        .to_owned())
}

/// Whether lld knows the machine that it was told to link for: without a file to link, it then says that there is none.
pub(super) fn knows_the_machine(stderr: &str) -> bool {
    !stderr.contains("unknown emulation")
}
