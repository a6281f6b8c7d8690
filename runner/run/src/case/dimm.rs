// SPDX-License-Identifier: MIT OR Apache-2.0
//! DIMMs of an x86_64 guest: plugged and unplugged by QEMU, answered by the guest's ACPI.

use std::time::Duration;

use serde_json::json;

use super::{
    bench::Bench,
    guest::UnderTest,
    hypervisor::{ask_qemu, dimms, qmp},
    inside,
    trouble::{Trouble, expect},
};
use base::{ByteSize, Errno};
use format::qmp::Event;
use memory::{AddBy, BlockId, Op, RemoveBy};
use suite::{Add, AddResult, Extent};
use vm::{guest::PortError, machine::Wait};

/// How the guest answers a request to eject a DIMM (ACPI `_OST`, include/linux/acpi.h).
mod ost {
    /// Source: the device check that a plugged DIMM makes.
    pub(super) const SOURCE_DEVICE_CHECK: u64 = 1;
    /// Source: an ejection that the platform asked for.
    pub(super) const SOURCE_EJECT: u64 = 3;
    /// The ejection goes on.
    pub(super) const IN_PROGRESS: u64 = 0x84;
    /// It is done.
    pub(super) const SUCCESS: u64 = 0;
    /// The device is busy.
    pub(super) const BUSY: u64 = 0x82;
    /// The system does not let it go.
    pub(super) const DENIED: u64 = 0x80;
}

const PLUG_ANSWERED: &str = "the guest to answer the plugged DIMM";
const EJECTION_ANSWERED: &str = "the guest to answer the ejection";
const EJECTION_OVER: &str = "the guest to end the ejection";

/// How a guest comes to rest: longer than the kernel waits before it frees what nobody may look at any more.
const REST: &str = "sleep 2";

/// Whether QEMU reports the guest's answer to a plugged DIMM. It says that the guest is done with the DIMM, not that it took it: a refused one
/// is answered with 0 too.
fn answers_plug(event: &Event, id: &str) -> Option<()> {
    let about = event.name == "ACPI_DEVICE_OST" && event.data["info"]["device"] == id;
    (about && event.data["info"]["source"].as_u64() <= Some(ost::SOURCE_DEVICE_CHECK)).then_some(())
}

/// The status of the guest's answer to an ejection, if QEMU reports it.
fn answers_ejection(event: &Event, id: &str) -> Option<u64> {
    match event.name.as_str() {
        "DEVICE_DELETED" if event.data["device"] == id => Some(ost::SUCCESS),
        "ACPI_DEVICE_OST" if event.data["info"]["device"] == id => {
            let info = &event.data["info"];
            let status = info["status"].as_u64()?;
            let over =
                info["source"] == ost::SOURCE_EJECT && ![ost::IN_PROGRESS, ost::SUCCESS].contains(&status);
            over.then_some(status)
        }
        _ => None,
    }
}

/// Whether QEMU reports that the guest is done with an ejection. The device is gone before that; the report no longer names it.
fn ends_ejection(event: &Event) -> Option<()> {
    let info = &event.data["info"];
    let done = event.name == "ACPI_DEVICE_OST" && info["source"] == ost::SOURCE_EJECT;
    (done && info["status"] == ost::SUCCESS).then_some(())
}

/// Waits for something that QEMU reports.
async fn reported<T, E: std::fmt::Display>(
    guest: &impl UnderTest,
    what: &str,
    event: impl Future<Output = Result<T, E>>,
    limit: Duration,
) -> Result<T, Trouble> {
    match guest.wait_for(event, limit).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(lost)) => Err(Trouble::bench(format!("waiting for {what}: {lost}"))),
        Err(Wait::Ended(end)) => Err(Trouble::ended(&end)),
        Err(wait @ Wait::Starved { .. }) => Err(Trouble::starved(format!("waiting for {what}: {wait}"))),
        Err(Wait::Deadline(limit)) => {
            let what = format!("waiting for {what}");
            Err(inside::blame(guest, PortError::Deadline { what, limit }).await)
        }
    }
}

/// Plugs a DIMM into a guest, waits for the guest's answer, and does the same for its ejection: `rounds` times. Before each, the guest comes to
/// rest: what the one before left to be done later would else be done now and then in the next.
pub(crate) async fn plug_and_eject(
    guest: &impl UnderTest,
    id: &str,
    size: ByteSize,
    rounds: u32,
    limit: Duration,
) -> Result<(), Trouble> {
    for _ in 0..rounds {
        inside::exec(guest, REST, limit).await?;
        let mut events = guest.qmp().events();
        plug(guest, id, size).await?;
        let answered = events.find(|event| answers_plug(event, id));
        reported(guest, PLUG_ANSWERED, answered, limit).await?;
        inside::exec(guest, REST, limit).await?;
        let mut events = guest.qmp().events();
        qmp(guest, "device_del", json!({ "id": id })).await?;
        let answer = events.find(|event| answers_ejection(event, id));
        let status = reported(guest, EJECTION_ANSWERED, answer, limit).await?;
        expect(&ejecting(id, status), errno_of(status).map_or(Ok(()), Err), None)?;
        reported(guest, EJECTION_OVER, events.find(ends_ejection), limit).await?;
        qmp(guest, "object-del", json!({ "id": backend(id) })).await?;
    }
    Ok(())
}

