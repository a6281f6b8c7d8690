// SPDX-License-Identifier: MIT OR Apache-2.0
//! By what a linker names a kernel: the build id, a hash of what was linked, which is the same in `vmlinux` and in each image that was made of it.
//!
//! It stands in a note of the kind NT_GNU_BUILD_ID; those of a kernel are between `__start_notes` and `__stop_notes` (`NOTES` of
//! `include/asm-generic/vmlinux.lds.h`). An image has them in its compressed part, in which the programs of the vDSO lie too, each with an id of its own.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, Cursor, Read, Seek},
    sync::LazyLock,
};

use object::{Object as _, ReadCache};
use regex::bytes::Regex;

/// A build id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildId(Vec<u8>);

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is unpacked of an image at most, in bytes: more than any kernel, and nothing that a damaged one could fill the memory with.
const MOST: u64 = 1 << 30;

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern, compiled by a test")
}

/// The head of the note, of either byte order: how long its name is, how long the id, the kind, the name.
static NOTE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?s-u)(?:\x04\x00\x00\x00(?P<little>.)\x00\x00\x00\x03\x00\x00\x00|\x00\x00\x00\x04\x00\x00\x00(?P<big>.)\x00\x00\x00\x03)GNU\x00",
    )
});

/// What begins a part that gzip, xz or zstd has packed.
static PACKED: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s-u)\x1f\x8b\x08|\xfd7zXZ\x00|\x28\xb5\x2f\xfd"));

impl BuildId {
    /// The build id of an ELF file; none where it is no such file, or was linked without one.
    pub fn of_elf(file: impl Read + Seek) -> Option<Self> {
        let cache = ReadCache::new(file);
        let id = object::File::parse(&cache).ok()?.build_id().ok()??;
        Some(Self(id.to_owned()))
    }

    /// The build ids that may be that of the kernel in an image: the one of an ELF file that is packed in it, else all that are in it.
    ///
    /// None where it is packed by something else than gzip, xz or zstd, or was linked without one.
    pub fn of_image(image: &[u8]) -> BTreeSet<Self> {
        for place in PACKED.find_iter(image) {
            let kernel = unpacked(place.as_bytes(), &image[place.start()..]);
            match Self::of_elf(Cursor::new(&kernel)) {
                Some(id) => return [id].into(),
                None => match all(&kernel) {
                    // Its configuration, or a file that lies in it.
                    none if none.is_empty() => {}
                    ids => return ids,
                },
            }
        }
        all(image)
    }
}

/// The ids of all notes.
fn all(bytes: &[u8]) -> BTreeSet<BuildId> {
    let ids = NOTE.captures_iter(bytes).filter_map(|note| {
        let length = note.name("little").or_else(|| note.name("big"))?.as_bytes()[0];
        let rest = &bytes[note.get(0)?.end()..];
        Some(BuildId(rest.get(..usize::from(length))?.to_owned()))
    });
    ids.collect()
}

/// What was packed, as far as it can be read: what follows it in the image is none of it.
fn unpacked(magic: &[u8], packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = |from: &mut dyn Read, bytes: &mut Vec<u8>| from.take(MOST).read_to_end(bytes);
    let done: io::Result<usize> = match magic {
        b"\x1f\x8b\x08" => read(&mut flate2::bufread::GzDecoder::new(packed), &mut bytes),
        b"\xfd7zXZ\0" => read(&mut liblzma::bufread::XzDecoder::new(packed), &mut bytes),
        _ => zstd::stream::read::Decoder::with_buffer(packed)
            .and_then(|decoder| read(&mut decoder.single_frame(), &mut bytes)),
    };
    // Bytes that only look like a beginning come to nothing, and a damaged part to what is before the damage.
    drop(done);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::samples::vmlinux;

    const OURS: [u8; 20] = *b"01234567890123456789";
    const OF_THE_VDSO: [u8; 20] = [7; 20];

    fn note(id: &[u8], big_endian: bool) -> Vec<u8> {
        let words = [4, id.len() as u32, 3];
        let words = words.map(|word| match big_endian {
            true => word.to_be_bytes(),
            false => word.to_le_bytes(),
        });
        [words.concat().as_slice(), b"GNU\0", id].concat()
    }

    /// As an s390 kernel is: no ELF file, and a vDSO in it.
    fn raw() -> Vec<u8> {
        [
            &[0; 99][..],
            &note(&OURS, true),
            b"text",
            &note(&OF_THE_VDSO, true),
            &[0; 99],
        ]
        .concat()
    }

    fn packings(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(bytes).unwrap();
        vec![
            gzip.finish().unwrap(),
            xz.finish().unwrap(),
            zstd::encode_all(bytes, 1).unwrap(),
        ]
    }

    fn ids(bytes: &[u8]) -> Vec<String> {
        BuildId::of_image(bytes).iter().map(BuildId::to_string).collect()
    }

    #[test]
    fn an_image_has_the_ids_of_what_is_packed_in_it() {
        let both = [
            "0707070707070707070707070707070707070707",
            "3031323334353637383930313233343536373839",
        ];
        assert_eq!(ids(&raw()), both, "not packed at all");
        for packed in packings(&raw()) {
            // What only looks like a beginning, and what follows.
            let image = [b"setup\x1f\x8b\x08(\xb5/\xfd", packed.as_slice(), &[9; 32]].concat();
            assert_eq!(ids(&image), both);
            let config = &packings(b"CONFIG_X=y")[0];
            assert_eq!(ids(&[config, image.as_slice()].concat()), both);
        }
        assert_eq!(ids(&note(&OURS, false)), both[1..]);
        assert_eq!(ids(b"bzImage"), Vec::<String>::new());
        assert_eq!(ids(&note(&OURS, true)[..30]), Vec::<String>::new());
    }

    #[test]
    fn an_elf_file_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let made = |id: &str| {
            let path = folder.path().join("vmlinux");
            vmlinux(&path, &[id]);
            fs_err::read(path).unwrap()
        };
        let elf = made("-Wl,--build-id=0x12345678");
        assert_eq!(
            BuildId::of_elf(Cursor::new(&elf)).unwrap().to_string(),
            "12345678"
        );
        let with_vdso = [elf.as_slice(), &note(&OF_THE_VDSO, false)].concat();
        for packed in packings(&with_vdso) {
            assert_eq!(ids(&packed), ["12345678"], "and not that of the vDSO");
        }
        assert_eq!(BuildId::of_elf(Cursor::new(made("-Wl,--build-id=none"))), None);
        assert_eq!(BuildId::of_elf(Cursor::new("bzImage")), None);
    }
}
