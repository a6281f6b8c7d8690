// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a description to a QEMU that is connected and does not run its guest yet.

use std::{
    ffi::OsString,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fs_err as fs;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Mutex,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    command_line::{Wiring, command_line},
    console::{Console, Listener},
    end::{End, Ending, Wait},
    logs::{Clock, Logs},
    meter::Meter,
    monitor, port,
    running::{CODE_FILE, Machine, MachineError},
    spec::{MachineSpec, Property},
};
use crate::scratch::Scratch;
use base::exec::{Child, Command};
use format::qmp::{Client, QmpError};

/// How long QEMU may take from its start to its greeting. It takes 0.2 s on an idle host.
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);

/// How often another port is tried when somebody was faster.
const PORT_TRIES: u32 = 5;

/// How much of what QEMU printed goes into an error, in bytes.
const STDERR_TAIL: u64 = 4096;

/// What a start can be told besides the description.
#[derive(Debug, Default)]
pub struct StartOptions {
    /// What the guest said on its console before its state was saved; the console and its log begin with it.
    pub(crate) said: Option<Arc<str>>,
}

/// A QEMU that is connected, and that nobody watches yet.
struct Launched {
    child: Child,
    qmp: Client,
    console: UnixStream,
    guest_line: Option<UnixStream>,
    ssh_port: u16,
    line: Vec<OsString>,
}

pub(super) fn io_error(what: &str) -> impl FnOnce(io::Error) -> MachineError {
    let what = what.to_owned();
    |source| MachineError::Io { what, source }
}

impl Machine {
    /// Starts QEMU, connects to its monitor and its console, and sets the description's properties. The guest does not run yet: see [`Machine::resume`].
    ///
    /// # Errors
    /// If the description is impossible, or QEMU does not start; QEMU's own words are in the error.
    pub async fn start(
        spec: &MachineSpec,
        logs: &Logs,
        clock: Clock,
        options: StartOptions,
    ) -> Result<Self, MachineError> {
        spec.check()?;
        let folder = Scratch::new().map_err(io_error("a folder for sockets"))?;
        let initrds = if spec.incoming { &[][..] } else { &spec.initrds };
        let initrd = one_initrd(initrds, folder.path()).map_err(io_error("the initial ramdisk"))?;
        let mut tries = 1;
        let launched = loop {
            match launch(spec, initrd.as_deref(), folder.path(), logs, clock).await {
                Err(MachineError::Start {
                    wait: Wait::Ended(End::QemuExited { stderr, .. }),
                    ..
                }) if tries < PORT_TRIES && port::was_taken(&stderr) => {
                    tries += 1;
                }
                result => break result?,
            }
        };
        // The ramdisks in a row are gone with the machine: a person gets the first, which has all but the keys of the run.
        let first = spec.initrds.first().map(PathBuf::as_path);
        let by_hand = command_line(&spec.booting(), first, &Wiring::Terminal);
        let machine = watch(launched, spec, by_hand, folder, logs, clock, options)?;
        for property in &spec.properties {
            let Property { path, name, value } = property;
            machine.set_property(path, name, value.clone()).await?;
        }
        Ok(machine)
    }
}

/// The one file that QEMU takes: the only one there is, or all of them in a row.
fn one_initrd(initrds: &[PathBuf], folder: &Path) -> io::Result<Option<PathBuf>> {
    let (first, more) = match initrds {
        [] => return Ok(None),
        [only] => return Ok(Some(only.clone())),
        [first, more @ ..] => (first, more),
    };
    let path = folder.join("initrd");
    let mut whole = fs::File::create(&path)?;
    let mut length = io::copy(&mut fs::File::open(first)?, &mut whole)?;
    for next in more {
        // The kernel reads an uncompressed archive only from a multiple of four, and skips zeros between archives.
        let padding = length.next_multiple_of(4) - length;
        whole.write_all(&[0; 3][..usize::try_from(padding).unwrap_or(0)])?;
        length += padding + io::copy(&mut fs::File::open(next)?, &mut whole)?;
    }
    Ok(Some(path))
}

