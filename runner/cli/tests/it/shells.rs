// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memrig shell` with real guests: with a terminal of the test's own, and with pipes.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use base::Arch;
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
};

use crate::{PATIENCE, ground::rig, runs::qemus_of};

const LIMIT: Duration = Duration::from_secs(180);

const PROMPT: &str = "guest:~# ";

fn memrig(arch: Arch) -> Command {
    // What is slow on a new machine happens before any time is taken.
    rig();
    let mut command = Command::new(env!("CARGO_BIN_EXE_memrig"));
    command.args(["shell", "blocks", "-c", "B01", "-k", "debian:sid", "-a"]);
    command.arg(arch.to_string()).env("TERM", "xterm");
    command
}

fn piped(script: &str) -> Output {
    let mut child = memrig(Arch::X86_64)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_script_runs_in_one_shell_and_its_code_comes_back() {
    let script = "cd /sys/devices/system\nwhere=memory\ncd $where\npwd\ntty\necho to stderr >&2\n\
                  head -c 300000 /dev/zero | tr '\\0' x\nexit 7\necho not reached\n";
    let output = piped(script);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{err}");
    let out = String::from_utf8(output.stdout).unwrap();
    let rest = out.strip_prefix("/sys/devices/system/memory\nnot a tty\n");
    assert_eq!(rest.map(str::len), Some(300_000), "{:.200}", out);
    assert!(err.contains("to stderr\n"), "{err}");
}

#[test]
fn a_shell_whose_end_nobody_saw_is_no_success() {
    for (script, said) in [
        ("kill -9 $PPID\nsleep 1\n", "error: the shell: the guest's shell "),
        (
            "mkdir /run/memrig-shell-code\n",
            "error: the shell in the guest ended without an exit code",
        ),
    ] {
        let output = piped(script);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{err}");
        assert!(err.contains(said), "{err}");
    }
}

/// memrig in a terminal.
struct Terminal {
    child: Child,
    master: File,
    slave: OwnedFd,
    before: Termios,
    output: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

fn window(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Terminal {
    /// Starts memrig and waits for the guest's prompt.
    fn start(arch: Arch) -> Self {
        let mut command = memrig(arch);
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
        tcsetwinsize(&slave, window(37, 101)).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        let child = command
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let master = File::from(master);
        let (sender, output) = mpsc::channel();
        let mut reader = master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut this = Self {
            child,
            master,
            slave,
            before,
            output,
            seen: String::new(),
        };
        this.shows(PROMPT);
        assert!(this.is_raw());
        this
    }

    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Whether the terminal is what it was before memrig began.
    fn is_as_found(&self) -> bool {
        let (before, now) = (&self.before, tcgetattr(&self.slave).unwrap());
        (before.input_modes, before.output_modes) == (now.input_modes, now.output_modes)
            && (before.control_modes, before.local_modes) == (now.control_modes, now.local_modes)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until memrig has stopped.
    fn stops(&self) {
        self.soon("memrig stops", |this| state(this.child.id()) == "T");
    }

    fn soon(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < until, "not so within {PATIENCE:?}: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the guest has been told of this size.
    fn resized(&mut self, rows: u16, columns: u16) {
        self.types(&format!(
            "until [ \"$(stty size)\" = '{rows} {columns}' ]; do sleep 0.1; done; echo resized-$((1+1))\r"
        ));
        self.shows("\r\nresized-2\r\n");
        self.shows(PROMPT);
    }

    /// Waits for a text behind the one that was waited for before.
    fn shows(&mut self, text: &str) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.seen.find(text) {
                return self.seen.drain(..at + text.len()).collect();
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
                Err(error) => panic!("no `{text}`: {error}: {}", self.seen),
            }
        }
    }

    fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the end of memrig; the terminal must then be what it was. Gives the exit code, and what was said.
    fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + LIMIT;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(Instant::now() < until, "memrig does not end: {}", self.seen);
            std::thread::sleep(Duration::from_millis(20));
        };
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(100)) {
            self.seen += &String::from_utf8_lossy(&bytes);
        }
        assert!(
            self.is_as_found(),
            "{:?}, then {:?}",
            self.before,
            tcgetattr(&self.slave)
        );
        (code, std::mem::take(&mut self.seen))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only a test that fails leaves it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The state of a process: `T` where it is stopped.
fn state(pid: u32) -> String {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest[..1].to_owned()
}

/// Processor time that a process has used, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum()
}

/// Everything that a terminal is for.
fn is_a_terminal(arch: Arch) {
    let mut terminal = Terminal::start(arch);
    terminal.types("uname -m; echo $TERM; tty\r");
    terminal.shows(&format!("\r\n{arch}\r\nxterm\r\n/dev/pts/0\r\n"));
    terminal.shows(PROMPT);
    terminal.types("stty size\r");
    terminal.shows("\r\n37 101\r\n");
    tcsetwinsize(&terminal.slave, window(50, 120)).unwrap();
    terminal.signal(Signal::WINCH);
    terminal.resized(50, 120);
    terminal.types("cd /sys/devices/sys\t; here=$PWD\r");
    terminal.shows("guest:/sys/devices/system# ");
    terminal.types("cd; echo $here\r");
    terminal.shows("\r\n/sys/devices/system\r\n");

    terminal.shows(PROMPT);
    let began = Instant::now();
    terminal.types("echo begun-$((40+2)); sleep 100\r");
    terminal.shows("\r\nbegun-42\r\n");
    let busy = ticks(terminal.child.id());
    std::thread::sleep(Duration::from_secs(1));
    let busy = ticks(terminal.child.id()) - busy;
    assert!(
        busy < 30,
        "memrig used {busy} ticks of a second in which nothing happened"
    );
    terminal.types("\x03");
    terminal.shows(PROMPT);
    terminal.types("echo code-$?\r");
    terminal.shows("\r\ncode-130\r\n");
    assert!(began.elapsed() < Duration::from_secs(90), "{:?}", began.elapsed());

    terminal.shows(PROMPT);
    terminal.types("exit 7\r");
    let (code, said) = terminal.end();
    assert_eq!(code, Some(7), "{said}");
}

#[test]
fn a_terminal_of_x86_64_is_one() {
    is_a_terminal(Arch::X86_64);
}

#[test]
fn a_terminal_of_s390x_is_one() {
    is_a_terminal(Arch::S390x);
}

#[test]
fn a_guest_that_does_not_answer_is_left_by_its_keys() {
    let mut terminal = Terminal::start(Arch::X86_64);
    terminal.types("killall -STOP dropbear\r");
    terminal.shows("STOP dropbear\r\n");
    terminal.types("\x1d\x1d\x1d");
    let (code, said) = terminal.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("left the guest"), "{said}");
}

