// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig merge`: the parts of a run put together.

use super::{
    args::Merge,
    failure::Failure,
    places::{self, utf8},
    told,
};
use base::{fault::Exit, ui::Ui};

pub(super) fn merge(args: &Merge, ui: &Ui) -> Result<Exit, Failure> {
    let results = places::results(&args.results)?;
    let folders: Vec<_> = args.runs.iter().map(|run| utf8(run)).collect::<Result<_, _>>()?;
    told::merged(&folders, &results, args.partial, ui).map(|(_, exit)| exit)
}
