// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a ledger from what its script prints: lines `file:content`, of all files in one stream.

use std::{collections::BTreeMap, fmt::Display};

use super::{
    AutoOnline, BlockId, BlockLedger, Hypervisor, Ledger, LedgerError, RamRange, Storage, Zone, ZoneCounters,
    ZoneId,
};
use base::Pages;

/// What has been read so far.
#[derive(Default)]
struct Seen<'a> {
    zones: BTreeMap<ZoneId, ZoneCounters>,
    zone: Option<ZoneId>,
    free: i64,
    free_seen: bool,
    mem_total: Option<Pages>,
    nr_memmap: Option<Pages>,
    nr_memmap_boot: Option<Pages>,
    auto_online: Option<AutoOnline>,
    /// Files of each block, with their content and line.
    blocks: BTreeMap<BlockId, BTreeMap<&'a str, (usize, &'a str)>>,
    storage: BTreeMap<BlockId, BTreeMap<&'a str, (usize, &'a str)>>,
    nodes: BTreeMap<BlockId, u32>,
    ram: Vec<RamRange>,
    isolate_column: Option<usize>,
    isolated: u64,
    tainted: u64,
    ended: bool,
}

fn number<T: std::str::FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.trim()
        .parse()
        .map_err(|e| format!("`{}` is no number: {e}", text.trim()))
}

/// A sum, unless it is larger than any that there is.
fn sum<T>(sum: Option<T>) -> Result<T, String> {
    sum.ok_or_else(|| "a sum that no memory has".to_owned())
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("expected 0 or 1".to_owned()),
    }
}

fn block_id(name: &str) -> Option<BlockId> {
    name.strip_prefix("memory")?.parse().ok().map(BlockId)
}

/// `Node 0, zone   Normal`, and what follows the zone's name.
fn zone_head(text: &str) -> Result<Option<(ZoneId, &str)>, String> {
    let Some(rest) = text.strip_prefix("Node") else {
        return Ok(None);
    };
    let (node, rest) = rest.split_once(", zone").ok_or("expected `, zone`")?;
    let rest = rest.trim_start();
    let end = rest
        .find(|c: char| c == ',' || c.is_whitespace())
        .unwrap_or(rest.len());
    let zone: Zone = rest[..end].parse().map_err(|e| format!("{e}"))?;
    let node = number(node)?;
    Ok(Some((ZoneId { node, zone }, &rest[end..])))
}

impl<'a> Seen<'a> {
    fn line(&mut self, at: usize, file: &'a str, text: &'a str) -> Result<(), String> {
        match file {
            "/proc/zoneinfo" => self.zoneinfo(text),
            "/proc/meminfo" => {
                if let Some(total) = text.strip_prefix("MemTotal:") {
                    let kib = total
                        .trim()
                        .strip_suffix(" kB")
                        .ok_or("expected a number of kB")?;
                    self.mem_total = Some(Pages::from_kib(number(kib)?));
                }
                Ok(())
            }
            "/proc/vmstat" => {
                match text.split_once(' ') {
                    Some(("nr_memmap_pages", n)) => self.nr_memmap = Some(Pages(number(n)?)),
                    Some(("nr_memmap_boot_pages", n)) => self.nr_memmap_boot = Some(Pages(number(n)?)),
                    _ => {}
                }
                Ok(())
            }
            "/proc/iomem" => self.iomem(text),
            "/proc/pagetypeinfo" => self.pagetypeinfo(text),
            "/proc/sys/kernel/tainted" => number(text).map(|n| self.tainted = n),
            "auto_online_blocks" => {
                self.auto_online = Some(text.parse().map_err(|e| format!("{e}"))?);
                Ok(())
            }
            "nodes" => self.nodes(text),
            "end" => {
                self.ended = true;
                Ok(())
            }
            _ => {
                let (files, rest) = match file.strip_prefix("/sys/firmware/memory/") {
                    Some(rest) => (&mut self.storage, rest),
                    None => (&mut self.blocks, file),
                };
                let (name, attribute) = rest.split_once('/').ok_or("no such section")?;
                let id = block_id(name).ok_or("no such section")?;
                files.entry(id).or_default().insert(attribute, (at, text));
                Ok(())
            }
        }
    }

