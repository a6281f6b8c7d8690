// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to a booted guest, and what it does when it is ill. Each takes a machine that boots.

use std::{path::Path, time::Duration};

use base::{Arch, Errno, fault::Blame};
use format::{klog, ssh::Login};
use rustix::process::{Pid, Signal, kill_process};
use vm::{
    guest::{BootCause, BootError, BootLimits, Diagnosis, Guest, GuestPort as _, PortError},
    machine::{Clock, End, Logs, MachineSpec, Qemu, StartOptions, Wait},
};

use crate::firmware::{disabled_wait_s390x, start};

const LIMIT: Duration = Duration::from_secs(60);

async fn boot(spec: &MachineSpec, login: &Login, folder: &Path) -> Guest {
    let logs = Logs::in_folder(folder);
    match Guest::boot(
        spec,
        &logs,
        Clock::start(),
        StartOptions::default(),
        login,
        BootLimits::default(),
    )
    .await
    {
        Ok(guest) => guest,
        Err(error) => panic!("{error:?}\n{}", error.console),
    }
}

fn errno(name: &str) -> Errno {
    name.parse().unwrap()
}

/// A guest boots, answers, gives the kernel's errnos as they are, and stops.
pub(crate) async fn answers(spec: &MachineSpec, login: &Login) {
    let folder = tempfile::tempdir().unwrap();
    let guest = boot(spec, login, folder.path()).await;
    let port = &guest.port;
    let arch = port
        .exec("uname -m; echo to stderr >&2; exit 3", LIMIT)
        .await
        .unwrap();
    assert_eq!(
        (arch.text().trim(), arch.code),
        (spec.arch.to_string().as_str(), 3)
    );
    assert_eq!(arch.error_text(), "to stderr\n");

    let state = "/sys/devices/system/memory/memory0/state";
    assert_eq!(port.read(state, LIMIT).await, Ok(Ok("online\n".to_owned())));
    assert_eq!(port.write(state, "bogus", LIMIT).await, Ok(Err(errno("EINVAL"))));
    assert_eq!(
        port.write(state, "online", LIMIT).await,
        Ok(Err(errno("EINVAL"))),
        "it is online already"
    );
    let none = "/sys/devices/system/memory/none";
    assert_eq!(port.write(none, "1", LIMIT).await, Ok(Err(errno("ENOENT"))));
    assert_eq!(port.read(none, LIMIT).await, Ok(Err(errno("ENOENT"))));
    assert_eq!(port.read("/proc/self/mem", LIMIT).await, Ok(Err(errno("EIO"))));
    let knob = "/proc/sys/vm/swappiness";
    assert_eq!(port.write(knob, "33", LIMIT).await, Ok(Ok(())));
    assert_eq!(port.read(knob, LIMIT).await, Ok(Ok("33\n".to_owned())));

    let output = port
        .exec("head -c 6000000 /dev/zero >&2; head -c 3000000 /dev/zero", LIMIT)
        .await
        .unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (3_000_000, 6_000_000));
    let long = "n=$((n + 1)) # a line of a long script\n".repeat(3000) + "echo $n";
    assert_eq!(port.exec(&long, LIMIT).await.unwrap().text(), "3000\n");

    let killed = port.exec("kill -9 $$", LIMIT).await;
    assert!(matches!(killed, Err(PortError::Killed { .. })), "{killed:?}");
    let lost = port.exec("kill -9 $PPID; sleep 5", LIMIT).await.unwrap_err();
    assert!(matches!(lost, PortError::Lost { .. }), "{lost:?}");
    assert_eq!(guest.diagnose(&lost).await, Diagnosis::ConnectionLost);
    let late = port.exec("sleep 1000", Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(guest.diagnose(&late).await, Diagnosis::StuckAlone);
    guest.find_stuck(&Diagnosis::StuckAlone).await;
    let told = klog::tasks(guest.tasks().unwrap());
    assert!(
        told.iter()
            .any(|task| task.name == "sleep" && !task.frames.is_empty()),
        "{told:#?}"
    );
    assert!(told.iter().all(|task| task.name != "dropbear"), "{told:#?}");
    assert!(!guest.is_silent());
    assert_eq!(port.exec("echo again", LIMIT).await.unwrap().text(), "again\n");

    let console = guest.machine.console().clone();
    let before = console.count();
    guest.machine.sysrq('h').await.unwrap();
    let mut lines = console.from_line(before);
    let help = lines.find(|line| line.text.contains("HELP").then(|| line.text.clone()));
    let help = guest.machine.wait_for(help, LIMIT).await;
    assert!(matches!(help, Ok(Some(_))), "{help:?}\n{}", console.text());
    guest.stop().await;
}

