// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds of something that looks like a kernel's source to memrig and takes no time.

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::*;
use crate::{
    cache::Cache,
    git::Git,
    kernel::{self, Kernel, KernelError, KernelSpec, KnownKernel, SeriesChanges, x86_image},
    packages::Packages,
    tree::Origin,
};
use base::{
    Arch,
    fault::{Blame, Blamed as _},
    ui::Ui,
};
use format::{
    lines::LineTable,
    mail::{AddedLines, Changed},
};

const MERGE: &str = "#!/bin/sh\n[ \"$1 $2\" = '-n -O' ] && [ \"$ARCH\" = x86_64 ] || exit 1\nout=$3\nshift 3\n\
    cat \"$@\" Kconfig.dropped > \"$out/.config\"\n";

pub(super) const MAKEFILE: &str = "bzImage:\n\t@cat log\n\t@! grep -q 'error:' log\n\t@mkdir -p $(O)/arch/x86/boot\n\
    \t@cat image release > $(O)/arch/x86/boot/bzImage\n\t@echo $(ARCH) $$KBUILD_BUILD_HOST \"+$$LOCALVERSION+\" >> $(O)/made\n";

/// Links a program with a line of `init/main.c` in place of a kernel. `VALUE` is what makes it another one.
const LINK: &str = "cc -g1 -O1 -nostdlib -static -Wl,-e,_stext -Wl,--build-id=sha1 -DVALUE=";

pub(super) struct Ground {
    pub(super) root: TempDir,
    pub(super) ui: Ui,
    pub(super) cache: Cache,
}

impl Ground {
    pub(super) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    pub(super) fn at(root: TempDir) -> Self {
        let ui = Ui::silent();
        let cache = Cache::at(&root.path().join("cache"), &ui).unwrap();
        let ground = Self { root, ui, cache };
        let merge = ground.source().join("scripts/kconfig/merge_config.sh");
        fs_err::create_dir_all(merge.parent().unwrap()).unwrap();
        fs_err::write(&merge, MERGE).unwrap();
        fs_err::set_permissions(&merge, PermissionsExt::from_mode(0o755)).unwrap();
        fs_err::write(ground.source().join("image"), x86_image(0x20f, 0x7f)).unwrap();
        for (file, text) in [
            ("Makefile", MAKEFILE),
            ("Kconfig", "config KASAN\n"),
            ("Kconfig.dropped", ""),
            ("release", ""),
        ] {
            ground.write(file, text);
        }
        ground.write("log", "  CC      mm/a.o\n");
        crate::git::installed();
        Git::ours(ground.source()).run(&["init", "-q"]).unwrap();
        ground.commit();
        ground
    }

    pub(super) fn source(&self) -> PathBuf {
        self.root.path().join("linux")
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        fs_err::write(self.source().join(file), text).unwrap();
    }

    pub(super) fn commit(&self) {
        let git = Git::ours(self.source());
        git.run(&["add", "-A"]).unwrap();
        git.run(&["commit", "-q", "--allow-empty", "-m", "a change"])
            .unwrap();
    }

    pub(super) fn build(&self, configs: &[&str]) -> Result<BuiltKernel, KernelError> {
        let spec = BuildSpec {
            configs: configs.iter().map(|name| (*name).to_owned()).collect(),
            ..BuildSpec::of(Origin::Path {
                path: self.source(),
                commit: None,
            })
        };
        build_kernel(
            &spec,
            Arch::X86_64,
            &Packages::open(&self.cache, &self.ui),
            &self.cache,
            &self.ui,
        )
    }

    /// Makes mails of the last commits, and says how many they are.
    pub(super) fn mail_last(&self, commits: usize) -> usize {
        let git = Git::ours(self.source());
        let last = format!("-{commits}");
        git.run(&["format-patch", "-q", &last, "-o", "../series"])
            .unwrap();
        commits
    }

    /// A kernel with the first patches of a mail of the last commits, in the words of `-k`.
    pub(super) fn series(&self, last: usize, patches: usize) -> String {
        let series = self.root.path().join("series");
        format!(
            "tree:{}@HEAD~{last},series={},patches={patches}",
            self.source().display(),
            series.display()
        )
    }

