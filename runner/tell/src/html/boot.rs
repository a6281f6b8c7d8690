// SPDX-License-Identifier: MIT OR Apache-2.0
//! What booting takes of memory and time, against the size of standby memory.

use std::collections::BTreeMap;

use super::plot::{
    BOTTOM, Dot, LEFT, PAGES_PER_MIB, Plot, RIGHT, Series, TOP, Tick, class, coordinate, line, place,
    round_ticks,
};
use base::ByteSize;
use record::{CaseRecord, GuestEnd, RunRecord, Traces};

/// The suite whose cases differ in the size of standby memory alone.
const SUITE: &str = "boot-memory";

/// What came of booting with one size of standby memory; `None` for a kernel that panicked.
type Seen = Option<f64>;

/// Kernels in their variants, and what each came to by the size of standby memory in bytes.
type Kernels = BTreeMap<String, BTreeMap<u64, Seen>>;

/// A plot against the size of standby memory, and the same as a table.
#[derive(Debug)]
pub(super) struct AgainstStandby {
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

/// MiB that booting takes beyond what it takes with the least size, for each kernel; nothing where the suite was not run with two sizes.
pub(super) fn boot_memory(record: &RunRecord, traces: &Traces) -> Option<AgainstStandby> {
    let free = |case: &CaseRecord| {
        let first = traces.get(&case.key.id()).and_then(|trace| trace.ledgers.first());
        match first {
            _ if counted(&case.command_line) => None,
            Some(first) if first.step.is_none() => Some(Some(first.free as f64)),
            _ => (case.ended == Some(GuestEnd::Panicked)).then_some(None),
        }
    };
    let taken = by_size(record, free).into_iter().filter_map(|(name, free)| {
        // Without the least size there is nothing that the others can be measured from.
        let most = (*free.values().next()?)?;
        let taken = |(size, free): (u64, Seen)| (size, free.map(|free| (most - free) / PAGES_PER_MIB));
        Some((name, free.into_iter().map(taken).collect()))
    });
    draw(&taken.collect(), "MiB")
}

/// Milliseconds that the kernel's initcalls take that find standby memory, where the guest's clock counts instructions.
pub(super) fn boot_time(record: &RunRecord, traces: &Traces) -> Option<AgainstStandby> {
    let took = |case: &CaseRecord| {
        let finds = |name: &str| name.starts_with("sclp_") && name.ends_with("_memory");
        let calls = &traces.get(&case.key.id())?.initcalls;
        let micros: Vec<u64> = calls
            .iter()
            .filter(|(name, _)| finds(name))
            .map(|(_, took)| *took)
            .collect();
        let seen = counted(&case.command_line) && !micros.is_empty();
        seen.then(|| Some(micros.iter().sum::<u64>() as f64 / 1000.0))
    };
    draw(&by_size(record, took), "ms")
}

/// What `of` says of the cases that differ in the size of standby memory alone, where there is more than one size.
fn by_size(record: &RunRecord, of: impl Fn(&CaseRecord) -> Option<Seen>) -> Kernels {
    // With another size of the guest there are other points.
    let mut groups: BTreeMap<(String, Option<&str>), BTreeMap<u64, Seen>> = BTreeMap::new();
    for case in record.cases.iter().filter(|case| case.key.suite == SUITE) {
        let key = &case.key;
        let name = format!("{} {} {}", key.arch, key.kernel_name(), key.variant_name());
        if let (Some(size), Some(seen)) = (standby(&case.command_line), of(case)) {
            groups
                .entry((name.trim_end().to_owned(), core(&case.command_line)))
                .or_default()
                .insert(size, seen);
        }
    }
    let mut kernels = Kernels::new();
    for ((name, _), sizes) in groups.into_iter().filter(|(_, sizes)| sizes.len() > 1) {
        let most = kernels.entry(name).or_default();
        if sizes.len() > most.len() {
            *most = sizes;
        }
    }
    kernels
}

/// Whether the guest's clock counted instructions.
fn counted(command_line: &str) -> bool {
    command_line.split_whitespace().any(|word| word == "-icount")
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

/// The plot of what was seen in a unit; nothing where there is nothing.
fn draw(kernels: &Kernels, unit: &str) -> Option<AgainstStandby> {
    let mut sizes: Vec<u64> = kernels.values().flat_map(|seen| seen.keys().copied()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.is_empty() {
        return None;
    }
    let values = kernels.values().flat_map(|seen| seen.values().flatten());
    let high = values.copied().fold(1.0, f64::max);
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
    let y = |seen: Seen| seen.map_or(TOP, |value| place(value.max(0.0), range, (BOTTOM, TOP)));
    let mut series = Vec::new();
    let mut rows = Vec::new();
    for (at, (name, seen)) in kernels.iter().enumerate() {
        let class = class(at);
        let dots: Vec<Dot> = sizes
            .iter()
            .filter_map(|size| {
                let value = *seen.get(size)?;
                let what = value.map_or("panic".to_owned(), |value| format!("{value:.1} {unit}"));
                Some(Dot {
                    x: coordinate(x(*size)),
                    y: coordinate(y(value)),
                    label: format!("{name}, {} standby: {what}", ByteSize::bytes(*size)),
                    panic: value.is_none(),
                })
            })
            .collect();
        series.push(Series {
            class: class.clone(),
            points: line(&dots),
            dots,
        });
        let cell = |size: &u64| match seen.get(size) {
            None => String::new(),
            Some(None) => "panic".to_owned(),
            Some(Some(value)) => format!("{value:.1}"),
        };
        rows.push(Row {
            name: name.clone(),
            class,
            cells: sizes.iter().map(cell).collect(),
        });
    }
    let text = |size: &u64| ByteSize::bytes(*size).to_string();
    Some(AgainstStandby {
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::news::tests as news;
    use base::fault::Verdict;
    use record::{LedgerPoint, Trace};

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

    /// A run of booted guests: size of standby memory in GiB, core, whether instructions were counted, and the free pages after boot or a
    /// panic.
    fn run(boots: &[(u64, &str, bool, Option<u64>)]) -> (RunRecord, Traces) {
        let mut record = news::record(Verdict::Pass);
        let blank = record.cases.remove(0);
        let mut traces = Traces::new();
        for (at, (gib, core, icount, free)) in boots.iter().enumerate() {
            let mut case = blank.clone();
            case.key.case = format!("C{at}");
            case.key.suite = SUITE.to_owned();
            let icount = if *icount { " -icount shift=0,sleep=off" } else { "" };
            case.command_line =
                format!("qemu -m {core}{icount} -object memory-backend-ram,id=standby,size={gib}G");
            case.ended = free.is_none().then_some(GuestEnd::Panicked);
            let ledgers = free.map(|free| LedgerPoint {
                step: None,
                mem_total: free,
                free,
                managed: free,
            });
            let trace = Trace {
                ledgers: ledgers.into_iter().collect(),
                initcalls: vec![
                    ("sclp_conf_init".to_owned(), 9_000),
                    ("sclp_detect_standby_memory".to_owned(), 1_500 * gib),
                ],
                ..Trace::default()
            };
            traces.insert(case.key.id(), trace);
            record.cases.push(case);
        }
        (record, traces)
    }

    #[test]
    fn what_is_taken_is_measured_from_the_least_size() {
        let (record, traces) = run(&[
            (1, "512M", false, Some(100_000)),
            (8, "512M", false, Some(66_400)),
            (32, "512M", false, None),
            // Neither a larger guest nor one that counts is a point of these.
            (8, "1G", false, Some(200_000)),
            (9, "512M", true, Some(1)),
        ]);
        let drawn = boot_memory(&record, &traces).unwrap();
        assert_eq!(drawn.rows.len(), 1);
        assert_eq!(drawn.sizes, ["1G", "8G", "32G"]);
        assert_eq!(drawn.rows[0].cells, ["0.0", "131.2", "panic"]);
        let dots = &drawn.plot.series[0].dots;
        assert_eq!(
            (&*dots[0].y, &*dots[2].y),
            ("190.0", "10.0"),
            "nothing taken is below, a panic above"
        );
        assert!(boot_time(&record, &traces).is_none(), "one size is no line");
    }

    #[test]
    fn time_is_that_of_the_initcalls_that_find_memory_where_instructions_are_counted() {
        let (record, traces) = run(&[
            (1, "1G", true, Some(9)),
            (32, "1G", true, Some(9)),
            (64, "1G", false, Some(9)),
        ]);
        let drawn = boot_time(&record, &traces).unwrap();
        assert_eq!(drawn.sizes, ["1G", "32G"]);
        assert_eq!(drawn.rows[0].cells, ["1.5", "48.0"]);
        assert!(
            drawn.plot.series[0].dots[1]
                .label
                .ends_with(", 32G standby: 48.0 ms")
        );
        assert!(boot_memory(&record, &traces).is_none());
    }
}
