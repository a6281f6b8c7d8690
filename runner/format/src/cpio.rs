// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an initramfs: a `newc` archive whose bytes depend on nothing but what is put in.
//!
//! Format: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`. Entries are sorted, times are 0, owners
//! are root, inode numbers count up. Several archives one after the other are one initramfs; each is padded to 512 bytes so
//! that the next one is aligned.

use std::{collections::BTreeMap, io};

use cpio::newc::{self, Builder, ModeFileType};

/// What one path of an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir,
    /// A regular file.
    File(Vec<u8>),
    /// A symbolic link and where it leads.
    Link(String),
    /// A character device by major and minor number.
    Char(u32, u32),
}

/// The path cannot be in an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Not a plain relative path.
    #[error(
        "`{0}` is no path inside an image: expected names divided by single slashes, without `.` or `..`"
    )]
    Path(String),
    /// A parent of it is no directory.
    #[error("`{path}` cannot be put under `{parent}`, which is no directory")]
    Parent {
        /// What was to be added.
        path: String,
        /// The part of it that is something else already.
        parent: String,
    },
}

/// A file tree in memory, by path without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, (Node, u32)>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a node at a path (a leading slash does not matter), with these permission bits. Missing parents become directories
    /// of mode 0755. What was there is replaced.
    ///
    /// # Errors
    /// The path is no path inside the tree.
    pub fn put(&mut self, path: &str, node: Node, mode: u32) -> Result<(), TreeError> {
        let path = path.trim_start_matches('/');
        if path.is_empty()
            || path.split('/').any(|part| matches!(part, "" | "." | ".."))
            || path.contains('\0')
        {
            return Err(TreeError::Path(path.to_owned()));
        }
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match self.nodes.get(parent) {
                None => {
                    self.nodes.insert(parent.to_owned(), (Node::Dir, 0o755));
                }
                Some((Node::Dir, _)) => {}
                Some(_) => {
                    return Err(TreeError::Parent {
                        path: path.to_owned(),
                        parent: parent.to_owned(),
                    });
                }
            }
        }
        self.nodes.insert(path.to_owned(), (node, mode & 0o7777));
        Ok(())
    }

    /// What is at a path.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path.trim_start_matches('/')).map(|(node, _)| node)
    }

    /// The archive. Same tree, same bytes.
    ///
    /// # Errors
    /// A file of 4 GiB or more, which the format cannot hold.
    pub fn archive(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        for (ino, (path, (node, mode))) in (1..).zip(&self.nodes) {
            let builder = Builder::new(path).ino(ino).mode(*mode).nlink(1).mtime(0);
            let (builder, bytes): (Builder, &[u8]) = match node {
                Node::Dir => (builder.set_mode_file_type(ModeFileType::Directory).nlink(2), &[]),
                Node::File(bytes) => (builder.set_mode_file_type(ModeFileType::Regular), bytes),
                Node::Link(target) => (
                    builder.set_mode_file_type(ModeFileType::Symlink),
                    target.as_bytes(),
                ),
                Node::Char(major, minor) => {
                    let device = builder.rdev_major(*major).rdev_minor(*minor);
                    (device.set_mode_file_type(ModeFileType::Char), &[])
                }
            };
            let size = u32::try_from(bytes.len())
                .map_err(|_| io::Error::other(format!("`{path}` is too large for a cpio archive")))?;
            let mut writer = builder.write(out, size);
            io::Write::write_all(&mut writer, bytes)?;
            out = writer.finish()?;
        }
        out = newc::trailer(out)?;
        out.resize(out.len().next_multiple_of(512), 0);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tree {
        let mut tree = Tree::new();
        tree.put("/init", Node::File(b"#!/bin/sh\n".to_vec()), 0o755)
            .unwrap();
        tree.put("dev/console", Node::Char(5, 1), 0o600).unwrap();
        tree.put("bin/busybox", Node::File(vec![7; 5]), 0o755).unwrap();
        tree.put("bin/sh", Node::Link("busybox".to_owned()), 0o777)
            .unwrap();
        tree
    }

    #[test]
    fn parents_come_before_children_and_modes_are_kept() {
        let archive = sample().archive().unwrap();
        assert_eq!(archive.len() % 512, 0);
        let mut input = archive.as_slice();
        let mut seen = Vec::new();
        loop {
            let reader = newc::Reader::new(input).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let device = (reader.entry().rdev_major(), reader.entry().rdev_minor());
            assert_eq!(reader.entry().mtime(), 0);
            let mut bytes = Vec::new();
            input = reader.to_writer(&mut bytes).unwrap();
            seen.push((name, mode, device, bytes));
        }
        let short: Vec<_> = seen
            .iter()
            .map(|(n, m, d, b)| (n.as_str(), *m, *d, b.len()))
            .collect();
        assert_eq!(
            short,
            [
                ("bin", 0o040_755, (0, 0), 0),
                ("bin/busybox", 0o100_755, (0, 0), 5),
                ("bin/sh", 0o120_777, (0, 0), 7),
                ("dev", 0o040_755, (0, 0), 0),
                ("dev/console", 0o020_600, (5, 1), 0),
                ("init", 0o100_755, (0, 0), 10),
            ]
        );
    }

    #[test]
    fn the_order_of_putting_changes_no_byte() {
        let mut other = Tree::new();
        other
            .put("bin/sh", Node::Link("busybox".to_owned()), 0o777)
            .unwrap();
        other.put("dev/console", Node::Char(5, 1), 0o600).unwrap();
        other.put("bin/busybox", Node::File(vec![7; 5]), 0o755).unwrap();
        other
            .put("init", Node::File(b"#!/bin/sh\n".to_vec()), 0o755)
            .unwrap();
        assert_eq!(other.archive().unwrap(), sample().archive().unwrap());
        other
            .put("init", Node::File(b"#!/bin/sh\n".to_vec()), 0o700)
            .unwrap();
        assert_ne!(other.archive().unwrap(), sample().archive().unwrap());
    }

    #[test]
    fn paths_stay_inside() {
        let mut tree = sample();
        for path in ["", "/", "../etc", "a//b", "a/./b", "a/"] {
            assert!(tree.put(path, Node::Dir, 0o755).is_err(), "{path:?}");
        }
        let error = tree.put("init/x", Node::Dir, 0o755).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`init/x` cannot be put under `init`, which is no directory"
        );
    }
}
