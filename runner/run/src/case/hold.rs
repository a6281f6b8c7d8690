// SPDX-License-Identifier: MIT OR Apache-2.0
//! Having pages of blocks in use: a process of the guest has them, and after each step they are looked at.
//!
//! The ledger has no counter of it. What a process has comes out of the free pages, and when a block goes offline as many are taken elsewhere: that
//! the sum is right, the model says. Which pages they are, and what they are, only a look at themselves tells.

use super::{bench::Bench, guest::UnderTest, look::differs, trouble::Trouble};
use base::{Arch, Errno, PAGE_SIZE};
use memory::{BlockId, BlockState, Mismatch, Op, Zone};
use suite::{BlockName, FailureKind, Hold, Holding};

/// Where a process has what it holds: on a multiple of all large pages, and where a process of s390x has room without another level of tables.
const ADDRESS: u64 = 1 << 40;

/// What a script ends with where the process that is to hold pages has ended.
const ENDED: u8 = 3;

/// Pages that a process of the guest has.
#[derive(Debug, Clone)]
pub(super) struct Held {
    by: Holding,
    pid: u32,
    /// The page frame of each.
    frames: Vec<u64>,
    /// What /proc/kpageflags has of each, where its block is online.
    flags: Vec<u64>,
    /// The sum of what is in them.
    sum: String,
    /// How many pages of hugetlb the pool had, where they are of it.
    pool: Option<String>,
}

/// System calls that a process does in order to hold pages.
#[derive(Debug, Clone, Copy)]
enum Call {
    Read,
    Write,
    Madvise,
    Mlock,
    Vmsplice,
    IoUringSetup,
    IoUringRegister,
}

impl Call {
    /// Its number (arch/x86/entry/syscalls/syscall_64.tbl, arch/s390/kernel/syscalls/syscall.tbl).
    fn number(self, arch: Arch) -> u32 {
        let (x86_64, s390x) = match self {
            Self::Read => (0, 3),
            Self::Write => (1, 4),
            Self::Madvise => (28, 219),
            Self::Mlock => (149, 150),
            Self::Vmsplice => (278, 309),
            Self::IoUringSetup => (425, 425),
            Self::IoUringRegister => (427, 427),
        };
        match arch {
            Arch::X86_64 => x86_64,
            Arch::S390x => s390x,
        }
    }
}

/// Flags of mmap(2), the same on both architectures: the file at stdin; memory of its own; that of hugetlb.
const SHARED: u32 = 0x11;
const ANONYMOUS: u32 = 0x32;
const HUGETLB: u32 = 0x4_0032;

/// How many pages are held so. A pipe has room for 16, and the pages of one kind of KSM's are 256 at most.
fn pages(by: Holding) -> u64 {
    match by {
        Holding::Anon | Holding::Mlock | Holding::File => 1024,
        Holding::Thp | Holding::Hugetlb => HUGE * HUGE_PAGES,
        Holding::Ksm | Holding::Longterm => 64,
        Holding::Pipe => 8,
    }
}

/// Small pages in a huge one of x86_64; on s390x it is two large ones.
const HUGE: u64 = 512;
/// How often it is looked for pages that are moved meanwhile.
const LOOKS: u32 = 8;

/// Huge pages that are held.
const HUGE_PAGES: u64 = 4;

/// What the program in the guest takes, see guest-images/rootfs/hold-x86_64.S.
fn arguments(by: Holding, arch: Arch) -> String {
    let length = pages(by) * PAGE_SIZE;
    let call = |call: Call, takes: &str| format!(" {} {takes}", call.number(arch));
    let advise = |advice: u32| call(Call::Madvise, &format!("a {length} {advice} 0"));
    // MADV_NOHUGEPAGE, MADV_HUGEPAGE, MADV_MERGEABLE, MADV_POPULATE_WRITE.
    let (small, large, same, there) = (advise(15), advise(14), advise(12), advise(23));
    // A byte at stderr says that it has come so far.
    let tells = call(Call::Write, "2 a 1 0");
    let (flags, calls) = match by {
        Holding::Anon => (ANONYMOUS, small + &there),
        Holding::Mlock => (ANONYMOUS, small + &call(Call::Mlock, &format!("a {length} 0 0"))),
        Holding::Thp => (ANONYMOUS, large + &there),
        Holding::Ksm => (ANONYMOUS, small + &there + &same),
        Holding::File => (SHARED, there),
        Holding::Hugetlb => (HUGETLB, there),
        // Between the two it waits for a byte at stdin.
        Holding::Longterm => (
            ANONYMOUS,
            small
                + &there
                + &tells
                + &call(Call::Read, "0 a 1 0")
                + &call(Call::IoUringSetup, "1 p 0 0")
                + &call(Call::IoUringRegister, "r 0 i 1"),
        ),
        Holding::Pipe => (ANONYMOUS, small + &there + &call(Call::Vmsplice, "1 i 1 0")),
    };
    format!("{ADDRESS} {length} {flags}{calls}{tells}")
}

