// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that spins: its console is silent, a CPU of it works, and comes back to what it was again and again.
//!
//! A loop that gets somewhere counts: some register is another one each time. So a CPU that has the same place and the same registers as before, most
//! of the times that it is looked at, and for ten seconds, will not leave where it is by itself. A loop may also count for ever, as that of a panic does
//! which nobody hears of: after twenty seconds in a few places nothing else will come. One that waits for an interrupt does not spin.

use std::{collections::BTreeSet, fmt, time::Duration};

use crate::machine::Machine;
use base::Arch;

/// How long a console is silent before the CPUs are looked at, of the time that the host gives the machine: most boots never are.
const SILENT: Duration = Duration::from_secs(5);

/// How long it is from one look to the next.
const BETWEEN: Duration = Duration::from_millis(250);

/// How many looks say that it spins, where its registers come back.
const LOOKS: usize = 40;

/// How many do where only its places do.
const MORE_LOOKS: usize = 80;

/// Different addresses that are a few places. QEMU tells where a block of code begins, of a few instructions each.
const FEW: usize = 16;

/// A CPU at a look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cpu {
    /// The address that it runs at.
    at: u64,
    /// It waits for an interrupt, or is stopped.
    waits: bool,
    /// Its registers, as QEMU's monitor prints them.
    registers: String,
}

/// Where a guest spins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spin {
    /// Addresses that were seen, ascending; each CPU that spins has one or more.
    pub at: Vec<u64>,
    /// Its registers come back, too, so that it counts nothing.
    pub same_registers: bool,
    /// How long its console had been silent.
    pub silent: Duration,
}

impl fmt::Display for Spin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.at.first().unwrap_or(&0), self.at.last().unwrap_or(&0));
        write!(f, "it spins at {first:#x}")?;
        if first != last {
            write!(f, " to {last:#x}")?;
        }
        if self.same_registers {
            f.write_str(", with the same registers again and again")?;
        }
        let silent = self.silent.as_secs();
        write!(f, ", and its console is silent for {silent} s")
    }
}

/// Ends when the guest of a machine, whose console has just said something, spins. Cancel-safe; never ends where it does not, or
/// where QEMU does not tell.
pub(super) async fn found(machine: &Machine) -> Spin {
    machine.rest(SILENT).await;
    let mut looks = Vec::new();
    loop {
        let (Ok(text), Ok(stopped)) = (machine.registers().await, machine.stopped_cpus().await) else {
            // Whoever waits for the guest finds out why.
            return std::future::pending().await;
        };
        let mut cpus = cpus(machine.arch(), &text);
        for (cpu, stopped) in cpus.iter_mut().zip(stopped) {
            cpu.waits |= stopped;
        }
        looks.push(cpus);
        if let Some((at, same_registers)) = spinning(&looks) {
            return Spin {
                at,
                same_registers,
                silent: SILENT + BETWEEN * (looks.len() as u32 - 1),
            };
        }
        machine.rest(BETWEEN).await;
    }
}

/// Reads what `info registers -a` of QEMU's monitor prints; none of a text that is something else.
fn cpus(arch: Arch, text: &str) -> Vec<Cpu> {
    let mut cpus: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        if line.starts_with("CPU#") {
            cpus.push(Vec::new());
        } else if let Some(cpu) = cpus.last_mut() {
            cpu.push(line.trim());
        }
    }
    let read = |lines: Vec<&str>| match arch {
        Arch::X86_64 => x86(&lines),
        Arch::S390x => s390(&lines),
    };
    cpus.into_iter().filter_map(read).collect()
}

/// General registers come first, and end with the line of the instruction pointer.
fn x86(lines: &[&str]) -> Option<Cpu> {
    let ip = |line: &&str| line.starts_with("RIP=") || line.starts_with("EIP=");
    let last = lines.iter().position(ip)?;
    let (_, at) = lines[last].split_whitespace().next()?.split_once('=')?;
    Some(Cpu {
        at: u64::from_str_radix(at, 16).ok()?,
        waits: lines[last].ends_with("HLT=1"),
        registers: lines[..=last].join("\n"),
    })
}

/// Bit 14 of the PSW: the CPU waits.
const PSW_WAIT: u64 = 1 << (63 - 14);

