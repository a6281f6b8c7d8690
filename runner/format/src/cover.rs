// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of the plugin that notes which code of a guest is run (`guest-images/qemu/plugin/cover.c` says what it looks like).

use std::io::{self, Read};

/// What the file begins with.
const MAGIC: [u8; 8] = *b"memrigC2";

/// Bytes of the head, and of an entry.
const HEAD: usize = 32;
const ENTRY: usize = 24;

/// A piece of code that was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where the guest sees it.
    pub address: u64,
    /// Where QEMU has it, of which the guest knows nothing: tells code apart that has the same address in two address spaces.
    pub host: u64,
    /// How many bytes of code; at least one.
    pub bytes: u64,
}

/// All pieces, in the order in which they were first run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    /// Those that were written.
    pub pieces: Vec<Piece>,
    /// How many the file had no room for.
    pub lost: u64,
    /// None of them is a program's.
    pub no_programs: bool,
}

impl Pieces {
    /// Reads the file; what comes behind the entries that were claimed is not looked at.
    ///
    /// # Errors
    /// It cannot be read, is not such a file ([`io::ErrorKind::InvalidData`]), or ends too early.
    pub fn read(mut file: impl Read) -> io::Result<Self> {
        let head = head(&mut file)?;
        let (claimed, room) = (number(&head, 8), number(&head, 16));
        let mut pieces = Vec::new();
        for _ in 0..claimed.min(room) {
            let mut entry = [0; ENTRY];
            file.read_exact(&mut entry)?;
            let piece = Piece {
                address: number(&entry, 0),
                host: number(&entry, 8),
                bytes: number(&entry, 16),
            };
            // QEMU was killed before it was finished.
            if piece.bytes > 0 {
                pieces.push(piece);
            }
        }
        Ok(Self {
            pieces,
            lost: claimed.saturating_sub(room),
            no_programs: number(&head, 24) == 1,
        })
    }

    /// How many pieces a file has by now, also those that it has no room for.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn count(mut file: impl Read) -> io::Result<u64> {
        Ok(number(&head(&mut file)?, 8))
    }
}

/// The head of a file.
fn head(file: &mut impl Read) -> io::Result<[u8; HEAD]> {
    let mut head = [0; HEAD];
    file.read_exact(&mut head)?;
    match head[..MAGIC.len()] == MAGIC {
        true => Ok(head),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a file of the plugin that notes which code is run",
        )),
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(claimed: u64, room: u64, entries: &[[u64; 3]]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [claimed, room, 1].iter().chain(entries.iter().flatten()) {
            bytes.extend(number.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn what_was_claimed_is_read_and_nothing_else() {
        let entries = [
            [0x1000, 0x7000, 4],
            [0x2000, 0x8000, 0],
            [0x3000, 0x9000, 12],
            [0, 0, 0],
        ];
        let read = Pieces::read(file(3, 4, &entries).as_slice()).unwrap();
        let piece = |[address, host, bytes]: [u64; 3]| Piece { address, host, bytes };
        let pieces = vec![piece(entries[0]), piece(entries[2])];
        let expected = Pieces {
            pieces,
            lost: 0,
            no_programs: true,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_had_no_room_is_counted() {
        let read = Pieces::read(file(7, 1, &[[1, 2, 3]]).as_slice()).unwrap();
        assert_eq!((read.pieces.len(), read.lost), (1, 6));
        assert_eq!(Pieces::count(file(7, 1, &[]).as_slice()).unwrap(), 7);
    }

    #[test]
    fn another_file_and_one_that_ends_too_early_are_errors() {
        let other = Pieces::read([0; 64].as_slice()).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::InvalidData);
        let cut = Pieces::read(file(2, 4, &[[1, 2, 3]]).as_slice()).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut file = MAGIC.to_vec();
            file.extend(bytes);
            if let Ok(read) = Pieces::read(file.as_slice()) {
                prop_assert!(read.pieces.iter().all(|piece| piece.bytes > 0));
            }
        }
    }
}
