// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who installs the packages of the host, and what a user is told who may not: with scripts in place of apt, dpkg and sudo.

use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A host of scripts. Each writes down how it was called.
struct Host {
    folder: TempDir,
}

struct Told {
    code: Option<i32>,
    text: String,
    /// What was called, one line a call; looking packages up is left out.
    calls: Vec<String>,
}

/// What sudo does when it must not ask.
const ASKS: &str = "echo 'sudo: a password is required' >&2; exit 1";

/// The same where no password is wanted.
const GRANTS: &str = "[ \"$1\" = -n ] || exit 9; shift; exec \"$@\"";

/// How an apt ends after one that was killed.
const CUT_OFF: &str =
    "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.";

/// How apt is asked to install.
const INSTALL: &str = "apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends";

impl Host {
    fn new() -> Self {
        let host = Self {
            folder: tempfile::Builder::new().permissions(open()).tempdir().unwrap(),
        };
        for name in ["bin", "installed", "cache", "results"] {
            fs_err::create_dir(host.path(name)).unwrap();
            fs_err::set_permissions(host.path(name), open()).unwrap();
        }
        fs_err::write(host.path("calls"), "").unwrap();
        fs_err::set_permissions(host.path("calls"), open()).unwrap();
        for name in ["env", "true"] {
            symlink(format!("/usr/bin/{name}"), host.path("bin").join(name)).unwrap();
        }
        // Where it was built, another user may not be let in.
        let (from, to) = (env!("CARGO_BIN_EXE_memrig"), host.path("memrig"));
        child(Command::new("cp").arg(from).arg(to));
        let installed = host.path("installed");
        host.script(
            "dpkg-query",
            &format!(
                "shift 2; for name; do [ -e {}/\"$name\" ] || exit 1; echo \"$name\" installed; done",
                installed.display()
            ),
        );
        host.script("dpkg", &host.noting("dpkg", ""));
        host.apt("");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod 777 \"$0\"";
        let path = self.path("bin").join(name);
        child(Command::new("sh").args(["-c", write]).arg(path).arg(text));
    }

    fn noting(&self, name: &str, then: &str) -> String {
        format!("echo {name} \"$@\" >>{}; {then}", self.path("calls").display())
    }

    /// An apt that first does `first`, and then installs what it is told to.
    fn apt(&self, first: &str) {
        let installed = self.path("installed");
        let then = format!(
            "{first}\ncase \"$*\" in *install*) for word; do : >{}/\"${{word##*/}}\"; done;; esac",
            installed.display()
        );
        self.script("apt-get", &self.noting("apt-get", &then));
    }

    fn sudo(&self, then: &str) {
        self.script("sudo", &self.noting("sudo", then));
    }

    /// `memrig setup` as somebody who is not root.
    fn setup(&self, args: &[&str]) -> Told {
        match rustix::process::geteuid().is_root() {
            true => self.run(
                "setpriv",
                &["--reuid=65534", "--regid=65534", "--clear-groups"],
                args,
            ),
            false => self.run("env", &[], args),
        }
    }

    /// The same as root.
    fn setup_as_root(&self, args: &[&str]) -> Told {
        match rustix::process::geteuid().is_root() {
            true => self.run("env", &[], args),
            false => self.run("unshare", &["--map-root-user"], args),
        }
    }

