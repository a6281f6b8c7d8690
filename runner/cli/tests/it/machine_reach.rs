// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest reaches outside of its machine: tried from inside, and looked at from outside. A machine that is open on purpose shows that each
//! way is one that would be noticed.

use std::{
    collections::BTreeSet,
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    time::Duration,
};

use base::Arch;
use vm::{
    guest::{BootLimits, Guest, GuestPort as _, Template},
    machine::{Clock, Logs, Machine, MachineSpec, Memory, StartOptions},
};

use crate::{
    firmware::start,
    ground::{Bootable, bootable},
};

/// How long the guest may take for all that it tries: each try gives up after 20 s.
const LIMIT: Duration = Duration::from_secs(240);

/// How often a guest on a busy host may try what is open.
const TRIES: usize = 5;

/// What a guest sends, by which a listener knows that it is not somebody else.
const WORD: &str = "memrig-was-here";

/// An address of the host at which a test listens.
struct Door {
    /// The host's name for it.
    address: IpAddr,
    /// The last part of the guest's name for it, in QEMU's own network; `None` where it has the host's name.
    alias: Option<&'static str>,
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Door {
    fn at(address: IpAddr, alias: Option<&'static str>) -> io::Result<Self> {
        let door = Self {
            address,
            alias,
            tcp: TcpListener::bind((address, 0))?,
            udp: UdpSocket::bind((address, 0))?,
        };
        door.tcp.set_nonblocking(true)?;
        door.udp.set_nonblocking(true)?;
        Ok(door)
    }

    /// All that this host has: loopback of both kinds, and an address by which others see it.
    fn all() -> Vec<Self> {
        let mut doors = vec![Self::at(Ipv4Addr::LOCALHOST.into(), Some("2")).unwrap()];
        // A host may do without IPv6, and without any other address.
        doors.extend(Self::at(Ipv6Addr::LOCALHOST.into(), Some("2")));
        let outward = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
            // This sends nothing, and finds the address by which something would be sent.
            socket.connect("198.51.100.1:9")?;
            socket.local_addr()
        });
        doors.extend(outward.and_then(|outward| Self::at(outward.ip(), None)));
        doors
    }

    /// The commands by which a guest tries it over a card.
    fn tries(&self, card: &Card) -> [String; 2] {
        let host = match (self.alias, self.address) {
            (Some(last), IpAddr::V4(_)) => format!("{}.{last}", card.net),
            (Some(last), IpAddr::V6(_)) => format!("{}::{last}", card.net_v6),
            (None, address) => address.to_string(),
        };
        let port = |address: io::Result<SocketAddr>| address.unwrap().port();
        let (tcp, udp) = (port(self.tcp.local_addr()), port(self.udp.local_addr()));
        [
            format!("echo {WORD} | timeout 20 busybox nc -w 20 {host} {tcp}"),
            // The first packet has the name of the file.
            format!("timeout 20 busybox tftp -g -l /dev/null -r {WORD} {host} {udp}"),
        ]
    }

    /// What came by it, in words.
    fn came(&self) -> Vec<String> {
        let mut came = Vec::new();
        while let Ok((mut stream, _)) = self.tcp.accept() {
            let mut said = String::new();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.set_nonblocking(false).unwrap();
            // One that is cut off has said what it said.
            let _ = stream.read_to_string(&mut said);
            came.extend(said.contains(WORD).then(|| format!("TCP of {}", self.address)));
        }
        let mut packet = [0; 512];
        while let Ok((length, _)) = self.udp.recv_from(&mut packet) {
            let said = String::from_utf8_lossy(&packet[..length]);
            came.extend(said.contains(WORD).then(|| format!("UDP of {}", self.address)));
        }
        came
    }
}

/// A network card of a guest, on a network of QEMU's.
struct Card {
    /// Its hardware's address: guests count their cards as they find them.
    mac: &'static str,
    /// The first three parts of its network's addresses.
    net: &'static str,
    net_v6: &'static str,
}

/// The one that machines have.
const CARD: Card = Card {
    // QEMU's own choice for the first one.
    mac: "52:54:00:12:34:56",
    net: "10.0.2",
    net_v6: "fec0",
};

