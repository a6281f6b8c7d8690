// SPDX-License-Identifier: MIT OR Apache-2.0

use std::{collections::BTreeMap, os::unix::fs::MetadataExt, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    cache::{Cache, sha256_file},
    git::Git,
    packages::Packages,
    tree::{Origin, SourceTree, TreeError},
};
use ::base::fault::{Blame, Blamed as _};
use ::base::ui::Ui;

/// A folder with something like a kernel's source in git, and a cache.
struct Ground {
    root: TempDir,
    ui: Ui,
    cache: Cache,
}

const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";

impl Ground {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let ui = Ui::silent();
        let cache = Cache::at(&root.path().join("cache"), &ui).unwrap();
        let ground = Self { root, ui, cache };
        fs_err::create_dir_all(ground.users().join("mm")).unwrap();
        ground.write("Makefile", "all:\n");
        ground.write("Kconfig", "");
        ground.write(".gitignore", "*.o\n");
        ground.write("mm/a.c", LINES);
        ground.write("mm/b.c", LINES);
        ground
    }

    fn with_git() -> Self {
        let ground = Self::new();
        ground.git(&["init", "-q", "-b", "main"]);
        ground.commit("start");
        ground
    }

    fn users(&self) -> std::path::PathBuf {
        self.root.path().join("linux")
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.users().join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        crate::git::installed();
        Git::ours(self.users()).run(args).unwrap()
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Writes the commits after `base` as a folder of patches.
    fn patches(&self, base: &str) -> SeriesSource {
        let folder = self.root.path().join("patches");
        self.git(&["format-patch", "-q", "-o", folder.to_str().unwrap(), base]);
        folder.to_str().unwrap().parse().unwrap()
    }

    fn open(&self, commit: Option<&str>) -> Result<SourceTree, TreeError> {
        let origin = Origin::Path {
            path: self.users(),
            commit: commit.map(str::to_owned),
        };
        SourceTree::open(
            &origin,
            &Packages::open(&self.cache, &self.ui),
            &self.cache,
            &self.ui,
        )
    }
}

/// Everything in a folder: names, contents, and when they changed.
fn everything(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs_err::symlink_metadata(&path).unwrap();
        let what = if meta.is_file() {
            sha256_file(&path).unwrap()
        } else {
            String::new()
        };
        let when = (
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
            meta.ino(),
        );
        found.insert(
            path.display().to_string(),
            format!("{what} {when:?} {:o}", meta.mode()),
        );
        if meta.is_dir() {
            found.extend(everything(&path));
        }
    }
    found
}

fn untouched(ground: &Ground, before: &BTreeMap<String, String>) {
    let after = everything(&ground.users());
    let other: Vec<_> = before
        .iter()
        .chain(&after)
        .filter(|(name, _)| before.get(*name) != after.get(*name))
        .collect();
    assert!(other.is_empty(), "the user's tree was touched: {other:#?}");
}

fn read(tree: &SourceTree, file: &str) -> String {
    fs_err::read_to_string(tree.work().join(file)).unwrap()
}

/// A series of two patches on the first commit: the ground, the series, and the two commits.
fn two() -> (Ground, SeriesSource, String) {
    let ground = Ground::with_git();
    let start = ground.git(&["rev-parse", "HEAD"]);
    ground.write("mm/a.c", &LINES.replace("3\n", "three\n"));
    ground.commit("mm: three");
    ground.write(
        "mm/a.c",
        &LINES.replace("3\n", "three\n").replace("10\n", "ten\n"),
    );
    ground.write("mm/new.c", "new\n");
    ground.commit("mm: ten");
    let series = ground.patches(&start);
    (ground, series, start)
}

