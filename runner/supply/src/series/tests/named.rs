// SPDX-License-Identifier: MIT OR Apache-2.0
//! What names a series, and what it is called.

use super::ground::*;
use crate::series::*;

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
        "b4:<-o@y.test>",
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
