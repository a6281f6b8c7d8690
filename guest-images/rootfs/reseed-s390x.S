# SPDX-License-Identifier: GPL-2.0-only
# Mixes up to 64 bytes of stdin into the kernel's random numbers, and has it draw all that follow from them at once: two
# guests that go on from the same state would else draw the same. Exits with 0 if it did. The runner has it as bytes
# (image/programs.rs), and a test there assembles this file and compares.

	.globl	_start
_start:	aghi	%r15, -64
	larl	%r2, 3f			# open("/dev/urandom", O_RDWR)
	lghi	%r3, 2
	svc	5
	ltgr	%r7, %r2
	jl	2f
	lghi	%r2, 0			# read(0)
	lgr	%r3, %r15
	lghi	%r4, 64
	svc	3
	ltgr	%r4, %r2
	jnh	2f
	lgr	%r2, %r7		# write
	lgr	%r3, %r15
	svc	4
	ltgr	%r2, %r2
	jnh	2f
	lgr	%r2, %r7		# ioctl(fd, RNDRESEEDCRNG)
	lghi	%r3, 0x5207
	svc	54
	ltgr	%r2, %r2
	jl	2f
	lghi	%r2, 0			# exit(0)
1:	svc	1
2:	lghi	%r2, 1			# exit(1)
	j	1b
	.balign	2
3:	.asciz	"/dev/urandom"
