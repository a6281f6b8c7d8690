// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arguments of QEMU, as a pure function of the description and of where the machine's sockets are.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::spec::{Accel, Hotplug, MachineSpec};
use base::{Arch, ByteSize};

/// How the outside reaches the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wiring {
    /// memrig listens on two sockets to which QEMU connects, so that nothing the guest says can be missed; the guest does not
    /// run before it is told to.
    Bench {
        /// Socket of the console.
        console: PathBuf,
        /// Socket of the machine protocol.
        qmp: PathBuf,
        /// Socket of the line.
        line: PathBuf,
        /// The file of the plugin that notes which code runs.
        code: PathBuf,
        /// The host's port that is forwarded to the guest's port 22.
        ssh_port: u16,
    },
    /// For a person: console and monitor share the terminal, the guest runs at once, and its image starts a shell on the console.
    Terminal,
}

/// The port that [`Wiring::Terminal`] forwards.
const TERMINAL_SSH_PORT: u16 = 2222;

/// Arguments under construction.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn flag(&mut self, flag: &str) {
        self.0.push(flag.into());
    }

    fn pair(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.push(option.into());
        self.0.push(value.into());
    }
}

/// A comma inside a value of an option is written twice.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// Program and arguments of the QEMU that is this machine.
///
/// `initrd` is the one file that all of [`MachineSpec::initrds`] were put into.
pub fn command_line(spec: &MachineSpec, initrd: Option<&Path>, wiring: &Wiring) -> Vec<OsString> {
    let mut args = Arguments::default();
    args.0.push(spec.qemu.binary.clone().into());
    args.flag("-nodefaults");
    args.flag("-no-user-config");
    args.pair("-display", "none");
    args.pair("-machine", machine(spec));
    processors(spec, &mut args);
    plugins(spec, wiring, &mut args);
    memory(spec, &mut args);
    boot(spec, initrd, wiring, &mut args);
    devices(spec, wiring, &mut args);
    wires(wiring, &mut args);
    if spec.qemu.sandbox {
        let denied = "obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
        args.pair("-sandbox", format!("on,{denied}"));
    }
    args.0.extend(spec.extra.iter().map(OsString::from));
    args.0
}

fn machine(spec: &MachineSpec) -> String {
    let mut machine = vec![match spec.arch {
        Arch::X86_64 => "q35".to_owned(),
        Arch::S390x => "s390-ccw-virtio".to_owned(),
    }];
    if spec.memory_files.is_some() && spec.nodes.is_empty() {
        machine.push("memory-backend=ram".to_owned());
    }
    if let Hotplug::Standby(standby) = &spec.hotplug {
        machine.push("standby-memory=standby".to_owned());
        machine.extend(standby.increment.map(|size| format!("storage-increment={size}")));
    }
    machine.join(",")
}

fn processors(spec: &MachineSpec, args: &mut Arguments) {
    let (accel, cpu) = match spec.accel {
        Accel::Kvm => ("kvm", "host"),
        // While one CPU changes code (int3 first), QEMU's threads let another meet the breakpoint that is not there any more: the kernel oopses.
        Accel::Tcg if spec.arch == Arch::X86_64 && spec.cpus > 1 => ("tcg,thread=single", "max"),
        Accel::Tcg | Accel::TcgIcount => ("tcg", "max"),
    };
    args.pair("-accel", accel);
    let lacks = spec.cpus_lack.iter().map(|feature| format!(",{feature}=off"));
    args.pair("-cpu", format!("{cpu}{}", lacks.collect::<String>()));
    match bare(spec).count() {
        0 => args.pair("-smp", spec.cpus.to_string()),
        more => args.pair(
            "-smp",
            format!("{},maxcpus={}", spec.cpus, spec.cpus as usize + more),
        ),
    }
    if spec.accel == Accel::TcgIcount {
        args.pair("-icount", "shift=0,sleep=off");
    }
}

