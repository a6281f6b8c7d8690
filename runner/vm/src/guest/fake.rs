// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that is not there: files and answers that a test writes down beforehand.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::port::{GuestPort, Output, PortError};
use base::Errno;

/// What a fake guest was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// To run this script.
    Exec(String),
    /// To read this file.
    Read(String),
    /// To write to this file: its path, then the value.
    Write(String, String),
}

#[derive(Debug, Default)]
struct Inside {
    files: BTreeMap<String, String>,
    answers: VecDeque<(String, Result<Output, PortError>)>,
    refusals: VecDeque<(String, String, Errno)>,
    asked: Vec<Asked>,
}

/// A guest of files and scripted answers.
///
/// A file that it does not have gives ENOENT. A write replaces the whole file, unless it is refused. A script takes the first answer
/// that is left whose pattern it contains, and uses it up.
#[derive(Debug, Default)]
pub struct FakeGuest {
    inside: Mutex<Inside>,
}

impl FakeGuest {
    /// A guest without files and without answers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it a file, or changes one.
    pub fn set_file(&self, path: impl Into<String>, text: impl Into<String>) {
        self.inside().files.insert(path.into(), text.into());
    }

    /// The text of a file.
    pub fn file(&self, path: &str) -> Option<String> {
        self.inside().files.get(path).cloned()
    }

    /// Has it answer the next script that contains `pattern`.
    pub fn answer(&self, pattern: impl Into<String>, answer: Result<Output, PortError>) {
        self.inside().answers.push_back((pattern.into(), answer));
    }

    /// Has it answer the next script that contains `pattern` with this text on stdout and exit code 0.
    pub fn answer_text(&self, pattern: impl Into<String>, text: &str) {
        let output = Output {
            stdout: text.into(),
            ..Output::default()
        };
        self.answer(pattern, Ok(output));
    }

    /// Has it refuse the next write of `value` to `path`.
    pub fn refuse(&self, path: impl Into<String>, value: impl Into<String>, errno: Errno) {
        self.inside()
            .refusals
            .push_back((path.into(), value.into(), errno));
    }

    /// All that it was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.inside().asked.clone()
    }
}

fn enoent() -> Errno {
    Errno::from_number(2).expect("2 is an errno")
}

impl GuestPort for FakeGuest {
    async fn exec(&self, script: &str, _limit: Duration) -> Result<Output, PortError> {
        let mut inside = self.inside();
        inside.asked.push(Asked::Exec(script.to_owned()));
        let fits = inside
            .answers
            .iter()
            .position(|(pattern, _)| script.contains(pattern.as_str()));
        match fits.and_then(|index| inside.answers.remove(index)) {
            Some((_, answer)) => answer,
            None => Err(PortError::Unclear {
                what: format!("script `{script}`"),
                said: "no answer is left that fits".to_owned(),
            }),
        }
    }

    async fn read(&self, path: &str, _limit: Duration) -> Result<Result<String, Errno>, PortError> {
        let mut inside = self.inside();
        inside.asked.push(Asked::Read(path.to_owned()));
        Ok(inside.files.get(path).cloned().ok_or_else(enoent))
    }

    async fn write(&self, path: &str, value: &str, _limit: Duration) -> Result<Result<(), Errno>, PortError> {
        let mut inside = self.inside();
        inside.asked.push(Asked::Write(path.to_owned(), value.to_owned()));
        let refused = inside
            .refusals
            .iter()
            .position(|(p, v, _)| p == path && v == value);
        if let Some((.., errno)) = refused.and_then(|index| inside.refusals.remove(index)) {
            return Ok(Err(errno));
        }
        Ok(match inside.files.get_mut(path) {
            Some(text) => {
                value.clone_into(text);
                Ok(())
            }
            None => Err(enoent()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_refusal_holds_once_and_leaves_the_file() {
        let guest = FakeGuest::new();
        guest.set_file("/state", "offline");
        let ebusy: Errno = "EBUSY".parse().unwrap();
        guest.refuse("/state", "online", ebusy);
        assert_eq!(guest.write("/state", "online", LIMIT).await, Ok(Err(ebusy)));
        assert_eq!(guest.read("/state", LIMIT).await, Ok(Ok("offline".to_owned())));
        assert_eq!(guest.write("/state", "online", LIMIT).await, Ok(Ok(())));
        assert_eq!(guest.file("/state").as_deref(), Some("online"));
        assert_eq!(guest.write("/none", "1", LIMIT).await, Ok(Err(enoent())));
        assert_eq!(guest.asked().len(), 4);
    }

    #[tokio::test]
    async fn a_script_without_an_answer_is_an_error() {
        let guest = FakeGuest::new();
        guest.answer_text("uname", "6.12\n");
        assert_eq!(guest.exec("uname -r", LIMIT).await.unwrap().text(), "6.12\n");
        assert!(guest.exec("uname -r", LIMIT).await.is_err());
    }
}
