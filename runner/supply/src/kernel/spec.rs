// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel in words: `NAME=SOURCE`, or a source alone.

use std::{fmt, path::PathBuf, str::FromStr};

use super::source::{BuildSpec, BuildSpecError};
use crate::packages::{DebianSuite, UnknownSuite};
use base::fault::{Blame, Blamed};

/// What a source of kernels begins with, and no name is.
const SCHEMES: [&str; 6] = ["deb", "debian", "image", "rpm", "source", "tree"];

/// Greatest length of a name in bytes.
const LONGEST_NAME: usize = 64;

/// A kernel as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelSpec {
    /// What to call it, where the person says.
    pub name: Option<KernelName>,
    /// Where it comes from.
    pub source: KernelSource,
}

/// What a person calls a kernel: a plain word of letters, digits and `. _ + - @`, whose first character is a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelName(String);

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelSource {
    /// A kernel of a suite of Debian's.
    Debian {
        /// The suite.
        suite: DebianSuite,
        /// The version of its package; without one, the newest.
        version: Option<String>,
    },
    /// Packages on this machine: one, or those that it is split over.
    Packages(PackageForm, Vec<PathBuf>),
    /// Files on this machine.
    Image(ImageSpec),
    /// A source that is built.
    Source(BuildSpec),
}

/// The form of packages on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageForm {
    /// Debian's.
    Deb,
    /// RPM's.
    Rpm,
}

impl fmt::Display for PackageForm {
    /// How their names end, and what a kernel out of them begins with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        })
    }
}

/// A kernel out of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// The bootable image (bzImage), or a folder that has one, and more of what follows.
    pub path: PathBuf,
    /// Its modules: `lib/modules/RELEASE`, or what `make modules_install INSTALL_MOD_PATH=` filled.
    pub modules: Option<PathBuf>,
    /// Its `.config`.
    pub config: Option<PathBuf>,
    /// Its `vmlinux`, with line tables.
    pub vmlinux: Option<PathBuf>,
}

/// The text names no kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No scheme that is known.
    #[error(
        "`{0}` names no kernel: expected `debian:SUITE[=VERSION]`, `deb:FILE.deb[+FILE.deb]`, `rpm:FILE.rpm[+FILE.rpm]`, `tree:PATH[@COMMIT]`, `source:debian:SUITE`, \
         `image:FILE` or `image:DIR` with `[,modules=DIRECTORY][,config=FILE][,vmlinux=FILE]`, each with `NAME=` before it or not"
    )]
    Scheme(String),
    /// What stands before the first `=` is no name.
    #[error(
        "`{name}` in `{text}` is no name for a kernel: expected a word of letters, digits and `.`, `_`, `+`, `-`, `@` that begins with a \
         letter or digit, has {LONGEST_NAME} characters or fewer, and is none of {}", SCHEMES.join(", ")
    )]
    Name {
        /// The whole text.
        text: String,
        /// What stands there.
        name: String,
    },
    /// `debian:` and something else.
    #[error("`{text}` names no kernel: {why}")]
    Suite {
        /// The whole text.
        text: String,
        /// Why.
        why: UnknownSuite,
    },
    /// `debian:SUITE=` and no version.
    #[error(
        "`{0}` names no version of a package: expected `debian:SUITE=VERSION`, such as `debian:trixie=6.12.107-1`"
    )]
    Version(String),
    /// `tree:` or `source:` and what does not say what to build.
    #[error(transparent)]
    Source(#[from] BuildSpecError),
    /// `deb:` or `rpm:`, and what are no packages.
    #[error(
        "`{text}` names no package: expected `{form}:FILE.{form}`, or `{form}:FILE.{form}+FILE.{form}` for a kernel that is split over several"
    )]
    Packages {
        /// The whole text.
        text: String,
        /// The form that it begins with.
        form: PackageForm,
    },
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

impl KernelSpec {
    /// A kernel without a name of its own.
    pub fn of(source: KernelSource) -> Self {
        Self { name: None, source }
    }

    /// The newest kernel of a suite of Debian's.
    pub fn debian(suite: DebianSuite) -> Self {
        Self::of(KernelSource::Debian { suite, version: None })
    }
}

