// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was seen of one case on one kernel, moment by moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::names::{Leaf, finding, leaves};
use ::record::{CaseRecord, LedgerEntry, Observed, ObservedCase};
use base::fault::Verdict;
use memory::Ledger;

/// What kind of thing is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dimension {
    /// What a case or a step came to.
    Verdict,
    /// What writing a file returned.
    Errno,
    /// The notifications of the memory chain.
    Notifiers,
    /// The storage commands that QEMU saw.
    StorageCommands,
    /// A counter or state of the ledger.
    Ledger,
    /// A file of sysfs that the ledger does not have.
    Sysfs,
    /// A finding of the kernel's log.
    Log,
    /// The order of two locks.
    Locks,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Verdict => "verdict",
            Self::Errno => "errno",
            Self::Notifiers => "notifiers",
            Self::StorageCommands => "storage commands",
            Self::Ledger => "ledger",
            Self::Sysfs => "sysfs",
            Self::Log => "log",
            Self::Locks => "locks",
        })
    }
}

/// One thing that was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// The value; counts after a step are how they moved.
    pub(crate) text: String,
    /// By how much a count may differ without saying anything; 0 where it is exact.
    pub(crate) slack: u64,
}

/// Everything that was observed at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Moment {
    /// The step, from 1; `None` for the boot and for the end.
    pub(crate) step: Option<u32>,
    /// What the step does, or `boot`, or `end`.
    pub(crate) text: String,
    /// The observations by name.
    pub(crate) values: BTreeMap<(Dimension, String), Value>,
    /// What could not be observed at this moment.
    pub(crate) unseen: BTreeSet<Dimension>,
}

/// One case on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseSeen {
    pub(crate) verdict: Verdict,
    /// Why, where it is not `pass`.
    pub(crate) reason: Option<String>,
    /// MemTotal before the first step, in pages.
    pub(crate) boot_memory: Option<i64>,
    pub(crate) moments: Vec<Moment>,
}

/// How far apart the free pages of two guests with the same kernel are, in pages. Seen on 6.12 over five boots, as moves over a
/// step: 12 on x86_64, 52 on s390x.
const FREE_SLACK: u64 = 96;

/// By how much what is left of memory after boot may differ, in pages: kernels that do the same are not of the same size. It is
/// shown all the same.
const BOOT_SLACK: u64 = 512;

impl CaseSeen {
    /// Puts together what was seen of a case. `ledgers` are those of `ledgers.json`; without `observed` only they are there.
    pub fn of(case: &CaseRecord, ledgers: &[LedgerEntry], observed: Option<&ObservedCase>) -> Self {
        let mut moments = Vec::new();
        let mut last = ledgers.iter().find(|entry| entry.step.is_none());
        let boot_memory = last.map(|entry| entry.ledger.mem_total.0);
        let around = |step: Option<u32>| observed?.steps.iter().find(|seen| seen.step == step);
        let mut boot = Moment {
            text: "boot".to_owned(),
            ..Moment::default()
        };
        match last {
            Some(entry) => boot.counts(&entry.ledger, None),
            None => {
                boot.unseen.insert(Dimension::Ledger);
            }
        }
        boot.look(around(None));
        boot.log(case, None);
        moments.push(boot);
        for step in &case.steps {
            let mut moment = Moment {
                step: Some(step.number),
                text: step.text.clone(),
                ..Moment::default()
            };
            moment.put(Dimension::Verdict, "verdict", step.verdict.word());
            moment.log(case, Some(step.number));
            let around = around(Some(step.number));
            // A ledger that was not read again after the step is the one before it.
            let read = step.verdict == Verdict::Pass || !step.mismatches.is_empty();
            let entry = ledgers.iter().find(|entry| entry.step == Some(step.number));
            match (entry, last) {
                (Some(entry), Some(before)) if read && (around.is_some() || observed.is_none()) => {
                    moment.counts(&entry.ledger, Some(&before.ledger));
                    last = Some(entry);
                }
                _ => {
                    moment.unseen.insert(Dimension::Ledger);
                }
            }
            moment.look(around);
            moments.push(moment);
        }
        let mut end = Moment {
            text: "end".to_owned(),
            ..Moment::default()
        };
        match observed.and_then(|observed| observed.lock_edges.as_ref()) {
            Some(edges) => {
                for edge in edges {
                    end.put(Dimension::Locks, edge, "taken");
                }
            }
            None => {
                end.unseen.insert(Dimension::Locks);
            }
        }
        moments.push(end);
        Self {
            verdict: case.verdict,
            reason: case.reason.clone(),
            boot_memory,
            moments,
        }
    }
}

