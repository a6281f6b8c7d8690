// SPDX-License-Identifier: MIT OR Apache-2.0
//! From files to what their mails are: patches, covers, talk, and what cannot be read.

use super::{
    charsets, diff, mbox,
    message::{Attached, Message, MessageError},
    patch::{Patch, PatchError},
    series::{Choice, Series, SeriesError},
    subject::{Subject, Version},
};

/// Mails out of one or several files.
#[derive(Debug, Clone, Default)]
pub struct Mails {
    /// Each mail, with words that say which one it is.
    mails: Vec<(String, Vec<u8>)>,
    files: Vec<String>,
}

/// What places a mail among others.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// Words that say which mail it is.
    pub(super) mail: String,
    pub(super) subject: Subject,
    pub(super) id: String,
    pub(super) answers: Vec<String>,
    pub(super) author: String,
    pub(super) text: String,
}

/// A mail with a diff.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) placed: Placed,
    pub(super) patch: Patch,
    pub(super) warnings: Vec<String>,
}

/// A mail that claims to be a patch and cannot be taken.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub(super) id: String,
    pub(super) mail: String,
    /// Of which version; `None` where it does not read.
    pub(super) version: Option<Version>,
    pub(super) why: SeriesError,
}

/// Everything that is in the mails.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) covers: Vec<Placed>,
    pub(super) patches: Vec<Candidate>,
    /// Answers that have a patch.
    pub(super) suggested: Vec<Candidate>,
    /// Answers that have none.
    pub(super) talk: Vec<Placed>,
    pub(super) broken: Vec<Broken>,
    pub(super) notes: Vec<String>,
    /// The mails so far that have an id.
    seen: Vec<Seen>,
}

/// A mail that may come again.
#[derive(Debug)]
struct Seen {
    id: String,
    subject: Subject,
    mail: String,
}

impl Mails {
    /// Adds the mails of a file, which gzip may have packed.
    ///
    /// # Errors
    /// It does not unpack.
    pub fn add(&mut self, file: &str, bytes: &[u8]) -> Result<(), SeriesError> {
        self.files.push(format!("`{file}`"));
        let bytes = mbox::unpacked(bytes).map_err(|error| SeriesError::Packed {
            file: file.to_owned(),
            said: error.to_string(),
        })?;
        let found = mbox::mails(&bytes);
        let only = found.len() == 1;
        for (index, mail) in found.into_iter().enumerate() {
            let name = if only {
                format!("`{file}`")
            } else {
                format!("mail {} of `{file}`", index + 1)
            };
            self.mails.push((name, mail));
        }
        Ok(())
    }

    /// The series in the mails: the newest version of it or the one that is chosen, in the order of its numbers.
    ///
    /// Answers and mails without a diff are passed over, as in the saved thread of a discussion.
    ///
    /// # Errors
    /// The first thing that makes it impossible to apply them as they were meant.
    pub fn series(&self, choice: &Choice) -> Result<Series, SeriesError> {
        let mut gathered = Gathered::default();
        let only = self.mails.len() == 1;
        for (mail, bytes) in &self.mails {
            match Message::parse(bytes) {
                Ok(message) => gathered.take(mail, message, only),
                Err(why) => gathered.unread(mail, bytes, why, only),
            }
        }
        gathered.choose(choice, &self.files)
    }
}

impl Gathered {
    /// A mail that does not read.
    fn unread(&mut self, mail: &str, bytes: &[u8], why: MessageError, only: bool) {
        // Something in a thread that never was a patch does no harm.
        let harmless = !matches!(why, MessageError::TooLarge(_)) && diff::start_of_diff(bytes).is_none();
        if !only && harmless {
            self.notes.push(format!("{mail} was passed over: {why}"));
        } else {
            self.broken.push(Broken {
                id: String::new(),
                mail: mail.to_owned(),
                version: None,
                why: SeriesError::Message {
                    mail: mail.to_owned(),
                    why,
                },
            });
        }
    }

    /// Takes what a mail has; `only` says that there is no other.
    fn take(&mut self, mail: &str, mut message: Message, only: bool) {
        let has_diff = diff::start_of_diff(&message.text).is_some() || !message.attached.is_empty();
        let named = format!("{mail} (`{}`)", message.subject.title);
        let nameless = message.subject == Subject::parse("");
        if !message.id.is_empty() {
            // With another subject it is another mail, whatever its id.
            let same = |seen: &&Seen| seen.id == message.id && seen.subject == message.subject;
            if let Some(Seen { mail: first, .. }) = self.seen.iter().find(same) {
                // The one that came first may be the one that was damaged.
                if !self.broken.iter().any(|broken| broken.id == message.id) {
                    self.notes
                        .push(format!("{named} was passed over: it is {first} once more"));
                    return;
                }
                self.broken.retain(|broken| broken.id != message.id);
            }
            self.seen.push(Seen {
                id: message.id.clone(),
                subject: message.subject.clone(),
                mail: mail.to_owned(),
            });
        }
        let placed = Placed {
            mail: named.clone(),
            subject: message.subject.clone(),
            id: message.id.clone(),
            answers: message.answers.clone(),
            author: message.author.clone(),
            text: charsets::shown(&message.text),
        };
        let is_cover = message.subject.number.is_some_and(|(number, _)| number == 0);
        let claims = message.subject.patch && !message.subject.reply && !is_cover;
        let unreadable = |why| SeriesError::Message {
            mail: named.clone(),
            why,
        };
        let why = match message.no_text.take() {
            Some(kinds) if only || claims => unreadable(MessageError::NoText(kinds)),
            Some(kinds) => {
                let why = MessageError::NoText(kinds);
                self.notes.push(format!("{named} was passed over: {why}"));
                return;
            }
            None if nameless && (has_diff || only) && !message.attached.iter().any(Attached::is_mail) => {
                unreadable(MessageError::NoSubject)
            }
            None if !has_diff && claims && (message.subject.number.is_some() || only) => {
                SeriesError::NoDiff(named)
            }
            None => {
                if is_cover {
                    self.covers.push(placed);
                    message.text.clear();
                } else if !has_diff && message.subject.reply {
                    self.talk.push(placed);
                } else if !has_diff {
                    self.notes
                        .push(format!("{named} was passed over: it has no diff"));
                }
                if has_diff {
                    self.patches_of(mail, &message);
                }
                return;
            }
        };
        self.broken.push(Broken {
            id: message.id.clone(),
            mail: placed.mail,
            version: Some(message.subject.version()),
            why,
        });
    }

