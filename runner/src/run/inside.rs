// SPDX-License-Identifier: MIT OR Apache-2.0
//! Doing things inside of a guest, where everything that goes wrong is somebody's fault: the kernel's or the bench's.

use std::{future::Future, time::Duration};

use super::trouble::Trouble;
use crate::{
    base::Errno,
    format::klog,
    rig::{
        guest::{Diagnosis, Guest, GuestPort, Output, PortError},
        machine::Wait,
    },
};

/// What the port's own limit may be late by.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a script. Its exit code is an answer, not an error.
pub(super) async fn exec(guest: &Guest, script: &str, limit: Duration) -> Result<Output, Trouble> {
    judged(guest, guest.port.exec(script, limit), limit).await
}

/// Reads a file. The kernel's errno is an answer, not an error.
pub(super) async fn read(
    guest: &Guest,
    path: &str,
    limit: Duration,
) -> Result<Result<String, Errno>, Trouble> {
    judged(guest, guest.port.read(path, limit), limit).await
}

/// Writes a file. The kernel's errno is an answer, not an error.
pub(super) async fn write(
    guest: &Guest,
    path: &str,
    value: &str,
    limit: Duration,
) -> Result<Result<(), Errno>, Trouble> {
    judged(guest, guest.port.write(path, value, limit), limit).await
}

async fn judged<T>(
    guest: &Guest,
    work: impl Future<Output = Result<T, PortError>>,
    limit: Duration,
) -> Result<T, Trouble> {
    match guest.machine.wait_for(work, limit + GRACE).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error @ PortError::Unclear { .. })) => Err(Trouble::bench(error.to_string())),
        Ok(Err(error)) => Err(blame(guest, error).await),
        Err(Wait::Ended(end)) => Err(Trouble::ended(&end)),
        Err(Wait::Deadline(limit)) => Err(blame(
            guest,
            PortError::Deadline {
                what: "the step".to_owned(),
                limit,
            },
        )
        .await),
    }
}

/// Finds out who is to blame for a guest that did not answer. One that hangs shows where on its console.
pub(super) async fn blame(guest: &Guest, error: PortError) -> Trouble {
    let diagnosis = guest.diagnose(&error).await;
    let trouble = Trouble::silent(&error, &diagnosis);
    if !matches!(diagnosis, Diagnosis::Hangs | Diagnosis::StuckAlone) {
        return trouble;
    }
    let console = guest.machine.console();
    let before = console.text().len();
    guest.show_tasks().await;
    // A console only grows; if it did not, nothing new was said.
    match hung_in(console.text().get(before..).unwrap_or("")) {
        Some(place) => trouble.told(|message| format!("{message}, and is in {place}")),
        None => trouble,
    }
}

/// Where the interrupt that cannot be held off found the kernel; `None` if it shows what it does without that.
fn hung_in(said: &str) -> Option<String> {
    klog::classify(said.as_bytes())
        .into_iter()
        .find(|finding| finding.kind == klog::Kind::Panic && finding.title.contains("NMI"))?
        .place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_is_told_with_its_place() {
        let log = include_str!("../../tests/corpus/klog/hard-6.12-lockdep-amd64.txt");
        assert_eq!(hung_in(log).as_deref(), Some("splat_hard"));
        // Without unknown_nmi_panic that is all it says.
        let silent = "[   67.3] Uhhuh. NMI received for unknown reason 31 on CPU 0.\n[   67.4] Dazed and confused, but trying to continue\n";
        assert_eq!(hung_in(silent), None);
        let other = "[    1.000000] Kernel panic - not syncing: lost\n";
        assert_eq!(hung_in(other), None);
    }
}
