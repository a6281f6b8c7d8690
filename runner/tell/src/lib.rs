// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run's record says, in the forms that people and programs read.
//!
//! Everything here is a pure function of the record: it reads no file, knows no clock and prints nothing, so that a
//! report made years later is the report that was made then.
//!
//! It may use `compare`, `record`, `memory` and `base`.

mod compare;
mod cost;
mod coverage;
mod csv;
mod evidence;
mod explore;
mod github;
mod history;
mod html;
mod json;
mod junit;
mod ktap;
mod news;
mod part;
mod ran;
mod rounds;
mod table;
mod terminal;
mod text;
mod trend;
mod walk;

pub use self::compare::{compare_csv, compare_mail, compare_summary};
pub use self::explore::explore_summary;
pub use cost::{cost_functions, cost_summary};
pub use coverage::{cobertura, coverage_json, coverage_markdown, coverage_summary, lcov};
pub use csv::{csv, flaky_csv, history_csv, subcases_csv, trend_csv};
pub use github::github;
pub use history::{Flaky, flaky, flaky_text, history_text};
pub use html::{history_html, html, html_with};
pub use json::{json, kcidb};
pub use junit::junit;
pub use ktap::ktap;
pub use news::{News, Novelty, Past, news};
pub use terminal::{Style, summary, summary_with};
pub use trend::{Trend, trend, trend_text};
pub use walk::{walk_exit, walk_summary};
