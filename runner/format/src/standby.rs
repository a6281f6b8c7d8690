// SPDX-License-Identifier: MIT OR Apache-2.0
//! The properties of the standby memory that a running QEMU shows over QMP.

use std::fmt;

use serde::Deserialize;

/// Where the properties are, for `qom-get` and `qom-set`.
pub const PATH: &str = "/machine/sclp/standby-memory";

/// Names of the properties. Those that say so can be set at any time, also before the guest's first instruction.
pub mod property {
    /// Numbers of the standby increments that the guest uses right now.
    pub const ASSIGNED_INCREMENTS: &str = "assigned-increments";
    /// Numbers of the initial increments that the guest gave back.
    pub const UNASSIGNED_CORE_INCREMENTS: &str = "unassigned-core-increments";
    /// Size of an increment in bytes.
    pub const INCREMENT_SIZE: &str = "increment-size";
    /// Size of standby memory in bytes.
    pub const STANDBY_SIZE: &str = "standby-size";
    /// Settable: every assign command fails.
    pub const REFUSE_ASSIGN: &str = "refuse-assign";
    /// Settable: the k-th assign command from now fails, once. Reads as the number of commands that are left, 0 is never.
    pub const REFUSE_ASSIGN_AT: &str = "refuse-assign-at";
    /// Settable: every unassign command fails.
    pub const REFUSE_UNASSIGN: &str = "refuse-unassign";
    /// Settable: the response code of a refused command.
    pub const REFUSE_RESPONSE: &str = "refuse-response";
    /// What that is before anybody sets it.
    pub const DEFAULT_RESPONSE: u16 = 0x0340;
    /// Settable: the highest element id that the guest is told, 1 to 255.
    pub const MAX_ELEMENT_ID: &str = "max-element-id";
    /// Settable: the response code of READ STORAGE INFO for an element that is not attached.
    pub const ELEMENT_RESPONSE: &str = "element-response";
    /// The guest's storage commands after `commands-since`, a list of [`super::StorageCommand`].
    pub const COMMANDS: &str = "commands";
    /// Settable: the sequence number after which `commands` starts.
    pub const COMMANDS_SINCE: &str = "commands-since";
}

/// The response code of a command that was done.
pub const DONE: u16 = 0x0020;

/// That of one for what was so already.
pub const ALREADY: u16 = 0x0120;

/// One storage command of the guest, as the property `commands` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct StorageCommand {
    /// Counts from 1 when QEMU starts, without gaps.
    pub seq: u64,
    /// QEMU's virtual clock, in nanoseconds.
    pub time: u64,
    /// The command word, as in `0x000d0001`.
    pub command: u32,
    /// The increment (assign, unassign) or the element id (read, attach).
    pub number: u16,
    /// The response code, as in `0x0020`.
    pub response: u16,
}

/// What a storage command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StorageVerb {
    /// READ STORAGE INFO of an element.
    Read,
    /// ATTACH STORAGE ELEMENT.
    Attach,
    /// ASSIGN STORAGE: an increment.
    Assign,
    /// UNASSIGN STORAGE: an increment.
    Unassign,
}

impl StorageCommand {
    /// What it asks for; `None` for a word that is no storage command.
    pub fn verb(&self) -> Option<StorageVerb> {
        match self.command & 0xffff_00ff {
            0x0004_0001 => Some(StorageVerb::Read),
            0x0008_0001 => Some(StorageVerb::Attach),
            0x000d_0001 => Some(StorageVerb::Assign),
            0x000c_0001 => Some(StorageVerb::Unassign),
            _ => None,
        }
    }

    /// Whether it asks for storage, or gives some back.
    pub fn moves_storage(&self) -> bool {
        matches!(self.verb(), Some(StorageVerb::Assign | StorageVerb::Unassign))
    }
}

/// What it asks, for which increment or element, and the response.
impl fmt::Display for StorageCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verb() {
            Some(verb) => write!(f, "{verb:?}")?,
            None => write!(f, "{:#010x}", self.command)?,
        }
        write!(f, " {}: {:#06x}", self.number, self.response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_back_from_what_qemu_writes() {
        let text = r#"{"seq": 7, "time": 1234567890123, "command": 851969, "number": 13, "response": 832}"#;
        let command: StorageCommand = serde_json::from_str(text).unwrap();
        assert_eq!(command.verb(), Some(StorageVerb::Assign));
        assert_eq!((command.number, command.response), (13, 0x340));
    }

    #[test]
    fn the_element_is_no_part_of_the_verb() {
        let command = |command| StorageCommand {
            seq: 1,
            time: 0,
            command,
            number: 255,
            response: 0x120,
        };
        assert_eq!(command(0x0004_ff01).verb(), Some(StorageVerb::Read));
        assert_eq!(command(0x0008_0101).verb(), Some(StorageVerb::Attach));
        assert_eq!(command(0x000c_0001).verb(), Some(StorageVerb::Unassign));
        assert_eq!(command(0x0002_0001).verb(), None);
    }
}