/// What must be there before the process is, and what it has at stdin.
fn ground(by: Holding) -> (String, &'static str) {
    match by {
        Holding::File => (
            format!(
                "mkdir files && mount -t tmpfs held files && dd if=/dev/urandom of=files/held bs={PAGE_SIZE} count={} 2>/dev/null || exit 1",
                pages(by)
            ),
            "files/held",
        ),
        Holding::Hugetlb => (
            format!(
                "pool=/proc/sys/vm/nr_hugepages before=$(cat /proc/sys/vm/nr_hugepages) && echo $before >pool || exit 1
echo $((before + {HUGE_PAGES})) >$pool && now=$(cat $pool)
[ $now = $((before + {HUGE_PAGES})) ] || {{ echo \"$((now - before)) of {HUGE_PAGES} huge pages were there\" >&2; exit 1; }}"
            ),
            "gate",
        ),
        _ => (String::new(), "gate"),
    }
}

/// The script that starts the process and prints its number. Where it fails, it prints its errno, and ends with [`ENDED`]. A shell of its own has what
/// the process has open: a shell that waits would else tell of its end at `ready`, which nobody reads any more.
fn start(name: &BlockName, by: Holding, arch: Arch) -> String {
    let (ground, stdin) = ground(by);
    format!(
        "mkdir -p /run/held/{name} && cd /run/held/{name} && mkfifo ready gate pipe || exit 1
{ground}
(
    (exec sh -c 'echo $$ >pid; exec memrig-hold {}' 0<>{stdin} 1<>pipe 2>ready)
    echo $? >ended
) >/dev/null 2>&1 &
[ $(head -c 1 ready | wc -c) = 1 ] || {{ wait; cat ended; exit {ENDED}; }}
cat pid",
        arguments(by, arch)
    )
}

/// The script that has it go on, where it waits.
fn go_on(name: &BlockName) -> String {
    format!(
        "cd /run/held/{name} && exec 3<ready && echo >gate || exit 1
[ $(dd bs=1 count=1 <&3 2>/dev/null | wc -c) = 1 ] || {{ while [ ! -e ended ]; do sleep 0.1; done; cat ended; exit {ENDED}; }}"
    )
}

/// The script that writes what the pages are to have in them. KSM finds those that are the same, and is stopped when it has.
fn fill(name: &BlockName, by: Holding, pid: u32) -> Option<String> {
    let count = pages(by);
    let memory = format!(
        "of=/proc/{pid}/mem bs={PAGE_SIZE} seek={} conv=notrunc 2>/dev/null",
        ADDRESS / PAGE_SIZE
    );
    match by {
        Holding::File => None,
        Holding::Ksm => Some(format!(
            "cd /run/held/{name} && dd if=/dev/urandom of=page bs={PAGE_SIZE} count=1 2>/dev/null || exit 1
cat page page page page page page page page >eight
cat eight eight eight eight eight eight eight eight | dd iflag=fullblock {memory} || exit 1
cd /sys/kernel/mm/ksm && echo 1000 >pages_to_scan && echo 10 >sleep_millisecs && echo 1 >run || exit 1
for i in $(seq 300); do
    read -r sharing <pages_sharing
    [ $sharing -lt {} ] || break
    sleep 0.1
done
echo 0 >run
[ $sharing -ge {} ] || {{ echo \"KSM has made one of $sharing pages\" >&2; exit 1; }}",
            count - 1,
            count - 1
        )),
        _ => Some(format!("dd if=/dev/urandom count={count} {memory}")),
    }
}

/// The script that prints the entries of /proc/PID/pagemap.
fn pagemap(name: &BlockName, by: Holding, pid: u32) -> String {
    let bytes = pages(by) * 8;
    format!(
        "cd /run/held/{name} && if [ -e ended ]; then cat ended; exit {ENDED}; fi
dd if=/proc/{pid}/pagemap bs={PAGE_SIZE} skip={} count={} 2>/dev/null | head -c {bytes}",
        ADDRESS / PAGE_SIZE * 8 / PAGE_SIZE,
        bytes.div_ceil(PAGE_SIZE)
    )
}

/// The script that sums up what is in the pages. It fails where not all of them are read: nothing has the same sum as nothing.
fn sum(by: Holding, pid: u32) -> String {
    format!(
        "cd /run/held && rm -f unread
{{ dd if=/proc/{pid}/mem bs={PAGE_SIZE} skip={} count={} 2>unread && rm unread; }} | md5sum
if [ -e unread ]; then cat unread >&2; exit 1; fi",
        ADDRESS / PAGE_SIZE,
        pages(by)
    )
}

/// The page frames in entries of a pagemap, of those pages that are there (Documentation/admin-guide/mm/pagemap.rst).
fn present(entries: &[u64]) -> Vec<u64> {
    const PRESENT: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;
    let there = entries.iter().filter(|entry| *entry & PRESENT != 0);
    there.map(|entry| entry & FRAME).collect()
}

/// The bit that /proc/kpageflags has for each of the pages, and its name (include/uapi/linux/kernel-page-flags.h, include/linux/kernel-page-flags.h;
/// the same in 6.1 to 7.2). Large pages may have been split since they were new.
fn flag(by: Holding, are_new: bool) -> (u32, &'static str) {
    match by {
        Holding::Mlock => (33, "mlocked"),
        Holding::Thp if are_new => (22, "THP"),
        Holding::Ksm => (21, "KSM"),
        Holding::File => (11, "mapped"),
        Holding::Hugetlb => (17, "hugetlb"),
        Holding::Anon | Holding::Thp | Holding::Longterm | Holding::Pipe => (12, "anonymous"),
    }
}

impl<G: UnderTest> Bench<'_, G> {
    /// Starts a process that has pages of these blocks in use. Where such a step is drawn, pages that come to lie elsewhere are let go, and it comes to nothing.
    pub(super) async fn hold(&mut self, hold: &Hold) -> Result<Op, Trouble> {
        match self.holds(hold).await? {
            Some(_) if self.is_drawn => {
                self.lay_elsewhere = Some(hold.name.clone());
                self.let_go(&hold.name).await
            }
            Some(elsewhere) => Err(elsewhere),
            None => Ok(Op::Nothing),
        }
    }

    /// The same; tells of pages that lie elsewhere.
    async fn holds(&mut self, hold: &Hold) -> Result<Option<Trouble>, Trouble> {
        let (name, by) = (&hold.name, hold.by);
        let blocks = self.blocks(&hold.block)?;
        let movable = self.all_movable();
        if blocks != movable {
            let names: Vec<_> = movable.iter().map(BlockId::to_string).collect();
            return Err(Trouble::lasting(format!(
                "pages are held in all blocks of zone Movable, and those are {}: put no other online there, or hold pages of all of them",
                match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.join(", "),
                }
            )));
        }
        let output = self.exec(&start(name, by, self.facts.arch)).await?;
        let text = output.text();
        let pid = match (output.code, text.trim().parse::<u32>()) {
            (0, Ok(pid)) => pid,
            (ENDED, Ok(code)) => return Err(not_held(name, by, code)),
            (code, _) => {
                return Err(Trouble::bench(format!(
                    "holding `{name}`: the script ended with {code}: {}",
                    output.last_words()
                )));
            }
        };
        let mut held = Held {
            by,
            pid,
            frames: self.frames_of(name, by, pid).await?,
            flags: Vec::new(),
            sum: String::new(),
            pool: None,
        };
        if let Some(elsewhere) = self.elsewhere(name, &held, &blocks) {
            return Ok(Some(elsewhere));
        }
        if by == Holding::Longterm {
            let output = self.exec(&go_on(name)).await?;
            match (output.code, output.text().trim().parse::<u32>()) {
                (0, _) => {}
                (_, Ok(code)) => return Err(not_held(name, by, code)),
                (code, Err(_)) => {
                    return Err(Trouble::bench(format!(
                        "pinning `{name}`: the script ended with {code}: {}",
                        output.last_words()
                    )));
                }
            }
        }
        if let Some(fill) = fill(name, by, pid) {
            self.exec_ok(&format!("filling `{name}`"), &fill).await?;
        }
        (held.frames, held.flags) = self.places_of(name, by, pid).await?;
        held.sum = self.sum_of(name, by, pid).await?;
        held.pool = self.pool_of(by).await?;
        if by != Holding::Longterm
            && let Some(elsewhere) = self.elsewhere(name, &held, &blocks)
        {
            return Ok(Some(elsewhere));
        }
        let wrong = self.wrong_with(&held, &held, true);
        if by == Holding::Thp && !wrong.is_empty() {
            return Err(Trouble::Lacking {
                message: "needs a kernel that makes large anonymous pages where it is asked for them"
                    .to_owned(),
            });
        }
        as_held(name, wrong)?;
        self.held.insert(name.clone(), held);
        Ok(None)
    }

    /// Ends the process.
    pub(super) async fn let_go(&mut self, name: &BlockName) -> Result<Op, Trouble> {
        self.held.remove(name);
        let script = format!(
            "cd /run/held/{name} && kill $(cat pid); while [ ! -e ended ]; do sleep 0.1; done
if [ -e pool ]; then cat pool >/proc/sys/vm/nr_hugepages; fi
if [ -d files ]; then umount files || exit; fi
cd / && rm -rf /run/held/{name}"
        );
        self.exec_ok(&format!("letting `{name}` go"), &script).await?;
        Ok(Op::Nothing)
    }

    /// Looks at all pages that are held, after a step that acted. `false` if none are.
    pub(super) async fn looks_at_held(&mut self) -> Result<bool, Trouble> {
        for (name, before) in self.held.clone() {
            let (by, pid) = (before.by, before.pid);
            let (frames, flags) = self.places_of(&name, by, pid).await?;
            let now = Held {
                frames,
                flags,
                sum: self.sum_of(&name, by, pid).await?,
                pool: self.pool_of(by).await?,
                ..before
            };
            let wrong = self.wrong_with(&before, &now, false);
            as_held(&name, wrong)?;
            self.held.insert(name, now);
        }
        Ok(!self.held.is_empty())
    }

    /// The page frames that a process has.
    async fn frames_of(&self, name: &BlockName, by: Holding, pid: u32) -> Result<Vec<u64>, Trouble> {
        let output = self.exec(&pagemap(name, by, pid)).await?;
        let bytes = output.stdout.len() as u64;
        match output.code {
            0 if bytes == pages(by) * 8 => Ok(present(&self.words(&output.stdout))),
            ENDED => Err(Trouble::bench(format!(
                "the process that holds `{name}` ended with {}: nobody told it to",
                output.text().trim()
            ))),
            code => Err(Trouble::bench(format!(
                "looking for the pages of `{name}` gave {bytes} bytes in place of {}, and ended with {code}",
                pages(by) * 8
            ))),
        }
    }

    /// The page frames that a process has, and what the kernel says of them. Others may move pages, too, such as khugepaged and kcompactd: what is said of
    /// a frame is of this page if that was there before and after it.
    async fn places_of(
        &self,
        name: &BlockName,
        by: Holding,
        pid: u32,
    ) -> Result<(Vec<u64>, Vec<u64>), Trouble> {
        let mut frames = self.frames_of(name, by, pid).await?;
        for _ in 0..LOOKS {
            let flags = self.flags_of(&frames).await?;
            let after = self.frames_of(name, by, pid).await?;
            if frames == after {
                return Ok((frames, flags));
            }
            frames = after;
        }
        Err(Trouble::bench(format!(
            "the pages of `{name}` do not stay where they are for as long as a look takes, in {LOOKS} looks"
        )))
    }

    async fn sum_of(&self, name: &BlockName, by: Holding, pid: u32) -> Result<String, Trouble> {
        let said = self.exec_ok(&format!("reading `{name}`"), &sum(by, pid)).await?;
        let sum = said.split_whitespace().next();
        sum.map(str::to_owned)
            .ok_or_else(|| Trouble::bench(format!("reading `{name}`: the guest says no sum")))
    }

    /// How many pages of hugetlb the pool has.
    async fn pool_of(&self, by: Holding) -> Result<Option<String>, Trouble> {
        if by != Holding::Hugetlb {
            return Ok(None);
        }
        let said = self.exec_ok("reading the size of the pool", "cat /proc/sys/vm/nr_hugepages");
        said.await.map(|said| Some(said.trim().to_owned()))
    }

    /// The block in which a page frame is.
    fn block_of(&self, frame: u64) -> BlockId {
        BlockId::holding(frame * PAGE_SIZE, self.facts.block_size)
    }

    /// Some pages are not in these blocks, and would try nothing.
    fn elsewhere(&self, name: &BlockName, held: &Held, blocks: &[BlockId]) -> Option<Trouble> {
        let there = held
            .frames
            .iter()
            .filter(|frame| blocks.contains(&self.block_of(**frame)));
        let (there, wanted) = (there.count() as u64, pages(held.by));
        (there != wanted).then(|| {
            Trouble::bench(format!(
                "{there} of {wanted} pages of `{name}` came to lie in the block, and all of them must"
            ))
        })
    }

    /// What of pages that are held is not as it must be.
    fn wrong_with(&self, before: &Held, now: &Held, are_new: bool) -> Vec<Mismatch> {
        let (by, all) = (now.by, pages(now.by));
        let count =
            |test: &dyn Fn(&u64) -> bool| now.frames.iter().filter(|frame| test(frame)).count() as u64;
        let block = |frame: &u64| self.ledger.blocks.get(&self.block_of(*frame));
        let is_on = |frame: &u64| block(frame).is_some_and(|block| block.state == BlockState::Online);
        let is_movable = |frame: &u64| {
            block(frame)
                .and_then(|block| block.zone())
                .is_some_and(|at| at.zone == Zone::Movable)
        };
        let pages = |what: &str, must: u64, is: u64| differs(format!("held pages {what}"), "pages", must, is);
        let mut wrong = vec![
            pages("that are mapped", all, now.frames.len() as u64),
            pages("in blocks that are not online", 0, count(&|frame| !is_on(frame))),
        ];
        if matches!(by, Holding::Pipe | Holding::Longterm) {
            let stay = before
                .frames
                .iter()
                .zip(&now.frames)
                .filter(|(was, is)| was == is);
            wrong.push(pages("that stay where they are", all, stay.count() as u64));
        }
        if by == Holding::Longterm {
            wrong.push(pages("in zone Movable", 0, count(&is_movable)));
        }
        if by == Holding::Ksm {
            let mut frames = now.frames.clone();
            frames.sort_unstable();
            frames.dedup();
            wrong.push(pages("that are one", 1, frames.len() as u64));
        }
        let (bit, called) = flag(by, are_new);
        let set = now.flags.iter().filter(|flags| *flags >> bit & 1 == 1).count();
        wrong.push(pages(&format!("that are {called}"), all, set as u64));
        wrong.push(differs(
            "the sum of what is held".to_owned(),
            "",
            &before.sum,
            &now.sum,
        ));
        if let (Some(before), Some(now)) = (&before.pool, &now.pool) {
            wrong.push(differs("nr_hugepages".to_owned(), "", before, now));
        }
        wrong.into_iter().flatten().collect()
    }

    /// What /proc/kpageflags has of those of these frames that are in blocks which are online.
    async fn flags_of(&self, frames: &[u64]) -> Result<Vec<u64>, Trouble> {
        let mut blocks: Vec<BlockId> = frames.iter().map(|frame| self.block_of(*frame)).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let is_on = |block: &BlockId| {
            let block = self.ledger.blocks.get(block);
            block.is_some_and(|block| block.state == BlockState::Online)
        };
        let mut flags = Vec::new();
        for block in blocks.into_iter().filter(is_on) {
            let of_block = self.page_flags(block).await?;
            let first = block.pfns(self.facts.block_size).start;
            let inside = frames.iter().filter(|frame| self.block_of(**frame) == block);
            flags.extend(inside.filter_map(|frame| of_block.get((frame - first) as usize).copied()));
        }
        Ok(flags)
    }
}

/// Whether nothing is wrong with pages that are held.
fn as_held(name: &BlockName, wrong: Vec<Mismatch>) -> Result<(), Trouble> {
    let Some(first) = wrong.first() else {
        return Ok(());
    };
    let message = format!(
        "the pages of `{name}` are not as they must be, first {}: predicted {}, seen {}",
        first.counter, first.predicted, first.seen
    );
    Err(Trouble::mismatch(message, wrong).of(FailureKind::Held))
}

/// The process could not hold pages: one of its system calls returned an errno, which is what it ended with.
fn not_held(name: &BlockName, by: Holding, code: u32) -> Trouble {
    let errno = Errno::from_number(code as u16).map_or_else(|| code.to_string(), |errno| errno.to_string());
    Trouble::bench(format!(
        "no pages could be held as `{name}`: a system call of `{by}` failed with {errno}"
    ))
}
