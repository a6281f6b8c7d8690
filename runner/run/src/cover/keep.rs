// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asking a guest that is done where its kernel lies, and keeping what it ran.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    place::{Text, in_text},
    subject::is_subject,
};
use crate::case::{UnderTest, chain, inside};
use base::{Arch, ui::Ui};
use format::{
    cover::Pieces,
    kallsyms::Functions,
    lines::{LineTable, Row},
};
use record::{CaseKey, CoverageLog, KernelText, LineOfCode, SourceLines, Span};
use supply::kernel::{Changed, Kernel};

/// How long a guest may take to tell, before the factor of its speed: its kernel has up to 200 000 symbols.
const LIMIT: Duration = Duration::from_secs(60);

/// All symbols, of which those of functions are wanted. To look for them here takes a guest ten times as long as to print all (Debian 6.12, TCG).
const SYMBOLS_SCRIPT: &str = "cat /proc/kallsyms";

/// Where the text begins. It is among the first.
const START_SCRIPT: &str = "grep -m1 ' _stext$' /proc/kallsyms";

/// Keeps which code the cases of a run ran.
#[derive(Debug)]
pub(crate) struct Cover {
    /// The plugin for the QEMU of each architecture; none where guests are not translated.
    libraries: BTreeMap<Arch, PathBuf>,
    log: CoverageLog,
    /// Kernels that were told to the log, by their index in the run.
    kernels: Mutex<HashMap<usize, Known>>,
    /// Where the text of each template's kernel begins, by the template's number.
    starts: Mutex<HashMap<usize, u64>>,
    /// Something could not be kept, and the user knows.
    told: AtomicBool,
    ui: Ui,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// Its number in the log.
    number: usize,
    /// Bytes of its text.
    bytes: u64,
}

impl Known {
    fn text(self, start: u64) -> Text {
        let bytes = self.bytes;
        Text { start, bytes }
    }
}

/// Whose code it is.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    /// The case.
    pub(crate) key: &'a CaseKey,
    /// The kernel, and its index in the run.
    pub(crate) kernel: (usize, &'a Kernel),
}

impl Cover {
    pub(crate) fn new(libraries: BTreeMap<Arch, PathBuf>, log: CoverageLog, ui: Ui) -> Self {
        Self {
            libraries,
            log,
            kernels: Mutex::default(),
            starts: Mutex::default(),
            told: AtomicBool::new(false),
            ui,
        }
    }

    /// The plugin for a guest of an architecture.
    pub(crate) fn library(&self, arch: Arch) -> Option<&Path> {
        self.libraries.get(&arch).map(PathBuf::as_path)
    }

