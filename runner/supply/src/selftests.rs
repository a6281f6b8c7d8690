// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own selftests, from the source of the kernel under test: scripts as they are, C programs built for the guest.

use std::path::{Path, PathBuf};

use super::{
    cache::{Cache, CacheError, Key},
    git::Git,
    host::{self, HostError},
    packages::Packages,
    tree::{Origin, SourceTree, TreeError},
};
use base::{
    Arch,
    exec::{Command, ExecError},
    ui::Ui,
};

/// Why there is no selftest.
#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
    /// The source does not have it.
    #[error("{about} has no {file}")]
    NoFile {
        /// The source.
        about: String,
        /// The file.
        file: String,
    },
    /// It does not build.
    #[error("building {file} of {about}")]
    Build {
        /// The source.
        about: String,
        /// The file.
        file: String,
        /// What the compiler said.
        source: ExecError,
    },
    /// The compiler.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The source.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Git.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// Reading or writing.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A new number makes everything that was built before be built again.
const LAYOUT: &str = "2";

/// Where the selftests are in the source.
const HOME: &str = "tools/testing/selftests";

/// Headers of the kernel's interface that user space includes as `linux/*.h`. Those of an architecture beside them need the whole source.
const HEADERS: &str = "tools/include/uapi/linux";

/// Compiler and the packages that it needs, C library included.
fn compiler(arch: Arch) -> (&'static str, [&'static str; 2]) {
    match arch {
        Arch::X86_64 => ("gcc", ["gcc", "libc6-dev"]),
        Arch::S390x => (
            "s390x-linux-gnu-gcc",
            ["gcc-s390x-linux-gnu", "libc6-dev-s390x-cross"],
        ),
    }
}

/// The file that a guest of `arch` gets for `file`, such as `mm/map_populate.c`; a patch series on the source is not looked at.
///
/// # Errors
/// The source does not have the file, or it does not build.
pub fn get(origin: &Origin, arch: Arch, file: &str, ui: &Ui) -> Result<PathBuf, SelftestError> {
    let cache = Cache::open(ui)?;
    let tree = SourceTree::open(origin, &Packages::open(&cache, ui), &cache, ui)?;
    let key = Key::new()
        .with(LAYOUT)
        .with(tree.base())
        .with(arch.to_string())
        .with(file);
    let dir = cache.entry("selftests", &key.finish(), |dir| make(&tree, arch, file, dir, ui))?;
    Ok(dir.join("selftest"))
}

fn make(tree: &SourceTree, arch: Arch, file: &str, dir: &Path, ui: &Ui) -> Result<(), SelftestError> {
    let path = format!("{HOME}/{file}");
    let git = Git::ours(tree.work());
    let about = tree.about().to_owned();
    // What lies in the work tree may be patched by another run.
    let there = |path: &str| {
        git.run(&["cat-file", "-e", &format!("{}:{path}", tree.base())])
            .is_ok()
    };
    if !there(&path) {
        return Err(SelftestError::NoFile { about, file: path });
    }
    let source = tempfile::tempdir()?;
    let archive = source.path().join("source.tar");
    let output = format!("--output={}", archive.display());
    let folder = path.rsplit_once('/').map_or(HOME, |(folder, _)| folder);
    // kselftest.h, and kselftest_harness.h, which some tests are written with.
    let shared = git.run(&["ls-tree", "--name-only", tree.base(), &format!("{HOME}/")])?;
    let shared = shared.lines().filter(|path| path.ends_with(".h"));
    let mut args = vec!["archive", "--format=tar", &output, tree.base()];
    args.extend([folder, HEADERS].into_iter().filter(|path| there(path)));
    args.extend(shared);
    git.run(&args)?;
    tar::Archive::new(fs_err::File::open(&archive)?).unpack(source.path())?;
    let made = dir.join("selftest");
    let Some(name) = file.strip_suffix(".c") else {
        fs_err::copy(source.path().join(&path), made)?;
        return Ok(());
    };
    let (gcc, packages) = compiler(arch);
    host::install_packages(&packages, ui)?;
    let text = fs_err::read_to_string(source.path().join(&path))?;
    // The Makefile of mm links these to all of its programs.
    let shared = ["vm_util", "thp_settings"];
    let shared = shared
        .iter()
        .filter(|part| text.contains(&format!("\"{part}.h\"")));
    let mut files = vec![path.clone()];
    files.extend(shared.map(|part| format!("{folder}/{part}.c")));
    let build = |more: &[&str]| {
        let command = Command::new(gcc)
            .dir(source.path())
            .args(["-static", "-s", "-O2", "-w"]);
        let command = command.args(["-D_GNU_SOURCE", "-I", HOME]).args(more);
        command
            .arg("-o")
            .arg(&made)
            .args(&files)
            .args(["-lpthread", "-lrt"])
            .output()
    };
    // The C library's own headers of the kernel fit it best; programs that use what is newer than they are need those of the source.
    let built = build(&[]).or_else(|_| {
        let newer = source.path().join("newer");
        fs_err::create_dir(&newer)
            .and_then(|()| fs_err::rename(source.path().join(HEADERS), newer.join("linux")))
            .map_err(|source| ExecError::Output {
                program: gcc.to_owned(),
                source,
            })?;
        build(&["-isystem", "newer"])
    });
    built.map(drop).map_err(|source| SelftestError::Build {
        about,
        file: format!("{name}.c"),
        source,
    })?;
    Ok(())
}
