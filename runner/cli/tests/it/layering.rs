// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds what Cargo does not say of the crates: which may use which, that some of them only compute, that the document has what the manifests
//! say, that a name of a case is made of its key and never read, and how modules lie in their folders.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use serde_json::Value;

/// A crate and the crates that it may use, from the bottom to the top.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("base", &[]),
    ("format", &["base"]),
    ("memory", &["base"]),
    ("vm", &["base", "format", "memory"]),
    ("supply", &["base", "format", "memory"]),
    ("suite", &["base", "memory"]),
    ("explore", &["base", "memory", "suite"]),
    ("record", &["base", "memory"]),
    ("compare", &["base", "memory", "record"]),
    ("tell", &["base", "memory", "record", "compare"]),
    (
        "run",
        &[
            "base", "format", "memory", "vm", "supply", "suite", "explore", "record", "compare",
        ],
    ),
    (
        "cli",
        &[
            "base", "format", "memory", "vm", "supply", "suite", "record", "compare", "tell", "run",
        ],
    ),
];

/// Crates that compute only: they may not name what does I/O.
const PURE: [&str; 5] = ["compare", "explore", "memory", "suite", "tell"];

/// Paths of the standard library and of crates that do I/O, also inside of longer paths.
const IO: [&str; 8] = [
    "std::fs",
    "fs_err",
    "std::process",
    "std::net",
    "tokio",
    "std::env",
    "SystemTime",
    "Instant::now",
];

/// The folder that has a folder for each crate.
fn runner() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the folder of the crates")
        .to_owned()
}

/// What a manifest says: the crates of the house that a crate uses, and those that its tests use beside them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Uses {
    always: BTreeSet<String>,
    tests: BTreeSet<String>,
}

/// The name of a crate's folder, by the name of its package.
fn folder(package: &str) -> Option<&str> {
    match package {
        "memrig" => Some("cli"),
        other => other.strip_prefix("memrig-"),
    }
}

/// What all manifests say, as Cargo reads them.
fn manifests() -> BTreeMap<String, Uses> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version=1",
            "--manifest-path",
        ])
        .arg(runner().join("cli/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let house: Value = serde_json::from_slice(&output.stdout).expect("what cargo metadata prints");
    let mut found = BTreeMap::new();
    for package in house["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("the name of a package");
        let mut uses = Uses::default();
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if let Some(used) = dependency["name"].as_str().and_then(folder) {
                match dependency["kind"].as_str() {
                    Some("dev") => uses.tests.insert(used.to_owned()),
                    _ => uses.always.insert(used.to_owned()),
                };
            }
        }
        let name = folder(name).unwrap_or_else(|| panic!("{name} is no crate of the house"));
        found.insert(name.to_owned(), uses);
    }
    found
}

#[test]
fn crates_use_only_what_lies_below_them() {
    let manifests = manifests();
    let known: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = manifests.keys().map(String::as_str).collect();
    assert_eq!(there, known, "the crates of the workspace");
    let mut wrong = Vec::new();
    for (floor, (name, may_use)) in MAY_USE.iter().enumerate() {
        for lower in *may_use {
            let below = MAY_USE[..floor].iter().any(|(other, _)| other == lower);
            assert!(below, "{lower} does not lie below {name}");
        }
        let uses = &manifests[*name];
        for used in uses.always.union(&uses.tests) {
            if !may_use.contains(&used.as_str()) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    let may = |name: &str| {
        MAY_USE
            .iter()
            .find(|(other, _)| *other == name)
            .expect("a crate")
            .1
    };
    assert!(!may("vm").contains(&"supply") && !may("supply").contains(&"vm"));
    assert!(wrong.is_empty(), "manifests that point up:\n{}", wrong.join("\n"));
}

/// The table of the crates in a document: the name, and what is used.
fn table(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut rows = document
        .lines()
        .skip_while(|line| !line.starts_with("| floor | crate |"))
        .take_while(|line| line.starts_with('|'));
    let head = rows.next().expect("the table of the crates");
    assert!(head.ends_with("| uses |"), "{head}");
    rows.skip(1)
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let uses = cells.last().expect("a last cell").split(", ");
            (
                cells[1].trim_matches('`').to_owned(),
                uses.filter(|used| *used != "–").map(str::to_owned).collect(),
            )
        })
        .collect()
}

#[test]
fn the_document_has_what_the_manifests_say() {
    let document = fs_err::read_to_string(runner().join("../docs/architecture.md")).expect("the document");
    let said: BTreeMap<String, BTreeSet<String>> = manifests()
        .into_iter()
        .map(|(name, uses)| (name, uses.always))
        .collect();
    assert_eq!(table(&document), said, "docs/architecture.md, then the manifests");
}

