// SPDX-License-Identifier: MIT OR Apache-2.0
//! A strict reader of XML: what it does not refuse, no parser refuses for its form.

use std::collections::BTreeMap;

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Text and CDATA sections, joined.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// The `Char` production of XML 1.0 (fifth edition, section 2.2).
fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Reads a document with one root.
pub(crate) fn parse(xml: &str) -> Result<Element, String> {
    if let Some(c) = xml.chars().find(|c| !is_char(*c)) {
        return Err(format!("{c:?} is no character of XML"));
    }
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let event = reader.read_event().map_err(|e| e.to_string())?;
        let closed = match event {
            Event::Start(start) => {
                open.push(element(&start)?);
                None
            }
            Event::Empty(start) => Some(element(&start)?),
            Event::End(_) => open.pop(),
            Event::CData(data) => {
                let data = std::str::from_utf8(&data).map_err(|e| e.to_string())?;
                let parent = open.last_mut().ok_or("CDATA outside the root")?;
                parent.text.push_str(data);
                None
            }
            Event::Text(text) => {
                let text = std::str::from_utf8(&text).map_err(|e| e.to_string())?;
                if text.contains("]]>") {
                    return Err("`]]>` in text".to_owned());
                }
                match open.last_mut() {
                    Some(parent) => parent.text.push_str(text),
                    None if text.trim().is_empty() => {}
                    None => return Err("text outside the root".to_owned()),
                }
                None
            }
            Event::Decl(_) => None,
            Event::Eof => break,
            other => return Err(format!("unexpected {other:?}")),
        };
        if let Some(element) = closed {
            match open.last_mut() {
                Some(parent) => parent.children.push(element),
                None if root.is_none() => root = Some(element),
                None => return Err("two roots".to_owned()),
            }
        }
    }
    if let Some(element) = open.pop() {
        return Err(format!("<{}> is not closed", element.name));
    }
    root.ok_or_else(|| "no root".to_owned())
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string());
    let mut element = Element {
        name: text(start.name().as_ref())?,
        ..Element::default()
    };
    for attribute in start.attributes().with_checks(true) {
        let attribute = attribute.map_err(|e| e.to_string())?;
        if attribute.value.contains(&b'<') {
            return Err("`<` in an attribute".to_owned());
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|e| e.to_string())?;
        element
            .attributes
            .insert(text(attribute.key.as_ref())?, value.into_owned());
    }
    Ok(element)
}

#[test]
fn what_is_no_xml_is_refused() {
    for wrong in [
        "",
        "<a>",
        "<a></b>",
        "<a/><a/>",
        "<a>\u{1b}</a>",
        "<a>]]></a>",
        "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<a b='&nothing;'/>",
        "<a><![CDATA[ ]]> ]]></a>",
        "text",
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    let right = parse("<a b='&lt;'>x<![CDATA[<&]]]]><![CDATA[>]]></a>").unwrap();
    assert_eq!((right.attribute("b"), right.text.as_str()), ("<", "x<&]]>"));
}
