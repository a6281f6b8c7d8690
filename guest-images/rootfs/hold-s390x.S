# SPDX-License-Identifier: GPL-2.0-only
# memrig-hold ADDRESS LENGTH FLAGS [NUMBER A B C D]...: see hold-x86_64.S.

	.globl	_start
_start:	lgr	%r9, %r15
	aghi	%r15, -224		# 160 bytes of zero, an iovec, what mmap takes
	xc	0(224,%r15), 0(%r15)
	la	%r8, 16(%r9)		# the next argument
	brasl	%r14, number
	lgr	%r10, %r2
	stg	%r2, 160(%r15)
	stg	%r2, 176(%r15)
	brasl	%r14, number
	stg	%r2, 168(%r15)
	stg	%r2, 184(%r15)
	brasl	%r14, number
	stg	%r2, 200(%r15)
	lghi	%r1, 3
	stg	%r1, 192(%r15)
	la	%r2, 176(%r15)
	svc	90			# mmap(ADDRESS, LENGTH, PROT_READ | PROT_WRITE, FLAGS, 0, 0)
1:	lghi	%r1, -4095
	clgr	%r2, %r1
	jhe	2f
	lgr	%r12, %r2
	lg	%r1, 0(%r8)
	ltgr	%r1, %r1
	jz	3f
	brasl	%r14, number
	lgr	%r13, %r2
	brasl	%r14, number
	lgr	%r7, %r2
	brasl	%r14, number
	lgr	%r6, %r2
	brasl	%r14, number
	lgr	%r4, %r2
	brasl	%r14, number
	lgr	%r5, %r2
	lgr	%r2, %r7
	lgr	%r3, %r6
	lghi	%r6, 0
	lghi	%r7, 0
	lgr	%r1, %r13
	svc	0
	j	1b
2:	lcgr	%r2, %r2		# exit(errno)
	svc	1
3:	svc	29			# pause
	j	3b

number:	lg	%r3, 0(%r8)
	la	%r8, 8(%r8)
	llgc	%r1, 0(%r3)
	lgr	%r2, %r10
	cghi	%r1, 'a'
	ber	%r14
	lgr	%r2, %r12
	cghi	%r1, 'r'
	ber	%r14
	la	%r2, 160(%r15)
	cghi	%r1, 'i'
	ber	%r14
	la	%r2, 0(%r15)
	cghi	%r1, 'p'
	ber	%r14
	lghi	%r2, 0
1:	aghi	%r1, -48
	blr	%r14
	mghi	%r2, 10
	agr	%r2, %r1
	la	%r3, 1(%r3)
	llgc	%r1, 0(%r3)
	j	1b
