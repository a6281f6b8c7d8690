// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/proc/kallsyms`: where the functions of a running kernel are.

/// The functions of a kernel's image, without those of its modules, which are elsewhere in each guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Functions {
    /// Where the image's code begins in this guest (`_stext`).
    pub start: u64,
    /// Offset from there, in bytes, and name, ascending; of several at one place the first that is listed. A function goes up to the next one.
    pub functions: Vec<(u64, String)>,
    /// Where the code ends, from the start of it, in bytes: `_etext`, or `_einittext` where that lies behind it.
    pub end: u64,
}

impl Functions {
    /// Reads lines of `ADDRESS TYPE NAME`, ascending or not. `None` if they do not say where the code begins and ends, as those that were read without
    /// the right to see addresses, which are all 0.
    pub fn parse(text: &str) -> Option<Self> {
        let mut all: Vec<(u64, &str)> = text.lines().filter_map(image_code).collect();
        let at = |wanted: &str| all.iter().find(|(_, name)| *name == wanted).map(|(at, _)| *at);
        let start = at("_stext").filter(|start| *start > 0)?;
        let end = at("_etext")?.max(at("_einittext").unwrap_or(0));
        all.retain(|(at, name)| (start..end).contains(at) && is_function(name));
        // Stable, so that of those at one place the first stays.
        all.sort_by_key(|(at, _)| *at);
        all.dedup_by_key(|(at, _)| *at);
        Some(Self {
            start,
            functions: all
                .into_iter()
                .map(|(at, name)| (at - start, name.to_owned()))
                .collect(),
            end: end.checked_sub(start)?,
        })
    }
}

/// A symbol of code, of a line that is not a module's.
fn image_code(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    let is_code = matches!(kind, "t" | "T" | "w" | "W");
    (is_code && words.next().is_none())
        .then(|| Some((u64::from_str_radix(address, 16).ok()?, name)))
        .flatten()
}

/// Marks of the linker, and the room that the compiler leaves before a function, are none.
fn is_function(name: &str) -> bool {
    const MARKS: [&str; 5] = ["_text", "_stext", "_etext", "_sinittext", "_einittext"];
    !MARKS.contains(&name) && !name.starts_with("__pfx_") && !name.starts_with("__cfi_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000000 T startup_64
ffffffff81000100 T __pfx_online_pages
ffffffff81000110 T online_pages
ffffffff81000110 t alias_of_it
ffffffff81000400 t helper.part.0
ffffffff81001000 T _etext
ffffffff81800000 D some_data
ffffffff82000000 T _sinittext
ffffffff82000000 t early_thing
ffffffff82000200 T _einittext
ffffffffc0000000 t in_a_module\t[virtio_net]
";

    #[test]
    fn functions_are_those_of_the_image() {
        let read = Functions::parse(TEXT).unwrap();
        assert_eq!((read.start, read.end), (0xffff_ffff_8100_0000, 0x0100_0200));
        let names: Vec<_> = read
            .functions
            .iter()
            .map(|(at, name)| (*at, name.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                (0, "startup_64"),
                (0x110, "online_pages"),
                (0x400, "helper.part.0"),
                (0x0100_0000, "early_thing"),
            ]
        );
    }

    #[test]
    fn addresses_that_are_hidden_tell_nothing() {
        assert_eq!(
            Functions::parse("0000000000000000 T _stext\n0000000000000000 T _etext\n"),
            None
        );
        assert_eq!(Functions::parse("ffffffff81000000 T _stext\n"), None);
        assert_eq!(Functions::parse(""), None);
    }
}
