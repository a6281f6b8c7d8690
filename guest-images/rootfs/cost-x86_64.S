# SPDX-License-Identifier: GPL-2.0-only
# memrig-cost FILE TEXT: writes TEXT to FILE by one write(2), with a marker before and behind it by which our QEMU plugin counts
# the instructions in between (guest-images/qemu/plugin/cost.c). Prints two numbers of 16 hex digits: the errno, or 0, and by how
# much the processor's clock went on. Without arguments 1000 rounds of a loop take the place of the write, 2001 instructions
# with the second marker. The runner has it as bytes (image/programs.rs), and a test there assembles this file and compares.

	.macro	marker number
	.byte	0x0f, 0x1f, 0x80, 0x4d, 0x52, 0x47, \number
	.endm
	.macro	clock into
	rdtsc
	shlq	$32, %rdx
	leaq	(%rax,%rdx), \into
	.endm

	.globl	_start
_start:	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	cmpl	$3, (%rsp)
	jne	4f
	movl	$2, %eax		# open(FILE, O_WRONLY)
	movq	16(%rsp), %rdi
	movl	$1, %esi
	syscall
	movslq	%eax, %r14
	testl	%eax, %eax
	js	5f
	movl	%eax, %edi
	movq	24(%rsp), %rsi
	xorl	%ebx, %ebx
1:	cmpb	$0, (%rsi,%rbx)
	je	2f
	incl	%ebx
	jmp	1b
2:	clock	%r12
	movl	%ebx, %edx
	movl	$1, %eax		# write
	marker	1
	syscall
	marker	2
	movq	%rax, %r14
3:	clock	%r15
	subq	%r12, %r15
	jmp	5f
4:	clock	%r12
	movl	$1000, %ecx
	marker	1
1:	decl	%ecx
	jnz	1b
	marker	2
	jmp	3b
5:	subq	$64, %rsp
	xorl	%ebx, %ebx
	testq	%r14, %r14
	cmovs	%r14, %rbx
	negq	%rbx
	movq	%rsp, %rdi
	movb	$32, %dl
	call	6f
	movq	%r15, %rbx
	movb	$10, %dl
	call	6f
	movl	$1, %eax		# write to stdout
	movl	$1, %edi
	movq	%rsp, %rsi
	movl	$34, %edx
	syscall
	movl	$60, %eax		# exit(0)
	xorl	%edi, %edi
	syscall
6:	movl	$16, %ecx		# 16 digits of %rbx, and %dl, to %rdi
7:	rolq	$4, %rbx
	movl	%ebx, %eax
	andl	$15, %eax
	addl	$48, %eax
	cmpl	$57, %eax
	jle	8f
	addl	$39, %eax
8:	stosb
	decl	%ecx
	jnz	7b
	movb	%dl, (%rdi)
	incq	%rdi
	ret
