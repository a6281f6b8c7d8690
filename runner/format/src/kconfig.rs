// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a kernel's `.config`.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use base::quoted;

/// What a configuration says about one symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `=y`
    Yes,
    /// `=m`
    Module,
    /// `# CONFIG_X is not set`, or `=n`
    No,
    /// `="text"`, without the quotes and with backslashes resolved.
    Text(String),
    /// A number, decimal or `0x…`, as written.
    Number(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.pad("y"),
            Self::Module => f.pad("m"),
            Self::No => f.pad("n"),
            Self::Text(text) => f.pad(&format!("{text:?}")),
            Self::Number(number) => f.pad(number),
        }
    }
}

/// A kernel's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kconfig {
    symbols: BTreeMap<String, Value>,
}

/// A line that no kernel's `.config` has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: `{}` is no line of a kernel configuration (expected `CONFIG_NAME=value` or a comment)", quoted(.text)
)]
pub struct KconfigError {
    /// Line number, from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Kconfig {
    /// Reads a `.config`. Where a symbol is set twice the last one holds, as it does for the kernel's own scripts.
    ///
    /// # Errors
    /// The first line that is neither a comment nor an assignment.
    pub fn parse(text: &str) -> Result<Self, KconfigError> {
        let mut symbols = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = || KconfigError {
                line: index + 1,
                text: line.to_owned(),
            };
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(name) = comment.trim().strip_suffix(" is not set").and_then(symbol) {
                    symbols.insert(name.to_owned(), Value::No);
                }
                continue;
            }
            if line.is_empty() {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or_else(wrong)?;
            let name = symbol(name).ok_or_else(wrong)?;
            symbols.insert(name.to_owned(), value_of(value).ok_or_else(wrong)?);
        }
        Ok(Self { symbols })
    }

    /// What is said about a symbol, by its name with or without `CONFIG_`; `None` if the file does not name it.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.symbols.get(name.strip_prefix("CONFIG_").unwrap_or(name))
    }

    /// The value as a person would write it: a symbol that is not named is `n`.
    pub fn shown(&self, name: &str) -> Cow<'static, str> {
        match self.get(name) {
            None | Some(Value::No) => Cow::Borrowed("n"),
            Some(Value::Yes) => Cow::Borrowed("y"),
            Some(Value::Module) => Cow::Borrowed("m"),
            Some(value) => Cow::Owned(value.to_string()),
        }
    }

    /// Whether the symbol is `=y`.
    pub fn built_in(&self, name: &str) -> bool {
        self.get(name) == Some(&Value::Yes)
    }

    /// Whether the symbol is `=y` or `=m`.
    pub fn enabled(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Yes | Value::Module))
    }

    /// All symbols by name (without `CONFIG_`), in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.symbols.iter().map(|(name, value)| (name.as_str(), value))
    }
}

fn symbol(text: &str) -> Option<&str> {
    let name = text.strip_prefix("CONFIG_")?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(word)).then_some(name)
}

fn value_of(text: &str) -> Option<Value> {
    Some(match text {
        "y" => Value::Yes,
        "m" => Value::Module,
        "n" => Value::No,
        _ if text.starts_with('"') => {
            let inner = text.strip_prefix('"')?.strip_suffix('"')?;
            let mut plain = String::with_capacity(inner.len());
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                plain.push(if c == '\\' { chars.next()? } else { c });
            }
            Value::Text(plain)
        }
        _ => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let number = match digits.strip_prefix("0x") {
                Some(hex) => !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit()),
                None => !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()),
            };
            number.then(|| Value::Number(text.to_owned()))?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "#\n# Automatically generated file; DO NOT EDIT.\n#\nCONFIG_64BIT=y\n\
        CONFIG_VIRTIO_NET=m\n# CONFIG_DEBUG_VM is not set\nCONFIG_LOG_BUF_SHIFT=17\n\
        CONFIG_PHYSICAL_START=0x1000000\nCONFIG_LOCALVERSION=\"-a\\\"b\\\\\"\n\n# end of something\n";

    #[test]
    fn all_kinds_of_values_are_read() {
        let config = Kconfig::parse(SAMPLE).unwrap();
        assert!(config.built_in("CONFIG_64BIT"));
        assert!(!config.built_in("VIRTIO_NET") && config.enabled("VIRTIO_NET"));
        assert_eq!(config.get("DEBUG_VM"), Some(&Value::No));
        assert_eq!(config.get("KASAN"), None);
        assert_eq!(config.shown("KASAN"), "n");
        assert_eq!(config.shown("LOG_BUF_SHIFT"), "17");
        assert_eq!(
            config.get("PHYSICAL_START"),
            Some(&Value::Number("0x1000000".to_owned()))
        );
        assert_eq!(
            config.get("LOCALVERSION"),
            Some(&Value::Text("-a\"b\\".to_owned()))
        );
        assert_eq!(config.iter().count(), 6);
    }

    #[test]
    fn the_last_assignment_holds() {
        let config = Kconfig::parse("CONFIG_A=y\n# CONFIG_A is not set\nCONFIG_B=n\nCONFIG_B=y\n").unwrap();
        assert_eq!(config.get("A"), Some(&Value::No));
        assert!(config.built_in("B"));
    }

    #[test]
    fn what_is_no_configuration_is_named_with_its_line() {
        for wrong in [
            "CONFIG_A=y\n\x1f\x08",
            "CONFIG_A=y\nmake menuconfig",
            "CONFIG_A=y\nCONFIG_B=maybe",
            "\nA=y",
        ] {
            let error = Kconfig::parse(wrong).unwrap_err();
            assert_eq!(error.line, 2, "{wrong:?}");
        }
        assert!(Kconfig::parse("CONFIG_A=\"open").is_err());
        assert!(Kconfig::parse("CONFIG_A=0x").is_err());
    }
}
