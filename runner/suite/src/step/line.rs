// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step in one line, as the suite has it. Of one that does others, `{:#}` has them whole, and all else their words alone.

use std::fmt;

use super::action::Step;

/// Writes `step: { key: value, … }` as the suite has it.
pub(super) struct Line<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    open: bool,
}

impl<'a, 'f> Line<'a, 'f> {
    pub(super) fn new(f: &'a mut fmt::Formatter<'f>, step: &str) -> Result<Self, fmt::Error> {
        write!(f, "{step}: {{")?;
        Ok(Self { f, open: false })
    }

    pub(super) fn key(&mut self, key: &str, value: impl fmt::Display) -> fmt::Result {
        let comma = if std::mem::replace(&mut self.open, true) {
            ","
        } else {
            ""
        };
        write!(self.f, "{comma} {key}: {value}")
    }

    pub(super) fn some(&mut self, key: &str, value: Option<&impl fmt::Display>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.key(key, value))
    }

    pub(super) fn text(&mut self, key: &str, value: &str) -> fmt::Result {
        self.key(key, format_args!("{value:?}"))
    }

    pub(super) fn list<T: fmt::Display>(&mut self, key: &str, values: &[T]) -> fmt::Result {
        let words: Vec<_> = values.iter().map(T::to_string).collect();
        self.key(key, format_args!("[{}]", words.join(", ")))
    }

    pub(super) fn steps(&mut self, key: &str, steps: &[Step]) -> fmt::Result {
        let steps = self.within(steps);
        self.key(key, steps)
    }

    /// The steps that a step does.
    pub(super) fn within(&self, steps: &[Step]) -> String {
        let one = |step: &Step| match self.f.alternate() {
            true => format!("{{ {step:#} }}"),
            false => step.action.word().to_owned(),
        };
        let all: Vec<_> = steps.iter().map(one).collect();
        format!("[{}]", all.join(", "))
    }

    pub(super) fn end(self) -> fmt::Result {
        self.f.write_str(if self.open { " }" } else { "}" })
    }
}