async fn launch(
    spec: &MachineSpec,
    initrd: Option<&Path>,
    folder: &Path,
    logs: &Logs,
    clock: Clock,
) -> Result<Launched, MachineError> {
    let console_path = folder.join("console");
    let monitor_path = folder.join("qmp");
    let line_path = folder.join("line");
    let code_path = folder.join(CODE_FILE);
    let ssh_port = port::free_port().map_err(io_error("a free port of loopback"))?;
    let console = listen(&console_path).map_err(io_error("the socket of the console"))?;
    let monitor = listen(&monitor_path).map_err(io_error("the socket of the monitor"))?;
    let guest_line = listen(&line_path).map_err(io_error("the socket of the line"))?;
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(&logs.qemu)
        .map_err(io_error("the log of QEMU"))?;
    let said_before = log.metadata().map_err(io_error("the log of QEMU"))?.len();
    let transcript = logs
        .transcript(clock)
        .map_err(io_error("the transcript of the monitor"))?;
    let wiring = Wiring::Bench {
        console: console_path,
        qmp: monitor_path,
        line: line_path,
        code: code_path,
        ssh_port,
    };
    let line = command_line(spec, initrd, &wiring);
    let child = Command::new(&spec.qemu.binary)
        .args(&line[1..])
        .log(log.file())
        .map_err(io_error("the log of QEMU"))?
        .spawn()?;

    let connected = async {
        let (console, _) = console.accept().await?;
        let (monitor, _) = monitor.accept().await?;
        let guest_line = match spec.line {
            true => Some(guest_line.accept().await?.0),
            false => None,
        };
        let (reader, writer) = monitor.into_split();
        let qmp = Client::start(reader, writer, transcript).await?;
        Ok::<_, QmpError>((console, guest_line, qmp))
    };
    let exited = |status| {
        let stderr = tail_of(&logs.qemu, said_before);
        Wait::Ended(End::QemuExited { status, stderr })
    };
    let start = |wait| MachineError::Start {
        wait,
        log: logs.qemu.clone(),
    };
    tokio::select! {
        biased;
        connected = connected => match connected {
            Ok((console, guest_line, qmp)) => Ok(Launched { child, qmp, console, guest_line, ssh_port, line }),
            // Usually it is QEMU's end that broke the connection.
            Err(error) => match timeout(Duration::from_secs(2), child.wait()).await {
                Ok(status) => Err(start(exited(status))),
                Err(_) => Err(error.into()),
            },
        },
        status = child.wait() => Err(start(exited(status))),
        () = sleep(START_LIMIT) => Err(start(Wait::Deadline(START_LIMIT))),
    }
}

/// Listens on a socket; a try before may have left one of the same name.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    UnixListener::bind(path)
}

/// What was appended to a log since it had `from` bytes; the end of it, if it is long.
pub(super) fn tail_of(log: &Path, from: u64) -> String {
    let read = || {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(STDERR_TAIL))))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&text).trim_end().to_owned())
    };
    // The text only explains an error that is told anyway.
    read().unwrap_or_else(|error| format!("({error})"))
}

fn watch(
    launched: Launched,
    spec: &MachineSpec,
    by_hand: Vec<OsString>,
    folder: Scratch,
    logs: &Logs,
    clock: Clock,
    options: StartOptions,
) -> Result<Machine, MachineError> {
    let Launched {
        child,
        qmp,
        console: stream,
        guest_line,
        ssh_port,
        line,
    } = launched;
    let mut log = fs::File::options()
        .create(true)
        .append(true)
        .open(&logs.console)
        .map_err(io_error("the log of the console"))?;
    let said = options.said.unwrap_or_else(|| "".into());
    log.write_all(said.as_bytes())
        .map_err(io_error("the log of the console"))?;
    let (ending, console) = (Ending::new(), Console::after(&said, clock.now()));
    let (heard, keyboard) = stream.into_split();
    let mut watchers = JoinSet::new();
    let listener = Listener {
        console: console.clone(),
        log,
        clock,
        ending: ending.clone(),
    };
    watchers.spawn(listener.listen(heard));
    watchers.spawn(monitor::watch_events(
        qmp.clone(),
        qmp.events(),
        console.clone(),
        ending.clone(),
    ));
    let meter = Meter::new(clock);
    watchers.spawn(meter.clone().watch(child.pid(), qmp.clone()));
    let (mut exit, told, log) = (child.exit(), ending.clone(), logs.qemu.clone());
    watchers.spawn(async move {
        if let Ok(status) = exit.wait_for(Option::is_some).await.map(|status| *status) {
            let status = status.unwrap_or_default();
            told.set(End::QemuExited {
                status,
                stderr: tail_of(&log, 0),
            });
        }
    });
    Ok(Machine {
        arch: spec.arch,
        child,
        qmp,
        console,
        keyboard: Mutex::new(keyboard),
        guest_line: std::sync::Mutex::new(guest_line),
        ending,
        ssh_port: spec.network.then_some(ssh_port),
        line,
        by_hand,
        watchers,
        clock,
        meter,
        notes_code: spec.cover.is_some(),
        folder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initrds_are_put_together_on_multiples_of_four() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let parts = [file("a", "aaaaa"), file("b", "bbbb"), file("c", "c")];
        assert_eq!(one_initrd(&[], folder.path()).unwrap(), None);
        assert_eq!(
            one_initrd(&parts[..1], folder.path()).unwrap().as_ref(),
            Some(&parts[0])
        );
        let whole = one_initrd(&parts, folder.path()).unwrap().unwrap();
        assert_eq!(fs::read_to_string(whole).unwrap(), "aaaaa\0\0\0bbbbc");
    }
}
