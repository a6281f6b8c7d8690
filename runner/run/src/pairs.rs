// SPDX-License-Identifier: MIT OR Apache-2.0
//! A comparison from its two kernels to its last pair of guests: what is not sure yet is run once more.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    compare::{Pairs, compare_jobs, compared},
    cost::{CostOptions, CostsError, costs},
    cover::kernels_with_lines,
    explore::{ExploreError, ExploredBoth, Sequences, explore_both},
    onto::{Onto, OntoError},
    plan::{Filter, Job, LoadedSuite},
    select::{SelectError, Selected, arches_of, check_memory, get},
    session::{How, Outcome, Request, Rig, RunError, Wanted, run_and_see},
};
use base::{
    Arch,
    fault::{Blame, Blamed, Exit},
    ui::Ui,
};
use compare::{
    ArchComparison, CaseRounds, CompareRecord, CostRow, KernelSide, changed_standing, cost_rows,
    cost_unpaired, open, summed,
};
use record::{NotUnique, ReadError, RunPart, SeenError, SeriesRan, Side, Sides};
use supply::{
    host,
    kernel::{KernelError, KernelName, KernelSource, KernelSpec, source::SourceKernelError},
    series::SeriesSource,
};

/// The kernel after.
#[derive(Debug, Clone)]
pub enum After {
    /// Another one.
    Kernel(KernelSpec),
    /// The kernel before with this series.
    Series(SeriesSource),
}

/// What is compared.
#[derive(Debug)]
pub struct Pair<'a> {
    /// The kernel before.
    pub base: KernelSpec,
    /// The kernel after.
    pub after: After,
    /// Architectures; without any, all that both kernels are for.
    pub arches: Vec<Arch>,
    /// The suites, and how the user named them.
    pub suites: (&'a [Arc<LoadedSuite>], Vec<String>),
    /// Which of their cases.
    pub filter: Filter,
    /// In how many pairs of guests something has to differ to count.
    pub pairs: usize,
    /// See which lines of a series run, where guests are translated.
    pub cover: bool,
    /// Draw sequences on both, too: what either of them shows is one more case.
    pub explore: Option<Sequences<'a>>,
    /// QEMU binaries that the user names.
    pub qemus: BTreeMap<Arch, PathBuf>,
    /// Guests at once, where somebody says how many.
    pub guests: Option<NonZeroUsize>,
    /// The folder that gets the runs' folders.
    pub results: Utf8PathBuf,
}

impl Pair<'_> {
    /// The architectures that are meant and that both kernels are for.
    fn common_arches(&self) -> Result<Vec<Arch>, ComparisonError> {
        let of_base = arches_of(&self.base, &self.arches)?;
        let After::Kernel(new) = &self.after else {
            return Ok(of_base);
        };
        let of_new = arches_of(new, &self.arches)?;
        let both: Vec<Arch> = of_base
            .iter()
            .copied()
            .filter(|arch| of_new.contains(arch))
            .collect();
        match both.is_empty() {
            false => Ok(both),
            true => Err(ComparisonError::Arches {
                base: of_base[0],
                new: of_new[0],
            }),
        }
    }
}

