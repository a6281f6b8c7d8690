// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tree in git, a cache and some series, to try things on.

use std::{collections::BTreeMap, os::unix::fs::MetadataExt, path::Path};

use tempfile::TempDir;

use crate::series::*;
use crate::{
    cache::{Cache, sha256_file},
    git::Git,
    packages::Packages,
    tree::{Origin, SourceTree, TreeError},
};
use ::base::ui::Ui;

/// A folder with something like a kernel's source in git, and a cache.
pub(super) struct Ground {
    pub(super) root: TempDir,
    pub(super) ui: Ui,
    pub(super) cache: Cache,
}

pub(super) const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";

impl Ground {
    pub(super) fn new() -> Self {
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

    pub(super) fn with_git() -> Self {
        let ground = Self::new();
        ground.git(&["init", "-q", "-b", "main"]);
        ground.commit("start");
        ground
    }

    pub(super) fn users(&self) -> std::path::PathBuf {
        self.root.path().join("linux")
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        let path = self.users().join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        crate::git::installed();
        Git::ours(self.users()).run(args).unwrap()
    }

    pub(super) fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Writes the commits after `base` as a folder of patches.
    pub(super) fn patches(&self, base: &str) -> SeriesSource {
        let folder = self.root.path().join("patches");
        self.git(&["format-patch", "-q", "-o", folder.to_str().unwrap(), base]);
        folder.to_str().unwrap().parse().unwrap()
    }

    pub(super) fn open(&self, commit: Option<&str>) -> Result<SourceTree, TreeError> {
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
pub(super) fn everything(dir: &Path) -> BTreeMap<String, String> {
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

pub(super) fn untouched(ground: &Ground, before: &BTreeMap<String, String>) {
    let after = everything(&ground.users());
    let other: Vec<_> = before
        .iter()
        .chain(&after)
        .filter(|(name, _)| before.get(*name) != after.get(*name))
        .collect();
    assert!(other.is_empty(), "the user's tree was touched: {other:#?}");
}

pub(super) fn read(tree: &SourceTree, file: &str) -> String {
    fs_err::read_to_string(tree.work().join(file)).unwrap()
}

/// A series of two patches on the first commit: the ground, the series, and the two commits.
pub(super) fn two() -> (Ground, SeriesSource, String) {
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

/// A file of the corpus, copied to where the ground is, as a series with what follows its name.
pub(super) fn of_corpus(ground: &Ground, name: &str, more: &str) -> SeriesSource {
    let from = format!(
        "{}/../format/tests/corpus/mail/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let to = ground.root.path().join(name);
    fs_err::copy(from, &to).unwrap();
    format!("{}{more}", to.display()).parse().unwrap()
}

/// The tree that the corpus is for.
pub(super) fn numbers() -> Ground {
    let ground = Ground::with_git();
    let numbers: String = (1..=40).map(|number| format!("{number}\n")).collect();
    ground.write("mm/a.c", &numbers);
    ground.write("mm/t.c", "{\n\treturn 1;\n}\n");
    ground.commit("numbers");
    ground
}
