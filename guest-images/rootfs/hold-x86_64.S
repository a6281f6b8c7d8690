# SPDX-License-Identifier: GPL-2.0-only
# memrig-hold ADDRESS LENGTH FLAGS [NUMBER A B C D]...: maps LENGTH bytes at ADDRESS by mmap(2) with FLAGS, to be read and written; what is at
# stdin where the flags do not say MAP_ANONYMOUS. Then it does the system calls with these numbers, one after the other, and waits for
# ever. One that fails ends it, by its errno. Numbers are decimal. In the place of one there can be `a`, the address; `i`, where an iovec
# of all of it is; `p`, where 160 bytes of zero are; `r`, what the call before returned. What it holds is looked at by
# /proc/PID/pagemap, and read and written by /proc/PID/mem. The runner has it as bytes (image/programs.rs), and a test there
# assembles this file and compares.

	.globl	_start
_start:	movq	%rsp, %rbp
	subq	$176, %rsp
	cld
	movq	%rsp, %rdi
	xorl	%eax, %eax
	movl	$22, %ecx
	rep stosq
	leaq	16(%rbp), %rbx		# the next argument
	call	number
	movq	%rax, %r12
	movq	%rax, -16(%rbp)
	call	number
	movq	%rax, %r13
	movq	%rax, -8(%rbp)
	call	number
	movq	%rax, %r10
	movl	$9, %eax		# mmap(ADDRESS, LENGTH, PROT_READ | PROT_WRITE, FLAGS, 0, 0)
	movq	%r12, %rdi
	movq	%r13, %rsi
	movl	$3, %edx
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	syscall
1:	cmpq	$-4095, %rax
	jae	2f
	movq	%rax, %r14
	cmpq	$0, (%rbx)
	je	3f
	call	number
	movq	%rax, %r15
	call	number
	movq	%rax, %rdi
	call	number
	movq	%rax, %r8
	call	number
	movq	%rax, %r9
	call	number
	movq	%rax, %r10
	movq	%r8, %rsi
	movq	%r9, %rdx
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	movq	%r15, %rax
	syscall
	jmp	1b
2:	negl	%eax			# exit(errno)
	movl	%eax, %edi
	movl	$60, %eax
	syscall
3:	movl	$34, %eax		# pause
	syscall
	jmp	3b

number:	movq	(%rbx), %rsi
	addq	$8, %rbx
	movzbl	(%rsi), %ecx
	movq	%r12, %rax
	cmpb	$'a', %cl
	je	2f
	movq	%r14, %rax
	cmpb	$'r', %cl
	je	2f
	leaq	-16(%rbp), %rax
	cmpb	$'i', %cl
	je	2f
	leaq	-176(%rbp), %rax
	cmpb	$'p', %cl
	je	2f
	xorl	%eax, %eax
1:	subl	$48, %ecx
	js	2f
	imulq	$10, %rax, %rax
	addq	%rcx, %rax
	incq	%rsi
	movzbl	(%rsi), %ecx
	jmp	1b
2:	ret
