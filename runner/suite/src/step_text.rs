// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step in one line, as the suite has it.

use std::fmt;

use super::step::{Act, Action, AddResult, Extent, File, Look, RefuseAssign, Step, StorageCommands, Veto};

/// Writes `step: { key: value, … }` as the suite has it.
struct Line<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    open: bool,
}

impl<'a, 'f> Line<'a, 'f> {
    fn new(f: &'a mut fmt::Formatter<'f>, step: &str) -> Result<Self, fmt::Error> {
        write!(f, "{step}: {{")?;
        Ok(Self { f, open: false })
    }

    fn key(&mut self, key: &str, value: impl fmt::Display) -> fmt::Result {
        let comma = if std::mem::replace(&mut self.open, true) {
            ","
        } else {
            ""
        };
        write!(self.f, "{comma} {key}: {value}")
    }

    fn some(&mut self, key: &str, value: Option<&impl fmt::Display>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.key(key, value))
    }

    fn text(&mut self, key: &str, value: &str) -> fmt::Result {
        self.key(key, format_args!("{value:?}"))
    }

    fn file(&mut self, file: &File) -> fmt::Result {
        match file {
            File::OfBlock { block, file } => {
                self.key("block", block)?;
                self.key("file", file)
            }
            File::Path(path) => self.key("path", path),
        }
    }

    fn list<T: fmt::Display>(&mut self, key: &str, values: &[T]) -> fmt::Result {
        let words: Vec<_> = values.iter().map(T::to_string).collect();
        self.key(key, format_args!("[{}]", words.join(", ")))
    }

    fn end(self) -> fmt::Result {
        self.f.write_str(if self.open { " }" } else { "}" })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line::new(f, self.word())?;
        match self {
            Self::Act(act) => act.keys(&mut line)?,
            Self::Look(look) => look.keys(&mut line)?,
            Self::Repeat(repeat) => {
                line.key("times", repeat.times)?;
                let words: Vec<_> = repeat.steps.iter().map(|step| step.action.word()).collect();
                line.list("steps", &words)?;
            }
        }
        line.end()
    }
}

impl Act {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        match self {
            Self::Add(add) => {
                line.key("as", &add.name)?;
                match add.extent {
                    Extent::Blocks(1) => {}
                    Extent::Blocks(blocks) => line.key("blocks", blocks)?,
                    Extent::Size(size) => line.key("size", size)?,
                }
                if add.times != 1 {
                    line.key("times", add.times)?;
                }
                line.some("address", add.address.as_ref())?;
                line.some("node", add.node.as_ref())?;
                line.some("memmap_on_memory", add.memmap_on_memory.as_ref())?;
                match &add.result {
                    AddResult::Added => {}
                    AddResult::Fails(errno) => line.key("fails", errno)?,
                    AddResult::Refused => line.key("refused", true)?,
                    AddResult::Rejected(text) => line.text("rejected", text)?,
                }
            }
            Self::Online(online) => {
                line.key("block", &online.block)?;
                line.some("zone", online.zone.as_ref())?;
                line.some("via", online.via.as_ref())?;
                line.some("fails", online.fails.as_ref())?;
            }
            Self::Offline(offline) => {
                line.key("block", &offline.block)?;
                line.some("via", offline.via.as_ref())?;
                line.some("fails", offline.fails.as_ref())?;
            }
            Self::Remove(remove) => {
                line.key("block", &remove.block)?;
                line.some("fails", remove.fails.as_ref())?;
            }
            Self::Write(write) => {
                line.file(&write.file)?;
                line.text("value", &write.value)?;
                line.some("fails", write.fails.as_ref())?;
            }
            Self::RefuseAssign(refuse) => {
                let response = match refuse {
                    RefuseAssign::At { nth, response } => {
                        line.key("at", nth)?;
                        response
                    }
                    RefuseAssign::All { response } => {
                        line.key("all", true)?;
                        response
                    }
                    RefuseAssign::Off => {
                        line.key("off", true)?;
                        &None
                    }
                };
                if let Some(response) = response {
                    line.key("response", format_args!("{response:#06x}"))?;
                }
            }
            Self::Veto(Veto::On {
                notifier,
                errno,
                priority,
            }) => {
                line.key("notifier", notifier)?;
                line.key("errno", errno)?;
                if *priority != 0 {
                    line.key("priority", priority)?;
                }
            }
            Self::Veto(Veto::Off) => line.key("off", true)?,
            Self::AutoOnline(auto) => line.key("policy", auto.policy)?,
            Self::Busy(busy) => {
                line.key("block", &busy.block)?;
                line.key("with", busy.with)?;
                line.key("as", &busy.name)?;
            }
            Self::Free(free) => line.key("busy", &free.busy)?,
            Self::Guest(guest) => {
                line.some("block", guest.block.as_ref())?;
                line.text("run", &guest.run)?;
                if guest.exit != 0 {
                    line.key("fails", guest.exit)?;
                }
                if guest.ktap {
                    line.key("ktap", true)?;
                }
                if !guest.files.is_empty() {
                    line.list("files", &guest.files)?;
                }
                if !guest.selftests.is_empty() {
                    line.list("selftests", &guest.selftests)?;
                }
            }
            Self::Configure(configure) => {
                line.key("block", &configure.block)?;
                line.some("memmap_on_memory", configure.memmap_on_memory.as_ref())?;
                line.some("fails", configure.fails.as_ref())?;
            }
            Self::Deconfigure(deconfigure) => {
                line.key("block", &deconfigure.block)?;
                line.some("fails", deconfigure.fails.as_ref())?;
            }
            Self::Storage(storage) => {
                line.key("block", &storage.block)?;
                line.text(storage.file.name(), &storage.value)?;
                line.some("fails", storage.fails.as_ref())?;
            }
        }
        Ok(())
    }
}

impl Look {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        match self {
            Self::Read(read) => {
                line.file(&read.file)?;
                if let Some(is) = &read.is {
                    line.text("is", &is.to_string())?;
                }
                if let Some(pattern) = &read.matches {
                    line.text("matches", &pattern.to_string())?;
                }
            }
            Self::Log(log) => {
                for (key, pattern) in [("has", &log.has), ("lacks", &log.lacks)] {
                    if let Some(pattern) = pattern {
                        line.text(key, &pattern.to_string())?;
                    }
                }
            }
            Self::StorageCommands(commands) => match commands {
                StorageCommands::None => line.key("are", "none")?,
                StorageCommands::Assign(block) => {
                    line.key("are", "assign")?;
                    line.key("block", block)?;
                }
                StorageCommands::Unassign(block) => {
                    line.key("are", "unassign")?;
                    line.key("block", block)?;
                }
            },
            Self::Assigned(assigned) => line.list("are", &assigned.are)?,
            Self::Notifiers(notifiers) => line.list("are", &notifiers.are)?,
            Self::Uevents(uevents) => {
                line.key("block", &uevents.block)?;
                line.list("are", &uevents.are)?;
            }
            Self::Pages(pages) => {
                line.key("block", &pages.block)?;
                line.key("memmap", pages.memmap)?;
            }
        }
        Ok(())
    }
}
