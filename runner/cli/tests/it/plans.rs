// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only looks (`plan`, `--dry-run`, `doctor`) gets nothing and waits for nobody.

use std::process::Command;

use camino::Utf8PathBuf;

use crate::told::{self, Told};

/// A place with an empty cache, a source that looks like a kernel's, and programs that write down that they were called.
struct Watched {
    _dir: tempfile::TempDir,
    root: Utf8PathBuf,
}

/// Programs by which something is got, installed or built.
const ACTING: [&str; 10] = [
    "apt-get",
    "apt-config",
    "apt-helper",
    "b4",
    "dpkg",
    "make",
    "ninja",
    "patch",
    "pip",
    "sudo",
];

/// What git can be asked without changing anything.
const ASKING: [&str; 7] = [
    "cat-file",
    "log",
    "merge-base",
    "rev-list",
    "rev-parse",
    "show",
    "status",
];

impl Watched {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let place = Self { _dir: dir, root };
        for folder in ["bin", "linux", "cache", "series"] {
            fs_err::create_dir(place.root.join(folder)).unwrap();
        }
        fs_err::write(place.root.join("called"), "").unwrap();
        fs_err::write(place.root.join("linux/Makefile"), "").unwrap();
        fs_err::write(place.root.join("linux/Kconfig"), "").unwrap();
        place.git(&["init", "-q", "-b", "main"]);
        place.git(&["add", "-A"]);
        place.git(&["commit", "-q", "-m", "a source"]);
        fs_err::write(place.root.join("linux/Kconfig"), "config X\n").unwrap();
        place.git(&["commit", "-q", "-a", "-m", "a change"]);
        place.git(&["format-patch", "-q", "-1", "-o", "../series"]);
        for program in ACTING {
            place.program(program, "exit 1");
        }
        let git = supply::host::in_path("git").unwrap();
        place.program("git", &format!("exec {} \"$@\"", git.display()));
        place
    }

    fn git(&self, args: &[&str]) {
        let said = Command::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@x.test"])
            .args(args)
            .current_dir(self.root.join("linux"))
            .output()
            .unwrap();
        assert!(said.status.success(), "{args:?}");
    }

    fn program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;

        let path = self.root.join("bin").join(name);
        let text = format!("#!/bin/sh\necho \"{name} $*\" >> {}/called\n{text}\n", self.root);
        fs_err::write(&path, text).unwrap();
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn memrig(&self, args: &[&str]) -> Told {
        let path = std::env::var("PATH").unwrap();
        let mut command = told::memrig();
        command
            .args(args)
            .current_dir(&self.root)
            .env("PATH", format!("{}/bin:{path}", self.root))
            .env("XDG_CACHE_HOME", self.root.join("cache"))
            .env_remove("MEMRIG_CACHE")
            .env_remove("MEMRIG_RESULTS");
        Told::by(&mut command)
    }

    /// All that is there but the list of calls, with its times.
    fn all(&self) -> String {
        let list = Command::new("find")
            .args([".", "-mindepth", "2", "-printf", "%p %s %T@\n"])
            .current_dir(&self.root)
            .output()
            .unwrap();
        String::from_utf8(list.stdout).unwrap()
    }

    /// Calls that were not questions.
    fn acted(&self) -> Vec<String> {
        let called = fs_err::read_to_string(self.root.join("called")).unwrap();
        let asks = |line: &&str| {
            let Some(words) = line.strip_prefix("git ") else {
                return false;
            };
            let mut words = words.split(' ');
            let words = std::iter::from_fn(|| match words.next() {
                Some("-c") => {
                    words.next();
                    Some("")
                }
                word => word,
            });
            let subject: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
            subject.first().is_some_and(|word| ASKING.contains(word))
        };
        let acted = called.lines().filter(|line| !asks(line));
        acted.map(str::to_owned).collect()
    }

    /// Writes m.yaml, a matrix of all of [`Self::kernels`].
    fn write_matrix(&self) {
        let kernels = self.kernels().map(|(kernel, _)| format!("'{kernel}'")).join(", ");
        let matrix = format!("matrix: m\nkernels: [{kernels}]\nsuites: [quick]\n");
        fs_err::write(self.root.join("m.yaml"), matrix).unwrap();
    }

    /// The kernels of which nothing is in the cache, and what is said of each.
    fn kernels(&self) -> [(String, &'static str); 6] {
        [
            (
                "debian:trixie".to_owned(),
                "debian:trixie for x86_64 is not in the cache: the index of trixie for amd64 would be fetched",
            ),
            (
                "source:debian:trixie".to_owned(),
                "source:debian:trixie for x86_64 is not in the cache: the index of trixie for amd64 would be fetched",
            ),
            (
                "tree:linux".to_owned(),
                "tree:linux for x86_64 is not in the cache: ",
            ),
            (
                "tree:linux@main".to_owned(),
                "tree:linux@main for x86_64 is not in the cache: ",
            ),
            (
                "tree:linux@main~1,series=series".to_owned(),
                "for x86_64 is not in the cache: the series would be applied, and built",
            ),
            (
                "tree:linux@main~1,series=b4:2@x.test".to_owned(),
                "for x86_64 is not in the cache: b4 would get the mails of `2@x.test`",
            ),
        ]
    }
}

