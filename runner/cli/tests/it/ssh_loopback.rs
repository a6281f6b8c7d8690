// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shell against a real dropbear on loopback.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

use base::{
    exec::{Child, Command},
    tty::WindowSize,
};
use format::ssh::{Carried, Carry, Login, Pty, Session, SshError};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::PATIENCE;

const LIMIT: Duration = Duration::from_secs(60);

/// A server for one key. It sees a home of its own, so that the user's is not touched.
struct Dropbear {
    _child: Child,
    port: u16,
    login: Login,
    folder: TempDir,
}

fn tool(name: &str, args: &[&str]) -> String {
    crate::ground::packages();
    let output = Command::new(name).args(args).output();
    let output =
        output.unwrap_or_else(|error| panic!("install dropbear-bin: this test needs `{name}`: {error}"));
    String::from_utf8(output).unwrap()
}

impl Dropbear {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        tool("dropbearkey", &["-t", "ed25519", "-f", &path("host")]);
        let public = tool("dropbearkey", &["-t", "ed25519", "-f", &path("user")]);
        tool(
            "dropbearconvert",
            &["dropbear", "openssh", &path("user"), &path("user.openssh")],
        );
        let ssh = folder.path().join("home/.ssh");
        fs_err::create_dir_all(&ssh).unwrap();
        let authorized = public
            .lines()
            .find(|line| line.starts_with("ssh-ed25519"))
            .unwrap();
        fs_err::write(ssh.join("authorized_keys"), authorized).unwrap();
        for private in [ssh.join("authorized_keys"), ssh, folder.path().join("home")] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            fs_err::set_permissions(private, mode).unwrap();
        }
        let user = tool("id", &["-un"]).trim().to_owned();
        let port = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = fs_err::File::create(folder.path().join("log")).unwrap();
        let script = "mount --bind \"$1\" \"$(eval echo ~\"$2\")\" || exit; shift 2; exec \"$@\"";
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh", &path("home"), &user])
            .args([
                "dropbear",
                "-F",
                "-E",
                "-s",
                "-r",
                &path("host"),
                "-P",
                &path("pid"),
            ])
            .args(["-p", &format!("127.0.0.1:{port}")])
            .log(log.file())
            .unwrap()
            .spawn()
            .unwrap();
        let login = Login {
            user,
            private_key: fs_err::read_to_string(path("user.openssh")).unwrap(),
            server_key: None,
        };
        let server = Self {
            _child: child,
            port,
            login,
            folder,
        };
        server.wait_until_it_listens();
        server
    }

    fn wait_until_it_listens(&self) {
        for _ in 0..1000 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = fs_err::read_to_string(self.folder.path().join("log")).unwrap();
        panic!(
            "install dropbear-bin: no server came up on port {}: {log}",
            self.port
        );
    }

    async fn session(&self) -> Session {
        Session::connect(self.port, &self.login, LIMIT).await.unwrap()
    }
}

#[tokio::test]
async fn both_streams_and_the_code_come_back() {
    let server = Dropbear::start();
    let session = server.session().await;
    let output = session
        .exec("echo out; echo err >&2; exit 3", b"", LIMIT)
        .await
        .unwrap();
    assert_eq!(
        (output.text().as_str(), output.error_text().as_str(), output.code),
        ("out\n", "err\n", 3)
    );
    let quiet = session.exec("true", b"", LIMIT).await.unwrap();
    assert_eq!((quiet.stdout.len(), quiet.stderr.len(), quiet.code), (0, 0, 0));
    let quoted = session
        .exec("printf %s \"it's \\$5\" # and a comment", b"", LIMIT)
        .await
        .unwrap();
    assert_eq!(quoted.text(), "it's $5");
    let wrong = session.exec("if then fi", b"", LIMIT).await.unwrap();
    assert!(wrong.code != 0 && !wrong.stderr.is_empty(), "{wrong:?}");
    let closed = session
        .exec("exec 1>&- 2>&-; sleep 0.2; exit 7", b"", LIMIT)
        .await
        .unwrap();
    assert_eq!(closed.code, 7);
}

