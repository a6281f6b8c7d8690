// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine that memrig runs on: what it is, and what it must have installed.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use base::{
    ByteSize,
    exec::{Command, ExecError, ended, shell_line},
    fault::{Blame, Blamed},
    named,
    ui::Ui,
};

/// What a record says about the machine that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// `PRETTY_NAME` of its os-release.
    pub system: String,
    /// Release of its kernel.
    pub kernel: String,
    /// Architecture that memrig was built for.
    pub machine: String,
    /// Processors that memrig may use.
    pub cpus: usize,
    /// Memory in all.
    pub memory: ByteSize,
}

/// Why the machine is not ready.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Only root can install packages, and memrig may not become root. The command line exits with 2.
    #[error(
        "these Debian packages are missing, and installing them needs root ({why}): {}\nrun: {command}",
        missing.join(" ")
    )]
    NeedsRoot {
        /// The packages.
        missing: Vec<String>,
        /// Why memrig may not become root.
        why: String,
        /// What to type.
        command: String,
    },
    /// This is no Debian or a relative of it.
    #[error("this machine has no dpkg: install by its own means what these Debian packages have: {}", .0.join(" "))]
    NoDpkg(Vec<String>),
    /// Apt failed.
    #[error("installing {}", packages.join(" "))]
    Install {
        /// The packages.
        packages: Vec<String>,
        /// What apt said.
        source: ExecError,
    },
}

impl Blamed for HostError {
    /// Usage, where a person has to install what memrig may not.
    fn blame(&self) -> Blame {
        match self {
            Self::NeedsRoot { .. } => Blame::Usage,
            Self::NoDpkg(_) | Self::Install { .. } => Blame::Bench,
        }
    }
}

/// Looks at the machine.
///
/// # Errors
/// `/proc` is not as Linux has it.
pub fn facts() -> io::Result<HostFacts> {
    let release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let meminfo = fs_err::read_to_string("/proc/meminfo")?;
    let kernel = fs_err::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(HostFacts {
        system: system.unwrap_or("unknown").trim_matches('"').to_owned(),
        kernel: kernel.trim_end().to_owned(),
        machine: std::env::consts::ARCH.to_owned(),
        cpus: std::thread::available_parallelism()?.get(),
        memory: memory_of(&meminfo).ok_or_else(|| io::Error::other("/proc/meminfo has no MemTotal"))?,
    })
}

/// Memory that can be used without swapping, in bytes: what the kernel says is available, and no more than what is left of a
/// limit of the control group.
///
/// # Errors
/// `/proc` is not as Linux has it.
pub fn available_memory() -> io::Result<ByteSize> {
    let meminfo = fs_err::read_to_string("/proc/meminfo")?;
    let available = field_of(&meminfo, "MemAvailable:")
        .ok_or_else(|| io::Error::other("/proc/meminfo has no MemAvailable"))?;
    // Version 2 of control groups, as a container sees its own; without it there is no limit to be seen.
    let number = |file: &str| -> Option<u64> {
        let text = fs_err::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?;
        text.trim().parse().ok()
    };
    let left = number("memory.max")
        .zip(number("memory.current"))
        .map(|(limit, used)| ByteSize::bytes(limit.saturating_sub(used)));
    Ok(left.map_or(available, |left| left.min(available)))
}

/// What the host's CPUs did since it booted, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    /// All of them together, idle.
    pub idle: u64,
    /// All of them together, whatever they did.
    pub all: u64,
    /// How many there are.
    pub cpus: usize,
}

/// Reads what the host's CPUs did.
///
/// # Errors
/// `/proc` is not as Linux has it.
pub fn cpu_times() -> io::Result<CpuTimes> {
    let text = fs_err::read_to_string("/proc/stat")?;
    cpu_times_of(&text).ok_or_else(|| io::Error::other("/proc/stat does not begin with the CPUs"))
}

