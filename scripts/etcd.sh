#!/bin/sh
# etcd.sh LOCK: unpacks etcd of that lock from the package cache, and prints the folder with its programs. For tests on this machine:
# it is the etcd that images have.
set -eu
lock=$1

sha256_of() { awk -v name="\"$1\"" '$1 == "name" { here = $3 == name } here && $1 == "sha256" { gsub(/"/, "", $3); print $3; exit }' "$lock"; }

server=$(sha256_of etcd-server)
client=$(sha256_of etcd-client)
out=$SLIPWAY_CACHE/steps/etcd/$server
if [ ! -d "$out" ]; then
    mkdir -p "$SLIPWAY_CACHE/steps/etcd"
    made=$(mktemp -d "$SLIPWAY_CACHE/steps/etcd/.new.XXXXXX")
    for package in "$server" "$client"; do
        dpkg-deb --extract "$SLIPWAY_CACHE/blobs/$package" "$made"
    done
    chmod 755 "$made"
    # Another run may have been faster.
    mv -T "$made" "$out" 2>/dev/null || rm -rf "$made"
fi
echo "$out/usr/bin"
