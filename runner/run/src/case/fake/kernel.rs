// SPDX-License-Identifier: MIT OR Apache-2.0
//! The inside of a fake guest: what its kernel does when a file is written, and what its shell prints.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
};

use serde_json::{Value, json};

use super::{Fault, HeldFault, at_work, fault::Rule, held::Held};
use crate::case::{notifiers, watch};
use base::Errno;
use memory::{
    Attribute, BlockId, Dimm, FACTS_SCRIPT, Generation, Hypervisor, LEDGER_SCRIPT, Ledger, MemoryFacts, Op,
    RemoveBy, SYMBOLS_SCRIPT,
    naive::{BLOCK, BLOCKS, CORE, INCREMENT, World},
};
use vm::guest::Output;

/// Pages of a block.
const PAGES: u64 = BLOCK / 4096;

/// A kernel, and the machine around it.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) facts: MemoryFacts,
    world: World,
    counted: OnceCell<Ledger>,
    /// The console and the log are the same.
    pub(super) console: String,
    pub(super) files: BTreeMap<String, String>,
    /// What scripts of suites print and end with, by a part of them.
    pub(super) programs: Vec<(&'static str, Output)>,
    pub(super) rules: Vec<Rule>,
    /// All that was asked for.
    pub(super) asked: Vec<String>,
    /// The storage commands that QEMU saw.
    pub(super) commands: Vec<Value>,
    /// What was set by `qom-set`.
    pub(super) properties: BTreeMap<String, Value>,
    /// Blocks that cannot go offline.
    pub(super) busy: BTreeSet<u64>,
    /// The next DIMM that is plugged makes no blocks.
    pub(super) refuses_dimms: bool,
    /// Of the allocations that a write makes, whether it can do without; `None` where none can be made to fail.
    pub(super) allocations: Option<Vec<bool>>,
    /// Objects of kmalloc that are in use, and how many each offline leaves; `None` where none can be counted.
    pub(super) objects: Option<(i64, i64)>,
    veto: BTreeMap<String, Errno>,
    uevents: String,
    /// What the next blocks' uevents are in place of those that belong.
    pub(super) other_uevents: VecDeque<&'static str>,
    trace: String,
    /// What the probe says of the kernel; `None` where it cannot be installed.
    pub(super) probe: Option<&'static str>,
    /// It says twice that a block is online.
    pub(super) notifies_twice: bool,
    /// It asks for each increment twice.
    pub(super) assigns_twice: bool,
    /// The pages that a process has.
    pub(super) held: Vec<Held>,
    /// What becomes of them.
    pub(super) held_fault: Option<HeldFault>,
}

pub(super) fn errno(word: &str) -> Errno {
    word.parse().expect("a name of an errno")
}

pub(super) fn output(stdout: impl Into<Vec<u8>>) -> Output {
    ended(0, stdout, "")
}

pub(super) fn ended(code: u8, stdout: impl Into<Vec<u8>>, stderr: &str) -> Output {
    Output {
        stdout: stdout.into(),
        stderr: stderr.into(),
        code,
    }
}

impl Kernel {
    pub(super) fn new(facts: MemoryFacts) -> Self {
        Self {
            world: World::new(&facts),
            counted: OnceCell::new(),
            console: "[    0.000000] Linux version 6.12.0\n".to_owned(),
            files: BTreeMap::new(),
            programs: Vec::new(),
            rules: Vec::new(),
            asked: Vec::new(),
            commands: Vec::new(),
            properties: BTreeMap::new(),
            busy: BTreeSet::new(),
            refuses_dimms: false,
            allocations: Some(vec![false, true]),
            objects: Some((100, 0)),
            veto: BTreeMap::new(),
            uevents: String::new(),
            other_uevents: VecDeque::new(),
            trace: String::new(),
            probe: Some("ffff0000 flags no"),
            notifies_twice: false,
            assigns_twice: false,
            held: Vec::new(),
            held_fault: None,
            facts,
        }
    }

