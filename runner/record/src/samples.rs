// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records that are made for tests, also for those of the crates above.

use base::Arch;

use crate::{CaseKey, CaseRecord, CoveredCase, CoveredKernel, Event, KernelText, Ran, SourceLines, Span};

/// That an attempt at a case begins, counted from 1.
pub fn begun(case: &CaseRecord, attempt: u32) -> Event {
    Event::CaseStarted {
        key: case.key.clone(),
        name: case.name.clone(),
        suite_file: case.suite_file.clone(),
        line: case.line,
        attempt,
    }
}

/// A case of the suite `blocks` that ran the pieces with these numbers, in a clone.
pub fn covered_case(case: &str, ran: &[usize]) -> CoveredCase {
    CoveredCase {
        key: CaseKey {
            arch: Arch::X86_64,
            label: "k".to_owned(),
            release: Some("6.12".to_owned()),
            config: String::new(),
            side: None,
            suite: "blocks".to_owned(),
            variant: String::new(),
            case: case.to_owned(),
            round: None,
        },
        booted: false,
        ran: ran.iter().copied().collect(),
        lost: 0,
    }
}

/// A kernel with these functions, lines and pieces of code, of which nothing has run yet. Its text has 1000 bytes.
pub fn covered_kernel(
    functions: &[(u64, &str)],
    sources: Vec<SourceLines>,
    pieces: &[Span],
) -> CoveredKernel {
    CoveredKernel {
        text: KernelText {
            label: "k".to_owned(),
            release: "6.12".to_owned(),
            arch: Arch::X86_64,
            side: None,
            end: 1000,
            functions: functions
                .iter()
                .map(|(at, name)| (*at, (*name).to_owned()))
                .collect(),
            modules: Vec::new(),
            sources,
        },
        pieces: pieces.to_vec(),
        boot: Ran::default(),
        cases: Vec::new(),
    }
}