#[test]
fn a_plan_gets_nothing_and_says_what_would_be_got() {
    let place = Watched::new();
    let before = place.all();
    let untouched = |what: &str| {
        assert_eq!(place.all(), before, "{what} left something");
        assert_eq!(place.acted(), Vec::<String>::new(), "{what}");
    };
    for (kernel, said) in place.kernels() {
        let args = [
            "run",
            "quick",
            "--dry-run",
            "-a",
            "x86_64",
            "-c",
            "Q02",
            "-k",
            &kernel,
        ];
        let told = place.memrig(&args);
        assert_eq!(told.code, Some(0), "{}", told.err);
        let lines = told.err.lines().filter(|line| line.contains(said)).count();
        assert_eq!(lines, 1, "{kernel}: {}", told.err);
        // The job goes by the label, without a release.
        let label = kernel.split(',').next().unwrap();
        assert!(told.out.starts_with(&format!("# x86_64 {label}")), "{}", told.out);
        assert!(told.out.contains(" quick/Q02"), "{}", told.out);
        assert!(told.out.contains("is not known before"), "{}", told.out);
        untouched(&kernel);
    }
    place.write_matrix();
    for args in [
        &["plan", "m.yaml"][..],
        &["plan", "m.yaml", "--format", "json"],
        &["plan", "m.yaml", "--format", "times"],
        &["submit", "--slurm", "--dry-run", "m.yaml"],
    ] {
        let told = place.memrig(args);
        assert_eq!(told.code, Some(0), "{args:?}: {}", told.err);
        for (_, said) in place.kernels() {
            assert!(told.err.contains(said), "{args:?}: {}", told.err);
        }
        let said = "QEMU for s390x is not in the cache: it would be built";
        assert_eq!(told.err.matches(said).count(), 1, "{args:?}: {}", told.err);
        untouched(&args.join(" "));
    }
    let told = place.memrig(&["doctor"]);
    assert!(
        told.code == Some(3) && told.out.contains("is not built yet"),
        "{}",
        told.out
    );
    untouched("doctor");
    for (kernel, said) in [
        ("tree:linux@v9", "has no commit `v9`"),
        ("tree:bin", "is no kernel source"),
        ("tree:linux,series=bin", "has no files `*.patch`"),
        (
            "tree:linux,series=b4:v3.mbox",
            "names no mail: expected `b4:MESSAGE-ID`",
        ),
        ("debian:potato", "expected one of bookworm, "),
    ] {
        let told = place.memrig(&["run", "quick", "--dry-run", "-a", "x86_64", "-k", kernel]);
        assert_eq!(told.code, Some(2), "{}", told.err);
        assert!(told.err.contains(said), "{}", told.err);
        untouched(kernel);
    }
}

