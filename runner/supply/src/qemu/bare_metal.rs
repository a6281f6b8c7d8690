// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks a QEMU with a guest that is nothing but service calls and loads.
//!
//! `guest-images/qemu/bare-metal/t.S` goes through [`STEPS`], each of which leaves one record. The guest runs once for each of
//! [`RUNS`]: as it is, with memory that others have written to, and with each of the faults that can be asked for.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::expected::{Backend, RUNS, Run, STEPS};
use base::exec::{Child, Command, ExecError};
use format::standby::{self, StorageCommand, property};

/// The guest's source.
const GUEST: &str = include_str!("../../../../guest-images/qemu/bare-metal/t.S");
/// Where the guest leaves its records.
const RECORDS: u64 = 0x2_0000;
/// The address in the PSW with which the guest waits at its end.
const END: u64 = 0xd0e;
/// How long a run may take; it takes a fraction of a second.
const LIMIT: Duration = Duration::from_secs(60);

/// Size of the standby memory in bytes; initial memory has the same.
const SIZE: u64 = 64 << 20;

/// Why the check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BareMetalError {
    /// A program does not run; the guest is assembled by binutils for s390x.
    #[error("the bare-metal guest (its assembler is in Debian's binutils-s390x-linux-gnu)")]
    Exec(#[from] ExecError),
    /// A file or the connection to QEMU could not be used.
    #[error("the bare-metal guest")]
    Io(#[from] io::Error),
    /// QEMU refused a command, or said something that is no answer.
    #[error("QEMU says `{0}`")]
    Qmp(String),
    /// The guest did not come to its end.
    #[error("run `{run}`: the guest did not come to its end; its registers: {registers}")]
    NoEnd {
        /// Name of the run.
        run: &'static str,
        /// What QEMU shows of the CPU.
        registers: String,
    },
}

/// Something that was not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deviation {
    /// A record of the guest.
    Step {
        /// Name of the run.
        run: &'static str,
        /// Number of the step.
        step: usize,
        /// What must be there: a program interruption code in the upper half, a value in the lower.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The log of storage commands is not what the guest did.
    Log {
        /// Name of the run.
        run: &'static str,
        /// Command word, number and response of what the guest did.
        expected: Vec<(u32, u16, u16)>,
        /// The log.
        found: Vec<(u32, u16, u16)>,
    },
    /// A file that was mapped private was written to.
    Template {
        /// Name of the run.
        run: &'static str,
    },
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step {
                run,
                step,
                expected,
                found,
            } => {
                let about = STEPS.get(*step).map_or("more than the guest does", |s| s.about);
                let pair = |record: u64| format!("{:x}:{:#x}", record >> 32, record as u32);
                let (expected, found) = (pair(*expected), pair(*found));
                write!(
                    f,
                    "{run}, step {step} ({about}): expected {expected}, found {found}"
                )
            }
            Self::Log { run, expected, found } => {
                write!(f, "{run}: the log should be {expected:x?}, but is {found:x?}")
            }
            Self::Template { run } => write!(f, "{run}: the file of the standby memory changed"),
        }
    }
}

/// Assembles the guest into `dir` and returns the ELF file.
///
/// # Errors
/// If there are no binutils for s390x, or `dir` cannot be written to.
pub fn assemble(dir: &Path) -> Result<PathBuf, BareMetalError> {
    let (source, object, guest) = (dir.join("t.S"), dir.join("t.o"), dir.join("t.elf"));
    fs_err::write(&source, GUEST)?;
    Command::new("s390x-linux-gnu-as")
        .args(["-march=z10", "-o"])
        .args([&object, &source])
        .output()?;
    // Not at 0x10000, where QEMU takes it for Linux and writes a command line into it.
    Command::new("s390x-linux-gnu-ld")
        .args(["-Ttext=0x11000", "-o"])
        .args([&guest, &object])
        .output()?;
    Ok(guest)
}