impl FromStr for KernelSpec {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        // The first `=` of a source stands behind its scheme.
        let (name, source) = match text.split_once('=') {
            Some((name, source)) if !name.contains(':') => {
                let name = KernelName::new(name).ok_or_else(|| SourceError::Name {
                    text: text.to_owned(),
                    name: name.to_owned(),
                })?;
                (Some(name), source)
            }
            _ => (None, text),
        };
        Ok(Self {
            name,
            source: source.parse()?,
        })
    }
}

impl fmt::Display for KernelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}={}", self.source),
            None => self.source.fmt(f),
        }
    }
}

impl KernelName {
    /// The name, if the text is one.
    pub fn new(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-@".contains(c);
        let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(plain)
            && text.len() <= LONGEST_NAME
            && !SCHEMES.contains(&text);
        is_name.then(|| Self(text.to_owned()))
    }

    /// The name of this kernel with a series on top.
    #[must_use]
    pub fn with_series(&self) -> Self {
        Self(format!("{self}+series"))
    }
}

impl fmt::Display for KernelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KernelSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme {
            "debian" => debian_source(text, rest),
            "deb" => packages(text, PackageForm::Deb, rest),
            "rpm" => packages(text, PackageForm::Rpm, rest),
            "image" => ImageSpec::parse(text, rest).map(Self::Image),
            "tree" | "source" => Ok(Self::Source(BuildSpec::parse(text)?)),
            _ => Err(SourceError::Scheme(text.to_owned())),
        }
    }
}

impl fmt::Display for KernelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian { suite, version } => match version {
                Some(version) => write!(f, "debian:{suite}={version}"),
                None => write!(f, "debian:{suite}"),
            },
            Self::Source(spec) => spec.fmt(f),
            Self::Packages(form, files) => {
                let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                write!(f, "{form}:{}", files.join("+"))
            }
            Self::Image(spec) => spec.fmt(f),
        }
    }
}

/// Reads what follows `debian:`; `text` is all of it.
fn debian_source(text: &str, rest: &str) -> Result<KernelSource, SourceError> {
    let (suite, version) = match rest.split_once('=') {
        Some((suite, version)) => (suite, Some(version)),
        None => (rest, None),
    };
    let suite = suite.parse().map_err(|why| SourceError::Suite {
        text: text.to_owned(),
        why,
    })?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".+-~:".contains(c);
    match version {
        Some(version) if version.is_empty() || !version.chars().all(plain) => {
            Err(SourceError::Version(text.to_owned()))
        }
        version => Ok(KernelSource::Debian {
            suite,
            version: version.map(str::to_owned),
        }),
    }
}

/// Reads what follows `deb:` or `rpm:`; `text` is all of it. Names of packages have a `+` in them, too, as that in `6.12.107+deb13`.
fn packages(text: &str, form: PackageForm, rest: &str) -> Result<KernelSource, SourceError> {
    let ending = format!(".{form}");
    let between = format!("{ending}+");
    let mut files = Vec::new();
    let mut rest = rest;
    while let Some(at) = rest.find(&between) {
        let (file, others) = rest.split_at(at + ending.len());
        files.push(file);
        rest = &others[1..];
    }
    files.push(rest);
    let is_package = |file: &&str| file.strip_suffix(&*ending).is_some_and(|name| !name.is_empty());
    if !files.iter().all(is_package) {
        let text = text.to_owned();
        return Err(SourceError::Packages { text, form });
    }
    Ok(KernelSource::Packages(
        form,
        files.into_iter().map(PathBuf::from).collect(),
    ))
}

impl ImageSpec {
    /// Reads what follows `image:`; `text` is all of it.
    fn parse(text: &str, rest: &str) -> Result<Self, SourceError> {
        let mut words = rest.split(',');
        let path = words.next().filter(|path| !path.is_empty());
        let mut spec = Self {
            path: PathBuf::from(path.ok_or_else(|| SourceError::NoPath(text.to_owned()))?),
            modules: None,
            config: None,
            vmlinux: None,
        };
        for word in words {
            let (option, value) = word.split_once('=').unwrap_or((word, ""));
            let place = match option {
                "modules" => Some(&mut spec.modules),
                "config" => Some(&mut spec.config),
                "vmlinux" => Some(&mut spec.vmlinux),
                _ => None,
            };
            match place {
                Some(place) if place.is_none() && !value.is_empty() => *place = Some(PathBuf::from(value)),
                _ => {
                    return Err(SourceError::Option {
                        text: text.to_owned(),
                        word: word.to_owned(),
                    });
                }
            }
        }
        Ok(spec)
    }
}

