// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that the kernel was told to let fail (lib/fault-inject.c): the log has the calls that led to each.

use super::{
    line::{Line, is_end},
    place::{Frame, is_generic},
};

/// The line that begins it.
const BEGINS: &str = "FAULT_INJECTION: forcing a failure";

/// Functions that it names.
const DEPTH: usize = 3;

/// Where the last allocation was that a log tells to have failed so: `do_assign_storage <- sclp_mem_change_state <- sclp_mem_notifier`, the
/// innermost first.
pub fn failed_allocation(log: &str) -> Option<String> {
    let mut found: Option<Vec<String>> = None;
    for raw in log.as_bytes().split(|byte| is_end(*byte)) {
        for line in Line::parse(raw) {
            let text = String::from_utf8_lossy(&line.text);
            if text.starts_with(BEGINS) {
                found = Some(Vec::new());
            } else if let (Some(frames), Some(frame)) = (&mut found, Frame::parse(text.trim_end())) {
                let says = frame.sure && !is_generic(&frame.name) && !frame.name.starts_with("should_fail");
                if says && frames.len() < DEPTH {
                    frames.push(frame.name);
                }
            }
        }
    }
    found
        .filter(|frames| !frames.is_empty())
        .map(|frames| frames.join(" <- "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian's 6.12.117 from source, s390x: the second allocation of an online.
    const LOG: &str = "\
[    7.971208] FAULT_INJECTION: forcing a failure.
[    7.971208] name failslab, interval 1, probability 0, space 0, times 1
[    7.972428]  [<000003ffe05d0ad4>] dump_stack_lvl+0x8c/0xa8 
[    7.972752]  [<000003ffe044261c>] should_fail_ex+0x1ec/0x1f0 
[    7.972795]  [<000003ffe02f25b2>] __kmalloc_noprof+0xba/0x450 
[    7.972815]  [<000003ffe03c7a16>] kernfs_fop_write_iter+0x19e/0x218 
[    9.252707] FAULT_INJECTION: forcing a failure.
[    9.252707] name fail_page_alloc, interval 1, probability 0, space 0, times 1
[    9.252865] Call Trace:
[    9.252875]  [<000003ffe05d0ad4>] dump_stack_lvl+0x8c/0xa8 
[    9.252913]  [<000003ffe044261c>] should_fail_ex+0x1ec/0x1f0 
[    9.252932]  [<000003ffe02e28e8>] __alloc_pages_noprof+0x110/0x11a0 
[    9.252955]  [<000003ffe02e4124>] get_free_pages_noprof+0x34/0x70 
[    9.252974]  [<000003ffe04c27c6>] do_assign_storage+0x2e/0xb0 
[    9.252993]  [<000003ffe04c28a6>] sclp_mem_change_state+0x5e/0xe0 
[    9.253011]  [<000003ffe04c2bc4>] sclp_mem_notifier+0x29c/0x328 
";

    #[test]
    fn the_last_one_is_told_by_what_led_to_it() {
        let place = "get_free_pages_noprof <- do_assign_storage <- sclp_mem_change_state";
        assert_eq!(failed_allocation(LOG).as_deref(), Some(place));
        let first: String = LOG.split_inclusive('\n').take(6).collect();
        assert_eq!(
            failed_allocation(&first).as_deref(),
            Some("kernfs_fop_write_iter")
        );
    }

    #[test]
    fn where_none_failed_there_is_no_place() {
        let other: String = LOG
            .lines()
            .skip(2)
            .take(4)
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(failed_allocation(&other), None);
    }
}
