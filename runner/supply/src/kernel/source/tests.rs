// SPDX-License-Identifier: MIT OR Apache-2.0

use std::{collections::BTreeMap, path::Path};

use super::{
    asked::{asked, lost},
    fragments::fragments,
    log::{Seen, carried},
    toolchain::{Toolchain, knows_the_machine},
    *,
};
use base::Arch;
use format::kconfig::Kconfig;

#[test]
fn specs_are_read_and_written_alike() {
    for text in [
        "tree:/src/linux",
        "tree:linux@v6.12",
        "tree:a@b@topic/x,config=lockdep+kasan",
        "source:debian:trixie",
        "source:debian:sid,config=kasan,series=suites/series/standby,patches=2",
        "tree:linux,series=v6.12..topic",
    ] {
        assert_eq!(BuildSpec::parse(text).unwrap().to_string(), text);
    }
    let error = |text: &str| BuildSpec::parse(text).unwrap_err().to_string();
    assert!(error("tree:").contains("names no folder"));
    assert!(error("tree:x@").contains("names no commit"));
    assert!(error("tree:x@--upload-pack=y").contains("names no commit"));
    assert!(error("source:ubuntu:noble").contains("expected `source:debian:RELEASE`"));
    assert!(error("source:debian:jammy").contains("expected one of bookworm, "));
    assert!(error("tree:x,confg=y").contains("`confg=y`"));
    assert!(error("tree:x,config=a,config=b").contains("each once"));
    assert!(error("tree:x,patches=1").contains("no series"));
    assert!(error("tree:x,series=a..").contains("names no series"));
}

