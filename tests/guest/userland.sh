#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Make a Debian with systemd on a disk, as people install it: Debian's own kernel,
# the initramfs that its own tools make of it, and a unit that says how the system
# is, writes a file and powers off.
#
# Leaves $BUILD/guest/userland/{vmlinuz,initrd.img,disk.img}. As root; nothing is
# installed.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/overlay/lib.sh"
. "$ROOT/scripts/packaging/clean-debian.sh"

suite=bookworm
# shellcheck disable=SC2034  # clean-debian.sh reads it
roots=$BUILD/roots
out=$BUILD/guest/userland
tree=$out.new/root

mkdir -p "$BUILD/guest"
exec 8> "$BUILD/guest/.lock-userland"
flock 8
[ ! "$out/disk.img" -nt "${BASH_SOURCE[0]}" ] || exit 0

bare
step guest "a $suite with systemd on a disk"
rm -rf "$out.new"
unpacked "$tree" || disk_full
logged userland within "$tree" sh -c 'apt-get -q update &&
    apt-get -q -y --no-install-recommends install systemd systemd-sysv udev dbus \
        initramfs-tools linux-image-cloud-amd64 && apt-get clean' ||
    die "no $suite with a kernel; see $LOGS/userland.log and run the command again."
rm "$tree/usr/sbin/policy-rc.d"
echo '/dev/vda / ext4 defaults 0 1' > "$tree/etc/fstab"
cat > "$tree/usr/local/sbin/says" << 'EOF'
#!/bin/sh
exec > /dev/console
echo "SYSTEM $(systemctl is-system-running --wait)"
systemctl list-units --failed --plain --no-legend
head -c 8388608 /dev/urandom > /var/written
sync
echo "WRITTEN $(sha256sum < /var/written)"
systemctl poweroff
EOF
chmod 755 "$tree/usr/local/sbin/says"
cat > "$tree/etc/systemd/system/says.service" << 'EOF'
[Unit]
Description=Say how the system is

[Service]
Type=exec
ExecStart=/usr/local/sbin/says

[Install]
WantedBy=multi-user.target
EOF
logged userland within "$tree" systemctl enable says.service ||
    die "its unit is not enabled; see $LOGS/userland.log."
mv "$tree"/boot/vmlinuz-* "$out.new/vmlinuz"
mv "$tree"/boot/initrd.img-* "$out.new/initrd.img"
logged userland /sbin/mke2fs -q -t ext4 -d "$tree" "$out.new/disk.img" 2G ||
    disk_full
rm -rf "$tree" "$out"
mv "$out.new" "$out"
step guest "$out"
