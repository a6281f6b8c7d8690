// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program with its arguments, and what comes of running it.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{self, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::Signal;

use super::{
    child::{Child, start},
    error::ExecError,
    shell::shell_line,
};

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
        start(self.into_std()).map_err(|source| ExecError::Start { program, source })
    }

    /// The same as the standard library has it.
    fn into_std(self) -> process::Command {
        let mut words = self.starter.iter().chain([&self.program]).chain(&self.args);
        // There is one: its own name, if no other.
        let mut command = process::Command::new(words.next().unwrap_or(&self.program));
        command.args(words);
        // What is set on purpose outweighs what is taken away.
        for name in &self.unset {
            command.env_remove(name);
        }
        command
            .envs(self.env)
            .stdin(self.stdin.map_or_else(Stdio::null, Stdio::from))
            .stdout(self.stdout.into_stdio())
            .stderr(self.stderr.into_stdio());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// Runs it to its end and returns what it printed on stdout.
    ///
    /// Fails if it exits with anything but 0; the error carries the end of stderr.
    pub fn output(self) -> Result<Vec<u8>, ExecError> {
        let told = self.told();
        printed(self.piped().spawn()?, told)
    }

    /// The same; a command that takes longer is killed, with all that it started.
    ///
    /// Fails with [`ExecError::Late`] then.
    pub fn output_within(self, limit: Duration) -> Result<Vec<u8>, ExecError> {
        let told = self.told();
        let command = told.command.clone();
        let child = self.piped().spawn()?;
        let group = child.group();
        let (done, ended) = mpsc::channel::<()>();
        let late = thread::spawn(move || {
            let late = ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                group.signal(Signal::KILL);
            }
            late
        });
        let output = printed(child, told);
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

        let told = self.told();
        let output = |source| ExecError::Output {
            program: told.program.clone(),
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
        match (self.starter, stderr.lines().last()) {
            (Some(name), Some(last)) if last.starts_with(&format!("{name}: ")) => ExecError::Start {
                program: self.program,
                source: io::Error::other(last.to_owned()),
            },
            _ => ExecError::Failed {
                command: self.command,
                status,
                stderr,
            },
        }
    }
}

/// Takes what a child prints to its end: stdout, or how it failed.
fn printed(mut child: Child, told: Told) -> Result<Vec<u8>, ExecError> {
    let stderr = child.stderr.take().map(|mut stream| {
        thread::spawn(move || {
            let mut text = Vec::new();
            stream.read_to_end(&mut text).map(|_| text)
        })
    });
    let output = |source| ExecError::Output {
        program: told.program.clone(),
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
