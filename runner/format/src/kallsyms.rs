// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/proc/kallsyms`, and `/proc/modules` beside it: where the functions of a running kernel and of its modules are.

use std::collections::BTreeMap;

/// A page of a kernel, in bytes: the code of a module begins on one, and shares none.
const PAGE: u64 = 4096;

/// The functions of a kernel's image, without those of its modules.
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
        let image = text
            .lines()
            .filter_map(code)
            .filter(|(_, _, module)| module.is_none());
        let mut all: Vec<(u64, &str)> = image.map(|(at, name, _)| (at, name)).collect();
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

/// A module that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedModule {
    /// Its name.
    pub name: String,
    /// Where its code begins in this guest.
    pub start: u64,
    /// How many bytes it has, those of data included.
    bytes: u64,
}

impl LoadedModule {
    /// Those that lines of `NAME BYTES USES USERS STATE ADDRESS [TAINTS]` tell of; other lines are passed over, and so are addresses that are hidden and
    /// modules that would not end in the address space.
    pub fn all(text: &str) -> Vec<Self> {
        let module = |line: &str| {
            let mut words = line.split(' ');
            let (name, bytes) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
            let address = words.nth(3)?.strip_prefix("0x")?;
            let start = u64::from_str_radix(address, 16).ok()?;
            start.checked_add(bytes)?.checked_next_multiple_of(PAGE)?;
            (start > 0).then_some(Self { name, start, bytes })
        };
        text.lines().filter_map(module).collect()
    }
}

/// The functions of a module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleFunctions {
    /// Offset from the start of its code, in bytes, and name, ascending; of several at one place the first that is listed. A function goes up to the
    /// next one.
    pub functions: Vec<(u64, String)>,
    /// Where the code ends, from the start of it, in bytes: with the page in which the last function begins, as nobody says where that one ends.
    pub end: u64,
}

impl ModuleFunctions {
    /// Reads the lines of `ADDRESS TYPE NAME [MODULE]` that are about these modules; those of each, in their order. A module without functions has none.
    pub fn of(modules: &[LoadedModule], text: &str) -> Vec<Self> {
        let mut symbols: BTreeMap<&str, Vec<(u64, &str)>> = BTreeMap::new();
        for (at, name, module) in text
            .lines()
            .filter_map(code)
            .filter(|(_, name, _)| is_function(name))
        {
            if let Some(module) = module {
                symbols.entry(module).or_default().push((at, name));
            }
        }
        let of_module = |module: &LoadedModule| {
            // A module may have no function.
            let all = symbols.remove(module.name.as_str()).unwrap_or_default();
            let offsets = all
                .into_iter()
                .map(|(at, name)| (at.wrapping_sub(module.start), name));
            let mut functions: Vec<(u64, &str)> = offsets.filter(|(at, _)| *at < module.bytes).collect();
            functions.sort_by_key(|(at, _)| *at);
            functions.dedup_by_key(|(at, _)| *at);
            Self {
                end: functions.last().map_or(0, |(last, _)| (last / PAGE + 1) * PAGE),
                functions: functions
                    .into_iter()
                    .map(|(at, name)| (at, name.to_owned()))
                    .collect(),
            }
        };
        modules.iter().map(of_module).collect()
    }
}

/// A symbol of code and its module, if it is one's.
fn code(line: &str) -> Option<(u64, &str, Option<&str>)> {
    let mut words = line.split_ascii_whitespace();
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    let module = match words.next() {
        Some(word) => Some(word.strip_prefix('[')?.strip_suffix(']')?),
        None => None,
    };
    let is_code = matches!(kind, "t" | "T" | "w" | "W");
    is_code
        .then(|| Some((u64::from_str_radix(address, 16).ok()?, name, module)))
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
    fn functions_of_modules_are_told_by_their_place_in_the_module() {
        let text = "\
net_failover 24576 1 virtio_net, Live 0xffffffffc04f6000
virtio_net 118784 0 - Live 0xffffffffc04ff000 (E)
empty 16384 0 - Live 0xffffffffc0600000
hidden 16384 0 - Live 0x0000000000000000
endless 18446744073709551615 0 - Live 0x0000000000000001
ffffffff81000000 T _stext
ffffffffc0500200 t virtnet_poll\t[virtio_net]
ffffffffc04ff000 t __pfx_virtnet_stats\t[virtio_net]
ffffffffc04ff010 t virtnet_stats\t[virtio_net]
ffffffffc04ff010 t alias_of_it\t[virtio_net]
ffffffffc0517d40 r virtnet_stats_tx_speed_desc\t[virtio_net]
ffffffffc0700000 t elsewhere\t[virtio_net]
ffffffffc04f6010 T net_failover_create\t[net_failover]
ffffffffc0800000 t bpf_prog_1\t[bpf]
fffffffffffffff0 t its_end\t[endless]
";
        let modules = LoadedModule::all(text);
        let places: Vec<_> = modules
            .iter()
            .map(|module| (module.name.as_str(), module.start))
            .collect();
        assert_eq!(
            places,
            [
                ("net_failover", 0xffff_ffff_c04f_6000),
                ("virtio_net", 0xffff_ffff_c04f_f000),
                ("empty", 0xffff_ffff_c060_0000)
            ]
        );
        let read = ModuleFunctions::of(&modules, text);
        let named =
            |names: &[(u64, &str)]| names.iter().map(|(at, name)| (*at, (*name).to_owned())).collect();
        let expected = [
            ModuleFunctions {
                functions: named(&[(0x10, "net_failover_create")]),
                end: 0x1000,
            },
            ModuleFunctions {
                functions: named(&[(0x10, "virtnet_stats"), (0x1200, "virtnet_poll")]),
                end: 0x2000,
            },
            ModuleFunctions::default(),
        ];
        assert_eq!(read, expected);
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
