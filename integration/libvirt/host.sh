#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Become a host of its own: the first process of new mount, network, UTS and PID
# namespaces, where the folders that libvirt's system daemon uses by default are
# below FOLDER, and libvirt's user exists.  Ends, and all in it, with its stdin.
#
# usage: unshare -m -n -u -p --fork --kill-child host.sh FOLDER NAME SHARED PREFIX [OTHER]
# OTHER: where another libvirt's packages were unpacked, for the place of the machine's.
set -eu
folder=$1 name=$2 shared=$3 prefix=$4 other=${5:-}

mount --make-rprivate /
mount -t proc proc /proc
hostname "$name"
ip link set lo up

# What Debian's packages libvirt-daemon-system and libvirt-daemon make.
mkdir -p "$folder"/{lib/libvirt/{qemu,images},cache/libvirt,log/libvirt,run,etc,dev}
chmod 711 "$folder/lib/libvirt/images" "$folder/cache/libvirt"
# A guest of virt-install has a TPM where swtpm is installed; its folder is made
# by that package, for its user.
[ ! -d /var/lib/swtpm-localca ] || cp -a /var/lib/swtpm-localca "$folder/lib"
cp /etc/passwd "$folder/passwd"
cp /etc/group "$folder/group"
# group NAME GID: its line, unless it is there
group() { grep -q "^$1:" "$folder/group" || echo "$1:x:$2:" >> "$folder/group"; }
group kvm 64054
group libvirt-qemu 64055
group libvirt 64056
kvm=$(awk -F: '$1 == "kvm" { print $3 }' "$folder/group")
grep -q ^libvirt-qemu: "$folder/passwd" ||
    echo "libvirt-qemu:x:64055:$kvm::/var/lib/libvirt:/usr/sbin/nologin" >> "$folder/passwd"
mount --bind "$folder/passwd" /etc/passwd
mount --bind "$folder/group" /etc/group
chown libvirt-qemu:libvirt-qemu "$folder/lib/libvirt/qemu"
chmod 750 "$folder/lib/libvirt/qemu"

# A /dev of its own, without the machine's below it: libvirt moves what it finds.
mount -t tmpfs -o mode=755 dev "$folder/dev"
node() { mknod -m "$2" "$folder/dev/$1" c "$3" "$4"; }
node null 666 1 3
node zero 666 1 5
node full 666 1 7
node random 666 1 8
node urandom 666 1 9
node tty 666 5 0
node sev 600 1 3            # README.md: libvirt wants one, QEMU does not
if [ -c /dev/kvm ]; then
    node kvm 660 10 232
    chown :kvm "$folder/dev/kvm"
fi
mkdir "$folder/dev/pts" "$folder/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$folder/dev/pts"
mount -t tmpfs shm "$folder/dev/shm"
ln -s pts/ptmx "$folder/dev/ptmx"
ln -s /proc/self/fd "$folder/dev/fd"
# bare REGEX: nothing is mounted there any more
bare() {
    awk -v at="$1" '$2 ~ at { print $2 }' /proc/mounts | tac | while read -r below; do
        umount -l "$below"
    done
}
bare ^/dev/
mount --move "$folder/dev" /dev

# A guest's cgroup is named by its number and name, which two hosts may give
# alike: the machine's cgroups are the first host's, the second has none.
[ "$name" = host1 ] || bare ^/sys/fs/cgroup

if [ -n "$other" ]; then
    mount -t overlay -o "lowerdir=$other/usr:/usr" overlay /usr
    # Its drivers only: the machine's are another version's.
    for drivers in "$other"/usr/lib/*/libvirt; do
        mount --bind "$drivers" "${drivers#"$other"}"
    done
fi
mount --bind "$shared" /srv
mount --bind "$prefix" /usr/local
mount --bind "$folder/etc" /etc/libvirt
mount --bind "$folder/log" /var/log
mount --bind "$folder/cache" /var/cache
mount --bind "$folder/run" /run
mount --bind "$folder/lib" /var/lib

echo ready
while read -r _; do :; done