#[test]
fn a_series_becomes_commits_and_the_users_tree_stays_as_it_is() {
    let (ground, series, start) = two();
    ground.git(&["checkout", "-q", "-B", "main", &start]);
    ground.write("mm/b.c", "not committed\n");
    ground.write("mm/unknown.c", "not known to git\n");
    let before = everything(&ground.users());
    let ids = {
        let tree = ground.open(None).unwrap();
        let series = series.load(&ground.cache).unwrap();
        let chosen = base(&series, &tree).unwrap();
        assert!(chosen.why.contains("the series names none"), "{}", chosen.why);
        let applied = apply(&series, &chosen.commit, &tree).unwrap();
        assert_eq!(applied.stopped, None);
        let titles: Vec<&str> = applied.patches.iter().map(|patch| patch.title.as_str()).collect();
        assert_eq!(titles, ["mm: three", "mm: ten"]);
        tree.check_out(&applied.patches[0].commit).unwrap();
        assert!(read(&tree, "mm/a.c").contains("three\n") && !tree.work().join("mm/new.c").exists());
        tree.check_out(&applied.patches[1].commit).unwrap();
        assert!(read(&tree, "mm/a.c").contains("three\n4") && read(&tree, "mm/a.c").contains("ten\n"));
        assert_eq!(read(&tree, "mm/b.c"), "not committed\n");
        assert!(!tree.work().join("mm/unknown.c").exists());
        applied
    };
    // Again, and from nothing: the same commits.
    let tree = ground.open(None).unwrap();
    assert_eq!(
        apply(&series.load(&ground.cache).unwrap(), tree.base(), &tree).unwrap(),
        ids
    );
    let (dir, other) = (tree.dir().to_owned(), tree.base().to_owned());
    assert!(!dir.join("apply").exists() && !dir.join("apply.mbox").exists());
    drop(tree);
    fs_err::remove_dir_all(dir).unwrap();
    let tree = ground.open(None).unwrap();
    assert_eq!(tree.base(), other);
    assert_eq!(
        apply(&series.load(&ground.cache).unwrap(), tree.base(), &tree).unwrap(),
        ids
    );
    untouched(&ground, &before);
}

#[test]
fn an_excerpt_makes_the_same_commits_as_all_files_do() {
    let (ground, series, start) = two();
    ground.git(&["checkout", "-q", "-B", "main", &start]);
    // So that the second one is merged.
    ground.write("mm/a.c", &LINES.replace("6\n", "six\n"));
    ground.commit("mm: six");
    let tree = ground.open(None).unwrap();
    let LoadedSeries::Mails { series, .. } = series.load(&ground.cache).unwrap() else {
        panic!("a folder of mails")
    };
    let few = excerpt::mails(&series.patches, tree.base(), &tree)
        .unwrap()
        .expect("both apply");
    assert_eq!(few.len(), 2);
    let all = apply::with_all_files(&series.patches, tree.base(), &tree).unwrap();
    assert_eq!((few, None), (all.patches, all.stopped));
}

#[test]
fn what_an_excerpt_does_not_show_is_seen_with_all_files() {
    let (ground, series, start) = two();
    let tried = |files: &[&str]| {
        ground.git(&["checkout", "-q", "-B", "main", &start]);
        for file in files {
            ground.write(file, "else\n");
        }
        ground.commit("something else");
        let tree = ground.open(None).unwrap();
        let LoadedSeries::Mails { series, before } = series.load(&ground.cache).unwrap() else {
            panic!("a folder of mails")
        };
        let few = excerpt::mails(&series.patches, tree.base(), &tree).unwrap();
        assert!(!tree.dir().join("apply").exists());
        let applied = apply(&LoadedSeries::Mails { series, before }, tree.base(), &tree).unwrap();
        (few.is_some(), applied.patches.len())
    };
    assert_eq!(tried(&["mm/b.c"]), (true, 2));
    // A folder where the second patch makes a file: git sees that when it merges at the latest.
    assert_eq!(tried(&["mm/new.c/x.c"]), (false, 1));
    // A file that was renamed is found among all files.
    ground.git(&["checkout", "-q", "-B", "main", &start]);
    ground.git(&["mv", "mm/a.c", "mm/z.c"]);
    // Git takes whatever is most like it.
    ground.write("mm/b.c", "else\n");
    ground.commit("mm: renamed");
    let tree = ground.open(None).unwrap();
    let applied = apply(&series.load(&ground.cache).unwrap(), tree.base(), &tree).unwrap();
    tree.check_out(&applied.patches[1].commit).unwrap();
    assert!(read(&tree, "mm/z.c").contains("ten\n"));
}

#[test]
fn a_patch_that_does_not_apply_is_named_with_its_hunk() {
    let (ground, series, start) = two();
    ground.git(&["checkout", "-q", "-B", "main", &start]);
    ground.write("mm/a.c", &LINES.replace("10\n", "dix\n"));
    ground.commit("mm: dix");
    let tree = ground.open(Some("main")).unwrap();
    let applied = apply(&series.load(&ground.cache).unwrap(), tree.base(), &tree).unwrap();
    assert_eq!(applied.patches.len(), 1);
    let stopped = applied.stopped.unwrap();
    assert_eq!(
        (stopped.number, stopped.total, stopped.file.as_deref()),
        (2, 2, Some("mm/a.c"))
    );
    assert!(
        stopped
            .hunk
            .as_deref()
            .is_some_and(|hunk| hunk.starts_with("@@ -7,6")),
        "{stopped:?}"
    );
    assert!(
        stopped
            .to_string()
            .starts_with("patch 2 of 2 (`mm: ten`) does not apply: the hunk `@@ -7,6")
    );
    // What is there already is no patch either.
    drop(tree);
    ground.git(&["checkout", "-q", "-B", "main", &start]);
    ground.write("mm/a.c", &LINES.replace("3\n", "three\n"));
    ground.commit("mm: three already");
    let tree = ground.open(None).unwrap();
    let stopped = apply(&series.load(&ground.cache).unwrap(), tree.base(), &tree)
        .unwrap()
        .stopped
        .unwrap();
    assert_eq!(
        (stopped.number, stopped.said.as_str()),
        (1, "all of it is in the tree already")
    );
}

