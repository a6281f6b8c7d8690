// SPDX-License-Identifier: MIT OR Apache-2.0
//! A matrix: kernels × architectures × command lines × suites, with what is left out and what is added.

use serde::Deserialize;

use super::{
    case::{Case, Suite},
    error::{Complaint, SuiteErrors},
    places::{Kind, Node, Spot},
    yaml,
};
use base::Arch;

/// A matrix, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Its name.
    pub name: String,
    /// Kernels, as on the command line.
    pub(crate) kernels: Vec<String>,
    pub(crate) arches: Vec<Arch>,
    /// Suites, as on the command line.
    pub(crate) suites: Vec<String>,
    /// Choices of variants that are kept, such as `memmap_on_memory=on`. What is varied and not named here is kept whole.
    pub(crate) variants: Vec<String>,
    /// Words added to the kernel's command line; each list makes a job of its own.
    pub(crate) cmdlines: Vec<Vec<String>>,
    /// What is left out.
    pub(crate) exclude: Vec<Pick>,
    /// What is added.
    pub(crate) include: Vec<Pick>,
}

/// A part of a matrix; what is not said means all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pick {
    #[serde(default)]
    pub(crate) kernel: Option<String>,
    #[serde(default)]
    pub(crate) arch: Option<Arch>,
    #[serde(default)]
    pub(crate) suite: Option<String>,
    /// A case of it, by its id.
    #[serde(default)]
    pub(crate) case: Option<String>,
    /// A choice of a variant, such as `memmap_on_memory=on`.
    #[serde(default)]
    pub(crate) variant: Option<String>,
    /// Words of the command line, one after another as in `cmdlines`.
    #[serde(default)]
    pub(crate) cmdline: Option<Vec<String>>,
}

/// What a job is, as far as a matrix asks.
#[derive(Debug, Clone, Copy)]
pub struct Coordinates<'a> {
    /// The kernel, as it was named.
    pub kernel: &'a str,
    /// The architecture.
    pub arch: Arch,
    /// The suite, as it was named.
    pub suite: &'a str,
    /// Id of the case.
    pub case: &'a str,
    /// The choices of its variant, such as `memmap_on_memory=on`.
    pub variant: &'a [String],
    /// The words that are added to the command line.
    pub cmdline: &'a [String],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMatrix {
    matrix: String,
    #[serde(default, rename = "about")]
    _about: Option<String>,
    kernels: Vec<String>,
    #[serde(default)]
    arches: Vec<Arch>,
    suites: Vec<String>,
    #[serde(default)]
    variants: Vec<String>,
    #[serde(default)]
    cmdlines: Vec<Vec<String>>,
    #[serde(default)]
    exclude: Vec<Pick>,
    #[serde(default)]
    include: Vec<Pick>,
}

impl RawMatrix {
    fn has_arch(&self, arch: Arch) -> bool {
        self.arches.is_empty() || self.arches.contains(&arch)
    }

    fn has_cmdline(&self, words: &Vec<String>) -> bool {
        match self.cmdlines.is_empty() {
            true => words.is_empty(),
            false => self.cmdlines.contains(words),
        }
    }
}

/// Says what is wrong with a name, with a hint where there is one.
pub(crate) type CheckName<'a> = &'a dyn Fn(&str) -> Result<(), (String, Option<String>)>;

