// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who reads what, and inputs that are right.

use std::{ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use camino::Utf8Path;
use format::{
    cover::Pieces,
    deb,
    elf::Elf,
    kallsyms::{Functions, LoadedModule, ModuleFunctions},
    kconfig::Kconfig,
    klog, ktap,
    line::Question,
    lines::LineTable,
    mail::{Changed, Choice, Mails},
    qmp::{Client, Direction, Transcript},
    samples, slurm,
};
use memory::{Hypervisor, Ledger, MemoryFacts};
use record::{
    CaseKey, Coverage, CoverageLog, KernelText, LineOfCode, RunRecord, SourceLines, Span,
    index::{Index, Which},
};
use suite::{KernelIssue, Matrix, Suite};
use supply::kernel::{Header, KernelSpec};

/// Reads an input, and does with it what memrig does.
type Read = Box<dyn Fn(&[u8])>;

/// Something that reads.
pub(crate) struct Reader {
    /// What it reads.
    pub(crate) name: &'static str,
    /// Inputs that it takes, most of them whole.
    pub(crate) seeds: Vec<Vec<u8>>,
    /// How.
    pub(crate) read: Read,
}

fn reader(name: &'static str, seeds: Vec<Vec<u8>>, read: impl Fn(&[u8]) + 'static) -> Reader {
    Reader {
        name,
        seeds,
        read: Box::new(read),
    }
}

/// One that reads text; whoever has bytes makes text of them first.
fn of_text(name: &'static str, seeds: Vec<Vec<u8>>, read: impl Fn(&str) + 'static) -> Reader {
    reader(name, seeds, move |bytes| read(&String::from_utf8_lossy(bytes)))
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// All of them.
pub(crate) fn readers() -> Vec<Reader> {
    [people(), guests(), debian(), kernels(), others(), results()]
        .into_iter()
        .flatten()
        .collect()
}

/// What people write.
fn people() -> Vec<Reader> {
    let any = |_: &str| Ok(());
    let suites = || {
        let mut suites = files("suites");
        // Patches and the schema are none.
        suites.retain(|text| !text.starts_with(b"From ") && !text.starts_with(b"{"));
        suites
    };
    let words = texts(&[
        "debian:trixie=6.12.107-1",
        "new=source:debian:sid,series=a.mbox,version=2,config=lockdep,patches=3",
        "image:/boot/vmlinuz,modules=/lib/modules/x,vmlinux=y",
        "tree:.",
        "deb:a.deb,b.deb",
        "suite(standby) & !case(S0*) & (arch(s390x) | kernel(~x))",
        "mm/memory_hotplug.c:1474-1479",
    ]);
    vec![
        of_text("suite", suites(), |text| _ = Suite::parse("x.yaml", text)),
        of_text("known issues", suites(), |text| {
            _ = KernelIssue::parse("x.yaml", text)
        }),
        of_text("matrix", suites(), move |text| {
            _ = Matrix::parse("x.yaml", text, &any, &any)
        }),
        of_text("words of the command line", words, |text| {
            _ = text.parse::<KernelSpec>();
            _ = text.parse::<run::Expression>();
            _ = text.parse::<run::Target>();
            _ = text.parse::<base::ByteSize>();
        }),
        reader("mails", files("runner/format/tests/corpus/mail"), |bytes| {
            let mut mails = Mails::default();
            if mails.add("x.mbox", bytes).is_ok() {
                _ = mails.series(&Choice::default());
            }
        }),
        of_text("diff", files("runner/format/tests/corpus/mail"), |text| {
            _ = Changed::of(text)
        }),
        of_text("configuration of a kernel", files("kconfigs"), |text| {
            _ = Kconfig::parse(text)
        }),
    ]
}

/// What guests say.
fn guests() -> Vec<Reader> {
    let recorded = || -> Vec<Vec<u8>> {
        let files = files("runner/memory/src/fixtures").into_iter();
        let sections = files.flat_map(|file| {
            let text = String::from_utf8(file).unwrap();
            let sections = text.split("@@ ").skip(1);
            let bodies = sections.filter_map(|section| Some(section.split_once('\n')?.1.as_bytes().to_vec()));
            bodies.collect::<Vec<_>>()
        });
        sections.collect()
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
        format!("memory\n{token} 0 \n{token}\n").into_bytes(),
        format!("\n{token} 127 not found\n{token}\n").into_bytes(),
    ];
    vec![
        reader(
            "log of a kernel",
            files("runner/format/tests/corpus/klog"),
            |bytes| {
                _ = klog::classify(bytes);
                _ = klog::has_spoken(bytes);
                let text = String::from_utf8_lossy(bytes);
                _ = klog::tasks(&text);
                _ = klog::stuck(&text);
                _ = klog::failed_allocation(&text);
            },
        ),
        of_text("KTAP", files("runner/format/src/ktap/fixtures"), |text| {
            _ = ktap::parse(text)
        }),
        of_text("ledger", recorded(), |text| {
            let none = Hypervisor::Dimms(std::collections::BTreeMap::new());
            _ = Ledger::parse(text, none);
        }),
        of_text("facts of a guest", recorded(), |text| {
            _ = MemoryFacts::parse(text, Some(base::ByteSize::mib(64)));
            _ = MemoryFacts::parse(text, None);
        }),
        of_text("symbols", symbols(), |text| {
            _ = Functions::parse(text);
            _ = ModuleFunctions::of(&LoadedModule::all(text), text);
        }),
        reader("answer of a shell", answers, move |bytes| {
            _ = question.answer(bytes, false);
            _ = question.answer(bytes, true);
        }),
    ]
}

/// What Debian's archive has.
fn debian() -> Vec<Reader> {
    let tar = samples::tar_of(&[("control", b"Package: a\nVersion: 1\n"), ("usr/bin/a", b"#!")]);
    let package = samples::deb_of(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &tar),
        ("data.tar", &tar),
    ]);
    let index = texts(&[
        "Package: libc6\nVersion: 2.41-12\nDepends: libgcc-s1\nDescription: C library\n more\n\nPackage: dropbear-bin\nSource: dropbear (1)\n\
         Version: 1:2025.89~rc1-1+b2\nDepends: libc6 (>= 2.38), libcrypt1 (>= 1:4.1.0), a | b:any (<< 3) [s390x]\nSHA256: 0af0\n",
    ]);
    vec![
        reader("package", vec![package], |bytes| {
            _ = deb::control(bytes);
            _ = deb::members(bytes, |mut member: deb::Member<'_>| {
                let mut contents = Vec::new();
                std::io::Read::read_to_end(&mut member.contents, &mut contents)
                    .map_err(deb::DebError::Read)?;
                Ok::<_, deb::DebError>(ControlFlow::Continue(()))
            });
        }),
        of_text("index", index, |text| {
            _ = deb::names_in(text).count();
            for stanza in deb::stanzas(text) {
                _ = stanza.get("Depends").map(deb::depends);
                let versions = [stanza.get("Version"), stanza.get("SHA256")].map(Option::unwrap_or_default);
                _ = deb::compare(versions[0], versions[1]);
            }
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
            if let Ok(elf) = Elf::parse(bytes) {
                _ = (elf.machine(), elf.needed(), elf.modinfo("depends"));
            }
        }),
        reader("image of a kernel", vec![s390, x86], |bytes| {
            _ = Header::parse(bytes)
        }),
        reader("vmlinux", module().into(), |bytes| {
            _ = LineTable::of_vmlinux(bytes)
        }),
        reader("table of lines, packed", vec![table], |bytes| {
            _ = LineTable::read(bytes, |_| true)
        }),
        reader("table of lines", text, |bytes| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut packed, bytes).unwrap();
            if let Ok(table) = LineTable::read(&packed.finish().unwrap()[..], |_| true) {
                _ = table.functions_of("mm/a.c", |line| line > 0);
            }
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
        "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":13,\"minor\":0,\"major\":10},\"package\":\"\"},\"capabilities\":[\"oob\"]}}\r\n{\"return\":{},\"id\":0}\r\n\
         {\"timestamp\":{\"seconds\":1,\"microseconds\":2},\"event\":\"GUEST_PANICKED\",\"data\":{\"action\":\"pause\"}}\r\n{\"return\":{\"status\":\"running\"},\"id\":1}\r\n",
    ]);
    let nobody: Transcript = Arc::new(|_: Direction, _: &str| {});
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    vec![
        reader("what a plugin notes", pieces(), |bytes| {
            _ = Pieces::count(bytes);
            _ = Pieces::read(bytes);
        }),
        reader("QMP", talk, move |bytes| {
            let input = std::io::Cursor::new(bytes.to_vec());
            let talk = async {
                let client = Client::start(input, tokio::io::sink(), nobody.clone()).await?;
                _ = client.version();
                client.execute_raw("query-status", serde_json::json!({})).await
            };
            let limit = Duration::from_secs(10);
            let said = runtime.block_on(async { tokio::time::timeout(limit, talk).await });
            assert!(said.is_ok(), "an answer is waited for that nobody gives any more");
        }),
        of_text("Slurm", files("runner/format/tests/corpus/slurm"), |text| {
            _ = slurm::parse_queue(text);
            _ = slurm::parse_sacct(text);
            _ = slurm::job_id(text);
            _ = slurm::trouble(text);
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
    let read = |name: &'static str, file: &'static str, seeds: Vec<Vec<u8>>| {
        let (folder, _, path) = place(file);
        reader(name, seeds, move |bytes| {
            fs_err::write(&path, bytes).unwrap();
            let run = Utf8Path::from_path(folder.path())
                .unwrap()
                .join("results")
                .join(RUN);
            if let Ok((record, _)) = RunRecord::read(&run) {
                _ = record.traces();
            }
            _ = Coverage::read(&run);
        })
    };
    // An index that is made anew takes a hundred times as long.
    let indexed = |name: &'static str, file: &'static str, seeds: Vec<Vec<u8>>| {
        let (folder, results, path) = place(file);
        reader(name, seeds, move |bytes| {
            fs_err::write(&path, bytes).unwrap();
            let file = Utf8Path::from_path(folder.path()).unwrap().join("index.sqlite");
            let mut index = Index::anew(&file).unwrap();
            index.refresh(&results, |_, _| {}).unwrap();
            index.seen(&Which::default()).unwrap();
            for arch in base::Arch::ALL {
                for last in index.last_covered(arch).unwrap() {
                    _ = index.reach(&last.by).unwrap().files().count();
                }
            }
        })
    };
    vec![
        read("journal", "events.jsonl", seed("events.jsonl")),
        read("facts of a run", "run.json", seed("run.json")),
        read("coverage", "coverage.jsonl", coverage()),
        indexed("journal, indexed", "events.jsonl", seed("events.jsonl")),
        indexed("coverage, indexed", "coverage.jsonl", coverage()),
    ]
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
