// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who reads what, and inputs that are right.

use std::{ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use camino::Utf8Path;
use format::{
    build_id::BuildId,
    cover::Pieces,
    deb,
    elf::Elf,
    kallsyms::{Functions, LoadedModule, ModuleFunctions},
    kconfig::Kconfig,
    klog, ktap,
    line::{Answer, Question},
    lines::LineTable,
    mail::{Changed, Choice, Mails},
    qmp::{Client, Direction, QmpError, Transcript},
    rpm, samples, slurm,
};
use memory::{Hypervisor, Ledger, MemoryFacts};
use record::{
    CaseKey, Coverage, CoverageLog, KernelText, LineOfCode, RunRecord, SourceLines, Span,
    index::{Index, Which},
};
use suite::{KernelIssue, Matrix, Suite};
use supply::kernel::{Header, KernelSpec};

/// Reads an input, and does with it what memrig does; says whether there was anything in it. A refusal is as good an answer, but not of every input.
type Read = Box<dyn Fn(&[u8]) -> bool>;

/// Something that reads.
pub(crate) struct Reader {
    /// What it reads.
    pub(crate) name: &'static str,
    /// Inputs that it takes, most of them whole.
    pub(crate) seeds: Vec<Vec<u8>>,
    /// How.
    pub(crate) read: Read,
}

fn reader(name: &'static str, seeds: Vec<Vec<u8>>, read: impl Fn(&[u8]) -> bool + 'static) -> Reader {
    Reader {
        name,
        seeds,
        read: Box::new(read),
    }
}

/// One that reads text; whoever has bytes makes text of them first.
fn of_text(name: &'static str, seeds: Vec<Vec<u8>>, read: impl Fn(&str) -> bool + 'static) -> Reader {
    reader(name, seeds, move |bytes| read(&String::from_utf8_lossy(bytes)))
}

/// Whether one of several readers of the same input took it: each of them reads it.
fn any<const N: usize>(taken: [bool; N]) -> bool {
    taken.contains(&true)
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// All of them.
pub(crate) fn readers() -> Vec<Reader> {
    [people(), guests(), packages(), kernels(), others(), results()]
        .into_iter()
        .flatten()
        .collect()
}

/// What people write.
fn people() -> Vec<Reader> {
    let known = |_: &str| Ok(());
    let suites = || {
        let mut suites = files("suites");
        // Patches and the schema are none.
        suites.retain(|text| !text.starts_with(b"From ") && !text.starts_with(b"{"));
        suites
    };
    let words = || {
        texts(&[
            "debian:trixie=6.12.107-1",
            "new=source:debian:sid,series=a.mbox,version=2,config=lockdep,patches=3",
            "image:/boot/vmlinuz,modules=/lib/modules/x,vmlinux=y",
            "tree:.",
            "deb:a.deb+b.deb",
            "rpm:a.rpm",
            "tree:.,series=b4:1@x.test,version=2",
            "suite(standby) & !case(S0*) & (arch(s390x) | kernel(~x))",
            "mm/memory_hotplug.c:1474-1479",
            "1.5GiB",
        ])
    };
    vec![
        of_text("suite", suites(), |text| {
            Suite::parse(&file_of(text), text).is_ok()
        }),
        of_text("known issues", suites(), |text| {
            KernelIssue::parse("x.yaml", text).is_ok()
        }),
        of_text("matrix", suites(), move |text| {
            Matrix::parse("x.yaml", text, &known, &known).is_ok()
        }),
        of_text("kernel", words(), |text| text.parse::<KernelSpec>().is_ok()),
        of_text("expression", words(), |text| {
            text.parse::<run::Expression>().is_ok()
        }),
        of_text("target", words(), |text| text.parse::<run::Target>().is_ok()),
        of_text("size", words(), |text| text.parse::<base::ByteSize>().is_ok()),
        reader("mails", files("runner/format/tests/corpus/mail"), |bytes| {
            let mut mails = Mails::default();
            let read = mails.add("x.mbox", bytes).is_ok();
            let series = mails.series(&Choice::default());
            let patches = series.iter().flat_map(|series| &series.patches);
            // What they would run is read out of the same diffs.
            patches.for_each(|patch| drop(patch.runs_at_build()));
            read && series.is_ok()
        }),
        of_text("diff", files("runner/format/tests/corpus/mail"), |text| {
            Changed::of(text) != Changed::default()
        }),
        of_text("configuration of a kernel", files("kconfigs"), |text| {
            Kconfig::parse(text).is_ok()
        }),
    ]
}

/// The file of a suite, which has its name.
fn file_of(text: &str) -> String {
    let name = text.lines().find_map(|line| line.strip_prefix("suite: "));
    format!("{}.yaml", name.unwrap_or("x"))
}

/// What guests say.
fn guests() -> Vec<Reader> {
    // The first of each kind is whole, and later ones are edits of it, in which `+` is a line (`runner/memory/src/replay.rs`).
    let recorded = |kind: &str| -> Vec<Vec<u8>> {
        let first = |file: Vec<u8>| {
            let text = String::from_utf8(file).unwrap();
            let (_, section) = text.split_once(&format!("\n@@ {kind} ")).unwrap();
            let (_, rest) = section.split_once('\n').unwrap();
            let body = rest.split("\n@@ ").next().unwrap();
            let lines = body.lines().map(|line| line.strip_prefix('+').unwrap_or(line));
            lines.collect::<Vec<_>>().join("\n").into_bytes()
        };
        files("runner/memory/src/fixtures")
            .into_iter()
            .map(first)
            .collect()
    };
    let symbols = || {
        texts(&[
            "0000000000100000 T _stext\n0000000000100040 t online_pages\n0000000000100080 T _etext\nfffffffffffffff0 T _einittext\n",
            "virtio_net 98304 0 - Live 0x000003ff80000000 (E)\nx 18446744073709551615 1 y, Live 0xffffffffffff0000\n",
            "000003ff80000010 t probe\t[virtio_net]\nffffffffffff0010 t end\t[x]\n",
        ])
    };
    let question = Question::new("cat /proc/meminfo");
    let sent = String::from_utf8_lossy(question.bytes()).into_owned();
    let token = sent.split(' ').next().unwrap().to_owned();
    let answers = vec![
        format!("memory\n{token} 0\n\n{token}\n").into_bytes(),
        format!("\n{token} 127\nnot found\n{token}\n").into_bytes(),
    ];
    let injected = texts(&[
        "FAULT_INJECTION: forcing a failure.\nname failslab, interval 1\nCall Trace:\n should_fail_ex+0x1/0x2\n __kmalloc+0x1/0x2\n add_memory+0x1/0x2\n",
    ]);
    vec![
        reader(
            "log of a kernel",
            files("runner/format/tests/corpus/klog"),
            |bytes| any([klog::has_spoken(bytes), !klog::classify(bytes).is_empty()]),
        ),
        of_text(
            "tasks of a hung kernel",
            files("runner/format/tests/corpus/klog"),
            |text| any([klog::stuck(text).is_some(), !klog::tasks(text).is_empty()]),
        ),
        of_text("injected failure", injected, |text| {
            klog::failed_allocation(text).is_some()
        }),
        of_text("KTAP", files("runner/format/src/ktap/fixtures"), |text| {
            !ktap::parse(text).results.is_empty()
        }),
        of_text("ledger", recorded("ledger"), |text| {
            let none = Hypervisor::Dimms(std::collections::BTreeMap::new());
            Ledger::parse(text, none).is_ok()
        }),
        of_text("facts of a guest", recorded("facts"), |text| {
            let increments = [Some(base::ByteSize::mib(64)), None];
            any(increments.map(|increment| MemoryFacts::parse(text, increment).is_ok()))
        }),
        of_text("symbols", symbols(), |text| {
            let modules = ModuleFunctions::of(&LoadedModule::all(text), text);
            any([Functions::parse(text).is_some(), !modules.is_empty()])
        }),
        reader("answer of a shell", answers, move |bytes| {
            any([false, true].map(|first| question.answer(bytes, first) != Answer::NotYet))
        }),
    ]
}

/// What packages are in.
fn packages() -> Vec<Reader> {
    let tar = samples::tar_of(&[("control", b"Package: a\nVersion: 1\n"), ("usr/bin/a", b"#!")]);
    let package = samples::deb_of(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &tar),
        ("data.tar", &tar),
    ]);
    let files: &[(&str, &[u8])] = &[
        ("/lib/modules/7/vmlinuz", b"x"),
        ("/lib/modules/7/config", b"CONFIG_X=y\n"),
    ];
    let rpm = samples::rpm_of(
        "kernel-core",
        "s390x",
        &[("kernel-modules-core-uname-r", "7")],
        files,
    );
    let index = texts(&[
        "Package: libc6\nVersion: 2.41-12\nDepends: libgcc-s1\nDescription: C library\n more\n\nPackage: dropbear-bin\nSource: dropbear (1)\n\
         Version: 1:2025.89~rc1-1+b2\nDepends: libc6 (>= 2.38), libcrypt1 (>= 1:4.1.0), a | b:any (<< 3) [s390x]\nSHA256: 0af0\n",
    ]);
    vec![
        reader("package", vec![package], |bytes| {
            let members = deb::members(bytes, |mut member: deb::Member<'_>| {
                let mut contents = Vec::new();
                std::io::Read::read_to_end(&mut member.contents, &mut contents)
                    .map_err(deb::DebError::Read)?;
                Ok::<_, deb::DebError>(ControlFlow::Continue(()))
            });
            deb::control(bytes).is_ok() && members.is_ok()
        }),
        reader("package of RPM", vec![rpm], |bytes| {
            let members = rpm::members(bytes, |mut member: deb::Member<'_>| {
                std::io::copy(&mut member.contents, &mut std::io::sink())?;
                Ok(ControlFlow::Continue(()))
            });
            rpm::about(bytes).is_ok() && members.is_ok()
        }),
        of_text("index", index, |text| {
            let depends = |stanza: deb::Stanza<'_>| stanza.get("Depends").map(deb::depends);
            let named = deb::names_in(text).count();
            deb::stanzas(text).filter_map(depends).count() > 0 && named > 0
        }),
    ]
}

