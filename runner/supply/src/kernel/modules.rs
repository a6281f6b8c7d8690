// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel modules in a directory `lib/modules/RELEASE`: which there are, and what each needs.
//!
//! A Debian package has no `modules.dep` (depmod makes it when the package is installed), so that dependencies are read from
//! the modules themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    path::{Path, PathBuf},
};

use format::elf::{Elf, ElfError};

/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// It needs another one that is neither there nor built in.
    #[error("`{module}` needs `{needs}`, which is neither there nor built in")]
    Missing {
        /// The module.
        module: String,
        /// What it needs.
        needs: String,
    },
    /// It is no module.
    #[error("`{path}`")]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ElfError,
    },
    /// Modules that need each other.
    #[error("`{0}` needs itself")]
    Cycle(String),
    /// A file; the source has its path.
    #[error("reading a module")]
    Io(#[from] io::Error),
}

/// One module, ready to be put into an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModuleFile {
    /// Its name, with underscores.
    pub name: String,
    /// Path under `lib/modules/RELEASE`, without a suffix of compression.
    pub path: String,
    /// Its bytes, not compressed.
    pub bytes: Vec<u8>,
    /// Names of the modules that it needs, built-in ones left out.
    pub(crate) depends: Vec<String>,
}

/// The modules of one kernel.
#[derive(Debug, Clone, Default)]
pub struct Modules {
    dir: PathBuf,
    /// Path under the directory by name.
    files: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

/// The name of the module in a file, as the kernel spells it; `None` if the file is no module.
pub(super) fn module_name(file_name: &str) -> Option<String> {
    let plain = [".xz", ".zst", ".gz"]
        .iter()
        .find_map(|end| file_name.strip_suffix(end));
    plain
        .unwrap_or(file_name)
        .strip_suffix(".ko")
        .map(|name| name.replace('-', "_"))
}

impl Modules {
    /// Looks through a directory `lib/modules/RELEASE`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(dir: &Path) -> Result<Self, ModuleError> {
        let mut modules = Self {
            dir: dir.to_owned(),
            ..Self::default()
        };
        modules.walk(Path::new(""))?;
        let built_in = dir.join("modules.builtin");
        if built_in.is_file() {
            let list = fs_err::read_to_string(built_in)?;
            let names = list
                .lines()
                .filter_map(|line| module_name(line.rsplit('/').next()?));
            modules.built_in = names.collect();
        }
        Ok(modules)
    }

    fn walk(&mut self, under: &Path) -> Result<(), ModuleError> {
        for entry in fs_err::read_dir(self.dir.join(under))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            // `build` and `source` are links out of the directory.
            if kind.is_dir() {
                self.walk(&under.join(name))?;
            } else if let (true, Some(module)) = (kind.is_file(), module_name(&name)) {
                self.files.insert(module, under.join(name));
            }
        }
        Ok(())
    }

    /// Whether the kernel has it built in.
    pub fn built_in(&self, name: &str) -> bool {
        self.built_in.contains(&name.replace('-', "_"))
    }

    /// Whether there is a module of this name.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(&name.replace('-', "_"))
    }

    /// Those of the names that are modules here, each after all that it needs. Names that are no modules here are left out.
    ///
    /// # Errors
    /// A module needs one that is not there, or cannot be read.
    pub(crate) fn closure(&self, names: &[&str]) -> Result<Vec<ModuleFile>, ModuleError> {
        let mut order = Vec::new();
        for name in names {
            let name = name.replace('-', "_");
            if self.files.contains_key(&name) {
                self.add(&name, &mut order, &mut Vec::new())?;
            }
        }
        Ok(order)
    }

    fn add(
        &self,
        name: &str,
        order: &mut Vec<ModuleFile>,
        parents: &mut Vec<String>,
    ) -> Result<(), ModuleError> {
        if order.iter().any(|module| module.name == name) {
            return Ok(());
        }
        if parents.iter().any(|parent| parent == name) {
            return Err(ModuleError::Cycle(name.to_owned()));
        }
        let module = self.load(name, parents.last())?;
        parents.push(name.to_owned());
        for needed in &module.depends {
            self.add(needed, order, parents)?;
        }
        parents.pop();
        order.push(module);
        Ok(())
    }

    fn load(&self, name: &str, parent: Option<&String>) -> Result<ModuleFile, ModuleError> {
        let missing = || ModuleError::Missing {
            module: parent.map_or("the image", String::as_str).to_owned(),
            needs: name.to_owned(),
        };
        let under = self.files.get(name).ok_or_else(missing)?;
        let path = self.dir.join(under);
        let bytes = decompressed(&path)?;
        let depends = depends(&bytes).map_err(|source| ModuleError::Elf { path, source })?;
        let plain = under.to_string_lossy();
        let end = plain.find(".ko").map_or(plain.len(), |at| at + 3);
        Ok(ModuleFile {
            name: name.to_owned(),
            path: plain[..end].to_owned(),
            depends: depends
                .into_iter()
                .filter(|needed| !self.built_in(needed))
                .collect(),
            bytes,
        })
    }
}

