// SPDX-License-Identifier: MIT OR Apache-2.0
//! Thousands of sequences, written as steps in guests that are naive books: each reads as a suite, and what the books refuse was foreseen.

use std::collections::BTreeSet;

use crate::{
    books::{Guest, able},
    draw::Draw,
    moment::{Group, Moment},
    pick::Pick,
    scribe::Scribe,
    setup::setups,
    text::Found,
    wish::Wish,
};
use base::{Arch, ByteSize, Errno};
use memory::{
    BlockId, Generation, Hypervisor, MemmapMode,
    naive::{self, BLOCK, BLOCKS, CORE},
};
use suite::{Act, Action, CaseMachine, Suite, Vetoable, Via};

/// Whether a step fails by what an earlier one injected, or by pages that are in use.
fn injected(action: &Action, moment: &Moment<'_>, guest: &Guest) -> bool {
    let Action::Act(act) = action else { return false };
    if let Act::Parallel(_) = act {
        return false;
    }
    let mut guest = guest.clone();
    let (ops, fails) = guest.asked(act);
    fails.is_some() && !ops.is_empty() && ops.iter().all(|op| moment.refusal(op).is_none())
}

#[test]
fn whatever_is_drawn_reads_as_a_suite_and_fails_where_the_books_refuse() {
    let guests = [
        (None, MemmapMode::Off),
        (None, MemmapMode::On),
        (Some(Generation::G0), MemmapMode::Absent),
        (Some(Generation::G1), MemmapMode::On),
        (Some(Generation::G2), MemmapMode::Off),
        (Some(Generation::G2), MemmapMode::On),
    ];
    let mut words: BTreeSet<String> = BTreeSet::new();
    for (generation, mode) in guests {
        let arch = if generation.is_some() {
            Arch::S390x
        } else {
            Arch::X86_64
        };
        let draw = Draw { arch, seed: 11 };
        let opening = Suite::parse("explore.yaml", &crate::text::opening(arch, &[])).expect("an opening");
        for number in 0..60 {
            let sequence = draw.sequence(number);
            let machine = suite::CaseMachine {
                hotplug: ByteSize::bytes(BLOCKS * BLOCK),
                memory: ByteSize::bytes(CORE * BLOCK),
                ..opening.cases[sequence.setup].machine.clone()
            };
            let mut guest = Guest::new(naive::facts(generation, mode));
            let mut scribe = Scribe::new(able(number % 2 == 0));
            let mut lines = vec!["auto_online: { policy: offline }".to_owned()];
            for wish in &sequence.wishes {
                let Some(action) = scribe.step(wish, &guest.moment(&machine)) else {
                    continue;
                };
                let line = format!("{action:#}");
                words.insert(line.split(':').next().unwrap().to_owned());
                let injected = injected(&action, &guest.moment(&machine), &guest);
                assert!(
                    guest.does(&action, injected),
                    "{generation:?} {number}: {wish}: {line}\n{}",
                    lines.join("\n")
                );
                lines.push(line);
            }
            let found = Found {
                words: &[],
                setup: &setups(arch)[sequence.setup],
                arch,
                generation,
                suite: "drawn",
                name: "drawn",
                steps: &lines,
                about: &[],
            };
            let text = found.text();
            if let Err(errors) = Suite::parse("drawn.yaml", &text) {
                panic!("{generation:?} {number}: {errors}\n{text}");
            }
        }
    }
    let all = [
        "add",
        "auto_online",
        "configure",
        "cpu",
        "deconfigure",
        "free",
        "hold",
        "load",
        "offline",
        "online",
        "parallel",
        "pressure",
        "refuse_assign",
        "refuse_unassign",
        "remove",
        "storage",
        "sweep",
        "veto",
        "write",
    ];
    assert_eq!(words.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn a_block_with_storage_that_is_left_is_not_put_online_against_a_veto() {
    let (mut guest, machine, online) = standby();
    let mut scribe = Scribe::new(able(true));
    assert!(scribe.step(&online, &guest.moment(&machine)).is_some());
    let veto = Wish::Veto {
        notifier: Vetoable::GoingOnline,
        errno: Errno::ENOMEM,
    };
    assert!(scribe.step(&veto, &guest.moment(&machine)).is_some());
    assert!(scribe.step(&online, &guest.moment(&machine)).is_some());
    let last = last_increment(&guest);
    assign(&mut guest, last);
    assert_eq!(scribe.step(&online, &guest.moment(&machine)), None);
    assign(&mut guest, last + 1);
    assert!(scribe.step(&online, &guest.moment(&machine)).is_some());
}

#[test]
fn a_block_with_storage_that_is_left_is_neither_refused_more_of_it_nor_swept() {
    let (mut guest, machine, online) = standby();
    let mut scribe = Scribe::new(able(true));
    let last = last_increment(&guest);
    assign(&mut guest, last);
    let sweep = Wish::Sweep {
        block: Pick::try_from(0).expect("a percentage"),
    };
    let steps = |scribe: &mut Scribe, wish: &Wish| scribe.step(wish, &guest.moment(&machine));
    assert_eq!(steps(&mut scribe, &sweep), None);
    assert!(steps(&mut scribe, &online).is_some());
    assert!(steps(&mut scribe, &Wish::Refuse { at: None }).is_some());
    assert_eq!(steps(&mut scribe, &online), None);
    assign(&mut guest, last + 1);
    let steps = |scribe: &mut Scribe, wish: &Wish| scribe.step(wish, &guest.moment(&machine));
    assert!(steps(&mut scribe, &online).is_some());
    assert!(steps(&mut scribe, &Wish::RefuseOff).is_some());
    assert!(steps(&mut scribe, &sweep).is_some());
}

#[test]
fn storage_is_kept_while_nothing_is_refused() {
    let (guest, machine, _) = standby();
    let mut scribe = Scribe::new(able(true));
    let mut step = |wish: Wish| {
        let step = scribe.step(&wish, &guest.moment(&machine));
        step.map(|step| step.to_string())
    };
    let (keep, back) = (Wish::Keep { on: true }, Wish::Keep { on: false });
    let refuse = Wish::Refuse { at: None };
    assert_eq!(step(back.clone()), None);
    assert_eq!(
        step(keep.clone()).as_deref(),
        Some("refuse_unassign: { all: true }")
    );
    assert_eq!((step(keep.clone()), step(refuse.clone())), (None, None));
    assert_eq!(step(back).as_deref(), Some("refuse_unassign: { off: true }"));
    assert!(step(refuse).is_some());
    assert_eq!(step(keep), None);
}

/// A guest of standby memory with a block that is called something, its machine, and the wish that this block goes online.
fn standby() -> (Guest, CaseMachine, Wish) {
    let mut guest = Guest::new(naive::facts(Some(Generation::G1), MemmapMode::Off));
    let group = Group {
        name: "b1".parse().expect("a name"),
        blocks: vec![BlockId(CORE)],
    };
    guest.groups.push((group, None));
    let opening = Suite::parse("explore.yaml", &crate::text::opening(Arch::S390x, &[])).expect("an opening");
    let online = Wish::Online {
        block: Pick::try_from(0).expect("a percentage"),
        legal: true,
        zone: None,
        via: Via::State,
    };
    (guest, opening.cases[0].machine.clone(), online)
}

/// The last increment of that block.
fn last_increment(guest: &Guest) -> u32 {
    let increment = guest.facts.increment.expect("increments").as_bytes();
    (BlockId(CORE + 1).start(ByteSize::bytes(BLOCK)) / increment) as u32
}

/// Leaves this increment alone assigned.
fn assign(guest: &mut Guest, number: u32) {
    let Hypervisor::Standby { assigned, .. } = &mut guest.ledger.hypervisor else {
        panic!("no standby storage")
    };
    *assigned = [number].into();
}
