# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest without an operating system that checks standby memory, EDAT-1, and what is kept of translations.
#
# 64 MiB of initial memory (increments 1 to 4) and 64 MiB of standby memory (5 to 8),
# in increments of 16 MiB. Each step leaves one record of 8 bytes from 0x20000 on: a
# program interruption code in the upper word (0: none), a value in the lower word.
# The steps are numbered; runner/supply/src/qemu/bare_metal.rs knows what each must leave.
# At the end the CPU waits for ever, with 0xd0e as its address.

	.set	RESULTS, 0x20000
	.set	SCCB, 0x30000
	.set	A, 0x05000000		# increment 6, all of the steps but a few
	.set	CORE, 0x02000000	# increment 3
	.set	SPACES, 0x00400000	# segment tables of three address spaces, of 4 KiB each
	.set	FRAMES, 0x00600000	# what each has at V, of 1 MiB each
	.set	V, 0x00500000
	.set	SPACE, 0x31000		# the address-space-control element that is loaded

	# One service call: command word, then increment number (0: not needed).
	.macro	call command, number=0
	lgfi	%r3,\command
	lghi	%r4,\number
	bras	%r14,sclp
	.endm
	.macro	at address
	lgfi	%r10,\address
	.endm
	.macro	probe address
	at	\address
	bras	%r14,load
	.endm
	.macro	key address
	at	\address
	bras	%r14,iske
	.endm
	# Where the storage is not there, the next step tells.
	.macro	write value, address
	lgfi	%r1,\value
	lgfi	%r10,\address
	larl	%r13,9f
	stg	%r1,0(%r10)
9:
	.endm
	.macro	setkeys value, address
	lgfi	%r11,\value
	lgfi	%r12,\address
	bras	%r14,sskemb
	.endm
	.macro	frame function, address
	lgfi	%r11,\function
	lgfi	%r12,\address
	bras	%r14,pfmf
	.endm

	# The entry of a segment in the table of a space: a large frame.
	.macro	map space, segment, frame
	lgfi	%r1,\frame+0x400
	lgfi	%r2,SPACES+\space*0x1000+(\segment>>20)*8
	stg	%r1,0(%r2)
	.endm
	.macro	enter space
	lgfi	%r1,SPACES+\space*0x1000
	lgfi	%r2,SPACE
	stg	%r1,0(%r2)
	lctlg	%c1,%c1,0(%r2)
	.endm

	.globl	_start
_start:
	lhi	%r1,1
	lghi	%r2,0
	sigp	%r1,%r2,0x12		# z/Architecture mode
	sam64
	lgfi	%r15,RESULTS
	larl	%r1,pswmask
	lg	%r1,0(%r1)
	lgfi	%r2,0x1d0		# program new PSW
	stg	%r1,0(%r2)
	larl	%r3,pgm
	stg	%r3,8(%r2)
	lgfi	%r2,0x1b0		# external new PSW
	stg	%r1,0(%r2)
	larl	%r3,ext
	stg	%r3,8(%r2)
	larl	%r1,cr0
	lctlg	%c0,%c0,0(%r1)

	# Nothing attached, nothing assigned.
	probe	A			# 0
	probe	0x03f00000		# 1
	call	0x000d0001, 6		# 2
	probe	A			# 3
	call	0x00040101		# 4
	# Attach and assign: new storage is zero, at its start and its end.
	call	0x00080101		# 5
	call	0x000d0001, 6		# 6
	probe	A			# 7
	probe	A+0xfffff8		# 8
	probe	A-8			# 9
	probe	A+0x1000000		# 10
	call	0x000d0001, 6		# 11
	write	0x55aa55aa, A
	probe	A			# 12
	# Unassign: gone at once, and zero when it comes back.
	call	0x000c0001, 6		# 13
	probe	A			# 14
	call	0x000c0001, 6		# 15
	call	0x000d0001, 6		# 16
	probe	A			# 17
	# What the elements say.
	call	0x00040101		# 18
	bras	%r14,sizes		# 19
	bras	%r14,entry		# 20
	call	0x00040201		# 21
	call	0x00040301		# 22
	call	0x00080201		# 23
	call	0x00040201		# 24
	# Requests that make no sense.
	call	0x000d0001, 9		# 25
	call	0x000c0001, 1		# 26
	# Initial memory can be given back as well.
	write	0x11223344, CORE
	call	0x000c0001, 3		# 27
	probe	CORE			# 28
	call	0x000d0001, 3		# 29
	probe	CORE			# 30
	# More than one increment in a row.
	call	0x000d0001, 5		# 31
	call	0x000d0001, 7		# 32
	call	0x000d0001, 8		# 33
	call	0x000c0001, 5		# 34
	call	0x000c0001, 7		# 35
	call	0x000c0001, 8		# 36
	# Translated code does not survive.
	larl	%r1,code
	lg	%r1,0(%r1)
	at	A
	larl	%r13,9f
	stg	%r1,0(%r10)