    /// Takes the patches in a mail's text and in the files with it.
    fn patches_of(&mut self, mail: &str, message: &Message) {
        let in_text = Patch::of(message);
        if message.attached.is_empty() {
            self.patch(mail, message, in_text);
            return;
        }
        let before = self.patches.len() + self.suggested.len();
        let broken = self.broken.len();
        let bare = message.attached.iter().filter(|file| !file.is_mail()).count();
        for (at, file) in message.attached.iter().enumerate() {
            if file.is_mail() {
                self.attached_mails(mail, at + 1, message, file);
                continue;
            }
            let mut alone = message.clone();
            alone.attached.clear();
            alone.stiff = None;
            if bare == 1 && message.attached.len() == 1 && matches!(in_text, Ok(None)) {
                // The text is what the patch says of itself.
                alone.text.push(b'\n');
                alone.text.extend(&file.bytes);
            } else {
                alone.text.clone_from(&file.bytes);
                alone.subject.number = None;
                if bare > 1 {
                    alone.subject.title = format!("{} ({})", message.subject.title, file.name);
                }
            }
            let patch = Patch::of(&alone);
            self.patch(&format!("`{}` of {mail}", file.name), &alone, patch);
        }
        let taken = self.patches.len() + self.suggested.len() - before;
        match in_text {
            Ok(None) => {}
            Ok(Some((patch, _))) => {
                let new = self.patches.iter().chain(&self.suggested).rev().take(taken);
                if taken != 1 || !new.into_iter().all(|other| other.patch.same_change(&patch)) {
                    self.patch(mail, message, Err(PatchError::InTextAndAttached));
                }
            }
            Err(why) if taken > 0 && self.broken.len() == broken => {
                let said =
                    format!("the patch in the text of {mail} was passed over for the one attached: {why}");
                self.notes.push(said);
            }
            Err(why) => self.patch(mail, message, Err(why)),
        }
    }

    /// Takes the mails in a file that came with a mail.
    fn attached_mails(&mut self, mail: &str, at: usize, outer: &Message, file: &Attached) {
        for (index, bytes) in mbox::mails(&file.bytes).iter().enumerate() {
            let of = match (file.name.as_str(), index) {
                ("", _) => format!("attachment {at} of {mail}"),
                (name, 0) => format!("`{name}` of {mail}"),
                (name, _) => format!("mail {} in `{name}` of {mail}", index + 1),
            };
            match Message::parse(bytes) {
                Ok(mut inner) => {
                    inner.subject.reply |= outer.subject.reply && !file.handed_on;
                    inner.subject.version = inner.subject.version.or(outer.subject.version);
                    inner.answers.extend(outer.answers.iter().cloned());
                    // A file in a file in a file: who does that means something else.
                    inner.attached.clear();
                    self.take(&of, inner, false);
                }
                Err(why) => self.unread(&of, bytes, why, false),
            }
        }
    }

    fn patch(
        &mut self,
        mail: &str,
        message: &Message,
        found: Result<Option<(Patch, Vec<String>)>, PatchError>,
    ) {
        let named = format!("{mail} (`{}`)", message.subject.title);
        let reply = message.subject.reply;
        match found {
            Ok(Some((patch, odd))) => {
                let warnings = message.warnings.iter().chain(&odd);
                let warnings = warnings.map(|odd| format!("{named}: {odd}")).collect();
                let candidate = Candidate {
                    placed: Placed {
                        mail: named,
                        subject: message.subject.clone(),
                        id: message.id.clone(),
                        answers: message.answers.clone(),
                        author: message.author.clone(),
                        text: charsets::shown(&message.text),
                    },
                    patch,
                    warnings,
                };
                let list = if reply {
                    &mut self.suggested
                } else {
                    &mut self.patches
                };
                list.push(candidate);
            }
            Ok(None) => {}
            Err(why) if reply => self
                .notes
                .push(format!("{named} was passed over: it is an answer, and {why}")),
            Err(why) => self.broken.push(Broken {
                id: message.id.clone(),
                mail: named.clone(),
                version: Some(message.subject.version()),
                why: SeriesError::Patch { mail: named, why },
            }),
        }
    }
}
