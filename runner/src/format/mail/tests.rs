// SPDX-License-Identifier: MIT OR Apache-2.0

use proptest::prelude::*;

use super::{
    samples::{ENCODINGS, Encoding, body, diff, mail, mbox},
    *,
};

fn series(files: &[&[u8]]) -> Result<Series, SeriesError> {
    let mut mails = Mails::default();
    for (index, file) in files.iter().enumerate() {
        mails.add(&format!("{index}.patch"), file);
    }
    mails.series()
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
    assert_eq!((subject.version, subject.number), (2, Some((3, 11))));
    assert_eq!(subject.title, "mm: a b");
    assert!(subject.patch && !subject.reply);
    let subject = Subject::parse("Re: AW: [RFC PATCHv3 6.12.y 0/2] [RESEND] s390/sclp: x [y]");
    assert_eq!((subject.version, subject.number), (3, Some((0, 2))));
    assert_eq!(subject.title, "s390/sclp: x [y]");
    assert!(subject.patch && subject.reply);
    let subject = Subject::parse("mm: 3/4 of v2");
    assert_eq!((subject.patch, subject.version, subject.number), (false, 1, None));
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
    assert_eq!((found.title.as_str(), found.version), ("mend it", 2));
    let titles: Vec<&str> = found.patches.iter().map(|patch| patch.title.as_str()).collect();
    assert_eq!(titles, ["one", "two"]);
    assert_eq!(
        found.base_commit.as_deref(),
        Some("0123456789abcdef0123456789abcdef01234567")
    );
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
    assert!(
        total.contains("counts 3 patches, and another one counts 2"),
        "{total}"
    );
    assert!(refused(&patch("[PATCH 3/2] a")).contains("number 3 of 2"));
    let mixed = refused(&mbox(&[patch("[PATCH 1/1] a"), patch("[PATCH] b")]));
    assert!(mixed.contains("has no number"), "{mixed}");
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
    let unknown = b"Subject: [PATCH] x\nContent-Type: text/plain; charset=klingon\n\nx\n";
    assert!(refused(unknown).contains("`klingon`, which is not known"));
    let wrong = b"Subject: [PATCH] x\nContent-Type: text/plain; charset=utf-8\n\n\xfc\n";
    assert!(refused(wrong).contains("is not utf-8"));
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
    let long = diff("mm/a.c", "x")
        .replace("+1,3", "+1,2")
        .replace("-1,2", "-1,1");
    assert!(refused_diff(&long).contains("cut or wrapped"));
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
    let written = found.patches[0].for_git();
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
    assert_eq!((found.version, found.patches.len()), (3, 2));
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
            prop_assert!(patch.for_git().contains(&line), "{} in {}", line, patch.for_git());
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
