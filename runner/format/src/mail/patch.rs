// SPDX-License-Identifier: MIT OR Apache-2.0
//! One patch, understood and written anew for git.

use std::collections::BTreeSet;

use super::{
    build, charsets, date,
    diff::{self, DiffError},
    mbox,
    message::Message,
    subject::Subject,
};

/// A patch with everything that a commit needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// What stands after the brackets of the subject.
    pub title: String,
    /// `Name <address>`.
    pub author: String,
    /// The mail's date, as git takes it.
    pub(crate) date: Option<String>,
    /// The commit's message without the title.
    pub(crate) message: String,
    /// The files that it touches, by name.
    pub files: BTreeSet<String>,
    /// The diff and nothing else. A file of the tree may have any bytes.
    diff: Vec<u8>,
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
    /// One patch in the text, and others with it.
    #[error("it has a patch in its text, and another one attached: keep the one that is meant")]
    InTextAndAttached,
    /// Its diff.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// Its diff, which a mail program was allowed to wrap.
    #[error("{0}; it was sent as `format=flowed`, which joins lines that end in a space")]
    Flowed(DiffError),
}

impl Patch {
    /// The patch in the text of a mail, and what is odd about it; `None` where the text has no diff.
    pub(super) fn of(message: &Message) -> Result<Option<(Self, Vec<String>)>, PatchError> {
        let found = Self::in_text(&message.text, message);
        let Some(stiff) = &message.stiff else {
            return found;
        };
        // Where each line has a space more than it had, it is what it says, and was damaged.
        let stuffed = stiff
            .split(|&byte| byte == b'\n')
            .all(|line| !line.starts_with(b" ") || line.starts_with(b"  "));
        match (found, Self::in_text(stiff, message)) {
            (Err(PatchError::Diff(_)), Ok(Some((patch, mut odd)))) if !stuffed => {
                odd.push(
                    "it says `format=flowed`, and its lines are not: they are taken as they came".to_owned(),
                );
                Ok(Some((patch, odd)))
            }
            (Err(PatchError::Diff(error)), _) => Err(PatchError::Flowed(error)),
            (found, _) => found,
        }
    }

    fn in_text(text: &[u8], message: &Message) -> Result<Option<(Self, Vec<String>)>, PatchError> {
        let Some(start) = diff::start_of_diff(text) else {
            return Ok(None);
        };
        let diff = &text[start..];
        let checked = diff::check(diff)?;
        let mut patch = Self {
            title: message.subject.title.clone(),
            author: message.author.clone(),
            date: message.date.clone(),
            message: String::new(),
            files: checked.files,
            diff: diff[..checked.end].to_owned(),
        };
        patch.say(&charsets::shown(&text[..start]));
        if !patch.author.contains('@') {
            // As archives write an address.
            patch.author = patch.author.replacen(" at ", "@", 1);
        }
        if !patch.author.contains('@') {
            return Err(PatchError::NoAuthor);
        }
        if patch.title.is_empty() {
            return Err(PatchError::NoTitle);
        }
        Ok(Some((patch, checked.left_out.into_iter().collect())))
    }

    /// Takes what stands before the diff: perhaps author, title and date, and then what the commit says.
    fn say(&mut self, before: &str) {
        // What stands after `---` is for readers of the mail.
        let mut lines = before
            .lines()
            .take_while(|line| line.trim_end() != "---")
            .peekable();
        while lines.next_if(|line| line.trim().is_empty()).is_some() {}
        while let Some(line) = lines.peek() {
            let line = line.trim_start_matches('>');
            let value = |name| {
                line.strip_prefix(name)
                    .map(str::trim)
                    .filter(|value| !value.is_empty())
            };
            if let Some(author) = value("From:").filter(|author| author.contains('@')) {
                author.clone_into(&mut self.author);
            } else if let Some(subject) = value("Subject:") {
                self.title = Subject::parse(subject).title;
            } else if let Some(date) = value("Date:").and_then(date::for_git) {
                self.date = Some(date);
            } else {
                break;
            }
            lines.next();
        }
        let said: Vec<&str> = lines.map(str::trim_end).collect();
        said.join("\n").trim().clone_into(&mut self.message);
    }

    /// Whether two patches change the same lines in the same way, whatever is said about them.
    pub(crate) fn same_change(&self, other: &Self) -> bool {
        self.diff == other.diff
    }

    /// The diff, for those that look at what is changed.
    pub fn diff(&self) -> &[u8] {
        &self.diff
    }

    /// The files by which it changes what runs on the machine that builds the kernel, before anything of the kernel does.
    pub fn runs_at_build(&self) -> Vec<String> {
        build::runs_at_build(&String::from_utf8_lossy(&self.diff))
    }

    /// The patch as a mail for `git am --patch-format=mboxrd`.
    pub fn for_git(&self) -> Vec<u8> {
        // Without one git takes the time of the day, and the same series makes another commit each time.
        let date = self.date.as_deref().unwrap_or("Thu, 1 Jan 1970 00:00:00 +0000");
        let mut mail = format!(
            "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: {}\nDate: {date}\n\
             Subject: [PATCH] {}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n\
             Content-Transfer-Encoding: 8bit\n\n",
            self.author, self.title,
        )
        .into_bytes();
        mail.extend(mbox::quoted(self.message.as_bytes()));
        mail.extend(b"\n---\n\n");
        mail.extend(mbox::quoted(&self.diff));
        if !self.diff.ends_with(b"\n") {
            mail.push(b'\n');
        }
        mail.push(b'\n');
        mail
    }
}