fn plugins(spec: &MachineSpec, wiring: &Wiring, args: &mut Arguments) {
    let mut plugin = |library: &Path, output: &Path| {
        let (library, output) = (escaped(library), escaped(output));
        args.pair("-plugin", format!("file={library},out={output}"));
    };
    if let Some(counter) = &spec.counter {
        plugin(&counter.library, &counter.output);
    }
    if let (Some(library), Wiring::Bench { code, .. }) = (&spec.cover, wiring) {
        plugin(library, code);
    }
}

fn memory(spec: &MachineSpec, args: &mut Arguments) {
    let mut size = vec![format!("size={}", spec.memory)];
    if let Hotplug::Dimms { slots, max } = &spec.hotplug {
        size.push(format!("slots={slots},maxmem={max}"));
    }
    args.pair("-m", size.join(","));
    if !spec.nodes.is_empty() {
        numa(spec, args);
    } else if spec.memory_files.is_some() {
        args.pair("-object", backend("ram", spec.memory, spec));
    }
    if let Hotplug::Standby(standby) = &spec.hotplug {
        let mut memory = backend("standby", standby.size, spec);
        // It may be larger than the host's memory: what no guest touches is not there. A file's pages are its own affair.
        if spec.memory_files.is_none() {
            memory.push_str(",reserve=off");
        }
        args.pair("-object", memory);
    }
}

/// The nodes that the firmware's table (SRAT) would not name: those without memory at boot but the last, which has the memory for later. A DIMM
/// for one of them would come to another node. The table also names the nodes of processors that may come later, so that each of these gets one.
fn bare(spec: &MachineSpec) -> impl Iterator<Item = usize> {
    let last = spec.nodes.len().saturating_sub(1);
    let empty = |node: &usize| *node > 0 && spec.nodes[*node] == ByteSize::bytes(0);
    (0..last).filter(empty)
}

fn numa(spec: &MachineSpec, args: &mut Arguments) {
    for (node, size) in spec.nodes.iter().enumerate() {
        let mut options = vec![format!("node,nodeid={node}")];
        if node == 0 {
            options.push(format!("cpus=0-{}", spec.cpus - 1));
        }
        if let Some(later) = bare(spec).position(|bare| bare == node) {
            options.push(format!("cpus={}", spec.cpus as usize + later));
        }
        // A node without memory has no backend.
        if *size != ByteSize::bytes(0) {
            let id = format!("ram{node}");
            args.pair("-object", backend(&id, *size, spec));
            options.push(format!("memdev={id}"));
        }
        args.pair("-numa", options.join(","));
    }
}

/// A piece of the guest's memory.
fn backend(id: &str, size: ByteSize, spec: &MachineSpec) -> String {
    let file = spec.memory_files.as_ref();
    // `check` holds that each memory has one.
    let Some((path, shared)) = file.and_then(|files| Some((files.paths.get(id)?, files.shared))) else {
        return format!("memory-backend-ram,id={id},size={size}");
    };
    let path = escaped(path);
    let sharing = match (shared, spec.qemu.rom_off) {
        (true, _) => "share=on",
        (false, true) => "share=off,readonly=on,rom=off",
        (false, false) => "share=off",
    };
    format!("memory-backend-file,id={id},size={size},mem-path={path},{sharing}")
}

fn boot(spec: &MachineSpec, initrd: Option<&Path>, wiring: &Wiring, args: &mut Arguments) {
    if let Some(firmware) = &spec.qemu.firmware {
        args.pair("-bios", firmware);
    }
    // One that goes on from a state has its kernel in its memory; QEMU would keep a copy of each file that nobody reads.
    if let Some(kernel) = spec.kernel.as_ref().filter(|_| !spec.incoming) {
        args.pair("-kernel", kernel);
        if let Some(initrd) = initrd {
            args.pair("-initrd", initrd);
        }
        // The image's init knows the word: whoever sits at the console gets a shell there.
        let shell = match wiring {
            Wiring::Terminal if initrd.is_some() => " memrig.shell",
            _ => "",
        };
        args.pair("-append", format!("{}{shell}", spec.cmdline));
    }
    if spec.incoming {
        args.pair("-incoming", "defer");
    }
}

/// The bus of virtio devices.
fn bus(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "pci",
        Arch::S390x => "ccw",
    }
}

