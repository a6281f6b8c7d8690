// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels out of packages that lie on this machine, whoever built them.

use std::{
    collections::BTreeSet,
    io::BufReader,
    path::{Path, PathBuf},
};

use super::{
    Kernel, KernelError, KernelPackage,
    error::PackageError,
    part::{is_part, missing, part_of_rpm, release_in},
    spec::PackageForm,
    unpack::{Unpacked, key, unpack},
};
use crate::cache::{self, Cache, CacheError, NotHere};
use base::{Arch, named, ui::Ui};
use format::{
    deb::{self, Stanza, depends},
    rpm,
};

/// A package, by what it says of itself.
struct Package {
    path: PathBuf,
    name: String,
    version: String,
    /// The distribution's name of the architecture that it is for, or of all of them.
    architecture: String,
    /// Name and version of the other parts of its kernel that it depends on.
    parts: Vec<(String, String)>,
}

impl Package {
    fn read(form: PackageForm, path: &Path) -> Result<Self, KernelError> {
        named::check_file(path)?;
        let file = BufReader::new(fs_err::File::open(path)?);
        let no_package = |source: PackageError| KernelError::NoPackage {
            path: path.to_owned(),
            source,
        };
        match form {
            PackageForm::Deb => {
                let text = deb::control(file).map_err(|error| no_package(error.into()))?;
                Self::deb(path, &Stanza::parse(&text))
            }
            PackageForm::Rpm => {
                let about = rpm::about(file).map_err(|error| no_package(error.into()))?;
                let parts = about.exactly.into_iter();
                Ok(Self {
                    path: path.to_owned(),
                    name: about.name,
                    version: about.version,
                    architecture: about.architecture,
                    parts: parts
                        .filter_map(|(name, version)| Some((part_of_rpm(&name)?.to_owned(), version)))
                        .collect(),
                })
            }
        }
    }

    fn deb(path: &Path, stanza: &Stanza<'_>) -> Result<Self, KernelError> {
        let field = |field: &'static str| {
            let value = stanza.get(field).map(str::to_owned);
            value.ok_or_else(|| KernelError::Control {
                path: path.to_owned(),
                field,
            })
        };
        // A package without the field depends on nothing.
        let relations = depends(stanza.get("Depends").unwrap_or_default())
            .into_iter()
            .flatten();
        let parts = relations.filter(is_part);
        let parts = parts.filter_map(|part| Some((part.name, part.version?.1)));
        Ok(Self {
            path: path.to_owned(),
            name: field("Package")?,
            version: field("Version")?,
            architecture: field("Architecture")?,
            parts: parts.collect(),
        })
    }

    /// Whether it is for an architecture alone.
    fn is_for(&self, form: PackageForm, arch: Arch) -> bool {
        match form {
            PackageForm::Deb => self.architecture == arch.debian(),
            PackageForm::Rpm => self.architecture == arch.to_string(),
        }
    }
}

fn read(form: PackageForm, files: &[PathBuf]) -> Result<Vec<Package>, KernelError> {
    files.iter().map(|file| Package::read(form, file)).collect()
}

/// The architecture that the packages are for; `None` where all are for any.
pub(super) fn only_arch(form: PackageForm, files: &[PathBuf]) -> Result<Option<Arch>, KernelError> {
    let packages = read(form, files)?;
    let arch = |arch: &Arch| packages.iter().any(|package| package.is_for(form, *arch));
    Ok(Arch::ALL.into_iter().find(arch))
}

/// Whether all of them are packages for an architecture.
pub(super) fn check(form: PackageForm, files: &[PathBuf], arch: Arch) -> Result<(), KernelError> {
    for package in read(form, files)? {
        if !package.is_for(form, arch) && !["all", "noarch"].contains(&package.architecture.as_str()) {
            return Err(KernelError::PackageArch {
                path: package.path,
                found: package.architecture,
                expected: arch,
            });
        }
    }
    Ok(())
}

