// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guests that others go on from: each is made when the first job asks for it, and gone after the last.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::Mutex;

use base::{ByteSize, Pages};
use vm::{guest::Template, machine::MachineSpec};

/// What a template is found by: its kernel, by the index, and its machine. Two kernels that are compared are booted apart, also where
/// their files are the same.
pub(crate) type TemplateKey = (usize, MachineSpec);

/// Templates of a run, by the machine that they are of. `T` is the template.
#[derive(Debug)]
pub(crate) struct Templates<T = Template> {
    slots: Vec<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    key: TemplateKey,
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
        Self { slots: Vec::new() }
    }
}

impl<T> Templates<T> {
    /// One for each machine that comes up more than once: a template for a single job costs more than it saves.
    pub(super) fn of(machines: impl Iterator<Item = TemplateKey>) -> Self {
        let mut slots: Vec<Slot<T>> = Vec::new();
        for key in machines {
            match slots.iter_mut().find(|slot| slot.key == key) {
                Some(slot) => *slot.left.get_mut() += 1,
                None => slots.push(Slot {
                    key,
                    left: AtomicUsize::new(1),
                    state: Mutex::new(State::NotYet { broke: 0 }),
                    coming: AtomicBool::new(false),
                    facts: OnceLock::new(),
                    free: OnceLock::new(),
                }),
            }
        }
        slots.retain_mut(|slot| *slot.left.get_mut() > 1);
        Self { slots }
    }

