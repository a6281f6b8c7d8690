// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which lines begin a report.
//!
//! All patterns match at the start of the text behind printk's prefix: in the middle of a line the same words are an echo of the command line,
//! `ODEBUG:`, or somebody's documentation. Texts are those of Linux 6.1 to 7.2.

use std::sync::LazyLock;

use regex::{Captures, Regex, RegexSet, bytes};

use super::{Kind, pattern};

/// What begins a report, and how to read it.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    /// The title's beginning; `{name}` stands for the pattern's group of that name.
    pub(super) head: &'static str,
    /// May have groups `func` (where it happened) and `file` (`file:line`).
    pub(super) pattern: &'static str,
    /// The kernel does not go on.
    pub(super) fatal: bool,
    /// Printed by `die()`: belongs to the report before it, if that waits for one.
    pub(super) dies: bool,
    /// A line of `die()` will follow.
    pub(super) then_dies: bool,
    /// The title names the caller, too: the place itself may be as common as a list walk.
    pub(super) caller: bool,
    /// The title names the place.
    pub(super) placed: bool,
    /// Ends with `---[ end trace`.
    pub(super) marked: bool,
    /// Also without printk's prefix: printed before printk is up, or by the hypervisor.
    pub(super) bare: bool,
    /// Only right below a line of `=`.
    pub(super) banner: bool,
    /// May stand below `------------[ cut here ]------------`.
    pub(super) cut: bool,
    /// Says that something did not happen for so many seconds, where the pattern's group `secs` does not say for how many.
    pub(super) span: Option<u64>,
}

const fn rule(kind: Kind, head: &'static str, pattern: &'static str) -> Rule {
    Rule {
        kind,
        head,
        pattern,
        fatal: false,
        dies: false,
        then_dies: false,
        caller: false,
        placed: true,
        marked: false,
        bare: false,
        banner: false,
        cut: false,
        span: None,
    }
}

impl Rule {
    const fn fatal(self) -> Self {
        Self { fatal: true, ..self }
    }
    const fn dies(self) -> Self {
        Self {
            dies: true,
            caller: true,
            marked: true,
            ..self
        }
    }
    const fn then_dies(self) -> Self {
        Self {
            then_dies: true,
            marked: true,
            ..self
        }
    }
    const fn caller(self) -> Self {
        Self { caller: true, ..self }
    }
    const fn unplaced(self) -> Self {
        Self {
            placed: false,
            ..self
        }
    }
    const fn marked(self) -> Self {
        Self { marked: true, ..self }
    }
    const fn bare(self) -> Self {
        Self { bare: true, ..self }
    }
    const fn cut(self) -> Self {
        Self {
            cut: true,
            marked: true,
            ..self
        }
    }
    const fn over(self, seconds: u64) -> Self {
        Self {
            span: Some(seconds),
            ..self
        }
    }
    const fn banner(self) -> Self {
        Self { banner: true, ..self }
    }
}

use Kind::{
    AddressingException, BadPage, Bug, DisabledWait, HardLockup, HungTask, IllegalOperation, Kasan, Kcsan,
    Kfence, Kmsan, Leak, Lockdep, Oom, Oops, OtherProgramCheck, PageAllocFailure, Panic, RcuStall,
    SlabCorruption, SoftLockup, SpecificationException, Ubsan, Warning,
};