/// What kernels are in.
fn kernels() -> Vec<Reader> {
    let module = || {
        [(22, true), (62, false)]
            .map(|(machine, big)| samples::module(machine, big, b"name=x\0depends=a,b\0vermagic=6.12\0"))
    };
    // Each has a magic word at its place.
    let mut s390 = vec![0; 0x10500];
    s390[0x10008..0x1000e].copy_from_slice(b"S390EP");
    s390[0x1042f] = 0x80;
    s390[0x80..0x8a].copy_from_slice(b"6.12.1 (x)");
    let mut x86 = vec![0; 0x400];
    x86[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
    x86[0x202..0x206].copy_from_slice(b"HdrS");
    x86[0x206..0x210].copy_from_slice(&[0x0f, 2, 0, 0, 0, 0, 0, 0, 0x80, 0]);
    let mut table = Vec::new();
    let row = |offset, line| format::lines::Row {
        offset,
        bytes: 8,
        line,
        inlined: Some("page_zone".into()),
    };
    let lines = LineTable {
        files: [("mm/a.c".to_owned(), vec![row(0, 17), row(64, 18)])].into(),
        functions: vec![(0, "online_pages".to_owned())],
    };
    lines.write(&mut table).unwrap();
    let text = texts(&["@0 online_pages\n mm/a.c\n0 8 17\n40 8 18 page_zone\n"]);
    vec![
        reader("ELF", module().into(), |bytes| {
            Elf::parse(bytes).is_ok_and(|elf| {
                let needed = elf.needed();
                elf.modinfo("depends").is_ok() && needed.is_ok()
            })
        }),
        reader("image of a kernel", vec![s390, x86], |bytes| {
            Header::parse(bytes).is_ok()
        }),
        reader("build id of an image", packed(), |bytes| {
            !BuildId::of_image(bytes).is_empty()
        }),
        reader("vmlinux", vec![vmlinux()], |bytes| {
            LineTable::of_vmlinux(bytes).is_ok()
        }),
        reader("table of lines, packed", vec![table], |bytes| {
            LineTable::read(bytes, |_| true).is_ok()
        }),
        reader("table of lines", text, |bytes| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut packed, bytes).unwrap();
            LineTable::read(&packed.finish().unwrap()[..], |_| true)
                .is_ok_and(|table| !table.functions_of("mm/a.c", |line| line > 0).is_empty())
        }),
    ]
}

