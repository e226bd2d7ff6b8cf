#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian packages for the Debian that this runs on: $BUILD/deb/*.deb.
#
# usage: deb.sh           DEBFULLNAME and DEBEMAIL: who the packages are from
. "$(dirname "${BASH_SOURCE[0]}")/../overlay/lib.sh"
. "$ROOT/scripts/overlay/meson-lib.sh"

out=$BUILD/deb
stage=$out/sev-clone-$VERSION

release=$(sed -n 's/^VERSION_ID="\?\([0-9]*\).*/\1/p' /etc/os-release)
who="${DEBFULLNAME:-$(git -C "$ROOT" config user.name || echo sev-clone)}"
who="$who <${DEBEMAIL:-$(git -C "$ROOT" config user.email || echo root@localhost)}>"
when=$(git -C "$ROOT" log -1 --format=%cI 2>/dev/null || cat "$ROOT/.release-date")
# Before a release's number is a release, its packages sort before those.
version=$VERSION
if head -1 "$ROOT/CHANGES" | grep -q 'not released'; then version=$version~dev; fi
version=$version+deb${release:-0}

"$ROOT/scripts/overlay/fetch.sh" --download-only
find_meson
find_cache
rm -rf "$stage"
mkdir -p "$stage" "$out/build" || disk_full
"$ROOT/scripts/packaging/files.sh" > "$out/files"
tar -C "$ROOT" -cf - --no-recursion -T "$out/files" | tar -C "$stage" -xf -
ln -s "$BUILD/dl" "$stage/base"
if [ -d "$BUILD/meson" ]; then ln -sfn "$BUILD/meson" "$out/build/meson"; fi
cp -a "$ROOT/packaging/debian" "$stage/"

packages=$("$ROOT/scripts/overlay/deps.sh" --list build | sort -u |
    sed '$!s/$/,/; 2,$s/^/ /')
awk -v who="$who" -v packages="$packages" '
    /@build@/ { print " " packages; next }
    /^Maintainer:/ { print "Maintainer: " who; next }
    { print }' "$ROOT/packaging/debian/control" > "$stage/debian/control"
cat > "$stage/debian/changelog" << END
sev-clone ($version) unstable; urgency=medium

  * What changed is in CHANGES.

 -- $who  $(date -d "$when" -R)
END

step deb "sev-clone $version, for Debian ${release:-of no number}"
rm -f "$out"/*.deb
(
    cd "$stage"
    export BUILD=$out/build JOBS=${JOBS:-$(nproc)}
    CCACHE_DIR=${CCACHE_DIR:-$(ccache -k cache_dir 2>/dev/null || true)}
    export CCACHE_DIR
    unset OVERLAY_LOCK MAKEFLAGS MAKELEVEL MFLAGS PREFIX DESTDIR QEMU_SOURCE \
        CONFIGURED_PREFIX EXTRA_CONFIGURE PYTHONPATH
    export FEATURES=distribution
    export DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$JOBS ${DEB_BUILD_OPTIONS:-}"
    LOGS=$out logged build dpkg-buildpackage -b -us -uc -d
) || die "the packages cannot be built ($(grep -E '^(error|dpkg-[a-z]+: error|dh_[a-z_]+: error)' "$out/build.log" | head -1 | cut -c1-200)); see $out/build.log."
for package in "$out"/*.deb; do
    step package "$(basename "$package") ($(du -h "$package" | cut -f1))"
done
# Warnings of lintian are ours to mend or to override with a reason.
if command -v lintian > /dev/null; then
    # Whose mail address it is says nothing of the packages, unless somebody gave one.
    contact=()
    if [ -z "${DEBEMAIL:-}" ]; then
        contact=(--suppress-tags
                 "bogus-mail-host,bogus-mail-host-in-debian-changelog,root-in-contact")
    fi
    LOGS=$out logged lintian lintian --allow-root --profile debian "${contact[@]}" \
        --fail-on error,warning "$out"/*.deb ||
        die "lintian: $(grep -m1 -E '^[EW]:' "$out/lintian.log" | cut -c1-160); see $out/lintian.log."
    step lintian "no errors, no warnings"
fi
