// SPDX-License-Identifier: MIT OR Apache-2.0
//! The folder of a run in one file, to be attached to a report.

use std::io::{self, BufWriter, Write};

use camino::{Utf8Path, Utf8PathBuf};
use flate2::{Compression, write::GzEncoder};

use base::{
    fault::{Blame, Blamed},
    named,
};

/// A run could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file of the run, or the one that is written.
    #[error("packing `{run}` into `{into}`")]
    Io {
        /// The folder of the run.
        run: Utf8PathBuf,
        /// The file that is written.
        into: Utf8PathBuf,
        /// What the host's kernel said.
        source: io::Error,
    },
    /// The folder is no run's, or has no name.
    #[error("`{0}` holds no run: it has no run.json")]
    NoRun(Utf8PathBuf),
    /// Where the bundle would be written, or what would be packed; the error has the path.
    #[error(transparent)]
    Named(io::Error),
    /// What would be packed lies where the bundle is written.
    #[error("`{0}` lies in the run that is packed; name a file outside of it")]
    Inside(Utf8PathBuf),
}

impl Blamed for BundleError {
    fn blame(&self) -> Blame {
        match self {
            Self::Io { source, .. } => Blame::of_place(source),
            Self::NoRun(_) | Self::Named(_) | Self::Inside(_) => Blame::Usage,
        }
    }
}

/// Words that do not leave the machine, and what stands for each: `/home/me` and `~`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden(Vec<(String, String)>);

impl Hidden {
    /// Those of `words` that are not empty; what is part of another one goes after it.
    pub fn new(words: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut words: Vec<(String, String)> = words
            .into_iter()
            // The root is part of every path.
            .filter(|(word, _)| word.len() > 1)
            .collect();
        words.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        words.dedup();
        Self(words)
    }

    /// The bytes with what stands for each word; a word ends where a name of a path does.
    fn from(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.0.iter().fold(bytes, |bytes, (word, stand_in)| {
            replaced(&bytes, word.as_bytes(), stand_in.as_bytes())
        })
    }
}

/// `bytes` with `to` for each `from` that no letter, digit, `_` or `-` follows.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        let end = at + from.len();
        out.extend_from_slice(&rest[..at]);
        let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        out.extend_from_slice(if rest.get(end).is_some_and(goes_on) {
            from
        } else {
            to
        });
        rest = &rest[end..];
    }
    out.extend_from_slice(rest);
    out
}

/// Packs the folder of a run into one `.tar.gz`, below the run's name. What is hidden is in no file of it; `memrig report` reads what is
/// unpacked. Returns the number of files.
///
/// # Errors
/// The folder is no run's, the bundle would lie in it, a file cannot be read, or the bundle not be written; then there is none.
pub fn bundle(run: &Utf8Path, into: &Utf8Path, hidden: &Hidden) -> Result<u32, BundleError> {
    let io = |source| BundleError::Io {
        run: run.to_owned(),
        into: into.to_owned(),
        source,
    };
    // A link such as results/latest names no run.
    let place = |path: &Utf8Path| {
        let whole = named::whole(path.as_std_path()).map_err(BundleError::Named)?;
        Utf8PathBuf::try_from(whole).map_err(|error| io(error.into_io_error()))
    };
    let whole = place(run)?;
    let name = whole.file_name().filter(|_| whole.join("run.json").is_file());
    let name = name.ok_or_else(|| BundleError::NoRun(run.to_owned()))?;
    let folder = match into.parent().filter(|parent| !parent.as_str().is_empty()) {
        Some(parent) => place(parent)?,
        None => place(Utf8Path::new("."))?,
    };
    if folder.starts_with(&whole) {
        return Err(BundleError::Inside(into.to_owned()));
    }
    let mut files = Vec::new();
    files_below(&whole, &mut files).map_err(io)?;
    files.sort();
    let partial = into.with_file_name(format!(".{}.partial", into.file_name().unwrap_or(name)));
    let packed = pack(&whole, name, &files, &partial, hidden).and_then(|()| fs_err::rename(&partial, into));
    if let Err(source) = packed {
        // What was written of it is of no use, and may be what fills the disk.
        return Err(io(match fs_err::remove_file(&partial) {
            Err(left) if left.kind() != io::ErrorKind::NotFound => {
                io::Error::other(format!("{source}; and `{partial}` is left: {left}"))
            }
            _ => source,
        }));
    }
    Ok(files.len() as u32)
}