impl fmt::Display for ImageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image:{}", self.path.display())?;
        let words = [
            ("modules", &self.modules),
            ("config", &self.config),
            ("vmlinux", &self.vmlinux),
        ];
        for (word, file) in words {
            if let Some(file) = file {
                write!(f, ",{word}={}", file.display())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<KernelSpec>().unwrap_err().to_string()
    }

    #[test]
    fn kernels_are_read_and_written_alike() {
        for text in [
            "debian:trixie",
            "debian:sid",
            "debian:trixie-backports",
            "debian:trixie=6.12.107-1",
            "v=debian:bookworm-security=6.12.117-1~deb12u1",
            "deb:./linux-image-6.12.107+deb13-s390x_6.12.107-1_s390x.deb",
            "image:/boot/vmlinuz",
            "image:out/bzImage,modules=out/mods,config=.config",
            "image:bzImage,config=c",
            "image:bzImage,vmlinux=vmlinux",
            "tree:linux@v6.12,config=kasan",
            "source:debian:trixie",
            "old=debian:bookworm",
            "6.12-rc1=image:bzImage,config=c",
        ] {
            assert_eq!(text.parse::<KernelSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_name_stands_before_the_first_equals_sign_unless_a_colon_does() {
        let name = |text: &str| {
            text.parse::<KernelSpec>()
                .unwrap()
                .name
                .map(|name| name.to_string())
        };
        assert_eq!(name("image:x,config=y"), None);
        assert_eq!(name("v1=image:x,config=y").as_deref(), Some("v1"));
        assert_eq!(name("a+b_c.d-e@f=debian:sid").as_deref(), Some("a+b_c.d-e@f"));
    }

    #[test]
    fn what_is_no_name_is_told() {
        for name in ["", "a b", "a/b", "-a", "ä", "debian", "tree", &"x".repeat(65)] {
            let said = error(&format!("{name}=debian:sid"));
            let begin = format!(
                "`{name}` in `{name}=debian:sid` is no name for a kernel: expected a word of letters"
            );
            assert!(said.starts_with(&begin), "{said}");
        }
    }

    #[test]
    fn packages_are_told_from_each_other_by_their_ending() {
        let KernelSource::Packages(PackageForm::Deb, files) =
            "deb:a+b/linux_7.2+deb14.deb+c.deb".parse().unwrap()
        else {
            panic!("no packages");
        };
        assert_eq!(
            files,
            [PathBuf::from("a+b/linux_7.2+deb14.deb"), PathBuf::from("c.deb")]
        );
        for text in [
            "deb:",
            "deb:x",
            "deb:.deb",
            "deb:a.deb+b",
            "deb:a.deb+",
            "deb:a.deb+.deb",
        ] {
            let said = format!("`{text}` names no package: expected `deb:FILE.deb`");
            assert!(error(text).starts_with(&said), "{}", error(text));
        }
        let rpms = KernelSource::Packages(PackageForm::Rpm, ["a+b/k.rpm", "c.rpm"].map(PathBuf::from).into());
        assert_eq!("rpm:a+b/k.rpm+c.rpm".parse(), Ok(rpms));
        assert!(error("rpm:a.deb").contains("expected `rpm:FILE.rpm`, or `rpm:FILE.rpm+FILE.rpm`"));
    }

    #[test]
    fn what_names_no_kernel_is_told() {
        assert!(error("trixie").contains("expected `debian:SUITE[=VERSION]`, `deb:FILE"));
        assert!(error("a=").contains("`` names no kernel"));
        assert!(error("debian:").contains("`debian:` names no kernel: unknown suite of Debian ``"));
        assert!(error("debian:potato").ends_with("trixie-backports, forky, sid, experimental"));
        for text in ["debian:sid=", "debian:sid=a b", "debian:sid=7,x"] {
            assert!(error(text).starts_with(&format!("`{text}` names no version of a package")));
        }
        assert!(error("image:").contains("names no file"));
        assert!(error("image:,config=x").contains("names no file"));
        assert!(error("image:x,mod=y").contains("`mod=y` in `image:x,mod=y`"));
        assert!(error("image:x,config=a,config=b").contains("`config=b`"));
        assert!(error("image:x,modules=").contains("`modules=`"));
    }
}
