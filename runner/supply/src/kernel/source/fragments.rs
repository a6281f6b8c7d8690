// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fragments of `kconfigs/`, compiled into memrig.

use base::Arch;

/// A part of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Its name, as in `config=NAME`.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// The option that it is about, where the user has to name it: it must come true.
    pub(super) subject: Option<&'static str>,
}

macro_rules! fragment {
    ($name:literal, $file:literal, $subject:expr) => {
        Fragment {
            name: $name,
            text: include_str!(concat!("../../../../../kconfigs/", $file)),
            subject: $subject,
        }
    };
}

const BASE: [Fragment; 2] = [
    fragment!("base", "base.config", None),
    fragment!("net", "net.config", None),
];
const X86_64: Fragment = fragment!("x86_64", "x86_64.config", None);
const S390X: Fragment = fragment!("s390x", "s390x.config", None);

const DEBUG: [Fragment; 6] = [
    fragment!("dax", "debug/dax.config", Some("DEV_DAX_KMEM")),
    fragment!("gcov", "debug/gcov.config", Some("GCOV_KERNEL")),
    fragment!("kasan", "debug/kasan.config", Some("KASAN")),
    fragment!("kmemleak", "debug/kmemleak.config", Some("DEBUG_KMEMLEAK")),
    fragment!("lockdep", "debug/lockdep.config", Some("PROVE_LOCKING")),
    fragment!("no-hugetlb", "debug/no-hugetlb.config", Some("HUGETLBFS")),
];

/// No fragment has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no configuration `{0}`: there are {names}", names = DEBUG.map(|fragment| fragment.name).join(", "))]
pub struct UnknownFragment(String);

/// The fragments for an architecture, in the order in which they are merged.
pub(super) fn fragments(arch: Arch, named: &[String]) -> Result<Vec<Fragment>, UnknownFragment> {
    let mut all = BASE.to_vec();
    all.push(match arch {
        Arch::X86_64 => X86_64,
        Arch::S390x => S390X,
    });
    for name in named {
        let found = DEBUG.iter().find(|fragment| fragment.name == name);
        all.push(*found.ok_or_else(|| UnknownFragment(name.clone()))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_fragment_of_the_folder_is_compiled_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kconfigs/debug");
        let mut names: Vec<String> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, DEBUG.map(|fragment| format!("{}.config", fragment.name)));
        let wrong = fragments(Arch::S390x, &["kmsan".to_owned()])
            .unwrap_err()
            .to_string();
        assert_eq!(
            wrong,
            "no configuration `kmsan`: there are dax, gcov, kasan, kmemleak, lockdep, no-hugetlb"
        );
    }
}