fn pack(
    run: &Utf8Path,
    name: &str,
    files: &[Utf8PathBuf],
    into: &Utf8Path,
    hidden: &Hidden,
) -> io::Result<()> {
    let file = BufWriter::new(fs_err::File::create(into)?);
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for path in files {
        let bytes = hidden.from(fs_err::read(path)?);
        let below = path.strip_prefix(run).map_err(io::Error::other)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{name}/{below}"), bytes.as_slice())?;
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.get_ref().file().sync_all()
}

/// The files of a folder and of all below; links are not followed.
fn files_below(folder: &Utf8Path, files: &mut Vec<Utf8PathBuf>) -> io::Result<()> {
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files_below(entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn hidden(words: &[(&str, &str)]) -> Hidden {
        Hidden::new(words.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())))
    }

    #[test]
    fn a_path_of_the_user_is_taken_out_and_names_that_begin_like_it_stay() {
        let hidden = hidden(&[
            ("/home/me", "~"),
            ("/home/me/linux", "tree"),
            ("/", "root"),
            ("", "x"),
        ]);
        let text = "/home/me/linux/mm /home/me/x:1 /home/me2 \"/home/me\"";
        let out = String::from_utf8(hidden.from(text.as_bytes().to_vec())).unwrap();
        assert_eq!(out, "tree/mm ~/x:1 /home/me2 \"~\"");
    }

    proptest! {
        #[test]
        fn what_is_hidden_is_in_no_text(text in "[a/ ]{0,40}") {
            let hidden = hidden(&[("/aa", "~")]);
            let out = String::from_utf8(hidden.from(text.clone().into_bytes())).unwrap();
            prop_assert!(!out.split(' ').any(|word| word.ends_with("/aa") || word.contains("/aa/")), "{} -> {}", text, out);
        }
    }

    #[test]
    fn a_bundle_unpacks_to_the_run_without_what_is_hidden() {
        let place = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(place.path()).unwrap();
        let run = root.join("20260914T101530Z-3f9a1c");
        fs_err::create_dir_all(run.join("cases/x")).unwrap();
        fs_err::write(run.join("run.json"), "{\"argv\": [\"/home/me/memrig\"]}").unwrap();
        fs_err::write(run.join("cases/x/console.log"), [0xff, b'/', b'h']).unwrap();
        let into = root.join("run.tar.gz");
        let files = bundle(&run, &into, &hidden(&[("/home/me", "~")])).unwrap();
        assert_eq!(files, 2);
        let mut archive = tar::Archive::new(GzDecoder::new(fs_err::File::open(&into).unwrap()));
        let unpacked = root.join("there");
        archive.unpack(&unpacked).unwrap();
        let there = unpacked.join("20260914T101530Z-3f9a1c");
        assert_eq!(
            fs_err::read_to_string(there.join("run.json")).unwrap(),
            "{\"argv\": [\"~/memrig\"]}"
        );
        assert_eq!(
            fs_err::read(there.join("cases/x/console.log")).unwrap(),
            [0xff, b'/', b'h']
        );
    }

    #[test]
    fn what_is_no_run_is_refused_and_nothing_is_left() {
        let place = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(place.path()).unwrap();
        let into = root.join("run.tar.gz");
        assert!(matches!(
            bundle(root, &into, &Hidden::default()),
            Err(BundleError::NoRun(_))
        ));
        fs_err::write(root.join("run.json"), "{}").unwrap();
        let inside = bundle(root, &into, &Hidden::default());
        assert!(matches!(inside, Err(BundleError::Inside(_))), "{inside:?}");
        let full = bundle(root, Utf8Path::new("/dev/full/x"), &Hidden::default());
        assert!(matches!(full, Err(BundleError::Io { .. })), "{full:?}");
        assert_eq!(root.read_dir_utf8().unwrap().count(), 1);
    }
}
