// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which line of its source each piece of a kernel's code was made from: the line tables of a `vmlinux` (DWARF).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, BufRead as _, BufReader, BufWriter, Read, Write},
    panic::resume_unwind,
    str::FromStr as _,
    sync::Arc,
    thread,
};

use addr2line::Context;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use gimli::{AttributeValue, Dwarf, EndianSlice, LineProgramHeader, RunTimeEndian, SectionId, Unit};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// Code that a line was made into.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Where it begins, in bytes from the start of the kernel's text (`_stext`).
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The line, from 1.
    pub line: u32,
    /// The function that the line is of, where that was inlined into another one here.
    pub inlined: Option<Arc<str>>,
}

/// The lines of a kernel that have code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineTable {
    /// The code of each source file, by its path in the kernel's tree; ascending.
    pub files: BTreeMap<String, Vec<Row>>,
    /// Where the functions begin, in bytes from there and ascending, and their names; none where a table was written without.
    pub functions: Vec<(u64, String)>,
}

/// The lines of a kernel cannot be known.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// No ELF file.
    #[error("not a readable ELF file: {0}")]
    Elf(#[from] object::Error),
    /// Its debug information does not read.
    #[error("debug information that does not read: {0}")]
    Dwarf(#[from] gimli::Error),
    /// It has none.
    #[error("it has no line tables: build it with debug information, -g1 is enough")]
    None,
    /// It does not say where its text begins.
    #[error("it is no kernel: it has no `_stext`")]
    NoText,
}

/// The file by which the root of the kernel's tree is found: each kernel has it.
const ROOT_MARK: &str = "/init/main.c";

impl LineTable {
    /// Changes when what a table holds does.
    pub const LAYOUT: &str = "lines 3";

    /// Reads the line tables of a `vmlinux`.
    ///
    /// Files that are not in the kernel's tree, such as those that its build made, are left out.
    ///
    /// # Errors
    /// [`LinesError`] says what is not there.
    pub fn of_vmlinux(bytes: &[u8]) -> Result<Self, LinesError> {
        let elf = object::File::parse(bytes)?;
        let start = elf
            .symbols()
            .find(|symbol| symbol.name() == Ok("_stext"))
            .ok_or(LinesError::NoText)?
            .address();
        let endian = match elf.is_little_endian() {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        };
        let section = |id: SectionId| -> Result<Slice<'_>, LinesError> {
            let data = match elf.section_by_name(id.name()) {
                Some(section) => section.data()?,
                None => &[],
            };
            Ok(EndianSlice::new(data, endian))
        };
        let dwarf = Arc::new(Dwarf::load(section)?);
        let files = rows(&dwarf, start)?;
        let root = files
            .keys()
            .find_map(|file| Some(format!("{}/", file.strip_suffix(ROOT_MARK)?)))
            .ok_or(LinesError::None)?;
        let mut table = Self {
            functions: functions(&elf, start)?,
            ..Self::default()
        };
        for (file, mut rows) in files {
            if let Some(file) = file.strip_prefix(&root) {
                rows.sort_unstable();
                rows.dedup();
                table.files.insert(file.to_owned(), rows);
            }
        }
        Ok(table)
    }

    /// The functions whose code some lines of a file are in: also those that the lines' own was inlined into.
    pub fn functions_of(&self, file: &str, is_meant: impl Fn(u32) -> bool) -> BTreeSet<&str> {
        let rows = self.files.get(file).into_iter().flatten();
        let rows = rows.filter(|row| is_meant(row.line));
        rows.filter_map(|row| self.function_at(row.offset)).collect()
    }

    /// The function that has the code at an offset; what the compiler split off of one (`.cold`, `.part.0`) is of it.
    fn function_at(&self, offset: u64) -> Option<&str> {
        let behind = self.functions.partition_point(|(start, _)| *start <= offset);
        let (_, name) = self.functions.get(behind.checked_sub(1)?)?;
        Some(name.split_once('.').map_or(name.as_str(), |(whole, _)| whole))
    }

    /// Writes the table as text, compressed (gzip): lines of `@` with how far a function begins behind the one before it, in hex, and its name; then lines
    /// of ` FILE`, each before its rows of how far a piece begins behind the one before it, its bytes (both in hex), its line, and the function where that
    /// was inlined.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        // A patched kernel waits for it: the usual level makes 2.0 MB of 2.8, and takes twenty times as long.
        let mut out = BufWriter::new(GzEncoder::new(out, Compression::fast()));
        let mut last = 0;
        for (start, name) in &self.functions {
            writeln!(out, "@{:x} {name}", start.wrapping_sub(last))?;
            last = *start;
        }
        for (file, rows) in &self.files {
            writeln!(out, " {file}")?;
            let mut last = 0;
            for row in rows {
                let delta = row.offset.wrapping_sub(last);
                write!(out, "{delta:x} {:x} {}", row.bytes, row.line)?;
                match &row.inlined {
                    Some(function) => writeln!(out, " {function}")?,
                    None => writeln!(out)?,
                }
                last = row.offset;
            }
        }
        out.into_inner()?.finish()?.flush()
    }

    /// Reads what [`Self::write`] wrote; only files that are wanted are kept.
    ///
    /// # Errors
    /// Those of `text`; [`io::ErrorKind::InvalidData`] where it is not such a text.
    pub fn read(text: impl Read, wanted: impl Fn(&str) -> bool) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a table of lines that does not read");
        let mut table = Self::default();
        let mut rows: Option<&mut Vec<Row>> = None;
        let mut last = 0u64;
        for line in BufReader::new(GzDecoder::new(text)).lines() {
            let line = line?;
            if let Some(file) = line.strip_prefix(' ') {
                rows = wanted(file).then(|| table.files.entry(file.to_owned()).or_default());
                last = 0;
            } else if let Some(function) = line.strip_prefix('@') {
                let (delta, name) = function.split_once(' ').ok_or_else(damaged)?;
                last = last.wrapping_add(u64::from_str_radix(delta, 16).map_err(|_| damaged())?);
                table.functions.push((last, name.to_owned()));
            } else if let Some(rows) = &mut rows {
                let mut words = line.split(' ');
                let mut hex = || u64::from_str_radix(words.next()?, 16).ok();
                let (delta, bytes) = (hex().ok_or_else(damaged)?, hex().ok_or_else(damaged)?);
                let line = words
                    .next()
                    .and_then(|word| u32::from_str(word).ok())
                    .ok_or_else(damaged)?;
                last = last.wrapping_add(delta);
                rows.push(Row {
                    offset: last,
                    bytes,
                    line,
                    inlined: words.next().map(Arc::from),
                });
            }
        }
        Ok(table)
    }
}