/// Whether tokens after `#` are an attribute by which an item is there for tests alone.
fn for_tests(attribute: &TokenStream) -> bool {
    let mut tokens = attribute.clone().into_iter();
    let is_cfg = matches!(tokens.next(), Some(TokenTree::Ident(name)) if name == "cfg");
    let Some(TokenTree::Group(group)) = tokens.next() else {
        return false;
    };
    let condition: String = group
        .stream()
        .to_string()
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    is_cfg && (condition == "test" || condition.starts_with("any(test,"))
}

/// The tokens of a file without the items that are there for tests alone. Comments are no tokens.
fn code(text: &str) -> Vec<TokenTree> {
    let stream: TokenStream = text.parse().expect("a source file");
    without_tests(stream)
}

fn without_tests(stream: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#')
            && let Some(TokenTree::Group(group)) = tokens.peek()
            && group.delimiter() == Delimiter::Bracket
            && for_tests(&group.stream())
        {
            // The item ends with a semicolon, or with what stands in braces.
            for token in tokens.by_ref() {
                match token {
                    TokenTree::Punct(punct) if punct.as_char() == ';' => break,
                    TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                    _ => {}
                }
            }
            continue;
        }
        kept.push(match token {
            TokenTree::Group(group) => {
                let inside = without_tests(group.stream());
                TokenTree::Group(proc_macro2::Group::new(
                    group.delimiter(),
                    inside.into_iter().collect(),
                ))
            }
            other => other,
        });
    }
    kept
}

/// Adds all paths in tokens, each in one piece: `use a::{b, c::d}` names `a::b` and `a::c::d`.
fn paths(tokens: &[TokenTree], before: &str, found: &mut Vec<String>) {
    let mut path = before.to_owned();
    let mut i = 0;
    while i < tokens.len() {
        match &tokens[i] {
            TokenTree::Ident(name) => {
                let joins = path.is_empty() || path.ends_with("::");
                if !joins {
                    found.push(std::mem::replace(&mut path, before.to_owned()));
                }
                path.push_str(&name.to_string());
            }
            TokenTree::Punct(punct)
                if punct.as_char() == ':'
                    && matches!(tokens.get(i + 1), Some(TokenTree::Punct(next)) if next.as_char() == ':') =>
            {
                if !path.is_empty() && !path.ends_with("::") {
                    path.push_str("::");
                }
                i += 1;
            }
            TokenTree::Group(group) => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                if path.ends_with("::") && path != before && group.delimiter() == Delimiter::Brace {
                    paths(&inside, &path, found);
                } else {
                    found.push(std::mem::take(&mut path));
                    let tree = !before.is_empty() && group.delimiter() == Delimiter::Brace;
                    paths(&inside, if tree { before } else { "" }, found);
                }
                path = before.to_owned();
            }
            _ => found.push(std::mem::replace(&mut path, before.to_owned())),
        }
        i += 1;
    }
    found.push(path);
    found.retain(|path| !path.is_empty());
}

/// What of [`IO`] a text names outside of its tests.
fn io_named(text: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    paths(&code(text), "", &mut found);
    let named = |io: &str| {
        found
            .iter()
            .any(|path| format!("::{path}::").contains(&format!("::{io}::")))
    };
    IO.into_iter().filter(|io| named(io)).collect()
}

/// The files of modules that a file declares, but those for tests alone.
fn declared(file: &Path, text: &str) -> Vec<PathBuf> {
    let folder = match file.file_name().and_then(|name| name.to_str()) {
        Some("lib.rs" | "main.rs" | "mod.rs") => file.parent().expect("a folder").to_owned(),
        _ => file.with_extension(""),
    };
    let tokens = code(text);
    let mut found = Vec::new();
    for window in tokens.windows(3) {
        if let [
            TokenTree::Ident(word),
            TokenTree::Ident(name),
            TokenTree::Punct(end),
        ] = window
            && word == "mod"
            && end.as_char() == ';'
        {
            let plain = folder.join(format!("{name}.rs"));
            found.push(match plain.is_file() {
                true => plain,
                false => folder.join(format!("{name}/mod.rs")),
            });
        }
    }
    found
}

