// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sequences that reached code which none before them did, as they are kept from one exploration to the next.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    draw::{Draw, Sequence},
    planned::{Made, Planned},
    setup::setups,
    wish::Wish,
};
use base::Arch;

/// What the text of a corpus begins with; another number is another format.
const FORMAT: u32 = 1;

/// Which kernel a corpus is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// The kernel as the user named it, whatever its release.
    pub kernel: String,
    /// Architecture.
    pub arch: Arch,
    /// Its build: the digest of its image. Only for this one the code of the sequences means something.
    pub build: String,
}

/// The first line of a corpus.
#[derive(Serialize, Deserialize)]
struct Head {
    memrig_corpus: u32,
    #[serde(flatten)]
    whose: Whose,
}

/// A sequence that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// How it came to be: a name for people.
    pub name: String,
    /// The name of its machine.
    pub machine: String,
    /// What was wanted, up to the step that reached the last of its code; without what came to nothing.
    pub wishes: Vec<Wish>,
    /// The code that it was the first to reach: where it begins, in bytes from the start of the kernel's text, and how many bytes; none where that is
    /// not known of this build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code: Vec<(u64, u64)>,
}

/// Sequences that are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Corpus {
    /// The kernel.
    pub whose: Whose,
    /// Those of which it is known what they reach of this build, in the order in which they did.
    pub kept: Vec<Kept>,
    /// Those that are still to run on it.
    pub waiting: VecDeque<Kept>,
}

