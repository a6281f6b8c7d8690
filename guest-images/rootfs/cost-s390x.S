# SPDX-License-Identifier: GPL-2.0-only
# memrig-cost FILE TEXT: writes TEXT to FILE by one write(2), with a marker before and behind it by which our QEMU plugin counts
# the instructions in between (guest-images/qemu/plugin/cost.c). Prints two numbers of 16 hex digits: the errno, or 0, and by how
# much the processor's clock went on. Without arguments 1000 rounds of a loop take the place of the write, 1001 instructions
# with the second marker. The runner has it as bytes (image/programs.rs), and a test there assembles this file and compares.

	.macro	marker number
	.byte	0xc0, 0x04, 0x4d, 0x52, 0x47, \number
	.endm

	.globl	_start
_start:	lgr	%r9, %r15
	aghi	%r15, -64
	lghi	%r7, 0
	lghi	%r8, 0
	lg	%r1, 0(%r9)
	cghi	%r1, 3
	jne	4f
	lg	%r2, 16(%r9)		# open(FILE, O_WRONLY)
	lghi	%r3, 1
	svc	5
	ltgr	%r7, %r2
	jl	5f
	lg	%r3, 24(%r9)
	lgr	%r1, %r3
1:	cli	0(%r1), 0
	je	2f
	aghi	%r1, 1
	j	1b
2:	lgr	%r4, %r1
	sgr	%r4, %r3
	stck	40(%r15)
	marker	1
	svc	4			# write
	marker	2
	lgr	%r7, %r2
3:	stck	48(%r15)
	lg	%r8, 48(%r15)
	sg	%r8, 40(%r15)
	j	5f
4:	lghi	%r1, 1000
	stck	40(%r15)
	marker	1
1:	brctg	%r1, 1b
	marker	2
	j	3b
5:	lghi	%r3, 0
	ltgr	%r7, %r7
	jnl	1f
	lcgr	%r3, %r7
1:	lgr	%r5, %r15
	lghi	%r6, 32
	brasl	%r14, 6f
	lgr	%r3, %r8
	lghi	%r6, 10
	brasl	%r14, 6f
	lghi	%r2, 1			# write to stdout
	lgr	%r3, %r15
	lghi	%r4, 34
	svc	4
	lghi	%r2, 0			# exit(0)
	svc	1
6:	lghi	%r4, 16			# 16 digits of %r3, and %r6, to %r5
7:	rllg	%r3, %r3, 4
	risbg	%r1, %r3, 60, 191, 0
	aghi	%r1, 48
	cghi	%r1, 57
	jle	8f
	aghi	%r1, 39
8:	stc	%r1, 0(%r5)
	aghi	%r5, 1
	brctg	%r4, 7b
	stc	%r6, 0(%r5)
	aghi	%r5, 1
	br	%r14
