// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only some kernels can be asked for.

/// What a kernel was built with, as far as it decides what can be drawn.
#[derive(Debug, Clone, Copy, Default)]
pub struct Able {
    /// It can be told to refuse notifications (`CONFIG_MEMORY_NOTIFIER_ERROR_INJECT`).
    pub vetoes: bool,
    /// It can be told which allocation fails (`CONFIG_FAILSLAB`, `CONFIG_FAIL_PAGE_ALLOC`, `CONFIG_FAULT_INJECTION_DEBUG_FS`).
    pub sweeps: bool,
    /// It makes large anonymous pages (`CONFIG_TRANSPARENT_HUGEPAGE`).
    pub thp: bool,
    /// It makes one page of those that are the same (`CONFIG_KSM`).
    pub ksm: bool,
    /// It has pages of hugetlb (`CONFIG_HUGETLB_PAGE`).
    pub hugetlb: bool,
    /// It compacts memory when it is asked to (`CONFIG_COMPACTION`).
    pub compacts: bool,
    /// It tells what each page is (`CONFIG_PROC_PAGE_MONITOR`).
    pub tells_pages: bool,
    /// It pins pages for who asks io_uring for that (`CONFIG_IO_URING`).
    pub pins: bool,
}