    /// Says something on the console.
    pub(super) fn says(&mut self, line: &str) {
        writeln!(self.console, "[    8.000000] {line}").expect("a string");
    }

    /// All counters, counted once after each step.
    pub(super) fn ledger(&self) -> &Ledger {
        self.counted.get_or_init(|| self.world.ledger())
    }

    fn step(&mut self, op: &Op) -> bool {
        self.counted.take();
        self.world.step(op)
    }

    /// What a shell prints for a script; faults are dealt with before.
    pub(super) fn run(&mut self, script: &str) -> Output {
        if let Some(beside) = script.strip_prefix(LEDGER_SCRIPT) {
            let mut all = output(self.ledger().print());
            if !beside.is_empty() {
                let beside = self.run(beside.trim_start());
                all.stdout.extend(&beside.stdout);
                all.code = beside.code;
            }
            return all;
        }
        match script {
            SYMBOLS_SCRIPT => output(self.facts.print().0),
            FACTS_SCRIPT => output(self.facts.print().1),
            watch::SYSFS => output(self.sysfs()),
            watch::LOCKDEP => ended(3, "", ""),
            notifiers::CLEAR => {
                self.trace.clear();
                output("")
            }
            notifiers::READ => output(self.trace.clone()),
            "dmesg" => output(self.console.clone()),
            "wc -c < /run/uevents" => output(self.uevents.len().to_string()),
            _ => self.run_other(script),
        }
    }

    fn run_other(&mut self, script: &str) -> Output {
        let after = |words: &str| script.strip_prefix(words);
        if let Some((_, program)) = self.programs.iter().find(|(part, _)| script.contains(part)) {
            program.clone()
        } else if script.starts_with("known='") {
            self.probe.map_or_else(|| ended(3, "", ""), output)
        } else if let Some(rest) = after("tail -c +") {
            output(&self.uevents[number(rest) as usize - 1..])
        } else if let Some(path) = after("test -e ") {
            ended(u8::from(!self.files.contains_key(path)), "", "")
        } else if let Some(path) = after("readlink -f ") {
            // A link is a file that says where it leads.
            let to = self.files.get(path).filter(|to| to.starts_with("/sys/devices"));
            output(to.map_or(path, String::as_str))
        } else if after("timeout ").is_some() {
            self.timed_write(script)
        } else if after("dd if=/proc/kpageflags").is_some() {
            output(self.kpageflags(script))
        } else if let Some(said) = self.held(script).or_else(|| at_work::said(script)) {
            said
        } else if let Some(path) = after("cat /proc/sys") {
            self.read(&format!("/proc/sys{path}"))
                .map_or_else(|_| ended(1, "", "No such file"), output)
        } else if script.contains("/run/parallel") {
            output(self.writers(script))
        } else if script.contains("/proc/self/fail-nth") {
            ended(if self.allocations.is_some() { 0 } else { 3 }, "", "")
        } else if script.contains("/sys/kernel/slab") {
            let count = |(objects, _)| output(format!("kmalloc-1k {objects}\nkernfs_node_cache 7\n"));
            self.objects.map_or_else(|| ended(3, "", ""), count)
        } else if script.contains("memory-notifier-error-inject") || script.contains("/run/busy/") {
            output("")
        } else if script.starts_with("for f in ") && script.contains("/error") {
            self.veto.clear();
            output("")
        } else {
            ended(127, "", &format!("sh: {script}: not found"))
        }
    }

