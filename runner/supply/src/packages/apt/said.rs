// SPDX-License-Identifier: MIT OR Apache-2.0
//! What apt says of what went wrong. Pure.

/// What a person can do about what apt said, where that is known.
pub(super) fn hint(said: &str) -> String {
    let advice = if said.contains("NO_PUBKEY") {
        "\nthe keys of this release are not on this machine: install a newer debian-archive-keyring"
    } else if said.contains("is not signed") {
        "\nmemrig takes nothing from a mirror that cannot show a signature: name another one by MEMRIG_MIRROR"
    } else if said.contains("not valid yet") {
        "\nthis machine's clock is behind"
    } else if said.contains(NO_SUITE) {
        "\nthis mirror does not have the suite: name another one by MEMRIG_MIRROR, or another suite"
    } else if said.contains("404 ") {
        "\nthe mirror's own index names the file, and the mirror does not have it: try later, or another mirror"
    } else {
        ""
    };
    format!("{}{advice}", said.trim_end())
}

/// Whether asking again does not help: a signature does not get better by it, nor does a suite come to be.
pub(super) fn is_settled(said: &str) -> bool {
    let words = ["NO_PUBKEY", "is not signed", NO_SUITE];
    words.iter().any(|words| said.contains(words))
}

/// What apt says of a suite that the mirror does not have.
const NO_SUITE: &str = "does not have a Release file";

/// Whether the trouble is not the mirror's: the disk is full.
pub(super) fn is_full(said: &str) -> bool {
    said.contains("No space left on device")
}

pub(super) fn first_line(said: &str) -> &str {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines()
        .find(|line| line.starts_with("E:"))
        .or_else(|| lines().next())
        .unwrap_or("it failed")
}

/// Whether apt says that the mirror answers and has no such file.
pub(super) fn is_absent(said: &str) -> bool {
    said.lines()
        .any(|line| line.starts_with("E: Failed to fetch ") && line.contains(" 404 "))
}
