// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case on one time line: its steps, what was said to QEMU and by it, and what the guest printed.

use std::collections::HashMap;

use serde_json::Value;

use super::plot::{place, round_ticks};
use crate::text::{cut, one_line};
use base::fault::Verdict;
use record::{CaseRecord, Trace};

/// Rows that a case has at the most; a reader who needs more has the files.
const MOST: usize = 240;

/// Lines of the console that are shown where no step was begun: what came before the end.
const LAST_LINES: usize = 60;

/// Longest text of a row, in bytes.
const LONGEST: usize = 400;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Seconds since the attempt began.
    at: f64,
    pub(super) time: String,
    pub(super) lane: Lane,
    pub(super) text: String,
    /// Verdict of a step.
    pub(super) verdict: Option<Verdict>,
    /// How long it took; steps and QMP commands.
    pub(super) took: String,
    length: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Step,
    Sysfs,
    Qmp,
    Event,
    Console,
}

impl Lane {
    const ALL: [Self; 5] = [Self::Step, Self::Sysfs, Self::Qmp, Self::Event, Self::Console];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Sysfs => "sysfs",
            Self::Qmp => "qmp",
            Self::Event => "event",
            Self::Console => "console",
        }
    }
}

/// Words of steps that write to files of the guest's kernel.
const WRITES: [&str; 8] = [
    "online",
    "offline",
    "write",
    "configure",
    "deconfigure",
    "storage",
    "auto_online",
    "veto",
];

/// The time line and its picture.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) rows: Vec<Row>,
    pub(super) left_out: usize,
    pub(super) lanes: Vec<LaneRow>,
    /// Seconds at the upper edge: where, and which.
    pub(super) ticks: Vec<(String, String)>,
    pub(super) end: String,
}

/// One lane of the picture, 1000 wide.
#[derive(Debug)]
pub(super) struct LaneRow {
    pub(super) word: &'static str,
    pub(super) y: u32,
    pub(super) text_y: u32,
    pub(super) bars: Vec<Bar>,
}

#[derive(Debug)]
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) class: &'static str,
    pub(super) label: String,
}

/// Puts together what a trace has; nothing where it has nothing.
pub(super) fn timeline(case: &CaseRecord, trace: &Trace) -> Option<Timeline> {
    let mut rows = steps(case, trace);
    let first = rows.first().map(|row| row.at);
    rows.extend(qmp(trace));
    rows.extend(console(trace, first));
    rows.sort_by(|a, b| a.at.total_cmp(&b.at));
    if rows.is_empty() {
        return None;
    }
    // Steps stay; of the others the ones before the first step go first, then those at the end.
    let before = rows.len();
    if rows.len() > MOST {
        let from = first.unwrap_or(f64::NEG_INFINITY) - 1.0;
        rows.retain(|row| row.verdict.is_some() || row.at >= from);
        let mut room = MOST.saturating_sub(rows.iter().filter(|row| row.verdict.is_some()).count());
        rows.retain(|row| {
            let keep = row.verdict.is_some() || room > 0;
            if row.verdict.is_none() {
                room = room.saturating_sub(1);
            }
            keep
        });
    }
    let left_out = before - rows.len();
    let ends = rows.iter().map(|row| row.at + row.length);
    let end = ends.fold(0.1, f64::max);
    Some(Timeline {
        lanes: lanes(&rows, end),
        ticks: ticks(end),
        rows,
        left_out,
        end: format!("{end:.1} s"),
    })
}

fn row(trace: &Trace, at: f64, lane: Lane, text: &str) -> Row {
    let at = (at - trace.begun).max(0.0);
    Row {
        at,
        time: format!("{at:.3}"),
        lane,
        text: cut(&one_line(text), LONGEST),
        verdict: None,
        took: String::new(),
        length: 0.0,
    }
}

fn steps(case: &CaseRecord, trace: &Trace) -> Vec<Row> {
    let record = |number| case.steps.iter().find(|step| step.number == number);
    trace
        .steps
        .iter()
        .map(|span| {
            let step = record(span.number);
            let text = step.map_or("", |step| &step.text);
            let word = text.split([':', ' ']).next().unwrap_or_default();
            let lane = if WRITES.contains(&word) {
                Lane::Sysfs
            } else {
                Lane::Step
            };
            let took = span.to.map(|to| to - span.from);
            Row {
                verdict: Some(step.map_or(Verdict::Error, |step| step.verdict)),
                took: took.map_or("did not end".to_owned(), |took| format!("{took:.3}")),
                length: took.unwrap_or(0.0),
                ..row(trace, span.from, lane, &format!("{} {text}", span.number))
            }
        })
        .collect()
}