#[tokio::test]
async fn a_killed_shell_is_no_success() {
    let server = Dropbear::start();
    let session = server.session().await;
    let killed = session.exec("echo partial; kill -9 $$", b"", LIMIT).await;
    assert!(
        matches!(killed, Err(SshError::Killed(ref signal)) if signal == "KILL"),
        "{killed:?}"
    );
    assert!(session.is_closed());
    let session = server.session().await;
    let inner = session.exec("sh -c 'kill -9 $$'", b"", LIMIT).await.unwrap();
    assert_eq!(
        inner.code, 137,
        "a command that a signal ends is an answer of the shell"
    );
}

#[tokio::test]
async fn output_that_looks_like_success_is_none() {
    let server = Dropbear::start();
    let session = server.session().await;
    let script = format!("printf '\\nrc-{:032x} 0\\n'; kill -TERM $$; sleep 5", 0);
    let faked = session.exec(&script, b"", LIMIT).await;
    assert!(
        matches!(faked, Err(SshError::Killed(_) | SshError::NoTrailer { .. })),
        "{faked:?}"
    );
}

#[tokio::test]
async fn a_connection_that_is_lost_in_mid_command_is_no_success() {
    let server = Dropbear::start();
    let session = server.session().await;
    let lost = session
        .exec("echo partial; kill -9 $PPID; sleep 1; exit 0", b"", LIMIT)
        .await;
    assert!(matches!(lost, Err(SshError::Lost(_))), "{lost:?}");
    let next = session.exec("true", b"", LIMIT).await;
    assert!(matches!(next, Err(SshError::Closed)), "{next:?}");
}

#[tokio::test]
async fn eight_mebibytes_on_stderr_do_not_block() {
    let server = Dropbear::start();
    let session = server.session().await;
    let script = "head -c 8388608 /dev/zero >&2; echo between; head -c 3000000 /dev/zero; head -c 8388608 /dev/zero >&2";
    let output = session.exec(script, b"", LIMIT).await.unwrap();
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (8 + 3_000_000, 2 * 8_388_608)
    );
}

#[tokio::test]
async fn input_and_output_flow_at_the_same_time() {
    let server = Dropbear::start();
    let session = server.session().await;
    let input: Vec<u8> = (0..6_000_000u32).map(|n| (n % 251) as u8).collect();
    let output = session.exec("cat", &input, LIMIT).await.unwrap();
    assert!(output.stdout == input, "{} bytes came back", output.stdout.len());
    // A command that does not read its input does not hold up either.
    let output = session.exec("exit 4", &input, LIMIT).await.unwrap();
    assert_eq!(output.code, 4);
}

#[tokio::test]
async fn a_long_script_keeps_its_own_input() {
    let server = Dropbear::start();
    let session = server.session().await;
    let mut script = String::new();
    while script.len() < 100_000 {
        script += "n=$((n + 1)) # it's a line with 'quotes', \"more\" and \\ backslashes\n";
    }
    let lines = script.lines().count();
    script += "echo $n; cat; exit 9\n\n";
    let output = session.exec(&script, b"the rest", LIMIT).await.unwrap();
    assert_eq!((output.text(), output.code), (format!("{lines}\nthe rest"), 9));
}

#[tokio::test]
async fn a_deadline_ends_the_session_in_time() {
    let server = Dropbear::start();
    let session = server.session().await;
    let limit = Duration::from_millis(300);
    let started = Instant::now();
    let late = session.exec("echo partial; sleep 3000", b"", limit).await;
    assert!(
        matches!(late, Err(SshError::Deadline(given)) if given == limit),
        "{late:?}"
    );
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    assert!(matches!(
        session.exec("true", b"", LIMIT).await,
        Err(SshError::Closed)
    ));
}

#[tokio::test]
async fn a_command_that_prints_without_end_is_left() {
    let server = Dropbear::start();
    let session = server.session().await;
    for command in ["yes", "yes >&2"] {
        let session = server.session().await;
        let endless = session
            .exec(command, b"", Duration::from_secs(600))
            .await
            .unwrap_err();
        assert!(
            endless
                .to_string()
                .ends_with("the guest answers with more than 64 MiB"),
            "{endless}"
        );
    }
    assert_eq!(
        session.exec("echo here", b"", LIMIT).await.unwrap().text(),
        "here\n"
    );
}