/// What QEMU and Slurm say.
fn others() -> Vec<Reader> {
    let pieces = || {
        let numbers = |numbers: &[u64]| {
            numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        let head = numbers(&[2, 8, 1]);
        let entries = numbers(&[0x10_0000, 0x7f00_0000_0000, 12, 0x10_0040, 0x7f00_0000_0040, 4]);
        vec![[&b"memrigC2"[..], &head, &entries].concat()]
    };
    let talk = texts(&[
        "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":13,\"minor\":0,\"major\":10},\"package\":\"\"},\"capabilities\":[\"oob\"]}}\r\n{\"return\":{},\"id\":1}\r\n\
         {\"timestamp\":{\"seconds\":1,\"microseconds\":2},\"event\":\"GUEST_PANICKED\",\"data\":{\"action\":\"pause\"}}\r\n{\"return\":{\"status\":\"running\"},\"id\":2}\r\n",
    ]);
    let nobody: Transcript = Arc::new(|_: Direction, _: &str| {});
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    vec![
        reader("what a plugin notes", pieces(), |bytes| {
            Pieces::count(bytes).is_ok() && Pieces::read(bytes).is_ok()
        }),
        reader("QMP", talk, move |bytes| {
            let input = std::io::Cursor::new(bytes.to_vec());
            let talk = async {
                let client = Client::start(input, tokio::io::sink(), nobody.clone()).await?;
                // All has been said by now: the answer is that nobody answers.
                let asked = client.execute_raw("query-status", serde_json::json!({})).await;
                assert!(asked.is_err(), "{asked:?}");
                Ok::<_, QmpError>(())
            };
            let limit = Duration::from_secs(10);
            let said = runtime.block_on(async { tokio::time::timeout(limit, talk).await });
            said.expect("an answer is waited for that nobody gives any more")
                .is_ok()
        }),
        of_text("Slurm", files("runner/format/tests/corpus/slurm"), |text| {
            any([
                slurm::trouble(text) != slurm::TroubleKind::Refused,
                !slurm::parse_queue(text).is_empty(),
                !slurm::parse_sacct(text).is_empty(),
                slurm::job_id(text).is_some(),
            ])
        }),
    ]
}

/// What is in the folders of runs, which a crash or a full disk can leave behind in any state.
fn results() -> Vec<Reader> {
    const RUN: &str = "20260901T010000Z-000001";
    let sample = "runner/cli/tests/corpus/results-v1";
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(sample);
    let place = |name: &'static str| {
        let folder = tempfile::tempdir().unwrap();
        let results = Utf8Path::from_path(folder.path()).unwrap().join("results");
        let run = results.join(RUN);
        fs_err::create_dir_all(&run).unwrap();
        for file in ["run.json", "events.jsonl"] {
            fs_err::copy(root.join(file), run.join(file)).unwrap();
        }
        (folder, results, run.join(name))
    };
    let seed = |file: &str| vec![fs_err::read(root.join(file)).unwrap()];
    let read = |name: &'static str, file: &'static str, seeds: Vec<Vec<u8>>, what: fn(&Utf8Path) -> bool| {
        let (folder, _, path) = place(file);
        reader(name, seeds, move |bytes| {
            fs_err::write(&path, bytes).unwrap();
            let run = Utf8Path::from_path(folder.path())
                .unwrap()
                .join("results")
                .join(RUN);
            what(&run)
        })
    };
    let record = |run: &Utf8Path| RunRecord::read(run).is_ok_and(|(record, _)| !record.traces().is_empty());
    let covered = |run: &Utf8Path| {
        let coverage = Coverage::read(run);
        coverage.is_ok_and(|read| read.is_some_and(|(coverage, _)| !coverage.kernels.is_empty()))
    };
    // An index that is made anew takes a hundred times as long.
    let indexed = |name: &'static str, file: &'static str, seeds: Vec<Vec<u8>>| {
        let (folder, results, path) = place(file);
        reader(name, seeds, move |bytes| {
            fs_err::write(&path, bytes).unwrap();
            let file = Utf8Path::from_path(folder.path()).unwrap().join("index.sqlite");
            let mut index = Index::anew(&file).unwrap();
            index.refresh(&results, |_, _| {}).unwrap();
            let last = base::Arch::ALL.map(|arch| index.last_covered(arch).unwrap());
            let reached = last
                .iter()
                .flatten()
                .map(|last| index.reach(&last.by).unwrap().files().count());
            any([
                reached.sum::<usize>() > 0,
                !index.seen(&Which::default()).unwrap().is_empty(),
            ])
        })
    };
    vec![
        read("journal", "events.jsonl", seed("events.jsonl"), record),
        read("facts of a run", "run.json", seed("run.json"), record),
        read("coverage", "coverage.jsonl", coverage(), covered),
        indexed("journal, indexed", "events.jsonl", seed("events.jsonl")),
        indexed("coverage, indexed", "coverage.jsonl", coverage()),
    ]
}

