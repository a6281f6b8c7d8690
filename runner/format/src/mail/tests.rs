// SPDX-License-Identifier: MIT OR Apache-2.0

use proptest::prelude::*;

use super::{
    samples::{ENCODINGS, Encoding, body, diff, mail, mbox},
    subject::Subject,
    *,
};

fn series(files: &[&[u8]]) -> Result<Series, SeriesError> {
    let mut mails = Mails::default();
    for (index, file) in files.iter().enumerate() {
        mails.add(&format!("{index}.patch"), file)?;
    }
    mails.series(&Choice::default())
}

fn patch(subject: &str) -> Vec<u8> {
    mail(subject, &body("Why.", &diff("mm/a.c", "x")), Encoding::Plain)
}

fn refused(file: &[u8]) -> String {
    series(&[file]).unwrap_err().to_string()
}

/// A patch with this diff is refused; what is said about it.
fn refused_diff(diff: &str) -> String {
    refused(&mail("[PATCH] x", &body("Why.", diff), Encoding::Plain))
}

#[test]
fn subjects() {
    let subject = Subject::parse("[PATCH v2 03/11] mm: a  b");
    assert_eq!(
        (subject.version().to_string(), subject.number),
        ("v2".to_owned(), Some((3, 11)))
    );
    assert_eq!(subject.title, "mm: a b");
    assert!(subject.patch && !subject.reply);
    let subject = Subject::parse("Re: AW: [RFC PATCHv3 6.12.y 0/2] [RESEND] s390/sclp: x [y]");
    assert_eq!(
        (subject.version().to_string(), subject.number),
        ("v3".to_owned(), Some((0, 2)))
    );
    assert_eq!(subject.title, "s390/sclp: x [y]");
    assert!(subject.patch && subject.reply);
    let subject = Subject::parse("mm: 3/4 of v2");
    assert_eq!(
        (subject.patch, subject.version, subject.number),
        (false, None, None)
    );
    assert_eq!(Subject::parse("[PATCH 1/]").number, None);
}

#[test]
fn the_newest_version_is_taken_and_talk_is_left_out() {
    let cover = mail(
        "[PATCH v2 0/2] mend it",
        "Hello.\n\nbase-commit: 0123456789abcdef0123456789ABCDEF01234567\n",
        Encoding::Plain,
    );
    let quoted = mail("Re: [PATCH v2 1/2] one", "> +x\n\nNo.\n", Encoding::Latin1);
    let thread = mbox(&[
        patch("[PATCH v2 2/2] two"),
        quoted,
        patch("[PATCH 1/1] old"),
        cover,
        patch("[PATCH v2 1/2] one"),
    ]);
    let found = series(&[&thread]).unwrap();
    assert_eq!(
        (found.title.as_str(), found.version.to_string().as_str()),
        ("mend it", "v2")
    );
    let titles: Vec<&str> = found.patches.iter().map(|patch| patch.title.as_str()).collect();
    assert_eq!(titles, ["one", "two"]);
    assert_eq!(found.bases[0].commit, "0123456789abcdef0123456789abcdef01234567");
    assert_eq!(found.notes.len(), 2, "{:?}", found.notes);
    assert!(found.patches[0].author.starts_with("Jürgen B <"));
}

#[test]
fn files_of_a_folder_without_numbers_keep_their_order() {
    let found = series(&[&patch("[PATCH] b"), &patch("[PATCH] a")]).unwrap();
    assert_eq!(
        (found.patches[0].title.as_str(), found.title.as_str()),
        ("b", "b")
    );
}

