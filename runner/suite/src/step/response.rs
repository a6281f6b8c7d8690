// SPDX-License-Identifier: MIT OR Apache-2.0
//! The response code of storage commands that QEMU refuses.

use std::fmt;

use super::{checker::Checker, line::Line};
use crate::places::Spot;

/// Refuses a response code where nothing is refused.
pub(super) fn of_off(response: Option<u16>, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) {
    if response.is_some() {
        let message = "`off` refuses nothing, so that there is no response";
        checker.notes.wrong(&at.key("response"), message);
    }
}

/// Writes it as a key, where there is one.
pub(super) fn key(response: Option<u16>, line: &mut Line<'_, '_>) -> fmt::Result {
    match response {
        Some(response) => line.key("response", format_args!("{response:#06x}")),
        None => Ok(()),
    }
}
