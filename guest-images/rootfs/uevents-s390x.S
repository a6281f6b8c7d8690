# SPDX-License-Identifier: GPL-2.0-only
# Writes every uevent of the kernel to stdout: its fields as they come, each with a NUL behind it, and a newline behind all.
# A program of its own because Debian's busybox has none that sees "online" and "offline". The runner has it as bytes
# (image/uevents.rs), and a test there assembles this file and compares.

	.globl	_start
_start:	aghi	%r15, -8448
	lghi	%r2, 16			# socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT)
	lghi	%r3, 3
	lghi	%r4, 15
	lghi	%r1, 359
	svc	0
	ltgr	%r7, %r2
	jl	2f
	llilh	%r0, 0x100		# setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, 16 MiB): a burst must not be lost
	st	%r0, 0(%r15)
	lghi	%r3, 1
	lghi	%r4, 33
	lgr	%r5, %r15
	lghi	%r6, 4
	lghi	%r1, 366
	svc	0
	lgr	%r2, %r7		# bind(fd, { AF_NETLINK, pid 0, groups 1 })
	mvhhi	0(%r15), 16
	mvhhi	2(%r15), 0
	mvhi	4(%r15), 0
	mvhi	8(%r15), 1
	lgr	%r3, %r15
	lghi	%r4, 12
	lghi	%r1, 361
	svc	0
1:	lgr	%r2, %r7		# read
	lgr	%r3, %r15
	lghi	%r4, 8192
	svc	3
	ltgr	%r2, %r2		# what was lost shows as a gap in SEQNUM
	jl	1b
	la	%r5, 0(%r2,%r15)
	mvi	0(%r5), 10
	la	%r4, 1(%r2)		# write
	lghi	%r2, 1
	lgr	%r3, %r15
	svc	4
	j	1b
2:	lghi	%r2, 1			# exit(1)
	svc	1
