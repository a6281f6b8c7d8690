// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image of a kernel: what goes into it, and making it.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{programs::Program, userland};
use crate::{
    cache::{self, Cache, CacheError, Key, NotHere},
    kernel::{Kernel, ModuleError, ModuleFile, Modules},
    packages::{DebianSuite, PackageFacts, Packages, PackagesError},
};
use base::{Arch, ui::Ui};
use format::{
    cpio::{Node, Tree, TreeError},
    deb::DebError,
    elf::ElfError,
    kconfig::Kconfig,
};
use memory::{LEDGER, LEDGER_FILE};

/// Modules that the guest loads when it boots, where the kernel has them as modules: its network, and the line by which it is told
/// what to do. On s390x the bus is always built in.
pub(crate) const fn boot_modules(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &["virtio_pci", "virtio_net", "virtio_console"],
        Arch::S390x => &["virtio_net", "virtio_console"],
    }
}

/// Modules that are in the image for `modprobe`, where the kernel has them as modules.
pub(crate) const SPARE_MODULES: [&str; 4] = [
    "memory-notifier-error-inject",
    "virtio_mem",
    "hwpoison-inject",
    "virtio_rng",
];

const INIT: &[u8] = include_bytes!("../../../../guest-images/rootfs/init");
const LINE: &[u8] = include_bytes!("../../../../guest-images/rootfs/line");

/// What init mounts in one go.
const FSTAB: &str = "proc /proc proc defaults 0 0\nsys /sys sysfs defaults 0 0\n\
    run /run tmpfs mode=755 0 0\ntmp /tmp tmpfs mode=1777 0 0\npts /dev/pts devpts mode=600 0 0\n";

/// Path of the host key in the guest.
const HOST_KEY: &str = "etc/dropbear/host_key";
const AUTHORIZED_KEYS: &str = "root/.ssh/authorized_keys";

/// Changes when the layout of the image does.
const LAYOUT: &str = "image 2";

/// A file that a caller puts into the image.
#[derive(Debug, Clone, Copy)]
pub struct Extra<'a> {
    /// Path in the guest.
    pub path: &'a str,
    /// Contents.
    pub bytes: &'a [u8],
    /// Permission bits.
    pub mode: u32,
}

/// An initramfs in the cache, still without the keys of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The archive.
    pub path: PathBuf,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Packages that its programs came from.
    pub packages: Vec<PackageFacts>,
    /// Names of the modules that are loaded at boot, in order.
    pub(crate) boot_modules: Vec<String>,
    /// Names of the modules that can be loaded by `modprobe`, those of the boot included.
    pub(crate) modules: Vec<String>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Getting its packages.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A package of it.
    #[error("unpacking `{package}`")]
    Unpack {
        /// The package.
        package: String,
        /// What is wrong.
        source: DebError,
    },
    /// The kernel's modules.
    #[error("modules of kernel {kernel}")]
    Modules {
        /// The kernel's label.
        kernel: String,
        /// What is wrong.
        source: ModuleError,
    },
    /// A path that cannot be.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The kernel cannot reach its network.
    #[error(
        "kernel {kernel} has no virtio network: `CONFIG_VIRTIO_NET` is n in its configuration; build it with =y, \
         or with =m and name its modules (`image:PATH,modules=DIRECTORY`)"
    )]
    NoNetwork {
        /// The kernel's label.
        kernel: String,
    },
    /// The kernel's modules were not named.
    #[error(
        "kernel {kernel} has its virtio network as a module (`CONFIG_VIRTIO_NET=m`), but no `virtio_net` was found: \
         name its modules (`image:PATH,modules=DIRECTORY`)"
    )]
    NoModules {
        /// The kernel's label.
        kernel: String,
    },
    /// A program of the packages is not as it was.
    #[error("`{path}` of package {package}")]
    Program {
        /// The file.
        path: String,
        /// Its package.
        package: String,
        /// What is wrong.
        source: ElfError,
    },
    /// A file is in none of the packages.
    #[error("none of the guest's packages has `{0}`")]
    NoFile(String),
    /// The guest's busybox lacks programs.
    #[error("the guest's busybox has no {}", .0.join(", "))]
    Applets(Vec<&'static str>),
    /// A file; the source has its path.
    #[error("making an image")]
    Io(#[from] io::Error),
}

impl ImageError {
    /// What would be got or made, where the cache is only looked at.
    pub fn not_here(&self) -> Option<&NotHere> {
        match self {
            Self::Cache(CacheError::NotHere(what)) => Some(what),
            Self::Packages(error) => error.not_here(),
            _ => None,
        }
    }
}

/// What is kept beside the archive.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    sha256: String,
    packages: Vec<PackageFacts>,
}

