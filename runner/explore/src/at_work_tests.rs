// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has others at work: where it can be asked for, and what it makes of the steps behind it.

use crate::{
    able::Able,
    books::{Guest, able},
    moment::Group,
    pick::Pick,
    scribe::Scribe,
    wish::{Switch, Wish},
};
use base::Arch;
use memory::{
    BlockId, BlockState, Generation, MemmapMode,
    naive::{self, CORE},
};
use suite::{Action, CaseMachine, Holding, Suite, Vetoable, Via, Working, ZoneChoice};

/// A guest with two blocks, one of which is online in zone Movable.
struct Told {
    guest: Guest,
    scribe: Scribe,
    machine: CaseMachine,
}

impl Told {
    fn of(able: Able) -> Self {
        let mut guest = Guest::new(naive::facts(Some(Generation::G1), MemmapMode::Off));
        let name = "b1".parse().expect("a name");
        let blocks = vec![BlockId(CORE), BlockId(CORE + 1)];
        guest.groups.push((Group { name, blocks }, None));
        let text = crate::text::opening(Arch::S390x, &[]);
        let suite = Suite::parse("explore.yaml", &text).expect("an opening");
        let mut told = Self {
            guest,
            scribe: Scribe::new(able),
            machine: suite.cases[0].machine.clone(),
        };
        told.does(online(0, ZoneChoice::Movable));
        told
    }

    /// The step that a wish comes to.
    fn step(&mut self, wish: Wish) -> Option<String> {
        let action = self.action(&wish)?;
        Some(format!("{action:#}"))
    }

    fn action(&mut self, wish: &Wish) -> Option<Action> {
        self.scribe.step(wish, &self.guest.moment(&self.machine))
    }

    /// Does it, too.
    fn does(&mut self, wish: Wish) {
        let action = self.action(&wish).expect("a step");
        assert!(self.guest.does(&action, false), "{action}");
    }
}

fn at(percent: u8) -> Pick {
    Pick::try_from(percent).expect("a percentage")
}

fn online(block: u8, zone: ZoneChoice) -> Wish {
    Wish::Online {
        block: at(block),
        legal: false,
        zone: Some(zone),
        via: Via::State,
    }
}

fn offline(block: u8) -> Wish {
    Wish::Offline {
        block: at(block),
        legal: false,
        via: Via::State,
    }
}

fn hold(by: Holding) -> Wish {
    Wish::Hold { by }
}

const FIRST: u8 = 0;
const SECOND: u8 = 50;

#[test]
fn pages_in_a_pipe_keep_their_block_until_they_are_let_go() {
    let mut told = Told::of(able(true));
    let held = told.step(hold(Holding::Pipe));
    assert_eq!(held.as_deref(), Some("hold: { block: b1.0, by: pipe, as: h1 }"));
    let kept = told.step(offline(FIRST));
    assert_eq!(kept.as_deref(), Some("offline: { block: b1.0, fails: EINTR }"));
    // A writer that nobody interrupts would write without an end.
    let both = |writers: Vec<Vec<Switch>>| Wish::Parallel {
        blocks: [at(FIRST), at(SECOND)],
        writers,
    };
    let off = Switch {
        second: false,
        on: false,
    };
    let step = told.step(both(vec![vec![off], vec![off]]));
    assert_eq!(
        step.as_deref(),
        Some("parallel: { do: [[{ offline: { block: b1.1 } }], [{ offline: { block: b1.1 } }]] }"),
        "the only one that goes"
    );
    let free = told.step(Wish::LetGo { which: at(FIRST) });
    assert_eq!(free.as_deref(), Some("free: { hold: h1 }"));
    let goes = told.step(offline(FIRST));
    assert_eq!(goes.as_deref(), Some("offline: { block: b1.0 }"));
    assert_eq!(told.step(Wish::LetGo { which: at(FIRST) }), None);
}

#[test]
fn a_veto_comes_before_the_pages() {
    let mut told = Told::of(able(true));
    told.step(hold(Holding::Pipe)).expect("a step");
    let veto = Wish::Veto {
        notifier: Vetoable::GoingOffline,
        errno: base::Errno::ENOMEM,
    };
    told.step(veto).expect("a step");
    let refused = told.step(offline(FIRST));
    assert_eq!(
        refused.as_deref(),
        Some("offline: { block: b1.0, fails: ENOMEM }")
    );
}

#[test]
fn pages_are_held_where_all_of_zone_movable_has_one_name() {
    let mut told = Told::of(able(true));
    told.does(online(SECOND, ZoneChoice::Movable));
    let both = told.step(hold(Holding::Anon));
    assert_eq!(both.as_deref(), Some("hold: { block: b1, by: anon, as: h1 }"));
    assert_eq!(told.step(hold(Holding::Anon)), None, "one of a kind");
    assert_eq!(
        told.step(hold(Holding::Pipe)),
        None,
        "in which of the two nobody knows"
    );
    told.step(hold(Holding::Mlock)).expect("a step");
    assert_eq!(told.step(hold(Holding::File)), None, "two kinds are enough");

    let mut told = Told::of(able(true));
    told.does(offline(FIRST));
    assert_eq!(
        told.step(hold(Holding::Anon)),
        None,
        "there is nothing in zone Movable"
    );

    let mut told = Told::of(able(true));
    for block in told.guest.ledger.blocks.values_mut() {
        block.node = 1;
    }
    assert_eq!(
        told.step(hold(Holding::Anon)),
        None,
        "pages come from the node of the CPU"
    );
}