/// Rows by the full paths of their files, in no order.
type Files = BTreeMap<String, Vec<Row>>;

/// The rows of all units with the functions that were inlined, read by as many threads as there are processors: a patched kernel waits for it.
fn rows(dwarf: &Arc<Dwarf<Slice<'_>>>, start: u64) -> Result<Files, LinesError> {
    let mut headers = Vec::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        headers.push(header);
    }
    // Where it is not known how many processors there are, one does it.
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(headers.len());
    let of_thread = |number: usize| {
        let inlined = Inlined::of(dwarf.clone())?;
        let mut files = Files::new();
        for header in headers.iter().skip(number).step_by(threads) {
            of_unit(dwarf, &dwarf.unit(*header)?, start, &inlined, &mut files)?;
        }
        Ok::<_, LinesError>(files)
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || of_thread(number)))
            .collect();
        let mut files = Files::new();
        for thread in running {
            let part = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            for (file, rows) in part {
                files.entry(file).or_default().extend(rows);
            }
        }
        Ok(files)
    })
}

/// The functions of a kernel by its symbols, from the start of its text on.
fn functions(elf: &object::File<'_>, start: u64) -> Result<Vec<(u64, String)>, object::Error> {
    let mut functions = Vec::new();
    for symbol in elf.symbols() {
        if symbol.kind() == SymbolKind::Text && symbol.size() > 0 && symbol.address() >= start {
            functions.push((symbol.address() - start, symbol.name()?.to_owned()));
        }
    }
    functions.sort_unstable();
    // Of several names for one place the first is as good as any.
    functions.dedup_by_key(|(at, _)| *at);
    Ok(functions)
}

