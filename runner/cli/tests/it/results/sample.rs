// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small run with a case of every verdict. Its numbers are made up.

use std::{collections::BTreeMap, fs};

use base::{Arch, ByteSize, fault::Verdict};
use camino::Utf8Path;
use record::*;
use serde_json::json;

pub(crate) fn sha(of: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(of)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn facts() -> RunFacts {
    let started = "2026-09-14T10:15:30.25Z".parse().unwrap();
    let kernel = |arch: Arch, label: &str, release: &str, version: &str| KernelFacts {
        label: label.to_owned(),
        source: None,
        release: release.to_owned(),
        arch,
        packages: vec![PackageFacts {
            name: format!("linux-image-{release}"),
            version: version.to_owned(),
            sha256: sha(&format!("{release} package")),
        }],
        image_sha256: sha(release),
        config: BTreeMap::from([
            ("CONFIG_MEMORY_HOTPLUG".to_owned(), "y".to_owned()),
            ("CONFIG_MHP_MEMMAP_ON_MEMORY".to_owned(), "y".to_owned()),
        ]),
    };
    let qemu = |arch: Arch, version: &str| QemuFacts {
        arch,
        binary: arch.qemu_binary().to_owned(),
        version: version.to_owned(),
        sha256: sha(arch.qemu_binary()),
        accel: "tcg".to_owned(),
    };
    RunFacts {
        format: FORMAT,
        id: RunId::new(started, 0x3f_9a1c),
        started,
        memrig: "0.1.0".to_owned(),
        argv: ["memrig", "run", "suites/blocks.yaml", "suites/standby.yaml"]
            .map(str::to_owned)
            .to_vec(),
        host: HostFacts {
            uname: "Linux 6.1.0-44-amd64 x86_64".to_owned(),
            cpus: 2,
            memory: ByteSize::gib(8),
        },
        kernels: vec![
            kernel(
                Arch::X86_64,
                "debian:trixie",
                "6.12.107+deb13-amd64",
                "6.12.107-1",
            ),
            kernel(Arch::S390x, "debian:trixie", "6.12.107+deb13-s390x", "6.12.107-1"),
        ],
        qemus: vec![qemu(Arch::X86_64, "7.2.22"), qemu(Arch::S390x, "10.0.13-memrig")],
        images: vec![ImageFacts {
            arch: Arch::S390x,
            kernel: "debian:trixie".to_owned(),
            sha256: sha("image"),
        }],
        suites: vec![SuiteFacts {
            file: "suites/blocks.yaml".to_owned(),
            sha256: sha("blocks"),
        }],
        part: None,
    }
}

fn key(arch: Arch, suite: &str, variant: &str, case: &str) -> CaseKey {
    let kernel = facts()
        .kernels
        .into_iter()
        .find(|kernel| kernel.arch == arch)
        .unwrap();
    CaseKey {
        arch,
        label: kernel.label,
        release: Some(kernel.release),
        config: String::new(),
        side: None,
        suite: suite.to_owned(),
        variant: variant.to_owned(),
        case: case.to_owned(),
        round: None,
    }
}

pub(crate) fn step(number: u32, line: u32, text: &str) -> StepRecord {
    StepRecord {
        number,
        line,
        text: text.to_owned(),
        verdict: Verdict::Pass,
        seconds: Seconds::from_millis(140),
        message: None,
        mismatches: Vec::new(),
        subcases: Vec::new(),
        said: Vec::new(),
        ledger: Some(number),
    }
}

/// A case that passed in one attempt, and has no steps.
pub(crate) fn passed(key: CaseKey, name: &str, line: u32) -> CaseRecord {
    let seconds = Seconds::from_millis(2_345);
    CaseRecord {
        name: name.to_owned(),
        suite_file: format!("suites/{}.yaml", key.suite),
        line,
        verdict: Verdict::Pass,
        reason: None,
        known: None,
        attempts: vec![Attempt {
            verdict: Verdict::Pass,
            reason: None,
            seconds,
        }],
        seconds,
        steps: Vec::new(),
        findings: Vec::new(),
        command_line: format!("{} -accel tcg -m 1G -nodefaults", key.arch.qemu_binary()),
        ended: Some(GuestEnd::Stopped),
        facts: json!({ "block_size": "128M" }),
        around: None,
        log_excerpt: String::new(),
        key,
    }
}

/// The verdict, and the reason in the record and in its last attempt.
pub(crate) fn judged(mut case: CaseRecord, verdict: Verdict, reason: &str) -> CaseRecord {
    case.verdict = verdict;
    case.reason = Some(reason.to_owned());
    if let Some(last) = case.attempts.last_mut() {
        last.verdict = verdict;
        last.reason = Some(reason.to_owned());
    }
    case
}

pub(crate) fn cases() -> Vec<CaseRecord> {
    let blocks = |variant, case| key(Arch::X86_64, "blocks", variant, case);
    let standby = |case| key(Arch::S390x, "standby", "", case);
    let on = "memmap_on_memory=on";

    let mut online = passed(blocks("memmap_on_memory=off", "B01"), "online and offline", 9);
    online.steps = vec![
        step(1, 12, "add b"),
        step(2, 13, "online b zone movable"),
        step(3, 14, "offline b"),
        step(4, 15, "remove b"),
    ];

    let mut fail = passed(blocks(on, "B01"), "online and offline", 9);
    fail.steps = vec![step(1, 12, "add b"), step(2, 13, "online b zone movable"), {
        let mut offline = step(3, 14, "offline b");
        offline.verdict = Verdict::Fail;
        let mismatch = |counter: &str, before: &str, predicted: &str, seen: &str, tolerance, unit: &str| {
            let value = |text: &str| Some(text.to_owned()).filter(|text| text != "absent");
            MismatchRecord {
                counter: counter.to_owned(),
                before: value(before),
                predicted: value(predicted),
                seen: value(seen),
                tolerance,
                unit: unit.to_owned(),
            }
        };
        offline.mismatches = vec![
            mismatch("MemTotal", "1031484", "998716", "999228", 0, "pages"),
            mismatch(
                "free (nr_free_pages + pcp count)",
                "871200",
                "838430",
                "838950",
                32,
                "pages",
            ),
            mismatch(
                "memory33 valid_zones",
                "Movable",
                "Normal Movable",
                "Movable",
                0,
                "",
            ),
            mismatch(
                "node 0 zone Movable managed",
                "32256",
                "absent",
                "512",
                0,
                "pages",
            ),
        ];
        offline
    }];
    fail.findings = vec![FindingRecord {
        kind: "warning".to_owned(),
        title: "WARNING: CPU: 0 PID: 211 at mm/memory_hotplug.c:1981 offline_pages+0x5c4/0x5d0".to_owned(),
        place: Some("offline_pages+0x5c4".to_owned()),
        lines: vec![
            "[   12.304411] WARNING: CPU: 0 PID: 211 at mm/memory_hotplug.c:1981 offline_pages+0x5c4/0x5d0"
                .to_owned(),
            "[   12.304500] RIP: 0010:offline_pages+0x5c4/0x5d0 \u{1b}[0m ]]>".to_owned(),
        ],
        since_step: Some(3),
        times: 1,
    }];
    fail.log_excerpt = "[   12.304411] WARNING: CPU: 0 PID: 211 at mm/memory_hotplug.c:1981\n".to_owned();
    let fail = judged(fail, Verdict::Fail, "4 counters are not as predicted");

    let mut error = passed(blocks(on, "B02"), "the machine takes no more", 20);
    error.attempts.insert(
        0,
        Attempt {
            verdict: Verdict::Error,
            reason: Some("QEMU ended by itself: signal 9".to_owned()),
            seconds: Seconds::from_millis(900),
        },
    );
    error.ended = Some(GuestEnd::QemuExited("signal 9".to_owned()));
    let error = judged(error, Verdict::Error, "QEMU ended by itself: signal 9");

    let mut known = passed(standby("S08"), "a refused increment leaves nothing assigned", 41);
    known.known = Some("assigned increments are not given back when a later one fails".to_owned());
    known.steps = vec![{
        let mut step = step(1, 44, "online b fails EIO");
        step.verdict = Verdict::Known;
        step.message = Some("standby increments assigned must be 1-4, is 1-5".to_owned());
        step
    }];
    let known = judged(
        known,
        Verdict::Known,
        "standby increments assigned must be 1-4, is 1-5",
    );

    let mut skip = passed(standby("S11"), "configure a block", 60);
    skip.attempts = Vec::new();
    skip.seconds = Seconds::default();
    skip.command_line = String::new();
    skip.ended = None;
    let skip = judged(
        skip,
        Verdict::Skip,
        "needs generation G2; the guest has no /sys/firmware/memory",
    );

    vec![online, fail, error, known, skip]
}

/// Writes the run into `folder`, through the journal, as a run does.
pub(crate) fn write(folder: &Utf8Path) {
    let facts = facts();
    let cases = cases();
    let keys: Vec<CaseKey> = cases.iter().map(|case| case.key.clone()).collect();
    check_unique(&keys).unwrap();
    let run = RunFolder::of(folder, &facts);
    run.write_facts(&facts).unwrap();
    let journal = Journal::create(folder).unwrap();
    let append = |event: Event| journal.append(&event).unwrap();
    append(Event::RunStarted {
        facts: Box::new(facts),
        planned: keys,
    });
    append(Event::Note {
        text: "a sample: it was made by a test and its numbers were not measured".to_owned(),
    });
    for case in cases {
        if case.attempts.is_empty() {
            append(Event::CaseFinished {
                record: Box::new(case),
            });
            continue;
        }
        let id = case.key.id();
        let mut folder = None;
        for attempt in 1..=case.attempts.len() as u32 {
            let files = run.case(&case.key, attempt).unwrap();
            folder = Some(files.clone());
            fs::write(
                files.console_log(),
                format!("memrig: ready\r\n{}", case.log_excerpt),
            )
            .unwrap();
            append(samples::begun(&case, attempt));
        }
        if case.key.variant == "memmap_on_memory=off" {
            // Of these only a few counters are left, as after a damage: they are passed over.
            let ledger = |step: Option<u32>, at| json!({ "step": step, "at": at, "ledger": { "mem_total": 1_031_484 } });
            let ledgers = json!({ "format": FORMAT, "ledgers": [ledger(None, 4.5), ledger(Some(1), 5.25)] });
            fs_err::write(folder.unwrap().ledgers_json(), ledgers.to_string()).unwrap();
        }
        for step in &case.steps {
            append(Event::StepStarted {
                case: id.clone(),
                number: step.number,
                text: step.text.clone(),
            });
            append(Event::StepFinished {
                case: id.clone(),
                step: step.clone(),
            });
        }
        append(Event::CaseFinished {
            record: Box::new(case),
        });
    }
    append(Event::RunFinished { exit: 1 });
}
