// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JSON schema of suites, for editors. memrig itself reads by the types and does not use it.

use schemars::{Schema, generate::SchemaSettings};

use super::raw::RawSuite;

/// The JSON schema (draft 7, which all editors know) of a suite file.
pub(crate) fn schema() -> Schema {
    let mut schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<RawSuite>();
    schema.insert("title".to_owned(), "A suite of memrig".into());
    schema
}

/// The text of `suites/suite.schema.json`.
pub(crate) fn schema_text() -> String {
    format!("{:#}\n", schema().as_value())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Compares a committed file with what it must be. With MEMRIG_BLESS=1 in the environment the file is written.
    pub(crate) fn is_current(path_from_top: &str, text: &str) {
        let path = format!("{}/../../{path_from_top}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("MEMRIG_BLESS").is_some() {
            fs_err::write(&path, text).unwrap();
        }
        let committed = fs_err::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{path_from_top} is not current: run `MEMRIG_BLESS=1 cargo test -p memrig-suite` and commit it"
        );
    }

    #[test]
    fn the_committed_schema_is_current() {
        is_current("suites/suite.schema.json", &schema_text());
    }

    #[test]
    fn everything_in_the_schema_is_described() {
        fn undescribed(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
            let Some(map) = value.as_object() else { return };
            if let Some(properties) = map.get("properties").and_then(serde_json::Value::as_object) {
                for (key, property) in properties {
                    if property.get("description").is_none() && property.get("$ref").is_none() {
                        found.push(format!("{path}.{key}"));
                    }
                }
            }
            map.iter()
                .for_each(|(key, value)| undescribed(value, &format!("{path}.{key}"), found));
        }
        let mut found = Vec::new();
        undescribed(schema().as_value(), "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
