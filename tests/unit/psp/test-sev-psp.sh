#!/bin/bash
#
# Does sev-psp do what its manual says?
# usage: test-sev-psp.sh PROGRAM DEV-SEV-LIBRARY
#
# SPDX-License-Identifier: GPL-2.0-or-later

tool=$1
dev_sev=$2
n=0
bad=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SEV_PSP_DIR=$tmp/host
export LC_ALL=C

# expect CODE NAME COMMAND...: leaves its output in $out
expect()
{
    local want=$1 name=$2 got
    shift 2
    n=$((n + 1))
    out=$("$@" 2>"$tmp/err")
    got=$?
    if [ $got -eq "$want" ]; then
        echo "ok $n $name"
    else
        echo "not ok $n $name: exit code $got, not $want"
        sed 's/^/# /' "$tmp/err"
        bad=1
    fi
}

# has TEXT: the last output contains it
has()
{
    n=$((n + 1))
    if printf %s "$out" | grep -qF -- "$1"; then
        echo "ok $n says '$1'"
    else
        echo "not ok $n does not say '$1'"
        printf '%s\n' "$out" | sed 's/^/# /'
        bad=1
    fi
}

says()
{
    out=$(cat "$tmp/err")
    has "$1"
}

field()
{
    printf '%s\n' "$out" | sed -n "s/^$1: //p"
}

# --- Identity
expect 3 "no identity yet" "$tool" status
expect 1 "no fingerprint yet" "$tool" fingerprint
says "sev-psp identity create"
expect 3 "and none was made" "$tool" status
expect 0 "create" "$tool" identity create
has "created: yes"
has "owner: self"
chip=$(field chip-id)
first=$(field fingerprint)
expect 0 "create again" "$tool" identity create
has "created: no"
has "$first"
expect 0 "json" "$tool" --json status
has '"exists": true'
expect 0 "json is JSON" python3 -c \
    'import json, sys; json.loads(sys.argv[1])' "$out"
expect 0 "show" "$tool" identity show
expect 0 "fingerprint" "$tool" fingerprint
has "$first"
expect 0 "reset" "$tool" identity reset
has "$chip"
has "warning: the PDH was replaced"
[ "$(field fingerprint)" != "$first" ] || bad=1
expect 0 "another chip" "$tool" identity reset --chip
[ "$(field chip-id)" != "$chip" ] || bad=1
expect 2 "what?" "$tool" identity dance
chmod 644 "$SEV_PSP_DIR/nv"
expect 1 "loose permissions" "$tool" status
says "chmod 600 '$SEV_PSP_DIR/nv'"
chmod 600 "$SEV_PSP_DIR/nv"

# --- A chip that exports what silicon does
soft=$SEV_PSP_DIR
export SEV_PSP_DIR=$tmp/silicon
expect 2 "what is to be silicon?" "$tool" identity reset --silicon
expect 0 "silicon" "$tool" identity create --silicon
has "silicon: yes"
chip=$(field chip-id)
expect 1 "there is one" "$tool" identity create --silicon
says "only a new one can be told to behave as silicon"
expect 0 "silicon for life" "$tool" identity reset
has "$chip"
has "silicon: yes"
expect 0 "what it exports" "$tool" export --out "$tmp/bare"
[ ! -e "$tmp/bare/amd.cert" ] || bad=1
expect 0 "an unsigned CEK" bash -c \
    "tail -c +1045 '$tmp/bare/cek.cert' | od -An -v -tx1 | tr -d ' \n'"
empty=$(printf '00100000%01032d' 0)
[ "$out" = "$empty$empty" ] || bad=1
expect 2 "where to?" "$tool" export --amd
expect 0 "what AMD would publish" "$tool" export --amd --out "$tmp/amd"
expect 0 "the same chip's" cmp -n 1044 "$tmp/bare/cek.cert" "$tmp/amd/cek.cert"
[ "$(stat -c %s "$tmp/amd/ask_ark.cert")" = 1664 ] || bad=1
expect 3 "not to be verified as it is" "$tool" verify
has "ASK and ARK well formed: no"
has "PEK signed by the CEK: yes"
expect 0 "its root" "$tool" root export "$tmp/root.cert"
expect 0 "which is AMD's part" cmp "$tmp/root.cert" \
    <(tail -c 832 "$tmp/amd/ask_ark.cert")
