// SPDX-License-Identifier: MIT OR Apache-2.0
//! Columns of text.

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// The rows with their cells padded to columns, two spaces apart, without spaces at the ends of lines.
///
/// A column in which every cell but the first row's is empty is left out.
pub(super) fn columns(rows: &[Vec<String>], align: &[Align]) -> String {
    let width = |column: usize| {
        let cells = || rows.iter().filter_map(|row| row.get(column));
        if cells().skip(1).all(String::is_empty) {
            return None;
        }
        cells().map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<Option<usize>> = (0..align.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(align).zip(&widths);
        let cells: Vec<String> = cells
            .filter_map(|((cell, align), width)| {
                let width = (*width)?;
                Some(match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                })
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_empty_ones_are_left_out() {
        let rows = [["what", "gone", "n"], ["a", "", "1"], ["bcdef", "", "-20"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            columns(&rows, &[Align::Left, Align::Right, Align::Right]),
            "what     n\na        1\nbcdef  -20\n"
        );
    }
}
