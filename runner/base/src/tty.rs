// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal that memrig was started from, as something that a program elsewhere uses: its size, and its raw mode.

use std::{
    io::{self, IsTerminal},
    mem, panic,
    sync::{Mutex, MutexGuard, Once, PoisonError},
};

use rustix::{
    process::{Signal, getpid, kill_process},
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr},
};

/// What was done to the terminal. Not in the guard, so that a panic hook finds it.
static MODE: Mutex<Mode> = Mutex::new(Mode::AsFound);

enum Mode {
    AsFound,
    /// Raw; before [`Raw::enter`] it was this.
    Raw(Termios),
    /// As it was found, for as long as this process is stopped; raw again after that.
    Lent,
}

/// A window of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Whether a person types what memrig reads.
pub fn is_typed() -> bool {
    io::stdin().is_terminal()
}

/// The size of the window; `None` without a terminal, and on one that does not know, such as a serial line.
pub fn window_size() -> Option<WindowSize> {
    let size = tcgetwinsize(io::stdin()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(WindowSize {
        columns: size.ws_col,
        rows: size.ws_row,
    })
}

/// A terminal that passes each key on as it is and shows nothing by itself. Dropping this makes it what it was before; so does a
/// panic anywhere, before it is told.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Makes the terminal of stdin raw.
    ///
    /// # Errors
    /// If stdin is no terminal, or none any more.
    pub fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let tell = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                restore();
                tell(info);
            }));
        });
        let this = Self(());
        make_raw()?;
        Ok(this)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Stops this process as its user asked, with the terminal as it was found. Whoever sees that it goes on calls [`resume`].
///
/// # Errors
/// It cannot be stopped; the terminal is then not raw.
pub fn suspend() -> io::Result<()> {
    let before = match &*mode() {
        Mode::Raw(before) => Some(before.clone()),
        Mode::AsFound | Mode::Lent => None,
    };
    if let Some(before) = before {
        tcsetattr(io::stdin(), OptionalActions::Now, &before)?;
        *mode() = Mode::Lent;
    }
    // The signal that asked was caught, and what it does by itself cannot be had back; this one stops just as well.
    Ok(kill_process(getpid(), Signal::STOP)?)
}

/// Makes the terminal raw again where it is meant to be: after a stop, which may have come without a word, so that a shell has put the
/// terminal to its own use. In the background this stops the process once more.
///
/// # Errors
/// The terminal is gone.
pub fn resume() -> io::Result<()> {
    let before = match &*mode() {
        Mode::AsFound => return Ok(()),
        Mode::Lent => None,
        Mode::Raw(before) => Some(before.clone()),
    };
    match before {
        None => make_raw(),
        // What it is now may be raw already, and is nothing to go back to.
        Some(before) => set_raw(before),
    }
}

fn make_raw() -> io::Result<()> {
    let before = tcgetattr(io::stdin())?;
    // First kept, then changed: there is no moment at which nobody could undo it.
    *mode() = Mode::Raw(before.clone());
    set_raw(before)
}

fn set_raw(mut modes: Termios) -> io::Result<()> {
    modes.make_raw();
    Ok(tcsetattr(io::stdin(), OptionalActions::Now, &modes)?)
}

fn restore() {
    let before = mem::replace(&mut *mode(), Mode::AsFound);
    if let Mode::Raw(before) = before {
        // A terminal that cannot be set is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// A lock that a panicking thread held still guards one word.
fn mode() -> MutexGuard<'static, Mode> {
    MODE.lock().unwrap_or_else(PoisonError::into_inner)
}