/// What a kernel that is still to be unpacked is called: its release, by the name of a package, or that name itself.
pub(super) fn label(form: PackageForm, files: &[PathBuf]) -> Result<String, KernelError> {
    Ok(label_of(&read(form, files)?))
}

fn label_of(packages: &[Package]) -> String {
    // `deb:` and `rpm:` name one package at least.
    release(packages).unwrap_or(&packages[0].name).to_owned()
}

fn release(packages: &[Package]) -> Option<&str> {
    packages.iter().find_map(|package| release_in(&package.name))
}

/// The kernel in the packages, which goes by its release.
pub(super) fn obtain(
    form: PackageForm,
    files: &[PathBuf],
    arch: Arch,
    cache: &Cache,
    ui: &Ui,
) -> Result<Kernel, KernelError> {
    let packages = read(form, files)?;
    let parts = packages.iter().map(|package| {
        Ok(KernelPackage {
            name: package.name.clone(),
            version: package.version.clone(),
            sha256: cache::sha256_file(&package.path)?,
        })
    });
    let parts = parts.collect::<Result<Vec<_>, KernelError>>()?;
    let key = key(arch, parts.iter().map(|part| &*part.sha256));
    if cache.only_looks() && cache.find("kernels", &key).is_none() {
        return Err(KernelError::Cache(CacheError::NotHere(NotHere {
            would: "its packages would be unpacked".to_owned(),
            release: release(&packages).map(str::to_owned),
        })));
    }
    let label = label_of(&packages);
    let dir = cache.entry("kernels", &key, |dir| {
        let named: Vec<(&str, PathBuf)> = packages
            .iter()
            .map(|package| (&*package.name, package.path.clone()))
            .collect();
        let task = ui.task(format!("unpack {label} {arch}"), None);
        let image = unpack(form, &named, arch, dir)?;
        let Unpacked { modules, config } = Unpacked::of(dir)?;
        let parts = [
            ("kernel image", image),
            ("modules", modules.is_some()),
            ("configuration", config.is_some()),
        ];
        for (what, _) in parts.into_iter().filter(|(_, there)| !there) {
            lacking(form, &label, what, &packages)?;
        }
        task.done("done");
        Ok::<_, KernelError>(())
    })?;
    let Unpacked { modules, config } = Unpacked::of(&dir)?;
    let image = dir.join("vmlinuz");
    let kernel = Kernel::from_files(label, arch, &image, modules.as_deref(), config.as_deref())?;
    Ok(Kernel {
        label: kernel.release.clone().unwrap_or(kernel.label),
        packages: parts,
        ..kernel
    })
}

