// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a diff between two trees changes: lines of the new one, places of the old one, and functions of either.

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
    /// Where it changes functions of the old tree: the file, and the lines that go or change, or the two that something comes between.
    pub places: Vec<(String, RangeInclusive<u32>)>,
}

/// One of the two trees, as the lines of a hunk come by.
#[derive(Default)]
struct Side {
    /// The file that the diff is at; `None` where it has none here.
    file: Option<String>,
    /// The function that the last line was in.
    function: Option<String>,
    /// The number of the line that is next.
    next: u32,
    /// All functions that came by: the file, the name, the first and the last line.
    whole: Vec<(String, String, u32, u32)>,
}

impl Side {
    /// Begins a hunk, whose first line has this number.
    fn begin(&mut self, start: u32) {
        self.next = start;
        self.function = None;
    }

    /// Takes the next line of the hunk.
    fn take(&mut self, text: &str, changed: bool, functions: &mut BTreeSet<String>) {
        let number = self.next;
        self.next = self.next.saturating_add(1);
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

    /// The line that is next, if it lies in a function.
    fn within(&self) -> Option<u32> {
        self.function.as_ref().map(|_| self.next)
    }

    /// The lines from `first` up to the one that is next; where there is none between, these two and not one.
    fn place(&self, first: u32) -> Option<(String, RangeInclusive<u32>)> {
        let lines = match first == self.next {
            true => first.saturating_sub(1)..=first,
            false => first..=self.next - 1,
        };
        self.file.clone().map(|file| (file, lines))
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
        let in_front = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let name = &before[in_front.len()..];
        let behind = after_parenthesis(&rest[open..]);
        let goes_on = behind
            .trim_start()
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        match name {
            "" => return None,
            attribute if attribute.starts_with("__") && goes_on => rest = behind,
            _ if in_front.contains('=') => return None,
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
        // How many lines of the hunk are still to come: one of them may look like a header.
        let mut left = 0u64;
        // The first line of the old file that the lines that come by now are in place of.
        let mut place: Option<u32> = None;
        for line in diff.lines() {
            let (mark, text) = line.split_at_checked(1).unwrap_or((" ", ""));
            if !(matches!(mark, "-" | "+") && left > 0) {
                changed
                    .places
                    .extend(place.take().and_then(|first| old.place(first)));
            }
            match mark {
                "-" if left > 0 => {
                    left -= 1;
                    place = place.or(old.within());
                    old.take(text, true, &mut changed.functions);
                }
                "+" if left > 0 => {
                    left -= 1;
                    place = place.or(old.within());
                    if let Some(file) = &new.file {
                        let lines = changed.lines.entry(file.clone()).or_default();
                        lines.insert(new.next, text.to_owned());
                    }
                    new.take(text, true, &mut changed.functions);
                }
                " " if left > 1 => {
                    left -= 2;
                    old.take(text, false, &mut changed.functions);
                    new.take(text, false, &mut changed.functions);
                }
                _ => {
                    if let Some(path) = line.strip_prefix("--- ") {
                        old.file = named(path, "a/");
                    } else if let Some(path) = line.strip_prefix("+++ ") {
                        new.file = named(path, "b/");
                    } else if let (Some((less, more)), Some((in_old, in_new))) = (counts(line), starts(line))
                    {
                        left = less.saturating_add(more);
                        old.begin(in_old);
                        new.begin(in_new);
                    }
                }
            }
        }
        changed.places.extend(place.and_then(|first| old.place(first)));
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

/// The first lines of a hunk in the old file and in the new one.
fn starts(header: &str) -> Option<(u32, u32)> {
    let (old, new) = header.strip_prefix("@@ -")?.split_once(" +")?;
    let number = |text: &str| {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..digits].parse().ok()
    };
    Some((number(old)?, number(new)?))
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
    fn places_are_lines_of_the_old_file_within_functions() {
        let diff = "\
--- a/mm/a.c
+++ b/mm/a.c
@@ -5,12 +5,17 @@
 int f(void)
 {
+\tnew();
 \tseven();
-\teight();
-\tnine();
+\tother();
+\tmore();
 \tten();
+\tlast();
 }
 
+int came(void)
+{
+}
 int g(void)
 {
-\tgone();
 }
";
        let places = [6..=7, 8..=9, 10..=11, 15..=15].map(|lines| ("mm/a.c".to_owned(), lines));
        assert_eq!(Changed::of(diff).places, places);
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

    #[test]
    fn letters_of_any_language_and_numbers_of_any_size_are_read() {
        let diff =
            "--- a/a.c\n+++ b/a.c\n@@ -4294967295,2 +4294967295,2 @@\n-int r\u{fffd}f(\n+int \u{e9}(\n x\n";
        assert_eq!(Changed::of(diff).functions, ["f".to_owned()].into());
        let huge = "--- a/a.c\n+++ b/a.c\n@@ -0,18446744073709551615 +0,18446744073709551615 @@\n int f(void)\n+x();\n }\n";
        assert_eq!(Changed::of(huge).lines["a.c"], [(1, "x();".to_owned())].into());
    }
}
