// SPDX-License-Identifier: MIT OR Apache-2.0
//! The QEMU of a fake guest: it speaks QMP, plugs DIMMs, and has the properties of standby memory.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex, split};

use super::{Fault, fault::met, kernel::Kernel};
use base::ByteSize;
use format::{qmp::Client, standby::property};
use memory::{
    Dimm, Hypervisor,
    naive::{BLOCK, BLOCKS, INCREMENT},
};

/// Starts one, and connects to it.
pub(super) async fn start(kernel: Arc<Mutex<Kernel>>) -> Client {
    let (ours, theirs) = duplex(1 << 20);
    tokio::spawn(serve(theirs, kernel));
    let (reader, writer) = split(ours);
    let client = Client::start(reader, writer, Arc::new(|_, _: &str| {})).await;
    client.expect("a QEMU that greets")
}

async fn serve(stream: DuplexStream, kernel: Arc<Mutex<Kernel>>) {
    let (reader, mut writer) = split(stream);
    let mut asked = BufReader::new(reader).lines();
    let greeting =
        json!({"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}}, "capabilities": []}});
    let mut say = vec![greeting];
    // Objects that DIMMs are made of, and their sizes.
    let mut backends: Vec<(String, u64)> = Vec::new();
    loop {
        for line in say.drain(..) {
            if writer.write_all(format!("{line}\r\n").as_bytes()).await.is_err() {
                return;
            }
        }
        let Ok(Some(line)) = asked.next_line().await else {
            return;
        };
        let question: Value = serde_json::from_str(&line).expect("a question");
        let command = question["execute"].as_str().expect("a command").to_owned();
        let mut kernel = kernel.lock().expect("a kernel");
        let asked = format!("qmp {command} {}", question["arguments"]);
        kernel.asked.push(asked.clone());
        let mut events = Vec::new();
        let answer = match met(&mut kernel.rules, &asked).first() {
            Some(Fault::Lose) => return,
            Some(Fault::Hang | Fault::Stick) => continue,
            Some(Fault::Exit(_, said)) => Err((*said).to_owned()),
            // A property that stays what it was.
            Some(Fault::Ignore) if command == "qom-set" => Ok(json!({})),
            Some(Fault::Ignore) => {
                let done = does(
                    &mut kernel,
                    &mut backends,
                    &command,
                    &question["arguments"],
                    &mut events,
                );
                events.clear();
                done
            }
            _ => does(
                &mut kernel,
                &mut backends,
                &command,
                &question["arguments"],
                &mut events,
            ),
        };
        say.push(match answer {
            Ok(value) => json!({"return": value, "id": question["id"]}),
            Err(said) => json!({"error": {"class": "GenericError", "desc": said}, "id": question["id"]}),
        });
        let timestamp = json!({"seconds": 1, "microseconds": 2});
        say.extend(
            events.into_iter().map(
                |(name, data): (&str, Value)| json!({"event": name, "data": data, "timestamp": timestamp}),
            ),
        );
    }
}

/// Does a command; what QEMU says where it refuses.
fn does(
    kernel: &mut Kernel,
    backends: &mut Vec<(String, u64)>,
    command: &str,
    arguments: &Value,
    events: &mut Vec<(&'static str, Value)>,
) -> Result<Value, String> {
    let word = |key: &str| arguments[key].as_str().expect(key).to_owned();
    let number = |key: &str| arguments[key].as_u64();
    match command {
        "qmp_capabilities" => {}
        "qom-get" => return get(kernel, &word("property")),
        "qom-set" => kernel.sets(word("property"), arguments["value"].clone()),
        "query-memory-devices" => return Ok(dimms(kernel)),
        "object-add" => backends.push((word("id"), number("size").expect("a size"))),
        "object-del" => backends.retain(|(id, _)| *id != word("id")),
        "device_add" => {
            let size = backends.iter().find(|(id, _)| *id == word("memdev"));
            let size = size.ok_or("no such memory backend")?.1;
            let room = kernel
                .room(size)
                .ok_or("not enough space, currently 0x0 in use")?;
            let dimm = Dimm {
                address: number("addr").unwrap_or(room),
                size: ByteSize::bytes(size),
                slot: 0,
                node: number("node").unwrap_or(0) as u32,
            };
            kernel.plugged(&word("id"), dimm);
            let info =
                json!({"device": word("id"), "source": 1, "status": 0, "slot": "0", "slot-type": "DIMM"});
            events.push(("ACPI_DEVICE_OST", json!({"info": info})));
        }
        "device_del" => {
            let ended = |status: u64| json!({"info": {"source": 3, "status": status, "slot": "0", "slot-type": "DIMM"}});
            match kernel.ejected(&word("id")) {
                Ok(()) => {
                    events.push((
                        "DEVICE_DELETED",
                        json!({"device": word("id"), "path": "/machine"}),
                    ));
                    events.push(("ACPI_DEVICE_OST", ended(0)));
                }
                Err(status) => {
                    let mut ended = ended(status);
                    ended["info"]["device"] = json!(word("id"));
                    events.push(("ACPI_DEVICE_OST", ended));
                }
            }
        }
        other => return Err(format!("the command {other} has not been found")),
    }
    Ok(json!({}))
}

fn get(kernel: &Kernel, name: &str) -> Result<Value, String> {
    let Hypervisor::Standby {
        assigned,
        unassigned_core,
    } = &kernel.ledger().hypervisor
    else {
        return Err("Property not found".to_owned());
    };
    let since = kernel.properties.get(property::COMMANDS_SINCE);
    let since = since.and_then(Value::as_u64).unwrap_or(0);
    Ok(match name {
        property::ASSIGNED_INCREMENTS => json!(assigned),
        property::UNASSIGNED_CORE_INCREMENTS => json!(unassigned_core),
        property::INCREMENT_SIZE => json!(INCREMENT),
        property::STANDBY_SIZE => json!(BLOCKS * BLOCK),
        property::COMMANDS => kernel.commands.iter().skip(since as usize).cloned().collect(),
        other => return Err(format!("Property '{other}' not found")),
    })
}

fn dimms(kernel: &Kernel) -> Value {
    let Hypervisor::Dimms(dimms) = &kernel.ledger().hypervisor else {
        return json!([]);
    };
    let device = |(id, dimm): (&String, &Dimm)| {
        let data = json!({
            "id": id, "addr": dimm.address, "size": dimm.size.as_bytes(), "slot": dimm.slot, "node": dimm.node
        });
        json!({"type": "dimm", "data": data})
    };
    dimms.iter().map(device).collect()
}