/// Gets the image for a kernel: out of the cache, or by making it.
///
/// # Errors
/// Packages cannot be had, or the kernel has no network that the guest could be reached by.
pub fn obtain(
    kernel: &Kernel,
    extra: &[Extra<'_>],
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Image, ImageError> {
    let get = |packages: &Packages, cache: &Cache| of_a_release(kernel, extra, packages, cache, ui);
    packages.looked_first(cache, get)
}

/// The image with programs of the usual release, or of another one where the mirror lacks those.
fn of_a_release(
    kernel: &Kernel,
    extra: &[Extra<'_>],
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Image, ImageError> {
    let made = |suite| match attempt(suite, kernel, extra, packages, cache, ui) {
        // Fetching found that the index was old, and renewed it.
        Err(ImageError::Packages(PackagesError::Gone { .. })) => {
            attempt(suite, kernel, extra, packages, cache, ui)
        }
        outcome => outcome,
    };
    let [usual, others @ ..] = userland::RELEASES;
    let absent = match made(usual) {
        Err(ImageError::Packages(absent @ PackagesError::Absent { .. })) => absent,
        outcome => return outcome,
    };
    // The guest's programs do not depend on the kernel: those of another release do as well.
    for suite in others {
        match made(suite) {
            Err(ImageError::Packages(PackagesError::Absent { .. })) => {}
            Ok(image) => {
                packages.tell(format!("{absent}; the guest's programs are those of {suite}"));
                return Ok(image);
            }
            outcome => return outcome,
        }
    }
    Err(ImageError::Packages(absent))
}

fn attempt(
    suite: DebianSuite,
    kernel: &Kernel,
    extra: &[Extra<'_>],
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Image, ImageError> {
    let (boot, all) = modules_of(kernel)?;
    // Where modprobe looks; the folder of a built tree has another name. A kernel with modules has one, and without any no path needs it.
    let release = kernel.release.clone().unwrap_or_default();
    let parts = userland::resolve(packages, suite, kernel.arch)?;

    // All but the packages' files, which their sums stand for.
    let mut tree = Tree::new();
    ours(&mut tree, kernel.arch)?;
    put_modules(&mut tree, &release, &boot, &all)?;
    for file in extra {
        tree.put(file.path, Node::File(file.bytes.to_vec()), file.mode)?;
    }
    let mut key = Key::new()
        .with(LAYOUT)
        .with(tree.archive()?)
        .with(userland::APPLETS.join(" "));
    for part in &parts {
        key = key.with(&part.sha256);
    }
    let key = key.finish();
    if cache.only_looks() && cache.find("images", &key).is_none() {
        for part in &parts {
            // What the mirror lacks makes the image one of another release.
            if let Err(error @ PackagesError::Absent { .. }) = packages.fetch(part, kernel.arch) {
                return Err(error.into());
            }
        }
        return Err(NotHere::would("it would be made").into());
    }
    let dir = cache.entry("images", &key, |dir| {
        // Fetching tells of itself; a release whose programs cannot be had makes no image to tell of.
        let used = userland::fill(&mut tree, &parts, packages, kernel.arch)?;
        let task = ui.task(format!("image for {}", kernel.label), None);
        let archive = tree.archive()?;
        let facts = Facts {
            sha256: cache::sha256(&archive),
            packages: used,
        };
        fs_err::write(dir.join("initrd.cpio"), &archive)?;
        fs_err::write(
            dir.join("facts.json"),
            serde_json::to_vec(&facts).map_err(io::Error::from)?,
        )?;
        task.done(&format!("{:.1} MB", archive.len() as f64 / 1e6));
        Ok::<_, ImageError>(())
    })?;
    let facts = fs_err::read(dir.join("facts.json"))?;
    let Facts { sha256, packages } = serde_json::from_slice(&facts).map_err(io::Error::from)?;
    let names = |modules: &[ModuleFile]| modules.iter().map(|module| module.name.clone()).collect();
    Ok(Image {
        path: dir.join("initrd.cpio"),
        sha256,
        packages,
        boot_modules: names(&boot),
        modules: names(&all),
    })
}

/// The modules to load at boot, and all that go into the image.
fn modules_of(kernel: &Kernel) -> Result<(Vec<ModuleFile>, Vec<ModuleFile>), ImageError> {
    let wrong = |source| ImageError::Modules {
        kernel: kernel.label.clone(),
        source,
    };
    let modules = match &kernel.modules_dir {
        Some(dir) => Modules::open(dir).map_err(wrong)?,
        None => Modules::default(),
    };
    let boot = modules.closure(boot_modules(kernel.arch)).map_err(wrong)?;
    if let Some(config) = &kernel.config
        && !config.built_in("VIRTIO_NET")
        && !has_line(config, kernel.arch)
        && !modules.has("virtio_net")
    {
        let kernel = kernel.label.clone();
        return Err(if config.enabled("VIRTIO_NET") {
            ImageError::NoModules { kernel }
        } else {
            ImageError::NoNetwork { kernel }
        });
    }
    let names: Vec<&str> = boot_modules(kernel.arch)
        .iter()
        .chain(&SPARE_MODULES)
        .copied()
        .collect();
    let all = modules.closure(&names).map_err(wrong)?;
    Ok((boot, all))
}

/// Whether scripts reach a guest over the line without any module, so that it can do without a network.
fn has_line(config: &Kconfig, arch: Arch) -> bool {
    let bus = match arch {
        Arch::X86_64 => "VIRTIO_PCI",
        Arch::S390x => "S390_GUEST",
    };
    config.built_in("VIRTIO_CONSOLE") && config.built_in(bus)
}

/// Init, its configuration, and the directories that it mounts things on.
fn ours(tree: &mut Tree, arch: Arch) -> Result<(), TreeError> {
    let text = |text: &str| Node::File(text.as_bytes().to_vec());
    tree.put("init", Node::File(INIT.to_vec()), 0o755)?;
    tree.put("bin/memrig-line", Node::File(LINE.to_vec()), 0o755)?;
    tree.put(LEDGER_FILE, text(LEDGER), 0o644)?;
    for program in Program::ALL {
        tree.put(program.path(), Node::File(program.file(arch)), 0o755)?;
    }
    // The kernel opens it for init before anything is mounted.
    tree.put("dev/console", Node::Char(5, 1), 0o600)?;
    for dir in ["proc", "sys", "run", "tmp"] {
        tree.put(dir, Node::Dir, 0o755)?;
    }
    tree.put("root", Node::Dir, 0o700)?;
    tree.put("root/.ssh", Node::Dir, 0o700)?;
    tree.put("etc/dropbear", Node::Dir, 0o700)?;
    tree.put("etc/passwd", text("root:x:0:0:root:/root:/bin/sh\n"), 0o644)?;
    tree.put("etc/group", text("root:x:0:\n"), 0o644)?;
    tree.put("etc/shells", text("/bin/sh\n"), 0o644)?;
    let nsswitch = "passwd: files\ngroup: files\n";
    tree.put("etc/nsswitch.conf", text(nsswitch), 0o644)?;
    tree.put("etc/fstab", text(FSTAB), 0o644)
}

fn put_modules(
    tree: &mut Tree,
    release: &str,
    boot: &[ModuleFile],
    all: &[ModuleFile],
) -> Result<(), TreeError> {
    let names: Vec<&str> = boot.iter().map(|module| module.name.as_str()).collect();
    let list = format!("{}\n", names.join(" "));
    tree.put("etc/memrig/modules", Node::File(list.into_bytes()), 0o644)?;
    if all.is_empty() {
        return Ok(());
    }
    for module in all {
        tree.put(
            &format!("lib/modules/{release}/{}", module.path),
            Node::File(module.bytes.clone()),
            0o644,
        )?;
    }
    tree.put(
        &format!("lib/modules/{release}/modules.dep"),
        Node::File(modules_dep(all).into_bytes()),
        0o644,
    )
}

/// `modules.dep` as depmod writes it: each module with all that it needs, the nearest first.
fn modules_dep(modules: &[ModuleFile]) -> String {
    let find = |name: &String| modules.iter().find(|module| module.name == *name);
    let mut text = String::new();
    for module in modules {
        let mut needs: Vec<&ModuleFile> = Vec::new();
        let mut open: std::collections::VecDeque<_> = module.depends.iter().filter_map(find).collect();
        while let Some(needed) = open.pop_front() {
            // One that is needed again further down must be loaded before all that need it: it moves to the end.
            needs.retain(|known| known.name != needed.name);
            needs.push(needed);
            open.extend(needed.depends.iter().filter_map(find));
        }
        text += &module.path;
        text.push(':');
        for needed in needs {
            text.push(' ');
            text += &needed.path;
        }
        text.push('\n');
    }
    text
}

/// The archive with the keys of a run: the guest's host key in dropbear's format, and the line that lets us in.
///
/// # Errors
/// Writing to memory fails in no way that is known.
pub fn keys_cpio(host_key: &[u8], authorized_key: &str) -> Result<Vec<u8>, ImageError> {
    let mut tree = Tree::new();
    tree.put("etc/dropbear", Node::Dir, 0o700)?;
    tree.put("root", Node::Dir, 0o700)?;
    tree.put("root/.ssh", Node::Dir, 0o700)?;
    tree.put(HOST_KEY, Node::File(host_key.to_vec()), 0o600)?;
    tree.put(
        AUTHORIZED_KEYS,
        Node::File(authorized_key.as_bytes().to_vec()),
        0o600,
    )?;
    Ok(tree.archive()?)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
