// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which functions the series of a kernel changes.

use std::{collections::BTreeSet, io};

use format::lines::LineTable;
use supply::kernel::Kernel;

/// The functions that a kernel's series changes: by its diff, and those that have the code of lines that it has added or changed, which may have been
/// inlined there. None without a series.
///
/// # Errors
/// The line table of the kernel does not read.
pub(crate) fn changed_functions(kernel: &Kernel) -> io::Result<BTreeSet<String>> {
    let changed = &kernel.changed.series;
    let mut functions = changed.functions.clone();
    let Some(path) = kernel.lines.as_ref().filter(|_| !changed.lines.is_empty()) else {
        return Ok(functions);
    };
    let table = LineTable::read(fs_err::File::open(path)?, |file| changed.lines.contains_key(file))?;
    for (file, lines) in &changed.lines {
        let of_file = table.functions_of(file, |line| lines.contains_key(&line));
        functions.extend(of_file.into_iter().map(str::to_owned));
    }
    Ok(functions)
}
