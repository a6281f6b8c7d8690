// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stanzas of `Packages`, `Sources` and of apt's own `.sources` files.

/// One stanza: fields in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Stanza<'a> {
    /// Reads one stanza. Comments and lines that are no field are passed over.
    pub fn parse(text: &'a str) -> Self {
        let mut fields = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let mut end = line_end(text, at);
            let line = &text[at..end];
            if let (false, Some(colon)) = (line.starts_with(['#', ' ', '\t']), line.find(':')) {
                // The value reaches over all lines that are indented, and over comments among them.
                while text[end..].starts_with([' ', '\t', '#']) {
                    end = line_end(text, end);
                }
                fields.push((&line[..colon], text[at + colon + 1..end].trim()));
            }
            at = end;
        }
        Self { fields }
    }

    /// The value of a field, by its name in any case. Lines after the first are still indented.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |at| from + at + 1)
}

/// All stanzas of a file.
pub fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    text.split("\n\n")
        .map(Stanza::parse)
        .filter(|stanza| !stanza.fields.is_empty())
}

/// The stanzas that begin with `Package: name`, found without reading the others: an index has 60 MB.
pub fn stanza_of<'a>(text: &'a str, name: &str) -> Vec<Stanza<'a>> {
    let line = format!("Package: {name}\n");
    text.match_indices(&line)
        .filter(|(at, _)| *at == 0 || text[..*at].ends_with("\n\n"))
        .map(|(at, _)| {
            let end = text[at..].find("\n\n").map_or(text.len(), |end| at + end);
            Stanza::parse(&text[at..end])
        })
        .collect()
}

/// The names of all packages, as often as they are there.
pub fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("Package: "))
}

/// One alternative of a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The package.
    pub name: String,
    /// Operator (`=`, `>=`, …) and version, if there is a bound.
    pub version: Option<(String, String)>,
}

/// The alternatives, of which one is enough.
pub type Dependency = Vec<Relation>;

/// Reads a `Depends` field. Architecture qualifiers and restrictions are dropped.
pub fn depends(field: &str) -> Vec<Dependency> {
    let relation = |text: &str| {
        let text = text
            .split(['[', '<'])
            .next()
            .filter(|_| !text.contains('('))
            .unwrap_or(text);
        let (name, bound) = text.split_once('(').map_or((text, None), |(n, b)| (n, Some(b)));
        let name = name.trim().split(':').next()?.to_owned();
        let version = bound.and_then(|bound| {
            let bound = bound.split(')').next()?.trim();
            let split = bound.find(|c: char| !"<>=".contains(c))?;
            Some((bound[..split].to_owned(), bound[split..].trim().to_owned()))
        });
        (!name.is_empty()).then_some(Relation { name, version })
    };
    field
        .split(',')
        .map(|group| group.split('|').filter_map(relation).collect::<Vec<_>>())
        .filter(|group| !group.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INDEX: &str = "Package: libc6\nVersion: 2.41-12\nDepends: libgcc-s1\nDescription: C library\n more\n\n\
        Package: libc6-dev\nVersion: 2.41-12\n\nPackage: dropbear-bin\nSource: dropbear (1)\nVersion: 2025.89-1\n\
        Depends: libc6 (>= 2.38), libcrypt1 (>= 1:4.1.0), a | b:any (<< 3) [s390x]\nSHA256: 0af0\n";

    #[test]
    fn a_package_is_found_by_its_whole_name() {
        let found = stanza_of(INDEX, "libc6");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].get("version"), Some("2.41-12"));
        assert_eq!(found[0].get("Description"), Some("C library\n more"));
        assert_eq!(stanza_of(INDEX, "dropbear-bin")[0].get("SHA256"), Some("0af0"));
        assert!(stanza_of(INDEX, "bin").is_empty());
        assert_eq!(stanzas(INDEX).count(), 3);
    }

    #[test]
    fn dependencies_are_read() {
        let found = depends(stanza_of(INDEX, "dropbear-bin")[0].get("Depends").unwrap());
        let names: Vec<Vec<&str>> = found
            .iter()
            .map(|g| g.iter().map(|r| r.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["libc6"], vec!["libcrypt1"], vec!["a", "b"]]);
        assert_eq!(found[1][0].version, Some((">=".to_owned(), "1:4.1.0".to_owned())));
        assert_eq!(found[2][1].version, Some(("<<".to_owned(), "3".to_owned())));
        assert!(depends(" , ").is_empty());
    }

    #[test]
    fn comments_between_fields_do_not_matter() {
        let text = "# head\nTypes: deb\n# old URIs: none\nURIs: file:/srv\nSigned-By:\n -----BEGIN\n .\n x\n";
        let stanza = Stanza::parse(text);
        assert_eq!(stanza.get("URIs"), Some("file:/srv"));
        assert_eq!(stanza.get("Signed-By"), Some("-----BEGIN\n .\n x"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "([A-Ca-z:# \t\n.é]|Package: x\n){0,60}") {
            for stanza in stanzas(&text) {
                for (name, _) in stanza.fields {
                    prop_assert!(!name.contains('\n'));
                }
            }
            let _all = stanza_of(&text, "x");
            let _dependencies = depends(&text);
        }
    }
}
