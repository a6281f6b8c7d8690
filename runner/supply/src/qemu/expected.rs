// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the bare-metal guest must find, step by step.
//!
//! Response codes: 0x0010 and 0x0020 done, 0x0120 nothing to do, 0x0340 and 0x01f0 refused, 0x0410 and 0x0310 an element that
//! is not attached. Program interruptions: 1 operation, 4 protection, 5 addressing, 6 specification. Bits 0x04 and 0x02 of a
//! storage key record that the page was read and written.

/// One step of the bare-metal guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GuestStep {
    /// What it does, in words.
    pub about: &'static str,
    /// The storage command that it gives: command word, and increment or element.
    pub call: Option<(u32, u16)>,
    /// What it must find where nothing is special: program interruption code in the upper half, value in the lower.
    pub expected: u64,
}

/// A way to run the guest.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Its name.
    pub name: &'static str,
    /// Properties that are set before the guest starts, with their values in words.
    pub settings: &'static [(&'static str, &'static str)],
    /// What the standby memory is made of.
    pub backend: Backend,
    /// Steps that must find something else than [`GuestStep::expected`].
    pub differs: &'static [(usize, u64)],
}

/// What the standby memory is made of. Files are full of 0xee before the guest starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Anonymous memory, which is zero to begin with.
    Anonymous,
    /// A file that is mapped private and must stay as it is.
    Private,
    /// A file that is mapped shared.
    Shared,
}

impl Run {
    /// What each step must find.
    pub fn expected(&self) -> Vec<u64> {
        let mut records: Vec<u64> = STEPS.iter().map(|step| step.expected).collect();
        for (step, record) in self.differs {
            records[*step] = *record;
        }
        records
    }
}

const fn step(about: &'static str, expected: u64) -> GuestStep {
    GuestStep {
        about,
        call: None,
        expected,
    }
}

const fn call(about: &'static str, command: u32, number: u16, response: u64) -> GuestStep {
    GuestStep {
        about,
        call: Some((command, number)),
        expected: response,
    }
}

/// The record of a program interruption.
const fn pgm(code: u64, value: u64) -> u64 {
    code << 32 | value
}

const ADDRESSING: u64 = pgm(5, 0);

/// The steps, in the order of the guest.
pub(crate) const STEPS: &[GuestStep] = &[
    step("storage that is not assigned", ADDRESSING),
    step("initial storage", 0),
    call("assign before attach", 0x000d_0001, 6, 0x340),
    step("and it is not there", ADDRESSING),
    call("element 1 before attach", 0x0004_0101, 1, 0x410),
    call("attach", 0x0008_0101, 1, 0x20),
    call("assign", 0x000d_0001, 6, 0x20),
    step("new storage is zero at its start", 0),
    step("and at its end", 0),
    step("the increment before is not there", ADDRESSING),
    step("the increment after is not there", ADDRESSING),
    call("assign again", 0x000d_0001, 6, 0x120),
    step("a value is kept", 0x55aa_55aa),
    call("unassign", 0x000c_0001, 6, 0x20),
    step("gone at once", ADDRESSING),
    call("unassign again", 0x000c_0001, 6, 0x120),
    call("assign once more", 0x000d_0001, 6, 0x20),
    step("zero again", 0),
    call("element 1 after attach", 0x0004_0101, 1, 0x10),
    step("its assigned and standby increments", 0x1_0003),
    step("its first entry", 0x6_0001),
    call("element 2", 0x0004_0201, 2, 0x1f0),
    call("element 3", 0x0004_0301, 3, 0x1f0),
    call("attach element 2", 0x0008_0201, 2, 0x1f0),
    call("element 2 again", 0x0004_0201, 2, 0x1f0),
    call("an increment that does not exist", 0x000d_0001, 9, 0x340),
    call("unassign the storage at zero", 0x000c_0001, 1, 0x340),
    call("unassign initial storage", 0x000c_0001, 3, 0x20),
    step("gone as well", ADDRESSING),
    call("assign it", 0x000d_0001, 3, 0x20),
    step("zero as well", 0),
    call("assign the first of three", 0x000d_0001, 5, 0x20),
    call("the second", 0x000d_0001, 7, 0x20),
    call("the third", 0x000d_0001, 8, 0x20),
    call("unassign the first of three", 0x000c_0001, 5, 0x20),
    call("the second", 0x000c_0001, 7, 0x20),
    call("the third", 0x000c_0001, 8, 0x20),
    step("code in standby storage", 0x77),
    call("unassign the code", 0x000c_0001, 6, 0x20),
    call("assign it", 0x000d_0001, 6, 0x20),
    step("code that is not there any more", pgm(1, 0)),
    step("SSKE of a page", 0x30),
    call("unassign a key", 0x000c_0001, 6, 0x20),
    call("assign it", 0x000d_0001, 6, 0x20),
    step("a new key is zero", 0),
    step("SSKE of many pages advances the address", 0x510_0123),
    step("the key of the page before", 0),
    step("of the first page", 0x50),
    step("of the last page of the frame", 0x50),
    step("of the next frame", 0),
    step("PFMF of a page leaves the address", 0x500_4000),
    step("the page is clear", 0),
    step("its key", 0x74),
    step("the next page is not clear", 0x55aa_55aa),
    step("the next key", 0x56),
    step("PFMF of a key alone", 0x500_5000),
    step("the page is not clear", 0x55aa_55aa),
    step("its key", 0x64),
    step("PFMF of a frame advances the address", 0x510_0000),
    step("what is before is not clear", 0x66),
    step("the first page is clear", 0),
    step("its key is kept", 0x66),
    step("the end of the frame is clear", 0),
    step("the next frame is not clear", 0x55aa_55aa),
    step("PFMF with a reserved bit", pgm(6, 0x500_0000)),
    step("PFMF nonquiescing", pgm(6, 0x500_0000)),
    step("PFMF of 2 GiB", pgm(6, 0x500_0000)),
    step("PFMF of no storage", pgm(5, 0x600_0000)),
    step("PFMF of a frame of no storage", pgm(5, 0x600_0000)),
    step("SSKE of a frame of no storage", pgm(5, 0x600_0000)),
    step("clearing under low-address protection", pgm(4, 0)),
    step("a key under low-address protection", 0),
    step("still alive", 0),
    step("an address space", 0x111),
    step("another one", 0x222),
    step("and the first again", 0x111),
    step(
        "the other one, after an entry of it was invalidated from outside",
        0x444,
    ),
    step("a third one", 0x333),
    step("the first", 0x111),
    step("the third", 0x333),
    step("the second", 0x444),
    step(
        "the first, after its table was written, and all was purged",
        0x222,
    ),
    step("code where a program interruption stores the old PSW", 0x77),
    step(
        "code in the first page, behind the storage for interruptions",
        0x77,
    ),
    step("a program interruption", ADDRESSING),
    step("and the code is overwritten", pgm(1, 0)),
    step("and the other is not", 0x77),
];

