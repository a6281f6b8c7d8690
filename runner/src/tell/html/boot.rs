// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that booting takes, against the size of standby memory.

use std::collections::BTreeMap;

use super::plot::{BOTTOM, Dot, LEFT, Plot, RIGHT, Series, TOP, Tick, coordinate, line, place, round_ticks};
use crate::{
    base::ByteSize,
    record::{CaseRecord, GuestEnd, RunRecord, Traces},
};

/// The suite whose cases differ in the size of standby memory alone.
const SUITE: &str = "boot-memory";

/// What booting took with one size of standby memory.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Taken {
    /// Pages that are free.
    Free(u64),
    /// The kernel panicked while it booted.
    Panic,
}

/// The plot, and the same as a table.
#[derive(Debug)]
pub(super) struct BootMemory {
    pub(super) plot: Plot,
    /// Sizes of standby memory.
    pub(super) sizes: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// One kernel in one variant.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) class: String,
    pub(super) cells: Vec<String>,
}

/// Free pages after boot by size, for each kernel; nothing where the suite was not run with two sizes.
pub(super) fn boot_memory(record: &RunRecord, traces: &Traces) -> Option<BootMemory> {
    // With another size of the guest there are other points.
    let mut kernels: BTreeMap<(String, Option<&str>), BTreeMap<u64, Taken>> = BTreeMap::new();
    for case in record.cases.iter().filter(|case| case.key.suite == SUITE) {
        let Some(size) = standby(&case.command_line) else {
            continue;
        };
        let taken = taken(case, traces);
        let name = format!("{} {} {}", case.key.arch, case.key.kernel, case.key.variant);
        if let Some(taken) = taken {
            kernels
                .entry((name.trim_end().to_owned(), core(&case.command_line)))
                .or_default()
                .insert(size, taken);
        }
    }
    // Without the least size there is nothing that the others can be measured from.
    kernels.retain(|_, sizes| sizes.len() > 1 && matches!(sizes.values().next(), Some(Taken::Free(_))));
    let kernels: BTreeMap<String, _> = kernels
        .into_iter()
        .map(|((name, _), sizes)| (name, sizes))
        .collect();
    let mut sizes: Vec<u64> = kernels.values().flat_map(|sizes| sizes.keys().copied()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    if kernels.is_empty() {
        return None;
    }
    Some(draw(&kernels, &sizes))
}

fn taken(case: &CaseRecord, traces: &Traces) -> Option<Taken> {
    let first = traces.get(&case.key.id()).and_then(|trace| trace.ledgers.first());
    match first {
        Some(first) if first.step.is_none() => Some(Taken::Free(first.free)),
        _ => (case.ended == Some(GuestEnd::Panicked)).then_some(Taken::Panic),
    }
}

/// What a QEMU command line says of the guest's size at boot.
fn core(command_line: &str) -> Option<&str> {
    command_line
        .split_whitespace()
        .skip_while(|word| *word != "-m")
        .nth(1)
}

/// Size of the object `standby` in a QEMU command line, in bytes; none there is a size too.
fn standby(command_line: &str) -> Option<u64> {
    if command_line.is_empty() {
        return None;
    }
    let object = command_line
        .split_whitespace()
        .find(|word| word.split(',').any(|part| part == "id=standby"));
    let Some(object) = object else { return Some(0) };
    let size = object.split(',').find_map(|part| part.strip_prefix("size="))?;
    size.parse::<ByteSize>().ok().map(ByteSize::as_bytes)
}

/// What was taken beyond what the least size takes, in MiB; `None` for a panic.
fn mib(sizes: &BTreeMap<u64, Taken>, size: u64) -> Option<Option<f64>> {
    let Some(Taken::Free(most)) = sizes.values().next() else {
        return None;
    };
    match sizes.get(&size)? {
        Taken::Free(free) => Some(Some((*most as f64 - *free as f64) / 256.0)),
        Taken::Panic => Some(None),
    }
}

fn draw(kernels: &BTreeMap<String, BTreeMap<u64, Taken>>, sizes: &[u64]) -> BootMemory {
    let values = kernels
        .values()
        .flat_map(|taken| sizes.iter().filter_map(|size| mib(taken, *size).flatten()));
    let high = values.fold(1.0, f64::max);
    let ticks = round_ticks(0.0, high);
    let range = (0.0, ticks.last().copied().unwrap_or(high));
    let x = |size: u64| {
        let at = sizes.iter().position(|one| *one == size).unwrap_or(0);
        place(
            at as f64,
            (0.0, (sizes.len() - 1) as f64),
            (LEFT + 12.0, RIGHT - 12.0),
        )
    };
    let y = |mib: Option<f64>| mib.map_or(TOP, |mib| place(mib.max(0.0), range, (BOTTOM, TOP)));
    let mut series = Vec::new();
    let mut rows = Vec::new();
    for (at, (name, taken)) in kernels.iter().enumerate() {
        let class = format!("k-{}", at % 8);
        let dots: Vec<Dot> = sizes
            .iter()
            .filter_map(|size| {
                let mib = mib(taken, *size)?;
                let what = mib.map_or("panic".to_owned(), |mib| format!("{mib:.1} MiB"));
                Some(Dot {
                    x: coordinate(x(*size)),
                    y: coordinate(y(mib)),
                    label: format!("{name}, {} standby: {what}", ByteSize::bytes(*size)),
                    panic: mib.is_none(),
                })
            })
            .collect();
        series.push(Series {
            class: class.clone(),
            points: line(&dots),
            dots,
        });
        let cell = |size: &u64| match mib(taken, *size) {
            None => String::new(),
            Some(None) => "panic".to_owned(),
            Some(Some(mib)) => format!("{mib:.1}"),
        };
        rows.push(Row {
            name: name.clone(),
            class,
            cells: sizes.iter().map(cell).collect(),
        });
    }
    let text = |size: &u64| ByteSize::bytes(*size).to_string();
    BootMemory {
        plot: Plot {
            series,
            across: ticks
                .iter()
                .map(|tick| Tick {
                    at: coordinate(y(Some(*tick))),
                    label: tick.to_string(),
                })
                .collect(),
            below: sizes
                .iter()
                .map(|size| Tick {
                    at: coordinate(x(*size)),
                    label: text(size),
                })
                .collect(),
        },
        sizes: sizes.iter().map(text).collect(),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_standby_memory_is_that_of_its_object() {
        let line =
            "qemu -m size=512M -object memory-backend-ram,id=standby,size=8G,reserve=off -append 'x size=1'";
        assert_eq!(standby(line), Some(8 << 30));
        assert_eq!(standby("qemu -m size=512M"), Some(0));
        assert_eq!(standby(""), None);
    }

    #[test]
    fn guests_of_different_sizes_are_not_compared() {
        assert_eq!(core("qemu -m size=512M -object x"), Some("size=512M"));
        assert_eq!(core("qemu"), None);
    }

    #[test]
    fn what_is_taken_is_measured_from_the_least_size() {
        let sizes = BTreeMap::from([
            (0, Taken::Free(100_000)),
            (8, Taken::Free(66_400)),
            (32, Taken::Panic),
        ]);
        assert_eq!(mib(&sizes, 0), Some(Some(0.0)));
        assert_eq!(mib(&sizes, 8), Some(Some(131.25)));
        assert_eq!(mib(&sizes, 32), Some(None));
        assert_eq!(mib(&sizes, 64), None);
        let drawn = draw(&BTreeMap::from([("k".to_owned(), sizes)]), &[0, 8, 32]);
        assert_eq!(drawn.rows[0].cells, ["0.0", "131.2", "panic"]);
        let dots = &drawn.plot.series[0].dots;
        assert_eq!(
            (&*dots[0].y, &*dots[2].y),
            ("190.0", "10.0"),
            "nothing taken is below, a panic above"
        );
    }
}