impl Matrix {
    /// Reads a matrix. `kernel` and `suite` say whether a name means something.
    ///
    /// # Errors
    /// What is wrong with the text, each with its place.
    pub fn parse(
        file: &str,
        text: &str,
        kernel: CheckName<'_>,
        suite: CheckName<'_>,
    ) -> Result<Self, SuiteErrors> {
        let tree = Node::scan(text);
        let failed = |complaints| SuiteErrors {
            file: file.to_owned(),
            complaints,
        };
        if tree.kind == Kind::Scalar && tree.span.is_empty() {
            let hint = "begin with `matrix: NAME`, `kernels:` and `suites:`".to_owned();
            return Err(failed(vec![Complaint::at(
                text,
                0..0,
                "the matrix is empty",
                Some(hint),
            )]));
        }
        let doubled = yaml::doubled_keys(text, &tree);
        if !doubled.is_empty() {
            return Err(failed(doubled));
        }
        let raw: RawMatrix = serde_yaml::from_str(text).map_err(|error| {
            let (_, mut complaint) = yaml::complaint(text, text, &tree, &error);
            complaint.message = complaint
                .message
                .replace("a suite:", "a matrix:")
                .replace("in the suite", "in the matrix")
                .replace(
                    "struct RawMatrix",
                    "a mapping with the keys `matrix`, `kernels` and `suites`",
                )
                .replace(" in a case", "");
            failed(vec![complaint])
        })?;
        let wrong = check(text, &Spot::root(&tree), &raw, kernel, suite);
        if !wrong.is_empty() {
            return Err(failed(wrong));
        }
        let or = |list: Vec<Arch>| if list.is_empty() { Arch::ALL.to_vec() } else { list };
        Ok(Self {
            name: raw.matrix,
            kernels: raw.kernels,
            arches: or(raw.arches),
            suites: raw.suites,
            variants: raw.variants,
            cmdlines: if raw.cmdlines.is_empty() {
                vec![Vec::new()]
            } else {
                raw.cmdlines
            },
            exclude: raw.exclude,
            include: raw.include,
        })
    }

    /// Looks whether each of its parts means some case of its suites, which come with the names that it has for them: one that means none would be
    /// passed over without a word. `file` and `text` are those that it was read from.
    ///
    /// # Errors
    /// What means nothing, each with its place.
    pub fn check_parts(&self, file: &str, text: &str, suites: &[(&str, &Suite)]) -> Result<(), SuiteErrors> {
        let tree = Node::scan(text);
        let root = Spot::root(&tree);
        let mut complaints = Vec::new();
        let mut note = |spot: &Spot<'_>, message: String, hint: String| {
            complaints.push(Complaint::at(text, spot.span(), message, Some(hint)));
        };
        let cases_of = |said: Option<&String>| -> Vec<&Case> {
            let meant = |name: &str| said.is_none_or(|said| said == name);
            suites
                .iter()
                .filter(|(name, _)| meant(name))
                .flat_map(|(_, suite)| &suite.cases)
                .collect()
        };
        let of_axis: Vec<&Case> = self.suites.iter().flat_map(|name| cases_of(Some(name))).collect();
        for (at, choice) in self.variants.iter().enumerate() {
            if !of_axis.iter().any(|case| has(case, choice)) {
                note(
                    &root.value("variants").item(at),
                    format!("no case has the variant `{choice}`"),
                    choices(&of_axis),
                );
            }
        }
        let exclude = (&self.exclude, "exclude", self.arches.clone());
        let include = (&self.include, "include", self.all_arches());
        for (picks, key, arches) in [exclude, include] {
            for (at, pick) in picks.iter().enumerate() {
                let spot = root.value(key).item(at);
                let mut cases = cases_of(pick.suite.as_ref());
                let Some(any) = cases.first().copied() else {
                    continue;
                };
                if let Some(id) = &pick.case {
                    cases.retain(|case| case.id == *id);
                    if cases.is_empty() {
                        let hint = format!("`memrig list` shows them, such as {}", any.id);
                        note(&spot.value("case"), format!("there is no case `{id}`"), hint);
                        continue;
                    }
                }
                let all = cases.clone();
                if let Some(choice) = &pick.variant {
                    cases.retain(|case| has(case, choice));
                    if cases.is_empty() {
                        let message = format!("no case that is meant has the variant `{choice}`");
                        note(&spot.value("variant"), message, choices(&all));
                        continue;
                    }
                }
                let arches = pick.arch.map_or(arches.clone(), |arch| vec![arch]);
                let runs = |case: &&Case| {
                    let needs = case.needs.arch.as_ref();
                    needs.is_none_or(|needs| arches.iter().any(|arch| needs.contains(arch)))
                };
                if !cases.iter().any(runs) {
                    let names: Vec<String> = arches.iter().map(ToString::to_string).collect();
                    let message = format!("no case that is meant is for {}", names.join(" or "));
                    note(&spot, message, format!("{} needs another `arch`", cases[0].id));
                }
            }
        }
        match complaints.is_empty() {
            true => Ok(()),
            false => Err(SuiteErrors {
                file: file.to_owned(),
                complaints,
            }),
        }
    }

    /// Whether a job belongs to the matrix.
    pub fn takes(&self, job: Coordinates<'_>) -> bool {
        let named = |list: &[String], name: &str| list.iter().any(|one| one == name);
        let axes = named(&self.kernels, job.kernel)
            && self.arches.contains(&job.arch)
            && named(&self.suites, job.suite)
            && self.cmdlines.iter().any(|words| words == job.cmdline)
            && self.takes_variant(job.variant);
        let excluded = self.exclude.iter().any(|pick| pick.fits(job));
        // What is added is not left out again: the more special word counts.
        (axes && !excluded) || self.include.iter().any(|pick| pick.adds(job))
    }

    fn takes_variant(&self, choices: &[String]) -> bool {
        let name = |choice: &str| choice.split('=').next().unwrap_or(choice).to_owned();
        choices.iter().all(|choice| {
            let varied = name(choice);
            let mut listed = self.variants.iter().filter(|one| name(one) == varied).peekable();
            listed.peek().is_none() || listed.any(|one| one == choice)
        })
    }

    /// Every kernel that is named.
    pub fn all_kernels(&self) -> Vec<String> {
        let added = self.include.iter().filter_map(|pick| pick.kernel.clone());
        once(self.kernels.iter().cloned().chain(added))
    }

    /// Every architecture that is named.
    pub fn all_arches(&self) -> Vec<Arch> {
        let added = self.include.iter().filter_map(|pick| pick.arch);
        once(self.arches.iter().copied().chain(added))
    }

    /// Every suite that is named.
    pub fn all_suites(&self) -> Vec<String> {
        let added = self.include.iter().filter_map(|pick| pick.suite.clone());
        once(self.suites.iter().cloned().chain(added))
    }

    /// Every list of words that is added to a command line.
    pub fn all_cmdlines(&self) -> Vec<Vec<String>> {
        let added = self
            .include
            .iter()
            .map(|pick| pick.cmdline.clone().unwrap_or_default());
        once(self.cmdlines.iter().cloned().chain(added))
    }

    /// How many jobs it can come to at the most, where its suites have `cases` cases in all their variants.
    pub fn at_most(&self, cases: usize) -> usize {
        [
            self.all_kernels().len(),
            self.all_arches().len(),
            self.all_cmdlines().len(),
        ]
        .into_iter()
        .fold(cases, usize::saturating_mul)
    }
}

