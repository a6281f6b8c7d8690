// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mails made for tests, in every way that mail programs encode them.

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Base64,
    QuotedPrintable,
    Latin1,
}

pub(super) const ENCODINGS: [Encoding; 4] = [
    Encoding::Plain,
    Encoding::Base64,
    Encoding::QuotedPrintable,
    Encoding::Latin1,
];

/// A diff that adds a line to a file of two.
pub(super) fn diff(file: &str, line: &str) -> String {
    format!(
        "diff --git a/{file} b/{file}\nindex 1234567..89abcde 100644\n--- a/{file}\n+++ b/{file}\n\
         @@ -1,2 +1,3 @@\n one\n+{line}\n two\n"
    )
}

/// The body of a patch.
pub(super) fn body(message: &str, diff: &str) -> String {
    format!("{message}\n\nSigned-off-by: A B <a@b.test>\n---\n file | 1 +\n\n{diff}-- \n2.43.0\n")
}

/// A mail.
pub(super) fn mail(subject: &str, body: &str, encoding: Encoding) -> Vec<u8> {
    let head = |charset: &str, transfer: &str| {
        format!(
            "From: =?utf-8?q?J=C3=BCrgen?= B <j@b.test>\nDate: Mon, 2 Mar 2026 10:00:00 +0100\nSubject: {subject}\n\
             Message-Id: <{}-{}@b.test>\nMIME-Version: 1.0\nContent-Type: text/plain; charset={charset}\n\
             Content-Transfer-Encoding: {transfer}\n\n",
            // As long as it is no other mail.
            subject.replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
            body.len()
        )
        .into_bytes()
    };
    let (mut mail, bytes) = match encoding {
        Encoding::Plain => (head("utf-8", "8bit"), body.as_bytes().to_vec()),
        Encoding::Base64 => (
            head("utf-8", "base64"),
            base64(body.replace('\n', "\r\n").as_bytes()),
        ),
        Encoding::QuotedPrintable => (
            head("utf-8", "quoted-printable"),
            quoted_printable(body.as_bytes()),
        ),
        Encoding::Latin1 => {
            let bytes = body.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'));
            (head("iso-8859-1", "8bit"), bytes.collect())
        }
    };
    mail.extend(bytes);
    mail
}

/// Several mails in one file.
pub(super) fn mbox(mails: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for mail in mails {
        file.extend(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n");
        // A From line of a body stays as it is here: the bodies of tests have none.
        file.extend(mail);
        file.extend(b"\n");
    }
    file
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for (index, chunk) in bytes.chunks(3).enumerate() {
        if index > 0 && index % 19 == 0 {
            text.push(b'\n');
        }
        let word =
            chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            text.push(if place <= chunk.len() {
                DIGITS[(word >> (18 - 6 * place)) as usize & 63]
            } else {
                b'='
            });
        }
    }
    text.push(b'\n');
    text
}

fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut column = 0;
    for &byte in bytes {
        if byte == b'\n' {
            text.push(b'\n');
            column = 0;
            continue;
        }
        if column > 70 {
            text.extend(b"=\n");
            column = 0;
        }
        if (33..=126).contains(&byte) && byte != b'=' {
            text.push(byte);
            column += 1;
        } else {
            text.extend(format!("={byte:02X}").bytes());
            column += 3;
        }
    }
    text
}