impl Corpus {
    /// One without sequences.
    pub fn new(whose: Whose) -> Self {
        Self {
            whose,
            kept: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Reads a text for a kernel, and says what is to be told of it, a line for each thing. What does not read is left out, and sequences of another kernel,
    /// or of another build, are to run on this one first.
    ///
    /// # Errors
    /// It has another format, and what, in one line.
    pub fn read(text: &str, whose: Whose) -> Result<(Self, Vec<String>), String> {
        let mut corpus = Self::new(whose);
        let mut told = Vec::new();
        let mut lines = text.lines().enumerate();
        let head = lines.next().map(|(_, line)| serde_json::from_str::<Head>(line));
        let is_its = match head {
            Some(Ok(head)) if head.memrig_corpus != FORMAT => {
                return Err(format!(
                    "it has format {}, and {FORMAT} is known",
                    head.memrig_corpus
                ));
            }
            Some(Ok(Head { whose, .. })) => {
                if (&whose.kernel, whose.arch) != (&corpus.whose.kernel, corpus.whose.arch) {
                    told.push(format!(
                        "it was kept of {} on {}: its sequences run here first",
                        whose.kernel, whose.arch
                    ));
                }
                whose == corpus.whose
            }
            Some(Err(error)) => {
                told.push(format!(
                    "line 1 does not say which kernel it is of ({error}): its sequences run first"
                ));
                false
            }
            None => false,
        };
        for (at, line) in lines {
            match corpus.sequence_of(line) {
                Ok(kept) if is_its && !kept.code.is_empty() => corpus.kept.push(kept),
                Ok(kept) => corpus.waiting.push_back(Kept {
                    code: Vec::new(),
                    ..kept
                }),
                Err(why) => told.push(format!("line {} is left out: {why}", at + 1)),
            }
        }
        Ok((corpus, told))
    }

    /// The sequence of a line, if this architecture has its machine.
    fn sequence_of(&self, line: &str) -> Result<Kept, String> {
        let kept: Kept = serde_json::from_str(line).map_err(|error| error.to_string())?;
        match self.setup(&kept) {
            Some(_) => Ok(kept),
            None => Err(format!(
                "there is no machine {} on {}",
                kept.machine, self.whose.arch
            )),
        }
    }

    /// The place of a sequence's machine among those of the architecture.
    pub(crate) fn setup(&self, kept: &Kept) -> Option<usize> {
        setups(self.whose.arch)
            .iter()
            .position(|setup| setup.name == kept.machine)
    }

    /// Its text: a line of JSON for the kernel, and one for each sequence.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string(&Head {
            memrig_corpus: FORMAT,
            whose: self.whose.clone(),
        })?;
        text.push('\n');
        for kept in self.kept.iter().chain(&self.waiting) {
            text.push_str(&serde_json::to_string(kept)?);
            text.push('\n');
        }
        Ok(text)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.waiting.is_empty()
    }

    /// Adds what another exploration of the same build has kept in the meantime.
    pub fn take(&mut self, other: Self) {
        let has = |mine: &[Kept], kept: &Kept| {
            mine.iter()
                .any(|mine| (&mine.machine, &mine.wishes) == (&kept.machine, &kept.wishes))
        };
        for kept in other.kept {
            if !has(&self.kept, &kept) {
                self.kept.push(kept);
            }
        }
    }

    /// The next of those that are still to run on this build.
    pub fn next_waiting(&mut self, number: u64) -> Option<Planned> {
        let kept = self.waiting.pop_front()?;
        Some(Planned {
            number,
            sequence: Sequence {
                arch: self.whose.arch,
                setup: self.setup(&kept)?,
                wishes: kept.wishes,
            },
            made: Made::Again(kept.name),
        })
    }

    /// A variation of what is kept, for a number; `None` as long as nothing is.
    pub fn varied(&self, draw: Draw, number: u64) -> Option<Planned> {
        let setup = draw.setup(number);
        let machine = setups(draw.arch)[setup].name;
        let of_machine: Vec<&Kept> = self.kept.iter().filter(|kept| kept.machine == machine).collect();
        let kept: Vec<&Kept> = match of_machine.is_empty() {
            true => self.kept.iter().collect(),
            false => of_machine,
        };
        let (wishes, names) = draw.varied(number, &kept)?;
        Some(Planned {
            number,
            sequence: Sequence {
                arch: draw.arch,
                setup,
                wishes,
            },
            made: Made::Varied(names),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(build: &str) -> Whose {
        Whose {
            kernel: "debian:trixie".to_owned(),
            arch: Arch::S390x,
            build: build.to_owned(),
        }
    }

    fn draw() -> Draw {
        Draw {
            arch: Arch::S390x,
            seed: 4,
        }
    }

    /// Every wish that is drawn, on each machine.
    fn corpus() -> Corpus {
        let mut corpus = Corpus::new(whose("one"));
        for number in 0..40 {
            let sequence = draw().sequence(number);
            corpus.kept.push(Kept {
                name: format!("seed 4 sequence {number}"),
                machine: sequence.machine().name.to_owned(),
                wishes: sequence.wishes,
                code: vec![(number, 4)],
            });
        }
        corpus
    }

    #[test]
    fn what_is_written_reads_back() {
        let corpus = corpus();
        let text = corpus.text().unwrap();
        assert_eq!(Corpus::read(&text, whose("one")), Ok((corpus, Vec::new())));
    }

    #[test]
    fn sequences_of_another_build_run_on_this_one_first() {
        let mut corpus = corpus();
        let text = corpus.text().unwrap();
        let (mut other, told) = Corpus::read(&text, whose("two")).unwrap();
        assert_eq!((told, other.kept.len(), other.waiting.len()), (Vec::new(), 0, 40));
        let first = other.next_waiting(7).unwrap();
        let drawn = draw().sequence(0);
        assert_eq!((first.number, &first.sequence), (7, &drawn));
        assert_eq!(first.of(), ["seed 4 sequence 0"]);
        // What did not have its turn stays for the next time, also of the right build.
        let again = other.text().unwrap();
        let (again, _) = Corpus::read(&again, whose("two")).unwrap();
        assert_eq!((again.kept.len(), again.waiting.len()), (0, 39));
        corpus.whose.kernel = "debian:sid".to_owned();
        let (_, told) = Corpus::read(&corpus.text().unwrap(), whose("one")).unwrap();
        assert_eq!(
            told,
            ["it was kept of debian:sid on s390x: its sequences run here first"]
        );
    }

    #[test]
    fn what_is_damaged_is_told_and_the_rest_is_used() {
        let text = corpus().text().unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let cut = &lines[3][..lines[3].len() / 2];
        lines[3] = cut;
        let beyond = lines[8].replacen("\"node\":", "\"node\":1000", 1);
        let elsewhere = lines[5].replace("\"machine\":\"", "\"machine\":\"un");
        (lines[5], lines[8]) = (&elsewhere, &beyond);
        let (read, told) = Corpus::read(&lines.join("\n"), whose("one")).unwrap();
        assert_eq!((read.kept.len(), told.len()), (37, 3), "{told:?}");
        assert!(
            told[0].starts_with("line 4 is left out: EOF while parsing"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("line 6 is left out: there is no machine un"),
            "{told:?}"
        );
        assert!(
            told[2].starts_with("line 9 is left out: invalid value: integer"),
            "{told:?}"
        );
        let (read, told) = Corpus::read(&text[10..], whose("one")).unwrap();
        assert_eq!((read.kept.len(), read.waiting.len(), told.len()), (0, 40, 1));
        assert!(
            told[0].starts_with("line 1 does not say which kernel it is of"),
            "{told:?}"
        );
        let newer = text.replacen("\"memrig_corpus\":1", "\"memrig_corpus\":2", 1);
        assert_eq!(
            Corpus::read(&newer, whose("one")),
            Err("it has format 2, and 1 is known".to_owned())
        );
        assert_eq!(
            Corpus::read("", whose("one")),
            Ok((Corpus::new(whose("one")), Vec::new()))
        );
    }

    #[test]
    fn what_another_kept_in_the_meantime_is_added_once() {
        let (mut mine, mut other) = (corpus(), corpus());
        mine.kept.truncate(30);
        other.kept.drain(..10);
        mine.take(other);
        assert_eq!(mine.kept.len(), 40);
    }

    #[test]
    fn a_variation_is_of_what_was_kept_on_its_machine() {
        let mut corpus = corpus();
        for number in 0..60 {
            let varied = corpus.varied(draw(), number).unwrap();
            assert_eq!(varied.sequence.setup, draw().setup(number));
            for name in varied.of() {
                let kept = corpus.kept.iter().find(|kept| kept.name == *name).unwrap();
                assert_eq!(kept.machine, varied.sequence.machine().name);
            }
        }
        // The first machine has none of its own then.
        corpus.kept.retain(|kept| kept.machine == "cpus");
        let elsewhere = corpus.varied(draw(), 0).unwrap();
        assert_ne!(elsewhere.sequence.machine().name, "cpus");
        assert_eq!(Corpus::new(whose("one")).varied(draw(), 0), None);
    }
}
