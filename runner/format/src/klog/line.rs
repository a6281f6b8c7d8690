// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of a console or of dmesg, taken apart.

use std::{borrow::Cow, sync::LazyLock};

use regex::bytes::Regex;

/// Longer lines are cut into pieces of this many bytes. printk's own records end at 1024 (`PRINTK_MESSAGE_MAX` 2048 with the prefix, Linux
/// 6.12), so only other writers' lines are cut.
pub(super) const PIECE_MAX: usize = 8192;

/// A line of the kernel's, or of whoever else writes to the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Byte offset of the printk prefix (or of the text, without one) in the bytes that were parsed.
    pub(crate) offset: usize,
    /// printk's time, nanoseconds after boot. `None` means that nothing shows the line to be the kernel's.
    pub(crate) time_ns: Option<u64>,
    /// Who printed it, on kernels with `CONFIG_PRINTK_CALLER`: `T12` or `C0`.
    pub(crate) caller: Option<&'a str>,
    /// The rest, without line end and without terminal escapes and control characters.
    pub(crate) text: Cow<'a, [u8]>,
}

/// printk's prefix: `print_prefix()` of kernel/printk/printk.c, `[%5lu.%06lu]` and then the caller (Linux 6.1 to 7.2).
static STAMP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)(?:<\d{1,3}>)?\[([ \d]{4,9}\d)\.(\d{6})\](?:\[ *([TC]\d+)[^\]\n]{0,48}\])?(?: |$)")
        .expect("a constant pattern")
});

/// A record of /dev/kmsg: `level,sequence,microseconds,flags[,caller=T1];text`.
static RECORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)^ ?\d{1,3},\d+,(\d{1,16}),[-c](?:,caller=([TC]\d+))?[^;\n]{0,64};")
        .expect("a constant pattern")
});

/// Terminal escapes (CSI, OSC, two-character ones) and control characters but for the tab.
static NOISE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)\x1b\[[0-9;:?<=>]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]|[\x00-\x08\x0a-\x1f\x7f]")
        .expect("a constant pattern")
});

impl<'a> Line<'a> {
    /// Takes one console line (without its line end) apart. There is more than one `Line` when the kernel wrote into a line that another had
    /// begun: what stands before the prefix is the other's.
    pub(crate) fn parse(raw: &'a [u8]) -> Vec<Self> {
        if let Some(found) = RECORD.captures(raw) {
            return vec![Self {
                offset: 0,
                time_ns: found
                    .get(1)
                    .and_then(|m| number(m.as_bytes()))
                    .and_then(|us| us.checked_mul(1000)),
                caller: found.get(2).and_then(|m| str::from_utf8(m.as_bytes()).ok()),
                text: clean(&raw[found.get_match().end()..]),
            }];
        }
        let mut lines: Vec<Self> = Vec::new();
        let mut open: Option<(Self, usize)> = None;
        for found in STAMP.captures_iter(raw) {
            let whole = found.get_match();
            match open.take() {
                Some((line, from)) => lines.push(Self {
                    text: clean(&raw[from..whole.start()]),
                    ..line
                }),
                None if whole.start() > 0 => lines.push(Self::foreign(0, &raw[..whole.start()])),
                None => {}
            }
            let seconds = found.get(1).and_then(|m| number(m.as_bytes().trim_ascii_start()));
            let micros = found.get(2).and_then(|m| number(m.as_bytes()));
            let time_ns = seconds
                .zip(micros)
                .and_then(|(s, us)| s.checked_mul(1_000_000_000)?.checked_add(us * 1000));
            let line = Self {
                offset: whole.start(),
                time_ns,
                caller: found.get(3).and_then(|m| str::from_utf8(m.as_bytes()).ok()),
                text: Cow::Borrowed(b""),
            };
            open = Some((line, whole.end()));
        }
        match open {
            Some((line, from)) => lines.push(Self {
                text: clean(&raw[from..]),
                ..line
            }),
            None => lines.push(Self::foreign(0, raw)),
        }
        lines
    }

