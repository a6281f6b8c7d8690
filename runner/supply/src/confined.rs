// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that others wrote, and that run on this host: what of it they have.
//!
//! Bubblewrap holds them, in namespaces of their own. They read what the user may, see no device but such as `/dev/null`, and no socket in the usual
//! places; they have no capability, and are gone with memrig. `/proc` is the host's, which cannot be written through this mount: a new one would have
//! the host's settings in it, and root is the owner of those.
//!
//! Where it is not there, unshare(1) keeps them from the network at least, in a namespace of that alone.

use std::{
    env,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::host::{self, HostError};
use base::{
    exec::{Command, ExecError},
    ui::Ui,
};

/// The program that holds others, and the package that has it.
const BWRAP: &str = "bwrap";
const PACKAGE: &str = "bubblewrap";

/// Ways to start a program without a network, of which a host may take one: as root, and as somebody who can have a namespace of users.
const WITHOUT_NETWORK: [&[&str]; 2] = [
    &["unshare", "--net", "--"],
    &["unshare", "--map-current-user", "--net", "--"],
];

/// A compiler's companion that keeps what was compiled.
const CCACHE: &str = "ccache";

/// Folders that are empty for whoever is held, and its own: others leave files and sockets there.
const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/run"];

/// Variables that name a folder for temporary files, which may be one that cannot be written.
const TEMPORARY: [&str; 3] = ["TMPDIR", "TMP", "TEMP"];

/// How far the programs of a build reach on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// They have no network, and write where they are to; this holds them.
    Own(String),
    /// They have no network, and write where the user may, for this reason. These words start them.
    Files(&'static [&'static str], String),
    /// They reach what the user does, for this reason.
    Users(String),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(by) => write!(f, "have no network, and write to their own folder alone ({by})"),
            Self::Files(_, why) => write!(f, "have no network, and write where you may: {why}"),
            Self::Users(why) => write!(f, "have the network, and write where you may: {why}"),
        }
    }
}

impl Reach {
    /// How far it is here, tried out once.
    pub fn here() -> &'static Self {
        static HERE: OnceLock<Reach> = OnceLock::new();
        HERE.get_or_init(|| {
            let why = match host::in_path(BWRAP) {
                None => {
                    let command = host::install_command(&[PACKAGE]);
                    format!("{PACKAGE} is not installed ({command})")
                }
                Some(_) => match held() {
                    Ok(by) => return Self::Own(by),
                    Err(ExecError::Start { source, .. }) => source.to_string(),
                    Err(error) => error.to_string(),
                },
            };
            let starts = |words: &&[&str]| {
                let does_nothing =
                    Command::new("true").started_by(words.iter().map(OsString::from).collect());
                does_nothing.output().is_ok()
            };
            match WITHOUT_NETWORK.into_iter().find(starts) {
                Some(words) => Self::Files(words, why),
                None => Self::Users(why),
            }
        })
    }

    /// The same, after what holds programs was installed, where memrig may do that.
    pub(crate) fn made(ui: &Ui) -> &'static Self {
        if host::in_path(BWRAP).is_none()
            && let Err(error @ HostError::Install { .. }) = host::install_packages(&[PACKAGE], ui)
        {
            ui.warning(&error.to_string());
        }
        Self::here()
    }
}

/// Has a program held that does nothing; what holds it, and its version.
fn held() -> Result<String, ExecError> {
    let words = Bounds::default().words(&private());
    Command::new("true").started_by(words).output()?;
    let version = Command::new(BWRAP).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&version).trim_end().to_owned())
}

/// Those of [`PRIVATE`] that are here, each once.
fn private() -> Vec<PathBuf> {
    let there = PRIVATE
        .iter()
        .filter_map(|folder| fs_err::canonicalize(folder).ok());
    let mut folders: Vec<PathBuf> = there.filter(|folder| folder.is_dir()).collect();
    folders.sort();
    folders.dedup();
    folders
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// A file or a folder, by its path.
    Plain(PathBuf),
    /// A link, by its path, and where it leads.
    Link(PathBuf, PathBuf),
}

/// What a program that is held has of the host, beside reading what the user may.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// Folders that it needs, also where they lie in a private one.
    needed: Vec<PathBuf>,
    /// Folders of programs that it calls. Where one is a `bin`, what lies beside it is needed, too.
    programs: Vec<PathBuf>,
    /// A folder with all that lies in it: what is made there is gone with the program.
    scratch: Option<(PathBuf, Vec<Entry>)>,
    /// Folders that it writes. They are there.
    writable: Vec<PathBuf>,
    /// Variables that tell it of that.
    env: Vec<(&'static str, &'static str)>,
}

impl Bounds {
    /// One that writes to these folders, and needs these.
    pub(crate) fn of(writable: &[&Path], needed: &[&Path]) -> Self {
        let owned = |folders: &[&Path]| folders.iter().map(|&folder| folder.to_owned()).collect();
        let path = env::var_os("PATH");
        Self {
            needed: owned(needed),
            programs: path.iter().flat_map(env::split_paths).collect(),
            scratch: None,
            writable: owned(writable),
            env: Vec::new(),
        }
    }

    /// The same, where ccache may be called, from whose folder all that the user builds is taken: it adds to that only if it `may_add`.
    pub(crate) fn with_ccache(mut self, may_add: bool) -> Self {
        if host::in_path(CCACHE).is_none() {
            return self;
        }
        let asked = Command::new(CCACHE).args(["--get-config", "cache_dir"]).output();
        let folder = asked.map(|said| PathBuf::from(String::from_utf8_lossy(&said).trim_end()));
        let there = |folder: &PathBuf| {
            folder.is_dir() || (may_add && folder.is_absolute() && fs_err::create_dir_all(folder).is_ok())
        };
        self.env.push(("CCACHE_TEMPDIR", "/tmp"));
        match folder.ok().filter(there) {
            Some(folder) if may_add => self.writable.push(folder),
            Some(folder) => {
                self.env.push(("CCACHE_READONLY", "1"));
                self.needed.push(folder);
            }
            // What does not say where it keeps things can keep nothing.
            None => self.env.push(("CCACHE_DISABLE", "1")),
        }
        self
    }

