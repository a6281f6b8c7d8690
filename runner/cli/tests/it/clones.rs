// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests that go on where another was stopped: each is fresh, and knows nothing of the others.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base::{Arch, ByteSize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use vm::{
    guest::{BootLimits, Guest, GuestPort, Template},
    machine::{Clock, End, Hotplug, Logs},
};

use crate::ground::{Bootable, bootable};

const LIMIT: Duration = Duration::from_secs(60);

/// What the guest's clock is set to just before it is stopped: a clone that is not told the time lives in 2001.
const LAST: &str = "date -u -s @1000000000 && sync";

/// A template of each architecture, with memory that can be added.
async fn template(arch: Arch, folder: &Path) -> (Bootable, Template) {
    let mut from = tokio::task::spawn_blocking(move || bootable(arch)).await.unwrap();
    if arch == Arch::X86_64 {
        from.spec.hotplug = Hotplug::Dimms {
            slots: 2,
            max: ByteSize::gib(2),
        };
    }
    from.spec.cmdline += " memhp_default_state=offline";
    let logs = Logs::in_folder(folder);
    let limits = BootLimits::default();
    let template = Template::make(&from.spec, &logs, Clock::start(), &from.login, limits, None, LAST).await;
    match template {
        Ok(template) => (from, template),
        Err(error) => panic!("{error:?}"),
    }
}

async fn clone(template: &Template, from: &Bootable, folder: &Path) -> Guest {
    let logs = Logs::in_folder(folder);
    match template
        .clone_guest(&logs, Clock::start(), &from.login, BootLimits::default())
        .await
    {
        Ok(guest) => guest,
        Err(error) => panic!("{error:?}\n{}", error.console),
    }
}

/// What a script prints, which must succeed.
async fn ask(guest: &Guest, script: &str) -> String {
    let output = guest.port.exec(script, LIMIT).await.unwrap();
    assert_eq!(output.code, 0, "{script}: {}", output.error_text());
    output.text()
}

/// The hash of the files that a template's memory is in.
fn hash(template: &Template) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    for path in template.memory().files(true).paths.values() {
        let mut file = File::open(path).unwrap();
        loop {
            let count = file.read(&mut piece).unwrap();
            if count == 0 {
                break;
            }
            hash.update(&piece[..count]);
        }
    }
    hash.finalize().to_vec()
}

/// Everything by which one guest could show what was done in another.
const TRACES: &str = "cat /proc/sys/kernel/tainted; ls /run /tmp ~; \
    grep -H '' /sys/devices/system/memory/memory*/state; grep MemTotal /proc/meminfo; \
    ps -o args | grep '[s]leep 1000$'; dmesg | grep 'I was here'; true";

/// Onlines and offlines memory, and leaves traces of every kind.
async fn make_a_mess(guest: &Guest, arch: Arch) {
    if arch == Arch::X86_64 {
        let object = json!({"qom-type": "memory-backend-ram", "id": "m", "size": 256 << 20});
        guest.machine.command("object-add", object).await.unwrap();
        let device = json!({"driver": "pc-dimm", "id": "d", "memdev": "m"});
        guest.machine.command("device_add", device).await.unwrap();
    } else {
        // 7.x has the switch, and before it a block of standby memory is there from the start.
        ask(
            guest,
            "for c in /sys/firmware/memory/memory*/config; do [ ! -e $c ] || echo 1 >$c; done 2>/dev/null; true",
        )
        .await;
    }
    let online = "cd /sys/devices/system/memory; \
        for i in $(seq 50); do b=$(grep -lx offline memory*/state | head -n 1); [ -n \"$b\" ] && break; usleep 100000; done; \
        echo online_movable >$b && dd if=/dev/zero of=/run/mess bs=1M count=64 2>/dev/null && rm /run/mess && echo offline >$b && \
        echo online_movable >$b";
    ask(guest, online).await;
    ask(guest, "echo here >/run/here; echo here >~/here; echo 64 >/proc/sys/kernel/tainted; sleep 1000 >/dev/null 2>&1 &").await;
    ask(
        guest,
        "echo 'I was here' >/dev/kmsg; echo 3 >/proc/sys/vm/drop_caches",
    )
    .await;
}

async fn forgets(arch: Arch) {
    let folder = tempfile::tempdir().unwrap();
    let (from, template) = template(arch, folder.path()).await;
    let before = hash(&template);
    let first = clone(&template, &from, &folder.path().join(".")).await;
    let fresh = ask(&first, TRACES).await;
    make_a_mess(&first, arch).await;
    let messy = ask(&first, TRACES).await;
    for trace in ["here", "64\n", "sleep 1000\n", "I was here"] {
        assert!(messy.contains(trace), "{trace}: {messy}");
    }
    assert_ne!(fresh, messy);
    let panic = first.port.exec("echo c >/proc/sysrq-trigger", LIMIT);
    let panicked = first.machine.wait_for(panic, LIMIT).await;
    assert!(panicked.is_err() || panicked.unwrap().is_err());
    assert!(matches!(first.machine.ended().await, End::Panicked { .. }));
    let second = clone(&template, &from, folder.path()).await;
    assert_eq!(ask(&second, TRACES).await, fresh);
    second.stop().await;
    first.stop().await;
    assert_eq!(
        hash(&template),
        before,
        "no clone writes to the template's memory"
    );
    assert!(template.resident() < ByteSize::gib(1), "{}", template.resident());
}

async fn differ(arch: Arch) {
    let folder = tempfile::tempdir().unwrap();
    let (from, template) = template(arch, folder.path()).await;
    let (a, b) = tokio::join!(
        clone(&template, &from, folder.path()),
        clone(&template, &from, folder.path())
    );
    let mut seen = BTreeSet::new();
    for guest in [&a, &b] {
        let host = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let before = host();
        let time: u64 = ask(guest, "date +%s").await.trim().parse().unwrap();
        // It is late by as long as it took to tell it, which is long where the host is busy.
        let times = (before - LIMIT).as_secs()..=host().as_secs();
        assert!(times.contains(&time), "{time} is not in {times:?}");
        let random = "cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | hexdump -C";
        for line in ask(guest, random).await.lines().take(2) {
            assert!(seen.insert(line.to_owned()), "{line} was drawn twice");
        }
        assert!(seen.insert(guest.machine.ssh_port().unwrap().to_string()));
        for word in guest.machine.line().iter().filter_map(|word| word.to_str()) {
            if word.starts_with("socket,id=") {
                assert!(seen.insert(word.to_owned()), "{word} is shared");
            }
        }
        // The way by SSH is there too, and gives the same.
        let output = guest.port.ssh().exec("uname -m", LIMIT).await.unwrap();
        assert_eq!(output.text(), ask(guest, "uname -m").await);
    }
    assert_eq!(seen.len(), 2 * (2 + 1 + 3));
    a.stop().await;
    b.stop().await;
}

macro_rules! on_both {
    ($($name:ident),+) => {
        mod x86_64 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::Arch::X86_64).await;
                }
            )+
        }
        mod s390x {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::Arch::S390x).await;
                }
            )+
        }
    };
}

on_both!(forgets, differ);
