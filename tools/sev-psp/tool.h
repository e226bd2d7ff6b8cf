/*
 * sev-psp: what its commands share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SEV_PSP_TOOL_H
#define SEV_PSP_TOOL_H

#include "hw/psp/crypto.h"
#include "hw/psp/psp-chain.h"
#include "hw/psp/psp-store.h"
#include "hw/psp/psp.h"
#include "hw/psp/util.h"

/* Exit codes, as the man page has them */
enum {
    TOOL_OK = 0,
    TOOL_FAILED = 1,            /* something broke; the sentence is on stderr */
    TOOL_USAGE = 2,
    TOOL_NO = 3,                /* checked, and the answer is no */
};

#define TOOL_ERROR tool_error_quark()
GQuark tool_error_quark(void);

typedef struct Tool {
    char *dir;                  /* of the chip, its chain and trusted roots */
    bool hardware;              /* the chip is the one behind /dev/sev */
    bool json;
    GString *out;               /* what goes to stdout at the end */
    bool first;                 /* no JSON field yet */
} Tool;

/* --- out.c: one list of fields, for people or for programs --------------- */

void tool_text(Tool *tool, const char *name, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
void tool_bool(Tool *tool, const char *name, bool value);
void tool_number(Tool *tool, const char *name, uint64_t value);
void tool_hex(Tool *tool, const char *name, const void *data, size_t len);
void tool_base64(Tool *tool, const char *name, const void *data, size_t len);
void tool_flush(Tool *tool);

/* --- files.c ------------------------------------------------------------- */

bool tool_read(const char *path, uint8_t **data, size_t *len,
               GError **error);
/* The file must have exactly @len bytes, or be the base64 of as many. */
bool tool_read_exact(const char *path, void *data, size_t len,
                     GError **error);
/* None of the files (a list that ends with NULL) is there yet. */
bool tool_new_files(const char *dir, const char *const *names,
                    GError **error);
/* @mode 0600 for secrets; an existing file is replaced. */
bool tool_write(const char *dir, const char *name, const void *data,
                size_t len, int mode, GError **error);
bool tool_write_base64(const char *dir, const char *name, const void *data,
                       size_t len, int mode, GError **error);
bool tool_base64_exact(const char *text, const char *what, void *data,
                       size_t len, GError **error);
/* @text is the 2 * @len hex digits of @data; @what names it in the error. */
bool tool_hex_exact(const char *text, const char *what, void *data,
                    size_t len, GError **error);
bool tool_uuid_parse(const char *text, uint8_t guid[16], GError **error);
bool tool_policy_parse(const char *text, uint32_t *policy, GError **error);

/* --- chip.c: a chip on the store ------------------------------------------ */

typedef struct ToolChip ToolChip;
ToolChip *tool_chip_open(Tool *tool, GError **error);
/* The same, and INIT */
ToolChip *tool_chip_start(Tool *tool, GError **error);
void tool_chip_close(ToolChip *chip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolChip, tool_chip_close)

PspPlatform *tool_chip_psp(ToolChip *chip);
PspStore *tool_chip_store(ToolChip *chip);
bool tool_exec(ToolChip *chip, PspCommand cmd, void *buf, size_t len,
               GError **error);
/* @n-th of four pages of chip-visible memory: 16 KiB each */
uint64_t tool_chip_paddr(unsigned n);
uint8_t *tool_chip_mem(ToolChip *chip, unsigned n);

/* PDH, PEK, OCA, CEK, and ASK and ARK; owned by the struct */
typedef struct ToolCerts {
    uint8_t pdh[PSP_CERT_LEN];
    uint8_t plat[PSP_CHAIN_LEN];
    uint8_t amd[2 * PSP_AMD_CERT_LEN_4096];
    size_t amd_len;
} ToolCerts;
/* As the chip exports them: without ASK and ARK when it behaves as silicon */
bool tool_chip_certs(ToolChip *chip, ToolCerts *certs, GError **error);
bool tool_chip_id(ToolChip *chip, uint8_t id[PSP_ID_LEN], GError **error);

extern const PspRng tool_rng;

/* --- platform.c: the software chip, or the kernel's ----------------------- */

/* What a platform's chip says of itself */
typedef struct ToolPlatform {
    ToolCerts certs;
    uint8_t id[PSP_ID_LEN];
    bool has_id;
} ToolPlatform;

/* The one that the command line names: in tool->dir, or behind /dev/sev */
bool tool_platform(Tool *tool, ToolPlatform *platform, GError **error);
/* What the chip did not export, from tool->dir's chain if there is one */
bool tool_platform_complete(Tool *tool, ToolCerts *certs, GError **error);
char *tool_chain_path(Tool *tool);
/* False, with usage as the error, for the kernel's chip */
bool tool_software(Tool *tool, GError **error);

PspChain tool_chain(const ToolCerts *certs);
/* AMD's, and those of DIR/roots */
PspRoots *tool_roots(Tool *tool, GError **error);

/* --- kernel.c ------------------------------------------------------------- */

/* What the kernel hands over of its chip */
bool tool_kernel_platform(ToolPlatform *platform, GError **error);
/* The generation of this host's processor in AMD's file names, or NULL */
const char *tool_kernel_generation(void);

/* --- cmd-identity.c ------------------------------------------------------- */

/* Is there a chip?  Looking makes none. */
bool tool_exists(Tool *tool);
/* A warning, after a command that replaced the PDH */
void tool_pdh_replaced(Tool *tool);

/* --- vmsa.c --------------------------------------------------------------- */

/* The vCPUs of an SEV-ES guest; @init2: launched by KVM_SEV_INIT2 */
typedef struct ToolVcpus {
    int count;
    char *cpu;
    gboolean init2;
} ToolVcpus;
/* -cpu as CPUID leaf 1 EAX: a model of QEMU's, or the number itself */
bool tool_vcpu_signature(const char *cpu, uint32_t *signature, GError **error);
/* What LAUNCH_UPDATE_VMSA adds to the launch digest */
bool tool_vcpu_digest(PspSha256 *sha, const ToolVcpus *vcpus,
                      const char *firmware, GError **error);

/* --- main.c -------------------------------------------------------------- */

/*
 * Parse the options of a command.  @usage: what comes after its name;
 * @about: what it does, and an example.
 */
bool tool_parse(const GOptionEntry *entries, const char *usage,
                const char *about, int *argc, char ***argv, GError **error);
/* "--name is missing", as an error */
bool tool_need(const void *value, const char *name, GError **error);
bool tool_usage(GError **error, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/* A command: fills tool->out, or sets @error; returns an exit code. */
typedef int ToolCommand(Tool *tool, int argc, char **argv, GError **error);
ToolCommand tool_cmd_status;
ToolCommand tool_cmd_identity;
ToolCommand tool_cmd_export;
ToolCommand tool_cmd_verify;
ToolCommand tool_cmd_fingerprint;
ToolCommand tool_cmd_root;
ToolCommand tool_cmd_chain;
ToolCommand tool_cmd_owner;
ToolCommand tool_cmd_session;
ToolCommand tool_cmd_measure;
ToolCommand tool_cmd_secret;
ToolCommand tool_cmd_policy;

#endif /* SEV_PSP_TOOL_H */
