// SPDX-License-Identifier: MIT OR Apache-2.0
//! A matrix through a real Slurm, which the test runs for itself on the loopback: one node, two slots.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use camino::Utf8Path;
use record::RunRecord;

use crate::{PATIENCE, ground};

const MATRIX: &str = "\
matrix: small
kernels: [debian:trixie, debian:sid]
arches: [x86_64]
suites: [quick]
exclude: [{ case: Q02 }, { case: Q03 }, { case: Q06 }]
";

/// munged, slurmctld and slurmd in a folder of their own, gone with this.
struct Cluster {
    folder: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Cluster {
    fn start() -> Self {
        ground::slurm();
        let folder = tempfile::Builder::new().prefix("slurm-").tempdir().unwrap();
        let root = folder.path().to_owned();
        for name in ["state", "spool", "log"] {
            fs_err::create_dir(root.join(name)).unwrap();
        }
        let mut random = vec![0; 1024];
        std::io::Read::read_exact(&mut fs_err::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
        fs_err::write(root.join("key"), random).unwrap();
        private(&root.join("key"));
        let ports: Vec<TcpListener> = (0..2)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let [control, node] = [0, 1].map(|at| ports[at].local_addr().unwrap().port());
        drop(ports);
        let me = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        let (me, dir) = (me.trim(), root.display());
        let mut text = String::new();
        writeln!(
            text,
            "ClusterName=memrig\nSlurmctldHost=localhost(127.0.0.1)\nSlurmUser={me}\nSlurmdUser={me}\n\
             CommunicationParameters=NoInAddrAny,NoCtldInAddrAny\nSlurmctldPort={control}\nSlurmdPort={node}\n\
             AuthType=auth/munge\nAuthInfo=socket={dir}/munge\nCredType=cred/munge\nSlurmctldPidFile={dir}/slurmctld.pid\n\
             SlurmdPidFile={dir}/slurmd.pid\nStateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/spool\nSlurmctldLogFile={dir}/log/slurmctld\n\
             SlurmdLogFile={dir}/log/slurmd\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nSchedulerType=sched/builtin\nSchedulerParameters=sched_min_interval=100000\n\
             ReturnToService=2\nKillWait=2\nNodeName=localhost NodeAddr=127.0.0.1 Port={node} CPUs=2 RealMemory=4000 State=UNKNOWN\n\
             PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP"
        )
        .unwrap();
        fs_err::write(root.join("slurm.conf"), text).unwrap();
        let mut cluster = Self {
            folder,
            daemons: Vec::new(),
        };
        let socket = format!("--socket={}", root.join("munge").display());
        let file = |flag: &str, name: &str| format!("--{flag}={}", root.join(name).display());
        let files = [
            socket,
            file("key-file", "key"),
            file("pid-file", "munged.pid"),
            file("log-file", "log/munged"),
            file("seed-file", "seed"),
        ];
        cluster.daemon(
            Command::new("/usr/sbin/munged")
                .args(["--foreground", "--force"])
                .args(files),
        );
        until("munged listens", || root.join("munge").exists());
        cluster.daemon(Command::new("/usr/sbin/slurmctld").args(["-D", "-i"]));
        cluster.daemon(Command::new("/usr/sbin/slurmd").args(["-D", "-N", "localhost"]));
        until("the node is idle", || {
            let out = cluster.slurm("sinfo").args(["-h", "-o", "%T"]).output().unwrap();
            String::from_utf8_lossy(&out.stdout).trim() == "idle"
        });
        cluster
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    fn daemon(&mut self, command: &mut Command) {
        let log =
            fs_err::File::create(self.folder.path().join(format!("log/{}.out", self.daemons.len()))).unwrap();
        let child = command
            .env("SLURM_CONF", self.conf())
            .stdin(Stdio::null())
            .stdout(log.file().try_clone().unwrap())
            .stderr(log.into_file())
            .spawn()
            .unwrap();
        self.daemons.push(child);
    }

    fn slurm(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.conf());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Tasks first: their processes are no children of ours.
        self.slurm("scancel")
            .args(["--full", "--user=root"])
            .output()
            .ok();
        let busy = || {
            let out = self.slurm("squeue").arg("-h").output().ok()?;
            (!out.stdout.is_empty()).then_some(())
        };
        let begun = Instant::now();
        while busy().is_some() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(200));
        }
        for child in self.daemons.iter_mut().rev() {
            let pid = rustix::process::Pid::from_child(child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
            let begun = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(50));
            }
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// A memrig that does not outlive its test.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn memrig(folder: &Path, results: &str, cluster: &Cluster) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memrig"));
    command
        .current_dir(folder)
        .env("SLURM_CONF", cluster.conf())
        .env("MEMRIG_RESULTS", folder.join(results))
        .stdin(Stdio::null());
    command
}

/// What each case came to.
fn verdicts(results: &Path) -> BTreeMap<String, String> {
    let folder = fs_err::canonicalize(results.join("latest")).unwrap();
    let (record, damage) = RunRecord::read(Utf8Path::from_path(&folder).unwrap()).unwrap();
    assert!(damage.is_empty() && record.not_run.is_empty() && record.unfinished.is_empty());
    record
        .cases
        .iter()
        .map(|case| (case.key.id(), case.verdict.to_string()))
        .collect()
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .join("\n")
}

/// The process that runs a part, once it has a case behind it.
fn in_the_middle(folder: &Path, part: &str) -> rustix::process::Pid {
    let parts = folder.join("cluster/slurm");
    let mut found = None;
    until("a task is in the middle of its part", || {
        let journals = Command::new("find")
            .arg(&parts)
            .args(["-name", "events.jsonl"])
            .output()
            .unwrap();
        let journals = String::from_utf8_lossy(&journals.stdout).into_owned();
        let begun = journals.lines().any(|path| {
            path.contains("/part/1.")
                && fs_err::read_to_string(path).is_ok_and(|text| text.contains("case-finished"))
        });
        found = begun.then(|| process(folder, part)).flatten();
        found.is_some()
    });
    found.unwrap()
}

fn process(folder: &Path, part: &str) -> Option<rustix::process::Pid> {
    fs_err::read_dir("/proc").unwrap().find_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs_err::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let ours = line.starts_with(env!("CARGO_BIN_EXE_memrig"))
            && line.contains(part)
            && line.contains(folder.to_str()?);
        ours.then(|| rustix::process::Pid::from_raw(pid)).flatten()
    })
}

