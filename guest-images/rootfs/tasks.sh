# SPDX-License-Identifier: GPL-2.0-only
# Prints each task that is blocked or runs, and each of a script that came over the line, with its stack, in the form of SysRq `t`; read by
# runner/format/src/klog/tasks.rs. busybox sh, as root; changes nothing. Where lockdep is, the locks that are held follow.
set -f
read -r self rest </proc/self/stat
for stat in $(set +f; echo /proc/[0-9]*/task/[0-9]*/stat); do
	read -r line 2>/dev/null <$stat || continue
	pid=${line%% *} name=${line#*\(} rest=${line##*) }
	name=${name%)*}
	set -- $rest
	state=$1 parent=$2 kernel=
	[ $(($7 & 0x200000)) -ne 0 ] && kernel=' kernel'
	[ $state = D ] || [ -z "$kernel" ] || continue
	[ $pid = $self ] && continue
	case $name in
	init | dropbear | memrig-uevents) continue ;;
	memrig-line)
		# The shell that waits for scripts is no script.
		read -r of 2>/dev/null </proc/$parent/stat || continue
		case $of in *'(memrig-line)'*) ;; *) continue ;; esac
		;;
	esac
	echo "task:$name state:$state pid:$pid ticks:$((${12} + ${13}))$kernel"
	cat ${stat%/stat}/stack 2>/dev/null || { read -r at 2>/dev/null <${stat%/stat}/wchan && echo "[<0>] $at+0x1/0x1"; }
done
if [ -r /proc/lockdep ]; then
	echo d >/proc/sysrq-trigger
	dmesg | sed -n '/sysrq: Show Locks Held/,$p'
fi
exit 0