    fn zoneinfo(&mut self, text: &str) -> Result<(), String> {
        if let Some((id, _)) = zone_head(text)? {
            self.zone = Some(id);
            self.zones.entry(id).or_default();
            return Ok(());
        }
        let mut words = text.split_whitespace();
        let (Some(word), Some(value)) = (words.next(), words.next()) else {
            return Ok(());
        };
        let known = [
            "spanned",
            "present",
            "managed",
            "start_pfn:",
            "nr_free_pages",
            "count:",
        ];
        if !known.contains(&word) {
            return Ok(());
        }
        let zone = self
            .zone
            .and_then(|id| self.zones.get_mut(&id))
            .ok_or("no zone before it")?;
        match word {
            "spanned" => zone.spanned = Pages(number(value)?),
            "present" => zone.present = Pages(number(value)?),
            "managed" => zone.managed = Pages(number(value)?),
            "start_pfn:" => zone.start_pfn = number(value)?,
            _ => {
                self.free = sum(self.free.checked_add(number(value)?))?;
                self.free_seen |= word == "nr_free_pages";
            }
        }
        Ok(())
    }

    fn iomem(&mut self, text: &str) -> Result<(), String> {
        let (range, name) = text.split_once(" : ").ok_or("expected ` : `")?;
        let nested = range.starts_with(' ');
        if !(name == "System RAM" && !nested || name == "System RAM (kmem)") {
            return Ok(());
        }
        let (start, last) = range.trim().split_once('-').ok_or("expected a range")?;
        let address = |text| u64::from_str_radix(text, 16).map_err(|e| format!("`{text}`: {e}"));
        let (start, last) = (address(start)?, address(last)?);
        if last == 0 {
            return Err("the addresses are hidden: run the script as root".to_owned());
        }
        self.ram.push(RamRange {
            start,
            last,
            name: name.to_owned(),
        });
        Ok(())
    }

    fn pagetypeinfo(&mut self, text: &str) -> Result<(), String> {
        if text.starts_with("Free pages count") {
            // Of each node the table of the free pages comes before that of the pageblocks.
            self.isolate_column = None;
        } else if let Some(table) = text.strip_prefix("Number of ") {
            // With page_owner=on, a table of mixed blocks follows that of all blocks.
            let types = table.strip_prefix("blocks type");
            self.isolate_column =
                types.and_then(|types| types.split_whitespace().position(|name| name == "Isolate"));
        } else if let Some(column) = self.isolate_column
            && let Some((_, counts)) = zone_head(text)?
        {
            let count = counts.split_whitespace().nth(column).ok_or("no column Isolate")?;
            self.isolated = sum(self.isolated.checked_add(number(count)?))?;
        }
        Ok(())
    }

    fn nodes(&mut self, text: &str) -> Result<(), String> {
        for link in text.split_whitespace().filter(|link| !link.contains('*')) {
            let parts = link
                .split_once("/node")
                .ok_or_else(|| format!("`{link}` is no link"))?;
            let id = block_id(parts.0).ok_or_else(|| format!("`{link}` is no link"))?;
            self.nodes.insert(id, number(parts.1)?);
        }
        Ok(())
    }
}