    fn foreign(offset: usize, raw: &'a [u8]) -> Self {
        Self {
            offset,
            time_ns: None,
            caller: None,
            text: clean(raw),
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

fn clean(raw: &[u8]) -> Cow<'_, [u8]> {
    NOISE.replace_all(raw, &b""[..])
}

/// Where a line ends: a console's carriage returns count too, or a progress bar would hide what follows it.
pub(super) fn is_end(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

/// The first piece of `buf`: its text's length, and where the next one begins.
pub(super) fn piece(buf: &[u8]) -> (usize, usize) {
    let reach = buf.len().min(PIECE_MAX);
    match buf[..reach].iter().position(|byte| is_end(*byte)) {
        Some(end) => (end, end + 1),
        None => (reach, reach),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(raw: &str) -> Line<'_> {
        let mut lines = Line::parse(raw.as_bytes());
        assert_eq!(lines.len(), 1, "{raw}");
        lines.remove(0)
    }

    #[test]
    fn prefixes() {
        let line = one("[    1.234567] hello");
        assert_eq!((line.time_ns, line.caller), (Some(1_234_567_000), None));
        assert_eq!(&*line.text, b"hello");
        let line = one("<4>[12345.000001][  T12] hello");
        assert_eq!(
            (line.time_ns, line.caller),
            (Some(12_345_000_001_000), Some("T12"))
        );
        assert_eq!(&*line.text, b"hello");
        assert_eq!(one("[    0.000000][    C0] x").caller, Some("C0"));
        assert_eq!(one("[    5.000000][  T1:insmod] x").caller, Some("T1"));
        let line = one("4,339,5140900,-,caller=T7;BUG: x");
        assert_eq!((line.time_ns, line.caller), (Some(5_140_900_000), Some("T7")));
        assert_eq!(&*line.text, b"BUG: x");
    }

    #[test]
    fn no_prefix() {
        for raw in [
            "hello",
            "[1.234567] an interpreter's clock",
            "[   12.345] Xorg",
            "[ OK ] Started",
            "[   1.2345678] x",
        ] {
            let line = one(raw);
            assert_eq!(line.time_ns, None, "{raw}");
            assert_eq!(&*line.text, raw.as_bytes());
        }
    }

    #[test]
    fn a_line_begun_by_another() {
        let lines = Line::parse(b"login: [    9.000001] one[    9.000002] two");
        let seen: Vec<_> = lines.iter().map(|l| (l.offset, l.time_ns, &*l.text)).collect();
        assert_eq!(
            seen,
            [
                (0, None, &b"login: "[..]),
                (7, Some(9_000_001_000), b"one"),
                (25, Some(9_000_002_000), b"two"),
            ]
        );
    }

    #[test]
    fn escapes_and_rubbish() {
        assert_eq!(
            &*one("\x1b[32m\x1b]0;title\x07a\0b\x1b[0m\x1bMc\td").text,
            b"abc\td"
        );
        let line = Line::parse(b"\x1b[32m[    0.000000] \x1b[0m\x1b[33mx\x1b[0m")
            .pop()
            .unwrap();
        assert_eq!((line.time_ns, &*line.text), (Some(0), &b"x"[..]));
        let line = Line::parse(b"[    1.000000] \xff\xfe]]>").remove(0);
        assert_eq!(&*line.text, b"\xff\xfe]]>");
        assert_eq!(one("[99999999999999999999.000000] x").time_ns, None);
    }

    #[test]
    fn pieces() {
        assert_eq!(piece(b"ab\r\ncd"), (2, 3));
        assert_eq!(piece(b"cd"), (2, 2));
        let long = vec![b'x'; PIECE_MAX + 1];
        assert_eq!(piece(&long), (PIECE_MAX, PIECE_MAX));
    }
}
