// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run of one case with fake guests.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Instant,
};

use camino::Utf8Path;

use super::{
    Fake, Fault, HeldFault,
    fault::Rule,
    kernel::{Kernel, ended},
};
use crate::{
    case::{
        drawn::Course,
        guest::{Guests, UnderTest as _},
        life, outcome,
        trouble::Trouble,
    },
    plan::{Filter, Job, LoadedSuite, PlannedKernel, plan},
    session::{NoGuest, Origin, Rig, Stage, Stop, nowhere},
};
use base::{Arch, fault::Verdict, ui::Ui};
use memory::{Generation, MemmapMode, MemoryFacts, naive};
use record::{CaseFolder, CaseRecord, Journal, RunFolder};
use suite::Suite;
use vm::scratch::Scratch;

/// The release that guests tell.
const RELEASE: &str = "6.12.0";

/// A guest that will be started.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    facts: MemoryFacts,
    rules: Vec<Rule>,
    files: BTreeMap<String, String>,
    programs: Vec<(&'static str, u8, &'static str)>,
    boot: Vec<String>,
    busy: Vec<u64>,
    refuses_dimms: bool,
    allocations: Option<Vec<bool>>,
    objects: Option<(i64, i64)>,
    probe: Option<&'static str>,
    notifies_twice: bool,
    assigns_twice: bool,
    uevents: Vec<&'static str>,
    held_fault: Option<HeldFault>,
    /// Why there is none.
    no_guest: Option<Trouble>,
}

impl Setup {
    fn of(generation: Option<Generation>, mode: MemmapMode) -> Self {
        let mut facts = naive::facts(generation, mode);
        RELEASE.clone_into(&mut facts.release);
        Self {
            facts,
            rules: Vec::new(),
            files: BTreeMap::new(),
            programs: Vec::new(),
            boot: Vec::new(),
            busy: Vec::new(),
            refuses_dimms: false,
            allocations: Some(vec![false, true]),
            objects: Some((100, 0)),
            probe: Some("ffff0000 flags no"),
            notifies_twice: false,
            assigns_twice: false,
            uevents: Vec::new(),
            held_fault: None,
            no_guest: None,
        }
    }

    /// An x86_64 guest, into which DIMMs are plugged.
    pub(crate) fn x86() -> Self {
        Self::of(None, MemmapMode::Off)
    }

    /// The same with memmaps on the memory itself.
    pub(crate) fn x86_altmap() -> Self {
        Self::of(None, MemmapMode::On)
    }

    /// An s390x guest whose standby blocks are there from boot on, and whose storage follows their state.
    pub(crate) fn g1() -> Self {
        Self::of(Some(Generation::G1), MemmapMode::Off)
    }

    /// An s390x guest whose standby blocks are configured.
    pub(crate) fn g2() -> Self {
        Self::of(Some(Generation::G2), MemmapMode::On)
    }

    /// Goes wrong each time that something with this text is asked for.
    pub(crate) fn always(self, at: &'static str, fault: Fault) -> Self {
        self.rule(at, 0, u32::MAX, fault)
    }

    /// Goes wrong once, after it was asked for so often.
    pub(crate) fn once(self, at: &'static str, after: u32, fault: Fault) -> Self {
        self.rule(at, after, 1, fault)
    }

    /// Goes wrong from then on.
    pub(crate) fn after(self, at: &'static str, after: u32, fault: Fault) -> Self {
        self.rule(at, after, u32::MAX, fault)
    }

    fn rule(mut self, at: &'static str, after: u32, times: u32, fault: Fault) -> Self {
        self.rules.push(Rule {
            at,
            after,
            times,
            fault,
        });
        self
    }

    /// Has a file.
    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    /// Ends a script with this text in it so.
    pub(crate) fn program(mut self, part: &'static str, code: u8, stdout: &'static str) -> Self {
        self.programs.push((part, code, stdout));
        self
    }

    /// Says this while it boots.
    pub(crate) fn boots_saying(mut self, line: &str) -> Self {
        self.boot.push(line.to_owned());
        self
    }

    /// Has a block that does not go offline.
    pub(crate) fn busy(mut self, block: u64) -> Self {
        self.busy.push(block);
        self
    }

    /// Takes no DIMM.
    pub(crate) fn refuses_dimms(mut self) -> Self {
        self.refuses_dimms = true;
        self
    }

    /// Makes these allocations in each write, of which it can do without some; or none that can be made to fail.
    pub(crate) fn allocations(mut self, allocations: Option<&[bool]>) -> Self {
        self.allocations = allocations.map(<[bool]>::to_vec);
        self
    }

