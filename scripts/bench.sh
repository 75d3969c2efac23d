#!/bin/sh
# Measures what the project promises about speed and size, and prints ratios beside mkosi. Nothing here passes or fails.
#
# BENCH_SKIP_SERVER=1 leaves out the update server (check-ins on SQLite and Postgres, the simulator): about five minutes.
# BENCH_SKIP_CLUSTER=1 leaves out the cluster of three machines (about ten minutes without KVM).
# BENCH_SKIP_MKOSI=1 leaves out the comparison (about ten minutes).
# BENCH_COMPRESSION=1 adds the table of compressors (size, time to build, time until Docker answers): about ten minutes.
set -eu
cd "$(dirname "$0")/.."
version=1.0.0 out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
builder=target/release/image-builder
recipe=image-builder/recipes/vm.toml

cargo build --release --locked --quiet --package image-builder
SLIPWAY_PROGRAMS=$PWD/$(scripts/programs.sh)
export SLIPWAY_PROGRAMS
"$builder" keygen "$out/keys" >/dev/null 2>&1

now() { date +%s.%N; }
calc() { awk "BEGIN { print $1 }"; }
# timed LABEL COMMAND...: seconds by the clock
timed() {
    label=$1
    shift
    from=$(now)
    "$@" >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }
    printf '%-58s %6.1f s\n' "$label" "$(calc "$(now) - $from")"
}
build() { "$builder" build "$1" --lock image-builder/recipes/vm.lock --version "$version" --keys "$out/keys" --out "$out/vm" --stale-lock refresh; }

printf 'load %s, %s processors\n\n' "$(cut -d' ' -f1-3 /proc/loadavg)" "$(nproc)"
timed 'build, packages in the cache (steps as they are)' build "$recipe"
timed 'build again, nothing changed                (target  3 s)' build "$recipe"

mkdir -p "$out/variant/tree/usr/share/bench"
printf 'extends = "%s"\n[tree]\nadd = ["tree"]\n' "$(realpath --relative-to="$out/variant" "$recipe")" >"$out/variant/bench.toml"
date >"$out/variant/tree/usr/share/bench/file"
timed 'build with one file of the tree changed      (target 40 s)' build "$out/variant/bench.toml"

size() { stat --format %s "$1"; }
printf '\n%-58s %6.1f MB\n' 'root image, modules uncompressed           (target 190 MB)' "$(calc "$(size "$out/vm/root.erofs") / 1000000")"
printf '%-58s %6.1f MB\n' 'UKI' "$(calc "$(size "$out/vm/slipway.efi") / 1000000")"

cargo bench --locked --quiet --package image-builder --bench verity

printf '\nthe ten largest files of the root:\n'
sed -n '/"largest-files"/,/\]/p' "$out/vm/report.json" | awk -F'"' '/"path"/ { path = $4 } /"bytes"/ { gsub(/[^0-9]/, "", $3); printf "  %7.1f MB  %s\n", $3 / 1000000, path }'

printf '\nchecking and planning a cloud-config of 64 KiB (target 20 ms):\n'
cargo bench --locked --quiet --package cloud-config --bench plan --bench validate
mkdir "$out/root" && printf '{"private_ipv4": "10.0.0.5", "public_ipv4": "192.0.2.5"}' >"$out/meta.json"
timed 'applying a document to an empty root        (target 0.3 s)' "$SLIPWAY_PROGRAMS/cloud-config" apply \
    cloud-config/tests/samples/modern.yaml --metadata "$out/meta.json" --root "$out/root"
timed 'applying it again, nothing to do' "$SLIPWAY_PROGRAMS/cloud-config" apply \
    cloud-config/tests/samples/modern.yaml --metadata "$out/meta.json" --root "$out/root"

printf '\napplying the release (target 80 %% of the shell, 64 MiB):\n'
"$builder" release "$out/vm" --keys "$out/keys" --repository "$out/repository" >/dev/null
UPDATER=$SLIPWAY_PROGRAMS/updater updater/agent/benches/apply.sh "$out/repository/targets/slipway-vm-$version-amd64"

printf '\nforking a booted machine, as the VM tests do:\n'
SLIPWAY_BENCH_IMAGE=$out/vm/slipway-vm-$version.raw cargo bench --locked --quiet --package qemu-tests --bench fork

if [ -z "${BENCH_SKIP_CLUSTER:-}" ]; then
    printf '\na cluster of three (targets with KVM: formed in 60 s, a task replaced in 30 s; 30 MiB for the agent):\n'
    cargo build --locked --quiet --package update-server --package qemu-tests
    said=$(target/debug/qemu-tests run three_machines_with_one_cloud_config --images "$out" --logs "$out/cluster" 2>&1) ||
        printf '  this failed, there are no figures:\n%s\n' "$said"
    printf '%s\n' "$said" | sed -n 's/^note: [^:]*: /  /p'
fi
if [ -z "${BENCH_SKIP_SERVER:-}" ]; then
    printf '\ncheck-ins (target 10,000/s at p99 under 20 ms):\n'
    updater/server/benches/checkins.sh
    printf '\na million machines for a day (target 120 s):\n'
    timed 'update-server simulate' target/release/update-server simulate --machines 1000000 --hours 24
fi
if [ -n "${BENCH_COMPRESSION:-}" ]; then
    printf '\n'
    image-builder/benches/compression.sh
fi
if [ -n "${BENCH_SKIP_MKOSI:-}" ]; then
    :
elif [ "$(id -u)" -eq 0 ]; then
    printf '\nclean builds of the same packages, side by side (target: twice as fast):\n'
    image-builder/benches/compare-mkosi.sh
else
    printf '\nthe comparison with mkosi needs root: image-builder/benches/compare-mkosi.sh\n'
fi