/// `PSW=mask M addr A cc C`, then the general registers.
fn s390(lines: &[&str]) -> Option<Cpu> {
    let psw = lines.iter().find(|line| line.starts_with("PSW="))?;
    let mut words = psw.split_whitespace();
    let mut hex = |name: &str| {
        words.find(|word| word.ends_with(name))?;
        u64::from_str_radix(words.next()?, 16).ok()
    };
    let (mask, at) = (hex("mask")?, hex("addr")?);
    let general = lines
        .iter()
        .filter(|line| line.starts_with("PSW=") || line.starts_with('R'));
    Some(Cpu {
        at,
        waits: mask & PSW_WAIT != 0,
        registers: general.copied().collect::<Vec<_>>().join("\n"),
    })
}

/// Where the CPUs spin, and whether with the same registers, if one does and no other gets anywhere; by looks from the first one on.
fn spinning(looks: &[Vec<Cpu>]) -> Option<(Vec<u64>, bool)> {
    let back = |looks: usize, of: &BTreeSet<&Cpu>| of.len() <= looks / 2;
    let few =
        |_: usize, of: &BTreeSet<&Cpu>| of.iter().map(|cpu| cpu.at).collect::<BTreeSet<_>>().len() <= FEW;
    let by_registers = all_in(looks, LOOKS, back).map(|at| (at, true));
    by_registers.or_else(|| all_in(looks, MORE_LOOKS, few).map(|at| (at, false)))
}

