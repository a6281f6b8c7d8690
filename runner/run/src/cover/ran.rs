// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which lines of a series a run has run, as its coverage tells.

use camino::Utf8Path;

use base::ui::Ui;
use record::{Coverage, CoveredKernel, ReadError};

/// The kernels of a run of which the lines are known; none where the run kept no coverage. What of it does not read is told.
///
/// # Errors
/// The coverage cannot be opened.
pub(crate) fn kernels_with_lines(run: &Utf8Path, ui: &Ui) -> Result<Vec<CoveredKernel>, ReadError> {
    let Some((coverage, damage)) = Coverage::read(run)? else {
        return Ok(Vec::new());
    };
    for damage in damage {
        ui.warning(&damage.to_string());
    }
    let has_lines = |kernel: &CoveredKernel| !kernel.text.sources.is_empty();
    Ok(coverage.kernels.into_iter().filter(has_lines).collect())
}
