#!/bin/sh
# How fast, and in how much memory, does a release get into a slot? Compared with the shell's way to do the same:
# curl | zstd -d | tee >(sha256sum) | dd oflag=direct, on the same file system, from the same local web server.
#
#   updater/agent/benches/apply.sh FOLDER-OF-A-RELEASE [SCRATCH-FOLDER]
#
# FOLDER-OF-A-RELEASE holds release.json and the packed files. The scratch folder should be on a real disk.
# Goals: at least 80 % of the shell's speed (which neither checks frames nor reads back), at most 64 MiB per process.
set -eu
release=$(realpath "${1:?usage: apply.sh FOLDER-OF-A-RELEASE [SCRATCH-FOLDER]}")
scratch=$(mktemp -d "${2:-${TMPDIR:-/var/tmp}}/apply.XXXXXX")
updater=${UPDATER:-target/debug/updater}
port=${PORT:-18080}
python3 -m http.server --bind 127.0.0.1 --directory "$release" "$port" >/dev/null 2>&1 &
server=$!
trap 'kill $server; rm -rf "$scratch"' EXIT
url=http://127.0.0.1:$port
until curl --silent --output /dev/null "$url/release.json"; do sleep 0.1; done

size() { python3 -c "import json,sys; print([p['size'] for p in json.load(open('$release/release.json'))['parts'] if p['name']=='$1'][0])"; }
file() { python3 -c "import json,sys; print([p['ways'][0]['file'] for p in json.load(open('$release/release.json'))['parts'] if p['name']=='$1'][0])"; }
now() { date +%s.%N; }

mkdir -p "$scratch/partitions" "$scratch/esp/EFI/Linux"
for name in root-a root-a-verity; do head -c 4096 /dev/zero >"$scratch/partitions/$name"; done
# Real blocks, as a partition has them, not holes.
head -c "$(size root)" /dev/zero >"$scratch/partitions/root-b"
head -c "$(size verity)" /dev/zero >"$scratch/partitions/root-b-verity"
sync

echo "== the shell: download, decompress, hash, write (root only)"
mkfifo "$scratch/hash"
sha256sum <"$scratch/hash" >"$scratch/digest" &
start=$(now)
curl --silent "$url/$(file root)" | zstd --decompress --stdout --quiet | tee "$scratch/hash" |
    dd of="$scratch/partitions/root-b" bs=4M iflag=fullblock oflag=direct conv=notrunc,fsync status=none
end=$(now)
python3 -c "b=$(size root); t=$end-$start; print(f'{t:.2f} s, {b/t/1e6:.0f} MB/s')"

head -c "$(size root)" /dev/zero >"$scratch/partitions/root-b"
sync
echo "== updater: recognise, download, decompress, check, write, read back (all parts)"
start=$(now)
/usr/bin/time --format='daemon: %M KiB resident at most, %U s user, %S s system' \
    "$updater" internal-stage --separate --release "$release/release.json" --base "$url" --partitions "$scratch/partitions" --esp "$scratch/esp"
end=$(now)
python3 -c "b=$(size root)+$(size verity)+$(size uki); t=$end-$start; print(f'{t:.2f} s, {b/t/1e6:.0f} MB/s')"
