// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tasks do, as the kernel shows it to SysRq `t`, `w` and `l`, and as a script prints it from `/proc` in the same form.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    line::{Line, is_end},
    pattern::regex,
    place::{Frame, function, is_generic},
};

/// A task and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name, as `sh`.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// The letter of its state: `D` for blocked, `R` for running, others for waiting of its own will.
    pub state: char,
    /// It is the kernel's own, where that is told.
    pub(crate) kernel: bool,
    /// Ticks of processor time that it had, where that is told.
    pub(crate) ticks: Option<u64>,
    /// Functions that it is in, the innermost first; those that the unwinder doubts are left out.
    pub frames: Vec<String>,
    /// What was printed of it, without printk's prefix.
    pub lines: Vec<String>,
}

/// `sched_show_task()`, Linux 6.1 to 7.2. What memrig's script adds stands behind the number.
static TASK: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^task:(?<name>.+?)\s+state:(?<state>[A-Za-z])\b.*?\bpid:\s*(?<pid>\d+)(?: ticks:(?<ticks>\d+))?(?<kernel> kernel)?",
    )
});

/// The task that a CPU runs, in the trace of SysRq `l`.
static ON_CPU: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^CPU: \d+ (?:UID: \d+ )?PID: (?<pid>\d+) Comm: (?<name>.+?) (?:Not tainted|Tainted|Kdump)")
});

/// Where a processor that has nothing to do, or a task that waits, is; none of them says for what.
static WAITS: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"^(?:default_idle\w*|arch_cpu_idle\w*|(?:pv_)?native_safe_halt|acpi_\w*idle\w*|cpuidle_\w+|do_idle|cpu_startup_entry|psw_idle\w*|enabled_wait|rest_init|start_secondary\w*",
        r"|percpu_rwsem_\w+|do_nanosleep|common_nsleep\w*|do_wait\w*|kernel_wait4|sysrq_\w+|__handle_sysrq|write_sysrq_trigger|serial8250_\w+|uart_\w+|sclp_vt220_\w+)$",
    ))
});

/// Where the kernel came from userspace, or was asked to write a file.
static CALLED: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^(?:entry_SYSCALL\w*|do_syscall_\w+|__do_syscall|system_call|ksys_\w+|vfs_\w+|kernfs_\w+)$")
});

impl Task {
    fn new(name: &str, pid: &str, state: char, line: &str) -> Self {
        Self {
            name: name.to_owned(),
            pid: pid.parse().unwrap_or_default(),
            state,
            kernel: false,
            ticks: None,
            frames: Vec::new(),
            lines: vec![line.to_owned()],
        }
    }

    /// The innermost function that says what it does.
    pub fn place(&self) -> Option<&str> {
        let says = |name: &&String| !is_generic(name) && !WAITS.is_match(name);
        self.frames.iter().find(says).map(String::as_str)
    }

    /// How much it looks like the one that others wait for: the less, the more.
    fn rank(&self) -> u8 {
        let called = !self.kernel && self.frames.iter().any(|name| CALLED.is_match(name));
        match (self.place().is_some(), called, self.state) {
            (false, ..) => 9,
            (_, true, 'D') => 0,
            (_, true, 'R') => 1,
            (_, false, 'D') => 2,
            (_, false, 'R') => 3,
            _ => 8,
        }
    }
}

/// The tasks of a text, in its order.
pub fn tasks(text: &str) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut interrupted = None;
    for raw in text.as_bytes().split(|byte| is_end(*byte)) {
        for line in Line::parse(raw) {
            let text = String::from_utf8_lossy(&line.text);
            let text = text.trim_end();
            if let Some(found) = TASK.captures(text) {
                let state = found["state"].chars().next().unwrap_or('?');
                let mut task = Task::new(&found["name"], &found["pid"], state, text);
                task.kernel = found.name("kernel").is_some();
                task.ticks = found.name("ticks").and_then(|ticks| ticks.as_str().parse().ok());
                tasks.push(task);
            } else if let Some(found) = ON_CPU.captures(text) {
                interrupted = None;
                tasks.push(Task::new(&found["name"], &found["pid"], 'R', text));
            } else if text.starts_with("sysrq: ") {
                // What follows is of no task before it.
                tasks.push(Task::new("", "0", '?', text));
            } else if let Some(task) = tasks.last_mut() {
                if text.trim() == "<TASK>" {
                    // What stands before is of the interrupt that asked, but for the place that it came in at.
                    task.frames = interrupted.take().into_iter().collect();
                }
                if let Some(at) = text.strip_prefix("RIP: 0010:").and_then(function) {
                    task.frames.push(at.clone());
                    interrupted = Some(at);
                } else if let Some(frame) = Frame::parse(text).filter(|frame| frame.sure) {
                    task.frames.push(frame.name);
                }
                task.lines.push(text.to_owned());
            }
        }
    }
    tasks.retain(|task| !task.name.is_empty() && !task.name.starts_with("swapper"));
    tasks
}

/// The task that hangs, of all that a text shows: rather one that is blocked within a system call, and never one that waits for what it wants.
pub fn stuck(text: &str) -> Option<Task> {
    tasks(text)
        .into_iter()
        .filter(|task| task.rank() < 8)
        .min_by_key(Task::rank)
}

/// Whether a function is one of a processor that has nothing to do, or one that only waits.
pub fn is_idle(function: &str) -> bool {
    WAITS.is_match(function)
}

