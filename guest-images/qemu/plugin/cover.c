/*
 * Notes which code of the guest is run for the first time: each block of it that QEMU translates.
 *
 * Copyright The memrig authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU translates a block when the guest is about to execute it, and keeps it. So each is noted once, nothing is done while it is
 * executed, and a machine that goes on from a saved state, which brings no translations with it, notes what it runs itself. What is
 * noted but was not run: the end of a block that was left by an exception, and a block that an interrupt came before. With exact=on
 * each instruction is noted when it is executed for the first time instead; that costs a call for each one, each time.
 *
 * FILE is mapped, so that what was noted is there when QEMU is killed. It is sparse, and in the host's byte order:
 *
 *   8 bytes   "memrigC2"
 *   8 bytes   entries that were claimed; those beyond the room were not written
 *   8 bytes   room, in entries
 *   8 bytes   1 where programs are left out, else 0
 *   24 bytes  an entry: address in the guest; address in the memory of QEMU; bytes, of which 0 is an entry that was not finished
 *
 * The address in QEMU's memory stands for the place in the guest's: programs of the guest's may have the addresses of the kernel's code
 * where the architecture keeps the two apart in other ways (s390x), but never its place. Where it can be told, programs are left out here:
 * code of x86_64 at an address of the lower half, and code of s390x in the problem state, where this QEMU shows registers (9.0).
 *
 * Use: qemu-system-... -plugin cover.so,out=FILE[,exact=on]
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin.h"

struct entry {
    uint64_t address;
    uint64_t host;
    uint64_t bytes;
};

struct file {
    char magic[8];
    uint64_t claimed;
    uint64_t room;
    uint64_t no_programs;
    struct entry entries[];
};

/* A boot of Debian's kernels takes 120 000. */
enum { ROOM = 4 << 20 };

static struct file *file;
static uint64_t lowest;
static int exact;
static int s390x;

/* An instruction that was not executed yet. */
struct pending {
    struct entry entry;
    int noted;
};

static void note(const struct entry *entry)
{
    uint64_t index = __atomic_fetch_add(&file->claimed, 1, __ATOMIC_RELAXED);

    if (index >= ROOM) {
        return;
    }
    file->entries[index].address = entry->address;
    file->entries[index].host = entry->host;
    __atomic_store_n(&file->entries[index].bytes, entry->bytes, __ATOMIC_RELEASE);
}

static struct entry entry_of(const struct qemu_plugin_insn *insn)
{
    return (struct entry){
        .address = qemu_plugin_insn_vaddr(insn),
        .host = (uintptr_t)qemu_plugin_insn_haddr(insn),
        .bytes = qemu_plugin_insn_size(insn),
    };
}

/* CPUs may come here at the same time: to note an instruction twice does no harm. */
static void executed(unsigned int cpu, void *data)
{
    struct pending *pending = data;

    if (!__atomic_exchange_n(&pending->noted, 1, __ATOMIC_RELAXED)) {
        note(&pending->entry);
    }
}

#if PLUGIN_API >= 2
/* The PSW mask of s390x, big endian, as in GDB's s390-core64.xml. */
static void *psw_mask(void)
{
    static void *handle;
    struct array *registers;

    if (handle) {
        return handle;
    }
    registers = qemu_plugin_get_registers();
    for (unsigned int i = 0; i < registers->len; i++) {
        const void *at = registers->data + i * g_array_get_element_size(registers);
        const struct qemu_register *reg = at;

        if (strcmp(reg->name, "pswm") == 0) {
            handle = reg->handle;
        }
    }
    g_array_free(registers, 1);
    return handle;
}

/* Whether the CPU is in the problem state of s390x now: a block is translated for one state, and when it is about to run. */
static int in_problem_state(void)
{
    void *mask = psw_mask();
    struct bytes *value;
    int problem;

    if (!mask) {
        return 0;
    }
    value = g_byte_array_new();
    qemu_plugin_read_register(mask, value);
    /* Bit 15, from the left. */
    problem = value->len == 8 && (value->data[1] & 1);
    if (value->len == 8) {
        file->no_programs = 1;
    }
    g_byte_array_free(value, 1);
    return problem;
}
#else
static int in_problem_state(void)
{
    return 0;
}
#endif

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);

    if (n == 0 || qemu_plugin_tb_vaddr(tb) < lowest || (s390x && in_problem_state())) {
        return;
    }
    if (exact) {
        for (size_t i = 0; i < n; i++) {
            struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
            struct pending *pending = malloc(sizeof(*pending));

            if (!pending) {
                abort();
            }
            *pending = (struct pending){ .entry = entry_of(insn) };
            /* QEMU keeps its block for as long as it likes, and so is this kept. */
            qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, CB_NO_REGS, pending);
        }
    } else {
        struct entry first = entry_of(qemu_plugin_tb_get_insn(tb, 0));
        struct entry last = entry_of(qemu_plugin_tb_get_insn(tb, n - 1));

        first.bytes = last.address + last.bytes - first.address;
        note(&first);
    }
}

static int map(const char *path)
{
    size_t size = sizeof(*file) + ROOM * sizeof(file->entries[0]);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, size) != 0) {
        perror(path);
        return -1;
    }
    file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (file == MAP_FAILED) {
        perror(path);
        return -1;
    }
    file->room = ROOM;
    memcpy(file->magic, "memrigC2", sizeof(file->magic));
    return 0;
}

EXPORT int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
    const char *out = NULL;

    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = argv[i] + 4;
        } else if (strcmp(argv[i], "exact=on") == 0) {
            exact = 1;
        } else {
            fprintf(stderr, "cover: %s is no argument\n", argv[i]);
            return -1;
        }
    }
    if (!out) {
        fprintf(stderr, "cover: expected out=FILE\n");
        return -1;
    }
    if (map(out) != 0) {
        return -1;
    }
    if (strcmp(info->target_name, "x86_64") == 0) {
        lowest = UINT64_C(1) << 63;
        file->no_programs = 1;
    }
    s390x = strcmp(info->target_name, "s390x") == 0;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
