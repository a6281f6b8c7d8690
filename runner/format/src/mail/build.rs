// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files of a patch decide what runs on the machine that builds the kernel.
//!
//! By their names, as Linux 6.1 to 7.2 has them, and for makefiles and Kconfig by the lines that are added: what only lists objects, or is an
//! option, runs nothing. A header that a host's program shares with the kernel goes by without a word.

use super::diff::{counts, stripped, unquoted};

/// Why a file has a say in what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It is run, or is a piece of a program that is.
    Program,
    /// Make reads it.
    Makefile,
    /// Kconfig reads it, which can run programs by its macros.
    Kconfig,
}

/// Folders of programs that `make bzImage` runs, and of what these are made of.
const FOLDERS: [&str; 13] = [
    "scripts/",
    "usr/",
    "certs/",
    "rust/macros/",
    "arch/x86/tools/",
    "arch/x86/boot/tools/",
    "arch/s390/tools/",
    "tools/objtool/",
    "tools/build/",
    "tools/lib/",
    "tools/bpf/resolve_btfids/",
    "tools/include/",
    "tools/arch/",
];

/// What lies in such a folder and is run by people alone.
const BY_HAND: [&str; 8] = [
    "scripts/bloat-o-meter",
    "scripts/checkpatch.pl",
    "scripts/coccinelle/",
    "scripts/decode_stacktrace.sh",
    "scripts/faddr2line",
    "scripts/gdb/",
    "scripts/get_maintainer.pl",
    "scripts/spelling.txt",
];

/// Parts of programs for the host that lie beside the kernel's own code.
const HOST_PROGRAMS: [&str; 20] = [
    "arch/s390/kernel/syscalls/syscalltbl",
    "arch/x86/boot/compressed/mkpiggy.c",
    "arch/x86/boot/mkcpustr.c",
    "arch/x86/entry/vdso/vdso2c.c",
    "arch/x86/entry/vdso/vdso2c.h",
    "arch/x86/include/asm/emulate_prefix.h",
    "arch/x86/include/asm/inat.h",
    "arch/x86/include/asm/insn.h",
    "arch/x86/lib/inat.c",
    "arch/x86/lib/insn.c",
    "drivers/accessibility/speakup/genmap.c",
    "drivers/accessibility/speakup/makemapdata.c",
    "drivers/gpu/drm/radeon/mkregtable.c",
    "drivers/gpu/drm/xe/xe_gen_wa_oob.c",
    "drivers/tty/vt/conmakehash.c",
    "drivers/video/logo/pnmtologo.c",
    "fs/unicode/mkutf8data.c",
    "init/build-version",
    "lib/build_OID_registry",
    "security/selinux/genheaders.c",
];

/// Programs for the host whose folder is another one in other versions.
const BY_NAME: [&str; 3] = ["gen_crc32table.c", "gen_crc64table.c", "mktables.c"];

/// What is read by a program that runs it.
const SCRIPTS: [&str; 8] = ["sh", "pl", "py", "awk", "sed", "bc", "l", "y"];

fn part(path: &str) -> Option<Part> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let within = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
    if within(&BY_HAND) {
        return None;
    }
    // Of the other tools, the kernel needs none.
    let tool = path.starts_with("tools/");
    if tool && !within(&FOLDERS) && !within(&["tools/scripts/", "tools/Makefile"]) {
        return None;
    }
    if name.starts_with("Makefile")
        || name.starts_with("Kbuild")
        || name == "GNUmakefile"
        || name == "makefile"
    {
        return Some(Part::Makefile);
    }
    if name.starts_with("Kconfig") && !path.starts_with("scripts/") {
        return Some(Part::Kconfig);
    }
    // Kernel's code among the programs that sign it.
    if path.starts_with("certs/")
        && (name.ends_with(".c") || name.ends_with(".S"))
        && name != "extract-cert.c"
    {
        return None;
    }
    let script = name
        .rsplit_once('.')
        .is_some_and(|(_, end)| SCRIPTS.contains(&end))
        && !within(&["Documentation/", "samples/"]);
    (tool || script || within(&FOLDERS) || HOST_PROGRAMS.contains(&path) || BY_NAME.contains(&name))
        .then_some(Part::Program)
}

