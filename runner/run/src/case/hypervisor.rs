// SPDX-License-Identifier: MIT OR Apache-2.0
//! What QEMU is asked of a guest under test: its DIMMs, and its standby memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use super::{guest::UnderTest, trouble::Trouble};
use base::{Arch, ByteSize};
use format::{
    qmp::QmpError,
    standby::{self, property},
};
use memory::{Dimm, Hypervisor};
use vm::machine::{MachineError, Wait};

/// What the hypervisor has handed out.
pub(super) async fn hypervisor(guest: &impl UnderTest, arch: Arch) -> Result<Hypervisor, Trouble> {
    match arch {
        Arch::X86_64 => dimms(guest).await.map(Hypervisor::Dimms),
        Arch::S390x => Ok(Hypervisor::Standby {
            assigned: numbers(standby_get(guest, property::ASSIGNED_INCREMENTS).await?)?,
            unassigned_core: numbers(standby_get(guest, property::UNASSIGNED_CORE_INCREMENTS).await?)?,
        }),
    }
}

fn numbers(list: Value) -> Result<BTreeSet<u32>, Trouble> {
    serde_json::from_value(list)
        .map_err(|error| Trouble::bench(format!("QEMU's list of increments does not read: {error}")))
}

/// The plugged DIMMs, by QEMU's id.
pub(super) async fn dimms(guest: &impl UnderTest) -> Result<BTreeMap<String, Dimm>, Trouble> {
    let devices = qmp(guest, "query-memory-devices", json!({})).await?;
    let shape = || Trouble::bench(format!("QEMU's list of memory devices does not read: {devices}"));
    let mut dimms = BTreeMap::new();
    for device in devices.as_array().ok_or_else(shape)? {
        if device["type"] != "dimm" {
            continue;
        }
        let data = &device["data"];
        let number = |key: &str| data[key].as_u64().ok_or_else(shape);
        let dimm = Dimm {
            address: number("addr")?,
            size: ByteSize::bytes(number("size")?),
            slot: number("slot")? as u32,
            node: number("node")? as u32,
        };
        dimms.insert(data["id"].as_str().ok_or_else(shape)?.to_owned(), dimm);
    }
    Ok(dimms)
}

/// How long QEMU may take for an answer, before the factor of the guest's speed.
const QMP_LIMIT: Duration = Duration::from_secs(30);

/// Sends a command to QEMU that must succeed.
pub(super) async fn qmp(guest: &impl UnderTest, command: &str, arguments: Value) -> Result<Value, Trouble> {
    let answer = ask_qemu(guest, command, arguments).await?;
    answer.map_err(|error| Trouble::of_machine(&MachineError::from(error)))
}

/// Sends a command to QEMU, and waits for its answer no longer than QEMU may take.
pub(super) async fn ask_qemu(
    guest: &impl UnderTest,
    command: &str,
    arguments: Value,
) -> Result<Result<Value, QmpError>, Trouble> {
    let asked = guest.qmp().execute_raw(command, arguments);
    match guest.wait_for(asked, guest.scale(QMP_LIMIT)).await {
        Ok(answer) => Ok(answer),
        Err(Wait::Ended(end)) => Err(Trouble::ended(&end)),
        Err(wait @ Wait::Starved { .. }) => {
            Err(Trouble::starved(format!("asking QEMU for {command}: {wait}")))
        }
        Err(wait @ Wait::Deadline(_)) => {
            Err(Trouble::bench(format!("QEMU does not answer {command}: {wait}")))
        }
    }
}

/// Reads a property of the standby memory.
pub(super) async fn standby_get(guest: &impl UnderTest, property: &str) -> Result<Value, Trouble> {
    qmp(
        guest,
        "qom-get",
        json!({ "path": standby::PATH, "property": property }),
    )
    .await
}

/// Sets a property of the standby memory.
pub(super) async fn standby_set(guest: &impl UnderTest, property: &str, value: Value) -> Result<(), Trouble> {
    qmp(
        guest,
        "qom-set",
        json!({ "path": standby::PATH, "property": property, "value": value }),
    )
    .await
    .map(drop)
}
