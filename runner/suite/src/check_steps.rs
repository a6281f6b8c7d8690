// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the steps of a case fit together: names that stand for blocks, what only one architecture has, keys that exclude each
//! other. What the kernel would refuse is not looked at; that is what cases test.

use std::{collections::BTreeMap, fmt};

use super::{
    check::{Notes, ONLY_S390X, Scope},
    check_blocks::{Named, Use},
    error::near,
    limits,
    names::{BlockName, BlockRef},
    places::Spot,
    raw_step::{
        RawGuest, RawLog, RawRead, RawRefuseAssign, RawRepeat, RawStep, RawStorageCommands, RawVeto,
        RawWrite, StorageCommand,
    },
    step::{
        Act, Action, File, Guest, Log, Look, Read, RefuseAssign, Repeat, Step, StorageCommands, Veto, Write,
    },
    words::{Via, ZoneChoice},
};
use base::Arch;
use memory::{Generation, in_sysfs};

/// Walks the steps of a case in order.
pub(super) struct Checker<'c, 'n, 't> {
    pub(super) scope: &'c Scope,
    pub(super) nodes: u32,
    pub(super) notes: &'n mut Notes<'t>,
    pub(super) names: BTreeMap<BlockName, Named>,
    busy: BTreeMap<BlockName, bool>,
    priority: Option<(i32, usize)>,
    /// How often the steps that are looked at are done.
    rounds: u32,
}

pub(super) fn steps(
    raw: &[RawStep],
    scope: &Scope,
    nodes: u32,
    at: &Spot<'_>,
    notes: &mut Notes<'_>,
) -> Vec<Step> {
    let mut checker = Checker {
        scope,
        nodes,
        notes,
        names: BTreeMap::new(),
        busy: BTreeMap::new(),
        priority: None,
        rounds: 1,
    };
    checker.list(raw, at)
}

