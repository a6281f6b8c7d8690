// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the patches make up the series that is meant, in which order, and whether it is whole.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    gather::{Candidate, Gathered, Placed},
    needs,
    series::{Choice, NamedBase, Series, SeriesError},
    subject::Version,
};

/// Patches that belong together: one version of one series.
#[derive(Debug, Clone)]
struct Group {
    version: Version,
    /// How many there must be; `None` where they have no numbers.
    total: Option<u32>,
    cover: Option<Placed>,
    patches: Vec<Candidate>,
    /// What took the place of what, where it is a version of which only a part was sent.
    again: Vec<String>,
}

impl Group {
    fn title(&self) -> &str {
        let first = || {
            self.patches
                .iter()
                .min_by_key(|patch| patch.placed.subject.number)
        };
        match &self.cover {
            Some(cover) => &cover.subject.title,
            None => first().map_or("", |patch| &patch.patch.title),
        }
    }

    fn name(&self) -> String {
        let there = self.patches.len();
        let count = match self.total {
            Some(total) if total as usize != there => format!("{there} of {total} patches"),
            _ if there == 1 => "1 patch".to_owned(),
            _ => format!("{there} patches"),
        };
        format!("{} `{}` ({count})", self.version, self.title())
    }

    fn numbers(&self) -> BTreeSet<u32> {
        let number = |patch: &Candidate| patch.placed.subject.number.map(|(number, _)| number);
        self.patches.iter().filter_map(number).collect()
    }

    fn is_whole(&self) -> bool {
        self.total.is_none_or(|total| {
            self.numbers() == (1..=total).collect() && self.patches.len() == total as usize
        })
    }

    fn has_id(&self, id: &str) -> bool {
        let cover = self.cover.iter();
        let patches = self.patches.iter().map(|patch| &patch.placed);
        cover.chain(patches).any(|placed| placed.id == id)
    }

    fn is_about(&self, words: &str) -> bool {
        let titles = self.patches.iter().map(|patch| patch.patch.title.as_str());
        let has = |title: &str| title.to_lowercase().contains(&words.to_lowercase());
        titles.chain([self.title()]).any(has)
    }

    /// Which patch of this one a later mail is, that was sent alone: the one with its number, title or Message-ID.
    fn elder_of(&self, again: &Candidate, total: u32) -> Option<&Candidate> {
        let placed = &again.placed;
        let answers = |elder: &&Candidate| placed.answers.contains(&elder.placed.id);
        let later_part = placed.subject.version().major == self.version.major;
        let in_thread = placed.answers.iter().any(|id| self.has_id(id));
        let elders = || self.patches.iter();
        match placed.subject.number {
            Some((number, of)) if of == total && of > 1 => elders()
                .find(|elder| elder.placed.subject.number == Some((number, total)))
                .filter(|_| later_part || in_thread),
            None | Some((1, 1)) => elders()
                .find(|elder| placed.answers.first() == Some(&elder.placed.id))
                .or_else(|| {
                    let same = |elder: &&Candidate| elder.patch.title == again.patch.title;
                    elders().find(|elder| same(elder) && (later_part || answers(elder) || in_thread))
                }),
            Some(_) => None,
        }
    }

    /// This one with the patches of a later version in the place of their elders; `None` where that is not what it is.
    fn with(&self, later: &Self) -> Option<Self> {
        let total = self.total.filter(|total| *total > 1)?;
        if later.is_whole() && later.total.is_some_and(|total| total > 1) {
            return None;
        }
        let mut whole = Self {
            version: later.version,
            cover: later.cover.clone().or_else(|| self.cover.clone()),
            ..self.clone()
        };
        for patch in &later.patches {
            let elder = self.elder_of(patch, total)?;
            let number = elder.placed.subject.number;
            let said = format!("{} takes the place of {}", patch.placed.mail, elder.placed.mail);
            whole.again.push(said);
            whole
                .patches
                .retain(|other| other.placed.subject.number != number);
            let mut patch = patch.clone();
            patch.placed.subject.number = number;
            whole.patches.push(patch);
        }
        Some(whole)
    }