#[test]
fn a_series_that_is_not_whole_is_refused() {
    let missing = refused(&mbox(&[patch("[PATCH 1/4] a"), patch("[PATCH 3/4] c")]));
    assert_eq!(
        missing,
        "v1 has 4 patches, and 2 of them are there: missing are 2, 4"
    );
    let other = mail(
        "[PATCH 1/2] other",
        &body("Why.", &diff("mm/b.c", "y")),
        Encoding::Plain,
    );
    let twice = refused(&mbox(&[patch("[PATCH 1/2] a"), other]));
    assert!(twice.contains("are both patch 1"), "{twice}");
    let total = refused(&mbox(&[patch("[PATCH 1/2] a"), patch("[PATCH 2/3] b")]));
    assert_eq!(
        total,
        "there are 2 series, v1 `a` (1 of 2 patches); v1 `b` (1 of 3 patches): choose one with `subject=WORDS` of its title, or keep one in \
         the file"
    );
    assert!(refused(&patch("[PATCH 3/2] a")).contains("number 3 of 2"));
    let mixed = refused(&mbox(&[patch("[PATCH 1/1] a"), patch("[PATCH] b")]));
    assert!(mixed.contains("v1 `b` (1 patch); v1 `a` (1 patch)"), "{mixed}");
    let empty = mail("[PATCH 1/1] a", "The patch is attached.\n", Encoding::Plain);
    assert!(refused(&empty).contains("has no diff"));
    // The same mail through two lists is one mail.
    series(&[&mbox(&[patch("[PATCH 1/1] a"), patch("[PATCH 1/1] a")])]).unwrap();
}

#[test]
fn what_is_no_series_is_refused() {
    assert!(refused(b"").starts_with("no patch in `0.patch`"));
    assert!(refused(b"\x7fELF\x02\x01\x01\0\0").contains("cannot be read"));
    assert!(refused(&mail("hello", "How are you?\n", Encoding::Plain)).starts_with("no patch in"));
    let html = b"Subject: [PATCH] x\nContent-Type: text/html\n\n<p>+x</p>\n";
    assert!(refused(html).contains("it has no text, only text/html"));
    let mut large = patch("[PATCH] x");
    large.resize(LARGEST_MAIL + 1, b'\n');
    assert!(refused(&large).contains("not read"));
    let nobody = format!("Subject: [PATCH] x\n\n{}", diff("mm/a.c", "x"));
    assert!(refused(nobody.as_bytes()).contains("no author"));
}

#[test]
fn a_diff_that_leads_out_of_the_tree_is_refused() {
    for path in [
        "../../etc/passwd",
        "mm/../../x",
        "/etc/passwd",
        ".git/hooks/post-commit",
        "mm/.GIT/config",
        "mm//x",
    ] {
        let said = refused_diff(&diff(path, "x"));
        assert!(said.contains("not in the tree"), "{path}: {said}");
    }
    let rename =
        "diff --git a/mm/a.c b/mm/b.c\nsimilarity index 100%\nrename from mm/a.c\nrename to ../b.c\n";
    assert!(refused_diff(rename).contains("`../b.c`"));
    let old = "--- a/mm/a.c\n+++ /tmp/x\n@@ -1 +1 @@\n-a\n+b\n";
    assert!(refused_diff(old).contains("`tmp/x`") || refused_diff(old).contains("`/tmp/x`"));
    let quoted = "diff --git \"a/mm/\\056\\056/\\056\\056/x\" \"b/mm/\\056\\056/x\"\n";
    assert!(refused_diff(quoted).contains("not in the tree"));
    let link =
        "diff --git a/mm/l b/mm/l\nnew file mode 120000\n--- /dev/null\n+++ b/mm/l\n@@ -0,0 +1 @@\n+/etc\n";
    assert!(refused_diff(link).contains("symbolic link"));
}

