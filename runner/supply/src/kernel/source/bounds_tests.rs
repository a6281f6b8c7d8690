// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a hostile source reaches while it is built, and what is told of a hostile series.
//!
//! Whether programs can be held is found out once in a process. So a test plays twice: as itself, which sees what became of the host, and as the
//! memrig that builds.

use std::{
    env,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use super::built_tests::{Ground, MAKEFILE};
use crate::{
    confined::Reach,
    kernel::{self, KernelSpec},
    packages::Packages,
};
use base::{Arch, ui::Ui};

/// Names the folder of whoever plays the memrig that builds.
const ROLE: &str = "MEMRIG_TEST_BUILDS_IN";

/// Where a hostile source tries to write, and whether it may; `OBJECTS`, `WORK` and `TREE` are those of the build.
const PLACES: [(&str, bool); 9] = [
    ("OBJECTS/out", true),
    ("WORK/out", false),
    ("WORK/.git/hooks/post-checkout", false),
    ("TREE/out", false),
    ("ROOT/ground/cache/built/out", false),
    ("ROOT/ground/cache/out", false),
    ("ROOT/home/out", false),
    ("ROOT/results/out", false),
    ("ROOT/ground/linux/out", false),
];

/// Tries what a hostile source may try, when it is configured and when it is built.
fn attacks() -> String {
    let writes: String = PLACES
        .iter()
        .map(|(place, _)| {
            let place = place
                .replace("OBJECTS", "$$objects")
                .replace("WORK", "$$work")
                .replace("TREE", "$$work/..")
                .replace("ROOT", "$$MEMRIG_TEST_BUILDS_IN");
            format!("echo x >{place}; ")
        })
        .collect();
    format!(
        "{writes}echo x >/tmp/$$MEMRIG_TEST_NAME; \
         perl -MIO::Socket::INET -e \"print {{IO::Socket::INET->new('127.0.0.1:'.shift) or exit 1}} 'x'\" $$MEMRIG_TEST_PORT; \
         setsid sh -c \"sleep 2; echo x >$$objects/late\" >/dev/null 2>&1 </dev/null & "
    )
}

/// Builds a source that attacks, twice.
fn builds(root: &Path) {
    let folder = tempfile::Builder::new()
        .prefix("ground")
        .rand_bytes(0)
        .tempdir_in(root);
    let ground = Ground::at(folder.unwrap());
    fs_err::create_dir(ground.cache.root().join("built")).unwrap();
    let merge = "scripts/kconfig/merge_config.sh";
    let kept = fs_err::read_to_string(ground.source().join(merge)).unwrap();
    let attack = attacks().replace("$$", "$");
    // As the kernel's own, it makes a file in its own folder.
    let own = "mktemp ./.tmp.XXXXXX || exit 1";
    ground.write(merge, &format!("{kept}work=$PWD objects=$out; {attack}\n{own}\n"));
    let attack = format!("\t@work=$$PWD objects=$(O); {} true\n", attacks());
    ground.write("Makefile", &format!("{MAKEFILE}{attack}"));
    for release in ["", "other"] {
        ground.write("release", release);
        ground.kernel(&[]);
    }
    let told = ground.ui.lines();
    let told: Vec<_> = told
        .iter()
        .filter(|line| line.contains("builds of kernels"))
        .collect();
    match Reach::here() {
        Reach::Own(_) => assert!(told.is_empty(), "{told:?}"),
        Reach::Files(_, why) | Reach::Users(why) => {
            assert!(
                !why.is_empty() && told.len() == 1 && told[0].contains(why),
                "{told:?}"
            );
        }
    }
    // Whoever started this looks at it.
    let _kept = ground.root.keep();
}

/// What came of a build in a process of its own that `starter` starts: the places that were written, `/tmp`, `late` and `net` among them.
fn reached(name: &str, starter: &[&str]) -> Vec<String> {
    let home = env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from);
    // Where things are that are not in `/tmp`.
    let root = tempfile::tempdir_in(home).unwrap();
    let root = root.path();
    for folder in ["home", "results"] {
        fs_err::create_dir(root.join(folder)).unwrap();
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let unique = format!("memrig-test-{}-{port}", std::process::id());
    let this = env::current_exe().unwrap();
    let this = this.to_str().unwrap();
    let own = [this, "--exact", name, "--nocapture"];
    let words = [starter, &own].concat();
    let played = Command::new(words[0])
        .args(&words[1..])
        .env(ROLE, root)
        .env("HOME", root.join("home"))
        .env("MEMRIG_TEST_NAME", &unique)
        .env("MEMRIG_TEST_PORT", port)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&played.stdout);
    assert!(
        played.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&played.stderr)
    );
    let trees = fs_err::read_dir(root.join("ground/cache/trees")).unwrap();
    let [tree] = trees
        .map(|tree| tree.unwrap().path())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let objects = tree.join("build/x86_64");
    let mut found = Vec::new();
    for (place, _) in PLACES {
        let path = place
            .replace("OBJECTS", objects.to_str().unwrap())
            .replace("WORK", tree.join("work").to_str().unwrap())
            .replace("TREE", tree.to_str().unwrap())
            .replace("ROOT", root.to_str().unwrap());
        if Path::new(&path).exists() {
            found.push(place.to_owned());
        }
    }
    let private = Path::new("/tmp").join(unique);
    if private.exists() {
        fs_err::remove_file(private).unwrap();
        found.push("/tmp".to_owned());
    }
    if let Ok((mut stream, _)) = listener.accept() {
        let mut said = String::new();
        stream.set_nonblocking(false).unwrap();
        stream.read_to_string(&mut said).unwrap();
        found.push(format!("net {said}"));
    }
    thread::sleep(Duration::from_secs(3));
    if objects.join("late").exists() {
        found.push("late".to_owned());
    }
    found
}

