// SPDX-License-Identifier: MIT OR Apache-2.0
//! One mail: its headers, and its text whatever way it was encoded. The only place that knows the MIME library.

use mailparse::{DispositionType, MailHeaderMap, ParsedMail, parse_mail};

use super::{LARGEST_MAIL, charsets, date, diff, flowed, mbox, subject::Subject};

/// Why a mail cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More than `LARGEST_MAIL`.
    #[error("it has {} MiB, and mails of more than {} MiB are not read", .0 >> 20, LARGEST_MAIL >> 20)]
    TooLarge(usize),
    /// Not a mail.
    #[error("it is no mail: {0}")]
    Malformed(String),
    /// A change without author and title, as other programs write it.
    #[error("it is {0} and no mail: `git format-patch` writes author and title with it")]
    Bare(&'static str),
    /// Two bytes for each letter, which hides what a line begins with.
    #[error("it is UTF-16 text: save it as UTF-8, or write it by `git format-patch --output`")]
    Utf16,
    /// No subject, so that it cannot be given a place.
    #[error("it has no subject")]
    NoSubject,
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
    /// `Date`, as git takes it.
    pub(super) date: Option<String>,
    /// `Message-Id` without its brackets; empty where there is none.
    pub(super) id: String,
    /// The ids of the mails that it answers.
    pub(super) answers: Vec<String>,
    /// The text, with plain line ends.
    pub(super) text: Vec<u8>,
    /// The text as it was sent, where it says that it is flowed.
    pub(super) stiff: Option<Vec<u8>>,
    /// Files with it: mails or diffs.
    pub(super) attached: Vec<Attached>,
    /// The kinds of what it has, where it has no text.
    pub(super) no_text: Option<String>,
    /// What is odd about it, for a person.
    pub(super) warnings: Vec<String>,
}

/// A patch that came as a file with a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attached {
    /// Its name; empty where it has none.
    pub(super) name: String,
    /// Whether it is a mail that was handed on as it came, and no file.
    pub(super) handed_on: bool,
    /// What is in it, with plain line ends.
    pub(super) bytes: Vec<u8>,
}

impl Attached {
    /// Whether it is a mail or several, and no bare diff.
    pub(super) fn is_mail(&self) -> bool {
        // What does not read as a mail is none.
        let has_subject = |mail: &Vec<u8>| {
            parse_mail(mail).is_ok_and(|parsed| parsed.headers.get_first_header("Subject").is_some())
        };
        mbox::mails(&self.bytes).first().is_some_and(has_subject)
    }
}

impl Message {
    pub(super) fn parse(mail: &[u8]) -> Result<Self, MessageError> {
        if mail.len() > LARGEST_MAIL {
            return Err(MessageError::TooLarge(mail.len()));
        }
        if mail.starts_with(&[0xff, 0xfe]) || mail.starts_with(&[0xfe, 0xff]) {
            return Err(MessageError::Utf16);
        }
        if let Some(what) = bare(mail) {
            return Err(MessageError::Bare(what));
        }
        let parsed =
            parse_mail(after_separators(mail)).map_err(|error| MessageError::Malformed(error.to_string()))?;
        let header = |name| header(&parsed, name);
        let written = header("Date");
        let mut message = Self {
            subject: Subject::parse(&header("Subject")),
            author: header("From"),
            date: date::for_git(&written),
            // Many have none: an export, a file of git format-patch.
            id: ids(&header("Message-Id")).into_iter().next().unwrap_or_default(),
            answers: [ids(&header("In-Reply-To")), ids(&header("References"))].concat(),
            text: Vec::new(),
            stiff: None,
            attached: Vec::new(),
            no_text: None,
            warnings: Vec::new(),
        };
        if message.date.is_none() && !written.is_empty() {
            let said = format!("git does not take its date `{written}`: the commit has the first of 1970");
            message.warnings.push(said);
        }
        let mut sent = Vec::new();
        let mut others = Vec::new();
        for part in parsed.parts().filter(|part| part.subparts.is_empty()) {
            message.part(part, &mut sent, &mut others)?;
        }
        message.stiff = (sent != message.text).then_some(sent);
        message.text = without_armour(&message.text);
        if message.text.trim_ascii().is_empty() && message.attached.is_empty() && !others.is_empty() {
            message.no_text = Some(others.join(", "));
        }
        Ok(message)
    }

    /// Adds what a part has; `sent` is the text as it came, and `others` are the kinds that are passed over.
    fn part(
        &mut self,
        part: &ParsedMail<'_>,
        sent: &mut Vec<u8>,
        others: &mut Vec<String>,
    ) -> Result<(), MessageError> {
        let kind = part.ctype.mimetype.as_str();
        let disposition = part.get_content_disposition();
        let name = disposition
            .params
            .get("filename")
            .or_else(|| part.ctype.params.get("name"));
        let is_file = name.is_some() || disposition.disposition == DispositionType::Attachment;
        if kind == "text/plain" && !is_file {
            let (bytes, odd) = charsets::decoded(self.body(part)?, &part.ctype.charset);
            self.warnings.extend(odd);
            let is = |name: &str, value: &str| {
                part.ctype
                    .params
                    .get(name)
                    .is_some_and(|is| is.eq_ignore_ascii_case(value))
            };
            add_text(sent, &bytes);
            if is("format", "flowed") {
                add_text(&mut self.text, &flowed::unflowed(&bytes, is("delsp", "yes")));
            } else {
                add_text(&mut self.text, &bytes);
            }
            return Ok(());
        }
        if kind == "text/html" {
            others.push(kind.to_owned());
            return Ok(());
        }
        let bytes = self.body(part)?;
        // What does not unpack is no patch, as a log or a configuration.
        let bytes = mbox::unpacked(&bytes).map_or_else(|_| bytes.clone(), |bytes| bytes.into_owned());
        if kind == "message/rfc822" || diff::start_of_diff(&bytes).is_some() {
            self.attached.push(Attached {
                name: name.map_or_else(String::new, |name| one_line(name)),
                handed_on: kind == "message/rfc822",
                bytes,
            });
        } else {
            others.push(kind.to_owned());
        }
        Ok(())
    }