const PLAIN: Run = Run {
    name: "plain",
    settings: &[],
    backend: Backend::Anonymous,
    differs: &[],
};

/// The ways in which the guest runs.
pub const RUNS: &[Run] = &[
    PLAIN,
    Run {
        name: "used private memory",
        backend: Backend::Private,
        ..PLAIN
    },
    Run {
        name: "used shared memory",
        backend: Backend::Shared,
        ..PLAIN
    },
    Run {
        name: "the seventh assign is refused",
        settings: &[("refuse-assign-at", "7"), ("refuse-response", "768")],
        differs: &[(31, 0x300), (34, 0x120)],
        ..PLAIN
    },
    Run {
        name: "assign is refused",
        settings: &[("refuse-assign", "true"), ("refuse-response", "496")],
        differs: REFUSED,
        ..PLAIN
    },
    Run {
        name: "unassign is refused",
        settings: &[("refuse-unassign", "true")],
        differs: KEPT,
        ..PLAIN
    },
    Run {
        name: "three elements",
        settings: &[("max-element-id", "3"), ("element-response", "784")],
        differs: &[(4, 0x310), (21, 0x310), (22, 0x310), (23, 0x20), (24, 0x10)],
        ..PLAIN
    },
    Run {
        name: "all elements",
        settings: &[("max-element-id", "255")],
        differs: &[(21, 0x410), (22, 0x410), (23, 0x20), (24, 0x10)],
        ..PLAIN
    },
];

// Nothing is ever assigned, and initial storage that was given back stays away.
const REFUSED: &[(usize, u64)] = &[
    (2, 0x1f0),
    (6, 0x1f0),
    (7, ADDRESSING),
    (8, ADDRESSING),
    (11, 0x1f0),
    (12, ADDRESSING),
    (13, 0x120),
    (16, 0x1f0),
    (17, ADDRESSING),
    (19, 0x4),
    (20, 0),
    (25, 0x1f0),
    (29, 0x1f0),
    (30, ADDRESSING),
    (31, 0x1f0),
    (32, 0x1f0),
    (33, 0x1f0),
    (34, 0x120),
    (35, 0x120),
    (36, 0x120),
    (37, ADDRESSING),
    (38, 0x120),
    (39, 0x1f0),
    (40, ADDRESSING),
    (41, ADDRESSING),
    (42, 0x120),
    (43, 0x1f0),
    (44, ADDRESSING),
    (45, pgm(5, 0x500_3123)),
    (46, ADDRESSING),
    (47, ADDRESSING),
    (48, ADDRESSING),
    (49, ADDRESSING),
    (50, pgm(5, 0x500_4000)),
    (51, ADDRESSING),
    (52, ADDRESSING),
    (53, ADDRESSING),
    (54, ADDRESSING),
    (55, pgm(5, 0x500_5000)),
    (56, ADDRESSING),
    (57, ADDRESSING),
    (58, pgm(5, 0x500_5000)),
    (59, ADDRESSING),
    (60, ADDRESSING),
    (61, ADDRESSING),
    (62, ADDRESSING),
    (63, ADDRESSING),
];

// What was assigned stays, with its content and keys, and can be cleared.
const KEPT: &[(usize, u64)] = &[
    (13, 0x340),
    (14, 0x55aa_55aa),
    (15, 0x340),
    (16, 0x120),
    (17, 0x55aa_55aa),
    (27, 0x340),
    (28, 0x1122_3344),
    (29, 0x120),
    (30, 0x1122_3344),
    (34, 0x340),
    (35, 0x340),
    (36, 0x340),
    (38, 0x340),
    (39, 0x120),
    (40, 0x77),
    (42, 0x340),
    (43, 0x120),
    (44, 0x30),
    (67, 0x600_0000),
    (68, 0x610_0000),
    (69, 0x610_0000),
];