    /// The patches by number, each once and all there; those without numbers as they came.
    fn ordered(self, groups: &[Self]) -> Result<Vec<Candidate>, SeriesError> {
        let Some(total) = self.total else {
            return Ok(self.patches);
        };
        let mut by_number: BTreeMap<u32, Candidate> = BTreeMap::new();
        for candidate in self.patches {
            let mail = candidate.placed.mail.clone();
            let number = candidate.placed.subject.number.map_or(0, |(number, _)| number);
            if number > total {
                return Err(SeriesError::Number { mail, number, total });
            }
            if let Some(first) = by_number.insert(number, candidate) {
                let first = first.placed.mail;
                return Err(SeriesError::Twice {
                    number,
                    first,
                    second: mail,
                });
            }
        }
        let missing: Vec<u32> = (1..=total)
            .filter(|number| !by_number.contains_key(number))
            .collect();
        if missing.is_empty() {
            return Ok(by_number.into_values().collect());
        }
        let older = groups
            .iter()
            .filter(|group| group.version < self.version && group.is_whole());
        Err(SeriesError::Missing {
            version: self.version,
            missing,
            total,
            found: by_number.len(),
            whole: older.map(|group| group.version).max(),
        })
    }
}

impl Gathered {
    /// The series that is meant; `files` is where the mails are from.
    pub(super) fn choose(mut self, choice: &Choice, files: &[String]) -> Result<Series, SeriesError> {
        let mut warnings = Vec::new();
        self.leave_out(&mut warnings);
        let mut groups = self.groups();
        let named = |groups: &[Group]| groups.iter().map(Group::name).collect::<Vec<_>>();
        let there = named(&groups);
        if let Some(asked) = choice.version {
            let wanted = |version: Version| {
                version.major < asked.major
                    || version.major == asked.major && (asked.minor == 0 || version.minor <= asked.minor)
            };
            groups.retain(|group| wanted(group.version));
            self.covers.retain(|cover| wanted(cover.subject.version()));
            self.broken.retain(|broken| broken.version.is_none_or(wanted));
        }
        let mut others: Vec<Group> = Vec::new();
        if let Some(words) = &choice.subject {
            (groups, others) = groups.into_iter().partition(|group| group.is_about(words));
            self.covers
                .retain(|cover| cover.subject.title.to_lowercase().contains(&words.to_lowercase()));
            if groups.is_empty() && self.broken.is_empty() && !others.is_empty() {
                return Err(SeriesError::NoSubject {
                    asked: words.clone(),
                    there,
                });
            }
        }
        let versions = groups.iter().map(|group| group.version);
        let versions = versions.chain(self.covers.iter().map(|cover| cover.subject.version()));
        let newest = versions
            .chain(self.broken.iter().filter_map(|broken| broken.version))
            .max();
        for broken in &self.broken {
            if broken.version.is_none() || broken.version == newest {
                return Err(broken.why.clone());
            }
            self.notes
                .push(format!("{} was passed over: {}", broken.mail, broken.why));
        }
        let Some(version) = newest else {
            return Err(SeriesError::NoPatch(files.join(", ")));
        };
        if let Some(asked) = choice.version.filter(|asked| version.major != asked.major) {
            return Err(SeriesError::NoVersion { asked, there });
        }
        let (mut chosen, older): (Vec<Group>, Vec<Group>) =
            groups.into_iter().partition(|group| group.version == version);
        if chosen.len() > 1 {
            return Err(SeriesError::Several(named(&chosen)));
        }
        let Some(chosen) = chosen.pop() else {
            return Err(self.nothing_of(version, &older, files));
        };
        if choice.version.is_none() {
            self.clear(&chosen, &older)?;
        }
        for group in &older {
            self.notes
                .push(format!("{} was passed over: {version} is newer", group.name()));
        }
        for group in &others {
            self.notes
                .push(format!("{} was passed over: it was not chosen", group.name()));
        }
        warnings.extend(chosen.again.iter().cloned());
        self.series(chosen, &older, warnings)
    }