/// Commands with their replies, and events.
fn qmp(trace: &Trace) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut asked: HashMap<String, usize> = HashMap::new();
    for line in &trace.qmp {
        let Ok(message) = serde_json::from_str::<Value>(&line.text) else {
            rows.push(row(trace, line.at, Lane::Qmp, &line.text));
            continue;
        };
        let text = |key: &str| {
            message.get(key).map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
        };
        let id = text("id").unwrap_or_default();
        if let Some(command) = text("execute") {
            let arguments = message
                .get("arguments")
                .filter(|arguments| arguments.as_object().is_none_or(|map| !map.is_empty()))
                .map_or_else(String::new, |arguments| format!(" {arguments}"));
            asked.insert(id, rows.len());
            rows.push(row(trace, line.at, Lane::Qmp, &format!("{command}{arguments}")));
        } else if let Some(event) = text("event") {
            let with = text("data").map_or_else(String::new, |data| format!(" {data}"));
            rows.push(row(trace, line.at, Lane::Event, &format!("{event}{with}")));
        } else if let Some(answer) = text("return").or_else(|| text("error"))
            && let Some(command) = asked.get(&id).and_then(|at| rows.get_mut(*at))
        {
            let length = (line.at - trace.begun - command.at).max(0.0);
            command.length = length;
            command.took = format!("{length:.3}");
            if answer != "{}" {
                command.text = cut(&one_line(&format!("{} → {answer}", command.text)), LONGEST);
            }
        }
    }
    rows
}

/// Lines of the console, by the guest's own clock.
///
/// It starts when QEMU lets the guest run. A guest that went on from a saved state has a clock of its own, and its lines
/// cannot be placed.
fn console(trace: &Trace, first_step: Option<f64>) -> Vec<Row> {
    let incoming = trace
        .qmp
        .iter()
        .any(|line| line.text.contains("migrate-incoming"));
    let started = trace
        .qmp
        .iter()
        .find(|line| line.way == "received" && line.text.contains("\"RESUME\""));
    let (Some(started), false) = (started, incoming) else {
        return Vec::new();
    };
    let mut rows: Vec<Row> = trace
        .console
        .iter()
        .filter(|line| !line.text.trim().is_empty())
        .map(|line| {
            row(
                trace,
                started.at + line.stamp.unwrap_or(0.0),
                Lane::Console,
                &line.text,
            )
        })
        .collect();
    match first_step {
        // The clocks agree to about a tenth of a second.
        Some(first) => rows.retain(|row| row.at >= first - 0.2),
        None => {
            let boot = rows.len().saturating_sub(LAST_LINES);
            rows.drain(..boot);
        }
    }
    rows
}

/// Where a moment is in the picture; `end` is the last one, both in seconds.
fn across(seconds: f64, end: f64) -> f64 {
    place(seconds, (0.0, end), (70.0, 996.0))
}

/// Moments at round distances, and what stands there.
fn ticks(end: f64) -> Vec<(String, String)> {
    let within = round_ticks(0.0, end)
        .into_iter()
        .filter(|at| (0.0..=end).contains(at));
    within
        .map(|at| (format!("{:.1}", across(at, end)), at.to_string()))
        .collect()
}

