// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a report points at: symbols, frames of a call trace, and which of them say something.

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::regex;

/// `name+0x1c/0x50`, as `%pS` prints it.
static SYMBOL: LazyLock<Regex> = LazyLock::new(|| regex(r"([A-Za-z_$.][\w$.]*)\+0x([0-9a-f]+)/0x[0-9a-f]+"));

/// A frame of x86 (` ? name+0x1/0x2`) or of s390 (` [<addr>] name+0x1/0x2`, `([<addr>] name…)`, and in its
/// startup code `(sp:addr [<addr>] name…)`).
static FRAME: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:(?<doubt>\s*\(\[<[^>]*>\] ?|\s+\? )|\s*\(?(?:sp:[0-9a-f]+ )?\[<[^>]*>\] |\s+)(?<symbol>[A-Za-z_$.][\w$.]*\+0x[0-9a-f]+/0x[0-9a-f]+)(?: \[\S+(?: [0-9a-f]+)?\])?\)? *$",
    )
});

/// What compilers append to the name of a function that they split or cloned.
static CLONE: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias|str|warm|[0-9]+)\b.*$"));

/// Functions that report, check, lock, allocate, copy or wait for others. They are on the stack of every report of their sort and say
/// nothing of its cause.
static GENERIC: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"^(?:",
        // printing and dying
        r"v?panic|nmi_panic|check_panic_on_\w+|dump_stack\w*|__dump_stack|show_\w+|print_\w+|_?printk\w*|vprintk\w*|die\w*|__die\w*|oops_\w+|page_fault_oops",
        r"|__warn\w*|warn_slowpath\w*|report_bug|__report_bug|handle_bug|ubsan_\w+|__ubsan_\w+|val_to_string|__stack_chk_fail|fortify_panic|__fortify_\w+|rust_\w+panic\w*",
        // entry code and traps of x86
        r"|exc_\w+|asm_\w+|sysvec_\w+|common_interrupt|do_error_trap|do_trap|do_user_addr_fault|do_kern_addr_fault|do_page_fault|no_context|__?bad_area\w*|bad_area\w*|kernelmode_fixup_or_oops|fixup_exception",
        r"|entry_SYSCALL\w*|do_syscall_\w+|__x64_sys_\w+|x64_sys_call|__do_sys_\w+|__se_sys_\w+",
        // and of s390
        r"|__do_pgm_check|pgm_check_\w+|do_report_trap|do_\w+_exception|\w+_exception|do_exception|do_no_context|do_fault_error|do_dat_exception|do_protection_exception|handle_fault_error\w*|handle_pfault|do_pgm_check|illegal_op|monitor_event_\w+|stack_overflow|kernel_stack_\w+|kernel_stack_invalid|restart_int_handler|__do_restart|system_call|__do_syscall|__s390x_sys_\w+|ret_from_fork\w*|__ret_from_fork",
        // sanitizers and checked primitives
        r"|kasan_\w+|__kasan_\w+|__asan_\w+|__hwasan_\w+|kmsan_\w+|__msan_\w+|kcsan_\w+|__tsan_\w+|kfence_\w+|__kfence_\w+|check_memory_region|check_region_inline|check_canary\w*|end_report|start_report",
        r"|refcount_\w+|__refcount_\w+|kref_\w+|debug_print_object|__debug_\w+|debug_object_\w+|debug_check_no_obj_freed|__list_\w+_valid\w*|__list_\w+_or_report|list_\w+_valid",
        r"|(?:__)?check_object_size|usercopy_abort|__check_heap_object",
        // locks, scheduling, waiting
        r"|lockdep_\w+|__lock_\w+|lock_\w+|check_\w*lock\w*|check_prev\w*|check_noncircular|check_deadlock|mark_lock\w*|validate_chain|register_lock_class|valid_state|print_usage_bug|__mutex_\w+|mutex_\w+|down_\w+|up_\w+|__down_\w+|__up_\w+|rwsem_\w+|percpu_down_\w+|__percpu_down_\w+|_raw_\w+|__raw_\w+|queued_\w+|native_queued_\w+|arch_spin_\w+|do_raw_\w+|spin_\w+|rt_mutex\w*|__rt_mutex\w*",
        r"|__schedule\w*|schedule\w*|io_schedule\w*|preempt_schedule\w*|__cond_resched|__might_\w+|___might_\w+|might_\w+|__switch_to\w*|context_switch|wait_for_\w+|__wait_for_\w+|do_wait_for_common|__wait_on_\w+|bit_wait\w*|wait_on_\w+|msleep\w*|usleep_\w+",
        // allocation and freeing
        r"|kmalloc\w*|__kmalloc\w*|kzalloc\w*|kmem_cache_\w+|__kmem_cache_\w+|slab_\w+|__slab_\w+|___slab_\w+|new_slab|allocate_slab|kfree\w*|__kfree\w*|kvfree\w*|krealloc\w*|object_err|check_object|check_bytes_and_report|check_slab|alloc_debug_processing|free_debug_processing|free_to_partial_list|free_consistency_checks|alloc_from_\w+|__free_slab|do_slab_free|alloc_single_from_\w+|get_from_\w*partial\w*|get_partial\w*|refill_\w+|pcs_\w+|free_slab|__pcs_\w+|maybe_wipe_obj_freeptr|set_freepointer",
        r"|warn_alloc|__alloc_pages\w*|alloc_pages\w*|__alloc_frozen_pages\w*|alloc_frozen_pages\w*|__get_free_pages|get_page_from_freelist|rmqueue\w*|prep_new_page|check_new_page\w*|bad_page\w*|free_page_is_bad\w*|free_pages_prepare|__free_pages\w*|___free_pages\w*|__free_frozen_pages|free_frozen_pages\w*|free_unref_\w+|free_pcppages_bulk|free_pages|__folio_put\w*|dump_page|folio_alloc\w*|__folio_alloc\w*|vma_alloc_folio\w*|alloc_page_\w+|vm_bug\w*|page_alloc_\w+",
        r"|dump_header|oom_kill_process|__oom_kill_process|out_of_memory|mem_cgroup_out_of_memory|mem_cgroup_oom\w*|try_charge_memcg|charge_memcg|__mem_cgroup_charge|pagefault_out_of_memory",
        // copying
        r"|__?mem(?:set|cpy|move|cmp|chr)\w*|mem(?:set|cpy|move|cmp|chr|scan)\w*|str(?:len|cmp|cpy|ncmp|ncpy|nlen|scpy|chr)\w*|copy_(?:from|to)_user\w*|_copy_\w+|raw_copy_\w+|rep_\w+|clear_page\w*|copy_page\w*|copy_mc_\w+",
        // watchdogs
        r"|watchdog_\w+|is_softlockup|hrtimer_\w+|__hrtimer_\w+|tick_\w+|update_process_times|rcu_\w*stall\w*|rcu_dump_\w+|rcu_sched_clock_irq|rcu_pending|check_cpu_stall|nmi_\w+|trigger_\w*backtrace\w*|sched_show_task|__sysvec_\w+|handle_irq\w*|handle_softirqs|__do_softirq|do_softirq\w*|irq_exit\w*|__irq_exit\w*|invoke_softirq|do_irq_async|do_io_irq|do_ext_irq|ext_int_handler|io_int_handler|handle_\w+_irq|do_IRQ|do_ext_interrupt|clock_comparator_\w+",
        r")$"
    ))
});

