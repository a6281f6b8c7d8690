# SPDX-License-Identifier: GPL-2.0-only
# Prints which functions this kernel has, of those that tell what it can do; read by runner/memory/src/facts.rs. busybox sh, as root;
# changes nothing. The same in each guest of a kernel, and up to a second of work: one of them is asked.
# The compiler may have added a suffix such as .constprop.0. memory_subsys_online is in all kernels. A fixed-string grep in front, as
# kallsyms has up to 200 000 lines.
grep -sF -e memory_subsys_online -e altmap -e sclp_ -e kasan_report /proc/kallsyms |
	sed -nE 's/^[^ ]* [^ ] (memory_subsys_online|count_memory_range_altmaps_cb|(create|remove)_[a-z_]*altmaps[a-z_]*|sclp_mem_notifier|sclp_config_mem_store|kasan_report)(\..*)?$/symbol:\1/p'
