// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which kernel is meant, whether it is there, and getting it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{
    debian,
    header::{Header, HeaderError},
    modules::ModuleError,
    source::{self, BuildSpec, BuildSpecError, SourceKernelError},
};
use crate::{
    cache::{self, Cache, CacheError, NotHere},
    packages::{DebianRelease, PackageFacts, Packages, PackagesError, UnknownRelease},
};
use base::{
    Arch,
    fault::{Blame, Blamed},
    named::{self, NoText},
    ui::Ui,
};
use format::{
    deb::DebError,
    kconfig::{Kconfig, KconfigError},
    lines::{LineTable, LinesError},
    mail::{AddedLines, Changed},
};

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelSource {
    /// The newest kernel of a Debian release.
    Debian(DebianRelease),
    /// A file on this machine.
    Image {
        /// The bootable image (bzImage).
        path: PathBuf,
        /// Its modules: `lib/modules/RELEASE`, or what `make modules_install INSTALL_MOD_PATH=` filled.
        modules: Option<PathBuf>,
        /// Its `.config`.
        config: Option<PathBuf>,
        /// Its `vmlinux`, with line tables.
        vmlinux: Option<PathBuf>,
    },
    /// A source that is built.
    Source(BuildSpec),
}

/// The text names no source of kernels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No scheme that is known.
    #[error(
        "`{0}` names no kernel: expected `debian:RELEASE`, `tree:PATH[@COMMIT]`, `source:debian:RELEASE` or \
         `image:PATH[,modules=DIRECTORY][,config=FILE][,vmlinux=FILE]`"
    )]
    Scheme(String),
    /// `debian:` and something else.
    #[error("`debian:{suite}` names no kernel: {why}")]
    Release {
        /// What stands after the colon.
        suite: String,
        /// Why.
        why: UnknownRelease,
    },
    /// `tree:` or `source:` and what does not say what to build.
    #[error(transparent)]
    Source(#[from] BuildSpecError),
    /// `image:` without a path.
    #[error("`{0}` names no file: expected `image:PATH[,modules=DIRECTORY][,config=FILE][,vmlinux=FILE]`")]
    NoPath(String),
    /// A word after a comma.
    #[error(
        "`{word}` in `{text}` is not understood: expected `modules=DIRECTORY`, `config=FILE` or `vmlinux=FILE`, each once"
    )]
    Option {
        /// The whole text.
        text: String,
        /// The word.
        word: String,
    },
}

impl Blamed for SourceError {
    fn blame(&self) -> Blame {
        Blame::Usage
    }
}

impl FromStr for KernelSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme {
            "debian" => rest
                .parse()
                .map(Self::Debian)
                .map_err(|why| SourceError::Release {
                    suite: rest.to_owned(),
                    why,
                }),
            "image" => image_source(text, rest),
            "tree" | "source" => Ok(Self::Source(BuildSpec::parse(text)?)),
            _ => Err(SourceError::Scheme(text.to_owned())),
        }
    }
}

fn image_source(text: &str, rest: &str) -> Result<KernelSource, SourceError> {
    let mut words = rest.split(',');
    let path = words.next().filter(|path| !path.is_empty());
    let path = PathBuf::from(path.ok_or_else(|| SourceError::NoPath(text.to_owned()))?);
    let (mut modules, mut config, mut vmlinux) = (None, None, None);
    for word in words {
        let place = match word.split_once('=') {
            Some(("modules", value)) if !value.is_empty() && modules.is_none() => Some((&mut modules, value)),
            Some(("config", value)) if !value.is_empty() && config.is_none() => Some((&mut config, value)),
            Some(("vmlinux", value)) if !value.is_empty() && vmlinux.is_none() => Some((&mut vmlinux, value)),
            _ => None,
        };
        let (place, value) = place.ok_or_else(|| SourceError::Option {
            text: text.to_owned(),
            word: word.to_owned(),
        })?;
        *place = Some(PathBuf::from(value));
    }
    Ok(KernelSource::Image {
        path,
        modules,
        config,
        vmlinux,
    })
}