/// A kernel as it lies in images: packed, and not.
fn packed() -> Vec<Vec<u8>> {
    let note = b"\0\0\0\x04\0\0\0\x14\0\0\0\x03GNU\x0001234567890123456789".to_vec();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &note).unwrap();
    vec![[b"setup", gzip.finish().unwrap().as_slice()].concat(), note]
}

fn vmlinux() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vmlinux");
    samples::vmlinux(&path, &[]);
    fs_err::read(path).unwrap()
}

fn coverage() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let run = Utf8Path::from_path(folder.path()).unwrap();
    let log = CoverageLog::open(run).unwrap();
    let span = |offset| Span { offset, bytes: 4 };
    let row = |offset, line| LineOfCode {
        inlined: None,
        span: span(offset),
        line,
    };
    let kernel = log.kernel(&KernelText {
        modules: Vec::new(),
        label: "debian:trixie".to_owned(),
        release: "6.12".to_owned(),
        arch: base::Arch::S390x,
        side: None,
        end: 0x100,
        functions: vec![(0, "online_pages".to_owned()), (0x40, "offline_pages".to_owned())],
        sources: vec![SourceLines {
            file: "mm/a.c".to_owned(),
            rows: vec![row(0, 17), row(0x40, 18)],
            ..SourceLines::default()
        }],
    });
    let kernel = kernel.unwrap();
    log.boot(kernel, 1, &[span(0)]).unwrap();
    let key: CaseKey = serde_json::from_value(serde_json::json!({
        "arch": "s390x", "kernel": "debian:trixie", "config": "", "suite": "blocks", "variant": "", "case": "B01",
    }))
    .unwrap();
    log.case(kernel, &key, false, &[span(0x40)], 0).unwrap();
    vec![fs_err::read(run.join("coverage.jsonl")).unwrap()]
}

/// All files below a folder of the workspace.
///
/// # Panics
/// The folder does not read, or is empty: a reader without seeds would be tried with noise alone.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    assert!(!files.is_empty(), "{folder} is empty");
    // A file system has an order of its own.
    files.sort();
    files.iter().map(|path| fs_err::read(path).unwrap()).collect()
}
