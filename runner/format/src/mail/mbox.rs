// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a file of mails apart.

use std::{
    borrow::Cow,
    io::{self, Read as _},
};

use mailparse::{MailHeaderMap as _, parse_content_type, parse_headers};

/// The largest mail that is read, in bytes. The largest patches of the kernel's lists are below 10 MB.
pub(crate) const LARGEST_MAIL: usize = 32 << 20;

/// The largest file that is read, in bytes, also after it was unpacked: a thread of the kernel's lists has some megabytes.
pub const LARGEST_FILE: u64 = 256 << 20;

/// A file as it was before gzip packed it, as archives hand out theirs; any other as it is.
///
/// # Errors
/// It is cut off, damaged, or larger than [`LARGEST_FILE`] when unpacked.
pub(super) fn unpacked(file: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    if !file.starts_with(&[0x1f, 0x8b]) {
        return Ok(file.into());
    }
    let mut bytes = Vec::new();
    let mut rest = flate2::read::MultiGzDecoder::new(file).take(LARGEST_FILE + 1);
    rest.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("more than {} MiB when unpacked", LARGEST_FILE >> 20),
        ));
    }
    Ok(bytes.into())
}

/// The mails of a file: those of an mbox, or the one that the file is.
///
/// A mail begins at a `From ` line that is the first line, or that has a time and a year at its end as `git mailsplit` wants it, or that
/// follows an empty line and has a usual header behind it. Inside of the parts of a mail there are none. Quoted `>From ` lines of the bodies are as they were
/// before. A byte order mark and empty lines before the first mail are nothing.
pub(crate) fn mails(file: &[u8]) -> Vec<Vec<u8>> {
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    let lines: Vec<&[u8]> = file.split_inclusive(|&byte| byte == b'\n').collect();
    let Some(first) = lines
        .iter()
        .position(|line| !line.iter().all(u8::is_ascii_whitespace))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut start = first;
    while start < lines.len() {
        let end = end(&lines, start);
        // What stands in no mbox is quoted by nobody.
        let mail = if is_start(&lines, start, first) {
            let lines: Vec<&[u8]> = lines[start + 1..end].iter().map(|line| unquoted(line)).collect();
            lines.concat()
        } else {
            lines[start..end].concat()
        };
        found.push(mail);
        start = end;
    }
    found
}

/// Where the mail that begins at a line ends.
fn end(lines: &[&[u8]], start: usize) -> usize {
    let mut at = start + 1;
    let closed = boundary(&lines[at.min(lines.len())..]).and_then(|boundary| {
        let last = format!("--{boundary}--");
        let closes = |line: &&[u8]| line.trim_ascii_end() == last.as_bytes();
        lines[at..].iter().position(closes)
    });
    // A patch that is attached may begin with such a line itself.
    at += closed.unwrap_or(0);
    while at < lines.len() && !is_start(lines, at, start) {
        at += 1;
    }
    at
}

/// What separates the parts of the mail whose header begins here, where it has parts.
fn boundary(lines: &[&[u8]]) -> Option<String> {
    let header: Vec<&[u8]> = lines.iter().take_while(|line| !is_empty(line)).copied().collect();
    let header = header.concat();
    // What is no header has no parts; that it is none is said when the mail is read.
    let (headers, _) = parse_headers(&header).ok()?;
    let kind = parse_content_type(&headers.get_first_value("Content-Type")?);
    kind.params.get("boundary").cloned()
}

fn is_start(lines: &[&[u8]], at: usize, first: usize) -> bool {
    let line = lines[at];
    // At the end of the file no mail begins.
    let Some(next) = lines.get(at + 1).filter(|_| line.starts_with(b"From ")) else {
        return false;
    };
    if at == first || has_time(line) {
        return is_header(next) || unquoted(next).starts_with(b"From ");
    }
    // Without a time it may be a sentence of a commit.
    is_empty(lines[at - 1]) && is_usual_header(next)
}

/// Whether a line is one of the headers with which mails begin.
fn is_usual_header(line: &[u8]) -> bool {
    const USUAL: [&str; 10] = [
        "From",
        "Date",
        "Subject",
        "To",
        "Received",
        "Return-Path",
        "Message-ID",
        "Delivered-To",
        "X-Mozilla-Status",
        "MIME-Version",
    ];
    let text = String::from_utf8_lossy(line);
    let is_usual = |(name, _): (&str, &str)| USUAL.iter().any(|usual| usual.eq_ignore_ascii_case(name));
    is_header(line) && text.split_once(':').is_some_and(is_usual)
}

/// Whether a `From ` line has a time such as `00:00:00` and a year after it.
fn has_time(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_ascii_whitespace();
    let is_time = |word: &str| {
        let mut parts = word.split(':');
        let two = |part: Option<&str>| part.is_some_and(|part| matches!(part.len(), 1 | 2) && digits(part));
        two(parts.next()) && two(parts.next()) && parts.next().is_none_or(|part| two(Some(part)))
    };
    words.any(is_time) && words.any(|word| word.len() == 4 && digits(word))
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_empty(line: &[u8]) -> bool {
    line.iter().all(|byte| b"\r\n".contains(byte))
}

/// Whether a line is a header field: a name of visible characters, and a colon.
fn is_header(line: &[u8]) -> bool {
    let name = line.iter().position(|&byte| byte == b':').unwrap_or(0);
    name > 0 && line[..name].iter().all(u8::is_ascii_graphic)
}

fn unquoted(line: &[u8]) -> &[u8] {
    let depth = line.iter().take_while(|&&byte| byte == b'>').count();
    if depth > 0 && line[depth..].starts_with(b"From ") {
        &line[1..]
    } else {
        line
    }
}

/// Quotes the `From ` lines of a text, so that it can stand in an mbox.
pub(super) fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let depth = line.iter().take_while(|&&byte| byte == b'>').count();
        if line[depth..].starts_with(b"From ") {
            quoted.push(b'>');
        }
        quoted.extend(line);
    }
    quoted
}