# --- and its whole chain
expect 3 "what is missing" "$tool" chain show
has "missing: the chain has no ASK and no ARK"
has "sev-psp --dir $SEV_PSP_DIR export --amd"
cek=$tmp/amd/cek.cert
pair=$tmp/amd/ask_ark.cert
expect 2 "no CEK" "$tool" chain import --ask-ark "$pair"
says "--cek is missing"
expect 2 "no ASK and ARK" "$tool" chain import --cek "$cek"
says "--ask-ark is missing"
expect 1 "the CEK as the chip has it" "$tool" chain import \
    --cek "$tmp/bare/cek.cert" --ask-ark "$pair"
says "'$tmp/bare/cek.cert': the CEK is not signed by an ASK"
expect 1 "no CEK at all" "$tool" chain import --cek "$tmp/bare/pdh.cert" \
    --ask-ark "$pair"
says "'$tmp/bare/pdh.cert' is no CEK certificate"
expect 1 "another file" "$tool" chain import --cek "$pair" --ask-ark "$pair"
says "does not have 2084 bytes"
"$tool" --dir "$tmp/twin" identity create --silicon > "$tmp/twin.status"
"$tool" --dir "$tmp/twin" export --amd --out "$tmp/twin-amd" > "$tmp/twin.out"
expect 1 "another chip's CEK" "$tool" chain import \
    --cek "$tmp/twin-amd/cek.cert" --ask-ark "$pair"
says "'$tmp/twin-amd/cek.cert': this CEK is of another chip: its key is "
expect 1 "another generation" "$tool" chain import --cek "$cek" \
    --ask-ark "$tmp/twin-amd/ask_ark.cert"
says "do not belong together: the CEK is not signed by the ASK"
head -c 832 "$pair" > "$tmp/ask"
tail -c 832 "$pair" > "$tmp/ark"
cat "$tmp/ark" "$tmp/ask" > "$tmp/turned"
cat "$tmp/ask" <(tail -c 832 "$tmp/twin-amd/ask_ark.cert") > "$tmp/mixed"
expect 1 "no ARK" "$tool" chain import --cek "$cek" --ask-ark "$tmp/ask"
says "'$tmp/ask': the chain has no ARK"
expect 1 "no ASK" "$tool" chain import --cek "$cek" --ask-ark "$tmp/ark"
says "'$tmp/ark': the chain has no ASK"
expect 1 "the wrong order" "$tool" chain import --cek "$cek" \
    --ask-ark "$tmp/turned"
says "'$tmp/turned': the chain has no ASK: an ARK is in its place"
expect 1 "another ARK" "$tool" chain import --cek "$cek" \
    --ask-ark "$tmp/mixed"
says "do not belong together: the ASK is not signed by the ARK"
mv "$SEV_PSP_DIR/roots" "$tmp/away"
expect 1 "a root that nobody trusts" "$tool" chain import --cek "$cek" \
    --ask-ark "$pair"
says "the platform's ARK is not a root that is trusted here"
says "where sev-psp root trust puts others"
mv "$tmp/away" "$SEV_PSP_DIR/roots"
[ ! -e "$SEV_PSP_DIR/chain.cert" ] || bad=1
expect 0 "import" "$tool" chain import --cek "$cek" --ask-ark "$pair"
has "$chip"
has "file: $SEV_PSP_DIR/chain.cert"
has "root: $SEV_PSP_DIR/roots/self.cert"
expect 0 "nothing is missing now" "$tool" chain show
has "whole: yes"
expect 0 "verified" "$tool" verify
has "CEK signed by the ASK: yes"
expect 0 "the file as well" "$tool" verify "$SEV_PSP_DIR/chain.cert"
expect 0 "exported whole" "$tool" export --out "$tmp/whole"
expect 0 "which others verify" "$tool" --dir "$tmp/judge" root trust it \
    "$tmp/ark"
