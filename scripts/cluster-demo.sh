#!/bin/sh
# Three machines with one cloud-config: they form a cluster, a service survives the loss of a machine, and an update of the
# operating system rolls through without the service going away. Everything ends when it is over; the logs stay in out/cluster/logs.
set -eu
cd "$(dirname "$0")/.."
. scripts/builder-user.sh
out=out/cluster
begun=$(date +%s)
say() { printf '== [%s s] %s\n' "$(($(date +%s) - begun))" "$*" >&2; }

say 'compiling'
cargo build --locked --quiet --package image-builder --package update-server --package qemu-tests
SLIPWAY_PROGRAMS=$PWD/$(scripts/programs.sh)
export SLIPWAY_PROGRAMS

say 'building Slipway 1.0.0 and its next release'
mkdir -p "$out"
own "$out"
as_builder scripts/image.sh vm 1.0.0 "$out"
as_builder scripts/image.sh vm-initial 1.0.0 "$out" releases/1.0.0
rm -rf "$out/repository"
as_builder scripts/releases.sh "$out" 1.0.1=vm

target/debug/qemu-tests run cluster_demo --images "$out" --logs "$out/logs"
say 'done'