    /// The template for a machine and its number, made by `make` for the first who asks while the others wait. `None` if the machine has none.
    ///
    /// Cancel-safe: a template that was not finished is made by the next who asks.
    pub(super) async fn get(
        &self,
        key: &TemplateKey,
        make: impl AsyncFnOnce(usize) -> Result<T, NotMade>,
    ) -> Option<(usize, TemplateLookup<T>)> {
        let (index, slot) = self.slot(key)?;
        let number = index + 1;
        let mut state = slot.state.lock().await;
        let made = match &*state {
            State::There(template) => TemplateLookup::Existing(template.clone()),
            State::Never => TemplateLookup::Unavailable,
            State::NotYet { broke } => match make(number).await {
                Ok(template) => {
                    let template = Arc::new(template);
                    *state = State::There(template.clone());
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
        };
        Some((number, made))
    }

    /// A job on this machine is about to start.
    pub(super) fn begin(&self, key: &TemplateKey) {
        if let Some((_, slot)) = self.slot(key) {
            slot.coming.store(true, Ordering::SeqCst);
        }
    }

    /// Whether a job on this machine that is started now would only wait for the one that makes the template.
    pub(super) fn is_coming(&self, key: &TemplateKey) -> bool {
        self.slot(key)
            .is_some_and(|(_, slot)| match slot.state.try_lock().as_deref() {
                Ok(State::NotYet { .. }) => slot.coming.load(Ordering::SeqCst),
                Ok(State::There(_) | State::Never) => false,
                Err(_) => true,
            })
    }

    /// One job on this machine has ended; with the last, the template goes.
    pub(super) fn done_with(&self, key: &TemplateKey) {
        if let Some((_, slot)) = self.slot(key) {
            // One that ended without asking for it will not make it.
            slot.coming.store(false, Ordering::SeqCst);
        }
        if let Some((_, slot)) = self.slot(key)
            && slot.left.fetch_sub(1, Ordering::SeqCst) == 1
            && let Ok(mut state) = slot.state.try_lock()
        {
            *state = State::Never;
        }
    }

    /// What a clone of the template for a machine has told about itself; all of them are the same guest.
    pub(crate) fn facts(&self, key: &TemplateKey) -> Option<&str> {
        self.slot(key)?.1.facts.get().map(String::as_str)
    }

    /// Keeps what a clone told about itself.
    pub(crate) fn keep_facts(&self, key: &TemplateKey, facts: &str) {
        if let Some((_, slot)) = self.slot(key) {
            slot.facts.get_or_init(|| facts.to_owned());
        }
    }

    /// The free pages that a clone of the template for a machine had when it had come to rest: another one that begins with as many is there.
    pub(crate) fn free_at_rest(&self, key: &TemplateKey) -> Option<Pages> {
        self.slot(key)?.1.free.get().copied()
    }

    /// Keeps the free pages of a clone at rest.
    pub(crate) fn keep_free_at_rest(&self, key: &TemplateKey, free: Pages) {
        if let Some((_, slot)) = self.slot(key) {
            slot.free.get_or_init(|| free);
        }
    }

    /// Which of the templates is that for a machine, counted from 0.
    pub(super) fn index(&self, key: &TemplateKey) -> Option<usize> {
        self.slot(key).map(|(index, _)| index)
    }

    fn slot(&self, key: &TemplateKey) -> Option<(usize, &Slot<T>)> {
        self.slots.iter().enumerate().find(|(_, slot)| slot.key == *key)
    }
}

impl Templates {
    /// How much of the host's memory those take that are there, in bytes.
    pub(super) fn resident(&self) -> ByteSize {
        let there = self
            .slots
            .iter()
            .filter_map(|slot| match &*slot.state.try_lock().ok()? {
                State::There(template) => Some(template.resident()),
                State::NotYet { .. } | State::Never => None,
            });
        there.fold(ByteSize::bytes(0), |sum, size| sum + size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Arch;
    use vm::machine::Qemu;

    fn machine(cmdline: &str) -> TemplateKey {
        let spec = MachineSpec {
            cmdline: cmdline.to_owned(),
            ..MachineSpec::new(Arch::X86_64, Qemu::plain("qemu"))
        };
        (0, spec)
    }

    async fn never_called(_: usize) -> Result<&'static str, NotMade> {
        panic!("nobody asked for it")
    }

    #[tokio::test]
    async fn it_is_made_once_and_gone_after_the_last_job() {
        let machines = ["a", "b", "a"].map(machine);
        let templates = Templates::of(machines.into_iter());
        assert!(
            templates.get(&machine("b"), never_called).await.is_none(),
            "one job alone boots"
        );
        let other_kernel = (1, machine("a").1);
        assert!(templates.get(&other_kernel, never_called).await.is_none());
        let made = templates.get(&machine("a"), async |_| Ok("template")).await;
        let Some((1, TemplateLookup::New(made))) = made else {
            panic!("{made:?}")
        };
        let again = templates.get(&machine("a"), never_called).await;
        assert!(matches!(again, Some((1, TemplateLookup::Existing(again))) if Arc::ptr_eq(&again, &made)));
        templates.done_with(&machine("a"));
        assert_eq!(Arc::strong_count(&made), 2);
        templates.done_with(&machine("a"));
        assert_eq!(Arc::strong_count(&made), 1);
    }

    #[tokio::test]
    async fn it_is_coming_from_the_start_of_its_first_job_until_it_is_there() {
        let templates = Templates::of(["a", "a", "b", "b"].map(machine).into_iter());
        let (a, b) = (machine("a"), machine("b"));
        let coming = || (templates.is_coming(&a), templates.is_coming(&b));
        assert_eq!(coming(), (false, false));
        templates.begin(&a);
        templates.begin(&b);
        assert_eq!(coming(), (true, true));
        templates
            .get(&a, async |_| {
                assert!(templates.is_coming(&a));
                Ok(())
            })
            .await;
        // The other job ended without one.
        templates.done_with(&b);
        assert_eq!(coming(), (false, false));
        assert!(!templates.is_coming(&machine("c")), "it has none");
    }

    #[tokio::test]
    async fn a_guest_that_does_not_boot_is_tried_once_and_a_bench_that_breaks_again() {
        let broken = |lasting| {
            let reason = "why".to_owned();
            Err::<(), _>(NotMade { reason, lasting })
        };
        for (lasting, tries) in [(true, 1), (false, TRIES)] {
            let templates = Templates::<()>::of(["a", "a"].map(machine).into_iter());
            for _ in 0..tries {
                let failed = templates.get(&machine("a"), async |_| broken(lasting)).await;
                assert!(matches!(failed, Some((1, TemplateLookup::Failed(why))) if why.reason == "why"));
            }
            let never = async |_| panic!("that is enough");
            assert!(matches!(
                templates.get(&machine("a"), never).await,
                Some((1, TemplateLookup::Unavailable))
            ));
        }
        let templates = Templates::<()>::of(["a", "a"].map(machine).into_iter());
        templates.get(&machine("a"), async |_| broken(false)).await;
        let made = templates.get(&machine("a"), async |_| Ok(())).await;
        assert!(
            matches!(made, Some((1, TemplateLookup::New(_)))),
            "the next one made it"
        );
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_it_to_the_next() {
        let templates = Templates::of(["a", "a"].map(machine).into_iter());
        let a = machine("a");
        let cancelled = templates.get(&a, async |_| std::future::pending().await);
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(1), cancelled)
                .await
                .is_err()
        );
        let made = templates.get(&machine("a"), async |_| Ok(1)).await;
        assert!(matches!(made, Some((1, TemplateLookup::New(_)))));
    }
}
