// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever others write, damaged at random: each reader answers. `cargo bench --bench inputs` does it for longer.

#[path = "../inputs/mod.rs"]
mod damaged;

use std::time::Duration;

use damaged::Enough;

/// The same for everybody: a change is red for what it does alone. All readers were tried with all of it once.
const SEED: u64 = 21;
const ENOUGH: Enough = Enough {
    damaged: 1_000,
    time: Duration::from_secs(2),
};

#[test]
fn no_reader_falls_over() {
    let mut refusing = Vec::new();
    for reader in damaged::readers() {
        let name = reader.name;
        let tried = damaged::tried(&reader, SEED, ENOUGH);
        let bad: Vec<String> = tried
            .bad
            .iter()
            .map(|(why, input)| format!("{why}: {}", input.escape_ascii()))
            .collect();
        assert!(
            bad.is_empty(),
            "{name}, after {} inputs:\n{}",
            tried.inputs,
            bad.join("\n")
        );
        assert!(tried.inputs > reader.seeds.len() as u64, "{name} was not tried");
        if tried.taken == 0 {
            refusing.push(name);
        }
    }
    assert_eq!(refusing, [""; 0], "these refuse all that there is");
}
