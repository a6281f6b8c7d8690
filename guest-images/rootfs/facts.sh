# SPDX-License-Identifier: GPL-2.0-only
# Prints what this kernel is like; read by runner/src/memory/facts.rs. busybox sh, as root, once after boot; changes nothing.
echo "machine:$(uname -m)"
grep -sH '' /proc/sys/kernel/osrelease /proc/cmdline /sys/devices/system/memory/block_size_bytes \
	/sys/devices/system/memory/auto_online_blocks /sys/module/memory_hotplug/parameters/*
grep -sH '^Pages per block' /proc/pagetypeinfo
grep -sH '^nr_memmap' /proc/vmstat
grep -sH '^features' /proc/cpuinfo
grep -sHm1 '^KernelPageSize' /proc/self/smaps
# The note VMCOREINFO near the start of kcore is text, one fact a line.
dd if=/proc/kcore bs=4096 count=4 2>/dev/null | strings | sed -n 's/.*SIZE(page)=/vmcoreinfo:SIZE(page)=/p'
# Functions tell what a kernel can do; the compiler may have added a suffix such as .constprop.0. memory_subsys_online is in
# all of them. A fixed-string grep in front, as kallsyms has up to 200 000 lines.
grep -sF -e memory_subsys_online -e altmap -e sclp_ -e kasan_report /proc/kallsyms |
	sed -nE 's/^[^ ]* [^ ] (memory_subsys_online|count_memory_range_altmaps_cb|(create|remove)_[a-z_]*altmaps[a-z_]*|sclp_mem_notifier|sclp_config_mem_store|kasan_report)(\..*)?$/symbol:\1/p'
[ -d /sys/firmware/memory ] && echo "firmware_memory:1"
[ -e /sys/devices/system/memory/memory0/valid_zones ] && echo "valid_zones:1"
echo "end:"
