// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a run's coverage back.

use std::{collections::BTreeMap, io};

use camino::Utf8Path;

use super::{
    code::{CoveredCase, CoveredKernel, KernelText, LineOfCode, ModuleText, Ran, SourceLines, Span},
    line::{Line, NAME},
    packed::Packed,
};
use crate::{
    ReadError,
    read::{Damage, load},
};

/// Which code of each kernel was run, as the folder of a run tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The kernels, in the order in which they were first seen.
    pub kernels: Vec<CoveredKernel>,
}

impl Coverage {
    /// Reads the coverage in a run's folder, and lists what of it could not be read. `None` if the run has none.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn read(folder: &Utf8Path) -> Result<Option<(Self, Vec<Damage>)>, ReadError> {
        Ok(load(folder, NAME)?.map(|bytes| {
            let (numbered, damage) = numbered(&bytes);
            let mut coverage = Self::default();
            coverage.add(numbered.into_values());
            (coverage, damage)
        }))
    }

    /// Adds what another run saw. Of a case that both ran on the same kernel, the other one counts.
    pub fn join(&mut self, other: Self) {
        self.add(other.kernels);
    }

    fn add(&mut self, kernels: impl IntoIterator<Item = CoveredKernel>) {
        for kernel in kernels {
            let mut known = self.kernels.iter_mut();
            match known.find(|known| is_same(&known.text, &kernel.text)) {
                Some(known) => join(known, kernel),
                None => self.kernels.push(kernel),
            }
        }
    }
}

/// The kernels by the numbers that the file gives them; a run that went on has given one kernel several.
pub(super) fn numbered(bytes: &[u8]) -> (BTreeMap<usize, CoveredKernel>, Vec<Damage>) {
    let (mut kernels, mut damage) = (BTreeMap::new(), Vec::new());
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let taken = serde_json::from_slice(line)
            .map_err(io::Error::from)
            .and_then(|line| take(&mut kernels, line));
        if let Err(error) = taken {
            damage.push(Damage {
                file: NAME.to_owned(),
                line: Some(index + 1),
                what: error.to_string(),
            });
        }
    }
    (kernels, damage)
}

/// How many pieces of code no kernel has: the lines of one that the bench builds are half a million pieces.
const MOST_PIECES: usize = 1 << 22;

fn take(kernels: &mut BTreeMap<usize, CoveredKernel>, line: Line) -> io::Result<()> {
    let unknown = || io::Error::other("a kernel that no line before has told of");
    match line {
        Line::Kernel {
            kernel,
            label,
            release,
            arch,
            side,
            end,
            functions,
        } => {
            let covered = CoveredKernel {
                text: KernelText {
                    label,
                    release,
                    arch,
                    side,
                    end,
                    functions: named(&functions)?,
                    modules: Vec::new(),
                    sources: Vec::new(),
                },
                pieces: Vec::new(),
                boot: Ran::default(),
                cases: Vec::new(),
            };
            kernels.insert(kernel, covered);
        }
        Line::Module {
            kernel,
            name,
            at,
            bytes,
            functions,
        } => {
            let functions = named(&functions)?;
            let kernel = kernels.get_mut(&kernel).ok_or_else(unknown)?;
            kernel.text.modules.push(ModuleText {
                name,
                at,
                bytes,
                functions,
            });
        }
        Line::Source {
            kernel,
            file,
            rows,
            changed,
            last_patch,
        } => {
            let rows = places(&rows)?.into_iter().map(|(offset, rest)| {
                Ok(LineOfCode {
                    span: Span {
                        offset,
                        bytes: hex(rest.first())?,
                    },
                    line: rest
                        .get(1)
                        .and_then(|line| line.parse().ok())
                        .ok_or_else(|| io::Error::other("a row without a line"))?,
                    inlined: rest.get(2).cloned(),
                })
            });
            let rows = rows.collect::<io::Result<_>>()?;
            let kernel = kernels.get_mut(&kernel).ok_or_else(unknown)?;
            kernel.text.sources.push(SourceLines {
                file,
                rows,
                changed,
                last_patch,
            });
        }
        Line::Code {
            kernel,
            first,
            pieces,
        } => {
            let pieces = places(&pieces)?.into_iter().map(|(offset, rest)| {
                Ok(Span {
                    offset,
                    bytes: hex(rest.first())?,
                })
            });
            let pieces: Vec<Span> = pieces.collect::<io::Result<_>>()?;
            let kernel = kernels.get_mut(&kernel).ok_or_else(unknown)?;
            if first > MOST_PIECES {
                return Err(io::Error::other(format!("no kernel has {first} pieces of code")));
            }
            // What a damaged line has lost are pieces without code, so that the numbers of the others are right.
            kernel.pieces.resize(first, Span { offset: 0, bytes: 0 });
            kernel.pieces.extend(pieces);
        }
        Line::Boot { kernel, ran, .. } => {
            let ran = Ran::of_bits(ran.bytes()?);
            let kernel = kernels.get_mut(&kernel).ok_or_else(unknown)?;
            kernel.boot = kernel.boot.or(&ran);
        }
        Line::Case {
            kernel,
            key,
            booted,
            ran,
            lost,
        } => {
            let ran = Ran::of_bits(ran.bytes()?);
            let kernel = kernels.get_mut(&kernel).ok_or_else(unknown)?;
            put(
                kernel,
                CoveredCase {
                    key,
                    booted,
                    ran,
                    lost,
                },
            );
        }
    }
    Ok(())
}

