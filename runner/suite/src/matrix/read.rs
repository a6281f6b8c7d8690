// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a matrix, and what is wrong with its text.

use serde::Deserialize;

use super::axes::{Explore, Matrix, Pick};
use crate::{
    error::{Complaint, SuiteErrors},
    places::{Kind, Node, Spot},
    yaml,
};
use base::{Arch, time};

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
    #[serde(default)]
    explore: Option<RawExplore>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExplore {
    time: String,
    #[serde(default)]
    seed: Option<u64>,
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
        let mut wrong = check(text, &Spot::root(&tree), &raw, kernel, suite);
        let explore = match &raw.explore {
            None => None,
            Some(RawExplore { time: said, seed }) => match time(said) {
                Ok(time) => Some(Explore { time, seed: *seed }),
                Err(error) => {
                    let spot = Spot::root(&tree).value("explore").value("time");
                    let message = format!("`{said}` is no time: {error}");
                    wrong.push(Complaint::at(text, spot.span(), message, None));
                    None
                }
            },
        };
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
            explore,
        })
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