/// The first that matches counts.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    // what the kernel makes of time that went by: check_timer() of arch/x86, kernel/hung_task.c, watchdog.c, workqueue.c, rcu/tree_stall.h
    rule(Panic, "panic: {what}", r"^Kernel panic - not syncing: (?<what>(?:IO-APIC \+ timer|timer) doesn't work.*)").fatal().unplaced().over(2),
    rule(Panic, "panic: {what}", r"^Kernel panic - not syncing: (?<what>hung_task: blocked tasks.*)").fatal().unplaced().over(120),
    rule(Panic, "panic: {what}", r"^Kernel panic - not syncing: (?<what>softlockup: hung tasks.*|RCU Stall.*|workqueue: .*\bstall.*)").fatal().unplaced().over(21),
    rule(Panic, "panic: {what}", r"^Kernel panic - not syncing: (?<what>(?:Watchdog detected )?[Hh]ard LOCKUP.*)").fatal().unplaced().over(10),
    rule(Panic, "panic: {what}", r"^Kernel panic - not syncing: (?<what>.+)").fatal().unplaced(),
    rule(Panic, "panic", r"^Kernel panic - not syncing").fatal().unplaced(),
    // s390: startup code of the image (arch/s390/boot/pgm_check*.c), and what hypervisors say
    rule(AddressingException, "addressing exception at startup", r"^Kernel fault: interruption code 0005\b").fatal().bare(),
    rule(SpecificationException, "specification exception at startup", r"^Kernel fault: interruption code 0006\b").fatal().bare(),
    rule(IllegalOperation, "illegal operation at startup", r"^Kernel fault: interruption code 0001\b").fatal().bare(),
    rule(OtherProgramCheck, "program interruption {code} at startup", r"^Kernel fault: interruption code (?<code>[0-9a-f]{4})\b").fatal().bare(),
    rule(DisabledWait, "disabled wait", r"^(?:HCP\w+ )?CP entered; disabled wait PSW\b").fatal().bare().unplaced(),
    rule(DisabledWait, "{what}", r"^Guest crashed on cpu \d+: (?<what>disabled-wait|extint-loop|pgmint-loop|opint-loop)").fatal().bare().unplaced(),

    // sanitizers
    rule(Kasan, "KASAN: {what}", r"^BUG: KASAN: (?<what>.+?) in (?<func>\S+)"),
    rule(Kasan, "KASAN: {what}", r"^BUG: KASAN: (?<what>.+)"),
    rule(Kmsan, "KMSAN: {what}", r"^BUG: KMSAN: (?<what>.+?) in (?<func>\S+)"),
    rule(Kcsan, "KCSAN: {what} in {pair}", r"^BUG: KCSAN: (?<what>.+?) in (?<pair>.+)").unplaced(),
    rule(Kcsan, "KCSAN: {what}", r"^BUG: KCSAN: (?<what>.+)"),
    rule(Kfence, "KFENCE: {what}", r"^BUG: KFENCE: (?<what>.+?) in (?<func>\S+)"),
    rule(Ubsan, "UBSAN: {what}", r"^UBSAN: (?<what>.+?) in (?<file>\S+)").cut(),

    // struct page, page tables, slabs
    rule(BadPage, "{what}", r"^BUG: (?<what>Bad page (?:state|map|cache)\b)"),
    rule(BadPage, "{what}", r"^BUG: (?<what>Bad rss-counter state|non-zero pgtables_bytes on freeing mm|Bad pagetable)").unplaced(),
    rule(SlabCorruption, "slab {=cache}: {what}", r"^BUG (?<cache>\S+) \(.*?\): (?<what>.+)").marked(),

    // lockups
    rule(SoftLockup, "soft lockup", r"^(?:watchdog: |NMI watchdog: )?BUG: soft lockup\b(?:.* stuck for (?<secs>\d+)s)?").over(21),
    rule(HardLockup, "hard lockup", r"^(?:NMI )?(?:watchdog: )?(?:CPU\d+: )?Watchdog detected hard LOCKUP on cpu").over(10),
    rule(RcuStall, "{what} stall", r"^(?:rcu: )?INFO: (?<what>rcu\w*) (?:self-)?detected (?:expedited )?stalls?\b").over(21),
    rule(HungTask, "hung task", r"^INFO: task .+ blocked\b.* for more than (?<secs>\d+) seconds").over(120),
    rule(Bug, "workqueue lockup", r"^BUG: workqueue lockup\b(?:.* stuck for (?<secs>\d+)s)?").unplaced().over(30),

    // lockdep
    rule(Lockdep, "lockdep: {what}", r"^WARNING: (?<what>possible (?:circular|recursive) locking|possible irq lock inversion|inconsistent lock state|\S+-safe -> \S+-unsafe lock order|suspicious RCU usage|bad unlock balance|bad contention|held lock freed|lock held when returning to user space|Nested lock was not taken)"),
    rule(Lockdep, "lockdep: {what}", r"^(?:\[ )?BUG: (?<what>Invalid wait context|MAX_\w+ too low|looking up invalid subclass|key \S+ (?:not in|has not been)|held lock freed|bad unlock balance|bad contention)"),
    rule(Lockdep, "lockdep: non-static key", r"^INFO: trying to register non-static key"),

    // warnings; the first are about time: a grace period that does not begin, clocks that differ, a network card that does not send
    rule(Warning, "WARNING", r"^WARNING: CPU: \d+ PID: \d+ at (?<file>(?:\./)?(?:kernel/rcu/tree_stall\.h|kernel/time/clocksource\.c|net/sched/sch_generic\.c):\d+)(?: (?<func>\S+))?").cut().over(21),
    rule(Warning, "WARNING", r"^WARNING: (?<file>(?:\./)?(?:kernel/rcu/tree_stall\.h|kernel/time/clocksource\.c|net/sched/sch_generic\.c):\d+) at (?<func>[^\s,]+)").cut().over(21),
    rule(Warning, "WARNING", r"^WARNING: CPU: \d+ PID: \d+ at (?<file>\S+)(?: (?<func>\S+))?").cut(),
    rule(Warning, "WARNING", r"^WARNING: (?<file>\S+:\d+) at (?<func>[^\s,]+)").cut(),
    rule(Warning, "WARNING: {what}", r"^WARNING: (?<what>.+)").banner(),

    // faults that announce themselves before die()
    rule(Bug, "kernel BUG", r"^[kK]ernel BUG at (?<file>[^\s!]+:\d+)").then_dies().cut(),
    rule(Bug, "kernel BUG", r"^[kK]ernel BUG at ").then_dies().cut(),
    rule(Oops, "BUG: {what}", r"^BUG: (?<what>kernel NULL pointer dereference|unable to handle (?:kernel )?(?:page fault|paging request|NULL pointer dereference))").then_dies().caller(),
    rule(Oops, "stack overflow", r"^BUG: .*\bstack guard page was hit\b").then_dies(),
    rule(Oops, "unable to handle kernel {what}", r"^Unable to handle kernel (?<what>(?:NULL )?pointer dereference|paging request|access|.+)").then_dies().caller(),
    rule(Oops, "double fault", r"^(?:traps: )?PANIC: double fault\b").then_dies().caller(),
    rule(Oops, "kernel stack overflow", r"^Kernel stack overflow\b").marked(),
    rule(Oops, "CFI failure", r"^CFI failure at (?<func>\S+)").then_dies().cut(),

    // die() itself
    rule(AddressingException, "addressing exception", r"^addressing exception: [0-9a-f]{4} ilc:\d").dies(),
    rule(SpecificationException, "specification exception", r"^specification exception: [0-9a-f]{4} ilc:\d").dies(),
    rule(IllegalOperation, "{what}", r"^(?<what>illegal operation|operation exception): [0-9a-f]{4} ilc:\d").dies(),
    rule(Bug, "kernel BUG", r"^monitor event: [0-9a-f]{4} ilc:\d").dies(),
    rule(Oops, "Oops", r"^Oops: [0-9a-f]{4} ilc:\d").dies(),
    rule(OtherProgramCheck, "{what}", r"^(?<what>[A-Za-z][\w ,/-]{2,48}): [0-9a-f]{4} ilc:\d \[#\d+\]").dies(),
    rule(Oops, "{what}", r"^(?:Oops: )?(?<what>general protection fault|stack segment|divide error|invalid opcode|int3|bounds|double fault|alignment check|segment not present|invalid TSS|coprocessor segment overrun|stack guard page|control protection|overflow)\b.*: [0-9a-f]{4} \[#\d+\]").dies(),
    rule(Oops, "{what}", r"^(?<what>general protection fault|stack segment|divide error|invalid opcode|int3): ").dies(),
    rule(Oops, "Oops", r"^Oops(?:: | - )").dies(),

    // the rest of BUG:
    rule(Bug, "{what}", r"^BUG: (?<what>sleeping function called from invalid context|scheduling while atomic|using \S+ in preemptible|spinlock \w+(?: \w+)?|rwlock \w+(?: \w+)?)"),
    rule(Bug, "BUG: {what}", r"^BUG: (?<what>.+)"),
    rule(Bug, "rust panic", r"^rust_kernel: panicked at ").then_dies(),
    rule(Bug, "VFS: close of a file with count 0", r"^VFS: Close: file count is (?:0|zero)").unplaced(),

    // memory ran out
    rule(Oom, "oom-killer invoked by {task}", r"^(?<task>.+?) invoked oom-killer: ").unplaced(),
    rule(Oom, "out of memory: {task} killed", r"^(?:Memory cgroup o|O)ut of memory\b.*?: Killed process \d+ \((?<task>.+?)\)").unplaced(),
    rule(PageAllocFailure, "page allocation failure of order {=order}", r"^.+?: page allocation failure: order:(?<order>\d+)"),

    // what stays behind
    rule(Leak, "suspected memory leaks", r"^kmemleak: \d+ new suspected memory leaks").unplaced(),
    rule(Leak, "unreferenced object", r"^(?:kmemleak: )?unreferenced object 0x"),
    rule(Leak, "leaked reference", r"^ref_tracker: (?:\S+ )?(?:has \d+/\d+ users|leaked reference)"),
    rule(Leak, "netdevice stays referenced", r"^unregister_netdevice: waiting for \S+ to become free").unplaced(),
    rule(Leak, "busy inodes after unmount", r"^VFS: Busy inodes after unmount").unplaced(),
];

