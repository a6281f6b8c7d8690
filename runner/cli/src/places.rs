// SPDX-License-Identifier: MIT OR Apache-2.0
//! From paths on the command line to folders.

use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use super::failure::Failure;

pub(super) fn utf8(path: &Path) -> Result<Utf8PathBuf, Failure> {
    Utf8PathBuf::from_path_buf(path.to_owned())
        .map_err(|path| Failure::usage(anyhow::anyhow!("`{}` is no UTF-8", path.display())))
}

/// The results folder, which takes a run: that is seen before anything long begins.
pub(super) fn results(named: &Path) -> Result<Utf8PathBuf, Failure> {
    let results = utf8(named)?;
    check_results(&results)?;
    Ok(results)
}

/// Checks that the folder takes a run.
pub(super) fn check_results(results: &Utf8Path) -> Result<(), Failure> {
    let unwritable = |error: std::io::Error| {
        Failure::usage(
            anyhow::Error::new(error).context(format!("the results folder `{results}` cannot be written")),
        )
        .hint("name another folder with --results")
    };
    fs_err::create_dir_all(results).map_err(unwritable)?;
    tempfile::Builder::new()
        .prefix(".probe-")
        .tempfile_in(results)
        .map_err(unwritable)?;
    Ok(())
}

/// The folder of a run, by its path or by its name in the results folder: summaries name a run by its id alone.
pub(super) fn run_folder(run: &Path, results: &Path) -> Result<Utf8PathBuf, Failure> {
    let named = results.join(run);
    // What is in neither place is missed where the user said that it is.
    utf8(if run.exists() || !named.exists() {
        run
    } else {
        &named
    })
}
