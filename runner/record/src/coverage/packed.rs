// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes made small, also for a line of JSON.

use std::io::{self, Read as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use serde::{Deserialize, Serialize};

/// The most that is unpacked, in bytes: a kernel with all its functions has 5 MB.
const MOST: u64 = 256 << 20;

/// Bytes, compressed (zlib) and in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Packed(String);

impl Packed {
    pub(super) fn of(bytes: &[u8]) -> io::Result<Self> {
        Ok(Self(STANDARD.encode(zipped(bytes, Compression::best())?)))
    }

    /// # Errors
    /// It is not packed bytes, or more than a coverage can have.
    pub(super) fn bytes(&self) -> io::Result<Vec<u8>> {
        unzipped(&STANDARD.decode(&self.0).map_err(io::Error::other)?)
    }

    pub(super) fn text(&self) -> io::Result<String> {
        String::from_utf8(self.bytes()?).map_err(io::Error::other)
    }
}

/// Bytes, compressed (zlib).
pub(super) fn zipped(bytes: &[u8], how: Compression) -> io::Result<Vec<u8>> {
    let mut packed = ZlibEncoder::new(Vec::new(), how);
    packed.write_all(bytes)?;
    packed.finish()
}

/// # Errors
/// It is not compressed bytes, or more than a coverage can have.
pub(super) fn unzipped(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed).take(MOST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MOST {
        true => Err(io::Error::other("more bytes than a coverage has")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out() {
        let bytes: Vec<u8> = (0..10_000u32).map(|n| (n % 7) as u8).collect();
        let packed = Packed::of(&bytes).unwrap();
        assert!(packed.0.len() < 200, "{}", packed.0.len());
        assert_eq!(packed.bytes().unwrap(), bytes);
    }

    #[test]
    fn what_is_not_packed_is_an_error() {
        for text in ["", "!", "AAAA"] {
            assert!(Packed(text.to_owned()).bytes().is_err(), "{text:?}");
        }
    }
}
