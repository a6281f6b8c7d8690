// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bringing selftests of the kernel into the guest.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{
    bench::Bench,
    trouble::{Trouble, chain},
};
use crate::{
    base::ui::Ui,
    rig::{
        keys::base64,
        selftests::{self, SelftestError},
    },
};

/// Folder of the guest that has them.
const FOLDER: &str = "/run/selftests";

/// Characters of a file that go into the guest with one script.
const PORTION: usize = 48 << 10;

impl Bench<'_> {
    /// Puts files of the selftests into the guest.
    pub(super) async fn bring(&mut self, files: &[String]) -> Result<(), Trouble> {
        for file in files {
            let (kernel, arch, name) = (self.kernel.clone(), self.facts.arch, file.clone());
            let got = tokio::task::spawn_blocking(move || {
                let path = selftests::get(&kernel, arch, &name, &Ui::terminal())?;
                Ok(fs_err::read(path)?)
            });
            let got = got.await.map_err(|error| Trouble::bench(error.to_string()))?;
            let bytes = got.map_err(|error: SelftestError| match error {
                SelftestError::NoSource(_) | SelftestError::NoFile { .. } => Trouble::Lacking {
                    message: error.to_string(),
                },
                // Another guest does not help a compiler.
                SelftestError::Build { .. } => Trouble::lasting(chain(&error)),
                error => Trouble::bench(chain(&error)),
            })?;
            let packed = pack(&bytes).map_err(|error| Trouble::bench(error.to_string()))?;
            let place = format!("{FOLDER}/{}", file.strip_suffix(".c").unwrap_or(file));
            let folder = place.rsplit_once('/').map_or(FOLDER, |(folder, _)| folder);
            let what = format!("bringing {file} into the guest");
            self.exec_ok(&what, &format!("mkdir -p {folder} && : > {place}.part"))
                .await?;
            for portion in packed.as_bytes().chunks(PORTION) {
                let portion = String::from_utf8_lossy(portion);
                self.exec_ok(&what, &format!("printf %s '{portion}' >> {place}.part"))
                    .await?;
            }
            let unpack =
                format!("base64 -d {place}.part | gunzip > {place} && chmod 755 {place} && rm {place}.part");
            self.exec_ok(&what, &unpack).await?;
        }
        Ok(())
    }
}

fn pack(bytes: &[u8]) -> std::io::Result<String> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes)?;
    Ok(base64(&packer.finish()?))
}
