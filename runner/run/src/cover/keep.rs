// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asking a guest that is done where its kernel lies, and keeping what it ran.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    dead::Dead,
    logged::{Layout, LoggedKernel},
    subject::is_subject,
    subject_code::SubjectCode,
};
use crate::case::{UnderTest, chain, inside};
use base::{Arch, ui::Ui};
use format::{
    cover::Pieces,
    kallsyms::Functions,
    lines::{LineTable, Row},
};
use record::{CaseKey, CoverageLog, KernelText, LineOfCode, SourceLines, Span};
use supply::kernel::{Kernel, SeriesChanges};
use vm::machine::MachineError;

/// How long a guest may take to tell, before the factor of its speed: its kernel has up to 200 000 symbols.
const LIMIT: Duration = Duration::from_secs(60);

/// Modules and all symbols, of which those of functions are wanted. To look for them here takes a guest ten times as long as to print all (Debian 6.12,
/// TCG). A kernel may have no modules.
pub(crate) const SYMBOLS_SCRIPT: &str = "cat /proc/modules 2>/dev/null; cat /proc/kallsyms";

/// Modules, and where the text begins, which is among the first.
const PLACE_SCRIPT: &str = "cat /proc/modules 2>/dev/null; grep -m1 ' _stext$' /proc/kallsyms";

/// Keeps which code the cases of a run ran.
#[derive(Debug)]
pub(crate) struct Cover {
    /// The plugin for the QEMU of each architecture; none where guests are not translated.
    libraries: BTreeMap<Arch, PathBuf>,
    log: CoverageLog,
    /// Kernels that were told to the log, by their index in the run.
    kernels: Mutex<HashMap<usize, LoggedKernel>>,
    /// The code of memory hotplug in each of these kernels, by its index in the run.
    subjects: Mutex<HashMap<usize, Arc<SubjectCode>>>,
    /// Where each template's kernel lies, by the template's number.
    templates: Mutex<HashMap<usize, Layout>>,
    /// Guests that could not tell where their kernel lies.
    dead: Mutex<Dead>,
    /// Something could not be kept, and the user knows.
    warned: AtomicBool,
    ui: Ui,
}

/// Whose code it is.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    /// The case.
    pub(crate) key: &'a CaseKey,
    /// The kernel, and its index in the run.
    pub(crate) kernel: (usize, &'a Kernel),
}

/// What a guest ran of its kernel.
#[derive(Debug, Clone)]
pub(crate) struct RanInTurn {
    /// The code that memory hotplug is in.
    pub(crate) subject: Arc<SubjectCode>,
    /// The pieces of the kernel, in the order in which they were first run: the place among all that the plugin noted, and which it is.
    pub(crate) pieces: Vec<(usize, Span)>,
}

impl Cover {
    pub(crate) fn new(libraries: BTreeMap<Arch, PathBuf>, log: CoverageLog, ui: Ui) -> Self {
        Self {
            libraries,
            log,
            kernels: Mutex::default(),
            subjects: Mutex::default(),
            templates: Mutex::default(),
            dead: Mutex::default(),
            warned: AtomicBool::new(false),
            ui,
        }
    }

    /// The plugin for a guest of an architecture.
    pub(crate) fn library(&self, arch: Arch) -> Option<&Path> {
        self.libraries.get(&arch).map(PathBuf::as_path)
    }

