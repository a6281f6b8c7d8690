// SPDX-License-Identifier: MIT OR Apache-2.0
//! Children: every program that memrig starts is started here.
//!
//! A child leads a process group of its own, dies with memrig even if memrig is killed, and is ended by its group. It reads
//! nothing from the terminal. What it prints goes to a file, to a pipe, or nowhere, but never to the terminal by itself.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{self, ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use crate::fault::{Blame, Blamed};
use rustix::process::{Pid, Signal};
use tokio::sync::watch;

/// Why a program did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started at all.
    #[error("starting `{program}`")]
    Start {
        /// The program.
        program: String,
        /// What the host's kernel said.
        source: io::Error,
    },
    /// It ran and ended badly.
    #[error("`{command}` {}{}", ended(*.status), said(.stderr))]
    Failed {
        /// The command as it could be typed.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed on stderr.
        stderr: String,
    },
    /// It took longer than it may, and was killed.
    #[error("`{command}` did not end within {} s", limit.as_secs())]
    Late {
        /// The command as it could be typed.
        command: String,
        /// How long it was given.
        limit: Duration,
    },
    /// A log file or a pipe of it could not be used.
    #[error("output of `{program}`")]
    Output {
        /// The program.
        program: String,
        /// What the host's kernel said.
        source: io::Error,
    },
}

impl Blamed for ExecError {
    fn blame(&self) -> Blame {
        Blame::Bench
    }
}

/// How a child ended, in words.
pub fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

