// SPDX-License-Identifier: MIT OR Apache-2.0
//! docs/suite-reference.md, made from the schema, and so from the docs of the types themselves.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::schema::schema;

/// Shown first; a test reads it as a suite.
const EXAMPLE: &str = "\
# yaml-language-server: $schema=suite.schema.json
suite: example
about: a memory block goes online and offline, and the books balance
machine: { memory: 1GiB, hotplug: 2GiB }
variants: { memmap_on_memory: [off, on] }
cases:
  - id: E01
    name: a block goes online and offline
    steps:
      - add: { as: b }
      - online: { block: b, zone: movable }
      - offline: { block: b }
      - remove: { block: b }

  - id: E02
    name: a refused increment leaves nothing assigned
    needs: { generation: [G1] }
    known:
      - kernels: 6.9..6.18
        reason: assigned increments are not given back when one of them is refused
        sign: { step: 'fails: EPERM', kind: mismatch, pattern: '^standby increments assigned: predicted none, seen' }
    steps:
      - add: { as: b }
      - refuse_assign: { at: 2 }
      - online: { block: b, zone: movable, fails: EPERM }
      - assigned: { are: [] }
";

const INTRODUCTION: &str = "\
A suite is a YAML file in `suites/`. A case in it only says what to do, and what is special about the result. Everything else is checked
without being asked for: after every step memrig reads the guest's whole memory state and compares it with what its model predicts.

A step that fails as it should names the errno; the model then checks that nothing else has changed. Blocks are named by the step that adds
them. A name can cover several consecutive blocks: `b` is all of them, `b.0` the first. What is done to all of them is done one after
another, in ascending order.

Steps either act or look. A step that looks (`read`, `log`, `node`, `pages`, `uevents`, `notifiers`, `storage_commands`, `assigned`) changes nothing;
where one is about \"the last step that acts\", other looks in between do not count.
";

/// Writes a schema as text.
struct Reference {
    root: Value,
}

/// The text of `docs/suite-reference.md`.
pub(crate) fn reference_text() -> String {
    let reference = Reference {
        root: schema().as_value().clone(),
    };
    let mut text = String::new();
    match reference.write(&mut text) {
        Ok(()) => text,
        // Writing to a String cannot fail.
        Err(fmt::Error) => String::new(),
    }
}

/// The definitions that are mappings of their own, in the order in which an author meets them.
const MAPPINGS: [(&str, &str); 7] = [
    ("Case", "a case"),
    ("Machine", "`machine`"),
    ("Sclp", "`sclp`"),
    ("Needs", "`needs`"),
    ("Variants", "`variants`"),
    ("Known", "an element of `known`"),
    ("Sign", "`sign`"),
];

