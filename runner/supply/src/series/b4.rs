// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series by the message-id of one of its mails: `b4 am` gets them from the archive of its configuration.

use std::path::PathBuf;

use super::SeriesError;
use crate::cache::{Cache, Key, NotHere};
use base::exec::{Command, ExecError};

/// Whether a word can be given to b4: a message-id, with or without its angle brackets, or the address of a mail in an archive.
pub(super) fn is_id(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '"' | '\'' | '\\');
    !word.starts_with('-') && word.contains('@') && word.chars().all(plain)
}

/// The folder with the mails of the series that a mail is of, of one version where that is asked. What was got once is kept: a later version of a series
/// is in other mails.
pub(super) fn mails(id: &str, version: Option<&str>, cache: &Cache) -> Result<PathBuf, SeriesError> {
    let key = Key::new().with(id).with(version.unwrap_or_default()).finish();
    if cache.only_looks() && cache.find("mails", &key).is_none() {
        return Err(NotHere::would(format!("b4 would get the mails of `{id}`")).into());
    }
    cache.entry("mails", &key, |folder| {
        let mut am = Command::new("b4").dir(folder).args(["am", "-o"]).arg(folder);
        if let Some(version) = version {
            am = am.args(["-v", version]);
        }
        match am.arg(id).output() {
            Ok(_) => {}
            Err(ExecError::Start { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(SeriesError::NoB4);
            }
            Err(source) => {
                return Err(SeriesError::B4 {
                    id: id.to_owned(),
                    source,
                });
            }
        }
        // One that says that there is no such mail ends with 0, too.
        match super::files::files(folder) {
            Err(SeriesError::Empty(_)) => Err(SeriesError::NotFound(id.to_owned())),
            other => other.map(drop),
        }
    })
}
