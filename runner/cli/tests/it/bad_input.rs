// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong in the call or in a suite is told before anything boots, with exit code 2.

use std::path::Path;

use crate::told::{self, Told};

fn memrig(args: &[&str], results: &Path) -> Told {
    Told::by(told::memrig().args(args).env("MEMRIG_RESULTS", results))
}

/// Expects exit code 2 and each of the words.
fn usage(told: &Told, words: &[&str]) {
    assert_eq!(told.code, Some(2), "{}", told.err);
    for word in words {
        assert!(told.err.contains(word), "no `{word}` in: {}", told.err);
    }
}

/// Runs a suite, and expects exit code 2 and each of the words.
fn refused(text: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.yaml");
    fs_err::write(&path, text).unwrap();
    usage(&memrig(&["run", path.to_str().unwrap()], folder.path()), words);
    assert!(!folder.path().join("latest").exists(), "a run was started");
}

#[test]
fn an_unknown_key_of_a_suite() {
    refused(
        "suite: own\ncasez: []\ncases: []\n",
        &["own.yaml:2:1", "casez", "^"],
    );
}

#[test]
fn an_unknown_step() {
    let text = "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - onlien: { block: b }\n";
    refused(text, &["own.yaml:6:", "onlien", "online"]);
}

#[test]
fn a_wrong_unit() {
    let text =
        "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - add: { as: b, size: 128X }\n";
    refused(text, &["own.yaml:6:", "128X"]);
}

#[test]
fn a_block_that_does_not_exist() {
    let text = "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - online: { block: c }\n";
    refused(text, &["own.yaml:6:", "`c`"]);
}

#[test]
fn a_file_for_the_guest_that_is_not_there() {
    let text = "suite: own\ncases:\n  - id: A1\n    name: x\n    steps:\n      - guest: { run: x, files: [gone.sh] }\n";
    refused(
        text,
        &[
            "own.yaml:6: the file `gone.sh` for the guest",
            "the folder of the suite",
        ],
    );
}

#[test]
fn an_id_that_comes_twice() {
    let case = "  - id: A1\n    name: x\n    steps:\n      - add: { as: b }\n";
    refused(
        &format!("suite: own\ncases:\n{case}{case}"),
        &["own.yaml:7:", "A1"],
    );
}

#[test]
fn more_memory_than_the_host_has() {
    let text = "suite: own\nmachine: { memory: 4096GiB }\ncases:\n  - id: A1\n    name: x\n    steps:\n      - add: { as: b }\n";
    refused(text, &["own.yaml:4", "4T", "A1"]);
}

#[test]
fn several_runs_where_one_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &[][..],
        &["--format", "csv"],
        &["--format", "lcov", "--write"],
        &["--bundle", "x.tar.gz"],
    ] {
        let words = [
            "2 runs are named, and of several only the code that their cases ran is told together",
            "--format coverage-md",
        ];
        usage(
            &memrig(&[&["report", "one", "two"], args].concat(), folder.path()),
            &words,
        );
    }
}

#[test]
fn code_that_no_run_has_covered() {
    let folder = tempfile::tempdir().unwrap();
    let reaches = |code: &str| {
        memrig(
            &["run", "-k", "debian:trixie", "-a", "s390x", "--reaches", code],
            folder.path(),
        )
    };
    let words = [
        "which cases reach offline_pages is not known",
        "memrig run all --cover -k debian:trixie -a s390x",
    ];
    usage(&reaches("offline_pages"), &words);
    let words = ["`mm/memory_hotplug.c` names no code: expected FUNCTION"];
    usage(&reaches("mm/memory_hotplug.c"), &words);
    assert!(!folder.path().join("latest").exists(), "a run was started");
}