    fn run(&self, as_whom: &str, how: &[&str], args: &[&str]) -> Told {
        let output = Command::new(as_whom)
            .args(how)
            .arg("/usr/bin/env")
            .arg(format!("PATH={}", self.path("bin").display()))
            .arg(self.path("memrig"))
            .arg("setup")
            .args(args)
            .env("MEMRIG_CACHE", self.path("cache"))
            .env("MEMRIG_RESULTS", self.path("results"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let calls = fs_err::read_to_string(self.path("calls")).unwrap();
        Told {
            code: output.status.code(),
            text: String::from_utf8_lossy(&output.stderr).into_owned(),
            calls: calls.lines().map(str::to_owned).collect(),
        }
    }

    /// Everything in the cache.
    fn kept(&self) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(self.path("cache")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// Writes a program by another process: while this one has it open for writing, a child that another thread starts has it open, too, and
/// nobody can run it.
fn child(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn open() -> std::fs::Permissions {
    std::fs::Permissions::from_mode(0o777)
}

#[test]
fn without_root_and_sudo_one_command_to_type_and_nothing_done() {
    let host = Host::new();
    let told = host.setup(&[]);
    assert_eq!(told.code, Some(2), "{}", told.text);
    let said =
        "error: these Debian packages are missing, and installing them needs root (there is no sudo): bison ";
    assert!(told.text.starts_with(said), "{}", told.text);
    let command = "\nrun: su -c 'apt-get update && apt-get install -y --no-install-recommends bison ";
    assert!(told.text.contains(command), "{}", told.text);
    assert!(told.calls.is_empty(), "{:?}", told.calls);
    assert!(host.kept().is_empty(), "{:?}", host.kept());
}

#[test]
fn a_sudo_that_wants_a_password_is_not_waited_for() {
    let host = Host::new();
    host.sudo(ASKS);
    let told = host.setup(&[]);
    assert_eq!(told.code, Some(2), "{}", told.text);
    assert!(
        told.text.contains("(sudo: a password is required)"),
        "{}",
        told.text
    );
    let run = told
        .text
        .lines()
        .find_map(|line| line.strip_prefix("run: "))
        .unwrap();
    let command = "sudo apt-get update && sudo apt-get install -y --no-install-recommends bison ";
    assert!(run.starts_with(command), "{run}");
    // Who has typed it once is not sent to type another one.
    for package in ["qemu-system-x86", "ninja-build", "libglib2.0-dev"] {
        assert!(run.contains(package), "{run}");
    }
    assert_eq!(told.calls, ["sudo -n true"]);
    assert!(host.kept().is_empty(), "{:?}", host.kept());
}

#[test]
fn what_building_a_kernel_needs_is_in_the_same_command() {
    let host = Host::new();
    host.sudo(ASKS);
    let told = host.setup(&["-a", "s390x", "-k", "source:debian:trixie"]);
    assert_eq!(told.code, Some(2), "{}", told.text);
    let run = told
        .text
        .lines()
        .find_map(|line| line.strip_prefix("run: "))
        .unwrap();
    for package in ["ninja-build", "gcc-s390x-linux-gnu", "bc", "git"] {
        assert!(run.split(' ').any(|word| word == package), "{package}: {run}");
    }
    assert!(!run.contains("qemu-system-x86"), "{run}");
}

#[test]
fn a_sudo_that_asks_nothing_and_root_install() {
    for is_root in [false, true] {
        let host = Host::new();
        host.sudo(GRANTS);
        let args = ["-a", "x86_64", "-k", "debian:sid"];
        let told = match is_root {
            true => host.setup_as_root(&args),
            false => host.setup(&args),
        };
        let apt = format!("{INSTALL} qemu-system-x86");
        let by_sudo = format!("sudo -n env DEBIAN_FRONTEND=noninteractive LC_ALL=C {apt}");
        match is_root {
            true => assert_eq!(told.calls, [apt], "{}", told.text),
            false => assert_eq!(told.calls, ["sudo -n true", &by_sudo, &apt], "{}", told.text),
        }
        // This apt brings no QEMU.
        assert_eq!(told.code, Some(3), "{}", told.text);
        assert!(
            told.text.contains("starting `qemu-system-x86_64`"),
            "{}",
            told.text
        );
    }
}

#[test]
fn an_installation_that_was_cut_off_is_finished_first() {
    let host = Host::new();
    host.apt(&format!(
        "case \"$*\" in *install*) [ -e {0} ] || {{ : >{0}; echo \"{CUT_OFF}\" >&2; exit 100; }};; esac",
        host.path("results/once").display()
    ));
    let told = host.setup_as_root(&["-a", "x86_64", "-k", "debian:sid"]);
    let apt = format!("{INSTALL} qemu-system-x86");
    let update = "apt-get -o DPkg::Lock::Timeout=600 update";
    assert_eq!(
        told.calls,
        [&apt, "dpkg --configure -a", update, &apt],
        "{}",
        told.text
    );
    assert!(
        told.text.contains("install qemu-system-x86: done"),
        "{}",
        told.text
    );
}

#[test]
fn an_apt_that_fails_is_told_in_its_own_words() {
    let host = Host::new();
    host.apt("echo 'E: Unable to locate package qemu-system-x86' >&2; exit 100");
    let told = host.setup_as_root(&["-a", "x86_64", "-k", "debian:sid"]);
    assert_eq!(told.code, Some(3), "{}", told.text);
    assert!(told.text.contains("E: Unable to locate package"), "{}", told.text);
}
