// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order the memory notifier chain may be called for a block (`online_pages()` and `offline_pages()`, mm/memory_hotplug.c, 6.1 to 7.2;
//! `memory_block_online()` and `memory_block_offline()`, drivers/base/memory.c, 6.9 to 6.18). Pure.

use std::collections::{BTreeMap, BTreeSet};

use memory::BlockId;
use suite::Notifier;

/// A notification, and the block that it is about.
pub(super) type Sent = (BlockId, Notifier);

/// How far a block has come, by the notifications of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Offline,
    /// MEM_PREPARE_ONLINE was sent; where that was refused, nothing more is.
    Prepared,
    GoingOnline,
    Online,
    GoingOffline,
    /// It is not online any more, or not after all; only MEM_FINISH_OFFLINE is left.
    Finishing,
}

impl Stage {
    /// Where a notification leads; `None` where it cannot come. `prepares` says whether the kernel sends MEM_PREPARE_ONLINE.
    fn after(self, sent: Notifier, prepares: bool) -> Option<Self> {
        let off = if prepares { Self::Finishing } else { Self::Offline };
        Some(match (self, sent) {
            (Self::Offline | Self::Prepared, Notifier::PrepareOnline) if prepares => Self::Prepared,
            (Self::Offline, Notifier::GoingOnline) if !prepares => Self::GoingOnline,
            (Self::Prepared, Notifier::GoingOnline) => Self::GoingOnline,
            (Self::GoingOnline, Notifier::Online) => Self::Online,
            (Self::GoingOnline, Notifier::CancelOnline) => off,
            (Self::Online, Notifier::GoingOffline) => Self::GoingOffline,
            (Self::GoingOffline, Notifier::CancelOffline) => Self::Online,
            (Self::GoingOffline, Notifier::Offline) => off,
            (Self::Prepared | Self::Finishing, Notifier::FinishOffline) => Self::Offline,
            _ => return None,
        })
    }
}

/// What is wrong with the notifications that were sent while the blocks that are online changed from these to those; `None` if nothing is.
pub(super) fn broken(
    sent: &[Sent],
    prepares: bool,
    was_on: &BTreeSet<BlockId>,
    is_on: &BTreeSet<BlockId>,
) -> Option<String> {
    let mut of: BTreeMap<BlockId, Vec<Notifier>> = BTreeMap::new();
    for (block, notifier) in sent {
        of.entry(*block).or_default().push(*notifier);
    }
    let changed = was_on.symmetric_difference(is_on);
    let blocks: BTreeSet<BlockId> = of.keys().chain(changed).copied().collect();
    blocks.into_iter().find_map(|block| {
        let all = of.get(&block).map_or(&[][..], Vec::as_slice);
        let begins = if was_on.contains(&block) {
            Stage::Online
        } else {
            Stage::Offline
        };
        let why = cannot_be(all, prepares, begins, is_on.contains(&block))?;
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        let all = if all.is_empty() {
            "nothing".to_owned()
        } else {
            all.join(", ")
        };
        Some(format!("{block}: {why}; sent was {all}"))
    })
}