fn cpu_times_of(stat: &str) -> Option<CpuTimes> {
    let mut cpus = stat.lines().take_while(|line| line.starts_with("cpu"));
    let all = cpus.next()?.split_whitespace().skip(1);
    // user nice system idle iowait irq softirq steal; guests are in user.
    let ticks: Vec<u64> = all.take(8).map_while(|ticks| ticks.parse().ok()).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some(CpuTimes {
        idle,
        all: ticks.iter().sum(),
        cpus: cpus.count(),
    })
}

fn memory_of(meminfo: &str) -> Option<ByteSize> {
    field_of(meminfo, "MemTotal:")
}

fn field_of(meminfo: &str, field: &str) -> Option<ByteSize> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = kib.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(ByteSize::bytes(kib * 1024))
}

/// What is free for a user in the file system of a path, in bytes.
///
/// # Errors
/// The path is not there.
pub fn free_space(path: &Path) -> io::Result<ByteSize> {
    let facts = rustix::fs::statvfs(path)?;
    Ok(ByteSize::bytes(facts.f_bavail * facts.f_frsize))
}

/// Whether a folder can be written, or made where it is not there yet; without writing anything. With the part of it that is there.
///
/// # Errors
/// It cannot; the error has the path of what stands in the way.
pub fn writable(folder: &Path) -> io::Result<PathBuf> {
    let whole = std::path::absolute(folder)?;
    let there = whole.ancestors().find(|part| part.symlink_metadata().is_ok());
    let there = there.unwrap_or(Path::new("/"));
    named::check_folder(there)?;
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    match rustix::fs::access(there, access) {
        Ok(()) => Ok(there.to_owned()),
        Err(error) => {
            let error = io::Error::from(error);
            Err(io::Error::new(
                error.kind(),
                format!("`{}`: {error}", there.display()),
            ))
        }
    }
}

/// Where a program is found in `PATH`; one that is named by its path is there or not.
pub fn in_path(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    which::which(program).ok()
}

/// Those of the packages that are not installed.
///
/// # Errors
/// The machine has no dpkg.
pub fn missing_packages<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>, HostError> {
    if packages.is_empty() {
        // Dpkg would tell of all that there are.
        return Ok(Vec::new());
    }
    let no_dpkg = |_| HostError::NoDpkg(packages.iter().map(|&package| package.to_owned()).collect());
    // One call for all, which is the usual answer.
    if let Some(installed) = installed(packages).map_err(no_dpkg)? {
        return Ok(without(packages, &installed));
    }
    let mut missing = Vec::new();
    for &package in packages {
        let is_there = installed(&[package])
            .map_err(no_dpkg)?
            .is_some_and(|installed| installed.contains(package));
        if !is_there {
            missing.push(package);
        }
    }
    Ok(missing)
}

/// The names of those of the packages that are installed; `None` where one of them is a name that dpkg never heard of.
fn installed(packages: &[&str]) -> Result<Option<BTreeSet<String>>, ExecError> {
    let query = ["-W", "-f=${Package} ${db:Status-Status}\n"];
    match Command::new("dpkg-query")
        .args(query)
        .args(packages)
        .env("LC_ALL", "C")
        .output()
    {
        Ok(out) => Ok(Some(installed_of(&String::from_utf8_lossy(&out)))),
        Err(ExecError::Failed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A package has a line for each architecture that it is known for.
fn installed_of(text: &str) -> BTreeSet<String> {
    let installed = text.lines().filter_map(|line| line.strip_suffix(" installed"));
    installed.map(str::to_owned).collect()
}

fn without<'a>(packages: &[&'a str], installed: &BTreeSet<String>) -> Vec<&'a str> {
    let missing = packages.iter().filter(|package| !installed.contains(**package));
    missing.copied().collect()
}