impl Reference {
    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "<!-- Generated from runner/suite/src/raw.rs and step/ by `MEMRIG_BLESS=1 cargo test`. -->"
        )?;
        writeln!(
            out,
            "# Suite reference\n\n{INTRODUCTION}\n```yaml\n{EXAMPLE}```\n"
        )?;
        writeln!(out, "## Keys of a suite\n\n{}\n", description(&self.root))?;
        self.table(out, &self.root)?;
        for (name, title) in MAPPINGS {
            let definition = self.definition(name);
            writeln!(out, "## Keys of {title}\n\n{}\n", description(definition))?;
            self.table(out, definition)?;
        }
        let step = self.definition("Step");
        writeln!(out, "## Steps\n\n{}\n", description(step))?;
        for variant in list(step, "oneOf") {
            let Some((word, takes)) = properties(variant).next() else {
                continue;
            };
            writeln!(out, "### `{word}`\n\n{}\n", description(variant))?;
            self.table(out, self.target(takes))?;
        }
        writeln!(out, "## Values\n")?;
        for (name, definition) in self.root["definitions"].as_object().into_iter().flatten() {
            let words: Vec<_> = list(definition, "oneOf")
                .filter(|word| word.get("const").is_some())
                .collect();
            if !words.is_empty() {
                writeln!(
                    out,
                    "### {name}\n\n{}\n\n| word | meaning |\n|---|---|",
                    description(definition)
                )?;
                for word in words {
                    writeln!(
                        out,
                        "| `{}` | {} |",
                        word["const"].as_str().unwrap_or_default(),
                        cell(word)
                    )?;
                }
                writeln!(out)?;
            } else if definition.get("properties").is_none() && name != "Step" {
                let words: Vec<_> = list(definition, "enum").filter_map(Value::as_str).collect();
                writeln!(out, "### {name}\n\n{}", description(definition))?;
                if !words.is_empty() {
                    writeln!(out, "\nOne of `{}`.", words.join("`, `"))?;
                }
                writeln!(out)?;
            }
        }
        out.truncate(out.trim_end().len());
        writeln!(out)
    }

    fn definition(&self, name: &str) -> &Value {
        &self.root["definitions"][name]
    }

    fn target<'a>(&'a self, value: &'a Value) -> &'a Value {
        reference_name(value).map_or(value, |name| self.definition(name))
    }

    fn table(&self, out: &mut String, of: &Value) -> fmt::Result {
        let required: Vec<_> = list(of, "required").filter_map(Value::as_str).collect();
        writeln!(out, "| key | value | meaning |\n|---|---|---|")?;
        for needed in [true, false] {
            for (key, property) in
                properties(of).filter(|(key, _)| required.contains(&key.as_str()) == needed)
            {
                let mark = if needed { " (required)" } else { "" };
                writeln!(
                    out,
                    "| `{key}`{mark} | {} | {} |",
                    self.value(property),
                    cell(property)
                )?;
            }
        }
        writeln!(out)
    }

    /// What a key takes, in a few words.
    fn value(&self, property: &Value) -> String {
        if let Some(name) = reference_name(property) {
            let title = MAPPINGS
                .iter()
                .find(|(mapping, _)| *mapping == name)
                .map(|(_, title)| *title);
            return match title {
                _ if name == "Step" => "[step](#steps)".to_owned(),
                Some(title) => format!("[mapping](#keys-of-{})", title.replace('`', "").replace(' ', "-")),
                None => format!("[{name}](#{})", name.to_lowercase()),
            };
        }
        let types: Vec<_> = match &property["type"] {
            Value::String(one) => vec![one.as_str()],
            several => several
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect(),
        };
        match types.first().copied() {
            Some("array") => format!("list of {}", self.value(&property["items"])),
            Some("object") => format!(
                "mapping from name to {}",
                self.value(&property["additionalProperties"])
            ),
            Some("integer") => "number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("string") => "text".to_owned(),
            _ => "anything".to_owned(),
        }
    }
}

/// The definition that a property refers to, directly or as an optional value.
fn reference_name(property: &Value) -> Option<&str> {
    let inner = list(property, "allOf").chain(list(property, "anyOf"));
    [property]
        .into_iter()
        .chain(inner)
        .find_map(|value| value["$ref"].as_str()?.rsplit('/').next())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn properties(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value["properties"].as_object().into_iter().flatten()
}

fn description(value: &Value) -> &str {
    value["description"].as_str().unwrap_or_default()
}

/// The description, fit for one cell of a table.
fn cell(value: &Value) -> String {
    description(value)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Suite, schema::tests::is_current},
        *,
    };

    #[test]
    fn the_committed_reference_is_current() {
        is_current("docs/suite-reference.md", &reference_text());
    }

    #[test]
    fn the_example_is_a_suite() {
        let suite = Suite::parse("example.yaml", EXAMPLE).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(suite.cases.len(), 2);
    }

    #[test]
    fn every_step_and_every_link_is_there() {
        let text = reference_text();
        for word in ["add", "storage_commands", "repeat", "configure"] {
            assert!(text.contains(&format!("\n### `{word}`\n")), "{word}");
        }
        let headings: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")))
            .map(|heading| heading.replace('`', "").replace(' ', "-").to_lowercase())
            .collect();
        for link in text
            .split("](#")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
        {
            assert!(
                headings.iter().any(|heading| heading == link),
                "#{link} leads nowhere"
            );
        }
        assert!(!text.contains("| anything |"));
    }
}