/// Plugs a DIMM into a guest, which may take its time to answer.
pub(crate) async fn plug(guest: &impl UnderTest, id: &str, size: ByteSize) -> Result<(), Trouble> {
    let memory = json!({ "qom-type": "memory-backend-ram", "id": backend(id), "size": size.as_bytes() });
    qmp(guest, "object-add", memory).await?;
    let dimm = json!({ "driver": "pc-dimm", "id": id, "memdev": backend(id) });
    qmp(guest, "device_add", dimm).await.map(drop)
}

/// The name of a DIMM's memory in QEMU.
fn backend(id: &str) -> String {
    format!("memory-{id}")
}

fn ejecting(id: &str, status: u64) -> String {
    format!("ejecting {id} (_OST status {status:#04x})")
}

/// What the kernel said of an ejection, by the status that it gave ACPI.
fn errno_of(status: u64) -> Option<Errno> {
    let number = match status {
        ost::SUCCESS => None,
        ost::BUSY => Some(16),
        ost::DENIED => Some(1),
        _ => Some(5),
    };
    number.and_then(Errno::from_number)
}

impl<G: UnderTest> Bench<'_, G> {
    /// Plugs a DIMM, whose blocks are `more` of a name's, and waits until the guest's ACPI has answered.
    pub(super) async fn plug(&mut self, add: &Add, more: bool) -> Result<Op, Trouble> {
        let size = match add.extent {
            Extent::Blocks(blocks) => ByteSize::bytes(self.facts.block_size.as_bytes() * u64::from(blocks)),
            Extent::Size(size) => size,
        };
        let id = format!("dimm{}", self.dimms);
        self.dimms += 1;
        let backend = backend(&id);
        qmp(
            self.guest,
            "object-add",
            json!({ "qom-type": "memory-backend-ram", "id": backend, "size": size.as_bytes() }),
        )
        .await?;
        let mut events = self.guest.qmp().events();
        let mut device = json!({ "driver": "pc-dimm", "id": id, "memdev": backend });
        if let Some(node) = add.node {
            device["node"] = json!(node);
        }
        if let Some(address) = add.address {
            device["addr"] = json!(address.as_bytes());
        }
        let plugged = ask_qemu(self.guest, "device_add", device).await?;
        match (&add.result, plugged) {
            (AddResult::Rejected(text), Err(error)) if error.to_string().contains(text) => {
                qmp(self.guest, "object-del", json!({ "id": backend })).await?;
                return Ok(Op::Nothing);
            }
            (AddResult::Rejected(text), Err(error)) => {
                return Err(Trouble::bench(format!(
                    "QEMU refused the DIMM, but not with `{text}`: {error}"
                )));
            }
            (AddResult::Rejected(text), Ok(_)) => {
                return Err(Trouble::bench(format!(
                    "QEMU took a DIMM that it must refuse with `{text}`"
                )));
            }
            (_, Err(error)) => return Err(Trouble::bench(error.to_string())),
            (_, Ok(_)) => {}
        }
        let answered = events.find(|event| answers_plug(event, &id));
        reported(self.guest, PLUG_ANSWERED, answered, self.limit).await?;
        let dimm = dimms(self.guest)
            .await?
            .remove(&id)
            .ok_or_else(|| Trouble::bench(format!("QEMU lost {id}")))?;
        let blocks = match add.result {
            AddResult::Refused => Vec::new(),
            _ => {
                let first = BlockId::holding(dimm.address, self.facts.block_size);
                let count = dimm.size.as_bytes() / self.facts.block_size.as_bytes();
                (first.0..first.0 + count).map(BlockId).collect()
            }
        };
        self.named(&add.name, &blocks, Some(id.clone()), more);
        Ok(Op::Add {
            blocks,
            by: AddBy::Dimm { id, dimm },
        })
    }

    /// Asks the guest to eject a DIMM and waits for its answer.
    pub(super) async fn unplug(
        &mut self,
        id: &str,
        blocks: &[BlockId],
        fails: Option<Errno>,
    ) -> Result<Op, Trouble> {
        let mut events = self.guest.qmp().events();
        qmp(self.guest, "device_del", json!({ "id": id })).await?;
        let answer = events.find(|event| answers_ejection(event, id));
        let status = reported(self.guest, EJECTION_ANSWERED, answer, self.limit).await?;
        let got = errno_of(status).map_or(Ok(()), Err);
        let what = ejecting(id, status);
        let busy = match got {
            Err(errno) if fails != Some(errno) => self.busy_with(blocks, errno, fails, &what)?,
            _ => false,
        };
        if busy || !expect(&what, got, fails)? {
            // Which block did not go offline is seen afterwards only.
            return Ok(Op::UnplugRefused {
                blocks: blocks.to_vec(),
                busy: Vec::new(),
            });
        }
        reported(self.guest, EJECTION_OVER, events.find(ends_ejection), self.limit).await?;
        qmp(self.guest, "object-del", json!({ "id": backend(id) })).await?;
        Ok(Op::Remove {
            blocks: blocks.to_vec(),
            by: RemoveBy::Dimm { id: id.to_owned() },
        })
    }
}
