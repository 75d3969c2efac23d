#!/bin/sh
# image.sh RECIPE VERSION OUT [FOLDER]: builds one recipe into OUT/FOLDER with the keys in OUT/keys, which are made when
# absent. RECIPE is a name such as `vm`, or a path; FOLDER is the recipe's name unless given.
#
# Compiles what goes into the image first, unless SLIPWAY_PROGRAMS names a folder with it.
#
# Archives drop old package versions. When the lock names some that are gone, a newcomer still gets an image: from a
# fresh lock in the output folder, with a word about it. The lock in the repository stays as it is.
set -eu
cd "$(dirname "$0")/.."
recipe=$1 version=$2 out=$3
builder=${SLIPWAY_BUILDER:-target/debug/image-builder}

case $recipe in
*/*) lock=image-builder/recipes/vm.lock ;; # what tests add to `vm` needs no other packages
*) lock=image-builder/recipes/$recipe.lock recipe=image-builder/recipes/$recipe.toml ;;
esac
folder=${4:-$(basename "$recipe" .toml)}

SLIPWAY_PROGRAMS=${SLIPWAY_PROGRAMS:-$(scripts/programs.sh)}
export SLIPWAY_PROGRAMS

[ -d "$out/keys" ] || "$builder" keygen "$out/keys"
"$builder" build "$recipe" --lock "$lock" --version "$version" --keys "$out/keys" --out "$out/$folder" --stale-lock refresh
