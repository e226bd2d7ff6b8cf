/*
 * Registers of an SEV-ES guest are nobody's but the guest's.
 *
 * Under KVM the kernel does not have them.  Here QEMU does, so each of its
 * interfaces that would show or set one is closed after the launch: the
 * monitor, the gdbstub, dumps, logs.  A guest that could be reset would have
 * its registers set; under KVM it ends instead.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "elf.h"
#include "exec/gdbstub.h"
#include "hw/core/sysemu-cpu-ops.h"
#include "qemu/qemu-print.h"
#include "system/accel-ops.h"
#include "es.h"
#include "es-int.h"

static bool hidden;
static int (*read_register)(CPUState *cs, GByteArray *buf, int reg);

bool sev_es_registers_hidden(void)
{
    return hidden;
}

/* --- Monitor and logs ------------------------------------------------------- */

static void dump_state(CPUState *cs, FILE *f, int flags)
{
    qemu_fprintf(f, "vCPU %d: registers of an SEV-ES guest are encrypted\n",
                 cs->cpu_index);
}

/* --- gdbstub ---------------------------------------------------------------- */

/* As many bytes as the register has, all 0 */
static int gdb_read_blank(CPUState *cs, GByteArray *buf, int reg)
{
    guint before = buf->len;
    int len = read_register(cs, buf, reg);

    memset(buf->data + before, 0, buf->len - before);
    return len;
}

/* gdb hears "OK", as it does for any register that there is not. */
static int gdb_write_refused(CPUState *cs, uint8_t *mem, int reg)
{
    return 0;
}

static int breakpoint_refused(CPUState *cs, int type, vaddr addr, vaddr len)
{
    return -ENOSYS;
}

/* A vCPU has its own copy of the two, made when it was. */
static void close_gdb(CPUState *cs)
{
    g_array_free(cs->gdb_regs, true);
    gdb_init_cpu(cs);
}

/* --- Dumps ------------------------------------------------------------------ */

static const struct SysemuCPUOps *real_ops;
static WriteCoreDumpFunction real_write;        /* one dump at a time */

/*
 * A note keeps its length, on which the places of all that follows depend; what
 * it describes becomes 0.
 */
static int write_blank(const void *buf, size_t size, void *opaque)
{
    g_autofree uint8_t *note = g_memdup2(buf, size);
    const Elf64_Nhdr *head = buf;               /* Elf32_Nhdr is the same */
    size_t desc = sizeof(*head) + ROUND_UP(head->n_namesz, 4);

    if (desc < size) {
        memset(note + desc, 0, size - desc);
    }
    return real_write(note, size, opaque);
}

static int write_elf32_note(WriteCoreDumpFunction f, CPUState *cs, int cpuid,
                            DumpState *s)
{
    real_write = f;
    return real_ops->write_elf32_note(write_blank, cs, cpuid, s);
}

static int write_elf64_note(WriteCoreDumpFunction f, CPUState *cs, int cpuid,
                            DumpState *s)
{
    real_write = f;
    return real_ops->write_elf64_note(write_blank, cs, cpuid, s);
}

static int write_elf32_qemunote(WriteCoreDumpFunction f, CPUState *cs,
                                DumpState *s)
{
    real_write = f;
    return real_ops->write_elf32_qemunote(write_blank, cs, s);
}

static int write_elf64_qemunote(WriteCoreDumpFunction f, CPUState *cs,
                                DumpState *s)
{
    real_write = f;
    return real_ops->write_elf64_qemunote(write_blank, cs, s);
}

/* --- Resets ----------------------------------------------------------------- */

static bool not_resettable(void)
{
    return false;
}

static void close_accelerator(void)
{
    AccelOpsClass *ops = ACCEL_OPS_CLASS(
        object_class_by_name(ACCEL_OPS_NAME("tcg")));

    ops->cpus_are_resettable = not_resettable;
    ops->insert_breakpoint = breakpoint_refused;
}

void sev_es_hide_registers(void)
{
    static struct SysemuCPUOps ops;
    CPUClass *cc = CPU_GET_CLASS(first_cpu);
    CPUState *cs;

    real_ops = cc->sysemu_ops;
    ops = *real_ops;
    ops.write_elf32_note = write_elf32_note;
    ops.write_elf64_note = write_elf64_note;
    ops.write_elf32_qemunote = write_elf32_qemunote;
    ops.write_elf64_qemunote = write_elf64_qemunote;
    cc->sysemu_ops = &ops;

    read_register = cc->gdb_read_register;
    cc->gdb_read_register = gdb_read_blank;
    cc->gdb_write_register = gdb_write_refused;
    CPU_FOREACH(cs) {
        close_gdb(cs);
    }
    cc->dump_state = dump_state;
    close_accelerator();
    hidden = true;
}
