// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's source as Debian packages it.

use std::{
    io::BufReader,
    ops::ControlFlow,
    path::{Component, Path, PathBuf},
};

use super::TreeError;
use crate::{
    git::{Git, IN_ONE_PACK},
    packages::{DebianSuite, PackageFacts, Packages},
};
use base::{Arch, ui::Ui};
use format::deb::{DebError, Member, MemberKind, members};

/// The package with the source: the one that `linux-source` depends on.
pub(super) fn package(suite: DebianSuite, packages: &Packages) -> Result<PackageFacts, TreeError> {
    // It is for all architectures; the index that most machines have already is asked.
    let found = packages.closure(suite, Arch::X86_64, &["linux-source"], |relation| {
        relation.name.starts_with("linux-source-")
    })?;
    found
        .into_iter()
        .find(|package| package.name.starts_with("linux-source-"))
        .ok_or_else(|| TreeError::NoTarball("linux-source".to_owned()))
}

/// Unpacks the source into `dir/work`, makes a git repository of it, and returns its only commit.
pub(super) fn unpack(
    package: &PackageFacts,
    dir: &Path,
    packages: &Packages,
    about: &str,
    ui: &Ui,
) -> Result<String, TreeError> {
    let deb = packages.fetch(package, Arch::X86_64)?;
    let task = ui.task(format!("unpack {about}"), None);
    let done = unpacked(package, &deb, dir, about);
    match done {
        Ok(commit) => {
            task.done("a git tree of our own");
            Ok(commit)
        }
        Err(error) => {
            task.failed();
            Err(error)
        }
    }
}

fn unpacked(package: &PackageFacts, deb: &Path, dir: &Path, about: &str) -> Result<String, TreeError> {
    let work = dir.join("work");
    if work.exists() {
        // A half of an earlier attempt.
        fs_err::remove_dir_all(&work)?;
    }
    fs_err::create_dir_all(&work)?;
    let file = BufReader::new(fs_err::File::open(deb)?);
    let mut found = false;
    members::<DebError>(file, |member: Member<'_>| {
        let name = member.path.rsplit('/').next().unwrap_or_default();
        let tarball = name.starts_with("linux-source-") && name.ends_with(".tar.xz");
        if !tarball || member.kind != MemberKind::File {
            return Ok(ControlFlow::Continue(()));
        }
        found = true;
        untar(member.contents, &work)?;
        Ok(ControlFlow::Break(()))
    })
    .map_err(|source| TreeError::Unpack {
        package: package.name.clone(),
        source,
    })?;
    if !found {
        return Err(TreeError::NoTarball(package.name.clone()));
    }
    let git = Git::ours(&work);
    git.run(&["init", "--quiet", "--initial-branch=memrig"])?;
    // What the source ignores for those who build in it is part of it all the same.
    git.run(&[&IN_ONE_PACK[..], &["add", "--all", "--force"]].concat())?;
    git.run(&["commit", "--quiet", "--message", about])?;
    Ok(git.run(&["rev-parse", "HEAD"])?)
}

/// Unpacks the tarball without its first folder. Nothing lands outside of `work`.
fn untar(tarball: impl std::io::Read, work: &Path) -> Result<(), std::io::Error> {
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(tarball));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path: PathBuf = entry.path()?.components().skip(1).collect();
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if path.as_os_str().is_empty() || !plain || entry.header().entry_type().is_pax_global_extensions() {
            continue;
        }
        let place = work.join(&path);
        if let Some(parent) = place.parent() {
            fs_err::create_dir_all(parent)?;
        }
        entry.unpack(&place)?;
    }
    Ok(())
}
