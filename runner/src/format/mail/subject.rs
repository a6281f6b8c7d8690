// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a subject such as `[PATCH v2 03/11] mm: …` says.

/// A subject, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// It answers another mail.
    pub reply: bool,
    /// A bracket has the word PATCH.
    pub patch: bool,
    /// The number after `v`; 1 where none is given.
    pub version: u32,
    /// Which of how many; 0 is the cover letter.
    pub number: Option<(u32, u32)>,
    /// What stands after the brackets.
    pub title: String,
}

impl Subject {
    /// Reads a subject that has no line ends any more.
    pub fn parse(text: &str) -> Self {
        let mut rest = text.trim();
        let mut reply = false;
        while let Some(answered) = strip_reply(rest) {
            reply = true;
            rest = answered.trim_start();
        }
        let mut subject = Self {
            reply,
            patch: false,
            version: 1,
            number: None,
            title: String::new(),
        };
        while let Some((tag, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            let words: Vec<&str> = tag
                .split([' ', ',', '\t'])
                .filter(|word| !word.is_empty())
                .collect();
            for word in &words {
                subject.word(word);
            }
            rest = after.trim_start();
        }
        // Folding leaves more than one space.
        subject.title = rest.split_whitespace().collect::<Vec<_>>().join(" ");
        subject
    }

    fn word(&mut self, word: &str) {
        let upper = word.to_ascii_uppercase();
        if let Some(after) = upper.strip_prefix("PATCH") {
            self.patch = true;
            // As in `PATCHv2`.
            self.version_word(after);
            return;
        }
        if self.version_word(&upper) {
            return;
        }
        let number = upper
            .split_once('/')
            .and_then(|(n, m)| Some((digits(n)?, digits(m)?)));
        if let Some(number) = number {
            self.number = Some(number);
        }
    }

    fn version_word(&mut self, word: &str) -> bool {
        match word.strip_prefix('V').and_then(digits) {
            Some(version) => {
                self.version = version;
                true
            }
            None => false,
        }
    }
}

fn strip_reply(text: &str) -> Option<&str> {
    ["re:", "aw:", "fwd:", "fw:"].iter().find_map(|word| {
        let head = text.get(..word.len())?;
        head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
    })
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}
