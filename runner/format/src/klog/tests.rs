// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must not be found, what no Debian kernel prints, and hostile bytes. The logs here are made up, in the kernel's formats.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::{Kind, classify, corpus::in_order, is_panic, line::PIECE_MAX};

/// Lines with printk's prefix, a millisecond apart.
fn stamped(text: &str) -> String {
    let mut log = String::new();
    for (number, line) in text.lines().enumerate() {
        writeln!(log, "[{:5}.{:03}000] {line}", 1 + number / 1000, number % 1000).unwrap();
    }
    log
}

fn found(text: &str) -> Vec<(Kind, String)> {
    classify(stamped(text).as_bytes())
        .into_iter()
        .map(|finding| (finding.kind, finding.title))
        .collect()
}

fn only(text: &str) -> (Kind, String) {
    let mut all = found(text);
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all.remove(0)
}

#[test]
fn false_alarms() {
    let lines = [
        "Kernel command line: console=ttyS0 panic=-1 oops=panic panic_on_warn=1 BUG: WARNING: Kernel panic - not syncing: x",
        "Command line: root=/dev/vda oops=panic",
        "Booting the kernel.",
        "DEBUG BUILD",
        "mlx5: DEBUG: BUG: not really",
        "ODEBUG: Out of memory. ODEBUG disabled",
        "ODEBUG: selftest passed",
        "INFO: lockdep is turned off.",
        "INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.500 msecs",
        "rcu: INFO: Stall ended before state dump start",
        "perf: interrupt took too long (2510 > 2500), lowering kernel.perf_event_max_sample_rate to 79500",
        "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible",
        "WARNING: this is documentation-like text",
        "WARNING! power/level is deprecated; use power/control instead",
        "**   NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE    **",
        "Disabling lock debugging due to kernel taint",
        "kmemleak: Kernel memory leak detector initialized (mem pool available: 15768)",
        "User process fault: interruption code 0001 ilc:1 in crash[112,1000000+1000]",
        "crash[136]: segfault at 8 ip 0000000000401000 sp 00007ffcf7827870 error 6 in crash[1000,401000+1000]",
        "traps: crash[99] trap invalid opcode ip:401000 sp:7ffc error:0 in crash[401000+1000]",
        "traps: crash[99] general protection fault ip:401000 sp:7ffc error:0",
        "audit: type=1400 audit(1.2:3): comm=\"BUG: x\"",
        "systemd[1]: Listening on systemd-oomd.socket - Userspace Out-Of-Memory (OOM) Killer Socket.",
        "Memory failure: 0x1234: recovery action for dirty LRU page: Recovered",
        "page dumped because: unmovable page",
        "memory offlining [mem 0x100000000-0x107ffffff] failed due to failure to isolate range",
        "sclp_cmd: assign storage failed (cmd=0x00010001, response=0x0120, rn=0x0005)",
        "workqueue: drain_local_stock hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND",
        "sysrq: Show Blocked State",
        "task:kthreadd        state:S stack:0     pid:2     tgid:2     ppid:0      flags:0x00004000",
        "Call Trace:",
        " <TASK>",
        " __schedule+0x428/0xb98",
        "Last Breaking-Event-Address:",
        "PSW restart: default on",
        "---[ end trace 0000000000000000 ]---",
        "---[ end Kernel panic - not syncing: VFS: Unable to mount root fs ]---",
        "sysrq: HELP : loglevel(0-9) reboot(b) crash(c) show-all-locks(d) terminate-all-tasks(e)",
        "test_kprobes: Oops, no probe",
        "==========================================",
        "notice: the kernel BUG at tracker is moving",
        "Freeing unused kernel image (initmem) memory: 2744K",
    ];
    for line in lines {
        assert_eq!(found(line), [], "{line}");
    }
    assert_eq!(found(&lines.join("\n")), []);
    for line in lines {
        assert!(line.contains("Kernel panic") || !is_panic(line), "{line}");
    }
}

#[test]
fn userspace_says_the_same_words() {
    let lines = [
        "BUG: test failed",
        "WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2",
        "Kernel panic - not syncing: said a script",
        "------------[ cut here ]------------",
        "INFO: task x:1 blocked for more than 120 seconds.",
        "Out of memory: Killed process 1 (x)",
        "Linux version 6.12.0 (a@b) (gcc) #1",
        "unreferenced object 0xffff888003c8d8c0 (size 64):",
        "Oops: something: 0000 [#1]",
        "=================================================================",
        "BUG: KASAN: not the kernel's",
    ];
    let log = format!(
        "[    0.000000] Linux version 6.12\n{}\n[    9.000000] reboot: Power down\n",
        lines.join("\n")
    );
    assert_eq!(classify(log.as_bytes()), []);
    // nor without a single line of the kernel's
    assert_eq!(classify(lines.join("\n").as_bytes()), []);
}

