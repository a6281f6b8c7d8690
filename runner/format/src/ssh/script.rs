// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shell text that runs a script and says how it went.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
};

/// A script that is no longer than this when it is quoted goes into the command itself; dropbear takes commands of 9 000 bytes at
/// most.
const INLINE_LIMIT: usize = 8000;

/// What is sent for one script.
#[derive(Debug)]
pub(super) struct Wrapped {
    /// The command of the SSH channel, for a POSIX shell.
    pub(super) command: String,
    /// What the command reads first; the script's own input follows it.
    pub(super) head: Vec<u8>,
    trailer: String,
}

/// A word that no output holds by chance, and that no script can know.
fn token() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("rc-{:016x}{:016x}", random(), random())
}

impl Wrapped {
    /// Wraps a script.
    ///
    /// It runs in a subshell, so that its `exit`, or an error in its syntax, does not end the shell that prints the trailer.
    pub(super) fn new(script: &str) -> Self {
        let trailer = token();
        let print = format!("printf '\\n{trailer} %d\\n' $?");
        let quoted = script.replace('\'', r"'\''");
        let (run, head) = if quoted.len() <= INLINE_LIMIT {
            (format!("eval '{quoted}'"), Vec::new())
        } else {
            // Exactly the script's bytes are taken, so that the rest of the input is the script's. `x` saves its last newlines.
            let take = format!(
                "s=$(dd bs={} count=1 iflag=fullblock 2>/dev/null; echo x)",
                script.len()
            );
            (format!("{take}; eval \"${{s%x}}\""), script.as_bytes().to_vec())
        };
        Self {
            command: format!("( {run}\n); {print}"),
            head,
            trailer,
        }
    }

    /// Takes the trailer off what was printed: what the script itself printed, and its exit code. `None` if there is no trailer.
    pub(super) fn unwrap(&self, mut stdout: Vec<u8>) -> Result<(Vec<u8>, u8), Vec<u8>> {
        match self.find(&stdout) {
            Some((length, code)) => {
                stdout.truncate(length);
                Ok((stdout, code))
            }
            None => Err(stdout),
        }
    }

    /// Where the script's own output ends, and its exit code.
    fn find(&self, stdout: &[u8]) -> Option<(usize, u8)> {
        let rest = stdout.strip_suffix(b"\n")?;
        let start = rest.iter().rposition(|byte| *byte == b'\n')?;
        let last = std::str::from_utf8(&rest[start + 1..]).ok()?;
        let code = last
            .strip_prefix(&self.trailer)?
            .strip_prefix(' ')?
            .parse()
            .ok()?;
        Some((start, code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(wrapped: &Wrapped, before: &str, code: &str, after: &str) -> Vec<u8> {
        format!("{before}\n{} {code}\n{after}", wrapped.trailer).into_bytes()
    }

    #[test]
    fn the_trailer_is_taken_off_and_nothing_else() {
        let wrapped = Wrapped::new("true");
        for before in ["", "text", "text\n", "\n\n", "rc-0 0\n"] {
            let taken = wrapped.unwrap(printed(&wrapped, before, "3", ""));
            assert_eq!(taken, Ok((before.as_bytes().to_vec(), 3)));
        }
    }

    #[test]
    fn no_trailer_is_no_answer() {
        let wrapped = Wrapped::new("true");
        let others = Wrapped::new("true");
        for stdout in [
            Vec::new(),
            b"text\n".to_vec(),
            printed(&others, "", "0", ""),
            printed(&wrapped, "", "0", "and more"),
            printed(&wrapped, "", "0", "\n"),
            printed(&wrapped, "", "256", ""),
            printed(&wrapped, "", "", ""),
            printed(&wrapped, "", "0", "").split_last().unwrap().1.to_vec(),
        ] {
            assert_eq!(wrapped.unwrap(stdout.clone()), Err(stdout));
        }
    }

    #[test]
    fn a_command_is_never_longer_than_dropbear_takes() {
        for length in [1, INLINE_LIMIT, INLINE_LIMIT + 1, 1_000_000] {
            // The worst case: a quote takes four bytes.
            let wrapped = Wrapped::new(&"'".repeat(length));
            assert!(
                wrapped.command.len() < 9000,
                "{length}: {}",
                wrapped.command.len()
            );
        }
    }
}
