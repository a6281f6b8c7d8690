// SPDX-License-Identifier: MIT OR Apache-2.0
//! The connection: one task reads, one writes, and commands wait for the reply that carries their number.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use qapi::{Command, qmp::QmpCommand};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::{broadcast, mpsc, oneshot},
    task::AbortHandle,
};

use super::{Event, Events, QmpError};

/// How many events a slow reader may be behind. A guest that offlines 1 020 storage increments sends none for them.
pub(super) const EVENTS_KEPT: usize = 1024;

/// What a line of the transcript is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// memrig said it.
    Sent,
    /// QEMU said it.
    Received,
    /// QEMU said it, and it is no JSON, or no event and no reply to anything that was asked.
    Damaged,
}

/// Where every line of a connection goes, as it is sent or received, without its end of line.
pub type Transcript = Arc<dyn Fn(Direction, &str) + Send + Sync>;

/// What a command returned, or the class and text of QEMU's refusal.
type Reply = Result<Value, (String, String)>;

/// What both tasks and all clones of a client share.
struct Shared {
    /// `None` once the connection is closed, so that a late command fails at once instead of waiting for ever.
    open: Mutex<Option<Open>>,
    next_id: AtomicU64,
    transcript: Transcript,
}

struct Open {
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
    events: broadcast::Sender<Event>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        // Nothing panics while it holds the lock, and the map stays whole if something did.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails all commands that wait, ends all event streams, and refuses all that comes later.
    fn close(&self) {
        self.open().take();
    }

    /// Writes a line down and hands it to whom it belongs, in this order, so that the transcript has causes before effects.
    fn received(&self, line: &str) {
        let delivery = self.address(line);
        let known = delivery.is_some();
        (self.transcript)(
            if known {
                Direction::Received
            } else {
                Direction::Damaged
            },
            line,
        );
        match delivery {
            // An event is an announcement: nobody needs to listen. And whoever asked may have stopped waiting.
            Some(Delivery::Event(sender, event)) => drop(sender.send(event)),
            Some(Delivery::Reply(sender, reply)) => drop(sender.send(reply)),
            None => {}
        }
    }

    /// Whom a line is for; `None` if it is for nobody.
    fn address(&self, line: &str) -> Option<Delivery> {
        let mut message: Value = serde_json::from_str(line).ok()?;
        let mut guard = self.open();
        let open = guard.as_mut()?;
        if message.get("event").is_some() {
            let event = serde_json::from_value(message).ok()?;
            return Some(Delivery::Event(open.events.clone(), event));
        }
        let id = message.get("id")?.as_u64()?;
        let reply = if let Some(error) = message.get("error") {
            let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
            Err((text("class"), text("desc")))
        } else {
            Ok(message.get_mut("return")?.take())
        };
        Some(Delivery::Reply(open.waiting.remove(&id)?, reply))
    }
}

enum Delivery {
    Event(broadcast::Sender<Event>, Event),
    Reply(oneshot::Sender<Reply>, Reply),
}

/// A connection to QEMU's monitor. Clones share it; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    lines: mpsc::UnboundedSender<String>,
    greeting: Arc<Value>,
    _reader: Arc<Reader>,
}