#[test]
fn a_kernel_that_is_none_or_of_the_other_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernel");
    fs_err::write(&path, "#!/bin/sh\necho this is no kernel\n").unwrap();
    let kernel = format!("image:{}", path.display());
    for arch in ["x86_64", "s390x"] {
        let told = memrig(&["run", "quick", "-a", arch, "-k", &kernel], folder.path());
        assert_eq!(told.code, Some(2), "{}", told.err);
        assert!(told.err.contains("cannot be booted"), "{}", told.err);
    }
    let other = folder.path().join("vmlinux");
    format::samples::vmlinux(&other, &["-Wl,--build-id=0x0123456789abcdef"]);
    let rig = crate::ground::rig();
    for prepared in &rig.kernels {
        let kernel = format!("image:{}", prepared.kernel.image.display());
        let foreign = memrig_base_other(prepared.kernel.arch);
        let told = memrig(&["run", "quick", "-a", foreign, "-k", &kernel], folder.path());
        assert_eq!(told.code, Some(2), "{}", told.err);
        assert!(told.err.contains("cannot be booted"), "{}", told.err);
        // An image is not the file that has the line tables.
        let lines = format!("{kernel},vmlinux={}", path.display());
        let arch = prepared.kernel.arch.to_string();
        let told = memrig(&["run", "quick", "-a", &arch, "-k", &lines], folder.path());
        assert_eq!(told.code, Some(2), "{}", told.err);
        assert!(told.err.contains("not a readable ELF file"), "{}", told.err);
        // Nor are the line tables of another program those of a kernel.
        let lines = format!("{kernel},vmlinux={}", other.display());
        let told = memrig(&["run", "quick", "-a", &arch, "-k", &lines], folder.path());
        assert_eq!(told.code, Some(2), "{}", told.err);
        assert!(
            told.err
                .contains("its build id is 0123456789abcdef, and that of the image "),
            "{}",
            told.err
        );
    }
}

#[test]
fn a_kernel_of_which_a_part_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernel");
    let kernel = format!("image:{}", path.display());
    let told = |arch: base::Arch, image: &[u8]| {
        fs_err::write(&path, image).unwrap();
        memrig(
            &[
                "run",
                "quick",
                "-a",
                &arch.to_string(),
                "-k",
                &kernel,
                "--dry-run",
            ],
            folder.path(),
        )
    };
    for prepared in &crate::ground::rig().kernels {
        let (arch, image) = (
            prepared.kernel.arch,
            fs_err::read(&prepared.kernel.image).unwrap(),
        );
        for length in [image.len() / 10, image.len() / 2, image.len() - 8192] {
            let told = told(arch, &image[..length]);
            assert_eq!(told.code, Some(2), "{length}: {}", told.err);
            assert!(told.err.contains("it is cut off"), "{length}: {}", told.err);
        }
        let told = told(arch, b"");
        assert_eq!(told.code, Some(2), "{}", told.err);
        assert!(told.err.contains("it is empty"), "{}", told.err);
    }
}

fn memrig_base_other(arch: base::Arch) -> &'static str {
    match arch {
        base::Arch::X86_64 => "s390x",
        base::Arch::S390x => "x86_64",
    }
}

#[test]
fn a_results_folder_that_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    let told = memrig(&["run", "quick"], &file.join("results"));
    assert_eq!(told.code, Some(2), "{}", told.err);
    assert!(
        told.err.contains("results folder") && told.err.contains("--results"),
        "{}",
        told.err
    );
}

#[test]
fn a_suite_a_kernel_and_a_case_that_nobody_knows() {
    let folder = tempfile::tempdir().unwrap();
    let told = memrig(&["run", "quik"], folder.path());
    assert_eq!(told.code, Some(2), "{}", told.err);
    assert!(told.err.contains("there is no suite `quik`"), "{}", told.err);
    let told = memrig(&["run", "quick", "-k", "debian:potato"], folder.path());
    assert_eq!(told.code, Some(2), "{}", told.err);
    assert!(told.err.contains("expected one of bookworm, "), "{}", told.err);
}

/// Calls with a cache that is empty: what is wrong is told before anything is got.
fn at_once(args: &[&str], code: i32, said: &str) {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let told = Told::by(
        told::memrig()
            .args(args)
            .env("MEMRIG_RESULTS", folder.path().join("results"))
            .env("MEMRIG_CACHE", &cache)
            .current_dir(folder.path()),
    );
    let text = &told.err;
    assert_eq!(told.code, Some(code), "{text}");
    assert!(text.contains(said), "no `{said}` in: {text}");
    let got = cache.exists() && fs_err::read_dir(&cache).unwrap().next().is_some();
    assert!(!got, "something was got first: {text}");
}

