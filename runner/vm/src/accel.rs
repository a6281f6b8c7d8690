// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether guests can be run by the host, found out by running one.
//!
//! A `/dev/kvm` that opens proves nothing: under some hypervisors a guest dies on its first AVX instruction, which a kernel
//! executes when it picks its checksum code. So a guest of a few instructions has to survive one first.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use fs_err as fs;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::ChildStderr,
    sync::Mutex,
    time::timeout,
};

use super::machine::{Accel, Qemu};
use base::{
    Arch,
    exec::{Command, ended},
};

/// How guests will be run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// [`Accel::Kvm`] or [`Accel::Tcg`].
    pub accel: Accel,
    /// One line that says why.
    pub why: String,
}

/// How long the probe may take. Under TCG it takes 0.1 s.
const PROBE_LIMIT: Duration = Duration::from_millis(2500);

/// Exit status of a QEMU whose guest wrote 0x2a to `isa-debug-exit`.
const SURVIVED: i32 = 0x2a << 1 | 1;

/// The probe, at the start of the 64 KiB below 1 MiB. Where the CPU has no AVX there is nothing to survive.
const PROBE: [u8; 136] = {
    #[rustfmt::skip]
    let code = [
        0xfa,                                           // cli
        0x2e, 0x66, 0x0f, 0x01, 0x16, 0x82, 0x00,       // lgdtl %cs:0x82
        0x0f, 0x20, 0xc0,                               // mov %cr0, %eax
        0x0c, 0x01,                                     // or $1, %al
        0x0f, 0x22, 0xc0,                               // mov %eax, %cr0
        0x66, 0xea, 0x18, 0x00, 0x0f, 0x00, 0x08, 0x00, // ljmpl $8, $0xf0018
        // From here on in 32-bit protected mode.
        0x66, 0xb8, 0x10, 0x00,                         // mov $16, %ax
        0x8e, 0xd8,                                     // mov %ax, %ds
        0x8e, 0xd0,                                     // mov %ax, %ss
        0xb8, 0x01, 0x00, 0x00, 0x00,                   // mov $1, %eax
        0x0f, 0xa2,                                     // cpuid
        0x81, 0xe1, 0x00, 0x00, 0x00, 0x14,             // and $(XSAVE | AVX), %ecx
        0x81, 0xf9, 0x00, 0x00, 0x00, 0x14,             // cmp $(XSAVE | AVX), %ecx
        0x75, 0x2e,                                     // jne done
        0x0f, 0x20, 0xe0,                               // mov %cr4, %eax
        0x0d, 0x00, 0x06, 0x04, 0x00,                   // or $(OSFXSR | OSXMMEXCPT | OSXSAVE), %eax
        0x0f, 0x22, 0xe0,                               // mov %eax, %cr4
        0x31, 0xc9,                                     // xor %ecx, %ecx
        0x31, 0xd2,                                     // xor %edx, %edx
        0xb8, 0x07, 0x00, 0x00, 0x00,                   // mov $(x87 | SSE | AVX), %eax
        0x0f, 0x01, 0xd1,                               // xsetbv
        0xc5, 0xf9, 0xef, 0xc0,                         // vpxor %xmm0, %xmm0, %xmm0
        0xc5, 0xfc, 0x11, 0x05, 0x00, 0x80, 0x00, 0x00, // vmovups %ymm0, 0x8000
        0xc5, 0xfc, 0x10, 0x0d, 0x00, 0x80, 0x00, 0x00, // vmovups 0x8000, %ymm1
        0xc5, 0xf8, 0x77,                               // vzeroupper
        0xb0, 0x2a,                                     // done: mov $0x2a, %al
        0xe6, 0xf4,                                     // out %al, $0xf4
        0xf4,                                           // hlt
        0x00, 0x00,
        // 0x6a: the descriptors: none, flat code, flat data.
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00,
        0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00,
        // 0x82: their size less one, and where they are.
        0x17, 0x00, 0x6a, 0x00, 0x0f, 0x00,
    ];
    code
};

/// The probe as a firmware image, entered at its last 16 bytes.
fn image() -> Vec<u8> {
    const SIZE: usize = 64 * 1024;
    let mut image = PROBE.to_vec();
    image.resize(SIZE, 0);
    // ljmpw $0xf000, $0
    image[SIZE - 16..SIZE - 11].copy_from_slice(&[0xea, 0x00, 0x00, 0x00, 0xf0]);
    image
}