    /// `timeout N sh -c 'echo -n VALUE >PATH'`: a block that is busy is tried until the signal.
    fn timed_write(&mut self, script: &str) -> Output {
        let (_, write) = script.split_once("echo -n ").expect("a write");
        let (value, path) = write.trim_end_matches('\'').split_once(" >").expect("a file");
        let block = Attribute::at(path).and_then(|at| at.asks(value, self.facts.block_size));
        match block {
            Some(Op::Offline { block, .. }) if self.busy.contains(&block.0) || self.is_kept(block) => {
                ended(143, "", "Terminated")
            }
            _ => match self.write(path, value) {
                Ok(()) => output(""),
                Err(errno) => ended(1, "", &format!("sh: write error: {}", message(errno))),
            },
        }
    }

    /// Writers side by side, in the lines `said=$( { echo -n VALUE >PATH; } 2>&1 ); echo "WRITER NUMBER $? $said" >>WRITER`: the last one is first.
    fn writers(&mut self, script: &str) -> String {
        let write = |line: &str| {
            let (value, rest) = line.strip_prefix("said=$( { echo -n ")?.split_once(" >")?;
            let (path, rest) = rest.split_once("; }")?;
            let (numbers, _) = rest.split_once("echo \"")?.1.split_once(" $?")?;
            Some((numbers.to_owned(), path.to_owned(), value.to_owned()))
        };
        let mut writes: Vec<_> = script.lines().filter_map(write).collect();
        writes.sort_by_key(|(numbers, ..)| std::cmp::Reverse(numbers.split(' ').next().map(str::to_owned)));
        let mut told = String::new();
        for (numbers, path, value) in writes {
            let came = match self.write(&path, &value) {
                Ok(()) => "0 ".to_owned(),
                Err(errno) => format!("1 sh: write error: {}", message(errno)),
            };
            writeln!(told, "{numbers} {came}").expect("a string");
        }
        told
    }

    fn kpageflags(&self, script: &str) -> Vec<u8> {
        let value = |key: &str| number(script.split_once(key).expect("a key of dd").1);
        let (first, count) = (value("skip=") * 512, value("count=") * 512);
        let memmap = self.world.altmap(BlockId(first / PAGES));
        let owned = |page: u64| if page < memmap { 1_u64 << 37 } else { 0 };
        let held = self.held_flags();
        let flags = |page: u64| owned(page) | held.get(&(first + page)).copied().unwrap_or(0);
        (0..count).flat_map(|page| self.bytes(flags(page))).collect()
    }

    fn sysfs(&self) -> String {
        let lines = self.ledger().blocks.keys().map(|block| {
            format!("N devices/system/memory/{block}/state\nC devices/system/memory/{block}/node:0\n")
        });
        lines.collect()
    }

    /// Reads a file.
    pub(super) fn read(&self, path: &str) -> Result<String, Errno> {
        self.files.get(path).cloned().ok_or_else(|| errno("ENOENT"))
    }

    /// Writes a file, in one write.
    pub(super) fn write(&mut self, path: &str, value: &str) -> Result<(), Errno> {
        if let Some(attribute) = Attribute::at(path) {
            let op = attribute.asks(value, self.facts.block_size);
            return self.does(&op.ok_or_else(|| errno("EINVAL"))?);
        }
        if let Some((folder, "error")) = path.rsplit_once('/')
            && let Some((_, notifier)) = folder.rsplit_once("/actions/")
        {
            let number = value.trim_start_matches('-').parse().expect("a number");
            self.veto
                .insert(notifier.to_owned(), Errno::from_number(number).expect("an errno"));
            return Ok(());
        }
        let file = self.files.get_mut(path).ok_or_else(|| errno("ENOENT"))?;
        value.clone_into(file);
        Ok(())
    }

    /// Writes a file while an allocation fails.
    pub(super) fn write_failing(&mut self, path: &str, value: &str, nth: u32) -> Result<(), Errno> {
        // A kernel that lets none fail makes none that could.
        let made = self.allocations.as_deref().unwrap_or_default();
        match made.get(nth as usize - 1) {
            Some(false) => Err(Errno::ENOMEM),
            Some(true) | None => self.write(path, value),
        }
    }

