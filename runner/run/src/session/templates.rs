// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guests that others go on from: each is made when the first job asks for it, and gone after the last.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::Mutex;

use crate::plan::Job;
use base::{ByteSize, Pages};
use vm::{guest::Template, machine::MachineSpec};

/// What a template is of: a kernel, by the index, and a machine. Two kernels that are compared are booted apart, also where their files are the
/// same.
pub(super) type TemplateKey = (usize, MachineSpec);

/// Templates of a run. `T` is the template.
#[derive(Debug)]
pub(crate) struct Templates<T = Template> {
    slots: Vec<Slot<T>>,
    /// Which of them are there.
    there: std::sync::Mutex<BTreeSet<usize>>,
}

/// One template, from before it is made until after it is gone.
#[derive(Debug)]
pub(crate) struct Slot<T = Template> {
    /// Jobs that have not ended yet.
    left: AtomicUsize,
    state: Mutex<State<T>>,
    /// A job that will make it was started.
    coming: AtomicBool,
    /// What the first clone told about itself.
    facts: OnceLock<String>,
    /// The free pages of the first clone that was seen at rest.
    free: OnceLock<Pages>,
}

#[derive(Debug)]
enum State<T> {
    NotYet {
        /// How often the bench broke while it was made.
        broke: u32,
    },
    There(Arc<T>),
    /// It could not be made, or nobody needs it any more.
    Never,
}

/// Why a template could not be made.
#[derive(Debug)]
pub(super) struct NotMade {
    /// The reason.
    pub(super) reason: String,
    /// The guest itself does not come so far, and another one will not either. Otherwise the bench broke.
    pub(super) lasting: bool,
}

/// How often the bench may break while it makes a template, before all its guests boot.
const TRIES: u32 = 3;

/// What a lookup of a template gives.
#[derive(Debug)]
pub(super) enum TemplateLookup<T = Template> {
    /// It was there.
    Existing(Arc<T>),
    /// It was made for whoever asks.
    New(Arc<T>),
    /// It could not be made, and why: this guest boots.
    Failed(NotMade),
    /// It could not be made before.
    Unavailable,
}

impl<T> Default for Templates<T> {
    /// None: every guest boots.
    fn default() -> Self {
        Self::with(std::iter::empty())
    }
}

impl<T> Slot<T> {
    fn new(jobs: usize) -> Self {
        Self {
            left: AtomicUsize::new(jobs),
            state: Mutex::new(State::NotYet { broke: 0 }),
            coming: AtomicBool::new(false),
            facts: OnceLock::new(),
            free: OnceLock::new(),
        }
    }

    /// What a clone has told about itself; all of them are the same guest.
    pub(crate) fn facts(&self) -> Option<&str> {
        self.facts.get().map(String::as_str)
    }

    /// Keeps what a clone told about itself.
    pub(crate) fn keep_facts(&self, facts: &str) {
        self.facts.get_or_init(|| facts.to_owned());
    }

    /// The free pages that a clone had when it had come to rest: another one that begins with as many is there.
    pub(crate) fn free_at_rest(&self) -> Option<Pages> {
        self.free.get().copied()
    }

    /// Keeps the free pages of a clone at rest.
    pub(crate) fn keep_free_at_rest(&self, free: Pages) {
        self.free.get_or_init(|| free);
    }
}

impl<T> Templates<T> {
    fn with(counts: impl Iterator<Item = usize>) -> Self {
        Self {
            slots: counts.map(Slot::new).collect(),
            there: std::sync::Mutex::default(),
        }
    }

    /// One for what several of the jobs boot, of those that may be cloned at all: a template for a single job costs more than it saves. Each job is
    /// told which is its own.
    pub(super) fn of(jobs: &mut [Job], booted: impl Fn(&Job) -> Option<TemplateKey>) -> Self {
        /// Jobs that boot the same, by their places.
        type Alike = (MachineSpec, Vec<usize>);
        // Most machines differ by their kernels and command lines.
        let mut alike: HashMap<(usize, String), Vec<Alike>> = HashMap::new();
        for (at, job) in jobs.iter().enumerate() {
            let Some((kernel, spec)) = booted(job) else {
                continue;
            };
            let machines = alike.entry((kernel, spec.cmdline.clone())).or_default();
            match machines.iter_mut().find(|(other, _)| *other == spec) {
                Some((_, jobs)) => jobs.push(at),
                None => machines.push((spec, vec![at])),
            }
        }
        let groups = alike.into_values().flatten().map(|(_, jobs)| jobs);
        let mut groups: Vec<Vec<usize>> = groups.filter(|jobs| jobs.len() > 1).collect();
        groups.sort_unstable_by_key(|jobs| jobs[0]);
        for (number, group) in groups.iter().enumerate() {
            for at in group {
                jobs[*at].template = Some(number);
            }
        }
        Self::with(groups.iter().map(Vec::len))
    }

