// SPDX-License-Identifier: MIT OR Apache-2.0
//! The storage commands of an s390x guest, as QEMU saw them.

use serde_json::json;

use super::{
    bench::Bench,
    guest::UnderTest,
    hypervisor::{standby_get, standby_set},
    look::listed,
    trouble::Trouble,
};
use format::standby::{ALREADY, DONE, StorageCommand, StorageVerb, property};
use suite::{FailureKind, RefuseAssign, StorageCommands};

impl<G: UnderTest> Bench<'_, G> {
    /// Remembers which commands there are, so that later looks show only what came since.
    pub(super) async fn mark(&mut self) -> Result<(), Trouble> {
        if self.has_standby() {
            self.go_behind(&self.commands().await?);
        }
        Ok(())
    }

    fn go_behind(&mut self, commands: &[StorageCommand]) {
        if let Some(last) = commands.last() {
            self.commands_since = last.seq;
        }
    }

    /// The storage commands since the last mark.
    pub(super) async fn commands(&self) -> Result<Vec<StorageCommand>, Trouble> {
        standby_set(self.guest, property::COMMANDS_SINCE, json!(self.commands_since)).await?;
        let value = standby_get(self.guest, property::COMMANDS).await?;
        serde_json::from_value(value.clone()).map_err(|error| {
            Trouble::bench(format!(
                "QEMU's list of storage commands does not read: {error}: {value}"
            ))
        })
    }

    pub(super) async fn storage_commands(&self, wanted: &StorageCommands) -> Result<(), Trouble> {
        let commands = self.commands().await?;
        let (verb, block) = match wanted {
            StorageCommands::None => (None, None),
            StorageCommands::Assign(block) => (Some(StorageVerb::Assign), Some(block)),
            StorageCommands::Unassign(block) => (Some(StorageVerb::Unassign), Some(block)),
            StorageCommands::Done => return all_done(&commands),
        };
        let mut predicted = Vec::new();
        if let (Some(verb), Some(block)) = (verb, block) {
            for block in self.blocks(block)? {
                predicted.extend(
                    self.increments(block)?
                        .into_iter()
                        .map(|increment| format!("{verb:?} {increment}")),
                );
            }
        }
        let seen: Vec<String> = commands
            .iter()
            .filter_map(|command| match command.verb()? {
                verb @ (StorageVerb::Assign | StorageVerb::Unassign) => {
                    Some(format!("{verb:?} {}", command.number))
                }
                StorageVerb::Read | StorageVerb::Attach => None,
            })
            .collect();
        listed("storage commands".to_owned(), &predicted, &seen)
    }

    /// Whether the storage commands since this was asked last were all done, as they are looked at after each step that is drawn.
    ///
    /// Where something is refused, the kernel gives back more than it got: all increments of the block, at MEM_CANCEL_ONLINE (6.1) or MEM_FINISH_OFFLINE
    /// (6.12; sclp_mem_notifier, drivers/s390/char/sclp_cmd.c). Storage that was left is asked for although it is there.
    pub(super) async fn were_done(&mut self) -> Result<(), Trouble> {
        let judged = self.pass_commands().await?;
        judged.map_or(Ok(()), |commands| all_done(&commands))
    }

    /// Goes on behind the storage commands up to now; those that must be done come back, if that is known of them.
    pub(super) async fn pass_commands(&mut self) -> Result<Option<Vec<StorageCommand>>, Trouble> {
        if !self.has_standby() {
            return Ok(None);
        }
        let commands = self.commands().await?;
        self.go_behind(&commands);
        let is_left = self.ledger.has_storage_left(&self.facts);
        let was_left = std::mem::replace(&mut self.storage_was_left, is_left);
        let is_refused = self.refuses_assign != RefuseAssign::Off
            || self.keeps_storage
            || !self.vetoed.is_empty()
            || self.fault.is_some();
        // QEMU refuses no more than this one.
        if matches!(self.refuses_assign, RefuseAssign::At { .. }) && commands.iter().any(was_refused) {
            self.refuses_assign = RefuseAssign::Off;
        }
        Ok((!was_left && !is_refused).then_some(commands))
    }
}

/// Whether QEMU refused it, though it asked for what was not so.
fn was_refused(command: &StorageCommand) -> bool {
    command.moves_storage() && ![DONE, ALREADY].contains(&command.response)
}

/// Whether each command that moves storage did.
fn all_done(commands: &[StorageCommand]) -> Result<(), Trouble> {
    let not_done = commands
        .iter()
        .find(|command| command.moves_storage() && command.response != DONE);
    not_done.map_or(Ok(()), |command| {
        let why = match command.response {
            ALREADY => "was so already",
            _ => "was refused",
        };
        let why = format!("a storage command {why}: {command}");
        Err(Trouble::kernel(why).of(FailureKind::StorageCommands))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_storage_must_be_done() {
        let told = |command, response| {
            let command = StorageCommand {
                seq: 1,
                time: 0,
                command,
                number: 17,
                response,
            };
            all_done(&[command]).map_err(|trouble| trouble.message().to_owned())
        };
        let (read, assign, unassign) = (0x0004_0001, 0x000d_0001, 0x000c_0001);
        assert_eq!(told(assign, DONE), Ok(()));
        assert_eq!(told(read, 0x0010), Ok(()), "it moves none");
        let wrong = |text: &str| Err(text.to_owned());
        assert_eq!(
            told(unassign, ALREADY),
            wrong("a storage command was so already: Unassign 17: 0x0120")
        );
        assert_eq!(
            told(assign, 0x0340),
            wrong("a storage command was refused: Assign 17: 0x0340")
        );
        assert_eq!(all_done(&[]).map_err(|_| ()), Ok(()));
    }
}