#[test]
fn pure_crates_do_no_io() {
    let mut wrong = Vec::new();
    for name in PURE {
        let mut read = 0;
        let mut files = vec![runner().join(name).join("src/lib.rs")];
        while let Some(file) = files.pop() {
            let text = fs_err::read_to_string(&file).expect("a source file");
            for io in io_named(&text) {
                wrong.push(format!("{} names {io}", file.display()));
            }
            files.extend(declared(&file, &text));
            read += 1;
        }
        assert!(read >= 5, "{name}: only {read} files were read");
    }
    assert!(wrong.is_empty(), "I/O in pure crates:\n{}", wrong.join("\n"));
}

/// The verbs that a text names by their files, out of those that there are.
fn verbs_named<'a>(text: &str, verbs: &'a BTreeSet<String>) -> Vec<&'a str> {
    let mut found = Vec::new();
    paths(&code(text), "", &mut found);
    let is_named = |verb: &&String| {
        found.iter().any(|path| {
            let mut parts = path.split("::");
            matches!(parts.next(), Some("super" | "crate"))
                && parts.find(|part| *part != "super") == Some(verb.as_str())
        })
    };
    verbs.iter().filter(is_named).map(String::as_str).collect()
}

/// The files of the program's verbs: of each variant of `Verb` that has one.
fn verbs(source: &Path) -> BTreeSet<String> {
    let text = fs_err::read_to_string(source.join("args/verbs.rs")).expect("the verbs");
    let tokens = code(&text);
    let list = tokens.windows(2).find_map(|pair| match pair {
        [TokenTree::Ident(name), TokenTree::Group(list)] if name == "Verb" => Some(list.stream()),
        _ => None,
    });
    let variants = list
        .expect("the list of verbs")
        .into_iter()
        .filter_map(|token| match token {
            TokenTree::Ident(name) => Some(name.to_string().to_lowercase()),
            _ => None,
        });
    variants
        .filter(|verb| source.join(format!("{verb}.rs")).is_file())
        .collect()
}