    /// How many allocations it still was away after that.
    pub(super) fn left_of(&self, nth: u32) -> u32 {
        let made = self.allocations.as_ref().map_or(0, Vec::len);
        nth.saturating_sub(made as u32)
    }

    /// Does what a write asks for.
    fn does(&mut self, op: &Op) -> Result<(), Errno> {
        let there = |block: &BlockId| {
            self.world
                .ledger()
                .blocks
                .get(block)
                .map(|block| block.zone().is_some())
        };
        match op {
            Op::Online {
                block,
                via_online_file,
                ..
            } => match there(block) {
                None => Err(errno("ENOENT")),
                Some(true) if *via_online_file => Ok(()),
                Some(true) => Err(errno("EINVAL")),
                Some(false) => self.changes(op, *block, "MEM_GOING_ONLINE", [8, 1, 16], "online"),
            },
            Op::Offline {
                block,
                via_online_file,
            } => match there(block) {
                None => Err(errno("ENOENT")),
                Some(false) if *via_online_file => Ok(()),
                Some(false) => Err(errno("EINVAL")),
                Some(true) if self.busy.contains(&block.0) => {
                    self.notify(*block, &[2, 32]);
                    Err(errno("EBUSY"))
                }
                Some(true) => self.changes(op, *block, "MEM_GOING_OFFLINE", [2, 4, 32], "offline"),
            },
            Op::Add { blocks, .. } | Op::Remove { blocks, .. } => {
                let refused = if matches!(op, Op::Add { .. }) {
                    "EIO"
                } else {
                    "EBUSY"
                };
                let assigns = matches!(op, Op::Add { .. }) && !self.ledger().has(op);
                if assigns && self.refuses_assign() {
                    return Err(errno(refused));
                }
                let there = |kernel: &Self, block| kernel.ledger().blocks.contains_key(block);
                let before: Vec<bool> = blocks.iter().map(|block| there(self, block)).collect();
                let ledger = self.ledger().clone();
                self.steps(op, refused)?;
                self.notify_since(&ledger);
                for (block, before) in blocks.iter().zip(before) {
                    match (before, there(self, block)) {
                        (false, true) => self.uevent("add", *block),
                        (true, false) => self.uevent("remove", *block),
                        _ => {}
                    }
                }
                Ok(())
            }
            op => self.steps(op, "EBUSY"),
        }
    }

    /// A block changes its state: the chain is called, and may refuse.
    fn changes(
        &mut self,
        op: &Op,
        block: BlockId,
        asks: &str,
        sent: [u64; 3],
        uevent: &str,
    ) -> Result<(), Errno> {
        let [going, done, cancelled] = sent;
        let follows = matches!(self.facts.generation, Some(Generation::G0 | Generation::G1));
        let veto = self.veto.get(asks).copied();
        let refused = veto.or_else(|| {
            (follows && matches!(op, Op::Online { .. }) && self.refuses_assign()).then(|| errno("EPERM"))
        });
        if let Some(errno) = refused {
            self.notify(block, &[going, cancelled]);
            return Err(errno);
        }
        self.steps(op, "EINVAL")?;
        if let (Op::Offline { .. }, Some((objects, left))) = (op, &mut self.objects) {
            *objects += *left;
        }
        self.notify(block, &[going, done]);
        self.uevent(uevent, block);
        Ok(())
    }

    /// Does it in the books, and keeps the storage commands that it took.
    fn steps(&mut self, op: &Op, refused: &str) -> Result<(), Errno> {
        let assigned = |kernel: &Self| match &kernel.ledger().hypervisor {
            Hypervisor::Standby { assigned, .. } => assigned.clone(),
            Hypervisor::Dimms(_) => BTreeSet::new(),
        };
        let before = assigned(self);
        if !self.step(op) {
            return Err(errno(refused));
        }
        let after = assigned(self);
        let (new, gone) = (after.difference(&before), before.difference(&after));
        let answers: &[u32] = if self.assigns_twice {
            &[0x20, 0x120]
        } else {
            &[0x20]
        };
        for number in new {
            for answer in answers {
                command(&mut self.commands, 0x000d_0001, *number, *answer);
            }
        }
        gone.for_each(|number| command(&mut self.commands, 0x000c_0001, *number, 0x20));
        Ok(())
    }