/// What is reached where nothing is held, or the network alone is not there.
fn all(with_network: bool) -> Vec<String> {
    let places = PLACES.iter().map(|(place, _)| (*place).to_owned());
    let others = ["/tmp", "net x", "late"].map(str::to_owned);
    places
        .chain(others)
        .filter(|place| with_network || !place.starts_with("net"))
        .collect()
}

#[test]
fn a_build_reaches_its_objects_alone() {
    if let Some(root) = env::var_os(ROLE) {
        return builds(Path::new(&root));
    }
    let found = reached(
        "kernel::source::bounds_tests::a_build_reaches_its_objects_alone",
        &[],
    );
    let allowed = PLACES.iter().filter(|(_, may)| *may);
    match Reach::made(&Ui::terminal()) {
        Reach::Own(_) => assert_eq!(found, allowed.map(|(place, _)| *place).collect::<Vec<_>>()),
        // A container that takes not all namespaces: the other tests' affair.
        Reach::Files(..) => assert_eq!(found, all(false)),
        Reach::Users(_) => assert_eq!(found, all(true)),
    }
}

/// What starts a program in namespaces that take no further ones of these.
fn refusing(kinds: &'static [&'static str]) -> Vec<String> {
    let refused = kinds
        .iter()
        .map(|kind| format!("echo 0 >/proc/sys/user/max_{kind}_namespaces && "));
    let script = refused.collect::<String>() + "exec \"$@\"";
    let words = ["unshare", "--user", "--map-root-user", "sh", "-c", &script, "sh"];
    words.map(str::to_owned).into()
}

/// What a build reaches that a test starts in a process of its own, where these namespaces are refused.
fn reached_without(name: &str, kinds: &'static [&'static str]) -> Vec<String> {
    let starter = match Reach::made(&Ui::terminal()) {
        Reach::Own(_) => refusing(kinds),
        // They are refused as it is.
        Reach::Files(..) | Reach::Users(_) => Vec::new(),
    };
    let starter: Vec<&str> = starter.iter().map(String::as_str).collect();
    reached(name, &starter)
}

#[test]
fn where_folders_cannot_be_taken_away_the_network_is() {
    if let Some(root) = env::var_os(ROLE) {
        assert!(!matches!(Reach::here(), Reach::Own(_)), "{:?}", Reach::here());
        return builds(Path::new(&root));
    }
    let name = "kernel::source::bounds_tests::where_folders_cannot_be_taken_away_the_network_is";
    let found = reached_without(name, &["mnt"]);
    let has_network = matches!(Reach::here(), Reach::Users(_));
    assert_eq!(found, all(has_network));
}

