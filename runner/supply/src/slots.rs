// SPDX-License-Identifier: MIT OR Apache-2.0
//! Places for guests on this host, which all memrigs share that have one cache.
//!
//! A place is a locked file. The lock goes with whoever holds it, also by a kill. Whoever wants one waits for a turn first, which one at a time
//! has, so that a run that gives a place back does not get the next one before all others.

use std::{
    fs::{File, TryLockError},
    io::{self, Seek as _, Write as _},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::cache::Cache;
use base::{ByteSize, ui::Ui};

/// How often it is looked whether there is a place.
const LOOK: Duration = Duration::from_millis(100);

/// A wait that is longer is told.
const TELL_AFTER: Duration = Duration::from_secs(2);

/// How long a place is waited for. Guests come and go by the minute: whoever keeps theirs for so long was stopped, or waits for this memrig.
const PATIENCE: Duration = Duration::from_mins(10);

/// The places as one memrig sees them.
#[derive(Debug)]
pub struct Slots {
    /// `None`: there is nobody to share with.
    folder: Option<PathBuf>,
    /// How many this memrig chooses from.
    count: usize,
    /// What guests of several memrigs may use together, in bytes.
    memory: ByteSize,
    /// One of this memrig's guests asks at a time.
    asking: tokio::sync::Mutex<()>,
    /// Guests of this memrig that have a place.
    own: Arc<Mutex<usize>>,
    /// Others keep the places for too long.
    given_up: AtomicBool,
    told: AtomicBool,
    ui: Ui,
}

/// A place; dropping it lets another guest have it.
#[derive(Debug)]
pub struct Slot {
    _file: File,
    own: Arc<Mutex<usize>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        *count_of(&self.own) -= 1;
    }
}

fn count_of(own: &Mutex<usize>) -> std::sync::MutexGuard<'_, usize> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    /// Those of a cache: `count` for this memrig, with this much memory for the guests of all. A cache that cannot be used is told, and nothing is shared.
    pub fn of(cache: &Cache, count: usize, memory: ByteSize, ui: &Ui) -> Self {
        let mut slots = Self {
            count,
            memory,
            ..Self::alone(ui)
        };
        let usable = cache.dir("slots").and_then(|folder| {
            lock(&folder.join("turn")).map_err(|error| cache.failed(error))?;
            Ok(folder)
        });
        match usable {
            Ok(folder) => slots.folder = Some(folder),
            Err(error) => slots.go_on_without(&error),
        }
        slots
    }

    /// Those of nobody else.
    pub fn alone(ui: &Ui) -> Self {
        Self {
            folder: None,
            count: 0,
            memory: ByteSize::bytes(0),
            asking: tokio::sync::Mutex::new(()),
            own: Arc::default(),
            given_up: AtomicBool::new(false),
            told: AtomicBool::new(false),
            ui: ui.clone(),
        }
    }

    /// Waits for a place for a guest that uses this much memory at the most. `None` if there is nobody to share with, or others do not share.
    /// Cancel-safe.
    pub async fn take(&self, memory: ByteSize) -> Option<Slot> {
        let _asking = self.asking.lock().await;
        let folder = self.folder.as_ref()?;
        if self.given_up.load(Ordering::Relaxed) {
            return None;
        }
        let began = Instant::now();
        let mut turn = None;
        loop {
            let tried = match &turn {
                None => lock(&folder.join("turn")).and_then(|locked| {
                    turn = locked;
                    match &turn {
                        Some(_) => self.try_take(folder, memory),
                        None => Ok(None),
                    }
                }),
                Some(_) => self.try_take(folder, memory),
            };
            match tried {
                Ok(Some(slot)) => return Some(slot),
                Ok(None) => {}
                Err(error) => {
                    self.given_up.store(true, Ordering::Relaxed);
                    self.go_on_without(&error);
                    return None;
                }
            }
            if began.elapsed() >= TELL_AFTER && !self.told.swap(true, Ordering::Relaxed) {
                self.ui
                    .line("waiting for room: guests of other memrigs run on this host");
            }
            if began.elapsed() >= PATIENCE {
                self.given_up.store(true, Ordering::Relaxed);
                self.ui.warning(
                    "guests of other memrigs have filled this host for ten minutes: going on beside them",
                );
                return None;
            }
            sleep(LOOK).await;
        }
    }

    /// Takes a place if one is free. Only whoever has the turn may ask.
    fn try_take(&self, folder: &std::path::Path, memory: ByteSize) -> io::Result<Option<Slot>> {
        let mut free = None;
        let (mut held, mut used) = (0, ByteSize::bytes(0));
        for index in 0.. {
            let path = folder.join(format!("guest-{index}"));
            // Another memrig may have been given more guests than this one.
            if index >= self.count && !path.exists() {
                break;
            }
            match lock(&path)? {
                Some(file) if index < self.count && free.is_none() => free = Some(file),
                Some(_) => {}
                None => {
                    held += 1;
                    let text = fs_err::read_to_string(&path)?;
                    used = used + ByteSize::bytes(text.trim().parse().unwrap_or(0));
                }
            }
        }
        let mut own = count_of(&self.own);
        // What a memrig gives its own guests is its own matter.
        let fits = held == *own || used + memory <= self.memory;
        let Some(mut file) = free.filter(|_| fits) else {
            return Ok(None);
        };
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", memory.as_bytes())?;
        *own += 1;
        Ok(Some(Slot {
            _file: file,
            own: self.own.clone(),
        }))
    }

    fn go_on_without(&self, why: &(dyn std::error::Error + 'static)) {
        let mut text = why.to_string();
        if let Some(source) = why.source() {
            text = format!("{text}: {source}");
        }
        self.ui.warning(&format!(
            "guests of other memrigs on this host are not reckoned with: {text}"
        ));
    }
}