/// A line that is added, and whether the one before it goes on in it.
struct Added<'a> {
    text: &'a str,
    continued: bool,
}

/// A word that names an object, or a folder with objects.
fn is_object(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    word.chars().all(plain) && (word.ends_with(".o") || word.ends_with('/'))
}

/// An option in parentheses, as `$(CONFIG_NUMA)`.
fn is_option(word: &str) -> bool {
    let name = word
        .strip_prefix("$(CONFIG_")
        .and_then(|rest| rest.strip_suffix(')'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Whether a line of a makefile runs nothing by itself: it lists objects, or says whether something is instrumented, or depends on an option.
fn lists_objects(line: &Added<'_>) -> bool {
    let whole = line.text.trim_end();
    let text = whole.strip_suffix('\\').unwrap_or(whole);
    let text = match text.split_once('#') {
        // It would take the next line along.
        Some(_) if text != whole => return false,
        Some((before, _)) => before,
        None => text,
    };
    let recipe = text.starts_with('\t') && !line.continued;
    let words: Vec<&str> = text.split_whitespace().collect();
    let named = |name: &str| {
        let (stem, end) = match name.split_once("$(") {
            Some((stem, _)) => (stem.strip_suffix('-'), is_option(&name[stem.len()..])),
            None => match name.rsplit_once('-') {
                Some((stem, end)) => (Some(stem), matches!(end, "y" | "m" | "objs")),
                None => (None, false),
            },
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        end && stem.is_some_and(|stem| {
            !stem.is_empty() && stem.chars().all(plain) && !stem.ends_with("flags") && !stem.contains("progs")
        })
    };
    let instrumented = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && [
                "_SANITIZE",
                "_INSTRUMENT",
                "GCOV_PROFILE",
                "OBJECT_FILES_NON_STANDARD",
            ]
            .iter()
            .any(|word| name.contains(word))
            && !name.contains('$')
    };
    match words.as_slice() {
        [] => true,
        _ if recipe => false,
        ["else"] | ["endif"] => true,
        ["ifdef" | "ifndef", name] => name.starts_with("CONFIG_") && !name.contains('$'),
        ["ifeq" | "ifneq", test] => {
            let sides = test.trim_start_matches('(').split_once(',');
            sides.is_some_and(|(option, value)| is_option(option) && matches!(value, "y)" | "m)" | ")"))
        }
        [name, ":=" | "=", "y" | "n"] if instrumented(name) => true,
        [name, "+=" | ":=" | "=", objects @ ..] if named(name) => objects.iter().all(|word| is_object(word)),
        objects => objects.iter().all(|word| is_object(word)),
    }
}

/// Whether a line of Kconfig runs nothing: without a `$` there is no macro, and what it takes in is Kconfig by its name, which is looked at too.
fn is_plain_option(line: &Added<'_>) -> bool {
    let words: Vec<&str> = line.text.split_whitespace().collect();
    let known = |file: &str| {
        let name = file.trim_matches('"').rsplit('/').next();
        name.is_some_and(|name| name.starts_with("Kconfig"))
    };
    !line.text.contains('$')
        && match words.as_slice() {
            ["source" | "rsource" | "osource" | "orsource", file, ..] => known(file),
            _ => true,
        }
}

/// What is seen of one file while a diff is read.
#[derive(Default)]
struct Seen<'a> {
    path: String,
    /// It takes its name, and with it its lines, from another file.
    taken_over: bool,
    added: Vec<Added<'a>>,
}

impl Seen<'_> {
    fn runs(&self) -> bool {
        match part(&self.path) {
            None => false,
            Some(Part::Program) => self.taken_over || !self.added.is_empty(),
            Some(Part::Makefile) => self.taken_over || !self.added.iter().all(lists_objects),
            Some(Part::Kconfig) => self.taken_over || !self.added.iter().all(is_plain_option),
        }
    }
}

/// What a line in front of a file's hunks names it, and whether that has a folder before it, as `b/`; without one, its lines come from another file.
fn new_name(line: &str) -> Option<(&str, bool)> {
    let moved = ["rename to ", "copy to "]
        .iter()
        .find_map(|words| line.strip_prefix(words));
    line.strip_prefix("+++ ")
        .map(|path| (path, true))
        .or(moved.map(|path| (path, false)))
}

/// The files of a diff, which was [checked](super::diff::check), by which it changes what runs on the machine that builds.
pub(super) fn runs_at_build(diff: &str) -> Vec<String> {
    let mut files: Vec<Seen<'_>> = Vec::new();
    // How many lines of the hunk are still to come: one of them may look like a header.
    let mut left = 0u64;
    let mut continued = false;
    for line in diff.lines() {
        if left == 0 {
            let named = files.last().is_none_or(|file| !file.path.is_empty());
            if line.starts_with("diff --git ") || (line.starts_with("--- ") && named) {
                files.push(Seen::default());
            } else if let Some((path, prefixed)) = new_name(line)
                && let Ok(path) = unquoted(path.split('\t').next().unwrap_or(path))
                && let Some(file) = files.last_mut()
            {
                file.taken_over |= !prefixed;
                file.path = match prefixed {
                    // `/dev/null` alone has none: what is taken away runs no more.
                    true => stripped(&path).unwrap_or_default().to_owned(),
                    false => path,
                };
            } else if let Some((less, more)) = counts(line) {
                left = less.saturating_add(more);
                continued = false;
            }
            continue;
        }
        let (mark, text) = line.split_at_checked(1).unwrap_or((" ", ""));
        match mark {
            "-" => left -= 1,
            "+" => {
                left -= 1;
                if let Some(file) = files.last_mut() {
                    file.added.push(Added { text, continued });
                }
                continued = text.trim_end().ends_with('\\');
            }
            "\\" => {}
            _ => {
                left = left.saturating_sub(2);
                continued = text.trim_end().ends_with('\\');
            }
        }
    }
    let mut names: Vec<String> = files
        .into_iter()
        .filter(Seen::runs)
        .map(|file| file.path)
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::samples;

    /// Of a patch that adds these lines to a file.
    fn told(file: &str, lines: &str) -> bool {
        let count = lines.lines().count() + 1;
        let lines: String = lines.lines().map(|line| format!("+{line}\n")).collect();
        let diff = format!("--- a/{file}\n+++ b/{file}\n@@ -1 +1,{count} @@\n one\n{lines}");
        let told = runs_at_build(&diff);
        assert!(told.is_empty() || told == [file], "{told:?}");
        !told.is_empty()
    }

    #[test]
    fn what_runs_is_known_by_its_name() {
        for file in [
            "Makefile",
            "scripts/link-vmlinux.sh",
            "scripts/Kconfig.include",
            "scripts/mod/modpost.c",
            "scripts/gcc-plugins/latent_entropy_plugin.c",
            "tools/objtool/check.c",
            "tools/include/linux/list.h",
            "tools/scripts/Makefile.include",
            "certs/extract-cert.c",
            "certs/default_x509.genkey",
            "usr/gen_init_cpio.c",
            "arch/s390/tools/relocs.c",
            "arch/x86/boot/compressed/mkpiggy.c",
            "arch/x86/lib/insn.c",
            "lib/crc/gen_crc32table.c",
            "kernel/gen_kheaders.sh",
            "kernel/time/timeconst.bc",
            "lib/build_OID_registry",
        ] {
            assert!(told(file, "x"), "{file}");
        }
        for file in [
            "mm/memory_hotplug.c",
            "include/linux/mm.h",
            "arch/x86/kernel/vmlinux.lds.S",
            "arch/x86/entry/syscalls/syscall_64.tbl",
            "certs/system_keyring.c",
            "Documentation/sphinx/kernel_abi.py",
            "Documentation/admin-guide/mm/memory-hotplug.rst",
            "MAINTAINERS",
            "scripts/checkpatch.pl",
            "scripts/gdb/linux/mm.py",
            "tools/testing/selftests/mm/Makefile",
            "tools/testing/selftests/mm/run_vmtests.sh",
            "tools/mm/page-types.c",
            "tools/perf/Makefile.perf",
        ] {
            assert!(!told(file, "x"), "{file}");
        }
    }

    #[test]
    fn a_makefile_that_lists_objects_runs_nothing_more() {
        for lines in [
            "obj-y += x.o",
            "obj-$(CONFIG_MEMORY_HOTPLUG) += memory_hotplug.o # as it was\n",
            "obj-$(CONFIG_CMA)\t+= cma.o \\\n\t\t   cma_debug.o",
            "mmu-y := nommu.o\nmmu-$(CONFIG_MMU) := highmem.o memory.o",
            "obj-y += kasan/ damon/",
            "# why",
            "KASAN_SANITIZE_slub.o := n\nKCOV_INSTRUMENT_x.o := n",
            "ifdef CONFIG_NUMA\nelse\nendif\nifeq ($(CONFIG_X),y)",
        ] {
            assert!(!told("mm/Makefile", lines), "{lines}");
        }
        for lines in [
            "x := $(shell touch x)",
            "obj-y += $(shell touch x).o",
            "obj-$(shell touch x) += x.o",
            "obj-y += x.o $(if 1,y).o",
            "SHELL := mm/x.o",
            "CC := mm/x.o",
            "hostprogs-y += x.o",
            "ccflags-y += -fplugin=mm/x.so",
            "CFLAGS_x.o := -Bmm/",
            "$(obj)/x.o: FORCE",
            "\tmm/x.o",
            "\tobj-y += mm/x.o",
            "obj-y: \\\n\tx.o",
            "# why \\\nx.o",
            "include mm/x",
            "ifeq ($(shell touch x),y)",
            "ifeq ($(x),y)",
            "-include mm/x",
            "define x",
            "KASAN_SANITIZE_$(shell touch x) := n",
        ] {
            assert!(told("mm/Makefile", lines), "{lines}");
            assert!(told("mm/Kbuild", lines), "{lines}");
            assert!(told("drivers/dax/Makefile.x", lines), "{lines}");
        }
    }

    #[test]
    fn an_option_runs_nothing_and_a_macro_does() {
        let option = "config MHP_X\n\tbool \"x\"\n\tdepends on NUMA && !XEN\n\tdefault y\n\thelp\n\t  Say Y.\nsource \"mm/Kconfig.debug\"";
        assert!(!told("mm/Kconfig", option));
        for line in [
            "\tdefault $(shell,touch x)",
            "x := $(success,true)",
            "source \"mm/x\"",
            "\tdef_bool $\\",
        ] {
            assert!(told("mm/Kconfig", line), "{line}");
        }
    }

    #[test]
    fn each_file_is_looked_at_by_its_own_lines() {
        let diff = [
            samples::diff("mm/a.c", "x"),
            "--- a/mm/b.c\n+++ b/mm/b.c\n@@ -1 +1,3 @@\n one\n+++ b/scripts/x\n+more\n".to_owned(),
            samples::diff("scripts/b c.sh", "x"),
            samples::diff("mm/Makefile", "obj-y += a.o"),
            "diff --git a/mm/Kconfig b/mm/Kconfig\n--- a/mm/Kconfig\n+++ b/mm/Kconfig\n@@ -1,2 +1 @@\n one\n-$(shell,x)\n".to_owned(),
            "diff --git a/scripts/gone b/scripts/gone\ndeleted file mode 100755\n--- a/scripts/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
                .to_owned(),
            "diff --git a/mm/x.txt b/lib/Makefile\nsimilarity index 100%\nrename from mm/x.txt\nrename to lib/Makefile\n".to_owned(),
            "--- a/kernel/Makefile\n+++ b/kernel/Makefile\n@@ -1 +1,2 @@\n one\n+x: ; touch x\n\\ No newline at end of file\n".to_owned(),
        ]
        .concat();
        assert_eq!(
            runs_at_build(&diff),
            ["kernel/Makefile", "lib/Makefile", "scripts/b c.sh"]
        );
    }
}
