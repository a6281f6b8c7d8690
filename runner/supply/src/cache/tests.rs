// SPDX-License-Identifier: MIT OR Apache-2.0
//! Entries that are made once, by many, again, and not at all.

use std::{
    fs::File,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use super::{root::DAY, *};
use base::ui::Ui;

#[test]
fn known_digests() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(sha256(b""), empty);
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(sha256_file(file.path()).unwrap(), empty);
    assert_ne!(
        Key::new().with("a").with("bc").finish(),
        Key::new().with("ab").with("c").finish()
    );
}

#[test]
fn what_stays_true_is_said_once_a_day() {
    let root = tempfile::tempdir().unwrap();
    let ui = Ui::silent();
    let cache = Cache::at(root.path(), &ui).unwrap();
    // Who only looks says it, and leaves no word of that.
    cache.looking().say_daily("the mirror lacks a file").unwrap();
    cache.say_daily("the mirror lacks a file").unwrap();
    cache.say_daily("the mirror lacks a file").unwrap();
    Cache::at(root.path(), &ui)
        .unwrap()
        .say_daily("the mirror lacks a file")
        .unwrap();
    cache.say_daily("another thing").unwrap();
    assert_eq!(
        ui.lines(),
        [
            "the mirror lacks a file",
            "the mirror lacks a file",
            "another thing"
        ]
    );
    let mut said = cache.said_today().unwrap();
    said.sort();
    assert_eq!(said, ["another thing", "the mirror lacks a file"]);
    for file in fs_err::read_dir(root.path().join("told")).unwrap() {
        let file = File::options().write(true).open(file.unwrap().path()).unwrap();
        file.set_modified(SystemTime::now() - DAY).unwrap();
    }
    assert_eq!(cache.said_today().unwrap(), Vec::<String>::new());
    cache.say_daily("another thing").unwrap();
    assert_eq!(ui.lines().len(), 4);
}

#[test]
fn an_entry_is_built_once_however_many_ask() {
    let root = tempfile::tempdir().unwrap();
    let ui = Ui::silent();
    let built = AtomicUsize::new(0);
    let ask = || {
        let cache = Cache::at(root.path(), &ui).unwrap();
        let path = cache.entry("thing", "key", |dir| {
            built.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(50));
            fs_err::write(dir.join("file"), "whole").map_err(|e| cache.failed(e))
        });
        fs_err::read_to_string(path.unwrap().join("file")).unwrap()
    };
    thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        for thread in asking {
            assert_eq!(thread.join().unwrap(), "whole");
        }
    });
    assert_eq!(built.load(Ordering::SeqCst), 1);
    assert!(
        ui.lines()
            .iter()
            .any(|line| line.contains("waiting for another memrig"))
    );
}

#[test]
fn what_a_killed_build_left_is_taken_away() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::at(root.path(), &Ui::silent()).unwrap();
    let name = root.path().join("thing/.new-key");
    fs_err::create_dir_all(&name).unwrap();
    fs_err::write(name.join("half"), "").unwrap();
    let path = cache
        .entry("thing", "key", |dir| {
            assert_eq!(dir, name, "it is made where the killed one was");
            fs_err::write(dir.join("whole"), "").map_err(|e| cache.failed(e))
        })
        .unwrap();
    assert!(path.join("whole").exists() && !path.join("half").exists());
    assert_eq!(fs_err::read_dir(root.path().join("thing")).unwrap().count(), 1);
}

#[test]
fn who_only_looks_makes_nothing_and_waits_for_nobody() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::at(&root.path().join("cache"), &Ui::silent()).unwrap();
    let looking = cache.looking();
    let asked = || looking.entry("thing", "key", |_| -> Result<(), CacheError> { panic!("built") });
    assert!(matches!(asked(), Err(CacheError::NotHere(_))));
    assert!(!looking.dir("thing").unwrap().exists());
    assert_eq!(fs_err::read_dir(cache.root()).unwrap().count(), 0);
    let made = cache.entry("thing", "key", |_| Ok::<_, CacheError>(())).unwrap();
    let _held = cache.lock("thing/key").unwrap();
    let _not_waited_for = looking.lock("thing/key").unwrap();
    assert_eq!(asked().unwrap(), made);
}

#[test]
fn an_entry_that_was_damaged_is_made_again_and_told() {
    let root = tempfile::tempdir().unwrap();
    let ui = Ui::silent();
    let cache = Cache::at(root.path(), &ui).unwrap();
    let made = |text: &'static str| {
        cache.entry("thing", "key", |dir| {
            fs_err::write(dir.join("file"), text).map_err(|source| cache.failed(source))
        })
    };
    let path = made("whole").unwrap();
    assert_eq!(made("never").unwrap(), path);
    fs_err::write(path.join("file"), "who").unwrap();
    assert_eq!(cache.looking().find("thing", "key"), None);
    assert_eq!(cache.find("thing", "key"), None);
    assert_eq!(made("again").unwrap(), path);
    assert_eq!(fs_err::read_to_string(path.join("file")).unwrap(), "again");
    let told = ui.lines().join("\n");
    assert!(
        told.contains("`thing/key` in the cache is not what was put there: file is shorter"),
        "{told}"
    );
    assert!(cache.find("thing", "key").is_some());
}

#[test]
fn who_looks_to_use_what_is_found_notes_that() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::at(root.path(), &Ui::silent()).unwrap();
    let path = cache.entry("thing", "key", |_| Ok::<_, CacheError>(())).unwrap();
    let sums = root.path().join("sums/thing/key");
    let long_ago = SystemTime::UNIX_EPOCH + DAY;
    for (cache, notes) in [
        (cache.looking(), false),
        (cache.looking().looking_to_use(), false),
        (cache.looking_to_use(), true),
    ] {
        File::open(&path).unwrap().set_modified(long_ago).unwrap();
        // As an older memrig left it.
        fs_err::remove_file(&sums).ok();
        assert!(cache.only_looks());
        assert_eq!(cache.find("thing", "key").as_ref(), Some(&path));
        let used = fs_err::metadata(&path).unwrap().modified().unwrap() > long_ago;
        assert_eq!((used, sums.exists()), (notes, notes));
    }
}

#[test]
fn a_failed_build_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::at(root.path(), &Ui::silent()).unwrap();
    let failed = cache.entry("thing", "key", |dir| {
        fs_err::write(dir.join("half"), "").map_err(|e| cache.failed(e))?;
        Err(CacheError::NoPlace)
    });
    assert!(failed.is_err());
    assert!(cache.find("thing", "key").is_none());
    assert_eq!(fs_err::read_dir(root.path().join("thing")).unwrap().count(), 0);
}
