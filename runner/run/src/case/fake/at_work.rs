// SPDX-License-Identifier: MIT OR Apache-2.0
//! Those who are at work in a guest that is none, and the memory that is taken from it: all goes well.

use super::kernel::ended;
use vm::guest::Output;

/// What a shell prints for the scripts of `load` and `pressure`; `None` for others.
pub(super) fn said(script: &str) -> Option<Output> {
    let text = if let Some((_, names)) = script.split_once("touch /run/load/stop\nfor one in ") {
        let (names, _) = names.split_once(';')?;
        names.split(' ').map(|name| format!("{name} did 3\n")).collect()
    } else if let Some((_, pages)) = script.split_once("left=$(($(free) - ") {
        let (pages, _) = pages.split_once(')')?;
        format!("{pages}\n")
    } else if script.contains("mount -t tmpfs load") || script.starts_with("umount /run/pressure") {
        String::new()
    } else {
        return None;
    };
    Some(ended(0, text, ""))
}
