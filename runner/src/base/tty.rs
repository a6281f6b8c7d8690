// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal that memrig was started from, as something that a program elsewhere uses: its size, and its raw mode.

use std::{
    io::{self, IsTerminal},
    panic,
    sync::{Mutex, Once, PoisonError},
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// What the terminal was like before [`Raw::enter`], for as long as it is raw. Not in the guard, so that a panic hook finds it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

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
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // First kept, then changed: there is no moment at which nobody could undo it.
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let this = Self(());
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(this)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that cannot be set is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}
