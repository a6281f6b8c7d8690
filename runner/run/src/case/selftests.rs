// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bringing files into the guest: selftests of the kernel, and what lies beside a suite.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{
    bench::Bench,
    guest::UnderTest,
    trouble::{Trouble, chain},
};
use base::ui::Ui;
use supply::selftests::{self, SelftestError};
use vm::keys::base64;

/// Folder of the guest that has them.
const FOLDER: &str = "/run/selftests";

/// The folder of the files that lie beside a suite.
const OWN_FOLDER: &str = "/run/files";

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Characters of a file that go into the guest with one script.
const PORTION: usize = 48 << 10;

impl<G: UnderTest> Bench<'_, G> {
    /// Puts files of the selftests into the guest.
    pub(super) async fn bring(&mut self, files: &[String]) -> Result<(), Trouble> {
        for file in files {
            let origin = self.origin.clone().ok_or_else(|| Trouble::Lacking {
                message: "needs the kernel's own selftests, and of this kernel no source is known: take debian:, source: or tree:"
                    .to_owned(),
            })?;
            let (arch, name) = (self.facts.arch, file.clone());
            let got = tokio::task::spawn_blocking(move || {
                let path = selftests::get(&origin, arch, &name, &Ui::terminal())?;
                Ok(fs_err::read(path)?)
            });
            let got = got.await.map_err(|error| Trouble::bench(error.to_string()))?;
            let bytes = got.map_err(|error: SelftestError| match error {
                SelftestError::NoFile { .. } => Trouble::Lacking {
                    message: error.to_string(),
                },
                // Another guest does not help a compiler.
                SelftestError::Build { .. } => Trouble::lasting(chain(&error)),
                error => Trouble::bench(chain(&error)),
            })?;
            let place = format!("{FOLDER}/{}", file.strip_suffix(".c").unwrap_or(file));
            self.put(file, &place, &bytes).await?;
        }
        Ok(())
    }

    /// Puts files that lie beside the suite's into the guest.
    pub(super) async fn bring_files(&mut self, files: &[String]) -> Result<(), Trouble> {
        for file in files {
            let bytes =
                fs_err::read(self.beside.join(file)).map_err(|error| Trouble::lasting(chain(&error)))?;
            self.put(file, &format!("{OWN_FOLDER}/{file}"), &bytes).await?;
        }
        Ok(())
    }

    /// Writes a file of the guest that can be run.
    async fn put(&self, file: &str, place: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let packed = pack(bytes).map_err(|error| Trouble::bench(error.to_string()))?;
        let folder = quoted(place.rsplit_once('/').map_or("/", |(folder, _)| folder));
        let (place, part) = (quoted(place), quoted(&format!("{place}.part")));
        let what = format!("bringing {file} into the guest");
        self.exec_ok(&what, &format!("mkdir -p {folder} && : > {part}"))
            .await?;
        for portion in packed.as_bytes().chunks(PORTION) {
            let portion = String::from_utf8_lossy(portion);
            self.exec_ok(&what, &format!("printf %s '{portion}' >> {part}"))
                .await?;
        }
        let unpack = format!("base64 -d {part} | gunzip > {place} && chmod 755 {place} && rm {part}");
        self.exec_ok(&what, &unpack).await.map(drop)
    }
}

fn pack(bytes: &[u8]) -> std::io::Result<String> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes)?;
    Ok(base64(&packer.finish()?))
}
