// SPDX-License-Identifier: MIT OR Apache-2.0
//! The integration tests, as one binary: linking is what costs.

mod bad_files;
mod bad_input;
mod bare_metal;
mod bisect;
mod browser;
mod clones;
mod compares;
mod costs;
mod cover;
mod examples;
mod explore;
mod faults;
mod firmware;
mod ground;
mod guests;
mod inputs;
mod installs;
mod layering;
mod machine_accel;
mod machine_ends;
mod machine_guests;
mod machine_reach;
mod machine_starts;
mod mails;
mod merge;
mod page;
mod plans;
mod qmp_qemu;
mod results;
mod runs;
mod runs_starved;
mod shells;
mod slurm;
mod slurm_fake;
mod ssh_loopback;
mod subtests;
mod told;
mod verbs;
mod words;

/// How long a test waits for what must come, by the wall's clock, before it calls that a hang. Machines that run tests do much else: a limit that is
/// near to what is usual there is red on a busy day.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);
