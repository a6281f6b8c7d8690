# SPDX-License-Identifier: GPL-2.0-only
# memrig-cost ROUNDS FILE TEXT [FILE TEXT]...: in each round writes each TEXT to its FILE, by one write(2) with a marker before and
# behind it, by which our QEMU plugin counts the instructions in between (guest-images/qemu/plugin/cost.c). Before each it sleeps
# to the same fraction of a second, so that timer ticks fall on the same places. Prints a line for each write, two numbers of
# 16 hex digits: the errno, or 0, and by how much the processor's clock went on. Without a FILE, two counts of something known take the
# place of the writes: 1000 turns of a loop, 1001 instructions with the second marker; and the same loop behind a wait for a child, which
# itself sleeps and then turns 100000 times. Marker 0 comes first. The runner has it as bytes (image/programs.rs), and a test there
# assembles this file and compares.

	.macro	marker number
	.byte	0xc0, 0x04, 0x4d, 0x52, 0x47, \number
	.endm

	.globl	_start
_start:	lgr	%r9, %r15
	marker	0
	aghi	%r15, -128
	lg	%r1, 0(%r9)
	cghi	%r1, 2
	jl	9f
	lg	%r1, 16(%r9)		# ROUNDS
	lghi	%r10, 0
1:	llgc	%r2, 0(%r1)
	aghi	%r2, -48
	jl	round
	mghi	%r10, 10
	agr	%r10, %r2
	aghi	%r1, 1
	j	1b
round:	aghi	%r10, -1
	jl	9f
	la	%r11, 24(%r9)		# the first FILE
next:	brasl	%r14, rest
	lg	%r2, 0(%r11)
	ltgr	%r2, %r2
	jne	2f
	la	%r1, 24(%r9)
	cgr	%r1, %r11
	jne	round
	lghi	%r1, 1000		# no FILE: the loop
	stck	40(%r15)
	marker	1
1:	brctg	%r1, 1b
	marker	2
	stck	48(%r15)
	svc	2			# fork
	ltgr	%r2, %r2
	je	child
	marker	1
	lghi	%r2, -1			# wait4(-1, NULL, 0, NULL)
	lghi	%r3, 0
	lghi	%r4, 0
	lghi	%r5, 0
	svc	114
	lghi	%r1, 1000
1:	brctg	%r1, 1b
	marker	2
	lghi	%r7, 0
	brasl	%r14, print
	j	round
child:	brasl	%r14, rest
	llilh	%r1, 1			# 100000
	oill	%r1, 0x86a0
1:	brctg	%r1, 1b
	j	9f
2:	lghi	%r3, 1			# open(FILE, O_WRONLY)
	svc	5
	xc	40(16,%r15), 40(%r15)
	ltgr	%r7, %r2
	jl	4f
	lgr	%r12, %r2
	lg	%r3, 8(%r11)
	lgr	%r1, %r3
1:	cli	0(%r1), 0
	je	3f
	aghi	%r1, 1
	j	1b
3:	lgr	%r4, %r1
	sgr	%r4, %r3
	stck	40(%r15)
	marker	1
	svc	4			# write
	marker	2
	stck	48(%r15)
	lgr	%r7, %r2
	lgr	%r2, %r12		# close
	svc	6
4:	brasl	%r14, print
	la	%r11, 16(%r11)
	j	next
9:	lghi	%r2, 0			# exit(0)
	svc	1

rest:	lghi	%r2, 1			# clock_gettime(CLOCK_MONOTONIC)
	la	%r3, 56(%r15)
	lghi	%r1, 260
	svc	0
	lg	%r1, 56(%r15)		# to half a millisecond of the second after the next
	aghi	%r1, 2
	stg	%r1, 56(%r15)
	llilh	%r1, 7
	oill	%r1, 0xa120
	stg	%r1, 64(%r15)
	lghi	%r2, 1			# clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME)
	lghi	%r3, 1
	la	%r4, 56(%r15)
	lghi	%r5, 0
	lghi	%r1, 262
	svc	0
	br	%r14

print:	lgr	%r8, %r14
	lghi	%r3, 0
	ltgr	%r7, %r7
	jnl	1f
	lcgr	%r3, %r7
1:	la	%r5, 72(%r15)
	lghi	%r6, 32
	brasl	%r14, digits
	lg	%r3, 48(%r15)
	sg	%r3, 40(%r15)
	lghi	%r6, 10
	brasl	%r14, digits
	lghi	%r2, 1			# write to stdout
	la	%r3, 72(%r15)
	lghi	%r4, 34
	svc	4
	br	%r8

digits:	lghi	%r4, 16			# of %r3, and %r6, to %r5
1:	rllg	%r3, %r3, 4
	risbg	%r1, %r3, 60, 191, 0
	aghi	%r1, 48
	cghi	%r1, 57
	jle	2f
	aghi	%r1, 39
2:	stc	%r1, 0(%r5)
	aghi	%r5, 1
	brctg	%r4, 1b
	stc	%r6, 0(%r5)
	aghi	%r5, 1
	br	%r14