    /// Leaves out what is there twice, and what is not meant as a patch of a series.
    fn leave_out(&mut self, warnings: &mut Vec<String>) {
        if self.patches.is_empty() && self.broken.is_empty() {
            for suggested in std::mem::take(&mut self.suggested) {
                warnings.push(format!(
                    "{} is an answer: it is taken, as there is no other patch",
                    suggested.placed.mail
                ));
                self.patches.push(suggested);
            }
        }
        let mut kept: Vec<Candidate> = Vec::new();
        for candidate in std::mem::take(&mut self.patches) {
            let subject = |candidate: &Candidate| {
                let subject = &candidate.placed.subject;
                // Without numbers, one change may be made twice, and undone between.
                let title = subject.number.is_none().then(|| candidate.patch.title.clone());
                (subject.version(), subject.number, title)
            };
            let same = |other: &&Candidate| {
                subject(other) == subject(&candidate) && other.patch.same_change(&candidate.patch)
            };
            match kept.iter().find(same) {
                Some(first) => {
                    let (mail, first) = (&candidate.placed.mail, &first.placed.mail);
                    self.notes
                        .push(format!("{mail} was passed over: it changes what {first} does"));
                }
                None => kept.push(candidate),
            }
        }
        // What robots write of a patch, and what people write below one.
        if kept.iter().any(|candidate| candidate.placed.subject.patch) {
            let (patches, others): (Vec<_>, Vec<_>) = kept
                .into_iter()
                .partition(|candidate| candidate.placed.subject.patch);
            kept = patches;
            for other in others {
                let mail = other.placed.mail;
                self.notes.push(format!(
                    "{mail} was passed over: its subject does not say that it is a patch, and others do"
                ));
            }
        }
        self.patches = kept;
        for suggested in &self.suggested {
            let mail = &suggested.placed.mail;
            warnings.push(format!(
                "{mail} is an answer with a patch of its own, which is not taken"
            ));
        }
    }

    /// The patches by version and series. What was sent alone is put among its elders.
    fn groups(&mut self) -> Vec<Group> {
        let mut by_key: BTreeMap<(Version, Option<u32>), Vec<Candidate>> = BTreeMap::new();
        for candidate in std::mem::take(&mut self.patches) {
            let subject = &candidate.placed.subject;
            let key = (subject.version(), subject.number.map(|(_, total)| total));
            by_key.entry(key).or_default().push(candidate);
        }
        let mut groups: Vec<Group> = Vec::new();
        for ((version, total), patches) in by_key {
            for patches in self.threads(version, total, patches) {
                let cover = self.cover_of(version, total, &patches);
                groups.push(Group {
                    version,
                    total,
                    cover,
                    patches,
                    again: Vec::new(),
                });
            }
        }
        // From the oldest on, so that what was sent again twice is taken the second time.
        for at in 0..groups.len() {
            let older = groups[..at]
                .iter()
                .rev()
                .filter(|elder| elder.version < groups[at].version);
            if let Some(whole) = older.filter_map(|elder| elder.with(&groups[at])).next() {
                groups[at] = whole;
            }
        }
        groups
    }

    /// Takes patches with the same numbers apart by the mails that they answer, where that makes whole series of them.
    fn threads(&self, version: Version, total: Option<u32>, patches: Vec<Candidate>) -> Vec<Vec<Candidate>> {
        let Some(total) = total.filter(|total| patches.len() > *total as usize) else {
            return vec![patches];
        };
        let same = |placed: &&Placed| {
            placed.subject.version() == version && placed.subject.number.is_some_and(|(_, of)| of == total)
        };
        let members: Vec<&Placed> = patches
            .iter()
            .map(|patch| &patch.placed)
            .chain(&self.covers)
            .filter(same)
            .collect();
        let root = |placed: &Placed| {
            let mut now = placed;
            // No longer than there are mails, should they answer each other.
            for _ in 0..members.len() {
                let above = members
                    .iter()
                    .find(|member| now.answers.contains(&member.id) && member.id != now.id);
                match above {
                    Some(above) => now = *above,
                    None => break,
                }
            }
            now.answers
                .first()
                .filter(|_| now.subject.number.is_some_and(|(n, _)| n > 0))
                .unwrap_or(&now.id)
                .clone()
        };
        let mut threads: Vec<(String, Vec<Candidate>)> = Vec::new();
        for patch in &patches {
            let root = root(&patch.placed);
            match threads.iter_mut().find(|(of, _)| *of == root) {
                Some((_, thread)) => thread.push(patch.clone()),
                None => threads.push((root, vec![patch.clone()])),
            }
        }
        let whole = |patches: &[Candidate]| {
            let numbers: BTreeSet<_> = patches.iter().map(|patch| patch.placed.subject.number).collect();
            numbers.len() == total as usize && patches.len() == total as usize
        };
        if threads.iter().all(|(_, thread)| whole(thread)) {
            threads.into_iter().map(|(_, thread)| thread).collect()
        } else {
            vec![patches]
        }
    }

