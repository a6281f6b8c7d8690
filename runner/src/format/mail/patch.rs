// SPDX-License-Identifier: MIT OR Apache-2.0
//! One patch, understood and written anew for git.

use std::collections::BTreeSet;

use super::{
    diff::{self, DiffError},
    mbox,
    message::Message,
};

/// A patch with everything that a commit needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// What stands after the brackets of the subject.
    pub title: String,
    /// `Name <address>`.
    pub author: String,
    /// The mail's date, as written; empty where there is none.
    pub date: String,
    /// The commit's message without the title.
    pub message: String,
    /// The files that it touches, by name.
    pub files: BTreeSet<String>,
    diff: String,
}

/// Why a mail is no patch that can be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// Nobody to name as the author.
    #[error("it has no author: no `From:` with an address")]
    NoAuthor,
    /// Nothing to name it by.
    #[error("it has no title")]
    NoTitle,
    /// Its diff.
    #[error(transparent)]
    Diff(#[from] DiffError),
}

impl Patch {
    /// The patch in a mail; `None` where the mail has no diff.
    pub(super) fn of(message: &Message) -> Result<Option<Self>, PatchError> {
        let text = &message.text;
        let Some(start) = diff::start_of_diff(text) else {
            return Ok(None);
        };
        let diff = text[start..].to_owned();
        let files = diff::check(&diff)?;
        if !message.author.contains('@') {
            return Err(PatchError::NoAuthor);
        }
        if message.subject.title.is_empty() {
            return Err(PatchError::NoTitle);
        }
        let before = &text[..start];
        let mut said = String::new();
        // What stands after `---` is for readers of the mail.
        for line in before.lines().take_while(|line| line.trim_end() != "---") {
            said += line.trim_end();
            said.push('\n');
        }
        Ok(Some(Self {
            title: message.subject.title.clone(),
            author: message.author.clone(),
            date: message.date.clone(),
            message: said.trim().to_owned(),
            files,
            diff,
        }))
    }

    /// The patch as a mail for `git am --patch-format=mboxrd`.
    pub fn for_git(&self) -> String {
        let date = if self.date.is_empty() {
            // Without one git takes the time of the day, and the same series makes another commit each time.
            "Thu, 1 Jan 1970 00:00:00 +0000"
        } else {
            &self.date
        };
        let diff = if self.diff.ends_with('\n') { "" } else { "\n" };
        format!(
            "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: {}\nDate: {date}\n\
             Subject: [PATCH] {}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n\
             Content-Transfer-Encoding: 8bit\n\n{}\n---\n\n{}{diff}\n",
            self.author,
            self.title,
            mbox::quoted(&self.message),
            mbox::quoted(&self.diff),
        )
    }
}
