// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root of a release and architecture.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
    rc::Rc,
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    dates::{Beside, Dates, fetched_releases},
    said::{first_line, hint, is_absent, is_full, is_settled},
};
use crate::{
    cache::{Cache, Lock, NotHere},
    packages::{
        DebianSuite, PackageFacts, PackagesError, SourceTarball, config,
        fetch::check,
        sources::{MIRROR_VARIABLE, Mirror, SignedBy},
    },
};
use base::{
    exec::{Command, ExecError},
    ui::Ui,
};
use format::deb::{Release, Stanza};

/// In place of an architecture: the index of sources.
pub(in crate::packages) const SOURCE: &str = "source";

const ATTEMPTS: u32 = 3;

/// How long an index, and a file that it lists, may take to be fetched. Apt itself has a limit for silence alone: a mirror that sends a byte a second would be
/// waited for until somebody looks.
const INDEX_LIMIT: Duration = Duration::from_mins(30);
const FILE_LIMIT: Duration = Duration::from_hours(1);

/// The private root of one release and architecture, and its lock.
#[derive(Debug)]
pub(in crate::packages) struct Root<'a> {
    cache: &'a Cache,
    ui: &'a Ui,
    pub(super) suite: DebianSuite,
    pub(super) architecture: &'static str,
    pub(super) dir: PathBuf,
    /// Index files as text, and whether each is of security updates; read when first asked.
    pub(super) index: RefCell<Vec<(bool, Rc<str>)>>,
    /// Where the machine's apt has its configuration.
    pub(super) etc: PathBuf,
    _lock: Lock,
}

/// Written when the index is whole.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    /// Whether the index is older than it may be, as that of a mirror that stands still is.
    frozen: bool,
    /// Of the newest index that was seen.
    #[serde(default)]
    dates: Dates,
}