    /// The same, with programs that are named in words such as `LLVM=/opt/llvm/`.
    pub(crate) fn calling<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        let named = words.into_iter().flat_map(str::split_whitespace);
        let paths = named.map(|word| word.split_once('=').map_or(word, |(_, path)| path));
        // A path may be that of a folder, with a `/` behind it, of a program, or the beginning of several.
        let folders = paths.filter_map(|path| path.starts_with('/').then_some(path.rsplit_once('/')?.0));
        self.programs.extend(folders.map(PathBuf::from));
        self
    }

    /// The same, where files that it makes right in a folder are for itself.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub(crate) fn with_scratch(mut self, folder: &Path) -> io::Result<Self> {
        let mut entries = Vec::new();
        for entry in fs_err::read_dir(folder)? {
            let entry = entry?;
            entries.push(match entry.file_type()?.is_symlink() {
                true => Entry::Link(entry.path(), fs_err::read_link(entry.path())?),
                false => Entry::Plain(entry.path()),
            });
        }
        self.scratch = Some((folder.to_owned(), entries));
        Ok(self)
    }

    /// The command within these bounds, where programs can be held here.
    pub(crate) fn around(&self, command: Command) -> Command {
        match Reach::here() {
            Reach::Users(_) => command,
            Reach::Files(words, _) => command.started_by(words.iter().map(OsString::from).collect()),
            Reach::Own(_) => {
                let command = TEMPORARY
                    .iter()
                    .fold(command, |command, name| command.unset(name));
                let told = |command: Command, (name, value): &(&str, &str)| command.env(name, value);
                let command = self.env.iter().fold(command, told);
                command.started_by(self.words(&private()))
            }
        }
    }

    /// The words of bubblewrap's before the program's own. `private` are the folders that are empty.
    fn words(&self, private: &[PathBuf]) -> Vec<OsString> {
        let mut words: Vec<OsString> = [
            BWRAP,
            "--unshare-user-try",
            "--unshare-net",
            "--unshare-pid",
            "--unshare-ipc",
            "--die-with-parent",
            "--new-session",
        ]
        .map(OsString::from)
        .into();
        let mut add = |option: &str, paths: &[&Path]| {
            words.push(option.into());
            words.extend(paths.iter().map(|path| path.as_os_str().to_owned()));
        };
        add("--cap-drop", &[Path::new("ALL")]);
        // What comes later lies on what came before.
        add("--ro-bind", &[Path::new("/"), Path::new("/")]);
        add("--dev", &[Path::new("/dev")]);
        for folder in private {
            add("--tmpfs", &[folder]);
        }
        for program in &self.programs {
            let below = |path: &Path| {
                private
                    .iter()
                    .any(|folder| path.starts_with(folder) && path != folder)
            };
            let about = program
                .parent()
                .filter(|about| program.ends_with("bin") && below(about));
            let whole = about.unwrap_or(program);
            if below(whole) {
                add("--ro-bind-try", &[whole, whole]);
            }
        }
        for folder in &self.needed {
            add("--ro-bind", &[folder, folder]);
        }
        if let Some((folder, entries)) = &self.scratch {
            add("--tmpfs", &[folder]);
            for entry in entries {
                match entry {
                    Entry::Plain(path) => add("--ro-bind", &[path, path]),
                    Entry::Link(path, to) => add("--symlink", &[to, path]),
                }
            }
        }
        for folder in &self.writable {
            add("--bind", &[folder, folder]);
        }
        words.push("--".into());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::exec::shell_line;

    #[test]
    fn what_a_program_has_comes_after_what_it_has_not() {
        let bounds = Bounds {
            programs: ["/usr/bin", "/tmp/llvm/bin", "/tmp/bin", "/tmp"]
                .map(PathBuf::from)
                .into(),
            ..Bounds::of(&[Path::new("/tmp/tree/build")], &[Path::new("/tmp/tree")])
        };
        let bounds = bounds.calling(["CC=ccache /run/gcc/bin/gcc", "ARCH=x86_64"]);
        let words = shell_line(bounds.words(&["/run", "/tmp"].map(PathBuf::from)));
        let (_, words) = words.split_once(" --ro-bind / / ").unwrap();
        assert_eq!(
            words,
            "--dev /dev --tmpfs /run --tmpfs /tmp --ro-bind-try /tmp/llvm /tmp/llvm --ro-bind-try /tmp/bin /tmp/bin \
             --ro-bind-try /run/gcc /run/gcc --ro-bind /tmp/tree /tmp/tree --bind /tmp/tree/build /tmp/tree/build --"
        );
    }

    #[test]
    fn a_scratch_folder_has_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["Makefile", "link"].map(|name| folder.path().join(name));
        fs_err::write(&file, "").unwrap();
        std::os::unix::fs::symlink("Makefile", &link).unwrap();
        let bounds = Bounds::default().with_scratch(folder.path()).unwrap();
        let words = shell_line(bounds.words(&[]));
        let [file, link, folder] = [&file, &link, folder.path()].map(Path::display);
        assert!(words.contains(&format!(" --tmpfs {folder} ")), "{words}");
        assert!(words.contains(&format!(" --ro-bind {file} {file} ")), "{words}");
        assert!(words.contains(&format!(" --symlink Makefile {link} ")), "{words}");
    }
}