expect 0 "as they do any" "$tool" --dir "$tmp/judge" verify "$tmp/whole"
cat "$tmp/whole/pdh.cert" "$tmp/whole/plat.cert" "$tmp/whole/amd.cert" \
    > "$tmp/all"
expect 0 "one behind the other" cmp "$tmp/all" "$SEV_PSP_DIR/chain.cert"
expect 0 "a new PDH" "$tool" identity reset
expect 0 "the file serves on" "$tool" chain show
has "whole: yes"
expect 0 "with the new PDH" "$tool" verify
cp "$SEV_PSP_DIR/chain.cert" "$tmp/twin/chain.cert"
expect 3 "another chip's file" "$tool" --dir "$tmp/twin" chain show
has "refused: '$tmp/twin/chain.cert': this CEK is of another chip"
expect 1 "is not used" "$tool" --dir "$tmp/twin" verify
says "this CEK is of another chip"

# --- the same for another host, from what its QEMU says
id=$(printf '%s' "$chip" | tr a-f A-F)
base64 -w0 < "$tmp/bare/plat.cert" > "$tmp/plat.base64"
other="--pdh $tmp/bare/pdh.cert --plat $tmp/plat.base64 --id $id"
expect 3 "what to fetch" "$tool" chain show $other
has "fetch-cek: https://"
has "/cek/id/$chip"
has "ask_ark_GENERATION.cert"
expect 3 "without the id" "$tool" chain show --pdh "$tmp/bare/pdh.cert" \
    --plat "$tmp/plat.base64"
has "/cek/id/CHIP-ID"
expect 2 "half of it" "$tool" chain show --pdh "$tmp/bare/pdh.cert"
expect 2 "no id" "$tool" chain show ${other}0
expect 1 "the other way round" "$tool" chain show \
    --pdh "$tmp/bare/pek.cert" --plat "$tmp/bare/plat.cert"
says "is no PDH certificate"
expect 2 "import to where?" "$tool" chain import $other --cek "$cek" \
    --ask-ark "$pair"
says "--out is missing"
expect 0 "import for it" "$tool" --dir "$tmp/judge" chain import $other \
    --cek "$cek" --ask-ark "$pair" --out "$tmp/for-it/chain.cert"
expect 0 "the same file" cmp "$tmp/all" "$tmp/for-it/chain.cert"
expect 2 "do what?" "$tool" chain

# --- the kernel's chip
export SEV_PSP_CONFIG_DIR=$tmp/etc
expect 2 "a software chip's" "$tool" --hardware status
expect 2 "either or" "$tool" --hardware --dir "$tmp/host" chain show
expect 0 "its roots" "$tool" --hardware root trust lab "$tmp/ark"
expect 0 "are files" cmp "$tmp/ark" "$tmp/etc/roots/lab.cert"
[ "$(stat -c %a "$tmp/etc/roots/lab.cert")" = 644 ] || bad=1
expect 0 "listed" "$tool" root list --hardware
has "lab: "
expect 0 "forgotten" "$tool" --hardware root forget lab
expect 2 "has none itself" "$tool" --hardware root export "$tmp/x"
hardware()
{
    LD_PRELOAD=$dev_sev DEV_SEV_FILES=$tmp/bare "$tool" --hardware "$@"
}
python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))' \
    "$chip" > "$tmp/bare/id"
[ "$(stat -c %s "$tmp/bare/id")" = 64 ] || bad=1
expect 1 "no such device" "$tool" --hardware chain show
says "cannot open /dev/sev: "
expect 3 "what it lacks" hardware chain show
has "chip-id: $chip"
has "file: $tmp/etc/chain.cert"
has "missing: the chain has no ASK and no ARK"
has "fetch-cek: https://"
has "/cek/id/$chip"
has "then: sev-psp --hardware chain import --cek FILE --ask-ark FILE"
expect 1 "AMD's roots are not enough here" hardware chain import \
    --cek "$cek" --ask-ark "$pair"
