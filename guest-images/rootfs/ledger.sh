# SPDX-License-Identifier: GPL-2.0-only
# Prints every counter of this guest's memory; read by runner/src/memory/ledger.rs. busybox sh, as root; changes nothing.
#
# Few processes, since a fork is slow without hardware virtualisation and moves the free pages; zoneinfo, which holds them,
# comes first.
cd /sys/devices/system/memory || exit 1
zone='^Node [0-9]*, zone *[A-Za-z0-9]*( |$)| (spanned|present|managed|nr_free_pages|count:|start_pfn:) '
grep -sHE "$zone|^MemTotal|^nr_memmap|System RAM|^Number of blocks type" \
	/proc/zoneinfo /proc/meminfo /proc/vmstat /proc/iomem /proc/pagetypeinfo
grep -sH '' auto_online_blocks /proc/sys/kernel/tainted \
	memory*/state memory*/online memory*/valid_zones memory*/removable memory*/phys_index memory*/phys_device \
	/sys/firmware/memory/memory*/config /sys/firmware/memory/memory*/memmap_on_memory
echo "nodes:" memory*/node*
echo "end:"
