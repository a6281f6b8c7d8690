// SPDX-License-Identifier: MIT OR Apache-2.0
//! Character sets as mails name them, rightly and wrongly.

use charset::Charset;

/// A text as UTF-8 where the character set that the mail names fits it, and as its bytes are otherwise, which is how `git am` takes every
/// diff; then with what is odd about it.
pub(super) fn decoded(bytes: Vec<u8>, named: &str) -> (Vec<u8>, Option<String>) {
    if bytes.is_ascii() && !named.to_ascii_lowercase().starts_with("iso-2022") {
        return (bytes, None);
    }
    let silent = named.is_empty() || named.eq_ignore_ascii_case("us-ascii");
    let utf8 = ["utf-8", "utf8"]
        .iter()
        .any(|name| named.eq_ignore_ascii_case(name));
    let is_utf8 = std::str::from_utf8(&bytes).is_ok();
    // Who says nothing, or ASCII, often means UTF-8.
    if (silent || utf8) && is_utf8 {
        return (bytes, None);
    }
    let as_they_are = "its bytes are taken as they are, as git does";
    if silent || utf8 {
        let says = if silent {
            "names no character set"
        } else {
            "says UTF-8"
        };
        return (bytes, Some(format!("it {says} and is not UTF-8: {as_they_are}")));
    }
    let Some(charset) = Charset::for_label_no_replacement(named.as_bytes()) else {
        let is = if is_utf8 { "it is UTF-8" } else { as_they_are };
        return (
            bytes,
            Some(format!("nobody knows its character set `{named}`: {is}")),
        );
    };
    // A text in another character set that happens to be UTF-8 throughout is none.
    if is_utf8 && !bytes.is_ascii() {
        return (
            bytes,
            Some(format!("it says {named} and is UTF-8, as which it is taken")),
        );
    }
    let (text, _, wrong) = charset.decode(&bytes);
    if wrong {
        return (bytes, Some(format!("it says {named} and is not: {as_they_are}")));
    }
    (text.into_owned().into_bytes(), None)
}

/// A text for a person, and for the message of a commit: what is not UTF-8 is read as Latin 1, as git does.
pub(super) fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => charset::decode_latin1(bytes).into_owned(),
    }
}
