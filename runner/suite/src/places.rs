// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where in a YAML text each key and value is.
//!
//! serde_yaml tells places only of its own errors; what is wrong with the meaning needs them too. This scanner reads the YAML that
//! suites are written in (block and flow style, quotes, comments, block scalars, anchors, tags) and builds a tree of spans. It
//! refuses nothing: where it loses its way the tree ends, and a place is that of the nearest thing that is known.

use std::ops::Range;

/// Byte offsets of something in the text.
pub(super) type Span = Range<usize>;

/// A value and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Keys with their spans, in the order of the text.
    Map(Vec<(String, Span, Node)>),
    /// Elements.
    Seq(Vec<Node>),
    /// Anything else, also an alias or nothing at all.
    Scalar,
}

/// A place in the tree that falls back to what is around it where the tree has no more.
#[derive(Debug, Clone)]
pub(super) struct Spot<'a> {
    node: Option<&'a Node>,
    span: Span,
}

/// Deeper nesting than any suite has; the scanner stops there.
const MAX_DEPTH: usize = 64;

impl Node {
    /// Reads a text.
    pub(super) fn scan(text: &str) -> Self {
        let mut scanner = Scanner {
            text,
            at: 0,
            depth: 0,
        };
        scanner.blank();
        while scanner.rest().starts_with("---") || scanner.rest().starts_with('%') {
            scanner.at = scanner.line_end();
            scanner.blank();
        }
        scanner.block(0)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, node)| node)
    }

    fn entry(&self, key: &str) -> Option<(&Span, &Node)> {
        match &self.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|(k, ..)| k == key)
                .map(|(_, span, node)| (span, node)),
            _ => None,
        }
    }

    /// The elements of a list; none where it is no list.
    pub(super) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::Seq(items) => items,
            _ => &[],
        }
    }

    /// This node and everything in it.
    pub(super) fn walk(&self, visit: &mut impl FnMut(&Node)) {
        visit(self);
        match &self.kind {
            Kind::Map(entries) => entries.iter().for_each(|(_, _, node)| node.walk(visit)),
            Kind::Seq(items) => items.iter().for_each(|node| node.walk(visit)),
            Kind::Scalar => {}
        }
    }
}

