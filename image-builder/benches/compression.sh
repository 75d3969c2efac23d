#!/bin/sh
# One row per compressor and cluster size: size of the root, seconds to make it, seconds until Docker answers.
set -eu
cd "$(dirname "$0")/../.."
builder=target/release/image-builder
work=$(mktemp -d)
pid=
trap 'if [ -n "$pid" ]; then pkill --parent "$pid" || true; fi; rm -rf "$work"' EXIT
[ -x "$builder" ] || cargo build --release --locked --quiet --package image-builder
"$builder" keygen "$work/keys" >/dev/null 2>&1
ssh-keygen -q -t ed25519 -N '' -f "$work/id"
port=${BENCH_SSH_PORT:-2347}

row() {
    compression=$1 cluster=$2
    printf 'extends = "%s"\n[root]\ncompression = "%s"\ncluster-bytes = %s\n' \
        "$(realpath --relative-to="$work" image-builder/recipes/vm.toml)" "$compression" "$cluster" >"$work/bench.toml"
    rm -rf "$work/out"
    from=$(date +%s)
    "$builder" build "$work/bench.toml" --lock image-builder/recipes/vm.lock --version 1.0.0 --keys "$work/keys" --out "$work/out" --stale-lock refresh >/dev/null 2>&1
    built=$(($(date +%s) - from))
    "$builder" run "$work/out/slipway-vm-1.0.0.raw" --ssh-port "$port" --ssh-key "$work/id.pub" --cpus 2 </dev/null >/dev/null 2>&1 &
    pid=$!
    from=$(date +%s)
    until ssh -i "$work/id" -p "$port" -o ConnectTimeout=3 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
        core@127.0.0.1 docker info >/dev/null 2>&1; do
        if [ $(($(date +%s) - from)) -gt 600 ]; then break; fi
        sleep 1
    done
    up=$(($(date +%s) - from))
    pkill --parent "$pid" || true
    wait "$pid" 2>/dev/null || true
    pid=
    printf '%-18s %8s %10.1f %10s %14s\n' "$compression" "$cluster" "$(stat --format %s "$work/out/root.erofs" | awk '{ print $1 / 1000000 }')" "$built" "$up"
}

printf '%-18s %8s %10s %10s %14s\n' compressor cluster 'root MB' 'build s' 'to Docker s'
row zstd,level=3 4096
row zstd,level=3 65536
row zstd,level=9 65536
row lz4hc,level=9 65536