#[tokio::test]
async fn a_command_that_is_given_up_takes_its_session_along() {
    let server = Dropbear::start();
    let session = server.session().await;
    let mark = server.folder.path().join("mark");
    let script = format!("sleep 1; echo x >'{}'", Path::new(&mark).display());
    let dropped = tokio::time::timeout(Duration::from_millis(200), session.exec(&script, b"", LIMIT)).await;
    assert!(dropped.is_err());
    assert!(session.is_closed());
    let started = Instant::now();
    assert!(session.exec("true", b"", LIMIT).await.is_err());
    assert!(started.elapsed() < PATIENCE, "the thread is unblocked at once");
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_why() {
    let server = Dropbear::start();
    let other = Dropbear::start();
    let login = Login {
        private_key: other.login.private_key.clone(),
        ..server.login.clone()
    };
    let refused = Session::connect(server.port, &login, LIMIT).await;
    assert!(matches!(refused, Err(SshError::Refused { .. })), "{refused:?}");
    let login = Login {
        server_key: Some(b"another".to_vec()),
        ..server.login.clone()
    };
    let stranger = Session::connect(server.port, &login, LIMIT).await;
    assert!(matches!(stranger, Err(SshError::Stranger { .. })), "{stranger:?}");
}

#[tokio::test]
async fn nobody_and_a_mute_are_told_apart() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let login = Login {
        user: "root".to_owned(),
        private_key: String::new(),
        server_key: None,
    };
    let mute = Session::connect(port, &login, Duration::from_millis(300)).await;
    assert!(matches!(mute, Err(SshError::Deadline(_))), "{mute:?}");
    // Where a caller calls from, nobody listens, and nobody else can meanwhile: a port that is only free may be another test's by now.
    let caller = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let nobody = caller.local_addr().unwrap().port();
    let nobody = Session::connect(nobody, &login, LIMIT).await;
    assert!(matches!(nobody, Err(SshError::Connect { .. })), "{nobody:?}");
}

/// Processor time that a thread of this process has used, in ticks of 10 ms.
fn ticks(name: &str) -> u64 {
    let threads = fs_err::read_dir("/proc/self/task").unwrap();
    let stats = threads.filter_map(|thread| fs_err::read_to_string(thread.ok()?.path().join("stat")).ok());
    let stat = stats
        .filter_map(|stat| Some(stat.split_once(&format!("({name}) "))?.1.to_owned()))
        .next();
    let stat = stat.unwrap_or_else(|| panic!("no thread `{name}`"));
    let times = stat.split(' ').skip(11).take(2);
    times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// A command without a terminal that reads nothing, and whose outputs nobody reads.
fn alone(command: &str) -> Carry {
    let null = || {
        OwnedFd::from(
            std::fs::File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .unwrap(),
        )
    };
    Carry {
        command: command.to_owned(),
        pty: None,
        input: null(),
        output: null(),
        errors: null(),
    }
}

#[tokio::test]
async fn streams_of_ours_are_carried_whole() {
    let server = Dropbear::start();
    let session = server.session().await;
    let path = |name: &str| server.folder.path().join(name);
    let create = |name: &str| OwnedFd::from(std::fs::File::create(path(name)).unwrap());
    let input: Vec<u8> = (0..6_000_000u32).map(|n| (n % 251) as u8).collect();
    fs_err::write(path("in"), &input).unwrap();
    let carry = Carry {
        input: std::fs::File::open(path("in")).unwrap().into(),
        output: create("out"),
        errors: create("err"),
        ..alone("head -c 8388608 /dev/zero >&2; cat; head -c 8388608 /dev/zero >&2")
    };
    let carried = timeout(LIMIT, session.carry(carry))
        .await
        .expect("it does not block");
    assert!(matches!(carried, Ok(Carried::Ended)), "{carried:?}");
    assert!(fs_err::read(path("out")).unwrap() == input);
    assert_eq!(fs_err::metadata(path("err")).unwrap().len(), 2 * 8_388_608);
    // The session is good for more, also where nobody reads any more and where the command reads nothing.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let carry = Carry {
        input: std::fs::File::open(path("in")).unwrap().into(),
        output: writer.into(),
        ..alone(&format!(
            "head -c 3000000 /dev/zero; echo x >'{}'",
            path("mark").display()
        ))
    };
    let carried = timeout(LIMIT, session.carry(carry))
        .await
        .expect("it does not block");
    assert!(matches!(carried, Ok(Carried::Ended)), "{carried:?}");
    assert!(path("mark").exists(), "the command goes on to its end");
    // What is cut is not the whole, and said so.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let carry = Carry {
        output: full.into(),
        ..alone("head -c 3000000 /dev/zero")
    };
    let carried = timeout(LIMIT, session.carry(carry))
        .await
        .expect("it does not block");
    assert!(
        matches!(carried, Ok(Carried::Cut(error)) if error.raw_os_error() == 28),
        "{carried:?}"
    );
}

