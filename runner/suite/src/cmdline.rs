// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words that memrig puts on every kernel's command line by itself, and how a case leaves one out.

use super::{check::Notes, error::nearest, places::Spot};
use base::Arch;

/// A word that is there without being asked for.
struct DefaultWord {
    word: &'static str,
    /// Where; everywhere if it is `None`.
    arch: Option<Arch>,
    /// What memrig could not do without it; a case may leave it out if it is `None`.
    needed: Option<&'static str>,
}

const fn everywhere(word: &'static str) -> DefaultWord {
    DefaultWord {
        word,
        arch: None,
        needed: None,
    }
}

const fn on_x86_64(word: &'static str) -> DefaultWord {
    DefaultWord {
        arch: Some(Arch::X86_64),
        ..everywhere(word)
    }
}

static DEFAULT_WORDS: [DefaultWord; 8] = [
    everywhere("loglevel=8"),
    DefaultWord {
        needed: Some("the kernel's own lines are told from all others by their time"),
        ..everywhere("printk.time=1")
    },
    // A distribution's kernel may put new blocks online by itself; a case that wants that says so.
    everywhere("memhp_default_state=offline"),
    everywhere("panic_on_oops=0"),
    everywhere("hung_task_panic=0"),
    // The self-tests of the ciphers take a sixth (x86_64) to a third (s390x) of a translated boot, and use no memory that stays.
    everywhere("cryptomgr.notests"),
    // A guest that hangs with interrupts off shows where by the interrupt that it cannot hold off, and by no other.
    on_x86_64("unknown_nmi_panic"),
    // At boot the kernel waits for ticks of its timer by counting cycles, and panics without them. Where QEMU's threads do not get to run, that
    // speaks against the host.
    on_x86_64("no_timer_check"),
];

impl DefaultWord {
    /// The parameter without its value.
    fn name(&self) -> &'static str {
        self.word.split_once('=').map_or(self.word, |(name, _)| name)
    }
}

/// The words behind `console=`: those that are there by default and that `asked` does not leave out, then those that are asked for, which win.
pub fn words(arch: Arch, asked: &[String]) -> impl Iterator<Item = &str> {
    let left_out = |name| asked.iter().any(|word| word.strip_prefix('-') == Some(name));
    let here = move |default: &&DefaultWord| {
        default.arch.is_none_or(|only| only == arch) && !left_out(default.name())
    };
    let defaults = DEFAULT_WORDS.iter().filter(here).map(|default| default.word);
    let own = asked
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with('-'));
    defaults.chain(own)
}

/// Whether what a word leaves out is there, and may be; if not, it is noted.
pub(super) fn check_left_out(word: &str, at: &Spot<'_>, notes: &mut Notes<'_>) {
    let Some(name) = word.strip_prefix('-') else {
        return;
    };
    let names = || {
        let may = DEFAULT_WORDS.iter().filter(|default| default.needed.is_none());
        may.map(DefaultWord::name)
    };
    match DEFAULT_WORDS.iter().find(|default| default.name() == name) {
        Some(DefaultWord { needed: None, .. }) => {}
        Some(DefaultWord {
            needed: Some(why), ..
        }) => {
            notes.wrong_but(
                at,
                format_args!("`{name}` cannot be left out"),
                Some((*why).to_owned()),
            );
        }
        None if name == "console" => {
            let hint = Some("a guest without a console is one that hangs".to_owned());
            notes.wrong_but(at, "`console` cannot be left out", hint);
        }
        None => {
            let hint = nearest(name, names());
            notes.wrong_but(
                at,
                format_args!("memrig puts no `{name}` on the command line that could be left out"),
                hint,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(arch: Arch, asked: &[&str]) -> String {
        let asked: Vec<_> = asked.iter().map(|word| (*word).to_owned()).collect();
        words(arch, &asked).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_word_that_is_left_out_is_not_there_and_what_is_asked_for_comes_last() {
        assert_eq!(
            joined(Arch::S390x, &["quiet"]),
            "loglevel=8 printk.time=1 memhp_default_state=offline panic_on_oops=0 hung_task_panic=0 cryptomgr.notests quiet"
        );
        assert_eq!(
            joined(Arch::X86_64, &["-memhp_default_state", "-no_timer_check", "x=1"]),
            "loglevel=8 printk.time=1 panic_on_oops=0 hung_task_panic=0 cryptomgr.notests unknown_nmi_panic x=1"
        );
    }
}
