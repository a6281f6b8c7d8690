// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the files of packages are packed.

use std::io::{self, Read};

/// A way to pack bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Xz,
    Zstd,
}

impl Packing {
    /// The bytes that were packed, in one part or several.
    ///
    /// # Errors
    /// The memory that it takes is not there. That the bytes are not packed so is told when they are read.
    pub(crate) fn unpacked<'a>(self, bytes: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
            Self::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(bytes)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes)?),
        })
    }
}
