// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernels of one run are called. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use super::spec::{KernelName, KernelSource, KernelSpec};
use crate::cache;
use base::{
    Arch,
    fault::{Blame, Blamed},
};

/// Two kernels of one run have the same name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two kernels are both called `{name}`, `{first}` and `{second}`: give one of them another name")]
pub struct SameName {
    name: KernelName,
    first: String,
    second: String,
}

impl Blamed for SameName {
    fn blame(&self) -> Blame {
        Blame::Usage
    }
}

/// Makes sure that names which a person gave mean one kernel each.
///
/// # Errors
/// One means two.
pub fn different_names<'a>(specs: impl IntoIterator<Item = &'a KernelSpec>) -> Result<(), SameName> {
    let mut named: BTreeMap<&KernelName, &KernelSource> = BTreeMap::new();
    for spec in specs {
        let Some(name) = &spec.name else { continue };
        let first = named.entry(name).or_insert(&spec.source);
        if *first != &spec.source {
            return Err(SameName {
                name: name.clone(),
                first: first.to_string(),
                second: spec.source.to_string(),
            });
        }
    }
    Ok(())
}

/// The labels of the kernels of a run. Those of files go by their release; where that would be said of two for one architecture, the last parts of
/// their paths follow, as many as tell them apart: `6.12.0@old_bzImage`.
pub fn told_apart(kernels: &[(KernelSpec, Arch)], mut labels: Vec<String>) -> Vec<String> {
    let mut alike: BTreeMap<(Arch, String), Vec<usize>> = BTreeMap::new();
    for (at, label) in labels.iter().enumerate() {
        alike.entry((kernels[at].1, label.clone())).or_default().push(at);
    }
    for places in alike.into_values() {
        let texts: BTreeSet<String> = places.iter().map(|at| kernels[*at].0.to_string()).collect();
        if texts.len() > 1 {
            for (at, more) in more(kernels, &places) {
                labels[at] = format!("{}@{more}", labels[at]);
            }
        }
    }
    labels
}

/// What tells kernels out of files from each other, for those that nobody gave a name; a digest of the whole text where no path does.
fn more(kernels: &[(KernelSpec, Arch)], places: &[usize]) -> Vec<(usize, String)> {
    let files: Vec<(usize, &Path, String)> = places
        .iter()
        .filter_map(|&at| Some((at, of_files(&kernels[at].0)?, kernels[at].0.to_string())))
        .collect();
    let texts: BTreeSet<&str> = files.iter().map(|(_, _, text)| &**text).collect();
    let deepest = files.iter().map(|(_, path, _)| path.components().count()).max();
    let found = (1..=deepest.unwrap_or(0)).find_map(|parts| {
        let ends: Vec<String> = files.iter().map(|(_, path, _)| end(path, parts)).collect();
        let pairs: BTreeSet<(&str, &str)> = ends
            .iter()
            .zip(&files)
            .map(|(end, (_, _, text))| (&**end, &**text))
            .collect();
        let different: BTreeSet<&str> = pairs.iter().map(|(end, _)| *end).collect();
        (different.len() == texts.len()).then_some(ends)
    });
    let digests = || {
        let digests = files.iter().map(|(_, _, text)| cache::sha256(text.as_bytes()));
        digests.map(|digest| digest[..8].to_owned()).collect()
    };
    let words = found.unwrap_or_else(digests);
    files.iter().map(|(at, ..)| *at).zip(words).collect()
}

/// The last parts of a path as one plain word.
fn end(path: &Path, parts: usize) -> String {
    let names: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let last = names[names.len().saturating_sub(parts)..].join("_");
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    last.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

/// The path of a kernel out of files that nobody gave a name.
fn of_files(spec: &KernelSpec) -> Option<&Path> {
    match (&spec.name, &spec.source) {
        (None, KernelSource::Image(image)) => Some(&image.path),
        (None, KernelSource::Packages(_, files)) => files.first().map(PathBuf::as_path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(kernels: &[(&str, &str)]) -> Vec<String> {
        let specs: Vec<_> = kernels
            .iter()
            .map(|(text, _)| (text.parse().unwrap(), Arch::X86_64))
            .collect();
        told_apart(
            &specs,
            kernels.iter().map(|(_, label)| (*label).to_owned()).collect(),
        )
    }

    #[test]
    fn images_go_by_their_release_and_by_more_only_where_two_would_be_the_same() {
        let apart = [
            ("image:a/bzImage", "6.12.0"),
            ("debian:sid", "debian:sid"),
            ("image:b/bzImage", "6.13.0"),
        ];
        assert_eq!(labels(&apart), ["6.12.0", "debian:sid", "6.13.0"]);
        let same = [
            ("image:a/x/bzImage", "6.12.0"),
            ("image:../b/x/bzImage", "6.12.0"),
        ];
        assert_eq!(labels(&same), ["6.12.0@a_x_bzImage", "6.12.0@b_x_bzImage"]);
        let same = [
            ("image:old", "6.12.0"),
            ("image:new image", "6.12.0"),
            ("6.12.0=debian:sid", "6.12.0"),
        ];
        assert_eq!(labels(&same), ["6.12.0@old", "6.12.0@new_image", "6.12.0"]);
        let once = [("image:a/bzImage", "6.12.0"), ("image:a/bzImage", "6.12.0")];
        assert_eq!(labels(&once), ["6.12.0", "6.12.0"]);
    }

    #[test]
    fn images_of_one_path_go_by_a_digest() {
        let same = [("image:x,config=a", "6.12.0"), ("image:x,config=b", "6.12.0")];
        let [a, b] = labels(&same).try_into().unwrap();
        assert!(a.starts_with("6.12.0@") && a.len() == 15, "{a}");
        assert_ne!(a, b);
        assert!(KernelName::new(&a).is_some());
    }

    #[test]
    fn two_architectures_of_one_release_are_not_the_same() {
        let specs = ["image:a", "image:b"].map(|text| text.parse().unwrap());
        let [a, b] = specs;
        let labels = vec!["6.12.0".to_owned(), "6.12.0".to_owned()];
        assert_eq!(
            told_apart(&[(a, Arch::X86_64), (b, Arch::S390x)], labels.clone()),
            labels
        );
    }

    #[test]
    fn a_name_means_one_kernel() {
        let said = |texts: &[&str]| {
            let specs: Vec<KernelSpec> = texts.iter().map(|text| text.parse().unwrap()).collect();
            different_names(&specs).map_err(|error| error.to_string())
        };
        assert_eq!(
            said(&["a=debian:sid", "a=debian:sid", "b=debian:sid", "debian:sid"]),
            Ok(())
        );
        assert_eq!(
            said(&["a=debian:sid", "a=image:x"]).unwrap_err(),
            "two kernels are both called `a`, `debian:sid` and `image:x`: give one of them another name"
        );
    }
}