/// One to a network that leads everywhere.
const OPEN_CARD: Card = Card {
    mac: "52:54:00:00:00:99",
    net: "10.0.3",
    net_v6: "fec1",
};

/// What a machine may have on virtio's bus: a network card, a serial port, random numbers. (`include/uapi/linux/virtio_ids.h`)
const VIRTIO: [&str; 3] = ["0x0001", "0x0003", "0x0004"];

/// What of the host a guest reaches over a card, and what devices it has that could be the host's.
async fn reached(guest: &Guest, card: &Card, doors: &[Door]) -> BTreeSet<String> {
    let Card { mac, net, net_v6 } = card;
    let tries = doors.iter().flat_map(|door| door.tries(card));
    let tries: String = tries
        .map(|command| format!("({command}) >/dev/null 2>&1 &\n"))
        .collect();
    // The guest's own kernel is on trial: whatever its init leaves out, it could do.
    let script = format!(
        "card=$(grep -l {mac} /sys/class/net/*/address) && card=${{card%/*}} && card=${{card##*/}} || exit 1\n\
         ifconfig $card {net}.15 netmask 255.255.255.0 up\n\
         ip route add default via {net}.2 dev $card\n\
         echo 0 >/proc/sys/net/ipv6/conf/$card/disable_ipv6\n\
         ip -6 addr add {net_v6}::15/64 dev $card\n\
         sleep 3\n\
         {tries}\
         (timeout 20 busybox nslookup memrig.invalid {net}.3 2>&1 | grep -q NXDOMAIN && echo a name server) &\n\
         (timeout 20 busybox tftp -g -l /dev/null -r etc/passwd {net}.2 2>/dev/null && echo a file of the host) &\n\
         wait\n\
         for device in /sys/bus/virtio/devices/*; do echo virtio $(cat $device/device); done\n\
         for disk in /sys/block/*; do [ -e $disk/device ] && echo the disk ${{disk##*/}}; done; true\n"
    );
    let output = guest.port.exec(&script, LIMIT).await.unwrap();
    assert_eq!(output.code, 0, "{}", output.error_text());
    let text = output.text();
    assert!(text.contains("virtio 0x0001"), "its own card is not seen: {text}");
    let known = |line: &&str| !VIRTIO.iter().any(|id| *line == format!("virtio {id}"));
    let inside = text.lines().filter(known).map(str::to_owned);
    inside.chain(doors.iter().flat_map(Door::came)).collect()
}

/// The folder of a machine's sockets.
fn scratch(machine: &Machine) -> PathBuf {
    let socket = machine
        .line()
        .iter()
        .find_map(|word| word.to_str()?.strip_prefix("socket,id=monitor,path="));
    Path::new(socket.expect("a monitor")).parent().unwrap().to_owned()
}

