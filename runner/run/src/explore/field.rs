// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the sequences of one kernel run: its guests, and what all of them share.

use std::{
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use camino::Utf8Path;

use super::{
    findings::{Ended, Signs},
    lead::Lead,
};
use crate::{
    case::{Drawn, Guests, Tried, acts, chain, tried},
    plan::Job,
    session::{Origin, Stage},
};
use ::explore::{Able, Draw, Enough, Failed, Found, Issues, Made, Planned, Sequence, Shrink, Sign};
use base::fault::Verdict;
use record::{CaseKey, ExploreRecord, FolderError, FoundRecord};

/// More guests in which a sequence runs that failed in a new way: with the first one as many as a case has.
const AGAIN: u32 = 2;

/// Time that one finding is given at the most, to make it shorter, by the wall's clock.
const PATIENCE: Duration = Duration::from_secs(600);

/// What it has of that however short the exploration is.
const HASTE: Duration = Duration::from_secs(60);

/// Who starts guests, and what they share.
pub(super) trait Grounds: Guests + Send + Sync + 'static {
    /// What they share.
    fn stage(&self) -> &Stage;
}

impl Grounds for Stage {
    fn stage(&self) -> &Stage {
        self
    }
}

/// What the sequences of one kernel share.
pub(super) struct Field<G> {
    pub(super) grounds: Arc<G>,
    /// A job for each machine, with the first steps of its sequences.
    pub(super) jobs: Vec<Job>,
    pub(super) draw: Draw,
    /// What the kernel can be asked for.
    pub(super) able: Able,
    pub(super) issues: Issues,
    /// Words for the command line of every guest.
    pub(super) cmdline: Vec<String>,
    /// Guests that one finding is given, to make it shorter.
    pub(super) tries: u32,
    pub(super) signs: Mutex<Signs>,
    /// What leads the draw.
    pub(super) lead: Mutex<Lead>,
    pub(super) began: Instant,
    /// When sequences end that are not over yet.
    pub(super) until: Option<Instant>,
}

/// A sequence that a guest was asked about.
pub(super) struct Asked {
    pub(super) tried: Tried,
    pub(super) drawn: Drawn,
    key: CaseKey,
}