    /// What a guest is asked about its kernel, as far as that is not known yet. The guest of a template is asked before it is stopped: then it is also
    /// known of clones that die where their kernel lies, and no clone is asked.
    pub(crate) fn question(&self, kernel: usize) -> &'static str {
        match locked(&self.kernels).contains_key(&kernel) {
            true => START_SCRIPT,
            false => SYMBOLS_SCRIPT,
        }
    }

    /// Keeps what the boot of a template ran, whose guest has given this answer.
    pub(crate) fn booted(&self, template: usize, whose: Whose<'_>, answer: &str, code: &Pieces) {
        let kept = || {
            let (known, text) = self.learn(whose, answer)?;
            locked(&self.starts).insert(template, text.start);
            self.log
                .boot(known.number, template as u32, &in_text(code, text))
                .map_err(|error| chain(&error))
        };
        if let Err(why) = kept() {
            self.tell(&why);
        }
    }

    /// Keeps what a guest ran whose case is over, a clone of the template with this number or one that booted. What cannot be kept is told once, and
    /// costs no case its verdict.
    pub(crate) async fn keep(&self, whose: Whose<'_>, template: Option<usize>, guest: &impl UnderTest) {
        // Before the guest is asked anything more.
        let code = match guest.translated() {
            Ok(Some(code)) => code,
            Ok(None) => return,
            Err(error) => return self.tell(&chain(&error)),
        };
        if let Err(why) = self.keep_code(whose, template, guest, &code).await {
            self.tell(&why);
        }
    }

    async fn keep_code(
        &self,
        whose: Whose<'_>,
        template: Option<usize>,
        guest: &impl UnderTest,
        code: &Pieces,
    ) -> Result<(), String> {
        let Some((known, text)) = self.place(whose, template, guest).await? else {
            return Ok(());
        };
        let (spans, booted) = (in_text(code, text), template.is_none());
        self.log
            .case(known.number, whose.key, booted, &spans, code.lost)
            .map_err(|error| chain(&error))
    }

    /// Which kernel it is for the log, and where its text lies in this guest. `None` if the guest is gone and nobody else knows.
    async fn place(
        &self,
        whose: Whose<'_>,
        template: Option<usize>,
        guest: &impl UnderTest,
    ) -> Result<Option<(Known, Text)>, String> {
        let index = whose.kernel.0;
        let known = locked(&self.kernels).get(&index).copied();
        let start = template.and_then(|template| locked(&self.starts).get(&template).copied());
        if let (Some(known), Some(start)) = (known, start) {
            return Ok(Some((known, known.text(start))));
        }
        if guest.end().is_some() || guest.is_silent() {
            return Ok(None);
        }
        let limit = guest.scale(LIMIT);
        let said = inside::exec(guest, self.question(index), limit).await;
        let said = said.map_err(|trouble| trouble.message().to_owned())?.text();
        self.learn(whose, &said).map(Some)
    }

    /// What a guest says of where its kernel lies; the first one of a kernel has all its functions.
    fn learn(&self, whose: Whose<'_>, said: &str) -> Result<(Known, Text), String> {
        let (index, kernel) = whose.kernel;
        // Held until the kernel is written down: another guest of it may tell at the same time.
        let mut kernels = locked(&self.kernels);
        if let Some(known) = kernels.get(&index) {
            let start = said.lines().find_map(|line| {
                let address = line.strip_suffix(" _stext")?.split(' ').next()?;
                u64::from_str_radix(address, 16).ok()
            });
            let start = start.ok_or("the guest does not say where its kernel lies")?;
            return Ok((*known, known.text(start)));
        }
        let functions = Functions::parse(said).ok_or_else(|| {
            "the guest's /proc/kallsyms does not say where its kernel begins and ends".to_owned()
        })?;
        let (start, bytes) = (functions.start, functions.end);
        let number = self.log.kernel(&KernelText {
            label: kernel.label.clone(),
            release: kernel.release_or_unknown().to_owned(),
            arch: kernel.arch,
            side: whose.key.side,
            end: bytes,
            functions: functions.functions,
            sources: sources(kernel)?,
        });
        let number = number.map_err(|error| chain(&error))?;
        let known = Known { number, bytes };
        kernels.insert(index, known);
        Ok((known, known.text(start)))
    }

    fn tell(&self, why: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.ui
                .warning(&format!("which code ran is not known of all cases: {why}"));
        }
    }
}

/// The lines of the files that memory hotplug is in, and of those that the kernel's series changes.
fn sources(kernel: &Kernel) -> Result<Vec<SourceLines>, String> {
    let Some(path) = &kernel.lines else {
        return Ok(Vec::new());
    };
    let Changed { series, last_patch } = &kernel.changed;
    let read = || {
        let table = fs_err::File::open(path)?;
        LineTable::read(table, |file| {
            is_subject(file) || series.contains_key(file) || last_patch.contains_key(file)
        })
    };
    let mut table = read().map_err(|error| format!("{}: {error}", path.display()))?;
    // What a series changes and no code was made of is told as such.
    for file in series.keys().chain(last_patch.keys()) {
        table.files.entry(file.clone()).or_default();
    }
    let row = |row: Row| LineOfCode {
        span: Span {
            offset: row.offset,
            bytes: row.bytes,
        },
        line: row.line,
        inlined: row.inlined.as_deref().map(str::to_owned),
    };
    let source = |(file, rows): (String, Vec<Row>)| SourceLines {
        // A file that the series does not touch has none.
        changed: series.get(&file).cloned().unwrap_or_default(),
        last_patch: last_patch.get(&file).cloned().unwrap_or_default(),
        rows: rows.into_iter().map(row).collect(),
        file,
    };
    Ok(table.files.into_iter().map(source).collect())
}

/// What these locks guard is right even if a thread panicked with one.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