impl Moment {
    fn put(&mut self, dimension: Dimension, name: &str, text: &str) {
        self.put_count(dimension, name, text.to_owned(), 0);
    }

    fn put_count(&mut self, dimension: Dimension, name: &str, text: String, slack: u64) {
        self.values
            .insert((dimension, name.to_owned()), Value { text, slack });
    }

    /// The counters of a ledger: after a step how they moved, so that what differed at boot is told once.
    fn counts(&mut self, ledger: &Ledger, before: Option<&Ledger>) {
        let was: BTreeMap<String, Leaf> = before.into_iter().flat_map(leaves).collect();
        for (name, leaf) in leaves(ledger) {
            let amount = name == "mem_total" || name.ends_with(" managed");
            let slack = match name.as_str() {
                "free" if before.is_some() => FREE_SLACK,
                "free" | "nr_memmap_boot" => BOOT_SLACK,
                _ if amount && before.is_none() => BOOT_SLACK,
                _ => 0,
            };
            let text = match (&leaf, was.get(&name)) {
                (Leaf::Count(now), Some(Leaf::Count(before))) => format!("{:+}", now - before),
                (Leaf::Count(now), _) => now.to_string(),
                (Leaf::Word(word), _) => word.clone(),
            };
            self.put_count(Dimension::Ledger, &name, text, slack);
        }
    }

    /// What was seen beside the ledger.
    fn look(&mut self, around: Option<&Observed>) {
        let Some(around) = around else {
            let all = [
                Dimension::Errno,
                Dimension::Notifiers,
                Dimension::StorageCommands,
                Dimension::Sysfs,
            ];
            self.unseen.extend(all);
            return;
        };
        for result in &around.results {
            let (what, result) = result.rsplit_once(": ").unwrap_or((result, ""));
            // The same file can be written twice with the same value.
            let same = |n: usize| match n {
                1 => what.to_owned(),
                n => format!("{what} ({n})"),
            };
            let name = (1..)
                .map(same)
                .find(|name| !self.values.contains_key(&(Dimension::Errno, name.clone())));
            if let Some(name) = name {
                self.put(Dimension::Errno, &name, result);
            }
        }
        let mut list = |dimension, name: &str, words: &Option<Vec<String>>| match words {
            Some(words) if words.is_empty() => self.put(dimension, name, "none"),
            Some(words) => self.put(dimension, name, &words.join(", ")),
            None => {
                self.unseen.insert(dimension);
            }
        };
        list(Dimension::Notifiers, "notifications", &around.notifications);
        list(
            Dimension::StorageCommands,
            "storage commands",
            &around.storage_commands,
        );
        for (path, content) in &around.sysfs {
            let text = match content {
                None => "gone",
                Some(content) if content.is_empty() => "there",
                Some(content) => content,
            };
            self.put(Dimension::Sysfs, path, text);
        }
    }

