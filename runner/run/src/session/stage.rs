// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all cases of a run share, and how a guest is made from it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    prepare::Rig,
    room::Room,
    schedule::Stop,
    templates::{NotMade, TemplateKey, TemplateLookup, Templates},
};
use crate::{
    case::{Found, Trouble, UnderTest, chain, findings, notifiers, weigh},
    cover::{Cover, RanInTurn, Whose},
    plan::{Job, dry_run, spec},
};
use base::{exec::shell_line, fault::Blame, ui::Ui};
use format::ssh::Login;
use memory::{Generation, LEDGER_SCRIPT, MemoryFacts};
use record::{CaseFolder, Event, Journal, RunFolder};
use suite::{Boot, Case};
use supply::{image, kernel::Kernel};
use vm::{
    guest::{BootError, BootLimits, Guest, Template, TemplateError, Witness},
    keys::SshKeys,
    machine::{Clock, Logs, MachineSpec, StartOptions},
    scratch::Scratch,
};

/// Everything that the cases of a run share.
pub(crate) struct Stage {
    rig: Rig,
    pub(crate) folder: RunFolder,
    pub(crate) journal: Arc<Journal>,
    pub(crate) stop: Stop,
    pub(crate) require_all: bool,
    /// More is seen than a verdict needs, and failures are not tried again: two kernels are compared.
    pub(crate) watch: bool,
    /// Each case has one guest, whatever comes of it.
    pub(crate) no_retry: bool,
    /// The run ends with the first failure.
    pub(crate) fail_fast: bool,
    /// Keeps which code the cases run.
    pub(crate) cover: Option<Cover>,
    pub(crate) ui: Ui,
    /// Where attempts take place.
    pub(crate) room: Room,
    clock: Clock,
    /// The journal cannot be written any more, and the user knows.
    told: AtomicBool,
    keys: Keys,
    templates: Templates,
    /// The interface generation of each kernel that has booted, by its index: a case that needs another is not booted for.
    generations: Mutex<BTreeMap<usize, Generation>>,
    /// Which functions each kernel that has booted has, by its index.
    symbols: Mutex<BTreeMap<usize, String>>,
    /// What the notifier probe was told of each kernel, by its index; only where kernels stay at one place in memory.
    probes: Mutex<BTreeMap<usize, String>>,
    /// Machines whose kernel died, or hung, before it had a console: they boot with an early one.
    mute: Mutex<Vec<TemplateKey>>,
}

/// Where a guest comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A template, if there is one.
    Clone,
    /// Its own boot.
    Boot,
}

/// Why a job has no guest.
pub(crate) struct NoGuest {
    /// Why.
    pub(super) trouble: Trouble,
    /// What its machine said and got, if there was one.
    pub(super) witness: Option<Witness>,
    /// What the guest said by itself.
    pub(super) said: String,
    /// The words by which it had an early console.
    pub(super) early: Option<&'static str>,
}

impl From<Trouble> for NoGuest {
    /// There was not even a machine.
    fn from(trouble: Trouble) -> Self {
        Self {
            trouble,
            witness: None,
            said: String::new(),
            early: None,
        }
    }
}

impl From<BootError> for NoGuest {
    fn from(error: BootError) -> Self {
        Self::after(error, None)
    }
}

impl NoGuest {
    fn after(error: BootError, early: Option<&'static str>) -> Self {
        Self {
            trouble: Trouble::not_ready(&error),
            witness: error.witness,
            said: error.said,
            early,
        }
    }

    /// Why there is none, beside what the guest said, and what the case does not allow of that.
    pub(crate) fn weighed(self, case: &Case) -> (Trouble, Found) {
        let found = findings(&self.said, None, case, self.witness.as_ref());
        let trouble = weigh(Some(self.trouble.clone()), &found).unwrap_or(self.trouble);
        let trouble = match self.early {
            Some(words) => trouble.told(|message| {
                format!("{message} (told with `{words}`; without it the console stays empty)")
            }),
            None => trouble,
        };
        (trouble, found)
    }
}

/// The keys of the run, and the ramdisk that brings them to a guest.
pub(crate) struct Keys {
    pub(crate) login: Login,
    /// Kept until the run is over.
    folder: Scratch,
}

