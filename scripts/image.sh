#!/bin/sh
# image.sh RECIPE VERSION OUT: builds one recipe into OUT/RECIPE with the keys in OUT/keys, which are made when absent.
#
# Compiles what goes into the image first, unless SLIPWAY_PROGRAMS names a folder with it.
#
# Archives drop old package versions. When the lock names some that are gone, a newcomer still gets an image: from a
# fresh lock in OUT, with a word about it. The lock in the repository stays as it is.
set -eu
cd "$(dirname "$0")/.."
recipe=$1 version=$2 out=$3
builder=target/debug/image-builder

SLIPWAY_PROGRAMS=${SLIPWAY_PROGRAMS:-$(scripts/programs.sh)}
export SLIPWAY_PROGRAMS

[ -d "$out/keys" ] || "$builder" keygen "$out/keys"
"$builder" build "image-builder/recipes/$recipe.toml" --version "$version" --keys "$out/keys" --out "$out/$recipe" --stale-lock refresh