#[test]
fn pinned_pages_keep_what_they_may_be_in() {
    let mut told = Told::of(able(true));
    told.does(online(SECOND, ZoneChoice::Kernel));
    told.step(hold(Holding::Longterm)).expect("a step");
    assert_eq!(told.step(offline(SECOND)), None);
    let goes = told.step(offline(FIRST));
    assert_eq!(goes.as_deref(), Some("offline: { block: b1.0 }"));
}

#[test]
fn what_a_kernel_was_not_built_with_is_not_asked_of_it() {
    let mut told = Told::of(Able::default());
    for by in [Holding::Thp, Holding::Ksm, Holding::Hugetlb, Holding::Longterm] {
        assert_eq!(told.step(hold(by)), None, "{by}");
    }
    let sweep = || Wish::Sweep { block: at(FIRST) };
    assert_eq!(told.step(sweep()), None);
    assert!(told.step(hold(Holding::File)).is_some());

    let mut told = Told::of(able(true));
    let swept = told.step(sweep());
    assert_eq!(
        swept.as_deref(),
        Some(
            "sweep: { fails: [EPERM], steps: [{ offline: { block: b1.0 } }, { online: { block: b1.0, zone: movable } }] }"
        )
    );
    assert_eq!(told.step(hold(Holding::Hugetlb)), None, "not on s390x");
    told.step(hold(Holding::File)).expect("a step");
    assert_eq!(
        told.step(sweep()),
        None,
        "each of many rounds would look at the pages"
    );
}

fn load(by: Working) -> Wish {
    Wish::Load { by }
}

const PRESSURE: Wish = Wish::Pressure { on: true };

#[test]
fn others_are_at_work_until_they_are_stopped_at_the_end_at_the_latest() {
    let mut told = Told::of(able(true));
    assert_eq!(told.step(Wish::LoadOff), None, "nobody is");
    assert_eq!(told.scribe.last(), None);
    let on = told.step(load(Working::Sysfs));
    assert_eq!(on.as_deref(), Some("load: { by: [sysfs] }"));
    let meanwhile = [
        load(Working::Fork),
        hold(Holding::Anon),
        PRESSURE,
        Wish::Sweep { block: at(FIRST) },
    ];
    for wish in meanwhile {
        assert_eq!(told.step(wish.clone()), None, "{wish}");
    }
    assert!(told.step(offline(FIRST)).is_some());
    let off = told.step(Wish::LoadOff);
    assert_eq!(off.as_deref(), Some("load: { off: true }"));
    told.step(load(Working::Anon)).expect("a step");
    let last = told.scribe.last().map(|action| action.to_string());
    assert_eq!(last.as_deref(), Some("load: { off: true }"));
    assert_eq!(told.scribe.last(), None, "once");

    told.step(hold(Holding::Anon)).expect("a step");
    assert_eq!(
        told.step(load(Working::Anon)),
        None,
        "it is looked where they lie"
    );

    let mut told = Told::of(Able::default());
    for by in [Working::Compaction, Working::Pages] {
        assert_eq!(told.step(load(by)), None, "{by}");
    }
    assert!(told.step(load(Working::Cache)).is_some());
}

#[test]
fn under_pressure_no_block_goes_that_may_have_what_takes_the_memory() {
    let mut told = Told::of(able(true));
    told.does(online(SECOND, ZoneChoice::Kernel));
    assert_eq!(told.step(Wish::Pressure { on: false }), None);
    let pressure = told.step(PRESSURE);
    assert_eq!(pressure.as_deref(), Some("pressure: { free: 64M }"));
    assert_eq!(told.step(PRESSURE), None);
    assert_eq!(told.step(hold(Holding::Anon)), None);
    assert_eq!(told.step(offline(SECOND)), None);
    let goes = told.step(offline(FIRST));
    assert_eq!(goes.as_deref(), Some("offline: { block: b1.0 }"));
    let off = told.step(Wish::Pressure { on: false });
    assert_eq!(off.as_deref(), Some("pressure: { off: true }"));
    assert!(told.step(offline(SECOND)).is_some());

    let boot = told.guest.ledger.blocks.get_mut(&BlockId(0)).expect("a block");
    boot.state = BlockState::Offline;
    assert_eq!(told.step(PRESSURE), None, "a block of the memory at boot is gone");
}

#[test]
fn the_second_cpu_goes_where_there_is_one_and_comes_back() {
    let mut told = Told::of(able(true));
    let cpu = |on| Wish::Cpu { on };
    assert_eq!(told.step(cpu(false)), None, "there is one alone");
    told.machine.cpus = 2;
    assert_eq!(told.step(cpu(true)), None, "it is on");
    assert_eq!(told.step(cpu(false)).as_deref(), Some("cpu: { off: 1 }"));
    assert_eq!(told.step(cpu(false)), None);
    assert_eq!(told.step(cpu(true)).as_deref(), Some("cpu: { on: 1 }"));
}
