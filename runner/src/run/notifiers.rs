// SPDX-License-Identifier: MIT OR Apache-2.0
//! The notifications of the memory notifier chain, as a kprobe sees them.
//!
//! The chain is called by `blocking_notifier_call_chain(&memory_chain, action, …)` (drivers/base/memory.c, 6.1 to 7.3). The
//! numbers of the actions are bit flags up to 6.12.107 and an enumeration from 6.12.110 and in 7.x (include/linux/memory.h);
//! an enumeration has names in the kernel's BTF, and the flags, being macros, have none. A kernel that sends MEM_PREPARE_ONLINE has
//! a field `altmap_start_pfn` in `struct memory_notify` (6.9 to 6.18).

use crate::suite::Notifier;

/// Installs the probe and prints where the chain is, `flags` or `enum` for how the kernel numbers notifications, and `yes` or `no` for
/// whether it has MEM_PREPARE_ONLINE. Ends with 3 where the kernel cannot do it.
///
/// Finding that out takes seconds in a guest that is translated. What was printed before goes in as `known`, see [`arm`]; and where it was
/// done in the guest that this one is a clone of, the answer is in a file.
const ARM: &str = r#"
said=/run/notifiers
if [ -e $said ]; then
    cat $said
    [ -s $said ] || exit 3
    exit 0
fi
: > $said
[ -e /sys/kernel/tracing/kprobe_events ] || mount -t tracefs tracefs /sys/kernel/tracing || exit 3
cd /sys/kernel/tracing || exit 3
[ -w kprobe_events ] || exit 3
set -- $known
if [ $# != 3 ]; then
    chain=$(awk '$3 == "memory_chain" { print $1; exit }' /proc/kallsyms)
    [ -n "$chain" ] && [ -r /sys/kernel/btf/vmlinux ] || exit 3
    numbers=flags
    prepares=no
    grep -q MEM_GOING_OFFLINE /sys/kernel/btf/vmlinux && numbers=enum
    grep -q altmap_start_pfn /sys/kernel/btf/vmlinux && prepares=yes
    set -- $chain $numbers $prepares
fi
echo 'p:memrig/notify blocking_notifier_call_chain chain=$arg1:x64 action=$arg2:u64' >> kprobe_events || exit 3
echo "chain == 0x$1" > events/memrig/notify/filter || exit 3
echo 1 > events/memrig/notify/enable || exit 3
echo > trace
echo "$@" > $said
cat $said
"#;

/// The script that installs the probe and prints what [`Armed::parse`] reads. `known` is what it printed in another guest with the same
/// kernel at the same place in memory, or nothing.
pub(super) fn arm(known: &str) -> String {
    format!("known='{known}'{ARM}")
}

/// Empties the trace.
pub(super) const CLEAR: &str = "echo > /sys/kernel/tracing/trace";

/// Prints the trace.
pub(super) const READ: &str = "cat /sys/kernel/tracing/trace";

/// How a kernel numbers its notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Bit flags.
    Flags,
    /// An enumeration from 0.
    Enum,
}

/// A kernel whose notifications can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Armed {
    /// How it numbers them.
    pub(super) numbers: Numbers,
    /// Whether it sends MEM_PREPARE_ONLINE and MEM_FINISH_OFFLINE.
    pub(super) prepares: bool,
}

impl Armed {
    /// Reads what the script of [`arm`] printed.
    pub(super) fn parse(output: &str) -> Option<Self> {
        let words: Vec<&str> = output.split_whitespace().collect();
        let [_, numbers, prepares] = words.as_slice() else {
            return None;
        };
        Some(Self {
            numbers: match *numbers {
                "flags" => Numbers::Flags,
                "enum" => Numbers::Enum,
                _ => return None,
            },
            prepares: *prepares == "yes",
        })
    }
}

impl Numbers {
    fn name(self, number: u64) -> Option<Notifier> {
        use Notifier::{
            CancelOffline, CancelOnline, FinishOffline, GoingOffline, GoingOnline, Offline, Online,
            PrepareOnline,
        };
        // The order of the bits, and of the enumeration, which is the same.
        const ORDER: [Notifier; 8] = [
            Online,
            GoingOffline,
            Offline,
            GoingOnline,
            CancelOnline,
            CancelOffline,
            PrepareOnline,
            FinishOffline,
        ];
        let index = match self {
            Self::Flags if number.is_power_of_two() => number.trailing_zeros() as usize,
            Self::Flags => return None,
            Self::Enum => usize::try_from(number).ok()?,
        };
        ORDER.get(index).copied()
    }

    /// Reads a trace: the notifications in their order, or the number that stands for none.
    pub(super) fn read(self, trace: &str) -> Result<Vec<Notifier>, u64> {
        trace
            .lines()
            .filter(|line| line.contains(" notify: "))
            .filter_map(|line| {
                line.rsplit_once("action=")?
                    .1
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .map(|number| self.name(number).ok_or(number))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
# tracer: nop
          <...>-171     [000] .....    12.3: notify: (blocking_notifier_call_chain+0x0/0x80) chain=0xffff action=64
          <...>-171     [000] .....    12.4: notify: (blocking_notifier_call_chain+0x0/0x80) chain=0xffff action=8
          <...>-171     [000] .....    12.5: notify: (blocking_notifier_call_chain+0x0/0x80) chain=0xffff action=1
";

    #[test]
    fn flags_and_enumeration_name_the_same_notifications() {
        let online = [Notifier::PrepareOnline, Notifier::GoingOnline, Notifier::Online];
        assert_eq!(Numbers::Flags.read(TRACE).unwrap(), online);
        let renumbered = TRACE
            .replace("=64", "=6")
            .replace("=8", "=3")
            .replace("action=1", "action=0");
        assert_eq!(Numbers::Enum.read(&renumbered).unwrap(), online);
        assert_eq!(Numbers::Flags.read(&renumbered), Err(6));
        assert_eq!(Numbers::Enum.read(TRACE), Err(64));
    }

    #[test]
    fn the_kernel_says_how_it_numbers() {
        let armed = |numbers, prepares| Some(Armed { numbers, prepares });
        assert_eq!(
            Armed::parse("ffffffff8322 enum no\n"),
            armed(Numbers::Enum, false)
        );
        assert_eq!(Armed::parse("1a2b flags yes\n"), armed(Numbers::Flags, true));
        assert_eq!(Armed::parse("grep: no such file"), None);
        assert_eq!(Armed::parse(""), None);
    }
}
