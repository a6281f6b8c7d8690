// SPDX-License-Identifier: MIT OR Apache-2.0
//! `report.html`: one self-contained page about a run.
//!
//! The page has no script and loads nothing, and says so by a content security policy, so that what a guest printed cannot do
//! anything in a reader's browser even if it got past the escaping. Everything that opens and filters is plain HTML and CSS.

mod boot;
mod explored;
mod page;
mod past;
mod plot;
mod timeline;
mod trouble;
mod words;

pub use page::{html, html_with};
pub use past::history_html;