#[test]
fn no_verb_uses_another_one() {
    let source = runner().join("cli/src");
    let verbs = verbs(&source);
    assert!(verbs.len() >= 15, "only {verbs:?} were found");
    let mut wrong = Vec::new();
    for folder in [source.clone(), source.join("args")] {
        for entry in fs_err::read_dir(folder).expect("the sources") {
            let file = entry.expect("a source file").path();
            if file.is_file() && !file.ends_with("main.rs") {
                let text = fs_err::read_to_string(&file).expect("a source file");
                for verb in verbs_named(&text, &verbs) {
                    wrong.push(format!("{} uses {verb}", file.display()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "what verbs have in common is in `run`, or in a file of no verb:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_verb_is_seen_however_it_is_named() {
    let verbs = BTreeSet::from(["report", "run"].map(str::to_owned));
    let named = |text: &str| verbs_named(text, &verbs);
    assert_eq!(
        named("use super::{args::Run, failure::Failure, report, run::{self, x}};"),
        ["report", "run"]
    );
    assert_eq!(named("fn f() { crate::report::report() }"), ["report"]);
    assert_eq!(named("use super::super::run::run;"), ["run"]);
    let none: [&str; 0] = [];
    // A crate has the name of a verb, and arguments have its words.
    assert_eq!(
        named("use ::run::run; use super::{args::report, told::run}; fn f() { run::go(super::x) }"),
        none
    );
}

/// What [`record::CaseKey`] makes of itself.
const NAMES: [&str; 5] = ["id", "classname", "kernel_name", "config_name", "variant_name"];

/// How the beginnings of the methods are called that take a text apart or look into it.
const READS: [&str; 9] = [
    "split",
    "rsplit",
    "strip_",
    "starts_with",
    "ends_with",
    "contains",
    "find",
    "rfind",
    "chars",
];

/// Names of a case that a text takes apart, as `variant_name().split`.
fn names_read(tokens: &[TokenTree], found: &mut Vec<String>) {
    for (at, token) in tokens.iter().enumerate() {
        if let [
            TokenTree::Ident(name),
            TokenTree::Group(none),
            TokenTree::Punct(dot),
            TokenTree::Ident(read),
            ..,
        ] = &tokens[at..]
            && NAMES.contains(&name.to_string().as_str())
            && none.stream().is_empty()
            && dot.as_char() == '.'
            && READS.iter().any(|word| read.to_string().starts_with(word))
        {
            found.push(format!("{name}().{read}"));
        }
        if let TokenTree::Group(group) = token {
            names_read(&group.stream().into_iter().collect::<Vec<_>>(), found);
        }
    }
}

/// All source files of the crates, and of their tests and benches.
fn sources() -> Vec<PathBuf> {
    let mut folders = vec![runner()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry of a folder").path();
            match path.extension().and_then(|end| end.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("rs") => files.push(path),
                _ => {}
            }
        }
    }
    files
}

#[test]
fn what_a_case_is_called_is_made_in_one_place_and_taken_apart_in_none() {
    let key = runner().join("record/src/key.rs");
    let files = sources();
    assert!(files.contains(&key) && files.len() > 200, "{} files", files.len());
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| **file != key) {
        let text = fs_err::read_to_string(file).expect("a source file");
        let mut found = Vec::new();
        names_read(&code(&text), &mut found);
        // What only `key.rs` writes: a round among the choices of a variant.
        let program = file.components().any(|part| part.as_os_str() == "src");
        let literals = literals(&code(&text));
        found.extend(
            literals
                .into_iter()
                .filter(|text| program && text.contains("round=")),
        );
        wrong.extend(
            found
                .into_iter()
                .map(|what| format!("{}: {what}", file.display())),
        );
    }
    assert!(wrong.is_empty(), "names of cases are read:\n{}", wrong.join("\n"));
    let read = |text: &str| {
        let mut found = Vec::new();
        names_read(&code(text), &mut found);
        found
    };
    assert_eq!(
        read("fn f(key: &K) { if a { key.kernel_name().rsplit_once('-') } }"),
        ["kernel_name().rsplit_once"]
    );
    assert_eq!(
        read("fn f() { key.id()\n.split('/'); key.id().len(); key.split('/') }"),
        ["id().split"]
    );
}

#[test]
fn a_folder_of_modules_has_its_mod_rs_with_docs_and_re_exports_alone() {
    const ITEMS: [&str; 10] = [
        "fn",
        "struct",
        "enum",
        "union",
        "impl",
        "trait",
        "const",
        "static",
        "type",
        "macro_rules",
    ];
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in sources() {
        if file.with_extension("").is_dir() {
            wrong.push(format!(
                "{} has a folder beside it: make it the mod.rs there",
                file.display()
            ));
        }
        if file.file_name().is_some_and(|name| name == "mod.rs") {
            seen += 1;
            let text = fs_err::read_to_string(&file).expect("a source file");
            let items = code(&text).into_iter().map(|token| token.to_string());
            let found = items.filter(|word| ITEMS.contains(&word.as_str()));
            wrong.extend(found.map(|word| format!("{} has a `{word}`", file.display())));
        }
    }
    assert!(seen > 20, "only {seen} folders of modules");
    assert!(wrong.is_empty(), "modules:\n{}", wrong.join("\n"));
}

/// The literals in tokens.
fn literals(tokens: &[TokenTree]) -> Vec<String> {
    tokens
        .iter()
        .flat_map(|token| match token {
            TokenTree::Literal(literal) => vec![literal.to_string()],
            TokenTree::Group(group) => literals(&group.stream().into_iter().collect::<Vec<_>>()),
            _ => Vec::new(),
        })
        .collect()
}

#[test]
fn the_reader_of_sources_sees_what_it_must() {
    let named = |text: &str| io_named(text);
    assert_eq!(named("use std::fs;"), ["std::fs"]);
    assert_eq!(named("use std::{fmt, fs::{self, File}, io};"), ["std::fs"]);
    assert_eq!(
        named("use std::{io::{self, Read}, {net::TcpStream}, env};"),
        ["std::net", "std::env"]
    );
    assert_eq!(
        named("fn f() { let x = [::std::process::id()]; }"),
        ["std::process"]
    );
    assert_eq!(
        named("fn f() -> u32 { g(vec![std::time::Instant::now()]) }"),
        ["Instant::now"]
    );
    assert_eq!(
        named("use tokio as t; type T = Option<time::SystemTime>;"),
        ["tokio", "SystemTime"]
    );
    let none: [&str; 0] = [];
    assert_eq!(
        named("use std::{fmt, io}; // std::fs\nconst A: &str = \"std::fs\";"),
        none
    );
    let tests = "#[cfg(test)]\nmod tests { use std::fs; }\n#[cfg(any(test, feature = \"samples\"))]\nmod s;";
    assert_eq!(named(tests), none);
    // What follows the tests is read too.
    assert_eq!(
        named(&format!("{tests}\nfn f() {{ fs_err::read(\"x\"); }}")),
        ["fs_err"]
    );
    assert_eq!(
        named("#[cfg(not(test))]\nfn f() { fs_err::read(\"x\"); }"),
        ["fs_err"]
    );
    assert_eq!(
        named("impl X {\n#[cfg(test)]\nfn a() { std::env::args() }\nfn b() { std::net::x() }}"),
        ["std::net"]
    );
}