impl Keys {
    pub(crate) fn make() -> Result<Self, Box<dyn std::error::Error>> {
        let keys = SshKeys::generate()?;
        let folder = Scratch::new()?;
        fs_err::write(
            folder.path().join("keys.cpio"),
            image::keys_cpio(&keys.dropbear_host_key()?, &keys.authorized_key()?)?,
        )?;
        let login = Login {
            user: "root".to_owned(),
            private_key: keys.client_private()?,
            server_key: Some(keys.host_public()?),
        };
        Ok(Self { login, folder })
    }

    pub(crate) fn ramdisk(&self) -> PathBuf {
        self.folder.path().join("keys.cpio")
    }
}

impl Stage {
    pub(crate) fn new(
        rig: Rig,
        folder: RunFolder,
        journal: Arc<Journal>,
        stop: Stop,
        require_all: bool,
        ui: Ui,
    ) -> Result<Self, String> {
        let keys = Keys::make().map_err(|error| chain(error.as_ref()))?;
        Ok(Self {
            templates: Templates::default(),
            rig,
            folder,
            journal,
            stop,
            require_all,
            watch: false,
            no_retry: false,
            fail_fast: false,
            cover: None,
            ui,
            room: Room::default(),
            clock: Clock::start(),
            told: AtomicBool::new(false),
            keys,
            generations: Mutex::default(),
            symbols: Mutex::default(),
            probes: Mutex::default(),
            mute: Mutex::default(),
        })
    }

