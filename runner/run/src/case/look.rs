// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps that look: they change nothing, and compare one more thing than the ledger has.

use std::{fmt::Display, time::Duration};

use super::{
    bench::Bench,
    guest::UnderTest,
    inside, lists,
    notifiers::{self, Armed, Numbers},
    protocol,
    trouble::Trouble,
};
use base::{Arch, PAGE_SIZE};
use memory::{BlockId, Hypervisor, Mismatch, Reading};
use suite::{Assigned, FailureKind, Log, Memmap, Notifier, Notifiers, Pages, Placeholder, Read, Uevents};

/// Bits of `/proc/kpageflags` (include/uapi/linux/kernel-page-flags.h, fs/proc/page.c; the same in 6.1 to 7.3).
mod kpageflags {
    /// `KPF_OWNER_PRIVATE`: on a fresh block only pages of a memmap have it.
    pub(super) const OWNER_PRIVATE: u64 = 1 << 37;
    /// Bytes of an entry.
    pub(super) const ENTRY: usize = 8;
}

/// A counter that must have one exact value.
pub(super) fn differs(
    counter: String,
    unit: &str,
    predicted: impl ToString,
    seen: impl ToString,
) -> Option<Mismatch> {
    let (predicted, seen) = (predicted.to_string(), seen.to_string());
    (predicted != seen).then(|| Mismatch {
        counter,
        before: Reading::Absent,
        predicted: Reading::Text(predicted),
        seen: Reading::Text(seen),
        unit: unit.to_owned(),
        tolerance: 0,
    })
}

/// A list that must be as it is predicted, entry by entry.
pub(super) fn listed<T: PartialEq + Display>(
    what: String,
    predicted: &[T],
    seen: &[T],
) -> Result<(), Trouble> {
    let Some(message) = lists::wrong(&what, predicted, seen) else {
        return Ok(());
    };
    let differs = differs(what, "", list(predicted), list(seen));
    told(message, differs.into_iter().collect())
}

/// A failure that shows what must be and what is.
pub(super) fn told(message: impl Into<String>, mismatches: Vec<Mismatch>) -> Result<(), Trouble> {
    if mismatches.is_empty() {
        Ok(())
    } else {
        Err(Trouble::mismatch(message, mismatches))
    }
}