#[test]
fn what_is_near_by_is_merged() {
    let (ground, series, start) = two();
    ground.git(&["checkout", "-q", "-B", "main", &start]);
    // The context of the first patch is another one; its content is in the tree's history.
    ground.write("mm/a.c", &LINES.replace("6\n", "six\n"));
    ground.commit("mm: six");
    let tree = ground.open(None).unwrap();
    let applied = apply(&series.load(&ground.cache).unwrap(), tree.base(), &tree).unwrap();
    assert_eq!(applied.stopped, None);
    tree.check_out(&applied.patches[1].commit).unwrap();
    let merged = LINES
        .replace("3\n", "three\n")
        .replace("6\n", "six\n")
        .replace("10\n", "ten\n");
    assert_eq!(read(&tree, "mm/a.c"), merged);
}

#[test]
fn the_base_that_a_series_names_is_taken_where_it_is_there() {
    let (ground, _, start) = two();
    let folder = ground.root.path().join("based");
    let based = format!("--base={start}");
    ground.git(&[
        "format-patch",
        "-q",
        &based,
        "-o",
        folder.to_str().unwrap(),
        &start,
    ]);
    let series: SeriesSource = folder.to_str().unwrap().parse().unwrap();
    let tree = ground.open(None).unwrap();
    let loaded = series.load(&ground.cache).unwrap();
    let chosen = base(&loaded, &tree).unwrap();
    assert_eq!(
        (chosen.commit.as_str(), chosen.why.as_str()),
        (start.as_str(), "base-commit of the series")
    );
    assert_eq!(apply(&loaded, &chosen.commit, &tree).unwrap().patches.len(), 2);
    drop(tree);
    let named = ground.open(Some("main")).unwrap();
    let chosen = base(&loaded, &named).unwrap();
    assert_eq!(chosen.commit, named.base());
    assert!(chosen.why.starts_with("it was named"), "{}", chosen.why);
}

#[test]
fn a_range_is_a_series_and_merges_are_none() {
    let (ground, _, start) = two();
    let series: SeriesSource = format!("{start}..main").parse().unwrap();
    {
        let tree = ground.open(None).unwrap();
        let loaded = series.load(&ground.cache).unwrap();
        assert_eq!(base(&loaded, &tree).unwrap().commit, start);
        let applied = apply(&loaded, &start, &tree).unwrap();
        assert_eq!(applied.patches.len(), 2);
        tree.check_out(&applied.patches[0].commit).unwrap();
        assert!(read(&tree, "mm/a.c").contains("three\n"));
        let nowhere = "nothing..main"
            .parse::<SeriesSource>()
            .unwrap()
            .load(&ground.cache)
            .unwrap();
        assert!(
            base(&nowhere, &tree)
                .unwrap_err()
                .to_string()
                .contains("no commit `nothing`")
        );
    }
    ground.git(&["checkout", "-q", "-b", "side", &start]);
    ground.write("mm/b.c", "side\n");
    ground.commit("side");
    ground.git(&["merge", "-q", "--no-edit", "main"]);
    let tree = ground.open(None).unwrap();
    let loaded = format!("{start}..side")
        .parse::<SeriesSource>()
        .unwrap()
        .load(&ground.cache)
        .unwrap();
    let merged = apply(&loaded, &start, &tree).unwrap_err().to_string();
    assert!(merged.contains("has merges"), "{merged}");
}

#[test]
fn an_unpacked_source_is_as_good_as_a_git_tree() {
    let (ground, series, start) = two();
    ground.git(&["checkout", "-q", "-B", "main", &start]);
    fs_err::remove_dir_all(ground.users().join(".git")).unwrap();
    ground.write("mm/a.o", "product of a build");
    let before = everything(&ground.users());
    let tree = ground.open(None).unwrap();
    let applied = apply(&series.load(&ground.cache).unwrap(), tree.base(), &tree).unwrap();
    assert_eq!(applied.patches.len(), 2);
    tree.check_out(&applied.patches[1].commit).unwrap();
    assert!(read(&tree, "mm/a.c").contains("ten\n") && !tree.work().join("mm/a.o").exists());
    assert_eq!(
        everything(&ground.users()),
        before,
        "the user's folder was touched"
    );
    drop(tree);
    let named = ground.open(Some("v1")).unwrap_err();
    assert!(
        named.blame() == Blame::Usage && named.to_string().contains("is not the top of a git tree"),
        "{named}"
    );
}