9:
	bras	%r14,run		# 37
	call	0x000c0001, 6		# 38
	call	0x000d0001, 6		# 39
	at	A
	bras	%r14,run		# 40

	# SET STORAGE KEY EXTENDED: one page, then the rest of a frame.
	lgfi	%r11,0x30
	at	A
	larl	%r13,9f
	sske	%r11,%r10
9:
	key	A			# 41
	call	0x000c0001, 6		# 42
	call	0x000d0001, 6		# 43
	key	A			# 44
	setkeys	0x50, A+0x3123		# 45
	key	A+0x2000		# 46
	key	A+0x3000		# 47
	key	A+0xff000		# 48
	key	A+0x100000		# 49

	# PERFORM FRAME MANAGEMENT FUNCTION: clear and set the key of one page ...
	write	0x55aa55aa, A+0x4000
	write	0x55aa55aa, A+0x5000
	write	0x55aa55aa, A+0xfff00
	write	0x55aa55aa, A+0x100000
	frame	0x00030070, A+0x4000	# 50
	probe	A+0x4000		# 51
	key	A+0x4000		# 52
	probe	A+0x5000		# 53
	key	A+0x5000		# 54
	# ... set the key without clearing ...
	frame	0x00020060, A+0x5000	# 55
	probe	A+0x5000		# 56
	key	A+0x5000		# 57
	# ... clear the rest of a frame without setting a key ...
	write	0x66, A+0x4000
	frame	0x00011000, A+0x5000	# 58
	probe	A+0x4000		# 59
	probe	A+0x5000		# 60
	key	A+0x5000		# 61
	probe	A+0xfff00		# 62
	probe	A+0x100000		# 63
	# ... and what it refuses: a reserved bit, a facility that is not there, frames
	# of 2 GiB, storage that is not there.
	frame	0x00070000, A		# 64
	frame	0x00020800, A		# 65
	frame	0x00022000, A		# 66
	frame	0x00010000, A+0x1000000	# 67
	frame	0x00011000, A+0x1000000	# 68
	setkeys	0x50, A+0x1000000	# 69
	# Low-address protection holds for clearing, not for keys.
	lgfi	%r11,0x00010000
	bras	%r14,pfmflap		# 70
	lgfi	%r11,0x00020000
	bras	%r14,pfmflap		# 71
	probe	0x03f00000		# 72

	# Three address spaces by turns: each has what is its own.
	larl	%r1,cr0edat
	lctlg	%c0,%c0,0(%r1)
	write	0x111, FRAMES
	write	0x222, FRAMES+0x100000
	write	0x333, FRAMES+0x200000
	write	0x444, FRAMES+0x300000
	.irp	space, 0, 1, 2
	map	\space, 0, 0
	map	\space, SPACES, SPACES
	map	\space, V, FRAMES+\space*0x100000
	.endr
	enter	0
	lgfi	%r2,SPACE
	stosm	8(%r2),0x04		# translation on
	probe	V			# 73
	enter	1
	probe	V			# 74
	enter	0
	probe	V			# 75
	# An entry of the other space is another one: what was kept of it is purged ...
	lgfi	%r1,SPACES+0x1000
	lgfi	%r3,V
	lghi	%r6,0
	idte	%r1,%r6,%r3
	map	1, V, FRAMES+0x300000
	enter	1
	probe	V			# 76
	# ... and a third one takes the place of one of the two.
	enter	2
	probe	V			# 77
	enter	0
	probe	V			# 78
	enter	2
	probe	V			# 79
	enter	1
	probe	V			# 80
	map	0, V, FRAMES+0x100000
	ptlb
	enter	0
	probe	V			# 81
	lgfi	%r2,SPACE
	stnsm	8(%r2),0xfb		# translation off
	larl	%r1,cr0
	lctlg	%c0,%c0,0(%r1)

	# An interruption stores its old PSW over what was translated there, and leaves what lies behind the storage for interruptions.
	larl	%r1,code
	lg	%r1,0(%r1)
	stg	%r1,0x150(%r0)
	stg	%r1,0x340(%r0)
	at	0x150
	bras	%r14,run		# 82
	at	0x340
	bras	%r14,run		# 83
	probe	0x10000000		# 84
	at	0x150
	bras	%r14,run		# 85
	at	0x340
	bras	%r14,run		# 86
	larl	%r1,wait
	lpswe	0(%r1)