/// Which function code is of that was inlined.
struct Inlined<'a>(Context<Slice<'a>>);

impl<'a> Inlined<'a> {
    fn of(dwarf: Arc<Dwarf<Slice<'a>>>) -> Result<Self, LinesError> {
        Ok(Self(Context::from_arc_dwarf(dwarf)?))
    }

    /// The innermost function at an address, if it was inlined there. Debug information that does not name it, such as the assembler's, has none.
    fn at(&self, address: u64) -> Result<Option<Arc<str>>, LinesError> {
        let mut frames = self.0.find_frames(address).skip_all_loads()?;
        let Some(inner) = frames.next()? else {
            return Ok(None);
        };
        // Without one around it, the function is no inlined one.
        if frames.next()?.is_none() {
            return Ok(None);
        }
        let Some(function) = inner.function else {
            return Ok(None);
        };
        Ok(Some(function.raw_name()?.as_ref().into()))
    }
}

/// Adds the rows of one unit with the functions that were inlined.
fn of_unit(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    start: u64,
    inlined: &Inlined<'_>,
    files: &mut Files,
) -> Result<(), LinesError> {
    let Some(program) = unit.line_program.clone() else {
        return Ok(());
    };
    let mut names: HashMap<u64, String> = HashMap::new();
    let mut rows = program.rows();
    // A row goes up to the next one of its sequence.
    let mut open: Option<(u64, u64, u32)> = None;
    while let Some((header, row)) = rows.next_row()? {
        let address = row.address();
        if let Some((from, file, line)) = open.take()
            && line > 0
            && address > from
            && from >= start
        {
            let name = match names.entry(file) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(path(dwarf, unit, header, file)?)
                }
            };
            let row = Row {
                offset: from - start,
                bytes: address - from,
                line,
                inlined: inlined.at(from)?,
            };
            match files.get_mut(name.as_str()) {
                Some(rows) => rows.push(row),
                None => {
                    files.insert(name.clone(), vec![row]);
                }
            }
        }
        if !row.end_sequence() {
            let line = row.line().map_or(0, |line| line.get() as u32);
            open = Some((address, row.file_index(), line));
        }
    }
    Ok(())
}

/// The path of a file of a line program, from the root of the file system where it is known.
fn path(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    header: &LineProgramHeader<Slice<'_>>,
    file: u64,
) -> Result<String, LinesError> {
    let Some(file) = header.file(file) else {
        return Ok(String::new());
    };
    let text = |value: AttributeValue<Slice<'_>>| -> Result<String, LinesError> {
        Ok(dwarf.attr_string(unit, value)?.to_string_lossy().into_owned())
    };
    let mut path = match unit.comp_dir {
        Some(folder) => folder.to_string_lossy().into_owned(),
        None => String::new(),
    };
    if let Some(folder) = file.directory(header) {
        put(&mut path, &text(folder)?);
    }
    put(&mut path, &text(file.path_name())?);
    Ok(path)
}

