// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inputs that were right once.

use fastrand::Rng;

/// No input becomes larger, in bytes.
const LARGEST: usize = 64 << 10;

/// How many of the words are numbers.
const NUMBERS: usize = 9;

/// Words on which readers stumble: the ends of numbers, which come first, of encodings and of escapes.
const WORDS: [&[u8]; 28] = [
    b"0",
    b"-1",
    b"4294967295",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775807",
    b"ffffffffffffffff",
    b"0xffffffffffffffff",
    b"1e999",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"\0",
    b"\r",
    b"\n",
    b"\n\n",
    b"\t",
    b" ",
    b":",
    b"- ",
    b"\"",
    b"'",
    b"{",
    b"[",
    b"&a *a",
    b"\x1b[2J",
    b"..",
];

/// One of the seeds, damaged in one to eight places.
///
/// # Panics
/// There is no seed.
pub(super) fn damaged(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = one_of(seeds, rng).clone();
    for _ in 0..=rng.u32(0..8) {
        damage(&mut input, seeds, rng);
        input.truncate(LARGEST);
    }
    input
}

/// # Panics
/// There is none.
fn one_of<'a, T>(all: &'a [T], rng: &mut Rng) -> &'a T {
    &all[rng.usize(..all.len())]
}

fn damage(input: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(0..=input.len());
    let end = (at + rng.usize(0..=40)).min(input.len());
    match rng.u32(0..9) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << rng.u32(0..8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = rng.u8(..);
            }
        }
        2 => input.truncate(at),
        3 => _ = input.drain(at..end),
        4 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        // A line twice, or elsewhere.
        5 => {
            // What is empty has one line, too.
            let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
            let line = [one_of(&lines, rng), &b"\n"[..]].concat();
            input.splice(at..at, line);
        }
        6 => {
            let word = one_of(&WORDS, rng);
            input.splice(at..at, word.iter().copied());
        }
        // In the place of a number.
        7 => {
            let is_digit = |at: usize| input.get(at).is_some_and(u8::is_ascii_hexdigit);
            let from = (at..input.len()).find(|at| is_digit(*at)).unwrap_or(at);
            let to = (from..input.len())
                .find(|at| !is_digit(*at))
                .unwrap_or(input.len());
            let word = one_of(&WORDS[..NUMBERS], rng);
            input.splice(from..to.max(from), word.iter().copied());
        }
        // The end of another one.
        _ => {
            let other = one_of(seeds, rng);
            let from = rng.usize(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
