// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol against a real QEMU whose guest does not run.

use std::time::Duration;

use base::ByteSize;
use format::qmp::{NoEvent, QmpError};
use qapi::qmp;
use serde_json::json;
use vm::machine::{End, Hotplug, MachineError};

use crate::firmware::{bare_spec, start};

#[tokio::test]
async fn a_dimm_is_plugged_and_seen() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = bare_spec();
    spec.hotplug = Hotplug::Dimms {
        slots: 4,
        max: ByteSize::gib(4),
    };
    let machine = start(&spec, folder.path()).await.unwrap();
    assert!(
        machine.qmp().version().unwrap()[0] >= 7,
        "{:?}",
        machine.qmp().greeting()
    );
    assert_eq!(machine.run_state().await.unwrap(), "prelaunch");

    let memory = json!({"qom-type": "memory-backend-ram", "id": "m0", "size": 128 << 20});
    machine.command("object-add", memory).await.unwrap();
    let dimm = json!({"driver": "pc-dimm", "id": "d0", "memdev": "m0"});
    machine.command("device_add", dimm.clone()).await.unwrap();
    let devices = machine.qmp().execute(qmp::query_memory_devices {}).await.unwrap();
    assert!(format!("{devices:?}").contains("134217728"), "{devices:?}");
    let address = machine.property("/machine/peripheral/d0", "addr").await.unwrap();
    assert_eq!(address, json!(4u64 << 30));

    let error = machine.command("device_add", dimm).await.unwrap_err();
    assert!(
        matches!(error, MachineError::Qmp(QmpError::Refused { .. })),
        "{error}"
    );
    let error = machine.command("no-such-command", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("no-such-command"), "{error}");

    machine.stop().await;
    let transcript = fs_err::read_to_string(folder.path().join("qmp.jsonl")).unwrap();
    for line in transcript.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            line["at"].is_f64() && line["text"].is_string() && line["way"] != "damaged",
            "{line}"
        );
    }
    assert!(transcript.contains("device_add") && transcript.contains("GenericError"));
}

#[tokio::test]
async fn events_come_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let machine = start(&bare_spec(), folder.path()).await.unwrap();
    let mut events = machine.qmp().events();
    machine.resume().await.unwrap();
    machine.pause().await.unwrap();
    for name in ["RESUME", "STOP"] {
        let event = machine
            .wait_for(events.next(), Duration::from_secs(30))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(event.name, name);
    }
    machine.stop().await;
    let shutdown = events
        .find(|event| (event.name == "SHUTDOWN").then_some(()))
        .await;
    assert_eq!(shutdown, Ok(()));
    assert_eq!(events.next().await, Err(NoEvent::Closed));
}

#[tokio::test]
async fn a_qemu_that_is_killed_fails_the_command_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let machine = start(&bare_spec(), folder.path()).await.unwrap();
    let pid = rustix::process::Pid::from_raw(machine.pid()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let error = machine.command("query-status", json!({})).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "QEMU did not do `query-status`: QEMU was killed by signal 9"
    );
    assert!(matches!(machine.end(), Some(End::QemuExited { .. })));
}