/// How guests of an architecture are best run by this QEMU on this host. Never fails, and asks once for each binary.
pub async fn choose(qemu: &Qemu, arch: Arch) -> Choice {
    static KNOWN: Mutex<BTreeMap<PathBuf, Choice>> = Mutex::const_new(BTreeMap::new());

    if let Some(choice) = always_translated(arch) {
        return choice;
    }
    let mut known = KNOWN.lock().await;
    if let Some(choice) = known.get(&qemu.binary) {
        return choice.clone();
    }
    let choice = choose_by(qemu, Path::new("/dev/kvm")).await;
    known.insert(qemu.binary.clone(), choice.clone());
    choice
}

/// Where no host runs guests by itself.
fn always_translated(arch: Arch) -> Option<Choice> {
    if arch == Arch::S390x {
        return Some(translated("standby memory is only emulated there"));
    }
    (std::env::consts::ARCH != arch.to_string())
        .then(|| translated(format!("the host is {}", std::env::consts::ARCH)))
}

fn open_kvm(device: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new().read(true).write(true).open(device)
}

/// Why the device does not open, and what to do about it.
fn closed(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{error}; join the group kvm (`adduser USER kvm`) and log in again")
        }
        io::ErrorKind::NotFound => format!(
            "{error}; the host has no virtualisation, or it is off in the firmware, or the module kvm_intel or kvm_amd is not loaded"
        ),
        _ => error.to_string(),
    }
}

/// By this device where it opens and a guest survives, else by translation.
async fn choose_by(qemu: &Qemu, device: &Path) -> Choice {
    let tried = match open_kvm(device) {
        Ok(_) => try_guest(qemu, Accel::Kvm).await,
        Err(error) => Err(closed(&error)),
    };
    match tried {
        Ok(()) => Choice {
            accel: Accel::Kvm,
            why: "guests are run by the host (KVM): a probe guest ran".to_owned(),
        },
        Err(why) => translated(why),
    }
}

fn translated(why: impl fmt::Display) -> Choice {
    Choice {
        accel: Accel::Tcg,
        why: format!("guests are translated (TCG): {why}"),
    }
}

/// Runs the probe guest, which takes at most 2.5 s.
///
/// # Errors
/// One line that says how it did not survive.
pub async fn try_guest(qemu: &Qemu, accel: Accel) -> Result<(), String> {
    let no_file = |error: io::Error| format!("no file for the probe guest: {error}");
    let folder = tempfile::tempdir().map_err(no_file)?;
    let firmware = folder.path().join("probe");
    fs::write(&firmware, image()).map_err(no_file)?;
    let (accel, cpu) = match accel {
        Accel::Kvm => ("kvm", "host"),
        Accel::Tcg | Accel::TcgIcount => ("tcg", "max"),
    };
    let mut child = Command::new(&qemu.binary)
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-machine",
            "q35",
            "-m",
            "32M",
        ])
        .args([
            "-accel",
            accel,
            "-cpu",
            cpu,
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=1",
            "-bios",
        ])
        .arg(&firmware)
        .piped()
        .spawn()
        .map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })?;
    let stderr = child
        .stderr
        .take()
        .map(ChildStderr::from_std)
        .transpose()
        .map_err(no_file)?;
    let watch = async {
        let mut lines = stderr.map(|stream| BufReader::new(stream).lines());
        let mut said = Vec::new();
        while let Some(lines) = &mut lines
            && let Ok(Some(line)) = lines.next_line().await
        {
            said.push(line);
            // QEMU stops the guest and stays.
            if said.last().is_some_and(|line| line.contains("emulation failure")) {
                return (None, said);
            }
        }
        (Some(child.wait().await), said)
    };
    match timeout(PROBE_LIMIT, watch).await {
        Ok((status, said)) => survived(status, &said),
        Err(_) => Err("a probe guest did not end in time".to_owned()),
    }
}