    /// What the kernel's log showed in a step.
    fn log(&mut self, case: &CaseRecord, step: Option<u32>) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for found in case.findings.iter().filter(|found| found.since_step == step) {
            let name = finding(&found.kind, found.place.as_deref(), &found.title);
            *counts.entry(name).or_default() += found.times as usize;
        }
        for (name, count) in counts {
            self.put(Dimension::Log, &name, &format!("{count} times"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{CaseRounds, Difference, KernelSide, Kind, pair::Pair, summed};
    use ::record::{CaseKey, CaseName, FindingRecord, Seconds, StepRecord};
    use base::{Arch, Pages};
    use memory::BlockState;

    /// What one attempt at a case left: two steps, of which the second only looks.
    #[derive(Clone)]
    struct Attempt {
        case: CaseRecord,
        ledgers: Vec<LedgerEntry>,
        observed: ObservedCase,
    }

    fn ledger(present: i64, state: &str) -> Ledger {
        serde_json::from_value(json!({
            "mem_total": 1000, "free": 500, "nr_memmap": null, "nr_memmap_boot": null,
            "zones": { "node 0 zone Movable": { "start_pfn": 0, "spanned": present, "present": present, "managed": present } },
            "blocks": { "4": { "state": state, "online": state == "online", "valid_zones": ["movable"], "removable": true,
                "phys_index": 4, "phys_device": 0, "node": 0 } },
            "storage": {}, "ram": [{ "start": 0, "last": 4095, "name": "System RAM" }], "auto_online": "offline", "isolated": 0,
            "tainted": 0, "hypervisor": { "standby": { "assigned": [], "unassigned_core": [] } },
        }))
        .unwrap()
    }

    fn attempt() -> Attempt {
        let step = |number, text: &str| StepRecord {
            number,
            line: 1,
            text: text.to_owned(),
            verdict: Verdict::Pass,
            seconds: Seconds::default(),
            message: None,
            mismatches: Vec::new(),
            ledger: Some(number),
            subcases: Vec::new(),
            said: Vec::new(),
        };
        let entry = |step, ledger| LedgerEntry {
            step,
            at: 0.0,
            ledger,
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        Attempt {
            case: CaseRecord {
                key: CaseKey {
                    arch: Arch::S390x,
                    label: "k".to_owned(),
                    release: None,
                    config: String::new(),
                    side: None,
                    suite: "s".to_owned(),
                    variant: String::new(),
                    case: "c".to_owned(),
                    round: None,
                },
                name: String::new(),
                suite_file: String::new(),
                line: 1,
                verdict: Verdict::Pass,
                reason: None,
                known: None,
                attempts: Vec::new(),
                seconds: Seconds::default(),
                steps: vec![step(1, "online"), step(2, "read")],
                findings: Vec::new(),
                command_line: String::new(),
                ended: None,
                facts: json!(null),
                around: None,
                log_excerpt: String::new(),
            },
            ledgers: vec![
                entry(None, ledger(0, "offline")),
                entry(Some(1), ledger(512, "online")),
                entry(Some(2), ledger(512, "online")),
            ],
            observed: ObservedCase {
                steps: vec![
                    Observed {
                        notifications: Some(Vec::new()),
                        storage_commands: Some(Vec::new()),
                        sysfs: BTreeMap::from([("memory4/state".to_owned(), Some(String::new()))]),
                        ..Observed::default()
                    },
                    Observed {
                        step: Some(1),
                        results: words(&["memory4/state <- online: ok"]),
                        notifications: Some(words(&["MEM_GOING_ONLINE", "MEM_ONLINE"])),
                        storage_commands: Some(words(&["Assign 5: 0x0020"])),
                        sysfs: BTreeMap::new(),
                    },
                ],
                lock_edges: Some(["a -> b".to_owned()].into()),
            },
        }
    }

    fn seen(attempt: &Attempt) -> CaseSeen {
        CaseSeen::of(&attempt.case, &attempt.ledgers, Some(&attempt.observed))
    }

    fn differences(fault: impl Fn(&mut Attempt)) -> Vec<Difference> {
        let mut faulty = attempt();
        fault(&mut faulty);
        match Pair::of(&seen(&attempt()), &seen(&faulty)) {
            Pair::Compared { differences, .. } => differences,
            Pair::Not(silence) => panic!("{silence:?}"),
        }
    }

    /// A fault, the kind of thing that it is, its name, and both values.
    type Seeded = (
        fn(&mut Attempt),
        Dimension,
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
    );

    #[test]
    fn each_kind_of_fault_is_seen_once_and_named() {
        use Dimension::{Errno, Ledger, Locks, Log, Notifiers, StorageCommands, Sysfs};
        fn step(attempt: &mut Attempt) -> &mut Observed {
            &mut attempt.observed.steps[1]
        }
        let seeded: [Seeded; 10] = [
            (
                |a| {
                    for entry in &mut a.ledgers[1..] {
                        for zone in entry.ledger.zones.values_mut() {
                            zone.managed = Pages(511);
                        }
                    }
                },
                Ledger,
                "node 0 zone Movable managed",
                Some("+512"),
                Some("+511"),
            ),
            (
                |a| {
                    for entry in &mut a.ledgers[1..] {
                        for block in entry.ledger.blocks.values_mut() {
                            block.state = BlockState::Offline;
                        }
                    }
                },
                Ledger,
                "memory4 state",
                Some("online"),
                Some("offline"),
            ),
            (
                |a| {
                    for entry in &mut a.ledgers {
                        entry.ledger.ram.clear();
                    }
                },
                Ledger,
                "iomem 0-fff System RAM",
                Some("there"),
                None,
            ),
            (
                |a| step(a).results = vec!["memory4/state <- online: EBUSY".to_owned()],
                Errno,
                "memory4/state <- online",
                Some("ok"),
                Some("EBUSY"),
            ),
            (
                |a| step(a).notifications = Some(vec!["MEM_ONLINE".to_owned()]),
                Notifiers,
                "notifications",
                Some("MEM_GOING_ONLINE, MEM_ONLINE"),
                Some("MEM_ONLINE"),
            ),
            (
                |a| step(a).storage_commands = Some(Vec::new()),
                StorageCommands,
                "storage commands",
                Some("Assign 5: 0x0020"),
                Some("none"),
            ),
            (
                |a| {
                    step(a)
                        .sysfs
                        .insert("memory4/new".to_owned(), Some("1".to_owned()));
                },
                Sysfs,
                "memory4/new",
                None,
                Some("1"),
            ),
            (
                |a| {
                    a.observed.steps[0].sysfs.clear();
                },
                Sysfs,
                "memory4/state",
                Some("there"),
                None,
            ),
            (
                |a| {
                    a.case.findings.push(FindingRecord {
                        kind: "warning".to_owned(),
                        title: "WARNING: at mm/a.c:7 f".to_owned(),
                        place: Some("f".to_owned()),
                        lines: Vec::new(),
                        since_step: Some(1),
                        times: 1,
                    });
                },
                Log,
                "warning in f",
                None,
                Some("1 times"),
            ),
            (
                |a| a.observed.lock_edges = Some(["a -> b".to_owned(), "b -> a".to_owned()].into()),
                Locks,
                "b -> a",
                None,
                Some("taken"),
            ),
        ];
        for (fault, dimension, name, base, new) in seeded {
            let all: Vec<_> = differences(fault)
                .into_iter()
                .filter(|difference| difference.step != Some(2))
                .map(|found| (found.dimension, found.name, found.base, found.new))
                .collect();
            let text = |text: Option<&str>| text.map(str::to_owned);
            // A range that is not there is missing after each step.
            assert!(!all.is_empty());
            for found in all {
                assert_eq!(found, (dimension, name.to_owned(), text(base), text(new)));
            }
        }
    }

    #[test]
    fn what_is_left_of_memory_after_boot_and_the_free_pages_have_slack() {
        let free = |by: i64| {
            differences(|a| a.ledgers[1].ledger.free = Pages(500 + by))
                .into_iter()
                .map(|found| found.name)
                .collect::<Vec<_>>()
        };
        assert!(free(FREE_SLACK as i64).is_empty());
        assert_eq!(free(FREE_SLACK as i64 + 1), ["free"]);
        let total = |by: i64| {
            differences(|a| {
                for entry in &mut a.ledgers {
                    entry.ledger.mem_total = Pages(1000 + by);
                }
            })
        };
        assert!(total(BOOT_SLACK as i64).is_empty());
        let found = total(BOOT_SLACK as i64 + 1);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].moment, found[0].name.as_str()), (0, "mem_total"));
    }

    #[test]
    fn a_finding_is_for_the_worse_and_is_told_with_its_case() {
        let mut faulty = attempt();
        faulty.case.findings.push(FindingRecord {
            kind: "warning".to_owned(),
            title: "t".to_owned(),
            place: None,
            lines: Vec::new(),
            since_step: Some(1),
            times: 1,
        });
        let round = (seen(&attempt()), seen(&faulty));
        let case = CaseRounds {
            name: CaseName {
                suite: "s".to_owned(),
                case: "c".to_owned(),
                variant: String::new(),
            },
            rounds: vec![round.clone(), round],
            millis: (0, 0),
        };
        let side = KernelSide {
            release: "6".to_owned(),
            sha256: String::new(),
        };
        let sum = summed(side.clone(), side, &[case], 2);
        assert_eq!((sum.rows.len(), sum.count(Kind::Regression)), (1, 1));
        assert_eq!(sum.rows[0].first.step, Some(1));
    }

    #[test]
    fn a_ledger_that_was_not_read_again_is_not_compared() {
        let mut died = attempt();
        died.case.verdict = Verdict::Fail;
        died.case.steps.truncate(1);
        died.case.steps[0].verdict = Verdict::Fail;
        died.observed.steps.truncate(1);
        died.observed.lock_edges = None;
        let Pair::Compared { differences, .. } = Pair::of(&seen(&attempt()), &seen(&died)) else {
            panic!("not compared")
        };
        let names: Vec<_> = differences.iter().map(|found| found.dimension).collect();
        assert_eq!(names, [Dimension::Verdict, Dimension::Verdict]);
    }
}