/// Runs the guest of [`assemble`] under `qemu` in all the ways of [`RUNS`] and returns what is wrong.
///
/// # Errors
/// If the guest does not come to its end, or QEMU does not know a property that is set.
pub fn check(
    qemu: &Path,
    firmware: &Path,
    guest: &Path,
    dir: &Path,
) -> Result<Vec<Deviation>, BareMetalError> {
    let mut deviations = Vec::new();
    for run in RUNS {
        deviations.extend(check_run(qemu, firmware, guest, dir, run)?);
    }
    Ok(deviations)
}

/// One of the ways of [`check`].
///
/// # Errors
/// As [`check`].
pub fn check_run(
    qemu: &Path,
    firmware: &Path,
    guest: &Path,
    dir: &Path,
    run: &Run,
) -> Result<Vec<Deviation>, BareMetalError> {
    let file = dir.join("standby");
    let socket = dir.join("qmp");
    if socket.exists() {
        fs_err::remove_file(&socket)?;
    }
    let template = [0xee_u8].repeat(1 << 20);
    let mut backend = format!("id=standby,size={SIZE}");
    if run.backend == Backend::Anonymous {
        backend.insert_str(0, "memory-backend-ram,");
    } else {
        let mut out = fs_err::File::create(&file)?;
        for _ in 0..SIZE >> 20 {
            out.write_all(&template)?;
        }
        let share = if run.backend == Backend::Shared {
            "on"
        } else {
            "off"
        };
        backend = format!(
            "memory-backend-file,{backend},mem-path={},share={share}",
            file.display()
        );
    }
    let child = Command::new(qemu)
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-S"])
        .args(["-accel", "tcg", "-cpu", "max", "-m", "64M", "-object", &backend])
        .args([
            "-machine",
            "s390-ccw-virtio,standby-memory=standby,storage-increment=16M",
        ])
        .args(["-action", "panic=pause", "-qmp"])
        .arg(format!("unix:{},server=on,wait=off", socket.display()))
        .args([Path::new("-bios"), firmware, Path::new("-kernel"), guest])
        .spawn()?;
    let mut qmp = Qmp::connect(&socket, &child)?;
    for (name, value) in run.settings {
        let value = value
            .parse::<u64>()
            .map_or_else(|_| json!(*value == "true"), |number| json!(number));
        let arguments = json!({"path": standby::PATH, "property": name, "value": value});
        qmp.ask("qom-set", arguments)?;
    }
    qmp.ask("cont", json!({}))?;
    qmp.wait_for_end(run)?;

    let records = dir.join("records");
    let size = 8 * (STEPS.len() as u64 + 1);
    let arguments = json!({"val": RECORDS, "size": size, "filename": records});
    qmp.ask("pmemsave", arguments)?;
    let bytes = fs_err::read(&records)?;
    let records: Vec<u64> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|chunk| u64::from_be_bytes(*chunk))
        .collect();
    let mut deviations = compare(run, &records);

    let arguments = json!({"path": standby::PATH, "property": property::COMMANDS});
    let log: Vec<StorageCommand> = serde_json::from_value(qmp.ask("qom-get", arguments)?)
        .map_err(|error| BareMetalError::Qmp(error.to_string()))?;
    deviations.extend(compare_log(run, &records, &log));
    qmp.ask("quit", json!({}))?;
    child.wait_blocking();
    if run.backend == Backend::Private
        && !fs_err::read(&file)?
            .chunks(template.len())
            .all(|part| part == template)
    {
        deviations.push(Deviation::Template { run: run.name });
    }
    Ok(deviations)
}

/// Compares the records, and the nothing that must follow them.
fn compare(run: &Run, records: &[u64]) -> Vec<Deviation> {
    let expected = run.expected().into_iter().chain([0]);
    let found = records.iter().copied().chain(std::iter::repeat(0));
    expected
        .zip(found)
        .enumerate()
        .filter(|(_, (expected, found))| expected != found)
        .map(|(step, (expected, found))| Deviation::Step {
            run: run.name,
            step,
            expected,
            found,
        })
        .collect()
}

