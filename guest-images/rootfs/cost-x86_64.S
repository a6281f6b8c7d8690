# SPDX-License-Identifier: GPL-2.0-only
# memrig-cost ROUNDS FILE TEXT [FILE TEXT]...: in each round writes each TEXT to its FILE, by one write(2) with a marker before and
# behind it, by which our QEMU plugin counts the instructions in between (guest-images/qemu/plugin/cost.c). Before each it sleeps
# to the same fraction of a second, so that timer ticks fall on the same places. Prints a line for each write, two numbers of
# 16 hex digits: the errno, or 0, and by how much the processor's clock went on. Without a FILE, two counts of something known take the
# place of the writes: 1000 turns of a loop, 2001 instructions with the second marker; and the same loop behind a wait for a child, which
# itself sleeps and then turns 100000 times. Marker 0 comes first. The runner has it as bytes (image/programs.rs), and a test there
# assembles this file and compares.

	.macro	marker number
	.byte	0x0f, 0x1f, 0x80, 0x4d, 0x52, 0x47, \number
	.endm
	.macro	clock into
	rdtsc
	shlq	$32, %rdx
	leaq	(%rax,%rdx), \into
	.endm

	.globl	_start
_start:	movq	%rsp, %rbp
	marker	0
	subq	$128, %rsp
	cmpl	$2, (%rbp)
	jl	9f
	movq	16(%rbp), %rsi		# ROUNDS
	xorl	%r13d, %r13d
1:	movzbl	(%rsi), %eax
	subl	$48, %eax
	js	round
	imull	$10, %r13d
	addl	%eax, %r13d
	incq	%rsi
	jmp	1b
round:	decl	%r13d
	js	9f
	leaq	24(%rbp), %rbx		# the first FILE
next:	call	rest
	movq	(%rbx), %rdi
	testq	%rdi, %rdi
	jnz	2f
	leaq	24(%rbp), %rax
	cmpq	%rax, %rbx
	jne	round
	clock	%r12			# no FILE: the loop
	movl	$1000, %ecx
	marker	1
1:	decl	%ecx
	jnz	1b
	marker	2
	clock	%r15
	movl	$57, %eax		# fork
	syscall
	testl	%eax, %eax
	jz	child
	marker	1
	movl	$61, %eax		# wait4(-1, NULL, 0, NULL)
	movl	$-1, %edi
	xorl	%esi, %esi
	xorl	%edx, %edx
	xorl	%r10d, %r10d
	syscall
	movl	$1000, %ecx
1:	decl	%ecx
	jnz	1b
	marker	2
	xorl	%r14d, %r14d
	call	print
	jmp	round
child:	call	rest
	movl	$100000, %ecx
1:	decl	%ecx
	jnz	1b
	jmp	9f
2:	movl	$2, %eax		# open(FILE, O_WRONLY)
	movl	$1, %esi
	syscall
	movslq	%eax, %r14
	movq	%r14, %r12
	movq	%r14, %r15
	testl	%eax, %eax
	js	4f
	movl	%eax, %edi
	movq	8(%rbx), %rsi
	xorl	%r8d, %r8d
1:	cmpb	$0, (%rsi,%r8)
	je	3f
	incl	%r8d
	jmp	1b
3:	clock	%r12
	movl	%r8d, %edx
	movl	$1, %eax		# write
	marker	1
	syscall
	marker	2
	movq	%rax, %r14
	clock	%r15
	movl	$3, %eax		# close
	syscall
4:	call	print
	addq	$16, %rbx
	jmp	next
9:	movl	$60, %eax		# exit(0)
	xorl	%edi, %edi
	syscall

rest:	movl	$228, %eax		# clock_gettime(CLOCK_MONOTONIC)
	movl	$1, %edi
	movq	%rbp, %rsi
	subq	$16, %rsi
	syscall
	addq	$2, -16(%rbp)		# to half a millisecond of the second after the next
	movq	$500000, -8(%rbp)
	movl	$230, %eax		# clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME)
	movl	$1, %edi
	movl	$1, %esi
	leaq	-16(%rbp), %rdx
	xorl	%r10d, %r10d
	syscall
	ret

print:	xorl	%edx, %edx
	testq	%r14, %r14
	cmovs	%r14, %rdx
	negq	%rdx
	leaq	-64(%rbp), %rdi
	movb	$32, %ah
	call	digits
	movq	%r15, %rdx
	subq	%r12, %rdx
	movb	$10, %ah
	call	digits
	movl	$1, %eax		# write to stdout
	movl	$1, %edi
	leaq	-64(%rbp), %rsi
	movl	$34, %edx
	syscall
	ret

digits:	movl	$16, %ecx		# of %rdx, and %ah, to %rdi
1:	rolq	$4, %rdx
	movb	%dl, %al
	andb	$15, %al
	addb	$48, %al
	cmpb	$57, %al
	jle	2f
	addb	$39, %al
2:	stosb
	decl	%ecx
	jnz	1b
	movb	%ah, (%rdi)
	incq	%rdi
	ret
