// SPDX-License-Identifier: MIT OR Apache-2.0
//! From names on the command line to suites.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};

use super::failure::Failure;
use ::run::LoadedSuite;
use base::{
    named::{self, NoText},
    ui::Ui,
};
use record::{ExploreRecord, RunRecord};
use suite::{KernelIssue, Suite, near};
use supply::cache;

/// The suites that come with memrig, by name.
const OURS: [(&str, &str); 10] = [
    ("quick", include_str!("../../../suites/quick.yaml")),
    ("blocks", include_str!("../../../suites/blocks.yaml")),
    ("accounting", include_str!("../../../suites/accounting.yaml")),
    ("standby", include_str!("../../../suites/standby.yaml")),
    ("dimm", include_str!("../../../suites/dimm.yaml")),
    ("zones", include_str!("../../../suites/zones.yaml")),
    ("errors", include_str!("../../../suites/errors.yaml")),
    ("boot-memory", include_str!("../../../suites/boot-memory.yaml")),
    ("stress", include_str!("../../../suites/stress.yaml")),
    ("selftests", include_str!("../../../suites/selftests.yaml")),
];

/// Issues that kernels have in every case.
pub(super) fn issues() -> Result<Vec<Arc<KernelIssue>>, Failure> {
    let issues = KernelIssue::parse("suites/known.yaml", include_str!("../../../suites/known.yaml"));
    Ok(issues.map_err(Failure::of)?.into_iter().map(Arc::new).collect())
}

/// Reads the named suites; `instead` where none is named.
///
/// A name with a slash or with the ending `.yaml` is a path; any other is a suite that comes with memrig; `all` is every one
/// of those but `quick`, which repeats parts of them, `stress`, which takes minutes, and `selftests`, which needs the kernel's source. What is named twice is
/// read once.
pub(super) fn load(names: &[String], instead: &[&str]) -> Result<Vec<Arc<LoadedSuite>>, Failure> {
    let names: Vec<&str> = if names.is_empty() {
        instead.to_vec()
    } else {
        names.iter().map(String::as_str).collect()
    };
    let all = || {
        self::names()
            .into_iter()
            .filter(|name| !["quick", "stress", "selftests"].contains(name))
    };
    let mut meant: Vec<&str> = Vec::new();
    for name in names {
        let those: Vec<&str> = match name {
            "all" => all().collect(),
            name => vec![name],
        };
        for name in those {
            if !meant.contains(&name) {
                meant.push(name);
            }
        }
    }
    meant.into_iter().map(load_one).collect()
}

/// The suites whose known issues an exploration does not find again.
pub(super) fn with_known() -> Result<Vec<Arc<LoadedSuite>>, Failure> {
    load(&["all".to_owned(), "stress".to_owned()], &[])
}

/// Reads the suites of an earlier run; tells which of them are not what they were.
pub(super) fn of_run(record: &RunRecord, ui: &Ui) -> Result<Vec<Arc<LoadedSuite>>, Failure> {
    let then = &record.facts.suites;
    let found = found(&record.folder).map_err(Failure::broken)?;
    let files: Vec<String> = then
        .iter()
        .map(|suite| match found.get(&suite.sha256) {
            // The run may lie somewhere else by now.
            Some(file) => file.clone(),
            None => ours_or_path(&suite.file),
        })
        .collect();
    let suites = load(&files, &[])?;
    for suite in &suites {
        if then
            .iter()
            .any(|then| then.file == suite.file && then.sha256 != suite.sha256)
        {
            ui.warning(&format!("{} is not what it was in that run", suite.file));
        }
    }
    Ok(suites)
}