impl fmt::Display for KernelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian(suite) => write!(f, "debian:{suite}"),
            Self::Source(spec) => write!(f, "{spec}"),
            Self::Image {
                path,
                modules,
                config,
                vmlinux,
            } => {
                write!(f, "image:{}", path.display())?;
                for (word, file) in [("modules", modules), ("config", config), ("vmlinux", vmlinux)] {
                    if let Some(file) = file {
                        write!(f, ",{word}={}", file.display())?;
                    }
                }
                Ok(())
            }
        }
    }
}

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
    /// How reports and the history name it: the text of its source, with a digest for the path of a series.
    pub label: String,
    /// How a person named it, where that is something else.
    pub source: Option<String>,
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
    pub packages: Vec<PackageFacts>,
    /// SHA-256 of the image, in hexadecimal.
    pub sha256: String,
}

/// Why a kernel could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
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
    /// No package has it.
    #[error("the packages of {label} have no {what}; they are: {packages}")]
    Missing {
        /// The kernel.
        label: String,
        /// What is not there.
        what: &'static str,
        /// Name and version of each.
        packages: String,
    },
    /// The file is no kernel, or not of this architecture.
    #[error("`{path}` cannot be booted")]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HeaderError,
    },
    /// Its modules.
    #[error("the modules in `{path}`")]
    Modules {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        source: ModuleError,
    },
    /// Not its modules.
    #[error(
        "`{path}` has no modules of this kernel: expected `modules.order` or `kernel/` in it, or in `lib/modules/{release}` under it"
    )]
    NoModules {
        /// The directory that was named.
        path: PathBuf,
        /// Release of the image.
        release: String,
    },
    /// Its configuration.
    #[error("`{path}`")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KconfigError,
    },
    /// Its configuration is no text.
    #[error("`{path}`")]
    NoText {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: NoText,
    },
    /// Its `vmlinux` has no line tables.
    #[error("`{path}`")]
    Lines {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: LinesError,
    },
    /// Its configuration says nothing.
    #[error("`{0}` is no kernel configuration: it sets no option")]
    EmptyConfig(PathBuf),
    /// Its source.
    #[error(transparent)]
    Source(Box<SourceKernelError>),
    /// A file; the source has its path.
    #[error("getting a kernel")]
    Io(#[from] io::Error),
}

impl Blamed for KernelError {
    /// Usage, where what was named is no kernel, or its source says so.
    fn blame(&self) -> Blame {
        match self {
            Self::Image { .. }
            | Self::NoModules { .. }
            | Self::Config { .. }
            | Self::NoText { .. }
            | Self::Lines { .. }
            | Self::EmptyConfig(_)
            | Self::Io(_) => Blame::Usage,
            Self::Source(error) => error.blame(),
            _ => Blame::Bench,
        }
    }
}

impl KernelError {
    /// What would be got or built, where the cache is only looked at.
    pub fn not_here(&self) -> Option<&NotHere> {
        match self {
            Self::Cache(CacheError::NotHere(what)) => Some(what),
            Self::Packages(error) => error.not_here(),
            Self::Source(error) => error.not_here(),
            _ => None,
        }
    }
}

/// What of a kernel is known without getting anything.
#[derive(Debug)]
pub enum Known {
    /// All: it is in the cache, or a file of the user's.
    Here(Box<Kernel>),
    /// It would be got or built.
    NotHere {
        /// Its label, which needs nothing but what the user named.
        label: String,
        /// What would be done, and its release, where the index in the cache tells it.
        what: NotHere,
    },
}

/// What of a kernel is known without getting anything: the cache is looked at, and the user's files and trees are asked. Nothing is fetched, built,
/// written or waited for. All that plans without running asks here.
///
/// # Errors
/// What the user named is wrong, as far as that can be seen so.
pub fn known(source: &KernelSource, arch: Arch, cache: &Cache, ui: &Ui) -> Result<Known, KernelError> {
    check(source, arch)?;
    let cache = cache.looking();
    let packages = Packages::open(&cache, ui);
    match obtain(source, arch, &packages, &cache, ui) {
        Ok(kernel) => Ok(Known::Here(Box::new(kernel))),
        Err(error) => match error.not_here() {
            Some(what) => Ok(Known::NotHere {
                label: label(source)?,
                what: what.clone(),
            }),
            None => Err(error),
        },
    }
}