/// Ends the reading task with the last client.
struct Reader(AbortHandle);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("greeting", &self.greeting)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to a monitor that listens, and negotiates.
    ///
    /// # Errors
    /// If nobody listens, or QEMU does not greet.
    pub async fn connect(socket: &Path, transcript: Transcript) -> Result<Self, QmpError> {
        let (reader, writer) = UnixStream::connect(socket).await?.into_split();
        Self::start(reader, writer, transcript).await
    }

    /// Takes the greeting from a stream, and negotiates. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the stream ends, or QEMU does not greet.
    pub async fn start(
        reader: impl AsyncRead + Unpin + Send + 'static,
        writer: impl AsyncWrite + Unpin + Send + 'static,
        transcript: Transcript,
    ) -> Result<Self, QmpError> {
        let mut reader = BufReader::new(reader);
        // A stream that ends before its first line has no greeting, which is told below.
        let first = next_line(&mut reader).await?.unwrap_or_default();
        let greeting = serde_json::from_str::<Value>(&first)
            .ok()
            .and_then(|mut message| message.get_mut("QMP").map(Value::take));
        let Some(greeting) = greeting else {
            transcript(Direction::Damaged, &first);
            return Err(QmpError::Greeting(first));
        };
        transcript(Direction::Received, &first);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let shared = Arc::new(Shared {
            open: Mutex::new(Some(Open {
                waiting: HashMap::new(),
                events,
            })),
            next_id: AtomicU64::new(1),
            transcript,
        });
        let (lines, to_send) = mpsc::unbounded_channel();
        tokio::spawn(write_lines(writer, to_send, shared.clone()));
        let reading = tokio::spawn(read_lines(reader, shared.clone()));
        let client = Self {
            shared,
            lines,
            greeting: Arc::new(greeting),
            _reader: Arc::new(Reader(reading.abort_handle())),
        };
        client.execute_raw("qmp_capabilities", json!({})).await?;
        Ok(client)
    }

    /// What QEMU said first: its version and what its protocol can do.
    pub fn greeting(&self) -> &Value {
        &self.greeting
    }

    /// QEMU's version: major, minor, micro.
    pub fn version(&self) -> Option<[u64; 3]> {
        let version = self.greeting.get("version")?.get("qemu")?;
        let part = |name| version.get(name).and_then(Value::as_u64);
        Some([part("major")?, part("minor")?, part("micro")?])
    }

    /// The events from now on.
    pub fn events(&self) -> Events {
        Events::new(self.shared.open().as_ref().map(|open| open.events.subscribe()))
    }

    /// Whether the connection is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.open().is_none()
    }

    /// Sends a command of `qapi`'s schema and waits for the reply. Dropping the future is safe; QEMU still runs the command.
    ///
    /// # Errors
    /// [`QmpError::Refused`], [`QmpError::Closed`] or [`QmpError::Shape`].
    pub async fn execute<C: QmpCommand>(&self, command: C) -> Result<C::Ok, QmpError> {
        let name = <C as Command>::NAME;
        let arguments = serde_json::to_value(&command).map_err(|source| QmpError::Arguments {
            command: name.to_owned(),
            source,
        })?;
        let reply = self.execute_raw(name, arguments).await?;
        C::Ok::deserialize(&reply).map_err(|source| QmpError::Shape {
            command: name.to_owned(),
            reply,
            source,
        })
    }

    /// Sends any command and waits for the reply. Dropping the future is safe; QEMU still runs the command.
    ///
    /// # Errors
    /// [`QmpError::Refused`] or [`QmpError::Closed`].
    pub async fn execute_raw(&self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let closed = || QmpError::Closed {
            command: command.to_owned(),
        };
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        match self.shared.open().as_mut() {
            Some(open) => open.waiting.insert(id, sender),
            None => return Err(closed()),
        };
        let line = json!({"execute": command, "arguments": arguments, "id": id}).to_string();
        self.lines.send(line).map_err(|_| closed())?;
        match reply.await.map_err(|_| closed())? {
            Ok(value) => Ok(value),
            Err((class, desc)) => Err(QmpError::Refused {
                command: command.to_owned(),
                class,
                desc,
            }),
        }
    }
}

/// The next line without its end; bytes that are no UTF-8 are replaced, so that one of them does not end the connection.
async fn next_line<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}

async fn read_lines<R: AsyncRead + Unpin>(mut reader: BufReader<R>, shared: Arc<Shared>) {
    // QEMU resets the connection when it quits, so that an error is as much an end as an end is.
    while let Ok(Some(line)) = next_line(&mut reader).await {
        if !line.is_empty() {
            shared.received(&line);
        }
    }
    shared.close();
}

async fn write_lines<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut lines: mpsc::UnboundedReceiver<String>,
    shared: Arc<Shared>,
) {
    while let Some(mut line) = lines.recv().await {
        (shared.transcript)(Direction::Sent, &line);
        line.push('\n');
        let written = async {
            writer.write_all(line.as_bytes()).await?;
            writer.flush().await
        };
        if written.await.is_err() {
            break;
        }
    }
    shared.close();
}
