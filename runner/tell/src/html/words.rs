// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the page names cases and their files.

use crate::text::one_line;
use record::{CaseKey, CaseRecord};

pub(super) fn kernel(key: &CaseKey) -> String {
    one_line(&format!("{} {}", key.kernel_name(), key.config_name()))
}

pub(super) fn title(case: &CaseRecord) -> String {
    one_line(&format!("{} {} {}", case.key.suite, case.key.case, case.name))
}

pub(super) fn whom(key: &CaseKey) -> String {
    one_line(&format!("{} {} {}", key.arch, kernel(key), key.variant_name()))
}

/// Path of a file of a case in the run's folder, for a link.
pub(super) fn link(case: &CaseRecord, file: &str) -> String {
    // Names of folders have no other character that means something in a link; some servers read `+` as a space.
    format!("{}/{file}", case.files()).replace('+', "%2B")
}
