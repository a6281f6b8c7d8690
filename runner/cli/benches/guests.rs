// SPDX-License-Identifier: MIT OR Apache-2.0
//! What memrig costs beside what it runs, as ratios within one run: `cargo bench --bench guests`, or of it only some parts,
//! such as `cargo bench --bench guests -- s390x log`.
//!
//! Prints one JSON object on stdout. Times are medians; every ratio has both of its sides measured here, one after the other.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base::{Arch, ByteSize, fault::Verdict, ui::Ui};
use format::{klog, ssh::Login};
use run::{Rig, Wanted, prepare};
use serde_json::{Value, json};
use supply::{image, kernel::KernelSpec, packages::DebianSuite};
use vm::{
    guest::{BootLimits, Guest, GuestPort as _, Template},
    keys::SshKeys,
    machine::{Clock, Hotplug, Logs, MachineSpec, Standby, StartOptions, Wiring, command_line},
};

const ROUNDS: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);
const KERNEL: DebianSuite = DebianSuite::Trixie;

fn main() {
    let wanted = Wanted {
        kernels: Arch::ALL.map(|arch| (KernelSpec::debian(KERNEL), arch)).into(),
        ..Wanted::default()
    };
    let ui = Ui::terminal();
    let rig = prepare(&wanted, &ui).expect("memrig setup works");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut report = serde_json::Map::new();
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    // It takes ten minutes: what was measured is said at once too.
    let mut part = |name: &str, measure: &dyn Fn() -> Value| {
        if chosen.is_empty() || chosen.iter().any(|part| part == name) {
            let figures = measure();
            ui.line(&format!("{name}: {figures}"));
            report.insert(name.to_owned(), figures);
        }
    };
    for arch in Arch::ALL {
        part(&arch.to_string(), &|| runtime.block_on(guests(&rig, arch)));
    }
    part("host", &|| host(&rig));
    part("runs", &runs);
    part("log", &log);
    ui.out(&format!("{:#}", Value::Object(report)));
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// A machine like that of the shipped suites.
fn machine(rig: &Rig, arch: Arch, keys: &Path) -> MachineSpec {
    let kernel = rig.kernels.iter().find(|prepared| prepared.kernel.arch == arch);
    let kernel = kernel.expect("a kernel for each");
    let mut spec = MachineSpec::new(arch, rig.emulators[&arch].qemu.clone());
    spec.accel = rig.emulators[&arch].accel;
    spec.kernel = Some(kernel.kernel.image.clone());
    spec.initrds = vec![kernel.initrd.clone(), keys.to_owned()];
    spec.cmdline = format!("console={} loglevel=8", MachineSpec::console(arch));
    spec.hotplug = match arch {
        Arch::X86_64 => Hotplug::Dimms {
            slots: 16,
            max: ByteSize::gib(3),
        },
        Arch::S390x => Hotplug::Standby(Standby {
            size: ByteSize::gib(2),
            increment: None,
        }),
    };
    spec
}

/// QEMU alone, until the guest says that it is ready.
fn bare(spec: &MachineSpec) -> Duration {
    let line = command_line(spec, spec.initrds.first().map(|path| &**path), &Wiring::Terminal);
    let start = Instant::now();
    let mut qemu = Command::new(&line[0])
        .args(&line[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("QEMU starts");
    let mut console = BufReader::new(qemu.stdout.take().expect("a pipe"));
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("memrig: ready") {
        said.clear();
        let count = console.read_until(b'\n', &mut said).expect("a console");
        assert!(count > 0, "the guest never was ready");
    }
    let took = start.elapsed();
    qemu.kill().expect("QEMU runs");
    qemu.wait().expect("QEMU ends");
    took
}

/// How much more than one processor two QEMUs get here, without memrig: no run of memrig can do better with two guests at once.
fn host(rig: &Rig) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys.cpio");
    fs_err::write(&keys, "").expect("a file");
    let mut ratios = serde_json::Map::new();
    for arch in Arch::ALL {
        let mut spec = machine(rig, arch, &keys);
        // Two cannot have one port.
        spec.network = false;
        let (mut one, mut two) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            one.push(bare(&spec));
            let start = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| bare(&spec));
                }
            });
            two.push(start.elapsed());
        }
        ratios.insert(arch.to_string(), json!(2.0 * median(one) / median(two)));
    }
    json!({ "two_qemus_at_once_over_one": ratios })
}

