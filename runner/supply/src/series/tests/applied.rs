// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commits that a series becomes, and what it cannot become.

use super::ground::*;
use crate::{series::*, tree::TreeError};
use ::base::fault::{Blame, Blamed as _};

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