/// Says that a part of the kernel is in none of the packages: where others that they depend on may have it, or where no kernel is one without it.
fn lacking(
    form: PackageForm,
    label: &str,
    what: &'static str,
    packages: &[Package],
) -> Result<(), KernelError> {
    let there = |name: &String| packages.iter().any(|package| package.name == *name);
    let others = packages.iter().flat_map(|package| &package.parts);
    let lacks: BTreeSet<String> = others
        .filter(|(name, _)| !there(name))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    if !lacks.is_empty() {
        return Err(KernelError::Split {
            form,
            label: label.to_owned(),
            what,
            lacks: Vec::from_iter(lacks).join(", "),
        });
    }
    if what == "kernel image" {
        let names = packages.iter().map(|package| (&*package.name, &*package.version));
        return Err(missing(label, what, names));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{only_arch, s390_image};
    use format::{
        elf::EM_S390,
        samples::{deb_of, module, rpm_of, tar_of},
    };

    /// A package that says so of itself and has these files; its path.
    fn package(folder: &Path, name: &str, control: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let text = format!("Package: {name}\nVersion: 7-1\n{control}");
        let deb = deb_of(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &tar_of(&[("control", text.as_bytes())])),
            ("data.tar", &tar_of(files)),
        ]);
        let path = folder.join(format!("{name}.deb"));
        fs_err::write(&path, deb).unwrap();
        path
    }

    fn got(files: &[PathBuf], folder: &Path) -> Result<Kernel, KernelError> {
        got_of(PackageForm::Deb, files, folder)
    }

    fn got_of(form: PackageForm, files: &[PathBuf], folder: &Path) -> Result<Kernel, KernelError> {
        let ui = Ui::silent();
        obtain(form, files, Arch::S390x, &Cache::at(folder, &ui).unwrap(), &ui)
    }

    #[test]
    fn a_kernel_in_one_package_goes_by_its_release() {
        let folder = tempfile::tempdir().unwrap();
        let virtio = module(EM_S390, true, b"depends=\0");
        let files: &[(&str, &[u8])] = &[
            ("boot/vmlinuz-6.1.0-50-s390x", &s390_image()),
            ("boot/config-6.1.0-50-s390x", b"CONFIG_X=y\n"),
            ("lib/modules/6.1.0-50-s390x/kernel/virtio_net.ko", &virtio),
        ];
        let deb = package(
            folder.path(),
            "linux-image-6.1.0-50-s390x",
            "Architecture: s390x\n",
            files,
        );
        let files = [deb];
        check(PackageForm::Deb, &files, Arch::S390x).unwrap();
        let kernel = got(&files, &folder.path().join("cache")).unwrap();
        assert_eq!(kernel.label, "6.1.0-50-s390x");
        assert!(kernel.config.is_some() && kernel.modules_dir.is_some());
        assert_eq!((&*kernel.packages[0].version, kernel.packages.len()), ("7-1", 1));
        let source = crate::kernel::KernelSource::Packages(PackageForm::Deb, files.to_vec());
        assert_eq!(only_arch(&source).unwrap(), Some(Arch::S390x));
        let said = check(PackageForm::Deb, &files, Arch::X86_64)
            .unwrap_err()
            .to_string();
        assert!(
            said.ends_with(
                "linux-image-6.1.0-50-s390x.deb` is a package for s390x, and x86_64 was asked for"
            ),
            "{said}"
        );
    }

    #[test]
    fn a_kernel_that_is_split_asks_for_its_other_packages() {
        let folder = tempfile::tempdir().unwrap();
        let parts = "Architecture: s390x\n\
            Depends: kmod, linux-binary-7.2-s390x (= 7-1), linux-modules-7.2-s390x (= 7-1), linux-binary-7.2-s390x (= 7-1)\n";
        let make = |name: &str, files: &[(&str, &[u8])]| {
            package(folder.path(), name, "Architecture: s390x\n", files)
        };
        let image = package(folder.path(), "linux-image-7.2-s390x", parts, &[]);
        let binary = make(
            "linux-binary-7.2-s390x",
            &[("usr/lib/modules/7.2/vmlinuz", &s390_image())],
        );
        let modules = make(
            "linux-modules-7.2-s390x",
            &[
                ("usr/lib/modules/7.2/config", b"CONFIG_X=y\n"),
                ("usr/lib/modules/7.2/kernel/x.ko", b""),
                ("usr/lib/modules/7.2/modules.order", b""),
            ],
        );
        let cache = folder.path().join("cache");
        let said = |files: &[PathBuf]| got(files, &cache).unwrap_err().to_string();
        assert_eq!(
            said(std::slice::from_ref(&image)),
            "7.2-s390x has no kernel image, and depends on linux-binary-7.2-s390x 7-1, linux-modules-7.2-s390x 7-1: \
             name these files too (`deb:FILE.deb+FILE.deb`)"
        );
        assert!(
            said(&[image.clone(), binary.clone()])
                .starts_with("7.2-s390x has no modules, and depends on linux-modules")
        );
        assert!(got(&[image, binary.clone(), modules], &cache).is_ok());
        // Whoever packages a kernel without modules has none.
        assert_eq!(got(&[binary], &cache).unwrap().modules_dir, None);
    }

    /// As Fedora splits a kernel: the package of the image requires that of the modules by what that provides.
    #[test]
    fn a_kernel_in_packages_of_rpm() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let make = |name: &str, architecture: &str, requires: &[(&str, &str)], files: &[(&str, &[u8])]| {
            let path = folder.path().join(format!("{name}.{architecture}.rpm"));
            fs_err::write(&path, rpm_of(name, architecture, requires, files)).unwrap();
            path
        };
        let release = "7.2-1.s390x";
        let core = make(
            "kernel-core",
            "s390x",
            &[("kernel-modules-core-uname-r", release), ("linux-firmware", "1")],
            &[
                ("/lib/modules/7.2-1.s390x/vmlinuz", &s390_image()),
                ("/lib/modules/7.2-1.s390x/config", b"CONFIG_X=y\n"),
            ],
        );
        let virtio = module(EM_S390, true, b"depends=\0");
        let modules = make(
            "kernel-modules-core",
            "s390x",
            &[],
            &[
                ("/lib/modules/7.2-1.s390x/kernel/virtio_net.ko", &virtio),
                ("/lib/modules/7.2-1.s390x/modules.order", b""),
            ],
        );
        let got = |files: &[PathBuf]| got_of(PackageForm::Rpm, files, &cache);
        assert_eq!(
            got(std::slice::from_ref(&core)).unwrap_err().to_string(),
            "kernel-core has no modules, and depends on kernel-modules-core 7.2-1.s390x: name these files too (`rpm:FILE.rpm+FILE.rpm`)"
        );
        let both = [core, modules];
        check(PackageForm::Rpm, &both, Arch::S390x).unwrap();
        let kernel = got(&both).unwrap();
        // By its image; the fixture's is of another one.
        assert_eq!(kernel.label, "6.1.0-50-s390x");
        assert!(kernel.config.is_some() && kernel.modules_dir.is_some());
        assert_eq!(&*kernel.packages[0].version, "7.2-1");
        assert_eq!(
            super::only_arch(PackageForm::Rpm, &both).unwrap(),
            Some(Arch::S390x)
        );
        let foreign = make("kernel-core", "aarch64", &[], &[]);
        let said = check(PackageForm::Rpm, &[foreign], Arch::S390x)
            .unwrap_err()
            .to_string();
        assert!(
            said.ends_with("is a package for aarch64, and s390x was asked for"),
            "{said}"
        );
        let file = folder.path().join("y.rpm");
        fs_err::write(&file, "PK").unwrap();
        let error = check(PackageForm::Rpm, &[file], Arch::S390x).unwrap_err();
        assert!(matches!(error, KernelError::NoPackage { .. }), "{error}");
    }

    #[test]
    fn what_is_no_package_of_a_kernel_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let doc = package(
            folder.path(),
            "linux-doc",
            "Architecture: all\n",
            &[("usr/share/doc/x", b"x")],
        );
        assert_eq!(
            only_arch(&crate::kernel::KernelSource::Packages(
                PackageForm::Deb,
                vec![doc.clone()]
            ))
            .unwrap(),
            None
        );
        let said = got(&[doc], &cache).unwrap_err().to_string();
        assert_eq!(
            said,
            "the packages of linux-doc have no kernel image; they are: linux-doc 7-1"
        );
        let nameless = package(folder.path(), "x", "", &[]);
        let said = check(PackageForm::Deb, &[nameless], Arch::S390x)
            .unwrap_err()
            .to_string();
        assert!(
            said.ends_with("x.deb` does not say its Architecture: its `control` has none"),
            "{said}"
        );
        let file = folder.path().join("y.deb");
        fs_err::write(&file, "PK").unwrap();
        let Err(KernelError::NoPackage { source, .. }) = check(PackageForm::Deb, &[file], Arch::S390x) else {
            panic!("it is a package");
        };
        assert!(source.to_string().contains("reading the package"), "{source}");
    }
}