/// Reads how the probe ended; `status` is `None` where QEMU had stopped the guest.
fn survived(status: Option<ExitStatus>, said: &[String]) -> Result<(), String> {
    let Some(status) = status else {
        let what = said
            .iter()
            .find(|line| line.contains("KVM"))
            .map_or("emulation failure", String::as_str);
        return Err(format!("a probe guest died: {what}"));
    };
    if status.code() == Some(SURVIVED) {
        return Ok(());
    }
    // The first line is the cause; an assertion may follow it.
    let cause = said
        .iter()
        .find(|line| !line.contains("warning"))
        .map_or("", String::as_str);
    Err(format!("QEMU {} on a probe guest: {cause}", ended(status)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn only_the_guest_itself_says_that_it_survived() {
        let said = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let exit = |code: i32| Some(ExitStatus::from_raw(code << 8));
        assert_eq!(survived(exit(85), &[]), Ok(()));
        let stopped = survived(
            None,
            &said(&["KVM internal error. Suberror: 1", "emulation failure"]),
        );
        assert_eq!(
            stopped.unwrap_err(),
            "a probe guest died: KVM internal error. Suberror: 1"
        );
        let lines = said(&["qemu: warning: x", "qemu: error: failed to set MSR 0x10a to 0x69"]);
        let aborted = survived(Some(ExitStatus::from_raw(6)), &lines).unwrap_err();
        assert!(
            aborted.contains("signal 6") && aborted.ends_with("MSR 0x10a to 0x69"),
            "{aborted}"
        );
        assert!(
            survived(exit(0), &[]).is_err(),
            "a guest that never ran did not survive"
        );
    }

    /// What is chosen where a script stands in for QEMU, and where the device is there.
    async fn chosen(script: &str) -> Choice {
        let folder = tempfile::tempdir().unwrap();
        let (binary, device) = (folder.path().join("qemu"), folder.path().join("kvm"));
        fs::write(&device, "").unwrap();
        // By another process: a file that this one writes may still be open in a child of another thread's when it is run.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod 755 \"$1\"";
        Command::new("sh")
            .args(["-c", write, "sh"])
            .arg(&binary)
            .arg(script)
            .output()
            .unwrap();
        choose_by(&Qemu::plain(&binary), &device).await
    }

    #[tokio::test]
    async fn kvm_is_used_where_a_guest_survived_it() {
        let choice = chosen("case \"$*\" in *'-accel kvm -cpu host'*'-bios '*) exit 85;; esac; exit 1").await;
        assert_eq!(
            (choice.accel, choice.why.as_str()),
            (Accel::Kvm, "guests are run by the host (KVM): a probe guest ran")
        );
    }

    #[tokio::test]
    async fn a_kvm_that_breaks_is_translation_and_one_line() {
        let first_avx = "echo 'KVM internal error. Suberror: 1' >&2; echo 'extra data[0]: 0x0' >&2; \
                         echo 'emulation failure' >&2; exec sleep 100";
        for (script, why) in [
            (first_avx, "a probe guest died: KVM internal error. Suberror: 1"),
            (
                "echo 'qemu: error: failed to set MSR 0x10a to 0x69' >&2; echo more >&2; kill -ABRT $$",
                "QEMU was killed by signal 6 on a probe guest: qemu: error: failed to set MSR 0x10a to 0x69",
            ),
            ("exec sleep 100", "a probe guest did not end in time"),
            ("exit 0", "QEMU exited with 0 on a probe guest: "),
        ] {
            let choice = chosen(script).await;
            assert_eq!(choice.accel, Accel::Tcg, "{}", choice.why);
            assert_eq!(choice.why, format!("guests are translated (TCG): {why}"));
        }
    }

    #[test]
    fn a_device_that_does_not_open_comes_with_what_to_do() {
        let closed = |kind| closed(&io::Error::new(kind, "x"));
        assert!(closed(io::ErrorKind::PermissionDenied).starts_with("x; join the group kvm"));
        assert!(closed(io::ErrorKind::NotFound).contains("no virtualisation"));
        assert_eq!(closed(io::ErrorKind::Other), "x");
    }

    #[tokio::test]
    async fn without_the_device_no_guest_is_tried() {
        let choice = choose_by(&Qemu::plain("/no/qemu"), Path::new("/no/kvm")).await;
        assert_eq!(choice.accel, Accel::Tcg);
        assert!(
            choice.why.contains("`/no/kvm`") && !choice.why.contains("/no/qemu"),
            "{}",
            choice.why
        );
    }
}