    /// The template of a job, made by `make` for the first who asks while the others wait. `None` if the job has none.
    ///
    /// Cancel-safe: a template that was not finished is made by the next who asks.
    pub(super) async fn get(
        &self,
        job: &Job,
        make: impl AsyncFnOnce() -> Result<T, NotMade>,
    ) -> Option<TemplateLookup<T>> {
        let slot = self.slot(job)?;
        let mut state = slot.state.lock().await;
        Some(match &*state {
            State::There(template) => TemplateLookup::Existing(template.clone()),
            State::Never => TemplateLookup::Unavailable,
            State::NotYet { broke } => match make().await {
                Ok(template) => {
                    let template = Arc::new(template);
                    *state = State::There(template.clone());
                    self.there().extend(job.template);
                    TemplateLookup::New(template)
                }
                Err(why) => {
                    let broke = broke + 1;
                    *state = if why.lasting || broke >= TRIES {
                        State::Never
                    } else {
                        State::NotYet { broke }
                    };
                    TemplateLookup::Failed(why)
                }
            },
        })
    }

    /// A job is about to start.
    pub(crate) fn begin(&self, job: &Job) {
        if let Some(slot) = self.slot(job) {
            slot.coming.store(true, Ordering::SeqCst);
        }
    }

    /// Whether a job that is started now would only wait for the one that makes its template.
    pub(crate) fn is_coming(&self, job: &Job) -> bool {
        self.slot(job)
            .is_some_and(|slot| match slot.state.try_lock().as_deref() {
                Ok(State::NotYet { .. }) => slot.coming.load(Ordering::SeqCst),
                Ok(State::There(_) | State::Never) => false,
                Err(_) => true,
            })
    }

    /// A job has ended; with the last one, its template goes.
    pub(crate) fn done_with(&self, job: &Job) {
        let Some(slot) = self.slot(job) else { return };
        // One that ended without asking for it will not make it.
        slot.coming.store(false, Ordering::SeqCst);
        if slot.left.fetch_sub(1, Ordering::SeqCst) == 1
            && let Ok(mut state) = slot.state.try_lock()
        {
            *state = State::Never;
            self.there().retain(|number| Some(*number) != job.template);
        }
    }

    /// What is known of a job's template; `None` if it has none.
    pub(crate) fn slot(&self, job: &Job) -> Option<&Slot<T>> {
        self.slots.get(job.template?)
    }