#[test]
fn a_plan_waits_for_nobody_who_builds_or_fetches() {
    use supply::cache::{Cache, Key};

    let place = Watched::new();
    let cache = place.root.join("cache/memrig");
    let cache = Cache::at(cache.as_std_path(), &base::ui::Ui::silent()).unwrap();
    let linux = fs_err::canonicalize(place.root.join("linux")).unwrap();
    let tree = Key::new()
        .with("tree 1")
        .with("path")
        .with(linux.as_os_str().as_encoded_bytes());
    let names = [
        format!("trees/{}", tree.finish()),
        "apt/trixie-amd64".to_owned(),
        "apt/trixie-s390x".to_owned(),
        "apt/bookworm-amd64".to_owned(),
    ];
    let _held: Vec<_> = names.iter().map(|name| cache.lock(name).unwrap()).collect();
    place.write_matrix();
    for args in [
        &["plan", "m.yaml"][..],
        &["submit", "--slurm", "--dry-run", "m.yaml"],
        &["run", "--dry-run", "-k", "tree:linux", "-k", "debian:trixie"],
    ] {
        let told = place.memrig(args);
        assert_eq!(told.code, Some(0), "{args:?}: {}", told.err);
        assert!(!told.err.contains("waiting for another memrig"), "{}", told.err);
    }
}

#[test]
fn the_mails_of_a_message_id_are_got_once() {
    let place = Watched::new();
    let series = "b4:<2@x.test>";
    let walk = [
        "walk",
        "--base",
        "tree:linux@main~1",
        "--series",
        series,
        "-a",
        "x86_64",
        "quick",
    ];
    for (b4, code, said) in [
        ("echo no network >&2; exit 1", 3, "exited with 1: no network"),
        // As b4 ends where an archive has no such mail.
        ("exit 0", 2, "b4 finds no series of patches by `2@x.test`"),
        // The source is applied to, and none that could be built.
        (
            "cp \"${0%/bin/b4}\"/series/*.patch \"$3/x.mbx\"",
            3,
            "building a kernel",
        ),
        ("exit 1", 3, "building a kernel"),
    ] {
        place.program("b4", b4);
        let told = place.memrig(&walk);
        assert_eq!(told.code, Some(code), "{b4}: {}", told.err);
        assert!(told.err.contains(said), "{b4}: {}", told.err);
    }
    let called = fs_err::read_to_string(place.root.join("called")).unwrap();
    assert_eq!(
        called.lines().filter(|line| line.starts_with("b4 ")).count(),
        3,
        "{called}"
    );
    // Who has it is told what is in it.
    let kernel = "tree:linux@main~1,series=b4:2@x.test";
    let told = place.memrig(&[
        "run",
        "quick",
        "-c",
        "Q02",
        "-a",
        "x86_64",
        "--dry-run",
        "-k",
        kernel,
    ]);
    assert!(
        told.out.starts_with("# x86_64 tree:linux@main~1,series=2@"),
        "{}",
        told.out
    );
    assert!(!told.out.contains("x.test"), "{}", told.out);
}

#[test]
fn a_plan_has_the_accelerator_that_a_run_takes() {
    let rig = crate::ground::rig();
    let emulator = &rig.emulators[&base::Arch::X86_64];
    // The one whose image is there: a plan makes none.
    let kernel = format!("debian:{}", crate::ground::KERNELS[0]);
    let results = tempfile::tempdir().unwrap();
    let args = [
        "run",
        "quick",
        "-c",
        "Q02",
        "-a",
        "x86_64",
        "--dry-run",
        "-k",
        &kernel,
    ];
    let told = Told::by(told::memrig().args(args).env("MEMRIG_RESULTS", results.path()));
    assert_eq!(told.code, Some(0), "{}", told.err);
    // A /dev/kvm that is there and breaks is none.
    let accel = format!(" -accel {} ", emulator.accel_word());
    assert!(told.out.contains(&accel), "no `{accel}` in: {}", told.out);
}