#[test]
fn binary_and_damaged_diffs_are_refused() {
    let binary = "diff --git a/l.gif b/l.gif\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZ\n";
    assert!(refused_diff(binary).contains("binary patch of `l.gif`"));
    let differ = "diff --git a/l.gif b/l.gif\nBinary files a/l.gif and b/l.gif differ\n";
    assert!(refused_diff(differ).contains("binary"));
    let wrapped = diff("mm/a.c", "a long line that").replace(" two\n", "was wrapped\n two\n");
    assert!(refused_diff(&wrapped).contains("cut or wrapped"));
    let short = diff("mm/a.c", "x").replace("+1,3", "+1,9");
    assert!(refused_diff(&short).contains("`@@ -1,2 +1,9 @@` of `mm/a.c`"));
    // One that counts too few ends where it says, as for git; but for another one below it, it cannot.
    let long = diff("mm/a.c", "x")
        .replace("+1,3", "+1,2")
        .replace("-1,2", "-1,1");
    let found = series(&[&mail("[PATCH] x", &body("Why.", &long), Encoding::Plain)]).unwrap();
    assert!(
        found.warnings[0].contains("` two` and what follows it in mm/a.c is left out"),
        "{:?}",
        found.warnings
    );
    let second = format!("{long}@@ -9,1 +9,1 @@\n-a\n+b\n");
    assert!(refused_diff(&second).contains("`@@ -1,1 +1,2 @@` of `mm/a.c`"));
}

#[test]
fn what_git_gets_is_made_anew() {
    let text = "Why.\n\nFrom here on: x\n>From there";
    let found = series(&[&mail(
        "[PATCH v7 1/1] t",
        &body(text, &diff("mm/a.c", "x")),
        Encoding::Plain,
    )])
    .unwrap();
    let written = String::from_utf8(found.patches[0].for_git()).unwrap();
    assert!(
        written.contains("\nSubject: [PATCH] t\n") && written.contains("\n>From here on: x\n>>From there\n")
    );
    assert!(!written.contains("Message-Id") && !written.contains("v7"));
    // It is itself a series that says the same.
    let again = series(&[written.as_bytes()]).unwrap();
    assert_eq!(again.patches[0].message, found.patches[0].message);
    assert_eq!(again.patches[0].files, found.patches[0].files);
}

#[test]
fn recorded_mails_are_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/mail");
    let thread = fs_err::read(format!("{folder}/thread.mbox")).unwrap();
    let found = series(&[&thread]).unwrap();
    assert_eq!((found.version.major, found.patches.len()), (3, 2));
    assert!(
        found.patches[1].message.contains("Größe"),
        "{}",
        found.patches[1].message
    );
    let attached = fs_err::read(format!("{folder}/attached.eml")).unwrap();
    let found = series(&[&attached]).unwrap();
    assert_eq!(
        found.patches[0].files.first().map(String::as_str),
        Some("mm/sparse.c")
    );
}

#[test]
fn tags_as_people_write_them() {
    for (text, version, number) in [
        ("[PATCH1/3] x", "v1", Some((1, 3))),
        ("[RFCv2 1/2] x", "v2", Some((1, 2))),
        ("[PATCH-v3-02/11] x", "v3", Some((2, 11))),
        ("[PATCH: v2: 1/2]: x", "v2", Some((1, 2))),
        ("[net-next RFC/PATCH RESEND v2, 01/02] x", "v2", Some((1, 2))),
        ("[PATCH v2 1 of 2] x", "v2", Some((1, 2))),
        ("[PATCH 1/2v2] x", "v2", Some((1, 2))),
        ("[PATCH][v2] [1/2] x", "v2", Some((1, 2))),
        ("[PATCH 1/2 ver #2] x", "v2", Some((1, 2))),
        ("[PATCH 2/2, take 3] x", "v3", Some((2, 2))),
        ("[PATCH v3.1 2/3] x", "v3.1", Some((2, 3))),
        ("[PATCH v3b 2/3] x", "v3.2", Some((2, 3))),
        ("[PATCH v6.12 v2 1/2] x", "v2", Some((1, 2))),
        ("[PATCH 1/2 for v6.12] x", "v1", Some((1, 2))),
        ("[PATCH drm/v3d] x", "v1", None),
        ("[RFC x86/mm] x", "v1", None),
    ] {
        let subject = Subject::parse(text);
        assert_eq!(
            (
                subject.version().to_string().as_str(),
                subject.number,
                subject.title.as_str()
            ),
            (version, number, "x"),
            "{text}"
        );
        assert!(subject.patch && !subject.reply, "{text}");
    }
    for text in [
        "[EXTERNAL] Re: [PATCH v2] x",
        "Antw: [PATCH v2] x",
        "Re[2]: x",
        "回复：[PATCH] x",
    ] {
        assert!(Subject::parse(text).reply, "{text}");
    }
    // What begins so behind the tag is a title.
    assert!(!Subject::parse("[PATCH] r: x").reply);
}

