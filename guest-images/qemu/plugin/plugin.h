/*
 * QEMU's interface of plugins, as far as ours use it; distributions have no package with QEMU's own header.
 *
 * Copyright The memrig authors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Its version is compiled in (-DPLUGIN_API): 1 for QEMU 6.0 to 8.2, 2 for 9.0, 3 from 9.1 on.
 */

#ifndef PLUGIN_H
#define PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;

/* The beginning of what QEMU tells about itself. */
struct qemu_info {
    const char *target_name;
};

#if PLUGIN_API >= 2
/* A register, as qemu_plugin_get_registers() lists it. Newer versions say more behind it. */
struct qemu_register {
    void *handle;
    const char *name;
    const char *feature;
};

/* Arrays of GLib, which QEMU brings along. */
struct array {
    char *data;
    unsigned int len;
};

struct bytes {
    uint8_t *data;
    unsigned int len;
};

unsigned int g_array_get_element_size(struct array *array);
char *g_array_free(struct array *array, int free_segment);
struct bytes *g_byte_array_new(void);
uint8_t *g_byte_array_free(struct bytes *array, int free_segment);

struct array *qemu_plugin_get_registers(void);
int qemu_plugin_read_register(void *handle, struct bytes *buf);
#endif

enum { CB_NO_REGS = 0 };
enum mem_rw { MEM_NONE, MEM_R, MEM_W, MEM_RW };

typedef void vcpu_cb(unsigned int cpu, void *data);
typedef void vcpu_mem_cb(unsigned int cpu, uint32_t info, uint64_t address, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*cb)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, vcpu_cb *cb, int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, vcpu_cb *cb, int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, vcpu_mem_cb *cb, int flags, enum mem_rw rw,
                                      void *data);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *insn);
#if PLUGIN_API < 3
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
#else
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *bytes, size_t size);
#endif

/* The one place that says it to QEMU: each plugin is one file. */
EXPORT int qemu_plugin_version = PLUGIN_API;

#endif
