// SPDX-License-Identifier: MIT OR Apache-2.0
//! Roots that no mirror was asked for.

use super::*;

/// Makes a cache know these packages, as if they had been looked up and fetched.
pub(crate) fn stock(
    cache: &Cache,
    suite: DebianSuite,
    architecture: &'static str,
    debs: &[(&PackageFacts, &[u8])],
) {
    let ui = Ui::silent();
    let root = Root::open(cache, &ui, suite, architecture).unwrap();
    let mut known = Known::default();
    for (facts, bytes) in debs {
        let dir = cache.dir(Path::new("debs").join(&facts.sha256)).unwrap();
        fs_err::write(dir.join(&facts.filename), bytes).unwrap();
        let located = Located {
            facts: (*facts).clone(),
            security: false,
        };
        known.packages.insert(facts.name.clone(), located);
    }
    root.write("known.json", &known).unwrap();
    let stamp = Stamp {
        frozen: false,
        dates: Dates::default(),
    };
    root.write("stamp.json", &stamp).unwrap();
}

#[test]
fn the_upstream_tarball_is_told_from_the_other_files() {
    let text = "Package: qemu\nVersion: 1:10.0.13+ds-0\nDirectory: pool/main/q/qemu\nChecksums-Sha256:\n \
        aa 1 qemu_10.dsc\n bb 2 qemu_10.orig.tar.xz.asc\n cc 3 qemu_10.orig.tar.xz\n dd 4 qemu_10.debian.tar.xz\n";
    let found = orig_tarball(&Stanza::parse(text)).unwrap();
    assert_eq!(found.filename, "pool/main/q/qemu/qemu_10.orig.tar.xz");
    assert_eq!(found.sha256, "cc");
    assert_eq!(orig_tarball(&Stanza::parse("Package: x\nVersion: 1\n")), None);
}

#[test]
fn a_file_that_the_mirror_has_not_is_told_from_other_trouble() {
    // apt 2.6.1, `apt-helper download-file` of a file that the index lists.
    let absent = "E: Failed to fetch http://mirror.test/debian/pool/main/x.deb  404  Not Found [IP: 192.0.2.1 80]\n\
        E: Download Failed\n";
    assert!(is_absent(absent));
    assert!(!is_absent(
        "E: Failed to fetch http://mirror.test/404/x.deb  503  Busy\n"
    ));
    assert!(!is_absent(
        "E: Failed to fetch http://mirror.test/x.deb  Could not connect\n"
    ));
    assert!(!is_absent("W: 404 \n"));
}

/// Makes a cache know that the mirror does not have a package, whatever the index says.
pub(crate) fn lack(cache: &Cache, suite: DebianSuite, architecture: &'static str, package: &str) {
    let ui = Ui::silent();
    let root = Root::open(cache, &ui, suite, architecture).unwrap();
    let mut known = root.known().unwrap();
    let sha256 = known.packages[package].facts.sha256.clone();
    fs_err::remove_dir_all(cache.dir(Path::new("debs").join(&sha256)).unwrap()).unwrap();
    known.absent.insert(sha256);
    root.write("known.json", &known).unwrap();
}

/// Makes a cache have an index.
pub(crate) fn index(cache: &Cache, suite: DebianSuite, architecture: &'static str, text: &str) {
    let ui = Ui::silent();
    let root = Root::open(cache, &ui, suite, architecture).unwrap();
    let lists = root.dir.join("state/lists");
    fs_err::create_dir_all(&lists).unwrap();
    let file = format!("mirror_dists_{suite}_main_binary-{architecture}_Packages");
    fs_err::write(lists.join(file), text).unwrap();
}

#[test]
fn what_is_known_to_be_absent_is_not_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::silent();
    let cache = Cache::at(dir.path(), &ui).unwrap();
    let facts = PackageFacts {
        filename: "x.deb".to_owned(),
        sha256: "00".to_owned(),
        ..crate::packages::tests::facts("x", "")
    };
    stock(&cache, DebianSuite::Sid, "amd64", &[(&facts, b"x")]);
    let fetch = || {
        Root::open(&cache, &ui, DebianSuite::Sid, "amd64")
            .unwrap()
            .fetch(&facts)
    };
    assert!(fetch().is_ok());
    lack(&cache, DebianSuite::Sid, "amd64", "x");
    let error = fetch().unwrap_err();
    assert!(matches!(error, PackagesError::Absent { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.starts_with("the index of sid for amd64 lists x 1, and the mirror"),
        "{said}"
    );
}

#[test]
fn names_come_by_their_newest_version() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::silent();
    let cache = Cache::at(dir.path(), &ui).unwrap();
    stock(&cache, DebianSuite::Sid, "amd64", &[]);
    let text = "Package: k-6.12.9\nVersion: 6.12.9-1\n\nPackage: k-6.12.10\nVersion: 6.12.10-1\n\n\
        Package: other\nVersion: 9\n\nPackage: k-6.12.9\nVersion: 6.12.9-2\n\n";
    index(&cache, DebianSuite::Sid, "amd64", text);
    let root = Root::open(&cache, &ui, DebianSuite::Sid, "amd64").unwrap();
    let names = root.names(|name| name.starts_with("k-")).unwrap();
    assert_eq!(names, ["k-6.12.10", "k-6.12.9"]);
}

