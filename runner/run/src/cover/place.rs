// SPDX-License-Identifier: MIT OR Apache-2.0
//! From addresses of a guest to places in the code of its kernel and of its modules. Pure.

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

impl Text {
    /// How far behind its start an address is; `None` outside.
    fn offset(self, address: u64) -> Option<u64> {
        Some(address.wrapping_sub(self.start)).filter(|offset| *offset < self.bytes)
    }
}

/// Where the code of a module lies in a guest, and which place it has behind the kernel's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModulePlace {
    /// Its start in the guest.
    pub(crate) start: u64,
    /// How many bytes.
    pub(crate) bytes: u64,
    /// Its place, from the start of the kernel's text.
    pub(crate) at: u64,
}

impl ModulePlace {
    /// How far behind its start in the guest an address is; `None` outside.
    fn offset(self, address: u64) -> Option<u64> {
        let Self { start, bytes, .. } = self;
        Text { start, bytes }.offset(address)
    }
}

/// Where the lowcore of s390x ends: code of the kernel's that ends an interrupt is in it, and no module.
const LOWCORE: u64 = 0x2000;

/// The size of a guest's page, in bytes.
const PAGE: u64 = 4096;

/// How far the memory of a guest and that of QEMU are apart for a piece.
fn apart(piece: &Piece) -> u64 {
    piece.host.wrapping_sub(piece.address)
}

/// The pieces that are the kernel's or a module's, by their place, ascending and each once. Of modules none are known where there may be programs
/// among the pieces.
pub(crate) fn placed(code: &Pieces, text: Text, modules: &[ModulePlace]) -> Vec<Span> {
    let mut spans = in_text(code, text);
    if code.no_programs {
        spans.extend(in_modules(code, modules));
    }
    spans.sort_unstable();
    spans.dedup();
    spans
}

/// Whether any piece is neither the kernel's nor a module's.
pub(crate) fn is_elsewhere(code: &Pieces, text: Text, modules: &[ModulePlace]) -> bool {
    let known = |piece: &Piece| {
        let mut modules = modules.iter();
        piece.address < LOWCORE
            || text.offset(piece.address).is_some()
            || modules.any(|place| place.offset(piece.address).is_some())
    };
    code.no_programs && !code.pieces.iter().all(known)
}

/// The pieces that are a module's. Each page of it lies elsewhere in QEMU's memory. What ran at its address before it was there, such as the
/// initialisation of another module, lies in other pages than what ran last.
fn in_modules(code: &Pieces, modules: &[ModulePlace]) -> Vec<Span> {
    let mut last: HashMap<u64, u64> = HashMap::new();
    for piece in &code.pieces {
        last.insert(piece.address / PAGE, apart(piece));
    }
    let there = |piece: &&Piece| last.get(&(piece.address / PAGE)) == Some(&apart(piece));
    let span = |piece: &Piece| {
        let mut modules = modules.iter();
        modules.find_map(|place| {
            let offset = place.offset(piece.address)?;
            Some(Span {
                offset: place.at + offset,
                bytes: piece.bytes.min(place.bytes - offset),
            })
        })
    };
    code.pieces.iter().filter(there).filter_map(span).collect()
}

/// The pieces that are in the kernel's text.
///
/// The text lies in one piece of the guest's memory, so that its addresses and QEMU's are the same way apart everywhere. What has an address of
/// the kernel's and lies elsewhere is of a program.
fn in_text(code: &Pieces, text: Text) -> Vec<Span> {
    in_turn(code, text).into_iter().map(|(_, span)| span).collect()
}

/// The same in the order in which they were first run, each with its place among all pieces.
pub(crate) fn in_turn(code: &Pieces, text: Text) -> Vec<(usize, Span)> {
    let within = || {
        let pieces = code.pieces.iter().enumerate();
        pieces.filter_map(|(at, piece)| Some((at, piece, text.offset(piece.address)?)))
    };
    let mut distances: HashMap<u64, usize> = HashMap::new();
    for (_, piece, _) in within() {
        *distances.entry(apart(piece)).or_default() += 1;
    }
    let Some((kernel, _)) = distances
        .into_iter()
        .max_by_key(|(distance, times)| (*times, *distance))
    else {
        return Vec::new();
    };
    let ours = within().filter(|(_, piece, _)| apart(piece) == kernel);
    let span = |(at, piece, offset): (usize, &Piece, u64)| {
        let bytes = piece.bytes.min(text.bytes - offset);
        (at, Span { offset, bytes })
    };
    ours.map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(address: u64, host: u64) -> Piece {
        Piece {
            address,
            host,
            bytes: 4,
        }
    }

    #[test]
    fn each_page_of_a_module_lies_elsewhere() {
        let text = Text {
            start: 0x11000,
            bytes: 0x1000,
        };
        let module = |start, at| ModulePlace {
            start,
            bytes: 0x2000,
            at,
        };
        let modules = [module(0x8000, 0x1000), module(0xc000, 0x3000)];
        let mut code = Pieces {
            pieces: vec![
                piece(0x11000, 0x91000),
                // An interrupt of s390x was over.
                piece(0x400, 0x71400),
                // It was gone before the first module came.
                piece(0x8010, 0x44010),
                piece(0x8020, 0x55020),
                piece(0x9000, 0x33000),
                piece(0xdffe, 0x66ffe),
            ],
            lost: 0,
            no_programs: true,
        };
        let span = |offset, bytes| Span { offset, bytes };
        let kernel = span(0, 4);
        let expected = [kernel, span(0x1020, 4), span(0x2000, 4), span(0x4ffe, 2)];
        assert_eq!(placed(&code, text, &modules), expected);
        assert!(!is_elsewhere(&code, text, &modules));
        assert!(is_elsewhere(&code, text, &modules[..1]));
        // A program may be at an address of a module.
        code.no_programs = false;
        assert_eq!(placed(&code, text, &modules), [kernel]);
        assert!(!is_elsewhere(&code, text, &[]));
    }

    #[test]
    fn what_lies_elsewhere_is_no_kernel() {
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
            ..Pieces::default()
        };
        let text = Text {
            start: 0x1000,
            bytes: 0x1000,
        };
        let span = |offset| Span { offset, bytes: 4 };
        assert_eq!(placed(&code, text, &[]), [span(0), span(0x10)]);
        assert_eq!(
            in_turn(&code, text),
            [(0, span(0x10)), (1, span(0)), (2, span(0x10))]
        );
        assert_eq!(placed(&Pieces::default(), text, &[]), []);
    }
}
