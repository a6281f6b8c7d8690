// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which mirror and which keys the machine's own apt configuration names: sources.list(5), both of its styles.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::DebianSuite;
use format::deb::stanzas;

/// Variable that names another mirror.
pub(super) const MIRROR_VARIABLE: &str = "MEMRIG_MIRROR";

/// Releases whose entry in a configuration shows that its mirror has Debian.
const DEBIAN: [&str; 12] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "oldoldstable",
];

/// Keyrings with all of Debian's archive keys, in the order in which they are tried.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// Where Debian is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// URI of the archive.
    pub(crate) uri: String,
    /// What must have signed it.
    pub(crate) signed_by: SignedBy,
    /// URI of the archive of security updates, if the machine uses one.
    pub(crate) security: Option<String>,
}

/// What must have signed a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignedBy {
    /// A key in this file.
    File(PathBuf),
    /// This key, in ASCII armour.
    Key(String),
    /// Any key that the machine's apt trusts for everything.
    Trusted,
}

/// Why no mirror is known.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// No entry for Debian.
    #[error(
        "this machine's apt configuration names no mirror of Debian: set MEMRIG_MIRROR to the URI of one \
         (the directory that has `dists` and `pool`)"
    )]
    NoMirror,
    /// Nothing to check signatures with.
    #[error(
        "this machine has no keys of Debian's archive to check signatures with: install debian-archive-keyring"
    )]
    NoKeys,
    /// No entry for security updates.
    #[error(
        "this machine's apt configuration names no archive of security updates: add an entry with the suite `{0}` to it"
    )]
    NoSecurity(DebianSuite),
    /// A file of the configuration; the source has its path.
    #[error("reading this machine's apt configuration")]
    Io(#[from] io::Error),
}

/// One entry of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: String,
}

impl Mirror {
    /// URI of the archive that a package is in: that of security updates, where the machine uses one and the package is of it.
    pub(super) fn archive(&self, security: bool) -> &str {
        self.security.as_ref().filter(|_| security).unwrap_or(&self.uri)
    }

    /// Finds the mirror in a configuration directory such as `/etc/apt`; `override_uri` is the value of MEMRIG_MIRROR.
    ///
    /// # Errors
    /// There is none, or there are no keys.
    pub(crate) fn find(etc: &Path, override_uri: Option<&str>) -> Result<Self, SourcesError> {
        let mut entries = Vec::new();
        if let Some(text) = read(&etc.join("sources.list"))? {
            entries.extend(one_line(&text));
        }
        let mut paths = Vec::new();
        if let Ok(directory) = fs_err::read_dir(etc.join("sources.list.d")) {
            for entry in directory {
                paths.push(entry?.path());
            }
        }
        paths.sort();
        for path in paths {
            let extension = path.extension().and_then(|e| e.to_str());
            let text = match extension {
                Some("list" | "sources") => read(&path)?.unwrap_or_default(),
                _ => continue,
            };
            entries.extend(if extension == Some("list") {
                one_line(&text)
            } else {
                deb822(&text)
            });
        }
        let trusted = etc.join("trusted.gpg.d");
        let has_trusted = etc.join("trusted.gpg").exists()
            || fs_err::read_dir(&trusted).is_ok_and(|mut directory| directory.next().is_some());
        Self::choose(&entries, override_uri, has_trusted)
    }

    fn choose(
        entries: &[Entry],
        override_uri: Option<&str>,
        has_trusted: bool,
    ) -> Result<Self, SourcesError> {
        let usable = |entry: &&Entry| entry.components.iter().any(|c| c == "main") && entry.uri().is_some();
        let debian = |suite: &str| DEBIAN.contains(&suite);
        let main = entries
            .iter()
            .filter(usable)
            .find(|e| e.suites.iter().any(|s| debian(s)));
        let security = entries.iter().filter(usable).find(|e| {
            let prefix = |s: &String| s.strip_suffix("-security").is_some_and(debian);
            e.suites.iter().any(prefix)
        });
        let uri = override_uri
            .or_else(|| main?.uri())
            .ok_or(SourcesError::NoMirror)?
            .trim_end_matches('/')
            .to_owned();
        Ok(Self {
            uri,
            signed_by: signed_by(main.map_or("", |entry| &entry.signed_by), has_trusted)?,
            security: security
                .and_then(|e| e.uri())
                .map(|uri| uri.trim_end_matches('/').to_owned()),
        })
    }
}