impl<G: UnderTest> Bench<'_, G> {
    pub(super) async fn read_file(&self, read: &Read) -> Result<(), Trouble> {
        for (block, path) in self.targets(&read.file)? {
            let content = match inside::read(self.guest, &path, self.limit).await? {
                Ok(content) => content,
                Err(errno) => return Err(Trouble::kernel(format!("reading {path} failed with {errno}"))),
            };
            let text = content.trim_end();
            if let Some(template) = &read.is {
                let wanted = template.fill(|fact| self.placeholder(fact, block));
                told(
                    format!("{path} does not say what it must"),
                    differs(path.clone(), "", wanted, text).into_iter().collect(),
                )?;
            }
            if let Some(pattern) = &read.matches
                && !pattern.regex().is_match(text)
            {
                return Err(Trouble::kernel(format!(
                    "{path} says {text:?}, and must match {pattern}"
                )));
            }
        }
        Ok(())
    }

    fn placeholder(&self, fact: Placeholder, block: Option<BlockId>) -> String {
        let number = block.map_or(0, |block| block.0);
        match fact {
            Placeholder::Number => number.to_string(),
            Placeholder::PhysIndex => format!("{number:08x}"),
            // arch/s390: start of the block in storage increments (drivers/s390/char/sclp_cmd.c 6.1, sclp_mem.c 7.2).
            Placeholder::PhysDevice => match self.facts.increment {
                Some(increment) => {
                    (number * self.facts.block_size.as_bytes() / increment.as_bytes()).to_string()
                }
                None => "0".to_owned(),
            },
            Placeholder::BlockSize => format!("{:x}", self.facts.block_size.as_bytes()),
        }
    }

    pub(super) async fn log(&self, log: &Log) -> Result<(), Trouble> {
        let text = self.exec_ok("reading the kernel log", "dmesg").await?;
        if let Some(pattern) = &log.has
            && !text.lines().any(|line| pattern.regex().is_match(line))
        {
            return Err(Trouble::kernel(format!(
                "no line of the kernel log matches {pattern}"
            )));
        }
        if let Some(pattern) = &log.lacks
            && let Some(line) = text.lines().find(|line| pattern.regex().is_match(line))
        {
            return Err(Trouble::kernel(format!(
                "a line of the kernel log matches {pattern}: {line}"
            )));
        }
        Ok(())
    }

    pub(super) async fn assigned(&self, assigned: &Assigned) -> Result<(), Trouble> {
        let Hypervisor::Standby { assigned: seen, .. } = &self.ledger.hypervisor else {
            return Err(Trouble::bench(
                "only s390x has standby storage that can be assigned",
            ));
        };
        let mut predicted = Vec::new();
        for block in &assigned.are {
            for block in self.blocks(block)? {
                predicted.extend(self.increments(block)?);
            }
        }
        predicted.sort_unstable();
        let seen: Vec<u32> = seen.iter().copied().collect();
        listed("assigned standby increments".to_owned(), &predicted, &seen)
    }

    /// Installs the notifier probe, for a case that looks at notifications. Returns what a guest alike can be told, see [`notifiers::arm`].
    pub(super) async fn arm_probe(&mut self, known: &str) -> Result<String, Trouble> {
        let output = self.exec(&notifiers::arm(known)).await?;
        let text = output.text();
        match (output.code, Armed::parse(&text)) {
            (0, Some(armed)) => {
                self.probe = Some(armed);
                Ok(text.trim().to_owned())
            }
            (3, _) => Err(unseen()),
            (code, _) => Err(Trouble::bench(format!(
                "installing the notifier probe ended with {code}: {}",
                String::from_utf8_lossy(&output.stderr).trim_end()
            ))),
        }
    }

    /// Forgets the notifications up to now.
    pub(super) async fn clear_probe(&mut self) -> Result<(), Trouble> {
        if self.probe.is_some() {
            self.exec_ok("emptying the trace", notifiers::CLEAR).await?;
            self.notified = 0;
        }
        Ok(())
    }

    /// The notifications since the probe was cleared last, in order.
    pub(super) async fn notifications(&mut self) -> Result<Vec<Notifier>, Trouble> {
        let trace = self.read_trace().await?;
        let Some((numbers, trace)) = self.about_memory(&trace)? else {
            return Ok(Vec::new());
        };
        numbers.read(&trace).map_err(|number| {
            Trouble::bench(format!(
                "the trace has {number}, which stands for no notification"
            ))
        })
    }

    /// Whether the notifications since this was asked last are whole, as they are looked at after each step that is drawn. They are where nobody can see
    /// them.
    pub(super) async fn were_whole(&mut self) -> Result<(), Trouble> {
        if self.probe.is_none() {
            return Ok(());
        }
        let trace = std::mem::take(&mut self.trace);
        let whole = self.are_whole(&trace);
        if self.notified > MOST {
            self.clear_probe().await?;
        }
        self.was_on = self.online_blocks();
        whole
    }

    /// Whether the notifications in a trace that were not looked at before are whole, see [`Notifiers::Whole`].
    fn are_whole(&mut self, trace: &str) -> Result<(), Trouble> {
        let block = self.facts.block_pages().0.unsigned_abs();
        let (sent, prepares) = match self.about_memory(trace)? {
            None => (Vec::new(), false),
            Some((numbers, trace)) => {
                // Where no range is that of a block, reading the first line fails.
                let prepares = self.probe.and_then(|probe| probe.prepares).unwrap_or(false);
                let sent = numbers.sent(&trace, block, prepares).map_err(|line| {
                    Trouble::bench(format!(
                        "the trace has a notification that is about no block: {line}"
                    ))
                })?;
                (sent, prepares)
            }
        };
        // A step of a suite may look twice at the same ones.
        let passed = if self.is_drawn { self.notified } else { 0 };
        let new = sent.get(passed..).ok_or_else(|| {
            Trouble::bench(format!(
                "the trace has {} notifications, of {passed} that it had",
                sent.len()
            ))
        })?;
        self.notified = sent.len();
        match protocol::broken(new, prepares, &self.was_on, &self.online_blocks()) {
            None => Ok(()),
            Some(why) => Err(Trouble::kernel(why).of(FailureKind::Notifiers)),
        }
    }

    /// The trace as it is now.
    async fn read_trace(&self) -> Result<String, Trouble> {
        self.exec_ok("reading the trace", notifiers::READ).await
    }

    /// What of a trace is about memory, and how its notifications are numbered; `None` if nothing is.
    fn about_memory(&mut self, trace: &str) -> Result<Option<(Numbers, String)>, Trouble> {
        let probe = self
            .probe
            .as_mut()
            .ok_or_else(|| Trouble::bench("the notifier probe was not installed"))?;
        let trace = probe.chain.of(trace);
        probe.numbers = probe.numbers.or_else(|| Numbers::of_first(&trace));
        let block = self.facts.block_pages().0.unsigned_abs();
        probe.prepares = probe.prepares.or_else(|| notifiers::prepares(&trace, block));
        let first = notifiers::actions(&trace).next();
        match (probe.numbers, first) {
            (_, None) => Ok(None),
            (Some(numbers), Some(_)) => Ok(Some((numbers, trace))),
            (None, Some(number)) => Err(Trouble::bench(format!(
                "the first notification is {number}, with which no operation begins"
            ))),
        }
    }

    pub(super) async fn notifiers(&mut self, wanted: &Notifiers) -> Result<(), Trouble> {
        if self.probe.is_none() {
            return Err(unseen());
        }
        let Notifiers::Are(are) = wanted else {
            let trace = self.read_trace().await?;
            return self.are_whole(&trace);
        };
        let seen = self.notifications().await?;
        let prepares = self.probe.and_then(|probe| probe.prepares);
        listed(
            "notifications".to_owned(),
            &must_be_sent(are, &seen, prepares)?,
            &seen,
        )
    }

    pub(super) async fn uevents(&self, wanted: &Uevents) -> Result<(), Trouble> {
        let mut differing = Ok(());
        // The guest's listener writes them down a moment after the kernel sent them.
        for _ in 0..10 {
            let text = self
                .exec_ok(
                    "reading the uevents",
                    &format!("tail -c +{} /run/uevents", self.uevents_since + 1),
                )
                .await?;
            let must: Vec<String> = wanted.are.iter().map(ToString::to_string).collect();
            let of = |block: BlockId| listed(format!("uevents of {block}"), &must, &uevents_of(&text, block));
            differing = self.blocks(&wanted.block)?.into_iter().try_for_each(of);
            if differing.is_ok() {
                break;
            }
            self.guest.rest(Duration::from_millis(100)).await;
        }
        differing
    }

    /// Remembers how long the log of uevents is.
    pub(super) async fn mark_uevents(&mut self) -> Result<(), Trouble> {
        let text = self
            .exec_ok("measuring the log of uevents", "wc -c < /run/uevents")
            .await?;
        self.uevents_since = text.trim().parse().map_err(|_| {
            Trouble::bench(format!("the log of uevents has no length: {:?}", text.trim_end()))
        })?;
        Ok(())
    }

    pub(super) async fn pages(&self, wanted: &Pages) -> Result<(), Trouble> {
        for block in self.blocks(&wanted.block)? {
            let altmap = self.model.altmap(block).map_or(0, |pages| pages.0 as usize);
            let is = if altmap > 0 {
                Memmap::Altmap
            } else {
                Memmap::System
            };
            if is != wanted.memmap {
                return Err(Trouble::Lacking {
                    message: format!(
                        "on this kernel the memmap of the block is in {is} memory, by the rules of the kernel"
                    ),
                });
            }
            let flags = self.page_flags(block).await?;
            let owned = |flags: &[u64]| {
                let owned = flags
                    .iter()
                    .filter(|flags| *flags & kpageflags::OWNER_PRIVATE != 0);
                owned.count()
            };
            let (memmap, rest) = flags.split_at(altmap);
            let name = |part: &str| format!("memory{}: memmap pages in {part} of the block", block.0);
            let mismatches = [
                differs(name("the first part"), "pages", altmap, owned(memmap)),
                differs(name("the rest"), "pages", 0, owned(rest)),
            ];
            told(
                "the memmap is not where it must be",
                mismatches.into_iter().flatten().collect(),
            )?;
        }
        Ok(())
    }

    /// What files of the guest's that are no text have in them: numbers of 64 bits.
    pub(super) fn words(&self, bytes: &[u8]) -> Vec<u64> {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |word: &[u8; 8]| match self.facts.arch {
            Arch::X86_64 => u64::from_le_bytes(*word),
            Arch::S390x => u64::from_be_bytes(*word),
        };
        words.iter().map(word).collect()
    }

    /// What the kernel says of each page of an online block.
    pub(super) async fn page_flags(&self, block: BlockId) -> Result<Vec<u64>, Trouble> {
        let pfns = block.pfns(self.facts.block_size);
        let count = (pfns.end - pfns.start) as usize;
        // A page of the file is as many entries as fit, and blocks are larger than that.
        let per_page = PAGE_SIZE / kpageflags::ENTRY as u64;
        let script = format!(
            "dd if=/proc/kpageflags bs={PAGE_SIZE} skip={} count={} 2>/dev/null",
            pfns.start / per_page,
            count as u64 / per_page
        );
        let output = self.exec(&script).await?;
        let (bytes, all) = (output.stdout.len(), count * kpageflags::ENTRY);
        if output.code == 0 && bytes == all {
            return Ok(self.words(&output.stdout));
        }
        let what = format!("reading /proc/kpageflags of {block}");
        // The guest's own count tells a file that ends from an answer that is not whole.
        let counted = self.exec_ok(&what, &format!("{script} | wc -c")).await?;
        if output.code != 0 || counted.trim() != bytes.to_string() {
            return Err(Trouble::bench(format!(
                "{what} gave {bytes} bytes in place of {all} and ended with {}, and the guest counts {}",
                output.code,
                counted.trim_end()
            )));
        }
        let read = bytes / kpageflags::ENTRY;
        let message = format!(
            "/proc/kpageflags ends at page {:#x}, and {block} is online up to page {:#x}",
            pfns.start + read as u64,
            pfns.end
        );
        let name = format!("{block}: pages in /proc/kpageflags");
        Err(Trouble::mismatch(
            message,
            differs(name, "pages", count, read).into_iter().collect(),
        ))
    }
}