#[test]
fn a_kernel_without_times() {
    let log =
        "Linux version 6.12.0\nKernel command line: printk.time=0\nBUG: Bad page state in process a  pfn:1\n";
    assert_eq!(classify(log.as_bytes()).len(), 1);
    let log = "Linux version 6.12.0\nKernel command line: printk.time=0\nKernel panic - not syncing: x";
    assert_eq!(classify(log.as_bytes())[0].kind, Kind::Panic);
}

/// Its other reports are in the corpus.
#[test]
fn what_lockdep_says_of_its_own_limits() {
    for (line, title) in [
        ("[ BUG: Invalid wait context ]", "lockdep: Invalid wait context"),
        (
            "BUG: MAX_LOCKDEP_CHAINS too low!",
            "lockdep: MAX_LOCKDEP_CHAINS too low",
        ),
    ] {
        assert_eq!(only(line), (Kind::Lockdep, title.to_owned()));
    }
    assert_eq!(
        only("=============================\nWARNING: a check of next year\n"),
        (Kind::Warning, "WARNING: a check of next year".to_owned())
    );
}

/// KASAN's reports are in the corpus.
#[test]
fn sanitizers() {
    for (line, want) in [
        (
            "BUG: KMSAN: uninit-value in f+0x1/0x20",
            (Kind::Kmsan, "KMSAN: uninit-value in f"),
        ),
        (
            "BUG: KCSAN: data-race in f / g",
            (Kind::Kcsan, "KCSAN: data-race in f / g"),
        ),
        (
            "BUG: KFENCE: memory corruption in f.part.0+0x1/0x20",
            (Kind::Kfence, "KFENCE: memory corruption in f"),
        ),
        (
            "UBSAN: shift-out-of-bounds in mm/page_alloc.c:12:3",
            (Kind::Ubsan, "UBSAN: shift-out-of-bounds at mm/page_alloc.c:12:3"),
        ),
    ] {
        assert_eq!(only(line), (want.0, want.1.to_owned()));
    }
}

#[test]
fn formats_that_no_debian_kernel_here_prints() {
    for (text, want) in [
        (
            "watchdog: Watchdog detected hard LOCKUP on cpu 2\nRIP: 0010:f+0x1/0x2",
            (Kind::HardLockup, "hard lockup in f"),
        ),
        (
            "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            (Kind::Leak, "suspected memory leaks"),
        ),
        (
            "unregister_netdevice: waiting for eth0 to become free. Usage count = 2",
            (Kind::Leak, "netdevice stays referenced"),
        ),
        (
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
            (Kind::Bug, "workqueue lockup"),
        ),
        (
            "CFI failure at f+0x1/0x2 (target: g+0x0/0x3; expected type: 0x1)",
            (Kind::Oops, "CFI failure in f"),
        ),
        (
            "BUG: spinlock bad magic on CPU#0, sh/101",
            (Kind::Bug, "spinlock bad magic"),
        ),
        (
            "BUG: something new at 0xffff8880041b2a68 of sh/101",
            (Kind::Bug, "BUG: something new at ADDR of sh/N"),
        ),
        (
            "traps: PANIC: double fault, error_code: 0x0\nOops: double fault: 0000 [#1] SMP\nRIP: 0010:f+0x1/0x2",
            (Kind::Oops, "double fault in f"),
        ),
        (
            "invalid opcode: 0000 [#1] PREEMPT SMP\nRIP: 0010:f+0x1/0x2",
            (Kind::Oops, "invalid opcode in f"),
        ),
        (
            "transaction constraint exception: 0018 ilc:2 [#1] SMP",
            (Kind::OtherProgramCheck, "transaction constraint exception"),
        ),
    ] {
        assert_eq!(only(text), (want.0, want.1.to_owned()), "{text}");
    }
}

