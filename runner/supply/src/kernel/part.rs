// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packages that a kernel is in or split over, by their names. Pure.

use super::KernelError;
use format::deb::Relation;

/// An exact version of a part of the kernel: what the metapackage leads to, and a part to the others.
pub(super) fn is_part(relation: &Relation) -> bool {
    let exact = relation
        .version
        .as_ref()
        .is_some_and(|(operator, _)| operator == "=");
    exact && relation.name.starts_with("linux-")
}

/// The package of another part of the kernel, by what a package of RPM requires in an exact version: Fedora's require what the other one provides for a
/// release, `kernel-modules-core-uname-r`.
pub(super) fn part_of_rpm(required: &str) -> Option<&str> {
    required
        .starts_with("kernel-")
        .then(|| required.strip_suffix("-uname-r").unwrap_or(required))
}

/// The release in the name of a package, as in `linux-image-6.12.107+deb13-s390x`. Metapackages are named after an architecture, hold nothing, and have
/// none.
pub(super) fn release_in(name: &str) -> Option<&str> {
    let rest = name.splitn(3, '-').nth(2)?;
    rest.starts_with(|c: char| c.is_ascii_digit()).then_some(rest)
}

/// None of these packages, by name and version, has this of the kernel.
pub(super) fn missing<'a>(
    label: &str,
    what: &'static str,
    packages: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> KernelError {
    let packages = packages.into_iter();
    let names: Vec<String> = packages
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    KernelError::Missing {
        label: label.to_owned(),
        what,
        packages: names.join(", "),
    }
}
