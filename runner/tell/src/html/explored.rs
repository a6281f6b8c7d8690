// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much code an exploration reached over time, as lines.

use super::plot::{
    BOTTOM, Dot, LEFT, Plot, RIGHT, Series, TOP, Tick, class, coordinate, line, place, round_ticks,
};
use crate::explore::explore_kernel_lines;
use record::{ExploreRecord, ExploredKernel};

/// An exploration.
#[derive(Debug)]
pub(super) struct Explored {
    /// What came of each kernel: a class for its colour, which it is, and lines of text.
    pub(super) kernels: Vec<(String, String, Vec<String>)>,
    /// Functions of memory hotplug reached, over seconds; none where that is not known.
    pub(super) plot: Option<Plot>,
}

pub(super) fn explored(record: &ExploreRecord) -> Explored {
    let kernel = |(at, kernel): (usize, &ExploredKernel)| {
        let (head, lines) = explore_kernel_lines(kernel);
        (class(at), head, lines)
    };
    Explored {
        kernels: record.kernels.iter().enumerate().map(kernel).collect(),
        plot: plot(&record.kernels),
    }
}

/// Seconds, and the functions that were reached by then; the last one when the exploration ended.
fn points(kernel: &ExploredKernel) -> Vec<(f64, u64)> {
    let Some(reached) = &kernel.reached else {
        return Vec::new();
    };
    let first = (0.0, reached.before.1.functions);
    let grew = reached
        .grew
        .iter()
        .map(|grew| (grew.after.duration().as_secs_f64(), grew.reached.functions));
    let mut points: Vec<(f64, u64)> = std::iter::once(first).chain(grew).collect();
    let last = points.last().map_or(0, |(_, functions)| *functions);
    points.push((kernel.seconds.duration().as_secs_f64(), last));
    points
}

fn plot(kernels: &[ExploredKernel]) -> Option<Plot> {
    let lines: Vec<(usize, Vec<(f64, u64)>)> = kernels.iter().map(points).enumerate().collect();
    let all = || lines.iter().flat_map(|(_, points)| points);
    let most = all()
        .map(|(_, functions)| *functions)
        .max()
        .filter(|most| *most > 0)?;
    let long = all().map(|(seconds, _)| *seconds).fold(0.0, f64::max);
    let (across, below) = (round_ticks(0.0, most as f64), round_ticks(0.0, long));
    let (high, end) = (*across.last()?, *below.last()?);
    let x = |seconds: f64| coordinate(place(seconds, (0.0, end), (LEFT, RIGHT)));
    let y = |functions: f64| coordinate(place(functions, (0.0, high), (BOTTOM, TOP)));
    let series = lines.iter().map(|(at, points)| {
        let dot = |(seconds, functions): &(f64, u64)| Dot {
            x: x(*seconds),
            y: y(*functions as f64),
            label: format!(
                "{}: {functions} functions after {seconds:.0} s",
                kernels[*at].arch
            ),
            panic: false,
        };
        let dots: Vec<Dot> = points.iter().map(dot).collect();
        Series {
            class: class(*at),
            points: line(&dots),
            dots,
        }
    });
    let tick = |at: String, value: &f64| Tick {
        at,
        label: value.to_string(),
    };
    Some(Plot {
        series: series.collect(),
        across: across.iter().map(|value| tick(y(*value), value)).collect(),
        below: below.iter().map(|value| tick(x(*value), value)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;
    use record::{CodeCounts, GrewRecord, ReachedRecord, Seconds};

    #[test]
    fn a_line_grows_with_the_code_and_ends_with_the_exploration() {
        let counts = |functions| CodeCounts {
            functions,
            ..CodeCounts::default()
        };
        let mut kernel = ExploredKernel::new(1, Arch::X86_64, "debian:trixie", "6.12");
        kernel.seconds = Seconds::from_millis(100_000);
        let mut record = ExploreRecord {
            kernels: vec![kernel],
        };
        assert!(explored(&record).plot.is_none(), "which code ran is not known");
        record.kernels[0].reached = Some(ReachedRecord {
            before: (2, counts(10)),
            grew: vec![GrewRecord {
                number: 3,
                after: Seconds::from_millis(50_000),
                of: Vec::new(),
                functions: Vec::new(),
                reached: counts(20),
            }],
            ..ReachedRecord::default()
        });
        let plot = explored(&record).plot.unwrap();
        assert_eq!(plot.series[0].points, "64.0,100.0 346.0,10.0 628.0,10.0");
        assert_eq!(plot.series[0].dots[1].label, "x86_64: 20 functions after 50 s");
    }
}
