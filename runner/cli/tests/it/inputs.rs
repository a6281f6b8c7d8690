// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever others write, damaged at random: each reader answers. `cargo bench --bench inputs` does it for longer.

#[path = "../inputs/mod.rs"]
mod damaged;

use std::time::Duration;

/// How long each reader is tried.
const TIME: Duration = Duration::from_secs(2);

#[test]
fn no_reader_falls_over() {
    let seed = fastrand::u64(..);
    for reader in damaged::readers() {
        let name = reader.name;
        let tried = damaged::tried(&reader, seed, TIME);
        let bad: Vec<String> = tried
            .bad
            .iter()
            .map(|(why, input)| format!("{why}: {}", input.escape_ascii()))
            .collect();
        assert!(
            bad.is_empty(),
            "{name}, seed {seed}, after {} inputs:\n{}",
            tried.inputs,
            bad.join("\n")
        );
        assert!(tried.inputs > reader.seeds.len() as u64, "{name} was not tried");
    }
}