/// Installs those of the packages that are missing: without root if none is, else as root or by a sudo that asks nothing.
///
/// # Errors
/// [`HostError::NeedsRoot`] holds the command that a person can type, and nothing was done; else apt failed.
pub fn install_packages(packages: &[&str], ui: &Ui) -> Result<(), HostError> {
    let missing = missing_packages(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    let owned = || missing.iter().map(|&package| package.to_owned()).collect();
    let prefix: &[&str] = if rustix::process::geteuid().is_root() {
        &[]
    } else {
        match Command::new("sudo")
            .args(["-n", "true"])
            .env("LC_ALL", "C")
            .output()
        {
            Ok(_) => &["sudo", "-n"],
            Err(error) => {
                return Err(HostError::NeedsRoot {
                    missing: owned(),
                    command: install_command(&missing),
                    why: why_no_root(&error),
                });
            }
        }
    };
    let task = ui.task(format!("install {}", missing.join(" ")), None);
    // `env`, because sudo drops the caller's environment.
    let root = |words: &[&str]| {
        let line = [
            prefix,
            &["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"],
            words,
        ]
        .concat();
        Command::new(line[0]).args(&line[1..]).output()
    };
    let install = || root(&[&APT, &INSTALL, missing.as_slice()].concat());
    // The usual reasons for a first failure: an installation that was cut off, and lists that are missing or older than the mirror.
    let outcome = install().or_else(|_| {
        root(&["dpkg", "--configure", "-a"])?;
        root(&[&APT[..], &["update"]].concat())?;
        install()
    });
    match outcome {
        Ok(_) => {
            task.done("done");
            Ok(())
        }
        Err(source) => {
            task.failed();
            Err(HostError::Install {
                packages: owned(),
                source,
            })
        }
    }
}

/// Somebody else may be installing: apt then waits for as long as it takes them.
const APT: [&str; 3] = ["apt-get", "-o", "DPkg::Lock::Timeout=600"];

const INSTALL: [&str; 3] = ["install", "-y", "--no-install-recommends"];

/// What a person types to install these packages.
pub fn install_command(packages: &[&str]) -> String {
    to_type(packages, in_path("sudo").is_some())
}

/// The lists of the machine may be of any age, or missing.
fn to_type(packages: &[&str], has_sudo: bool) -> String {
    let install = shell_line([&["apt-get"], &INSTALL[..], packages].concat());
    match has_sudo {
        true => format!("sudo apt-get update && sudo {install}"),
        false => shell_line(["su", "-c", &format!("apt-get update && {install}")]),
    }
}

/// Why sudo does not make memrig root, in its own words.
fn why_no_root(error: &ExecError) -> String {
    match error {
        // Before its reason it may warn of something else.
        ExecError::Failed { stderr, status, .. } => match stderr.lines().last() {
            Some(said) => said.to_owned(),
            None => format!("`sudo -n true` {}", ended(*status)),
        },
        ExecError::Start { .. } | ExecError::Output { .. } | ExecError::Late { .. } => {
            "there is no sudo".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let facts = facts().unwrap();
        assert!(facts.cpus > 0 && facts.memory > ByteSize::mib(64));
        assert!(
            facts.kernel.starts_with(|c: char| c.is_ascii_digit()),
            "{facts:?}"
        );
        assert_eq!(memory_of("MemTotal:        4096 kB\n"), Some(ByteSize::mib(4)));
        assert_eq!(memory_of("MemFree: 1 kB\n"), None);
        let stat = "cpu  1 2 3 40 5 6 7 8 9 10\ncpu0 1\ncpu1 1\nintr 5";
        let times = CpuTimes {
            idle: 45,
            all: 72,
            cpus: 2,
        };
        assert_eq!(cpu_times_of(stat), Some(times));
        assert!(cpu_times().unwrap().cpus > 0);
        let available = available_memory().unwrap();
        assert!(
            available <= facts.memory && available > ByteSize::mib(16),
            "{available}"
        );
    }

    #[test]
    fn only_a_whole_package_is_installed() {
        let text = "gcc config-files\ngcc installed\nbison config-files\nflex not-installed\n";
        let installed = installed_of(text);
        assert_eq!(without(&["bison", "flex", "gcc"], &installed), ["bison", "flex"]);
    }

    #[test]
    fn the_command_can_be_typed() {
        assert_eq!(
            to_type(&["ninja-build", "flex"], true),
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends ninja-build flex"
        );
        assert_eq!(
            to_type(&["flex"], false),
            "su -c 'apt-get update && apt-get install -y --no-install-recommends flex'"
        );
    }
}
