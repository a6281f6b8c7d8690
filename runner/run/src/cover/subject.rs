// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a kernel that memory hotplug is in.

/// Paths in the kernel's tree, 6.1 to 7.3; one that ends with `*` stands for all that begin so.
const SUBJECT: [&str; 13] = [
    "arch/s390/mm/init.c",
    "arch/s390/mm/vmem.c",
    "arch/x86/mm/init.c",
    "arch/x86/mm/init_64.c",
    "drivers/acpi/acpi_memhotplug.c",
    "drivers/base/memory.c",
    "drivers/s390/char/sclp_cmd.c",
    "drivers/s390/char/sclp_mem.c",
    "mm/memory_hotplug.c",
    "mm/mm_init.c",
    "mm/page_alloc.c",
    "mm/page_isolation.c",
    "mm/sparse*",
];

/// Whether a file is one of them.
pub(super) fn is_subject(file: &str) -> bool {
    SUBJECT.iter().any(|subject| match subject.strip_suffix('*') {
        Some(start) => file.starts_with(start),
        None => file == *subject,
    })
}
