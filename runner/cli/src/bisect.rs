// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig bisect`: the first bad commit of a range, by one case.

use super::{args::Bisect, failure::Failure, places, suites, told};
use ::run::{Filter, Range, Search, Searched, good_word};
use base::{fault::Exit, ui::Ui};

pub(super) fn bisect(args: &Bisect, ui: &Ui) -> Result<Exit, Failure> {
    let suites = suites::load(&args.suites, &["quick"])?;
    let range = Range {
        tree: &args.tree,
        good: &args.good,
        bad: &args.bad,
        arches: &args.arches,
        suites: &suites,
        filter: Filter {
            cases: args.cases.clone(),
            variants: args.variants.clone(),
            expression: None,
        },
        qemus: args.places.qemus(),
        results: places::results(&args.places.results)?,
    };
    let mut search = Search::new(range).map_err(Failure::of)?;
    loop {
        match search.step(ui).map_err(Failure::of)? {
            Searched::Tested { title, outcome, good } => {
                told::write(&outcome.record, None, &outcome.folder, ui)?;
                if outcome.exit == Exit::Interrupted {
                    return Ok(Exit::Interrupted);
                }
                ui.out(&format!("{}: {title} ({})", good_word(good), outcome.folder));
            }
            Searched::NotTested { title, why } => {
                Failure::of(why).tell(ui);
                ui.line(&format!("{title}: {}", good_word(None)));
            }
            Searched::Found { commit, title } => {
                ui.out(&format!("the first bad commit is {commit}: {title}"));
                return Ok(Exit::Pass);
            }
            Searched::Among(titles) => {
                ui.out("commits that could not be tested stand in the way; the first bad commit is one of:");
                for title in titles {
                    ui.out(&format!("  {title}"));
                }
                return Ok(Exit::Broken);
            }
        }
    }
}
