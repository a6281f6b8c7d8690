// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text of the format `flowed` (RFC 3676), in which lines begin with a space more than they have, and may go on in the next one.

/// The lines as they were before the mail program wrote them. A line that ends in a space goes on in the next one, without that space where
/// `delsp` says so.
pub(super) fn unflowed(text: &[u8], delsp: bool) -> Vec<u8> {
    let mut fixed = Vec::new();
    // The beginning of a line that goes on, and how often it is quoted.
    let mut begun: Option<(usize, Vec<u8>)> = None;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let depth = content.iter().take_while(|&&byte| byte == b'>').count();
        // A signature begins with a line that ends in a space and does not go on.
        let signature = content == b"-- ";
        let mut whole = match begun.take() {
            Some((before, start)) if before == depth && !signature => start,
            Some((before, start)) => {
                // It said that it goes on, and does not.
                fixed.extend(quoted(before, &start));
                Vec::new()
            }
            None => Vec::new(),
        };
        let stuffed = &content[depth..];
        let bare = stuffed.strip_prefix(b" ").unwrap_or(stuffed);
        match bare.strip_suffix(b" ") {
            Some(less) if !signature => {
                whole.extend(if delsp { less } else { bare });
                begun = Some((depth, whole));
            }
            _ => {
                whole.extend(bare);
                fixed.extend(quoted(depth, &whole));
            }
        }
    }
    if let Some((depth, start)) = begun {
        fixed.extend(quoted(depth, &start));
    }
    fixed
}

fn quoted(depth: usize, line: &[u8]) -> Vec<u8> {
    let mut whole = vec![b'>'; depth];
    if depth > 0 {
        whole.push(b' ');
    }
    whole.extend(line);
    whole.push(b'\n');
    whole
}
