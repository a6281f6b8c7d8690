// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a diff between two trees changes: lines of the new one, and functions of either.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use super::diff::counts;

/// Lines that a diff has added or changed, by the path of their new file: number, from 1, and text.
pub type AddedLines = BTreeMap<String, BTreeMap<u32, String>>;

/// What a diff changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// The lines that it has added or changed. A file that only lost lines has none.
    pub lines: AddedLines,
    /// The functions of C in which lines were added, changed or removed, by name; those that came or went among them.
    pub functions: BTreeSet<String>,
    /// Where those that are still there lie in the new tree: the file, and their first and last line.
    pub bodies: Vec<(String, RangeInclusive<u32>)>,
}

/// One of the two trees, as the lines of a hunk come by.
#[derive(Default)]
struct Side {
    /// The file that the diff is at; `None` where it has none here.
    file: Option<String>,
    /// The function that the last line was in.
    function: Option<String>,
    /// All functions that came by: the file, the name, the first and the last line.
    whole: Vec<(String, String, u32, u32)>,
}

impl Side {
    /// Takes the next line of the hunk, which has this number in the new file.
    fn take(&mut self, text: &str, number: u32, changed: bool, functions: &mut BTreeSet<String>) {
        let is_c = |file: &&String| file.ends_with(".c") || file.ends_with(".h");
        let Some(file) = self.file.as_ref().filter(is_c) else {
            return;
        };
        match Start::of(text) {
            Start::Function(name) => {
                self.whole.push((file.clone(), name.clone(), number, number));
                self.function = Some(name);
            }
            Start::Other => self.function = None,
            Start::End | Start::Within => {}
        }
        if let (Some(_), Some((.., last))) = (&self.function, self.whole.last_mut()) {
            *last = number;
        }
        if changed && let Some(function) = &self.function {
            functions.insert(function.clone());
        }
        if matches!(Start::of(text), Start::End) {
            self.function = None;
        }
    }
}

/// What a line of C says of where functions begin and end, in the style of the kernel: what lies in one is indented.
enum Start {
    /// A function begins, or is declared.
    Function(String),
    /// Something else begins.
    Other,
    /// A function ends, or something else.
    End,
    /// Neither.
    Within,
}

impl Start {
    fn of(text: &str) -> Self {
        let text = text.trim_end();
        match text.chars().next() {
            Some('}') => return Self::End,
            Some(first) if first.is_ascii_alphabetic() || first == '_' => {}
            _ => return Self::Within,
        }
        // A label, or a call such as EXPORT_SYMBOL(f);
        if text.ends_with(':') {
            return Self::Within;
        }
        if text.ends_with(';') {
            return Self::Other;
        }
        match function(text) {
            Some(name) => Self::Function(name.to_owned()),
            None if text.contains(['{', '=']) => Self::Other,
            // Its type alone, or a part of it.
            None => Self::Within,
        }
    }
}

/// The name of the function that a line declares: what stands before the first parenthesis that is not that of an attribute.
fn function(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let open = rest.find('(')?;
        let before = rest[..open].trim_end();
        let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &before[start.map_or(0, |at| at + 1)..];
        let behind = after_parenthesis(&rest[open..]);
        let goes_on = behind
            .trim_start()
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        match name {
            "" => return None,
            attribute if attribute.starts_with("__") && goes_on => rest = behind,
            _ if before[..before.len() - name.len()].contains('=') => return None,
            name => return Some(name),
        }
    }
}

