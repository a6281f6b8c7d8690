// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that a user names and that are none, or hold something else: told at once, with exit code 2 and a word of what they are.

use std::{os::unix::net::UnixListener, path::PathBuf};

use tempfile::TempDir;

use crate::told::{self, Told};

const SUITE: &str = "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - add: { as: b }\n";
const MATRIX: &str = "matrix: own\nkernels: [debian:sid]\nsuites: [quick]\n";

/// A folder with files of many kinds, and an empty cache.
struct Place {
    folder: TempDir,
    _listener: UnixListener,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo.yaml"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let listener = UnixListener::bind(at("socket.yaml")).unwrap();
        fs_err::create_dir(at("folder.yaml")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("device.yaml")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling.yaml")).unwrap();
        std::os::unix::fs::symlink("loop.yaml", at("loop.yaml")).unwrap();
        fs_err::write(at("empty.yaml"), "").unwrap();
        Self {
            folder,
            _listener: listener,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs_err::write(self.path(name), bytes).unwrap();
    }

    fn memrig(&self, args: &[&str]) -> Told {
        let mut command = told::memrig();
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("MEMRIG_CACHE", self.path("cache"))
            .env_remove("MEMRIG_RESULTS");
        Told::by(&mut command)
    }

    /// Expects a refusal that says this, before anything was got.
    fn refused(&self, args: &[&str], said: &str) {
        let told = self.memrig(args);
        assert_eq!(told.code, Some(2), "{args:?}: {}", told.err);
        assert!(told.err.contains(said), "{args:?}: no `{said}` in: {}", told.err);
        assert!(told.err.starts_with("error: "), "{args:?}: {}", told.err);
        assert!(!told.err.contains("panicked"), "{args:?}: {}", told.err);
        let cache = self.path("cache");
        let got = cache.exists() && fs_err::read_dir(&cache).unwrap().next().is_some();
        assert!(!got, "{args:?}: something was got first: {}", told.err);
    }
}

#[test]
fn what_is_no_file_is_told_by_its_kind() {
    let place = Place::new();
    place.write("own.yaml", SUITE);
    for (file, said) in [
        ("./fifo.yaml", "`./fifo.yaml` is a FIFO: expected a file"),
        ("./socket.yaml", "`./socket.yaml` is a socket: expected a file"),
        ("./device.yaml", "`./device.yaml` is a device: expected a file"),
        ("./folder.yaml", "`./folder.yaml` is a folder: expected a file"),
        ("./dangling.yaml", "`./dangling.yaml` is a link to nothing"),
        (
            "./loop.yaml",
            "`./loop.yaml` cannot be looked at: Too many levels of symbolic links",
        ),
        ("./missing.yaml", "there is no `./missing.yaml`"),
    ] {
        let kernel = format!("image:{file}");
        let series = format!("source:debian:trixie,series={file}");
        let calls: [&[&str]; 8] = [
            &["list", file],
            &["run", file],
            &["shell", file],
            &["compare", "--base", "debian:sid", "--new", "debian:trixie", file],
            &["matrix", file],
            &["plan", file],
            &["submit", "--slurm", "--dry-run", file],
            &["plan", "nightly", "--shard", "slice:1/2", "--times", file],
        ];
        for args in calls {
            place.refused(args, said);
        }
        if file.contains("folder") {
            place.refused(
                &["run", "-k", &kernel],
                "`./folder.yaml` has no kernel: expected ",
            );
        } else {
            place.refused(&["run", "-a", "x86_64", "-k", &kernel], said);
            place.refused(&["run", "-a", "x86_64", "-k", &series], said);
        }
    }
}

#[test]
fn what_is_no_folder_is_told_by_its_kind() {
    let place = Place::new();
    for (file, said) in [
        ("./fifo.yaml", "`./fifo.yaml` is a FIFO: expected a folder"),
        ("./empty.yaml", "`./empty.yaml` is a file: expected a folder"),
        ("./device.yaml", "`./device.yaml` is a device: expected a folder"),
    ] {
        let kernel = format!("tree:{file}");
        place.refused(&["run", "-a", "x86_64", "-k", &kernel], said);
    }
}

#[test]
fn a_suite_with_a_byte_order_mark_or_windows_lines_is_a_suite() {
    let place = Place::new();
    let windows = SUITE.replace('\n', "\r\n");
    for (name, text) in [
        ("bom/own.yaml", format!("\u{feff}{SUITE}")),
        ("crlf/own.yaml", windows.clone()),
        ("both/own.yaml", format!("\u{feff}{windows}")),
    ] {
        fs_err::create_dir(place.path(name).parent().unwrap()).unwrap();
        place.write(name, text);
        let told = place.memrig(&["list", name]);
        assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "{name}");
        assert!(
            told.out.starts_with("own: no description\n  A1 x "),
            "{}",
            told.out
        );
    }
    let wrong = format!("\u{feff}{}", SUITE.replace("suite:", "siute:"));
    place.write("wrong.yaml", wrong.replace('\n', "\r\n"));
    place.refused(&["list", "wrong.yaml"], "wrong.yaml:1:1: unknown key `siute`");
    place.write("m.yaml", format!("\u{feff}{MATRIX}").replace('\n', "\r\n"));
    let told = place.memrig(&["plan", "m.yaml", "--format", "github"]);
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""));
}