    pub(super) fn build_series(&self, last: usize, patches: usize, packages: &Packages) -> BuiltKernel {
        let spec = BuildSpec::parse(&self.series(last, patches)).unwrap();
        build_kernel(&spec, Arch::X86_64, packages, &self.cache, &self.ui).unwrap()
    }

    pub(super) fn kernel(&self, configs: &[&str]) -> Kernel {
        self.build(configs).unwrap().kernel
    }

    /// A line for each time that something was made.
    pub(super) fn made(&self) -> Vec<String> {
        let below = |folder: PathBuf| {
            fs_err::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
        };
        let trees = below(self.root.path().join("cache/trees"));
        let made = trees
            .flat_map(|tree| below(tree.join("build")))
            .map(|objects| objects.join("made"));
        let text = made
            .filter(|made| made.exists())
            .map(|made| fs_err::read_to_string(made).unwrap());
        text.collect::<String>().lines().map(str::to_owned).collect()
    }
}

/// The lines of `init/main.c` that have code.
fn lines_of(kernel: &Kernel) -> BTreeSet<u32> {
    let file = fs_err::File::open(kernel.lines.as_ref().expect("a table of lines")).unwrap();
    let table = LineTable::read(file, |_| true).unwrap();
    table.files["init/main.c"].iter().map(|row| row.line).collect()
}

#[test]
fn lines_are_read_as_soon_as_the_kernel_is_linked() {
    let ground = Ground::new();
    fs_err::create_dir(ground.source().join("init")).unwrap();
    ground.write("init/main.c", "int _stext(int x)\n{\n\treturn x * VALUE;\n}\n");
    // As 7.2 does it: `vmlinux` is a part of what was linked. Here it is one without lines, so that they can be of the other file alone.
    let linked = format!(
        "\t@{LINK}1 -o $(O)/vmlinux.unstripped init/main.c\n\t@strip -g -o $(O)/vmlinux $(O)/vmlinux.unstripped\n\
         \t@echo '  LD      vmlinux.unstripped'; echo '  NM      System.map'\n"
    );
    ground.write("Makefile", &format!("{MAKEFILE}{linked}"));
    ground.commit();
    let lines = lines_of(&ground.kernel(&[]));
    assert!(lines.contains(&2), "{lines:?}");

    // It is linked once more, into another one: what was read first is not of this one.
    let other = format!("\t@{LINK}2 -g0 -o $(O)/vmlinux init/main.c\n");
    ground.write("Makefile", &format!("{MAKEFILE}{linked}{other}"));
    ground.commit();
    assert_eq!(ground.kernel(&[]).lines, None);
}