/// A file, made if it is not there, and its lock; `None` if somebody else has that.
fn lock(path: &std::path::Path) -> io::Result<Option<File>> {
    let file = fs_err::File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?
        .into_file();
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: ByteSize = ByteSize::gib(1);

    fn memrig(root: &std::path::Path, count: usize) -> Arc<Slots> {
        let ui = Ui::silent();
        let cache = Cache::at(root, &ui).unwrap();
        Arc::new(Slots::of(&cache, count, ByteSize::gib(4), &ui))
    }

    async fn now(slots: &Slots, memory: ByteSize) -> Option<Slot> {
        tokio::time::timeout(Duration::from_secs(1), slots.take(memory))
            .await
            .ok()?
    }

    #[tokio::test]
    async fn two_memrigs_have_as_many_guests_as_one() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (memrig(root.path(), 2), memrig(root.path(), 2));
        let first = now(&one, GUEST).await.unwrap();
        let second = now(&one, GUEST).await.unwrap();
        assert!(now(&two, GUEST).await.is_none());
        drop(first);
        let third = now(&two, GUEST).await.unwrap();
        assert!(now(&one, GUEST).await.is_none());
        drop((second, third));
        assert!(now(&one, GUEST).await.is_some());
    }

    #[tokio::test]
    async fn memory_is_shared_and_a_memrig_alone_waits_for_nobody() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (memrig(root.path(), 3), memrig(root.path(), 3));
        let large = now(&one, ByteSize::gib(3)).await.unwrap();
        assert!(now(&two, ByteSize::gib(2)).await.is_none());
        let small = now(&two, GUEST).await.unwrap();
        drop(small);
        let larger = now(&one, ByteSize::gib(3))
            .await
            .expect("it runs its own as it likes");
        drop((large, larger));
        let wide = memrig(root.path(), 5);
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(now(&wide, GUEST).await.unwrap());
        }
        assert!(
            now(&one, GUEST).await.is_none(),
            "what it was given beyond the others counts"
        );
    }

    #[tokio::test]
    async fn whoever_gives_a_place_back_does_not_get_it_before_all_others() {
        let root = tempfile::tempdir().unwrap();
        let (busy, other) = (memrig(root.path(), 1), memrig(root.path(), 1));
        let mut held = busy.take(GUEST).await;
        let waits = tokio::spawn(async move { other.take(GUEST).await });
        let mut turns = 0;
        while !waits.is_finished() {
            sleep(LOOK * 3).await;
            drop(held.take());
            turns += 1;
            held = tokio::time::timeout(LOOK * 5, busy.take(GUEST))
                .await
                .ok()
                .flatten();
            assert!(turns < 10, "it starves");
        }
        assert!(waits.await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_cache_that_cannot_be_written_is_told_and_gone_on_without() {
        let root = tempfile::tempdir().unwrap();
        let ui = Ui::silent();
        let cache = Cache::at(root.path(), &ui).unwrap();
        fs_err::write(root.path().join("slots"), "a file").unwrap();
        let slots = Slots::of(&cache, 1, GUEST, &ui);
        assert!(slots.take(GUEST).await.is_none() && slots.take(GUEST).await.is_none());
        let told = ui.lines().join("\n");
        assert!(told.contains("are not reckoned with"), "{told}");
    }
}
