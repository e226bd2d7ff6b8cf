/*
 * Devices whose drivers give private memory to QEMU.
 *
 * The bounce buffer of an SEV guest helps a driver that asks the kernel's DMA
 * interface.  Some ask nobody: they hand over a physical address of a private
 * page, where the device finds ciphertext.  Some of them wait for the answer for
 * ever, here as on silicon, and nothing says why.  The table is in
 * docs/system/i386/sev-devices.rst; what it says of Linux was read in Linux 6.12
 * and tried.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "hw/qdev-core.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qom/object.h"
#include "system/block-backend.h"
#include "device-advice.h"

/*
 * One kind of device.  With @property only those that have that boolean
 * property set to @value are meant.
 */
typedef struct DeviceAdvice {
    const char *type;
    const char *property;
    bool value;
    const char *why;
} DeviceAdvice;

static const DeviceAdvice advice[] = {
    { "vmcoreinfo", NULL, false,
      "Linux' qemu_fw_cfg driver writes to it from private memory and then "
      "waits for ever; leave it out, or start the guest's kernel with "
      "'modprobe.blacklist=qemu_fw_cfg'" },
    { "intel-iommu", NULL, false,
      "it reads ciphertext, because its queues and tables are private memory: "
      "Linux waits for ever when it boots" },
    { "amd-iommu", NULL, false,
      "it reads ciphertext, because its queues and tables are private memory: "
      "Linux gets no interrupts, and its disks fail" },
    { "virtio-iommu-device", NULL, false,
      "Linux uses no bounce buffers for devices behind it, so that they read "
      "and write private memory" },
    { "virtio-device", "iommu_platform", false,
      "with iommu_platform=off its driver uses private memory: firmware hangs, "
      "Linux refuses the device" },
    { "virtio-balloon-device", NULL, false,
      "it has no effect: no memory of an SEV guest is given back, and Linux "
      "refuses the device" },
    { "virtio-gpu-device", "blob", true,
      "blob=on shows pages of the guest's private memory, as noise or not at "
      "all; use blob=off" },
    { "ramfb", NULL, false,
      "firmware draws into private memory, so that its screen is noise" },
    { "vmgenid", NULL, false,
      "QEMU writes the generation ID to the guest's private memory, where the "
      "guest reads noise" },
    { "floppy", NULL, false,
      "Linux' driver does ISA DMA to private memory: what is read or written "
      "is noise" },
};

static bool said[ARRAY_SIZE(advice)];

/* The machine 'pc' has an empty one by default: nothing to warn of. */
static bool is_empty_drive(DeviceState *dev)
{
    BlockBackend *blk = blk_by_dev(dev);

    return !blk || !blk_is_inserted(blk);
}

static bool is_meant(const DeviceAdvice *a, DeviceState *dev)
{
    Error *err = NULL;
    bool value;

    if (!object_dynamic_cast(OBJECT(dev), a->type)) {
        return false;
    }
    if (!a->property) {
        return !g_str_equal(a->type, "floppy") || !is_empty_drive(dev);
    }
    value = object_property_get_bool(OBJECT(dev), a->property, &err);
    if (err) {                      /* not of this device */
        error_free(err);
        return false;
    }
    return value == a->value;
}

static void advise(DeviceListener *listener, DeviceState *dev)
{
    for (size_t i = 0; i < ARRAY_SIZE(advice); i++) {
        if (!said[i] && is_meant(&advice[i], dev)) {
            said[i] = true;
            warn_report("SEV: device '%s': %s",
                        object_get_typename(OBJECT(dev)), advice[i].why);
        }
    }
}

static DeviceListener listener = { .realize = advise };

void sev_device_advice_init(void)
{
    device_listener_register(&listener);
}
