// SPDX-License-Identifier: MIT OR Apache-2.0
//! From addresses of a guest to the functions of its kernel and of its modules. Pure.

use std::collections::BTreeMap;

use format::kallsyms::{Functions, LoadedModule, ModuleFunctions};
use record::ELSEWHERE;

/// Where the functions of a guest lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FunctionPlaces(
    /// Where a function begins, with its name, or where the code of the kernel or of a module ends.
    BTreeMap<u64, Option<String>>,
);

impl FunctionPlaces {
    /// Reads `/proc/modules` and `/proc/kallsyms` of a guest, one behind the other.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let image = Functions::parse(text)
            .ok_or("the guest's /proc/kallsyms does not say where its kernel begins and ends")?;
        let modules = LoadedModule::all(text);
        let of_modules = ModuleFunctions::of(&modules, text);
        let mut pieces = vec![(image.start, image.functions, image.end)];
        let module = |(module, of): (LoadedModule, ModuleFunctions)| (module.start, of.functions, of.end);
        pieces.extend(modules.into_iter().zip(of_modules).map(module));
        let mut places = BTreeMap::new();
        let mut ends = Vec::new();
        for (start, functions, end) in pieces {
            let named = functions
                .into_iter()
                .map(|(offset, name)| (start.wrapping_add(offset), Some(name)));
            places.extend(named);
            ends.push(start.wrapping_add(end));
        }
        for end in ends {
            // Another piece may begin there.
            places.entry(end).or_insert(None);
        }
        Ok(Self(places))
    }

    /// The name of the function at an address; [`ELSEWHERE`] outside of the kernel and its modules.
    fn name(&self, address: u64) -> &str {
        let below = self.0.range(..=address).next_back();
        below.and_then(|(_, name)| name.as_deref()).unwrap_or(ELSEWHERE)
    }

    /// The instructions of each function, out of those of each block of code; a block belongs to the function in which it begins.
    pub(super) fn by_function(&self, blocks: &BTreeMap<u64, i64>) -> BTreeMap<String, i64> {
        let mut functions: BTreeMap<String, i64> = BTreeMap::new();
        for (address, count) in blocks.iter().filter(|(_, count)| **count != 0) {
            *functions.entry(self.name(*address).to_owned()).or_default() += count;
        }
        functions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
first 16384 0 - Live 0xffffffffc0100000
second 16384 0 - Live 0xffffffffc0101000
ffffffff81000000 T _stext
ffffffff81000010 T online_pages
ffffffff81000110 t notify
ffffffff81000200 t notify
ffffffff81001000 T _etext
ffffffffc0100010 t inject\t[first]
ffffffffc0101000 t begins_at_once\t[second]
";

    #[test]
    fn a_block_belongs_to_the_function_in_which_it_begins() {
        let places = FunctionPlaces::parse(TEXT).unwrap();
        let blocks = [
            (0, -3),
            (0x40_0078, 10),
            (0xffff_ffff_8100_0010, 100),
            (0xffff_ffff_8100_0100, 50),
            (0xffff_ffff_8100_0110, 7),
            (0xffff_ffff_8100_0fff, 5),
            (0xffff_ffff_8100_1000, 1),
            (0xffff_ffff_8100_0120, 0),
            (0xffff_ffff_c010_0020, 20),
            (0xffff_ffff_c010_1000, 30),
            (0xffff_ffff_c010_2000, 2),
        ];
        let functions = places.by_function(&BTreeMap::from(blocks));
        let told: Vec<_> = functions.iter().map(|(name, count)| (&**name, *count)).collect();
        assert_eq!(
            told,
            [
                (ELSEWHERE, 10),
                ("begins_at_once", 30),
                ("inject", 20),
                ("notify", 12),
                ("online_pages", 150),
            ]
        );
    }

    #[test]
    fn addresses_that_are_hidden_are_no_places() {
        let hidden = "0000000000000000 T _stext\n0000000000000000 T _etext\n";
        assert_eq!(
            FunctionPlaces::parse(hidden).unwrap_err(),
            "the guest's /proc/kallsyms does not say where its kernel begins and ends"
        );
    }
}
