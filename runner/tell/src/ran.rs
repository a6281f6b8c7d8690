// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a series, or of a patch, was run, in words.

use base::Arch;
use record::SeriesRan;

/// How many of the lines that have code were run, and which never, as `2 of 4 changed lines on s390x; never: mm/sparse.c:8-10`. `None` without an
/// architecture.
pub(crate) fn ran(arches: &[(Arch, &SeriesRan)]) -> Option<String> {
    let parts: Vec<String> = arches
        .iter()
        .enumerate()
        .map(|(at, (arch, ran))| {
            let boot = match ran.boot_only() {
                0 => String::new(),
                boot => format!(" ({boot} while booting alone)"),
            };
            let lines = if at == 0 { " changed lines" } else { "" };
            format!("{} of {}{lines}{boot} on {arch}", ran.ran(), ran.with_code())
        })
        .collect();
    if parts.is_empty() {
        return None;
    }
    let never: Vec<String> = arches
        .iter()
        .filter_map(|(arch, ran)| {
            let never = pieces(&ran.never());
            (!never.is_empty()).then(|| match arches.len() {
                1 => never,
                _ => format!("{never} on {arch}"),
            })
        })
        .collect();
    let ran = parts.join(", ");
    Some(match never.is_empty() {
        true => ran,
        false => format!("{ran}; never: {}", never.join("; ")),
    })
}

/// Pieces of files, such as `mm/sparse.c:17,20-23 mm/page_alloc.c:5`.
pub(crate) fn pieces(pieces: &[(&str, u32, u32)]) -> String {
    let mut files: Vec<(&str, Vec<String>)> = Vec::new();
    for (file, first, last) in pieces {
        let piece = match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        match files.last_mut().filter(|(open, _)| open == file) {
            Some((_, pieces)) => pieces.push(piece),
            None => files.push((file, vec![piece])),
        }
    }
    let files = files
        .iter()
        .map(|(file, pieces)| format!("{file}:{}", pieces.join(",")));
    files.collect::<Vec<_>>().join(" ")
}