/// The addresses of the CPUs that work, if there are any and the last looks say this of each.
fn all_in(
    looks: &[Vec<Cpu>],
    count: usize,
    is_so: impl Fn(usize, &BTreeSet<&Cpu>) -> bool,
) -> Option<Vec<u64>> {
    let looks = &looks[looks.len().checked_sub(count)?..];
    let cpus = looks.first()?.len();
    if looks.iter().any(|look| look.len() != cpus) {
        return None;
    }
    let mut at = BTreeSet::new();
    for number in 0..cpus {
        let seen = || looks.iter().map(|look| &look[number]);
        if seen().filter(|cpu| cpu.waits).count() > count / 2 {
            continue;
        }
        let different: BTreeSet<&Cpu> = seen().collect();
        if !is_so(count, &different) {
            return None;
        }
        at.extend(seen().map(|cpu| cpu.at));
    }
    (!at.is_empty()).then(|| at.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(at: u64, waits: bool, registers: u64) -> Cpu {
        Cpu {
            at,
            waits,
            registers: registers.to_string(),
        }
    }

    /// What is found once there are so many looks, each of these CPUs, and not one look before.
    fn found_after(count: usize, cpus: impl Fn(u64) -> Vec<Cpu>) -> Option<(Vec<u64>, bool)> {
        let looks: Vec<Vec<Cpu>> = (0..count as u64).map(cpus).collect();
        assert_eq!(spinning(&looks[..count - 1]), None, "one look too few");
        spinning(&looks)
    }

    fn never(cpus: impl Fn(u64) -> Vec<Cpu>) {
        let looks: Vec<Vec<Cpu>> = (0..3 * MORE_LOOKS as u64).map(cpus).collect();
        for count in 0..looks.len() {
            assert_eq!(spinning(&looks[..count]), None, "after {count} looks");
        }
    }

    #[test]
    fn what_comes_back_spins() {
        let in_four_places = |look: u64| cpu(look % 4, false, look % 4);
        let places = vec![0, 1, 2, 3];
        assert_eq!(
            found_after(LOOKS, |look| vec![in_four_places(look)]),
            Some((places.clone(), true))
        );
        // It counts, and stays where it is: for longer.
        let counts = |look: u64| cpu(look % 4, false, look);
        assert_eq!(
            found_after(MORE_LOOKS, |look| vec![counts(look)]),
            Some((places, false))
        );
        // As one that gets somewhere does.
        never(|look| vec![cpu(look % 40, false, look)]);
    }

    #[test]
    fn an_idle_cpu_does_not_spin_and_one_that_works_is_waited_for() {
        let idle = || cpu(9, true, 0);
        never(|_| vec![idle()]);
        // It wakes for its clock, now and then.
        never(|look| vec![cpu(9, !look.is_multiple_of(5), 0)]);
        assert_eq!(
            found_after(LOOKS, |_| vec![cpu(1, false, 1), idle()]),
            Some((vec![1], true))
        );
        // The first waits for what the second does.
        never(|look| vec![cpu(1, false, 1), cpu(look % 40, false, look)]);
        never(|_| Vec::new());
    }

    #[test]
    fn a_cpu_that_came_up_only_now_is_looked_at_for_as_long() {
        let cpus = |look: u64| vec![cpu(1, false, 1); if look < 9 { 1 } else { 2 }];
        assert_eq!(found_after(LOOKS + 9, cpus), Some((vec![1], true)));
    }

    /// `info registers -a` of QEMU 7.2.22 (6.1.0-57-amd64 boots, two CPUs), without most of what follows the general registers.
    const X86: &str = "CPU#0\n\
RAX=0000000000000002 RBX=0000000000000000 RCX=00000000c0000080 RDX=0000000000000000\n\
RSI=00000000000000ff RDI=ffff88801f4198c0 RBP=ffff88801f4198c0 RSP=ffffc90000003fc0\n\
R8 =ffffffffff8dc204 R9 =0000000034579862 R10=0000000000000000 R11=ffffc90000003ff8\n\
R12=0000000000000000 R13=0000000000000000 R14=0000000000000000 R15=0000000000000000\n\
RIP=ffffffff8103fc9b RFL=00000093 [--S-A-C] CPL=0 II=0 A20=1 SMM=0 HLT=1\n\
ES =0000 0000000000000000 00000000 00000000\n\
CPU#1\n\
RAX=00000007ebc5b2f4 RBX=000000000000125c RCX=00000000009690f3 RDX=000000000000351e\n\
RSI=0000000000000001 RDI=00000007ebc57dd6 RBP=ffffc90000013e10 RSP=ffffc90000013d98\n\
R8 =0000000000000001 R9 =0000000000255739 R10=0000000000000003 R11=ffffffff82ad4448\n\
R12=0000000000000000 R13=00000000000012c0 R14=000000000000004b R15=0000000000000000\n\
RIP=ffffffff819f77a3 RFL=00000283 [--S---C] CPL=0 II=0 A20=1 SMM=0 HLT=0\n\
ES =0000 0000000000000000 00000000 00000000\n";

    /// The same of QEMU 10.0.13 (6.12.107+deb13-s390x).
    const S390: &str = "CPU#0\n\
PSW=mask 0704c00180000000 addr 000003ffe02e033e cc CC_OP_LTUGTU_64\n\
R00=0000000000000000 R01=000003ffe18883fc R02=000003ffe18883ef R03=000003ffe18883fc\n\
R04=000003ffe18883fc R05=0000000000000002 R06=000003ffe1889f08 R07=000003ff000001bf\n\
R08=0000000000000002 R09=000003ffe18883ef R10=000003ffe18883ed R11=0000000000000000\n\
R12=0000000000699400 R13=000003ffe1b8dc40 R14=000003ffe02e033e R15=0000037fe00e3bc8\n\
V00=7f800000000000000000000000000000 V01=00000000000000000000000000000000\n\
\n\
CPU#1\n\
PSW=mask 0404c00180000000 addr 000003ffe01a3f6c cc 00\n\
R00=ffffffffffffffff R01=0000000000000000 R02=0000000000000240 R03=0700000000000000\n\
R04=000003ffe024ba14 R05=00000000009426d5 R06=000003ffe0e0068a R07=000000001ffbfec0\n\
R08=0000000000000000 R09=0000000000000000 R10=000000000061a800 R11=000000000071d000\n\
R12=000000000071d000 R13=000000008f819887 R14=0000037fe0163c80 R15=0000037fe0163c40\n\
V00=00000000000000000000000000000000 V01=00000000000000000000000000000000\n";

    #[test]
    fn what_qemus_monitor_prints_is_read() {
        let read = |arch, text| -> Vec<(u64, bool, usize)> {
            let cpus = cpus(arch, text).into_iter();
            cpus.map(|cpu| (cpu.at, cpu.waits, cpu.registers.lines().count()))
                .collect()
        };
        assert_eq!(
            read(Arch::X86_64, X86),
            [
                (0xffff_ffff_8103_fc9b, true, 5),
                (0xffff_ffff_819f_77a3, false, 5)
            ]
        );
        let s390 = read(Arch::S390x, S390);
        assert_eq!(s390, [(0x3ff_e02e_033e, false, 5), (0x3ff_e01a_3f6c, false, 5)]);
        // Bit 14 is the one that says so: a PSW of the idle loop.
        let idle = S390.replace("0404c00180000000", "0706c00180000000");
        assert!(read(Arch::S390x, &idle)[1].1);
        let real_mode = "CPU#0\nEAX=00000000 EBX=00000000\nEIP=0000e05b EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\n";
        assert_eq!(read(Arch::X86_64, real_mode), [(0xe05b, false, 2)]);
        assert_eq!(read(Arch::X86_64, "Error: no CPU"), []);
        assert_eq!(read(Arch::S390x, "CPU#0\nPSW=mask"), []);
    }
}