    /// Each offline leaves so many objects; with `None`, they cannot be counted.
    pub(crate) fn leaves_objects(mut self, left: Option<i64>) -> Self {
        self.objects = left.map(|left| (100, left));
        self
    }

    /// Says twice that a block is online.
    pub(crate) fn notifies_twice(mut self) -> Self {
        self.notifies_twice = true;
        self
    }

    /// Asks QEMU twice for each increment.
    pub(crate) fn assigns_twice(mut self) -> Self {
        self.assigns_twice = true;
        self
    }

    /// Says this of its notifications, or nothing.
    pub(crate) fn probe(mut self, probe: Option<&'static str>) -> Self {
        self.probe = probe;
        self
    }

    /// Sends these uevents in place of the first that it would send.
    pub(crate) fn uevents(mut self, actions: &[&'static str]) -> Self {
        self.uevents = actions.to_vec();
        self
    }

    /// Has this become of pages that are held.
    pub(crate) fn held_fault(mut self, fault: HeldFault) -> Self {
        self.held_fault = Some(fault);
        self
    }

    /// Does not come to be.
    pub(crate) fn no_guest(trouble: Trouble) -> Self {
        Self {
            no_guest: Some(trouble),
            ..Self::x86()
        }
    }

    fn kernel(&self) -> Kernel {
        let mut kernel = Kernel::new(self.facts.clone());
        kernel.rules.clone_from(&self.rules);
        kernel.files.clone_from(&self.files);
        let program = |(part, code, stdout): &(&'static str, u8, &str)| (*part, ended(*code, *stdout, ""));
        kernel.programs = self.programs.iter().map(program).collect();
        self.boot.iter().for_each(|line| kernel.says(line));
        kernel.busy.extend(&self.busy);
        kernel.refuses_dimms = self.refuses_dimms;
        kernel.held_fault = self.held_fault;
        kernel.objects = self.objects;
        kernel.allocations.clone_from(&self.allocations);
        kernel.probe = self.probe;
        kernel.notifies_twice = self.notifies_twice;
        kernel.assigns_twice = self.assigns_twice;
        kernel.other_uevents.extend(&self.uevents);
        kernel
    }
}

/// Where fake guests are tried.
pub(crate) struct Lab {
    /// Of the guests that will be started, the last for all that come after it.
    setups: Mutex<VecDeque<Setup>>,
    /// Where from each attempt wanted its guest.
    pub(crate) origins: Mutex<Vec<Origin>>,
    /// The kernels of those that were started.
    kernels: Mutex<Vec<Arc<Mutex<Kernel>>>>,
    pub(crate) stage: Stage,
    pub(crate) job: Job,
    _folder: Scratch,
}

impl Guests for Lab {
    type Guest = Fake;

    async fn guest(&self, _: &Job, _: &CaseFolder, origin: Origin) -> Result<(Fake, Origin), NoGuest> {
        self.origins.lock().expect("origins").push(origin);
        let setup = {
            let mut setups = self.setups.lock().expect("setups");
            match setups.len() {
                1 => setups[0].clone(),
                _ => setups.pop_front().expect("a setup"),
            }
        };
        if let Some(trouble) = setup.no_guest {
            return Err(trouble.into());
        }
        let guest = Fake::start(setup.kernel()).await;
        self.kernels.lock().expect("kernels").push(guest.kernel());
        Ok((guest, origin))
    }

    fn by_hand(&self, guest: &Fake) -> String {
        format!("qemu # {}", guest.looks())
    }
}

impl Lab {
    /// A case with these lines below its `name`, from `    steps:` on or before, and the guests of its attempts.
    pub(crate) fn new(case: &str, setups: impl IntoIterator<Item = Setup>) -> Self {
        let setups: VecDeque<Setup> = setups.into_iter().collect();
        let arch = setups.front().expect("a setup").facts.arch;
        let needs = match setups[0].facts.generation {
            _ if case.contains("    needs: ") => String::new(),
            None => "    needs: { arch: [x86_64] }\n".to_owned(),
            Some(generation) => {
                format!("    needs: {{ arch: [s390x], generation: [{generation:?}] }}\n")
            }
        };
        let text = format!(
            "suite: lab\nmachine: {{ memory: 256M, hotplug: 768M }}\ncases:\n  - id: A1\n    name: a case\n{needs}{case}"
        );
        let suite = Suite::parse("lab.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        let suite = Arc::new(LoadedSuite {
            file: "lab.yaml".to_owned(),
            sha256: String::new(),
            suite,
        });
        let kernel = PlannedKernel {
            label: "lab".to_owned(),
            named: "lab".to_owned(),
            arch,
            release: Some(RELEASE.to_owned()),
            config: None,
        };
        let job = plan(&[suite], &[kernel], &Filter::default())
            .expect("a plan")
            .remove(0);
        let folder = Scratch::new().expect("a folder");
        let results = Utf8Path::from_path(folder.path()).expect("a path");
        let run = RunFolder::create(results).expect("the folder of a run");
        let journal = Arc::new(Journal::create(run.path()).expect("a journal"));
        let stage = Stage::new(rig(arch), run, journal, Stop::default(), false, Ui::silent());
        Self {
            setups: Mutex::new(setups),
            origins: Mutex::default(),
            kernels: Mutex::default(),
            stage: stage.expect("a stage"),
            job,
            _folder: folder,
        }
    }

    /// Tries the case once.
    pub(crate) async fn once(&self) -> CaseRecord {
        let folder = self.stage.folder.case(&self.job.key, 1).expect("a folder");
        let mut written = Course::Written;
        let mut outcome = life::attempt(
            &self.job,
            &self.stage,
            self,
            (&folder, Origin::Clone),
            &mut written,
        )
        .await;
        outcome.judge(&self.job, &self.stage);
        outcome::record(&self.job, outcome, Vec::new(), Instant::now(), &self.stage)
    }

    /// Runs the case to its verdict.
    pub(crate) async fn run(&self) -> CaseRecord {
        life::live(&self.job, &self.stage, self).await
    }

    /// What is in a file of the case's folder, that of the last attempt where its name says nothing else.
    pub(crate) fn kept(&self, name: &str) -> String {
        let folder = self.stage.folder.path().join("cases").join(self.job.key.id());
        fs_err::read_to_string(folder.join(name)).expect("a file of the case")
    }

    /// All that was asked of the guests that had this text in it, in all attempts.
    pub(crate) fn asked(&self, text: &str) -> usize {
        let kernels = self.kernels.lock().expect("kernels");
        let of = |kernel: &Arc<Mutex<Kernel>>| {
            let kernel = kernel.lock().expect("a kernel");
            kernel.asked.iter().filter(|asked| asked.contains(text)).count()
        };
        kernels.iter().map(of).sum()
    }
}

/// Makes a test of each line: steps in a guest, their verdict, and what is said of it.
macro_rules! cases {
    ($($name:ident: $guest:expr, $steps:expr => $verdict:ident $(, $said:expr)?;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let steps = $crate::case::fake::steps_of($steps);
            let record = $crate::case::fake::Lab::new(&steps, [$guest]).once().await;
            let said: Option<&str> = None $(.or(Some($said)))?;
            $crate::case::fake::comes_to(&record, base::fault::Verdict::$verdict, said);
        }
    )*};
}
pub(crate) use cases;