/// The guest knows what it asked for and what was answered; the log must say the same.
fn compare_log(run: &Run, records: &[u64], log: &[StorageCommand]) -> Option<Deviation> {
    let expected: Vec<_> = STEPS
        .iter()
        .zip(records)
        .filter_map(|(step, record)| step.call.map(|(word, number)| (word, number, *record as u16)))
        .collect();
    let found: Vec<_> = log
        .iter()
        .map(|entry| (entry.command, entry.number, entry.response))
        .collect();
    let counted = log.iter().zip(1..).all(|(entry, number)| entry.seq == number);
    let ordered = log.is_sorted_by_key(|entry| entry.time);
    (expected != found || !counted || !ordered).then_some(Deviation::Log {
        run: run.name,
        expected,
        found,
    })
}

/// A conversation with QEMU, one question at a time.
struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    fn connect(socket: &Path, child: &Child) -> Result<Self, BareMetalError> {
        let started = Instant::now();
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if child.status().is_some() || started.elapsed() > LIMIT => {
                    return Err(error.into());
                }
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        };
        stream.set_read_timeout(Some(LIMIT))?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
        };
        qmp.line()?;
        qmp.ask("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    fn line(&mut self) -> Result<Value, BareMetalError> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| BareMetalError::Qmp(line))
    }

    fn ask(&mut self, command: &str, arguments: Value) -> Result<Value, BareMetalError> {
        let question = json!({"execute": command, "arguments": arguments});
        // In one piece: QEMU obeys `quit` at its last brace, and the newline would find nobody.
        self.stream
            .get_mut()
            .write_all(format!("{question}\n").as_bytes())?;
        loop {
            let mut answer = self.line()?;
            if answer.get("error").is_some() {
                return Err(BareMetalError::Qmp(answer.to_string()));
            }
            // Anything else is an event.
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Waits until the guest's CPU waits for ever, at the right place.
    fn wait_for_end(&mut self, run: &Run) -> Result<(), BareMetalError> {
        let started = Instant::now();
        while self.ask("query-status", json!({}))?["running"] == true {
            if started.elapsed() > LIMIT {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let arguments = json!({"command-line": "info registers"});
        let registers = self.ask("human-monitor-command", arguments)?;
        let registers = registers.as_str().unwrap_or_default();
        if registers.contains(&format!("addr {END:016x}")) {
            return Ok(());
        }
        Err(BareMetalError::NoEnd {
            run: run.name,
            registers: registers.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(run: &Run) -> Vec<StorageCommand> {
        let calls = STEPS.iter().zip(run.expected()).filter_map(|(step, record)| {
            let (command, number) = step.call?;
            Some((command, number, record as u16))
        });
        (1..)
            .zip(calls)
            .map(|(seq, (command, number, response))| StorageCommand {
                seq,
                time: 0,
                command,
                number,
                response,
            })
            .collect()
    }

    #[test]
    fn every_wrong_record_is_found() {
        for run in RUNS {
            let good = run.expected();
            assert_eq!(compare(run, &good), []);
            for step in 0..good.len() {
                let mut bad = good.clone();
                bad[step] ^= 1;
                assert_eq!(compare(run, &bad).len(), 1, "{} {step}", run.name);
            }
            // One step less leaves a hole, one more is no end.
            assert_eq!(compare(run, &[&good[..], &[0, 5]].concat()), []);
            assert_eq!(compare(run, &[&good[..], &[7]].concat()).len(), 1);
        }
    }

    #[test]
    fn a_log_that_is_wrong_is_found() {
        let run = &RUNS[0];
        let records = run.expected();
        let good = log(run);
        assert_eq!(compare_log(run, &records, &good), None);
        let wrong = |change: fn(&mut Vec<StorageCommand>)| {
            let mut bad = good.clone();
            change(&mut bad);
            compare_log(run, &records, &bad).is_some()
        };
        assert!(wrong(|log| {
            log.pop();
        }));
        assert!(wrong(|log| log[3].response ^= 1));
        assert!(wrong(|log| log[3].number += 1));
        assert!(wrong(|log| log[3].seq += 1));
        assert!(wrong(|log| log[3].time += 1));
    }

    #[test]
    fn a_deviation_says_where_it_is() {
        let deviation = Deviation::Step {
            run: "plain",
            step: 7,
            expected: 0,
            found: 0xeeee_eeee,
        };
        assert_eq!(
            deviation.to_string(),
            "plain, step 7 (new storage is zero at its start): expected 0:0x0, found 0:0xeeeeeeee"
        );
    }
}