#[tokio::test]
async fn what_somebody_types_gets_there_while_nobody_reads() {
    let server = Dropbear::start();
    let session = server.session().await;
    let (output, writer) = std::io::pipe().unwrap();
    let (errors, second) = std::io::pipe().unwrap();
    let (input, mut typed) = std::io::pipe().unwrap();
    let mark = server.folder.path().join("mark");
    let script = format!(
        "head -c 9000000 /dev/zero & head -c 9000000 /dev/zero >&2 & read -r x; echo $x >'{}'; wait",
        mark.display()
    );
    let carry = Carry {
        input: input.into(),
        output: writer.into(),
        errors: second.into(),
        ..alone(&script)
    };
    let carried = tokio::spawn(async move { session.carry(carry).await });
    // The pipes are full long before that; who waits for a reader does nothing.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let busy = ticks(&format!("ssh {}", server.port));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let busy = ticks(&format!("ssh {}", server.port)) - busy;
    assert!(busy < 10, "{busy} ticks of half a second");
    typed.write_all(b"still here\n").unwrap();
    let limit = Instant::now() + LIMIT;
    while fs_err::read_to_string(&mark).ok().as_deref() != Some("still here\n") {
        assert!(Instant::now() < limit, "the input waits for the output");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let counts = [output, errors].map(|mut reader| {
        tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all.len()
        })
    });
    let carried = timeout(LIMIT, carried).await.expect("it ends").unwrap();
    assert!(matches!(carried, Ok(Carried::Ended)), "{carried:?}");
    for count in counts {
        assert_eq!(timeout(LIMIT, count).await.unwrap().unwrap(), 9_000_000);
    }
}

#[tokio::test]
async fn a_carried_command_that_is_killed_or_lost_did_not_end() {
    let server = Dropbear::start();
    let session = server.session().await;
    let killed = session.carry(alone("kill -9 $$")).await;
    assert!(
        matches!(killed, Err(SshError::Killed(ref signal)) if signal == "KILL"),
        "{killed:?}"
    );
    let session = server.session().await;
    let (input, _typed) = std::io::pipe().unwrap();
    let carry = Carry {
        input: input.into(),
        ..alone("kill -9 $PPID; sleep 1; exit 0")
    };
    let lost = timeout(LIMIT, session.carry(carry)).await.expect("it is noticed");
    assert!(matches!(lost, Err(SshError::Lost(_))), "{lost:?}");
}

#[tokio::test]
async fn a_terminal_has_the_size_that_it_is_told_and_is_left_by_its_keys() {
    let server = Dropbear::start();
    let session = server.session().await;
    let (size, other) = (
        WindowSize {
            columns: 101,
            rows: 37,
        },
        WindowSize {
            columns: 120,
            rows: 50,
        },
    );
    let (pty, resizer) = Pty::new("xterm", size).unwrap();
    let (input, mut typed) = std::io::pipe().unwrap();
    let out = server.folder.path().join("out");
    let carry = Carry {
        pty: Some(pty),
        input: input.into(),
        output: std::fs::File::create(&out).unwrap().into(),
        ..alone("echo $TERM $(tty) $(stty size); stty -echo; exec sh")
    };
    let carried = tokio::spawn(async move { session.carry(carry).await });
    let shows = async |text: &str| {
        let limit = Instant::now() + LIMIT;
        while !fs_err::read_to_string(&out).unwrap().contains(text) {
            let said = fs_err::read_to_string(&out).unwrap();
            assert!(Instant::now() < limit, "no `{text}` in {said}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    shows("xterm /dev/pts/").await;
    shows(" 37 101\r\n").await;
    // Of several sizes, the last is the one that counts.
    resizer.set(size);
    resizer.set(other);
    let until = "until [ \"$(stty size)\" = '50 120' ]; do sleep 0.1; done; echo resized\n";
    typed.write_all(until.as_bytes()).unwrap();
    shows("resized\r\n").await;
    typed.write_all(b"sleep 100\n\x1d\x1d\x1d").unwrap();
    let carried = timeout(LIMIT, carried).await.expect("it is left").unwrap();
    assert!(matches!(carried, Ok(Carried::Left)), "{carried:?}");
}