    /// The bytes of a part, with plain line ends.
    fn body(&mut self, part: &ParsedMail<'_>) -> Result<Vec<u8>, MessageError> {
        let encoding = header(part, "Content-Transfer-Encoding").to_ascii_lowercase();
        let encoded = matches!(encoding.as_str(), "base64" | "quoted-printable");
        let malformed = |error: mailparse::MailParseError| MessageError::Malformed(error.to_string());
        let bytes = match part.get_body_raw() {
            Ok(bytes) => bytes,
            // A mailing list may have put its lines below.
            Err(error) => {
                let start = part.raw_bytes.len() - after_header(part.raw_bytes).len();
                let begin = base64_alone(&part.raw_bytes[start..]);
                if encoding != "base64" || begin.is_empty() {
                    return Err(malformed(error));
                }
                self.warnings
                    .push("what stands below its base64 text was left out".to_owned());
                let alone = [b"Content-Transfer-Encoding: base64\n\n", begin].concat();
                parse_mail(&alone)
                    .and_then(|alone| alone.get_body_raw())
                    .map_err(malformed)?
            }
        };
        Ok(plain_ends(bytes, encoded))
    }
}

/// What a text is that is a change and no mail.
fn bare(mail: &[u8]) -> Option<&'static str> {
    let text = mail.trim_ascii_start();
    let digits = |id: &[u8]| id.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if diff::start_of_diff(text) == Some(0) || text.starts_with(b"Index: ") {
        Some("a bare diff")
    } else if text.starts_with(b"# HG changeset patch") {
        Some("a changeset of Mercurial")
    } else if text.strip_prefix(b"commit ").is_some_and(|id| digits(id) >= 7) {
        Some("what `git show` or `git log` prints")
    } else {
        None
    }
}

/// A mail without the separators of mboxes that stand before its headers.
fn after_separators(mail: &[u8]) -> &[u8] {
    let mut rest = mail;
    while rest.starts_with(b"From ") || rest.starts_with(b">From ") {
        let end = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(rest.len(), |at| at + 1);
        rest = &rest[end..];
    }
    rest
}

/// What follows the first empty line.
fn after_header(part: &[u8]) -> &[u8] {
    let mut at = 0;
    for line in part.split_inclusive(|&byte| byte == b'\n') {
        at += line.len();
        if line.trim_ascii().is_empty() {
            break;
        }
    }
    &part[at..]
}

/// The first lines of a body, which have nothing but base64.
fn base64_alone(body: &[u8]) -> &[u8] {
    let mut end = 0;
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        let bare = line.trim_ascii_end();
        let digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        if bare.is_empty() || !bare.iter().all(digit) {
            break;
        }
        end += line.len();
        if bare.ends_with(b"=") {
            break;
        }
    }
    &body[..end]
}

fn add_text(text: &mut Vec<u8>, part: &[u8]) {
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend(part);
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

/// The ids in a header, without their brackets.
fn ids(value: &str) -> Vec<String> {
    value
        .split(|c: char| c.is_whitespace() || "<>,".contains(c))
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Takes the carriage returns away that mail puts at the end of lines. In what was encoded they may belong to the text, unless all lines
/// have one.
fn plain_ends(bytes: Vec<u8>, encoded: bool) -> Vec<u8> {
    let every_line = || {
        bytes
            .split_inclusive(|&byte| byte == b'\n')
            .all(|line| line.ends_with(b"\r\n") || !line.ends_with(b"\n"))
    };
    if encoded && !every_line() {
        return bytes;
    }
    let mut plain = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                plain.extend(line);
                plain.push(b'\n');
            }
            None => plain.extend(line),
        }
    }
    plain
}

/// A text without the signature around it (RFC 4880, 7), which puts `- ` before lines that begin with a dash.
fn without_armour(text: &[u8]) -> Vec<u8> {
    const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
    const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
    let lines = || text.split_inclusive(|&byte| byte == b'\n');
    if !lines().any(|line| line.trim_ascii_end() == BEGIN) {
        return text.to_owned();
    }
    let mut plain = Vec::new();
    let before = |line: &&[u8]| line.trim_ascii_end() != BEGIN;
    plain.extend(lines().take_while(before).flatten());
    // The armour has headers of its own.
    let mut signed = lines()
        .skip_while(before)
        .skip_while(|line| !line.trim_ascii().is_empty())
        .skip(1);
    for line in signed
        .by_ref()
        .take_while(|line| line.trim_ascii_end() != SIGNATURE)
    {
        plain.extend(line.strip_prefix(b"- ").unwrap_or(line));
    }
    plain
}
