// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which kernel is meant, whether it is there, and getting it.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

use super::{
    KernelError, debian, folder,
    header::Header,
    package, source,
    spec::{ImageSpec, KernelSource, KernelSpec},
};
use crate::{
    cache::{self, Cache, NotHere},
    packages::Packages,
    tree::Origin,
};
use base::{Arch, named, ui::Ui};
use format::{
    build_id::BuildId,
    kconfig::Kconfig,
    lines::LineTable,
    mail::{AddedLines, Changed},
};

/// What the series of a kernel changes; also lines without code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeriesChanges {
    /// All of its patches together.
    pub series: Changed,
    /// The lines that the last of them alone has added or changed.
    pub last_patch: AddedLines,
}

/// A kernel that can be booted, with what is known about it before it is.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// How reports and the history call it: its name, where a person gave it one. Else the text of its source, with a digest for the path of a
    /// series; of files, the release, or the image's own name where that does not tell.
    pub label: String,
    /// How a person named it, where that is something else.
    pub source: Option<String>,
    /// Its source, where that is known.
    pub origin: Option<Origin>,
    /// Architecture that it runs on.
    pub arch: Arch,
    /// `uname -r`; `None` where the image does not tell, so that it is known only after boot.
    pub release: Option<String>,
    /// The image to give to QEMU's `-kernel`.
    pub image: PathBuf,
    /// The directory `lib/modules/RELEASE`, which may hold only the modules that memrig needs.
    pub modules_dir: Option<PathBuf>,
    /// Its configuration.
    pub config: Option<Kconfig>,
    /// Which line of its source each piece of its code was made from ([`format::lines::LineTable`]), where that is known.
    pub lines: Option<PathBuf>,
    /// What its series changes.
    pub changed: SeriesChanges,
    /// Packages that it came from; none for a file.
    pub packages: Vec<KernelPackage>,
    /// SHA-256 of the image, in hexadecimal.
    pub sha256: String,
}

/// A package that a kernel came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
}

/// What of a kernel is known without getting anything.
#[derive(Debug)]
pub enum KnownKernel {
    /// All: it is in the cache, or a file of the user's.
    Here(Box<Kernel>),
    /// It would be got or built.
    NotHere {
        /// Its label, by what the user named.
        label: String,
        /// What would be done, and its release, where the index in the cache tells it.
        what: NotHere,
    },
}

impl KnownKernel {
    /// What reports and the history call it.
    pub fn label_mut(&mut self) -> &mut String {
        match self {
            Self::Here(kernel) => &mut kernel.label,
            Self::NotHere { label, .. } => label,
        }
    }
}

/// What of a kernel is known without getting anything: the cache is looked at, and the user's files and trees are asked. Nothing is fetched, built,
/// written or waited for. All that plans without running asks here.
///
/// # Errors
/// What the user named is wrong, as far as that can be seen so.
pub fn known(spec: &KernelSpec, arch: Arch, cache: &Cache, ui: &Ui) -> Result<KnownKernel, KernelError> {
    check(&spec.source, arch)?;
    let cache = cache.looking();
    let packages = Packages::open(&cache, ui);
    match obtain(spec, arch, &packages, &cache, ui) {
        Ok(kernel) => Ok(KnownKernel::Here(Box::new(kernel))),
        Err(error) => match error.not_here() {
            Some(what) => Ok(KnownKernel::NotHere {
                label: label(spec, &cache)?,
                what: what.clone(),
            }),
            None => Err(error),
        },
    }
}

/// How reports and the history call a kernel that is still to be got.
fn label(spec: &KernelSpec, cache: &Cache) -> Result<String, KernelError> {
    match (&spec.name, &spec.source) {
        (Some(name), _) => Ok(name.to_string()),
        (None, KernelSource::Source(build)) => match build.label(cache) {
            // Which patches it has is not known.
            Err(error) if error.not_here().is_some() => Ok(build.to_string()),
            label => label.map_err(|error| KernelError::Source(Box::new(error.into()))),
        },
        (None, KernelSource::Packages(form, files)) => package::label(*form, files),
        (None, source) => Ok(source.to_string()),
    }
}

