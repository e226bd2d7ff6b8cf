#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run a command as root when that can be had: network namespaces need it. What
# it leaves behind is given back to the caller.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "$(id -u)" = 0 ]; then
    exec "$@"
fi
if command -v sudo > /dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    rc=0
    sudo --preserve-env=BUILD,JOBS,PYTHON,FULL,KVM "$@" || rc=$?
    sudo chown -R --no-dereference "$(id -u):$(id -g)" "$BUILD"
    exit $rc
fi
exec "$@"