/// Every line that begins a report holds one of these, and so do the few others that the classifier must see while no report is open.
pub(super) static PREFILTER: LazyLock<bytes::Regex> = LazyLock::new(|| {
    let literals = [
        "BUG",
        "WARNING: ",
        "INFO: ",
        "Kernel panic",
        "interruption code",
        "disabled wait PSW",
        "Guest crashed",
        "UBSAN: ",
        "hard LOCKUP",
        "Unable to handle kernel",
        "double fault",
        "Kernel stack overflow",
        "CFI failure",
        " ilc:",
        "general protection",
        "stack segment",
        "divide error",
        "invalid opcode",
        "int3: ",
        "[#",
        "Oops",
        "panicked at",
        "VFS: ",
        "oom-killer: ",
        "ut of memory",
        "page allocation failure",
        "kmemleak: ",
        "unreferenced object",
        "ref_tracker: ",
        "unregister_netdevice",
        "[ cut here ]",
        "=========",
        "Linux version ",
        "Kernel command line: ",
    ];
    let escaped: Vec<String> = literals.iter().map(|literal| regex::escape(literal)).collect();
    bytes::Regex::new(&format!("(?-u){}", escaped.join("|"))).expect("constant literals")
});

static SET: LazyLock<RegexSet> = LazyLock::new(|| pattern::set(RULES.iter().map(|rule| rule.pattern)));

static EACH: LazyLock<Vec<Regex>> =
    LazyLock::new(|| RULES.iter().map(|rule| pattern::regex(rule.pattern)).collect());

/// The rule that a text meets. `banner`: the line before was one of `=`.
pub(super) fn find(text: &str, banner: bool) -> Option<(&'static Rule, Captures<'_>)> {
    if !PREFILTER.is_match(text.as_bytes()) {
        return None;
    }
    let index = SET
        .matches(text)
        .into_iter()
        .find(|index| banner || !RULES[*index].banner)?;
    Some((&RULES[index], EACH[index].captures(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_head_names_groups_of_its_pattern() {
        for (rule, pattern) in RULES.iter().zip(EACH.iter()) {
            for name in rule
                .head
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split('}').next())
            {
                let name = name.trim_start_matches('=');
                assert!(
                    pattern.capture_names().flatten().any(|group| group == name),
                    "{}: {name}",
                    rule.head
                );
            }
            assert!(rule.pattern.starts_with('^'), "{}", rule.pattern);
        }
    }
}
