// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines over steps, as coordinates for SVG.

use record::LedgerPoint;

/// Pages of 4 KiB in one MiB; both architectures have such pages.
pub(super) const PAGES_PER_MIB: f64 = 256.0;

/// A line.
#[derive(Debug)]
pub(super) struct Series {
    /// Class that gives it its colour.
    pub(super) class: String,
    /// `x,y x,y …`.
    pub(super) points: String,
    /// Each point, for those who read with the pointer.
    pub(super) dots: Vec<Dot>,
}

/// One value.
#[derive(Debug)]
pub(super) struct Dot {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) label: String,
    /// It stands for a guest that died, and not for a number.
    pub(super) panic: bool,
}

/// A line across the plot or a mark below it, with its number.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) at: String,
    pub(super) label: String,
}

/// A plot of 640 by 220.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) series: Vec<Series>,
    pub(super) across: Vec<Tick>,
    pub(super) below: Vec<Tick>,
}

pub(super) const LEFT: f64 = 64.0;
pub(super) const RIGHT: f64 = 628.0;
pub(super) const TOP: f64 = 10.0;
pub(super) const BOTTOM: f64 = 190.0;

/// Lines that have a colour of their own, in `templates/report.css`; behind them the colours begin anew.
const COLOURS: usize = 8;

/// The class that gives the line of this number its colour.
pub(super) fn class(at: usize) -> String {
    format!("k-{}", at % COLOURS)
}

pub(super) fn coordinate(value: f64) -> String {
    format!("{value:.1}")
}

/// Places a value between two ends; the middle where the range is empty.
pub(super) fn place(value: f64, (low, high): (f64, f64), (from, to): (f64, f64)) -> f64 {
    if high > low {
        from + (value - low) / (high - low) * (to - from)
    } else {
        (from + to) / 2.0
    }
}

/// Round numbers from about the least to about the greatest value, four or five of them.
pub(super) fn round_ticks(low: f64, high: f64) -> Vec<f64> {
    let span = (high - low).max(1.0);
    let rough = span / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let first = (low / step).floor();
    let last = (high / step).ceil();
    (0..=(last - first) as u32)
        .map(|n| (first + f64::from(n)) * step)
        .collect()
}

/// Free, MemTotal and managed memory over the steps; nothing where there are fewer than two ledgers.
pub(super) fn memory(points: &[LedgerPoint]) -> Option<Plot> {
    if points.len() < 2 {
        return None;
    }
    let mib = |pages: u64| pages as f64 / PAGES_PER_MIB;
    type Counter = fn(&LedgerPoint) -> u64;
    let counters: [(&str, Counter); 3] = [
        ("managed", |point| point.managed),
        ("MemTotal", |point| point.mem_total),
        ("free", |point| point.free),
    ];
    let values = || {
        points
            .iter()
            .flat_map(|point| counters.iter().map(move |(_, of)| mib(of(point))))
    };
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(0.0, f64::max);
    let ticks = round_ticks(low, high);
    let range = (*ticks.first()?, *ticks.last()?);
    let x = |at: usize| place(at as f64, (0.0, (points.len() - 1) as f64), (LEFT, RIGHT));
    let y = |value: f64| place(value, range, (BOTTOM, TOP));
    let step = |point: &LedgerPoint| point.step.map_or("boot".to_owned(), |step| step.to_string());
    let series = counters.iter().map(|(name, of)| {
        let dots: Vec<Dot> = points
            .iter()
            .enumerate()
            .map(|(at, point)| Dot {
                x: coordinate(x(at)),
                y: coordinate(y(mib(of(point)))),
                label: format!(
                    "{name} after {}: {} pages, {:.1} MiB",
                    step(point),
                    of(point),
                    mib(of(point))
                ),
                panic: false,
            })
            .collect();
        Series {
            class: format!("s-{}", name.to_lowercase()),
            points: line(&dots),
            dots,
        }
    });
    // More numbers than these would run into each other.
    let every = points.len().div_ceil(16);
    Some(Plot {
        series: series.collect(),
        across: ticks
            .iter()
            .map(|tick| Tick {
                at: coordinate(y(*tick)),
                label: format!("{tick}"),
            })
            .collect(),
        below: points
            .iter()
            .enumerate()
            .step_by(every)
            .map(|(at, point)| Tick {
                at: coordinate(x(at)),
                label: step(point),
            })
            .collect(),
    })
}

pub(super) fn line(dots: &[Dot]) -> String {
    let numbers = dots.iter().filter(|dot| !dot.panic);
    let points: Vec<String> = numbers.map(|dot| format!("{},{}", dot.x, dot.y)).collect();
    points.join(" ")
}

/// Free memory over the steps as one small line of 96 by 18; empty where there is nothing to draw.
pub(super) fn spark(points: &[LedgerPoint]) -> String {
    if points.len() < 2 {
        return String::new();
    }
    let free = || points.iter().map(|point| point.free as f64);
    // A few pages come and go by themselves, and are no slope.
    let low = free().fold(f64::INFINITY, f64::min);
    let range = (low, free().fold(low + PAGES_PER_MIB, f64::max));
    let width = (points.len() - 1) as f64;
    let dots: Vec<String> = free()
        .enumerate()
        .map(|(at, value)| {
            let x = place(at as f64, (0.0, width), (1.0, 95.0));
            format!("{x:.0},{:.0}", place(value, range, (16.0, 2.0)))
        })
        .collect();
    dots.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(step: Option<u32>, free: u64) -> LedgerPoint {
        LedgerPoint {
            step,
            mem_total: 2560,
            free,
            managed: 2560,
        }
    }

    #[test]
    fn a_plot_has_a_point_for_each_ledger() {
        let points = [point(None, 256), point(Some(1), 512), point(Some(2), 256)];
        let plot = memory(&points).unwrap();
        let free = &plot.series[2];
        assert_eq!(free.dots.len(), 3);
        assert_eq!(free.dots[0].label, "free after boot: 256 pages, 1.0 MiB");
        assert_eq!(free.points, "64.0,172.0 346.0,154.0 628.0,172.0");
        assert!(memory(&points[..1]).is_none());
        assert_eq!(spark(&points), "1,16 48,2 95,16");
        let noise = [point(None, 256), point(Some(1), 253)];
        assert_eq!(spark(&noise), "1,16 95,16", "three pages");
    }

    proptest! {
        #[test]
        fn every_point_is_inside(free in proptest::collection::vec(any::<u32>(), 2..40)) {
            let points: Vec<_> = free.iter().enumerate().map(|(n, free)| point(Some(n as u32), u64::from(*free))).collect();
            let plot = memory(&points).unwrap();
            for dot in plot.series.iter().flat_map(|series| &series.dots) {
                let (x, y): (f64, f64) = (dot.x.parse().unwrap(), dot.y.parse().unwrap());
                prop_assert!((LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y), "{dot:?}");
            }
            prop_assert!((2..=7).contains(&plot.across.len()), "{:?}", plot.across);
        }
    }
}
