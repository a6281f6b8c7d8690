// SPDX-License-Identifier: MIT OR Apache-2.0
//! DIMMs of an x86_64 guest: plugged and unplugged by QEMU, answered by the guest's ACPI.

use serde_json::json;

use super::{
    bench::{Bench, Named, dimms, qmp},
    inside,
    trouble::{Trouble, expect},
};
use crate::{
    base::{ByteSize, Errno},
    memory::{AddBy, BlockId, Op, RemoveBy},
    rig::{guest::PortError, machine::Wait},
    suite::{Add, AddResult, Extent},
};

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

impl Bench<'_> {
    /// Plugs a DIMM and waits until the guest's ACPI has answered.
    pub(super) async fn plug(&mut self, add: &Add) -> Result<Op, Trouble> {
        let size = match add.extent {
            Extent::Blocks(blocks) => ByteSize::bytes(self.facts.block_size.as_bytes() * u64::from(blocks)),
            Extent::Size(size) => size,
        };
        let id = format!("dimm{}", self.dimms);
        self.dimms += 1;
        let backend = format!("memory-{id}");
        qmp(
            self.guest,
            "object-add",
            json!({ "qom-type": "memory-backend-ram", "id": backend, "size": size.as_bytes() }),
        )
        .await?;
        let mut events = self.guest.machine.qmp().events();
        let device = match add.node {
            None => json!({ "driver": "pc-dimm", "id": id, "memdev": backend }),
            Some(node) => json!({ "driver": "pc-dimm", "id": id, "memdev": backend, "node": node }),
        };
        let plugged = self.guest.machine.qmp().execute_raw("device_add", device).await;
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
        // The guest's answer says that it is done with the DIMM, not that it took it: a refused one is answered with 0 too.
        let answered = events.find(|event| {
            let about = event.name == "ACPI_DEVICE_OST" && event.data["info"]["device"] == id.as_str();
            (about && event.data["info"]["source"].as_u64() <= Some(ost::SOURCE_DEVICE_CHECK)).then_some(())
        });
        self.wait("the guest to answer the plugged DIMM", answered)
            .await?;
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
        self.names.insert(
            add.name.clone(),
            Named {
                blocks: blocks.clone(),
                dimm: Some(id.clone()),
                gone: false,
            },
        );
        Ok(Op::Add {
            blocks,
            by: AddBy::Dimm { id, dimm },
        })
    }

    /// Waits for something that QEMU reports.
    async fn wait<T, E: std::fmt::Display>(
        &self,
        what: &str,
        event: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Trouble> {
        match self.guest.machine.wait_for(event, self.limit).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(lost)) => Err(Trouble::bench(format!("waiting for {what}: {lost}"))),
            Err(Wait::Ended(end)) => Err(Trouble::ended(&end)),
            Err(Wait::Deadline(limit)) => {
                let what = format!("waiting for {what}");
                Err(inside::blame(self.guest, PortError::Deadline { what, limit }).await)
            }
        }
    }

    /// Asks the guest to eject a DIMM and waits for its answer.
    pub(super) async fn unplug(
        &mut self,
        id: &str,
        blocks: &[BlockId],
        fails: Option<Errno>,
    ) -> Result<Op, Trouble> {
        let mut events = self.guest.machine.qmp().events();
        qmp(self.guest, "device_del", json!({ "id": id })).await?;
        let answer = events.find(|event| match event.name.as_str() {
            "DEVICE_DELETED" if event.data["device"] == id => Some(ost::SUCCESS),
            "ACPI_DEVICE_OST" if event.data["info"]["device"] == id => {
                let info = &event.data["info"];
                let status = info["status"].as_u64()?;
                let over = info["source"] == ost::SOURCE_EJECT
                    && ![ost::IN_PROGRESS, ost::SUCCESS].contains(&status);
                over.then_some(status)
            }
            _ => None,
        });
        let status = self.wait("the guest to answer the ejection", answer).await?;
        let number = match status {
            ost::SUCCESS => None,
            ost::BUSY => Some(16),
            ost::DENIED => Some(1),
            _ => Some(5),
        };
        let got = number.and_then(Errno::from_number).map_or(Ok(()), Err);
        if !expect(&format!("ejecting {id} (_OST status {status:#04x})"), got, fails)? {
            // Which block did not go offline is seen afterwards only.
            return Ok(Op::UnplugRefused {
                blocks: blocks.to_vec(),
                busy: Vec::new(),
            });
        }
        // The device is gone before the guest says that it is done with it; the answer no longer names the device.
        let over = events.find(|event| {
            let info = &event.data["info"];
            let done = event.name == "ACPI_DEVICE_OST" && info["source"] == ost::SOURCE_EJECT;
            (done && info["status"] == ost::SUCCESS).then_some(())
        });
        self.wait("the guest to end the ejection", over).await?;
        qmp(self.guest, "object-del", json!({ "id": format!("memory-{id}") })).await?;
        Ok(Op::Remove {
            blocks: blocks.to_vec(),
            by: RemoveBy::Dimm { id: id.to_owned() },
        })
    }
}