/// Gets a kernel: out of the cache, or by fetching and unpacking what is needed of it.
///
/// # Errors
/// Each says what to do about it.
pub fn obtain(
    spec: &KernelSpec,
    arch: Arch,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Kernel, KernelError> {
    let kernel = of_source(&spec.source, arch, packages, cache, ui)?;
    let label = match &spec.name {
        Some(name) => name.to_string(),
        None => kernel.label,
    };
    let named = spec.to_string();
    Ok(Kernel {
        source: (named != label).then_some(named),
        label,
        ..kernel
    })
}

fn of_source(
    source: &KernelSource,
    arch: Arch,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Kernel, KernelError> {
    match source {
        KernelSource::Debian { suite, version } => {
            let meant = (*suite, version.as_deref());
            let get = |packages: &Packages, cache: &Cache| {
                debian::obtain(source.to_string(), meant, arch, packages, cache, ui)
            };
            let kernel = packages.looked_first(cache, get)?;
            // The source that the suite has is that of its newest kernel.
            let origin = version.is_none().then_some(Origin::Debian(*suite));
            Ok(Kernel { origin, ..kernel })
        }
        KernelSource::Source(spec) => source::obtain(spec, arch, packages, cache, ui),
        KernelSource::Packages(form, files) => package::obtain(*form, files, arch, cache, ui),
        KernelSource::Image(spec) => {
            let spec = folder::files(spec)?;
            let kernel = of_image(&spec, arch)?;
            // A plan does without.
            let lines = match &spec.vmlinux {
                Some(vmlinux) if !cache.only_looks() => Some(lines_of(vmlinux, &spec.path, cache, ui)?),
                _ => None,
            };
            Ok(Kernel { lines, ..kernel })
        }
    }
}

/// A kernel out of files, which goes by its release.
fn of_image(spec: &ImageSpec, arch: Arch) -> Result<Kernel, KernelError> {
    let name = spec.path.file_name().unwrap_or(spec.path.as_os_str());
    let name = name.to_string_lossy().into_owned();
    let kernel = Kernel::from_files(
        name,
        arch,
        &spec.path,
        spec.modules.as_deref(),
        spec.config.as_deref(),
    )?;
    Ok(Kernel {
        label: kernel.release.clone().unwrap_or(kernel.label),
        ..kernel
    })
}

/// The only architecture that a source has a kernel for; `None` where it may have one for each.
///
/// # Errors
/// A file is no kernel.
pub fn only_arch(source: &KernelSource) -> Result<Option<Arch>, KernelError> {
    match source {
        KernelSource::Debian { .. } | KernelSource::Source(_) => Ok(None),
        KernelSource::Image(spec) => Ok(Some(header(&folder::files(spec)?.path)?.arch)),
        KernelSource::Packages(form, files) => package::only_arch(*form, files),
    }
}

/// The table of lines in a `vmlinux`, kept in the cache for the image that it was found to belong to.
fn lines_of(vmlinux: &Path, image: &Path, cache: &Cache, ui: &Ui) -> Result<PathBuf, KernelError> {
    let key = cache::Key::new()
        .with(LineTable::LAYOUT)
        .with(cache::sha256_file(vmlinux)?)
        .with(cache::sha256_file(image)?)
        .finish();
    let folder = cache.entry("lines", &key, |folder| {
        let bytes = fs_err::read(vmlinux)?;
        let table = LineTable::of_vmlinux(&bytes).map_err(|source| KernelError::Lines {
            path: vmlinux.to_owned(),
            source,
        })?;
        let of_image = BuildId::of_image(&fs_err::read(image)?);
        match BuildId::of_elf(Cursor::new(&bytes)) {
            Some(id) if of_image.contains(&id) => {}
            Some(id) if !of_image.is_empty() => {
                return Err(KernelError::OtherVmlinux {
                    vmlinux: vmlinux.to_owned(),
                    image: image.to_owned(),
                    id,
                    of_image,
                });
            }
            id => ui.warning(&format!(
                "whether `{}` is of the kernel in `{}` is not known, and lines of another one would be wrong: no build id is found in the {}",
                vmlinux.display(),
                image.display(),
                if id.is_some() { "latter" } else { "former" }
            )),
        }
        table.write(fs_err::File::create(folder.join("lines.gz"))?)?;
        Ok::<_, KernelError>(())
    })?;
    Ok(folder.join("lines.gz"))
}

/// Looks at what the user named, before anything long begins: files that are there and are what they should be.
///
/// # Errors
/// Those of [`obtain`] that a short look finds.
pub fn check(source: &KernelSource, arch: Arch) -> Result<(), KernelError> {
    match source {
        KernelSource::Debian { .. } => Ok(()),
        KernelSource::Source(spec) => {
            source::check(spec, arch).map_err(|error| KernelError::Source(Box::new(error)))
        }
        KernelSource::Packages(form, files) => package::check(*form, files, arch),
        KernelSource::Image(spec) => {
            let spec = folder::files(spec)?;
            if let Some(vmlinux) = &spec.vmlinux {
                named::check_file(vmlinux)?;
            }
            of_image(&spec, arch).map(drop)
        }
    }
}

/// Looks at what only the index of a suite tells: whether it has the version that the user named. The index is fetched if it is not there.
///
/// # Errors
/// It has not, or cannot be had.
pub fn check_listed(source: &KernelSource, arch: Arch, packages: &Packages) -> Result<(), KernelError> {
    match source {
        KernelSource::Debian {
            suite,
            version: Some(version),
        } => debian::named(*suite, version, arch, packages).map(drop),
        _ => Ok(()),
    }
}

/// Packages that the host lacks and that getting the kernel needs.
pub fn host_packages(source: &KernelSource, arch: Arch) -> Vec<&'static str> {
    match source {
        KernelSource::Source(_) => source::host_packages(arch),
        KernelSource::Debian { .. } | KernelSource::Image(_) | KernelSource::Packages(..) => Vec::new(),
    }
}

impl Kernel {
    /// A kernel out of files, after a look at each of them.
    ///
    /// # Errors
    /// The image is no kernel of this architecture, or another file is not what it should be.
    pub(crate) fn from_files(
        label: String,
        arch: Arch,
        image: &Path,
        modules: Option<&Path>,
        config: Option<&Path>,
    ) -> Result<Self, KernelError> {
        let unbootable = |source| KernelError::Image {
            path: image.to_owned(),
            source,
        };
        let header = header(image)?.for_arch(arch).map_err(unbootable)?;
        let mut release = header.release;
        let modules_dir = match modules {
            Some(path) => Some(modules_dir(path, release.as_deref())?),
            None => None,
        };
        if release.is_none() {
            // The directory of modules has the release for its name.
            let name = modules_dir.as_deref().and_then(Path::file_name);
            release = name.map(|name| name.to_string_lossy().into_owned());
        }
        let config = match config {
            Some(path) => Some(read_config(path)?),
            None => None,
        };
        Ok(Self {
            label,
            source: None,
            origin: None,
            arch,
            release,
            sha256: cache::sha256_file(image)?,
            image: std::path::absolute(image)?,
            modules_dir,
            config,
            lines: None,
            changed: SeriesChanges::default(),
            packages: Vec::new(),
        })
    }

    /// The text by which a person named it.
    pub fn named(&self) -> &str {
        self.source.as_deref().unwrap_or(&self.label)
    }

    /// The release, or that it is not known yet.
    pub fn release_or_unknown(&self) -> &str {
        self.release.as_deref().unwrap_or("unknown until boot")
    }
}

/// What an image says of itself.
fn header(image: &Path) -> Result<Header, KernelError> {
    named::check_file(image)?;
    Header::read(image)?.map_err(|source| KernelError::Image {
        path: image.to_owned(),
        source,
    })
}

fn read_config(path: &Path) -> Result<Kconfig, KernelError> {
    let bytes = named::read_text(path)?;
    let text = named::text(&bytes).map_err(|source| KernelError::NoText {
        path: path.to_owned(),
        source,
    })?;
    let config = Kconfig::parse(text).map_err(|source| KernelError::Config {
        path: path.to_owned(),
        source,
    })?;
    if config.iter().next().is_none() {
        return Err(KernelError::EmptyConfig(path.to_owned()));
    }
    Ok(config)
}

/// Finds `lib/modules/RELEASE` in what a person named.
fn modules_dir(path: &Path, release: Option<&str>) -> Result<PathBuf, KernelError> {
    let holds = |dir: &Path| dir.join("modules.order").is_file() || dir.join("kernel").is_dir();
    named::check_folder(path)?;
    if holds(path) {
        return Ok(std::path::absolute(path)?);
    }
    let mut found = Vec::new();
    for parent in ["lib/modules", "usr/lib/modules", ""] {
        let parent = path.join(parent);
        match release {
            Some(release) => found.push(parent.join(release)),
            None if parent.is_dir() => {
                for entry in fs_err::read_dir(&parent)? {
                    found.push(entry?.path());
                }
            }
            None => {}
        }
    }
    found.retain(|dir| holds(dir));
    found.sort();
    found.dedup();
    match found.as_slice() {
        // Several releases and no way to tell which one is as good as none.
        [only] => Ok(std::path::absolute(only)?),
        [first, ..] if release.is_some() => Ok(std::path::absolute(first)?),
        _ => Err(KernelError::NoModules {
            path: path.to_owned(),
            release: release.unwrap_or("RELEASE").to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_in_three_places() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().join("lib/modules/6.1.0");
        fs_err::create_dir_all(real.join("kernel")).unwrap();
        assert_eq!(modules_dir(&real, None).unwrap(), real);
        assert_eq!(modules_dir(root.path(), Some("6.1.0")).unwrap(), real);
        assert_eq!(modules_dir(root.path(), None).unwrap(), real);
        assert_eq!(
            modules_dir(&root.path().join("lib/modules"), Some("6.1.0")).unwrap(),
            real
        );
        let wrong = modules_dir(root.path(), Some("6.2.0")).unwrap_err().to_string();
        assert!(wrong.contains("lib/modules/6.2.0"), "{wrong}");
        fs_err::create_dir_all(root.path().join("lib/modules/6.2.0/kernel")).unwrap();
        assert!(modules_dir(root.path(), None).is_err());
    }
}
