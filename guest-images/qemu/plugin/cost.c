/*
 * Counts the instructions that the guest executes between two markers, block by block.
 *
 * Copyright The memrig authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A marker is an instruction that does nothing and that no compiler makes, with its number in the last byte:
 *
 *   x86_64  0f 1f 80 4d 52 47 NN   nopl 0xNN47524d(%rax)
 *   s390x   c0 04 4d 52 47 NN      brcl 0, 0x4d5247NN * 2
 *
 * Marker 1 begins a count, and marker 2 ends it: what was executed behind the first up to and with the second. A CPU that waits
 * executes nothing, so that idle time is not counted. For one CPU.
 *
 * What no program of the guest's does has no markers around it: a thread of the kernel's adds and removes memory where ACPI asks for
 * it. A function that is told to the plugin as a whole (w) is counted each time it is called outside of the markers, from its first
 * instruction to the last one before where it was called from.
 *
 * Marker 0 has the plugin read FILE.entries: lines of a letter and an address in hex, where the kernel is entered for an interrupt
 * (i) and for an exception (e), and where functions begin that are left out (c) or counted as a whole (w). From then on instructions
 * of interrupts are not counted, from the entry to the instruction that returns, and those of the functions that are left out, from
 * their first to where they were called from. When a timer ticks is chance, and what the scheduler finds to do as well. Every task comes
 * back from the scheduler to the same address, and so it is the stack that tells whose return it is: what other tasks do is not counted.
 *
 * FILE gets a line for each block of code that was executed in between, `b ADDRESS COUNT` (in hex, and in instructions), and
 * behind them `= TOTAL`, or `= TOTAL ADDRESS` where the function at that address was counted. The CPU's own pieces of code differ
 * now and then, the sum does not.
 *
 * Use: qemu-system-... -plugin cost.so,out=FILE
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

#if PLUGIN_API < 3
static void insn_bytes(const struct qemu_plugin_insn *insn, unsigned char *bytes, size_t size)
{
    memcpy(bytes, qemu_plugin_insn_data(insn), size);
}
#else
static void insn_bytes(const struct qemu_plugin_insn *insn, unsigned char *bytes, size_t size)
{
    qemu_plugin_insn_data(insn, bytes, size);
}
#endif

static const unsigned char marker_x86_64[] = { 0x0f, 0x1f, 0x80, 0x4d, 0x52, 0x47 };
static const unsigned char marker_s390x[] = { 0xc0, 0x04, 0x4d, 0x52, 0x47 };

/* A marker without its number. */
static const unsigned char *marker;
static size_t marker_size;

static FILE *out;
static char entries_path[4096];

/* A piece of code as it was translated once; those that were dropped are kept, as their counts are. */
struct block {
    struct block *next;
    uint64_t address;
    uint64_t insns;
    uint64_t times;
    /* Behind the call that it ends with, or 0. */
    uint64_t behind_call;
    char entry;
};
static struct block *blocks;

/* A marker in a block: its number, and how many instructions follow it there. */
struct mark {
    unsigned char number;
    uint64_t behind;
};

/* Where the kernel is entered, until the first address of 0. */
static struct {
    uint64_t address;
    char kind;
} entries[512];

/* Between marker 1 and marker 2, and what belongs there of the blocks that the markers are in. */
static int counting;
static int64_t around;

/* The function that is counted as a whole, and where it returns to, or 0. */
static uint64_t whole;
static uint64_t whole_until;

/* Behind the call that the block executed last ends with, or 0. */
static uint64_t behind_last;

/* Entries that have not returned, from the outermost interrupt or the function that is left out on. */
static unsigned int depth;

/* Where the function that is left out returns to, or 0, and a place on the stack that it was called on. */
static uint64_t left_out_until;
static uint64_t left_out_stack;

/* Where in memory the registers of a function, or where it returns to, were last put or taken from: on the stack of the task. */
static uint64_t stack;

/* The same before each of the entries that have not returned; of more than so many the outermost are forgotten. */
enum { ENTRIES = 64 };
static uint64_t stack_before[ENTRIES];

/*
 * Whether the next access to memory is one that tells. QEMU before 8.0 goes on with those that helpers make for instructions of later
 * blocks.
 */
static int stack_next;

/* Where calls return to that have not returned; the oldest are forgotten where there are too many. */
enum { CALLS = 256 };
static uint64_t called_from[CALLS];
static unsigned int called;

/*
 * Whether a place is on the stack that was used last. A stack has 16 KiB and is aligned to its size; those of kernels with KASAN are larger,
 * and a page that is not mapped is between two (THREAD_SIZE and CONFIG_VMAP_STACK in 6.1 to 7.3, x86_64 and s390x).
 */
