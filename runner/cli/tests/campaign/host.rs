// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host: a disk that is full, a folder that takes nothing from some moment on, a `/dev/kvm` that is none, a clock that jumps.
//!
//! What is mounted is mounted in a namespace that ends with its run.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    qemu::SLOW,
    run::{Ended, Moment},
    scene::Scene,
};

/// A command in a mount namespace of its own, where it is root: a script that may mount what it likes, then `exec`s or calls what follows as `"$@"`.
fn apart(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-euc", script, "sh"]);
    command
}

/// Why nothing can be mounted here, if so.
fn nothing_mounts() -> Option<String> {
    let mut tried = apart(
        "mount -t tmpfs none /mnt; mkdir /mnt/a /mnt/b /mnt/c; mount -t overlay -o lowerdir=/mnt/a,upperdir=/mnt/b,workdir=/mnt/c none /mnt/a",
    );
    let output = tried.stdin(Stdio::null()).output().expect("unshare runs");
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    (!output.status.success()).then(|| format!("this host mounts nothing for the test: {why}"))
}

/// What surrounds a run that is done apart: parts of a shell's script, in which `$results` and `$cache` are what memrig has, and `$aside` a folder for the script.
#[derive(Default)]
pub(super) struct Apart {
    /// What is done before it.
    pub(super) before: String,
    /// What is done after it.
    pub(super) after: String,
    /// How many bytes the cache has room for above what is there already; all that the host has, without it.
    pub(super) room: Option<u64>,
}

impl Apart {
    /// Runs a case apart. Its results come out in the end, and what it writes into the cache goes with it. None if the host does not let that be done.
    pub(super) fn ran(&self, scene: &mut Scene) -> Option<Ended> {
        if let Some(why) = nothing_mounts() {
            scene.missed(why);
            return None;
        }
        let inside = scene.folder().join("inside");
        let path = |name: &str| inside.join(name);
        for name in ["results", "cache/memrig", "aside", "above"] {
            fs_err::create_dir_all(path(name)).expect("a folder");
        }
        let room = self.room.map_or_else(String::new, |bytes| {
            format!(
                "mount -t tmpfs -o size={bytes} none {}\n",
                path("above").display()
            )
        });
        // The cache that is there is looked at, and what is written goes above it.
        let script = format!(
            "results={results} cache={cache} aside={aside}\n\
             {room}mkdir {above}/upper {above}/work\n\
             mount -t overlay -o lowerdir={real},upperdir={above}/upper,workdir={above}/work none $cache\n\
             {before}\n\
             status=0; \"$@\" || status=$?\n\
             {after}\n\
             cp -a $results/. {out}/\nexit $status",
            results = path("results").display(),
            cache = path("cache/memrig").display(),
            aside = path("aside").display(),
            above = path("above").display(),
            real = real_cache().display(),
            before = self.before,
            after = self.after,
            out = scene.results().display(),
        );
        let mut command = apart(&script);
        scene.place(&mut command);
        command
            .arg(env!("CARGO_BIN_EXE_memrig"))
            .args(scene.run_args(SLOW))
            .arg("--no-retry")
            .env("MEMRIG_RESULTS", path("results"))
            .env("XDG_CACHE_HOME", path("cache"));
        let run = scene.start(command);
        Some(scene.end(run))
    }
}

/// The cache of whoever runs the tests.
pub(super) fn real_cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
    let caches = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    caches.join("memrig")
}

/// A run that lacks something passes with all its reports, or says what broke.
fn passes_or_says(scene: &mut Scene, apart: &Apart) {
    let Some(ended) = apart.ran(scene) else {
        return;
    };
    scene.accuses_nobody(&ended);
    if ended.code() != Some(0) {
        // Where nothing was begun, whoever called may name another place.
        let refused = ended.code() == Some(2) && ended.record.is_none();
        if ended.code() != Some(3) && !refused {
            scene.wrong(format!("{:?}, and must be 3: {}", ended.status, ended.said()));
        }
        return;
    }
    scene.passes(&ended);
    for name in ["junit.xml", "report.html", "cases.csv"] {
        let report = fs_err::metadata(scene.results().join("latest").join(name));
        if !report.is_ok_and(|file| file.len() > 0) {
            scene.lost(format!("it exits with 0 and has no {name}"));
        }
    }
}

