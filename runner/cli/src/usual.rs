// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long jobs take where no earlier run says it: figures that come with the program.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::failure::Failure;
use base::Arch;

/// Figures of another machine.
#[derive(Debug, Deserialize)]
pub(super) struct Usual {
    /// Of which, in words.
    measured: String,
    /// Seconds of a job by suite and architecture.
    seconds: BTreeMap<String, BTreeMap<Arch, f64>>,
}

impl Usual {
    /// Those of `suites/usual-times.json`.
    pub(super) fn figures() -> Result<Self, Failure> {
        serde_json::from_str(include_str!("../../../suites/usual-times.json")).map_err(Failure::broken)
    }

    /// Milliseconds of a job of a suite; `None` for suites that do not come with memrig.
    pub(super) fn millis(&self, suite: &str, arch: Arch) -> Option<u64> {
        let seconds = self.seconds.get(suite)?.get(&arch)?;
        Some((seconds * 1000.0) as u64)
    }

    /// Of which machine they are.
    pub(super) fn measured(&self) -> &str {
        &self.measured
    }
}

#[cfg(test)]
mod tests {
    use super::{super::suites, *};

    #[test]
    fn every_suite_that_comes_with_memrig_has_a_figure_where_it_runs() {
        let usual = Usual::figures().ok().unwrap();
        let mut missing = Vec::new();
        // The kernel's own selftests take as long as they like.
        for name in suites::names().into_iter().filter(|name| *name != "selftests") {
            let suite = &suites::load(&[name.to_owned()], &[]).ok().unwrap()[0].suite;
            for arch in Arch::ALL {
                let runs = suite.cases.iter().any(|case| {
                    case.needs.allows(arch) && (case.needs.generation.is_none() || arch == Arch::S390x)
                });
                if runs && usual.millis(name, arch).is_none() {
                    missing.push(format!("{name} {arch}"));
                }
            }
        }
        assert_eq!(missing, Vec::<String>::new());
        assert_eq!(usual.millis("mine", Arch::X86_64), None);
        assert_eq!(usual.millis("dimm", Arch::X86_64), Some(7400));
    }
}