static int on_stack(uint64_t place)
{
    uint64_t distance = place < stack ? stack - place : place - stack;

    return place >> 14 == stack >> 14 || distance < 4096;
}

/* A return may skip calls whose functions jumped on to another, or that never return. */
static void see_return(uint64_t address)
{
    for (unsigned int i = called; i > 0; i--) {
        if (called_from[i - 1] == address) {
            called = i - 1;
            return;
        }
    }
}

static void see_call(uint64_t returns_to)
{
    if (called == CALLS) {
        memmove(called_from, called_from + 1, (CALLS - 1) * sizeof(called_from[0]));
        called--;
    }
    called_from[called++] = returns_to;
}

static char entry_at(uint64_t address)
{
    for (size_t i = 0; entries[i].address; i++) {
        if (entries[i].address == address) {
            return entries[i].kind;
        }
    }
    return 0;
}

static void read_entries(void)
{
    FILE *in = fopen(entries_path, "r");
    size_t n = 0;

    if (!in) {
        return;
    }
    while (n + 1 < sizeof(entries) / sizeof(entries[0]) &&
           fscanf(in, " %c %" SCNx64, &entries[n].kind, &entries[n].address) == 2) {
        n++;
    }
    entries[n].address = 0;
    fclose(in);
    for (struct block *block = blocks; block; block = block->next) {
        block->entry = entry_at(block->address);
    }
}

static void write_counts(void)
{
    int64_t total = around;

    for (struct block *block = blocks; block; block = block->next) {
        if (block->times) {
            fprintf(out, "b %" PRIx64 " %" PRIu64 "\n", block->address, block->times * block->insns);
            total += block->times * block->insns;
        }
    }
    if (whole) {
        fprintf(out, "= %" PRId64 " %" PRIx64 "\n", total, whole);
    } else {
        fprintf(out, "= %" PRId64 "\n", total);
    }
    fflush(out);
}

static void begin(int64_t behind)
{
    for (struct block *block = blocks; block; block = block->next) {
        block->times = 0;
    }
    counting = 1;
    called = 0;
    around = behind;
}

static void end(void)
{
    counting = 0;
    depth = 0;
    left_out_until = 0;
    write_counts();
    whole = 0;
    whole_until = 0;
}

/* QEMU takes interrupts between blocks, so that the kernel is entered at the beginning of one, as functions are. */
static void executed_block(unsigned int cpu, void *data)
{
    struct block *block = data;
    uint64_t returns_to = behind_last;

    behind_last = block->behind_call;
    stack_next = 0;
    if (whole && block->address == whole_until) {
        end();
    }
    /* An interrupt between the call and the function hides where it returns to: it is then missing, and that is noticed. */
    if (block->entry == 'w' && !counting && returns_to) {
        depth = 0;
        left_out_until = 0;
        begin(0);
        whole = block->address;
        whole_until = returns_to;
    }
    if (!counting && !block->entry) {
        return;
    }
    /* An interrupt may have begun in another task, and not have returned there. */
    if (left_out_until && left_out_until == block->address && on_stack(left_out_stack)) {
        depth = 0;
        left_out_until = 0;
    }
    if (depth == 0) {
        see_return(block->address);
    }
    if (block->entry == 'c') {
        if (counting && depth == 0 && called > 0) {
            depth = 1;
            left_out_until = called_from[called - 1];
            left_out_stack = stack;
        }
    } else if (block->entry == 'i' || (block->entry == 'e' && depth > 0)) {
        stack_before[depth % ENTRIES] = stack;
        depth++;
    }
    if (counting && depth == 0) {
        block->times++;
        if (block->behind_call) {
            see_call(block->behind_call);
        }
    }
}

static void executed_return(unsigned int cpu, void *data)
{
    /* Out of a function that is left out, another task may return that was interrupted before. */
    if (depth > (left_out_until ? 1 : 0)) {
        depth--;
        stack = stack_before[depth % ENTRIES];
    }
}

/* An instruction that uses the stack is about to be executed. */
static void uses_stack_next(unsigned int cpu, void *data)
{
    stack_next = 1;
}

/* The first of its accesses is enough: the others are beside it. */
static void used_stack(unsigned int cpu, uint32_t info, uint64_t address, void *data)
{
    if (stack_next) {
        stack = address;
        stack_next = 0;
    }
}

static void executed_marker(unsigned int cpu, void *data)
{
    struct mark *mark = data;

    if (mark->number == 0) {
        read_entries();
    } else if (mark->number == 1) {
        whole = 0;
        whole_until = 0;
        begin(mark->behind);
    } else if (mark->number == 2 && counting && !whole) {
        around -= mark->behind;
        end();
    }
}

