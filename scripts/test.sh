#!/bin/sh
# Every promise once: unit tests, the images, the properties of the build, and the machines that boot them.
#
# SLIPWAY_TEST_FULL=1 also proves that `metal` is reproducible, and that the tests notice the defects of the bug museum.
# It also rolls out to a fleet of five machines instead of three.
set -eu
cd "$(dirname "$0")/.."
. scripts/builder-user.sh
out=target/test-images
builder=target/debug/image-builder
version=1.0.0

begun=$(date +%s)
step() { printf '\n== [%s s] %s\n' "$(($(date +%s) - begun))" "$*" >&2; }

step 'compiling'
cargo build --workspace --all-targets --locked --quiet

step "compiling what goes into the images"
SLIPWAY_PROGRAMS=$PWD/$(scripts/programs.sh)
export SLIPWAY_PROGRAMS

step 'building the images (as a user without any rights, where this runs as root)'
rm -rf "$out"
mkdir -p "$out"
own "$out"
as_builder scripts/image.sh vm "$version" "$out"
as_builder scripts/image.sh metal "$version" "$out"

step 'building the releases that machines move between, good ones and bad ones'
as_builder scripts/image.sh vm-initial "$version" "$out" "releases/$version"
as_builder scripts/releases.sh "$out" 1.0.1=vm 1.0.2=vm \
    1.0.3=qemu-tests/recipes/docker-broken.toml 1.0.4=qemu-tests/recipes/kernel-panic.toml

step 'what was built verifies, and one changed byte does not'
image=$out/vm/slipway-vm-$version.raw
"$builder" verify "$image" --cert "$out/keys/public/secure-boot.crt" >/dev/null
"$builder" verify "$out/metal/slipway-metal-$version.raw" --cert "$out/keys/public/secure-boot.crt" >/dev/null

step 'an unchanged build does nothing'
as_builder "$builder" --json build image-builder/recipes/vm.toml --lock "$(lock_of vm)" --version "$version" \
    --keys "$out/keys" --out "$out/vm" | grep --quiet '"unchanged": true'

step 'two builds under different conditions are identical'
prove() {
    as_builder "$builder" prove "image-builder/recipes/$1.toml" --lock "$(lock_of "$1")" --version "$version" --keys "$out/keys"
}
prove vm
[ -z "${SLIPWAY_TEST_FULL:-}" ] || prove metal

# Unit tests wait for clocks and databases most of their time, machines do not: side by side they take little longer than the machines alone.
# Both times the whole workspace is named, so that nothing is compiled twice; without images the scenarios of the first are none.
step 'the promises on running machines; beside them unit tests, the server on SQLite and Postgres, its page in a browser'
SLIPWAY_TEST_TOOLS=$(ls -td "$SLIPWAY_CACHE"/steps/tools/* | head -n 1)
export SLIPWAY_TEST_TOOLS
units=target/unit-tests.log
# A process group of its own, which ends with this script however that ends.
SLIPWAY_TEST_BROWSER=1 SLIPWAY_TEST_ETCD=$(scripts/etcd.sh "$(lock_of vm)") setsid env --unset=SLIPWAY_TEST_IMAGES \
    updater/server/tests/postgres.sh cargo test --workspace --locked --no-fail-fast >"$units" 2>&1 &
beside=$!
trap 'kill -- "-$beside" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
failed=
SLIPWAY_TEST_IMAGES=$PWD/$out cargo test --workspace --locked --test scenarios || failed=1
wait "$beside" || failed=1
trap - EXIT INT TERM
step 'what the unit tests said'
cat "$units"
[ -z "$failed" ] || { step 'a test failed, above' && exit 1; }

if [ -n "${SLIPWAY_TEST_FULL:-}" ]; then
    step 'planted defects, each of which a test must notice'
    target/debug/museum run --out "$out/museum"
fi
