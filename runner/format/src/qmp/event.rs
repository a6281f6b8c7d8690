// SPDX-License-Identifier: MIT OR Apache-2.0
//! What QEMU says without being asked.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;

/// QEMU's own clock at an event: time since 1970 on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Whole seconds; -1 where the host has no clock.
    pub seconds: i64,
    /// Microseconds of the second.
    pub microseconds: i64,
}

/// An event as QEMU sent it, so that one that no schema knows survives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its name, as in `DEVICE_DELETED`.
    #[serde(rename = "event")]
    pub name: String,
    /// What it carries; `null` where it carries nothing.
    #[serde(default)]
    pub data: Value,
    /// When QEMU made it.
    pub timestamp: Timestamp,
}

impl Event {
    /// The typed view: `None` if it is another event, an error if its data has another shape than the schema says.
    pub fn parse<E: qapi::Event>(&self) -> Option<serde_json::Result<E>> {
        let empty = Value::Object(serde_json::Map::new());
        let data = if self.data.is_null() { &empty } else { &self.data };
        (self.name == E::NAME).then(|| E::deserialize(data))
    }
}

/// The events from the moment on at which this was made.
///
/// Ask for it *before* sending the command whose event is awaited.
#[derive(Debug)]
pub struct Events {
    receiver: Option<broadcast::Receiver<Event>>,
}

/// Why there is no next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEvent {
    /// The connection to QEMU is closed: there will be none.
    #[error("the connection to QEMU closed")]
    Closed,
    /// Events came faster than they were taken, and the oldest are lost to this reader; the transcript has them.
    #[error("{0} events were not taken in time")]
    Missed(u64),
}

impl Events {
    pub(super) fn new(receiver: Option<broadcast::Receiver<Event>>) -> Self {
        Self { receiver }
    }

    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// [`NoEvent`]; after `Missed` the next call goes on with the oldest event that is still there.
    pub async fn next(&mut self) -> Result<Event, NoEvent> {
        let Some(receiver) = &mut self.receiver else {
            return Err(NoEvent::Closed);
        };
        receiver.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Closed => NoEvent::Closed,
            broadcast::error::RecvError::Lagged(missed) => NoEvent::Missed(missed),
        })
    }

    /// The next event that `take` makes something of; the others are passed over. Cancel-safe.
    ///
    /// # Errors
    /// As [`Events::next`].
    pub async fn find<T>(&mut self, mut take: impl FnMut(&Event) -> Option<T>) -> Result<T, NoEvent> {
        loop {
            if let Some(found) = take(&self.next().await?) {
                return Ok(found);
            }
        }
    }
}