/* IRETQ of x86_64, LPSWE and LPSWEY of s390x. */
static int returns(const unsigned char *bytes, size_t size)
{
    if (marker == marker_x86_64) {
        return size == 2 && bytes[0] == 0x48 && bytes[1] == 0xcf;
    }
    return (size == 4 && bytes[0] == 0xb2 && bytes[1] == 0xb2) || (size == 6 && bytes[0] == 0xeb && bytes[5] == 0x71);
}

/*
 * CALL of x86_64; BASR, BRAS and BRASL of s390x. A call of what follows in a few bytes is that of a retpoline: it puts another
 * address on the stack and goes there, so that nothing returns behind it.
 */
static int calls(const unsigned char *bytes, size_t size)
{
    if (marker == marker_x86_64) {
        if (size == 5 && bytes[0] == 0xe8) {
            return bytes[1] >= 32 || bytes[2] || bytes[3] || bytes[4];
        }
        return (bytes[0] == 0xff && size > 1 && (bytes[1] & 0x38) == 0x10) ||
               (size > 2 && (bytes[0] & 0xf0) == 0x40 && bytes[1] == 0xff && (bytes[2] & 0x38) == 0x10);
    }
    return (size == 2 && bytes[0] == 0x0d) || (size == 4 && bytes[0] == 0xa7 && (bytes[1] & 0x0f) == 5) ||
           (size == 6 && bytes[0] == 0xc0 && (bytes[1] & 0x0f) == 5);
}

/*
 * How an instruction uses the stack that its task is on: CALL of x86_64; STMG and LMG of s390x, up to and by the register that points to
 * it, with which functions begin and end. (QEMU 7.2 hardly ever tells of what RET of x86_64 reads.)
 */
static enum mem_rw uses_stack(const unsigned char *bytes, size_t size)
{
    if (marker == marker_x86_64) {
        return calls(bytes, size) ? MEM_W : MEM_NONE;
    }
    if (size == 6 && bytes[0] == 0xeb && (bytes[1] & 0x0f) == 15 && bytes[2] >> 4 == 15) {
        return bytes[5] == 0x24 ? MEM_W : bytes[5] == 0x04 ? MEM_R : MEM_NONE;
    }
    return MEM_NONE;
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory) {
        abort();
    }
    return memory;
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
    struct block *block = allocate(sizeof(*block));
    uint64_t end = qemu_plugin_tb_vaddr(tb);

    block->address = qemu_plugin_tb_vaddr(tb);
    block->insns = qemu_plugin_tb_n_insns(tb);
    block->entry = entry_at(block->address);
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed_block, CB_NO_REGS, block);
    for (size_t i = 0; i < block->insns; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        size_t size = qemu_plugin_insn_size(insn);
        unsigned char bytes[16];
        enum mem_rw rw;

        end += size;
        if (size > sizeof(bytes)) {
            continue;
        }
        insn_bytes(insn, bytes, size);
        if (i + 1 == block->insns && calls(bytes, size)) {
            block->behind_call = end;
        }
        rw = uses_stack(bytes, size);
        if (rw != MEM_NONE) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, uses_stack_next, CB_NO_REGS, NULL);
            qemu_plugin_register_vcpu_mem_cb(insn, used_stack, CB_NO_REGS, rw, NULL);
        }
        if (size == marker_size + 1 && memcmp(bytes, marker, marker_size) == 0) {
            struct mark *mark = allocate(sizeof(*mark));
            mark->number = bytes[marker_size];
            mark->behind = block->insns - (i + 1);
            qemu_plugin_register_vcpu_insn_exec_cb(insn, executed_marker, CB_NO_REGS, mark);
        } else if (returns(bytes, size)) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, executed_return, CB_NO_REGS, NULL);
        }
    }
}

EXPORT int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
    if (strcmp(info->target_name, "x86_64") == 0) {
        marker = marker_x86_64;
        marker_size = sizeof(marker_x86_64);
    } else if (strcmp(info->target_name, "s390x") == 0) {
        marker = marker_s390x;
        marker_size = sizeof(marker_s390x);
    } else {
        fprintf(stderr, "cost: no marker for %s\n", info->target_name);
        return -1;
    }
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
        fprintf(stderr, "cost: expected out=FILE\n");
        return -1;
    }
    if (snprintf(entries_path, sizeof(entries_path), "%s.entries", argv[0] + 4) >= (int)sizeof(entries_path)) {
        fprintf(stderr, "cost: the path is too long\n");
        return -1;
    }
    out = fopen(argv[0] + 4, "a");
    if (!out) {
        perror(argv[0] + 4);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
