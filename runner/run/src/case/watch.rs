// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seeing more than a verdict needs, where two kernels are compared: what each write returned, the notifications, the storage
//! commands, the sysfs files, the order of locks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use super::{bench::Bench, guest::UnderTest, trouble::Trouble};
use base::Errno;
use record::{Observed, ObservedCase};

/// Prints every file of sysfs that memory hotplug makes, as `N PATH`, and every line in it, as `C PATH:LINE`.
///
/// Of nodes the names are enough: their files hold counters that move by themselves. A device's power management is not ours.
pub(super) const SYSFS: &str = r#"
cd /sys || exit 1
trees='devices/system/memory'
[ -d firmware/memory ] && trees="$trees firmware/memory"
find $trees -name power -prune -o -type f -print -o -type l -print | sort | sed 's/^/N /'
[ -d devices/system/node ] && find devices/system/node -maxdepth 2 -name 'memory[0-9]*' | sort | sed 's/^/N /'
grep -rs '' $trees | grep -v /power/ | sort -s -t : -k 1,1 | sed 's/^/C /'
exit 0
"#;

/// Files whose contents the ledger has: here it only counts whether they are there.
const IN_LEDGER: [&str; 9] = [
    "state",
    "online",
    "valid_zones",
    "removable",
    "phys_index",
    "phys_device",
    "auto_online_blocks",
    "config",
    "memmap_on_memory",
];

/// Prints what lockdep knows; ends with 3 where there is none.
pub(super) const LOCKDEP: &str = "[ -r /proc/lockdep ] || exit 3; cat /proc/lockdep";

/// Parts of names of locks that memory hotplug takes. All the others come and go with what else the guest did.
const LOCKS: [&str; 4] = ["hotplug", "memory_chain", "sclp_mem", "mhp_"];

/// What is watched in a guest.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What writes returned since the last step.
    results: Mutex<Vec<String>>,
    /// The files of sysfs as they were last.
    sysfs: BTreeMap<String, String>,
    /// What was seen up to now.
    pub(super) seen: Vec<Observed>,
}

impl Watch {
    /// Remembers what a write returned.
    pub(super) fn wrote(&self, path: &str, value: &str, result: &Result<(), Errno>) {
        let result = match result {
            Ok(()) => "ok".to_owned(),
            Err(errno) => errno.to_string(),
        };
        // Nobody panics while holding it.
        if let Ok(mut results) = self.results.lock() {
            results.push(format!("{path} <- {}: {result}", value.trim_end()));
        }
    }

    fn take_results(&self) -> Vec<String> {
        self.results
            .lock()
            .map_or_else(|_| Vec::new(), |mut results| std::mem::take(&mut *results))
    }
}

impl<G: UnderTest> Bench<'_, G> {
    /// Begins to watch. A kernel that cannot show notifications is watched without them.
    ///
    /// `known` is what a guest alike was told about the notifier probe, or nothing; what the next one can be told comes back.
    pub(super) async fn watch(&mut self, known: &str) -> Result<String, Trouble> {
        let known = match self.arm_probe(known).await {
            Err(Trouble::Lacking { .. }) => String::new(),
            armed => armed?,
        };
        self.watch = Some(Watch::default());
        self.look_around(None).await?;
        Ok(known)
    }

    /// Keeps what was seen of a step, or of what was there before the first.
    pub(super) async fn look_around(&mut self, step: Option<u32>) -> Result<(), Trouble> {
        let Some(results) = self.watch.as_ref().map(Watch::take_results) else {
            return Ok(());
        };
        let sysfs = files(&self.exec_ok("reading sysfs", SYSFS).await?);
        let notifications = match self.probe {
            Some(_) => {
                let all = self.notifications().await?;
                Some(all.iter().map(ToString::to_string).collect())
            }
            None => None,
        };
        let storage_commands = match self.has_standby() {
            true => Some(self.commands().await?.iter().map(ToString::to_string).collect()),
            false => None,
        };
        if let Some(watch) = &mut self.watch {
            watch.seen.push(Observed {
                step,
                results,
                notifications,
                storage_commands,
                sysfs: changed(&watch.sysfs, &sysfs),
            });
            watch.sysfs = sysfs;
        }
        Ok(())
    }

    /// Everything that was seen, where anything was watched; kept also where the last question got no answer. A guest that is broken is not
    /// asked any more.
    pub(super) async fn observed(&mut self, asks: bool) -> (Option<ObservedCase>, Result<(), Trouble>) {
        let Some(watch) = self.watch.take() else {
            return (None, Ok(()));
        };
        let (lock_edges, asked) = match asks {
            true => match self.lock_edges().await {
                Ok(edges) => (edges, Ok(())),
                Err(trouble) => (None, Err(trouble)),
            },
            false => (None, Ok(())),
        };
        let observed = ObservedCase {
            steps: watch.seen,
            lock_edges,
        };
        (Some(observed), asked)
    }

    /// What lockdep has seen of the locks of memory hotplug; `None` without lockdep.
    async fn lock_edges(&self) -> Result<Option<BTreeSet<String>>, Trouble> {
        let output = self.exec(LOCKDEP).await?;
        match output.code {
            0 => Ok(Some(edges(&output.text()))),
            3 => Ok(None),
            code => Err(Trouble::bench(format!("reading /proc/lockdep ended with {code}"))),
        }
    }
}