#[test]
fn a_signal_ends_it_and_leaves_the_terminal_as_it_was() {
    let terminal = Terminal::start(Arch::X86_64);
    terminal.signal(Signal::TERM);
    let (code, said) = terminal.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
}

#[test]
fn a_stop_gives_the_terminal_back_and_going_on_takes_it_again() {
    let mut terminal = Terminal::start(Arch::X86_64);
    // As ^Z does where the terminal is not raw.
    terminal.signal(Signal::TSTP);
    terminal.stops();
    assert!(terminal.is_as_found(), "{:?}", tcgetattr(&terminal.slave));
    tcsetwinsize(&terminal.slave, window(41, 111)).unwrap();
    terminal.signal(Signal::CONT);
    terminal.soon("raw after a stop", Terminal::is_raw);
    terminal.resized(41, 111);

    // Nobody can prepare for this one. The shell that sees it puts the terminal to its own use.
    terminal.signal(Signal::STOP);
    terminal.stops();
    tcsetattr(&terminal.slave, OptionalActions::Now, &terminal.before).unwrap();
    tcsetwinsize(&terminal.slave, window(42, 112)).unwrap();
    terminal.signal(Signal::CONT);
    terminal.soon("raw after a stop that nobody sees", Terminal::is_raw);
    terminal.resized(42, 112);

    // This time nobody touched it: what it is then is not what it has to be at the end.
    terminal.signal(Signal::STOP);
    terminal.stops();
    tcsetwinsize(&terminal.slave, window(43, 113)).unwrap();
    terminal.signal(Signal::CONT);
    terminal.resized(43, 113);

    terminal.types("exit 7\r");
    let (code, said) = terminal.end();
    assert_eq!(code, Some(7), "{said}");
}

#[test]
fn a_panic_is_told_and_is_the_kernels() {
    let mut terminal = Terminal::start(Arch::X86_64);
    terminal.types("echo c >/proc/sysrq-trigger\r");
    let (code, said) = terminal.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("the kernel panicked: ")
            && said.contains("Kernel panic - not syncing: sysrq triggered crash"),
        "{said}"
    );
    assert!(said.contains("Call Trace"), "the console's last lines: {said}");
}

#[test]
fn a_qemu_that_dies_is_told_and_is_not_the_kernels() {
    let terminal = Terminal::start(Arch::X86_64);
    let qemus = qemus_of(terminal.child.id());
    assert_eq!(qemus.len(), 1);
    kill_process(Pid::from_raw(qemus[0].cast_signed()).unwrap(), Signal::KILL).unwrap();
    let (code, said) = terminal.end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("QEMU was killed by signal 9"), "{said}");
}
