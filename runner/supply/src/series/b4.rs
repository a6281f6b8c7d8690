// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series by the message-id of one of its mails: `b4 am` gets them from the archive of its configuration.

use std::path::PathBuf;

use super::SeriesError;
use crate::cache::{Cache, Key, NotHere};
use base::exec::{Command, ExecError};

/// The message-id that a word is, without its angle brackets; none where it could not be given to b4.
pub(super) fn id(word: &str) -> Option<&str> {
    let id = word.trim_matches(['<', '>']);
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '"' | '\'' | '\\');
    // What begins with a dash is an option of b4's.
    (!id.starts_with('-') && id.contains('@') && id.chars().all(plain)).then_some(id)
}

/// The folder with the mails of the series that a mail is of, of one version where that is asked. What was got once is kept: a later version of a series
/// is in other mails.
pub(super) fn mails(id: &str, version: Option<&str>, cache: &Cache) -> Result<PathBuf, SeriesError> {
    let parts = [Some(id), version].into_iter().flatten();
    let key = parts.fold(Key::new(), Key::with).finish();
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