/// Why these notifications cannot be those of a block, in their order.
fn cannot_be(all: &[Notifier], prepares: bool, begins: Stage, is_on: bool) -> Option<String> {
    let mut stage = begins;
    for (at, notifier) in all.iter().enumerate() {
        let Some(next) = stage.after(*notifier, prepares) else {
            let before = match at.checked_sub(1) {
                Some(before) => format!("after {}", all[before]),
                None if begins == Stage::Online => "of a block that is online".to_owned(),
                None => "of a block that is offline".to_owned(),
            };
            return Some(format!("no {notifier} comes {before}"));
        };
        stage = next;
    }
    let state = if is_on { "online" } else { "offline" };
    match stage {
        Stage::Online if is_on => None,
        Stage::Offline | Stage::Prepared if !is_on => None,
        _ => {
            let last = all.last().map_or("nothing".to_owned(), ToString::to_string);
            Some(format!("after {last} it cannot be {state}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Notifier::{
        CancelOffline, CancelOnline, FinishOffline, GoingOffline, GoingOnline, Offline, Online, PrepareOnline,
    };

    fn on(blocks: &[u64]) -> BTreeSet<BlockId> {
        blocks.iter().copied().map(BlockId).collect()
    }

    /// What is wrong with these of block 4.
    fn told(all: &[Notifier], prepares: bool, (was_on, is_on): (bool, bool)) -> Option<String> {
        let sent: Vec<Sent> = all.iter().map(|notifier| (BlockId(4), *notifier)).collect();
        let set = |is: bool| if is { on(&[4]) } else { on(&[]) };
        broken(&sent, prepares, &set(was_on), &set(is_on))
    }

    #[test]
    fn whole_changes_and_those_that_are_refused_are_as_they_must_be() {
        let (stays_off, goes_on, goes_off, stays_on) =
            ((false, false), (false, true), (true, false), (true, true));
        for (all, change) in [
            (&[GoingOnline, Online][..], goes_on),
            (&[GoingOnline, CancelOnline], stays_off),
            (&[GoingOffline, Offline], goes_off),
            (&[GoingOffline, CancelOffline], stays_on),
            (&[GoingOffline, Offline, GoingOnline, Online], stays_on),
            (&[], stays_off),
            (&[], stays_on),
        ] {
            assert_eq!(told(all, false, change), None, "{all:?}");
        }
        for (all, change) in [
            (&[PrepareOnline, GoingOnline, Online][..], goes_on),
            (
                &[PrepareOnline, GoingOnline, CancelOnline, FinishOffline],
                stays_off,
            ),
            (&[PrepareOnline], stays_off),
            (&[PrepareOnline, FinishOffline], stays_off),
            (&[PrepareOnline, PrepareOnline, GoingOnline, Online], goes_on),
            (&[GoingOffline, Offline, FinishOffline], goes_off),
            (&[GoingOffline, CancelOffline], stays_on),
        ] {
            assert_eq!(told(all, true, change), None, "{all:?}");
        }
    }

    #[test]
    fn what_is_sent_twice_not_at_all_or_out_of_order_is_told() {
        let (stays_off, goes_on, goes_off, stays_on) =
            ((false, false), (false, true), (true, false), (true, true));
        for (all, prepares, change, said) in [
            (
                &[GoingOnline, Online, Online][..],
                false,
                goes_on,
                "no MEM_ONLINE comes after MEM_ONLINE",
            ),
            (
                &[GoingOnline, GoingOnline, Online],
                false,
                goes_on,
                "no MEM_GOING_ONLINE comes after MEM_GOING_ONLINE",
            ),
            (
                &[Online],
                false,
                goes_on,
                "no MEM_ONLINE comes of a block that is offline",
            ),
            (&[GoingOnline], false, goes_on, "it cannot be online"),
            (&[GoingOnline], false, stays_off, "it cannot be offline"),
            (
                &[GoingOnline, CancelOnline],
                false,
                goes_on,
                "it cannot be online",
            ),
            (&[GoingOnline, Online], false, stays_off, "it cannot be offline"),
            (
                &[],
                false,
                goes_on,
                "memory4: after nothing it cannot be online; sent was nothing",
            ),
            (&[], false, goes_off, "it cannot be offline"),
            (
                &[GoingOnline],
                false,
                stays_on,
                "no MEM_GOING_ONLINE comes of a block that is online",
            ),
            (
                &[CancelOffline],
                false,
                stays_on,
                "no MEM_CANCEL_OFFLINE comes of a block that is online",
            ),
            (
                &[PrepareOnline, GoingOnline, Online],
                false,
                goes_on,
                "no MEM_PREPARE_ONLINE comes",
            ),
            (
                &[GoingOnline, Online],
                true,
                goes_on,
                "no MEM_GOING_ONLINE comes of a block that is offline",
            ),
            (
                &[PrepareOnline, GoingOnline, CancelOnline],
                true,
                stays_off,
                "it cannot be offline",
            ),
            (&[GoingOffline, Offline], true, goes_off, "it cannot be offline"),
            (
                &[GoingOffline, Offline, FinishOffline, FinishOffline],
                true,
                goes_off,
                "no MEM_FINISH_OFFLINE comes after",
            ),
        ] {
            let wrong = told(all, prepares, change).expect("something that is wrong");
            assert!(wrong.contains(said), "{all:?} {change:?}: {wrong}");
        }
    }

    #[test]
    fn blocks_are_judged_each_by_its_own() {
        let sent = [
            (BlockId(4), GoingOnline),
            (BlockId(5), GoingOffline),
            (BlockId(4), Online),
            (BlockId(5), Offline),
        ];
        assert_eq!(broken(&sent, false, &on(&[5]), &on(&[4])), None);
        let wrong = broken(&sent[..3], false, &on(&[5]), &on(&[4]));
        assert_eq!(
            wrong.as_deref(),
            Some("memory5: after MEM_GOING_OFFLINE it cannot be offline; sent was MEM_GOING_OFFLINE")
        );
    }
}
