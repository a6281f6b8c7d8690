// SPDX-License-Identifier: MIT OR Apache-2.0
//! From addresses of a guest to places in its kernel's text. Pure.

use std::collections::HashMap;

use format::cover::{Piece, Pieces};
use record::Span;

/// Where the text of a guest's kernel lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    /// Its start.
    pub(crate) start: u64,
    /// How many bytes.
    pub(crate) bytes: u64,
}

/// The pieces that are the kernel's, by their place in its text, ascending and each once.
///
/// The text lies in one piece of the guest's memory, so that its addresses and QEMU's are the same way apart everywhere. What has an address of
/// the kernel's and lies elsewhere is of a program.
pub(crate) fn in_text(code: &Pieces, text: Text) -> Vec<Span> {
    let within = |piece: &&Piece| {
        let offset = piece.address.wrapping_sub(text.start);
        offset < text.bytes
    };
    let apart = |piece: &Piece| piece.host.wrapping_sub(piece.address);
    let mut distances: HashMap<u64, usize> = HashMap::new();
    for piece in code.pieces.iter().filter(within) {
        *distances.entry(apart(piece)).or_default() += 1;
    }
    let Some((kernel, _)) = distances
        .into_iter()
        .max_by_key(|(distance, times)| (*times, *distance))
    else {
        return Vec::new();
    };
    let ours = code.pieces.iter().filter(within);
    let ours = ours.filter(|piece| apart(piece) == kernel);
    let mut spans: Vec<Span> = ours
        .map(|piece| Span {
            offset: piece.address - text.start,
            bytes: piece.bytes,
        })
        .collect();
    spans.sort_unstable();
    spans.dedup();
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_elsewhere_is_no_kernel() {
        let piece = |address, host| Piece {
            address,
            host,
            bytes: 4,
        };
        let code = Pieces {
            pieces: vec![
                piece(0x1010, 0x9010),
                piece(0x1000, 0x9000),
                piece(0x1010, 0x9010),
                // A program at an address of the kernel's.
                piece(0x1020, 0x7020),
                // Not at one.
                piece(0x3000, 0xb000),
                piece(0x0fff, 0x8fff),
            ],
            lost: 0,
        };
        let text = Text {
            start: 0x1000,
            bytes: 0x1000,
        };
        let span = |offset| Span { offset, bytes: 4 };
        assert_eq!(in_text(&code, text), [span(0), span(0x10)]);
        assert_eq!(in_text(&Pieces::default(), text), []);
    }
}
