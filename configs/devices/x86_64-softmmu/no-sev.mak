# SPDX-License-Identifier: GPL-2.0-or-later
# --with-devices-x86_64=no-sev: what is left of the overlay without SEV
include default.mak
CONFIG_SEV=n
