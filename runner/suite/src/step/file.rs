// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file of the guest, as steps name it.

use std::fmt;

use super::{blocks::Use, checker::Checker, line::Line, word::Keys};
use crate::{names::BlockRef, places::Spot};

/// A file of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// A file in `/sys/devices/system/memory/memoryN` of each of these blocks.
    OfBlock {
        /// Which blocks.
        block: BlockRef,
        /// Name of the file.
        file: String,
    },
    /// An absolute path.
    Path(String),
}

impl File {
    /// The blocks whose file it is.
    pub(super) fn block(&self) -> Option<&BlockRef> {
        match self {
            Self::OfBlock { block, .. } => Some(block),
            Self::Path(_) => None,
        }
    }
}

impl Checker<'_, '_, '_> {
    /// Which file is meant: either one of blocks, or a path.
    pub(super) fn file(
        &mut self,
        block: &Option<BlockRef>,
        file: &Option<String>,
        path: &Option<String>,
        at: &Spot<'_>,
    ) -> File {
        match (block, file, path) {
            (Some(block), Some(file), None) => {
                self.uses(block, Use::There, &at.value("block"));
                if file.is_empty() || file.starts_with('/') || file.contains("..") {
                    let hint = Some("use `path` for files elsewhere".to_owned());
                    self.notes.wrong_but(
                        &at.value("file"),
                        format_args!("`{file}` is no file of a memory block"),
                        hint,
                    );
                }
                File::OfBlock {
                    block: block.clone(),
                    file: file.clone(),
                }
            }
            (None, None, Some(path)) => {
                if !path.starts_with('/') {
                    self.notes
                        .wrong(&at.value("path"), format_args!("`{path}` is no absolute path"));
                }
                File::Path(path.clone())
            }
            _ => {
                let message = "which file is not clear: expected either `block` and `file`, or `path`";
                self.notes.wrong(at, message);
                File::Path(String::new())
            }
        }
    }
}

impl Keys for File {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        match self {
            Self::OfBlock { block, file } => {
                line.key("block", block)?;
                line.key("file", file)
            }
            Self::Path(path) => line.key("path", path),
        }
    }
}
