// SPDX-License-Identifier: MIT OR Apache-2.0
//! `node`: looks at a NUMA node.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    blocks::Use,
    checker::Checker,
    line::Line,
    word::{Keys, Word},
};
use crate::{names::BlockRef, places::Spot};

/// Looks at a NUMA node: at least one key beside `number`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its number.
    pub number: u32,
    /// Whether it is online, and so has a directory (`online`). It is while it has memory blocks or CPUs (`try_online_node` and `try_offline_node`,
    /// mm/memory_hotplug.c, 6.1 to 7.2).
    #[serde(default)]
    pub online: Option<bool>,
    /// Whether a block of it is online (`has_memory`).
    #[serde(default)]
    pub memory: Option<bool>,
    /// Whether one is in a zone of the kernel's own (`has_normal_memory`).
    #[serde(default)]
    pub normal_memory: Option<bool>,
    /// Whether it has CPUs (`has_cpu`).
    #[serde(default)]
    pub cpu: Option<bool>,
    /// The blocks that it has links to, beside those of the memory at boot; `[]` for none.
    #[serde(default)]
    pub blocks: Option<Vec<BlockRef>>,
}

impl Node {
    /// The flags that are compared, each by the name of its file in /sys/devices/system/node.
    pub fn flags(&self) -> [(&'static str, Option<bool>); 4] {
        [
            ("online", self.online),
            ("has_memory", self.memory),
            ("has_normal_memory", self.normal_memory),
            ("has_cpu", self.cpu),
        ]
    }
}

impl Word for Node {
    type Step = Self;

    fn check(&self, checker: &mut Checker<'_, '_, '_>, at: &Spot<'_>) -> Self {
        checker.x86_64("`node` looks at a NUMA node", at);
        let nodes = checker.machine.nodes;
        if self.number >= nodes {
            let hint = Some("`machine: { nodes: 2 }` has node 0 and node 1".to_owned());
            let message = format_args!("the machine has no node {}: it has {nodes}", self.number);
            checker.notes.wrong_but(&at.value("number"), message, hint);
        }
        let flags = self.flags();
        if self.blocks.is_none() && flags.iter().all(|(_, flag)| flag.is_none()) {
            let hint = "such as `node: { number: 1, online: true, blocks: [b] }`";
            let message =
                "nothing is compared: expected `online`, `memory`, `normal_memory`, `cpu` or `blocks`";
            checker.notes.wrong_but(at, message, Some(hint.to_owned()));
        }
        let has = flags.iter().any(|(_, flag)| *flag == Some(true));
        if self.online == Some(false)
            && (has || self.blocks.as_ref().is_some_and(|blocks| !blocks.is_empty()))
        {
            let message = "a node that is not online has nothing";
            let hint = "leave `online: false` out, or all keys that say what it has";
            checker
                .notes
                .wrong_but(&at.value("online"), message, Some(hint.to_owned()));
        }
        for (i, block) in self.blocks.iter().flatten().enumerate() {
            checker.uses(block, Use::There, &at.value("blocks").item(i));
        }
        self.clone()
    }
}

impl Keys for Node {
    fn keys(&self, line: &mut Line<'_, '_>) -> fmt::Result {
        line.key("number", self.number)?;
        line.some("online", self.online.as_ref())?;
        line.some("memory", self.memory.as_ref())?;
        line.some("normal_memory", self.normal_memory.as_ref())?;
        line.some("cpu", self.cpu.as_ref())?;
        match &self.blocks {
            Some(blocks) => line.list("blocks", blocks),
            None => Ok(()),
        }
    }
}
