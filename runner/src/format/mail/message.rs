// SPDX-License-Identifier: MIT OR Apache-2.0
//! One mail: its headers, and its text whatever way it was encoded. The only place that knows the MIME library.

use charset::Charset;
use mailparse::{MailHeaderMap, ParsedMail, parse_mail};

use super::{LARGEST_MAIL, subject::Subject};

/// Why a mail cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More than [`LARGEST_MAIL`].
    #[error("it has {} MiB, and mails of more than {} MiB are not read", .0 >> 20, LARGEST_MAIL >> 20)]
    TooLarge(usize),
    /// Not a mail.
    #[error("it is no mail: {0}")]
    Malformed(String),
    /// No subject, so that it cannot be given a place.
    #[error("it has no subject")]
    NoSubject,
    /// A charset that nobody knows.
    #[error("its text is in the charset `{0}`, which is not known")]
    UnknownCharset(String),
    /// Bytes that the charset does not have.
    #[error("its text is not {0}, although it says so: have it sent again, or save it from an archive")]
    NotInCharset(String),
    /// Neither text nor a patch.
    #[error("it has no text, only {0}: ask for it as plain text")]
    NoText(String),
}

/// A mail, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) subject: Subject,
    /// `From`, as `Name <address>`; empty where there is none.
    pub(super) author: String,
    /// `Date`, as written; empty where there is none.
    pub(super) date: String,
    /// `Message-Id` without its brackets; empty where there is none.
    pub(super) id: String,
    /// The text, with plain line ends.
    pub(super) text: String,
}

impl Message {
    pub(super) fn parse(mail: &[u8]) -> Result<Self, MessageError> {
        if mail.len() > LARGEST_MAIL {
            return Err(MessageError::TooLarge(mail.len()));
        }
        let parsed = parse_mail(mail).map_err(|error| MessageError::Malformed(error.to_string()))?;
        let header = |name| header(&parsed, name);
        let subject = header("Subject");
        if subject.is_empty() {
            return Err(MessageError::NoSubject);
        }
        let mut text = String::new();
        let mut others = Vec::new();
        for part in parsed.parts().filter(|part| part.subparts.is_empty()) {
            let kind = part.ctype.mimetype.as_str();
            let patch = kind.contains("patch") || kind.contains("diff");
            if kind == "text/plain" || patch {
                text += &text_of(part)?;
            } else {
                others.push(kind.to_owned());
            }
        }
        if text.trim().is_empty() && !others.is_empty() {
            return Err(MessageError::NoText(others.join(", ")));
        }
        Ok(Self {
            subject: Subject::parse(&subject),
            author: header("From"),
            date: header("Date"),
            id: header("Message-Id").trim_matches(['<', '>']).to_owned(),
            text,
        })
    }

    /// Whether a mail that does not read for this reason is talk about a series and no part of it.
    pub(super) fn is_talk(mail: &[u8], error: &MessageError) -> bool {
        let answer = || {
            let parsed = parse_mail(mail).ok();
            parsed.is_some_and(|parsed| Subject::parse(&header(&parsed, "Subject")).reply)
        };
        matches!(error, MessageError::NoText(_)) || !matches!(error, MessageError::TooLarge(_)) && answer()
    }
}

/// The value of a header, in one line.
fn header(parsed: &ParsedMail<'_>, name: &str) -> String {
    // A header that is not there says nothing.
    one_line(&parsed.headers.get_first_value(name).unwrap_or_default())
}

/// A header in one line, without what could end it.
fn one_line(value: &str) -> String {
    let visible: String = value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text_of(part: &ParsedMail<'_>) -> Result<String, MessageError> {
    let bytes = part
        .get_body_raw()
        .map_err(|error| MessageError::Malformed(error.to_string()))?;
    let named = part.ctype.charset.as_str();
    let ascii = named.is_empty() || named.eq_ignore_ascii_case("us-ascii");
    let text = if ascii || named.eq_ignore_ascii_case("utf-8") || named.eq_ignore_ascii_case("utf8") {
        // Who says nothing, or ASCII, often means UTF-8.
        let name = if ascii { "UTF-8" } else { named };
        String::from_utf8(bytes).map_err(|_| MessageError::NotInCharset(name.to_owned()))?
    } else {
        let charset = Charset::for_label_no_replacement(named.as_bytes())
            .ok_or_else(|| MessageError::UnknownCharset(named.to_owned()))?;
        let (text, _, wrong) = charset.decode(&bytes);
        if wrong {
            return Err(MessageError::NotInCharset(named.to_owned()));
        }
        text.into_owned()
    };
    Ok(plain_ends(text))
}

/// Takes the carriage returns away where a mail program put one at the end of every line.
fn plain_ends(text: String) -> String {
    let every_line = text
        .split_inclusive('\n')
        .all(|line| line.ends_with("\r\n") || !line.ends_with('\n'));
    if text.contains("\r\n") && every_line {
        text.replace("\r\n", "\n")
    } else {
        text
    }
}
