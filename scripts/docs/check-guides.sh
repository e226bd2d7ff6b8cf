#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Paste the guides, line by line, into a freshly installed Debian.
#
# usage: check-guides.sh [SUITE]     as root; bookworm or trixie, default: the host's
#
# The Debian is debootstrap's, with systemd, git and make, and nothing else, in
# namespaces. In it runs what paste.py prints of the first commands of README.md and
# of the guides for libvirt and Kata, from a clone of the commit that is checked out
# here on. Three things are not as on a machine of its own: libvirt's daemons are
# started by us and not by systemd, one machine plays both hosts, and Kata's own
# release is stood for by kata-runtime in this folder.
#
# Needs debootstrap. WARM=1 gives it a copy of this user's compiler cache. What the
# guides say is in $BUILD/logs/docs-SUITE.log; exit code 77 when it cannot be tried.
. "$(dirname "${BASH_SOURCE[0]}")/../overlay/lib.sh"
. "$ROOT/scripts/packaging/clean-debian.sh"

suite=${1:-$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)}
roots=$BUILD/roots
top=$roots/docs-$suite.$$
said=$LOGS/docs-$suite.log

skip() { echo "skip ($*) the guides on a fresh $suite"; exit 77; }
[ "$(id -u)" = 0 ] || skip "not root"
command -v debootstrap > /dev/null || skip "debootstrap is not installed"
unshare --mount --pid --fork true 2>/dev/null || skip "no namespaces here"

guides() {
    cd "$ROOT" || return
    "$PYTHON" scripts/docs/paste.py --host host1 --host host2 \
        --with URL=/srv/repo 'README.md#Two commands' \
        integration/libvirt/README.md 'integration/kata/README.md#Set up'
}

# What systemd does once libvirt is installed.
daemons() {
    cat << 'EOF'
until dpkg -s libvirt-daemon-system 2>/dev/null | grep -q '^Status: .* installed$'; do
    sleep 1
done
for daemon in virtlogd libvirtd; do "$daemon" -d; done
EOF
}

install_debian() {
    bare
    unpacked "$top"
    step install "systemd, git and make"
    logged "docs-$suite-install" within "$top" sh -ec '
        apt-get -q update
        apt-get -q -y --no-install-recommends install systemd git make ca-certificates' ||
        die "$suite cannot be installed; see $LOGS/docs-$suite-install.log."
    git clone -q --bare "$ROOT" "$top/srv/repo"
    guides > "$top/srv/guides"
    daemons > "$top/srv/daemons"
    # Of Kata's release: a configuration to add to, and the runtime's steps.
    install -D -m 644 /dev/null \
        "$top/opt/kata/share/defaults/kata-containers/configuration-qemu.toml"
    install -D -m 755 "$ROOT/scripts/docs/kata-runtime" "$top/usr/bin/kata-runtime"
    if [ "${WARM:-0}" = 1 ]; then
        mkdir -p "$top/root/.cache"
        # A compiler that runs may take a file away.
        cp -a "$(ccache -k cache_dir)" "$top/root/.cache/ccache" || true
    fi
}

trap 'rm -rf "$top"' EXIT
mkdir -p "$LOGS"
install_debian
step paste "the guides on a fresh $suite; what they say is in $said"
within "$top" sh -c 'cd; sh /srv/daemons > /srv/daemons.log 2>&1 & cd; exec bash /srv/guides' \
    > "$said" 2>&1 || {
    tail -5 "$said"
    die "a line failed; see $said."
}
echo "ok the guides on a fresh $suite ($(grep -c '^-- ' "$said") blocks)"