impl Entry {
    /// The first URI that files can be fetched from without a person.
    fn uri(&self) -> Option<&str> {
        self.uris
            .iter()
            .map(String::as_str)
            .find(|uri| !uri.starts_with("cdrom:"))
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `deb [option=value …] uri suite component…`
fn one_line(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let line = line.split('#').next()?.trim();
        let rest = line.strip_prefix("deb")?;
        let rest = rest.starts_with([' ', '\t']).then(|| rest.trim_start())?;
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        let signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="));
        Some(Entry {
            uris: vec![words.next()?],
            suites: vec![words.next()?],
            components: words.collect(),
            signed_by: signed_by.unwrap_or_default().to_owned(),
        })
    };
    text.lines().filter_map(entry).collect()
}

fn deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for stanza in stanzas(text) {
        let words = |field: &str| {
            let lines = stanza.get(field).unwrap_or_default().lines();
            let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
            lines
                .flat_map(str::split_whitespace)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let disabled = ["no", "false", "0", "off", "without", "disable"];
        let enabled = !stanza
            .get("Enabled")
            .is_some_and(|e| disabled.contains(&e.to_ascii_lowercase().as_str()));
        if enabled && words("Types").iter().any(|t| t == "deb") {
            entries.push(Entry {
                uris: words("URIs"),
                suites: words("Suites"),
                components: words("Components"),
                signed_by: stanza.get("Signed-By").unwrap_or_default().to_owned(),
            });
        }
    }
    entries
}

/// Reads a `Signed-By` value: a path, a key, or fingerprints, which say nothing without the keys that the machine trusts.
fn signed_by(value: &str, has_trusted: bool) -> Result<SignedBy, SourcesError> {
    if value.starts_with('/') {
        return Ok(SignedBy::File(PathBuf::from(value)));
    }
    if value.starts_with("-----BEGIN") {
        let lines = value.lines().map(|line| match line.trim() {
            "." => "",
            line => line,
        });
        return Ok(SignedBy::Key(lines.map(|line| format!("{line}\n")).collect()));
    }
    let keyring = KEYRINGS.iter().map(Path::new).find(|path| path.exists());
    match keyring {
        Some(path) => Ok(SignedBy::File(path.to_owned())),
        None if has_trusted => Ok(SignedBy::Trusted),
        None => Err(SourcesError::NoKeys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(files: &[(&str, &str)], override_uri: Option<&str>) -> Result<Mirror, SourcesError> {
        let etc = tempfile::tempdir().unwrap();
        fs_err::create_dir(etc.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            fs_err::write(etc.path().join(name), text).unwrap();
        }
        Mirror::find(etc.path(), override_uri)
    }

    const DEB822: &str = "Types: deb\n# old\nURIs: http://mirror.test/debian/\nSuites: bookworm bookworm-updates\n\
        Components: main\nSigned-By: /keys/a.gpg\n\nTypes: deb\nURIs: http://mirror.test/debian-security\n\
        Suites: bookworm-security\nComponents: main\nSigned-By: /keys/b.gpg\n";

    #[test]
    fn both_styles_say_the_same() {
        let wanted = Mirror {
            uri: "http://mirror.test/debian".to_owned(),
            signed_by: SignedBy::File("/keys/a.gpg".into()),
            security: Some("http://mirror.test/debian-security".to_owned()),
        };
        assert_eq!(
            configured(&[("sources.list.d/debian.sources", DEB822)], None).unwrap(),
            wanted
        );
        let lines = "# deb http://no.test/debian sid main\ndeb-src http://no.test/debian bookworm main\n\
            deb http://other.test/apt cloud-bookworm main\n\
            deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.test/debian bookworm main contrib # x\n\
            deb http://mirror.test/debian-security/ bookworm-security main\n";
        assert_eq!(configured(&[("sources.list", lines)], None).unwrap(), wanted);
    }

    #[test]
    fn another_mirror_can_be_named() {
        let found = configured(
            &[("sources.list.d/debian.sources", DEB822)],
            Some("file:/srv/debian/"),
        )
        .unwrap();
        assert_eq!(found.uri, "file:/srv/debian");
        assert_eq!(found.signed_by, SignedBy::File("/keys/a.gpg".into()));
    }

    #[test]
    fn a_machine_without_debian_is_told_what_to_do() {
        let ubuntu = "deb http://mirror.test/ubuntu noble main\ndeb http://mirror.test/x sid contrib\n\
            deb cdrom:[Debian]/ bookworm main\n";
        let off = "Types: deb\nEnabled: no\nURIs: http://mirror.test/debian\nSuites: sid\nComponents: main\n";
        let files = [
            ("sources.list", ubuntu),
            ("sources.list.d/off.sources", off),
            ("sources.list.d/x.save", DEB822),
        ];
        let error = configured(&files, None).unwrap_err().to_string();
        assert!(error.contains("MEMRIG_MIRROR"), "{error}");
    }

    #[test]
    fn a_key_in_the_file_itself_is_read() {
        let text = "Types: deb\nURIs: http://mirror.test/debian\nSuites: sid\nComponents: main\n\
            Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let found = configured(&[("sources.list.d/x.sources", text)], None).unwrap();
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(found.signed_by, SignedBy::Key(key.to_owned()));
        assert_eq!(found.security, None);
    }
}
