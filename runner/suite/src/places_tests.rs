// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scanner of places, held against serde_yaml.

use proptest::prelude::*;
use serde_yaml::Value;

use super::places::{Kind, Node, Spot};

/// Where the scanner and serde_yaml see a different tree.
fn difference(node: &Node, value: &Value, path: &str) -> Option<String> {
    match (&node.kind, value) {
        (Kind::Map(entries), Value::Mapping(map)) => {
            let keys: Vec<_> = entries.iter().map(|(key, ..)| key.as_str()).collect();
            let expected: Vec<_> = map.keys().map(|key| key.as_str().unwrap_or("?")).collect();
            if keys != expected {
                return Some(format!("{path}: keys {keys:?}, not {expected:?}"));
            }
            entries
                .iter()
                .zip(map.values())
                .find_map(|((key, _, n), v)| difference(n, v, &format!("{path}.{key}")))
        }
        (Kind::Seq(items), Value::Sequence(values)) => {
            if items.len() != values.len() {
                return Some(format!("{path}: {} items, not {}", items.len(), values.len()));
            }
            items
                .iter()
                .zip(values)
                .enumerate()
                .find_map(|(i, (n, v))| difference(n, v, &format!("{path}[{i}]")))
        }
        (Kind::Scalar, Value::Mapping(_) | Value::Sequence(_)) | (Kind::Map(_) | Kind::Seq(_), _) => {
            Some(format!("{path}: {node:?}, not {value:?}"))
        }
        (Kind::Scalar, _) => None,
    }
}

fn agrees(text: &str) {
    let value: Value = serde_yaml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(difference(&Node::scan(text), &value, ""), None, "{text}");
}

const MIXED: &str = "\
# a comment first
%YAML_IS_NOT_HERE: 1
suite: blocks   # and one behind
about: a sentence that goes on
  in the next line, with a colon:inside

machine: { memory: 1GiB,   # in the middle
  hotplug: '2GiB', sclp: { max_element_id: 2 }, empty: }
list:
- one
-
  two
- - nested
  - [a, b: c, \"d, e\"]
-   key: value
    other:
    - same indent
    more: \"quoted: \\\" text\"
script: |
  - not: a list
    # not a comment

  key: no key
folded: >-
    one
     two
'quoted key': *alias
tagged: !!str yes
anchored: &alias
  a: b
empty:
last: [
  x, y,
]
";

#[test]
fn the_tree_is_that_of_serde_yaml() {
    // The alias is defined after its use, and % begins a directive: neither is YAML.
    agrees(&MIXED.replace("*alias", "1").replace("%YAML_IS_NOT_HERE: 1\n", ""));
    for text in [
        "",
        "a",
        "[a, {b: c}]",
        "- a\n- b: c\n  d: e\n-\n- \n  - x\n",
        "---\na: b\n",
        "a:\n  b:\n\n    c: d # x\n\n  # y\n  e: f#g\n",
        "a: http://x/y\nb: {c: http://x/y, d: x}\n",
        "a: 'it''s: x'\nb: \"\\\"\"\n",
        "a:\n  - |\n    x: y\n  - z\n",
        "steps:\n  - read: { is: '{number}' }\n  - log: {has: 'a: [b] {c}, d'}\n",
        "ä: ö\nü: [ß, {é: à}]\n",
        "a: b\r\nc:\r\n  - d\r\n",
        "{a: [1, 2],\n b: {c: d}}\n",
        "a: \"x\n  y: z\"\nb: c\n",
        "a: - b\n".replace("- b", "-b").as_str(),
        "a:\n- b:\n  - c\n- d\n",
    ] {
        agrees(text);
    }
}

#[test]
fn spans_are_those_of_the_text() {
    let text = MIXED;
    let tree = Node::scan(text);
    let at = |spot: &Spot<'_>| text[spot.span()].to_owned();
    let root = Spot::root(&tree);
    assert_eq!(at(&root.key("machine")), "machine");
    assert_eq!(
        at(&root.value("machine").value("sclp").key("max_element_id")),
        "max_element_id"
    );
    assert_eq!(at(&root.value("machine").value("hotplug")), "'2GiB'");
    assert_eq!(
        at(&root.value("list").item(3).value("other").item(0)),
        "same indent"
    );
    assert_eq!(at(&root.value("list").item(2).item(1).item(2)), "\"d, e\"");
    assert_eq!(at(&root.value("suite")), "blocks");
    assert_eq!(
        at(&root.value("empty")),
        "empty",
        "nothing to point at but the key"
    );
    assert_eq!(
        at(&root.value("suite").value("none").item(7)),
        "blocks",
        "falls back to what is around it"
    );
}

#[test]
fn it_ends_on_anything() {
    for text in [
        "{", "[{", "a: {b", "'", "a: '", "- - - [", "{{{:,}", "]", ":", "a: |", "\t", "- \t- a", "}\n}",
        "? a\n: b",
    ] {
        Node::scan(text);
    }
    Node::scan(&"[".repeat(100_000));
    Node::scan(&"- ".repeat(100_000));
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[ -~äö\n]{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map("[a-z][a-z #'.:_-]{0,6}[a-z]", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "[ -~\n\t]{0,80}") {
        let tree = Node::scan(&text);
        tree.walk(&mut |node| assert!(text.get(node.span.clone()).is_some()));
    }

    #[test]
    fn block_style_is_understood(value in value()) {
        agrees(&serde_yaml::to_string(&value).unwrap());
    }

    #[test]
    fn flow_style_is_understood(value in value()) {
        agrees(&serde_json::to_string(&value).unwrap());
        agrees(&serde_json::to_string_pretty(&value).unwrap());
    }
}
