// SPDX-License-Identifier: MIT OR Apache-2.0
//! The notifications of the memory notifier chain, as a kprobe sees them.
//!
//! The chain is called by `blocking_notifier_call_chain(&memory_chain, action, …)` in `memory_notify()` (drivers/base/memory.c, 6.1 to
//! 7.3). Other chains are called by the same function. A kernel without KALLSYMS_ALL (Debian's 6.1 for s390x) does not say where
//! `memory_chain` is: there a second probe sees `memory_notify()`, and the chain that is called next is the one. It could not stand alone,
//! since the compiler may put it into functions of the same file, and does not into those of mm/memory_hotplug.c. The
//! numbers of the actions are bit flags up to 6.12.107 and an enumeration from 6.12.110 and in 7.x (include/linux/memory.h);
//! an enumeration has names in the kernel's BTF, and the flags, being macros, have none. A kernel that sends MEM_PREPARE_ONLINE has
//! a field `altmap_start_pfn` in `struct memory_notify` (6.9 to 6.18). A kernel without BTF shows both by what it sends: the first number, and
//! where in that structure the range of pages is.

use super::protocol::Sent;
use memory::BlockId;
use suite::Notifier;

/// Installs the probe and prints where the chain is (`unknown` without KALLSYMS_ALL), `flags` or `enum` for how the kernel numbers notifications, and `yes` or `no` for
/// whether it has MEM_PREPARE_ONLINE; `unknown` twice on a kernel without BTF. Ends with 3 where the kernel cannot do it.
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
    numbers=unknown
    prepares=unknown
    if [ -r /sys/kernel/btf/vmlinux ]; then
        numbers=flags
        prepares=no
        grep -q MEM_GOING_OFFLINE /sys/kernel/btf/vmlinux && numbers=enum
        grep -q altmap_start_pfn /sys/kernel/btf/vmlinux && prepares=yes
    fi
    set -- ${chain:-unknown} $numbers $prepares
fi
echo 'p:memrig/notify blocking_notifier_call_chain chain=$arg1:x64 action=$arg2:u64 a=+0($arg3):u64 b=+8($arg3):u64 c=+16($arg3):u64 d=+24($arg3):u64' >> kprobe_events || exit 3
if [ $1 = unknown ]; then
    echo 'p:memrig/memory memory_notify' >> kprobe_events || exit 3
    echo 1 > events/memrig/memory/enable || exit 3
else
    echo "chain == 0x$1" > events/memrig/notify/filter || exit 3
fi
echo 1 > events/memrig/notify/enable || exit 3
echo > trace
echo "$@" > $said
cat $said
"#;

/// The script that installs the probe and prints what [`Armed::parse`] reads. `known` is what it printed in another guest with the same
/// kernel at the same place in memory, or nothing.
pub(crate) fn arm(known: &str) -> String {
    format!("known='{known}'{ARM}")
}

/// Whether a kernel sends MEM_PREPARE_ONLINE, by a notification that it sent; `None` where none tells. `block` is the pages of a block.
///
/// `struct memory_notify` begins with `start_pfn` and `nr_pages`; of 6.9 to 6.18 with `altmap_start_pfn` and `altmap_nr_pages`, and these follow
/// (include/linux/memory.h). The range is a block's, or what its memmap leaves of it, so that it ends where a block ends. The fields
/// for the altmap do not, and are not even set in every notification.
pub(super) fn prepares(trace: &str, block: u64) -> Option<bool> {
    let is_range = |line: &str, prepares: bool| range(line, block, prepares).is_some();
    notified(trace)
        .filter_map(|line| match (is_range(line, false), is_range(line, true)) {
            (true, false) => Some(false),
            (false, true) => Some(true),
            _ => None,
        })
        .next()
}

fn notified(trace: &str) -> impl Iterator<Item = &str> {
    trace.lines().filter(|line| line.contains(" notify: "))
}

/// The block that a notification is about, where its range is that of one.
fn range(line: &str, block: u64, prepares: bool) -> Option<BlockId> {
    let field = |name: &str| -> Option<u64> {
        let (_, after) = line.split_once(&format!(" {name}="))?;
        after.split_whitespace().next()?.parse().ok()
    };
    let [start, pages] = if prepares { ["c", "d"] } else { ["a", "b"] };
    let (start, pages) = (field(start)?, field(pages)?);
    let end = start.checked_add(pages)?;
    let is_a_blocks = (block / 2 + 1..=block).contains(&pages) && end.is_multiple_of(block);
    is_a_blocks.then(|| BlockId(end / block - 1))
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

/// How the notifications of the memory chain are told from those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    /// The trace has no others.
    Alone,
    /// By its address, once `memory_notify()` was seen to call it.
    At(Option<u64>),
}