    /// Sets a property of the standby memory.
    pub(super) fn sets(&mut self, property: String, value: Value) {
        if property == format::standby::property::REFUSE_UNASSIGN {
            self.step(&Op::KeepStorage(value == json!(true)));
        }
        self.properties.insert(property, value);
    }

    /// Whether QEMU refuses the next ASSIGN.
    fn refuses_assign(&mut self) -> bool {
        use format::standby::property::{REFUSE_ASSIGN, REFUSE_ASSIGN_AT};
        let all = self.properties.get(REFUSE_ASSIGN) == Some(&json!(true));
        // Of the ASSIGNs of a block, which one is refused makes no difference here.
        let at = self.properties.get(REFUSE_ASSIGN_AT).and_then(Value::as_u64);
        let next = at.is_some_and(|at| (1..=BLOCK / INCREMENT).contains(&at));
        if next {
            self.properties.remove(REFUSE_ASSIGN_AT);
        }
        if all || next {
            command(&mut self.commands, 0x000d_0001, 17, 0x340);
        }
        all || next
    }

    fn notify(&mut self, block: BlockId, actions: &[u64]) {
        let (start, pages) = (block.pfns(self.facts.block_size).start, PAGES);
        for action in actions {
            let line = format!(
                " sh-1 [000] 1.0: notify: (f+0x0/0x80) chain=0xffff0000 a={start} b={pages} action={action}\n"
            );
            let times = if self.notifies_twice && *action == 1 { 2 } else { 1 };
            self.trace.push_str(&line.repeat(times));
        }
    }

    /// Notifies of the blocks that went online as they came, or offline as they went.
    fn notify_since(&mut self, before: &Ledger) {
        let on = |ledger: &Ledger| -> BTreeSet<BlockId> {
            let on = ledger.blocks.iter().filter(|(_, block)| block.zone().is_some());
            on.map(|(block, _)| *block).collect()
        };
        let (before, after) = (on(before), on(self.ledger()));
        after
            .difference(&before)
            .for_each(|block| self.notify(*block, &[8, 1]));
        before
            .difference(&after)
            .for_each(|block| self.notify(*block, &[2, 4]));
    }

    fn uevent(&mut self, action: &str, block: BlockId) {
        let action = self.other_uevents.pop_front().unwrap_or(action);
        let path = format!("/devices/system/memory/{block}");
        let number = self.uevents.lines().count() + 1;
        writeln!(
            self.uevents,
            "{action}@{path}\0ACTION={action}\0DEVPATH={path}\0SEQNUM={number}\0"
        )
        .expect("a string");
    }

    /// The blocks of a DIMM, if the kernel takes it.
    fn blocks_of(&self, dimm: &Dimm) -> Vec<BlockId> {
        let size = dimm.size.as_bytes();
        match self.refuses_dimms || !size.is_multiple_of(BLOCK) || !dimm.address.is_multiple_of(BLOCK) {
            true => Vec::new(),
            false => (dimm.address / BLOCK..(dimm.address + size) / BLOCK)
                .map(BlockId)
                .collect(),
        }
    }

    /// Where QEMU puts the next DIMM; `None` where there is no room for one of this size.
    pub(super) fn room(&self, size: u64) -> Option<u64> {
        let Hypervisor::Dimms(dimms) = &self.ledger().hypervisor else {
            return None;
        };
        let mut dimms: Vec<&Dimm> = dimms.values().collect();
        dimms.sort_unstable_by_key(|dimm| dimm.address);
        let mut start = CORE * BLOCK;
        for dimm in dimms {
            if start + size <= dimm.address {
                break;
            }
            start = dimm.address + dimm.size.as_bytes();
        }
        (start + size <= (CORE + BLOCKS) * BLOCK).then_some(start)
    }