/// Whether a task of userspace is blocked and got nowhere between two looks, while no other runs.
pub fn stands_still(before: &str, after: &str) -> bool {
    let (before, after) = (tasks(before), tasks(after));
    let same = |task: &Task| {
        before
            .iter()
            .any(|old| (old.pid, old.ticks, &old.frames) == (task.pid, task.ticks, &task.frames))
    };
    let users = || after.iter().filter(|task| !task.kernel);
    users().any(|task| task.state == 'D' && same(task)) && !users().any(|task| task.state == 'R')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocked_writer_is_found_among_others() {
        let log = include_str!("../../tests/corpus/klog/sysrq_t-6.12-amd64.txt");
        let all = tasks(log);
        assert!(
            all.iter().any(|task| task.name == "kthreadd" && task.pid == 2),
            "{all:#?}"
        );
        assert_eq!(stuck("[    1.000000] nothing of a task\n"), None);
        let blocked = "[    9.000000] sysrq: Show Blocked State\n\
            [    9.000001] task:kworker/0:1     state:D stack:0     pid:9     tgid:9     ppid:2      flags:0x00004000\n\
            [    9.000002] Call Trace:\n[    9.000003]  <TASK>\n[    9.000004]  __schedule+0x505/0xc00\n\
            [    9.000005]  acpi_scan_lock_acquire+0x5/0x20\n[    9.000006]  </TASK>\n\
            [    9.000007] task:memrig-line     state:D stack:0     pid:140   tgid:140   ppid:97     flags:0x00000002\n\
            [    9.000008] Call Trace:\n[    9.000009]  <TASK>\n[    9.000010]  __schedule+0x505/0xc00\n\
            [    9.000011]  schedule+0x27/0xc0\n[    9.000012]  percpu_rwsem_wait+0x11b/0x140\n\
            [    9.000013]  ? __pfx_percpu_rwsem_wake_function+0x10/0x10\n[    9.000014]  mem_hotplug_begin+0x1e/0x30\n\
            [    9.000015]  memory_subsys_online+0x30/0x40\n[    9.000016]  kernfs_fop_write_iter+0x14d/0x200\n\
            [    9.000017]  do_syscall_64+0x87/0x1b0\n[    9.000018]  </TASK>\n";
        let task = stuck(blocked).unwrap();
        assert_eq!((task.pid, task.place()), (140, Some("mem_hotplug_begin")));
        assert!(
            task.lines
                .iter()
                .any(|line| line.contains("memory_subsys_online"))
        );
    }

    #[test]
    fn a_processor_that_idles_is_no_task_that_hangs() {
        let idle = "[    3.100000] sysrq: Show backtrace of all active CPUs\n[    3.200000] NMI backtrace for cpu 0\n\
            [    3.200000] CPU: 0 UID: 0 PID: 0 Comm: swapper/0 Not tainted 6.12.107+deb13-amd64 #1\n\
            [    3.200000] RIP: 0010:pv_native_safe_halt+0xf/0x20\n[    3.300000] Call Trace:\n[    3.300000]  <TASK>\n\
            [    3.300000]  default_idle+0x9/0x20\n[    3.300000]  do_idle+0x1f0/0x230\n[    3.300000]  </TASK>\n";
        assert_eq!(stuck(idle), None);
        let busy = idle
            .replace("PID: 0 Comm: swapper/0", "PID: 77 Comm: sh")
            .replace(
                "default_idle+0x9/0x20",
                "asm_common_interrupt+0x26/0x40\n[    3.300000] RIP: 0010:isolate_migratepages+0x4/0x90",
            );
        assert_eq!(stuck(&busy).unwrap().place(), Some("isolate_migratepages"));
    }

    #[test]
    fn a_writer_that_spins_is_where_the_interrupt_found_it() {
        let told = "[    9.000000] Kernel panic - not syncing: NMI: Not continuing\n\
            [    9.000001] CPU: 0 UID: 0 PID: 85 Comm: memrig-line Not tainted 6.12.117 #1 \n[    9.000002] Call Trace:\n\
            [    9.000003]  <NMI>\n[    9.000004]  exc_nmi+0xe4/0x100\n[    9.000005]  end_repeat_nmi+0xf/0x18\n\
            [    9.000006] RIP: 0010:state_store+0x6a/0xc0\n[    9.000007]  ? state_store+0x6a/0xc0\n\
            [    9.000008]  </NMI>\n[    9.000009]  <TASK>\n[    9.000010]  dev_attr_store+0x14/0x20\n\
            [    9.000011]  ksys_write+0x64/0xe0\n[    9.000012]  do_syscall_64+0x4c/0x100\n[    9.000013]  </TASK>\n";
        let task = stuck(told).unwrap();
        assert_eq!((task.pid, task.place()), (85, Some("state_store")));
    }

    #[test]
    fn what_proc_tells_reads_alike_and_who_moves_does_not_stand_still() {
        let look = |state: &str, ticks: u32, within: &str| {
            format!(
                "task:kworker/u2:1 state:D pid:12 ticks:3 kernel\n[<0>] msleep+0x2d/0x40\n\
                 task:memrig-line state:{state} pid:131 ticks:{ticks}\n[<0>] {within}+0x1b/0x40\n[<0>] do_offline+0x7/0x9\n\
                 [<0>] ksys_write+0x6d/0xf0\n"
            )
        };
        let blocked = look("D", 7, "msleep");
        assert_eq!(stuck(&blocked).unwrap().place(), Some("do_offline"));
        assert!(stands_still(&blocked, &blocked));
        for moved in [
            look("D", 8, "msleep"),
            look("R", 7, "msleep"),
            look("S", 7, "msleep"),
            look("D", 7, "other"),
        ] {
            assert!(!stands_still(&blocked, &moved), "{moved}");
        }
    }
}
