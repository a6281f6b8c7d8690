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
    in_link(&format!("{}/{file}", case.files()))
}

/// A path as a link has it: what means something there, or ends it, is written by its number. Some servers read `+` as a space.
pub(super) fn in_link(path: &str) -> String {
    let part = |byte: u8| match byte {
        b'/' | b'-' | b'.' | b'_' | b'~' | b'=' | b',' | b'@' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_no_letter_that_means_something_there() {
        assert_eq!(in_link("a/b-1.log"), "a/b-1.log");
        assert_eq!(
            in_link("a run/6.12+deb13?#%\"ä"),
            "a%20run/6.12%2Bdeb13%3F%23%25%22%C3%A4"
        );
    }
}