fn devices(spec: &MachineSpec, wiring: &Wiring, args: &mut Arguments) {
    let bus = bus(spec.arch);
    args.pair("-device", format!("virtio-rng-{bus}"));
    if spec.network {
        let port = match wiring {
            Wiring::Bench { ssh_port, .. } => *ssh_port,
            Wiring::Terminal => TERMINAL_SSH_PORT,
        };
        args.pair(
            "-netdev",
            format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
        );
        let rom = match spec.arch {
            // The ROM of a card that nobody boots from is only time.
            Arch::X86_64 => ",romfile=",
            Arch::S390x => "",
        };
        args.pair("-device", format!("virtio-net-{bus},netdev=net{rom}"));
    }
    if let (true, Wiring::Bench { line, .. }) = (spec.line, wiring) {
        args.pair("-device", format!("virtio-serial-{bus}"));
        args.pair("-chardev", format!("socket,id=line,path={}", escaped(line)));
        args.pair("-device", "virtserialport,chardev=line,nr=1");
    }
    match spec.arch {
        Arch::X86_64 => {
            args.pair("-device", "pvpanic");
            args.pair("-device", "isa-serial,chardev=console");
        }
        Arch::S390x => args.pair("-device", "sclpconsole,chardev=console"),
    }
}

fn wires(wiring: &Wiring, args: &mut Arguments) {
    match wiring {
        Wiring::Bench { console, qmp, .. } => {
            args.pair("-chardev", format!("socket,id=console,path={}", escaped(console)));
            args.pair("-chardev", format!("socket,id=monitor,path={}", escaped(qmp)));
            args.pair("-mon", "chardev=monitor,mode=control");
            // The machine stays after its end, so that it can be asked how it ended.
            args.pair("-action", "panic=pause,shutdown=pause,reboot=shutdown");
            args.flag("-S");
        }
        Wiring::Terminal => {
            args.pair("-chardev", "stdio,id=console,mux=on,signal=off");
            args.pair("-mon", "chardev=console,mode=readline");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Counter, MemoryFiles, Qemu, Standby};
    use base::exec::shell_line;

    fn bench() -> Wiring {
        Wiring::Bench {
            console: "/tmp/m/console".into(),
            qmp: "/tmp/m/qmp".into(),
            line: "/tmp/m/line".into(),
            code: "/tmp/m/code".into(),
            ssh_port: 40022,
        }
    }

    /// One option a line.
    fn lines(spec: &MachineSpec, initrd: Option<&str>, wiring: &Wiring) -> String {
        assert_eq!(spec.check(), Ok(()));
        let line = command_line(spec, initrd.map(Path::new), wiring);
        shell_line(&line).replace(" -", "\n-")
    }

    fn x86_64() -> MachineSpec {
        let qemu = Qemu {
            sandbox: true,
            ..Qemu::plain("qemu-system-x86_64")
        };
        MachineSpec {
            kernel: Some("/boot/vmlinuz".into()),
            cmdline: "console=ttyS0 panic=0".to_owned(),
            ..MachineSpec::new(Arch::X86_64, qemu)
        }
    }

    fn s390x() -> MachineSpec {
        let mut qemu = Qemu::plain("qemu-system-s390x");
        qemu.firmware = Some("/q/fw".into());
        qemu.rom_off = true;
        MachineSpec {
            kernel: Some("/boot/image".into()),
            cmdline: "console=ttysclp0".to_owned(),
            ..MachineSpec::new(Arch::S390x, qemu)
        }
    }

    #[test]
    fn dimms_and_nodes() {
        let mut spec = x86_64();
        spec.cpus = 2;
        spec.memory = ByteSize::gib(2);
        spec.nodes = vec![ByteSize::gib(2), ByteSize::bytes(0)];
        spec.hotplug = Hotplug::Dimms {
            slots: 16,
            max: ByteSize::gib(8),
        };
        insta::assert_snapshot!("dimms_and_nodes", lines(&spec, Some("/tmp/initrd"), &bench()));
    }

    #[test]
    fn every_node_that_a_dimm_can_be_for_is_in_the_firmwares_table() {
        let mut spec = x86_64();
        spec.cpus = 2;
        spec.nodes = vec![
            ByteSize::gib(1),
            ByteSize::bytes(0),
            ByteSize::bytes(0),
            ByteSize::bytes(0),
        ];
        let text = lines(&spec, None, &bench());
        for line in [
            "-smp 2,maxcpus=4\n",
            "-numa node,nodeid=0,cpus=0-1,memdev=ram0\n",
            "-numa node,nodeid=1,cpus=2\n",
            "-numa node,nodeid=2,cpus=3\n",
            "-numa node,nodeid=3\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn standby_memory() {
        let mut spec = s390x();
        spec.hotplug = Hotplug::Standby(Standby {
            size: ByteSize::gib(2),
            increment: Some(ByteSize::mib(128)),
        });
        insta::assert_snapshot!("standby_memory", lines(&spec, Some("/tmp/initrd"), &bench()));
    }

    #[test]
    fn a_clone_maps_the_files_of_its_template_privately() {
        let files = |shared| {
            let path = |id: &str| (id.to_owned(), PathBuf::from("/dev/shm/a,b").join(id));
            Some(MemoryFiles {
                paths: ["ram", "standby"].map(path).into(),
                shared,
            })
        };
        let mut spec = s390x();
        spec.hotplug = Hotplug::Standby(Standby {
            size: ByteSize::gib(1),
            increment: None,
        });
        spec.memory_files = files(true);
        let template = lines(&spec, Some("/tmp/initrd"), &bench());
        spec.memory_files = files(false);
        spec.incoming = true;
        let private = lines(&spec, Some("/tmp/initrd"), &bench());
        let gone: Vec<&str> = template
            .lines()
            .filter(|line| !private.contains(line) && !line.contains("mem-path"))
            .collect();
        assert_eq!(
            gone,
            [
                "-kernel /boot/image",
                "-initrd /tmp/initrd",
                "-append console=ttysclp0"
            ],
            "its kernel is in its memory"
        );
        let changed: Vec<&str> = private.lines().filter(|line| !template.contains(line)).collect();
        assert_eq!(
            changed,
            [
                "-object memory-backend-file,id=ram,size=1G,mem-path=/dev/shm/a,,b/ram,share=off,readonly=on,rom=off",
                "-object memory-backend-file,id=standby,size=1G,mem-path=/dev/shm/a,,b/standby,share=off,readonly=on,rom=off",
                "-incoming defer",
            ]
        );
        assert!(template.contains("a,,b/standby,share=on\n"), "{template}");
        spec.qemu.rom_off = false;
        assert!(
            !lines(&spec, None, &bench()).contains("readonly"),
            "QEMU 7.2 would map it as ROM"
        );
    }

    #[test]
    fn every_memory_of_the_machine_has_a_file_or_none_has() {
        let mut spec = x86_64();
        spec.memory = ByteSize::gib(2);
        spec.nodes = vec![ByteSize::gib(1), ByteSize::bytes(0), ByteSize::gib(1)];
        let ids: Vec<String> = spec.memories().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["ram0", "ram2"]);
        let path = |id: &String| (id.clone(), PathBuf::from("/f").join(id));
        let files = |ids: &[String]| {
            Some(MemoryFiles {
                paths: ids.iter().map(path).collect(),
                shared: true,
            })
        };
        spec.memory_files = files(&ids);
        let line = lines(&spec, None, &bench());
        assert!(!line.contains("memory-backend-ram"), "{line}");
        assert_eq!(line.matches("mem-path=/f/").count(), 2, "{line}");
        spec.memory_files = files(&ids[..1]);
        assert!(spec.check().is_err());
        assert!(lines(&spec.booting(), None, &bench()).contains("memory-backend-ram,id=ram0"));
    }

    #[test]
    fn a_guest_that_the_host_runs_has_the_hosts_cpu() {
        let mut spec = x86_64();
        spec.accel = Accel::Kvm;
        spec.check().unwrap();
        let line = lines(&spec, None, &bench());
        assert!(
            line.contains("-accel kvm\n-cpu host\n") && !line.contains("tcg"),
            "{line}"
        );
    }

    #[test]
    fn what_cpus_lack_is_off() {
        let mut spec = s390x();
        spec.cpus_lack = vec!["edat", "vx"];
        let line = lines(&spec, None, &bench());
        assert!(line.contains("-cpu max,edat=off,vx=off\n"), "{line}");
    }

    #[test]
    fn translated_cpus_of_x86_64_take_turns() {
        let accel = |mut spec: MachineSpec, cpus| {
            spec.cpus = cpus;
            let line = lines(&spec, None, &bench());
            line.lines()
                .find(|line| line.starts_with("-accel "))
                .map(str::to_owned)
        };
        assert_eq!(accel(x86_64(), 2).as_deref(), Some("-accel tcg,thread=single"));
        assert_eq!(accel(x86_64(), 1).as_deref(), Some("-accel tcg"));
        assert_eq!(accel(s390x(), 2).as_deref(), Some("-accel tcg"));
    }

    #[test]
    fn instructions_are_counted_on_one_cpu() {
        let mut spec = x86_64();
        spec.accel = Accel::TcgIcount;
        let line = lines(&spec, None, &bench());
        assert!(
            line.contains("-accel tcg\n-cpu max\n-smp 1\n-icount shift=0,sleep=off\n"),
            "{line}"
        );
        spec.cpus = 2;
        assert!(spec.check().is_err());
    }

    #[test]
    fn what_notes_which_code_runs_is_a_plugin_with_a_file_of_the_machine() {
        let mut spec = x86_64();
        spec.cover = Some("/c/cover.so".into());
        spec.cpus = 4;
        let plugin = "-plugin file=/c/cover.so,out=/tmp/m/code";
        assert!(lines(&spec, None, &bench()).contains(plugin));
        assert!(!lines(&spec, None, &Wiring::Terminal).contains("-plugin"));
        spec.accel = Accel::Kvm;
        assert_eq!(
            spec.check().unwrap_err().to_string(),
            "x86_64 has no code that is seen under KVM"
        );
    }

    #[test]
    fn a_counter_is_a_plugin_with_its_file() {
        let mut spec = s390x();
        spec.accel = Accel::TcgIcount;
        spec.counter = Some(Counter {
            library: "/c/cost.so".into(),
            output: "/tmp/a,b/counts".into(),
        });
        insta::assert_snapshot!("counter", lines(&spec, Some("/tmp/initrd"), &bench()));
        spec.accel = Accel::Tcg;
        spec.cpus = 2;
        assert!(spec.check().is_err(), "a counter is for one CPU");
        spec.cpus = 1;
        spec.accel = Accel::Kvm;
        assert_eq!(
            spec.check().unwrap_err().to_string(),
            "s390x has no counted instructions under KVM"
        );
    }

    #[test]
    fn a_person_gets_a_terminal_and_a_guest_that_runs() {
        insta::assert_snapshot!(
            "terminal",
            lines(&x86_64(), Some("/tmp/initrd"), &Wiring::Terminal)
        );
    }

    #[test]
    fn what_an_architecture_does_not_have_is_refused() {
        let dimms = Hotplug::Dimms {
            slots: 1,
            max: ByteSize::gib(8),
        };
        let standby = Hotplug::Standby(Standby {
            size: ByteSize::gib(1),
            increment: None,
        });
        let mut wrong = [s390x(), x86_64(), x86_64(), x86_64(), s390x()];
        wrong[0].hotplug = dimms;
        wrong[1].hotplug = standby;
        wrong[2].nodes = vec![ByteSize::gib(2)];
        wrong[3].cpus = 0;
        wrong[4].nodes = vec![ByteSize::gib(1)];
        let errors: Vec<String> = wrong
            .iter()
            .map(|spec| spec.check().unwrap_err().to_string())
            .collect();
        assert_eq!(
            errors[..3],
            [
                "s390x has no pc-dimm slots",
                "x86_64 has no standby memory",
                "the nodes have 2G together, the machine has 1G",
            ]
        );
    }
}
