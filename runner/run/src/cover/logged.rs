// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel whose code is kept, and where a guest says that it lies. Pure.

use std::collections::BTreeMap;

use super::place::{ModulePlace, Text, in_turn, is_elsewhere, placed};
use format::{
    cover::Pieces,
    kallsyms::{Functions, LoadedModule, ModuleFunctions},
};
use record::{ModuleText, Span};

/// Where a guest says that its kernel and its modules lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Where the text of the kernel begins.
    start: u64,
    /// Its modules.
    modules: Vec<LoadedModule>,
}

impl Layout {
    /// Out of `/proc/modules` and the line about `_stext` of `/proc/kallsyms`, whatever else was printed. `None` without that line.
    pub(super) fn parse(said: &str) -> Option<Self> {
        let start = said.lines().find_map(|line| {
            let address = line.strip_suffix(" _stext")?.split(' ').next()?;
            u64::from_str_radix(address, 16).ok().filter(|start| *start > 0)
        });
        Some(Self {
            start: start?,
            modules: LoadedModule::all(said),
        })
    }

    /// Where the kernel lies, without its modules.
    pub(super) fn of_image(&self) -> Self {
        Self {
            start: self.start,
            modules: Vec::new(),
        }
    }
}

/// A kernel that the log was told of.
#[derive(Debug, Clone)]
pub(super) struct LoggedKernel {
    /// Its number in the log.
    pub(super) number: usize,
    /// Bytes of its text.
    bytes: u64,
    /// Where the code of its modules stands behind that, by their names, and how many bytes it has.
    modules: BTreeMap<String, (u64, u64)>,
}

impl LoggedKernel {
    /// A kernel without modules.
    pub(super) fn new(number: usize, functions: &Functions) -> Self {
        Self {
            number,
            bytes: functions.end,
            modules: BTreeMap::new(),
        }
    }

    /// Whether a guest has a module that is not known.
    pub(super) fn lacks_any(&self, layout: &Layout) -> bool {
        let mut modules = layout.modules.iter();
        modules.any(|module| !self.modules.contains_key(&module.name))
    }

    /// Learns the modules that are not known yet, out of a whole `/proc/kallsyms`; those are to be told to the log.
    pub(super) fn learn(&mut self, layout: &Layout, symbols: &str) -> Vec<ModuleText> {
        let modules = layout.modules.iter();
        let new: Vec<LoadedModule> = modules
            .filter(|module| !self.modules.contains_key(&module.name))
            .cloned()
            .collect();
        let functions = ModuleFunctions::of(&new, symbols);
        let text = |(module, ModuleFunctions { functions, end }): (&LoadedModule, _)| {
            let ends = self.modules.values().map(|(at, bytes)| at + bytes);
            let at = ends.fold(self.bytes, u64::max);
            self.modules.insert(module.name.clone(), (at, end));
            ModuleText::new(&module.name, at, end, functions)
        };
        new.iter().zip(functions).map(text).collect()
    }

    /// What of a guest's code is the kernel's or a module's, by its place.
    pub(super) fn placed(&self, layout: &Layout, code: &Pieces) -> Vec<Span> {
        placed(code, self.text(layout), &self.places(layout))
    }

    /// What of a guest's code is the kernel's own, in the order in which it ran, each with its place among all pieces.
    pub(super) fn in_turn(&self, layout: &Layout, code: &Pieces) -> Vec<(usize, Span)> {
        in_turn(code, self.text(layout))
    }

    /// Whether anything ran that is neither, such as a module that the guest has not told of.
    pub(super) fn is_elsewhere(&self, layout: &Layout, code: &Pieces) -> bool {
        is_elsewhere(code, self.text(layout), &self.places(layout))
    }

    fn text(&self, layout: &Layout) -> Text {
        Text {
            start: layout.start,
            bytes: self.bytes,
        }
    }

    fn places(&self, layout: &Layout) -> Vec<ModulePlace> {
        let place = |module: &LoadedModule| {
            let (at, bytes) = *self.modules.get(&module.name)?;
            let start = module.start;
            Some(ModulePlace { start, bytes, at })
        };
        layout.modules.iter().filter_map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use format::cover::Piece;

    const FIRST: &str = "\
one 8192 0 - Live 0x00008000
00001000 T _stext
00002000 T _etext
00008010 t f\t[one]
";

    /// Another guest, with a second module.
    const SECOND: &str = "\
two 8192 0 - Live 0x0000a000
one 8192 0 - Live 0x00018000
00011000 T _stext
00012000 T _etext
00018010 t f\t[one]
0000a000 t g\t[two]
";

    #[test]
    fn a_module_has_one_place_wherever_it_lies() {
        let functions = Functions::parse(FIRST).unwrap();
        let mut known = LoggedKernel::new(0, &functions);
        let (first, second) = (Layout::parse(FIRST).unwrap(), Layout::parse(SECOND).unwrap());
        assert!(known.lacks_any(&first));
        let named = |modules: Vec<ModuleText>| -> Vec<(String, u64)> {
            let places = modules.into_iter().map(|module| (module.name, module.at));
            places.collect()
        };
        assert_eq!(named(known.learn(&first, FIRST)), [("one".to_owned(), 0x1000)]);
        assert!(!known.lacks_any(&first) && known.lacks_any(&second));
        let code = Pieces {
            pieces: [0x11004, 0x18010, 0xa000]
                .map(|address| Piece {
                    address,
                    host: address,
                    bytes: 2,
                })
                .into(),
            no_programs: true,
            ..Pieces::default()
        };
        let span = |offset| Span { offset, bytes: 2 };
        assert_eq!(known.placed(&second, &code), [span(4), span(0x1010)]);
        assert!(known.is_elsewhere(&second, &code));
        assert_eq!(named(known.learn(&second, SECOND)), [("two".to_owned(), 0x2000)]);
        assert_eq!(
            known.placed(&second, &code),
            [span(4), span(0x1010), span(0x2000)]
        );
        assert!(!known.is_elsewhere(&second, &code));
        assert_eq!(named(known.learn(&second, SECOND)), []);
    }

    #[test]
    fn a_guest_that_hides_its_addresses_tells_nothing() {
        assert_eq!(Layout::parse("00000000 T _stext\n"), None);
        assert_eq!(Layout::parse("one 8192 0 - Live 0x00008000\n"), None);
    }
}
