// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which code the series of a kernel changes.

use std::{collections::BTreeSet, io, ops::RangeInclusive};

use format::lines::LineTable;
use supply::kernel::Kernel;

/// The code that a series changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ChangedCode {
    /// The names of its functions.
    pub(crate) names: BTreeSet<String>,
    /// There may be others: what is inlined has no code of its name, and it is not known where it was inlined.
    pub(crate) may_be_more: bool,
    /// Where it changes the kernel that it is on: files and their lines there.
    pub(crate) places: Vec<(String, RangeInclusive<u32>)>,
}

/// The code that a kernel's series changes. Its functions are those of its diff, and those that have the code of these, or of lines that it has added or changed,
/// which may have been inlined there. Nothing without a series.
///
/// # Errors
/// The line table of the kernel does not read.
pub(crate) fn changed_code(kernel: &Kernel) -> io::Result<ChangedCode> {
    let changed = &kernel.changed.series;
    let mut names = changed.functions.clone();
    let mut may_be_more = !names.is_empty();
    let files = changed
        .lines
        .keys()
        .chain(changed.bodies.iter().map(|(file, _)| file));
    let files: BTreeSet<&String> = files.collect();
    if let Some(path) = kernel.lines.as_ref().filter(|_| !files.is_empty()) {
        let table = LineTable::read(fs_err::File::open(path)?, |name| {
            files.iter().any(|file| *file == name)
        })?;
        may_be_more &= table.functions.is_empty();
        for file in files {
            let added = |line| {
                changed
                    .lines
                    .get(file)
                    .is_some_and(|lines| lines.contains_key(&line))
            };
            let in_body = |line| {
                let mut bodies = changed.bodies.iter();
                bodies.any(|(of, lines)| of == file && lines.contains(&line))
            };
            let of_file = table.functions_of(file, |line| added(line) || in_body(line));
            names.extend(of_file.into_iter().map(str::to_owned));
        }
    }
    Ok(ChangedCode {
        names,
        may_be_more,
        places: changed.places.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::nowhere;
    use format::lines::Row;
    use vm::scratch::Scratch;

    #[test]
    fn a_function_that_was_inlined_is_found_by_its_lines() {
        let folder = Scratch::new().unwrap();
        let mut kernel = nowhere(1).kernels.remove(0).kernel;
        assert_eq!(changed_code(&kernel).unwrap(), ChangedCode::default());
        kernel.changed.series.functions.insert("inlined".to_owned());
        kernel
            .changed
            .series
            .lines
            .insert("mm/a.c".to_owned(), [(7, String::new())].into());
        let of = |kernel: &Kernel| {
            let changed = changed_code(kernel).unwrap();
            (
                changed.names.into_iter().collect::<Vec<_>>().join(" "),
                changed.may_be_more,
            )
        };
        assert_eq!(of(&kernel), ("inlined".to_owned(), true), "without a table");
        let row = |offset, line| Row {
            offset,
            bytes: 4,
            line,
            inlined: None,
        };
        let mut table = LineTable::default();
        table
            .files
            .insert("mm/a.c".to_owned(), vec![row(0x10, 7), row(0x20, 8)]);
        let path = folder.path().join("lines.gz");
        kernel.lines = Some(path.clone());
        let write = |table: &LineTable| table.write(fs_err::File::create(&path).unwrap()).unwrap();
        write(&table);
        assert_eq!(
            of(&kernel),
            ("inlined".to_owned(), true),
            "of a table without functions"
        );
        table.functions = vec![(0, "around".to_owned()), (0x20, "other".to_owned())];
        write(&table);
        assert_eq!(of(&kernel), ("around inlined".to_owned(), false));
        // Of a function that only lost lines, those that it still has are looked up.
        kernel.changed.series.lines.clear();
        assert_eq!(of(&kernel), ("inlined".to_owned(), true));
        kernel.changed.series.bodies.push(("mm/a.c".to_owned(), 8..=9));
        assert_eq!(of(&kernel), ("inlined other".to_owned(), false));
    }
}