/// A function's name without offset, module and the compiler's suffixes.
pub(super) fn function(text: &str) -> Option<String> {
    let text = text.trim();
    let name = match SYMBOL.captures(text) {
        Some(found) if found.get_match().start() == 0 => found.get(1)?.as_str(),
        Some(_) => return None,
        None if !text.is_empty()
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_$.".contains(&b)) =>
        {
            text
        }
        None => return None,
    };
    Some(CLONE.replace(name, "").into_owned())
}

/// Every `name+0x1/0x2` in a text becomes `name`.
pub(super) fn without_offsets(text: &str) -> String {
    SYMBOL
        .replace_all(text, |found: &regex::Captures<'_>| {
            CLONE.replace(&found[1], "").into_owned()
        })
        .into_owned()
}

/// Whether a function only carries reports of others.
pub(super) fn is_generic(name: &str) -> bool {
    GENERIC.is_match(name)
}

/// One line of a call trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The function.
    pub(super) name: String,
    /// The unwinder stands by it.
    pub(super) sure: bool,
}

impl Frame {
    /// Reads a line of a call trace. A return address at offset 0 belongs to the function before (a call that never returns), which the
    /// line doesn't name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let found = FRAME.captures(text)?;
        let symbol = &found["symbol"];
        let name = function(symbol)?;
        let start = SYMBOL
            .captures(symbol)
            .is_some_and(|found| found[2].bytes().all(|b| b == b'0'));
        if start || name.starts_with("__pfx_") {
            return None;
        }
        Some(Self {
            name,
            sure: found.name("doubt").is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions() {
        assert_eq!(
            function("splat_warn+0x5/0x1a [splat]").as_deref(),
            Some("splat_warn")
        );
        assert_eq!(function("bad_page.cold+0x7a/0x91").as_deref(), Some("bad_page"));
        assert_eq!(function("f.isra.0.constprop.1+0x7a/0x91").as_deref(), Some("f"));
        assert_eq!(function("do_one").as_deref(), Some("do_one"));
        assert_eq!(function("0x12"), None);
        assert_eq!(function(""), None);
        assert_eq!(function("two words"), None);
        assert_eq!(without_offsets("corrupted in: f.cold+0x1/0x2"), "corrupted in: f");
    }

    #[test]
    fn frames() {
        let sure = |name: &str| {
            Some(Frame {
                name: name.into(),
                sure: true,
            })
        };
        let doubtful = |name: &str| {
            Some(Frame {
                name: name.into(),
                sure: false,
            })
        };
        assert_eq!(
            Frame::parse("  splat_init+0x26/0xff0 [splat]"),
            sure("splat_init")
        );
        assert_eq!(
            Frame::parse(" ? do_init_module+0x6a/0x290"),
            doubtful("do_init_module")
        );
        assert_eq!(
            Frame::parse(" [<000003ff7e808532>] splat_warn+0xa/0x20 [splat] "),
            sure("splat_warn")
        );
        assert_eq!(
            Frame::parse("([<000003ff7e80f008>] splat_init+0x8/0x1000 [splat])"),
            doubtful("splat_init")
        );
        assert_eq!(
            Frame::parse(" [<000003ff7e80f000>] splat_list+0x0/0xc0 [splat] "),
            None
        );
        assert_eq!(Frame::parse(" ? __pfx_kernel_init+0x10/0x10"), None);
        assert_eq!(Frame::parse(" [<0000000000000012>] 0x12 "), None);
        assert_eq!(Frame::parse("RIP: 0010:splat_warn+0x5/0x1a [splat]"), None);
    }

    #[test]
    fn generic_or_not() {
        for name in [
            "panic",
            "dump_stack_lvl",
            "__warn",
            "memset",
            "__list_del_entry_valid_or_report",
            "monitor_event_exception",
        ] {
            assert!(is_generic(name), "{name}");
        }
        for name in [
            "memory_block_release",
            "page_init_poison",
            "sparse_add_section",
            "offline_pages",
            "kernel_init",
        ] {
            assert!(!is_generic(name), "{name}");
        }
    }
}