fn chosen(arch: Arch, variables: &[(&str, &str)]) -> Toolchain {
    Toolchain::choose(arch, "x86_64", true, |name| {
        variables
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_makefiles_own_variables_choose_the_compiler() {
    let flags = chosen(Arch::X86_64, &[("KCFLAGS", "-O1")]).flags;
    assert_eq!(flags.as_deref(), Some("-O1"));
    assert_eq!(chosen(Arch::X86_64, &[]).flags, None);
    let plain = chosen(Arch::S390x, &[]);
    assert_eq!(
        plain.words,
        [
            "ARCH=s390",
            "CROSS_COMPILE=s390x-linux-gnu-",
            "CC=ccache s390x-linux-gnu-gcc"
        ]
    );
    assert!(plain.jobs.is_some_and(|jobs| jobs.starts_with("-j")));
    assert_eq!(chosen(Arch::X86_64, &[]).words, ["ARCH=x86_64", "CC=ccache gcc"]);
    assert_eq!(
        chosen(Arch::X86_64, &[("CC", "gcc-14")]).words,
        ["ARCH=x86_64", "CC=gcc-14"]
    );
    let wrong = chosen(Arch::S390x, &[("CC", "gcc-14")]);
    assert_eq!(wrong.words, plain.words);
    assert!(
        wrong
            .note
            .is_some_and(|note| note.contains("CC=gcc-14 does not build for s390x"))
    );
    let own = chosen(Arch::S390x, &[("CROSS_COMPILE", "/opt/s390-")]);
    assert_eq!(
        own.words,
        ["ARCH=s390", "CROSS_COMPILE=/opt/s390-", "CC=ccache /opt/s390-gcc"]
    );
    // A cross compiler for the other architecture is none for this one.
    assert_eq!(
        chosen(Arch::X86_64, &[("CROSS_COMPILE", "s390x-linux-gnu-")]).words,
        ["ARCH=x86_64", "CC=ccache gcc"]
    );
    assert_eq!(
        chosen(Arch::S390x, &[("LLVM", "1")]).words,
        ["ARCH=s390", "LLVM=1"]
    );
    let flags = [("LLVM", "-19"), ("CC", "ccache clang-19"), ("MAKEFLAGS", "-j3")];
    let clang = chosen(Arch::X86_64, &flags);
    assert_eq!(
        (clang.words.join(" ").as_str(), clang.jobs),
        ("ARCH=x86_64 LLVM=-19 CC=ccache clang-19", None)
    );
    // Clang builds for s390x too, with GNU's linker.
    let gnu = chosen(Arch::S390x, &[("CC", "clang")]);
    assert_eq!(
        gnu.words,
        ["ARCH=s390", "CROSS_COMPILE=s390x-linux-gnu-", "CC=clang"]
    );
    let old = chosen(Arch::S390x, &[("LLVM", "-15"), ("LLVM_IAS", "0")]);
    assert_eq!(
        old.words,
        [
            "ARCH=s390",
            "LLVM=-15",
            "CROSS_COMPILE=s390x-linux-gnu-",
            "LLVM_IAS=0"
        ]
    );
    assert_eq!(
        chosen(Arch::X86_64, &[("LLVM", "0")]).words,
        chosen(Arch::X86_64, &[]).words
    );
    // Objects of one compiler are not overwritten by those of another.
    let family = |variables: &[(&str, &str)]| chosen(Arch::X86_64, variables).family;
    assert_eq!(family(&[("CC", "gcc-14")]), None);
    assert_eq!(family(&[("CC", "clang-19")]).as_deref(), Some("clang"));
    assert_eq!(family(&[("LLVM", "1")]).as_deref(), Some("llvm1"));
    assert_eq!(family(&[("LLVM", "-19")]).as_deref(), Some("llvm-19"));
    assert_eq!(family(&[("LLVM", "/opt/l/")]).as_deref(), Some("llvm-opt-l-"));
}

#[test]
fn a_compiler_that_the_user_names_is_the_users_to_install() {
    let said = |variables: &[(&str, &str)]| chosen(Arch::S390x, variables).check().unwrap_err().to_string();
    assert_eq!(
        said(&[("LLVM", "-7")]),
        "LLVM=-7 needs clang-7, ld.lld-7, llvm-ar-7, which this machine does not have: memrig installs no compiler that you name; on \
         Debian, `apt-get install clang-7 lld-7 llvm-7` does"
    );
    assert_eq!(
        said(&[("LLVM", "/nowhere/"), ("CC", "no-clang -m64")]),
        "LLVM=/nowhere/ 'CC=no-clang -m64' needs /nowhere/ld.lld, /nowhere/llvm-ar, no-clang, which this machine does not have: memrig \
         installs no compiler that you name"
    );
    // LLD 14 and 19.
    assert!(!knows_the_machine(
        "ld.lld: error: unknown emulation: elf64_s390\n"
    ));
    assert!(knows_the_machine("ld.lld-19: error: no input files\n"));
}

/// What is lost of the bench's configuration where these lines are appended to what was asked.
fn missing(arch: Arch, named: &[&str], changed: &str) -> Vec<Lost> {
    let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
    let fragments = fragments(arch, &named).unwrap();
    let text: String = fragments.iter().map(|fragment| fragment.text).collect();
    let config = Kconfig::parse(&format!("{text}\n{changed}")).unwrap();
    lost(&asked(&fragments).unwrap(), &config, |name| {
        name != "SOFTLOCKUP_DETECTOR"
    })
}

#[test]
fn an_option_that_did_not_take_is_weighed() {
    assert_eq!(missing(Arch::S390x, &[], ""), []);
    let gone =
        "CONFIG_VIRTIO_NET=m\n# CONFIG_HUGETLBFS is not set\n# CONFIG_SOFTLOCKUP_DETECTOR is not set\n";
    let found = missing(Arch::S390x, &[], gone);
    let weights: Vec<_> = found
        .iter()
        .map(|lost| (lost.option.as_str(), &lost.weight))
        .collect();
    assert!(
        matches!(
            weights[..],
            [
                ("HUGETLBFS", Weight::Blind(_)),
                ("SOFTLOCKUP_DETECTOR", Weight::Harmless),
                ("VIRTIO_NET", Weight::Needed(_)),
            ]
        ),
        "{weights:?}"
    );
    assert!(
        found[0]
            .to_string()
            .starts_with("CONFIG_HUGETLBFS=y was asked, and is n (something")
    );
    assert!(found[1].to_string().ends_with("(this version does not have it)"));
    assert_eq!((found[2].asked.as_str(), found[2].is.as_str()), ("y", "m"));
    let named = missing(Arch::X86_64, &["kasan"], "# CONFIG_KASAN is not set\n");
    assert!(
        named[0]
            .to_string()
            .ends_with("`config=kasan` is not possible here"),
        "{}",
        named[0]
    );
    // What a later fragment takes away on purpose is not lost.
    assert_eq!(missing(Arch::X86_64, &["no-hugetlb"], ""), []);
    let blocks = missing(
        Arch::X86_64,
        &[],
        "# CONFIG_MHP_DEFAULT_ONLINE_TYPE_OFFLINE is not set\n",
    );
    assert!(matches!(blocks[0].weight, Weight::Blind(_)));
}

const LOG: &str = "make[1]: Entering directory '/c/build/s390x'\n  CC      mm/sparse.o\n\
    /c/work/mm/sparse.c: In function 'f':\n/c/work/mm/sparse.c:12:5: warning: unused variable 'x' [-Wunused-variable]\n  \
    CC      mm/slub.o\n/c/work/mm/slub.c:9:2: error: expected ';' before 'return'\n\
    make[3]: *** [/c/work/scripts/Makefile.build:229: mm/slub.o] Error 1\nmake: *** [Makefile:224: __sub-make] Error 2\n";

fn seen(log: &str) -> Seen {
    let mut seen = Seen::new(Path::new("/c/work"));
    for line in log.lines() {
        seen.line(line);
    }
    seen
}

#[test]
fn the_first_error_of_a_log_is_named() {
    let failed = seen(LOG).failed("x.log".into());
    assert_eq!(
        (failed.file.as_deref(), failed.line),
        (Some("mm/slub.c"), Some(9))
    );
    assert_eq!(failed.said, "mm/slub.c:9:2: error: expected ';' before 'return'");
    let link = "  LD      vmlinux.o\ns390x-linux-gnu-ld: mm/a.o: in function `f':\na.c:(.text+0x8): undefined reference to `g'\n\
        make: *** [Makefile:1: vmlinux] Error 1\n";
    assert!(
        seen(link)
            .failed("x".into())
            .said
            .contains("undefined reference to `g'")
    );
    let config = "mm/Kconfig:3: syntax error\nmake[2]: *** [x] Error 1\n";
    assert_eq!(
        seen(config).failed("x".into()).file.as_deref(),
        Some("mm/Kconfig")
    );
    let old = "***\n*** C compiler is too old.\n***   Your Clang version:    14.0.6\n***   Minimum Clang version: 15.0.0\n***\n\
        scripts/Kconfig.include:44: Sorry, this C compiler is not supported.\nmake[2]: *** [x:85: olddefconfig] Error 1\n";
    assert_eq!(
        seen(old).failed("x".into()).said,
        "C compiler is too old; Your Clang version: 14.0.6; Minimum Clang version: 15.0.0"
    );
    // As of a source that writes where builds may not.
    let outside =
        "/bin/sh: 1: cannot create ../x: Read-only file system\nmake: *** [Makefile:3: x] Error 2\n";
    assert_eq!(
        seen(outside).failed("x".into()).said,
        "/bin/sh: 1: cannot create ../x: Read-only file system"
    );
    assert_eq!(seen("").failed("x".into()).said, "the log does not say why");
}

#[test]
fn warnings_are_those_of_the_whole_kernel() {
    let first = carried(BTreeMap::new(), &seen(LOG));
    assert_eq!(first.keys().collect::<Vec<_>>(), ["mm/sparse.c"]);
    assert!(
        first["mm/sparse.c"]
            .iter()
            .any(|warning| warning.said.starts_with("unused variable"))
    );
    // Another file is compiled: the warning stays. The same file is, and says nothing: it is gone.
    assert_eq!(carried(first.clone(), &seen("  CC      mm/slub.o\n")), first);
    assert!(carried(first, &seen("  CC      mm/sparse.o\n")).is_empty());
}

#[test]
fn a_log_tells_when_the_kernel_is_linked() {
    // The ends of the logs of 6.12.117 and of 7.2.13 for s390x.
    for (log, linked) in [
        (
            "  LD      .tmp_vmlinux2\n  AS      .tmp_vmlinux2.kallsyms.o\n  LD      vmlinux\n  NM      System.map\n  SORTTAB vmlinux\n  \
             RELOCS  arch/s390/boot/relocs.S\n  RSTRIP  vmlinux\n  LD      arch/s390/boot/vmlinux\n",
            "vmlinux",
        ),
        (
            "  LD      .tmp_vmlinux2\n  NM      .tmp_vmlinux2.syms\n  LD      vmlinux.unstripped\n  NM      System.map\n  \
             SORTTAB vmlinux.unstripped\n  OBJCOPY vmlinux\n",
            "vmlinux.unstripped",
        ),
    ] {
        let mut seen = Seen::new(Path::new("/c/work"));
        let mut told = Vec::new();
        for line in log.lines() {
            seen.line(line);
            told.extend(seen.linked_by(line).map(|file| (line, file.to_owned())));
        }
        assert_eq!(told, [("  NM      System.map", linked.to_owned())]);
    }
}
