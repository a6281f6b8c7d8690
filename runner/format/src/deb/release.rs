// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the `Release` of a suite says of itself.

use jiff::Timestamp;

use super::Stanza;
use crate::mail::of_mail;

/// The head of a `Release`, or of an `InRelease`, which has its signature in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The name of the suite that stays, such as `trixie-security`.
    pub codename: String,
    /// When it was made.
    pub date: Timestamp,
}

impl Release {
    /// Reads it; the signature is not looked at. `None` where it does not say both.
    pub fn parse(text: &str) -> Option<Self> {
        let stanza = Stanza::parse(text);
        Some(Self {
            codename: stanza.get("Codename")?.to_owned(),
            date: of_mail(stanza.get("Date")?)?.timestamp(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The begin of the `InRelease` of bookworm-security, as Debian's archive had it.
    const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nLabel: Debian-Security\n\
        Suite: oldstable-security\nVersion: 12\nCodename: bookworm-security\nDate: Sat, 28 Nov 2026 09:36:43 UTC\n\
        Valid-Until: Sat, 05 Dec 2026 09:36:43 UTC\nSHA256:\n 00 1 main/binary-amd64/Packages\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n";

    #[test]
    fn a_release_says_its_name_and_its_date() {
        let release = Release::parse(SIGNED).unwrap();
        assert_eq!(release.codename, "bookworm-security");
        assert_eq!(release.date.to_string(), "2026-11-28T09:36:43Z");
    }

    #[test]
    fn one_without_a_date_says_nothing() {
        assert_eq!(Release::parse(&SIGNED.replace("Date:", "Day:")), None);
        assert_eq!(Release::parse(&SIGNED.replace("28 Nov", "soon")), None);
        assert_eq!(Release::parse(""), None);
    }
}
