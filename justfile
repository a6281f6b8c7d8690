# SPDX-License-Identifier: MIT OR Apache-2.0
# What is typed often. `just` lists it; each line is a command for sh as it stands.

# All recipes
[private]
default:
    @just --list --unsorted

# A debug build of the program
build:
    cargo build -p memrig

# Whether a crate compiles, such as `just check run`; its clippy finds more
check crate:
    cargo check -p {{ if crate == "cli" { "memrig" } else { "memrig-" + crate } }} --all-targets

# The tests of a crate, or those of them whose names contain a word: `just test format klog`
test crate *words:
    cargo nextest run -p {{ if crate == "cli" { "memrig" } else { "memrig-" + crate } }} {{ words }}

# All tests but those that need the program
quick:
    cargo nextest run -E 'not binary(it)'

# Tests in guests, by a part of their names: `just vm runs::`
vm words:
    cargo nextest run -p memrig --test it {{ words }}

# Warnings are errors, as in CI
clippy:
    cargo clippy --locked --all-targets -- -D warnings

# Formats everything
fmt:
    cargo fmt

# What CI does
ci:
    .ci/run

# What CI does at night: kernels are built, and the matrix is run
nightly:
    .ci/nightly