says "in '$tmp/etc/roots', where sev-psp --hardware root trust puts others"
expect 0 "trust it" "$tool" --hardware root trust lab "$tmp/ark"
expect 0 "import" hardware chain import --cek "$cek" --ask-ark "$pair"
has "file: $tmp/etc/chain.cert"
[ "$(stat -c %a "$tmp/etc/chain.cert")" = 644 ] || bad=1
expect 0 "which is the same" cmp "$tmp/all" "$tmp/etc/chain.cert"
expect 0 "verified" hardware verify
expect 0 "exported whole" hardware export --out "$tmp/hw"
expect 0 "with ASK and ARK" cmp "$pair" "$tmp/hw/amd.cert"
expect 0 "fingerprint" hardware fingerprint
export DEV_SEV_FAIL=open
expect 1 "not for this user" hardware chain show
says "cannot open /dev/sev: Permission denied"
DEV_SEV_FAIL=driver
expect 1 "the driver refuses" hardware chain show
says "PDH_CERT_EXPORT of /dev/sev failed: Operation not permitted"
DEV_SEV_FAIL=firmware
expect 1 "the firmware refuses" hardware chain show
says "the chip behind /dev/sev refuses PDH_CERT_EXPORT: HWERROR_PLATFORM (19)"
DEV_SEV_FAIL=no-call
expect 1 "the firmware was not called" hardware chain show
says "(the kernel did not call the firmware)"
unset DEV_SEV_FAIL

expect 0 "another chip" "$tool" identity reset --chip
has "silicon: no"
expect 0 "and back" "$tool" identity reset --chip --silicon
has "silicon: yes"
export SEV_PSP_DIR=$soft
expect 0 "the other is none" "$tool" status
has "silicon: no"

# --- Certificates
expect 0 "export" "$tool" export --out "$tmp/certs"
expect 0 "export as text" "$tool" export
has "plat: AQAAAAE3"
expect 0 "verify this platform" "$tool" verify
has "verified: yes"
expect 0 "verify files" "$tool" verify "$tmp/certs"
expect 0 "fingerprint of a file" "$tool" fingerprint "$tmp/certs/pdh.cert"
expect 1 "fingerprint of something else" "$tool" fingerprint "$tool"
expect 3 "not trusted elsewhere" "$tool" --dir "$tmp/other" verify \
    "$tmp/certs"
has "ARK trusted here: no"
expect 0 "root export" "$tool" root export "$tmp/root.cert"
expect 0 "root trust" "$tool" --dir "$tmp/other" root trust lab \
    "$tmp/root.cert"
expect 0 "root trust again" "$tool" --dir "$tmp/other" root trust lab \
    "$tmp/root.cert"
expect 0 "another platform" "$tool" --dir "$tmp/third" root export \
    "$tmp/third.cert"
expect 1 "a name that is taken" "$tool" --dir "$tmp/other" root trust lab \
    "$tmp/third.cert"
says "'lab' is another root already"
expect 1 "self is taken" "$tool" root trust self "$tmp/third.cert"
expect 1 "self stays" "$tool" root forget self
says "stays"
[ -s "$SEV_PSP_DIR/roots/self.cert" ] || bad=1
expect 0 "root list" "$tool" --dir "$tmp/other" root list
has "lab: "
expect 0 "trusted now" "$tool" --dir "$tmp/other" verify "$tmp/certs"
expect 0 "root forget" "$tool" --dir "$tmp/other" root forget lab
expect 1 "root forgotten" "$tool" --dir "$tmp/other" root forget lab
expect 3 "not trusted any more" "$tool" --dir "$tmp/other" verify \
    "$tmp/certs"
expect 1 "not a root" "$tool" root trust x "$tmp/certs/pdh.cert"
expect 2 "a name that leads elsewhere" "$tool" root trust ../x \
    "$tmp/root.cert"
says "no '/'"
printf 'X' | dd of="$tmp/certs/plat.cert" bs=1 seek=1100 conv=notrunc \
    2>/dev/null
expect 3 "a broken link" "$tool" verify "$tmp/certs"
has "PEK signed by the OCA: no"
has "PDH signed by the PEK: yes"