/// A number of bytes with which something lacks room in most tries, in whole pages; plenty where the harm is left out.
fn bytes(scene: &mut Scene, most: u64) -> u64 {
    const PLENTY: u64 = 1 << 30;
    scene
        .harm(|rng| rng.u64(1..=most / 4096) * 4096)
        .unwrap_or(PLENTY)
}

/// A folder that is a file system of so many bytes.
fn small(folder: &str, bytes: u64) -> Apart {
    Apart {
        before: format!("mount -t tmpfs -o size={bytes} none \"{folder}\""),
        ..Apart::default()
    }
}

pub(super) fn results_on_a_full_disk(scene: &mut Scene) {
    let bytes = bytes(scene, 400_000);
    passes_or_says(scene, &small("$results", bytes));
}

pub(super) fn temporary_files_on_a_full_disk(scene: &mut Scene) {
    let bytes = bytes(scene, 14_000_000);
    passes_or_says(scene, &small("$TMPDIR", bytes));
}

pub(super) fn cache_on_a_full_disk(scene: &mut Scene) {
    let room = Some(bytes(scene, 200_000));
    let apart = Apart {
        room,
        ..Apart::default()
    };
    passes_or_says(scene, &apart);
}

/// From some moment on nothing can be made there, while what is open is written on.
fn takes_nothing_later(scene: &mut Scene, folder: &str) {
    let seconds = scene.rng.f32() * 15.0;
    let apart = Apart {
        before: scene.words_of_harm(format!(
            "(sleep {seconds:.1}; mount -t tmpfs -o ro none \"{folder}\") &"
        )),
        // What is below it is to be read.
        after: format!("umount -l \"{folder}\" || :"),
        ..Apart::default()
    };
    passes_or_says(scene, &apart);
}

pub(super) fn results_take_nothing_later(scene: &mut Scene) {
    takes_nothing_later(scene, "$results");
}

pub(super) fn cache_takes_nothing_later(scene: &mut Scene) {
    takes_nothing_later(scene, "$cache");
}

/// A `/dev/kvm` that is a file, that is another device, and that nobody may open.
pub(super) fn kvm_is_none(scene: &mut Scene) {
    if !Path::new("/dev/kvm").exists() {
        return scene.missed("this host has no /dev/kvm to be hidden");
    }
    let other = ["/dev/null", "\"$aside/file\"", "/dev/full"];
    let other = scene.rng.choice(other).expect("one");
    let words = format!("touch \"$aside/file\"; chmod 0 \"$aside/file\"; mount --bind {other} /dev/kvm");
    let apart = Apart {
        before: scene.words_of_harm(words),
        ..Apart::default()
    };
    if let Some(ended) = apart.ran(scene) {
        scene.accuses_nobody(&ended);
        scene.passes(&ended);
    }
}

/// The library that tells programs another time of day, and leaves the clock alone that only counts.
fn other_time() -> Option<PathBuf> {
    let folders = fs_err::read_dir("/usr/lib").expect("libraries");
    let mut files = folders.map(|entry| {
        entry
            .expect("an entry")
            .path()
            .join("faketime/libfaketimeMT.so.1")
    });
    files.find(|file| file.exists())
}

/// The time of day jumps, for memrig and for QEMU, as it does on a host whose clock is set right while it works.
pub(super) fn clock_jumps(scene: &mut Scene) {
    let Some(library) = other_time() else {
        return scene.missed("libfaketime is not installed");
    };
    let clock = scene.folder().join("clock");
    fs_err::write(&clock, "+0\n").expect("a clock");
    let mut command = scene.one_guest(SLOW);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut run = scene.start(command);
    let seconds = scene.rng.f32() * 15.0;
    let over = !run.wait_for(Moment::After(Duration::from_secs_f32(seconds)));
    let jump = scene.harm(|rng| {
        rng.choice([-1_000_000, -3_600, -60, 60, 3_600, 1_000_000])
            .expect("one")
    });
    if let Some(jump) = jump {
        scene.drew(&format!("{jump} s after {seconds:.1} s"));
        // At once: half a number is another one.
        let new = clock.with_extension("new");
        fs_err::write(&new, format!("{jump:+}\n")).expect("a clock");
        fs_err::rename(new, &clock).expect("a clock");
    }
    let ended = scene.end(run);
    scene.passes(&ended);
    if over {
        scene.missed("it was over before");
    }
}