fn refused(outcome: Result<BuiltKernel, KernelError>) -> SourceKernelError {
    match outcome.unwrap_err() {
        KernelError::Source(error) => *error,
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_the_same_is_made_once() {
    let ground = Ground::new();
    let first = ground.kernel(&[]);
    assert_eq!(first.release.as_deref(), Some("6.12.107+deb13-amd64"));
    assert!(
        first
            .config
            .as_ref()
            .is_some_and(|config| config.built_in("MEMORY_HOTPLUG"))
    );
    assert_eq!(first.label, format!("tree:{}", ground.source().display()));
    assert_eq!(
        first.lines, None,
        "its make makes no vmlinux, and it is a kernel all the same"
    );
    // Another commit with the same files is the same kernel.
    ground.commit();
    assert_eq!(ground.kernel(&[]).sha256, first.sha256);
    assert_eq!(ground.made(), ["x86_64 memrig ++"]);
    // Other files, committed or not, and another configuration are not.
    ground.write("release", "other");
    assert_ne!(ground.kernel(&[]).sha256, first.sha256);
    ground.commit();
    ground.kernel(&["kasan"]);
    assert_eq!(ground.made().len(), 3);
    assert!(ground.kernel(&["kasan"]).config.unwrap().built_in("KASAN"));
    assert_eq!(ground.made().len(), 3);
}

#[test]
fn a_source_that_does_not_build_is_a_verdict_with_its_log() {
    let ground = Ground::new();
    ground.write(
        "log",
        "  CC      mm/a.o\nmm/a.c:7:1: error: expected ';'\nmake: *** [x] Error 1\n",
    );
    let SourceKernelError::NotBuilt(failed) = refused(ground.build(&[])) else {
        panic!("it was built");
    };
    assert_eq!((failed.file.as_deref(), failed.line), (Some("mm/a.c"), Some(7)));
    assert!(
        fs_err::read_to_string(&failed.log)
            .unwrap()
            .contains("expected ';'")
    );
    // It is tried again, and what it warns of is known.
    ground.write(
        "log",
        "  CC      mm/a.o\nmm/a.c:7:1: warning: unused variable 'x'\n",
    );
    let built = ground.build(&[]).unwrap();
    let warnings: Vec<_> = built
        .warnings
        .iter()
        .map(|warning| warning.file.as_str())
        .collect();
    assert_eq!(warnings, ["mm/a.c"]);
    assert!(
        fs_err::read_to_string(built.log)
            .unwrap()
            .contains("unused variable")
    );
}

#[test]
fn an_option_that_the_bench_needs_must_be_there() {
    let ground = Ground::new();
    ground.write("Kconfig.dropped", "# CONFIG_VIRTIO_NET is not set\n");
    let error = refused(ground.build(&[]));
    assert_eq!(error.blame(), Blame::Usage);
    assert!(
        error
            .to_string()
            .contains("CONFIG_VIRTIO_NET=y was asked, and is n"),
        "{error}"
    );
    ground.write(
        "Kconfig.dropped",
        "# CONFIG_HUGETLBFS is not set\n# CONFIG_KSM is not set\n",
    );
    ground.build(&[]).unwrap();
    let lines = ground.ui.lines();
    let told = |words: &str| lines.iter().any(|line| line.contains(words));
    assert!(
        told("warning: x86_64: CONFIG_HUGETLBFS=y") && told("the bench does not need: KSM"),
        "{lines:?}"
    );
    let unknown = refused(ground.build(&["kmsan"]));
    assert!(unknown.blame() == Blame::Usage && unknown.to_string().contains("no configuration `kmsan`"));
}

#[test]
fn why_an_option_is_off_is_told_by_each_build() {
    let ground = Ground::new();
    ground.write("Kconfig", "config KASAN\nmenuconfig HUGETLBFS\n");
    ground.write(
        "Kconfig.dropped",
        "# CONFIG_HUGETLBFS is not set\n# CONFIG_CPUSETS is not set\n",
    );
    for (builds, log) in [(1, "  CC      mm/a.o\n"), (2, "  CC      mm/b.o\n")] {
        // The second one is not configured anew.
        ground.write("log", log);
        ground.build(&[]).unwrap();
        let lines = ground.ui.lines();
        for words in [
            "CONFIG_HUGETLBFS=y was asked, and is n (something that it depends on is off)",
            "CONFIG_CPUSETS=y was asked, and is n (this version does not have it)",
        ] {
            let told = lines.iter().filter(|line| line.contains(words)).count();
            assert_eq!(told, builds, "{words}: {lines:?}");
        }
    }
}

impl Ground {
    /// What is known of a kernel without getting anything: its release and what would be done, or that it is there.
    fn known(&self, options: &str) -> Result<String, KernelError> {
        let source: KernelSpec = format!("tree:{}{options}", self.source().display())
            .parse()
            .unwrap();
        let before = self.tree();
        let known = kernel::known(&source, Arch::X86_64, &self.cache, &self.ui);
        assert_eq!(self.tree(), before, "something was written");
        Ok(match known? {
            KnownKernel::Here(kernel) => kernel.sha256,
            KnownKernel::NotHere { label, what } => {
                assert!(label.starts_with("tree:"), "{label}");
                what.would
            }
        })
    }

    /// All files of the cache and of the source, with their times.
    fn tree(&self) -> Vec<String> {
        let list = std::process::Command::new("find")
            .arg(self.root.path())
            .args(["-printf", "%p %s %T@\n"])
            .output()
            .unwrap();
        let text = String::from_utf8(list.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn what_is_known_of_a_source_is_found_without_getting_anything() {
    let ground = Ground::new();
    let said = ground.known("").unwrap();
    assert!(said.starts_with("it would be built by "), "{said}");
    assert_eq!(fs_err::read_dir(ground.cache.root()).unwrap().count(), 0);
    let built = ground.kernel(&[]).sha256;
    assert_eq!(ground.known("").unwrap(), built);
    assert_eq!(ground.known("@HEAD").unwrap(), built);
    assert!(ground.known(",config=kasan").unwrap().contains("would be built"));
    // What is not committed is not known by its content.
    ground.write("release", "other");
    let said = ground.known("").unwrap();
    assert!(said.starts_with("1 files of "), "{said}");
    assert_eq!(ground.known("@HEAD").unwrap(), built);
    for (options, said) in [
        ("@v9", "has no commit `v9`"),
        (",config=kmsan", "no configuration `kmsan`"),
    ] {
        let KernelError::Source(error) = ground.known(options).unwrap_err() else {
            panic!("{options}");
        };
        assert!(
            error.blame() == Blame::Usage && error.to_string().contains(said),
            "{error}"
        );
    }
}

#[test]
fn a_series_is_known_once_it_was_applied() {
    let ground = Ground::new();
    let git = Git::ours(ground.source());
    ground.write("release", "patched");
    ground.commit();
    git.run(&["format-patch", "-q", "-1", "-o", "../series"]).unwrap();
    let series = format!("@HEAD~1,series={}", ground.root.path().join("series").display());
    let said = ground.known(&series).unwrap();
    assert_eq!(said, "the series would be applied, and built");
    let text = format!("tree:{}{series}", ground.source().display());
    let spec = BuildSpec::parse(&text).unwrap();
    let packages = Packages::open(&ground.cache, &ground.ui);
    let built = build_kernel(&spec, Arch::X86_64, &packages, &ground.cache, &ground.ui).unwrap();
    assert_eq!(ground.known(&series).unwrap(), built.kernel.sha256);
    // Its base has other files.
    assert!(
        ground
            .known(&format!("{series},patches=0"))
            .unwrap()
            .contains("would be built")
    );
}

#[test]
fn a_kernel_has_the_lines_of_its_series_and_those_of_the_last_patch() {
    let ground = Ground::new();
    for text in ["a\n", "a\nb\nc\n", "a\nB\nc\nd\n"] {
        ground.write("a.c", text);
        ground.commit();
    }
    let last = ground.mail_last(2);
    let changed = |patches: usize| {
        let packages = Packages::open(&ground.cache, &ground.ui);
        let built = ground.build_series(last, patches, &packages);
        built.kernel.changed
    };
    let lines = |lines: &[(u32, &str)]| -> AddedLines {
        let lines = lines.iter().map(|(at, text)| (*at, (*text).to_owned()));
        [("a.c".to_owned(), lines.collect())].into()
    };
    let of = |lines: AddedLines| Changed {
        lines,
        ..Changed::default()
    };
    assert_eq!(changed(0), SeriesChanges::default());
    let first = lines(&[(2, "b"), (3, "c")]);
    let one = SeriesChanges {
        series: of(first.clone()),
        last_patch: first,
    };
    assert_eq!(changed(1), one);
    let both = SeriesChanges {
        series: of(lines(&[(2, "B"), (3, "c"), (4, "d")])),
        last_patch: lines(&[(2, "B"), (4, "d")]),
    };
    assert_eq!(changed(2), both);
}

#[test]
fn what_was_built_is_taken_while_another_one_builds_of_the_same_tree() {
    let ground = Arc::new(Ground::new());
    let built = ground.kernel(&[]).sha256;
    let trees = fs_err::read_dir(ground.cache.root().join("trees")).unwrap();
    let names: Vec<_> = trees.map(|tree| tree.unwrap().file_name()).collect();
    let [name] = names.as_slice() else {
        panic!("{names:?}");
    };
    let _held = ground.cache.lock(&format!("trees/{}", name.display())).unwrap();
    let (sender, receiver) = mpsc::channel();
    let other = ground.clone();
    thread::spawn(move || sender.send((other.known("").unwrap(), other.kernel(&[]).sha256)));
    let found = receiver.recv_timeout(Duration::from_secs(60));
    assert_eq!(found.expect("it waits for the tree"), (built.clone(), built));
}
