// SPDX-License-Identifier: MIT OR Apache-2.0
//! Roots that no mirror was asked for.

use super::*;

/// Makes a cache know these packages, as if they had been looked up and fetched.
pub(crate) fn stock(
    cache: &Cache,
    suite: DebianRelease,
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
    root.write("stamp.json", &Stamp { frozen: false }).unwrap();
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
pub(crate) fn lack(cache: &Cache, suite: DebianRelease, architecture: &'static str, package: &str) {
    let ui = Ui::silent();
    let root = Root::open(cache, &ui, suite, architecture).unwrap();
    let mut known = root.known().unwrap();
    let sha256 = known.packages[package].facts.sha256.clone();
    fs_err::remove_dir_all(cache.dir(Path::new("debs").join(&sha256)).unwrap()).unwrap();
    known.absent.insert(sha256);
    root.write("known.json", &known).unwrap();
}

/// Makes a cache have an index.
pub(crate) fn index(cache: &Cache, suite: DebianRelease, architecture: &'static str, text: &str) {
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
    stock(&cache, DebianRelease::Sid, "amd64", &[(&facts, b"x")]);
    let fetch = || {
        Root::open(&cache, &ui, DebianRelease::Sid, "amd64")
            .unwrap()
            .fetch(&facts)
    };
    assert!(fetch().is_ok());
    lack(&cache, DebianRelease::Sid, "amd64", "x");
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
    stock(&cache, DebianRelease::Sid, "amd64", &[]);
    let text = "Package: k-6.12.9\nVersion: 6.12.9-1\n\nPackage: k-6.12.10\nVersion: 6.12.10-1\n\n\
        Package: other\nVersion: 9\n\nPackage: k-6.12.9\nVersion: 6.12.9-2\n\n";
    index(&cache, DebianRelease::Sid, "amd64", text);
    let root = Root::open(&cache, &ui, DebianRelease::Sid, "amd64").unwrap();
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