/// Holds a record against a verdict and a part of what is said of it; nothing is said of a case that passes.
pub(crate) fn comes_to(record: &CaseRecord, verdict: Verdict, said: Option<&str>) {
    let reason = record.reason.as_deref();
    assert_eq!(record.verdict, verdict, "{reason:?}");
    match said {
        None => assert_eq!(reason, None),
        Some(said) => assert!(
            reason.is_some_and(|reason| reason.contains(said)),
            "{reason:?} has no {said:?}"
        ),
    }
}

/// What becomes of a case with these steps in these guests.
pub(crate) async fn tried(steps: &str, setups: impl IntoIterator<Item = Setup>) -> CaseRecord {
    Lab::new(&steps_of(steps), setups).run().await
}

/// Lines of steps, each such as `add: { as: b }`, as a case has them.
pub(crate) fn steps_of(steps: &str) -> String {
    let lines = steps.lines().filter(|line| !line.trim().is_empty());
    let steps: String = lines.map(|line| format!("      - {}\n", line.trim())).collect();
    format!("    steps:\n{steps}")
}

fn rig(arch: Arch) -> Rig {
    let mut rig = nowhere(2);
    rig.kernels.retain(|prepared| prepared.kernel.arch == arch);
    rig.emulators.retain(|of, _| *of == arch);
    rig.kernels[0].kernel.label = "lab".to_owned();
    rig.kernels[0].kernel.release = Some(RELEASE.to_owned());
    rig
}
