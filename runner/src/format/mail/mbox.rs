// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking an mbox apart.

/// The largest mail that is read, in bytes. The largest patches of the kernel's lists are below 10 MB.
pub const LARGEST_MAIL: usize = 32 << 20;

/// The mails of a file: those of an mbox, or the one that the file is.
///
/// A mail of an mbox begins at a `From ` line that is the first line or follows an empty one, and has a header after it. Quoted
/// `>From ` lines of the bodies are as they were before.
pub fn mails(file: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = file.split_inclusive(|&byte| byte == b'\n').collect();
    let starts: Vec<usize> = (0..lines.len())
        .filter(|&at| {
            lines[at].starts_with(b"From ")
                && (at == 0 || is_empty(lines[at - 1]))
                && lines.get(at + 1).is_some_and(|next| is_header(next))
        })
        .collect();
    if starts.first() != Some(&0) {
        return if file.iter().all(u8::is_ascii_whitespace) {
            Vec::new()
        } else {
            vec![file.to_vec()]
        };
    }
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| {
            let mail: Vec<&[u8]> = lines[start + 1..end].iter().map(|line| unquoted(line)).collect();
            mail.concat()
        })
        .collect()
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
pub(super) fn quoted(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            let bare = line.trim_start_matches('>');
            if bare.starts_with("From ") {
                format!(">{line}")
            } else {
                line.to_owned()
            }
        })
        .collect()
}
