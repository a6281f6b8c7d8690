// SPDX-License-Identifier: MIT OR Apache-2.0
//! From names on the command line to suites.

use std::sync::Arc;

use super::failure::Failure;
use crate::{rig::cache, run::LoadedSuite, suite::Suite};

/// The suites that come with memrig, by name.
const OURS: [(&str, &str); 9] = [
    ("quick", include_str!("../../../suites/quick.yaml")),
    ("blocks", include_str!("../../../suites/blocks.yaml")),
    ("accounting", include_str!("../../../suites/accounting.yaml")),
    ("standby", include_str!("../../../suites/standby.yaml")),
    ("dimm", include_str!("../../../suites/dimm.yaml")),
    ("zones", include_str!("../../../suites/zones.yaml")),
    ("errors", include_str!("../../../suites/errors.yaml")),
    ("boot-memory", include_str!("../../../suites/boot-memory.yaml")),
    ("selftests", include_str!("../../../suites/selftests.yaml")),
];

/// Reads the named suites; `instead` where none is named.
///
/// A name with a slash or with the ending `.yaml` is a path; any other is a suite that comes with memrig; `all` is every one
/// of those but `quick`, which repeats parts of them, and `selftests`, which needs the kernel's source.
pub(super) fn load(names: &[String], instead: &[&str]) -> Result<Vec<Arc<LoadedSuite>>, Failure> {
    let names: Vec<&str> = if names.is_empty() {
        instead.to_vec()
    } else {
        names.iter().map(String::as_str).collect()
    };
    let mut suites = Vec::new();
    for name in names {
        match name {
            "all" => {
                for (name, _) in OURS
                    .iter()
                    .filter(|(name, _)| !["quick", "selftests"].contains(name))
                {
                    suites.push(load_one(name)?);
                }
            }
            name => suites.push(load_one(name)?),
        }
    }
    Ok(suites)
}

/// The names of all suites that come with memrig.
pub(super) fn names() -> Vec<&'static str> {
    OURS.iter().map(|(name, _)| *name).collect()
}

fn text_of(file: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(good)
            .rsplit('\n')
            .next()
            .map_or(0, |line| line.chars().count());
        Failure::usage(anyhow::anyhow!(
            "{file}:{line}:{column}: this is no UTF-8, and a suite is"
        ))
    })
}

fn load_one(name: &str) -> Result<Arc<LoadedSuite>, Failure> {
    let (file, text) = if name.contains('/') || name.ends_with(".yaml") {
        (
            name.to_owned(),
            text_of(name, fs_err::read(name).map_err(Failure::usage)?)?,
        )
    } else {
        let found = OURS.iter().find(|(ours, _)| *ours == name);
        let (name, text) = found.ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("there is no suite `{name}`")).hint(format!(
                "the suites are all, {}; a path has a slash or ends in .yaml",
                names().join(", ")
            ))
        })?;
        (format!("suites/{name}.yaml"), (*text).to_owned())
    };
    let suite = Suite::parse(&file, &text).map_err(Failure::usage)?;
    Ok(Arc::new(LoadedSuite {
        sha256: cache::sha256(text.as_bytes()),
        file,
        suite,
    }))
}
