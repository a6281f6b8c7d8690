// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every mail of the corpus, as `git am` takes it and as memrig does.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use base::ui::Ui;
use supply::{
    cache::Cache,
    packages::Packages,
    series::{LoadedSeries, SeriesPlace, SeriesSource, on_base},
    tree::{Origin, SourceTree},
};
use tempfile::TempDir;

/// The table, beside the corpus. A row is `name | git am | memrig | why they part`.
const TABLE: &str = "tests/corpus/mail-against-git-am.txt";

/// What became of a mail: the titles of the commits and what stopped them; and the titles with the id of the files of the last commit, where nothing did.
struct Came {
    told: String,
    whole: Option<(Vec<String>, String)>,
}

/// The tree that the corpus is for, a copy of it for git, and a cache.
struct Ground {
    root: TempDir,
    ui: Ui,
    cache: Cache,
    base: String,
}

impl Ground {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let ui = Ui::silent();
        let cache = Cache::at(&root.path().join("cache"), &ui).unwrap();
        let tree = root.path().join("linux");
        let numbers: String = (1..=40).map(|number| format!("{number}\n")).collect();
        let at_ten = |line: &str| format!("{}\tstart();\n\t{line}\n\tend();\n", "\n".repeat(9));
        let files = [
            ("Makefile", "all:\n".to_owned()),
            ("Kconfig", String::new()),
            ("mm/a.c", numbers.clone()),
            ("mm/b.c", numbers.clone()),
            ("mm/t.c", "{\n\treturn 1;\n}\n".to_owned()),
            ("mm/sparse.c", at_ten("poison(x);")),
            ("drivers/base/m.c", numbers),
            ("drivers/base/memory.c", at_ten("a = b;")),
        ];
        for (name, text) in files {
            let path = tree.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        git(&tree, &["init", "-q", "-b", "main"]).unwrap();
        git(&tree, &["add", "."]).unwrap();
        git(&tree, &["commit", "-q", "-m", "base"]).unwrap();
        let base = git(&tree, &["rev-parse", "HEAD"]).unwrap();
        git(root.path(), &["clone", "-q", "linux", "git-am"]).unwrap();
        Self {
            root,
            ui,
            cache,
            base,
        }
    }

    fn open(&self) -> SourceTree {
        let origin = Origin::Path {
            path: self.root.path().join("linux"),
            commit: None,
        };
        let packages = Packages::open(&self.cache, &self.ui);
        SourceTree::open(&origin, &packages, &self.cache, &self.ui).unwrap()
    }

    /// What `git am` makes of a file, a Maildir, or the files of a folder as a shell lists them.
    fn git_am(&self, path: &Path) -> Came {
        let place = self.root.path().join("git-am");
        git(&place, &["reset", "-q", "--hard", &self.base]).unwrap();
        let files = if path.is_dir() && !path.join("cur").is_dir() {
            sorted(path)
        } else {
            vec![path.to_owned()]
        };
        let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
        let whole = git(&place, &[&["am", "-q", "--3way"], &names[..]].concat()).is_some();
        let range = format!("{}..HEAD", self.base);
        let titles = git(&place, &["log", "--reverse", "--format=%s", &range]).unwrap();
        let files = git(&place, &["rev-parse", "HEAD^{tree}"]).unwrap();
        let begun = place.join(".git/rebase-apply");
        if begun.exists() {
            fs_err::remove_dir_all(begun).unwrap();
        }
        let titles: Vec<String> = titles.lines().map(str::to_owned).collect();
        Came {
            told: told(&titles, (!whole).then(|| "stops".to_owned())),
            whole: whole.then_some((titles, files)),
        }
    }

    fn memrig(&self, path: &Path, tree: &SourceTree) -> Came {
        let refuses = |said: String| Came {
            told: format!("refuses: {said}"),
            whole: None,
        };
        let loaded = match SeriesSource::of(SeriesPlace::Mails(path.to_owned())).load(&self.cache) {
            Ok(loaded) => loaded,
            Err(error) => return refuses(error.to_string()),
        };
        let applied = match on_base(&loaded, tree) {
            Ok((_, applied)) => applied,
            Err(error) => return refuses(error.to_string()),
        };
        let LoadedSeries::Mails { series, .. } = &loaded else {
            panic!("mails are mails")
        };
        let last = applied.patches.last().filter(|_| applied.stopped.is_none());
        let files = last.map(|last| tree.content(&last.commit).unwrap());
        let titles: Vec<String> = applied.patches.iter().map(|patch| patch.title.clone()).collect();
        let stopped = applied.stopped.map(|stopped| format!("a verdict: {stopped}"));
        let mut told = told(&titles, stopped);
        for warning in &series.warnings {
            write!(told, " [{warning}]").unwrap();
        }
        Came {
            told,
            whole: files.map(|files| (titles, files)),
        }
    }
}

/// What git prints; `None` where it fails.
fn git(dir: &Path, args: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .current_dir(dir)
        .args([
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.org",
            "-c",
            "gc.auto=0",
        ])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .output()
        .expect("git is installed");
    let text = String::from_utf8_lossy(&done.stdout).trim_end().to_owned();
    done.status.success().then_some(text)
}

fn told(titles: &[String], stopped: Option<String>) -> String {
    let told: Vec<&str> = titles
        .iter()
        .map(String::as_str)
        .chain(stopped.as_deref())
        .collect();
    told.join(", ")
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn where_memrig_and_git_am_part_there_is_a_reason() {
    let house = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../format"));
    let corpus = house.join("tests/corpus/mail");
    let committed = fs_err::read_to_string(house.join(TABLE)).unwrap();
    let (head, rows): (Vec<&str>, Vec<&str>) = committed.lines().partition(|line| line.starts_with('#'));
    let reason = |line: &'_ str| {
        Some((
            line.split_once(" | ")?.0.to_owned(),
            line.rsplit_once(" | ")?.1.to_owned(),
        ))
    };
    let reasons: BTreeMap<String, String> = rows.into_iter().filter_map(reason).collect();
    let ground = Ground::new();
    let tree = ground.open();
    let mut table = head.join("\n") + "\n";
    let mut wrong = Vec::new();
    for path in sorted(&corpus) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let (theirs, ours) = (ground.git_am(&path), ground.memrig(&path, &tree));
        let same = ours.whole.is_some() && theirs.whole == ours.whole;
        let reason = reasons.get(name).map_or("-", String::as_str);
        if same != (reason == "-") {
            wrong.push(format!("{name}: same is {same}, and the reason is `{reason}`"));
        }
        if ours.told.contains("a verdict: ") {
            wrong.push(format!("{name}: a mail is no verdict: {}", ours.told));
        }
        let told = ours.told.replace(&format!("{}/", corpus.display()), "");
        writeln!(table, "{name} | {} | {told} | {reason}", theirs.told).unwrap();
    }
    if table != committed || !wrong.is_empty() {
        let seen = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mail-against-git-am.txt");
        fs_err::write(&seen, &table).unwrap();
        panic!(
            "{TABLE} is not what was seen, which is in {}\n{wrong:#?}",
            seen.display()
        );
    }
}