    /// Ends with the first failure.
    pub(super) fn failing_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
        self
    }

    /// Keeps which code the cases run.
    pub(crate) fn covering(mut self, cover: Option<Cover>) -> Self {
        self.cover = cover;
        self
    }

    /// Itself, with one guest for each case.
    pub(crate) fn once(mut self) -> Self {
        self.no_retry = true;
        self
    }

    /// Sees what the comparison of two kernels needs.
    pub(super) fn watching(mut self) -> Self {
        self.watch = true;
        self
    }

    /// Has the guests of these jobs go on from templates where several of them are alike.
    pub(crate) fn cloning(mut self, jobs: &mut [Job]) -> Self {
        self.templates = Templates::of(jobs, |job| may_clone(job).then(|| self.booted(job)));
        self
    }

    /// The guests that others go on from.
    pub(crate) fn templates(&self) -> &Templates {
        &self.templates
    }

    /// What a job's guest boots: the kernel, and the machine with the keys of the run.
    fn booted(&self, job: &Job) -> TemplateKey {
        let prepared = &self.rig.kernels[job.kernel];
        let ramdisks = vec![prepared.initrd.clone(), self.keys.ramdisk()];
        let emulator = &self.rig.emulators[&job.key.arch];
        let mut spec = spec(job, prepared, emulator, ramdisks);
        if let Some(cover) = &self.cover {
            spec.cover = cover.library(job.key.arch).map(Path::to_owned);
        }
        (job.kernel, spec)
    }

    /// Keeps which code a guest ran whose case is over, where that is asked for.
    pub(crate) async fn keep_code(
        &self,
        job: &Job,
        guest: &impl UnderTest,
        origin: Origin,
    ) -> Option<RanInTurn> {
        let template = job.template.filter(|_| origin == Origin::Clone);
        let template = template.map(|index| index + 1);
        self.cover.as_ref()?.keep(self.whose(job), template, guest).await
    }

    /// Keeps which code a guest ran that did not come up.
    fn keep_dead(&self, job: &Job, error: &BootError) {
        if let Some(cover) = self.cover.as_ref().filter(|_| error.blame() == Blame::Kernel) {
            cover.died(self.whose(job), &error.translated);
        }
    }

    /// Whose code it is that a guest of a job runs.
    fn whose<'a>(&'a self, job: &'a Job) -> Whose<'a> {
        Whose {
            key: &job.key,
            kernel: (job.kernel, self.kernel(job)),
        }
    }

    /// The kernel of a job.
    pub(crate) fn kernel(&self, job: &Job) -> &Kernel {
        &self.rig.kernels[job.kernel].kernel
    }

    /// Remembers what was seen of a job's kernel.
    pub(crate) fn learn(&self, job: &Job, facts: &MemoryFacts) {
        if let (Ok(mut known), Some(generation)) = (self.generations.lock(), facts.generation) {
            known.insert(job.kernel, generation);
        }
    }

    /// The interface generation of a job's kernel, if a guest with it has booted already in this run.
    pub(crate) fn generation(&self, job: &Job) -> Option<Generation> {
        self.generations.lock().ok()?.get(&job.kernel).copied()
    }

    /// Which functions a kernel has, as [`SYMBOLS_SCRIPT`](memory::SYMBOLS_SCRIPT) prints them; `None` if no guest with it was asked yet.
    pub(crate) fn symbols(&self, kernel: usize) -> Option<String> {
        self.symbols.lock().ok()?.get(&kernel).cloned()
    }

    /// Remembers which functions a kernel has.
    pub(crate) fn learn_symbols(&self, kernel: usize, symbols: String) {
        if let Ok(mut known) = self.symbols.lock() {
            known.insert(kernel, symbols);
        }
    }

    /// What the notifier probe was told of a kernel; nothing, if no guest with it was watched yet.
    pub(crate) fn probe(&self, kernel: usize) -> String {
        let probes = self.probes.lock();
        probes.map_or_else(
            |_| String::new(),
            |probes| probes.get(&kernel).cloned().unwrap_or_default(),
        )
    }

    /// Remembers what the notifier probe was told of a kernel.
    pub(crate) fn learn_probe(&self, kernel: usize, known: String) {
        if let Ok(mut probes) = self.probes.lock() {
            probes.insert(kernel, known);
        }
    }

    /// Writes an event down. A journal that cannot be written any more is told when the case is over.
    pub(crate) fn note(&self, event: &Event) {
        if let Event::StepStarted { case, number, text } = event {
            self.ui.detail(&format!("{case}: step {number}: {text}"));
        }
        // Once is enough: a disk that is full takes no other event either.
        if let Err(error) = self.journal.append(event)
            && !self.told.swap(true, Ordering::Relaxed)
        {
            self.ui.warning(&chain(&error));
        }
    }

    /// The QEMU command of a guest, to be pasted.
    pub(crate) fn by_hand(&self, guest: &Guest) -> String {
        shell_line(guest.machine.by_hand())
    }

    /// The same for a job whose guest never came to answer.
    pub(crate) fn by_hand_of(&self, job: &Job) -> String {
        dry_run(
            job,
            &self.rig.kernels[job.kernel],
            &self.rig.emulators[&job.key.arch],
        )
    }

    /// Gives a job its guest, which can be talked to: a clone where there is a template for it, or one that boots; and says which.
    pub(crate) async fn guest(
        &self,
        job: &Job,
        folder: &CaseFolder,
        origin: Origin,
    ) -> Result<(Guest, Origin), NoGuest> {
        self.fits(job)?;
        let booted = self.booted(job);
        if origin == Origin::Clone
            && let Some(template) = self.template(job, &booted.1).await
        {
            let logs = Logs::in_folder(folder.path().as_std_path());
            return template
                .clone_guest(&logs, self.clock, &self.keys.login, BootLimits::default())
                .await
                .map(|guest| (guest, Origin::Clone))
                .map_err(NoGuest::from);
        }
        let words = MachineSpec::early_console(job.key.arch);
        let is_mute = self.mute.lock().is_ok_and(|mute| mute.contains(&booted));
        let error = match is_mute {
            true => None,
            false => match self.boot(&booted.1, folder).await {
                Ok(guest) => return Ok((guest, Origin::Boot)),
                Err(error) if error.is_mute() => Some(error),
                Err(error) => {
                    self.keep_dead(job, &error);
                    return Err(NoGuest::after(error, None));
                }
            },
        };
        // What died before its console was up says why on an early one.
        let mut early = booted.1.clone();
        early.cmdline = format!("{} {words}", early.cmdline);
        match (self.boot(&early, folder).await, error) {
            (Ok(guest), None) => Ok((guest, Origin::Boot)),
            // It came up this time: what was seen first is what is known.
            (Ok(guest), Some(error)) => {
                guest.stop().await;
                Err(NoGuest::after(error, None))
            }
            (Err(told), _) => {
                self.keep_dead(job, &told);
                if let Ok(mut mute) = self.mute.lock()
                    && !mute.contains(&booted)
                {
                    mute.push(booted);
                }
                Err(NoGuest::after(told, Some(words)))
            }
        }
    }

    /// Boots a machine with the keys of the run; its logs go to a case's folder.
    async fn boot(&self, spec: &MachineSpec, folder: &CaseFolder) -> Result<Guest, BootError> {
        boot(spec, folder.path().as_std_path(), self.clock, &self.keys).await
    }

    /// The template of a job; made by the first who asks. `None` if there is none for it, and its guest boots.
    ///
    /// One whose boot shows what the case does not allow is none: whether that was the kernel or chance is for a guest to say that boots, and no
    /// clone inherits it.
    async fn template(&self, job: &Job, spec: &MachineSpec) -> Option<Arc<Template>> {
        let case = job.case();
        let number = job.template? + 1;
        let make = async || {
            let broken = |error: &(dyn std::error::Error + 'static)| NotMade {
                reason: chain(error),
                lasting: false,
            };
            let folder = self.folder.template(number).map_err(|error| broken(&error))?;
            let logs = Logs::in_folder(folder.as_std_path());
            let limits = BootLimits::default();
            // Sequences are judged by their notifications, too. A kernel without what the probe needs is found out by each case.
            let arms = self.watch || job.suite.suite.name == explore::SUITE;
            let last = match arms {
                true => format!("({})\n{LEDGER_SCRIPT}", notifiers::arm(&self.probe(job.kernel))),
                false => LEDGER_SCRIPT.to_owned(),
            };
            let once = self.cover.as_ref().map(|cover| cover.question(job.kernel));
            let login = &self.keys.login;
            let template = Template::make(spec, &logs, self.clock, login, limits, once, &last).await;
            let template = template.map_err(|error| {
                let lasting = error.blames_the_kernel();
                let reason = match error {
                    TemplateError::Boot(error) => NoGuest::from(error).weighed(case).0.message().to_owned(),
                    error => broken(&error).reason,
                };
                NotMade { reason, lasting }
            })?;
            match shown(&template, case) {
                None => {
                    if let (Some(cover), Some(code)) = (&self.cover, template.translated()) {
                        cover.booted(number, self.whose(job), template.told(), code);
                    }
                    Ok(template)
                }
                Some(title) => Err(NotMade {
                    reason: format!("its kernel log shows, while booting: {title}"),
                    lasting: false,
                }),
            }
        };
        match self.templates.get(job, make).await? {
            TemplateLookup::Existing(template) => shown(&template, case).is_none().then_some(template),
            TemplateLookup::New(template) => {
                self.note(&Event::TemplateMade {
                    number: number as u32,
                    kernel: self.kernel(job).label.clone(),
                    cmdline: spec.cmdline.clone(),
                    resident: template.resident(),
                });
                Some(template)
            }
            TemplateLookup::Failed(NotMade { reason, lasting }) => {
                let then = if lasting {
                    "its cases boot"
                } else {
                    "this case boots"
                };
                self.ui.line(&format!("template {number}: {reason}; {then}"));
                None
            }
            TemplateLookup::Unavailable => None,
        }
    }

    /// Whether the QEMU can give the job its machine. One that cannot is no fault of the kernel.
    fn fits(&self, job: &Job) -> Result<(), Trouble> {
        let emulator = &self.rig.emulators[&job.key.arch];
        let Some(capabilities) = &emulator.capabilities else {
            return Ok(());
        };
        let lacks = if !capabilities.standby {
            "standby memory"
        } else if !capabilities.edat1 {
            "EDAT-1, without which Linux 6.9 to 6.18 never puts a memmap on the memory itself"
        } else if !capabilities.refuse_at || !capabilities.commands {
            "the properties that memrig reads storage commands by"
        } else {
            return Ok(());
        };
        Err(Trouble::lasting(format!(
            "QEMU {} at {} lacks {lacks}; leave out --qemu to use memrig's own",
            capabilities.version,
            emulator.qemu.binary.display()
        )))
    }
}

/// Boots a machine whose logs go to a folder, and waits until its guest can be talked to.
pub(crate) async fn boot(
    spec: &MachineSpec,
    folder: &Path,
    clock: Clock,
    keys: &Keys,
) -> Result<Guest, BootError> {
    let (logs, limits) = (Logs::in_folder(folder), BootLimits::default());
    Guest::boot(spec, &logs, clock, StartOptions::default(), &keys.login, limits).await
}

/// What the boot of a template shows that a case does not allow.
fn shown(template: &Template, case: &Case) -> Option<String> {
    let found = findings(template.said(), None, case, None);
    found.findings.into_iter().next().map(|finding| finding.title)
}

/// Whether a job is one of those that a template is there for.
fn may_clone(job: &Job) -> bool {
    job.skip.is_none() && job.case().boot == Boot::Clone
}
