// SPDX-License-Identifier: MIT OR Apache-2.0
//! LCOV's tracefile, as `genhtml` and Codecov read it (geninfo(1)).

use super::counts::{everything, functions, line_counts, title};
use crate::text::Lines;
use record::{Coverage, CoveredKernel};

/// The coverage as a tracefile: for each kernel whose lines are known, and each of its files, how many cases ran each line.
pub fn lcov(coverage: &Coverage) -> String {
    let mut lines = Lines::default();
    for kernel in &coverage.kernels {
        of_kernel(kernel, &mut lines);
    }
    lines.into_text()
}

fn of_kernel(kernel: &CoveredKernel, lines: &mut Lines) {
    let (cases, all) = (kernel.ranges_of_cases(), everything(kernel));
    // A test's name has letters, digits and underscores.
    let name: String = title(kernel)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    for source in kernel
        .text
        .sources
        .iter()
        .filter(|source| !source.rows.is_empty())
    {
        lines.line(format_args!("TN:{name}\nSF:{}", source.file));
        let functions = functions(kernel, source, &all);
        for (line, function, _) in &functions {
            lines.line(format_args!("FN:{line},{function}"));
        }
        for (_, function, ran) in &functions {
            lines.line(format_args!("FNDA:{},{function}", u8::from(*ran)));
        }
        let hit = functions.iter().filter(|(_, _, ran)| *ran).count();
        lines.line(format_args!("FNF:{}\nFNH:{hit}", functions.len()));
        let counts = line_counts(kernel, source, &cases);
        for (line, count) in &counts {
            lines.line(format_args!("DA:{line},{count}"));
        }
        let hit = counts.values().filter(|count| **count > 0).count();
        lines.line(format_args!("LF:{}\nLH:{hit}\nend_of_record", counts.len()));
    }
}
