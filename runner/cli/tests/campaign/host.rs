// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host: a disk that is full, a folder that takes nothing from some moment on, a `/dev/kvm` that is none.
//!
//! What is mounted is mounted in a namespace that ends with its run.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{qemu::SLOW, run::Ended, scene::Scene};

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

/// Runs a case apart, where `before` is done first, in a shell, and its results come out in the end. `$results` and `$cache` are what memrig has, and `$real` the cache that is
/// there already.
pub(super) fn ran_apart(scene: &mut Scene, before: &str) -> Option<Ended> {
    ran_between(scene, before, ":")
}

/// The same, with a part of the script that comes when memrig has ended.
fn ran_between(scene: &mut Scene, before: &str, after: &str) -> Option<Ended> {
    if let Some(why) = nothing_mounts() {
        scene.missed(why);
        return None;
    }
    let inside = scene.folder().join("inside");
    let path = |name: &str| inside.join(name);
    for name in ["results", "cache/memrig", "upper", "work"] {
        fs_err::create_dir_all(path(name)).expect("a folder");
    }
    // The cache that is there is looked at, and what is written goes above it.
    let script = format!(
        "results={results} cache={cache} upper={upper} real={real}\n\
         {before}\n\
         status=0; \"$@\" || status=$?\n\
         {after}\n\
         cp -a {results}/. {out}/\nexit $status",
        results = path("results").display(),
        cache = path("cache/memrig").display(),
        upper = inside.display(),
        real = real_cache().display(),
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

/// The words of a shell that lay a cache of the scene above the one that is there. Its upper side is a file system of so many bytes, if that is said.
pub(super) fn cache_above(bytes: Option<u64>) -> String {
    let limited = bytes.map_or_else(String::new, |bytes| {
        format!("mount -t tmpfs -o size={bytes} none \"$upper\"\nmkdir -p \"$upper/upper\" \"$upper/work\"\n")
    });
    // What is mounted above hides the two folders that memrig has, so it is mounted beside them.
    format!(
        "mkdir -p \"$upper/above\"; upper=\"$upper/above\"; {limited}mkdir -p \"$upper/upper\" \"$upper/work\"\n\
         mount -t overlay -o \"lowerdir=$real,upperdir=$upper/upper,workdir=$upper/work\" none \"$cache\"\n"
    )
}

/// The cache of whoever runs the tests.
pub(super) fn real_cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
    let caches = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    caches.join("memrig")
}

/// What a run comes to that lacks room: it passes with all its reports, or says what broke.
fn passes_or_says(scene: &mut Scene, ended: &Ended) {
    scene.accuses_nobody(ended);
    if ended.code() != Some(0) {
        // Where nothing was begun, whoever called may name another place.
        let refused = ended.code() == Some(2) && ended.record.is_none();
        if ended.code() != Some(3) && !refused {
            scene.wrong(format!("{:?}, and must be 3: {}", ended.status, ended.said()));
        }
        return;
    }
    scene.passes(ended);
    let folder = ended.cases().first().and(Some(scene.results().join("latest")));
    for name in ["junit.xml", "report.html", "cases.csv"] {
        let whole = |folder: PathBuf| fs_err::metadata(folder.join(name)).is_ok_and(|file| file.len() > 0);
        if !folder.clone().is_some_and(whole) {
            scene.lost(format!("it exits with 0 and has no {name}"));
        }
    }
}

/// A number of bytes with which something lacks room in most tries; whole pages.
fn bytes(scene: &mut Scene, most: u64) -> u64 {
    scene.rng.u64(1..=most / 4096) * 4096
}

/// What no run needs.
const PLENTY: u64 = 1 << 30;

pub(super) fn results_on_a_full_disk(scene: &mut Scene) {
    let bytes = bytes(scene, 400_000);
    let bytes = scene.harm(|_| bytes).unwrap_or(PLENTY);
    let ended = ran_apart(
        scene,
        &format!(
            "{}mount -t tmpfs -o size={bytes} none \"$results\"",
            cache_above(None)
        ),
    );
    if let Some(ended) = ended {
        passes_or_says(scene, &ended);
    }
}

pub(super) fn temporary_files_on_a_full_disk(scene: &mut Scene) {
    let bytes = bytes(scene, 14_000_000);
    let bytes = scene.harm(|_| bytes).unwrap_or(PLENTY);
    let ended = ran_apart(
        scene,
        &format!(
            "{}mount -t tmpfs -o size={bytes} none \"$TMPDIR\"",
            cache_above(None)
        ),
    );
    if let Some(ended) = ended {
        passes_or_says(scene, &ended);
    }
}

pub(super) fn cache_on_a_full_disk(scene: &mut Scene) {
    let bytes = bytes(scene, 200_000);
    let bytes = scene.harm(|_| bytes).unwrap_or(PLENTY);
    if let Some(ended) = ran_apart(scene, &cache_above(Some(bytes))) {
        passes_or_says(scene, &ended);
    }
}

/// From some moment on nothing can be made there, while what is open is written on.
fn takes_nothing_later(scene: &mut Scene, folder: &str) {
    let seconds = scene.rng.f32() * 15.0;
    let later = scene.harm(|_| format!("(sleep {seconds:.1}; mount -t tmpfs -o ro none \"{folder}\") &\n"));
    let before = format!("{}{}", cache_above(None), later.unwrap_or_default());
    // What is below it is to be read.
    let after = format!("umount -l \"{folder}\" || :");
    if let Some(ended) = ran_between(scene, &before, &after) {
        passes_or_says(scene, &ended);
    }
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
    let other = ["/dev/null", "\"$upper/file\"", "/dev/full"];
    let other = scene.rng.choice(other).expect("one");
    let hidden = scene
        .harm(|_| format!("touch \"$upper/file\"; chmod 0 \"$upper/file\"; mount --bind {other} /dev/kvm"));
    let before = format!(
        "{}{}",
        hidden.unwrap_or_default(),
        format_args!("\n{}", cache_above(None))
    );
    if let Some(ended) = ran_apart(scene, &before) {
        scene.accuses_nobody(&ended);
        scene.passes(&ended);
    }
}