#[test]
fn advice_fits_what_apt_said() {
    assert!(hint("W: GPG error: NO_PUBKEY 1234").ends_with("install a newer debian-archive-keyring"));
    assert!(hint("E: The repository 'x' is not signed.").contains("cannot show a signature"));
    assert_eq!(hint("E: 500\n"), "E: 500");
    assert!(hint("E: Failed to fetch http://m.test/x.deb  404  Not Found").ends_with("or another mirror"));
    assert!(is_full(
        "E: Failed to fetch x  Write error - write (28: No space left on device)"
    ));
    assert!(!is_full("E: Failed to fetch x  404  Not Found"));
    assert_eq!(first_line("W: hm\nE: no\n"), "E: no");
    assert_eq!(first_line(""), "it failed");
}

#[test]
fn a_package_of_a_version_is_found_beside_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::silent();
    let cache = Cache::at(dir.path(), &ui).unwrap();
    stock(&cache, DebianSuite::Sid, "amd64", &[]);
    let stanza = |version: &str, sha256: &str| {
        format!(
            "Package: k\nVersion: {version}\nArchitecture: amd64\nSHA256: {sha256}\nSize: 1\nFilename: k_{version}.deb\n\n"
        )
    };
    index(
        &cache,
        DebianSuite::Sid,
        "amd64",
        &(stanza("1", "aa") + &stanza("2", "bb")),
    );
    let root = Root::open(&cache, &ui, DebianSuite::Sid, "amd64").unwrap();
    // Twice: the second answer is the one that was kept.
    for _ in 0..2 {
        assert_eq!(root.resolve("k").unwrap().sha256, "bb");
        assert_eq!(root.resolve_version("k", "1").unwrap().sha256, "aa");
        assert_eq!(root.resolve_version("k", "2").unwrap().sha256, "bb");
        let error = root.resolve_version("k", "3").unwrap_err();
        assert!(matches!(error, PackagesError::NoSuchPackage { .. }), "{error}");
    }
    // One that is listed no longer is told with what there is instead.
    let old = PackageFacts {
        version: "0".to_owned(),
        ..root.resolve("k").unwrap()
    };
    let old = PackageFacts {
        sha256: "00".to_owned(),
        ..old
    };
    let error = root.fetch(&old).unwrap_err().to_string();
    assert!(
        error.starts_with("k 0 is no longer in sid, which now has 2"),
        "{error}"
    );
}

#[test]
fn a_suite_that_the_mirror_lacks_is_told_at_once() {
    // apt 2.6.1, `apt-get update`.
    let said = "E: The repository 'http://mirror.test/debian potato Release' does not have a Release file.\n";
    assert!(is_settled(said) && is_settled("W: GPG error: NO_PUBKEY 1"));
    assert!(!is_settled("E: Failed to fetch http://mirror.test/x  503  Busy"));
    assert!(hint(said).ends_with("name another one by MEMRIG_MIRROR, or another suite"));
}

/// An archive of one package, signed by a key that signs nothing else.
const PACKAGES: &str = include_str!("archive/Packages");
const KEY: &str = include_str!("archive/key.asc");
/// Made on 2026-01-01 and on the day after it.
const OLD: &str = include_str!("archive/InRelease-old");
const NEW: &str = include_str!("archive/InRelease-new");

/// What is told when an index is fetched from a mirror that sends this; its index is then read.
fn told_of(cache: &Cache, mirror: &Path, release: &str) -> Vec<String> {
    let dist = mirror.join("debian/dists/sid");
    fs_err::create_dir_all(dist.join("main/binary-amd64")).unwrap();
    fs_err::write(dist.join("main/binary-amd64/Packages"), PACKAGES).unwrap();
    fs_err::write(dist.join("InRelease"), release).unwrap();
    let etc = mirror.join("etc");
    fs_err::create_dir_all(&etc).unwrap();
    fs_err::write(etc.join("key.asc"), KEY).unwrap();
    let place = mirror.display();
    let line = format!("deb [signed-by={place}/etc/key.asc] copy:{place}/debian sid main\n");
    fs_err::write(etc.join("sources.list"), line).unwrap();
    let ui = Ui::silent();
    let mut root = Root::open(cache, &ui, DebianSuite::Sid, "amd64").unwrap();
    root.etc = etc;
    root.update().unwrap();
    assert_eq!(root.resolve("x").unwrap().version, "1");
    let lines = ui.lines().into_iter();
    lines.filter(|line| line.contains("was seen before")).collect()
}

#[test]
fn an_index_that_is_sent_again_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(&dir.path().join("cache"), &Ui::silent()).unwrap();
    let mirror = |name: &str| dir.path().join(name);
    let none: [String; 0] = [];
    assert_eq!(told_of(&cache, &mirror("one"), OLD), none);
    assert_eq!(told_of(&cache, &mirror("one"), NEW), none);
    // It does not say that it is unchanged, and is not older.
    assert_eq!(told_of(&cache, &mirror("one"), NEW), none);
    let again = |then: &str| {
        let what = "the mirror sends an index of sid that was made 2026-01-01 08:00 UTC, and one of 2026-01-02 08:00 was seen before: \
            it stands still, or somebody sends an old one again";
        [format!("warning: {what}; {then}")]
    };
    for _ in 0..2 {
        let told = told_of(&cache, &mirror("one"), OLD);
        assert_eq!(told, again("the newer one is kept"));
    }
    let told = told_of(&cache, &mirror("another"), OLD);
    assert_eq!(told, again("its signature holds, so it is used as it is"));
    assert_eq!(told_of(&cache, &mirror("one"), NEW), none);
}