impl Checker<'_, '_, '_> {
    fn list(&mut self, raw: &[RawStep], at: &Spot<'_>) -> Vec<Step> {
        let one = |(index, raw): (usize, &RawStep)| {
            let spot = at.item(index).only_key();
            Step {
                line: self.notes.line(&spot),
                action: self.step(raw, &spot),
            }
        };
        raw.iter().enumerate().map(one).collect()
    }

    fn step(&mut self, raw: &RawStep, at: &Spot<'_>) -> Action {
        match raw {
            RawStep::Add(raw) => Action::Act(Act::Add(self.add(raw, at))),
            RawStep::Online(online) => {
                self.uses(&online.block, Use::There, &at.value("block"));
                if online.via == Some(Via::Online)
                    && let Some(zone @ (ZoneChoice::Kernel | ZoneChoice::Movable)) = online.zone
                {
                    let message = format!(
                        "the file `online` takes no zone, so that `zone: {zone}` cannot be asked for"
                    );
                    self.notes.wrong_but(
                        &at.value("zone"),
                        message,
                        Some("leave out `via: online`".to_owned()),
                    );
                }
                Action::Act(Act::Online(online.clone()))
            }
            RawStep::Offline(offline) => {
                self.uses(&offline.block, Use::There, &at.value("block"));
                Action::Act(Act::Offline(offline.clone()))
            }
            RawStep::Remove(remove) => {
                self.remove(remove, at);
                Action::Act(Act::Remove(remove.clone()))
            }
            RawStep::Write(RawWrite {
                block,
                file,
                path,
                value,
                fails,
            }) => {
                let file = self.file(block, file, path, at);
                if value.is_empty()
                    && let File::Path(path) = &file
                    && !in_sysfs(path)
                {
                    let hint = Some(r#"`echo > FILE` writes "\n""#.to_owned());
                    let message = "an empty value never reaches the kernel: only files of sysfs take one";
                    self.notes.wrong_but(&at.value("value"), message, hint);
                }
                Action::Act(Act::Write(Write {
                    file,
                    value: value.clone(),
                    fails: *fails,
                }))
            }
            RawStep::Read(raw) => Action::Look(Look::Read(self.read(raw, at))),
            RawStep::Log(RawLog { has, lacks }) => {
                if has.is_none() && lacks.is_none() {
                    self.notes
                        .wrong(at, "`log` looks for nothing: expected `has`, `lacks` or both");
                }
                for (key, pattern) in [("has", has), ("lacks", lacks)] {
                    if let Some(pattern) = pattern {
                        let hint = "name words of the line, such as `has: Offlined Pages`";
                        self.notes.tests_something(pattern, &at.value(key), hint);
                    }
                }
                Action::Look(Look::Log(Log {
                    has: has.clone(),
                    lacks: lacks.clone(),
                }))
            }
            RawStep::StorageCommands(raw) => {
                Action::Look(Look::StorageCommands(self.storage_commands(raw, at)))
            }
            RawStep::Assigned(assigned) => {
                self.s390x("`assigned` looks at standby memory", at);
                for (i, block) in assigned.are.iter().enumerate() {
                    self.uses(block, Use::Past, &at.value("are").item(i));
                }
                Action::Look(Look::Assigned(assigned.clone()))
            }
            RawStep::RefuseAssign(raw) => Action::Act(Act::RefuseAssign(self.refuse_assign(raw, at))),
            RawStep::Veto(raw) => Action::Act(Act::Veto(self.veto(raw, at))),
            RawStep::Notifiers(notifiers) => Action::Look(Look::Notifiers(notifiers.clone())),
            RawStep::AutoOnline(auto) => Action::Act(Act::AutoOnline(auto.clone())),
            RawStep::Uevents(uevents) => {
                self.uses(&uevents.block, Use::Past, &at.value("block"));
                Action::Look(Look::Uevents(uevents.clone()))
            }
            RawStep::Pages(pages) => {
                self.uses(&pages.block, Use::There, &at.value("block"));
                Action::Look(Look::Pages(pages.clone()))
            }
            RawStep::Busy(busy) => {
                self.uses(&busy.block, Use::There, &at.value("block"));
                if self.busy.insert(busy.name.clone(), true) == Some(true) {
                    let message = format_args!("`{}` is busy already", busy.name);
                    self.notes.wrong_but(
                        &at.value("as"),
                        message,
                        Some("free it first, or take another name".into()),
                    );
                }
                Action::Act(Act::Busy(busy.clone()))
            }
            RawStep::Free(free) => {
                if self.busy.insert(free.busy.clone(), false) != Some(true) {
                    let known: Vec<_> = self
                        .busy
                        .iter()
                        .filter(|(_, on)| **on)
                        .map(|(name, _)| name.as_str())
                        .collect();
                    let hint = near(free.busy.as_str(), known)
                        .or_else(|| Some("no `busy` step is open here".into()));
                    self.notes.wrong_but(
                        &at.value("busy"),
                        format_args!("nothing called `{}` is busy", free.busy),
                        hint,
                    );
                }
                Action::Act(Act::Free(free.clone()))
            }
            RawStep::Guest(RawGuest {
                run,
                block,
                files,
                fails,
                ktap,
                selftests,
            }) => {
                if let Some(block) = block {
                    self.uses(block, Use::There, &at.value("block"));
                }
                for (i, file) in files.iter().enumerate() {
                    let plain = |part: &str| !part.is_empty() && part != ".." && part != ".";
                    if !file.split('/').all(plain) {
                        let message = format_args!("{file:?} is no file beside the suite");
                        let hint = "expected a name or a path below the suite's folder, such as check.sh";
                        self.notes
                            .wrong_but(&at.value("files").item(i), message, Some(hint.to_owned()));
                    }
                }
                if run.trim().is_empty() {
                    self.notes.wrong(&at.value("run"), "the script is empty");
                }
                if let Some(code @ (0 | 126..)) = fails {
                    let message = format_args!("{code} is no exit code of a failure: expected 1 to 125");
                    self.notes.wrong(&at.value("fails"), message);
                }
                for file in selftests {
                    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                    let parts = || file.split('/');
                    let good = parts().count() == 2
                        && parts().all(|part| {
                            part.chars().all(plain) && !part.starts_with('.') && !part.is_empty()
                        })
                        && (file.ends_with(".sh") || file.ends_with(".c"));
                    if !good {
                        let message = format_args!(
                            "{file:?} is no selftest: expected FOLDER/NAME.sh or FOLDER/NAME.c, such as mm/map_populate.c"
                        );
                        self.notes.wrong(&at.value("selftests"), message);
                    }
                }
                Action::Act(Act::Guest(Guest {
                    run: run.clone(),
                    block: block.clone(),
                    files: files.clone(),
                    exit: fails.unwrap_or(0),
                    ktap: ktap.unwrap_or(false),
                    selftests: selftests.clone(),
                }))
            }
            RawStep::Repeat(raw) => Action::Repeat(self.repeat(raw, at)),
            RawStep::Configure(configure) => {
                self.configure(configure, at);
                Action::Act(Act::Configure(configure.clone()))
            }
            RawStep::Deconfigure(deconfigure) => {
                self.deconfigure(deconfigure, at);
                Action::Act(Act::Deconfigure(deconfigure.clone()))
            }
            RawStep::Storage(raw) => Action::Act(Act::Storage(self.storage(raw, at))),
        }
    }

    fn file(
        &mut self,
        block: &Option<BlockRef>,
        file: &Option<String>,
        path: &Option<String>,
        at: &Spot<'_>,
    ) -> File {
        match (block, file, path) {
            (Some(block), Some(file), None) => {
                self.uses(block, Use::There, &at.value("block"));
                if file.is_empty() || file.starts_with('/') || file.contains("..") {
                    let hint = Some("use `path` for files elsewhere".to_owned());
                    self.notes.wrong_but(
                        &at.value("file"),
                        format_args!("`{file}` is no file of a memory block"),
                        hint,
                    );
                }
                File::OfBlock {
                    block: block.clone(),
                    file: file.clone(),
                }
            }
            (None, None, Some(path)) => {
                if !path.starts_with('/') {
                    self.notes
                        .wrong(&at.value("path"), format_args!("`{path}` is no absolute path"));
                }
                File::Path(path.clone())
            }
            _ => {
                let message = "which file is not clear: expected either `block` and `file`, or `path`";
                self.notes.wrong(at, message);
                File::Path(String::new())
            }
        }
    }

    fn read(&mut self, raw: &RawRead, at: &Spot<'_>) -> Read {
        let file = self.file(&raw.block, &raw.file, &raw.path, at);
        if raw.is.is_none() && raw.matches.is_none() {
            self.notes
                .wrong(at, "nothing is compared: expected `is`, `matches` or both");
        }
        if raw.path.is_some() && raw.is.as_ref().is_some_and(|is| is.needs_block()) {
            self.notes.wrong(
                &at.value("is"),
                "the placeholder is about a block, but `path` names none",
            );
        }
        if let Some(pattern) = &raw.matches {
            let hint = "name words of the content, or anchor it: `^$` is an empty file";
            self.notes.tests_something(pattern, &at.value("matches"), hint);
        }
        Read {
            file,
            is: raw.is.clone(),
            matches: raw.matches.clone(),
        }
    }

    fn storage_commands(&mut self, raw: &RawStorageCommands, at: &Spot<'_>) -> StorageCommands {
        self.s390x("`storage_commands` looks at standby memory", at);
        match (raw.are, &raw.block) {
            (StorageCommand::None, None) => StorageCommands::None,
            (StorageCommand::None, Some(_)) => {
                self.notes
                    .wrong(&at.key("block"), "`are: none` is about no block");
                StorageCommands::None
            }
            (_, None) => {
                self.notes
                    .wrong(at, "the key `block` is missing: the commands of which blocks?");
                StorageCommands::None
            }
            (are, Some(block)) => {
                self.uses(block, Use::Past, &at.value("block"));
                match are {
                    StorageCommand::Assign => StorageCommands::Assign(block.clone()),
                    _ => StorageCommands::Unassign(block.clone()),
                }
            }
        }
    }

    fn refuse_assign(&mut self, raw: &RawRefuseAssign, at: &Spot<'_>) -> RefuseAssign {
        self.s390x("`refuse_assign` is about standby memory", at);
        let yes = |value: Option<bool>| value == Some(true);
        let response = raw.response;
        match (raw.at, yes(raw.all), yes(raw.off)) {
            (Some(0), false, false) => {
                self.notes.wrong(&at.value("at"), "commands are counted from 1");
                RefuseAssign::Off
            }
            (Some(nth), false, false) => RefuseAssign::At { nth, response },
            (None, true, false) => RefuseAssign::All { response },
            (None, false, true) => {
                if response.is_some() {
                    self.notes.wrong(
                        &at.key("response"),
                        "`off` refuses nothing, so that there is no response",
                    );
                }
                RefuseAssign::Off
            }
            _ => {
                self.notes
                    .wrong(at, "expected exactly one of `at: N`, `all: true` and `off: true`");
                RefuseAssign::Off
            }
        }
    }

    fn veto(&mut self, raw: &RawVeto, at: &Spot<'_>) -> Veto {
        match (raw.notifier, raw.errno, raw.off == Some(true)) {
            (Some(notifier), Some(errno), false) => {
                let (priority, line) = (raw.priority.unwrap_or(0), self.notes.line(at));
                let (first, first_line) = *self.priority.get_or_insert((priority, line));
                if first != priority {
                    let message = format_args!(
                        "the priority is {first} since line {first_line}, and cannot change in a case"
                    );
                    self.notes.wrong(&at.value("priority"), message);
                }
                Veto::On {
                    notifier,
                    errno,
                    priority,
                }
            }
            (None, None, true) if raw.priority.is_none() => Veto::Off,
            _ => {
                self.notes
                    .wrong(at, "expected either `notifier` and `errno`, or `off: true` alone");
                Veto::Off
            }
        }
    }

    fn repeat(&mut self, raw: &RawRepeat, at: &Spot<'_>) -> Repeat {
        if raw.times == 0 {
            self.notes.wrong(&at.value("times"), "nothing would be done");
        }
        if raw.steps.is_empty() {
            self.notes.wrong(&at.value("steps"), "there are no steps");
        }
        let before = self.notes.count();
        let outside = self.rounds;
        self.rounds = outside.saturating_mul(raw.times.max(1));
        if self.rounds > limits::ROUNDS {
            let within = if outside > 1 {
                format!(" in {outside} rounds")
            } else {
                String::new()
            };
            let message = format_args!(
                "{}{within} are too many: expected up to {} in all",
                raw.times,
                limits::ROUNDS
            );
            self.notes.wrong(&at.value("times"), message);
        }
        let steps = self.list(&raw.steps, &at.value("steps"));
        // The second round shows what the first leaves behind.
        if raw.times > 1 && self.notes.count() == before {
            self.list(&raw.steps, &at.value("steps"));
        }
        self.rounds = outside;
        Repeat {
            times: raw.times,
            steps,
        }
    }

    fn s390x(&mut self, why: impl fmt::Display, at: &Spot<'_>) {
        if !self.scope.only(Arch::S390x) {
            let message = format_args!("{why}, which only s390x has, but this case also runs on x86_64");
            let hint = if self.scope.only(Arch::X86_64) {
                None
            } else {
                Some(ONLY_S390X.to_owned())
            };
            let message = if hint.is_some() {
                message.to_string()
            } else {
                format!("{why}, which only s390x has")
            };
            self.notes.wrong_but(at, message, hint);
        }
    }

    pub(super) fn x86_64(&mut self, why: impl fmt::Display, at: &Spot<'_>) {
        if !self.scope.only(Arch::X86_64) {
            let message = format_args!("{why}, which only x86_64 has, but this case also runs on s390x");
            let hint = Some("say `needs: { arch: [x86_64] }`".to_owned());
            self.notes.wrong_but(at, message, hint);
        }
    }

    pub(super) fn g2(&mut self, why: impl fmt::Display, at: &Spot<'_>) {
        if !self.scope.only_generation(Generation::G2) {
            let message =
                format_args!("{why}, which only generation G2 has, but this case also runs on others");
            let hint = Some("say `needs: { generation: [G2] }`".to_owned());
            self.notes.wrong_but(at, message, hint);
        }
    }
}