load:	lghi	%r4,0
	mvhhi	0x8e(%r0),0
	larl	%r13,record
	lg	%r4,0(%r10)
	j	record

iske:	lghi	%r4,0
	mvhhi	0x8e(%r0),0
	larl	%r13,record
	iske	%r4,%r10
	j	record

sskemb:	mvhhi	0x8e(%r0),0
	larl	%r13,1f
	sske	%r11,%r12,1
1:	lgr	%r4,%r12
	j	record

pfmf:	mvhhi	0x8e(%r0),0
	larl	%r13,1f
	pfmf	%r11,%r12
1:	lgr	%r4,%r12
	j	record

pfmflap: lghi	%r12,0
	mvhhi	0x8e(%r0),0
	larl	%r13,1f
	larl	%r1,cr0lap
	lctlg	%c0,%c0,0(%r1)
	pfmf	%r11,%r12
1:	larl	%r1,cr0
	lctlg	%c0,%c0,0(%r1)
	lgr	%r4,%r12
	j	record

run:	lghi	%r4,0
	mvhhi	0x8e(%r0),0
	larl	%r13,record
	basr	%r8,%r10
	j	record

# Of the last answer: assigned and standby increments; the first entry.
sizes:	lgfi	%r2,SCCB
	llgf	%r4,10(%r2)
	j	value
entry:	lgfi	%r2,SCCB
	llgf	%r4,16(%r2)
	j	value

sclp:	lgfi	%r2,SCCB
	mvghi	0(%r2),0
	mvghi	8(%r2),0
	mvghi	16(%r2),0
	mvhhi	0(%r2),4096
	sth	%r4,8(%r2)
	.insn	rre,0xb2200000,%r3,%r2	# servc
	larl	%r1,waitext
	lpswe	0(%r1)
ext:	lgfi	%r2,SCCB
	llgh	%r4,6(%r2)

value:	mvhhi	0x8e(%r0),0
record:	llgh	%r5,0x8e(%r0)
	sllg	%r5,%r5,32
	llgfr	%r4,%r4
	ogr	%r5,%r4
	stg	%r5,0(%r15)
	aghi	%r15,8
	br	%r14

pgm:	br	%r13

	.align	16
code:	lhi	%r4,0x77
	br	%r8
	.align	16
pswmask: .quad	0x0000000180000000
cr0:	.quad	0x0000000000000200	# service signal
cr0edat: .quad	0x0000000000800200	# and EDAT
cr0lap:	.quad	0x0000000010000200	# and low-address protection
	.align	16
wait:	.quad	0x0002000180000000, 0xd0e
waitext: .quad	0x0102000180000000, 0
