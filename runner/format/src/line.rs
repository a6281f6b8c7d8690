// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes over the line to a guest's shell, and what comes back. Its other end is `guest-images/rootfs/line`.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    io,
};

/// How much a guest may answer to one script, in bytes: the symbols of a kernel are 10 MB, and a guest that says more is broken or means harm.
pub const LARGEST_ANSWER: usize = 64 << 20;

/// It answered more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest answers with more than {} MiB", LARGEST_ANSWER >> 20)]
pub struct EndlessAnswer;

impl From<EndlessAnswer> for io::Error {
    fn from(endless: EndlessAnswer) -> Self {
        Self::other(endless)
    }
}

/// What the shell says when it begins.
const HELLO: &[u8] = b"\x01memrig line\x01\n";

/// Up to so many bytes, a script of one line goes with its token: the guest's shell then reads it byte by byte, which costs less
/// than another program that reads it.
const SHORT: usize = 1000;

/// A script on its way.
#[derive(Debug, Clone)]
pub struct Question {
    token: String,
    bytes: Vec<u8>,
}

/// What has come back so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// More is to come.
    NotYet,
    /// All of it.
    Whole {
        /// What the script printed on stdout.
        stdout: Vec<u8>,
        /// What it printed on stderr.
        stderr: Vec<u8>,
        /// Its exit code as the shell gives it.
        code: u8,
    },
    /// The shell ended before it answered, and another one waits.
    NewShell,
}

impl Question {
    /// A script, under a token that no output has by chance.
    pub fn new(script: &str) -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self::with_token(format!("rc-{:016x}{:016x}", random(), random()), script)
    }

    fn with_token(token: String, script: &str) -> Self {
        let short = script.len() <= SHORT && script.trim() == script && !script.contains(['\n', '\r', '\0']);
        let bytes = if short {
            format!("{token} 0 {script}\n")
        } else {
            format!("{token} {}\n{script}", script.len())
        };
        Self {
            token,
            bytes: bytes.into_bytes(),
        }
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads what has come back since it was sent. `first` says that nothing was asked before, so that the shell may just have
    /// begun and said so.
    pub fn answer(&self, said: &[u8], first: bool) -> Answer {
        let begun = if first { said.strip_prefix(HELLO) } else { None };
        let said = begun.unwrap_or(said);
        let end = format!("\n{}\n", self.token);
        let Some(rest) = said.strip_suffix(end.as_bytes()) else {
            // Only a shell that ended in between can say it after something else.
            let ended = said.ends_with(HELLO);
            return if ended { Answer::NewShell } else { Answer::NotYet };
        };
        let middle = format!("\n{} ", self.token);
        let Some(at) = find(rest, middle.as_bytes()) else {
            return Answer::NotYet;
        };
        let after = &rest[at + middle.len()..];
        let line = after.iter().position(|byte| *byte == b'\n');
        let parsed = line.and_then(|end| {
            let code = std::str::from_utf8(&after[..end]).ok()?.parse().ok()?;
            Some((code, after[end + 1..].to_vec()))
        });
        match parsed {
            Some((code, stderr)) => Answer::Whole {
                stdout: rest[..at].to_vec(),
                stderr,
                code,
            },
            None => Answer::NotYet,
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question() -> Question {
        Question::with_token("rc-1".to_owned(), "echo")
    }

    fn whole(stdout: &[u8], stderr: &[u8], code: u8) -> Answer {
        Answer::Whole {
            stdout: stdout.to_vec(),
            stderr: stderr.to_vec(),
            code,
        }
    }

    #[test]
    fn a_script_is_sent_with_its_length_in_bytes_unless_it_is_a_short_line() {
        assert_eq!(
            Question::with_token("rc-1".to_owned(), "ä\n").bytes(),
            "rc-1 3\nä\n".as_bytes()
        );
        assert_eq!(question().bytes(), b"rc-1 0 echo\n");
        for long in [" a", "a ", "a\nb", &"x".repeat(SHORT + 1)] {
            let bytes = Question::with_token("rc-1".to_owned(), long).bytes;
            assert_eq!(bytes, format!("rc-1 {}\n{long}", long.len()).into_bytes());
        }
        assert_ne!(Question::new("a").bytes(), Question::new("a").bytes());
    }

    #[test]
    fn an_answer_has_three_parts() {
        let answer = |said: &[u8]| question().answer(said, true);
        assert_eq!(
            answer(b"out\n\nrc-1 3\nerr\n\nrc-1\n"),
            whole(b"out\n", b"err\n", 3)
        );
        assert_eq!(answer(b"\nrc-1 0\n\nrc-1\n"), whole(b"", b"", 0));
        assert_eq!(
            answer(b"\x01memrig line\x01\n\nrc-1 0\n\nrc-1\n"),
            whole(b"", b"", 0),
            "the shell had not begun when it was asked"
        );
        for part in [
            &b""[..],
            b"out",
            b"\nrc-1 0\n",
            b"\nrc-1\n",
            b"\nrc-1 256\n\nrc-1\n",
        ] {
            assert_eq!(answer(part), Answer::NotYet, "{part:?}");
        }
        assert_eq!(answer(b"out\x01memrig line\x01\n"), Answer::NewShell);
        assert_eq!(
            answer(b"\x01memrig line\x01\n\x01memrig line\x01\n"),
            Answer::NewShell
        );
    }

    proptest! {
        #[test]
        fn it_is_whole_at_its_end_and_not_before(
            stdout in prop::collection::vec(any::<u8>(), 0..50),
            stderr in prop::collection::vec(any::<u8>(), 0..50),
            code in any::<u8>(),
        ) {
            let mut said = stdout.clone();
            said.extend(format!("\nrc-1 {code}\n").bytes());
            said.extend(&stderr);
            said.extend(b"\nrc-1\n");
            prop_assert_eq!(question().answer(&said, false), whole(&stdout, &stderr, code));
            for length in 0..said.len() {
                prop_assert_eq!(question().answer(&said[..length], false), Answer::NotYet);
            }
        }
    }
}