#[test]
fn nothing_is_got_for_a_name_that_fits_nothing() {
    at_once(
        &["run", "quick", "-c", "Q02", "-c", "Q77"],
        4,
        "error: nothing is selected: no case has the id `Q77`, or a name that contains it, in suites/quick.yaml\n\
         hint: `memrig list` shows suites and cases\n",
    );
    at_once(
        &["shell", "quick", "--variant", "memmap_on_memory=maybe"],
        4,
        "error: nothing is selected: no case has the variant `memmap_on_memory=maybe`, in suites/quick.yaml\n",
    );
}

#[test]
fn a_source_that_is_not_there_is_told_before_anything_is_got() {
    for (kernel, said) in [
        ("tree:/no/such/tree", "there is no folder `/no/such/tree`"),
        (
            "tree:/etc",
            "`/etc` is no kernel source: it has no Makefile and Kconfig",
        ),
        (
            "source:debian:trixie,config=kmsan",
            "no configuration `kmsan`: there are dax, gcov, kasan, ",
        ),
        (
            "source:debian:trixie,series=/no/such/series",
            "there is no `/no/such/series`",
        ),
        ("image:/no/such/image", "there is no `/no/such/image`"),
        ("deb:/no/such.deb", "there is no `/no/such.deb`"),
        (
            "a b=debian:sid",
            "`a b` in `a b=debian:sid` is no name for a kernel",
        ),
    ] {
        at_once(&["run", "quick", "-a", "x86_64", "-k", kernel], 2, said);
    }
}

#[test]
fn a_qemu_that_is_none_or_of_the_other_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let x86 = crate::firmware::qemu().binary;
    for (arch, binary, said) in [
        (
            "x86_64",
            "/no/such/qemu",
            "starting `/no/such/qemu`\n  caused by: No such file or directory",
        ),
        (
            "x86_64",
            "/bin/true",
            "`/bin/true` does not answer over QMP: QEMU exited with 0",
        ),
        ("s390x", x86.to_str().unwrap(), "emulates x86_64, not s390x"),
    ] {
        let named = format!("{arch}={binary}");
        let args = ["run", "quick", "-a", arch, "-k", "debian:sid", "--qemu", &named];
        let told = memrig(&args, folder.path());
        assert_eq!(told.code, Some(2), "{}", told.err);
        assert!(
            told.err.starts_with(&format!("error: --qemu {arch}=")),
            "{}",
            told.err
        );
        assert!(told.err.contains(said), "{}", told.err);
    }
}

#[test]
fn a_cache_that_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    for verb in ["run", "setup"] {
        let told = Told::by(
            told::memrig()
                .arg(verb)
                .env("MEMRIG_RESULTS", folder.path())
                .env_remove("MEMRIG_CACHE")
                .env("XDG_CACHE_HOME", &file),
        );
        let text = &told.err;
        assert_eq!(told.code, Some(2), "{text}");
        let said = format!(
            "error: using the cache at `{}/memrig` (another place can be named by MEMRIG_CACHE)\n  caused by: failed to create directory",
            file.display()
        );
        assert!(text.starts_with(&said), "{text}");
        assert!(!text.contains("hint"), "{text}");
    }
}

#[test]
fn no_place_for_a_cache() {
    let told = Told::by(
        told::memrig()
            .args(["setup", "-a", "x86_64"])
            .env_remove("MEMRIG_CACHE")
            .env_remove("XDG_CACHE_HOME")
            .env_remove("HOME"),
    );
    assert_eq!(
        (told.code, &*told.err),
        (
            Some(2),
            "error: no place for the cache: set MEMRIG_CACHE to a directory, or HOME\n"
        )
    );
}

#[test]
fn a_suite_that_is_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.yaml");
    fs_err::write(&path, b"suite: own\nab\xff\n").unwrap();
    let told = memrig(&["run", path.to_str().unwrap()], folder.path());
    assert_eq!(told.code, Some(2), "{}", told.err);
    assert!(
        told.err.contains("own.yaml:2:3: this is no UTF-8"),
        "{}",
        told.err
    );
}

#[test]
fn nothing_selected_has_a_code_of_its_own() {
    crate::ground::rig();
    let folder = tempfile::tempdir().unwrap();
    // There is such a case, and it means nothing there.
    let told = memrig(
        &["run", "quick", "-k", "debian:trixie", "-a", "s390x", "-c", "Q06"],
        folder.path(),
    );
    assert_eq!(told.code, Some(4), "{}", told.err);
}
