# SPDX-License-Identifier: GPL-2.0-only
# Mixes up to 64 bytes of stdin into the kernel's random numbers, and has it draw all that follow from them at once: two
# guests that go on from the same state would else draw the same. Exits with 0 if it did. The runner has it as bytes
# (image/programs.rs), and a test there assembles this file and compares.

	.globl	_start
_start:	subq	$64, %rsp
	movl	$2, %eax		# open("/dev/urandom", O_RDWR)
	leaq	3f(%rip), %rdi
	movl	$2, %esi
	syscall
	testl	%eax, %eax
	js	2f
	movl	%eax, %ebx
	xorl	%eax, %eax		# read(0)
	xorl	%edi, %edi
	movq	%rsp, %rsi
	movl	$64, %edx
	syscall
	testq	%rax, %rax
	jle	2f
	movq	%rax, %rdx		# write
	movl	$1, %eax
	movl	%ebx, %edi
	movq	%rsp, %rsi
	syscall
	testq	%rax, %rax
	jle	2f
	movl	$16, %eax		# ioctl(fd, RNDRESEEDCRNG)
	movl	%ebx, %edi
	movl	$0x5207, %esi
	syscall
	testl	%eax, %eax
	js	2f
	xorl	%edi, %edi		# exit(0)
1:	movl	$60, %eax
	syscall
2:	movl	$1, %edi		# exit(1)
	jmp	1b
3:	.asciz	"/dev/urandom"