#[test]
fn what_is_no_source_is_told() {
    let ground = Ground::with_git();
    let missing = ground.open(Some("v9")).unwrap_err();
    assert!(
        missing.blame() == Blame::Usage && missing.to_string().contains("has no commit `v9`"),
        "{missing}"
    );
    ground.git(&["rm", "-q", "Kconfig"]);
    ground.commit("no kernel");
    assert!(matches!(ground.open(None), Err(TreeError::NoKernel(_))));
}

#[test]
fn series_by_name() {
    for text in ["a..b", "v6.1..topic/x", "HEAD~3..HEAD"] {
        let source: SeriesSource = text.parse().unwrap();
        assert!(matches!(source.place, SeriesPlace::Range { .. }), "{text}");
        assert_eq!(source.to_string(), text);
    }
    for text in ["x.mbox", "../patches", "..", "/tmp/a..b/x.mbox", "./x"] {
        let source: SeriesSource = text.parse().unwrap();
        assert_eq!(source, SeriesSource::of(SeriesPlace::Mails(text.into())));
    }
    for text in ["", "a..", "-x..b", "a..--all"] {
        assert!(text.parse::<SeriesSource>().is_err(), "{text}");
    }
    let empty = tempfile::tempdir().unwrap();
    let said = SeriesSource::of(SeriesPlace::Mails(empty.path().to_owned()))
        .check()
        .unwrap_err()
        .to_string();
    assert!(said.contains("has no files `*.patch`"), "{said}");
}

/// A file of the corpus, copied to where the ground is, as a series with what follows its name.
fn of_corpus(ground: &Ground, name: &str, more: &str) -> SeriesSource {
    let from = format!(
        "{}/../format/tests/corpus/mail/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let to = ground.root.path().join(name);
    fs_err::copy(from, &to).unwrap();
    format!("{}{more}", to.display()).parse().unwrap()
}

/// The tree that the corpus is for.
fn numbers() -> Ground {
    let ground = Ground::with_git();
    let numbers: String = (1..=40).map(|number| format!("{number}\n")).collect();
    ground.write("mm/a.c", &numbers);
    ground.write("mm/t.c", "{\n\treturn 1;\n}\n");
    ground.commit("numbers");
    ground
}

#[test]
fn what_a_series_lacks_is_no_verdict_on_it() {
    let ground = numbers();
    let tree = ground.open(None).unwrap();
    let alone = of_corpus(&ground, "prerequisite.mbox", "");
    let said = on_base(&alone.load(&ground.cache).unwrap(), &tree)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("that is no fault of the series: its base-commit b7a41439f1288d9ba08099cf90f6966dbb985b50 is not in the tree")
            && said.contains("it needs the patch with the patch-id abab")
            && said.ends_with("<tl1@example.org>: give it with `prerequisite=SERIES`"),
        "{said}"
    );
    let first = of_corpus(&ground, "prerequisite-given.mbox", "");
    let given = of_corpus(&ground, "prerequisite.mbox", &format!(",prerequisite={first}"));
    let (base, applied) = on_base(&given.load(&ground.cache).unwrap(), &tree).unwrap();
    assert!(
        base.why.ends_with("with its prerequisites") && applied.stopped.is_none(),
        "{base:?}"
    );
    tree.check_out(&applied.patches[0].commit).unwrap();
    assert!(read(&tree, "mm/a.c").contains("4\n5 and a half\n6\n"));
    // A prerequisite that does not apply is none of the series' either.
    let wrong = of_corpus(&ground, "thread.mbox", "");
    let wrong = of_corpus(&ground, "prerequisite.mbox", &format!(",prerequisite={wrong}"));
    let said = on_base(&wrong.load(&ground.cache).unwrap(), &tree)
        .unwrap_err()
        .to_string();
    assert!(
        said.starts_with("of the prerequisite `mm: poison only what can be written`, patch 1 of 2"),
        "{said}"
    );
    // A base that is there has none of what the series names beside it.
    let mail =
        String::from_utf8(fs_err::read(ground.root.path().join("prerequisite.mbox")).unwrap()).unwrap();
    let known = mail.replace(
        "b7a41439f1288d9ba08099cf90f6966dbb985b50",
        &ground.git(&["rev-parse", "HEAD"]),
    );
    fs_err::write(ground.root.path().join("prerequisite.mbox"), known).unwrap();
    let said = on_base(&alone.load(&ground.cache).unwrap(), &tree)
        .unwrap_err()
        .to_string();
    assert!(said.starts_with("the series is not applied: it needs "), "{said}");
}