    fn there(&self) -> std::sync::MutexGuard<'_, BTreeSet<usize>> {
        // A set of numbers is whole at any moment.
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Templates {
    /// How much of the host's memory those take that are there, in bytes.
    pub(crate) fn resident(&self) -> ByteSize {
        let numbers = self.there();
        let there =
            numbers
                .iter()
                .filter_map(|number| match &*self.slots[*number].state.try_lock().ok()? {
                    State::There(template) => Some(template.resident()),
                    State::NotYet { .. } | State::Never => None,
                });
        there.fold(ByteSize::bytes(0), |sum, size| sum + size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Filter, LoadedSuite, PlannedKernel, plan};
    use base::Arch;
    use suite::Suite;
    use vm::machine::Qemu;

    /// Jobs whose guests boot with these words, on kernels with these numbers; and their templates. A job without words may not be cloned.
    fn templates<T>(booted: &[(usize, &str)]) -> (Vec<Job>, Templates<T>) {
        let cases =
            (0..booted.len()).map(|n| format!("  - {{ id: C{n}, name: n, steps: [log: {{ has: x }}] }}\n"));
        let text = format!("suite: x\ncases:\n{}", cases.collect::<String>());
        let suite = Arc::new(LoadedSuite {
            file: "x.yaml".to_owned(),
            sha256: String::new(),
            suite: Suite::parse("x.yaml", &text).unwrap(),
        });
        let kernel = PlannedKernel {
            label: "k".to_owned(),
            named: "k".to_owned(),
            arch: Arch::X86_64,
            release: None,
            config: None,
        };
        let mut jobs = plan(&[suite], &[kernel], &Filter::default()).unwrap();
        let templates = Templates::of(&mut jobs, |job| {
            let (kernel, words) = booted[job.case];
            let spec = MachineSpec {
                cmdline: words.to_owned(),
                ..MachineSpec::new(Arch::X86_64, Qemu::plain("qemu"))
            };
            (!words.is_empty()).then_some((kernel, spec))
        });
        (jobs, templates)
    }

    async fn never_called() -> Result<&'static str, NotMade> {
        panic!("nobody asked for it")
    }

    #[tokio::test]
    async fn it_is_made_once_and_gone_after_the_last_job() {
        let (jobs, templates) = templates(&[(0, "b"), (0, "a"), (0, "a"), (1, "a"), (0, "")]);
        let numbers: Vec<Option<usize>> = jobs.iter().map(|job| job.template).collect();
        assert_eq!(
            numbers,
            [None, Some(0), Some(0), None, None],
            "one job alone boots"
        );
        assert!(templates.get(&jobs[0], never_called).await.is_none());
        let made = templates.get(&jobs[1], async || Ok("template")).await;
        let Some(TemplateLookup::New(made)) = made else {
            panic!("{made:?}")
        };
        let again = templates.get(&jobs[2], never_called).await;
        assert!(matches!(again, Some(TemplateLookup::Existing(again)) if Arc::ptr_eq(&again, &made)));
        assert_eq!(*templates.there(), BTreeSet::from([0]));
        templates.done_with(&jobs[1]);
        assert_eq!(Arc::strong_count(&made), 2);
        templates.done_with(&jobs[2]);
        assert_eq!(Arc::strong_count(&made), 1);
        assert_eq!(*templates.there(), BTreeSet::new());
    }

    #[tokio::test]
    async fn it_is_coming_from_the_start_of_its_first_job_until_it_is_there() {
        let (jobs, templates) = templates(&[(0, "a"), (0, "a"), (0, "b"), (0, "b"), (0, "c")]);
        let coming = || (templates.is_coming(&jobs[1]), templates.is_coming(&jobs[3]));
        assert_eq!(coming(), (false, false));
        templates.begin(&jobs[0]);
        templates.begin(&jobs[2]);
        assert_eq!(coming(), (true, true));
        templates
            .get(&jobs[0], async || {
                assert!(templates.is_coming(&jobs[1]));
                Ok(())
            })
            .await;
        // The other job ended without one.
        templates.done_with(&jobs[2]);
        assert_eq!(coming(), (false, false));
        assert!(!templates.is_coming(&jobs[4]), "it has none");
    }

    #[tokio::test]
    async fn a_guest_that_does_not_boot_is_tried_once_and_a_bench_that_breaks_again() {
        let broken = |lasting| {
            let reason = "why".to_owned();
            Err::<(), _>(NotMade { reason, lasting })
        };
        for (lasting, tries) in [(true, 1), (false, TRIES)] {
            let (jobs, templates) = templates::<()>(&[(0, "a"), (0, "a")]);
            for _ in 0..tries {
                let failed = templates.get(&jobs[0], async || broken(lasting)).await;
                assert!(matches!(failed, Some(TemplateLookup::Failed(why)) if why.reason == "why"));
            }
            let never = async || panic!("that is enough");
            assert!(matches!(
                templates.get(&jobs[0], never).await,
                Some(TemplateLookup::Unavailable)
            ));
        }
        let (jobs, templates) = templates::<()>(&[(0, "a"), (0, "a")]);
        templates.get(&jobs[0], async || broken(false)).await;
        let made = templates.get(&jobs[1], async || Ok(())).await;
        assert!(
            matches!(made, Some(TemplateLookup::New(_))),
            "the next one made it"
        );
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_it_to_the_next() {
        let (jobs, templates) = templates(&[(0, "a"), (0, "a")]);
        let cancelled = templates.get(&jobs[0], async || std::future::pending().await);
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(1), cancelled)
                .await
                .is_err()
        );
        let made = templates.get(&jobs[1], async || Ok(1)).await;
        assert!(matches!(made, Some(TemplateLookup::New(_))));
    }
}