/// A panic is noticed before the time is over, and speaks against the kernel.
pub(crate) async fn panics(spec: &MachineSpec, login: &Login) {
    let folder = tempfile::tempdir().unwrap();
    let guest = boot(spec, login, folder.path()).await;
    let crash = guest.port.exec("echo c >/proc/sysrq-trigger", LIMIT * 10);
    let error = match guest.machine.wait_for(crash, LIMIT).await {
        Ok(result) => result.unwrap_err(),
        Err(wait) => PortError::Lost {
            what: "crash".to_owned(),
            why: wait.to_string(),
        },
    };
    let diagnosis = guest.diagnose(&error).await;
    let Diagnosis::Ended(End::Panicked { line, .. }) = &diagnosis else {
        panic!("{diagnosis}")
    };
    assert!(
        line.contains("Kernel panic - not syncing: sysrq triggered crash"),
        "{line}"
    );
    assert_eq!(diagnosis.blame(), Blame::Kernel);
    guest.last_words().await;
    let said = guest.said();
    assert!(
        said.contains("Call Trace"),
        "what follows the panic is waited for:\n{said}"
    );
    guest.stop().await;
}

/// A guest that answers nobody while QEMU runs it hangs, and shows what it does.
pub(crate) async fn hangs(spec: &MachineSpec, login: &Login) {
    let folder = tempfile::tempdir().unwrap();
    let guest = boot(spec, login, folder.path()).await;
    let stopped = guest
        .port
        .exec("killall -STOP dropbear; sleep 1000", Duration::from_secs(5))
        .await;
    let error = stopped.unwrap_err();
    let diagnosis = guest.diagnose(&error).await;
    assert_eq!(diagnosis, Diagnosis::Hangs);
    assert_eq!(diagnosis.blame(), Blame::Kernel);
    let said = guest.said();
    guest.find_stuck(&diagnosis).await;
    assert!(guest.is_silent());
    assert_eq!(
        guest.said(),
        said,
        "what memrig asks for is not what the guest says"
    );
    let told = guest.tasks().unwrap().to_owned();
    assert!(told.contains("sysrq: Show Blocked State"), "{told}");
    guest.stop().await;
    let log = fs_err::read_to_string(folder.path().join("console.log")).unwrap();
    assert!(log.contains("sysrq: Show backtrace of all active CPUs"), "{log}");
}

/// A QEMU that is killed is not the kernel's fault.
pub(crate) async fn loses_its_qemu(spec: &MachineSpec, login: &Login) {
    let folder = tempfile::tempdir().unwrap();
    let guest = boot(spec, login, folder.path()).await;
    let pid = Pid::from_raw(guest.machine.pid()).unwrap();
    let kill = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        kill_process(pid, Signal::KILL).unwrap();
    };
    let (result, ()) = tokio::join!(guest.port.exec("sleep 1000", LIMIT), kill);
    let error = result.unwrap_err();
    assert!(matches!(error, PortError::Lost { .. }), "{error}");
    let diagnosis = guest.diagnose(&error).await;
    assert!(
        matches!(diagnosis, Diagnosis::Ended(End::QemuExited { .. })),
        "{diagnosis}"
    );
    assert_eq!(diagnosis.blame(), Blame::Bench);
    guest.stop().await;
}

