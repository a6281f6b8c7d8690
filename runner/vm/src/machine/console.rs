// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest writes to its console: taken at once, kept whole, and watched for the last words of a kernel.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    end::{End, Ending, PanicSource},
    logs::Clock,
};
use format::klog::is_panic;

/// A line that does not end after so many bytes is cut.
const LONGEST_LINE: usize = 64 * 1024;

/// How much of a console is kept, in bytes: a guest that says more would fill the host's disk and memory.
pub(super) const LARGEST_CONSOLE: usize = 64 << 20;

/// How long the rest of a line with last words may take.
const REST_OF_LINE: Duration = Duration::from_millis(300);

/// A line of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When its end came, on the run's clock.
    pub(crate) at: Duration,
    /// The text without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
}

#[derive(Default)]
struct Heard {
    lines: Vec<Line>,
    partial: Vec<u8>,
    closed: bool,
}

/// What was heard on a console so far. Clones share it.
#[derive(Clone)]
pub struct Console {
    heard: Arc<Mutex<Heard>>,
    grown: watch::Sender<()>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heard = self.heard();
        f.debug_struct("Console")
            .field("lines", &heard.lines.len())
            .field("closed", &heard.closed)
            .finish()
    }
}

impl Console {
    /// A console on which this was said already, at `at` or before.
    pub(super) fn after(said: &str, at: Duration) -> Self {
        let (whole, partial) = said.rsplit_once('\n').unwrap_or(("", said));
        let line = |text: &str| Line {
            at,
            text: text.trim_end_matches('\r').to_owned(),
        };
        let lines = if said.contains('\n') {
            whole.split('\n').map(line).collect()
        } else {
            Vec::new()
        };
        let heard = Heard {
            lines,
            partial: partial.as_bytes().to_vec(),
            closed: false,
        };
        Self {
            heard: Arc::new(Mutex::new(heard)),
            grown: watch::Sender::new(()),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        // Whatever panicked left whole lines behind.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All lines so far, and the beginning of the next, as one text.
    pub fn text(&self) -> String {
        let heard = self.heard();
        let mut text: String = heard
            .lines
            .iter()
            .flat_map(|line| [line.text.as_str(), "\n"])
            .collect();
        text += &String::from_utf8_lossy(&heard.partial);
        text
    }

    /// How many lines there are so far.
    pub fn count(&self) -> usize {
        self.heard().lines.len()
    }

    /// When a line came last, on the run's clock; `None` if it never did.
    pub(crate) fn when(&self, text: &str) -> Option<Duration> {
        let heard = self.heard();
        let line = heard
            .lines
            .iter()
            .rfind(|line| line.text.trim_end() == text.trim_end());
        line.map(|line| line.at)
    }

    /// Reads from the first line on.
    pub fn from_start(&self) -> Lines {
        self.from_line(0)
    }

    /// Reads from a line on, by its number.
    pub fn from_line(&self, next: usize) -> Lines {
        Lines {
            grown: self.grown.subscribe(),
            console: self.clone(),
            next,
        }
    }

    /// Waits until nothing new has come for `quiet`, or the console has closed, but no longer than `limit`. Cancel-safe.
    pub(crate) async fn silence(&self, quiet: Duration, limit: Duration) {
        let end = Instant::now() + limit;
        let mut grown = self.grown.subscribe();
        while !self.heard().closed {
            let until = end.min(Instant::now() + quiet);
            tokio::select! {
                // The sender lives as long as this console.
                _ = grown.changed() => {}
                () = sleep_until(until) => return,
            }
            if Instant::now() >= end {
                return;
            }
        }
    }
}

/// A reader of a console that misses nothing, however slow it is.
#[derive(Debug)]
pub struct Lines {
    console: Console,
    grown: watch::Receiver<()>,
    next: usize,
}

impl Lines {
    /// The next line; `None` after the last line of a console that has closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            {
                let heard = self.console.heard();
                if let Some(line) = heard.lines.get(self.next) {
                    self.next += 1;
                    return Some(line.clone());
                }
                if heard.closed {
                    return None;
                }
                self.grown.mark_unchanged();
            }
            // The sender lives in `self.console`.
            self.grown.changed().await.ok()?;
        }
    }

    /// The next line that `take` makes something of. Cancel-safe.
    pub async fn find<T>(&mut self, mut take: impl FnMut(&Line) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = take(&self.next().await?) {
                return Some(found);
            }
        }
    }
}

/// The task that reads: everything goes to the log at once, whatever it is.
pub(super) struct Listener<W> {
    pub(super) console: Console,
    pub(super) log: W,
    pub(super) clock: Clock,
    pub(super) ending: Ending,
}