#[test]
fn what_a_mail_program_did_and_what_git_cannot_are_no_verdicts() {
    let ground = numbers();
    let tree = ground.open(None).unwrap();
    let spaces = of_corpus(&ground, "tabs-lost.mbox", "")
        .load(&ground.cache)
        .unwrap();
    let said = on_base(&spaces, &tree).unwrap_err().to_string();
    assert!(
        said.starts_with("patch 1 of 1 (`mm: tabs`) has spaces where mm/t.c has tabs"),
        "{said}"
    );
    // An author whom git does not take: its own words, and no verdict.
    let LoadedSeries::Mails { mut series, before } =
        of_corpus(&ground, "bom.mbox", "").load(&ground.cache).unwrap()
    else {
        panic!("a file of mails")
    };
    series.patches[0].author = "<>".to_owned();
    let error = apply(&LoadedSeries::Mails { series, before }, tree.base(), &tree).unwrap_err();
    let said = format!("{:?}", anyhow::Error::from(error));
    assert!(said.contains("fatal: empty ident name"), "{said}");
}

#[test]
fn a_series_is_called_by_its_name_and_what_is_in_it() {
    let ground = numbers();
    let source = of_corpus(&ground, "bom.mbox", "");
    let label = |source: &SeriesSource| source.label(&ground.cache).unwrap();
    let first = label(&source);
    assert!(
        first.starts_with("bom.mbox@") && first.len() == "bom.mbox@".len() + 8,
        "{first}"
    );
    // The same patch another day is the same; another change is another one.
    let file = ground.root.path().join("bom.mbox");
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(
        &file,
        text.replace("2 Mar 2026", "3 Mar 2026")
            .replace("Why.", "Because."),
    )
    .unwrap();
    assert_eq!(label(&source), first);
    fs_err::write(&file, text.replace("+five", "+FIVE")).unwrap();
    assert_ne!(label(&source), first);
    // What it stands on is a part of it.
    let on_top = of_corpus(&ground, "bom.patch", "");
    let with = of_corpus(&ground, "bom.patch", &format!(",prerequisite={source}"));
    assert_ne!(label(&on_top), label(&with));
    assert_eq!(label(&"a..b".parse().unwrap()), "a..b");
}

#[test]
fn words_behind_a_series() {
    let text = "x.mbox,version=3,subject=poison less,prerequisite=y.mbox,version=2.1,prerequisite=z";
    let source: SeriesSource = text.parse().unwrap();
    assert_eq!(source.to_string(), text);
    assert_eq!(source.prerequisites.len(), 2);
    assert_eq!(
        source.prerequisites[0]
            .choice
            .version
            .map(|version| version.minor),
        Some(1)
    );
    for text in [
        "x,y",
        "x,version=",
        "x,version=1,version=2",
        "x,subject=",
        "a..b,version=2",
        "x,order=1",
    ] {
        let said = text.parse::<SeriesSource>().unwrap_err().to_string();
        assert!(said.contains("is not understood"), "{text}: {said}");
    }
}

#[test]
fn a_message_id_names_a_series() {
    let read = |text: &str| text.parse::<SeriesSource>().map(|series| series.to_string());
    for (text, same) in [
        ("b4:20261130.1-2-x@y.test", "b4:20261130.1-2-x@y.test"),
        ("b4:<a=b@y.test>,version=3", "b4:a=b@y.test,version=3"),
        (
            "x.mbox,prerequisite=b4:1@y.test",
            "x.mbox,prerequisite=b4:1@y.test",
        ),
    ] {
        assert_eq!(read(text).unwrap(), same);
    }
    for text in [
        "b4:",
        "b4:v3.mbox",
        "b4:-o@y.test",
        "b4:a b@y.test",
        "b4:a\n@y.test",
    ] {
        let said = read(text).unwrap_err().to_string();
        assert!(said.contains("names no mail"), "{said}");
    }
    // Nothing is got by a look.
    let ground = Ground::new();
    let series: SeriesSource = "b4:1@y.test".parse().unwrap();
    series.check().unwrap();
    let error = series.load(&ground.cache.looking()).unwrap_err();
    assert_eq!(
        error.not_here().unwrap().would,
        "b4 would get the mails of `1@y.test`"
    );
}
