// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configuring and compiling a tree. What was compiled before for the same architecture and configuration is used again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    thread,
};

use super::{
    asked::{self, Lost, Weight},
    fragments::Fragment,
    log::{self, Seen, Warning},
    obtain::SourceKernelError,
    table::{self, Early, Table},
    toolchain::Toolchain,
};
use crate::{cache::Key, confined::Bounds, tree::SourceTree};
use base::{
    Arch,
    exec::{Command, ExecError},
    ui::Task,
};
use format::kconfig::Kconfig;
use serde::{Deserialize, Serialize};

/// Changes when what make is told does.
pub(super) const LAYOUT: &str = "build 2";

/// What a folder of objects is configured for; kept beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Configured {
    /// Of the fragments, the compiler, and the Kconfig files of the tree.
    key: String,
    /// The options that this version has, by their names without `CONFIG_`.
    options: BTreeSet<String>,
}

/// One build: a tree at a commit, for an architecture and a configuration.
pub(super) struct Build<'a> {
    pub(super) tree: &'a SourceTree,
    pub(super) arch: Arch,
    pub(super) fragments: &'a [Fragment],
    pub(super) toolchain: &'a Toolchain,
    /// What the compiler says about itself.
    pub(super) compiler: &'a str,
    /// Who wrote it.
    pub(super) by: By,
}

/// Who wrote what is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Whoever the user has it from as a source.
    Source,
    /// Somebody who sent patches.
    Mail {
        /// They change what a build runs on this host, and so what it leaves behind.
        runs: bool,
    },
}

/// What the folder of objects that nobody shares is called, behind the name of the one that it is a copy of.
const APART: &str = "apart";

/// What came out.
pub(super) struct Built {
    pub(super) image: PathBuf,
    /// Which code was made of which line.
    pub(super) table: Table,
    pub(super) config: PathBuf,
    pub(super) log: PathBuf,
    pub(super) lost: Vec<Lost>,
    pub(super) warnings: BTreeSet<Warning>,
}