fn corpus(name: &str, choice: &Choice) -> Result<Series, SeriesError> {
    let file = fs_err::read(format!("{}/tests/corpus/mail/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut mails = Mails::default();
    mails.add(name, &file)?;
    mails.series(choice)
}

fn titles(series: &Series) -> Vec<&str> {
    series.patches.iter().map(|patch| patch.title.as_str()).collect()
}

#[test]
fn what_was_sent_again_is_never_passed_over() {
    let lock = |name: &str| {
        let found = corpus(name, &Choice::default()).unwrap();
        let nine = String::from_utf8(found.patches[1].for_git()).unwrap();
        assert_eq!(titles(&found), ["mm: five", "mm: nine", "base: seven"], "{name}");
        assert!(nine.contains("+nine, with the lock held\n"), "{name}: {nine}");
        assert!(
            found.warnings[0].contains("takes the place of mail 3 "),
            "{name}: {:?}",
            found.warnings
        );
    };
    for name in [
        "v3.1-in-reply.mbox",
        "again-v4-in-reply.mbox",
        "again-v4-unnumbered.mbox",
        "again-v3b.mbox",
    ] {
        lock(name);
    }
    let stops = |name: &str| corpus(name, &Choice::default()).unwrap_err().to_string();
    let alone = stops("again-v4-alone.mbox");
    assert!(
        alone.ends_with("missing are 1, 3; v3 is whole, and `version=3` takes it"),
        "{alone}"
    );
    assert!(stops("again-same-number.mbox").contains("are both patch 2"));
    assert!(stops("again-no-version.mbox").contains("answers mail 3 of"));
    assert!(stops("again-cover-only.mbox").starts_with("v4 has 3 patches, and 0 of them are there"));
    // Who says which gets it.
    let third = Choice {
        version: Some("3".parse().unwrap()),
        subject: None,
    };
    for name in [
        "again-v4-alone.mbox",
        "again-no-version.mbox",
        "again-cover-only.mbox",
    ] {
        assert_eq!(corpus(name, &third).unwrap().version.to_string(), "v3", "{name}");
    }
    let seventh = Choice {
        version: Some("7".parse().unwrap()),
        subject: None,
    };
    let said = corpus("rfcv2.mbox", &seventh).unwrap_err().to_string();
    assert_eq!(
        said,
        "there is no v7: there are v1 `mm: five` (2 patches); v2 `mm: five` (2 patches)"
    );
}

#[test]
fn of_several_series_a_word_chooses() {
    let about = |words: &str| {
        let choice = Choice {
            version: None,
            subject: Some(words.to_owned()),
        };
        corpus("two-series.mbox", &choice).map(|series| series.title)
    };
    assert_eq!(about("SECOND things").unwrap(), "mm: second things");
    assert_eq!(about("mm: five").unwrap(), "mm: first things");
    let said = about("third").unwrap_err().to_string();
    assert!(
        said.starts_with("no series has `third` in its title: there are v1 `mm: first things` (1 patch); "),
        "{said}"
    );
}

#[test]
fn what_a_series_stands_on_is_read() {
    let found = corpus("prerequisite.mbox", &Choice::default()).unwrap();
    let needs: Vec<String> = found.needs.iter().map(ToString::to_string).collect();
    assert_eq!(
        needs,
        [
            "the patch with the patch-id abababababababababababababababababababab",
            "<tl1@example.org>"
        ]
    );
    let found = corpus("base-in-older-cover.mbox", &Choice::default()).unwrap();
    assert_eq!(
        (found.bases[0].commit.len(), found.bases[0].by.as_str()),
        (40, "v1 of the series")
    );
    let named = |line: &str| {
        let mail = mail("[PATCH 0/1] x", line, Encoding::Plain);
        let found = series(&[&mbox(&[mail, patch("[PATCH 1/1] x")])]).unwrap();
        found
            .bases
            .into_iter()
            .map(|base| base.commit)
            .collect::<Vec<_>>()
    };
    assert_eq!(named("base-commit: 0123456789ab (\"mm: x\")\n"), ["0123456789ab"]);
    assert_eq!(
        named("Base-commit: commit 0123456789AB, of mm\n"),
        ["0123456789ab"]
    );
    assert_eq!(
        named("base-commit: next-20260301\nbase-commit: 1234567\n"),
        ["next-20260301", "1234567"]
    );
    assert_eq!(
        named("base-commit: --all\nbase-commit: v6..v7\nbase-commit:\n"),
        [""; 0]
    );
}

#[test]
fn bytes_of_no_character_set_reach_the_tree_as_they_are() {
    let found = corpus("no-mime-latin1.mbox", &Choice::default()).unwrap();
    assert!(
        found.patches[0]
            .for_git()
            .windows(6)
            .any(|bytes| bytes == b"+f\xfcnf\n")
    );
    assert!(
        found.warnings[0].contains("names no character set and is not UTF-8"),
        "{:?}",
        found.warnings
    );
    let found = corpus("charset-latin1-says-utf8.mbox", &Choice::default()).unwrap();
    assert!(found.patches[0].message.starts_with("Größe."));
    let found = corpus("charset-y-utf8.mbox", &Choice::default()).unwrap();
    assert!(found.patches[0].message.starts_with("Größe."));
}

proptest! {
    #[test]
    fn order_and_encoding_change_nothing(
        order in Just((1..=6usize).collect::<Vec<_>>()).prop_shuffle(),
        encodings in prop::collection::vec(0..ENCODINGS.len(), 6),
        lines in prop::collection::vec("[ -~é]{0,80}", 6),
        one_file in any::<bool>(),
    ) {
        let mails: Vec<Vec<u8>> = order.iter().map(|&number| {
            let diff = diff(&format!("mm/f{number}.c"), &lines[number - 1]);
            let body = body("Größe ändert sich.", &diff);
            mail(&format!("[PATCH v4 {number}/6] title {number}"), &body, ENCODINGS[encodings[number - 1]])
        }).collect();
        let found = if one_file {
            series(&[&mbox(&mails)])
        } else {
            series(&mails.iter().map(Vec::as_slice).collect::<Vec<_>>())
        }.unwrap();
        for (index, patch) in found.patches.iter().enumerate() {
            prop_assert_eq!(&patch.title, &format!("title {}", index + 1));
            prop_assert!(patch.message.starts_with("Größe"));
            let line = format!("\n+{}\n", lines[index]);
            let written = String::from_utf8(patch.for_git()).unwrap();
            prop_assert!(written.contains(&line), "{} in {}", line, written);
        }
    }

    #[test]
    fn nothing_makes_it_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0..600usize) {
        // Its result does not matter, but it must come.
        let _ = series(&[&bytes]);
        let mut damaged = mbox(&[patch("[PATCH 1/2] a"), patch("[PATCH 2/2] b")]);
        let at = cut.min(damaged.len());
        damaged.splice(at..at, bytes.iter().copied());
        let _ = series(&[&damaged]);
    }

    #[test]
    fn no_path_of_an_accepted_patch_leaves_the_tree(path in r"[a./\\]{1,12}|(\.\./|a/|\.git/|/){1,4}x") {
        if let Ok(found) = series(&[&mail("[PATCH] x", &body("Why.", &diff(&path, "x")), Encoding::Plain)]) {
            for file in &found.patches[0].files {
                prop_assert!(!file.starts_with('/') && file.split('/').all(|part| !["..", ".", "", ".git"].contains(&part)));
            }
        }
    }
}
