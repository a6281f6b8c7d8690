# SPDX-License-Identifier: GPL-2.0-only
# Writes every uevent of the kernel to stdout: its fields as they come, each with a NUL behind it, and a newline behind all.
# A program of its own because Debian's busybox has none that sees "online" and "offline". The runner has it as bytes
# (image/uevents.rs), and a test there assembles this file and compares.

	.globl	_start
_start:	subq	$8448, %rsp
	movl	$41, %eax		# socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT)
	movl	$16, %edi
	movl	$3, %esi
	movl	$15, %edx
	syscall
	testl	%eax, %eax
	js	2f
	movl	%eax, %ebx
	movl	$0x1000000, (%rsp)	# setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, 16 MiB): a burst must not be lost
	movl	$54, %eax
	movl	%ebx, %edi
	movl	$1, %esi
	movl	$33, %edx
	movq	%rsp, %r10
	movl	$4, %r8d
	syscall
	movq	$16, (%rsp)		# bind(fd, { AF_NETLINK, pid 0, groups 1 })
	movl	$1, 8(%rsp)
	movl	$49, %eax
	movl	%ebx, %edi
	movq	%rsp, %rsi
	movl	$12, %edx
	syscall
1:	xorl	%eax, %eax		# read
	movl	%ebx, %edi
	movq	%rsp, %rsi
	movl	$8192, %edx
	syscall
	testq	%rax, %rax		# what was lost shows as a gap in SEQNUM
	js	1b
	movb	$10, (%rsp,%rax)
	leaq	1(%rax), %rdx		# write
	movl	$1, %eax
	movl	$1, %edi
	movq	%rsp, %rsi
	syscall
	jmp	1b
2:	movl	$60, %eax		# exit(1)
	movl	$1, %edi
	syscall