#[test]
fn what_is_no_text_is_told_with_its_place() {
    let place = Place::new();
    let utf16: Vec<u8> = SUITE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    place.write("utf16.yaml", [&b"\xff\xfe"[..], &utf16].concat());
    place.write("utf16-bare.yaml", &utf16);
    place.write("latin1.yaml", b"suite: own\nabout: M\xfcller\n");
    place.write("nul.yaml", b"suite: own\nab\0: c\n");
    place.write("gz.yaml", b"\x1f\x8b\x08\0\0\0\0\0");
    for (file, said) in [
        (
            "utf16.yaml",
            "utf16.yaml:1:1: this is UTF-16, and UTF-8 is expected\nhint: `iconv",
        ),
        ("utf16-bare.yaml", "utf16-bare.yaml:1:1: this is UTF-16"),
        ("latin1.yaml", "latin1.yaml:2:9: this is no UTF-8"),
        ("nul.yaml", "nul.yaml:2:3: a NUL byte: this is no text"),
        ("gz.yaml", "gz.yaml:1:2: this is no UTF-8"),
        ("empty.yaml", "is empty"),
    ] {
        place.refused(&["list", file], said);
        place.refused(&["plan", file], said);
    }
}

#[test]
fn a_long_line_is_not_echoed() {
    let place = Place::new();
    let long = "x".repeat(1 << 20);
    let texts = [
        format!("suite: own\n{long}: 1\ncases: []\n"),
        format!("suite: {long}\ncases: [{{ id: 1 }}]\n"),
        format!("suite: own\nabout: {long}\ncasez: []\n"),
        format!("{{ suite: own, about: {long}, casez: [] }}\n"),
        format!("suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - {long}: {{}}\n"),
        format!(
            "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - add: {{ as: b, size: {long} }}\n"
        ),
        format!(
            "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - online: {{ block: {long} }}\n"
        ),
        long.clone(),
        format!("{long}\r\n{long}"),
    ];
    for text in &texts {
        place.write("own.yaml", text);
        let told = place.memrig(&["list", "own.yaml"]);
        assert_eq!(told.code, Some(2), "{:.500}", told.err);
        assert!(told.err.contains("own.yaml:"), "{:.500}", told.err);
        assert!(
            told.err.len() < 4000,
            "{} bytes: {:.500}",
            told.err.len(),
            told.err
        );
        place.write("m.yaml", text.replace("suite: own", "matrix: own"));
        let told = place.memrig(&["plan", "m.yaml"]);
        assert_eq!(told.code, Some(2), "{:.500}", told.err);
        assert!(
            told.err.len() < 4000,
            "{} bytes: {:.500}",
            told.err.len(),
            told.err
        );
    }
    place.write(
        "m.yaml",
        format!("matrix: own\nkernels: ['{long}']\nsuites: ['{long}']\n"),
    );
    let told = place.memrig(&["plan", "m.yaml"]);
    assert!(told.code == Some(2) && told.err.len() < 4000, "{:.500}", told.err);
    place.write("times.json", format!("{{\"a\": \"{long}\"}}"));
    let told = place.memrig(&["plan", "nightly", "--shard", "slice:1/2", "--times", "times.json"]);
    assert!(told.code == Some(2) && told.err.len() < 4000, "{:.500}", told.err);
}

#[test]
fn the_caret_stands_below_its_place_in_a_line_that_was_cut() {
    let place = Place::new();
    let text = format!(
        "{{ suite: own, about: {}, casez: [], about2: {} }}\n",
        "y".repeat(500),
        "z".repeat(500)
    );
    place.write("own.yaml", text);
    let told = place.memrig(&["list", "own.yaml"]);
    let lines: Vec<&str> = told.err.lines().collect();
    let caret = lines
        .iter()
        .position(|line| line.trim_start_matches([' ', '|']).starts_with('^'))
        .unwrap();
    let (source, caret) = (lines[caret - 1], lines[caret]);
    let at = caret.chars().position(|c| c == '^').unwrap();
    let marked: String = source.chars().skip(at).take(5).collect();
    assert_eq!(marked, "casez", "{}", told.err);
    assert!(source.contains("| ...") && source.ends_with("..."), "{source}");
}
