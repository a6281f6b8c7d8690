// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was got once and is not what it was, and a mirror that answers wrongly, slowly or never.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    host::{Apart, real_cache},
    qemu::SLOW,
    scene::Scene,
};

/// Files of the cache that a guest of an architecture has, by the command line of a run that was not harmed.
fn used(scene: &mut Scene) -> Option<Vec<PathBuf>> {
    let ended = {
        let command = scene.one_guest(SLOW);
        let run = scene.start(command);
        scene.end(run)
    };
    scene.passes(&ended);
    let words = shlex::split(&ended.cases().first()?.command_line)?;
    let cache = real_cache();
    let words = words.iter().flat_map(|word| word.split([',', '=']));
    let files = words
        .map(PathBuf::from)
        .filter(|path| path.starts_with(&cache) && path.is_file());
    let mut files: Vec<PathBuf> = files.collect();
    // What a guest has comes of what lies beside it.
    let beside = files
        .iter()
        .filter_map(|file| file.parent())
        .flat_map(files_of)
        .collect::<Vec<_>>();
    files.extend(beside);
    files.sort();
    files.dedup();
    Some(files)
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).expect("a folder of the cache");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.is_file()).collect()
}

/// A file of the cache that a run needs is cut short, emptied, written over or another one.
pub(super) fn an_entry_is_damaged(scene: &mut Scene) {
    let Some(files) = used(scene).filter(|files| !files.is_empty()) else {
        return scene.missed("a healthy run has no file of the cache");
    };
    let file = scene.rng.choice(&files).expect("one").clone();
    let others: Vec<&PathBuf> = files.iter().filter(|other| **other != file).collect();
    let other = scene.rng.choice(others).unwrap_or(&file).clone();
    let size = fs_err::metadata(&file).expect("a file").len();
    let at = scene.rng.u64(0..size.max(1));
    let damage = [
        format!("truncate -s {at} \"$file\""),
        ": > \"$file\"".to_owned(),
        format!("head -c 4096 /dev/urandom | dd of=\"$file\" bs=1 seek={at} conv=notrunc status=none"),
        "cp \"$other\" \"$file\"".to_owned(),
        "rm \"$file\"".to_owned(),
    ];
    let damage = scene.rng.choice(damage).expect("one");
    let cache = real_cache();
    let inside = |path: &Path| {
        path.strip_prefix(&cache)
            .expect("in the cache")
            .display()
            .to_string()
    };
    scene.drew(&format!("{damage}: {}", inside(&file)));
    let words = format!(
        "file=\"$cache/{}\" other=\"$cache/{}\"\n{damage}",
        inside(&file),
        inside(&other)
    );
    with_cache(scene, words);
}

/// All of the cache is somebody else's, which matters to whoever is not root.
pub(super) fn the_cache_is_anothers(scene: &mut Scene) {
    with_cache(
        scene,
        "chown -R 12345:12345 \"$cache/kernels\" \"$cache/images\"; chmod -R go-rwx \"$cache/kernels\"",
    );
}

/// What a run comes to whose cache was harmed: nobody is accused, and what passes has passed.
fn with_cache(scene: &mut Scene, harmed: impl Into<String>) {
    let apart = Apart {
        before: scene.words_of_harm(harmed),
        ..Apart::default()
    };
    let Some(ended) = apart.ran(scene) else {
        return;
    };
    scene.accuses_nobody(&ended);
    if ended.code() == Some(0) {
        scene.passes(&ended);
    }
}

/// How a mirror answers.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// Nothing is there.
    NotFound,
    /// Less than is announced.
    Half,
    /// Something else.
    Other,
    /// A byte a second.
    Slow,
    /// Nothing at all.
    Never,
}

/// Answers one who asks.
fn answer(mut asker: TcpStream, how: Answer) {
    // A request ends in an empty line.
    let asked = BufReader::new(&asker).lines();
    asked
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .for_each(drop);
    // Whoever asked may have gone: that is the end of it.
    let mut send = |text: &str| asker.write_all(text.as_bytes()).is_ok();
    match how {
        Answer::NotFound => {
            send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        Answer::Half => {
            send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\nOrigin: Debian\n");
        }
        Answer::Other => {
            send(
                "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>no</html>\r\n\r\n\n",
            );
        }
        Answer::Slow => {
            send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n");
            while send("x") {
                thread::sleep(Duration::from_secs(1));
            }
        }
        Answer::Never => {
            // Until the asker has had enough, which may be an error.
            let _ = io::copy(&mut asker, &mut io::sink());
        }
    }
}

/// Everything is to be got, from a mirror that answers so.
fn gets_all_from(scene: &mut Scene, how: Answer) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("a port").port();
    // It ends with the process: nothing else is left to listen for.
    thread::spawn(move || {
        for asker in listener.incoming().flatten() {
            thread::spawn(move || answer(asker, how));
        }
    });
    let mirror = format!("http://127.0.0.1:{port}/debian");
    let mut command = scene.one_guest(SLOW);
    if scene.harm(|_| ()).is_some() {
        command
            .env("MEMRIG_MIRROR", &mirror)
            .env("XDG_CACHE_HOME", scene.folder().join("cache"));
    }
    let run = scene.start(command);
    let ended = scene.end(run);
    scene.accuses_nobody(&ended);
    if ended.code() != Some(3) {
        scene.wrong(format!("{:?}, and must be 3: {}", ended.status, ended.said()));
    }
    if !ended.said().contains(&mirror) {
        scene.wrong(format!("the mirror is not named: {}", ended.said()));
    }
}

pub(super) fn the_mirror_has_nothing(scene: &mut Scene) {
    gets_all_from(scene, Answer::NotFound);
}

pub(super) fn the_mirror_sends_half(scene: &mut Scene) {
    gets_all_from(scene, Answer::Half);
}

pub(super) fn the_mirror_sends_another_file(scene: &mut Scene) {
    gets_all_from(scene, Answer::Other);
}

pub(super) fn the_mirror_is_slow(scene: &mut Scene) {
    gets_all_from(scene, Answer::Slow);
}

pub(super) fn the_mirror_never_answers(scene: &mut Scene) {
    gets_all_from(scene, Answer::Never);
}