/// How many notifications a trace may have before it is emptied, for which the kernel waits until no processor uses it (tracing_reset_online_cpus,
/// kernel/trace/trace.c, 6.1 to 7.2).
const MOST: usize = 64;

/// A kernel whose notifications cannot be seen.
fn unseen() -> Trouble {
    Trouble::Lacking {
        message:
            "the kernel lacks what it takes to see notifications: kprobe events, or memory_chain or memory_notify in kallsyms"
                .to_owned(),
    }
}

/// What of the notifications that a case names this kernel must have sent, `seen` being those that it sent. `prepares` says whether it is one that
/// sends what only 6.9 to 6.18 send.
fn must_be_sent(
    named: &[Notifier],
    seen: &[Notifier],
    prepares: Option<bool>,
) -> Result<Vec<Notifier>, Trouble> {
    let all = || named.iter().copied();
    let common: Vec<Notifier> = all().filter(|notifier| !notifier.only_6_9_to_6_18()).collect();
    match prepares {
        Some(true) => Ok(all().collect()),
        Some(false) => Ok(common),
        // Nothing tells, where nothing was sent: it is the same for all kernels, or some are missing on all of them.
        None if common.len() == named.len() || (seen.is_empty() && !common.is_empty()) => Ok(common),
        None => Err(Trouble::Lacking {
            message: "whether the kernel sends MEM_PREPARE_ONLINE does not show: it has no BTF, and sent nothing that tells"
                .to_owned(),
        }),
    }
}

