// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a kernel in a folder: one that a kernel was built in, `/boot`, `/lib/modules/RELEASE`, or one with `vmlinuz`, `config` and `modules`.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{KernelError, spec::ImageSpec};
use base::Arch;

/// Where a build leaves the image.
const BUILT: [(Arch, &str); 2] = [
    (Arch::X86_64, "arch/x86/boot/bzImage"),
    (Arch::S390x, "arch/s390/boot/bzImage"),
];

/// What an installed image is called, with its release behind.
const INSTALLED: [&str; 2] = ["vmlinuz-", "image-"];

/// What an image is called where it stands alone.
const ALONE: [&str; 3] = ["vmlinuz", "bzImage", "image"];

/// The files that are meant: of a folder, those in it that nobody named.
pub(super) fn files(spec: &ImageSpec) -> Result<ImageSpec, KernelError> {
    if !spec.path.is_dir() {
        return Ok(spec.clone());
    }
    let found = in_folder(&spec.path)?;
    Ok(ImageSpec {
        path: found.path,
        modules: spec.modules.clone().or(found.modules),
        config: spec.config.clone().or(found.config),
        vmlinux: spec.vmlinux.clone().or(found.vmlinux),
    })
}

fn in_folder(folder: &Path) -> Result<ImageSpec, KernelError> {
    let mut found: Vec<ImageSpec> = BUILT
        .iter()
        .map(|(_, image)| folder.join(image))
        .filter(|image| image.is_file())
        .map(|image| built(folder, image))
        .collect();
    for name in ALONE {
        let image = folder.join(name);
        // In `/boot` it is a link to one of those that are installed.
        if image.is_file() && !image.is_symlink() {
            found.push(alone(folder, image));
        }
    }
    for place in [folder.to_owned(), folder.join("boot")] {
        if found.is_empty() && place.is_dir() {
            found = installed(&place)?;
        }
    }
    match found.len() {
        0 => Err(KernelError::EmptyFolder(folder.to_owned())),
        1 => Ok(found.remove(0)),
        _ => {
            let words: Vec<String> = found.iter().map(|spec| format!("`{spec}`")).collect();
            Err(KernelError::SeveralImages {
                path: folder.to_owned(),
                images: words.join(", "),
            })
        }
    }
}

/// A kernel where it was built. Its modules are those of the folder, if it built some.
fn built(folder: &Path, image: PathBuf) -> ImageSpec {
    ImageSpec {
        path: image,
        modules: folder.join("modules.order").is_file().then(|| folder.to_owned()),
        config: file(folder.join(".config")),
        vmlinux: file(folder.join("vmlinux")),
    }
}

/// A kernel whose files have no release in their names, as in `/lib/modules/RELEASE`.
fn alone(folder: &Path, image: PathBuf) -> ImageSpec {
    let is_modules = folder.join("kernel").is_dir() || folder.join("modules.order").is_file();
    let modules = ["modules", "lib/modules"].map(|name| folder.join(name));
    ImageSpec {
        path: image,
        modules: match is_modules {
            true => Some(folder.to_owned()),
            false => modules.into_iter().find(|path| path.is_dir()),
        },
        config: file(folder.join("config")).or_else(|| file(folder.join(".config"))),
        vmlinux: file(folder.join("vmlinux")),
    }
}

/// Kernels whose files have their release in their names, as in `/boot`; their modules are in `lib/modules` beside the folder.
fn installed(folder: &Path) -> io::Result<Vec<ImageSpec>> {
    let beside = match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => folder,
    };
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let release = INSTALLED.iter().find_map(|begin| name.strip_prefix(begin));
        // That which a distribution keeps to mend what is broken has no modules.
        let Some(release) = release.filter(|release| !release.starts_with("0-rescue")) else {
            continue;
        };
        if !entry.path().is_file() {
            continue;
        }
        let places = ["lib/modules", "usr/lib/modules"].map(|place| beside.join(place).join(release));
        found.push(ImageSpec {
            path: entry.path(),
            modules: places.into_iter().find(|place| place.is_dir()),
            config: file(folder.join(format!("config-{release}"))),
            vmlinux: file(folder.join(format!("vmlinux-{release}"))),
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn file(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a folder with these files, as words with paths below it.
    fn found(files_there: &[&str], words: &str) -> Result<String, String> {
        let root = tempfile::tempdir().unwrap();
        for name in files_there {
            let path = root.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        }
        let text = format!("image:{}{words}", root.path().display());
        let crate::kernel::KernelSource::Image(spec) = text.parse().unwrap() else {
            panic!("no image");
        };
        let below = |text: String| text.replace(&root.path().display().to_string(), "R");
        match files(&spec) {
            Ok(spec) => Ok(below(spec.to_string())),
            Err(error) => Err(below(error.to_string())),
        }
    }

    #[test]
    fn a_tree_that_was_built() {
        let tree = [
            "arch/x86/boot/bzImage",
            ".config",
            "vmlinux",
            "modules.order",
            "kernel/fork.c",
        ];
        let all = "image:R/arch/x86/boot/bzImage,modules=R,config=R/.config,vmlinux=R/vmlinux";
        assert_eq!(found(&tree, "").unwrap(), all);
        let own = "image:R/arch/x86/boot/bzImage,modules=m,config=c,vmlinux=R/vmlinux";
        assert_eq!(found(&tree, ",modules=m,config=c").unwrap(), own);
        assert_eq!(
            found(&tree[..2], "").unwrap(),
            "image:R/arch/x86/boot/bzImage,config=R/.config"
        );
        let both = ["arch/x86/boot/bzImage", "arch/s390/boot/bzImage"];
        assert_eq!(
            found(&both, "").unwrap_err(),
            "`R` has several kernels: name one of them, `image:R/arch/x86/boot/bzImage`, `image:R/arch/s390/boot/bzImage`"
        );
    }

    #[test]
    fn kernels_that_are_installed() {
        let one = [
            "boot/vmlinuz-6.1",
            "boot/config-6.1",
            "lib/modules/6.1/modules.order",
            "boot/vmlinuz-0-rescue-1a",
        ];
        let word = "image:R/boot/vmlinuz-6.1,modules=R/lib/modules/6.1,config=R/boot/config-6.1";
        assert_eq!(found(&one, "").unwrap(), word);
        assert_eq!(found(&one, "/boot").unwrap(), word);
        let two = ["vmlinuz-6.1", "vmlinuz-6.2", "config-6.2"];
        assert_eq!(
            found(&two, "").unwrap_err(),
            "`R` has several kernels: name one of them, `image:R/vmlinuz-6.1`, `image:R/vmlinuz-6.2,config=R/config-6.2`"
        );
    }

    #[test]
    fn files_without_a_release_in_their_names() {
        assert_eq!(
            found(&["vmlinuz", "config", "modules/6.1/modules.order", "vmlinux"], "").unwrap(),
            "image:R/vmlinuz,modules=R/modules,config=R/config,vmlinux=R/vmlinux"
        );
        assert_eq!(
            found(&["vmlinuz", "config", "kernel/fs/x.ko", "modules.dep"], "").unwrap(),
            "image:R/vmlinuz,modules=R,config=R/config"
        );
        assert_eq!(
            found(&["README"], "").unwrap_err(),
            "`R` has no kernel: expected `arch/x86/boot/bzImage` or `arch/s390/boot/bzImage`, as where one was built, `vmlinuz-RELEASE`, \
             as in /boot, or `vmlinuz`"
        );
    }
}