/// Goes on from a folder by a path.
fn put(folder: &mut String, path: &str) {
    if path.starts_with('/') {
        folder.clear();
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                folder.truncate(folder.rfind('/').unwrap_or(0));
            }
            part => {
                folder.push('/');
                folder.push_str(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> LineTable {
        let row = |offset, bytes, line, inlined: Option<&str>| Row {
            offset,
            bytes,
            line,
            inlined: inlined.map(Arc::from),
        };
        LineTable {
            files: [
                (
                    "mm/a.c".to_owned(),
                    vec![row(0x10, 4, 7, None), row(0x20, 0x20, 9, Some("page_to_pfn"))],
                ),
                (
                    "mm/b.c".to_owned(),
                    vec![row(0, 1, 1, None), row(0x30, 4, 1, None)],
                ),
            ]
            .into(),
            functions: vec![
                (0, "f".to_owned()),
                (0x20, "g".to_owned()),
                (0x30, "f.cold".to_owned()),
            ],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let mut text = Vec::new();
        table().write(&mut text).unwrap();
        assert_eq!(LineTable::read(text.as_slice(), |_| true).unwrap(), table());
        let some = LineTable::read(text.as_slice(), |file| file == "mm/b.c").unwrap();
        assert_eq!(some.files.into_keys().collect::<Vec<_>>(), ["mm/b.c"]);
    }

    #[test]
    fn a_line_is_in_the_functions_that_have_its_code() {
        let table = table();
        let of = |file: &str, line: u32| {
            table
                .functions_of(file, |other| other == line)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(of("mm/a.c", 7), ["f"]);
        assert_eq!(of("mm/a.c", 9), ["g"]);
        assert_eq!(of("mm/b.c", 1), ["f"], "and its cold part");
        assert_eq!(of("mm/b.c", 2), Vec::<&str>::new());
        let before = LineTable {
            functions: Vec::new(),
            ..table.clone()
        };
        assert_eq!(before.functions_of("mm/a.c", |_| true), BTreeSet::new());
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let mut text = Vec::new();
        table().write(&mut text).unwrap();
        text.truncate(text.len() / 2);
        assert!(LineTable::read(text.as_slice(), |_| true).is_err());
    }

    #[test]
    fn paths_are_put_together_as_a_file_system_does() {
        let mut path = "/tree/build/x86_64".to_owned();
        put(&mut path, "../../work/./mm");
        put(&mut path, "sparse.c");
        assert_eq!(path, "/tree/work/mm/sparse.c");
        put(&mut path, "/usr/lib/a.h");
        assert_eq!(path, "/usr/lib/a.h");
    }

    #[test]
    fn code_of_an_inlined_function_has_its_name() {
        let place = tempfile::tempdir().unwrap();
        let source = "\
volatile int seen;
static inline __attribute__((always_inline)) void see(int it)
{
	seen = it;
}
void start_kernel(int it)
{
	seen = 1;
	see(it);
}
";
        fs_err::create_dir(place.path().join("init")).unwrap();
        fs_err::write(place.path().join("init/main.c"), source).unwrap();
        let made = std::process::Command::new("gcc")
            .current_dir(place.path())
            .args(["-O2", "-g1", "-ffreestanding", "-nostdlib", "-static"])
            .args(["-Wl,-e,start_kernel", "-Wl,--defsym,_stext=start_kernel"])
            .args(["-o", "vmlinux", "init/main.c"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let vmlinux = fs_err::read(place.path().join("vmlinux")).unwrap();
        let table = LineTable::of_vmlinux(&vmlinux).unwrap();
        let inlined = |line: u32| -> Vec<Option<&str>> {
            let rows = table.files["init/main.c"].iter().filter(|row| row.line == line);
            rows.map(|row| row.inlined.as_deref()).collect()
        };
        assert_eq!(inlined(4), [Some("see")]);
        assert_eq!(inlined(8), [None]);
    }

    #[test]
    fn what_is_no_kernel_says_so() {
        assert!(matches!(
            LineTable::of_vmlinux(b"bzImage"),
            Err(LinesError::Elf(_))
        ));
        let program = std::fs::read("/proc/self/exe").unwrap();
        assert!(matches!(LineTable::of_vmlinux(&program), Err(LinesError::NoText)));
    }
}
