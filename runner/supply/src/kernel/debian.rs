// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels out of Debian's packages.
//!
//! Up to 6.12 one package has everything; since 7.x `linux-image-*` has nothing itself and depends on a binary, its modules
//! and a base.

use super::{
    Kernel, KernelError, KernelPackage,
    part::{is_part, missing, release_in},
    spec::PackageForm,
    unpack::{Unpacked, key, unpack},
};
use crate::{
    cache::{Cache, CacheError, NotHere},
    packages::{DebianSuite, PackageFacts, Packages, PackagesError},
};
use base::{Arch, ui::Ui};

/// The newest kernel of a suite, or that of a version of its package.
pub(super) fn obtain(
    label: String,
    (suite, version): (DebianSuite, Option<&str>),
    arch: Arch,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Kernel, KernelError> {
    let attempt = |name: &str| match attempt((name, version), &label, suite, arch, packages, cache, ui) {
        // Fetching found that the index was old, and renewed it.
        Err(KernelError::Packages(PackagesError::Gone { .. })) => {
            attempt((name, version), &label, suite, arch, packages, cache, ui)
        }
        outcome => outcome,
    };
    if let Some(version) = version {
        return attempt(&named(suite, version, arch, packages)?);
    }
    let newest = attempt(&format!("linux-image-{}", arch.debian()));
    let Err(KernelError::Packages(absent @ PackagesError::Absent { .. })) = newest else {
        return newest;
    };
    // The index lists older ones too.
    for name in packages.names(suite, arch, |name| is_image(name, arch))? {
        match attempt(&name) {
            Err(KernelError::Packages(PackagesError::Absent { .. })) => {}
            Ok(older) => {
                packages.tell(format!("{absent}; {label} on {arch} is {name}"));
                return Ok(older);
            }
            outcome => return outcome,
        }
    }
    Err(KernelError::Packages(absent))
}

/// The package that has the kernel of a version.
pub(super) fn named(
    suite: DebianSuite,
    version: &str,
    arch: Arch,
    packages: &Packages,
) -> Result<String, KernelError> {
    let images = packages.versions(suite, arch, |name| is_image(name, arch))?;
    let mut there: Vec<&str> = images.iter().map(|(_, version)| &**version).collect();
    there.dedup();
    let found = images.iter().filter(|(_, there)| there == version);
    found
        // Bookworm's `linux-image-6.12-amd64` has the version of the kernel that it leads to, whose own name says more.
        .max_by_key(|(name, _)| name.len())
        .map(|(name, _)| name.clone())
        .ok_or_else(|| KernelError::NoVersion {
            suite,
            version: version.to_owned(),
            arch,
            there: match there.is_empty() {
                true => "none".to_owned(),
                false => there.join(", "),
            },
        })
}

fn attempt(
    (name, version): (&str, Option<&str>),
    label: &str,
    suite: DebianSuite,
    arch: Arch,
    packages: &Packages,
    cache: &Cache,
    ui: &Ui,
) -> Result<Kernel, KernelError> {
    let mut parts = match version {
        Some(version) => packages.closure_of_version(suite, arch, (name, version), is_part)?,
        None => packages.closure(suite, arch, &[name], is_part)?,
    };
    parts.retain(|part| release_in(&part.name).is_some());
    let key = key(arch, parts.iter().map(|part| &*part.sha256));
    if cache.only_looks() && cache.find("kernels", &key).is_none() {
        return Err(not_here(&parts, arch, packages));
    }
    let lacks = |what| {
        let names = parts.iter().map(|part| (&*part.name, &*part.version));
        missing(label, what, names)
    };
    let dir = cache.entry("kernels", &key, |dir| {
        let debs = parts
            .iter()
            .map(|part| Ok((part.name.as_str(), packages.fetch(part, arch)?)));
        let debs = debs.collect::<Result<Vec<_>, KernelError>>()?;
        let task = ui.task(format!("unpack {label} {arch}"), None);
        if !unpack(PackageForm::Deb, &debs, arch, dir)? {
            return Err(lacks("kernel image"));
        }
        task.done("done");
        Ok(())
    })?;
    let Unpacked { modules, config } = Unpacked::of(&dir)?;
    let modules = modules.ok_or_else(|| lacks("modules"))?;
    let config = config.ok_or_else(|| lacks("configuration"))?;
    let kernel = Kernel::from_files(
        label.to_owned(),
        arch,
        &dir.join("vmlinuz"),
        Some(&modules),
        Some(&config),
    )?;
    let packages = parts.into_iter().map(|part| KernelPackage {
        name: part.name,
        version: part.version,
        sha256: part.sha256,
    });
    Ok(Kernel {
        packages: packages.collect(),
        ..kernel
    })
}

/// What would be got of packages that the cache has no kernel of; or that the mirror does not have them.
fn not_here(parts: &[PackageFacts], arch: Arch, packages: &Packages) -> KernelError {
    let mut would = None;
    for part in parts {
        match packages.fetch(part, arch) {
            Ok(_) => {}
            Err(error) => match error.not_here() {
                Some(what) => would = would.or(Some(what.would.clone())),
                None => return error.into(),
            },
        }
    }
    let release = parts
        .iter()
        .find_map(|part| part.name.strip_prefix("linux-image-"));
    KernelError::Cache(CacheError::NotHere(NotHere {
        would: would.unwrap_or_else(|| "its packages would be unpacked".to_owned()),
        release: release.map(str::to_owned),
    }))
}

/// The plain kernel of a release: `linux-image-6.12.107+deb13-s390x`, and no cloud, rt or unsigned one.
fn is_image(name: &str, arch: Arch) -> bool {
    let release = name
        .strip_prefix("linux-image-")
        .and_then(|rest| rest.strip_suffix(arch.debian())?.strip_suffix('-'));
    release.is_some_and(|release| {
        release
            .split('-')
            .all(|part| part.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::s390_image,
        packages::tests::{index, lack, stock, walked},
    };
    use format::{elf::EM_S390, samples::module};

    fn names(index: &[(&str, &str)]) -> Vec<String> {
        let mut names = walked(index, &["linux-image-amd64"], is_part).unwrap();
        names.retain(|name| release_in(name).is_some());
        names.sort();
        names
    }

    #[test]
    fn one_package_until_6_12() {
        let index = [
            (
                "linux-image-amd64",
                "linux-image-6.12.107+deb13-amd64 (= 6.12.107-1)",
            ),
            (
                "linux-image-6.12.107+deb13-amd64",
                "kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120)",
            ),
        ];
        assert_eq!(names(&index), ["linux-image-6.12.107+deb13-amd64"]);
    }

    #[test]
    fn four_packages_since_7() {
        let index = [
            (
                "linux-image-amd64",
                "linux-base-amd64 (= 7-1), linux-image-7.2.13+deb14-amd64 (= 7-1)",
            ),
            ("linux-base-amd64", "linux-base-7.2.13+deb14-amd64 (= 7-1)"),
            ("linux-base-7.2.13+deb14-amd64", ""),
            (
                "linux-image-7.2.13+deb14-amd64",
                "dracut | linux-initramfs-tool, linux-base-7.2.13+deb14-amd64 (= 7-1), \
                 linux-binary-7.2.13+deb14-amd64 (= 7-1), linux-modules-7.2.13+deb14-amd64 (= 7-1)",
            ),
            ("linux-binary-7.2.13+deb14-amd64", ""),
            (
                "linux-modules-7.2.13+deb14-amd64",
                "linux-base-7.2.13+deb14-amd64 (= 7-1)",
            ),
        ];
        assert_eq!(
            names(&index),
            [
                "linux-base-7.2.13+deb14-amd64",
                "linux-binary-7.2.13+deb14-amd64",
                "linux-image-7.2.13+deb14-amd64",
                "linux-modules-7.2.13+deb14-amd64",
            ]
        );
    }

    #[test]
    fn a_plain_kernel_is_told_from_its_variants() {
        let plain = |name| is_image(name, Arch::X86_64);
        assert!(plain("linux-image-6.12.107+deb13-amd64") && plain("linux-image-6.1.0-40-amd64"));
        for other in [
            "linux-image-amd64",
            "linux-image-6.12.107+deb13-amd64-unsigned",
            "linux-image-6.12.107+deb13-cloud-amd64",
            "linux-image-6.1.0-40-rt-amd64",
            "linux-image-6.12.107+deb13-s390x",
            "linux-headers-6.12.107+deb13-amd64",
        ] {
            assert!(!plain(other), "{other}");
        }
    }

    #[test]
    fn an_older_kernel_is_taken_where_the_mirror_lacks_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let ui = Ui::silent();
        let cache = Cache::at(dir.path(), &ui).unwrap();
        let (suite, arch) = (DebianSuite::Trixie, Arch::S390x);
        let files: &[(&str, &[u8])] = &[
            ("boot/vmlinuz-6.1.0-50-s390x", &s390_image()),
            ("boot/config-6.1.0-50-s390x", b"CONFIG_X=y\n"),
            (
                "lib/modules/6.1.0-50-s390x/kernel/virtio_net.ko",
                &module(EM_S390, true, b"depends=\0"),
            ),
        ];
        let packages = [
            (
                "linux-image-s390x",
                "linux-image-6.1.0-51-s390x (= 6.1.177-1)",
                &[][..],
            ),
            ("linux-image-6.1.0-51-s390x", "kmod", &[][..]),
            ("linux-image-6.1.0-50-s390x", "kmod", files),
        ];
        stock(&cache, suite, arch, &packages);
        let text = "Package: linux-image-6.1.0-50-s390x\nVersion: 6.1.176-1\n\n\
            Package: linux-image-6.1.0-51-s390x\nVersion: 6.1.177-1\n\n";
        index(&cache, suite, "s390x", text);
        let packages = Packages::open(&cache, &ui);
        let get = || {
            obtain(
                "debian:trixie".to_owned(),
                (suite, None),
                arch,
                &packages,
                &cache,
                &ui,
            )
        };
        lack(&cache, suite, "s390x", "linux-image-6.1.0-51-s390x");
        assert_eq!(get().unwrap().release.as_deref(), Some("6.1.0-50-s390x"));
        fs_err::remove_dir_all(dir.path().join("kernels")).unwrap();
        lack(&cache, suite, "s390x", "linux-image-6.1.0-50-s390x");
        let error = get().unwrap_err().to_string();
        assert!(error.contains("lists linux-image-6.1.0-51-s390x 1"), "{error}");
    }

    #[test]
    fn a_version_that_the_index_has_is_found_and_another_is_refused_with_those_that_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let ui = Ui::silent();
        let cache = Cache::at(dir.path(), &ui).unwrap();
        let (suite, arch) = (DebianSuite::Trixie, Arch::S390x);
        stock(&cache, suite, arch, &[]);
        let text = "Package: linux-image-6.12.9-s390x\nVersion: 6.12.9-1\n\n\
            Package: linux-image-s390x\nVersion: 6.12.10-1\n\n\
            Package: linux-image-6.12.10-s390x\nVersion: 6.12.10-1\n\n\
            Package: linux-image-6.12-s390x\nVersion: 6.12.10-1\n\n\
            Package: linux-image-6.12.9-s390x\nVersion: 6.12.9-2\n\n";
        index(&cache, suite, "s390x", text);
        let packages = Packages::open(&cache, &ui);
        let find = |version| named(suite, version, arch, &packages);
        assert_eq!(find("6.12.9-1").unwrap(), "linux-image-6.12.9-s390x");
        assert_eq!(find("6.12.10-1").unwrap(), "linux-image-6.12.10-s390x");
        assert_eq!(
            find("6.12.9").unwrap_err().to_string(),
            "trixie has no kernel of version 6.12.9 for s390x: it has 6.12.10-1, 6.12.9-2, 6.12.9-1; `memrig setup --refresh` asks the \
             mirror again"
        );
    }
}