/// Why there is no comparison, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum ComparisonError {
    /// The kernels.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The kernels are for different architectures.
    #[error(
        "the kernel before is one for {base}, and that after for {new}: two of one architecture can be compared"
    )]
    Arches {
        /// That of the kernel before.
        base: Arch,
        /// That of the kernel after.
        new: Arch,
    },
    /// The series.
    #[error(transparent)]
    Series(#[from] OntoError),
    /// Two cases have one name.
    #[error(transparent)]
    NotUnique(#[from] NotUnique),
    /// No case.
    #[error(
        "nothing is selected: no case fits the kernels, architectures, names and variants that were given"
    )]
    Nothing,
    /// A run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What was seen in it.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// Counting.
    #[error(transparent)]
    Costs(#[from] CostsError),
    /// Exploring.
    #[error(transparent)]
    Explore(#[from] ExploreError),
}

impl Blamed for ComparisonError {
    fn blame(&self) -> Blame {
        match self {
            Self::Select(error) => error.blame(),
            Self::Series(error) => error.blame(),
            Self::NotUnique(error) => error.blame(),
            Self::Nothing | Self::Arches { .. } => Blame::Usage,
            Self::Run(error) => error.blame(),
            Self::Seen(error) => error.blame(),
            Self::Costs(error) => error.blame(),
            Self::Explore(error) => error.blame(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Nothing => Exit::NothingSelected,
            Self::Select(error) => error.exit(),
            other => other.blame().exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Select(error) => error.hint(),
            Self::Explore(error) => error.hint(),
            _ => None,
        }
    }
}

/// Two kernels, and what is known of the series between them.
struct Asked {
    kernels: Sides<KernelSpec>,
    series: Option<String>,
    applied: Option<String>,
}

impl Asked {
    fn of(pair: &Pair<'_>, arches: &[Arch], ui: &Ui) -> Result<Self, OntoError> {
        match &pair.after {
            After::Kernel(new) => Ok(Self {
                kernels: Sides {
                    base: pair.base.clone(),
                    new: new.clone(),
                },
                series: None,
                applied: None,
            }),
            After::Series(series) => Self::with_series(&pair.base, series, arches, ui),
        }
    }

    /// The base of a series and the series on top of it, both built.
    fn with_series(
        base: &KernelSpec,
        series: &SeriesSource,
        arches: &[Arch],
        ui: &Ui,
    ) -> Result<Self, OntoError> {
        let onto = Onto::look(&base.source, series, ui)?;
        if let Some(stopped) = &onto.found.stopped {
            return Err(OntoError::NotApplied(stopped.to_string()));
        }
        let (before, after) = (onto.spec(Some(0)), onto.spec(None));
        // The base first: only its objects make the series quick to build.
        for &arch in arches {
            onto.build(&before, arch, ui)?;
            match onto.build(&after, arch, ui) {
                Err(KernelError::Source(error)) if matches!(*error, SourceKernelError::NotBuilt(_)) => {
                    let why = error.to_string();
                    return Err(OntoError::NotBuilt { arch, why });
                }
                built => built?,
            };
        }
        Ok(Self {
            kernels: Sides {
                base: KernelSpec {
                    name: base.name.clone(),
                    source: KernelSource::Source(before),
                },
                new: KernelSpec {
                    name: base.name.as_ref().map(KernelName::with_series),
                    source: KernelSource::Source(after),
                },
            },
            series: Some(onto.found.title),
            applied: Some(format!("{} ({})", onto.found.base, onto.found.why)),
        })
    }
}

/// A comparison that is going on.
#[derive(Debug)]
pub struct Comparison {
    /// What is known up to now.
    pub record: CompareRecord,
    /// The kernels, and all jobs.
    all: Selected,
    arches: Vec<Arch>,
    /// Where each side's kernels are among those of the rig, one for each architecture.
    sides: Sides<Vec<usize>>,
    pairs: Pairs,
    guests: Option<NonZeroUsize>,
    results: Utf8PathBuf,
    /// It is looked at which lines of the series run.
    covers: bool,
    /// What came of exploring both kernels, where that was asked for.
    pub explored: Option<ExploredBoth>,
}

/// What of its series ran of each kernel that has one, in a run.
fn series_ran(run: &Utf8Path, ui: &Ui) -> Result<BTreeMap<Arch, SeriesRan>, ReadError> {
    let kernels = kernels_with_lines(run, ui)?;
    let ran = kernels
        .iter()
        .map(|kernel| (kernel.text.arch, SeriesRan::of(kernel)));
    Ok(ran.filter(|(_, ran)| !ran.files.is_empty()).collect())
}

impl Comparison {
    /// Builds and gets both kernels, and plans.
    ///
    /// # Errors
    /// There are no two kernels, or there is nothing to run on them.
    pub fn new(pair: Pair<'_>, ui: &Ui) -> Result<Self, ComparisonError> {
        let (suites, names) = &pair.suites;
        let host = host::facts().map_err(SelectError::Host)?;
        check_memory(*suites, &host)?;
        let arches = pair.common_arches()?;
        let asked = Asked::of(&pair, &arches, ui)?;
        let mut kernels = Vec::new();
        let mut sides: Sides<Vec<usize>> = Sides::default();
        for side in Side::ALL {
            for arch in &arches {
                sides.of_mut(side).push(kernels.len());
                kernels.push((asked.kernels.of(side).clone(), *arch));
            }
        }
        let rig = get(&Wanted::of(kernels, pair.qemus), ui)?;
        let mut jobs = compare_jobs(suites, &rig.planned(), &sides, &pair.filter)?;
        if jobs.is_empty() {
            return Err(ComparisonError::Nothing);
        }
        let mut names = names.clone();
        let mut explored = None;
        if let Some(explore) = &pair.explore {
            let kernels = Selected {
                rig: rig.clone(),
                jobs: Vec::new(),
                part: RunPart::Whole,
                host: host.clone(),
            };
            let both = explore_both(explore, kernels, &sides, pair.results.clone(), ui)?;
            jobs.extend(compare_jobs(
                &both.found,
                &rig.planned(),
                &sides,
                &Filter::default(),
            )?);
            names.extend(both.found.iter().map(|suite| suite.file.clone()));
            explored = Some(both);
        }
        let mut planned = Vec::new();
        for job in &jobs {
            let name = compared(&job.key);
            if !planned.contains(&name) {
                planned.push(name);
            }
        }
        let first = |side: Side| &rig.kernels[sides.of(side)[0]].kernel;
        let record = CompareRecord {
            base: first(Side::Base).label.clone(),
            new: first(Side::New).label.clone(),
            base_named: first(Side::Base).source.clone(),
            new_named: first(Side::New).source.clone(),
            series: asked.series,
            applied: asked.applied,
            suites: names,
            runs: Vec::new(),
            pairs: pair.pairs,
            arches: BTreeMap::new(),
            ran: BTreeMap::new(),
            costs: Vec::new(),
            not_counted: Vec::new(),
        };
        Ok(Self {
            record,
            all: Selected {
                rig,
                jobs,
                part: RunPart::Whole,
                host,
            },
            arches,
            sides,
            pairs: Pairs::of(planned),
            guests: pair.guests,
            results: pair.results,
            explored,
            covers: pair.cover && matches!(pair.after, After::Series(_)),
        })
    }

    /// Runs what is not sure yet on one more pair of guests, at first everything; `None` where all is sure. After a run that was interrupted
    /// there is no next one.
    ///
    /// # Errors
    /// The run cannot be made or read.
    pub fn next_pair(&mut self, ui: &Ui) -> Result<Option<Outcome>, ComparisonError> {
        let left = self.left();
        if left.is_empty() {
            return Ok(None);
        }
        if !self.record.runs.is_empty() {
            ui.line(&format!(
                "run on one more pair of guests: {} of {} cases",
                left.iter().filter(|job| job.key.side == Some(Side::Base)).count(),
                self.pairs.planned.len()
            ));
        }
        let selected = Selected {
            jobs: left,
            ..self.all.clone()
        };
        let how = How {
            guests: self.guests,
            watch: true,
            cover: self.covers && self.record.runs.is_empty(),
            ..How::default()
        };
        let request = Request::of(selected, self.results.clone(), how);
        let (pairs, wanted) = (&mut self.pairs, self.record.pairs);
        pairs.begin();
        let mut unread = None;
        let outcome = run_and_see(request, ui, |case, folder| match pairs.take(case, folder) {
            Ok(pair) => {
                if let Some(standing) = pair.and_then(|pair| changed_standing(pair, wanted)) {
                    ui.line(&standing.told(&case.key.name(), case.key.arch));
                }
            }
            // The run goes on to its end, whose record has all that was seen.
            Err(error) => {
                unread.get_or_insert(error);
            }
        })?;
        self.record.runs.push(outcome.record.facts.id.to_string());
        if let Some(error) = unread {
            return Err(error.into());
        }
        self.record.arches = self.sum();
        // The first pair has all cases.
        if self.covers && self.record.runs.len() == 1 {
            self.record.ran = series_ran(&outcome.folder, ui).map_err(RunError::from)?;
        }
        Ok(Some(outcome))
    }

    /// The jobs of which another pair would tell more.
    fn left(&self) -> Vec<Job> {
        let jobs = self.all.jobs.iter();
        if self.record.runs.is_empty() {
            return jobs.cloned().collect();
        }
        let is_open = |job: &&Job| {
            let name = compared(&job.key);
            let case = self.pairs.planned.iter().position(|planned| *planned == name);
            let case = case.and_then(|at| self.pairs.rounds.get(&(name.0, at)));
            case.is_some_and(|case| open(case, self.record.pairs))
        };
        jobs.filter(is_open).cloned().collect()
    }

    /// Counts what operations cost on both kernels, and once more where that differs. What was not counted is told and judges nothing, so
    /// that the exit code says only whether the user wanted no more of it.
    ///
    /// # Errors
    /// Nothing can be counted at all, or something cannot be written down.
    pub fn count(&mut self, ui: &Ui) -> Result<Exit, CostsError> {
        let record = &mut self.record;
        let Rig { kernels, emulators } = &self.all.rig;
        for pair in 1..=2 {
            let mut counts = Sides::default();
            for side in Side::ALL {
                let places = self.sides.of(side).iter();
                let selected = Selected {
                    rig: Rig {
                        kernels: places.map(|at| kernels[*at].clone()).collect(),
                        emulators: emulators.clone(),
                    },
                    jobs: Vec::new(),
                    part: RunPart::Whole,
                    host: self.all.host.clone(),
                };
                let options = CostOptions::default();
                let counted = costs(&selected, &self.results, self.guests, options, ui)?;
                if let Some(run) = counted.folder.file_name() {
                    record.runs.push(run.to_owned());
                }
                record.not_counted.extend(counted.missing);
                if counted.exit == Exit::Interrupted {
                    record.not_counted.push("it was interrupted".to_owned());
                    return Ok(Exit::Interrupted);
                }
                *counts.of_mut(side) = counted.records;
            }
            let rows = cost_rows(&counts.base, &counts.new);
            let unpaired = cost_unpaired(&counts.base, &counts.new);
            record.not_counted.extend(unpaired);
            if pair == 1 {
                record.costs = rows;
            } else {
                let first = std::mem::take(&mut record.costs);
                record.costs = first.into_iter().map(|row| row.with_second(&rows)).collect();
            }
            if !record.costs.iter().any(CostRow::differs) {
                break;
            }
        }
        record.not_counted.sort();
        record.not_counted.dedup();
        Ok(Exit::Pass)
    }

    /// What came of each architecture up to now.
    fn sum(&self) -> BTreeMap<Arch, ArchComparison> {
        let side = |at: usize| {
            let kernel = &self.all.rig.kernels[at].kernel;
            KernelSide {
                release: kernel.release_or_unknown().to_owned(),
                sha256: kernel.sha256.clone(),
            }
        };
        let of_arch = |arch: Arch| -> Vec<CaseRounds> {
            let cases = self.pairs.planned.iter().enumerate();
            cases
                .filter(|(_, (of, _))| *of == arch)
                .map(|(at, (_, name))| match self.pairs.rounds.get(&(arch, at)) {
                    Some(case) => case.clone(),
                    None => CaseRounds {
                        name: name.clone(),
                        rounds: Vec::new(),
                        millis: (0, 0),
                    },
                })
                .collect()
        };
        let sides = self.sides.base.iter().zip(&self.sides.new);
        let arches = self.arches.iter().zip(sides);
        arches
            .filter_map(|(arch, (base, new))| {
                let cases = of_arch(*arch);
                // An architecture on which the cases mean nothing has none.
                (!cases.is_empty())
                    .then(|| (*arch, summed(side(*base), side(*new), &cases, self.record.pairs)))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::select::tests::images;
    use supply::packages::DebianSuite;

    #[test]
    fn kernels_are_compared_where_both_are() {
        let folder = tempfile::tempdir().unwrap();
        let [x86, s390] = images(folder.path());
        let common = |arches: &[Arch], new: &KernelSpec| {
            let pair = Pair {
                base: s390.clone(),
                after: After::Kernel(new.clone()),
                arches: arches.to_vec(),
                suites: (&[], Vec::new()),
                filter: Filter::default(),
                pairs: 2,
                cover: false,
                explore: None,
                qemus: BTreeMap::new(),
                guests: None,
                results: Utf8PathBuf::new(),
            };
            pair.common_arches().map_err(|error| error.to_string())
        };
        let debian = KernelSpec::debian(DebianSuite::Sid);
        assert_eq!(common(&[], &debian), Ok(vec![Arch::S390x]));
        assert_eq!(common(&Arch::ALL, &debian), Ok(vec![Arch::S390x]));
        let said = common(&[], &x86).unwrap_err();
        assert_eq!(
            said,
            "the kernel before is one for s390x, and that after for x86_64: two of one architecture can be compared"
        );
    }
}