impl Build<'_> {
    /// The folder with the objects. Its name is short, since it is in every message of the compiler.
    fn objects(&self) -> PathBuf {
        self.apart().unwrap_or_else(|| self.shared())
    }

    /// The same where this build has it for itself, since nobody has looked at what it leaves there.
    fn apart(&self) -> Option<PathBuf> {
        (self.by == By::Mail { runs: true }).then(|| beside(&self.shared(), APART))
    }

    /// Begins a folder of objects that this build has for itself: all others of this tree go on from what they share.
    fn set_apart(&self, objects: &Path) -> Result<(), SourceKernelError> {
        let shared = self.shared();
        self.clear()?;
        if shared.exists() {
            let copied = Command::new("cp").args(["-a", "--reflink=auto", "--"]);
            copied.arg(&shared).arg(objects).output()?;
            for kept in [CONFIGURED, WARNINGS] {
                let of_shared = beside(&shared, kept);
                if of_shared.exists() {
                    fs_err::copy(of_shared, beside(objects, kept))?;
                }
            }
        }
        Ok(())
    }

    /// Takes away what only this build has.
    pub(super) fn clear(&self) -> io::Result<()> {
        let Some(objects) = self.apart() else {
            return Ok(());
        };
        let files = [CONFIGURED, WARNINGS, LOG].map(|kept| beside(&objects, kept));
        let folders = [beside(&objects, ASKED), objects];
        let files = files.iter().map(|file| gone(fs_err::remove_file(file)));
        let folders = folders.iter().map(|folder| gone(fs_err::remove_dir_all(folder)));
        files.chain(folders).collect()
    }

    /// The folder with the objects that builds of this tree share.
    fn shared(&self) -> PathBuf {
        let named: Vec<&str> = self
            .fragments
            .iter()
            .filter(|fragment| fragment.subject.is_some())
            .map(|fragment| fragment.name)
            .collect();
        let mut name = self.arch.to_string();
        for part in self.toolchain.family.as_deref().into_iter().chain(named) {
            name = format!("{name}-{part}");
        }
        self.tree.dir().join("build").join(name)
    }

    /// Builds what is checked out.
    pub(super) fn run(&self, task: &Task) -> Result<Built, SourceKernelError> {
        let objects = self.objects();
        if self.apart().is_some() {
            task.message("copying the objects");
            self.set_apart(&objects)?;
        }
        fs_err::create_dir_all(&objects)?;
        let log = beside(&objects, LOG);
        if log.exists() {
            fs_err::remove_file(&log)?;
        }
        task.message("configuring");
        let options = self.configure(&objects, &log)?;
        let config = objects.join(".config");
        let lost = self.check(&config, &options)?;
        let mut seen = Seen::new(&self.tree.work());
        let vmlinux = objects.join("vmlinux");
        let made = thread::scope(|scope| {
            let mut early = None;
            self.image(&objects).run_logged(&log, |line| {
                seen.line(line);
                task.message(line.trim());
                if let Some(linked) = seen.linked_by(line) {
                    early = Some(Early::begin(scope, objects.join(linked)));
                }
            })?;
            let table = early.and_then(|early| early.of(&vmlinux));
            Ok(table.unwrap_or_else(|| table::read(&vmlinux)))
        });
        let table = match made {
            Ok(table) => table,
            Err(ExecError::Failed { .. }) => {
                return Err(SourceKernelError::NotBuilt(Box::new(seen.failed(log))));
            }
            Err(error) => return Err(error.into()),
        };
        let known = beside(&objects, WARNINGS);
        let before: BTreeMap<String, BTreeSet<Warning>> = match fs_err::read(&known) {
            // Without it, those of files that are not compiled again are not known.
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|_| BTreeMap::new()),
            Err(_) => BTreeMap::new(),
        };
        let warnings = log::carried(before, &seen);
        fs_err::write(
            &known,
            serde_json::to_vec(&warnings).map_err(std::io::Error::from)?,
        )?;
        Ok(Built {
            table,
            image: objects.join(match self.arch {
                Arch::X86_64 => "arch/x86/boot/bzImage",
                Arch::S390x => "arch/s390/boot/bzImage",
            }),
            config,
            log,
            lost,
            warnings: warnings.into_values().flatten().collect(),
        })
    }

    /// What a program of the source has of this host: it writes the objects, and reads the rest.
    fn bounds(&self, objects: &Path) -> Bounds {
        let words = self.toolchain.words.iter().map(String::as_str);
        Bounds::of(&[objects], &[self.tree.dir()])
            .calling(words)
            .with_ccache(self.by == By::Source)
    }

    fn make(&self, objects: &Path) -> Command {
        let make = self
            .toolchain
            .command("make")
            .dir(self.tree.work())
            .arg(format!("O={}", objects.display()))
            .args(&self.toolchain.words);
        self.bounds(objects).around(make)
    }

    /// The call that builds the kernel.
    fn image(&self, objects: &Path) -> Command {
        let make = self.make(objects).args(&self.toolchain.jobs).arg("bzImage");
        // Make says itself that there is no configuration.
        let config = fs_err::read_to_string(objects.join(".config")).unwrap_or_default();
        match config.lines().any(|line| line == "CONFIG_DEBUG_INFO_NONE=y") {
            // Line tables, by which it is known what of a source runs: the cheapest debug information that has them. A configuration with its own may
            // need it whole. A word on the command line hides the variable of the user's.
            true => {
                let theirs = self.toolchain.flags.as_deref().unwrap_or("");
                make.arg(format!("KCFLAGS={theirs} -g1"))
            }
            false => make,
        }
    }

    /// Merges the fragments by the kernel's own script, unless that was done for the same Kconfig files. Returns the options that this version has.
    fn configure(&self, objects: &Path, log: &Path) -> Result<BTreeSet<String>, SourceKernelError> {
        let git = self.tree.git();
        let files = git.run(&[
            "ls-files",
            "-s",
            "--",
            ":(glob)**/Kconfig*",
            "scripts/kconfig",
            "scripts/Kconfig.include",
        ])?;
        let mut key = Key::new().with(LAYOUT).with(self.compiler).with(files);
        for fragment in self.fragments {
            key = key.with(fragment.text);
        }
        for word in &self.toolchain.words {
            key = key.with(word);
        }
        let key = key.finish();
        let stamp = beside(objects, CONFIGURED);
        let config = objects.join(".config");
        if config.is_file()
            && let Ok(text) = fs_err::read(&stamp)
            // One that another version wrote is as good as none.
            && let Ok(configured) = serde_json::from_slice::<Configured>(&text)
            && configured.key == key
        {
            return Ok(configured.options);
        }
        let folder = beside(objects, ASKED);
        fs_err::create_dir_all(&folder)?;
        let mut merge = self
            .toolchain
            .command("scripts/kconfig/merge_config.sh")
            .dir(self.tree.work())
            .args(["-n", "-O"])
            .arg(objects);
        // The script hands its environment on to make.
        for word in &self.toolchain.words {
            if let Some((name, value)) = word.split_once('=') {
                merge = merge.env(name, value);
            }
        }
        for fragment in self.fragments {
            let file = folder.join(format!("{}.config", fragment.name));
            fs_err::write(&file, fragment.text)?;
            merge = merge.arg(file);
        }
        // The script makes a file in its own folder, and takes it away.
        let bounds = self.bounds(objects).with_scratch(&self.tree.work())?;
        let mut seen = Seen::new(&self.tree.work());
        match bounds.around(merge).run_logged(log, |line| seen.line(line)) {
            Ok(()) if config.is_file() => {}
            Ok(()) | Err(ExecError::Failed { .. }) => {
                return Err(SourceKernelError::NotBuilt(Box::new(seen.failed(log.to_owned()))));
            }
            Err(error) => return Err(error.into()),
        }
        let configured = Configured {
            key,
            options: self.options()?,
        };
        fs_err::write(
            &stamp,
            serde_json::to_vec(&configured).map_err(std::io::Error::from)?,
        )?;
        Ok(configured.options)
    }

    /// The options that this version has.
    fn options(&self) -> Result<BTreeSet<String>, SourceKernelError> {
        let grep = [
            "grep",
            "-h",
            "--extended-regexp",
            "^(menu)?config ",
            "--",
            ":(glob)**/Kconfig*",
        ];
        let lines = self.tree.git().run(&grep)?;
        let names = lines.lines().filter_map(|line| line.split_whitespace().nth(1));
        Ok(names.map(str::to_owned).collect())
    }

    /// Compares the configuration with what was asked. `options` are those that this version has.
    fn check(&self, config: &Path, options: &BTreeSet<String>) -> Result<Vec<Lost>, SourceKernelError> {
        let broken = |source| SourceKernelError::Config {
            path: config.to_owned(),
            source,
        };
        let asked = asked::asked(self.fragments).map_err(broken)?;
        let is = Kconfig::parse(&fs_err::read_to_string(config)?).map_err(broken)?;
        let lost = asked::lost(&asked, &is, |name| options.contains(name));
        let needed: Vec<String> = lost
            .iter()
            .filter(|lost| matches!(lost.weight, Weight::Needed(_)))
            .map(ToString::to_string)
            .collect();
        if needed.is_empty() {
            Ok(lost)
        } else {
            Err(SourceKernelError::Needed(needed.join("\n")))
        }
    }
}

/// The call of make by which [`build_kernel`](super::build_kernel) builds what is checked out in a tree, without a configuration of
/// `kconfigs/debug`; the objects are there once it has done so. For measuring what is done beside it.
pub fn make_alone(tree: &SourceTree, arch: Arch) -> Command {
    let build = Build {
        tree,
        arch,
        fragments: &[],
        toolchain: &Toolchain::here(arch),
        compiler: "",
        by: By::Source,
    };
    build.image(&build.objects())
}

/// What lies beside a folder of objects.
const CONFIGURED: &str = "configured";
const WARNINGS: &str = "warnings";
const LOG: &str = "log";
const ASKED: &str = "asked";

/// What is not there need not be taken away.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file beside the folder of objects, so that `make mrproper` does not know it.
fn beside(objects: &Path, extension: &str) -> PathBuf {
    let name = objects.file_name().unwrap_or_default().to_string_lossy();
    objects.with_file_name(format!("{name}.{extension}"))
}