#[test]
fn a_matrix_through_slurm_with_a_task_killed_is_equal_to_a_local_run() {
    ground::rig();
    let cluster = Cluster::start();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    fs_err::write(folder.join("small.yaml"), MATRIX).unwrap();
    let submit = [
        "submit",
        "--slurm",
        "small.yaml",
        "--shards",
        "3",
        "--mem",
        "2GiB",
        "--poll",
        "2",
    ];
    let log = fs_err::File::create(folder.join("log")).unwrap();
    let following = memrig(folder, "cluster", &cluster)
        .args(submit)
        .stdout(log.file().try_clone().unwrap())
        .stderr(log.into_file())
        .spawn();
    let mut following = Following(following.unwrap());
    let victim = in_the_middle(folder, "slice:1/3");
    rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
    let status = following.0.wait().unwrap();
    let text = fs_err::read_to_string(folder.join("log")).unwrap();
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(
        text.contains("task 1: signal 9 killed memrig: it goes into the queue again"),
        "{text}"
    );
    assert_eq!(
        text.matches("ended: all passed (exit code 0)").count(),
        3,
        "{text}"
    );

    let output = memrig(folder, "local", &cluster)
        .args(["matrix", "small.yaml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let (there, here) = (verdicts(&folder.join("cluster")), verdicts(&folder.join("local")));
    assert!(
        here.len() >= 6 && here.values().any(|verdict| verdict == "pass"),
        "{here:?}"
    );
    assert_eq!(there, here);

    // Once it is merged, it is only shown.
    let output = memrig(folder, "cluster", &cluster)
        .args(["submit", "--slurm", "--follow", "1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("merged into"));
}