/// What was looked up before.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    packages: BTreeMap<String, Located<PackageFacts>>,
    sources: BTreeMap<String, Located<SourceFile>>,
    /// SHA-256 of files that the index lists and the mirror did not have.
    #[serde(default)]
    absent: BTreeSet<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Located<T> {
    pub(super) facts: T,
    /// It is in the archive of security updates.
    pub(super) security: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SourceFile {
    version: String,
    filename: String,
    sha256: String,
}

/// Why apt came to no end of its own.
fn not_ended(error: ExecError, what: &str, attempt: u32, mirror: &str) -> PackagesError {
    match error {
        ExecError::Late { limit, .. } => PackagesError::Mirror {
            what: what.to_owned(),
            attempts: attempt,
            mirror: mirror.to_owned(),
            said: format!(
                "it was not fetched within {} min: the mirror sends too little",
                limit.as_secs() / 60
            ),
        },
        other => other.into(),
    }
}

impl<'a> Root<'a> {
    pub(in crate::packages) fn open(
        cache: &'a Cache,
        ui: &'a Ui,
        suite: DebianSuite,
        architecture: &'static str,
    ) -> Result<Self, PackagesError> {
        let name = format!("{suite}-{architecture}");
        let lock = cache.lock(&format!("apt/{name}"))?;
        Ok(Self {
            cache,
            ui,
            suite,
            architecture,
            dir: cache.dir(Path::new("apt").join(name))?,
            index: RefCell::default(),
            etc: "/etc/apt".into(),
            _lock: lock,
        })
    }

    pub(in crate::packages) fn ensure_index(&self) -> Result<(), PackagesError> {
        match self.read::<Stamp>("stamp.json")? {
            Some(_) if self.dir.join("state/lists").is_dir() => Ok(()),
            _ if self.cache.only_looks() => {
                let what = format!(
                    "the index of {} for {} would be fetched",
                    self.suite, self.architecture
                );
                Err(NotHere::would(what).into())
            }
            _ => self.update(),
        }
    }

    pub(in crate::packages) fn resolve(&self, package: &str) -> Result<PackageFacts, PackagesError> {
        Ok(self.located(package, None)?.facts)
    }

    pub(in crate::packages) fn resolve_version(
        &self,
        package: &str,
        version: &str,
    ) -> Result<PackageFacts, PackagesError> {
        Ok(self.located(package, Some(version))?.facts)
    }

    /// The package of this version; the newest without one.
    fn located(&self, package: &str, version: Option<&str>) -> Result<Located<PackageFacts>, PackagesError> {
        let mut known = self.known()?;
        let is_meant = |found: &&Located<PackageFacts>| version.is_none_or(|v| v == found.facts.version);
        let key = match version {
            Some(version) => format!("{package}={version}"),
            None => package.to_owned(),
        };
        let found = known.packages.get(package).filter(is_meant);
        if let Some(found) = found.or_else(|| known.packages.get(&key)) {
            return Ok(found.clone());
        }
        let facts = |stanza: &Stanza<'_>| {
            let field = |name| stanza.get(name).map(str::to_owned);
            Some(PackageFacts {
                name: package.to_owned(),
                version: field("Version")?,
                architecture: field("Architecture")?,
                suite: self.suite,
                sha256: field("SHA256")?,
                size: field("Size")?.parse().ok()?,
                filename: field("Filename")?,
                depends: field("Depends").unwrap_or_default(),
            })
        };
        let meant =
            |stanza: &Stanza<'_>| facts(stanza).filter(|facts| version.is_none_or(|v| v == facts.version));
        let found = self.newest(package, meant, |facts| &facts.version)?;
        known.packages.insert(key, found.clone());
        self.write("known.json", &known)?;
        Ok(found)
    }

    pub(in crate::packages) fn fetch(&self, facts: &PackageFacts) -> Result<PathBuf, PackagesError> {
        let name = facts.filename.rsplit('/').next().unwrap_or(&facts.filename);
        if let Some(dir) = self.cache.find("debs", &facts.sha256) {
            return Ok(dir.join(name));
        }
        let located = match self.located(&facts.name, Some(&facts.version)) {
            Ok(located) if located.facts.sha256 == facts.sha256 => located,
            Ok(_) | Err(PackagesError::NoSuchPackage { .. }) => {
                let now = self.located(&facts.name, None)?.facts.version;
                return Err(self.gone(&facts.name, &facts.version, &now));
            }
            Err(error) => return Err(error),
        };
        if self.known()?.absent.contains(&facts.sha256) {
            return Err(self.absent(&facts.name, &facts.version, located.security)?);
        }
        if self.cache.only_looks() {
            let what = format!("{} {} would be fetched", facts.name, facts.version);
            return Err(NotHere::would(what).into());
        }
        let label = format!("fetch {} {}", facts.name, facts.version);
        let again = || match self.located(&facts.name, Some(&facts.version)) {
            Ok(now) => Ok(now.facts.sha256 == facts.sha256),
            Err(PackagesError::NoSuchPackage { .. }) => Ok(false),
            Err(error) => Err(error),
        };
        let fetched = self.get(&label, &facts.filename, &facts.sha256, located.security, again);
        match fetched {
            // The index was fetched anew in between, and lists it still.
            Err(PackagesError::Mirror { said, .. }) if is_absent(&said) => {
                let mut known = self.known()?;
                known.absent.insert(facts.sha256.clone());
                self.write("known.json", &known)?;
                Err(self.absent(&facts.name, &facts.version, located.security)?)
            }
            fetched => fetched,
        }
    }

    pub(in crate::packages) fn fetch_source(&self, source: &str) -> Result<SourceTarball, PackagesError> {
        let found = self.located_source(source)?;
        let SourceFile {
            version,
            filename,
            sha256,
        } = found.facts;
        let label = format!("fetch source {source} {version}");
        let again = || Ok(self.located_source(source)?.facts.sha256 == sha256);
        Ok(SourceTarball {
            name: source.to_owned(),
            path: self.get(&label, &filename, &sha256, found.security, again)?,
            version,
            sha256,
        })
    }

    fn located_source(&self, source: &str) -> Result<Located<SourceFile>, PackagesError> {
        let mut known = self.known()?;
        if let Some(found) = known.sources.get(source) {
            return Ok(found.clone());
        }
        let found = self.newest(source, orig_tarball, |file| &file.version)?;
        known.sources.insert(source.to_owned(), found.clone());
        self.write("known.json", &known)?;
        Ok(found)
    }

    /// What was looked up since the index was fetched.
    fn known(&self) -> Result<Known, PackagesError> {
        Ok(self.read("known.json")?.unwrap_or_default())
    }

    /// Fetches a file of the mirror into the cache, by its place and digest.
    fn get(
        &self,
        label: &str,
        filename: &str,
        sha256: &str,
        security: bool,
        still_listed: impl Fn() -> Result<bool, PackagesError>,
    ) -> Result<PathBuf, PackagesError> {
        let name = filename.rsplit('/').next().unwrap_or(filename);
        let dir = self.cache.entry("debs", sha256, |dir| {
            let task = self.ui.task(label, None);
            let path = dir.join(name);
            match self.download(label, filename, sha256, security, &path, still_listed) {
                Ok(()) => {
                    let size = fs_err::metadata(&path)?.len();
                    task.done(&format!("{:.1} MB", size as f64 / 1e6));
                    Ok(())
                }
                Err(error) => {
                    task.failed();
                    Err(error)
                }
            }
        })?;
        Ok(dir.join(name))
    }

    fn download(
        &self,
        label: &str,
        filename: &str,
        sha256: &str,
        security: bool,
        path: &Path,
        still_listed: impl Fn() -> Result<bool, PackagesError>,
    ) -> Result<(), PackagesError> {
        let (mirror, config) = self.configure()?;
        let base = mirror.archive(security);
        let uri = format!("{base}/{filename}");
        for attempt in 1.. {
            let hash = format!("SHA256:{sha256}");
            let helper = Command::new("/usr/lib/apt/apt-helper")
                .arg("download-file")
                .arg(&uri)
                .arg(path)
                .arg(&hash);
            let said = match self.run(helper, &config, FILE_LIMIT) {
                Ok(_) => match check(path, sha256) {
                    Ok(()) => return Ok(()),
                    Err(error) => error.to_string(),
                },
                Err(ExecError::Failed { stderr, .. }) => stderr,
                Err(error) => return Err(not_ended(error, label, attempt, base)),
            };
            if is_full(&said) {
                return Err(self.full(label));
            }
            if attempt == ATTEMPTS {
                return Err(PackagesError::Mirror {
                    what: label.to_owned(),
                    attempts: ATTEMPTS,
                    mirror: base.to_owned(),
                    said: hint(&said),
                });
            }
            self.ui
                .line(&format!("{label}: {}; trying again", first_line(&said)));
            thread::sleep(backoff(attempt));
            // A file that is listed and not there usually has a successor by now.
            self.update()?;
            if !still_listed()? {
                return Err(self.gone(label, filename, "another version"));
            }
        }
        Ok(())
    }

    fn absent(&self, name: &str, version: &str, security: bool) -> Result<PackagesError, PackagesError> {
        let mirror = self.mirror()?;
        Ok(PackagesError::Absent {
            what: format!("{name} {version}"),
            suite: self.suite,
            architecture: self.architecture.to_owned(),
            mirror: mirror.archive(security).to_owned(),
        })
    }

    fn full(&self, what: &str) -> PackagesError {
        PackagesError::Full {
            what: what.to_owned(),
            cache: self.cache.root().to_owned(),
        }
    }

    fn gone(&self, name: &str, version: &str, now: &str) -> PackagesError {
        PackagesError::Gone {
            what: format!("{name} {version}"),
            suite: self.suite,
            now: now.to_owned(),
        }
    }

    /// Fetches the index anew, and asks the mirror again for what it lacked.
    pub(in crate::packages) fn refresh(&self) -> Result<(), PackagesError> {
        self.write("known.json", &Known::default())?;
        self.update()
    }

    /// Fetches the index anew.
    pub(in crate::packages) fn update(&self) -> Result<(), PackagesError> {
        let (mirror, config) = self.configure()?;
        let what = format!("index of {} for {}", self.suite, self.architecture);
        let task = self.ui.task(&what, None);
        let mut frozen = false;
        let mut attempt = 1;
        let said = loop {
            let words = [
                "update",
                "-q",
                "-o",
                "APT::Update::Error-Mode=any",
                "-o",
                "pkgCacheFile::Generate=false",
            ];
            let mut update = Command::new("apt-get").args(words);
            if frozen {
                update = update.args(["-o", "Acquire::Check-Valid-Until=false"]);
            }
            let said = match self.run(update, &config, INDEX_LIMIT) {
                Ok(_) if self.index_files()?.is_empty() => {
                    "no index came: the suite may have none for this architecture".to_owned()
                }
                Ok(said) => break said,
                Err(ExecError::Failed { stderr, .. }) => stderr,
                Err(error) => {
                    task.failed();
                    return Err(not_ended(error, &what, attempt, &mirror.uri));
                }
            };
            if let (false, Some(line)) = (frozen, said.lines().find(|line| line.contains("is expired"))) {
                frozen = true;
                let age = line
                    .split("invalid since ")
                    .nth(1)
                    .and_then(|rest| rest.split(')').next());
                self.ui.line(&format!(
                    "the mirror's {} stands still (its Release expired {} ago); the signature holds, so it is used as it is",
                    self.suite,
                    age.unwrap_or("some time")
                ));
                continue;
            }
            if is_full(&said) {
                task.failed();
                return Err(self.full(&what));
            }
            if attempt == ATTEMPTS || is_settled(&said) {
                task.failed();
                return Err(PackagesError::Mirror {
                    what,
                    attempts: attempt,
                    mirror: mirror.uri,
                    said: hint(&said),
                });
            }
            self.ui
                .line(&format!("{what}: {}; trying again", first_line(&said)));
            thread::sleep(backoff(attempt));
            attempt += 1;
        };
        let dates = self.dates(&said, &config)?;
        // What was looked up in the old index is forgotten, but not what the mirror lacks: asking for that takes many seconds.
        self.index.take();
        let known = Known {
            absent: self.known()?.absent,
            ..Known::default()
        };
        self.write("known.json", &known)?;
        self.write("stamp.json", &Stamp { frozen, dates })?;
        task.done("fetched, signature good");
        Ok(())
    }

    /// Dates of the newest index that was seen, now that apt has ended and said this; what is older than one that was seen before is told.
    fn dates(&self, said: &str, config: &Path) -> Result<Dates, PackagesError> {
        let mut dates = match self.read::<Stamp>("stamp.json")? {
            Some(stamp) => stamp.dates,
            None => Dates::default(),
        };
        let mut used = Vec::new();
        for path in self.releases()? {
            // Without a date there is nothing to compare: apt asks for none.
            if let Some(release) = Release::parse(&fs_err::read_to_string(path)?) {
                used.push(dates.take(release));
            }
        }
        for older in used.iter().filter_map(Beside::older) {
            let then = "its signature holds, so it is used as it is";
            self.ui.warning(&format!("{older}; {then}"));
        }
        // Where apt has a newer one of the same mirror, it keeps that, and does not say so.
        if !used.contains(&Beside::Same) {
            return Ok(dates);
        }
        let folder = tempfile::tempdir_in(self.dir.join("cache"))?;
        for uri in fetched_releases(said) {
            let path = folder.path().join("Release");
            let helper = Command::new("/usr/lib/apt/apt-helper")
                .arg("download-file")
                .arg(&uri)
                .arg(&path);
            if let Err(error) = self.run(helper, config, INDEX_LIMIT) {
                self.ui
                    .warning(&format!("it cannot be seen how old {uri} is: {error}"));
                continue;
            }
            let sent = Release::parse(&fs_err::read_to_string(&path)?).map(|release| dates.take(release));
            if let Some(older) = sent.as_ref().and_then(Beside::older)
                && !used.iter().filter_map(Beside::older).any(|told| told == older)
            {
                self.ui.warning(&format!("{older}; the newer one is kept"));
            }
        }
        Ok(dates)
    }

    /// Runs a program of apt; what it prints.
    fn run(&self, command: Command, config: &Path, limit: Duration) -> Result<String, ExecError> {
        let said = command
            .env("APT_CONFIG", config)
            .env("LC_ALL", "C")
            .output_within(limit)?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Writes the root's configuration and returns its path.
    fn configure(&self) -> Result<(Mirror, PathBuf), PackagesError> {
        let mirror = self.mirror()?;
        for dir in ["etc/apt.conf.d", "state/lists/partial", "cache/archives/partial"] {
            fs_err::create_dir_all(self.dir.join(dir))?;
        }
        fs_err::write(self.dir.join("state/status"), "")?;
        let key = self.dir.join("etc/key.asc");
        let signed_by = match &mirror.signed_by {
            SignedBy::File(path) => Some(path.as_path()),
            SignedBy::Key(text) => {
                fs_err::write(&key, text)?;
                Some(key.as_path())
            }
            SignedBy::Trusted => None,
        };
        fs_err::write(
            self.dir.join("etc/sources.list"),
            config::sources(&mirror, self.suite, self.architecture, signed_by)?,
        )?;
        let inherited = Command::new("apt-config").args(["dump", "Acquire"]).output()?;
        let path = self.dir.join("etc/apt.conf");
        let root = rustix::process::geteuid().is_root();
        fs_err::write(
            &path,
            config::apt_conf(
                &self.dir,
                self.architecture,
                root,
                &String::from_utf8_lossy(&inherited),
            ),
        )?;
        Ok((mirror, path))
    }

    /// The mirror that the user or the machine names.
    fn mirror(&self) -> Result<Mirror, PackagesError> {
        let override_uri = env::var(MIRROR_VARIABLE).ok().filter(|uri| !uri.is_empty());
        Ok(Mirror::find(&self.etc, override_uri.as_deref())?)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, PackagesError> {
        let path = self.dir.join(name);
        if !path.exists() {
            return Ok(None);
        }
        // One that another version of memrig wrote is as good as none.
        Ok(serde_json::from_slice(&fs_err::read(path)?).ok())
    }

    /// Writes a file of the root at once; not where the cache is only looked at.
    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), PackagesError> {
        if self.cache.only_looks() {
            return Ok(());
        }
        let bytes = serde_json::to_vec_pretty(value).map_err(std::io::Error::from)?;
        let new = self.dir.join(format!("{name}.new"));
        fs_err::write(&new, bytes)?;
        Ok(fs_err::rename(new, self.dir.join(name))?)
    }
}

/// The file `*.orig.tar.*` of a stanza of `Sources`.
fn orig_tarball(stanza: &Stanza<'_>) -> Option<SourceFile> {
    let line = stanza.get("Checksums-Sha256")?.lines().find(|line| {
        let name = line.split_whitespace().nth(2).unwrap_or_default();
        name.contains(".orig.tar.") && !name.ends_with(".asc")
    })?;
    let mut words = line.split_whitespace();
    let (sha256, _size, name) = (words.next()?, words.next()?, words.next()?);
    Some(SourceFile {
        version: stanza.get("Version")?.to_owned(),
        filename: format!("{}/{name}", stanza.get("Directory")?),
        sha256: sha256.to_owned(),
    })
}

fn backoff(attempt: u32) -> Duration {
    Duration::from_secs(2 * u64::from(attempt * attempt))
}

#[cfg(test)]
#[path = "tests.rs"]
pub(in crate::packages) mod tests;