/// What stands behind the parenthesis that a text begins with; nothing where it does not end.
fn after_parenthesis(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

impl Changed {
    /// Reads a diff whose hunks have the whole of each function (`git diff --function-context`, prefixes `a/` and `b/`). Where it has less, lines whose
    /// function does not show are of none.
    pub fn of(diff: &str) -> Self {
        let mut changed = Self::default();
        let (mut old, mut new) = (Side::default(), Side::default());
        // How many lines of the hunk are still to come, and the next one of the new file: one of them may look like a header.
        let (mut left, mut number) = (0u64, 0u32);
        for line in diff.lines() {
            let (mark, text) = line.split_at_checked(1).unwrap_or((" ", ""));
            match mark {
                "-" if left > 0 => {
                    left -= 1;
                    old.take(text, number, true, &mut changed.functions);
                }
                "+" if left > 0 => {
                    left -= 1;
                    new.take(text, number, true, &mut changed.functions);
                    if let Some(file) = &new.file {
                        let lines = changed.lines.entry(file.clone()).or_default();
                        lines.insert(number, text.to_owned());
                    }
                    number += 1;
                }
                " " if left > 1 => {
                    left -= 2;
                    old.take(text, number, false, &mut changed.functions);
                    new.take(text, number, false, &mut changed.functions);
                    number += 1;
                }
                _ => {
                    if let Some(path) = line.strip_prefix("--- ") {
                        old.file = named(path, "a/");
                    } else if let Some(path) = line.strip_prefix("+++ ") {
                        new.file = named(path, "b/");
                    } else if let (Some((less, more)), Some(start)) = (counts(line), new_start(line)) {
                        (left, number) = (less + more, start);
                        (old.function, new.function) = (None, None);
                    }
                }
            }
        }
        let functions = &changed.functions;
        let bodies = new
            .whole
            .into_iter()
            .filter(|(_, name, ..)| functions.contains(name));
        changed.bodies = bodies
            .map(|(file, _, first, last)| (file, first..=last))
            .collect();
        changed
    }
}

/// The path in a header; `None` for `/dev/null`.
fn named(path: &str, prefix: &str) -> Option<String> {
    let path = path.strip_prefix(prefix)?;
    Some(path.trim_end_matches('\t').to_owned())
}

/// The first line of a hunk in the new file.
fn new_start(header: &str) -> Option<u32> {
    let (_, new) = header.split_once(" +")?;
    let digits = new.find(|c: char| !c.is_ascii_digit()).unwrap_or(new.len());
    new[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_new_file() {
        let diff = "\
diff --git a/mm/a.c b/mm/a.c
--- a/mm/a.c
+++ b/mm/a.c
@@ -1 +1,2 @@ int f(void)
-old
+++ b/looks/like/a/header
+\tnew
@@ -9,3 +10,2 @@
 here
-gone
-gone too
+back
diff --git a/mm/b c.c b/mm/b c.c
new file mode 100644
--- /dev/null
+++ b/mm/b c.c\t
@@ -0,0 +1 @@
+one
\\ No newline at end of file
diff --git a/mm/d.c b/mm/d.c
--- a/mm/d.c
+++ /dev/null
@@ -1 +0,0 @@
-all
";
        let lines =
            |lines: &[(u32, &str)]| lines.iter().map(|(at, text)| (*at, (*text).to_owned())).collect();
        let a = lines(&[(1, "++ b/looks/like/a/header"), (2, "\tnew"), (11, "back")]);
        let expected: AddedLines = [
            ("mm/a.c".to_owned(), a),
            ("mm/b c.c".to_owned(), lines(&[(1, "one")])),
        ]
        .into();
        assert_eq!(Changed::of(diff).lines, expected);
    }

    #[test]
    fn functions_are_those_of_both_files() {
        let diff = "\
--- a/mm/a.c
+++ b/mm/a.c
@@ -1,33 +1,35 @@
 #include <linux/mm.h>
-#include <linux/old.h>
 
 static int __meminit kept(struct zone *zone,
 \t\t\t  int nid)
 {
 \tcall(zone);
+\tcall(nid);
 out:
 \treturn 0;
 }
+EXPORT_SYMBOL(kept);
 
 __printf(1, 2)
 static int
 shrunk(const char *why, ...)
 {
-\tgone();
 \treturn 1;
 }
 
-__must_check_like(3) int went(void)
-{
-}
+/* why */
+__must_check_like(3) int came(void) __releases(lock)
+{
+}
 
 static const struct ops ops = {
-\t.old = kept,
+\t.new = kept,
 };
 
 static void untouched(void)
 {
 \tif (x)
 \t\ty();
 }
-static struct lock lock = MUTEX(lock);
+static struct lock lock = MUTEX(lock),
+\tmore;
--- a/Documentation/a.rst
+++ b/Documentation/a.rst
@@ -1,2 +1,2 @@
 This calls online_pages(pfn)
-\tonce
+\ttwice
";
        // The counts of the header are those of the lines.
        let of = |marks: [char; 2]| {
            diff.lines()
                .skip(3)
                .take_while(|line| !line.starts_with("--- "))
                .filter(|line| line.starts_with(marks))
                .count()
        };
        assert_eq!((of([' ', '-']), of([' ', '+'])), (33, 35));
        let changed = Changed::of(diff);
        let names: Vec<&str> = changed.functions.iter().map(String::as_str).collect();
        assert_eq!(names, ["came", "kept", "shrunk", "went"]);
        // What went is nowhere, and what only lost lines is there.
        let bodies = [3..=10, 15..=18, 21..=23].map(|lines| ("mm/a.c".to_owned(), lines));
        assert_eq!(changed.bodies, bodies);
    }

    #[test]
    fn a_hunk_without_its_function_says_nothing() {
        let diff = "--- a/mm/a.c\n+++ b/mm/a.c\n@@ -7 +7 @@ static int f(void)\n-\told();\n+\tnew();\n";
        assert_eq!(Changed::of(diff).functions, BTreeSet::new());
        assert_eq!(Changed::of(diff).lines["mm/a.c"].len(), 1);
    }
}
