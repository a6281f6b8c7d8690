// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of lines of a kernel that is built. It is begun as soon as the kernel is linked, beside what make does after that, since whoever has made a
//! patch waits for both.

use std::{
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread::{Scope, ScopedJoinHandle},
};

use format::{build_id::BuildId, lines::LineTable};

/// A table as it is kept, or why there is none.
pub(super) type Table = Result<Vec<u8>, String>;

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Early<'scope>(ScopedJoinHandle<'scope, Option<(BuildId, Table)>>);

impl<'scope> Early<'scope> {
    /// Begins to read a file that the kernel was linked into.
    pub(super) fn begin(scope: &'scope Scope<'scope, '_>, linked: PathBuf) -> Self {
        Self(scope.spawn(move || Some((id(&linked)?, read(&linked)))))
    }

    /// The table, if it is that of the kernel as it is now. Make may have linked another one since, and what it still does to the file does not change
    /// where the code is.
    pub(super) fn of(self, vmlinux: &Path) -> Option<Table> {
        let (read, table) = self.0.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        (id(vmlinux)? == read && table.is_ok()).then_some(table)
    }
}

fn id(vmlinux: &Path) -> Option<BuildId> {
    BuildId::of_elf(fs_err::File::open(vmlinux).ok()?)
}

/// Reads the lines of a `vmlinux`.
pub(super) fn read(vmlinux: &Path) -> Table {
    let bytes = fs_err::read(vmlinux).map_err(|error| error.to_string())?;
    let table = LineTable::of_vmlinux(&bytes).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    table.write(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}