async fn guests(rig: &Rig, arch: Arch) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = SshKeys::generate().expect("keys");
    let ramdisk = folder.path().join("keys.cpio");
    let cpio = image::keys_cpio(
        &keys.dropbear_host_key().expect("a key"),
        &keys.authorized_key().expect("a key"),
    );
    fs_err::write(&ramdisk, cpio.expect("an archive")).expect("a file");
    let login = Login {
        user: "root".to_owned(),
        private_key: keys.client_private().expect("a key"),
        server_key: Some(keys.host_public().expect("a key")),
    };
    let spec = machine(rig, arch, &ramdisk);
    let logs = Logs::in_folder(folder.path());
    let limits = BootLimits::default();

    let (mut alone, mut boots) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(bare(&spec));
        let start = Instant::now();
        let options = StartOptions::default();
        let guest = Guest::boot(&spec, &logs, Clock::start(), options, &login, limits)
            .await
            .expect("a guest");
        guest.port.exec("true", LIMIT).await.expect("an answer");
        boots.push(start.elapsed());
        guest.stop().await;
    }

    let start = Instant::now();
    let template = Template::make(&spec, &logs, Clock::start(), &login, limits, None, "sync")
        .await
        .expect("a template");
    let made = start.elapsed();
    let mut clones = Vec::new();
    let mut by_ssh = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let guest = template
            .clone_guest(&logs, Clock::start(), &login, limits)
            .await
            .expect("a clone");
        guest.port.exec("true", LIMIT).await.expect("an answer");
        clones.push(start.elapsed());
        let start = Instant::now();
        guest.port.ssh().exec("true", LIMIT).await.expect("an answer");
        by_ssh.push(start.elapsed());
        guest.stop().await;
    }
    let mut private = Vec::new();
    let mut alive = Vec::new();
    for _ in 0..4 {
        let guest = template
            .clone_guest(&logs, Clock::start(), &login, limits)
            .await
            .expect("a clone");
        guest.port.exec("true", LIMIT).await.expect("an answer");
        private.push(private_of(guest.machine.pid()));
        alive.push(guest);
    }
    for guest in alive {
        guest.stop().await;
    }
    let (alone, boot, clone) = (median(alone), median(boots), median(clones));
    json!({
        "qemu_alone_to_ready_s": alone,
        "boot_to_first_answer_s": boot,
        "boot_to_first_answer_over_qemu_alone": boot / alone,
        "template_s": made.as_secs_f64(),
        "clone_to_first_answer_s": clone,
        "boot_over_clone": boot / clone,
        "first_ssh_answer_of_a_clone_s": median(by_ssh),
        "template_resident_mib": template.resident().as_bytes() >> 20,
        "private_mib_of_clones": private,
    })
}

/// Memory that a process has for itself, in MiB.
fn private_of(pid: i32) -> u64 {
    let rollup = fs_err::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a process");
    let kib = rollup
        .lines()
        .filter_map(|line| line.strip_prefix("Private_Dirty:"))
        .filter_map(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.sum::<u64>() >> 10
}

/// Processor time of a process so far, in seconds, its children left out; `None` when it is gone.
fn cpu_of(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
    // USER_HZ is 100 on every architecture that memrig runs on.
    Some(ticks as f64 / 100.0)
}

/// Whole runs of the program: one, two and four guests at once, and a boot for each case.
fn runs() -> Value {
    let [one, two, four] = ["1", "2", "4"].map(|jobs| run(&["-j", jobs]));
    let booted = run(&["-j", "2", "--no-clone"]);
    let wall = |run: &Value| run["wall_s"].as_f64().expect("a time");
    json!({
        "two_at_once_over_one": wall(&one) / wall(&two),
        "four_at_once_over_one": wall(&one) / wall(&four),
        "clones_over_boots": wall(&booted) / wall(&two),
        "one": one,
        "two": two,
        "four": four,
        "two_booted": booted,
    })
}

/// A whole run of the program: so many guests at once, clones or a boot for each case.
fn run(args: &[&str]) -> Value {
    let results = tempfile::tempdir().expect("a folder");
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_memrig"))
        .args(["run", "blocks", "accounting", "-k"])
        .arg(format!("debian:{KERNEL}"))
        .args(args)
        .env("MEMRIG_RESULTS", results.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("memrig starts");
    let mut cpu = 0.0;
    while child.try_wait().expect("a child").is_none() {
        cpu = cpu_of(child.id()).unwrap_or(cpu);
        std::thread::sleep(Duration::from_millis(50));
    }
    let wall = start.elapsed().as_secs_f64();
    let folder = fs_err::canonicalize(results.path().join("latest")).expect("a run");
    let folder = camino::Utf8PathBuf::from_path_buf(folder).expect("UTF-8");
    let (record, _) = record::RunRecord::read(&folder).expect("a record");
    let ran: Vec<_> = record
        .cases
        .iter()
        .filter(|case| !case.attempts.is_empty())
        .collect();
    let journal = fs_err::metadata(folder.join("events.jsonl"))
        .expect("a journal")
        .len();
    let not_passed = ran.iter().filter(|case| case.verdict != Verdict::Pass);
    json!({
        "wall_s": wall,
        "cases": ran.len(),
        "cases_an_hour": ran.len() as f64 / wall * 3600.0,
        "memrig_cpu_share": cpu / wall,
        "journal_bytes_a_case": journal / ran.len().max(1) as u64,
        "not_passed": not_passed.count(),
    })
}

/// How fast logs are searched: consoles of guests that booted and had nothing to report, and the whole corpus, which is reports.
fn log() -> Value {
    json!({ "boots": searched("boot-"), "reports": searched("") })
}

fn searched(prefix: &str) -> Value {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format/tests/corpus/klog");
    let mut text = Vec::new();
    for entry in fs_err::read_dir(corpus).expect("the corpus") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) && name.ends_with(".txt") {
            text.extend(fs_err::read(entry.path()).expect("a log"));
        }
    }
    let text = text.repeat((64 << 20) / text.len() + 1);
    let start = Instant::now();
    let findings = klog::classify(&text).len();
    let seconds = start.elapsed().as_secs_f64();
    json!({
        "bytes": text.len(),
        "findings": findings,
        "mb_per_s": text.len() as f64 / 1e6 / seconds,
    })
}
