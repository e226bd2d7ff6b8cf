#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# apt with a private state directory: the user's own Debian archive and keys,
# the suites we need, source packages switched on; nothing on the system moves.
#
# usage: apt.sh SUITE APT-GET-ARGUMENTS...     e.g.  apt.sh trixie download meson
#        apt.sh SUITE showsrc PACKAGE
#
# Runs in the caller's directory, so 'download' and 'source' leave their files
# there. As a command it serves the demo and the tests too.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

suite=$1
shift
state=$BUILD/apt/$suite

private() {
    local tool=$1 sources=$2
    shift 2
    "$tool" -q -oDir::Etc::sourcelist="$sources" -oDir::Etc::sourceparts=- \
        -oDir::State::Lists="$state/lists" -oDir::Cache="$state/cache" \
        -oAPT::Sandbox::User="$(id -un)" -oAcquire::Languages=none \
        -oAPT::Get::List-Cleanup=0 -oAcquire::Retries=2 \
        -oAcquire::GzipIndexes=true "$@"
}

refresh_state() {
    local sources
    mkdir -p "$state/new" "$state/lists/partial" "$state/cache/archives/partial" ||
        disk_full
    rm -f "$state"/new/*
    "$PYTHON" "$ROOT/scripts/overlay/archive.py" "$state/new" "$suite" > "$state/candidates"
    if [ ! -s "$state/candidates" ]; then
        die "apt on this machine is configured for no Debian archive; unpack a QEMU $(lock_field series) source yourself and run 'make QEMU_SOURCE=DIR ...'."
    fi
    while read -r sources; do
        if logged "apt-$suite" private apt-get "$sources" update \
               -oAPT::Update::Error-Mode=any; then
            mv "$sources" "$state/$suite.sources"
            return 0
        fi
    done < "$state/candidates"
    die "apt cannot read '$suite' from the configured Debian archive ($(grep -m1 -E '^(E|Err)' "$LOGS/apt-$suite.log" | tr -s ' ' | cut -c1-160)); check the network or the proxy and run the same command again, or give a source with 'make QEMU_SOURCE=DIR ...'."
}

# A day-old state is good enough; a missing one is made.
if [ -z "$(find "$state/$suite.sources" -mtime -1 2>/dev/null)" ]; then
    refresh_state
fi
case $1 in
    showsrc|policy|show|madison) private apt-cache "$state/$suite.sources" "$@" ;;
    *) private apt-get "$state/$suite.sources" "$@" ;;
esac