impl<W: io::Write> Listener<W> {
    /// Reads to the end of the stream, or its error, which is QEMU's end as well; or until there is more than anybody keeps, which ends the machine.
    pub(super) async fn listen(mut self, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 16 * 1024];
        let mut suspect: Option<Instant> = None;
        let mut left = LARGEST_CONSOLE;
        loop {
            let pause = suspect.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(count) if count > left => {
                        self.ending.set(End::Flooded);
                        break;
                    }
                    Ok(count) if count > 0 => {
                        left -= count;
                        suspect = self.hear(&buffer[..count]).then(|| Instant::now() + REST_OF_LINE);
                    }
                    Ok(_) | Err(_) => break,
                },
                () = sleep_until(pause), if suspect.is_some() => {
                    suspect = None;
                    let partial = String::from_utf8_lossy(&self.console.heard().partial).into_owned();
                    self.panicked(&partial);
                }
            }
        }
        let partial = std::mem::take(&mut self.console.heard().partial);
        if !partial.is_empty() {
            self.line(&partial);
        }
        self.console.heard().closed = true;
        self.console.grown.send_replace(());
    }

    /// Takes some bytes; says whether the line that has not ended yet has last words in it.
    fn hear(&mut self, mut bytes: &[u8]) -> bool {
        // A full disk must not stop the guest; what is missing in the log is still in memory.
        let _ = self.log.write_all(bytes).and_then(|()| self.log.flush());
        let mut partial = std::mem::take(&mut self.console.heard().partial);
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            partial.extend_from_slice(&bytes[..end]);
            self.line(&partial);
            partial.clear();
            bytes = &bytes[end + 1..];
        }
        partial.extend_from_slice(bytes);
        if partial.len() > LONGEST_LINE {
            self.line(&partial);
            partial.clear();
        }
        let suspect = is_panic(&String::from_utf8_lossy(&partial));
        self.console.heard().partial = partial;
        self.console.grown.send_replace(());
        suspect
    }

    fn line(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).trim_end_matches('\r').to_owned();
        let at = self.clock.now();
        self.console.heard().lines.push(Line {
            at,
            text: text.clone(),
        });
        if is_panic(&text) {
            self.panicked(&text);
        }
    }

    fn panicked(&self, line: &str) {
        self.ending.set(End::Panicked {
            seen: PanicSource::Console,
            line: line.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncWriteExt as _, DuplexStream, duplex},
        task::JoinHandle,
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    struct Guest {
        says: DuplexStream,
        console: Console,
        ending: Ending,
        task: JoinHandle<()>,
    }

    fn guest() -> Guest {
        let (says, heard) = duplex(1 << 16);
        let (console, ending) = (Console::after("", Duration::ZERO), Ending::new());
        let listener = Listener {
            console: console.clone(),
            log: Vec::new(),
            clock: Clock::start(),
            ending: ending.clone(),
        };
        let task = tokio::spawn(listener.listen(heard));
        Guest {
            says,
            console,
            ending,
            task,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn last_words_that_come_in_pieces_are_heard() {
        let mut guest = guest();
        for byte in b"ok\r\n[ 1.0] Kernel panic - not syncing: in pieces" {
            guest.says.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(guest.ending.get(), None, "the rest of the line may come");
        guest.says.write_all(b"!\r\nmore\r\n").await.unwrap();
        let End::Panicked { line, .. } = guest.ending.wait().await else {
            panic!()
        };
        assert_eq!(line, "[ 1.0] Kernel panic - not syncing: in pieces!");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_of_last_words_that_never_ends_is_not_waited_for() {
        let mut guest = guest();
        guest
            .says
            .write_all(b"PANIC: early exception 0x0e")
            .await
            .unwrap();
        let end = tokio::time::timeout(SOON, guest.ending.wait()).await.unwrap();
        assert!(matches!(end, End::Panicked { line, .. } if line.ends_with("0x0e")));
    }

    #[tokio::test]
    async fn a_reader_misses_nothing_however_late_it_is() {
        let mut guest = guest();
        let mut early = guest.console.from_start();
        let all: String = (0..10_000).map(|n| format!("line {n}\r\n")).collect();
        guest.says.write_all(all.as_bytes()).await.unwrap();
        guest.says.write_all(b"no end \xff").await.unwrap();
        drop(guest.says);
        guest.task.await.unwrap();
        let mut late = guest.console.from_line(9_999);
        assert_eq!(late.next().await.unwrap().text, "line 9999");
        assert_eq!(late.next().await.unwrap().text, "no end \u{fffd}");
        assert_eq!(late.next().await, None);
        let mut count = 0;
        while early.next().await.is_some() {
            count += 1;
        }
        assert_eq!(count, 10_001);
    }

    #[tokio::test]
    async fn a_flood_ends_the_machine_and_is_not_kept() {
        let mut guest = guest();
        let flood = async {
            let line = [&[b'x'; 4095][..], b"\n"].concat();
            // Until nobody reads any more.
            while guest.says.write_all(&line).await.is_ok() {}
        };
        tokio::time::timeout(SOON * 6, flood).await.unwrap();
        guest.task.await.unwrap();
        assert_eq!(guest.ending.get(), Some(End::Flooded));
        let kept = guest.console.text().len();
        assert!(
            (LARGEST_CONSOLE - (1 << 16)..=LARGEST_CONSOLE).contains(&kept),
            "{kept}"
        );
        let told = "the guest floods its console: more than 64 MiB";
        assert_eq!(
            (End::Flooded.to_string().as_str(), End::Flooded.blames_kernel()),
            (told, true)
        );
    }

    #[test]
    fn a_console_goes_on_where_another_stopped() {
        for said in ["", "one", "one\n", "one\n\ntwo", "\n"] {
            let console = Console::after(said, Duration::ZERO);
            assert_eq!(console.text(), said);
            assert_eq!(console.count(), said.matches('\n').count());
        }
        assert_eq!(Console::after("one\r\n", SOON).text(), "one\n");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_waited_for_and_noise_is_not_waited_out() {
        let mut guest = guest();
        let console = guest.console.clone();
        let start = Instant::now();
        console.silence(Duration::from_secs(1), SOON).await;
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        let noise = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                guest.says.write_all(b"noise\n").await.unwrap();
            }
        });
        let start = Instant::now();
        console.silence(Duration::from_secs(1), SOON).await;
        assert!(start.elapsed() >= SOON, "{:?}", start.elapsed());
        noise.abort();
        assert!(noise.await.unwrap_err().is_cancelled());
        let start = Instant::now();
        console
            .silence(Duration::from_secs(1000), Duration::from_secs(1000))
            .await;
        assert!(start.elapsed() < SOON, "the console has closed");
    }
}