fn said(stderr: &str) -> String {
    let text = stderr.trim_end();
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// The end of a child of which nothing is known: exit code 127, never success.
fn unknown_end() -> ExitStatus {
    ExitStatus::from_raw(127 << 8)
}

/// Where a stream of a child goes.
#[derive(Debug, Default)]
enum Sink {
    #[default]
    Null,
    Pipe,
    File(File),
}

impl Sink {
    fn into_stdio(self) -> Stdio {
        match self {
            Self::Null => Stdio::null(),
            Self::Pipe => Stdio::piped(),
            Self::File(file) => file.into(),
        }
    }
}

/// A program with its arguments, not yet started.
#[derive(Debug)]
pub struct Command {
    /// A program with its words that starts it; empty where it starts by itself.
    starter: Vec<OsString>,
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    unset: Vec<OsString>,
    dir: Option<PathBuf>,
    stdin: Option<File>,
    stdout: Sink,
    stderr: Sink,
}

impl Command {
    /// A command without arguments whose output goes nowhere.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            starter: Vec::new(),
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            unset: Vec::new(),
            dir: None,
            stdin: None,
            stdout: Sink::Null,
            stderr: Sink::Null,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the child's environment, which is otherwise memrig's own.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes a variable out of the child's environment.
    #[must_use]
    pub fn unset(mut self, name: impl AsRef<OsStr>) -> Self {
        self.unset.push(name.as_ref().to_owned());
        self
    }

    /// Has another program start it, whose words stand before its own. No log and no error has them: whoever types the command does without.
    #[must_use]
    pub fn started_by(mut self, words: Vec<OsString>) -> Self {
        self.starter = words;
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Lets it read from a file; without this it reads nothing.
    #[must_use]
    pub fn stdin(mut self, file: File) -> Self {
        self.stdin = Some(file);
        self
    }

    /// Sends stdout and stderr to one open file.
    pub fn log(mut self, file: &File) -> io::Result<Self> {
        self.stdout = Sink::File(file.try_clone()?);
        self.stderr = Sink::File(file.try_clone()?);
        Ok(self)
    }

    /// Gives the caller both streams as pipes.
    #[must_use]
    pub fn piped(mut self) -> Self {
        self.stdout = Sink::Pipe;
        self.stderr = Sink::Pipe;
        self
    }

    /// The command as it could be typed into a shell.
    pub(crate) fn line(&self) -> String {
        shell_line([&self.program].into_iter().chain(&self.args))
    }

    fn program(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    /// What has to be known to say why it ended badly.
    fn told(&self) -> Told {
        let starter = self
            .starter
            .first()
            .and_then(|starter| Path::new(starter).file_name());
        Told {
            starter: starter.map(|name| name.to_string_lossy().into_owned()),
            program: self.program(),
            command: self.line(),
        }
    }

    /// Starts it.
    pub fn spawn(self) -> Result<Child, ExecError> {
        let program = self.program();
        let start = |source| ExecError::Start {
            program: program.clone(),
            source,
        };
        let (reply, started) = mpsc::channel();
        let gone = || io::Error::other("the thread that starts children has ended");
        spawner()
            .send(Order { command: self, reply })
            .map_err(|_| start(gone()))?;
        started.recv().map_err(|_| start(gone()))?.map_err(start)
    }

    /// Runs it to its end and returns what it printed on stdout.
    ///
    /// Fails if it exits with anything but 0; the error carries the end of stderr.
    pub fn output(self) -> Result<Vec<u8>, ExecError> {
        let (program, told) = (self.program(), self.told());
        printed(self.piped().spawn()?, &program, told)
    }

    /// The same; a command that takes longer is killed, with all that it started.
    ///
    /// Fails with [`ExecError::Late`] then.
    pub fn output_within(self, limit: Duration) -> Result<Vec<u8>, ExecError> {
        let (program, command, told) = (self.program(), self.line(), self.told());
        let child = self.piped().spawn()?;
        let (group, exit) = (child.pid, child.exit());
        let (done, ended) = mpsc::channel::<()>();
        let late = thread::spawn(move || {
            let late = ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
            if late && exit.borrow().is_none() {
                // An error means that it ended meanwhile.
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
            late
        });
        let output = printed(child, &program, told);
        drop(done);
        match late.join() {
            Ok(true) if output.is_err() => Err(ExecError::Late { command, limit }),
            _ => output,
        }
    }

    /// Runs it to its end; what it prints, on both streams, is appended to `log` and shown to `see` line by line.
    ///
    /// Fails if it exits with anything but 0; the error carries the end of the log.
    pub fn run_logged(mut self, log: &Path, mut see: impl FnMut(&str)) -> Result<(), ExecError> {
        use std::io::Write as _;

        let (program, told) = (self.program(), self.told());
        let output = |source| ExecError::Output {
            program: program.clone(),
            source,
        };
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(output)?;
        writeln!(file, "$ {}", told.command).map_err(output)?;
        let (reader, writer) = io::pipe().map_err(output)?;
        let ours: File = std::os::fd::OwnedFd::from(writer).into();
        self.stdout = Sink::File(ours.try_clone().map_err(output)?);
        self.stderr = Sink::File(ours);
        let child = self.spawn()?;
        let mut tail = std::collections::VecDeque::new();
        let mut lines = BufReader::new(reader);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(output)? > 0 {
            file.write_all(&line).map_err(output)?;
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            see(&text);
            if tail.len() == 20 {
                tail.pop_front();
            }
            tail.push_back(text);
            line.clear();
        }
        let status = child.wait_blocking();
        if status.success() {
            return Ok(());
        }
        Err(told.ended_badly(status, Vec::from(tail).join("\n")))
    }
}

/// A command that runs, as errors tell of it.
struct Told {
    /// The name of what starts it, if another program does.
    starter: Option<String>,
    program: String,
    command: String,
}

impl Told {
    /// That it ended badly, or that what was to start it did not: that tells of itself by its name, and last.
    fn ended_badly(self, status: ExitStatus, stderr: String) -> ExecError {
        let last = stderr.lines().last().unwrap_or_default();
        let by = self.starter.filter(|name| last.starts_with(&format!("{name}: ")));
        match by {
            Some(_) => ExecError::Start {
                program: self.program,
                source: io::Error::other(last.to_owned()),
            },
            None => ExecError::Failed {
                command: self.command,
                status,
                stderr,
            },
        }
    }
}

/// Takes what a child prints to its end: stdout, or how it failed.
fn printed(mut child: Child, program: &str, told: Told) -> Result<Vec<u8>, ExecError> {
    let stderr = child.stderr.take().map(|mut stream| {
        thread::spawn(move || {
            let mut text = Vec::new();
            stream.read_to_end(&mut text).map(|_| text)
        })
    });
    let output = |source| ExecError::Output {
        program: program.to_owned(),
        source,
    };
    let mut stdout = Vec::new();
    if let Some(mut stream) = child.stdout.take() {
        stream.read_to_end(&mut stdout).map_err(output)?;
    }
    let stderr = match stderr {
        Some(thread) => thread
            .join()
            .map_err(|_| output(io::Error::other("reader panicked")))?
            .map_err(output)?,
        None => Vec::new(),
    };
    let status = child.wait_blocking();
    if status.success() {
        return Ok(stdout);
    }
    Err(told.ended_badly(status, last_lines(&String::from_utf8_lossy(&stderr), 20)))
}

/// The last `count` lines of a text.
fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Renders words so that a shell reads them back as they are.
pub fn shell_line<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    words
        .into_iter()
        .map(|w| shell_quote(&w.as_ref().to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Quotes one word for a POSIX shell, where it needs quotes.
pub fn shell_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A running program and its process group. Dropping it kills the group.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
    /// What it prints on stdout, where pipes were asked for.
    pub(crate) stdout: Option<process::ChildStdout>,
    /// What it prints on stderr, where pipes were asked for.
    pub stderr: Option<process::ChildStderr>,
}

impl Child {
    /// Its process id, which is also its group.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// A receiver that turns to `Some` when the child ends. Cancel-safe, and can be cloned.
    pub fn exit(&self) -> watch::Receiver<Option<ExitStatus>> {
        self.exit.clone()
    }

    /// Waits for its end. Cancel-safe.
    pub async fn wait(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or_else(unknown_end),
            // The waiting thread always sends before it ends.
            Err(_) => self.status().unwrap_or_else(unknown_end),
        }
    }

    /// Waits for its end on this thread.
    pub fn wait_blocking(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            // A receiver of `watch` has no blocking wait; the end of a build is not waited for closely.
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends SIGTERM to the group.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills the group.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if self.status().is_none() {
            // An error means that the group is gone already, which is what was asked for.
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Order {
    command: Command,
    reply: mpsc::Sender<io::Result<Child>>,
}

/// The one thread that starts children.
///
/// The kernel's parent-death signal is sent when the *thread* that forked ends, so a thread of a pool would take its children
/// along when the pool shrinks. This one lives as long as the process.
fn spawner() -> &'static mpsc::Sender<Order> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (orders, received) = mpsc::channel::<Order>();
        let run = move || {
            for order in received {
                // Nobody waits any more: the child, if there is one, is killed by its drop.
                let _ = order.reply.send(start(order.command));
            }
        };
        if let Err(error) = thread::Builder::new().name("spawner".to_owned()).spawn(run) {
            // The receiver went with the closure, so that every order is told.
            drop(error);
        }
        orders
    })
}

fn start(command: Command) -> io::Result<Child> {
    let mut words = command
        .starter
        .iter()
        .chain([&command.program])
        .chain(&command.args);
    let mut spec = process::Command::new(words.next().unwrap_or(&command.program));
    spec.args(words);
    // What is set on purpose outweighs what is taken away.
    for name in &command.unset {
        spec.env_remove(name);
    }
    spec.envs(command.env)
        .stdin(command.stdin.map_or_else(Stdio::null, Stdio::from))
        .stdout(command.stdout.into_stdio())
        .stderr(command.stderr.into_stdio())
        .process_group(0);
    if let Some(dir) = &command.dir {
        spec.current_dir(dir);
    }
    let parent = rustix::process::getpid();
    let die_with_parent = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::Error::other("memrig ended while it started this"))
        }
    };
    #[expect(
        unsafe_code,
        reason = "the parent-death signal can only be set between fork and exec"
    )]
    // SAFETY: the closure makes two system calls, allocates nothing on its good path, and takes no lock.
    unsafe {
        spec.pre_exec(die_with_parent);
    }
    let mut child = spec.spawn()?;
    let (sender, exit) = watch::channel(None);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let pid = Pid::from_child(&child);
    thread::Builder::new()
        .name(format!("wait {pid:?}"))
        .spawn(move || {
            let status = child.wait().unwrap_or_else(|_| unknown_end());
            sender.send_replace(Some(status));
        })?;
    Ok(Child {
        pid,
        exit,
        stdout,
        stderr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted() {
        assert_eq!(
            Command::new("echo").args(["a b", "it's", "", "x=1"]).line(),
            r"echo 'a b' 'it'\''s' '' x=1"
        );
    }

    #[test]
    fn what_takes_too_long_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sleep 600 & echo $! > child; wait";
        let begun = std::time::Instant::now();
        let run = Command::new("sh").args(["-c", script]).dir(folder.path());
        let error = run.output_within(Duration::from_secs(1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`sh -c '{script}'` did not end within 1 s")
        );
        assert!(begun.elapsed() < Duration::from_secs(300));
        let child = fs_err::read_to_string(folder.path().join("child")).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        assert!(stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z ")));
        let quick = Command::new("echo")
            .arg("x")
            .output_within(Duration::from_secs(600));
        assert_eq!(quick.unwrap(), b"x\n");
    }

    #[test]
    fn another_program_can_start_it() {
        let script = ["-c", "echo $X $0; exit 3", "a b"];
        let by = ["env", "X=1"].map(OsString::from);
        let error = Command::new("sh").args(script).started_by(by.into());
        let error = error.env("X", "2").output().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c 'echo $X $0; exit 3' 'a b'` exited with 3"
        );
        let by = ["env", "X=1"].map(OsString::from);
        let said = Command::new("sh").args(["-c", "echo $X $0", "a b"]);
        assert_eq!(said.started_by(by.into()).output().unwrap(), b"1 a b\n");
        // What it does not start is no program that failed.
        let log = tempfile::NamedTempFile::new().unwrap();
        for logged in [false, true] {
            let command = Command::new("no-such-program-here").started_by(vec!["env".into()]);
            let error = match logged {
                false => command.output().map(drop).unwrap_err(),
                true => command.run_logged(log.path(), |_| {}).unwrap_err(),
            };
            assert!(
                matches!(&error, ExecError::Start { program, source }
                    if program == "no-such-program-here" && source.to_string().starts_with("env: ")),
                "{error:?}"
            );
        }
    }

    #[test]
    fn output_carries_what_went_wrong() {
        let ok = Command::new("sh")
            .args(["-c", "echo out; echo err >&2"])
            .output()
            .unwrap();
        assert_eq!(ok, b"out\n");
        let error = Command::new("sh")
            .args(["-c", "echo why >&2; exit 7"])
            .output()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sh -c 'echo why >&2; exit 7'` exited with 7: why"
        );
        let error = Command::new("sh")
            .args(["-c", "kill -9 $$"])
            .output()
            .unwrap_err();
        assert!(error.to_string().contains("was killed by signal 9"), "{error}");
        let error = Command::new("no-such-program-here").output().unwrap_err();
        assert_eq!(error.to_string(), "starting `no-such-program-here`");
    }

    #[test]
    fn four_mebibytes_on_stderr_do_not_block() {
        let script = "head -c 4194304 /dev/zero >&2; echo done";
        assert_eq!(
            Command::new("sh").args(["-c", script]).output().unwrap(),
            b"done\n"
        );
    }

    #[test]
    fn a_logged_run_shows_lines_and_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut seen = Vec::new();
        let run = Command::new("sh")
            .args(["-c", "echo one; echo two >&2; exit 3"])
            .run_logged(&log, |line| seen.push(line.to_owned()));
        assert_eq!(seen, ["one", "two"]);
        assert!(run.unwrap_err().to_string().ends_with("exited with 3: one\ntwo"));
        assert!(fs_err::read_to_string(&log).unwrap().ends_with("one\ntwo\n"));
    }

    #[test]
    fn dropping_a_child_kills_its_whole_group() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .piped()
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let grandchild = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        let exit = child.exit();
        drop(child);
        while exit.borrow().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        // Killed, it may wait as a zombie for whoever reaps orphans here.
        let state = |pid: Pid| {
            fs_err::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
                .ok()
                .and_then(|stat| stat.rsplit(") ").next()?.chars().next())
        };
        for _ in 0..1000 {
            if matches!(state(grandchild), None | Some('Z' | 'X')) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("the grandchild is still alive in state {:?}", state(grandchild));
    }

    #[tokio::test]
    async fn a_child_outlives_the_thread_that_asked_for_it() {
        let child = thread::spawn(|| Command::new("sleep").arg("0.3").spawn())
            .join()
            .unwrap()
            .unwrap();
        assert!(child.wait().await.success());
    }
}