/// Whether a case is varied so.
fn has(case: &Case, choice: &str) -> bool {
    let mut all = case.variants.iter().flat_map(|variant| &variant.choices);
    all.any(|one| one.to_string() == choice)
}

/// The choices that there are, as a hint.
fn choices(cases: &[&Case]) -> String {
    let variants = cases.iter().flat_map(|case| &case.variants);
    let all = once(variants.flat_map(|variant| variant.choices.iter().map(ToString::to_string)));
    match all.is_empty() {
        true => "they are not varied".to_owned(),
        false => format!("they have {}", all.join(", ")),
    }
}

fn once<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

impl Pick {
    /// Whether the job is in this part.
    fn fits(&self, job: Coordinates<'_>) -> bool {
        let is = |said: &Option<String>, name: &str| said.as_ref().is_none_or(|said| said == name);
        is(&self.kernel, job.kernel)
            && self.arch.is_none_or(|arch| arch == job.arch)
            && is(&self.suite, job.suite)
            && is(&self.case, job.case)
            && self
                .variant
                .as_ref()
                .is_none_or(|said| job.variant.contains(said))
            && self.cmdline.as_ref().is_none_or(|words| words == job.cmdline)
    }

    /// Whether this part adds the job: one that says no command line means the plain one.
    fn adds(&self, job: Coordinates<'_>) -> bool {
        self.fits(job) && (self.cmdline.is_some() || job.cmdline.is_empty())
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn check(
    text: &str,
    root: &Spot<'_>,
    raw: &RawMatrix,
    kernel: CheckName<'_>,
    suite: CheckName<'_>,
) -> Vec<Complaint> {
    let mut wrong = Vec::new();
    let mut note = |spot: &Spot<'_>, message: String, hint: Option<String>| {
        wrong.push(Complaint::at(text, spot.span(), message, hint));
    };
    let axes: [(&str, &[String], Option<CheckName<'_>>); 3] = [
        ("kernels", &raw.kernels, Some(kernel)),
        ("suites", &raw.suites, Some(suite)),
        ("variants", &raw.variants, None),
    ];
    for (key, names, check) in axes {
        let list = root.value(key);
        if names.is_empty() && check.is_some() {
            note(
                &root.key(key),
                format!("`{key}` is empty: the matrix would have no job"),
                None,
            );
        }
        for (at, name) in names.iter().enumerate() {
            let spot = list.item(at);
            if names[..at].contains(name) {
                note(&spot, format!("`{name}` is there twice"), None);
            } else if let Some(Err((message, hint))) = check.map(|check| check(name)) {
                note(&spot, message, hint);
            } else if key == "variants" && !name.contains('=') {
                let hint = "a choice is NAME=VALUE, such as memmap_on_memory=on".to_owned();
                note(&spot, format!("`{name}` is no choice of a variant"), Some(hint));
            }
        }
    }
    for (at, words) in raw.cmdlines.iter().enumerate() {
        if raw.cmdlines[..at].contains(words) {
            note(
                &root.value("cmdlines").item(at),
                "the same command line is there twice".to_owned(),
                None,
            );
        }
    }
    for (key, picks) in [("exclude", &raw.exclude), ("include", &raw.include)] {
        for (at, pick) in picks.iter().enumerate() {
            let spot = root.value(key).item(at);
            if pick.is_empty() {
                note(
                    &spot,
                    format!("this `{key}` says nothing, and would mean everything"),
                    None,
                );
            }
            if key == "include" && (pick.kernel.is_none() || pick.suite.is_none()) {
                let hint = "such as { kernel: debian:sid, suite: standby }".to_owned();
                note(
                    &spot,
                    "what is added needs a `kernel` and a `suite`".to_owned(),
                    Some(hint),
                );
            }
            for (name, said, check) in [("kernel", &pick.kernel, kernel), ("suite", &pick.suite, suite)] {
                if let Some(Err((message, hint))) = said.as_deref().map(check) {
                    note(&spot.value(name), message, hint);
                }
            }
            // Something that is left out and is not there is a slip of the pen.
            for (name, said, list) in [
                ("kernel", &pick.kernel, &raw.kernels),
                ("suite", &pick.suite, &raw.suites),
            ] {
                if key == "exclude" && said.as_ref().is_some_and(|said| !list.contains(said)) {
                    let hint = format!("the matrix has {}", list.join(", "));
                    note(
                        &spot.value(name),
                        format!("no such {name} is in the matrix"),
                        Some(hint),
                    );
                }
            }
            if key == "exclude" && pick.arch.is_some_and(|arch| !raw.has_arch(arch)) {
                let message = "no such architecture is in the matrix".to_owned();
                note(&spot.value("arch"), message, None);
            }
            if key == "exclude" && pick.cmdline.as_ref().is_some_and(|words| !raw.has_cmdline(words)) {
                let message = "no such command line is in the matrix".to_owned();
                note(&spot.value("cmdline"), message, None);
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
matrix: nightly
about: all
kernels: [debian:trixie, debian:sid]
suites: [blocks, standby]
variants: [memmap_on_memory=on]
cmdlines: [[], [page_owner=on, x]]
exclude:
  - { kernel: debian:sid, suite: blocks, arch: x86_64 }
  - { cmdline: [page_owner=on, x], arch: s390x }
include:
  - { kernel: debian:bookworm, suite: blocks, case: B01 }
";

    fn parse(text: &str) -> Result<Matrix, SuiteErrors> {
        let kernel = |name: &str| match name.starts_with("debian:") {
            true => Ok(()),
            false => Err((
                format!("`{name}` names no kernel"),
                Some("such as debian:sid".to_owned()),
            )),
        };
        let suite = |name: &str| match name {
            "blocks" | "standby" => Ok(()),
            _ => Err((format!("there is no suite `{name}`"), None)),
        };
        Matrix::parse("m.yaml", text, &kernel, &suite)
    }

    fn takes(kernel: &str, arch: Arch, suite: &str, case: &str, variant: &[&str], cmdline: &[&str]) -> bool {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        parse(TEXT).unwrap().takes(Coordinates {
            kernel,
            arch,
            suite,
            case,
            variant: &owned(variant),
            cmdline: &owned(cmdline),
        })
    }

    #[test]
    fn axes_less_what_is_left_out_and_what_is_added() {
        use Arch::{S390x, X86_64};
        assert!(takes("debian:trixie", X86_64, "blocks", "B01", &[], &[]));
        assert!(takes(
            "debian:trixie",
            X86_64,
            "blocks",
            "B01",
            &[],
            &["page_owner=on", "x"]
        ));
        assert!(!takes(
            "debian:trixie",
            X86_64,
            "blocks",
            "B01",
            &[],
            &["page_owner=on"]
        ));
        assert!(!takes(
            "debian:trixie",
            S390x,
            "blocks",
            "B01",
            &[],
            &["page_owner=on", "x"]
        ));
        assert!(!takes("debian:sid", X86_64, "blocks", "B01", &[], &[]));
        assert!(takes("debian:sid", S390x, "blocks", "B01", &[], &[]));
        assert!(takes(
            "debian:sid",
            S390x,
            "standby",
            "S1",
            &["memmap_on_memory=on", "increment=4M"],
            &[]
        ));
        assert!(!takes(
            "debian:sid",
            S390x,
            "standby",
            "S1",
            &["memmap_on_memory=off"],
            &[]
        ));
        assert!(takes(
            "debian:bookworm",
            X86_64,
            "blocks",
            "B01",
            &["memmap_on_memory=off"],
            &[]
        ));
        assert!(!takes("debian:bookworm", X86_64, "blocks", "B02", &[], &[]));
        assert!(!takes(
            "debian:bookworm",
            X86_64,
            "blocks",
            "B01",
            &[],
            &["page_owner=on", "x"]
        ));
        let matrix = parse(TEXT).unwrap();
        assert_eq!(matrix.all_kernels().len(), 3);
        assert_eq!(matrix.at_most(10), 10 * 3 * 2 * 2);
        assert_eq!(matrix.at_most(usize::MAX), usize::MAX);
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        let told = |text: &str| parse(text).unwrap_err().to_string();
        let text = TEXT
            .replace("debian:sid]", "sid]")
            .replace("[blocks, standby]", "[blocks, stanby, blocks]");
        insta::assert_snapshot!(told(&text));
        insta::assert_snapshot!(told(&TEXT.replace("exclude:", "exclud:")));
        insta::assert_snapshot!(told(&TEXT.replace(", suite: blocks, case: B01", ", arch: arm")));
        insta::assert_snapshot!(told(
            "matrix: x\nkernels: []\nsuites: [blocks]\nvariants: [on]\nexclude:\n  - {}\n  - { suite: standby }\n"
        ));
        assert!(told("").contains("the matrix is empty"));
        assert!(told("kernels: [debian:sid]\nkernels: []\n").contains("twice"));
        assert!(
            told("just words").contains("m.yaml:1:1: "),
            "{}",
            told("just words")
        );
    }

    #[test]
    fn a_part_that_means_no_case_is_told_at_its_place() {
        let suite = |name: &str, cases: &str| {
            let text = format!("suite: {name}\nvariants: {{ memmap_on_memory: [off, on] }}\ncases:\n{cases}");
            Suite::parse(&format!("{name}.yaml"), &text).unwrap()
        };
        let blocks = suite("blocks", "  - { id: B01, name: a, steps: [log: { has: x }] }\n");
        let standby = suite(
            "standby",
            "  - { id: S01, name: a, needs: { arch: [s390x] }, variants: {}, steps: [log: { has: x }] }\n",
        );
        let suites = [("blocks", &blocks), ("standby", &standby)];
        let checked = |text: &str| parse(text).unwrap().check_parts("m.yaml", text, &suites);
        assert_eq!(checked(TEXT), Ok(()));
        let text = "\
matrix: m
kernels: [debian:sid]
suites: [blocks, standby]
variants: [memmap_on_memory=force]
exclude:
  - { case: B1 }
  - { case: S01, arch: x86_64 }
include:
  - { kernel: debian:sid, suite: standby, variant: memmap_on_memory=off }
  - { kernel: debian:sid, suite: standby, arch: x86_64 }
";
        insta::assert_snapshot!(checked(text).unwrap_err().to_string());
        let text = "matrix: m\nkernels: [debian:sid]\nsuites: [blocks]\narches: [s390x]\nexclude:\n  - { arch: x86_64 }\n  - { cmdline: [x] }\n";
        insta::assert_snapshot!(parse(text).unwrap_err().to_string());
    }
}