/// How reports and the history call a kernel of this source.
///
/// # Errors
/// Its series cannot be read.
pub fn label(source: &KernelSource) -> Result<String, KernelError> {
    match source {
        KernelSource::Source(spec) => spec
            .label()
            .map_err(|error| KernelError::Source(Box::new(error.into()))),
        KernelSource::Debian(_) | KernelSource::Image { .. } => Ok(source.to_string()),
    }
}

/// Gets a kernel: out of the cache, or by fetching and unpacking what is needed of it.
///
/// # Errors
/// Each says what to do about it.
pub fn obtain(
    source: &KernelSource,
    arch: Arch,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Kernel, KernelError> {
    let label = source.to_string();
    match source {
        KernelSource::Debian(suite) => {
            let get = |packages: &Packages, cache: &Cache| {
                debian::obtain(label.clone(), *suite, arch, packages, cache, ui)
            };
            packages.looked_first(cache, get)
        }
        KernelSource::Source(spec) => source::obtain(spec, arch, packages, cache, ui),
        KernelSource::Image {
            path,
            modules,
            config,
            vmlinux,
        } => {
            let kernel = Kernel::from_files(label, arch, path, modules.as_deref(), config.as_deref())?;
            // A plan does without.
            let lines = match vmlinux {
                Some(vmlinux) if !cache.only_looks() => Some(lines_of(vmlinux, cache)?),
                _ => None,
            };
            Ok(Kernel { lines, ..kernel })
        }
    }
}

/// The table of lines in a `vmlinux`, kept in the cache.
fn lines_of(vmlinux: &Path, cache: &Cache) -> Result<PathBuf, KernelError> {
    let key = cache::Key::new()
        .with(LineTable::LAYOUT)
        .with(cache::sha256_file(vmlinux)?)
        .finish();
    let folder = cache.entry("lines", &key, |folder| {
        let table = LineTable::of_vmlinux(&fs_err::read(vmlinux)?).map_err(|source| KernelError::Lines {
            path: vmlinux.to_owned(),
            source,
        })?;
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
        KernelSource::Debian(_) => Ok(()),
        KernelSource::Source(spec) => {
            source::check(spec, arch).map_err(|error| KernelError::Source(Box::new(error)))
        }
        KernelSource::Image {
            path,
            modules,
            config,
            vmlinux,
        } => {
            if let Some(vmlinux) = vmlinux {
                named::check_file(vmlinux)?;
            }
            let (modules, config) = (modules.as_deref(), config.as_deref());
            Kernel::from_files(source.to_string(), arch, path, modules, config).map(drop)
        }
    }
}

/// Packages that the host lacks and that getting the kernel needs.
pub fn host_packages(source: &KernelSource, arch: Arch) -> Vec<&'static str> {
    match source {
        KernelSource::Source(_) => source::host_packages(arch),
        KernelSource::Debian(_) | KernelSource::Image { .. } => Vec::new(),
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
        named::check_file(image)?;
        let header = Header::read(image)?.and_then(|header| header.for_arch(arch));
        let header = header.map_err(|source| KernelError::Image {
            path: image.to_owned(),
            source,
        })?;
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

    /// The release, or that it is not known yet.
    pub fn release_or_unknown(&self) -> &str {
        self.release.as_deref().unwrap_or("unknown until boot")
    }
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

    fn error(text: &str) -> String {
        text.parse::<KernelSource>().unwrap_err().to_string()
    }

    #[test]
    fn sources_are_read_and_written_alike() {
        for text in [
            "debian:trixie",
            "debian:sid",
            "image:/boot/vmlinuz",
            "image:out/bzImage,modules=out/mods,config=.config",
            "image:bzImage,config=c",
            "image:bzImage,vmlinux=vmlinux",
            "tree:linux@v6.12,config=kasan",
            "source:debian:trixie",
        ] {
            assert_eq!(text.parse::<KernelSource>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_no_kernel_is_told() {
        assert!(error("trixie").contains("expected `debian:RELEASE`, `tree:PATH"));
        assert!(error("debian:").contains("`debian:` names no kernel"));
        assert!(error("image:").contains("names no file"));
        assert!(error("image:,config=x").contains("names no file"));
        assert!(error("image:x,mod=y").contains("`mod=y` in `image:x,mod=y`"));
        assert!(error("image:x,config=a,config=b").contains("`config=b`"));
        assert!(error("image:x,modules=").contains("`modules=`"));
    }

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
