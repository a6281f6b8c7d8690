/*
 * Counts the instructions that the guest executes.
 *
 * Copyright The memrig authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When the guest executes a marker, one line goes to the output file: the number of the marker, and how many instructions were
 * executed up to and including it. A CPU that waits executes nothing, so that idle time is not counted. For one CPU.
 *
 * A marker is an instruction that does nothing and that no compiler makes, with its number in the last byte:
 *
 *   x86_64  0f 1f 80 4d 52 47 NN   nopl 0xNN47524d(%rax)
 *   s390x   c0 04 4d 52 47 NN      brcl 0, 0x4d5247NN * 2
 *
 * Use: qemu-system-... -plugin cost.so,out=FILE
 *
 * The interface of plugins changed twice in what is used here, so that this is compiled for one of its versions (-DCOST_API):
 *
 *   1  QEMU 6.0 to 8.2   a counter is a variable
 *   2  QEMU 9.0          a counter is in a scoreboard, one for each CPU
 *   3  QEMU 9.1 and up   an instruction's bytes are copied
 *
 * What is used is declared here, since distributions have no package with QEMU's header.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;

/* The beginning of what QEMU tells about itself. */
struct qemu_info {
    const char *target_name;
};

enum { INLINE_ADD_U64 = 0, CB_NO_REGS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*cb)(uint64_t id, struct qemu_plugin_tb *tb));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*cb)(unsigned int cpu, void *data),
                                            int flags, void *data);

EXPORT int qemu_plugin_version = COST_API;

#if COST_API == 1

void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *counter, uint64_t by);

static uint64_t count;

static void new_counter(void)
{
}

static void count_insn(struct qemu_plugin_insn *insn)
{
    qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &count, 1);
}

static uint64_t counted(void)
{
    return count;
}

#else

typedef struct {
    struct qemu_plugin_scoreboard *score;
    size_t offset;
} scoreboard_u64;

struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t size);
uint64_t qemu_plugin_u64_sum(scoreboard_u64 entry);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(struct qemu_plugin_insn *insn, int op, scoreboard_u64 entry,
                                                         uint64_t by);

static scoreboard_u64 count;

static void new_counter(void)
{
    count.score = qemu_plugin_scoreboard_new(sizeof(uint64_t));
}

static void count_insn(struct qemu_plugin_insn *insn)
{
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, INLINE_ADD_U64, count, 1);
}

static uint64_t counted(void)
{
    return qemu_plugin_u64_sum(count);
}

#endif

#if COST_API < 3

const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);

static void insn_bytes(const struct qemu_plugin_insn *insn, unsigned char *bytes, size_t size)
{
    memcpy(bytes, qemu_plugin_insn_data(insn), size);
}

#else

size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *bytes, size_t size);

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

static void executed_marker(unsigned int cpu, void *number)
{
    fprintf(out, "%u %llu\n", (unsigned int)(uintptr_t)number, (unsigned long long)counted());
    fflush(out);
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
    unsigned char bytes[8];
    size_t size = marker_size + 1;

    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

        count_insn(insn);
        if (qemu_plugin_insn_size(insn) != size) {
            continue;
        }
        insn_bytes(insn, bytes, size);
        if (memcmp(bytes, marker, marker_size) == 0) {
            void *number = (void *)(uintptr_t)bytes[marker_size];
            qemu_plugin_register_vcpu_insn_exec_cb(insn, executed_marker, CB_NO_REGS, number);
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
    out = fopen(argv[0] + 4, "a");
    if (!out) {
        perror(argv[0] + 4);
        return -1;
    }
    new_counter();
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