fn lanes(rows: &[Row], end: f64) -> Vec<LaneRow> {
    Lane::ALL
        .into_iter()
        .filter(|lane| rows.iter().any(|row| row.lane == *lane))
        .enumerate()
        .map(|(at, lane)| {
            let x = |seconds: f64| across(seconds, end);
            LaneRow {
                word: lane.word(),
                y: 4 + 20 * at as u32,
                text_y: 16 + 20 * at as u32,
                bars: rows
                    .iter()
                    .filter(|row| row.lane == lane)
                    .map(|row| Bar {
                        x: format!("{:.1}", x(row.at)),
                        width: format!("{:.1}", (x(row.at + row.length) - x(row.at)).max(2.0)),
                        class: row.verdict.map_or(lane.word(), Verdict::word),
                        label: cut(&format!("{} s {}", row.time, row.text), LONGEST),
                    })
                    .collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{ConsoleLine, QmpLine, StepSpan};

    fn said(at: f64, way: &str, text: &str) -> QmpLine {
        QmpLine {
            at,
            way: way.to_owned(),
            text: text.to_owned(),
        }
    }

    fn printed(stamp: f64, text: &str) -> ConsoleLine {
        ConsoleLine {
            stamp: Some(stamp),
            text: text.to_owned(),
        }
    }

    fn trace() -> Trace {
        Trace {
            begun: 100.0,
            steps: vec![
                StepSpan {
                    number: 1,
                    from: 108.0,
                    to: Some(108.5),
                },
                StepSpan {
                    number: 2,
                    from: 109.0,
                    to: None,
                },
            ],
            qmp: vec![
                said(101.0, "received", r#"{"event":"RESUME"}"#),
                said(
                    108.1,
                    "sent",
                    r#"{"execute":"qom-get","arguments":{"property":"p"},"id":1}"#,
                ),
                said(108.3, "received", r#"{"return":[17,19],"id":1}"#),
                said(
                    108.9,
                    "received",
                    r#"{"event":"ACPI_DEVICE_OST","data":{"status":0}}"#,
                ),
            ],
            console: vec![printed(1.0, "booting"), printed(7.2, "[7.2] late <b>")],
            ..Trace::default()
        }
    }

    fn case() -> CaseRecord {
        serde_json::from_value(serde_json::json!({
            "key": {"arch": "s390x", "kernel": "k", "config": "", "suite": "s", "variant": "", "case": "S08"},
            "name": "", "suite_file": "s.yaml", "line": 1, "verdict": "fail", "reason": "x", "seconds": 9.0, "ended": null,
            "steps": [{"number": 1, "line": 2, "text": "online: { block: b }", "verdict": "pass", "seconds": 0.5,
                "message": null, "ledger": null}]
        }))
        .unwrap()
    }

    #[test]
    fn everything_is_on_one_clock() {
        let line = timeline(&case(), &trace()).unwrap();
        let seen: Vec<String> = line
            .rows
            .iter()
            .map(|row| format!("{} {} {} {}", row.time, row.lane.word(), row.text, row.took))
            .collect();
        assert_eq!(
            seen,
            [
                "1.000 event RESUME ",
                "8.000 sysfs 1 online: { block: b } 0.500",
                "8.100 qmp qom-get {\"property\":\"p\"} → [17,19] 0.200",
                "8.200 console [7.2] late <b> ",
                "8.900 event ACPI_DEVICE_OST {\"status\":0} ",
                "9.000 step 2 did not end",
            ]
        );
        assert_eq!(line.lanes.len(), 5);
    }

    #[test]
    fn the_console_of_a_clone_is_not_placed() {
        let mut trace = trace();
        trace
            .qmp
            .push(said(100.5, "sent", r#"{"execute":"migrate-incoming","id":9}"#));
        let line = timeline(&case(), &trace).unwrap();
        assert!(line.rows.iter().all(|row| row.lane != Lane::Console));
    }

    #[test]
    fn a_guest_that_dies_while_it_boots_shows_its_last_lines() {
        let mut trace = trace();
        trace.steps.clear();
        trace.console = (0..200)
            .map(|n| printed(f64::from(n) / 100.0, &format!("line {n}")))
            .collect();
        let line = timeline(&case(), &trace).unwrap();
        let console = line.rows.iter().filter(|row| row.lane == Lane::Console);
        assert_eq!(console.count(), LAST_LINES);
        assert!(line.rows.iter().any(|row| row.text == "line 199"));
    }

    #[test]
    fn a_flood_leaves_the_steps() {
        let mut trace = trace();
        trace.console = (0..5000).map(|n| printed(7.2, &format!("line {n}"))).collect();
        let line = timeline(&case(), &trace).unwrap();
        assert_eq!(line.rows.len(), MOST);
        assert_eq!(line.rows.iter().filter(|row| row.verdict.is_some()).count(), 2);
        assert!(line.left_out > 4000);
    }
}