impl<G: Grounds> Field<G> {
    /// Runs the sequence of a number, and makes what fails in a new way shorter.
    pub(super) async fn run(self: Arc<Self>, number: u64) -> Ended {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Ended::never();
        }
        let planned = self.lead().plan(self.draw, number);
        let sequence = &planned.sequence;
        let mut asked = self.ask(sequence, ("", self.until), number, Origin::Clone).await;
        if let Ok(Asked { tried, .. }) = &asked
            && tried.verdict == Verdict::Error
            && !self.stage().stop.is_asked()
        {
            // What broke may be the clone's fault.
            asked = self.ask(sequence, ("", self.until), number, Origin::Boot).await;
        }
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => return broken(chain(&error)),
        };
        let told = (asked.tried.verdict, self.began.elapsed());
        self.lead().over(self.draw.seed, &planned, &asked.drawn, told);
        let mut once = None;
        let found = match &asked.tried.ran {
            Some(ran) if self.is_new(ran) => match self.again(&planned, &ran.sign).await {
                Ok(again) if self.is_chance(&ran.sign, again.0) => {
                    once = Some(asked.tried.reason.clone());
                    None
                }
                Ok(again) => Some(self.clone().found(&planned, ran.clone(), &asked, again).await),
                Err(error) => Some(Err(error)),
            },
            _ => None,
        };
        let kept = match found {
            Some(_) => Ok(()),
            None => self.forget(&asked.key),
        };
        match (kept, found.transpose()) {
            (Err(error), _) | (_, Err(error)) => broken(error),
            (Ok(()), Ok(found)) => Ended {
                steps: asked.tried.steps as u64,
                verdict: asked.tried.verdict,
                reason: match asked.tried.verdict {
                    Verdict::Skip => format!("{}: {}", sequence.machine().name, asked.tried.reason),
                    _ => asked.tried.reason,
                },
                known: asked.drawn.known,
                sign: asked.tried.ran.map(|ran| ran.sign).filter(|_| once.is_none()),
                found,
                once,
            },
        }
    }

    /// How long a finding is made shorter: for as long as the kernel is explored, but no longer than anybody waits.
    pub(super) fn patience(&self) -> Duration {
        let whole = self
            .until
            .map(|until| until.saturating_duration_since(self.began));
        whole.map_or(PATIENCE, |whole| whole.clamp(HASTE, PATIENCE))
    }

    /// What leads the draw.
    pub(super) fn lead(&self) -> MutexGuard<'_, Lead> {
        // It is whole at any moment.
        self.lead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self) -> &Stage {
        self.grounds.stage()
    }

    fn is_new(&self, ran: &Failed) -> bool {
        // A count is whole at any moment.
        let mut signs = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        signs.is_new(&ran.sign)
    }

    /// Runs a sequence that failed so in more guests: how many of how many show it again.
    async fn again(&self, planned: &Planned, sign: &Sign) -> Result<(u32, u32), String> {
        let what = format!("-again-{}", planned.number);
        let mut shown = 0;
        for guest in 1..=AGAIN {
            if self.stage().stop.is_asked() {
                return Ok((shown, guest - 1));
            }
            let name = (what.as_str(), None);
            let asked = self
                .ask(&planned.sequence, name, guest.into(), Origin::Clone)
                .await;
            let asked = asked.map_err(|error| chain(&error))?;
            shown += u32::from(asked.tried.ran.is_some_and(|ran| ran.sign == *sign));
            self.forget(&asked.key)?;
        }
        Ok((shown, AGAIN))
    }

    /// Whether what failed so, and in so many more guests, says nothing.
    fn is_chance(&self, sign: &Sign, shown: u32) -> bool {
        if shown > 0 || !sign.is_of_free_pages() {
            return false;
        }
        // A count is whole at any moment.
        let mut signs = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        !signs.showed_once(sign)
    }

    /// Runs a sequence in one guest; `what` and `number` tell it from others.
    pub(super) async fn ask(
        &self,
        sequence: &Sequence,
        (what, until): (&str, Option<Instant>),
        number: u64,
        origin: Origin,
    ) -> Result<Asked, FolderError> {
        let job = &self.jobs[sequence.setup];
        let job = job.called(CaseKey {
            case: format!("{}{what}", job.key.case),
            round: u32::try_from(number).ok(),
            ..job.key.clone()
        });
        let folder = self.stage().folder.case(&job.key, 1)?;
        let mut drawn = Drawn::new(sequence.wishes.clone(), self.able, self.issues.clone(), until);
        let tried = tried(&job, self.stage(), &*self.grounds, (&folder, origin), &mut drawn).await;
        Ok(Asked {
            tried,
            drawn,
            key: job.key,
        })
    }

    /// Removes the files of a guest that nobody asks for again.
    fn forget(&self, key: &CaseKey) -> Result<(), String> {
        let folder = self.stage().folder.path().join("cases").join(key.id());
        fs_err::remove_dir_all(&folder).map_err(|error| error.to_string())?;
        // Another guest's may still be beside it.
        match folder.parent().map(fs_err::remove_dir) {
            Some(Err(error)) if error.kind() != ErrorKind::DirectoryNotEmpty => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// Makes a sequence shorter that failed so, and prints what is left.
    async fn found(
        self: Arc<Self>,
        planned: &Planned,
        ran: Failed,
        asked: &Asked,
        again: (u32, u32),
    ) -> Result<FoundRecord, String> {
        let number = planned.number;
        let after = self.began.elapsed();
        let sign = ran.sign.clone();
        self.stage().ui.line(&format!(
            "found  {} {sign}; making sequence {number} shorter",
            self.draw.arch
        ));
        let guests = tokio::runtime::Handle::current();
        let field = self.clone();
        let (first, planned_one) = (asked.drawn.steps.clone(), planned.clone());
        let shrunk = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let patience = field.patience();
            let mut left = first;
            let mut tries = 0;
            // What no other guest shows would be looked for in vain.
            let most = if again.0 > 0 { field.tries } else { 0 };
            let shrunk = Shrink::of(field.draw, &planned_one, ran.clone(), most, |simpler| {
                if field.stage().stop.is_asked() || began.elapsed() > patience {
                    return Err(Enough);
                }
                tries += 1;
                let what = format!("-shorter-{number}");
                let asked = guests
                    .block_on(field.ask(simpler, (&what, None), tries, Origin::Clone))
                    .map_err(|error| chain(&error))
                    .and_then(|asked| field.forget(&asked.key).map(|()| asked));
                let asked = asked.map_err(|error| {
                    field.stage().ui.warning(&error);
                    Enough
                })?;
                if asked.tried.ran.as_ref().is_some_and(|now| now.sign == ran.sign) {
                    left = asked.drawn.steps;
                }
                Ok(asked.tried.ran)
            });
            (shrunk, left)
        })
        .await;
        let (shrunk, steps) = shrunk.map_err(|error| error.to_string())?;
        let drawn_steps = asked.tried.steps as u64;
        let file = self.print(planned, &shrunk, &steps, asked)?;
        Ok(FoundRecord {
            sign: sign.to_string(),
            reason: asked.tried.reason.clone(),
            number,
            of: planned.of().to_vec(),
            after: after.into(),
            times: 1,
            steps: drawn_steps,
            shortest: acts(&steps) as u64,
            again,
            tries: shrunk.tries,
            file,
            evidence: format!("cases/{}", asked.key.id()),
        })
    }

    /// Writes the suite of a finding, and says where it is in the run's folder.
    fn print(
        &self,
        planned: &Planned,
        shrunk: &Shrink,
        steps: &[String],
        asked: &Asked,
    ) -> Result<String, String> {
        let number = planned.number;
        let kernel = self.stage().kernel(&self.jobs[0]);
        // What names a suite has no underscore.
        let arch = self.draw.arch.to_string().replace('_', "-");
        let plain = format!("{arch}-{}-{number}", shrunk.ran.sign.file_name());
        let about = [
            format!(
                "{}, found on {} {}",
                shrunk.ran.sign,
                self.draw.arch,
                kernel.release_or_unknown()
            ),
            format!(
                "seed {}, sequence {number}{}, made of {} steps",
                self.draw.seed,
                match &planned.made {
                    Made::Drawn => String::new(),
                    Made::Again(name) => format!(" (again: {name})"),
                    Made::Varied(names) => format!(" (varied: {})", names.join("; ")),
                },
                asked.tried.steps
            ),
        ];
        let text = |name: &str| {
            Found {
                setup: shrunk.sequence.machine(),
                arch: self.draw.arch,
                words: &self.cmdline,
                generation: asked.tried.generation,
                suite: name,
                name: &shrunk.ran.sign.to_string(),
                steps,
                about: &about,
            }
            .text()
        };
        keep(self.stage().folder.path(), &plain, text).map_err(|error| error.to_string())
    }
}

/// Writes a suite under this name or, where another kernel showed something else in the sequence of that number, under it with a number; says where.
/// What differs in the lines that tell of it alone is the same.
pub(super) fn keep(run: &Utf8Path, plain: &str, text: impl Fn(&str) -> String) -> io::Result<String> {
    let said = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    fs_err::create_dir_all(run.join(ExploreRecord::FOUND))?;
    let mut number = 1;
    loop {
        let name = match number {
            1 => plain.to_owned(),
            number => format!("{plain}-{number}"),
        };
        let file = format!("{}/{name}.yaml", ExploreRecord::FOUND);
        let text = text(&name);
        match fs_err::read_to_string(run.join(&file)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs_err::write(run.join(&file), text)?;
                return Ok(file);
            }
            Err(error) => return Err(error),
            Ok(there) if said(&there) == said(&text) => return Ok(file),
            Ok(_) => number += 1,
        }
    }
}

/// A sequence of which nothing is known.
fn broken(reason: String) -> Ended {
    Ended {
        verdict: Verdict::Error,
        reason,
        ..Ended::never()
    }
}