    /// What a guest is asked about its kernel, as far as that is not known yet. The guest of a template is asked before it is stopped: then it is also
    /// known of clones that die where their kernel lies, and a clone is asked only if it ran what its template does not know.
    pub(crate) fn question(&self, kernel: usize) -> &'static str {
        match locked(&self.kernels).contains_key(&kernel) {
            true => PLACE_SCRIPT,
            false => SYMBOLS_SCRIPT,
        }
    }

    /// Keeps what the boot of a template ran, whose guest has given this answer.
    pub(crate) fn booted(&self, template: usize, whose: Whose<'_>, answer: &str, code: &Pieces) {
        let kept = || {
            let (known, layout) = self.learn(whose, answer)?;
            let spans = known.placed(&layout, code);
            locked(&self.dead).came_up(whose.kernel.0, (&known, &layout), &spans);
            locked(&self.templates).insert(template, layout);
            self.log
                .boot(known.number, template as u32, &spans)
                .map_err(|error| chain(&error))?;
            self.keep_dead(whose.kernel.0)
        };
        if let Err(why) = kept() {
            self.warn(&why);
        }
    }

    /// Keeps what a guest ran that died before it came up, as soon as another guest of its kernel has told where that lies.
    pub(crate) fn died(&self, whose: Whose<'_>, code: &Result<Option<Pieces>, MachineError>) {
        let kernel = whose.kernel.0;
        let kept = match code {
            Ok(Some(code)) => {
                locked(&self.dead).died(whose.key, kernel, code);
                self.keep_dead(kernel)
            }
            Ok(None) => Ok(()),
            Err(error) => Err(chain(error)),
        };
        if let Err(why) = kept {
            self.warn(&why);
        }
    }

    fn keep_dead(&self, kernel: usize) -> Result<(), String> {
        for one in locked(&self.dead).placed(kernel) {
            self.log
                .case(one.kernel, &one.key, true, &one.spans, one.lost)
                .map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    /// Keeps what a guest ran whose case is over, a clone of the template with this number or one that booted. What cannot be kept is told once, and
    /// costs no case its verdict.
    pub(crate) async fn keep(
        &self,
        whose: Whose<'_>,
        template: Option<usize>,
        guest: &impl UnderTest,
    ) -> Option<RanInTurn> {
        // Before the guest is asked anything more.
        let kept = match guest.translated() {
            Ok(Some(code)) => self.keep_code(whose, template, guest, &code).await,
            Ok(None) => Ok(None),
            Err(error) => Err(chain(&error)),
        };
        kept.unwrap_or_else(|why| {
            self.warn(&why);
            None
        })
    }

    async fn keep_code(
        &self,
        whose: Whose<'_>,
        template: Option<usize>,
        guest: &impl UnderTest,
        code: &Pieces,
    ) -> Result<Option<RanInTurn>, String> {
        let place = match self.of_template(whose, template) {
            // The case may have loaded a module.
            Some((known, layout)) if known.is_elsewhere(&layout, code) => {
                self.ask(whose, guest).await?.or(Some((known, layout)))
            }
            None => self.ask(whose, guest).await?,
            known => known,
        };
        let Some((known, layout)) = place else {
            // Nobody can be asked: what a clone of the case ran is told, and not this boot.
            return Ok(None);
        };
        let (spans, booted) = (known.placed(&layout, code), template.is_none());
        self.log
            .case(known.number, whose.key, booted, &spans, code.lost)
            .map_err(|error| chain(&error))?;
        let subject = locked(&self.subjects).get(&whose.kernel.0).cloned();
        Ok(subject.map(|subject| RanInTurn {
            subject,
            pieces: known.in_turn(&layout, code),
        }))
    }

    /// What the template of a case has told of its kernel.
    fn of_template(&self, whose: Whose<'_>, template: Option<usize>) -> Option<(LoggedKernel, Layout)> {
        let layout = locked(&self.templates).get(&template?).cloned()?;
        let known = locked(&self.kernels).get(&whose.kernel.0).cloned()?;
        Some((known, layout))
    }

    /// Asks a guest where its kernel and its modules lie. `None` if the guest is gone.
    async fn ask(
        &self,
        whose: Whose<'_>,
        guest: &impl UnderTest,
    ) -> Result<Option<(LoggedKernel, Layout)>, String> {
        if guest.end().is_some() || guest.is_silent() {
            return Ok(None);
        }
        let limit = guest.scale(LIMIT);
        let said = async |script: &str| {
            let said = inside::exec(guest, script, limit).await;
            Ok::<_, String>(said.map_err(|trouble| trouble.message().to_owned())?.text())
        };
        let (known, layout) = self.learn(whose, &said(self.question(whose.kernel.0)).await?)?;
        Ok(Some(match known.lacks_any(&layout) {
            true => self.learn(whose, &said(SYMBOLS_SCRIPT).await?)?,
            false => (known, layout),
        }))
    }

    /// What a guest says of where its kernel and its modules lie, and what is known of the kernel then: who prints all symbols tells its functions.
    fn learn(&self, whose: Whose<'_>, said: &str) -> Result<(LoggedKernel, Layout), String> {
        let unclear = "the guest's /proc/kallsyms does not say where its kernel begins and ends";
        let layout = Layout::parse(said).ok_or(unclear)?;
        // Held until the kernel is written down: another guest of it may tell at the same time.
        let mut kernels = locked(&self.kernels);
        let functions = Functions::parse(said);
        let known = match (kernels.entry(whose.kernel.0), &functions) {
            (Entry::Occupied(known), _) => known.into_mut(),
            (Entry::Vacant(new), Some(functions)) => new.insert(self.describe(whose, functions)?),
            (Entry::Vacant(_), None) => return Err(unclear.to_owned()),
        };
        if functions.is_some() {
            for module in known.learn(&layout, said) {
                let written = self.log.module(known.number, &module);
                written.map_err(|error| chain(&error))?;
            }
        }
        Ok((known.clone(), layout))
    }

    /// Tells the log of a kernel.
    fn describe(&self, whose: Whose<'_>, functions: &Functions) -> Result<LoggedKernel, String> {
        let (index, kernel) = whose.kernel;
        let text = KernelText {
            label: kernel.label.clone(),
            release: kernel.release_or_unknown().to_owned(),
            arch: kernel.arch,
            side: whose.key.side,
            end: functions.end,
            functions: functions.functions.clone(),
            modules: Vec::new(),
            sources: sources(kernel)?,
        };
        let number = self.log.kernel(&text).map_err(|error| chain(&error))?;
        locked(&self.subjects).insert(index, Arc::new(SubjectCode::of(&text)));
        Ok(LoggedKernel::new(number, functions))
    }

    fn warn(&self, why: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
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
    let SeriesChanges { series, last_patch } = &kernel.changed;
    let read = || {
        let table = fs_err::File::open(path)?;
        LineTable::read(table, |file| {
            is_subject(file) || series.lines.contains_key(file) || last_patch.contains_key(file)
        })
    };
    let mut table = read().map_err(|error| format!("{}: {error}", path.display()))?;
    // What a series changes and no code was made of is told as such.
    for file in series.lines.keys().chain(last_patch.keys()) {
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
        changed: series.lines.get(&file).cloned().unwrap_or_default(),
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