/// A table of `/proc/PID/net`, without its heading. A host without IPv6 has fewer tables.
fn table(pid: i32, name: &str) -> Vec<Vec<String>> {
    let text = match fs_err::read_to_string(format!("/proc/{pid}/net/{name}")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.unwrap(),
    };
    let rows = text.lines().skip(1);
    rows.map(|row| row.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// An address as `/proc/net` has it, for people: IPv4 as usual, IPv6 as it stands there.
fn shown(address: &str) -> String {
    let (host, port) = address.split_once(':').unwrap();
    let port = u16::from_str_radix(port, 16).unwrap();
    match u32::from_str_radix(host, 16) {
        Ok(host) => format!("{}:{port}", Ipv4Addr::from(host.to_ne_bytes())),
        Err(_) => format!("[{host}]:{port}"),
    }
}

/// Whether both ends of a connection are of the host's loopback: those of whoever talks to the guest.
fn within_loopback(row: &[String]) -> bool {
    row[1..3].iter().all(|address| shown(address).starts_with("127."))
}

/// What leads out of a QEMU: files that it can write, sockets that others can come to or that lead away, and threads that no sandbox holds.
fn open(machine: &Machine) -> BTreeSet<String> {
    let pid = machine.pid();
    let mut found = BTreeSet::new();
    let mut sockets = BTreeSet::new();
    let nobodys = |path: &str| {
        path.starts_with("/memfd:") || matches!(path, "/dev/null" | "/dev/kvm" | "/dev/zero (deleted)")
    };
    for file in fs_err::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let file = file.unwrap();
        let name = file.file_name();
        let (Ok(leads_to), Ok(info)) = (
            fs_err::read_link(file.path()),
            fs_err::read_to_string(format!("/proc/{pid}/fdinfo/{}", name.display())),
        ) else {
            // It was closed since.
            continue;
        };
        let leads_to = leads_to.to_string_lossy().into_owned();
        if let Some(socket) = leads_to.strip_prefix("socket:[") {
            sockets.insert(socket.trim_end_matches(']').to_owned());
            continue;
        }
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        // O_WRONLY and O_RDWR.
        let writes = flags & 3 != 0;
        if writes && leads_to.starts_with('/') && !nobodys(&leads_to) {
            found.insert(format!("writes {leads_to}"));
        }
    }
    for line in fs_err::read_to_string(format!("/proc/{pid}/maps"))
        .unwrap()
        .lines()
    {
        let mut words = line.split_whitespace();
        let (rights, path) = (words.nth(1).unwrap(), words.skip(3).collect::<Vec<_>>().join(" "));
        if rights.starts_with("rw") && rights.ends_with('s') && path.starts_with('/') && !nobodys(&path) {
            found.insert(format!("maps {path}"));
        }
    }
    for thread in fs_err::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = fs_err::read_to_string(thread.unwrap().path().join("status"));
        // One that ended since holds nobody back.
        if let Ok(status) = status
            && !status.lines().any(|line| line == "Seccomp:\t2")
        {
            found.insert("has no sandbox".to_owned());
        }
    }
    let own = scratch(machine);
    for row in table(pid, "unix") {
        // Num RefCount Protocol Flags Type St Inode Path
        if !sockets.remove(&row[6]) {
            continue;
        }
        let listens = u32::from_str_radix(&row[3], 16).unwrap() & 0x10000 != 0;
        let path = row.get(7).map_or("", String::as_str);
        if listens && !Path::new(path).starts_with(&own) {
            found.insert(format!("listens at {path}"));
        }
    }
    for (protocol, names) in [("TCP", ["tcp", "tcp6"]), ("UDP", ["udp", "udp6"])] {
        for row in names.iter().flat_map(|name| table(pid, name)) {
            // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
            if !sockets.remove(&row[9]) {
                continue;
            }
            let here = shown(&row[1]);
            match (protocol, row[3].as_str()) {
                ("TCP", "0A") => found.insert(format!("listens at {here}")),
                ("TCP", _) if within_loopback(&row) => false,
                _ => found.insert(format!(
                    "has a {protocol} socket from {here} to {}",
                    shown(&row[2])
                )),
            };
        }
    }
    found.extend(sockets.iter().map(|_| "has a socket of another kind".to_owned()));
    found
}

/// What leads out of each machine: its log, which memrig gave it, and the one port that is forwarded.
fn expected(machine: &Machine, folder: &Path) -> BTreeSet<String> {
    [
        format!("writes {}", folder.join("qemu.log").display()),
        format!("listens at 127.0.0.1:{}", machine.ssh_port().unwrap()),
    ]
    .into()
}

/// Getting what a guest needs blocks, and has a runtime of its own.
async fn ground(arch: Arch) -> (Bootable, tempfile::TempDir) {
    let from = tokio::task::spawn_blocking(move || bootable(arch)).await.unwrap();
    (from, tempfile::tempdir().unwrap())
}