/// Reads what [`SYSFS`] printed.
fn files(text: &str) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("N", path)) => {
                files.entry(path.to_owned()).or_default();
            }
            Some(("C", rest)) => {
                if let Some((path, content)) = rest.split_once(':')
                    && !IN_LEDGER.contains(&path.rsplit('/').next().unwrap_or(path))
                {
                    let file = files.entry(path.to_owned()).or_default();
                    if !file.is_empty() {
                        file.push('\n');
                    }
                    file.push_str(content);
                }
            }
            _ => {}
        }
    }
    files
}

/// What is not as it was.
fn changed(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    let gone = gone.map(|path| (path.clone(), None));
    let new = now
        .iter()
        .filter(|(path, content)| before.get(*path) != Some(content))
        .map(|(path, content)| (path.clone(), Some(content.clone())));
    gone.chain(new).collect()
}

/// The edges between classes of locks in `/proc/lockdep` (kernel/locking/lockdep_proc.c): a class stands in a line of its own with
/// its name after the usage bits, and below it, as ` -> [ADDRESS] NAME`, what was taken while it was held.
fn edges(text: &str) -> BTreeSet<String> {
    let mut held = None;
    let mut edges = BTreeSet::new();
    for line in text.lines() {
        if let Some(taken) = line.trim_start().strip_prefix("-> [") {
            let taken = taken.split_once("] ").map(|(_, name)| name.trim());
            if let (Some(held), Some(taken)) = (held, taken)
                && LOCKS
                    .iter()
                    .any(|part| str::contains(held, part) || taken.contains(part))
            {
                edges.insert(format!("{held} -> {taken}"));
            }
        } else if line.contains(" FD:") {
            held = line
                .split_once(": ")
                .and_then(|_| line.rsplit_once(": "))
                .map(|(_, name)| name.trim());
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_their_lines_and_what_changed_is_told() {
        let before = files("N a\nN b\nN m/state\nC a:offline\nC b:one\nC b:two:2\nC m/state:offline\n");
        assert_eq!(before["a"], "offline");
        assert_eq!(before["b"], "one\ntwo:2");
        assert_eq!(before["m/state"], "");
        let now = files("N a\nN c\nN m/state\nC a:online\nC m/state:online\n");
        let changed = changed(&before, &now);
        let expected: [(&str, Option<&str>); 3] = [("a", Some("online")), ("b", None), ("c", Some(""))];
        let expected = expected.map(|(path, content)| (path.to_owned(), content.map(str::to_owned)));
        assert_eq!(changed, BTreeMap::from(expected));
    }

    #[test]
    fn edges_of_the_locks_of_hotplug_are_kept() {
        let text = "all lock classes:\n\
                    ffffffff83a0c0d8 FD:   39 BD:    2 ++++: mem_hotplug_lock\n\
                    \x20-> [ffffffff83a0b7d8] (memory_chain).rwsem\n\
                    \x20-> [ffffffff83a0b7e8] &zone->lock\n\n\
                    ffffffff83a0c1d8 OPS:      12 FD:    3 BD:    1 +.+.: cgroup_mutex\n\
                    \x20-> [ffffffff83a0b7e8] css_set_lock\n\
                    \x20-> [ffffffff83a0c0d8] mem_hotplug_lock\n";
        assert_eq!(
            edges(text).into_iter().collect::<Vec<_>>(),
            [
                "cgroup_mutex -> mem_hotplug_lock",
                "mem_hotplug_lock -> &zone->lock",
                "mem_hotplug_lock -> (memory_chain).rwsem"
            ]
        );
    }
}
