// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine of a job. Pure.

use std::path::PathBuf;

use serde_json::json;

use super::jobs::Job;
use crate::session::{Emulator, Prepared};
use base::{Arch, ByteSize, exec::shell_line};
use format::standby::{self, property};
use suite::{CaseMachine, GuestClock, command_line_words};
use vm::machine::{Accel, Hotplug, MachineSpec, Property, Standby, Wiring, command_line};

/// What must be set before the guest's first instruction.
fn properties(arch: Arch, machine: &CaseMachine) -> Vec<Property> {
    let mut properties = Vec::new();
    let mut set = |name: &str, value| {
        properties.push(Property {
            path: standby::PATH.to_owned(),
            name: name.to_owned(),
            value,
        });
    };
    if arch == Arch::S390x {
        if machine.max_element_id != 1 {
            set(property::MAX_ELEMENT_ID, json!(machine.max_element_id));
        }
        if let Some(response) = machine.element_response {
            set(property::ELEMENT_RESPONSE, json!(response));
        }
    }
    properties
}

/// The machine of a job.
pub(crate) fn spec(
    job: &Job,
    prepared: &Prepared,
    emulator: &Emulator,
    initrds: Vec<PathBuf>,
) -> MachineSpec {
    spec_of(&job.machine, &job.cmdline, prepared, emulator, initrds)
}

/// Such a machine with these words for the kernel.
pub(crate) fn spec_of(
    machine: &CaseMachine,
    words: &[String],
    prepared: &Prepared,
    emulator: &Emulator,
    initrds: Vec<PathBuf>,
) -> MachineSpec {
    let arch = prepared.kernel.arch;
    let mut spec = MachineSpec::new(arch, emulator.qemu.clone());
    spec.kernel = Some(prepared.kernel.image.clone());
    spec.initrds = initrds;
    spec.cmdline = cmdline(arch, words);
    spec.memory = machine.memory;
    spec.cpus = machine.cpus;
    spec.accel = match machine.clock {
        GuestClock::Host => emulator.accel,
        GuestClock::Instructions => Accel::TcgIcount,
    };
    if arch == Arch::S390x && !machine.edat1 {
        spec.cpus_lack.push("edat");
    }
    spec.properties = properties(arch, machine);
    spec.hotplug = match arch {
        Arch::X86_64 => Hotplug::Dimms {
            slots: machine.slots,
            max: machine.memory + machine.hotplug,
        },
        Arch::S390x => Hotplug::Standby(Standby {
            size: machine.hotplug,
            increment: machine.increment,
        }),
    };
    for (from, row) in machine.dist.iter().enumerate() {
        for (to, distance) in row.iter().enumerate() {
            spec.extra.push("-numa".to_owned());
            spec.extra
                .push(format!("dist,src={from},dst={to},val={distance}"));
        }
    }
    if machine.nodes > 1 {
        spec.nodes = vec![machine.memory];
        spec.nodes.resize(machine.nodes as usize, ByteSize::bytes(0));
    }
    spec
}

/// The kernel's command line. What is asked for comes last, so that it wins.
fn cmdline(arch: Arch, asked: &[String]) -> String {
    let mut line = format!("console={}", MachineSpec::console(arch));
    for word in command_line_words(arch, asked) {
        line.push(' ');
        line.push_str(word);
    }
    line
}

/// The QEMU command that a job would run, to be pasted. The guest's keys are made for a run, so it lacks them.
pub(crate) fn dry_run(job: &Job, prepared: &Prepared, emulator: &Emulator) -> String {
    let spec = spec(job, prepared, emulator, Vec::new());
    shell_line(command_line(&spec, Some(&prepared.initrd), &Wiring::Terminal))
}
