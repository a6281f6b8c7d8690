# SPDX-License-Identifier: GPL-2.0-only
# Prints what this guest is like; read by runner/memory/src/facts.rs. busybox sh, as root, once after boot; changes nothing.
echo "machine:$(uname -m)"
grep -sH '' /proc/sys/kernel/osrelease /proc/cmdline /sys/devices/system/memory/block_size_bytes \
	/sys/devices/system/memory/auto_online_blocks /sys/module/memory_hotplug/parameters/*
grep -sH '^Pages per block' /proc/pagetypeinfo
grep -sH '^nr_memmap' /proc/vmstat
grep -sH '^features' /proc/cpuinfo
grep -sHm1 '^KernelPageSize' /proc/self/smaps
# The note VMCOREINFO near the start of kcore is text, one fact a line.
dd if=/proc/kcore bs=4096 count=4 2>/dev/null | strings | sed -n 's/.*SIZE(page)=/vmcoreinfo:SIZE(page)=/p'
[ -d /sys/firmware/memory ] && echo "firmware_memory:1"
[ -e /sys/devices/system/memory/memory0/valid_zones ] && echo "valid_zones:1"
echo "end:"