#[test]
fn before_printk_and_below_the_kernel() {
    let log = b"\r\nLinux version 6.12.0\r\nKernel fault: interruption code 0005 ilc:2\r\nPSW : 0000000180000000 0000000000011234 (setup_vmem+0x10/0x200)\r\n      R:0\r\nCall Trace:\r\n(sp:000000000000bf58 [<000000000001127a>] startup_kernel+0x2ea/0x6b8)\r\n";
    let findings = classify(log);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].kind, Kind::AddressingException);
    assert_eq!(findings[0].title, "addressing exception at startup in setup_vmem");
    assert!(findings[0].fatal && findings[0].lines.len() == 5, "{findings:?}");
    let log =
        b"[    1.000000] x\nHCPGIR450W CP entered; disabled wait PSW 00020001 80000000 00000000 00012345\n";
    assert_eq!(classify(log)[0].kind, Kind::DisabledWait);
    assert!(classify(log)[0].fatal);
}

#[test]
fn two_cpus_at_once() {
    let with_caller = "\
[    1.000001][    T1] ------------[ cut here ]------------
[    1.000002][    T2] BUG: kernel NULL pointer dereference, address: 0000000000000008
[    1.000003][    T1] WARNING: CPU: 0 PID: 1 at mm/a.c:1 a+0x1/0x20
[    1.000004][    T2] Oops: Oops: 0002 [#1] SMP
[    1.000005][    T1] RIP: 0010:a+0x1/0x20
[    1.000006][    T2] RIP: 0010:b+0x1/0x20
[    1.000007][    T1] Call Trace:
[    1.000008][    T2] Call Trace:
[    1.000009][    T1]  a_caller+0x1/0x20
[    1.000010][    T2]  b_caller+0x1/0x20
[    1.000011][    T2] ---[ end trace 0000000000000000 ]---
[    1.000012][    T1] ---[ end trace 0000000000000000 ]---
[    1.000013][    T2] Kernel panic - not syncing: Fatal exception in interrupt
";
    let titles = |log: &str| {
        classify(log.as_bytes())
            .into_iter()
            .map(|finding| finding.title)
            .collect::<Vec<_>>()
    };
    let want = [
        "WARNING at mm/a.c:1 in a",
        "BUG: kernel NULL pointer dereference in b <- b_caller",
        "panic: Fatal exception in interrupt",
    ];
    assert_eq!(titles(with_caller), want);
    let without = with_caller.replace("[    T1]", "").replace("[    T2]", "");
    assert_eq!(titles(&without).len(), 3, "{:?}", titles(&without));
    assert_eq!(titles(&without)[0], "WARNING at mm/a.c:1 in a");
}

#[test]
fn a_report_in_the_middle_of_others_words() {
    let log = b"# echo off[    5.000001] Kernel panic - not syncing: lost\nline > state\n";
    assert_eq!(classify(log)[0].title, "panic: lost");
    assert_eq!(classify(log)[0].offset, 10);
    let log = b"progress 10%\rprogress 20%\r[    5.000001] Kernel panic - not syncing: lost\r\n";
    assert_eq!(classify(log)[0].offset, 26);
    let log = b"[    4.000001] half a li[    5.000001] Kernel panic - not syncing: lost\n";
    assert_eq!(classify(log)[0].offset, 24);
}

#[test]
fn replays_are_one() {
    let log = stamped(
        "------------[ cut here ]------------\nWARNING: CPU: 0 PID: 1 at mm/a.c:1 a+0x1/0x20\nCall Trace:\n---[ end trace 0000000000000000 ]---",
    );
    assert_eq!(classify(log.repeat(3).as_bytes()).len(), 1);
    let later = log.replace("[    1.", "[    2.");
    assert_eq!(classify((log + &later).as_bytes()).len(), 2);
}

#[test]
fn last_words() {
    assert!(is_panic(
        "login: [    1.000000][    C0] Kernel panic - not syncing: x"
    ));
    assert!(is_panic("[    1.0 a prompt # 00000] Kernel panic - not syncing"));
    assert!(is_panic(
        "PANIC: early exception 0x0e IP 10:ffffffff81000000 error 0 cr2 0x0"
    ));
    assert!(!is_panic("[    1.000000] Kernel panic"));
    assert!(!is_panic(
        "[    1.000000] BUG: kernel NULL pointer dereference, address: 0"
    ));
}

#[test]
fn a_log_that_is_cut_off() {
    // at the last byte, and no line end will ever come
    let end = b"[    5.000001] Kernel panic - not syncing";
    assert_eq!(classify(end).len(), 1);
    assert_eq!(classify(&end[..end.len() - 1]), []);
    assert_eq!(
        classify(b"[    5.000001] ------------[ cut here ]------------")[0].title,
        "report cut off"
    );
}

#[test]
fn hostile_bytes() {
    let mut log = Vec::new();
    log.extend_from_slice(
        b"\0\0\xff\xfe[    1.000000] \x1b[31mBUG: KASAN: \xc3\x28]]> in f+0x1/0x20\x1b[0m\0\r\n",
    );
    log.extend(std::iter::repeat_n(b'A', 1 << 20));
    log.extend_from_slice(b"\n[    9.000000] Kernel panic - not syncing: \x1b]0;x\x07]]>\xff\n");
    let findings = classify(&log);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert_eq!(findings[1].title, "panic: ]]>\u{fffd}");
    assert_eq!((findings[0].offset, findings[1].line), (4, 3));
    // a pattern in the middle of a megabyte without line ends is still behind its prefix
    let mut long = vec![b' '; PIECE_MAX * 3];
    long.extend_from_slice(b"[    9.000000] Kernel panic - not syncing: x");
    assert_eq!(classify(&long)[0].offset, PIECE_MAX as u64 * 3);
}

#[test]
fn a_report_ends_when_the_kernel_pauses() {
    let log = "[    1.000000] INFO: task sh:1 blocked for more than 5 seconds.\n[   60.000000] unrelated\n";
    assert_eq!(classify(log.as_bytes())[0].lines.len(), 1);
    let mut log = String::from("[    1.000000] INFO: task sh:1 blocked for more than 5 seconds.\n");
    log.push_str(&"userspace talks\n".repeat(1500));
    log.push_str("[    1.100000] unrelated\n");
    assert_eq!(classify(log.as_bytes())[0].lines.len(), 1);
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"[    1.000000] ".to_vec()),
        Just(b"\n[    2.000000][    T1] ".to_vec()),
        Just(b"\x1b[0m".to_vec()),
        prop::sample::select(vec![
            "Kernel panic - not syncing: ",
            "BUG: ",
            "kernel BUG at mm/a.c:1!",
            "WARNING: CPU: 0 PID: 1 at mm/a.c:1 a+0x1/0x20",
            "------------[ cut here ]------------",
            "---[ end trace 0 ]---",
            "Call Trace:",
            " f+0x1/0x20",
            "addressing exception: 0005 ilc:2 [#1] SMP",
            "Oops: 0004 ilc:3 [#1]",
            "======================",
            "x invoked oom-killer: ",
            "Kernel command line: ",
            "Kernel fault: interruption code 0005 ilc:2",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        (PIECE_MAX - 20..PIECE_MAX + 20).prop_map(|len| vec![b'x'; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_a_log_holds(parts in prop::collection::vec(fragment(), 0..14)) {
        let log = parts.concat();
        in_order(&log, &classify(&log))?;
    }
}

#[test]
fn reports_of_time_say_how_much() {
    let span = |line: &str| {
        let log = format!("[   60.000000] {line}\n");
        let found = classify(log.as_bytes());
        assert_eq!(found.len(), 1, "{line}");
        found[0].span.map(|span| span.as_secs())
    };
    for (line, seconds) in [
        ("rcu: INFO: rcu_preempt self-detected stall on CPU", Some(21)),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", Some(21)),
        (
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:101]",
            Some(26),
        ),
        ("watchdog: Watchdog detected hard LOCKUP on cpu 1", Some(10)),
        (
            "INFO: task kworker/0:1:12 blocked for more than 241 seconds.",
            Some(241),
        ),
        (
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 35s!",
            Some(35),
        ),
        (
            "Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug",
            Some(2),
        ),
        ("Kernel panic - not syncing: hung_task: blocked tasks", Some(120)),
        ("Kernel panic - not syncing: softlockup: hung tasks", Some(21)),
        ("Kernel panic - not syncing: Hard LOCKUP", Some(10)),
        (
            "WARNING: CPU: 0 PID: 0 at net/sched/sch_generic.c:525 dev_watchdog+0x207/0x210",
            Some(21),
        ),
        (
            "WARNING: CPU: 0 PID: 1 at mm/memory_hotplug.c:525 online_pages+0x207/0x210",
            None,
        ),
        ("Kernel panic - not syncing: Attempted to kill init!", None),
        ("BUG: scheduling while atomic: sh/12/0x00000002", None),
    ] {
        assert_eq!(span(line), seconds, "{line}");
    }
}