/// A disabled wait without a panic is told with its address.
pub(crate) async fn waits_disabled(qemu: Qemu) {
    let folder = tempfile::tempdir().unwrap();
    let firmware = folder.path().join("firmware");
    fs_err::write(&firmware, disabled_wait_s390x()).unwrap();
    let mut spec = MachineSpec::new(Arch::S390x, qemu);
    spec.qemu.firmware = Some(firmware);
    let machine = start(&spec, folder.path()).await.unwrap();
    machine.resume().await.unwrap();
    let wait = machine
        .wait_for(std::future::pending::<()>(), LIMIT)
        .await
        .unwrap_err();
    let Wait::Ended(end @ End::DisabledWait { psw_addr, .. }) = &wait else {
        panic!("{wait}")
    };
    assert_eq!(*psw_addr, 0xdead);
    assert!(end.blames_kernel());
    machine.stop().await;
}

/// Why the guest of a machine does not boot; what it says is in the folder.
async fn no_boot(spec: &MachineSpec, login: &Login, folder: &Path, limits: BootLimits) -> BootError {
    let logs = Logs::in_folder(folder);
    Guest::boot(
        spec,
        &logs,
        Clock::start(),
        StartOptions::default(),
        login,
        limits,
    )
    .await
    .unwrap_err()
}

/// A kernel without a root panics while it boots.
pub(crate) async fn has_no_root(spec: &MachineSpec, login: &Login) {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec.clone();
    spec.initrds.clear();
    let error = no_boot(&spec, login, folder.path(), BootLimits::default()).await;
    assert!(
        matches!(
            error.cause,
            BootCause::Guest(Diagnosis::Ended(End::Panicked { .. }))
        ),
        "{error:?}"
    );
    assert_eq!(error.blame(), Blame::Kernel);
    assert!(
        error.console.contains("VFS: Unable to mount root fs"),
        "{}",
        error.console
    );
}

/// A kernel whose first instruction jumps to itself is given up long before its console has been silent for a minute.
pub(crate) async fn spins(spec: &MachineSpec, login: &Login) {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec.clone();
    let kernel = folder.path().join("kernel");
    spec.initrds.clear();
    let (at, image) = match spec.arch {
        // Its entry in 16-bit mode, at 0x200, is loaded to the beginning of a segment.
        Arch::X86_64 => {
            let mut image = vec![0; 0x4000];
            image[0x1f1] = 4;
            image[0x200..0x202].copy_from_slice(&[0xeb, 0xfe]);
            image[0x202..0x206].copy_from_slice(b"HdrS");
            image[0x206..0x208].copy_from_slice(&0x20cu16.to_le_bytes());
            image[0x211] = 1;
            (0, image)
        }
        // QEMU begins what has Linux's mark behind it there.
        Arch::S390x => {
            let mut image = vec![0; 0x11000];
            image[0x10000..0x10004].copy_from_slice(&[0xa7, 0xf4, 0, 0]);
            image[0x10008..0x1000e].copy_from_slice(b"S390EP");
            (0x10000, image)
        }
    };
    fs_err::write(&kernel, image).unwrap();
    spec.kernel = Some(kernel);
    let error = no_boot(&spec, login, folder.path(), BootLimits::default()).await;
    let BootCause::Guest(Diagnosis::Spins(spin)) = &error.cause else {
        panic!("{error:?}");
    };
    assert_eq!(spin.at, [at], "{spin}");
    assert_eq!(error.blame(), Blame::Kernel);
    assert!(error.is_mute());
}

/// A guest that never says that it is ready is given up, with its tasks on the console.
pub(crate) async fn is_never_ready(spec: &MachineSpec, login: &Login) {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec.clone();
    spec.cmdline += " rdinit=/bin/sh";
    let limits = BootLimits {
        ready: Duration::from_secs(40),
        ..BootLimits::default()
    };
    let error = no_boot(&spec, login, folder.path(), limits).await;
    assert!(
        matches!(error.cause, BootCause::Guest(Diagnosis::Hangs)),
        "{error:?}"
    );
    assert_eq!(error.blame(), Blame::Kernel);
    let log = fs_err::read_to_string(folder.path().join("console.log")).unwrap();
    assert!(log.contains("task:sh "), "{log}");
}