/// The last attempt counts.
fn put(kernel: &mut CoveredKernel, case: CoveredCase) {
    match kernel.cases.iter_mut().find(|known| known.key == case.key) {
        Some(known) => *known = case,
        None => kernel.cases.push(case),
    }
}

/// Whether it is one kernel; a line about a source file of it may have been lost.
fn is_same(one: &KernelText, other: &KernelText) -> bool {
    let named = |text: &KernelText| (text.label.clone(), text.release.clone(), text.arch, text.side);
    named(one) == named(other) && one.end == other.end && one.functions == other.functions
}

/// Where a module stands in a kernel, with a place of its own if it had none.
fn place_of(kernel: &mut KernelText, module: &ModuleText) -> u64 {
    if let Some(known) = kernel.modules.iter().find(|known| known.name == module.name) {
        return known.at;
    }
    let at = kernel.room();
    kernel.modules.push(ModuleText { at, ..module.clone() });
    at
}

/// Adds what was written of a kernel later.
fn join(kernel: &mut CoveredKernel, later: CoveredKernel) {
    let first = kernel.pieces.len();
    let moved: Vec<(ModuleText, u64)> = later
        .text
        .modules
        .into_iter()
        .map(|module| {
            let at = place_of(&mut kernel.text, &module);
            (module, at)
        })
        .collect();
    let pieces = later.pieces.into_iter().map(|piece| {
        let of = moved
            .iter()
            .find(|(module, _)| (module.at..module.end()).contains(&piece.offset));
        match of {
            Some((module, at)) => Span {
                offset: piece.offset - module.at + at,
                ..piece
            },
            None => piece,
        }
    });
    kernel.pieces.extend(pieces);
    kernel.boot = kernel.boot.or(&later.boot.behind(first));
    for case in later.cases {
        let ran = case.ran.behind(first);
        put(kernel, CoveredCase { ran, ..case });
    }
}

/// Functions: where each begins, and its name.
fn named(packed: &Packed) -> io::Result<Vec<(u64, String)>> {
    let places = places(packed)?.into_iter();
    Ok(places.map(|(at, name)| (at, name.join(" "))).collect())
}

/// The places that were written as lines of how far each is behind the one before it, with the words behind that.
fn places(packed: &Packed) -> io::Result<Vec<(u64, Vec<String>)>> {
    let (mut places, mut last) = (Vec::new(), 0u64);
    for line in packed.text()?.lines() {
        let mut words = line.split(' ');
        let delta = hex(words.next())?;
        last = last
            .checked_add(delta)
            .ok_or_else(|| io::Error::other("a place beyond all memory"))?;
        places.push((last, words.map(str::to_owned).collect()));
    }
    Ok(places)
}

fn hex(word: Option<impl AsRef<str>>) -> io::Result<u64> {
    let number = word.and_then(|word| u64::from_str_radix(word.as_ref(), 16).ok());
    number.ok_or_else(|| io::Error::other("a line without its number"))
}