/// Names that a module's `.modinfo` says it needs.
pub(super) fn depends(module: &[u8]) -> Result<Vec<String>, ElfError> {
    let lists = Elf::parse(module)?.modinfo("depends")?;
    let names = lists.iter().flat_map(|list| list.split(','));
    Ok(names
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect())
}

/// Reads a module and undoes its compression.
pub(super) fn decompressed(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs_err::File::open(path)?;
    let mut bytes = Vec::new();
    match path.extension().and_then(|end| end.to_str()) {
        Some("xz") => liblzma::read::XzDecoder::new_multi_decoder(file).read_to_end(&mut bytes)?,
        Some("zst") => zstd::stream::read::Decoder::new(file)?.read_to_end(&mut bytes)?,
        Some("gz") => flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes)?,
        _ => io::BufReader::new(file).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use format::{elf::EM_S390, samples::module};

    fn write(dir: &Path, path: &str, modinfo: &str) {
        let bytes = module(EM_S390, true, modinfo.as_bytes());
        let path = dir.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = match path.extension().unwrap().to_str().unwrap() {
            "xz" => {
                let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
                xz.write_all(&bytes).unwrap();
                xz.finish().unwrap()
            }
            "zst" => zstd::encode_all(bytes.as_slice(), 1).unwrap(),
            _ => bytes,
        };
        fs_err::write(path, bytes).unwrap();
    }

    #[test]
    fn what_a_module_needs_comes_before_it() {
        let dir = tempfile::tempdir().unwrap();
        write(
            dir.path(),
            "kernel/net/virtio_net.ko.xz",
            "depends=net_failover,virtio-ring\0",
        );
        write(dir.path(), "kernel/net/net_failover.ko.zst", "depends=failover\0");
        write(dir.path(), "kernel/net/failover.ko", "depends=\0");
        write(
            dir.path(),
            "kernel/lib/memory-notifier-error-inject.ko",
            "depends=gone\0",
        );
        fs_err::write(
            dir.path().join("modules.builtin"),
            "kernel/drivers/virtio/virtio_ring.ko\n",
        )
        .unwrap();
        let modules = Modules::open(dir.path()).unwrap();
        let order = modules.closure(&["virtio-net", "failover", "nothing"]).unwrap();
        let paths: Vec<&str> = order.iter().map(|m| m.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "kernel/net/failover.ko",
                "kernel/net/net_failover.ko",
                "kernel/net/virtio_net.ko"
            ]
        );
        assert_eq!(order[2].depends, ["net_failover"]);
        assert!(order.iter().all(|m| m.bytes.starts_with(b"\x7fELF")));
        assert!(modules.built_in("virtio-ring") && modules.has("memory-notifier-error-inject"));
        let error = modules
            .closure(&["memory-notifier-error-inject"])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "`memory_notifier_error_inject` needs `gone`, which is neither there nor built in"
        );
    }

    #[test]
    fn a_circle_is_told() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "kernel/a.ko", "depends=b\0");
        write(dir.path(), "kernel/b.ko", "depends=a\0");
        let error = Modules::open(dir.path()).unwrap().closure(&["a"]).unwrap_err();
        assert_eq!(error.to_string(), "`a` needs itself");
    }

    #[test]
    fn names_of_modules() {
        assert_eq!(module_name("virtio-rng.ko.xz").as_deref(), Some("virtio_rng"));
        assert_eq!(module_name("modules.order"), None);
        assert_eq!(module_name("x.ko.bak"), None);
    }
}