/// A kernel whose notifications can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Armed {
    /// What of a trace is about memory.
    pub(super) chain: Chain,
    /// How it numbers them; `None` while that is not known.
    pub(super) numbers: Option<Numbers>,
    /// Whether it sends MEM_PREPARE_ONLINE and MEM_FINISH_OFFLINE; `None` where that is not known.
    pub(super) prepares: Option<bool>,
}

impl Armed {
    /// Reads what the script of [`arm`] printed.
    pub(super) fn parse(output: &str) -> Option<Self> {
        let words: Vec<&str> = output.split_whitespace().collect();
        let [chain, numbers, prepares] = words.as_slice() else {
            return None;
        };
        Some(Self {
            chain: match *chain {
                "unknown" => Chain::At(None),
                _ => Chain::Alone,
            },
            numbers: match *numbers {
                "flags" => Some(Numbers::Flags),
                "enum" => Some(Numbers::Enum),
                "unknown" => None,
                _ => return None,
            },
            prepares: match *prepares {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
        })
    }
}

impl Chain {
    /// The lines of a trace that are notifications of the memory chain. Remembers where that is. Until it is known, a notification that
    /// `memory_notify()` does not show is missed: that of a MEM_PREPARE_ONLINE that is refused before anything else was sent.
    pub(super) fn of(&mut self, trace: &str) -> String {
        let Self::At(address) = self else {
            return trace.to_owned();
        };
        *address = address.or_else(|| called_by_memory(trace));
        let ours = |line: &&str| address.is_some() && chain_of(line) == *address;
        trace
            .lines()
            .filter(ours)
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

/// The chain that a task calls next after `memory_notify()`.
fn called_by_memory(trace: &str) -> Option<u64> {
    // What stands before the processor: `comm-pid`.
    let task = |line: &str| line.split_once(" [").map(|(task, _)| task.trim().to_owned());
    let (at, memory) = trace
        .lines()
        .enumerate()
        .find(|(_, line)| line.contains(" memory: "))?;
    let next = |line: &&str| task(line) == task(memory) && chain_of(line).is_some();
    trace.lines().skip(at).find(next).and_then(chain_of)
}

/// The chain of a notification.
fn chain_of(line: &str) -> Option<u64> {
    let (_, after) = line.split_once(" notify: ")?;
    let (_, address) = after.split_once("chain=0x")?;
    u64::from_str_radix(address.split_whitespace().next()?, 16).ok()
}

impl Numbers {
    /// Tells by the first notification that a guest ever sends: an operation begins with MEM_GOING_ONLINE, MEM_GOING_OFFLINE or
    /// MEM_PREPARE_ONLINE, and no number stands for one of them both ways. `None` for a trace without notifications.
    pub(super) fn of_first(trace: &str) -> Option<Self> {
        let begins = |numbers: &Self| {
            let first = actions(trace).next().and_then(|number| numbers.name(number));
            matches!(
                first,
                Some(Notifier::GoingOnline | Notifier::GoingOffline | Notifier::PrepareOnline)
            )
        };
        [Self::Flags, Self::Enum].into_iter().find(begins)
    }

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

    /// Reads a trace: the notifications in their order, each with its block, of so many pages; or the line that is about none.
    pub(super) fn sent(self, trace: &str, block: u64, prepares: bool) -> Result<Vec<Sent>, &str> {
        notified(trace)
            .map(|line| {
                let what = actions(line).next().and_then(|number| self.name(number));
                range(line, block, prepares).zip(what).ok_or(line)
            })
            .collect()
    }

    /// Reads a trace: the notifications in their order, or the number that stands for none.
    pub(super) fn read(self, trace: &str) -> Result<Vec<Notifier>, u64> {
        actions(trace)
            .map(|number| self.name(number).ok_or(number))
            .collect()
    }
}

/// The numbers in a trace, in their order.
pub(super) fn actions(trace: &str) -> impl Iterator<Item = u64> {
    notified(trace).filter_map(|line| {
        line.rsplit_once("action=")?
            .1
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
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
    fn the_first_notification_tells_how_all_are_numbered() {
        let trace = |numbers: &[u64]| -> String {
            let line = |n: &u64| format!(" x-1 [000] 1.0: notify: (f+0x0/0x80) chain=0x1 action={n}\n");
            numbers.iter().map(line).collect()
        };
        // Online with and without a preparation, and offline, both ways.
        for flags in [&[64, 8, 1][..], &[8, 1], &[8, 16], &[2, 4]] {
            assert_eq!(
                Numbers::of_first(&trace(flags)),
                Some(Numbers::Flags),
                "{flags:?}"
            );
        }
        for enumeration in [&[6, 3, 0][..], &[3, 0], &[3, 4], &[1, 2]] {
            let seen = Numbers::of_first(&trace(enumeration));
            assert_eq!(seen, Some(Numbers::Enum), "{enumeration:?}");
        }
        assert_eq!(Numbers::of_first("# tracer: nop\n"), None);
    }

    #[test]
    fn where_the_range_is_tells_whether_a_kernel_prepares() {
        let line = |words: [&str; 4]| {
            let [a, b, c, d] = words;
            format!(" x-1 [000] 1.0: notify: (f+0x0/0x80) chain=0x1 action=8 a={a} b={b} c={c} d={d}\n")
        };
        let told = |words| prepares(&line(words), 32768);
        // Block 32, without and with a memmap of its own; -1 twice is no node whose state changes.
        let nodes = "18446744073709551615";
        assert_eq!(told(["1048576", "32768", nodes, "7"]), Some(false));
        assert_eq!(told(["1049088", "32256", nodes, "1048576"]), Some(false));
        assert_eq!(told(["0", "0", "1048576", "32768"]), Some(true));
        assert_eq!(told(["1048576", "512", "1049088", "32256"]), Some(true));
        assert_eq!(told([nodes, nodes, "1049088", "32256"]), Some(true));
        // What another chain hands over, and what is not there.
        assert_eq!(told(["0", "0", "0", "0"]), None);
        assert_eq!(told(["(fault)", "(fault)", "(fault)", "(fault)"]), None);
        assert_eq!(told(["1048576", "32768", "1048576", "32768"]), None);
        let two = line(["0", "0", "0", "0"]) + &line(["0", "0", "1048576", "32768"]);
        assert_eq!(prepares(&two, 32768), Some(true));
        assert_eq!(prepares(TRACE, 32768), None);
    }

    #[test]
    fn a_notification_is_about_the_block_at_whose_end_its_range_ends() {
        let line = |action: u64, words: [&str; 4]| {
            let [a, b, c, d] = words;
            format!(
                " x-1 [000] 1.0: notify: (f+0x0/0x80) chain=0x1 action={action} a={a} b={b} c={c} d={d}\n"
            )
        };
        let trace =
            line(64, ["1048576", "512", "1049088", "32256"]) + &line(8, ["0", "0", "1081344", "32768"]);
        assert_eq!(
            Numbers::Flags.sent(&trace, 32768, true),
            Ok(vec![
                (BlockId(32), Notifier::PrepareOnline),
                (BlockId(33), Notifier::GoingOnline)
            ])
        );
        let second = trace.lines().nth(1).unwrap();
        assert_eq!(Numbers::Enum.sent(second, 32768, true), Err(second), "8 is none");
        assert_eq!(
            Numbers::Flags.sent(&trace, 32768, false),
            Err(trace.lines().next().unwrap())
        );
    }

    #[test]
    fn where_the_chain_has_no_symbol_it_is_the_one_that_memory_notify_calls() {
        const OTHERS: &str = "\
   modprobe-70     [000] .....    11.1: notify: (blocking_notifier_call_chain+0x0/0x80) chain=0xaaaa action=2
         sh-71     [000] .....    12.1: memory: (memory_notify+0x0/0x30)
   modprobe-70     [000] .....    12.2: notify: (blocking_notifier_call_chain+0x0/0x80) chain=0xaaaa action=1
         sh-71     [000] .....    12.3: notify: (blocking_notifier_call_chain+0x0/0x80) chain=0xffff action=8
         sh-71     [000] .....    12.4: notify: (blocking_notifier_call_chain+0x0/0x80) chain=0xffff action=1
";
        let told = |chain: &mut Chain, trace: &str| actions(&chain.of(trace)).collect::<Vec<_>>();
        let mut chain = Chain::At(None);
        let before = OTHERS.lines().next().unwrap();
        assert!(told(&mut chain, before).is_empty(), "of another chain");
        assert_eq!(told(&mut chain, OTHERS), [8, 1]);
        // From then on also what memory_notify() itself does not show.
        let alone = OTHERS.lines().nth(4).unwrap();
        assert_eq!(told(&mut chain, alone), [1]);
        assert_eq!(told(&mut Chain::Alone, TRACE), [64, 8, 1]);
    }

    #[test]
    fn the_kernel_says_how_it_numbers() {
        let of = |chain, numbers, prepares| {
            Some(Armed {
                chain,
                numbers,
                prepares,
            })
        };
        let armed = |numbers, prepares| of(Chain::Alone, numbers, prepares);
        assert_eq!(
            Armed::parse("unknown unknown unknown\n"),
            of(Chain::At(None), None, None)
        );
        assert_eq!(
            Armed::parse("ffffffff8322 enum no\n"),
            armed(Some(Numbers::Enum), Some(false))
        );
        assert_eq!(
            Armed::parse("1a2b flags yes\n"),
            armed(Some(Numbers::Flags), Some(true))
        );
        assert_eq!(Armed::parse("1a2b unknown unknown\n"), armed(None, None));
        assert_eq!(Armed::parse("grep: no such file"), None);
        assert_eq!(Armed::parse(""), None);
    }
}