#[test]
fn where_namespaces_are_refused_it_is_built_and_told() {
    if let Some(root) = env::var_os(ROLE) {
        assert!(!matches!(Reach::here(), Reach::Own(_)), "{:?}", Reach::here());
        return builds(Path::new(&root));
    }
    let name = "kernel::source::bounds_tests::where_namespaces_are_refused_it_is_built_and_told";
    let found = reached_without(name, &["mnt", "net"]);
    let has_network = !matches!(Reach::here(), Reach::Files(..));
    assert_eq!(found, all(has_network));
}

#[test]
fn patches_that_change_what_is_run_are_told_before_they_are_built() {
    let ground = Ground::new();
    fs_err::create_dir(ground.source().join("mm")).unwrap();
    ground.write("mm/a.c", "int a;\n");
    ground.commit();
    ground.write("mm/a.c", "int b;\n");
    ground.commit();
    ground.write("Makefile", &format!("# no more than this\n{MAKEFILE}"));
    ground.commit();
    ground.write("Makefile", &format!("x := $(shell true)\n{MAKEFILE}"));
    for file in ["a", "b", "c", "d", "e"] {
        ground.write(&format!("scripts/{file}.sh"), "true\n");
    }
    ground.commit();
    let last = ground.mail_last(3);
    let told = "patch 3 of 3 (`a change`) changes what a build runs on this host: Makefile, scripts/a.sh, scripts/b.sh, scripts/c.sh and 2 more";
    let build = |patches: usize| {
        // Without a look into the cache first, which would tell it, too.
        let packages = Packages::refreshing(&ground.cache, &ground.ui);
        ground.build_series(last, patches, &packages);
        ground.ui.lines()
    };
    let count = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.contains("runs on this host"))
            .count()
    };
    build(0);
    let before = build(2);
    assert_eq!(count(&before), 0, "{before:?}");

    let looked = Ui::silent();
    let spec: KernelSpec = ground.series(last, 3).parse().unwrap();
    kernel::known(&spec, Arch::X86_64, &ground.cache, &looked).unwrap();
    assert_eq!(looked.lines(), [format!("warning: {told}")]);

    let lines = build(3);
    let new = &lines[before.len()..];
    let at = |words: &str| new.iter().position(|line| line.contains(words));
    assert!(at(told).unwrap() < at("build tree:").unwrap(), "{new:?}");
    // What is in the cache is not built.
    assert_eq!(count(&build(3)), 1);
}

/// What one build leaves in its objects, the next one links.
#[test]
fn what_patches_of_a_mail_run_at_build_time_leaves_nothing_to_other_builds() {
    let ground = Ground::new();
    ground.write("release", "other");
    ground.commit();
    // It finds what was built before, and leaves something.
    let plants = "\t@cat $(O)/made; echo planted >> $(O)/made; echo planted > $(O)/arch/x86/boot/part\n";
    ground.write("Makefile", &format!("{MAKEFILE}{plants}"));
    ground.commit();
    let last = ground.mail_last(2);
    let build = |patches: usize| {
        let packages = Packages::open(&ground.cache, &ground.ui);
        let built = ground.build_series(last, patches, &packages);
        fs_err::read_to_string(built.log).unwrap()
    };
    build(0);
    let log = build(2);
    assert!(
        log.contains("x86_64 memrig ++\nx86_64 memrig ++\n"),
        "it goes on from the base: {log}"
    );
    build(1);
    assert_eq!(
        ground.made(),
        ["x86_64 memrig ++", "x86_64 memrig ++"],
        "of 0 and of 1"
    );
    let trees = fs_err::read_dir(ground.root.path().join("cache/trees")).unwrap();
    for tree in trees {
        let left = fs_err::read_dir(tree.unwrap().path().join("build")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(
            left.iter().all(|name| !name.to_string_lossy().contains("apart")),
            "{left:?}"
        );
    }
}