# --- Owner
expect 0 "owner create" "$tool" owner create --out "$tmp/ca"
[ "$(stat -c %a "$tmp/ca/oca.key")" = 600 ] || bad=1
before=$(cat "$tmp/ca/oca.key" "$tmp/ca/oca.cert" | sha256sum)
expect 1 "owner create again" "$tool" owner create --out "$tmp/ca"
says "'$tmp/ca/oca.key' exists"
[ "$(cat "$tmp/ca/oca.key" "$tmp/ca/oca.cert" | sha256sum)" = "$before" ] ||
    bad=1
expect 0 "owner csr" "$tool" owner csr --out "$tmp/ca"
expect 0 "owner sign" "$tool" owner sign --ca "$tmp/ca" \
    --csr "$tmp/ca/pek.csr" --out "$tmp/ca"
expect 0 "release of what is free" "$tool" owner release
has "owner: self"
has "nothing was changed"
expect 0 "not owned" "$tool" fingerprint
unowned=$(field fingerprint)
expect 1 "another platform's PEK" "$tool" --dir "$tmp/third" owner import \
    --pek "$tmp/ca/pek.cert" --oca "$tmp/ca/oca.cert"
says "is not the PEK of the platform in '$tmp/third'"
expect 0 "owner import" "$tool" owner import --pek "$tmp/ca/pek.cert" \
    --oca "$tmp/ca/oca.cert"
has "warning: the PDH was replaced"
expect 1 "owner import again" "$tool" owner import \
    --pek "$tmp/ca/pek.cert" --oca "$tmp/ca/oca.cert"
says "ALREADY_OWNED"
expect 0 "owned" "$tool" status
has "owner: external"
owned=$(field fingerprint)
[ "$owned" != "$unowned" ] || bad=1
expect 0 "verify an owned platform" "$tool" verify
expect 0 "owner release" "$tool" owner release
has "owner: self"
has "warning: the PDH was replaced"
expect 0 "free" "$tool" fingerprint
free=$(field fingerprint)
[ "$free" != "$owned" ] || bad=1
expect 0 "release again" "$tool" owner release
expect 0 "as it was" "$tool" fingerprint
has "$free"
expect 2 "owner without --out" "$tool" owner create
expect 1 "not a request" "$tool" owner sign --ca "$tmp/ca" \
    --csr "$tmp/ca/oca.cert" --out "$tmp/ca"

