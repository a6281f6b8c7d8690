// SPDX-License-Identifier: MIT OR Apache-2.0
//! Others who are at work in the guest while steps are done.

use super::{bench::Bench, guest::UnderTest, trouble::Trouble};
use memory::Op;
use suite::{FailureKind, Load, Working};

/// What one who is at work does.
struct Work {
    /// What the guest needs for it: the first of these files that is there is `$file`. Without any it needs nothing.
    needs: &'static [&'static str],
    /// One round, whose exit code says whether it went well. `$size` is 8 to 71, another one each time.
    round: &'static str,
    /// What the kernel's configuration has to have for it.
    option: &'static str,
    /// A round that does not go well speaks against the kernel, which has no reason to refuse it.
    is_the_kernels: bool,
}

/// What these are. Whoever reads files of sysfs meets some that are gone.
fn work(of: Working) -> Work {
    let (needs, round, option): (&[&str], _, _) = match of {
        Working::Cache => (
            &[],
            "dd if=/dev/zero of=/run/load/file bs=1M count=$size && rm /run/load/file",
            "",
        ),
        Working::Anon => (&[], "dd if=/dev/zero of=/dev/null bs=${size}M count=1", ""),
        Working::Fork => (&[], "for child in 1 2 3 4; do sh -c : & done; wait", ""),
        Working::Compaction => (
            &["/proc/sys/vm/compact_memory"],
            "echo 1 > $file",
            "CONFIG_COMPACTION",
        ),
        Working::Pages => (
            &["/proc/kpageflags"],
            "cat /proc/kpageflags /proc/kpagecount /proc/pagetypeinfo /proc/zoneinfo /proc/buddyinfo",
            "CONFIG_PROC_PAGE_MONITOR",
        ),
        Working::Sysfs => (
            &["/sys/devices/system/memory"],
            "find $file /sys/devices/system/node -type f -exec cat {} +; true",
            "CONFIG_MEMORY_HOTPLUG",
        ),
        Working::PageOwner => (
            &["/sys/kernel/debug/page_owner"],
            "cat $file",
            "CONFIG_PAGE_OWNER, and page_owner=on on the command line",
        ),
        Working::PageTables => (
            &[
                "/sys/kernel/debug/page_tables/kernel",
                "/sys/kernel/debug/kernel_page_tables",
            ],
            "cat $file",
            "CONFIG_PTDUMP_DEBUGFS",
        ),
    };
    Work {
        needs,
        round,
        option,
        is_the_kernels: !matches!(of, Working::Cache | Working::Anon | Working::Fork),
    }
}

/// The script that has them at work, or prints the first that the guest has nothing for. It gives each some time to be in its first round; of one that never is, the
/// script that stops them tells.
fn begin(by: &[Working], seed: u32) -> String {
    let needed: String = by.iter().map(|one| needed(*one)).collect();
    let begun: String = by.iter().map(|one| begun(*one)).collect();
    format!(
        "mkdir -p /run/load && mount -t tmpfs load /run/load || exit 1
seed={seed}
{needed}{begun}for one in {}; do
    for try in $(seq 100); do [ -e /run/load/$one.begun ] && break; sleep 0.1; done
done",
        names(by)
    )
}

/// The lines that find what one of them needs, which is kept under its name.
fn needed(one: Working) -> String {
    let needs = work(one).needs;
    if needs.is_empty() {
        return String::new();
    }
    format!(
        "file=; for one in {}; do [ -z \"$file\" ] && [ -e $one ] && file=$one; done
[ -n \"$file\" ] || {{ echo {one}; umount /run/load; exit 0; }}
{}=$file
",
        needs.join(" "),
        name(one)
    )
}

/// The lines that have one of them at work. What it chooses is the same for each seed, whoever is ahead of whom.
fn begun(one: Working) -> String {
    let Work { needs, round, .. } = work(one);
    let file = match needs.is_empty() {
        true => String::new(),
        false => format!("file=${}; ", name(one)),
    };
    format!(
        "({file}rounds=0
while [ ! -e /run/load/stop ]; do
    : > /run/load/{one}.begun
    seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
    size=$((8 + (seed >> 16) % 64))
    {{ {round}; }} > /dev/null 2> /run/load/{one}.said || {{ echo $rounds > /run/load/{one}.failed; break; }}
    rounds=$((rounds + 1))
done
echo $rounds > /run/load/{one}.rounds) < /dev/null > /dev/null 2>&1 &
"
    )
}

/// The script that stops them, and prints of each its rounds, or the round that did not go well and what was said then.
fn end(by: &[Working]) -> String {
    format!(
        "touch /run/load/stop
for one in {}; do
    while [ ! -e /run/load/$one.rounds ]; do sleep 0.1; done
    if [ -e /run/load/$one.failed ]; then
        echo $one failed $(cat /run/load/$one.failed) $(head -n 1 /run/load/$one.said)
    else
        echo $one did $(cat /run/load/$one.rounds)
    fi
done
umount /run/load && rmdir /run/load",
        names(by)
    )
}

/// Their words, as a list of the shell's.
fn names(by: &[Working]) -> String {
    let names: Vec<&str> = by.iter().map(|one| one.word()).collect();
    names.join(" ")
}

/// Its name, as a shell has it.
fn name(of: Working) -> String {
    of.to_string().replace('-', "_")
}

/// What one of them says that it came to.
fn judged(one: Working, said: &str) -> Result<(), Trouble> {
    let name = one.to_string();
    let mut lines = said.lines();
    let told = lines.find_map(|line| line.strip_prefix(&name)?.strip_prefix(' '));
    if let Some(failed) = told.and_then(|told| told.strip_prefix("failed ")) {
        let (round, why) = failed.split_once(' ').unwrap_or((failed, "nothing was said"));
        let message = format!("the load `{name}`, which went well {round} times, did not: {why}");
        return Err(match work(one).is_the_kernels {
            true => Trouble::kernel(message).of(FailureKind::Load),
            false => Trouble::bench(message),
        });
    }
    match told.and_then(|told| told.strip_prefix("did ")?.parse::<u64>().ok()) {
        None => Err(Trouble::bench(format!(
            "the guest does not say what came of the load `{name}`: {said:?}"
        ))),
        // A load that was none would show nothing.
        Some(0) => Err(Trouble::bench(format!(
            "the load `{name}` came to no round: give it more steps"
        ))),
        Some(_) => Ok(()),
    }
}

impl<G: UnderTest> Bench<'_, G> {
    /// Has others at work, or stops them and looks what came of it.
    pub(super) async fn load(&mut self, load: &Load) -> Result<Op, Trouble> {
        match load {
            Load::On { by, seed } => {
                let said = self
                    .exec_ok("having others at work", &begin(by, seed.unwrap_or(1)))
                    .await?;
                if let Some(one) = by.iter().find(|one| said.trim() == one.to_string()) {
                    let option = work(*one).option;
                    return Err(Trouble::lacking(format!(
                        "the load `{one}` needs {option}, which the kernel does not have"
                    )));
                }
                self.load.clone_from(by);
            }
            Load::Off => {
                let by = std::mem::take(&mut self.load);
                let said = self.exec_ok("stopping who is at work", &end(&by)).await?;
                by.iter().try_for_each(|one| judged(*one, &said))?;
            }
        }
        Ok(Op::Nothing)
    }
}
