// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a QEMU binary for s390x can do, asked of the binary itself.

use std::{
    io::{self, Seek as _, Write as _},
    path::Path,
};

use serde_json::{Value, json};

use base::exec::{Command, ExecError};
use format::standby::property;

/// What a QEMU for s390x can do. Found by asking, never from its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// QEMU's own version, as in `10.0.13`.
    pub version: String,
    /// The machine has `standby-memory`.
    pub standby: bool,
    /// `-cpu max` has EDAT-1 under TCG, so that kernels of 6.9 to 6.18 use memmap_on_memory.
    pub edat1: bool,
    /// The k-th assign command can be refused.
    pub refuse_at: bool,
    /// The storage commands of the guest can be read back.
    pub commands: bool,
}

/// Why a binary could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityError {
    /// It did not run to its end.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The files for questions and answers could not be used.
    #[error("a file with questions to QEMU")]
    Files(#[from] io::Error),
    /// It answered something else than what was asked.
    #[error("QEMU's answer to `{question}` tells nothing about what it can do: {answer}")]
    Answer {
        /// The QMP command.
        question: &'static str,
        /// The reply, or what there was instead.
        answer: String,
    },
}

const VERSION: &str = "query-version";
const PROPERTIES: &str = "qom-list-properties";
const CPU: &str = "query-cpu-model-expansion";

impl Capabilities {
    /// Starts `binary` without a machine, asks it over QMP, and waits for its end, which takes a fraction of a second.
    ///
    /// # Errors
    /// If it does not start, or does not answer.
    pub fn of(binary: &Path) -> Result<Self, CapabilityError> {
        let mut asked = tempfile::tempfile()?;
        let questions = Self::questions();
        let negotiation = json!({"execute": "qmp_capabilities"});
        for question in [&negotiation]
            .into_iter()
            .chain(&questions)
            .chain([&json!({"execute": "quit"})])
        {
            writeln!(asked, "{question}")?;
        }
        asked.rewind()?;
        let answers = Command::new(binary)
            .args(["-machine", "none", "-accel", "tcg", "-display", "none"])
            .args(["-nodefaults", "-no-user-config", "-qmp", "stdio"])
            .stdin(asked)
            .output()?;
        let text = String::from_utf8_lossy(&answers);
        let replies: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|reply: &Value| reply.get("return").or(reply.get("error")).is_some())
            // The first one is for the negotiation.
            .skip(1)
            .take(questions.len())
            .collect();
        Self::from_replies(&replies)
    }

    /// The QMP commands to send, in the order in which [`Capabilities::from_replies`] takes the replies.
    pub(crate) fn questions() -> Vec<Value> {
        let properties = |kind| json!({"execute": PROPERTIES, "arguments": {"typename": kind}});
        vec![
            json!({"execute": VERSION}),
            properties("s390-ccw-machine"),
            properties("sclp-standby-memory"),
            json!({"execute": CPU, "arguments": {"type": "full", "model": {"name": "max"}}}),
        ]
    }

    /// Reads the whole replies (`{"return": …}` or `{"error": …}`) to [`Capabilities::questions`].
    ///
    /// A QEMU without standby memory answers one of them by an error, which is an answer.
    ///
    /// # Errors
    /// If a reply is missing, or the version, the machine or the CPU model is not told.
    pub(crate) fn from_replies(replies: &[Value]) -> Result<Self, CapabilityError> {
        let unclear = |question, answer: Option<&Value>| CapabilityError::Answer {
            question,
            answer: answer.map_or_else(|| "it did not answer".to_owned(), Value::to_string),
        };
        let number = |part: &str| replies.first()?["return"]["qemu"][part].as_u64();
        let version = || {
            Some(format!(
                "{}.{}.{}",
                number("major")?,
                number("minor")?,
                number("micro")?
            ))
        };
        let has = |reply: Option<&Value>, name: &str| {
            let list = reply.and_then(|reply| reply["return"].as_array());
            list.map(|list| list.iter().any(|property| property["name"] == name))
        };
        let (machine, device, cpu) = (replies.get(1), replies.get(2), replies.get(3));
        device.ok_or_else(|| unclear(PROPERTIES, None))?;
        Ok(Self {
            version: version().ok_or_else(|| unclear(VERSION, replies.first()))?,
            standby: has(machine, "standby-memory").ok_or_else(|| unclear(PROPERTIES, machine))?,
            edat1: cpu
                .and_then(|cpu| cpu["return"]["model"]["props"]["edat"].as_bool())
                .ok_or_else(|| unclear(CPU, cpu))?,
            refuse_at: has(device, property::REFUSE_ASSIGN_AT) == Some(true),
            commands: has(device, property::COMMANDS) == Some(true),
        })
    }

    /// Whether it is a QEMU such as the patches make it.
    pub fn complete(&self) -> bool {
        self.standby && self.edat1 && self.refuse_at && self.commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(machine: &[&str], device: Option<&[&str]>, edat: bool) -> [Value; 4] {
        let list = |names: &[&str]| {
            let names: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            json!({ "return": names })
        };
        [
            json!({"return": {"qemu": {"micro": 13, "minor": 0, "major": 10}, "package": ""}}),
            list(machine),
            device.map_or_else(|| json!({"error": {"class": "DeviceNotFound"}}), list),
            json!({"return": {"model": {"name": "gen15a-base", "props": {"edat": edat, "edat2": false}}}}),
        ]
    }

    #[test]
    fn ours_has_it_all() {
        let all = replies(
            &["memory", "standby-memory"],
            Some(&["commands", "refuse-assign-at"]),
            true,
        );
        let found = Capabilities::from_replies(&all).unwrap();
        assert!(found.complete());
        assert_eq!(found.version, "10.0.13");
    }

    #[test]
    fn what_is_missing_is_seen() {
        let found = Capabilities::from_replies(&replies(&["memory"], None, false)).unwrap();
        assert_eq!(
            found,
            Capabilities {
                version: "10.0.13".to_owned(),
                standby: false,
                edat1: false,
                refuse_at: false,
                commands: false
            }
        );
        let old = replies(&["standby-memory"], Some(&["refuse-assign"]), true);
        let found = Capabilities::from_replies(&old).unwrap();
        assert!(found.standby && found.edat1 && !found.refuse_at && !found.commands && !found.complete());
    }

    #[test]
    fn no_answer_is_no_capability() {
        let all = replies(&["standby-memory"], Some(&["commands"]), true);
        for count in 0..all.len() {
            assert!(Capabilities::from_replies(&all[..count]).is_err());
        }
        let mut broken = all;
        broken[3] = json!({"error": {"class": "GenericError", "desc": "not supported"}});
        let error = Capabilities::from_replies(&broken).unwrap_err().to_string();
        assert!(
            error.starts_with("QEMU's answer to `query-cpu-model-expansion`"),
            "{error}"
        );
    }
}