    /// The cover letter of patches.
    fn cover_of(&self, version: Version, total: Option<u32>, patches: &[Candidate]) -> Option<Placed> {
        let total = total?;
        let mut covers = self
            .covers
            .iter()
            .filter(|cover| cover.subject.version() == version && cover.subject.number == Some((0, total)));
        let answered = covers.clone().find(|cover| {
            !cover.id.is_empty()
                && patches
                    .iter()
                    .any(|patch| patch.placed.answers.contains(&cover.id))
        });
        answered.or_else(|| covers.next()).cloned()
    }

    /// Why there is no patch of the newest version.
    fn nothing_of(&self, version: Version, older: &[Group], files: &[String]) -> SeriesError {
        let cover = self
            .covers
            .iter()
            .find(|cover| cover.subject.version() == version);
        let total = cover
            .and_then(|cover| Some(cover.subject.number?.1))
            .filter(|total| *total > 0);
        match total {
            Some(total) => SeriesError::Missing {
                version,
                missing: (1..=total).collect(),
                total,
                found: 0,
                whole: older
                    .iter()
                    .filter(|group| group.is_whole())
                    .map(|group| group.version)
                    .max(),
            },
            None => SeriesError::NoPatch(files.join(", ")),
        }
    }

    /// Whether no mail of an older version, or of none, was sent after the chosen ones to take the place of one of them.
    fn clear(&self, chosen: &Group, older: &[Group]) -> Result<(), SeriesError> {
        for again in older.iter().flat_map(|group| &group.patches) {
            let elder = chosen.patches.iter().find(|elder| {
                let (a, b) = (&again.placed, &elder.placed);
                !b.id.is_empty()
                    && a.answers.contains(&b.id)
                    && (a.subject.number == b.subject.number || again.patch.title == elder.patch.title)
            });
            if let Some(elder) = elder {
                return Err(SeriesError::Unclear {
                    again: again.placed.mail.clone(),
                    elder: elder.placed.mail.clone(),
                    version: chosen.version,
                    says: again.placed.subject.version(),
                });
            }
        }
        Ok(())
    }

    fn series(
        self,
        chosen: Group,
        older: &[Group],
        mut warnings: Vec<String>,
    ) -> Result<Series, SeriesError> {
        let (title, version) = (chosen.title().to_owned(), chosen.version);
        let cover = chosen.cover.clone();
        let candidates = chosen.ordered(older)?;
        let placed: Vec<&Placed> = cover
            .iter()
            .chain(candidates.iter().map(|patch| &patch.placed))
            .collect();
        let named = |placed: &Placed, by: &str| {
            let by = by.to_owned();
            needs::bases(&placed.text)
                .map(move |commit| NamedBase {
                    commit,
                    by: by.clone(),
                })
                .collect::<Vec<_>>()
        };
        let mut bases: Vec<NamedBase> = placed
            .iter()
            .flat_map(|placed| named(placed, "the series"))
            .collect();
        let authors: BTreeSet<&str> = placed.iter().map(|placed| placed.author.as_str()).collect();
        for answer in self
            .talk
            .iter()
            .filter(|answer| authors.contains(answer.author.as_str()))
        {
            bases.extend(named(answer, "an answer of its author"));
        }
        for group in older.iter().rev() {
            let by = format!("{} of the series", group.version);
            let patches = group.patches.iter().map(|patch| &patch.placed);
            bases.extend(
                group
                    .cover
                    .iter()
                    .chain(patches)
                    .flat_map(|placed| named(placed, &by)),
            );
        }
        let covers = self
            .covers
            .iter()
            .filter(|cover| cover.subject.version() < version);
        bases.extend(
            covers.flat_map(|cover| named(cover, &format!("{} of the series", cover.subject.version()))),
        );
        let mut needs = Vec::new();
        for need in placed.iter().flat_map(|placed| needs::needs(&placed.text)) {
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
        let ids = placed
            .iter()
            .map(|placed| placed.id.clone())
            .filter(|id| !id.is_empty())
            .collect();
        let mut notes = self.notes;
        notes.extend(
            self.talk
                .iter()
                .map(|answer| format!("{} was passed over: it is an answer", answer.mail)),
        );
        warnings.extend(candidates.iter().flat_map(|patch| patch.warnings.clone()));
        Ok(Series {
            title,
            version,
            bases,
            needs,
            ids,
            patches: candidates.into_iter().map(|patch| patch.patch).collect(),
            notes,
            warnings,
        })
    }
}