type Files<'a> = BTreeMap<&'a str, (usize, &'a str)>;

/// One file of a block, read by `read`.
fn attribute<T, E: Display>(
    prefix: &str,
    id: BlockId,
    files: &Files<'_>,
    name: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, LedgerError> {
    let section = format!("{prefix}{id}/{name}");
    let Some((line, text)) = files.get(name) else {
        return Err(LedgerError::Missing(section));
    };
    read(text).map_err(|why| LedgerError::Line {
        section,
        line: *line,
        text: (*text).to_owned(),
        why: why.to_string(),
    })
}

fn zones(text: &str) -> Result<Vec<Zone>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let words = text.split_whitespace();
    words
        .map(|word| word.parse().map_err(|e| format!("{e}")))
        .collect()
}

fn block(id: BlockId, files: &Files<'_>, node: u32) -> Result<BlockLedger, LedgerError> {
    let hex = |text: &str| u64::from_str_radix(text, 16);
    Ok(BlockLedger {
        state: attribute("", id, files, "state", str::parse)?,
        online: attribute("", id, files, "online", flag)?,
        valid_zones: if files.contains_key("valid_zones") {
            attribute("", id, files, "valid_zones", zones)?
        } else {
            Vec::new()
        },
        removable: attribute("", id, files, "removable", flag)?,
        phys_index: attribute("", id, files, "phys_index", hex)?,
        phys_device: attribute("", id, files, "phys_device", number)?,
        node,
    })
}

fn storage(id: BlockId, files: &Files<'_>) -> Result<Storage, LedgerError> {
    let prefix = "/sys/firmware/memory/";
    Ok(Storage {
        configured: attribute(prefix, id, files, "config", flag)?,
        memmap_on_memory: attribute(prefix, id, files, "memmap_on_memory", flag)?,
    })
}

/// Reads the output of the ledger's script.
pub(super) fn ledger(text: &str, hypervisor: Hypervisor) -> Result<Ledger, LedgerError> {
    let mut seen = Seen::default();
    let mut lines = 0;
    for (at, line) in text.lines().enumerate() {
        lines = at + 1;
        let line = line.strip_suffix('\r').unwrap_or(line);
        let error = |section: &str, why: String| LedgerError::Line {
            section: section.to_owned(),
            line: lines,
            text: line.to_owned(),
            why,
        };
        let (file, content) = line
            .split_once(':')
            .ok_or_else(|| error("no section", "expected `file:content`".to_owned()))?;
        seen.line(lines, file, content).map_err(|why| error(file, why))?;
        if seen.ended {
            break;
        }
    }
    if !seen.ended {
        return Err(LedgerError::CutOff { lines });
    }
    let missing = |name: &str| LedgerError::Missing(name.to_owned());
    if seen.zones.is_empty() || !seen.free_seen {
        return Err(missing("/proc/zoneinfo"));
    }
    if seen.blocks.is_empty() {
        return Err(missing("memory*/state"));
    }
    if seen.ram.is_empty() {
        return Err(missing("System RAM in /proc/iomem"));
    }
    let node = |id: &BlockId| seen.nodes.get(id).copied().unwrap_or(0);
    let blocks = seen
        .blocks
        .iter()
        .map(|(id, files)| Ok((*id, block(*id, files, node(id))?)));
    let storages = seen
        .storage
        .iter()
        .map(|(id, files)| Ok((*id, storage(*id, files)?)));
    Ok(Ledger {
        mem_total: seen
            .mem_total
            .ok_or_else(|| missing("MemTotal in /proc/meminfo"))?,
        free: Pages(seen.free),
        nr_memmap: seen.nr_memmap,
        nr_memmap_boot: seen.nr_memmap_boot,
        blocks: blocks.collect::<Result<_, LedgerError>>()?,
        storage: storages.collect::<Result<_, LedgerError>>()?,
        zones: seen.zones,
        ram: seen.ram,
        auto_online: seen.auto_online.ok_or_else(|| missing("auto_online_blocks"))?,
        isolated: seen.isolated,
        tainted: seen.tainted,
        hypervisor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlockState;

    const TEXT: &str = "/proc/zoneinfo:Node 0, zone      DMA
/proc/zoneinfo:      nr_free_pages 100
/proc/zoneinfo:        spanned  4095
/proc/zoneinfo:        present  3998
/proc/zoneinfo:        managed  3840
/proc/zoneinfo:              count: 7
/proc/zoneinfo:              count: 3
/proc/zoneinfo:  start_pfn:           1
/proc/zoneinfo:Node 1, zone  Movable
/proc/zoneinfo:        spanned  0
/proc/meminfo:MemTotal:         985600 kB
/proc/vmstat:nr_memmap_pages 512
/proc/iomem:00001000-0009fbff : System RAM
/proc/iomem:  00002000-00002fff : System RAM
/proc/iomem:  140000000-147ffffff : System RAM (kmem)
/proc/pagetypeinfo:Free pages count per migrate type at order       0      1      2
/proc/pagetypeinfo:Node    0, zone      DMA, type    Unmovable      0      3      0
/proc/pagetypeinfo:Number of blocks type     Unmovable      Movable      Isolate
/proc/pagetypeinfo:Node 0, zone      DMA            1            7            2
/proc/pagetypeinfo:
/proc/pagetypeinfo:Page block order: 9
/proc/pagetypeinfo:Free pages count per migrate type at order       0      1      2
/proc/pagetypeinfo:Node    1, zone  Movable, type    Unmovable      4      5      6
/proc/pagetypeinfo:Node    1, zone  Movable, type      Isolate      0      0      0
/proc/pagetypeinfo:Number of blocks type     Unmovable      Movable      Isolate
/proc/pagetypeinfo:Node 1, zone  Movable            0           64            1
/proc/pagetypeinfo:
/proc/pagetypeinfo:Number of mixed blocks    Unmovable      Movable      Isolate
/proc/pagetypeinfo:Node 0, zone      DMA            0            1            1
auto_online_blocks:online_movable
/proc/sys/kernel/tainted:512
memory0/state:online
memory33/state:going-offline
memory0/online:1
memory33/online:1
memory0/valid_zones:none
memory33/valid_zones:Normal Movable
memory0/removable:1
memory33/removable:1
memory0/phys_index:00000000
memory33/phys_index:00000021
memory0/phys_device:0
memory33/phys_device:0
/sys/firmware/memory/memory33/config:1
/sys/firmware/memory/memory33/memmap_on_memory:0
nodes: memory0/node0 memory33/node1
end:
";

    fn read(text: &str) -> Result<Ledger, LedgerError> {
        ledger(text, Hypervisor::Dimms(BTreeMap::new()))
    }

    #[test]
    fn every_line_finds_its_place() {
        let ledger = read(TEXT).unwrap();
        assert_eq!(ledger.free, Pages(110));
        assert_eq!(ledger.mem_total, Pages(246_400));
        assert_eq!(
            (ledger.nr_memmap, ledger.nr_memmap_boot),
            (Some(Pages(512)), None)
        );
        assert_eq!(ledger.isolated, 3);
        assert_eq!(ledger.tainted, 512);
        assert_eq!(ledger.zones.len(), 2);
        let dma = ZoneId {
            node: 0,
            zone: Zone::Dma,
        };
        assert_eq!(ledger.zones[&dma].span(), 1..4096);
        // A nested range is part of its parent, but memory of a device is the parent's only name.
        let names: Vec<_> = ledger.ram.iter().map(|ram| ram.name.as_str()).collect();
        assert_eq!(names, ["System RAM", "System RAM (kmem)"]);
        let block = &ledger.blocks[&BlockId(33)];
        assert_eq!(block.state, BlockState::GoingOffline);
        assert_eq!(block.valid_zones, [Zone::Normal, Zone::Movable]);
        assert_eq!((block.phys_index, block.node), (33, 1));
        assert_eq!(ledger.blocks[&BlockId(0)].valid_zones, []);
        assert!(ledger.storage[&BlockId(33)].configured);
        assert!(!ledger.storage[&BlockId(33)].memmap_on_memory);
    }

    #[test]
    fn lines_of_a_terminal_read_too() {
        assert_eq!(read(&TEXT.replace('\n', "\r\n")), read(TEXT));
    }

    #[test]
    fn a_ledger_survives_the_journal() {
        let ledger = read(TEXT).unwrap();
        let json = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&json).unwrap(), ledger);
    }

    #[test]
    fn what_does_not_read_is_shown_with_its_place() {
        let error = |from: &str, to: &str| {
            assert!(TEXT.contains(from));
            read(&TEXT.replace(from, to)).unwrap_err().to_string()
        };
        assert_eq!(
            error("managed  3840", "managed  many"),
            "line 5 of the guest's ledger (/proc/zoneinfo): `/proc/zoneinfo:        managed  many`: `many` is no number: invalid digit found in string"
        );
        let cases = [
            (
                "memory0/state:online",
                "memory0/state:ERROR",
                "unknown block state",
            ),
            (
                "Node 0, zone      DMA\n",
                "Node 0, zone      Odd\n",
                "unknown zone `Odd`",
            ),
            ("00001000-0009fbff", "00000000-00000000", "run the script as root"),
            ("memory33/online:1\n", "", "has no `memory33/online`"),
            (
                "/proc/meminfo:MemTotal:         985600 kB\n",
                "",
                "has no `MemTotal",
            ),
            ("nr_free_pages 100", "high 100", "has no `/proc/zoneinfo`"),
            ("memory33/online:1", "memory33/online:yes", "expected 0 or 1"),
            (
                "auto_online_blocks:online_movable\n",
                "",
                "has no `auto_online_blocks`",
            ),
            (
                "count: 7",
                "count: 9223372036854775807",
                "a sum that no memory has",
            ),
            (
                "DMA            1            7            2",
                "DMA            1            7            18446744073709551615",
                "a sum that no memory has",
            ),
            ("end:\n", "", "cut off after line 46"),
            ("memory0/removable:1", "grep: out of memory", "no such section"),
        ];
        for (from, to, expected) in cases {
            let text = error(from, to);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn half_a_ledger_is_never_taken_for_a_whole_one() {
        for (cut, _) in TEXT.match_indices('\n').rev().skip(1) {
            assert!(read(&TEXT[..cut]).is_err());
        }
    }
}
