// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file that the corpus of a kernel is kept in.

use std::{
    io,
    path::{Path, PathBuf},
};

use ::explore::{Corpus, Whose};
use base::{
    fault::{Blame, Blamed},
    ui::Ui,
};
use supply::cache::{Cache, CacheError, sha256};

/// The folder for them in the cache.
const FOLDER: &str = "corpus";

/// Where the corpus of a kernel is kept.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    cache: Cache,
}

/// Why a corpus cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptFileError {
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file or folder, which the source names.
    #[error("the sequences that are kept (another folder can be named by --corpus; --unled does without)")]
    Io(#[from] io::Error),
    /// What is there is of another memrig.
    #[error("the sequences that are kept in `{}`: {why}; remove it, name another folder by --corpus, or do without by --unled", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: String,
    },
}

impl Blamed for KeptFileError {
    /// Usage, where another place has to be named.
    fn blame(&self) -> Blame {
        match self {
            Self::Cache(error) => error.blame(),
            Self::Io(error) => Blame::of_place(error),
            Self::Format { .. } => Blame::Usage,
        }
    }
}

impl KeptFile {
    /// The file of a kernel, in this folder or in the cache, and what is kept there. What of it is not used is told.
    ///
    /// # Errors
    /// The folder cannot be made, the file cannot be read, or has another format.
    pub(super) fn open(
        folder: Option<&Path>,
        whose: Whose,
        cache: &Cache,
        ui: &Ui,
    ) -> Result<(Self, Corpus), KeptFileError> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => cache.dir(FOLDER)?,
        };
        fs_err::create_dir_all(&folder)?;
        let file = Self {
            path: folder.join(name(&whose)),
            cache: cache.clone(),
        };
        let (corpus, told) = file.read(whose)?;
        for line in told {
            ui.warning(&format!("{}: {line}", file.path.display()));
        }
        Ok((file, corpus))
    }

    fn read(&self, whose: Whose) -> Result<(Corpus, Vec<String>), KeptFileError> {
        let bytes = match fs_err::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let read = Corpus::read(&String::from_utf8_lossy(&bytes), whose);
        read.map_err(|why| KeptFileError::Format {
            path: self.path.clone(),
            why,
        })
    }

    /// Writes a corpus, with what another memrig has kept there in the meantime.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub(super) fn save(&self, corpus: &Corpus) -> Result<(), KeptFileError> {
        if corpus.is_empty() {
            return Ok(());
        }
        let _lock = self.cache.lock(&format!("corpus {}", self.path.display()))?;
        let mut all = corpus.clone();
        let (there, _) = self.read(corpus.whose.clone())?;
        all.take(there);
        let text = all.text().map_err(io::Error::from)?;
        let unfinished = self.path.with_extension("unfinished");
        fs_err::write(&unfinished, text)?;
        fs_err::rename(&unfinished, &self.path)?;
        Ok(())
    }
}

/// The name of a kernel's file: what of its own name a file may have, and what tells it from others of which that is the same.
fn name(whose: &Whose) -> String {
    let words = whose.kernel.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut short = words.join("-");
    short.truncate(60);
    let digest = sha256(whose.kernel.as_bytes());
    format!("{}-{short}-{}.jsonl", whose.arch, &digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::explore::{Draw, Kept};
    use base::Arch;
    use vm::scratch::Scratch;

    fn whose(build: &str) -> Whose {
        Whose {
            kernel: "source:debian:trixie,series=a/b@12".to_owned(),
            arch: Arch::X86_64,
            build: build.to_owned(),
        }
    }

    fn kept(number: u64) -> Kept {
        let draw = Draw {
            arch: Arch::X86_64,
            seed: 1,
        };
        let sequence = draw.sequence(number);
        Kept {
            name: number.to_string(),
            machine: sequence.machine().name.to_owned(),
            wishes: sequence.wishes,
            code: vec![(number, 1)],
        }
    }

    #[test]
    fn what_two_keep_at_once_is_kept_of_both() {
        let place = Scratch::new().unwrap();
        let cache = Cache::at(&place.path().join("cache"), &Ui::silent()).unwrap();
        let folder = place.path().join("kept");
        let open = || KeptFile::open(Some(&folder), whose("one"), &cache, &Ui::silent()).unwrap();
        let ((file, mut mine), (_, mut other)) = (open(), open());
        file.save(&mine).unwrap();
        assert_eq!(fs_err::read_dir(&folder).unwrap().count(), 0, "nothing was kept");
        mine.kept.push(kept(0));
        other.kept.push(kept(1));
        file.save(&mine).unwrap();
        file.save(&other).unwrap();
        file.save(&mine).unwrap();
        let (_, both) = open();
        let names: Vec<&str> = both.kept.iter().map(|kept| kept.name.as_str()).collect();
        assert_eq!(names, ["0", "1"]);
        let (_, waiting) = KeptFile::open(Some(&folder), whose("two"), &cache, &Ui::silent()).unwrap();
        assert_eq!((waiting.kept.len(), waiting.waiting.len()), (0, 2));
    }

    #[test]
    fn what_another_memrig_wrote_is_left_alone() {
        let place = Scratch::new().unwrap();
        let cache = Cache::at(place.path(), &Ui::silent()).unwrap();
        let open = || KeptFile::open(None, whose("one"), &cache, &Ui::silent());
        let (file, _) = open().unwrap();
        fs_err::write(
            &file.path,
            "{\"memrig_corpus\":9,\"kernel\":\"k\",\"arch\":\"x86_64\",\"build\":\"\"}\n",
        )
        .unwrap();
        let said = open().unwrap_err().to_string();
        assert!(
            said.contains("it has format 9, and 1 is known; remove it"),
            "{said}"
        );
    }
}
