#!/bin/sh
# setup.sh [test]: installs what this machine lacks, and says so; with `test` what only the tests need as well. Needs a
# Debian 12 or 13 with apt, and root or sudo only when something is missing. Nothing is configured but apt's view of
# backports on Debian 12, and that installing Postgres starts no server.
set -eu

say() { printf 'setup: %s\n' "$*" >&2; }

if [ "$(id -u)" -eq 0 ]; then as_root=; else as_root=sudo; fi

. /etc/os-release
case "${ID:-}:${VERSION_ID:-}" in
debian:12 | debian:13) ;;
*) say "this is ${PRETTY_NAME:-an unknown system}; Debian 12 and 13 are what is tested" ;;
esac

# package:program that it brings
wanted='build-essential:cc uidmap:newuidmap util-linux:unshare openssl:openssl qemu-utils:qemu-img
qemu-system-x86:qemu-system-x86_64 ovmf:/usr/share/OVMF/OVMF_CODE_4M.secboot.fd mtools:mcopy dosfstools:mkfs.vfat
cryptsetup-bin:veritysetup sbsigntool:sbverify erofs-utils:mkfs.erofs gnupg:gpg openssh-client:ssh socat:socat curl:curl protobuf-compiler:protoc libprotobuf-dev:/usr/include/google/protobuf/descriptor.proto
debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg'

# The browser for the server's page, the database for several replicas of it, the load balancer of the cluster's example.
[ "${1:-}" != test ] || wanted="$wanted chromium:chromium e2fsprogs:debugfs xorriso:xorriso swtpm:swtpm haproxy:haproxy postgresql:/usr/share/postgresql-common/pg_wrapper"

missing=
for pair in $wanted; do
    package=${pair%%:*} thing=${pair#*:}
    case $thing in
    /*) [ -e "$thing" ] && continue ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$thing" >/dev/null && continue ;;
    esac
    missing="$missing $package"
done

# QEMU 7.2 of Debian 12 crashes kernels on more than one emulated core; its backports have a newer one.
release=
if [ "${VERSION_ID:-}" = 12 ]; then
    installed=$(dpkg-query --showformat '${Version}' --show qemu-system-x86 2>/dev/null || true)
    if [ -z "$installed" ] || dpkg --compare-versions "$installed" lt 1:8; then
        missing="$missing qemu-system-x86 qemu-utils ovmf"
    fi
    case $missing in *qemu* | *ovmf*) release="--target-release ${VERSION_CODENAME}-backports" ;; esac
fi

if ! command -v cargo >/dev/null; then
    say 'cargo is missing; install Rust 1.95 or newer first'
    exit 1
fi

[ -n "$missing" ] || exit 0
# shellcheck disable=SC2086
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
say "installing what is missing: $missing"

if [ -n "$release" ] && ! apt-cache policy | grep -q "${VERSION_CODENAME}-backports"; then
    # apt knows where this machine's archive is; the backports are in the same place.
    where=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(LABEL)' | awk -v c="$VERSION_CODENAME" '$2 == c && $3 == "Debian" { print $1; exit }')
    if [ -z "$where" ]; then
        $as_root apt-get update --quiet --quiet
        where=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(LABEL)' | awk -v c="$VERSION_CODENAME" '$2 == c && $3 == "Debian" { print $1; exit }')
    fi
    say "adding ${VERSION_CODENAME}-backports for a QEMU that works"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $where ${VERSION_CODENAME}-backports main" |
        $as_root tee /etc/apt/sources.list.d/slipway-backports.list >/dev/null
fi
case $missing in
*postgresql*)
    # The tests start servers of their own; the package must not start one.
    $as_root mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo 'create_main_cluster = false' | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    ;;
esac
$as_root apt-get update --quiet --quiet
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get install --yes --quiet --quiet --no-install-recommends $release $missing >/dev/null
say 'done'