    /// Takes a plugged DIMM.
    pub(super) fn plugged(&mut self, id: &str, dimm: Dimm) {
        let blocks = self.blocks_of(&dimm);
        let op = Op::Add {
            blocks: blocks.clone(),
            by: memory::AddBy::Dimm {
                id: id.to_owned(),
                dimm,
            },
        };
        let before = self.ledger().clone();
        self.step(&op);
        self.notify_since(&before);
        blocks.iter().for_each(|block| self.uevent("add", *block));
    }

    /// Lets a DIMM go, or says by which ACPI status it does not.
    pub(super) fn ejected(&mut self, id: &str) -> Result<(), u64> {
        let Hypervisor::Dimms(dimms) = &self.ledger().hypervisor else {
            return Err(0x80);
        };
        let blocks = self.blocks_of(dimms.get(id).expect("a DIMM that is plugged"));
        let ledger = self.ledger().clone();
        let online = |block: &BlockId| {
            ledger
                .blocks
                .get(block)
                .is_some_and(|block| block.zone().is_some())
        };
        let vetoed = self.veto.contains_key("MEM_GOING_OFFLINE") && blocks.iter().any(online);
        if vetoed || blocks.iter().any(|block| self.busy.contains(&block.0)) {
            return Err(0x82);
        }
        let blocks: Vec<BlockId> = blocks
            .into_iter()
            .filter(|block| ledger.blocks.contains_key(block))
            .collect();
        for block in &blocks {
            if ledger.blocks[block].zone().is_some() {
                self.uevent("offline", *block);
            }
            self.uevent("remove", *block);
        }
        self.step(&Op::Remove {
            blocks,
            by: RemoveBy::Dimm { id: id.to_owned() },
        });
        self.notify_since(&ledger);
        Ok(())
    }
}

fn command(commands: &mut Vec<Value>, word: u32, number: u32, response: u32) {
    let seq = commands.len() + 1;
    commands.push(json!({"seq": seq, "time": 0, "command": word, "number": number, "response": response}));
}

/// What a shell says of an errno.
fn message(errno: Errno) -> &'static str {
    match errno.number() {
        2 => "No such file or directory",
        5 => "Input/output error",
        16 => "Device or resource busy",
        22 => "Invalid argument",
        other => panic!("errno {other} has no words yet"),
    }
}

/// Lets a text lie: the last number of the first line that begins so is off by so much.
pub(super) fn lie(text: &str, begins: &str, by: i64) -> String {
    let mut lied = false;
    let lines = text.lines().map(|line| {
        if lied || !line.starts_with(begins) {
            return format!("{line}\n");
        }
        let end = line.rfind(|c: char| c.is_ascii_digit()).expect("a number") + 1;
        let start = line[..end]
            .rfind(|c: char| !c.is_ascii_digit())
            .map_or(0, |at| at + 1);
        let number: i64 = line[start..end].parse().expect("a number");
        lied = true;
        format!("{}{}{}\n", &line[..start], number + by, &line[end..])
    });
    let text = lines.collect();
    assert!(lied, "no line begins with {begins}");
    text
}

/// The number that a text begins with.
fn number(text: &str) -> u64 {
    let word = text.split_whitespace().next().expect("a word");
    word.parse().expect("a number")
}

impl Fault {
    /// What it makes of an answer.
    pub(super) fn of(&self, answer: Output) -> Output {
        match self {
            Self::Lie(begins, by) => Output {
                stdout: lie(&answer.text(), begins, *by).into(),
                ..answer
            },
            Self::Exit(code, said) => ended(*code, "", said),
            _ => answer,
        }
    }
}