impl<'a> Spot<'a> {
    /// The whole text.
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            node: Some(node),
            span: node.span.start..node.span.start,
        }
    }

    /// The value of a key, or this place where there is none.
    pub(super) fn value(&self, key: &str) -> Self {
        match self.node.and_then(|node| node.entry(key)) {
            Some((name, node)) => {
                let span = if node.span.is_empty() {
                    name.clone()
                } else {
                    node.span.clone()
                };
                Self {
                    node: Some(node),
                    span,
                }
            }
            None => Self {
                node: None,
                span: self.span.clone(),
            },
        }
    }

    /// The key itself, or this place where there is none.
    pub(super) fn key(&self, key: &str) -> Self {
        match self.node.and_then(|node| node.entry(key)) {
            Some((name, node)) => Self {
                node: Some(node),
                span: name.clone(),
            },
            None => Self {
                node: None,
                span: self.span.clone(),
            },
        }
    }

    /// The n-th element of a list, from 0.
    pub(super) fn item(&self, index: usize) -> Self {
        match self.node.and_then(|node| node.items().get(index)) {
            Some(node) => Self {
                node: Some(node),
                span: node.span.clone(),
            },
            None => Self {
                node: None,
                span: self.span.clone(),
            },
        }
    }

    /// The only key of a mapping and its value: the word of a step and what it takes.
    pub(super) fn only_key(&self) -> Self {
        match self.node.map(|node| &node.kind) {
            Some(Kind::Map(entries)) if entries.len() == 1 => Self {
                node: Some(&entries[0].2),
                span: entries[0].1.clone(),
            },
            _ => self.clone(),
        }
    }

    /// Where it is.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn line_end(&self) -> usize {
        self.rest().find('\n').map_or(self.text.len(), |i| self.at + i)
    }

    /// Bytes before this place in its line.
    fn column(&self) -> usize {
        self.at - self.text[..self.at].rfind('\n').map_or(0, |i| i + 1)
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether the scanner is at the end of a line, or at a comment.
    fn at_line_end(&self) -> bool {
        match self.peek() {
            None | Some(b'\n') => true,
            Some(b'#') => self.at == 0 || self.text.as_bytes()[self.at - 1].is_ascii_whitespace(),
            _ => false,
        }
    }

    /// To the next thing that is no white space and no comment, over any number of lines.
    fn blank(&mut self) {
        loop {
            self.spaces();
            if self.at >= self.text.len() || !self.at_line_end() {
                return;
            }
            self.at = (self.line_end() + 1).min(self.text.len());
        }
    }

    fn nothing(&self) -> Node {
        Node {
            span: self.at..self.at,
            kind: Kind::Scalar,
        }
    }

    /// Whether a list element begins here.
    fn at_dash(&self) -> bool {
        let mut bytes = self.rest().bytes();
        bytes.next() == Some(b'-') && bytes.next().is_none_or(|b| b.is_ascii_whitespace())
    }

    fn at_document_end(&self) -> bool {
        self.column() == 0 && (self.rest().starts_with("---") || self.rest().starts_with("..."))
    }

    /// A value in block style whose first line is indented by at least `indent`.
    fn block(&mut self, indent: usize) -> Node {
        if self.at >= self.text.len()
            || self.column() < indent
            || self.at_document_end()
            || self.depth >= MAX_DEPTH
        {
            return self.nothing();
        }
        self.depth += 1;
        let node = if self.at_dash() {
            self.block_seq()
        } else if self.key_here().is_some() {
            self.block_map()
        } else {
            self.inline(indent)
        };
        self.depth -= 1;
        node
    }

    /// What follows `- ` or `key:`; `indent` is that of the line it belongs to.
    fn after_indicator(&mut self, indent: usize, list_may_stay: bool) -> Node {
        self.spaces();
        self.properties();
        if !self.at_line_end() {
            return self.inline(indent + 1);
        }
        let here = self.nothing();
        self.blank();
        let deeper = self.column() > indent || (list_may_stay && self.column() == indent && self.at_dash());
        if self.at < self.text.len() && deeper {
            self.block(indent)
        } else {
            here
        }
    }

    fn block_seq(&mut self) -> Node {
        let (start, indent) = (self.at, self.column());
        let (mut items, mut end) = (Vec::new(), start);
        while self.column() == indent && self.at_dash() {
            self.at += 1;
            self.spaces();
            let item = if !self.at_line_end() && (self.at_dash() || self.key_here().is_some()) {
                self.block(indent + 1)
            } else {
                self.after_indicator(indent, false)
            };
            end = end.max(item.span.end);
            items.push(item);
            self.blank();
        }
        Node {
            span: start..end,
            kind: Kind::Seq(items),
        }
    }

    fn block_map(&mut self) -> Node {
        let (start, indent) = (self.at, self.column());
        let (mut entries, mut end) = (Vec::new(), start);
        while self.column() == indent
            && !self.at_document_end()
            && let Some((key, span, after)) = self.key_here()
        {
            self.at = after;
            let value = self.after_indicator(indent, true);
            end = end.max(span.end).max(value.span.end);
            entries.push((key, span, value));
            self.blank();
        }
        Node {
            span: start..end,
            kind: Kind::Map(entries),
        }
    }

    /// The key that begins here, if this line has one: its text, its span, and the place after its colon.
    fn key_here(&self) -> Option<(String, Span, usize)> {
        let line = &self.text[self.at..self.line_end()];
        let (key, mut end) = match line.bytes().next()? {
            quote @ (b'"' | b'\'') => {
                let end = quoted_end(line, quote)?;
                (unquote(&line[..end]), end)
            }
            b'{' | b'[' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => return None,
            _ => {
                let end = (0..line.len()).find(|i| {
                    let bytes = line.as_bytes();
                    bytes[*i] == b':' && bytes.get(i + 1).is_none_or(u8::is_ascii_whitespace)
                })?;
                if line[..end].contains(" #") {
                    return None;
                }
                let key = line[..end].trim_end();
                (key.to_owned(), key.len())
            }
        };
        let span = self.at..self.at + end;
        end += line[end..].len() - line[end..].trim_start_matches([' ', '\t']).len();
        let colon =
            line[end..].starts_with(':') && line.as_bytes().get(end + 1).is_none_or(u8::is_ascii_whitespace);
        colon.then_some((key, span, self.at + end + 1))
    }

    /// Anchors and tags before a value.
    fn properties(&mut self) {
        while matches!(self.peek(), Some(b'&' | b'!')) {
            while self.peek().is_some_and(|b| !b.is_ascii_whitespace()) {
                self.at += 1;
            }
            self.spaces();
        }
    }

    /// A value that begins in this line: flow style, or a scalar whose further lines are indented by at least `indent`.
    fn inline(&mut self, indent: usize) -> Node {
        self.properties();
        match self.peek() {
            Some(b'{' | b'[') => self.flow(),
            Some(b'"' | b'\'') => self.quoted(),
            Some(b'|' | b'>') => self.block_scalar(indent),
            _ => self.plain(indent),
        }
    }

    fn quoted(&mut self) -> Node {
        let (start, rest) = (self.at, self.rest());
        let length = quoted_end(rest, rest.as_bytes()[0]).unwrap_or(rest.len());
        self.at += length;
        Node {
            span: start..self.at,
            kind: Kind::Scalar,
        }
    }

    fn block_scalar(&mut self, indent: usize) -> Node {
        let start = self.at;
        let mut end = self.line_end();
        loop {
            self.at = (end + 1).min(self.text.len());
            let line = &self.text[self.at..self.line_end()];
            let depth = line.len() - line.trim_start_matches(' ').len();
            if self.at >= self.text.len() || (!line.trim().is_empty() && depth < indent.max(1)) {
                break;
            }
            end = self.line_end();
        }
        let span = start..start + self.text[start..end].trim_end().len();
        Node {
            span,
            kind: Kind::Scalar,
        }
    }

    fn plain(&mut self, indent: usize) -> Node {
        let start = self.at;
        let mut end;
        loop {
            let line = &self.text[self.at..self.line_end()];
            let content = line.find(" #").map_or(line, |comment| &line[..comment]);
            end = self.at + content.trim_end().len();
            let commented = content.len() < line.len();
            self.at = self.line_end();
            let before = self.at;
            self.at = (self.at + 1).min(self.text.len());
            while self.at < self.text.len() && self.text[self.at..self.line_end()].trim().is_empty() {
                self.at = (self.line_end() + 1).min(self.text.len());
            }
            self.spaces();
            let continues = !commented
                && self.at < self.text.len()
                && self.column() >= indent.max(1)
                && !self.at_line_end()
                && self.key_here().is_none();
            if !continues {
                self.at = before;
                break;
            }
        }
        Node {
            span: start..end.max(start),
            kind: Kind::Scalar,
        }
    }

    /// A value in flow style; over any number of lines.
    fn flow(&mut self) -> Node {
        let start = self.at;
        let open = self.peek();
        if self.depth >= MAX_DEPTH {
            self.at = self.text.len();
            return Node {
                span: start..self.at,
                kind: Kind::Scalar,
            };
        }
        self.depth += 1;
        self.at += 1;
        let (mut entries, mut items) = (Vec::new(), Vec::new());
        let mut last = start;
        loop {
            self.blank();
            // A stray indicator is stepped over, so that every round moves on.
            if self.at == last {
                self.at += self.rest().chars().next().map_or(0, char::len_utf8);
            }
            last = self.at;
            match self.peek() {
                None => break,
                Some(b'}' | b']') => {
                    self.at += 1;
                    break;
                }
                Some(b',') => self.at += 1,
                Some(_) if open == Some(b'{') => entries.push(self.flow_entry()),
                Some(_) => {
                    let before = self.at;
                    let item = self.flow_value();
                    self.spaces();
                    if self.peek() == Some(b':') {
                        self.at = before;
                        let (name, key, value) = self.flow_entry();
                        let span = key.start..value.span.end.max(key.end);
                        items.push(Node {
                            span,
                            kind: Kind::Map(vec![(name, key, value)]),
                        });
                    } else {
                        items.push(item);
                    }
                }
            }
        }
        self.depth -= 1;
        let kind = if open == Some(b'{') {
            Kind::Map(entries)
        } else {
            Kind::Seq(items)
        };
        Node {
            span: start..self.at,
            kind,
        }
    }

    /// `key: value` inside a flow collection, or a key alone.
    fn flow_entry(&mut self) -> (String, Span, Node) {
        let key = self.flow_value();
        let name = unquote(&self.text[key.span.clone()]);
        self.blank();
        if self.peek() != Some(b':') {
            return (name, key.span, self.nothing());
        }
        self.at += 1;
        self.blank();
        let absent = matches!(self.peek(), Some(b',' | b'}' | b']'));
        let value = if absent { self.nothing() } else { self.flow_value() };
        (name, key.span, value)
    }

    /// A key or value inside a flow collection.
    fn flow_value(&mut self) -> Node {
        self.properties();
        match self.peek() {
            Some(b'{' | b'[') => return self.flow(),
            Some(b'"' | b'\'') => return self.quoted(),
            _ => {}
        }
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(byte) = self.peek() {
            let next = bytes.get(self.at + 1).copied();
            let ends = match byte {
                b',' | b'[' | b']' | b'{' | b'}' => true,
                b':' => next
                    .is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b',' | b'[' | b']' | b'{' | b'}')),
                b'#' => self.at > start && bytes[self.at - 1].is_ascii_whitespace(),
                _ => false,
            };
            if ends && (self.at > start || matches!(byte, b',' | b']' | b'}' | b':')) {
                break;
            }
            self.at += 1;
        }
        let end = start + self.text[start..self.at].trim_end().len();
        Node {
            span: start..end,
            kind: Kind::Scalar,
        }
    }
}

/// The length of the quoted scalar at the beginning of `text`.
fn quoted_end(text: &str, quote: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            b if b == quote && quote == b'\'' && bytes.get(at + 1) == Some(&quote) => at += 1,
            b if b == quote => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A key without its quotes. Escapes in double quotes stay: no key of a suite has one.
fn unquote(text: &str) -> String {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'')
        .map(|inner| inner.replace("''", "'"))
        .or_else(|| inner('"').map(str::to_owned))
        .unwrap_or_else(|| text.to_owned())
}
