// SPDX-License-Identifier: MIT OR Apache-2.0
//! The port over a line: a serial port on whose other end a shell of the guest waits for scripts.
//!
//! A script costs one fork in the guest, and no connection: a clone answers as soon as it runs. What is sent is `TOKEN LENGTH`,
//! a newline and the script; what comes back is in `guest-images/rootfs/line`.

use std::{io, sync::PoisonError, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::Mutex,
    time::timeout,
};

use super::port::{Output, PortError};
use format::line::{Answer, EndlessAnswer, LARGEST_ANSWER, Question};

/// A line that answers, or did until something went wrong on it.
#[derive(Debug)]
pub(crate) struct LinePort {
    /// `None` after an answer that did not come: whatever comes later belongs to no question.
    stream: Mutex<Option<Line>>,
    /// What has come back to the last script.
    said: std::sync::Mutex<Vec<u8>>,
}

#[derive(Debug)]
struct Line {
    stream: UnixStream,
    /// Nothing was asked yet, and the shell has still to say that it began.
    first: bool,
}

impl LinePort {
    /// A line to a guest that has booted: its shell has begun, and said so.
    pub(crate) fn booted(stream: UnixStream) -> Self {
        Self {
            stream: Mutex::new(Some(Line { stream, first: true })),
            said: std::sync::Mutex::default(),
        }
    }

    /// A line to a clone, whose shell has waited since before it was one.
    pub(crate) fn cloned(stream: UnixStream) -> Self {
        Self {
            stream: Mutex::new(Some(Line { stream, first: false })),
            said: std::sync::Mutex::default(),
        }
    }

    /// What the script printed that was not answered, on stdout; empty where the last one was.
    pub(super) fn unanswered(&self) -> Vec<u8> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs a script; `None` if the line is not to be used any more.
    ///
    /// After an error, and after this future was dropped before its end, it is not.
    pub(super) async fn exec(&self, script: &str, limit: Duration) -> Option<Result<Output, PortError>> {
        let mut slot = self.stream.lock().await;
        let mut line = slot.take()?;
        let what = || {
            format!(
                "script `{}`",
                script.trim_start().lines().next().unwrap_or_default()
            )
        };
        let done = match timeout(limit, converse(&mut line, script, &self.said)).await {
            Ok(Ok(Some(output))) => Ok(output),
            Ok(Ok(None)) => Err(PortError::Killed {
                what: what(),
                how: "was killed, and another took its place".to_owned(),
            }),
            Ok(Err(error)) => Err(PortError::Lost {
                what: what(),
                why: error.to_string(),
            }),
            Err(_) => Err(PortError::Deadline { what: what(), limit }),
        };
        if done.is_ok() {
            line.first = false;
            *slot = Some(line);
        }
        Some(done)
    }
}

/// Asks and takes the answer; `None` if the guest's shell ended before it answered.
///
/// What comes back is in `said` as it comes, so that it is there also where nobody waits for the rest.
async fn converse(
    line: &mut Line,
    script: &str,
    said: &std::sync::Mutex<Vec<u8>>,
) -> io::Result<Option<Output>> {
    let lock = || said.lock().unwrap_or_else(PoisonError::into_inner);
    let question = Question::new(script);
    let Line { stream, first } = line;
    lock().clear();
    stream.write_all(question.bytes()).await?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut said = lock();
        said.extend_from_slice(&buffer[..count]);
        if said.len() > LARGEST_ANSWER {
            return Err(EndlessAnswer.into());
        }
        match question.answer(&said, *first) {
            Answer::NotYet => {}
            Answer::Whole { stdout, stderr, code } => {
                said.clear();
                return Ok(Some(Output { stdout, stderr, code }));
            }
            Answer::NewShell => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_guest_that_answers_without_end_is_left() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let port = LinePort::cloned(ours);
        let guest = async {
            let piece = vec![b'x'; 1 << 20];
            // Until nobody listens any more.
            while theirs.write_all(&piece).await.is_ok() {}
        };
        let asked = async {
            let limit = Duration::from_secs(600);
            let answer = port.exec("cat", limit).await.unwrap().unwrap_err();
            assert!(
                answer
                    .to_string()
                    .ends_with("the guest answers with more than 64 MiB"),
                "{answer}"
            );
            // What comes later belongs to no question.
            assert_eq!(port.exec("cat", limit).await, None);
        };
        tokio::join!(guest, asked);
    }
}
