// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cobertura's XML (coverage-04.dtd), which GitLab shows in a merge request.

use super::counts::{line_counts, title};
use crate::text::{Lines, printable};
use record::{Coverage, CoveredKernel};

/// The coverage as Cobertura's XML: a package for each kernel whose lines are known, and a class for each of its files.
///
/// `timestamp` is when the run began, in seconds since 1970.
pub fn cobertura(coverage: &Coverage, timestamp: i64) -> String {
    let mut lines = Lines::default();
    lines.line(format_args!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    lines.line(format_args!(
        "<!DOCTYPE coverage SYSTEM \"http://cobertura.sourceforge.net/xml/coverage-04.dtd\">"
    ));
    let packages: Vec<Package> = coverage.kernels.iter().filter_map(package).collect();
    let of = |number: fn(&Class) -> usize| -> usize {
        packages
            .iter()
            .flat_map(|package| &package.classes)
            .map(number)
            .sum()
    };
    let (valid, covered) = (of(Class::valid), of(Class::covered));
    lines.line(format_args!(
        "<coverage line-rate=\"{}\" branch-rate=\"0\" lines-covered=\"{covered}\" lines-valid=\"{valid}\" \
         branches-covered=\"0\" branches-valid=\"0\" complexity=\"0\" version=\"memrig\" timestamp=\"{timestamp}\">",
        rate(covered, valid)
    ));
    lines.line(format_args!(
        "  <sources><source>.</source></sources>\n  <packages>"
    ));
    for package in &packages {
        let classes = || package.classes.iter();
        let rate_of = rate(
            classes().map(Class::covered).sum(),
            classes().map(Class::valid).sum(),
        );
        lines.line(format_args!(
            "    <package name=\"{}\" line-rate=\"{rate_of}\" branch-rate=\"0\" complexity=\"0\">\n      <classes>",
            attribute(&package.name)
        ));
        for class in &package.classes {
            let file = attribute(&class.file);
            lines.line(format_args!(
                "        <class name=\"{file}\" filename=\"{file}\" line-rate=\"{}\" branch-rate=\"0\" complexity=\"0\">\n          <methods/>\n          <lines>",
                rate(class.covered(), class.valid())
            ));
            for (line, hits) in &class.lines {
                lines.line(format_args!(
                    "            <line number=\"{line}\" hits=\"{hits}\"/>"
                ));
            }
            lines.line(format_args!("          </lines>\n        </class>"));
        }
        lines.line(format_args!("      </classes>\n    </package>"));
    }
    lines.line(format_args!("  </packages>\n</coverage>"));
    lines.into_text()
}

struct Package {
    name: String,
    classes: Vec<Class>,
}

struct Class {
    file: String,
    /// Line and how many cases ran it.
    lines: Vec<(u32, u64)>,
}

impl Class {
    fn valid(&self) -> usize {
        self.lines.len()
    }

    fn covered(&self) -> usize {
        self.lines.iter().filter(|(_, hits)| *hits > 0).count()
    }
}

fn package(kernel: &CoveredKernel) -> Option<Package> {
    let cases = kernel.ranges_of_cases();
    let sources = kernel
        .text
        .sources
        .iter()
        .filter(|source| !source.rows.is_empty());
    let classes: Vec<Class> = sources
        .map(|source| Class {
            file: source.file.clone(),
            lines: line_counts(kernel, source, &cases).into_iter().collect(),
        })
        .collect();
    (!classes.is_empty()).then(|| Package {
        name: title(kernel),
        classes,
    })
}

/// The part of the lines that ran; 1 where there are none, as other tools have it.
fn rate(covered: usize, valid: usize) -> String {
    match valid {
        0 => "1".to_owned(),
        valid => format!("{:.4}", covered as f64 / valid as f64),
    }
}

/// Text inside the quotes of an attribute.
fn attribute(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
