#!/bin/sh
# releases.sh OUT VERSION=RECIPE...: builds each recipe under its version into OUT/releases/VERSION and puts it, signed,
# into the repository OUT/repository. What is there already and unchanged is not done again.
set -eu
cd "$(dirname "$0")/.."
out=$1
shift
builder=${SLIPWAY_BUILDER:-target/debug/image-builder}

for pair in "$@"; do
    version=${pair%%=*} recipe=${pair#*=}
    scripts/image.sh "$recipe" "$version" "$out" "releases/$version"
    "$builder" release "$out/releases/$version" --keys "$out/keys" --repository "$out/repository"
done