/// Words in one line, or `none`.
fn list<T: ToString>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| word.to_string()).collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(" ")
    }
}

/// The actions that a log of uevents has for a memory block, in the order in which the kernel sent them.
///
/// A line is one event; its fields, `KEY=value`, end with NUL (lib/kobject_uevent.c).
fn uevents_of(log: &str, block: BlockId) -> Vec<String> {
    let path = format!("/devices/system/memory/memory{}", block.0);
    let mut events: Vec<(u64, &str)> = log
        .lines()
        .filter_map(|line| {
            let field = |key: &str| {
                line.split('\0')
                    .find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
            };
            (field("DEVPATH")? == path).then_some((field("SEQNUM")?.parse().ok()?, field("ACTION")?))
        })
        .collect();
    events.sort_unstable();
    events.into_iter().map(|(_, action)| action.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uevents_of_other_blocks_are_passed_over_and_the_kernel_gives_the_order() {
        let event = |action: &str, block: u32, number: u32| {
            let path = format!("/devices/system/memory/memory{block}");
            format!("{action}@{path}\0ACTION={action}\0DEVPATH={path}\0SUBSYSTEM=memory\0SEQNUM={number}\0\n")
        };
        let log = &[
            event("online", 3, 12),
            event("add", 3, 10),
            event("online", 32, 11),
        ]
        .concat();
        assert_eq!(uevents_of(log, BlockId(3)), ["add", "online"]);
        assert_eq!(uevents_of(log, BlockId(32)), ["online"]);
        assert!(uevents_of(log, BlockId(4)).is_empty());
    }

    #[test]
    fn what_a_kernel_must_send_depends_on_what_it_is() {
        use Notifier::{GoingOnline, Online, PrepareOnline};
        let named = [PrepareOnline, GoingOnline, Online];
        let must = |named: &[Notifier], seen: &[Notifier], prepares| must_be_sent(named, seen, prepares).ok();
        assert_eq!(must(&named, &[], Some(true)), Some(named.to_vec()));
        assert_eq!(must(&named, &named, Some(false)), Some(vec![GoingOnline, Online]));
        // A kernel that did not say: nothing sent is wrong for all, and what all send is known.
        assert_eq!(must(&named, &[], None), Some(vec![GoingOnline, Online]));
        assert_eq!(must(&[GoingOnline], &[Online], None), Some(vec![GoingOnline]));
        assert_eq!(must(&[], &[], None), Some(vec![]));
        assert_eq!(must(&named, &[GoingOnline], None), None);
        assert_eq!(must(&[PrepareOnline], &[], None), None);
    }

    #[test]
    fn only_what_differs_is_a_mismatch() {
        assert!(differs("a".into(), "", "none", list::<u32>([])).is_none());
        let mismatch = differs("a".into(), "pages", 512, 511).unwrap();
        assert_eq!(mismatch.seen, Reading::Text("511".into()));
    }
}
