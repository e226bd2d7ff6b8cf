#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fetch the base and unpack it to $BUILD/qemu. Downloads and unpacked trees
# appear by rename, so what exists is whole.
#
# With QEMU_SOURCE set to a directory, a tarball or a .dsc, that is the base.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
take_lock

package=$(lock_field package)
series=$(lock_field series)
dl=$BUILD/dl

# --- which version ---------------------------------------------------------

locked_bases() { awk '$1 == "base" { print $2, $3 }' "$ROOT/upstream.lock"; }

offered_versions() {
    "$ROOT/scripts/overlay/apt.sh" "$1" showsrc --only-source "$package" |
        sed -n 's/^Version: //p'
}

# Sets suite and version: the locked one, else the newest of the series.
choose_version() {
    local offered newest other=
    while read -r suite version; do
        if ! offered=$(offered_versions "$suite" 2> "$BUILD/.apt-said"); then
            step note "$suite could not be read; looking for another base in the archive"
            continue
        fi
        if grep -qxF "$version" <<< "$offered"; then
            return 0
        fi
        newest=$(grep -E "^([0-9]+:)?${series//./\\.}\.[0-9]" <<< "$offered" | sort -V | tail -1) || true
        if [ -n "$newest" ]; then
            step note "the archive now has $newest (tested: $version); apt has verified it, patches may need a refresh"
            version=$newest
            return 0
        fi
        other="$other $offered"
    done < <(locked_bases)
    if [ -z "$other" ]; then
        head -1 "$BUILD/.apt-said" >&2
        exit 1
    fi
    die "the archive has $package $(xargs <<< "$other") but this overlay needs series $series; give one with 'make QEMU_SOURCE=DIR|TARBALL ...'."
}

# --- download ----------------------------------------------------------------

check_locked_hashes() {
    local hash file
    awk -v v="$version" '$1 == "base" { on = ($3 == v) }
                         on && $1 == "sha256" { print $2, $3 }' "$ROOT/upstream.lock" |
    while read -r hash file; do
        if [ "$(sha256sum < "$dl/$file" | cut -d' ' -f1)" != "$hash" ]; then
            rm -f "$dl/$file" "$dl/base"
            die "$file is not the file upstream.lock was written for (its SHA-256 differs); it was removed, run the same command again, and if that repeats, do not trust this archive."
        fi
    done
}

download() {
    local suite version dsc
    # A release tarball that was made with BASE=1 has it.
    if [ ! -e "$dl/base" ] && [ -e "$ROOT/base/base" ]; then
        mkdir -p "$dl" && cp "$ROOT"/base/*.* "$dl/" && cp "$ROOT/base/base" "$dl/" ||
            disk_full
    fi
    if [ -e "$dl/base" ]; then
        read -r version dsc < "$dl/base"
        check_locked_hashes
        return 0
    fi
    need_disk 300
    choose_version
    step fetch "$package $version, with apt's own verification"
    mkdir -p "$dl/partial"
    (
        cd "$dl/partial"
        logged fetch "$ROOT/scripts/overlay/apt.sh" "$suite" source \
            --download-only --only-source "$package=$version"
    ) || die "the download of $package $version stopped ($(grep -m1 '^E:' "$LOGS/fetch.log" | cut -c1-160)); check the network and run the same command again, it resumes."
    dsc=$(cd "$dl/partial" && ls "${package}_${version#*:}.dsc")
    mv -f "$dl/partial"/* "$dl/"
    check_locked_hashes
    echo "$version $dsc" > "$dl/base.tmp"
    mv "$dl/base.tmp" "$dl/base"
}

# --- unpack ------------------------------------------------------------------

# Sets origin (how --version names the base) and key (when to unpack again).
describe_base() {
    local dsc
    if [ -z "${QEMU_SOURCE:-}" ]; then
        read -r origin dsc < "$dl/base"
        source=$dl/$dsc
        key="$origin $(sha256sum < "$source" | cut -c1-16)"
        origin="Debian $origin"
        return
    fi
    [ -e "$QEMU_SOURCE" ] || die "QEMU_SOURCE=$QEMU_SOURCE does not exist; give a QEMU $series source directory, tarball or .dsc."
    source=$(realpath "$QEMU_SOURCE")
    key="$source $(stat -c %Y "$source")"
    origin="given source"
}

copy_source() {
    local to=$1
    if [ -d "$source" ]; then
        mkdir "$to" && cp -a --reflink=auto "$source/." "$to/"
    elif [ "${source%.dsc}" != "$source" ]; then
        # dpkg-source copies the tarballs to where it unpacks; keep that away.
        rm -rf "$to.dpkg" && mkdir "$to.dpkg" &&
            (cd "$to.dpkg" && dpkg-source --no-check -x "$source" tree) &&
            mv "$to.dpkg/tree" "$to" && rm -rf "$to.dpkg"
    else
        mkdir "$to" && tar -xf "$source" -C "$to" --strip-components=1
    fi
}

unpack() {
    local source key origin found
    describe_base
    if [ -e "$TREE/.overlay-base" ]; then
        if [ "$(head -1 "$TREE/.overlay-base")" = "$key" ]; then
            return 0
        fi
        "$PYTHON" "$ROOT/scripts/overlay/series.py" check-clean
        step unpack "the base changed, the old tree is replaced"
    fi
    need_disk 800
    rm -rf "$TREE.tmp" "$TREE.old"
    step unpack "$source"
    logged unpack copy_source "$TREE.tmp" ||
        die "cannot unpack $source ($(tail -1 "$LOGS/unpack.log" | cut -c1-160)); remove it and run the same command again."
    found=$(cat "$TREE.tmp/VERSION" 2>/dev/null || echo "something else")
    case $found in
        "$series".*) ;;
        *) rm -rf "$TREE.tmp"
           die "$source holds QEMU $found but this overlay needs series $series; give one with 'make QEMU_SOURCE=DIR|TARBALL ...'." ;;
    esac
    [ "$origin" != "given source" ] || origin="given source $found"
    find "$TREE.tmp" -type f -printf '%P\n' > "$BUILD/.files"
    mv "$BUILD/.files" "$TREE.tmp/.overlay-files"
    printf '%s\n%s\n' "$key" "$origin" > "$TREE.tmp/.overlay-base"
    rm -rf "$BUILD/pristine" "$BUILD/applied"
    if [ -e "$TREE" ]; then mv "$TREE" "$TREE.old"; fi
    mv "$TREE.tmp" "$TREE"
    rm -rf "$TREE.old" "$OBJ/.overlay-configured"
}

# A second, untouched tree, for who edits and folds.
unpack_base() {
    local source key origin
    describe_base
    if [ "$(cat "$BUILD/untouched/.overlay-base" 2>/dev/null)" = "$key" ]; then
        return 0
    fi
    need_disk 800
    rm -rf "$BUILD/untouched" "$BUILD/untouched.tmp"
    logged unpack copy_source "$BUILD/untouched.tmp" || die "cannot unpack $source."
    echo "$key" > "$BUILD/untouched.tmp/.overlay-base"
    mv "$BUILD/untouched.tmp" "$BUILD/untouched"
}

if [ -z "${QEMU_SOURCE:-}" ]; then
    download
fi
case ${1:-} in
    --download-only) ;;
    --base) unpack_base ;;
    *) unpack ;;
esac