async fn reaches_nothing(arch: Arch) {
    let (from, folder) = ground(arch).await;
    let folder = fs_err::canonicalize(folder.path()).unwrap();
    let logs = Logs::in_folder(&folder);
    // As machines are that boot by themselves, templates, and clones.
    let memory = Memory::new(&from.spec).unwrap();
    for files in [None, Some(memory.files(true)), Some(memory.files(false))] {
        let mut spec = from.spec.clone();
        spec.memory_files = files;
        let machine = start(&spec, &folder).await.unwrap();
        assert_eq!(open(&machine), expected(&machine, &folder));
        let drives = machine
            .command("query-block", serde_json::json!({}))
            .await
            .unwrap();
        assert_eq!(drives, serde_json::json!([]));
        machine.stop().await;
    }
    let limits = BootLimits::default();
    let template = Template::make(
        &from.spec,
        &logs,
        Clock::start(),
        &from.login,
        limits,
        None,
        "sync",
    )
    .await;
    let template = template.unwrap_or_else(|error| panic!("{error:?}"));
    let guest = template
        .clone_guest(&logs, Clock::start(), &from.login, limits)
        .await;
    let guest = guest.unwrap_or_else(|error| panic!("{error:?}\n{}", error.console));
    assert_eq!(reached(&guest, &CARD, &Door::all()).await, BTreeSet::new());
    assert_eq!(open(&guest.machine), expected(&guest.machine, &folder));
    guest.stop().await;
}

/// A machine that leads out in each way that is looked for, but for its own network.
fn opened(from: &MachineSpec, disk: &Path, port: u16) -> MachineSpec {
    let mut spec = from.clone();
    spec.qemu.sandbox = false;
    let bus = match spec.arch {
        Arch::X86_64 => "pci",
        Arch::S390x => "ccw",
    };
    let Card { mac, net, net_v6 } = OPEN_CARD;
    spec.extra = [
        "-netdev",
        &format!("user,id=open,net={net}.0/24,ipv6-prefix={net_v6}::"),
        "-device",
        &format!("virtio-net-{bus},netdev=open,mac={mac}"),
        "-drive",
        &format!("file={},format=raw,if=none,id=disk", disk.display()),
        "-device",
        &format!("virtio-blk-{bus},drive=disk"),
        "-chardev",
        &format!("socket,id=door,host=0.0.0.0,port={port},server=on,wait=off"),
    ]
    .map(str::to_owned)
    .into();
    spec
}

async fn is_noticed(arch: Arch) {
    let (from, folder) = ground(arch).await;
    let folder = fs_err::canonicalize(folder.path()).unwrap();
    let disk = folder.join("disk");
    fs_err::write(&disk, [0; 4096]).unwrap();
    let port = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|free| free.local_addr())
        .unwrap()
        .port();
    let guest = Guest::boot(
        &opened(&from.spec, &disk, port),
        &Logs::in_folder(&folder),
        Clock::start(),
        StartOptions::default(),
        &from.login,
        BootLimits::default(),
    )
    .await;
    let guest = guest.unwrap_or_else(|error| panic!("{error:?}\n{}", error.console));
    let mut all = expected(&guest.machine, &folder);
    all.insert(format!("writes {}", disk.display()));
    all.insert(format!("listens at 0.0.0.0:{port}"));
    all.insert("has no sandbox".to_owned());
    assert_eq!(open(&guest.machine), all);

    let doors = Door::all();
    let mut all: BTreeSet<String> = doors
        .iter()
        .flat_map(|door| ["TCP", "UDP"].map(|way| format!("{way} of {}", door.address)))
        .collect();
    all.insert("virtio 0x0002".to_owned());
    let mut way_out = BTreeSet::new();
    for _ in 0..TRIES {
        way_out.extend(reached(&guest, &OPEN_CARD, &doors).await);
        if way_out.is_superset(&all) {
            break;
        }
    }
    // Whether the host has one that answers is not the guest's affair.
    way_out.remove("a name server");
    assert_eq!(way_out, all);
    assert!(
        open(&guest.machine)
            .iter()
            .any(|way| way.starts_with("has a UDP socket from ")),
        "what QEMU sends for the guest is seen"
    );
    guest.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_of_x86_64_reaches_nothing() {
    reaches_nothing(Arch::X86_64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_of_s390x_reaches_nothing() {
    reaches_nothing(Arch::S390x).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leads_out_of_x86_64_is_noticed() {
    is_noticed(Arch::X86_64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leads_out_of_s390x_is_noticed() {
    is_noticed(Arch::S390x).await;
}