# --- Session
expect 0 "session" "$tool" session --policy 1 --out "$tmp/launch"
[ "$(stat -c %a "$tmp/launch/tik")" = 600 ] || bad=1
[ "$(base64 -d "$tmp/launch/dh-cert.base64" | wc -c)" = 2084 ] || bad=1
[ "$(base64 -d "$tmp/launch/session.base64" | wc -c)" = 128 ] || bad=1
rm "$tmp/launch/dh-cert.base64"
before=$(cat "$tmp"/launch/* | sha256sum)
expect 1 "session again" "$tool" session --policy 1 --out "$tmp/launch"
says "'$tmp/launch/session.base64' exists"
[ "$(cat "$tmp"/launch/* | sha256sum)" = "$before" ] || bad=1
[ ! -e "$tmp/launch/dh-cert.base64" ] || bad=1
expect 2 "session without policy" "$tool" session --out "$tmp/launch"
expect 2 "policy that is no number" "$tool" session --policy x --out "$tmp/l"
expect 1 "session for something else" "$tool" session --policy 1 \
    --pdh "$tmp/ca/oca.cert" --out "$tmp/l"

# --- Measurement: vector A3, whose launch is empty
: > "$tmp/empty"
printf '\146\062\015\267\061\130\243\132\045\135\005\027\130\351\136\324' \
    > "$tmp/tik"
nonce=$(python3 -c '
import base64
print(base64.b64encode(bytes.fromhex("4fbe0bedbad6c86ae8f68971d103e554"))
      .decode())')
want=$(python3 -c '
import base64
print(base64.b64encode(bytes.fromhex(
    "6faab2daae389bcd3405a05d6cafe33c0414f7bedd0bae19ba5f38b7fd1664ea"
    "4fbe0bedbad6c86ae8f68971d103e554")).decode())')
measure="$tool measure --firmware $tmp/empty --tik $tmp/tik
         --api-major 0 --api-minor 18 --build-id 15"
expect 0 "measure" $measure --policy 0 --nonce "$nonce"
has "$want"
expect 0 "measurement matches" $measure --policy 0 --measurement "$want"
has "match: yes"
expect 3 "another policy does not" $measure --policy 1 --measurement "$want"
expect 2 "measure what?" $measure --policy 0
expect 2 "initrd without kernel" $measure --policy 0 --nonce "$nonce" \
    --initrd "$tmp/empty"
expect 2 "half a measurement" $measure --policy 0 --measurement AAAA
# the table of kernel hashes, made by hand
printf 'kernel' > "$tmp/kernel"
expect 0 "kernel hashes" $measure --policy 0 --nonce "$nonce" \
    --kernel "$tmp/kernel" --cmdline quiet
has "digest: $(python3 -c '
import hashlib, struct, uuid
def entry(guid, data):
    return (uuid.UUID(guid).bytes_le + struct.pack("<H", 50) +
            hashlib.sha256(data).digest())
body = (entry("97d02dd8-bd20-4c94-aa78-e7714d36ab2a", b"quiet\0") +
        entry("44baf731-3a2f-4bd7-9af1-41e29169781d", b"") +
        entry("4de79437-abd2-427f-b835-d5b172d2045b", b"kernel"))
table = (uuid.UUID("9438d606-4f22-4cc9-b479-a793d411fd21").bytes_le +
         struct.pack("<H", 18 + len(body)) + body)
table += bytes(-len(table) % 16)
print(hashlib.sha256(table).hexdigest())')"

# --- Secret: opened by OpenSSL
guid=736869e5-84f0-4973-92ec-06879ce3da0b
printf 'a passphrase' > "$tmp/pass"
expect 0 "secret" "$tool" secret --tek "$tmp/launch/tek" \
    --tik "$tmp/launch/tik" --measurement "$want" "$guid=$tmp/pass"
header=$(field packet-header)
secret=$(field secret)
expect 0 "secret decrypts" bash -c "
    printf %s '$secret' | base64 -d | openssl enc -d -aes-128-ctr \
        -K \$(od -An -v -tx1 '$tmp/launch/tek' | tr -d ' \n') \
        -iv \$(printf %s '$header' | base64 -d | od -An -v -tx1 -j4 -N16 |
               tr -d ' \n') | od -An -v -tx1 | tr -d ' \n'"
has "42f5741edd71664d963eef4287ff173b34000000e5696873f084734992ec0687"
has "$(od -An -v -tx1 "$tmp/pass" | tr -d ' \n')"
expect 2 "secret without a name" "$tool" secret --tek "$tmp/launch/tek" \
    --tik "$tmp/launch/tik" --measurement "$want" "$tmp/pass"
head -c 20000 /dev/zero > "$tmp/big"
expect 1 "too much of a secret" "$tool" secret --tek "$tmp/launch/tek" \
    --tik "$tmp/launch/tik" --measurement "$want" "$guid=$tmp/big"

# --- Policy
expect 0 "policy" "$tool" policy 0x11000021
has "api-minimum: 0.17"
has "sev: it may go to authentic SEV platforms only"
expect 0 "policy of words" "$tool" policy nodbg sev api=1.51
has "policy: 0x33010021"
expect 0 "policy of loud words" "$tool" policy NODBG Sev API=1.51
has "policy: 0x33010021"
expect 3 "reserved bits" "$tool" policy 0x40
expect 2 "no such word" "$tool" policy nodebug
expect 2 "no policy" "$tool" policy

# --- Usage
for command in status identity export verify fingerprint root chain owner \
               session \
               measure secret policy; do
    expect 0 "$command --help" "$tool" $command --help
    has "Example"
done
expect 0 "--help" "$tool" --help
expect 2 "no command" "$tool"
expect 2 "unknown command" "$tool" frobnicate
expect 2 "unknown option" "$tool" status --frobnicate

[ $bad -eq 0 ] || echo "not ok $((n + 1)) something above"
echo "1..$((n + bad))"
exit $bad
