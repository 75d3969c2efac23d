#!/bin/sh
# programs.sh: compiles Slipway's own programs for the image into target/programs/bin and prints that folder.
#
# They are static, so that they run in the image whatever C library the build host has.
set -eu
cd "$(dirname "$0")/.."
target=x86_64-unknown-linux-gnu
out=target/programs/bin

RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --quiet --profile dist --target "$target" \
    --target-dir target/programs --package cloud-config --package cluster-agent --package superblock --package updater
mkdir -p "$out"
for program in cloud-config cluster-agent slipway-superblock updater; do
    install --compare "target/programs/$target/dist/$program" "$out/$program"
done
echo "$out"