/// The suites of what an exploration found, which lie in the run's folder: paths by the SHA-256 of the text.
fn found(run: &Utf8Path) -> std::io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let own = listed(&run.join(ExploreRecord::FOUND))?;
    // Where parts were put together, those of each are in a folder of its own.
    let of_parts: Vec<Utf8PathBuf> = own.iter().filter(|path| path.is_dir()).cloned().collect();
    let of_parts = of_parts.iter().map(|part| listed(part));
    let of_parts = of_parts.collect::<std::io::Result<Vec<_>>>()?.concat();
    for path in own.into_iter().chain(of_parts).filter(|path| path.is_file()) {
        let bytes = named::read_whole(path.as_std_path())?;
        found.insert(cache::sha256(&bytes), path.into_string());
    }
    Ok(found)
}

/// What is in a folder; nothing where it is not there.
fn listed(folder: &Utf8Path) -> std::io::Result<Vec<Utf8PathBuf>> {
    match folder.read_dir_utf8() {
        Ok(entries) => entries.map(|entry| Ok(entry?.into_path())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The name under which a suite of an earlier run is found again.
fn ours_or_path(file: &str) -> String {
    let name = file
        .strip_prefix("suites/")
        .and_then(|file| file.strip_suffix(".yaml"));
    match name {
        Some(name) if names().contains(&name) => name.to_owned(),
        _ => file.to_owned(),
    }
}

/// The names of all suites that come with memrig.
pub(super) fn names() -> Vec<&'static str> {
    OURS.iter().map(|(name, _)| *name).collect()
}

/// The text of a file that the user named, and the SHA-256 of its bytes in hex.
pub(super) fn read(name: &str) -> Result<(String, String), Failure> {
    let bytes = named::read_text(Path::new(name)).map_err(Failure::usage)?;
    let text = named::text(&bytes).map_err(|wrong| {
        let (line, column) = wrong.place();
        let failure = Failure::usage(anyhow::anyhow!("{name}:{line}:{column}: {wrong}"));
        match wrong {
            NoText::Utf16 => failure.hint("`iconv -f UTF-16 -t UTF-8` makes it so"),
            NoText::NoUtf8 { .. } | NoText::Nul { .. } => failure,
        }
    })?;
    Ok((text.to_owned(), cache::sha256(&bytes)))
}

fn load_one(name: &str) -> Result<Arc<LoadedSuite>, Failure> {
    let (file, text, sha256) = if name.contains('/') || name.ends_with(".yaml") {
        let (text, sha256) = read(name)?;
        (name.to_owned(), text, sha256)
    } else {
        let found = OURS.iter().find(|(ours, _)| *ours == name);
        let (name, text) = found.ok_or_else(|| {
            let known = format!(
                "the suites are all, {}; a path has a slash or ends in .yaml",
                names().join(", ")
            );
            let near = near(name, names().into_iter().chain(["all"]));
            Failure::usage(anyhow::anyhow!("there is no suite `{name}`"))
                .hint(near.map_or_else(|| known.clone(), |near| format!("{near} {known}")))
        })?;
        (
            format!("suites/{name}.yaml"),
            (*text).to_owned(),
            cache::sha256(text.as_bytes()),
        )
    };
    let suite = Suite::parse(&file, &text).map_err(Failure::of)?;
    let mut loaded = LoadedSuite { sha256, file, suite };
    if let Some(sha256) = with_files(&loaded)? {
        loaded.sha256 = sha256;
    }
    Ok(Arc::new(loaded))
}

/// The digest of a suite whose guests get files that lie beside it: of its text, and of each of them.
fn with_files(loaded: &LoadedSuite) -> Result<Option<String>, Failure> {
    let mut all = loaded.sha256.clone();
    for (line, name) in loaded.suite.files() {
        let bytes = named::read_whole(&loaded.folder().join(name)).map_err(|error| {
            let file = &loaded.file;
            Failure::usage(anyhow::anyhow!(
                "{file}:{line}: the file `{name}` for the guest: {error}"
            ))
            .hint("files are looked for in the folder of the suite; suites that come with memrig have none")
        })?;
        all += name;
        all += &cache::sha256(&bytes);
    }
    Ok((all != loaded.sha256).then(|| cache::sha256(all.as_bytes())))
}
