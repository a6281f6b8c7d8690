// SPDX-License-Identifier: MIT OR Apache-2.0
//! Dates as people's mail programs write them, and as git takes them.

use jiff::{Timestamp, Zoned, fmt::rfc2822::DateTimeParser, tz::TimeZone};

/// A date as git takes it in a mail; `None` where nothing of it is one. Git takes none before 1970.
pub(super) fn for_git(written: &str) -> Option<String> {
    let moment = of_mail(written).or_else(|| plain(written))?;
    (moment.timestamp() >= Timestamp::UNIX_EPOCH)
        .then(|| moment.strftime("%a, %-d %b %Y %H:%M:%S %z").to_string())
}

/// A date as mail programs write it, and with names of zones.
pub(crate) fn of_mail(written: &str) -> Option<Zoned> {
    let strict = DateTimeParser::new().relaxed_weekday(true);
    strict.parse_zoned(written).ok().or_else(|| {
        // Names of zones, and what else mail programs leave out and put in.
        let seconds = mailparse::dateparse(written).ok()?;
        // It reads a text without any number as the beginning of all.
        if seconds == 0 {
            return None;
        }
        Some(Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC))
    })
}

/// As programs write it: `2026-03-02 10:00:00 +0100`, or with a T.
fn plain(written: &str) -> Option<Zoned> {
    let forms = [
        "%Y-%m-%d %H:%M:%S %z",
        "%Y-%m-%dT%H:%M:%S%z",
        "%a %b %d %H:%M:%S %Y %z",
    ];
    forms.iter().find_map(|form| Zoned::strptime(form, written).ok())
}
